/*
 * kernel.c - page tables of kernel addresses (mechanisms 3.2, 3.4, 3.6).
 *
 * The kernel's space is a tree like any other, and the master: no program runs on it, but every program's root table holds
 * a copy of its root entries, and so all share the tables below.
 *
 *      master root          a program's root
 *     +-----------+         +-----------+
 *     |           |         | its own   |
 *     | vmalloc --+--> T <--+-- vmalloc |     an entry made in T is seen by all at once
 *     | late    --+--> U    | none      |     a root entry made after the program: the first touch faults, and copies it
 *     +-----------+         +-----------+
 *
 * Tables that a root entry leads to, and all but the lowest, are never taken away, so nothing has to be told to
 * forget one. A leaf table that has become empty may give its place to a large page: then every CPU forgets what it
 * keeps of the upper levels before the table is freed.
 *
 *     level 2:  [ table ][ 2 MB ][ 2 MB ][ table ]       an area of vmalloc: aligned, its middle by large pages,
 *                 ||||                     ||            the rest by small ones
 */
#include <quire/errno.h>
#include <quire/kva.h>
#include "mm/pt/pt.h"

/* The frame for page i of a mapping: from a list, or counted up from phys. */
struct kernel_frames {
	struct page **pages;
	phys_t phys;
};

static pfn_t kernel_frame(const struct kernel_frames *f, uint64_t i)
{
	return f->pages ? page_to_pfn(f->pages[i]) : phys_to_pfn(PHYS(f->phys.a + i * PAGE_SIZE));
}

/* --- mapping ------------------------------------------------------------------------------------- */

int pt_map_kernel_huge(vaddr_t va, phys_t phys, unsigned mmu_bits, gfp_t gfp)
{
	struct mmu_space *space = mmu_kernel_space();
	pte_t entry = pte_mkhuge(pte_make(phys_to_pfn(phys), mmu_pgprot(mmu_bits | MMU_GLOBAL)));
	pte_t *slot = pt_alloc_kernel_huge(va, gfp);

	if (!slot)
		return -ENOMEM;
	pt_lock(slot);
	pte_set(slot, entry);
	pt_count(slot, 1);
	pt_unlock(slot);
	mmu_update_huge(space, va, entry);
	return 0;
}

/* As far as one leaf table reaches. 0 or -ENOMEM. */
static int map_small(vaddr_t va, vaddr_t end, const struct kernel_frames *frames, uint64_t first,
                     pgprot_t prot, gfp_t gfp)
{
	struct mmu_space *space = mmu_kernel_space();
	pte_t *pte = pt_alloc_kernel(va, gfp);

	if (!pte)
		return -ENOMEM;
	pt_lock(pte);
	for (vaddr_t a = va; a != end; a += PAGE_SIZE, pte++)
		pt_install(space, a, pte, pte_make(kernel_frame(frames, first++), prot));
	pt_unlock(pte - 1);
	return 0;
}

static bool wants_huge(vaddr_t va, vaddr_t next, const struct kernel_frames *frames, uint64_t i)
{
	return !frames->pages && pt_has_huge() && next - va == pt_leaf_span() &&
	       !((frames->phys.a + i * PAGE_SIZE) & (pt_leaf_span() - 1));
}

static int map_kernel(vaddr_t va, const struct kernel_frames *frames, uint64_t n, unsigned mmu_bits,
                      gfp_t gfp)
{
	const pgprot_t prot = mmu_pgprot(mmu_bits | MMU_GLOBAL);
	vaddr_t next, end = va + n * PAGE_SIZE;
	int error = 0;

	for (vaddr_t addr = va; addr != end && !error; addr = next) {
		uint64_t i = (addr - va) >> PAGE_SHIFT;

		next = pt_leaf_end(addr, end);
		if (wants_huge(addr, next, frames, i)) {
			pt_drop_kernel_tables(addr, next);
			error = pt_map_kernel_huge(addr, pfn_to_phys(kernel_frame(frames, i)),
			                           mmu_bits, gfp);
		} else {
			error = map_small(addr, next, frames, i, prot, gfp);
		}
		if (error)
			pt_unmap_kernel(va, i);
	}
	return error;
}

int pt_map_kernel(vaddr_t va, struct page **pages, uint64_t n, unsigned mmu_bits, gfp_t gfp)
{
	const struct kernel_frames frames = {.pages = pages};

	return map_kernel(va, &frames, n, mmu_bits, gfp);
}

