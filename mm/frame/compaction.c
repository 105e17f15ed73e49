/*
 * compaction.c - movable pages make room for large blocks (Linux's mm/compaction.c; Gorman 2010).
 *
 * Two scanners go through a zone towards each other. From below, the migrate scanner collects pages in use that can be
 * moved; from above, the free scanner takes free frames out of the buddy for them to go to. So used memory gathers at
 * the top and free memory at the bottom, and merges there. When they meet the zone has been done.
 *
 *     before  |m.mm..m.|.mm.m..m|m..m.mm.|.m..m...|      m movable page, . free frame
 *              migrate scanner -->  <-- free scanner
 *     after   |........|........|..mmmmmm|mmmmmmmm|
 *
 * Only page blocks of the movable type are scanned, where all can be expected to go; when a request has waited for
 * nothing once, the migrate scanner looks at the others too. A run ends early when a block of the order asked for is there.
 *
 * What can be moved is on the LRU: pages of programs and of files. Its descriptor is looked at without a lock, and
 * may change under the look; what matters is looked at again with a reference to the frame, and the page's new
 * home decides under the page's lock (mm/fault/migrate.c, by way of migrate_hook, the one way up from here).
 *
 * Where a run stopped the next one begins (compact_cached_*), and a whole run that brought nothing makes the next 1, 2,
 * 4, ... 64 requests go without (deferral).
 *
 * Not here: Linux's marks on page blocks in which nothing was found (skip hints). Measured with bench/fragmentation.sh, runs that
 * believed them looked at 157 thousand frames instead of 528, but served 1178 of 1241 blocks of 2 MB instead of 1208 of
 * 1209 and left half the harvest; with marks forgotten before each run that may wait, they looked at 558 thousand. A look costs a
 * load, so that all of them together are a few milliseconds of the day.
 */
#include <quire/errno.h>
#include "mm/frame/compaction.h"
#include "mm/frame/debug.h"

void (*migrate_hook)(struct migrate_pair *pairs, unsigned n, enum migrate_mode mode);

/* --- deferral ---------------------------------------------------------------------------------------- */

/*
 * The zone's compact_* have no lock: a lost update costs a run too many or too few.
 */
void defer_compaction(struct zone *zone, unsigned order)
{
	const unsigned shift =
	        MIN(READ_ONCE(zone->compact_defer_shift) + 1, COMPACT_MAX_DEFER_SHIFT);
	const unsigned failed = READ_ONCE(zone->compact_order_failed);

	WRITE_ONCE(zone->compact_considered, 0);
	WRITE_ONCE(zone->compact_defer_shift, shift);
	WRITE_ONCE(zone->compact_order_failed, MIN(failed, order));
	trace_mm_compaction_defer_compaction(zone->nid, zone->id, order, 0, shift,
	                                     MIN(failed, order));
}

bool compaction_deferred(struct zone *zone, unsigned order)
{
	const unsigned shift = READ_ONCE(zone->compact_defer_shift), limit = 1u << shift;
	const unsigned failed = READ_ONCE(zone->compact_order_failed);
	const unsigned considered = READ_ONCE(zone->compact_considered) + 1;

	if (order < failed)
		return false;
	WRITE_ONCE(zone->compact_considered, MIN(considered, limit));
	if (considered >= limit)
		return false;
	trace_mm_compaction_deferred(zone->nid, zone->id, order, considered, shift, failed);
	return true;
}

void compaction_defer_reset(struct zone *zone, unsigned order, bool alloc_success)
{
	const unsigned failed = READ_ONCE(zone->compact_order_failed);

	if (alloc_success) {
		WRITE_ONCE(zone->compact_considered, 0);
		WRITE_ONCE(zone->compact_defer_shift, 0);
	}
	WRITE_ONCE(zone->compact_order_failed, MAX(failed, order + 1));
	trace_mm_compaction_defer_reset(
	        zone->nid, zone->id, order, READ_ONCE(zone->compact_considered),
	        READ_ONCE(zone->compact_defer_shift), MAX(failed, order + 1));
}

/* --- whether ----------------------------------------------------------------------------------------- */

