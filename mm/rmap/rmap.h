/*
 * rmap.h (internal) - the cheap halves of adding and removing a mapping, for loops that account for many pages
 * at once.
 */
#ifndef MM_RMAP_RMAP_H
#define MM_RMAP_RMAP_H

#include <quire/rmap.h>

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
