/*
 * highatomic_test.c - page blocks set aside for blocks that are wanted at once: when, how many, for whom, and how they go back.
 *
 * The zone that serves the kernel is made to look short of memory by its marks, and to look as large as a test needs.
 */
#include "mm/frame/compaction.h"
#include "mm/frame/internal.h"
#include "test/unit/unit.h"

#define ONE_BLOCK \
	51200u /* managed frames of a zone that may set aside one page block, and not less */
#define TWO_BLOCKS 60000u

static struct {
	struct zone *zone;
	uint32_t first;         /* frames hoarded, by lru.next */
	uint64_t count, inside; /* inside: of these, from page blocks set aside */
	uint64_t free_before;
	uint64_t (*hook)(gfp_t gfp, unsigned order);
} lab;

static void begin(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	lab = (__typeof__(lab)){.zone = page ? page_zone(page) : NULL, .first = PFN_NONE_N};
	if (page)
		__free_page(page);
	lab.free_before = nr_unused_pages();
	lab.hook = reclaim_hook;
	reclaim_hook = NULL;
	drain_local_pages();
	for_each_zone(z)
		while (grow_zone(z))
			;
}

static struct alloc_context context(gfp_t gfp)
{
	struct alloc_context ac = {.gfp = gfp, .highest_zone = gfp_zone(gfp)};

	choose_nodes(&ac, -1);
	return ac;
}

static void give(void)
{
	for (; lab.count; lab.count--) {
		struct page *page = pfn_to_page(PFN(lab.first));

		lab.first = page->lru.next;
		__free_page(page);
	}
}

/* First of all, or a failure of the test fails others. */
static void end(void)
{
	const struct alloc_context ac = context(GFP_HIGHUSER_MOVABLE);

	reclaim_hook = lab.hook;
	setup_per_zone_wmarks();
	give();
	drain_local_pages();
	while (unreserve_highatomic_pageblock(&ac, true))
		;
	for_each_zone(z)
		CHECK_EQ(z->nr_reserved_highatomic, 0);
	CHECK_EQ(nr_unused_pages(), lab.free_before);
	CHECK_SOUND(frame_check());
}

static void set_marks(uint64_t (*mark)(const struct zone *zone))
{
	drain_local_pages();
	for_each_zone(z)
		z->watermark[WMARK_MIN] = z->watermark[WMARK_LOW] = mark(z);
}

/* frame_check() of a machine whose marks are as they should be. */
static const char *check(void)
{
	uint64_t marks[MAX_NUMNODES * MAX_NR_ZONES];
	const char *broken;
	unsigned n = 0;

	for_each_zone(z)
		marks[n++] = z->watermark[WMARK_MIN];
	setup_per_zone_wmarks();
	broken = frame_check();
	n = 0;
	for_each_zone(z)
		z->watermark[WMARK_MIN] = z->watermark[WMARK_LOW] = marks[n++];
	return broken;
}

static uint64_t no_mark(const struct zone *zone UNUSED)
{
	return 0;
}

/* Ordinary requests fail, and those with rights do not. */
static void pressure(void)
{
	set_marks(zone_free);
}

static struct page *alloc_in(uint64_t managed, gfp_t gfp, unsigned order)
{
	const uint64_t was = lab.zone->managed;
	struct page *page;

	lab.zone->managed = managed;
	page = alloc_pages(gfp | __GFP_NOWARN, order);
	lab.zone->managed = was;
	return page;
}

static void hoard(gfp_t gfp)
{
	struct page *page;

	while ((page = alloc_page(gfp | __GFP_NOWARN))) {
		lab.inside += get_pageblock_migratetype(page) == MIGRATE_HIGHATOMIC;
		page->lru.next = lab.first;
		lab.first = page_to_pfn(page).n;
		lab.count++;
	}
}

/* Nothing is free but what is set aside, and no mark keeps anybody from it. */
static void take_the_rest(void)
{
	set_marks(no_mark);
	hoard(GFP_NOWAIT | __GFP_MEMALLOC | __GFP_MOVABLE);
	hoard(GFP_NOWAIT | __GFP_MEMALLOC | __GFP_RECLAIMABLE);
	hoard(GFP_NOWAIT | __GFP_MEMALLOC);
}

static uint64_t reserved(void)
{
	return lab.zone->nr_reserved_highatomic;
}

static void put(struct page *page, unsigned order)
{
	if (page)
		__free_pages(page, order);
}

