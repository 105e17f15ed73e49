/*
 * highatomic.c - page blocks set aside for blocks of frames that are wanted at once (Linux's MIGRATE_HIGHATOMIC; Gorman 2015).
 *
 * Problem. An interrupt that needs four neighbouring frames can neither wait for reclaim nor for compaction. The deeper
 * marks (watermark.c) leave it single frames, but what keeps blocks together under pressure? Anybody's single frames come
 * from the same free memory, and split the last block as readily as any other.
 *
 * Idea. When such a request had to go below the marks of others, more of its kind are to be expected. So the page block that
 * served it becomes HighAtomic: what is free in it, and what will be freed, is for requests of this kind only.
 *
 *     page blocks  | U    | M    | M    | H    | M    |
 *                    unmovable, movable ...       `- nothing here for single frames, for who may wait, for fallbacks,
 *                                                    or for compaction's free scanner
 *
 * The kind (ALLOC_HIGHATOMIC): __GFP_ATOMIC without __GFP_NOMEMALLOC, more than one frame, and not served above the low
 * marks. It is given what its CPU keeps, then what is set aside, then what others may have too.
 *
 * How much. At most 1/100 of a zone, in whole page blocks, rounded up; of a zone whose hundredth is less than a page
 * block (a zone below 200 MB) nothing. Linux 6.1 goes a block or two further, and does so in the smallest zone too, which
 * could cost a small machine a sixth of its memory; later versions have the rule here. This kernel runs in 4 MB.
 *
 * What others see. The free frames of the reserve count in no mark that they are held to, and a block in it is none that is
 * there for them (zone_free_usable, zone_orders_usable). Linux 6.1 takes the whole reserve off, used or not, and so refuses
 * requests for which there is memory; and it leaves the reserve in the sum for single frames with __GFP_ATOMIC, which cannot
 * have it. Counting the free part costs one load while it is empty, and a few more when it is not. Reclaim does not
 * enter either, but by requests of the kind: memory for freeing memory is asked for in single frames.
 *
 * Back. One page block at a time, and as the type of the request that needs it: when reclaim has brought memory and the
 * request still has none, as long as another block remains in the zone; and before a request that may wait is told that
 * there is nothing left (for which a program would be killed), the last one as well. With __GFP_NORETRY, and for blocks
 * above PAGE_ALLOC_COSTLY_ORDER that are not __GFP_RETRY_MAYFAIL, one gives up sooner than that. A page block without a
 * free frame would help nobody and stays.
 *
 * Lists of CPUs. There is none of this type. A frame or block of the reserve that is freed goes to that of movable ones, as
 * on Linux, or, in use since before it was set aside, to that of its type then, so that the short ways need not know; what lies
 * there may serve anybody for once, and is the reserve's again when it is drained.
 *
 * Invariants (frame_check):
 *   1. nr_reserved_highatomic counts the frames of all HighAtomic page blocks.
 *   2. A free block is on a list of MIGRATE_HIGHATOMIC if and only if its page block is HighAtomic.
 *   3. A HighAtomic page block does not merge with one that is not.
 */
#include "mm/frame/internal.h"

static uint64_t max_reserved(const struct zone *zone)
{
	const uint64_t share = zone->managed / 100;

	return share < pageblock_nr_pages ? 0 : ALIGN_UP(share, pageblock_nr_pages);
}

uint64_t nr_free_highatomic(const struct zone *zone)
{
	uint32_t orders = zone_type_orders(zone, MIGRATE_HIGHATOMIC);
	uint64_t pages = 0;

	for (; orders; orders &= orders - 1) {
		const unsigned order = (unsigned)__builtin_ctz(orders);

		pages += READ_ONCE(zone->free_area[order].free_list[MIGRATE_HIGHATOMIC].count)
		         << order;
	}
	return pages;
}

static uint64_t nr_reserved(const struct zone *zone)
{
	return atomic_load_explicit(&zone->nr_reserved_highatomic, memory_order_relaxed);
}

