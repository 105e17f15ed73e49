/*
 * page_test.c - references, page locks, LRU membership.
 */
#include "mm/frame/internal.h"
#include "test/unit/unit.h"

static struct page *new_anon(void)
{
	struct page *page = alloc_page(GFP_HIGHUSER_MOVABLE);

	if (page)
		__page_set_flags(page, PAGE_FLAG(swapbacked) | PAGE_FLAG(uptodate));
	return page;
}

UNIT_TEST(references)
{
	struct page *page = alloc_page(GFP_KERNEL);

	CHECK(page);
	get_page(page);
	CHECK(get_page_unless_zero(page));
	CHECK_EQ(page_count(page), 3);
	put_page(page);
	put_page(page);
	put_page(page);
	CHECK(!get_page_unless_zero(page));
	CHECK_SOUND(frame_check());
}

static void last_put(void (*put)(struct page *page, unsigned order))
{
	uint64_t free = nr_unused_pages(), anon = lru_pages(LRU_INACTIVE_ANON);
	struct page *page = new_anon();

	CHECK(page);
	lru_cache_add(page);
	CHECK_EQ(lru_pages(LRU_INACTIVE_ANON), anon + 1);
	CHECK_SOUND(lru_check());
	put(page, 0);
	CHECK_EQ(lru_pages(LRU_INACTIVE_ANON), anon);
	CHECK_EQ(nr_unused_pages(), free);
	CHECK_SOUND(lru_check());
	CHECK_SOUND(frame_check());
}

static void put_any(struct page *page, unsigned order UNUSED)
{
	put_page(page);
}

UNIT_TEST(last_put_leaves_the_lru)
{
	CHECK_CALL(last_put(put_any));
	CHECK_CALL(last_put(__free_pages));
}

UNIT_TEST(release_pages_frees_those_without_users)
{
	struct page *pages[40];
	uint64_t free = nr_unused_pages();

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i] = new_anon();
		CHECK(pages[i]);
		if (i % 3)
			lru_cache_add(pages[i]);
	}
	get_page(pages[7]);
	release_pages(pages, ARRAY_SIZE(pages));
	CHECK_EQ(nr_unused_pages(), free - 1);
	CHECK_SOUND(lru_check());
	for_each_zone(zone)
		CHECK_GE(zone->managed, zone_free(zone));
	put_page(pages[7]);
	CHECK_EQ(nr_unused_pages(), free);
	drain_local_pages();
	CHECK_SOUND(frame_check());
}

/* Tracing sends pages another way. */
static void with_and_without_trace(void (*check)(void))
{
	bool saved = machine()->trace_on;

	machine()->trace_on = false;
	CHECK_CALL(check());
	machine()->trace_on = true;
	CHECK_CALL(check());
	machine()->trace_on = saved;
}

static void release_many(void)
{
	static struct page *pages[500];
	const struct per_cpu_pages *pcp;
	uint64_t free = nr_unused_pages();

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i] = new_anon();
		CHECK(pages[i]);
		lru_cache_add(pages[i]);
	}
	pcp = page_pcp(this_cpu(), pages[0]->flags);
	release_pages(pages, ARRAY_SIZE(pages));
	CHECK_LE(pcp->count, 2 * pcp->batch);
	CHECK_LE(pcp->cold_count, 2 * pcp->batch);
	CHECK_EQ(nr_unused_pages(), free);
	drain_local_pages();
	CHECK_SOUND(frame_check());
	CHECK_SOUND(lru_check());
}

/* Long runs go to the zone in time: a list holds two batches at most. */
UNIT_TEST(release_pages_leaves_the_lists_bounded)
{
	with_and_without_trace(release_many);
}

