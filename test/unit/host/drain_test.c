/*
 * drain_test.c - frames on the lists of a CPU that idles: they are free, so whoever may wait for them gets them.
 */
#include "host/internal.h"
#include "mm/frame/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#define MB   (1ull << 20)
#define KEPT 60u

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

static struct page *held[KEPT];

static void hold(void *unused UNUSED)
{
	for (unsigned i = 0; i < KEPT; i++)
		held[i] = alloc_page(GFP_KERNEL);
}

static void let_go(void *unused UNUSED)
{
	for (unsigned i = 0; i < KEPT; i++)
		__free_page(held[i]);
}

static void keep_movable(void *unused UNUSED)
{
	struct page *page = alloc_page(GFP_HIGHUSER_MOVABLE);

	__free_page(page);
}

static uint64_t kept_movable(unsigned cpu)
{
	uint64_t pages = 0;

	for_each_zone(zone) {
		const struct per_cpu_pages *pcp =
		        zone_pcp(machine()->cpu[cpu], zone, MIGRATE_MOVABLE);

		pages += pcp_count(pcp) + atomic_load(&pcp->cold_count);
	}
	return pages;
}

/* A CPU that only frees hears that memory is short when a list of its is full, and gives all of them. */
static void check_freeing_cpu_gives(void)
{
	uint64_t n;

	host_join(host_run_on(own, 1, hold, NULL));
	host_join(host_run_on(own, 1, keep_movable, NULL));
	n = take_all(GFP_NOWAIT);
	CHECK_GT(kept_movable(1), 0);
	host_join(host_run_on(own, 1, let_go, NULL));
	CHECK_EQ(kept_movable(1), 0);
	give_back(n);
	CHECK_SOUND(frame_check());
}

static void on_machine(const char *boot_words, void (*check)(void))
{
	CHECK(own_enter(&(struct host_config){
	        .ram = 16 * MB, .cpus = 2, .seed = unit_seed(), .boot_words = boot_words}));
	check();
	own_leave();
}

UNIT_TEST(idle_cpu)
{
	on_machine(NULL, check_idle_cpu_gives);
}

UNIT_TEST(freeing_cpu)
{
	on_machine(NULL, check_freeing_cpu_gives);
}

/* --- while somebody frees memory for the request --------------------------------------------------------------- */

#define BLOCKS   4u
#define GIVEN_UP 40u /* rounds after which the test itself gives memory back, so that it ends */

static struct {
	unsigned order, round, calls;
	uint64_t says; /* how many frames reclaim claims to have freed */
	struct page *block[BLOCKS];
} help;

/* On the other CPU, on whose list they stay. */
static void free_blocks(void *unused UNUSED)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		__free_pages(help.block[i], help.order);
}

/* In one of the rounds blocks come back, but not here. */
static uint64_t freed_elsewhere(gfp_t gfp UNUSED, unsigned order UNUSED)
{
	if (++help.calls == help.round)
		host_join(host_run_on(own, 1, free_blocks, NULL));
	if (help.calls == GIVEN_UP)
		while (kept_by(1))
			drain_all_pages();
	return help.says;
}

/* Nothing is left of the order, but what reclaim is going to give. Does the request get it, and in which round? */
static unsigned helped(gfp_t gfp, unsigned order, unsigned round, uint64_t says)
{
	struct page *page;
	uint64_t n;

	help = (typeof(help)){.order = order, .round = round, .says = says};
	for (unsigned i = 0; i < BLOCKS; i++)
		help.block[i] = alloc_pages(GFP_KERNEL, order);
	n = take_all(GFP_KERNEL | __GFP_NORETRY);
	reclaim_hook = freed_elsewhere;
	page = alloc_pages(gfp | __GFP_NOWARN, order);
	reclaim_hook = NULL;
	if (page)
		__free_pages(page, order);
	if (help.calls < round)
		free_blocks(NULL);
	give_back(n);
	drain_all_pages();
	return page ? help.calls : 0;
}

static void check_helped(void)
{
	uint64_t (*hook)(gfp_t gfp, unsigned order) = reclaim_hook;

	CHECK_EQ(helped(GFP_KERNEL | __GFP_NORETRY, 0, 1, 0), 1);
	CHECK_EQ(helped(GFP_KERNEL | __GFP_NORETRY, 0, 1, BLOCKS), 1);
	CHECK_EQ(helped(GFP_KERNEL | __GFP_NORETRY, 3, 1, BLOCKS), 1);
	CHECK_EQ(helped(GFP_KERNEL, pageblock_order, 1, BLOCKS), 1);
	CHECK_EQ(helped(GFP_KERNEL, 0, 1, BLOCKS), 1);
	CHECK_EQ(helped(GFP_KERNEL | __GFP_NOFAIL, 0, 3, 0), 3);
	CHECK_EQ(helped(GFP_KERNEL | __GFP_NOFAIL, 3, 3, 0), 3);
	CHECK_EQ(helped(GFP_KERNEL | __GFP_REPEAT, pageblock_order, 3, 0), 3);
	reclaim_hook = hook;
	CHECK_SOUND(frame_check());
}

/* What another CPU keeps is had in each round of a request, whatever the round has brought here. */
UNIT_TEST(each_round)
{
	on_machine("pcp_blocks=4", check_helped);
}