int pt_map_kernel_phys(vaddr_t va, phys_t phys, uint64_t n, unsigned mmu_bits, gfp_t gfp)
{
	const struct kernel_frames frames = {.phys = phys};

	return map_kernel(va, &frames, n, mmu_bits, gfp);
}

/* --- walking and unmapping ----------------------------------------------------------------------- */

/* The entry that decides about va, a leaf or none at all, and its level. */
static pte_t *deciding_entry(vaddr_t va, unsigned *at_level)
{
	pfn_t table = mmu_kernel_space()->root;
	unsigned level = mmu_levels();

	for (;; level--) {
		pte_t *entry = pt_entries_of(table) + mmu_index(va, level);
		pte_t e = pte_read(entry);

		if (!pte_is_table(e, level)) {
			*at_level = level;
			return entry;
		}
		table = pte_pfn(e);
	}
}

static void clear_entries(pte_t *pte, uint64_t n)
{
	pt_lock(pte);
	for (uint64_t i = 0; i < n; i++)
		pt_clear(pte + i);
	pt_unlock(pte);
}

void pt_unmap_kernel(vaddr_t va, uint64_t n)
{
	vaddr_t next, end = va + n * PAGE_SIZE;

	for (; va != end; va = next) {
		unsigned level;
		pte_t *entry = deciding_entry(va, &level);

		next = pt_leaf_end(va, end);
		if (level == PT_LEAF)
			clear_entries(entry, (next - va) >> PAGE_SHIFT);
		else if (!pte_none(pte_read(entry)))
			clear_entries(entry, 1);
	}
}

bool pt_kernel_frame(vaddr_t va, pfn_t *pfn)
{
	unsigned level;
	pte_t e = pte_read(deciding_entry(va, &level));
	uint64_t within = (va & (((vaddr_t)1 << mmu_shift(level)) - 1)) >> PAGE_SHIFT;

	*pfn = PFN(pte_pfn(e).n + within);
	return pte_present(e);
}

/* --- tables that go ------------------------------------------------------------------------------ */

/* Unlink the leaf table of the span at va, if there is one. It comes back as a page, empty. */
static struct page *unlink_leaf_table(vaddr_t va)
{
	pfn_t table = mmu_kernel_space()->root;
	struct page *page;
	pte_t *slot;

	for (unsigned level = mmu_levels();; level--) {
		pte_t e = pte_read(slot = pt_entries_of(table) + mmu_index(va, level));

		if (!pte_is_table(e, level))
			return NULL;
		table = pte_pfn(e);
		if (level == PT_HUGE)
			break;
	}
	page = pfn_to_page(table);
	if (atomic_load_explicit(&page->pt_entries, memory_order_relaxed))
		port_panic("pt: the table for %#lx is still in use", (unsigned long)va);
	clear_entries(slot, 1);
	return page;
}

void pt_drop_kernel_tables(vaddr_t va, vaddr_t end)
{
	const vaddr_t span = pt_leaf_span();
	vaddr_t first = ALIGN_UP(va, span), last = ALIGN_DOWN(end, span);
	uint32_t dropped = PFN_NONE_N;

	for (va = first; va < last; va += span) {
		struct page *table = unlink_leaf_table(va);

		if (!table)
			continue;
		table->lru.next = dropped;
		dropped = page_to_pfn(table).n;
	}
	if (dropped == PFN_NONE_N)
		return;
	mmu_flush_kernel_range(first, last);
	while (dropped != PFN_NONE_N) {
		struct page *table = pfn_to_page(PFN(dropped));

		dropped = table->lru.next;
		pt_free_table(table);
	}
}

/* --- the master table ---------------------------------------------------------------------------- */

bool pt_sync_kernel_root(struct mmu_space *space, vaddr_t va)
{
	unsigned level = mmu_levels(), i = mmu_index(va, level);
	pte_t *mine = pt_entries_of(space->root) + i;
	pte_t none = {0}, kernel = pte_read(pt_entries_of(mmu_kernel_space()->root) + i);
	pfn_t unused;

	if (i < mmu_user_entries() || pte_none(kernel))
		return false;
	/* Another CPU with the same root may be faster. */
	if (pte_none(pte_read(mine)))
		(void)pte_cmpxchg(mine, &none, kernel);
	return pt_kernel_frame(va, &unused);
}