static void add_and_release_unevictable(void)
{
	struct page *pages[6];
	uint64_t locked = lru_pages(LRU_UNEVICTABLE), anon = lru_pages(LRU_INACTIVE_ANON);

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i] = new_anon();
		CHECK(pages[i]);
		if (i % 2)
			__page_set_flags(pages[i], PAGE_FLAG(unevictable));
		lru_cache_add(pages[i]);
	}
	CHECK_EQ(lru_pages(LRU_UNEVICTABLE), locked + 3);
	CHECK_EQ(lru_pages(LRU_INACTIVE_ANON), anon + 3);
	CHECK_SOUND(lru_check());
	release_pages(pages, ARRAY_SIZE(pages));
	CHECK_EQ(lru_pages(LRU_UNEVICTABLE), locked);
	CHECK_EQ(lru_pages(LRU_INACTIVE_ANON), anon);
	CHECK_SOUND(lru_check());
}

/* Unevictable ones have a list of their own, and are freed like the others; the lock is not taken twice. */
UNIT_TEST(unevictable_pages_come_and_go)
{
	with_and_without_trace(add_and_release_unevictable);
}

UNIT_TEST(page_lock)
{
	struct page *page = alloc_page(GFP_KERNEL);

	CHECK(page);
	CHECK(trylock_page(page));
	CHECK(!trylock_page(page));
	unlock_page(page);
	wait_on_page_locked(page);
	lock_page(page);
	CHECK(page_flag(page, PG_locked));
	unlock_page(page);
	set_page_writeback(page);
	end_page_writeback(page);
	wait_on_page_writeback(page);
	CHECK(!page_flag(page, PG_writeback));
	put_page(page);
}

/* A thread that holds the lock while the other waits for it. */
static struct {
	struct page *page;
	_Atomic unsigned turns;
	struct completion done;
} pair;

#define TURNS 2000

static void take_turns(void)
{
	for (unsigned i = 0; i < TURNS; i++) {
		lock_page(pair.page);
		pair.page->private ++;
		unlock_page(pair.page);
	}
}

static void other_thread(UNUSED void *arg)
{
	take_turns();
	complete_all(&pair.done);
}

UNIT_TEST(page_lock_wakes_its_waiters)
{
	pair.page = alloc_page(GFP_KERNEL);
	CHECK(pair.page);
	pair.page->private = 0;
	init_completion(&pair.done);
	CHECK_EQ(port_kthread_start("page-lock", other_thread, NULL), 0);
	take_turns();
	wait_for_completion(&pair.done);
	CHECK_EQ(pair.page->private, 2 * TURNS);
	put_page(pair.page);
}

static void sleep_for_the_lock(UNUSED void *arg)
{
	lock_page(pair.page);
	unlock_page(pair.page);
	complete_all(&pair.done);
}

/* Not by chance: the other one is asleep before the lock is given up. */
UNIT_TEST(page_lock_is_slept_for)
{
	uint64_t end = port_now_ns() + 5000000000u;

	pair.page = alloc_page(GFP_KERNEL);
	CHECK(pair.page);
	init_completion(&pair.done);
	lock_page(pair.page);
	CHECK_EQ(port_kthread_start("page-lock", sleep_for_the_lock, NULL), 0);
	while (!page_flag(pair.page, PG_waiters) && port_now_ns() < end)
		port_cond_resched();
	CHECK(page_flag(pair.page, PG_waiters));
	CHECK(!atomic_load(&pair.done.done));
	unlock_page(pair.page);
	wait_for_completion(&pair.done);
	CHECK(!page_flag(pair.page, PG_locked));
	put_page(pair.page);
}

/*
 * A scanner has a reference to the first frame of a block for a moment, while its owner frees it: the others go, each to the list of its
 * page block's type, whatever they were before.
 */
UNIT_TEST(a_block_freed_under_a_look)
{
	uint64_t free = nr_unused_pages();
	struct page *page = alloc_pages(GFP_KERNEL, 3);

	CHECK(page);
	CHECK(get_page_unless_zero(page));
	set_frame_type(page + 1, MIGRATE_RECLAIMABLE);
	__free_pages(page, 3);
	CHECK_EQ(page_type(page + 1), pageblock_pcp_type(page + 1));
	CHECK_EQ(nr_unused_pages(), free - 1);
	put_page(page);
	CHECK_EQ(nr_unused_pages(), free);
	CHECK_SOUND(frame_check());
}
