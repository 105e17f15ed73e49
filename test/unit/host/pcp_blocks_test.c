/*
 * pcp_blocks_test.c - machines whose CPUs keep blocks of all kinds (pcp_blocks=N), and how they get them back.
 */
#include "host/internal.h"
#include "mm/frame/internal.h"
#include "test/unit/host/explore.h"
#include "test/unit/host/own_machine.h"

#include <quire/check.h>

#define MB   (1ull << 20)
#define KEEP 4u

static bool enter(uint64_t ram, const char *boot_words)
{
	return own_enter(&(struct host_config){.ram = ram, .cpus = 2, .boot_words = boot_words});
}

static void leave(void)
{
	CHECK_SOUND(mm_check());
	own_leave();
}

static unsigned batch(unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);
	unsigned n = 0;

	if (page && order_has_pcp(order))
		n = block_pcp(page_pcp(this_cpu(), page->flags), order)->batch;

	if (page)
		__free_pages(page, order);
	return n;
}

/* Blocks that this CPU then keeps, of each order that has lists. Returns how many frames. */
static uint64_t fill(void)
{
	struct page *page[NR_PCP_ORDERS][KEEP];
	uint64_t frames = 0;

	for (unsigned i = 0; i < NR_PCP_ORDERS; i++)
		for (unsigned k = 0; k < KEEP; k++)
			page[i][k] = alloc_pages(GFP_KERNEL, pcp_order(i));
	drain_local_pages();
	for (unsigned i = 0; i < NR_PCP_ORDERS; i++)
		for (unsigned k = 0; k < KEEP; k++) {
			frames += 1u << pcp_order(i);
			__free_pages(page[i][k], pcp_order(i));
		}
	return frames;
}

static void fill_for(void *frames)
{
	*(uint64_t *)frames = fill();
}

static uint64_t kept_by(unsigned cpu)
{
	uint64_t pages = 0;

	for_each_zone(zone)
		pages += zone_pcp_pages_of(zone, cpu);
	return pages;
}

/* How much is kept goes by the size of memory; a small machine keeps no blocks, and neither does one with guards. */
UNIT_TEST(sizes)
{
	CHECK(enter(16 * MB, ""));
	CHECK_EQ(batch(1), 0);
	CHECK_EQ(batch(9), 0);
	leave();
	CHECK(enter(256 * MB, ""));
	CHECK_EQ(batch(1), 0);
	CHECK_EQ(batch(9), 0);
	leave();
	CHECK(enter(1024 * MB, ""));
	CHECK_GT(batch(1), batch(2));
	CHECK_GE(batch(2), 4);
	CHECK_EQ(batch(4), 0);
	CHECK_GE(batch(9), 4);
	for_each_zone(zone)
		CHECK_LE(zone_pcp_high_of(zone, 0), zone->managed / 4); /* all types full */
	leave();
	CHECK(enter(1024 * MB, "debug_guardpage_minorder=1"));
	CHECK_EQ(batch(1), 0);
	CHECK_EQ(batch(9), 0);
	leave();
	CHECK(enter(64 * MB, "pcp_blocks=5"));
	for (unsigned i = 1; i < NR_PCP_ORDERS; i++)
		CHECK_EQ(batch(pcp_order(i)), 5);
	leave();
	CHECK(enter(1024 * MB, "pcp_blocks=0"));
	CHECK_EQ(batch(1), 0);
	leave();
	CHECK(enter(64 * MB, "pcp_blocks=32"));
	CHECK_EQ(machine()->pcp_blocks, -1);
	leave();
}

/* Where no blocks are kept, the zone has one as soon as it is freed: guards must notice. */
UNIT_TEST(blocks_that_nobody_keeps)
{
	static const struct {
		uint64_t ram;
		const char *words;
	} machines[] = {{16 * MB, ""},
	                {1024 * MB, "pcp_blocks=0"},
	                {1024 * MB, "debug_guardpage_minorder=1"}};

	for (unsigned i = 0; i < ARRAY_SIZE(machines); i++) {
		CHECK(enter(machines[i].ram, machines[i].words));
		(void)fill();
		CHECK_EQ(kept_by(0), KEEP); /* the single frames */
		leave();
	}
}