/* Twice the block, for the copies and the frames that they leave are both there for a while. */
static uint64_t compact_gap(unsigned order)
{
	return (uint64_t)2 << order;
}

static enum compact_result suitable(struct zone *zone, unsigned order, unsigned highest_zone)
{
	const struct alloc_context block = {.order = order, .highest_zone = highest_zone};
	const uint64_t floor =
	        zone->watermark[order > PAGE_ALLOC_COSTLY_ORDER ? WMARK_LOW : WMARK_MIN] +
	        zone->lowmem_reserve[highest_zone];
	int index;

	if (order == COMPACT_WHOLE)
		return COMPACT_CONTINUE;
	if (zone_watermark_ok(zone, WMARK_MIN, &block) || zone_deferred(zone))
		return COMPACT_SUCCESS; /* what is deferred is in blocks of every order */
	if (zone_free_usable(zone) < floor + compact_gap(order))
		return COMPACT_SKIPPED;
	index = fragmentation_index(zone, order);
	if (order > PAGE_ALLOC_COSTLY_ORDER && index >= 0 &&
	    index <= (int)machine()->sysctl_extfrag_threshold)
		return COMPACT_NOT_SUITABLE_ZONE;
	return COMPACT_CONTINUE;
}

enum compact_result compaction_suitable(struct zone *zone, unsigned order, unsigned highest_zone)
{
	enum compact_result result = suitable(zone, order, highest_zone);

	trace_mm_compaction_suitable(zone->nid, zone->id, order, result);
	return result == COMPACT_NOT_SUITABLE_ZONE ? COMPACT_SKIPPED : result;
}

/* A request of the type could be served from the free lists, as far as a look without the lock can say. */
static bool block_available(const struct compact_control *cc)
{
	for (unsigned order = cc->order; order < MAX_ORDER; order++)
		if (zone_type_orders(cc->zone, cc->type) >> order & 1 ||
		    find_suitable_fallback(cc->zone, order, cc->type, true) != MIGRATE_TYPES)
			return true;
	return false;
}

static enum compact_result compact_finished(struct compact_control *cc)
{
	enum compact_result result = COMPACT_CONTINUE;

	if (cc->migrate_pfn >= cc->free_pfn) {
		WRITE_ONCE(cc->zone->compact_cached_migrate_pfn,
		           0); /* the next begins at the ends */
		WRITE_ONCE(cc->zone->compact_cached_free_pfn, 0);
		result = cc->whole_zone ? COMPACT_COMPLETE : COMPACT_PARTIAL_SKIPPED;
	} else if (cc->order != COMPACT_WHOLE && block_available(cc)) {
		result = COMPACT_SUCCESS;
	} else if (cc->proactive &&
	           fragmentation_score_zone(cc->zone) <= fragmentation_score_low()) {
		result = COMPACT_SUCCESS;
	} else if (port_fatal_signal_pending()) {
		result = COMPACT_CONTENDED;
	}
	trace_mm_compaction_finished(cc->zone->nid, cc->zone->id, cc->order, result);
	return result;
}

/* --- the free scanner -------------------------------------------------------------------------------- */

/* Pages may go there: the block has descriptors, is for such, and not free as a whole. Approximate. */
static bool suitable_migration_target(uint32_t pfn)
{
	const struct page *page = pfn_to_page(PFN(pfn));

	if (!pfn_online(pfn))
		return false;
	if (page_flag(page, PG_buddy) && READ_ONCE(page->order) >= pageblock_order)
		return false;
	if (machine()->page_group_by_mobility_disabled)
		return get_pageblock_migratetype(page) != MIGRATE_HIGHATOMIC;
	return get_pageblock_migratetype(page) == MIGRATE_MOVABLE;
}

/* The frames of a free block, which is out of the buddy, to the front of the chain. */
static void chain_block(struct compact_control *cc, struct page *page, unsigned order)
{
	const unsigned type = pageblock_pcp_type(page);

	for (unsigned i = 0; i < 1u << order; i++, page++) {
		set_frame_type(page, type);
		page->lru.next = cc->freepages;
		cc->freepages = page_to_pfn(page).n;
	}
	cc->nr_freepages += 1u << order;
}

