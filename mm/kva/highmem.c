/*
 * highmem.c - addresses for frames that have none (mechanism 3.3; lecture 004).
 *
 *   pkmap    a window of page-sized addresses that kmap() gives out. Each has a count, as Linux's:
 *              0      free
 *              1      nobody's, but the entry is still there: the same page gets it back for nothing
 *              n + 1  n users
 *            Addresses are given out in turn; when the turn comes round to the beginning, all that count 1 are
 *            taken away with one flush, so flushing costs a small part of a mapping. Who finds all in use sleeps
 *            until somebody calls kunmap().
 *
 *   local    KMAP_LOCAL_SLOTS addresses for each CPU, a stack. Its owner alone maps and unmaps, at the top, and
 *            nobody else can have cached the translation: one local flush, no lock. An interrupt nests above what
 *            it interrupted and leaves it as it was.
 *
 * From a page to its address in the window: chains by hash of the frame number.
 *
 * Locks: highmem_state.lock, not taken by interrupts, innermost but for page-table locks. Counts never pass 2^31.
 */
#include <quire/check.h>
#include <quire/highmem.h>
#include <quire/kva.h>
#include <quire/machine.h>
#include <quire/slab.h>

#include "lib/hash.h"
#include "mm/pt/pt.h"

#define PKMAP_HASH_BITS 7

struct pkmap {
	uint32_t pfn;   /* (H) while count > 0 */
	uint32_t count; /* (H) */
	int32_t next;   /* (H) of the hash chain; -1 ends */
};

/* Lock key: (H) lock; (i) immutable once made. */
struct highmem_state {
	spinlock_t lock;
	vaddr_t window, local; /* (i) */
	unsigned slots;        /* (i) */
	unsigned last;         /* (H) slot given out last */
	struct wait_queue wait;
	int32_t hash[1 << PKMAP_HASH_BITS]; /* (H) */
	struct pkmap map[];
};

static struct highmem_state *state(void)
{
	return machine()->highmem;
}

static vaddr_t slot_address(const struct highmem_state *h, unsigned slot)
{
	return h->window + (vaddr_t)slot * PAGE_SIZE;
}

static pte_t *entry_of(vaddr_t va)
{
	return pt_lookup(mmu_kernel_space(), va);
}

/* Tables of kernel addresses stay, so their entries need not be counted, nor the table's lock taken for it. */
static void *install(vaddr_t va, struct page *page)
{
	const pgprot_t prot = mmu_pgprot(MMU_READ | MMU_WRITE | MMU_GLOBAL);

	const pte_t entry = pte_make(page_to_pfn(page), prot);

	pte_set(entry_of(va), entry);
	mmu_update(mmu_kernel_space(), va, entry);
	return (void *)(uintptr_t)va;
}

/* --- pkmap ------------------------------------------------------------------------------------ */

static int32_t *chain(struct highmem_state *h, uint32_t pfn)
{
	return &h->hash[hash_32(pfn, PKMAP_HASH_BITS)];
}

static int32_t find(struct highmem_state *h, uint32_t pfn)
{
	int32_t slot = *chain(h, pfn);

	while (slot >= 0 && h->map[slot].pfn != pfn)
		slot = h->map[slot].next;
	return slot;
}

static void unlink_slot(struct highmem_state *h, int32_t slot)
{
	int32_t *at = chain(h, h->map[slot].pfn);

	while (*at != slot)
		at = &h->map[*at].next;
	*at = h->map[slot].next;
}

/* Whatever nobody uses becomes free, with one flush. */
static void flush_unused(struct highmem_state *h)
{
	bool any = false;

	for (unsigned i = 0; i < h->slots; i++) {
		if (h->map[i].count != 1)
			continue;
		h->map[i].count = 0;
		unlink_slot(h, (int32_t)i);
		pte_set(entry_of(slot_address(h, i)), (pte_t){0});
		any = true;
	}
	if (any)
		mmu_flush_kernel_range(h->window, slot_address(h, h->slots));
}

/* A free slot, the next in turn; -1: all are in use. */
static int32_t take_slot(struct highmem_state *h)
{
	for (unsigned tries = 0; tries < h->slots; tries++) {
		h->last = (h->last + 1) % h->slots;
		if (h->last == 0)
			flush_unused(h);
		if (h->map[h->last].count == 0)
			return (int32_t)h->last;
	}
	flush_unused(h); /* those that were passed before they fell to 1 */
	for (unsigned i = 0; i < h->slots; i++)
		if (h->map[i].count == 0)
			return (int32_t)(h->last = i);
	return -1;
}

/* One more user; NULL: no slot. */
static void *kmap_try_locked(struct highmem_state *h, struct page *page)
{
	uint32_t pfn = page_to_pfn(page).n;
	int32_t slot = find(h, pfn), *head = chain(h, pfn);

	if (slot < 0) {
		slot = take_slot(h);
		if (slot < 0)
			return NULL;
		install(slot_address(h, (unsigned)slot), page);
		h->map[slot] = (struct pkmap){.pfn = pfn, .count = 1, .next = *head};
		*head = slot;
	}
	h->map[slot].count++;
	return (void *)(uintptr_t)slot_address(h, (unsigned)slot);
}

static void *kmap_try(struct highmem_state *h, struct page *page)
{
	void *addr;

	spin_lock(&h->lock);
	addr = kmap_try_locked(h, page);
	spin_unlock(&h->lock);
	return addr;
}

void *kmap_high(struct page *page)
{
	struct highmem_state *h = state();
	void *addr = kmap_try(h, page);

	if (unlikely(!addr))
		wait_event(&h->wait, (addr = kmap_try(h, page)) != NULL);
	return addr;
}