/* Below all marks a CPU still has what it keeps, hot or cold; and no more. */
UNIT_TEST(kept_below_the_marks)
{
	struct page *page[64];
	unsigned n;

	CHECK(enter(16 * MB, ""));
	n = batch(0) + 1; /* a full list grows cold, and one is hot */
	CHECK_LE(n, ARRAY_SIZE(page));
	for (unsigned i = 0; i < n; i++)
		CHECK((page[i] = alloc_page(GFP_KERNEL)));
	drain_local_pages();
	for (unsigned i = 0; i < n; i++)
		__free_page(page[i]);
	CHECK_EQ(kept_by(0), n);
	for_each_zone(zone)
		zone->watermark[WMARK_MIN] = zone->watermark[WMARK_LOW] = UINT64_MAX / 2;
	for (unsigned i = 0; i < n; i++)
		CHECK((page[i] = alloc_page(GFP_NOWAIT | __GFP_NOWARN)));
	CHECK(!alloc_page(GFP_NOWAIT | __GFP_NOWARN));
	setup_per_zone_wmarks();
	for (unsigned i = 0; i < n; i++)
		__free_page(page[i]);
	leave();
}

/* What another CPU keeps: counted, and given back when all are called upon. */
UNIT_TEST(other_cpus_lists)
{
	uint64_t free, frames = 0;

	CHECK(enter(64 * MB, "pcp_blocks=4"));
	free = nr_free_pages();
	host_join(host_run_on(own, 1, fill_for, &frames));
	CHECK_EQ(frames, KEEP * (1 + 2 + 4 + 8 + 512));
	CHECK_EQ(kept_by(1), frames);
	CHECK_EQ(nr_free_pages(), free);
	CHECK_SOUND(frame_check());
	drain_all_pages();
	CHECK_EQ(kept_by(1), 0);
	CHECK_EQ(nr_free_pages(), free);
	leave();
}

static void take_slow(void *page)
{
	*(struct page **)page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, 4);
}

/* A request that finds nothing asks the others, who see it at their next slow step. */
UNIT_TEST(others_give_back_when_asked)
{
	struct page *last = NULL, *mine = NULL;
	uint64_t frames = 0;

	CHECK(enter(64 * MB, "pcp_blocks=4"));
	host_join(host_run_on(own, 1, fill_for, &frames));
	CHECK_EQ(kept_by(1), frames);
	for (struct page *page; (page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, 9)); last = page) {
		page->lru.next = last ? page_to_pfn(last).n : PFN_NONE_N;
	}
	CHECK_EQ(kept_by(1), frames);
	CHECK(atomic_load(&machine()->cpu[1]->drain_wanted));
	host_join(host_run_on(own, 1, take_slow, &mine));
	CHECK_EQ(kept_by(1), 0);
	CHECK(mine);
	__free_pages(mine, 4);
	while (last) {
		uint32_t next = last->lru.next;

		__free_pages(last, 9);
		last = next == PFN_NONE_N ? NULL : pfn_to_page(PFN(next));
	}
	leave();
}

/* Under pressure the last frame can be had, whatever this CPU keeps, and so can a block made of what it keeps. */
UNIT_TEST(pressure)
{
	const gfp_t all = GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN;
	uint32_t chain = PFN_NONE_N;
	uint64_t n = 0, free;
	struct page *page;

	CHECK(enter(64 * MB, "pcp_blocks=4"));
	free = nr_free_pages();
	fill();
	CHECK_GT(kept_by(0), 0);
	for (; (page = alloc_page(all)); n++) {
		page->lru.next = chain;
		chain = page_to_pfn(page).n;
	}
	CHECK_EQ(nr_free_pages(), 0);
	CHECK_EQ(n, free);
	while (chain != PFN_NONE_N) {
		page = pfn_to_page(PFN(chain));
		chain = page->lru.next;
		__free_page(page);
	}
	drain_local_pages();
	fill();
	for (n = 0; (page = alloc_pages(all, MAX_ORDER - 1)); n++) {
		page->lru.next = chain;
		chain = page_to_pfn(page).n;
	}
	CHECK_EQ(kept_by(0), 0);
	while (chain != PFN_NONE_N) {
		page = pfn_to_page(PFN(chain));
		chain = page->lru.next;
		__free_pages(page, MAX_ORDER - 1);
	}
	CHECK_EQ(nr_free_pages(), free);
	leave();
}

/*
 * A kernel's frames from a page block that stays the programs': they are free on the list of who asked, and go where they
 * belong when they are freed.
 */
