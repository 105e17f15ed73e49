/*
 * active_inactive.c - two lists, each a clock: Linux's policy, and the default (lectures 000 and 001).
 *
 *                  used again            full
 *      brought ->  +----------+  ----->  +--------+
 *      in  (head)  | inactive |          | active |
 *                  +----------+  <-----  +--------+
 *           victim <- (tail)   deactivated (tail)
 *
 * A page used once is on the inactive list and leaves at its tail; a page used twice while there is
 * moved to the active list, where its place is not updated any more. So a scan over a large file passes through
 * the inactive list and leaves the working set alone. The four states and what a use does:
 *
 *      inactive, not referenced  ->  inactive, referenced
 *      inactive, referenced      ->  active, not referenced
 *      active, not referenced    ->  active, referenced
 *      active, referenced            stays
 *
 * balance() takes from the active tail while the active list is larger than the inactive one times a
 * ratio that grows with memory (1 below 1 GB, 3 at 1 GB, 10 at 10 GB: sqrt(10 GB)); a referenced
 * page gets a second chance there. Whether an inactive victim was used since, only its page-table entries know:
 * reclaim asks them and returns the page as referenced, which counts as a use.
 *
 * Anonymous and file pages have lists of their own; victims are taken from both in the ratio swappiness to
 * 200 - swappiness, as far as both have any.
 */
#include <quire/errno.h>
#include <quire/policy.h>
#include <quire/slab.h>
#include <quire/trace.h>

#include "lib/string.h"

#define SWAPPINESS_DEFAULT 60u
#define SWAPPINESS_MAX     200u

struct clock_state {
	unsigned swappiness;
	unsigned credit; /* Bresenham's error term between the two kinds of victims */
};

static int ai_init(struct lruvec *lruvec)
{
	struct clock_state *state = kzalloc(sizeof(*state), GFP_KERNEL);

	if (!state)
		return -ENOMEM;
	state->swappiness = SWAPPINESS_DEFAULT;
	lruvec->state = state;
	return 0;
}

static void ai_destroy(struct lruvec *lruvec)
{
	kfree(lruvec->state);
	lruvec->state = NULL;
}

static void activate(struct lruvec *lruvec, struct page *page)
{
	del_page_from_lru_list(lruvec, page);
	page_clear_flag(page, PG_referenced);
	page_set_flag(page, PG_active);
	add_page_to_lru_list(lruvec, page);
	count(PGACTIVATE);
	trace_mm_lru_activate(page_to_pfn(page).n);
}

static void ai_page_referenced(struct lruvec *lruvec, struct page *page)
{
	if (!page_flag(page, PG_referenced))
		page_set_flag(page, PG_referenced);
	else if (!page_flag(page, PG_active) && !page_flag(page, PG_unevictable))
		activate(lruvec, page);
}

/* Which kind is next, if both have any. */
static enum lru_list next_kind(struct lruvec *lruvec)
{
	struct clock_state *state = lruvec->state;

	if (page_list_empty(&lruvec->lists[LRU_INACTIVE_ANON]))
		return LRU_INACTIVE_FILE;
	if (page_list_empty(&lruvec->lists[LRU_INACTIVE_FILE]))
		return state->swappiness ? LRU_INACTIVE_ANON : LRU_INACTIVE_FILE;
	state->credit += state->swappiness;
	if (state->credit < SWAPPINESS_MAX)
		return LRU_INACTIVE_FILE;
	state->credit -= SWAPPINESS_MAX;
	return LRU_INACTIVE_ANON;
}

/* A page that is being freed waits for our lock: it goes out of the way and counts as looked at. */
static unsigned ai_choose_victims(struct lruvec *lruvec, struct page **victims, unsigned n)
{
	unsigned got = 0;

	for (unsigned looked = 0; looked < n; looked++) {
		struct page_list *list = &lruvec->lists[next_kind(lruvec)];
		struct page *page = page_list_last(list);

		if (!page)
			break;
		if (isolate_lru_page_locked(lruvec, page)) {
			victims[got++] = page;
		} else {
			page_list_del(list, page);
			page_list_add(list, page);
		}
	}
	return got;
}

static void ai_victim_returned(struct lruvec *lruvec, struct page *page, bool referenced)
{
	page_set_flag(page, PG_lru);
	add_page_to_lru_list(lruvec, page);
	if (referenced)
		ai_page_referenced(lruvec, page);
}

/* sqrt(10 * GB), at least 1: the active list's share for the size of memory. */
static uint64_t inactive_ratio(uint64_t pages)
{
	uint64_t x = 10 * (pages >> (30 - PAGE_SHIFT)), root = 1;

	while ((root + 1) * (root + 1) <= x)
		root++;
	return root;
}

static bool inactive_is_low(const struct lruvec *lruvec, enum lru_list inactive)
{
	uint64_t few = lruvec->lists[inactive].count, many = lruvec->lists[inactive + 1].count;

	return few * inactive_ratio(few + many) < many;
}

static void deactivate(struct lruvec *lruvec, struct page *page)
{
	del_page_from_lru_list(lruvec, page);
	page_clear_flag(page, PG_active);
	add_page_to_lru_list(lruvec, page);
	count(PGDEACTIVATE);
}

static void ai_balance(struct lruvec *lruvec, unsigned n)
{
	static const enum lru_list kinds[] = {LRU_INACTIVE_ANON, LRU_INACTIVE_FILE};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct page_list *active = &lruvec->lists[kinds[i] + 1];

		for (; n && inactive_is_low(lruvec, kinds[i]); n--) {
			struct page *page = page_list_last(active);

			if (page_test_and_clear_flag(page, PG_referenced)) {
				page_list_del(active, page);
				page_list_add(active, page);
			} else {
				deactivate(lruvec, page);
			}
		}
	}
}

static int ai_tune(struct lruvec *lruvec, const char *name, uint64_t value)
{
	struct clock_state *state = lruvec->state;

	if (strcmp(name, "swappiness") != 0)
		return -ENOENT;
	if (value > SWAPPINESS_MAX)
		return -EINVAL;
	state->swappiness = (unsigned)value;
	return 0;
}

const struct policy policy_active_inactive = {
        .name = "active-inactive",
        .what = "two clocks: pages used twice are kept from pages used once (Linux)",
        .init = ai_init,
        .destroy = ai_destroy,
        .page_referenced = ai_page_referenced,
        .choose_victims = ai_choose_victims,
        .victim_returned = ai_victim_returned,
        .balance = ai_balance,
        .tune = ai_tune,
};
