/*
 * fragment.h - free memory cut into small blocks, on purpose.
 */
#ifndef TEST_KVA_FRAGMENT_H
#define TEST_KVA_FRAGMENT_H

#include "test/unit/unit.h"

#include <quire/frame.h>

struct fragments {
	uint32_t taken; /* frames held, linked by lru.next */
};

/* Take all memory and give back every second block of that order: no larger one is free. */
static inline void fragment_memory(struct fragments *f, unsigned order)
{
	struct page *page;

	f->taken = PFN_NONE_N;
	while ((page = alloc_page(GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN))) {
		page->lru.next = f->taken;
		f->taken = page_to_pfn(page).n;
	}
	for (uint32_t *link = &f->taken, pfn; (pfn = *link) != PFN_NONE_N;) {
		page = pfn_to_page(PFN(pfn));
		if (pfn >> order & 1) {
			link = &page->lru.next;
			continue;
		}
		*link = page->lru.next;
		__free_page(page);
	}
	drain_all_pages();
}

static inline void unfragment_memory(struct fragments *f)
{
	while (f->taken != PFN_NONE_N) {
		struct page *page = pfn_to_page(PFN(f->taken));

		f->taken = page->lru.next;
		__free_page(page);
	}
	drain_all_pages();
}

#endif