UNIT_TEST(kept_for_another_type)
{
	static struct page *user[16384], *kernel[4096];
	unsigned n = 0, k = 0;

	CHECK(enter(64 * MB, ""));
	for (; n < ARRAY_SIZE(user); n++) {
		user[n] = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_NORETRY | __GFP_NOWARN);
		if (!user[n])
			break;
		__page_set_flags(user[n], 1u << PG_swapbacked);
		lru_cache_add(user[n]);
	}
	for (unsigned i = 0; i < n; i += 4)
		put_page(user[i]);
	drain_local_pages();
	do
		CHECK(kernel[k] = alloc_page(GFP_KERNEL));
	while (page_type(kernel[k++]) != MIGRATE_MOVABLE && k < ARRAY_SIZE(kernel));
	CHECK_EQ(get_pageblock_migratetype(kernel[k - 1]), MIGRATE_MOVABLE);
	CHECK_GT(kept_by(0), 0);
	CHECK_SOUND(frame_check());
	while (k)
		__free_page(kernel[--k]);
	for (unsigned i = 0; i < n; i++)
		if (i % 4)
			put_page(user[i]);
	leave();
}

/* --- the fewest frames ever free ------------------------------------------------------------------------- */

static uint64_t zones_free(void)
{
	uint64_t sum = 0;

	for_each_zone(zone)
		sum += zone_free_pages(zone);
	return sum;
}

/* Against the plain way, a look at all zones after each request: blocks that no list keeps, from two zones. */
UNIT_TEST(fewest_free)
{
	static struct page *live[600];
	uint64_t fewest;

	CHECK(enter(64 * MB, "pcp_blocks=0"));
	fewest = min_free_pages();
	for (unsigned i = 0; i < unit_scale(60000); i++) {
		const unsigned at = (unsigned)random_below(unit_random(), ARRAY_SIZE(live));
		const gfp_t zone = random_below(unit_random(), 2) ? __GFP_DMA : 0;

		if (live[at]) {
			__free_pages(live[at], 4);
			live[at] = NULL;
			continue;
		}
		live[at] = alloc_pages(GFP_ATOMIC | __GFP_NOWARN | zone, 4);
		if (live[at])
			fewest = MIN(fewest, zones_free());
		CHECK_EQ(min_free_pages(), fewest);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(live); i++)
		if (live[i])
			__free_pages(live[i], 4);
	leave();
}

/* --- many schedules ----------------------------------------------------------------------------------------- */

#define SLOTS 10u

static _Atomic(struct page *) slot[SLOTS];

static unsigned slot_order(unsigned i)
{
	return i % 4;
}

static void trade(unsigned cpu)
{
	const unsigned i = explore_random(cpu, SLOTS), order = slot_order(i);
	struct page *page = atomic_exchange(&slot[i], NULL);

	if (page) {
		CHECK_EQ(*(volatile uint64_t *)page_address(page), i);
		__free_pages(page, order);
		return;
	}
	page = alloc_pages(GFP_KERNEL | __GFP_NOWARN | (cpu & 1 ? __GFP_COLD : 0), order);
	if (!page)
		return;
	*(volatile uint64_t *)page_address(page) = i;
	page = atomic_exchange(&slot[i], page);
	if (page)
		__free_pages(page, order);
}

static void trade_blocks(unsigned cpu)
{
	for (unsigned n = 0; n < 60; n++)
		CHECK_CALL(trade(cpu));
}

static void drain_and_trade_blocks(unsigned cpu)
{
	for (unsigned n = 0; n < 6; n++) {
		drain_all_pages();
		for (unsigned k = 0; k < 5; k++)
			CHECK_CALL(trade(cpu));
	}
}

static void blocks_in_interrupt(void)
{
	struct page *one = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, 1),
	            *two = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, 2);

	if (one)
		__free_pages(one, 1);
	if (two)
		__free_pages(two, 2);
}

static void give_blocks_back(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct page *page = atomic_exchange(&slot[i], NULL);

		if (page)
			__free_pages(page, slot_order(i));
	}
}

static const struct scenario scenario_kept = {
        .cpu = {trade_blocks, trade_blocks, drain_and_trade_blocks, trade_blocks},
        .end = give_blocks_back,
        .interrupt = blocks_in_interrupt,
        .boot_words = "pcp_blocks=2"};

UNIT_TEST(schedules)
{
	explore(&scenario_kept, 60);
}
