/*
 * pt.c - walking and growing the tree of page tables.
 *
 * A walk goes from the root down, one table a level, and never meets a lock: an upper entry is
 * written once for as long as anyone may walk through it (pt.h, invariant 2). Only when a table is
 * missing is the lock of the table above taken, so two faults that need the same new table race
 * for that lock and the loser frees his.
 *
 * A program that maps, touches and unmaps would have the tables above the page allocated and cleared again each time. Two things
 * spare it most of that: a fault looks first under the leaf table that the last one used
 * (pt_alloc), and tables that became empty are kept, a few to an mm, for the next that is missing.
 */
#include <quire/errno.h>
#include "mm/pt/pt.h"

void pt_lock_two(pte_t *a, pte_t *b)
{
	struct page *pa = pt_page(a), *pb = pt_page(b);

	spin_lock(pa < pb ? &pa->ptl : &pb->ptl);
	if (pa != pb)
		spin_lock(pa < pb ? &pb->ptl : &pa->ptl);
}

void pt_unlock_two(pte_t *a, pte_t *b)
{
	pt_unlock(a);
	if (pt_page(a) != pt_page(b))
		pt_unlock(b);
}

pte_t *pt_lookup(struct mmu_space *space, vaddr_t va)
{
	pfn_t table = space->root;

	for (unsigned level = mmu_levels(); level > PT_LEAF; level--) {
		pte_t entry = pte_read(pt_entries_of(table) + mmu_index(va, level));

		if (unlikely(!pte_is_table(entry, level)))
			return NULL;
		table = pte_pfn(entry);
	}
	return pt_entries_of(table) + mmu_index(va, PT_LEAF);
}

/* A new, empty table. */
static struct page *pt_new_table(gfp_t gfp)
{
	struct page *page = alloc_page(gfp | __GFP_ZERO);

	if (!page)
		return NULL;
	spin_lock_init(&page->ptl);
	atomic_store_explicit(&page->pt_entries, 0, memory_order_relaxed);
	__page_set_flags(page, 1u << PG_table);
	count(PGTABLE_ALLOC);
	frame_account(FRAME_PAGETABLE, 1);
	return page;
}

/* One that munmap kept, or a new one. Kept ones are given out under page_table_lock: faults compete for them. */
static struct page *pt_table_for(struct mm_struct *mm, gfp_t gfp)
{
	struct page *page = NULL;

	if (mm) {
		spin_lock(&mm->page_table_lock);
		if (mm->nr_spare_tables) {
			page = pfn_to_page(PFN(mm->spare_tables));
			mm->spare_tables = page->lru.next;
			mm->nr_spare_tables--;
		}
		spin_unlock(&mm->page_table_lock);
	}
	if (page)
		return page;
	page = pt_new_table(gfp);
	if (page && mm)
		atomic_fetch_add_explicit(&mm->pgtables_bytes, PAGE_SIZE, memory_order_relaxed);
	return page;
}

/* It has no user: keep it for the mm, or free it. */
static void pt_put_table(struct mm_struct *mm, struct page *page)
{
	bool kept = false;

	if (mm) {
		spin_lock(&mm->page_table_lock);
		kept = mm->nr_spare_tables < PT_SPARE_TABLES;
		if (kept) {
			page->lru.next = mm->spare_tables;
			mm->spare_tables = page_to_pfn(page).n;
			mm->nr_spare_tables++;
		}
		spin_unlock(&mm->page_table_lock);
	}
	if (kept)
		return;
	if (mm)
		atomic_fetch_sub_explicit(&mm->pgtables_bytes, PAGE_SIZE, memory_order_relaxed);
	pt_free_table(page);
}

/* Hang a table for va under the entry slot of level, unless another was faster. 0 or -ENOMEM. */
static NOINLINE int pt_grow(struct mm_struct *mm, pte_t *slot, unsigned level, vaddr_t va,
                            gfp_t gfp)
{
	struct page *page = pt_table_for(mm, gfp);

	if (!page)
		return -ENOMEM;
	page->private = level == PT_LEAF + 1 ? pt_leaf_tag(va) : 0;
	pt_lock(slot);
	if (pte_none(pte_read(slot))) {
		pte_set(slot, pte_make_table(page_to_pfn(page)));
		pt_count(slot, 1);
		page = NULL;
	}
	pt_unlock(slot);
	if (page)
		pt_put_table(mm, page);
	return pte_is_table(pte_read(slot), level) ? 0 : -ENOMEM;
}