static void add_reserved(struct zone *zone, int64_t pages)
{
	atomic_store_explicit(&zone->nr_reserved_highatomic, nr_reserved(zone) + (uint64_t)pages,
	                      memory_order_relaxed);
}

/* Not if part of the page block is another zone's, or it is set aside already. */
static bool reservable(const struct zone *zone, uint32_t pfn)
{
	const struct block_range range = pageblock_range(zone, pfn);

	return range.end - range.start == pageblock_nr_pages &&
	       get_pageblock_migratetype(pfn_to_page(PFN(pfn))) < MIGRATE_PCPTYPES;
}

static void reserve_block(struct zone *zone, uint32_t pfn, unsigned order)
{
	const unsigned old = get_pageblock_migratetype(pfn_to_page(PFN(pfn)));

	set_pageblock_migratetype(pfn, MIGRATE_HIGHATOMIC);
	move_freepages_block(zone, pageblock_range(zone, pfn), MIGRATE_HIGHATOMIC);
	add_reserved(zone, pageblock_nr_pages);
	trace_highatomic_reserve(zone->nid, zone->id, pfn, order, old, nr_reserved(zone));
}

/* A block larger than a page block: all of its page blocks or none, for it will be freed as one. */
void reserve_highatomic_pageblock(struct zone *zone, const struct page *page, unsigned order)
{
	const uint32_t pfn = page_to_pfn(page).n, size = MAX(1u << order, pageblock_nr_pages);
	const uint64_t max = max_reserved(zone);
	irq_state_t irq;

	if (nr_reserved(zone) + size > max)
		return;
	irq = spin_lock_irqsave(&zone->lock);
	if (nr_reserved(zone) + size <= max && reservable(zone, pfn))
		for (uint32_t i = 0; i < size; i += pageblock_nr_pages)
			reserve_block(zone, pfn + i, order);
	spin_unlock_irqrestore(&zone->lock, irq);
}

/* Of the reserve; a block of few frames, for its page block is of least use there. NULL: all of it is in use. */
static struct page *smallest_free(const struct zone *zone)
{
	const uint32_t orders = zone_type_orders(zone, MIGRATE_HIGHATOMIC);

	return orders ? page_list_first(&zone->free_area[__builtin_ctz(orders)]
	                                         .free_list[MIGRATE_HIGHATOMIC])
	              : NULL;
}

/*
 * One page block, that of a free block or of the first part of a larger one. If it is free as a whole it may merge with its
 * neighbour now.
 */
static void unreserve_block(struct zone *zone, struct page *page, unsigned type)
{
	const unsigned order = page->order;
	const uint32_t pfn = page_to_pfn(page).n;

	if (order >= pageblock_order)
		take_free_block(zone, page);
	set_pageblock_migratetype(pfn, type);
	if (order >= pageblock_order)
		for (uint32_t i = 0; i < 1u << order; i += pageblock_nr_pages)
			__free_one_page(zone, page + i, pageblock_order);
	else
		move_freepages_block(zone, pageblock_range(zone, pfn), type);
	add_reserved(zone, -(int64_t)pageblock_nr_pages);
	trace_highatomic_unreserve(zone->nid, zone->id, pfn, order, type, nr_reserved(zone));
}

static bool unreserve_in_zone(struct zone *zone, unsigned type, bool force)
{
	const uint64_t keep = force ? 0 : pageblock_nr_pages;
	struct page *page;
	irq_state_t irq;

	if (nr_reserved(zone) <= keep)
		return false;
	irq = spin_lock_irqsave(&zone->lock);
	page = nr_reserved(zone) > keep ? smallest_free(zone) : NULL;
	if (page)
		unreserve_block(zone, page, type);
	spin_unlock_irqrestore(&zone->lock, irq);
	return page != NULL;
}

bool unreserve_highatomic_pageblock(const struct alloc_context *ac, bool force)
{
	for (struct zone *const *z = ac->zonelist->zones; *z; z++)
		if (ac->nodes >> (*z)->nid & 1 &&
		    unreserve_in_zone(*z, gfp_migratetype(ac->gfp), force))
			return true;
	return false;
}
