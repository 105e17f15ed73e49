/*
 * active_inactive_test.c - what the default policy makes of reference strings. A lruvec of its own.
 */
#include "mm/frame/internal.h"
#include "test/unit/unit.h"

#include <quire/errno.h>

#define NPAGES 8

struct lab {
	struct lruvec v;
	struct page *page[NPAGES];
};

static struct lab lab;

static void lab_open(uint32_t flags)
{
	lab = (struct lab){.v.policy = &policy_active_inactive};
	for (unsigned i = 0; i < NR_LRU_LISTS; i++)
		page_list_init(&lab.v.lists[i]);
	CHECK_EQ(lab.v.policy->init(&lab.v), 0);
	for (unsigned i = 0; i < NPAGES; i++) {
		lab.page[i] = alloc_page(GFP_KERNEL);
		CHECK(lab.page[i]);
		__page_set_flags(lab.page[i], flags | PAGE_FLAG(lru));
		add_page_to_lru_list(&lab.v, lab.page[i]);
	}
}

static void lab_close(void)
{
	for (unsigned i = 0; i < NPAGES; i++) {
		if (page_flag(lab.page[i], PG_lru))
			del_page_from_lru_list(&lab.v, lab.page[i]);
		__page_clear_flags(lab.page[i], ~PAGE_FLAGS_FREE);
		CHECK_EQ(page_count(lab.page[i]), 1);
		put_page(lab.page[i]);
	}
	for (unsigned i = 0; i < NR_LRU_LISTS; i++)
		CHECK_EQ(lab.v.lists[i].count, 0);
	lab.v.policy->destroy(&lab.v);
}

static void use(unsigned i)
{
	lab.v.policy->page_referenced(&lab.v, lab.page[i]);
}

static unsigned number_of(const struct page *page)
{
	for (unsigned i = 0; i < NPAGES; i++)
		if (lab.page[i] == page)
			return i;
	return NPAGES;
}

/* Victims come with a reference of their own. */
static unsigned choose(struct page **victims, unsigned n)
{
	unsigned got = lab.v.policy->choose_victims(&lab.v, victims, n);

	for (unsigned i = 0; i < got; i++)
		put_page(victims[i]);
	return got;
}

static void expect_victim(unsigned i)
{
	struct page *victim = NULL;

	CHECK_EQ(choose(&victim, 1), 1);
	CHECK_EQ(number_of(victim), i);
}

UNIT_TEST(four_states)
{
	struct page *p;

	CHECK_CALL(lab_open(0));
	p = lab.page[3];
	use(3);
	CHECK(page_flag(p, PG_referenced) && !page_flag(p, PG_active));
	use(3);
	CHECK(!page_flag(p, PG_referenced) && page_flag(p, PG_active));
	CHECK_EQ(lab.v.lists[LRU_ACTIVE_FILE].count, 1);
	use(3);
	CHECK(page_flag(p, PG_referenced) && page_flag(p, PG_active));
	use(3);
	CHECK(page_flag(p, PG_referenced) && page_flag(p, PG_active));
	CHECK_CALL(lab_close());
}

/* 0 1 2 ... 7, used once each: first in, first out. 1 and 4 used twice: kept from the scan. */
UNIT_TEST(a_scan_does_not_push_out_the_working_set)
{
	static const unsigned order[] = {0, 2, 3, 5, 6, 7};

	CHECK_CALL(lab_open(0));
	use(1), use(1), use(4), use(4);
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		CHECK_CALL(expect_victim(order[i]));
	CHECK_EQ(lab.v.lists[LRU_ACTIVE_FILE].count, 2);
	CHECK_EQ(lab.v.lists[LRU_INACTIVE_FILE].count, 0);
	CHECK_CALL(lab_close());
}

/* A victim found in use goes round once more; found again, it is active. */
UNIT_TEST(second_chance)
{
	struct page *victim = NULL;

	CHECK_CALL(lab_open(PAGE_FLAG(swapbacked)));
	CHECK_EQ(choose(&victim, 1), 1);
	CHECK_EQ(number_of(victim), 0);
	CHECK(!page_flag(victim, PG_lru));
	lab.v.policy->victim_returned(&lab.v, victim, true);
	CHECK_EQ(lab.v.lists[LRU_INACTIVE_ANON].count, NPAGES);
	for (unsigned i = 1; i < NPAGES; i++)
		CHECK_CALL(expect_victim(i));
	CHECK_CALL(expect_victim(0));
	lab.v.policy->victim_returned(&lab.v, lab.page[0], true);
	CHECK(page_flag(lab.page[0], PG_active));
	CHECK_EQ(choose(&victim, 1), 0);
	CHECK_CALL(lab_close());
}

