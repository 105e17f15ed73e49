/*
 * rmap.c - from a frame to its entries (lecture 001; mechanism 6.5).
 *
 * Counting. Every entry that maps a page is counted in _mapcount when it is made and when it goes, under its
 * table's lock; special entries (the zero page) are not.
 *
 * Finding. The page names its meeting point: the file's i_mmap, an interval tree of areas by file page, or its anon_vma, a
 * list of areas. In each area there is one address where the page can be, from its index and vm_pgoff. The entry
 * there is looked at under the table's lock, and maps the page or does not: an area that has it
 * only by ancestry, a page replaced by its copy, is simply passed by.
 *
 * Standing still. The page is locked by the walker, so it stays in its file. The tree's lock keeps the areas it finds
 * in their mm, and so (pt.h, invariant 2) the tables under them; mmap_lock is not needed, and could not be
 * taken here, since faults hold it when they lock pages.
 *
 * An area longer than 2^32 pages can hold an anonymous page's index more than once: each place is looked at.
 */
#include <quire/migrate.h>
#include "mm/rmap/anon_vma.h"
#include "mm/rmap/rmap.h"
#include "mm/space/space.h"

void page_remove_rmap(struct page *page)
{
	if (page_unmap_one(page) && PageAnon(page))
		frame_account(FRAME_ANON, -1);
}

/* Does the entry concern the walk? */
static bool wanted(const struct rmap_walk *walk, const struct page *page, pte_t entry)
{
	if (unlikely(walk->migrating))
		return is_migration_entry(entry) &&
		       page_to_pfn(migration_entry_page(entry)).n == walk->migrating;
	return pte_present(entry) && !pte_special(entry) && pte_pfn(entry).n == page_to_pfn(page).n;
}

/* One area in which the page has a place at addr. False: stop. */
static bool visit_place(struct page *page, struct vm_area_struct *vma, vaddr_t addr,
                        struct rmap_walk *walk)
{
	pte_t *pte = pt_lookup(&vma->vm_mm->space, addr);
	bool go_on = true;

	if (!pte)
		return true;
	pt_lock(pte);
	if (wanted(walk, page, pte_read(pte)))
		go_on = walk->visit(walk, page, vma, addr, pte);
	pt_unlock(pte);
	return go_on;
}

/* All places of the page in the area; pgoff has 32 bits for an anonymous page, whose area may be longer. */
static bool visit_area(struct page *page, struct vm_area_struct *vma, struct rmap_walk *walk)
{
	uint64_t first = PageAnon(page) ? (uint32_t)(page->index - (uint32_t)vma->vm_pgoff)
	                                : page->index - vma->vm_pgoff;

	for (uint64_t i = first; i < vma_pages(vma); i += (uint64_t)1 << 32)
		if (!visit_place(page, vma, vma->vm_start + (i << PAGE_SHIFT), walk))
			return false;
	return true;
}

bool rmap_walk_anon(struct page *page, struct anon_vma *anon_vma, struct rmap_walk *walk)
{
	struct anon_vma_chain *avc;
	bool go_on = true;

	down_read(&anon_vma->root->rwsem);
	list_for_each_entry(avc, &anon_vma->chains, same_anon_vma) {
		go_on = visit_area(page, avc->vma, walk);
		if (!go_on)
			break;
	}
	up_read(&anon_vma->root->rwsem);
	return go_on;
}

static bool walk_anon(struct page *page, struct rmap_walk *walk)
{
	struct anon_vma *anon_vma = page_get_anon_vma(page);
	bool go_on;

	if (!anon_vma)
		return true;
	go_on = rmap_walk_anon(page, anon_vma, walk);
	put_anon_vma(anon_vma);
	return go_on;
}

static bool walk_file(struct page *page, struct rmap_walk *walk)
{
	struct address_space *mapping = page_mapping(page);
	struct interval_tree_node *node;
	bool go_on = true;

	if (!mapping)
		return true;
	down_read(&mapping->i_mmap_rwsem);
	interval_for_each(node, &mapping->i_mmap, page->index, page->index) {
		go_on = visit_area(page, container_of(node, struct vm_area_struct, i_mmap_node),
		                   walk);
		if (!go_on)
			break;
	}
	up_read(&mapping->i_mmap_rwsem);
	return go_on;
}

bool rmap_walk(struct page *page, struct rmap_walk *walk)
{
	return PageAnon(page) ? walk_anon(page, walk) : walk_file(page, walk);
}

static bool unmap_one(struct rmap_walk *walk UNUSED, struct page *page, struct vm_area_struct *vma,
                      vaddr_t addr, pte_t *pte)
{
	struct mm_struct *mm = vma->vm_mm;
	pte_t old;

	if (vma->vm_flags & VM_LOCKED)
		return false;
	old = pt_clear(pte);
	mmu_flush_range(&mm->space, addr, addr + PAGE_SIZE);
	if (pte_dirty(old))
		set_page_dirty(page);
	add_mm_counter(mm, mm_counter(page), -1);
	page_remove_rmap(page);
	put_page(page); /* the entry's; the walker has his own */
	return true;
}

bool try_to_unmap(struct page *page)
{
	struct rmap_walk walk = {.visit = unmap_one};

	if (PageAnon(page))
		return false; /* nowhere to put it */
	return rmap_walk(page, &walk) && page_mapcount(page) == 0;
}

static bool referenced_one(struct rmap_walk *walk, struct page *page UNUSED,
                           struct vm_area_struct *vma, vaddr_t addr UNUSED, pte_t *pte)
{
	pte_t old = pte_read(pte);
	unsigned *n = walk->ctx;

	if (!pte_young(old))
		return true;
	while (!pte_cmpxchg(pte, &old, pte_mkold(old)))
		;
	/* No flush: a stale accessed bit costs a wrong guess at worst. */
	*n += !(vma->vm_flags & VM_SEQ_READ);
	return true;
}

unsigned page_referenced(struct page *page)
{
	unsigned n = 0;
	struct rmap_walk walk = {.visit = referenced_one, .ctx = &n};

	rmap_walk(page, &walk);
	return n;
}

static bool count_one(struct rmap_walk *walk, struct page *page UNUSED,
                      struct vm_area_struct *vma UNUSED, vaddr_t addr UNUSED, pte_t *pte UNUSED)
{
	++*(int32_t *)walk->ctx;
	return true;
}

const char *rmap_check(struct page *page)
{
	int32_t found = 0;
	struct rmap_walk walk = {.visit = count_one, .ctx = &found};

	rmap_walk(page, &walk);
	return found == page_mapcount(page) ? NULL
	                                    : "rmap: entries found differ from the map count";
}
