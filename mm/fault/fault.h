/*
 * fault.h - one page fault on its way through the handler (mm/fault).
 */
#ifndef MM_FAULT_FAULT_H
#define MM_FAULT_FAULT_H

#include <quire/errno.h>
#include <quire/highmem.h>
#include "mm/space/space.h"

#define FAULT_AROUND_PAGES 16u /* pages mapped at most by one fault on a file: 64 KB, aligned */
#define FAULT_READ_AHEAD   32u /* pages that a miss brings in with it */

struct vm_fault {
	struct vm_area_struct *vma;
	vaddr_t addr;         /* page aligned */
	unsigned access;      /* enum fault_access */
	pte_t *pte;           /* its leaf entry */
	pte_t entry;          /* what it was when looked at, unlocked */
	enum fault_kind kind; /* out: what it turned out to be */
	uint32_t pfn;         /* out: the frame that is mapped now */
	bool major;           /* out: a device was waited for */
};

/*
 * Each handles one kind of fault. FAULT_DONE also when another thread was faster: the access is tried again
 * and finds what it needs, or faults again. They sleep; no lock but mmap_lock is held.
 */
enum fault_result do_anonymous_page(struct vm_fault *vmf); /* anon.c */
enum fault_result do_file_page(struct vm_fault *vmf);      /* file.c */
enum fault_result do_wp_page(struct vm_fault *vmf);        /* cow.c */

/* Sleep while the entry is this migration entry. mmap_lock held, which keeps the table. migrate.c */
void migration_entry_wait(pte_t *pte, pte_t entry);

/* mempolicy.c: policies of areas. */
uint64_t vma_pack_policy(const struct mempolicy *policy); /* of VM_POLICY */
struct mempolicy vma_policy(const struct vm_area_struct *vma);
struct page *alloc_page_vma(gfp_t gfp, const struct vm_area_struct *vma, vaddr_t addr);
/*
 * Pages of [start, end), in vma, that lie on none of the nodes: moved as MPOL_MF_MOVE or MOVE_ALL says. 0, or -EIO: one is
 * elsewhere still; without such flags it says so of the first. mmap_lock held for writing. Sleeps.
 */
int misplaced_pages(const struct vm_area_struct *vma, vaddr_t start, vaddr_t end, unsigned nodes,
                    unsigned flags);

/* A private page for addr, to be written by the kernel at once; zeroed if asked. NULL: no memory. */
static inline struct page *alloc_user_page(const struct vm_area_struct *vma, vaddr_t addr,
                                           bool zero)
{
	gfp_t gfp = zero ? GFP_HIGHUSER_MOVABLE | __GFP_ZERO : GFP_HIGHUSER_MOVABLE;
	struct page *page = likely(!(vma->vm_flags & VM_POLICY)) ? alloc_page(gfp)
	                                                         : alloc_page_vma(gfp, vma, addr);

	if (page)
		__page_set_flags(page, 1u << PG_uptodate | 1u << PG_swapbacked);
	return page;
}

/* The entry of a private page that has just been written, in an area that allows writing. */
static inline pte_t pte_of_written(const struct vm_area_struct *vma, const struct page *page)
{
	pte_t entry = pte_make(page_to_pfn(page), vma->vm_page_prot);

	return pte_mkwrite(pte_mkdirty(pte_mkyoung(entry)));
}

/*
 * Does the entry whose table is locked own the page alone? Then nobody else can begin to: see cow.c. Acquire: what
 * the last other owner did with the page, before he let it go, has happened.
 */
static inline bool page_has_one_owner(struct page *page)
{
	return PageAnon(page) && page_mapcount(page) == 1 &&
	       atomic_load_explicit(&page->_refcount, memory_order_acquire) == 1;
}

static inline bool pte_same(pte_t a, pte_t b)
{
	return a.v == b.v;
}

#endif