static uint64_t free_in_pageblock(const struct page *page)
{
	const struct page *p = page - page_to_pfn(page).n % pageblock_nr_pages;
	uint64_t pages = 0;

	for (const struct page *end = p + pageblock_nr_pages; p < end; p++)
		if (page_flag(p, PG_buddy))
			pages += 1u << p->order;
	return pages;
}

UNIT_TEST(set_aside_once_the_marks_were_passed)
{
	uint64_t aside, free, in_block;
	const char *broken;
	unsigned type;
	struct page *page;

	begin();
	pressure();
	page = alloc_in(ONE_BLOCK, GFP_ATOMIC, 2);
	CHECK(page && page_zone(page) == lab.zone);
	type = get_pageblock_migratetype(page);
	aside = reserved();
	free = nr_free_highatomic(lab.zone);
	in_block = free_in_pageblock(page);
	broken = check();
	put(page, 2);
	CHECK_CALL(end());
	CHECK_EQ(type, MIGRATE_HIGHATOMIC);
	CHECK_EQ(aside, pageblock_nr_pages);
	CHECK_GT(in_block, 0);
	CHECK_EQ(free, in_block);
	CHECK_SOUND(broken);
}

/* No request is of this type, whatever its flags say of mobility. */
UNIT_TEST(no_gfp_means_it)
{
	CHECK_LT(gfp_migratetype(__GFP_MOVABLE | __GFP_RECLAIMABLE), MIGRATE_PCPTYPES);
	CHECK_LT(gfp_migratetype(__GFP_RECLAIMABLE), MIGRATE_PCPTYPES);
}

/* What a request leaves set aside. */
static uint64_t aside_after(uint64_t managed, gfp_t gfp, unsigned order)
{
	struct page *page = alloc_in(managed, gfp, order);
	const uint64_t aside = page ? reserved() : ~0ull;

	put(page, order);
	return aside;
}

UNIT_TEST(not_without_need_nor_right)
{
	uint64_t above_low, single, high, nomemalloc, small;

	begin();
	above_low = aside_after(ONE_BLOCK, GFP_ATOMIC, 2);
	pressure();
	single = aside_after(ONE_BLOCK, GFP_ATOMIC, 0);
	high = aside_after(ONE_BLOCK, GFP_NOWAIT | __GFP_HIGH, 2);
	nomemalloc = aside_after(ONE_BLOCK, GFP_ATOMIC | __GFP_NOMEMALLOC, 2);
	small = aside_after(ONE_BLOCK - 1, GFP_ATOMIC, 2);
	CHECK_CALL(end());
	CHECK_EQ(above_low, 0);
	CHECK_EQ(single, 0);
	CHECK_EQ(high, 0);
	CHECK_EQ(nomemalloc, 0);
	CHECK_EQ(small, 0);
}

UNIT_TEST(bounded)
{
	static const uint64_t want[] = {1, 2, 2, 2};
	struct page *page[ARRAY_SIZE(want)];
	uint64_t aside[ARRAY_SIZE(want)];
	const char *broken;

	begin();
	pressure();
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		page[i] = alloc_in(TWO_BLOCKS, GFP_ATOMIC, pageblock_order);
		aside[i] = reserved();
	}
	broken = check();
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++)
		put(page[i], pageblock_order);
	CHECK_CALL(end());
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		CHECK(page[i]);
		CHECK_EQ(aside[i], want[i] * pageblock_nr_pages);
	}
	CHECK_SOUND(broken);
}

/* A block of two page blocks: both, or none. */
UNIT_TEST(larger_than_a_page_block)
{
	const unsigned order = pageblock_order + 1;
	uint64_t too_large, aside, free;
	const char *broken;

	begin();
	pressure();
	too_large = aside_after(ONE_BLOCK, GFP_ATOMIC, order);
	aside = aside_after(TWO_BLOCKS, GFP_ATOMIC, order);
	free = nr_free_highatomic(lab.zone);
	broken = check();
	CHECK_CALL(end());
	CHECK_EQ(too_large, 0);
	CHECK_EQ(aside, 2 * pageblock_nr_pages);
	CHECK_EQ(free, 2 * pageblock_nr_pages);
	CHECK_SOUND(broken);
}

