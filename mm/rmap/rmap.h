/*
 * rmap.h (internal) - the cheap halves of adding and removing a mapping, for loops that account for many pages
 * at once.
 */
#ifndef MM_RMAP_RMAP_H
#define MM_RMAP_RMAP_H

#include <quire/rmap.h>
#include "mm/space/space.h"

/* Other faults may give the area its first one at the same time. */
static inline struct anon_vma *vma_anon_vma(const struct vm_area_struct *vma)
{
	return atomic_load_explicit(&vma->anon_vma, memory_order_acquire);
}

/* A page that nobody else knows yet gets its first mapping, at addr of vma, whose anon_vma is there. */
static inline void page_add_new_anon_rmap(struct page *page, struct vm_area_struct *vma,
                                          vaddr_t addr)
{
	page->index = (uint32_t)linear_page_index(vma, addr);
	page_set_mapping(page, (void *)((uintptr_t)vma_anon_vma(vma) | PAGE_MAPPING_ANON));
	atomic_store_explicit(&page->_mapcount, 0, memory_order_relaxed);
	frame_account(FRAME_ANON, 1);
}

/* One entry less maps the page; true: it was the last. The caller sees to frame_account(FRAME_ANON). */
MUST_USE static inline bool page_unmap_one(struct page *page)
{
	return atomic_fetch_sub_explicit(&page->_mapcount, 1, memory_order_acq_rel) == 0;
}

static inline void page_map_one(struct page *page)
{
	atomic_fetch_add_explicit(&page->_mapcount, 1, memory_order_relaxed);
}

#endif
