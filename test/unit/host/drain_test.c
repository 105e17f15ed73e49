/*
 * drain_test.c - frames on the lists of a CPU that idles: they are free, so whoever may wait for them gets them.
 */
#include "host/internal.h"
#include "mm/frame/internal.h"
#include "test/unit/unit.h"

#define MB   (1ull << 20)
#define KEPT 60u
#define FEW  4u

static struct host_machine *outer, *own;
static struct page *taken[(16 * MB) >> PAGE_SHIFT];

static uint64_t take_all(gfp_t gfp)
{
	uint64_t n = 0;

	while (n < ARRAY_SIZE(taken) && (taken[n] = alloc_page(gfp | __GFP_NOWARN)))
		n++;
	return n;
}

static void give_back(uint64_t n)
{
	while (n)
		__free_page(taken[--n]);
}

/* On the other CPU, which does nothing after that: single frames stay on its lists. */
static void come_and_go(void *unused UNUSED)
{
	static struct page *page[KEPT];

	for (unsigned i = 0; i < KEPT; i++)
		page[i] = alloc_page(GFP_KERNEL);
	for (unsigned i = 0; i < KEPT; i++)
		__free_page(page[i]);
}

static uint64_t kept_by(unsigned cpu)
{
	uint64_t pages = 0;

	for_each_zone(zone)
		pages += zone_pcp_pages_of(zone, cpu);
	return pages;
}

static void check_idle_cpu_gives(void)
{
	uint64_t n, kept;

	host_join(host_run_on(own, 1, come_and_go, NULL));
	kept = kept_by(1);
	CHECK_GT(kept, 0);
	n = take_all(GFP_NOWAIT); /* without waiting they are out of reach */
	CHECK_EQ(kept_by(1), kept);
	give_back(n);
	n = take_all(GFP_KERNEL | __GFP_NORETRY);
	CHECK_EQ(kept_by(1), 0);
	give_back(n);
	CHECK_SOUND(frame_check());
}

UNIT_TEST(idle_cpu)
{
	outer = host_of(machine());
	own = host_create(&(struct host_config){.ram = 16 * MB, .cpus = 2, .seed = unit_seed()});
	CHECK(own);
	check_idle_cpu_gives();
	host_destroy(own);
	host_enter(outer, 0);
}

/* --- who waits for ever ------------------------------------------------------------------------ */

static uint64_t nr_taken, kept_late;
static unsigned calls;

static void give_back_some(uint64_t n)
{
	while (n-- && nr_taken)
		__free_page(taken[--nr_taken]);
}

static void free_some(void *unused UNUSED)
{
	drain_local_pages(); /* it has heard already that somebody is in want */
	give_back_some(FEW);
}

/* Nothing is won; but at the third call another CPU frees some frames and idles. */
static uint64_t others_free(gfp_t gfp UNUSED, unsigned order UNUSED)
{
	if (++calls == 3) {
		host_join(host_run_on(own, 1, free_some, NULL));
		kept_late = kept_by(1);
	}
	if (calls == 50) /* it should have come by them long ago */
		give_back_some(nr_taken);
	return 0;
}

UNIT_TEST(nofail_finds_what_others_free_later)
{
	uint64_t (*hook)(gfp_t, unsigned) = reclaim_hook;
	struct page *page;

	outer = host_of(machine());
	own = host_create(&(struct host_config){.ram = 16 * MB, .cpus = 2, .seed = unit_seed()});
	CHECK(own);
	nr_taken = take_all(GFP_KERNEL | __GFP_NORETRY);
	calls = 0;
	reclaim_hook = others_free;
	page = alloc_page(GFP_KERNEL | __GFP_NOFAIL);
	reclaim_hook = hook;
	CHECK(page);
	CHECK_GT(kept_late, 0);
	CHECK_LT(calls, 10);
	__free_page(page);
	give_back(nr_taken);
	CHECK_SOUND(frame_check());
	host_destroy(own);
	host_enter(outer, 0);
}