/* The table of level `to` for va, made if missing. 0 or -ENOMEM. */
static ALWAYS_INLINE int pt_descend(struct mmu_space *space, struct mm_struct *mm, vaddr_t va,
                                    unsigned to, gfp_t gfp, pfn_t *table)
{
	*table = space->root;
	for (unsigned level = mmu_levels(); level > to; level--) {
		pte_t *slot = pt_entries_of(*table) + mmu_index(va, level);
		pte_t entry = pte_read(slot);

		if (unlikely(!pte_is_table(entry, level))) {
			if (pt_grow(mm, slot, level, va, gfp))
				return -ENOMEM;
			entry = pte_read(slot);
		}
		*table = pte_pfn(entry);
	}
	return 0;
}

pte_t *pt_alloc_space(struct mmu_space *space, struct mm_struct *mm, vaddr_t va)
{
	pfn_t table;

	if (pt_descend(space, mm, va, PT_LEAF, GFP_KERNEL, &table))
		return NULL;
	if (mm)
		atomic_store_explicit(&mm->leaf_guess, table.n, memory_order_release);
	return pt_entries_of(table) + mmu_index(va, PT_LEAF);
}

pte_t *pt_alloc_kernel(vaddr_t va, gfp_t gfp)
{
	pfn_t table;

	if (pt_descend(mmu_kernel_space(), NULL, va, PT_LEAF, gfp, &table))
		return NULL;
	return pt_entries_of(table) + mmu_index(va, PT_LEAF);
}

pte_t *pt_alloc_kernel_huge(vaddr_t va, gfp_t gfp)
{
	pfn_t table;

	if (pt_descend(mmu_kernel_space(), NULL, va, PT_HUGE, gfp, &table))
		return NULL;
	return pt_entries_of(table) + mmu_index(va, PT_HUGE);
}

void pt_retire_tables(struct mm_struct *mm, uint32_t first)
{
	while (first != PFN_NONE_N) {
		struct page *table = pfn_to_page(PFN(first));

		first = table->lru.next;
		pt_put_table(mm, table);
	}
}

void pt_free_spares(struct mm_struct *mm)
{
	uint32_t first = mm->spare_tables;

	for (unsigned n = mm->nr_spare_tables; n; n--) {
		struct page *table = pfn_to_page(PFN(first));

		first = table->lru.next;
		atomic_fetch_sub_explicit(&mm->pgtables_bytes, PAGE_SIZE, memory_order_relaxed);
		pt_free_table(table);
	}
	mm->nr_spare_tables = 0;
}

pte_t *pt_next_leaf(struct mmu_space *space, vaddr_t *va, vaddr_t end)
{
	vaddr_t addr = *va;

	while (addr < end) {
		pfn_t table = space->root;
		unsigned level = mmu_levels();

		for (; level > PT_LEAF; level--) {
			pte_t entry = pte_read(pt_entries_of(table) + mmu_index(addr, level));

			if (!pte_is_table(entry, level))
				break;
			table = pte_pfn(entry);
		}
		if (level == PT_LEAF) {
			*va = addr;
			return pt_entries_of(table) + mmu_index(addr, PT_LEAF);
		}
		addr = (addr | (((vaddr_t)1 << mmu_shift(level)) - 1)) + 1;
		if (!addr)
			break;
	}
	return NULL;
}

size_t pt_gap_long(pte_t *pte, vaddr_t addr, vaddr_t end)
{
	const size_t n = (size_t)((end - addr) >> PAGE_SHIFT) - 1;
	size_t i = 0;

	for (pte++; n - i >= 4; i += 4)
		if (pte_read(pte + i).v | pte_read(pte + i + 1).v | pte_read(pte + i + 2).v |
		    pte_read(pte + i + 3).v)
			break;
	while (i < n && pte_none(pte_read(pte + i)))
		i++;
	return i;
}

void pt_free_table(struct page *page)
{
	__page_clear_flags(page, 1u << PG_table);
	atomic_store_explicit(&page->_mapcount, -1, memory_order_relaxed);
	count(PGTABLE_FREE);
	frame_account(FRAME_PAGETABLE, -1);
	__free_page(page);
}

/* The tables under one table that free_pgtables may take, and what of it. */
struct pt_hole {
	struct mmu_gather *tlb;
	vaddr_t start, end;     /* look at tables that cover any of it */
	vaddr_t floor, ceiling; /* free those that lie entirely in it */
};