/* All that is free in [start, end), one page block, until there are enough. */
static void isolate_freepages_block(struct compact_control *cc, uint32_t start, uint32_t end)
{
	irq_state_t irq = spin_lock_irqsave(&cc->zone->lock);
	const unsigned before = cc->nr_freepages;
	uint32_t pfn = start;

	while (pfn < end && cc->nr_freepages < cc->nr_migratepages) {
		struct page *page = pfn_to_page(PFN(pfn));
		unsigned order = page->order;

		cc->total_free_scanned++;
		if (!page_flag(page, PG_buddy)) {
			pfn++;
			continue;
		}
		take_free_block(cc->zone, page);
		chain_block(cc, page, order);
		pfn += 1u << order;
	}
	spin_unlock_irqrestore(&cc->zone->lock, irq);
	trace_mm_compaction_isolate_freepages(start, pfn, pfn - start, cc->nr_freepages - before);
}

/* Enough for the pages that wait, from the highest blocks, above the migrate scanner. free_pfn: the end of what is left. */
static void isolate_freepages(struct compact_control *cc)
{
	while (cc->nr_freepages < cc->nr_migratepages && cc->free_pfn > cc->migrate_pfn) {
		const uint32_t start =
		        MAX(ALIGN_DOWN(cc->free_pfn - 1, pageblock_nr_pages), cc->migrate_pfn);

		if (suitable_migration_target(start))
			isolate_freepages_block(cc, start, cc->free_pfn);
		if (cc->nr_freepages < cc->nr_migratepages)
			cc->free_pfn = start;
	}
}

static struct page *take_freepage(struct compact_control *cc)
{
	struct page *page;

	if (!cc->nr_freepages)
		isolate_freepages(cc);
	if (!cc->nr_freepages)
		return NULL;
	page = pfn_to_page(PFN(cc->freepages));
	cc->freepages = page->lru.next;
	cc->nr_freepages--;
	return page;
}

static void give_freepage(struct compact_control *cc, struct page *page)
{
	page->lru.next = cc->freepages;
	cc->freepages = page_to_pfn(page).n;
	cc->nr_freepages++;
}

/* What was not needed goes back; the next run may take it again. */
static void release_freepages(struct compact_control *cc)
{
	irq_state_t irq;
	uint32_t highest = 0;

	if (!cc->nr_freepages)
		return;
	irq = spin_lock_irqsave(&cc->zone->lock);
	for (; cc->nr_freepages; cc->nr_freepages--) {
		struct page *page = pfn_to_page(PFN(cc->freepages));

		cc->freepages = page->lru.next;
		highest = MAX(highest, page_to_pfn(page).n);
		__free_one_page(cc->zone, page, 0);
	}
	spin_unlock_irqrestore(&cc->zone->lock, irq);
	cc->free_pfn = MAX(cc->free_pfn, highest + 1);
}

/* --- the migrate scanner ----------------------------------------------------------------------------- */

/* A request that must not wait long only looks where pages are that can be moved. A page block is online as a whole. */
static bool suitable_migration_source(const struct compact_control *cc, uint32_t pfn)
{
	if (!pfn_online(pfn))
		return false;
	if (cc->mode != MIGRATE_ASYNC || machine()->page_group_by_mobility_disabled)
		return true;
	return get_pageblock_migratetype(pfn_to_page(PFN(pfn))) == MIGRATE_MOVABLE;
}

/* Frames from this one on that need no look: a free block's, at a glance that may be out of date. */
static uint32_t frames_to_skip(const struct page *page)
{
	uint32_t order;

	if (!page_flag(page, PG_buddy))
		return 1;
	order = READ_ONCE(page->order);
	return order < MAX_ORDER ? 1u << order : 1;
}

/* With a reference: it can be moved, as far as can be seen without its lock. */
static bool isolate_migratepage(struct compact_control *cc, struct page *page)
{
	if (!page_flag(page, PG_lru) || !get_page_unless_zero(page))
		return false;
	if (page_flag(page, PG_lru) && !page_flag(page, PG_writeback) &&
	    page_count(page) <= page_mapcount(page) + 1 + (page_mapping(page) != NULL)) {
		cc->migratepages[cc->nr_migratepages++] = (struct migrate_pair){.old = page};
		return true;
	}
	put_page(page);
	return false;
}