/* Its last reference has gone and the one who dropped it waits for our lock: the page must stay on its list. */
UNIT_TEST(a_page_that_is_being_freed_is_no_victim)
{
	struct page *victim = NULL;

	CHECK_CALL(lab_open(0));
	atomic_store(&lab.page[0]->_refcount, 0);
	CHECK_EQ(choose(&victim, 1), 0);
	CHECK_EQ(page_count(lab.page[0]), 0);
	CHECK(page_flag(lab.page[0], PG_lru));
	CHECK_CALL(expect_victim(1));
	atomic_store(&lab.page[0]->_refcount, 1);
	CHECK_CALL(lab_close());
}

UNIT_TEST(balance_gives_referenced_pages_a_second_chance)
{
	CHECK_CALL(lab_open(0));
	for (unsigned i = 0; i < NPAGES; i++)
		use(i), use(i);
	use(0), use(1);
	CHECK_EQ(lab.v.lists[LRU_ACTIVE_FILE].count, NPAGES);
	lab.v.policy->balance(&lab.v, 100);
	/* Ratio 1: half and half. 0 and 1 were referenced, so 2, 3, 4, 5 went. */
	CHECK_EQ(lab.v.lists[LRU_INACTIVE_FILE].count, 4);
	CHECK(page_flag(lab.page[0], PG_active) && !page_flag(lab.page[0], PG_referenced));
	CHECK_CALL(expect_victim(2));
	CHECK_CALL(expect_victim(3));
	lab.v.policy->balance(&lab.v, 0);
	CHECK_EQ(lab.v.lists[LRU_INACTIVE_FILE].count, 2);
	CHECK_CALL(lab_close());
}

UNIT_TEST(swappiness_shares_between_the_kinds)
{
	struct page *victims[4];
	unsigned anon = 0;

	CHECK_CALL(lab_open(0));
	for (unsigned i = 0; i < 4; i++) {
		del_page_from_lru_list(&lab.v, lab.page[i]);
		__page_set_flags(lab.page[i], PAGE_FLAG(swapbacked));
		add_page_to_lru_list(&lab.v, lab.page[i]);
	}
	CHECK_EQ(lab.v.policy->tune(&lab.v, "swappiness", 201), -EINVAL);
	CHECK_EQ(lab.v.policy->tune(&lab.v, "no-such", 1), -ENOENT);
	CHECK_EQ(lab.v.policy->tune(&lab.v, "swappiness", 100), 0);
	CHECK_EQ(choose(victims, 4), 4);
	for (unsigned i = 0; i < 4; i++)
		anon += page_flag(victims[i], PG_swapbacked);
	CHECK_EQ(anon, 2);
	CHECK_EQ(lab.v.policy->tune(&lab.v, "swappiness", 0), 0);
	CHECK_EQ(choose(victims, 4), 2);
	CHECK_CALL(lab_close());
}

/* 60 of 200: the share is exact over a round, though it does not divide it. */
UNIT_TEST(swappiness_is_a_share)
{
	struct page *victim;
	unsigned anon = 0;

	CHECK_CALL(lab_open(0));
	for (unsigned i = 0; i < 4; i++) {
		del_page_from_lru_list(&lab.v, lab.page[i]);
		__page_set_flags(lab.page[i], PAGE_FLAG(swapbacked));
		add_page_to_lru_list(&lab.v, lab.page[i]);
	}
	for (unsigned i = 0; i < 200; i++) {
		CHECK_EQ(choose(&victim, 1), 1);
		anon += page_flag(victim, PG_swapbacked);
		lab.v.policy->victim_returned(&lab.v, victim, false);
	}
	CHECK_EQ(anon, 60);
	CHECK_CALL(lab_close());
}

UNIT_TEST(unevictable_pages_stay)
{
	struct page *victim;

	CHECK_CALL(lab_open(PAGE_FLAG(unevictable)));
	use(0), use(0), use(0);
	CHECK(!page_flag(lab.page[0], PG_active));
	CHECK_EQ(lab.v.lists[LRU_UNEVICTABLE].count, NPAGES);
	CHECK_EQ(choose(&victim, 1), 0);
	CHECK_CALL(lab_close());
}

/* Through the page's own interface. */
UNIT_TEST(mark_page_accessed_twice_activates)
{
	struct page *page = alloc_page(GFP_KERNEL);
	uint64_t active = lru_pages(LRU_ACTIVE_FILE);

	CHECK(page);
	mark_page_accessed(page); /* not yet on a list: remembered */
	CHECK(page_flag(page, PG_referenced));
	lru_cache_add(page);
	mark_page_accessed(page);
	CHECK_EQ(lru_pages(LRU_ACTIVE_FILE), active + 1);
	CHECK_SOUND(lru_check());
	put_page(page);
	CHECK_EQ(lru_pages(LRU_ACTIVE_FILE), active);
}

UNIT_TEST(policies_have_names)
{
	CHECK_EQ(policy_find("active-inactive"), &policy_active_inactive);
	CHECK_EQ(policy_find("no-such"), NULL);
}
