/*
 * highatomic_test.c - page blocks set aside, on machines that are large enough for them as they are: marks as they are computed,
 * two nodes, compaction, and zones that end inside a page block.
 */
#include "host/internal.h"
#include "mm/frame/compaction.h"
#include "mm/frame/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/mm/space/vm.h"

#include <quire/check.h>

#define MB (1ull << 20)

static uint32_t hoarded;

static bool enter(const struct host_config *config)
{
	hoarded = PFN_NONE_N;
	return own_enter(config);
}

static void leave(void)
{
	while (hoarded != PFN_NONE_N) {
		struct page *page = pfn_to_page(PFN(hoarded));

		hoarded = page->lru.next;
		__free_page(page);
	}
	CHECK_SOUND(mm_check());
	own_leave();
}

static uint64_t hoard(gfp_t gfp)
{
	struct page *page;
	uint64_t n = 0;

	for (; (page = alloc_page(gfp | __GFP_NOWARN)); n++) {
		page->lru.next = hoarded;
		hoarded = page_to_pfn(page).n;
	}
	return n;
}

static uint64_t set_aside(void)
{
	uint64_t pages = 0;

	for_each_zone(zone)
		pages += zone->nr_reserved_highatomic;
	return pages;
}

/* Memory runs out, a driver's request is served from below the marks, and a program gets what it left in the end: all of it. */
UNIT_TEST(nothing_is_lost_to_programs)
{
	struct page *page;
	uint64_t aside, more;

	CHECK(enter(&(struct host_config){.ram = 512 * MB}));
	hoard(GFP_NOWAIT | __GFP_MOVABLE);
	CHECK_EQ(set_aside(), 0);
	page = alloc_pages(GFP_ATOMIC, 3);
	CHECK(page);
	aside = set_aside();
	CHECK_SOUND(frame_check());
	__free_pages(page, 3);
	hoarded = PFN_NONE_N; /* kept: what is free stays as low as it is */
	for_each_zone(zone)
		zone->watermark[WMARK_MIN] = zone->watermark[WMARK_LOW] = 0;
	hoard(GFP_NOWAIT | __GFP_MOVABLE);
	more = hoard(GFP_KERNEL | __GFP_MOVABLE);
	CHECK_EQ(aside, pageblock_nr_pages);
	CHECK_GT(more, 0);
	CHECK_EQ(set_aside(), 0);
	leave();
}

/* Each node has its own, and a request that may not have memory of the nearest gets none of that back. */
UNIT_TEST(nodes)
{
	static const struct host_config two = {
	        .ram = 512 * MB, .cpus = 2, .frames = {.nr_nodes = 2, .numa_fake = true}};
	struct mempolicy far = {.mode = MPOL_BIND, .nodes = 1u << 1};
	const gfp_t gfp = GFP_KERNEL | __GFP_NOWARN;
	struct zone *zone[2];
	struct page *page[2], *got;

	CHECK(enter(&two));
	hoard(GFP_NOWAIT | __GFP_MEMALLOC);
	for (unsigned nid = 0; nid < 2; nid++) {
		struct page *last = NULL;

		zone[nid] = &machine()->node[nid].zones[ZONE_DMA32];
		zone[nid]->watermark[WMARK_MIN] = zone[nid]->watermark[WMARK_LOW] = 0;
		for (uint32_t pfn = hoarded; pfn != PFN_NONE_N;
		     pfn = pfn_to_page(PFN(pfn))->lru.next)
			if (page_zone(pfn_to_page(PFN(pfn))) == zone[nid])
				last = pfn_to_page(PFN(pfn));
		CHECK(last);
		page[nid] = last;
		reserve_highatomic_pageblock(zone[nid], last, 0);
		CHECK_EQ(zone[nid]->nr_reserved_highatomic, pageblock_nr_pages);
	}
	CHECK_EQ(numa_node_id(), 0);
	CHECK_EQ(alloc_pages_policy(&far, gfp, 0), NULL); /* it is full */
	/* A frame of each comes back. */
	for (uint32_t *link = &hoarded; *link != PFN_NONE_N;) {
		struct page *p = pfn_to_page(PFN(*link));

		if (p == page[0] || p == page[1]) {
			*link = p->lru.next;
			__free_page(p);
		} else {
			link = &p->lru.next;
		}
	}
	drain_local_pages();
	CHECK_EQ(nr_free_highatomic(zone[0]), 1);
	CHECK_EQ(nr_free_highatomic(zone[1]), 1);
	got = alloc_pages_policy(&far, gfp, 0);
	CHECK_EQ(got, page[1]);
	CHECK_EQ(zone[0]->nr_reserved_highatomic, pageblock_nr_pages);
	CHECK_EQ(zone[1]->nr_reserved_highatomic, 0);
	__free_page(got);
	leave();
}