/* From migrate_pfn to the end of its page block, or until as many as fit have been found. */
static void isolate_migratepages_block(struct compact_control *cc, uint32_t end)
{
	const uint32_t start = cc->migrate_pfn;
	uint32_t pfn = start;

	while (pfn < end && cc->nr_migratepages < COMPACT_CLUSTER_MAX) {
		struct page *page = pfn_to_page(PFN(pfn));

		isolate_migratepage(cc, page);
		cc->total_migrate_scanned++;
		pfn += frames_to_skip(page);
	}
	cc->migrate_pfn = MIN(pfn, end);
	count_n(COMPACTISOLATED, cc->nr_migratepages);
	trace_mm_compaction_isolate_migratepages(start, cc->migrate_pfn, cc->migrate_pfn - start,
	                                         cc->nr_migratepages);
}

/* A cluster of pages, or as many as there are up to the end of a page block; the whole block is passed by if it is none. */
static void isolate_migratepages(struct compact_control *cc)
{
	const uint32_t end = (uint32_t)MIN(
	        (uint64_t)ALIGN_DOWN(cc->migrate_pfn, pageblock_nr_pages) + pageblock_nr_pages,
	        cc->free_pfn);

	if (suitable_migration_source(cc, cc->migrate_pfn))
		isolate_migratepages_block(cc, end);
	else
		cc->migrate_pfn = end;
}

/* --- moving ------------------------------------------------------------------------------------------ */

/* dst as take_freepage() gave it: only flags and count can have changed. */
static void untake_freepage(struct compact_control *cc, struct page *dst)
{
	__page_clear_flags(dst, ~PAGE_FLAGS_FREE);
	page_ref_unfreeze(dst, 0);
	map_frames(dst, 1, false);
	give_freepage(cc, dst);
}

/* Where it is to go. A page that everybody else has left meanwhile need not move, but go. */
static void choose_target(struct compact_control *cc, struct migrate_pair *pair)
{
	const bool left = page_count(pair->old) == 1;

	pair->dst = left ? NULL : take_freepage(cc);
	if (pair->dst) {
		page_ref_unfreeze(pair->dst, 1);
		map_frames(pair->dst, 1, true);
	}
	pair->err = pair->dst ? -EAGAIN : left ? 0 : -ENOMEM;
}

/* True: it has moved. What is left of it, if not, goes back where it came from. */
static bool migrated(struct compact_control *cc, struct migrate_pair *pair)
{
	if (!pair->err && pair->dst)
		return true;
	put_page(pair->old);
	if (pair->dst)
		untake_freepage(cc, pair->dst);
	return !pair->err;
}

static void migrate_cluster(struct compact_control *cc)
{
	const unsigned n = cc->nr_migratepages, passes = cc->mode == MIGRATE_ASYNC ? 1 : 3;
	unsigned moved = 0;

	trace_mm_migrate_pages_start(cc->mode, 0);
	for (unsigned i = 0; i < n; i++)
		choose_target(cc, &cc->migratepages[i]);
	for (unsigned pass = 0; pass < passes; pass++)
		migrate_hook(cc->migratepages, n, cc->mode);
	for (unsigned i = 0; i < n; i++)
		moved += migrated(cc, &cc->migratepages[i]);
	cc->nr_migratepages = 0;
	count_n(PGMIGRATE_SUCCESS, moved);
	count_n(PGMIGRATE_FAIL, n - moved);
	trace_mm_migrate_pages(moved, n - moved, 0, 0, 0, cc->mode, 0);
	trace_mm_compaction_migratepages(moved, n - moved);
}

/* Where the last run stopped, or the ends of the zone. */
static void set_scanners(struct compact_control *cc)
{
	struct zone *zone = cc->zone;
	const uint32_t end = (uint32_t)(zone->start.n + zone->spanned);

	cc->freepages = PFN_NONE_N;
	cc->migrate_pfn = READ_ONCE(zone->compact_cached_migrate_pfn);
	cc->free_pfn = READ_ONCE(zone->compact_cached_free_pfn);
	if (cc->order == COMPACT_WHOLE || cc->migrate_pfn < zone->start.n ||
	    cc->migrate_pfn >= end || cc->free_pfn <= cc->migrate_pfn || cc->free_pfn > end) {
		cc->migrate_pfn = zone->start.n;
		cc->free_pfn = end;
	}
	cc->whole_zone = cc->migrate_pfn == zone->start.n;
}