UNIT_TEST(nobody_else_gets_in)
{
	struct page *page, *single, *pair, *reclaim, *again;
	uint64_t left, inside;
	bool from_reserve;

	begin();
	pressure();
	page = alloc_in(ONE_BLOCK, GFP_ATOMIC, 2);
	take_the_rest();
	left = zone_free(lab.zone) - nr_free_highatomic(lab.zone);
	inside = lab.inside;
	single = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
	pair = alloc_pages(GFP_NOWAIT | __GFP_NOWARN, 1);
	reclaim = alloc_pages(GFP_NOWAIT | __GFP_MEMALLOC | __GFP_NOWARN, 1);
	again = alloc_in(ONE_BLOCK, GFP_ATOMIC, 2);
	from_reserve = again && get_pageblock_migratetype(again) == MIGRATE_HIGHATOMIC;
	put(page, 2);
	put(single, 0);
	put(pair, 1);
	put(reclaim, 1);
	put(again, 2);
	CHECK_CALL(end());
	CHECK_EQ(left, 0);
	CHECK_EQ(inside, 0);
	CHECK_EQ(single, NULL);
	CHECK_EQ(pair, NULL);
	CHECK_EQ(reclaim, NULL);
	CHECK(from_reserve);
}

/* Who frees memory may go below all marks; for that he does not lose what he may have otherwise. */
UNIT_TEST(also_for_who_frees_memory)
{
	struct page *page, *freeing, *memalloc;
	unsigned type[2];

	begin();
	pressure();
	page = alloc_in(ONE_BLOCK, GFP_ATOMIC, 2);
	take_the_rest();
	*port_memalloc() = true;
	freeing = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, 2);
	*port_memalloc() = false;
	memalloc = alloc_pages(GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN, 2);
	type[0] = freeing ? get_pageblock_migratetype(freeing) : MIGRATE_TYPES;
	type[1] = memalloc ? get_pageblock_migratetype(memalloc) : MIGRATE_TYPES;
	put(page, 2);
	put(freeing, 2);
	put(memalloc, 2);
	CHECK_CALL(end());
	CHECK_EQ(type[0], MIGRATE_HIGHATOMIC);
	CHECK_EQ(type[1], MIGRATE_HIGHATOMIC);
}

/* Those that it is for find it before they break up anything else. */
UNIT_TEST(tried_first)
{
	struct page *page, *again;
	unsigned type;

	begin();
	pressure();
	page = alloc_in(ONE_BLOCK, GFP_ATOMIC, PAGE_ALLOC_COSTLY_ORDER + 1);
	again = alloc_in(ONE_BLOCK, GFP_ATOMIC, PAGE_ALLOC_COSTLY_ORDER + 1);
	type = again ? get_pageblock_migratetype(again) : MIGRATE_TYPES;
	put(page, PAGE_ALLOC_COSTLY_ORDER + 1);
	put(again, PAGE_ALLOC_COSTLY_ORDER + 1);
	CHECK_CALL(end());
	CHECK_EQ(type, MIGRATE_HIGHATOMIC);
}

/*
 * What a CPU keeps is taken first. An interrupt on top of who is at the list gets none of that: it has what is set aside, and, if that is not for it, no more
 * of the zone than its marks allow.
 */
UNIT_TEST(in_an_interrupt_on_a_busy_list)
{
	struct page *page, *kept[2], *mine, *again, *ordinary;
	struct per_cpu_pages *pcp;
	uint16_t batch;
	unsigned type;

	begin();
	kept[0] = alloc_pages(GFP_KERNEL, 1);
	kept[1] = alloc_pages(GFP_KERNEL, 1);
	CHECK(kept[0] && kept[1]);
	pressure();
	page = alloc_in(ONE_BLOCK, GFP_ATOMIC, 1);
	pcp = block_pcp(zone_pcp(this_cpu(), lab.zone, MIGRATE_UNMOVABLE), 1);
	batch = pcp->batch;
	pcp->batch = 2; /* small machines have none */
	set_frame_type(kept[0], MIGRATE_UNMOVABLE);
	put(kept[0], 1);
	mine = alloc_in(ONE_BLOCK, GFP_ATOMIC, 1);
	put(mine, 1);
	pcp->busy |= PCP_BUSY;
	again = alloc_in(ONE_BLOCK, GFP_ATOMIC, 1);
	type = again ? get_pageblock_migratetype(again) : MIGRATE_TYPES;
	ordinary = alloc_pages(GFP_NOWAIT | __GFP_NOWARN, 1);
	pcp->busy &= ~PCP_BUSY;
	put(page, 1);
	put(kept[1], 1);
	put(again, 1);
	put(ordinary, 1);
	drain_local_pages();
	pcp->batch = batch;
	CHECK_CALL(end());
	CHECK_EQ(mine, kept[0]);
	CHECK_EQ(type, MIGRATE_HIGHATOMIC);
	CHECK_EQ(ordinary, NULL);
}