/* Two that are buddies, and free, are one block. On their way there frames lie on a list that somebody takes from. */
static void merge_among_themselves(bool no_grouping)
{
	const struct host_config config = {.ram = 512 * MB, .frames = {.no_grouping = no_grouping}};
	const unsigned order = pageblock_order + 1;
	struct page *page;
	struct zone *zone;

	CHECK(enter(&config));
	CHECK(page = alloc_pages(GFP_KERNEL, order));
	zone = page_zone(page);
	reserve_highatomic_pageblock(zone, page, order);
	CHECK_EQ(set_aside(), 2 * pageblock_nr_pages);
	split_page(page, order);
	CHECK_EQ(page_type(page), no_grouping ? MIGRATE_UNMOVABLE : MIGRATE_MOVABLE);
	for (unsigned i = 0; i < 1u << order; i++)
		__free_page(page + i);
	drain_local_pages();
	CHECK_EQ(zone->free_area[order].free_list[MIGRATE_HIGHATOMIC].count, 1);
	leave();
}

UNIT_TEST(two_are_one_block)
{
	CHECK_CALL(merge_among_themselves(false));
	CHECK_CALL(merge_among_themselves(true));
}

/* The page block that goes back is the one that has few frames to give. */
UNIT_TEST(the_fuller_one_goes_back)
{
	struct page *page[2];
	struct zone *zone;

	for (unsigned full = 0; full < 2; full++) {
		struct alloc_context request = {.gfp = GFP_KERNEL, .highest_zone = ZONE_NORMAL};

		CHECK(enter(&(struct host_config){.ram = 512 * MB}));
		choose_nodes(&request, -1);
		for (unsigned i = 0; i < 2; i++)
			CHECK(page[i] = alloc_pages(GFP_KERNEL, pageblock_order));
		zone = page_zone(page[0]);
		for (unsigned i = 0; i < 2; i++) {
			reserve_highatomic_pageblock(zone, page[i], 0);
			split_page(page[i], pageblock_order);
		}
		CHECK_EQ(set_aside(), 2 * pageblock_nr_pages);
		for (unsigned i = 0; i < 8; i++)
			__free_page(page[!full] + i);
		__free_page(page[full] + 1);
		drain_local_pages();
		CHECK_EQ(nr_free_highatomic(zone), 9);
		CHECK(unreserve_highatomic_pageblock(&request, false));
		CHECK_LT(get_pageblock_migratetype(page[full]), MIGRATE_PCPTYPES);
		CHECK_EQ(get_pageblock_migratetype(page[!full]), MIGRATE_HIGHATOMIC);
		CHECK(!unreserve_highatomic_pageblock(&request, false));
		for (unsigned i = 0; i < pageblock_nr_pages; i++) {
			if (i >= 8)
				__free_page(page[!full] + i);
			if (i != 1)
				__free_page(page[full] + i);
		}
		drain_local_pages();
		leave();
	}
}