/*
 * Below table, which begins at base. Recursion is as deep as the tree. last bytes are used, not ends, since the
 * end of the address space is 0.
 */
static void free_level(const struct pt_hole *hole, pfn_t table, unsigned level, vaddr_t base)
{
	const vaddr_t span = (vaddr_t)1 << mmu_shift(level);
	pte_t *entries = pt_entries_of(table);
	unsigned first = hole->start > base ? mmu_index(hole->start, level) : 0;

	for (unsigned i = first; i < mmu_entries(level); i++) {
		vaddr_t va = base + i * span;
		pte_t entry;

		if (va >= hole->end)
			break;
		entry = pte_read(&entries[i]);
		if (!pte_is_table(entry, level))
			continue;
		if (level > PT_LEAF + 1)
			free_level(hole, pte_pfn(entry), level - 1, va);
		if (va < hole->floor || va + (span - 1) > hole->ceiling - 1)
			continue;
		if (atomic_load_explicit(&pfn_to_page(pte_pfn(entry))->pt_entries,
		                         memory_order_relaxed))
			continue;
		pt_lock(&entries[i]);
		pt_clear(&entries[i]);
		pt_unlock(&entries[i]);
		tlb_gather_range(hole->tlb, va, va + span);
		tlb_remove_table(hole->tlb, pfn_to_page(pte_pfn(entry)));
	}
}

void free_pgtables(struct mmu_gather *tlb, vaddr_t start, vaddr_t end, vaddr_t floor,
                   vaddr_t ceiling)
{
	const vaddr_t span = pt_leaf_span();
	vaddr_t low = ALIGN_DOWN(start, span), high = ALIGN_UP(end, span);

	/* Mostly the tables at both ends have neighbours in them, and there are no others. */
	if (low < floor)
		low += span;
	if (high > ceiling)
		high -= span;
	if (low >= high)
		return;
	const struct pt_hole hole = {tlb, low, high, floor, ceiling};

	free_level(&hole, tlb->mm->space.root, mmu_levels(), 0);
}

static const char *check_level(pfn_t table, unsigned level, unsigned entries, uint64_t *tables)
{
	struct page *page = pfn_to_page(table);
	pte_t *e = pt_entries_of(table);
	int32_t live = 0;

	for (unsigned i = 0; i < entries; i++) {
		const char *broken;

		if (pte_none(e[i]))
			continue;
		live++;
		if (level == PT_LEAF || !pte_is_table(e[i], level))
			continue;
		if (!page_flag(pfn_to_page(pte_pfn(e[i])), PG_table))
			return "pt: an upper entry leads to a frame that is no table";
		++*tables;
		broken = check_level(pte_pfn(e[i]), level - 1, mmu_entries(level - 1), tables);
		if (broken)
			return broken;
	}
	/* The root's count is the embedder's business: it holds the kernel's entries too. */
	if (level != mmu_levels() && atomic_load(&page->pt_entries) != live)
		return "pt: pt_entries differs from the live entries";
	if (level != mmu_levels() && spin_is_locked(&page->ptl))
		return "pt: a table is locked";
	return NULL;
}

const char *pt_check(struct mmu_space *space, uint64_t *tables)
{
	*tables = 0;
	return check_level(space->root, mmu_levels(), mmu_user_entries(), tables);
}

const char *pt_check_mm(struct mm_struct *mm)
{
	const pfn_t guess = PFN(atomic_load(&mm->leaf_guess));
	uint32_t spare = mm->spare_tables;

	if (atomic_load(&mm->gathers))
		return "pt: a gather was not finished";
	if (guess.n) {
		pte_t *entry = pt_lookup(&mm->space, pfn_to_page(guess)->private & ~1ull);

		if (entry != pt_entries_of(guess))
			return "pt: leaf_guess is no leaf table of this space";
	}
	for (unsigned n = mm->nr_spare_tables; n; n--) {
		struct page *page = pfn_to_page(PFN(spare));
		pte_t *e = pt_entries_of(PFN(spare));

		if (!page_flag(page, PG_table) || spin_is_locked(&page->ptl))
			return "pt: a spare table is no table, or locked";
		for (unsigned i = 0; i < mmu_entries(PT_LEAF); i++)
			if (!pte_none(e[i]))
				return "pt: a spare table is not empty";
		spare = page->lru.next;
	}
	return NULL;
}