/* Its free frames are none, and its blocks are none, to whom they do not belong; worked by hand. */
UNIT_TEST(marks)
{
	static struct zone zone;
	const struct alloc_context atomic = {.order = 3, .flags = ALLOC_HARDER | ALLOC_HIGHATOMIC};
	const struct alloc_context kernel = {.order = 3}, one = {.order = 0};
	const struct alloc_context all = {.order = 3, .flags = ALLOC_NO_WATERMARKS};

	zone = (struct zone){.nr_free = 100};
	zone.watermark[WMARK_MIN] = 19; /* 80 are set aside and free, and 20 single frames */
	zone.type_orders[MIGRATE_HIGHATOMIC] = 1u << 3;
	zone.free_area[3].free_list[MIGRATE_HIGHATOMIC].count = 10;
	zone.type_orders[MIGRATE_MOVABLE] = 1;
	CHECK_EQ(nr_free_highatomic(&zone), 80);
	CHECK(zone_watermark_ok(&zone, WMARK_MIN, &atomic));
	CHECK(!zone_watermark_ok(&zone, WMARK_MIN, &kernel));
	CHECK(!zone_watermark_ok(&zone, WMARK_MIN, &all));
	CHECK(zone_watermark_ok(&zone, WMARK_MIN, &one));
	zone.watermark[WMARK_MIN] = 20;
	CHECK(!zone_watermark_ok(&zone, WMARK_MIN, &one));
	zone.type_orders[MIGRATE_MOVABLE] = 1u
	                                    << 3; /* now they are blocks, and short of the mark */
	zone.watermark[WMARK_MIN] = 13;
	CHECK(!zone_watermark_ok(&zone, WMARK_MIN, &kernel));
	zone.watermark[WMARK_MIN] = 12;
	CHECK(zone_watermark_ok(&zone, WMARK_MIN, &kernel));
}

/* Compaction wants room for copies, 2 * 8 frames above the mark, and may not have them from there: 20 are its to use. */
UNIT_TEST(no_reason_to_compact)
{
	static struct zone zone;

	zone = (struct zone){.nr_free = 100};
	zone.type_orders[MIGRATE_HIGHATOMIC] = 1u << 3;
	zone.free_area[3].free_list[MIGRATE_HIGHATOMIC].count = 10;
	zone.type_orders[MIGRATE_MOVABLE] = 1;
	zone.watermark[WMARK_MIN] = 4;
	CHECK_EQ(compaction_suitable(&zone, 3, ZONE_NORMAL), COMPACT_CONTINUE);
	zone.watermark[WMARK_MIN] = 5;
	CHECK_EQ(compaction_suitable(&zone, 3, ZONE_NORMAL), COMPACT_SKIPPED);
}

/* A list is not filled with what only looks as if it could be spared. */
UNIT_TEST(nothing_to_spare_for_lists)
{
	const unsigned spare = 2;
	struct page *page;
	unsigned kept;

	begin();
	pressure();
	put(alloc_in(ONE_BLOCK, GFP_ATOMIC, pageblock_order), pageblock_order);
	set_marks(no_mark);
	lab.zone->watermark[WMARK_LOW] = zone_free(lab.zone) - nr_free_highatomic(lab.zone) -
	                                 (spare << machine()->guard_minorder);
	page = alloc_page(GFP_KERNEL);
	kept = zone_pcp_pages_of(lab.zone, cpu_id());
	put(page, 0);
	CHECK_CALL(end());
	CHECK(page);
	CHECK_EQ(kept, spare - 1);
}

/* A request's outcome on a machine where nothing else is left: 0 failed, 1 served; and what is still set aside. */
struct outcome {
	bool served;
	uint64_t aside;
	unsigned type; /* of the page block that served it */
};

static struct outcome ask(gfp_t gfp, unsigned order)
{
	struct page *page = alloc_pages(gfp | __GFP_NOWARN, order);
	const struct outcome outcome = {.served = page != NULL,
	                                .aside = reserved(),
	                                .type = page ? get_pageblock_migratetype(page) : 0};

	put(page, order);
	return outcome;
}

