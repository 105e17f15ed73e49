/*
 * rmap.h - from a frame to everything that maps it (mm/rmap).
 *
 * A file's page finds its areas through mapping->i_mmap. An anonymous page's mapping is an anon_vma: the
 * meeting point of all areas that may hold a copy of the same page, parent's and children's since fork
 * (lecture 001; Linux's anon_vma chains). Each area has one anon_vma for its new pages and is linked
 * into those of its ancestors.
 *
 *     vma --anon_vma_chain--> avc --> anon_vma <--mapping-- page
 *                             avc --> parent's anon_vma <-- pages from before the fork
 */
#ifndef QUIRE_RMAP_H
#define QUIRE_RMAP_H

#include <quire/mm.h>

/* The area gets an anon_vma (or a neighbour's that could merge). 0 or -ENOMEM. mmap_lock held; sleeps. */
MUST_USE int anon_vma_prepare(struct vm_area_struct *vma);
/* dst is a split, copy or move of src within one mm: the same chains. 0 or -ENOMEM; sleeps. */
MUST_USE int anon_vma_clone(struct vm_area_struct *dst, struct vm_area_struct *src);
/* vma is a child's copy of pvma: its parents' chains and an anon_vma of its own. 0 or -ENOMEM; sleeps. */
MUST_USE int anon_vma_fork(struct vm_area_struct *vma, struct vm_area_struct *pvma);
void unlink_anon_vmas(struct vm_area_struct *vma);

/* An entry no longer maps the page. The page-table lock is held. */
void page_remove_rmap(struct page *page);

/*
 * Visit each entry that maps a locked page, its table locked, until visit returns false. The walk takes
 * anon_vma or i_mmap locks. Sleeps. Returns false if stopped.
 */
struct rmap_walk {
	bool (*visit)(struct rmap_walk *walk, struct page *page, struct vm_area_struct *vma,
	              vaddr_t addr, pte_t *entry);
	void *ctx;
	/* Frame number: the entries that say it is being moved, in place of those that map page; 0: no. */
	uint32_t migrating;
};
bool rmap_walk(struct page *page, struct rmap_walk *walk);

/* Replace every mapping by nothing (file, clean or dirty noted in PG_dirty). True if none is left. Sleeps. */
bool try_to_unmap(struct page *page);
/* How many mappings had the accessed bit set; clears it. Sleeps. */
unsigned page_referenced(struct page *page);

const char *rmap_check(struct page *page); /* locked: entries found == mapcount */

#endif
