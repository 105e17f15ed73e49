/*
 * mobility.c - frames that can be moved are kept apart from those that cannot (Linux's grouping by mobility).
 *
 * Problem. A free block of order 9 needs 512 neighbours that are all free. One kernel object among them, which nobody can
 * move, spoils it for good; a thousand pages of programs do not, for they can be moved elsewhere (compaction.c) or
 * given up.
 *
 * Idea. Memory is divided into page blocks of 512 frames, each with a type: unmovable, movable, reclaimable. Requests are
 * served from blocks of their own type (gfp says which), and the free lists are one for each type. At first all
 * blocks are movable.
 *
 *     block   0      1      2      3      4      5
 *           +------+------+------+------+------+------+
 *           | U    | U  R | R    | M    | M    | M    |     R in block 1: a fallback that was too small to claim it
 *           +------+------+------+------+------+------+
 *
 * When a type has nothing left, it takes from another: for whom the mixing would do lasting harm, the largest block there
 * is, so that it rarely has to be done again; and with it, if at least half of the page block is free or of a like
 * kind, all that is free in it, and the page block's type. A movable request, which does no lasting harm, takes the
 * smallest that will do where it cannot claim. Order of preference: the table below.
 *
 * A fourth type has no requests of its own, takes nothing and gives nothing away: highatomic.c.
 *
 * A machine with only a few page blocks would just have three small heaps; there grouping is off, and every request
 * and every block counts as unmovable.
 */
#include "mm/frame/internal.h"

/* MIGRATE_HIGHATOMIC takes from nobody, and nobody from it. */
static const uint8_t fallbacks[MIGRATE_PCPTYPES][MIGRATE_PCPTYPES - 1] = {
        [MIGRATE_UNMOVABLE] = {MIGRATE_RECLAIMABLE, MIGRATE_MOVABLE},
        [MIGRATE_MOVABLE] = {MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE},
        [MIGRATE_RECLAIMABLE] = {MIGRATE_UNMOVABLE, MIGRATE_MOVABLE},
};

static uint64_t memblock_pages(const struct memblock *m)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < m->nr_memory; i++)
		bytes += m->memory[i].end - m->memory[i].start;
	return bytes >> PAGE_SHIFT;
}

void pageblocks_init(void)
{
	struct machine *m = machine();
	const uint64_t blocks = (m->max_pfn + pageblock_nr_pages - 1) >> pageblock_order;
	const phys_t at = memblock_alloc(blocks, sizeof(uint64_t), m->config.lowmem_end);

	if (!at.a)
		port_panic("frame: no memory for the types of page blocks");
	m->pageblock = phys_to_virt(at);
	m->page_group_by_mobility_disabled =
	        m->config.no_grouping ||
	        memblock_pages(&m->memblock) < pageblock_nr_pages * MIGRATE_PCPTYPES;
	for (uint64_t i = 0; i < blocks; i++)
		atomic_store_explicit(&m->pageblock[i], (uint8_t)first_pageblock_type(),
		                      memory_order_relaxed);
}

void set_pageblock_migratetype(uint32_t pfn, unsigned type)
{
	_Atomic uint8_t *pb = pageblock_of(pfn);
	uint8_t old = atomic_load_explicit(pb, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(pb, &old, (uint8_t)((old & ~PB_TYPE) | type),
	                                              memory_order_relaxed, memory_order_relaxed))
		;
}

unsigned frame_pageblock_type(pfn_t pfn)
{
	return get_pageblock_migratetype(pfn_to_page(pfn));
}

/* A block's type is there before its descriptors are. */
void zone_pageblocks(const struct zone *zone, uint64_t blocks[MIGRATE_TYPES])
{
	for (unsigned type = 0; type < MIGRATE_TYPES; type++)
		blocks[type] = 0;
	for (uint64_t pfn = zone->start.n; pfn < zone->start.n + zone->spanned;
	     pfn = (pfn | (pageblock_nr_pages - 1)) + 1)
		if (pfn_online(pfn) || section_is_deferred(zone, pfn))
			blocks[get_pageblock_migratetype(pfn_to_page(PFN((uint32_t)pfn)))]++;
}

/* May a request of this type claim more than the block it needs? */
static bool can_steal_fallback(unsigned order, unsigned type)
{
	return order >= pageblock_order / 2 || type != MIGRATE_MOVABLE;
}