void kunmap_high(struct page *page)
{
	struct highmem_state *h = state();
	bool unused;
	int32_t slot;

	spin_lock(&h->lock);
	slot = find(h, page_to_pfn(page).n);
	if (unlikely(slot < 0 || h->map[slot].count < 2))
		port_panic("kunmap: frame %#x is not mapped", page_to_pfn(page).n);
	unused = --h->map[slot].count == 1;
	spin_unlock(&h->lock);
	if (unused && wait_queue_active(&h->wait))
		wake_up_all(&h->wait);
}

void *high_page_address(const struct page *page)
{
	struct highmem_state *h = state();
	int32_t slot = -1;

	if (h) {
		spin_lock(&h->lock);
		slot = find(h, page_to_pfn(page).n);
		if (slot >= 0 && h->map[slot].count < 2)
			slot = -1;
		spin_unlock(&h->lock);
	}
	if (slot < 0)
		port_panic("page_address: frame %#x is high memory and not mapped",
		           page_to_pfn(page).n);
	return (void *)(uintptr_t)slot_address(h, (unsigned)slot);
}

/* --- local ------------------------------------------------------------------------------------ */

static vaddr_t local_address(const struct highmem_state *h, unsigned depth)
{
	return h->local + ((vaddr_t)cpu_id() * KMAP_LOCAL_SLOTS + depth) * PAGE_SIZE;
}

void *kmap_local_high(struct page *page)
{
	const unsigned depth = this_cpu()->kmap_depth;

	if (unlikely(depth >= KMAP_LOCAL_SLOTS))
		port_panic("kmap_local_page: more than %d on one CPU", KMAP_LOCAL_SLOTS);
	WRITE_ONCE(this_cpu()->kmap_depth, depth + 1);
	return install(local_address(state(), depth), page);
}

void kunmap_local_high(const void *addr)
{
	const struct highmem_state *h = state();
	vaddr_t va = (vaddr_t)(uintptr_t)addr & ~(vaddr_t)(PAGE_SIZE - 1);
	unsigned depth;

	if (!h || va < h->local || va >= h->local + QUIRE_MAX_CPUS * KMAP_LOCAL_SLOTS * PAGE_SIZE)
		return; /* a low page */
	depth = this_cpu()->kmap_depth - 1;
	if (unlikely(depth >= KMAP_LOCAL_SLOTS || va != local_address(h, depth)))
		port_panic("kunmap_local: %#lx is not this CPU's last", (unsigned long)va);
	pte_set(entry_of(va), (pte_t){0});
	mmu_flush_local_page(mmu_kernel_space(), va);
	WRITE_ONCE(this_cpu()->kmap_depth, depth);
}

/* --- start and checks ------------------------------------------------------------------------- */

static void make_tables(vaddr_t start, vaddr_t end)
{
	for (vaddr_t va = start; va < end; va = pt_leaf_end(va, end))
		if (!pt_alloc_kernel(va, GFP_KERNEL))
			port_panic("highmem_init: no memory");
}

void highmem_init(vaddr_t pkmap, unsigned pkmap_pages, vaddr_t local)
{
	struct highmem_state *h = kzalloc(sizeof(*h) + pkmap_pages * sizeof(h->map[0]), GFP_KERNEL);

	if (!h)
		port_panic("highmem_init: no memory");
	spin_lock_init(&h->lock);
	wait_queue_init(&h->wait);
	h->window = pkmap;
	h->local = local;
	h->slots = pkmap_pages;
	for (unsigned i = 0; i < ARRAY_SIZE(h->hash); i++)
		h->hash[i] = -1;
	make_tables(pkmap, pkmap + pkmap_pages * PAGE_SIZE);
	make_tables(local, local + QUIRE_MAX_CPUS * KMAP_LOCAL_SLOTS * PAGE_SIZE);
	machine()->highmem = h;
	if (machine()->poison)
		poison_free_memory(); /* what could not be reached before */
}

unsigned kmap_in_use(void)
{
	const struct highmem_state *h = state();
	unsigned n = 0;

	for (unsigned i = 0; h && i < h->slots; i++)
		n += READ_ONCE(h->map[i].count) > 1;
	return n;
}

static const char *check_window(struct highmem_state *h)
{
	unsigned chained = 0, counted = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(h->hash); i++)
		for (int32_t slot = h->hash[i]; slot >= 0 && chained <= h->slots;
		     slot = h->map[slot].next, chained++)
			if (!h->map[slot].count || chain(h, h->map[slot].pfn) != &h->hash[i])
				return "highmem: slot on a chain that is free, or another page's";
	for (unsigned i = 0; i < h->slots; i++) {
		pte_t e = pte_read(entry_of(slot_address(h, i)));

		counted += h->map[i].count > 0;
		if (pte_present(e) != (h->map[i].count > 0) ||
		    (pte_present(e) && pte_pfn(e).n != h->map[i].pfn))
			return "highmem: entry of a slot";
	}
	return chained == counted ? NULL : "highmem: slots on chains";
}

/* Quiet machine: nobody is between kmap_local_page() and kunmap_local(). */
const char *highmem_check(void)
{
	struct highmem_state *h = state();

	if (!h)
		return NULL;
	for (unsigned i = 0; i < machine()->nr_cpus; i++)
		if (machine()->cpu[i] && machine()->cpu[i]->kmap_depth)
			return "highmem: kmap_local_page() without kunmap_local()";
	return check_window(h);
}