/* Compaction finds room elsewhere. */
static void no_room_for_compaction(bool no_grouping)
{
	const struct host_config config = {.ram = 512 * MB, .frames = {.no_grouping = no_grouping}};
	struct page *page;
	struct zone *zone;
	struct mm_struct *mm;
	uint64_t free;

	CHECK(enter(&config));
	for_each_zone(z)
		while (grow_zone(z))
			;
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	/* The highest page block, which compaction would fill first. */
	zone = &machine()->node[0].zones[ZONE_DMA32];
	page = pfn_to_page(PFN(zone->start.n + zone->spanned - pageblock_nr_pages));
	for_each_zone(z)
		CHECK_EQ(z->nr_reserved_highatomic, 0);
	reserve_highatomic_pageblock(zone, page, 0);
	CHECK_EQ(vm_map(mm, VM_PAGE(0), 2000, RW, ANON), (int64_t)VM_PAGE(0));
	for (unsigned i = 0; i < 2000; i++)
		CHECK_EQ(vm_write(mm, VM_PAGE(i), i), 0);
	drain_local_pages();
	free = nr_free_highatomic(zone);
	compact_memory();
	drain_local_pages();
	CHECK_GT(counter_read(COUNT_PGMIGRATE_SUCCESS), 0);
	CHECK_EQ(nr_free_highatomic(zone), free);
	CHECK_SOUND(mm_check());
	mmput(mm);
	leave();
}

UNIT_TEST(no_room_for_moved_pages)
{
	CHECK_CALL(no_room_for_compaction(false));
	CHECK_CALL(no_room_for_compaction(true));
}

/* The end of memory, in the middle of a page block. */
UNIT_TEST(whole_page_blocks_only)
{
	struct zone *zone;

	CHECK(enter(&(struct host_config){.ram = 255 * MB}));
	zone = &machine()->node[0].zones[ZONE_DMA32];
	CHECK_EQ(zone->start.n + zone->spanned, 255 * MB / PAGE_SIZE);
	for_each_zone(z)
		while (grow_zone(z))
			;
	reserve_highatomic_pageblock(zone, pfn_to_page(PFN(zone->start.n + zone->spanned - 1)), 0);
	CHECK_EQ(set_aside(), 0);
	leave();
}

#define HELD   64u
#define ROUNDS 4000u

static struct page *held[2][HELD];
static unsigned seen; /* by the driver: after so many of its requests something was set aside */

static void swap_blocks(unsigned who, gfp_t gfp, unsigned order)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct page **slot = &held[who][i * 7 % HELD];

		if (*slot)
			__free_pages(*slot, order);
		*slot = alloc_pages(gfp | __GFP_NOWARN, order);
		if (who == 0)
			seen += set_aside() > 0;
	}
	for (unsigned i = 0; i < HELD; i++)
		if (held[who][i])
			__free_pages(held[who][i], order);
}

static void driver(void *unused UNUSED)
{
	swap_blocks(0, GFP_ATOMIC, 4);
}

static void program(void *unused UNUSED)
{
	swap_blocks(1, GFP_KERNEL | __GFP_MOVABLE, 0);
}

/* What one CPU sets aside, another one gets back, all the time: nothing is lost, and the sums are right. */
UNIT_TEST(two_cpus)
{
	static const struct host_config two = {.ram = 512 * MB, .cpus = 3};
	struct host_task *task[2];

	__builtin_memset(held, 0, sizeof(held));
	seen = 0;
	CHECK(enter(&two));
	hoard(GFP_NOWAIT | __GFP_MOVABLE);
	for_each_zone(zone)
		zone->watermark[WMARK_MIN] = zone->watermark[WMARK_LOW] = zone_free(zone);
	task[0] = host_run_on(own, 1, driver, NULL);
	task[1] = host_run_on(own, 2, program, NULL);
	for (unsigned i = 0; i < 2; i++)
		host_join(task[i]);
	drain_all_pages();
	setup_per_zone_wmarks();
	CHECK_GT(seen, 0);
	leave();
}