/* The frames that moving has freed are on this CPU's lists: to the buddy, where they merge. */
static void merge_freed(void)
{
	drain_local_pages();
	port_cond_resched();
}

static enum compact_result run_scanners(struct compact_control *cc)
{
	enum compact_result result;

	while ((result = compact_finished(cc)) == COMPACT_CONTINUE) {
		isolate_migratepages(cc);
		if (cc->nr_migratepages)
			migrate_cluster(cc);
		if (cc->migrate_pfn % pageblock_nr_pages == 0)
			merge_freed();
	}
	merge_freed();
	release_freepages(cc);
	if (result != COMPACT_COMPLETE && result != COMPACT_PARTIAL_SKIPPED) {
		WRITE_ONCE(cc->zone->compact_cached_migrate_pfn, cc->migrate_pfn);
		WRITE_ONCE(cc->zone->compact_cached_free_pfn, cc->free_pfn);
	}
	return result;
}

enum compact_result compact_zone(struct compact_control *cc)
{
	const uint32_t end = (uint32_t)(cc->zone->start.n + cc->zone->spanned);
	const bool sync = cc->mode != MIGRATE_ASYNC;
	enum compact_result result = compaction_suitable(cc->zone, cc->order, cc->highest_zone);

	if (result != COMPACT_CONTINUE || !migrate_hook)
		return result == COMPACT_CONTINUE ? COMPACT_SKIPPED : result;
	set_scanners(cc);
	trace_mm_compaction_begin(cc->zone->start.n, cc->migrate_pfn, cc->free_pfn, end, sync);
	result = run_scanners(cc);
	count_n(COMPACTMIGRATE_SCANNED, cc->total_migrate_scanned);
	count_n(COMPACTFREE_SCANNED, cc->total_free_scanned);
	trace_mm_compaction_end(cc->zone->start.n, cc->migrate_pfn, cc->free_pfn, end, sync,
	                        result);
	return result;
}

/* --- who asks ---------------------------------------------------------------------------------------- */

static enum compact_result compact_zone_order(struct zone *zone, const struct alloc_context *ac,
                                              enum migrate_mode mode)
{
	struct compact_control cc = {.zone = zone,
	                             .order = ac->order,
	                             .type = gfp_migratetype(ac->gfp),
	                             .highest_zone = ac->highest_zone,
	                             .mode = mode,
	                             .direct = true};

	return compact_zone(&cc);
}

enum compact_result try_to_compact_pages(const struct alloc_context *ac, enum migrate_mode mode)
{
	enum compact_result result = COMPACT_SKIPPED;
	struct zone *zone;

	trace_mm_compaction_try_to_compact_pages(ac->order, ac->gfp, mode);
	for (struct zone *const *z = ac->zonelist->zones; (zone = *z); z++) {
		enum compact_result status;

		if (!(ac->nodes >> zone->nid & 1))
			continue;
		if (compaction_deferred(zone, ac->order)) {
			result = MAX(result, COMPACT_DEFERRED);
			continue;
		}
		status = compact_zone_order(zone, ac, mode);
		result = MAX(result, status);
		if (status == COMPACT_SUCCESS) {
			compaction_defer_reset(zone, ac->order, false);
			break;
		}
		if (mode != MIGRATE_ASYNC &&
		    (status == COMPACT_COMPLETE || status == COMPACT_PARTIAL_SKIPPED))
			defer_compaction(zone, ac->order);
		if (status == COMPACT_CONTENDED)
			break;
	}
	return result;
}

void compact_memory(void)
{
	drain_all_pages();
	for_each_zone(zone) {
		struct compact_control cc = {.zone = zone,
		                             .order = COMPACT_WHOLE,
		                             .type = MIGRATE_MOVABLE,
		                             .mode = MIGRATE_SYNC};

		(void)compact_zone(&cc);
	}
}
