/*
 * pages.c - frames that become a slab's, and go back.
 *
 * Every frame of a slab, not only the first, carries PG_slab and the cache: kfree() then asks the frame of the address
 * alone. Where a slab begins is the compound page's head, which only slow paths need.
 */
#include "mm/slab/internal.h"

static void account(const struct kmem_cache *s, int64_t pages)
{
	frame_account(FRAME_SLAB, pages);
	if (s->flags & SLAB_RECLAIM)
		frame_account(FRAME_SLAB_RECLAIMABLE, pages);
}

bool slab_page_reclaimable(const struct page *page)
{
	const struct kmem_cache *s = READ_ONCE(page->slab_cache);

	return s && s->flags & SLAB_RECLAIM;
}

struct page *slab_new_pages(struct kmem_cache *s, gfp_t gfp)
{
	gfp_t drop = __GFP_ZERO | __GFP_DMA | __GFP_DMA32 | __GFP_HIGHMEM | __GFP_MOVABLE |
	             __GFP_RECLAIMABLE;
	struct page *page = alloc_pages((gfp & ~drop) | s->gfp | __GFP_COMP, s->order);

	if (!page)
		return NULL;
	for (unsigned i = 0; i < 1u << s->order; i++) {
		__page_set_flags(page + i, 1u << PG_slab);
		page[i].slab_cache = s;
	}
	atomic_store_explicit(&page->slab_word, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&slab_node(s, page)->nr_slabs, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->new_slabs, 1, memory_order_relaxed);
	account(s, (int64_t)1 << s->order);
	count(SLAB_NEW);
	trace_slab_new((uintptr_t)s, page_to_pfn(page).n);
	return page;
}

void slab_free_pages(struct kmem_cache *s, struct page *page)
{
	trace_slab_discard((uintptr_t)s, page_to_pfn(page).n);
	count(SLAB_DISCARD);
	account(s, -((int64_t)1 << s->order));
	atomic_fetch_sub_explicit(&slab_node(s, page)->nr_slabs, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->discarded, 1, memory_order_relaxed);
	for (unsigned i = 0; i < 1u << s->order; i++) {
		page[i].slab_cache = NULL;
		__page_clear_flags(page + i, 1u << PG_slab);
	}
	atomic_store_explicit(&page->_mapcount, -1, memory_order_relaxed);
	__free_pages(page, s->order);
}
