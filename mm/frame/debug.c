/*
 * debug.c - mistakes with frames: who had it, what was written to it, what state it is in (Linux's page owner, page poisoning and
 * bad-page reports).
 *
 * All of it hangs on machine()->careful, which closes the fast paths: while nothing is checked, nothing is paid.
 *
 *   page owner   a record for each frame, made at boot (page_owner=on): who allocated it last, for what, who freed it, and by
 *                which calls (stackdepot.c)
 *   poison       a free frame is full of POISON_FREE; what was written after it was freed shows when it is next
 *                given out (page_poison=1, or check_poison())
 *   guards       debug_guardpage_minorder=N: when a block is split for a request, the halves of less than 2^N frames stay out of use
 *                until the request's block is freed (buddy.c), so that who writes beyond its end harms nobody; with poison,
 *                it shows when the block is freed
 *   pagealloc    a frame that is freed loses its kernel address, so that a use after free, a read too, faults at once
 *                (debug_pagealloc=on); memory that nobody has had yet keeps its addresses
 *   state        a frame that comes from the free lists must look free; one freed twice has a reference too few
 *
 * A report names the frame, its state and its history, and who met it; then the machine stops, for memory can no
 * longer be trusted.
 */
#include "mm/frame/debug.h"
#include "mm/frame/stackdepot.h"

#include <quire/boot.h>
#include <quire/symbol.h>

static void page_owner_init(void)
{
	struct machine *m = machine();
	const uint64_t size = m->max_pfn * sizeof(struct page_owner);
	const phys_t at = memblock_alloc(size, PAGE_SIZE, m->config.lowmem_end);

	if (!at.a) {
		port_log("page_owner: no memory for %lu bytes: off", (unsigned long)size);
		return;
	}
	m->page_owner = phys_to_virt(at);
	__builtin_memset(m->page_owner, 0, (size_t)size);
	if (!stack_depot_init())
		port_log("page_owner: no memory for call chains: callers only");
}

static bool debug_pagealloc(void)
{
	if (!boot_switch("debug_pagealloc"))
		return false;
	if (!port_direct_map_splits())
		port_log("debug_pagealloc: this machine cannot take single frames away: off");
	return port_direct_map_splits();
}

/* Boot words: Linux's names and values. They cost memory and time from the first frame on. */
void page_debug_init(void)
{
	struct machine *m = machine();

	if (boot_switch("page_owner"))
		page_owner_init();
	m->poison = boot_switch("page_poison");
	m->guard_minorder = (unsigned)boot_number("debug_guardpage_minorder", MAX_ORDER / 2, 0);
	m->debug_pagealloc = debug_pagealloc();
	m->careful = m->poison || m->page_owner || m->debug_pagealloc;
}

static struct page_owner *owner_of(const struct page *page)
{
	struct page_owner *owners = machine()->page_owner;

	return owners ? &owners[page_to_pfn(page).n] : NULL;
}

bool page_owner_read(pfn_t pfn, struct page_owner *out)
{
	const struct page_owner *owner = owner_of(pfn_to_page(pfn));

	if (!owner)
		return false;
	*out = *owner;
	return true;
}

void page_owner_copy(struct page *dst, const struct page *old)
{
	struct page_owner *to = owner_of(dst);

	if (to)
		*to = *owner_of(old);
}

static void report_history(const struct page *page)
{
	const struct page_owner *owner = owner_of(page);
	char names[FLAG_NAMES_MAX];

	if (!owner || !owner->ts_ns) {
		port_log("page history: %s", owner ? "never allocated" : "unknown (page_owner=on)");
		return;
	}
	port_log("page history: allocated via order %u, mask %#x(%s), pid %d, ts %lu ns, by",
	         owner->order, owner->gfp, gfp_names(names, owner->gfp), owner->pid,
	         (unsigned long)owner->ts_ns);
	stack_depot_log(owner->stack, owner->caller);
	if (!owner->free_ts_ns)
		return;
	port_log("page history: last freed by pid %d, ts %lu ns, by", owner->free_pid,
	         (unsigned long)owner->free_ts_ns);
	stack_depot_log(owner->free_stack, owner->free_caller);
}

/* The word means that in a frame that is in use, or on no list: else it is the order of a block, or of a guard. */
static int32_t mapcount_to_report(const struct page *page)
{
	return page_flag(page, PG_buddy) || page_is_guard(page) ? 0 : page_mapcount(page);
}

void dump_page(const struct page *page, const char *why)
{
	char names[FLAG_NAMES_MAX];

	port_log("page: frame %#x: refcount:%d mapcount:%d mapping:%#lx index:%#x",
	         page_to_pfn(page).n, page_count(page), mapcount_to_report(page),
	         (unsigned long)page->mapping, page->index);
	port_log("page: flags: %#x(%s)", page->flags, page_flag_names(names, page));
	port_log("page dumped because: %s", why);
	report_history(page);
}

