/*
 * frames.h - frames for tests of kernel addresses: free memory cut into small blocks on purpose, and a look at a
 * frame that need not have an address in the direct map.
 */
#ifndef TEST_KVA_FRAMES_H
#define TEST_KVA_FRAMES_H

#include "test/unit/unit.h"

#include <quire/frame.h>
#include <quire/kva.h>

struct fragments {
	uint32_t taken; /* frames held, linked by lru.next */
};

/* Take all memory and give back every second block of that order: no larger one is free. */
static inline void fragment_memory(struct fragments *f, unsigned order)
{
	struct page *page;

	f->taken = PFN_NONE_N;
	while ((page = alloc_page(__GFP_HIGHMEM | GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN))) {
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

/* The first word of a frame, by a mapping of its own. */
static inline uint64_t first_word(struct page *page)
{
	uint64_t *p = vmap(&page, 1, MMU_READ), word = p ? *p : UINT64_MAX;

	vunmap(p);
	return word;
}

#endif