static void before_the_end(gfp_t gfp)
{
	struct outcome nowait, noretry, costly, waits;
	const char *broken;
	struct page *page;

	begin();
	pressure();
	page = alloc_in(ONE_BLOCK, GFP_ATOMIC, 2);
	take_the_rest();
	nowait = ask(GFP_NOWAIT, 0);
	noretry = ask(GFP_KERNEL | __GFP_NORETRY, 0);
	costly = ask(GFP_KERNEL, PAGE_ALLOC_COSTLY_ORDER + 1);
	waits = ask(gfp, 0);
	broken = check();
	put(page, 2);
	CHECK_CALL(end());
	CHECK(!nowait.served && nowait.aside == pageblock_nr_pages);
	CHECK(!noretry.served && noretry.aside == pageblock_nr_pages);
	CHECK(!costly.served && costly.aside == pageblock_nr_pages);
	CHECK(waits.served);
	CHECK_EQ(waits.aside, 0);
	CHECK_EQ(waits.type, gfp_migratetype(gfp));
	CHECK_SOUND(broken);
}

/* Nobody who may wait is told that there is no memory while some is set aside; it is theirs then. */
UNIT_TEST(handed_back_before_the_end)
{
	CHECK_CALL(before_the_end(GFP_KERNEL));
	CHECK_CALL(before_the_end(GFP_KERNEL | __GFP_MOVABLE));
	CHECK_CALL(before_the_end(GFP_KERNEL | __GFP_RECLAIMABLE));
	CHECK_CALL(before_the_end(GFP_KERNEL | __GFP_NOFAIL));
	CHECK_CALL(before_the_end(GFP_KERNEL | __GFP_RETRY_MAYFAIL));
}

static unsigned killed;

static enum oom_result kill_one(void)
{
	killed++;
	return OOM_NOBODY;
}

/* Nor does anybody die for a request while some is. */
UNIT_TEST(handed_back_before_somebody_dies)
{
	enum oom_result (*saved)(void) = oom_hook;
	struct outcome first, second;
	struct page *page;
	unsigned early;

	begin();
	pressure();
	page = alloc_in(ONE_BLOCK, GFP_ATOMIC, 2);
	take_the_rest();
	killed = 0;
	oom_hook = kill_one;
	first = ask(GFP_KERNEL, 0);
	early = killed;
	take_the_rest();
	second = ask(GFP_KERNEL, 0);
	oom_hook = saved;
	put(page, 2);
	CHECK_CALL(end());
	CHECK(first.served);
	CHECK_EQ(first.aside, 0);
	CHECK_EQ(early, 0);
	CHECK(!second.served);
	CHECK_EQ(killed, 1);
}

/* As what the request asks for, not as what could be stolen then. */
UNIT_TEST(handed_back_as_what_is_needed)
{
	static const gfp_t gfp[] = {GFP_KERNEL, GFP_KERNEL | __GFP_MOVABLE,
	                            GFP_KERNEL | __GFP_RECLAIMABLE};
	unsigned type[ARRAY_SIZE(gfp)];
	struct page *page;

	begin();
	pressure();
	for (unsigned i = 0; i < ARRAY_SIZE(gfp); i++) {
		const struct alloc_context ac = context(gfp[i]);

		page = alloc_in(ONE_BLOCK, GFP_ATOMIC, 2);
		CHECK(page);
		CHECK(unreserve_highatomic_pageblock(&ac, true));
		type[i] = get_pageblock_migratetype(page);
		put(page, 2);
		drain_local_pages();
	}
	CHECK_CALL(end());
	for (unsigned i = 0; i < ARRAY_SIZE(gfp); i++)
		CHECK_EQ(type[i], gfp_migratetype(gfp[i]));
}

/* It frees something, which somebody else takes. */
static uint64_t robbed(gfp_t gfp UNUSED, unsigned order UNUSED)
{
	return 1;
}

static const gfp_t one_round = GFP_KERNEL | __GFP_NORETRY;