unsigned find_suitable_fallback(const struct zone *zone, unsigned order, unsigned type,
                                bool only_stealable)
{
	if (only_stealable && !can_steal_fallback(order, type))
		return MIGRATE_TYPES;
	for (unsigned i = 0; i < MIGRATE_PCPTYPES - 1; i++)
		if (zone_type_orders(zone, fallbacks[type][i]) >> order & 1)
			return fallbacks[type][i];
	return MIGRATE_TYPES;
}

struct block_range pageblock_range(const struct zone *zone, uint32_t pfn)
{
	const uint32_t start = ALIGN_DOWN(pfn, pageblock_nr_pages);
	const uint64_t end =
	        MIN((uint64_t)start + pageblock_nr_pages, zone->start.n + zone->spanned);

	return (struct block_range){MAX(start, zone->start.n), (uint32_t)end};
}

/* Frames of the page block that are free, and that are in use and can be moved. */
static void count_block(struct block_range range, unsigned *free, unsigned *movable)
{
	*free = *movable = 0;
	for (uint32_t pfn = range.start; pfn < range.end; pfn++) {
		const struct page *page = pfn_to_page(PFN(pfn));

		if (page_flag(page, PG_buddy)) {
			*free += 1u << page->order;
			pfn += (1u << page->order) - 1;
		} else if (page_flag(page, PG_lru)) {
			(*movable)++;
		}
	}
}

static void move_to_free_list(struct zone *zone, struct page *page, unsigned type)
{
	unsigned order = page->order;

	del_page_from_free_list(zone, page);
	add_to_free_list(zone, page, order, type);
}

void move_freepages_block(struct zone *zone, struct block_range range, unsigned type)
{
	for (uint32_t pfn = range.start; pfn < range.end; pfn++) {
		struct page *page = pfn_to_page(PFN(pfn));

		if (!page_flag(page, PG_buddy))
			continue;
		pfn += (1u << page->order) - 1;
		move_to_free_list(zone, page, type);
	}
}

/*
 * Does the page block become the type's? Of the frames in use, those that can be moved are a movable request's like; an
 * unmovable one and a reclaimable one are alike in so far as neither is movable.
 */
static bool claims_block(struct block_range range, unsigned old_type, unsigned type)
{
	unsigned free, movable, alike = 0;

	count_block(range, &free, &movable);
	if (type == MIGRATE_MOVABLE)
		alike = movable;
	else if (old_type == MIGRATE_MOVABLE)
		alike = range.end - range.start - (free + movable);
	return free + alike >= pageblock_nr_pages / 2;
}

/* True: the page block changed its type. */
static bool steal_suitable_fallback(struct zone *zone, struct page *page, unsigned type, bool whole)
{
	const uint32_t pfn = page_to_pfn(page).n;
	const unsigned order = page->order, old_type = get_pageblock_migratetype(page);
	const struct block_range range = pageblock_range(zone, pfn);
	bool claimed = true;

	if (order >= pageblock_order) {
		for (uint32_t i = 0; i < 1u << order; i += pageblock_nr_pages)
			set_pageblock_migratetype(pfn + i, type);
		move_to_free_list(zone, page, type);
		return true;
	}
	if (!whole) {
		move_to_free_list(zone, page, type);
		return false;
	}
	claimed = claims_block(range, old_type, type);
	move_freepages_block(zone, range, type);
	if (claimed)
		set_pageblock_migratetype(pfn, type);
	return claimed;
}

/*
 * The order to take from: the largest that another type has, or for a movable request that may not claim, the smallest. Of its own the type
 * has none that would do.
 */
static unsigned fallback_order(const struct zone *zone, unsigned order, unsigned type)
{
	uint32_t orders = zone_orders_usable(zone) >> order << order;
	unsigned largest;

	if (!orders)
		return MAX_ORDER;
	largest = 31 - (unsigned)__builtin_clz(orders);
	return can_steal_fallback(largest, type) ? largest : (unsigned)__builtin_ctz(orders);
}

bool __rmqueue_fallback(struct zone *zone, unsigned order, unsigned type)
{
	const unsigned from = fallback_order(zone, order, type);
	unsigned other;
	struct page *page;
	bool changed;

	if (from == MAX_ORDER)
		return false;
	other = find_suitable_fallback(zone, from, type, false);
	page = page_list_first(&zone->free_area[from].free_list[other]);
	changed = steal_suitable_fallback(zone, page, type, can_steal_fallback(from, type));
	trace_mm_page_alloc_extfrag(page_to_pfn(page).n, order, from, type, other, changed);
	return true;
}