void bad_page(struct page *page, const char *why, uintptr_t caller)
{
	char name[KSYM_SYMBOL_LEN];

	dump_page(page, why);
	port_panic(
	        "bad page: frame %#x, %s (by %s): flags %#x refcount %d mapcount %d mapping %#lx",
	        page_to_pfn(page).n, why, sprint_backtrace(name, caller), page->flags,
	        page_count(page), mapcount_to_report(page), (unsigned long)page->mapping);
}

/* --- poison ---------------------------------------------------------------------------------------- */

void map_frames(struct page *page, unsigned n, bool present)
{
	if (unlikely(machine()->debug_pagealloc) && !PageHighMem(page))
		port_map_direct(page_to_pfn(page), n, present);
}

bool report_free_frame(const void *addr)
{
	struct page *page = virt_to_page(addr);

	if (!machine()->debug_pagealloc || page_to_pfn(page).n >= machine()->max_pfn ||
	    !pfn_online(page_to_pfn(page).n) || page_count(page))
		return false;
	dump_page(page, "touched while free");
	return true;
}

/* High memory has no addresses at first: it is filled when highmem_init() has made some. */
static void poison_page(struct page *page)
{
	if (!PageHighMem(page) || machine()->highmem)
		memset_page(page, 0, POISON_FREE, PAGE_SIZE);
}

void poison_range(pfn_t start, pfn_t end)
{
	for (uint32_t pfn = start.n; pfn < end.n; pfn++)
		poison_page(pfn_to_page(PFN(pfn)));
}

static void check_poisoned(struct page *page, uintptr_t caller)
{
	const uint8_t *bytes = kmap_local_page(page);
	unsigned first = 0, last = PAGE_SIZE - 1;
	uint8_t found;

	while (first < last && bytes[first] == POISON_FREE)
		first++;
	while (first < last && bytes[last] == POISON_FREE)
		last--;
	found = bytes[first];
	kunmap_local(bytes);
	if (likely(found == POISON_FREE))
		return;
	port_log(
	        "page poisoning: bytes %u to %u of frame %#x were written after it was freed: %02x ...",
	        first, last, page_to_pfn(page).n, found);
	bad_page(page, "written to while free", caller);
}

void check_guard(struct page *page, unsigned order, uintptr_t caller)
{
	if (!machine()->poison)
		return;
	map_frames(page, 1u << order, true);
	for (unsigned i = 0; i < 1u << order; i++)
		check_poisoned(page + i, caller);
	map_frames(page, 1u << order, false);
}

/* Deferred memory is filled when it comes online. */
void poison_free_memory(void)
{
	for (uint64_t pfn = 0; pfn < machine()->max_pfn; pfn++) {
		struct page *page = pfn_to_page(PFN((uint32_t)pfn));

		if (!pfn_online(pfn))
			continue;
		if ((page_flag(page, PG_reserved) || !page_is_free(page)) && !page_is_guard(page))
			continue;
		map_frames(page, 1, true);
		poison_page(page);
		map_frames(page, 1, false);
	}
}

/* --- every frame that comes and goes while the machine is careful ------------------------------------ */

static void check_new_page(struct page *page, uintptr_t caller)
{
	const uint32_t flags = atomic_load_explicit(&page->flags, memory_order_relaxed);

	if (page_count(page))
		bad_page(page, "free, and has references: freed twice, or used after it was freed",
		         caller);
	if (flags & ~PAGE_FLAGS_FREE || page->mapping || page_mapcount(page))
		bad_page(page, "free, and does not look it", caller);
	if (machine()->poison)
		check_poisoned(page, caller);
}

void page_allocated(struct page *page, unsigned order, gfp_t gfp, uintptr_t caller)
{
	struct page_owner *owner = owner_of(page);
	struct page_owner now = {.order = order, .gfp = gfp, .caller = caller};

	if (owner) {
		now.pid = current_pid();
		now.ts_ns = port_now_ns();
		now.stack = stack_depot_save(caller);
	}
	map_frames(page, 1u << order, true);
	for (unsigned i = 0; i < 1u << order; i++) {
		check_new_page(page + i, caller);
		if (!owner)
			continue;
		now.free_pid = owner[i].free_pid;
		now.free_ts_ns = owner[i].free_ts_ns;
		now.free_caller = owner[i].free_caller;
		now.free_stack = owner[i].free_stack;
		owner[i] = now;
	}
}

void page_freed(struct page *page, uintptr_t caller)
{
	struct page_owner *owner = owner_of(page);

	if (machine()->poison)
		poison_page(page);
	map_frames(page, 1, false);
	if (!owner)
		return;
	owner->free_pid = current_pid();
	owner->free_ts_ns = port_now_ns();
	owner->free_caller = caller;
	owner->free_stack = stack_depot_save(caller);
}