UNIT_TEST(the_last_one_stays_while_reclaim_works)
{
	struct outcome nothing_freed, of_two, of_one;
	const char *broken;
	struct page *page[2];

	begin();
	pressure();
	for (unsigned i = 0; i < 2; i++)
		page[i] = alloc_in(TWO_BLOCKS, GFP_ATOMIC, pageblock_order);
	for (unsigned i = 0; i < 2; i++)
		put(page[i], pageblock_order);
	take_the_rest();
	nothing_freed = ask(one_round, 0);
	reclaim_hook = robbed;
	of_two = ask(one_round, 0);
	broken = check();
	take_the_rest();
	of_one = ask(one_round, 0);
	CHECK_CALL(end());
	CHECK(!nothing_freed.served);
	CHECK_EQ(nothing_freed.aside, 2 * pageblock_nr_pages);
	CHECK(of_two.served);
	CHECK_EQ(of_two.aside, pageblock_nr_pages);
	CHECK(!of_one.served);
	CHECK_EQ(of_one.aside, pageblock_nr_pages);
	CHECK_SOUND(broken);
}

/* A page block that has no free frame would help nobody. */
UNIT_TEST(full_ones_stay)
{
	struct outcome outcome;
	struct page *page;

	begin();
	pressure();
	page = alloc_in(ONE_BLOCK, GFP_ATOMIC, pageblock_order);
	take_the_rest();
	outcome = ask(GFP_KERNEL, 0);
	put(page, pageblock_order);
	CHECK_CALL(end());
	CHECK(!outcome.served);
	CHECK_EQ(outcome.aside, pageblock_nr_pages);
}

/* By way of the list of movable ones, and then they are the reserve's again. */
UNIT_TEST(lists_of_cpus)
{
	uint64_t with, without, back;
	unsigned type[2], kept;
	const char *broken;
	struct page *page;

	begin();
	pressure();
	page = alloc_in(ONE_BLOCK, GFP_ATOMIC, 1);
	CHECK(page);
	without = nr_free_highatomic(lab.zone);
	split_page(page, 1);
	type[0] = page_type(page);
	type[1] = page_type(page + 1);
	__free_page(page);
	__free_page(page + 1);
	kept = pcp_count(zone_pcp(this_cpu(), lab.zone, first_pageblock_type()));
	with = nr_free_highatomic(lab.zone);
	broken = check();
	drain_local_pages();
	back = nr_free_highatomic(lab.zone);
	CHECK_CALL(end());
	CHECK_EQ(type[0], first_pageblock_type());
	CHECK_EQ(type[1], first_pageblock_type());
	CHECK_EQ(kept, 2);
	CHECK_EQ(with, without);
	CHECK_GE(back, without + 2);
	if (!machine()->guard_minorder) /* else their guards come back with them */
		CHECK_EQ(back, without + 2);
	CHECK_SOUND(broken);
}

static uint32_t orders_of(const struct page *page)
{
	return page_flag(page, PG_buddy) ? 1u << page->order : 0;
}

/* Two page blocks, of which one is set aside: one after the other, or as a run of neighbours. */
static void free_both(struct page *page, bool as_run)
{
	const uint32_t pfn = page_to_pfn(page).n;

	if (as_run) {
		irq_state_t irq = spin_lock_irqsave(&lab.zone->lock);

		atomic_store(&page->_refcount, 0);
		__free_range(lab.zone, pfn, pfn + 2 * pageblock_nr_pages);
		spin_unlock_irqrestore(&lab.zone->lock, irq);
		return;
	}
	atomic_store(&page[pageblock_nr_pages]._refcount, 1);
	free_part(page, pageblock_order, 0);
	free_part(page + pageblock_nr_pages, pageblock_order, 0);
	drain_local_pages();
}

/* Two page blocks that are buddies, and free: apart while one is set aside, and one block when it is not. */
static void keep_page_blocks_apart(bool as_run)
{
	uint64_t managed;
	uint32_t apart;
	const char *broken;
	struct page *page;

	begin();
	page = alloc_pages(GFP_KERNEL, pageblock_order + 1);
	CHECK(page);
	managed = lab.zone->managed;
	lab.zone->managed = ONE_BLOCK;
	reserve_highatomic_pageblock(lab.zone, page, 0);
	lab.zone->managed = managed;
	free_both(page, as_run);
	apart = orders_of(page) & orders_of(page + pageblock_nr_pages);
	broken = check();
	CHECK_CALL(end());
	CHECK_EQ(apart, 1u << pageblock_order); /* both */
	CHECK_EQ(orders_of(page), 1u << (pageblock_order + 1));
	CHECK_SOUND(broken);
}

UNIT_TEST(page_blocks_stay_apart)
{
	CHECK_CALL(keep_page_blocks_apart(false));
	CHECK_CALL(keep_page_blocks_apart(true));
}
