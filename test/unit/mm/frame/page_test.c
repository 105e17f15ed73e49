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

UNIT_TEST(last_put_leaves_the_lru)
{
	uint64_t free = nr_free_pages(), anon = lru_pages(LRU_INACTIVE_ANON);
	struct page *page = new_anon();

	CHECK(page);
	lru_cache_add(page);
	CHECK_EQ(lru_pages(LRU_INACTIVE_ANON), anon + 1);
	CHECK_SOUND(lru_check());
	put_page(page);
	CHECK_EQ(lru_pages(LRU_INACTIVE_ANON), anon);
	CHECK_EQ(nr_free_pages(), free);
	CHECK_SOUND(lru_check());
	CHECK_SOUND(frame_check());
}

UNIT_TEST(release_pages_frees_those_without_users)
{
	struct page *pages[40];
	uint64_t free = nr_free_pages();

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i] = new_anon();
		CHECK(pages[i]);
		if (i % 3)
			lru_cache_add(pages[i]);
	}
	get_page(pages[7]);
	release_pages(pages, ARRAY_SIZE(pages));
	CHECK_EQ(nr_free_pages(), free - 1);
	CHECK_SOUND(lru_check());
	for_each_zone(zone)
		CHECK_GE(zone->managed, zone_free(zone));
	put_page(pages[7]);
	CHECK_EQ(nr_free_pages(), free);
	drain_local_pages();
	CHECK_SOUND(frame_check());
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
