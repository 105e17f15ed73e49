/*
 * fast_path_test.c - what an order-0 allocation and its free touch in steady state: this CPU's area, the frame's own
 * descriptor, and lines that nobody writes. So no lock, and no line that goes back and forth between CPUs.
 *
 * The build in which every access is seen (build/unit-sched) watches; in others there is nothing to see but which frames it is.
 */
#include "host/schedule.h"
#include "lib/random.h"
#include "mm/frame/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#define MB    (1ull << 20)
#define PAIRS 8u /* frames at once: more than one, fewer than a list holds */
#define LINES 256u

/* Lines, by address / CACHELINE. */
struct lines {
	uintptr_t line[LINES];
	unsigned n;
};
static struct lines stored, loaded; /* that are nobody's own */
static uintptr_t stack;             /* somewhere in it */
static unsigned accesses;

static void note(struct lines *lines, uintptr_t at)
{
	for (unsigned i = 0; i < lines->n; i++)
		if (lines->line[i] == at / CACHELINE)
			return;
	if (lines->n < LINES)
		lines->line[lines->n++] = at / CACHELINE;
}

static bool in(uintptr_t at, const volatile void *start, size_t size)
{
	return at - (uintptr_t)start < size;
}

static bool on_stack(uintptr_t at)
{
	return at - (stack - 65536) < 2 * 65536;
}

/* The descriptors are looked at afterwards: those of frames that were given out, and of frames next on the list. */
static void watch(const volatile void *where, bool stores)
{
	const uintptr_t at = (uintptr_t)where;

	if (in(at, &host_access_hook, sizeof(host_access_hook)))
		return; /* the test's end of watching */
	accesses++;
	if (on_stack(at) || in(at, &host, sizeof(host)) || in(at, this_cpu(), sizeof(*this_cpu())))
		return;
	note(stores ? &stored : &loaded, at);
}

/* Frames come and go as in steady state: some at once, so that the list is gone down and up. */
static void pairs(struct page *pages[PAIRS], gfp_t gfp)
{
	for (unsigned i = 0; i < PAIRS; i++)
		pages[i] = alloc_pages(gfp, 0);
	for (unsigned i = 0; i < PAIRS; i++)
		__free_pages(pages[i], 0);
}

/* Of the frames that were just used: their descriptors, and so the lines of their neighbours'. */
static bool is_descriptor_of(uintptr_t line, struct page *const pages[PAIRS])
{
	for (unsigned i = 0; i < PAIRS; i++)
		if ((uintptr_t)pages[i] / CACHELINE == line)
			return true;
	return false;
}

static void enter(void)
{
	CHECK(own_enter(&(struct host_config){.ram = 64 * MB, .cpus = 2}));
	machine()->trace_on = false;
	stack = (uintptr_t)__builtin_frame_address(0);
}

static void watched_pairs(struct page *pages[PAIRS], gfp_t gfp)
{
	stored.n = loaded.n = accesses = 0;
	host_access_hook = watch;
	pairs(pages, gfp);
	host_access_hook = NULL;
}

/* Returns how many of the lines that were stored to are nobody's own. */
static unsigned shared_stores(struct page *const pages[PAIRS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < stored.n; i++)
		n += !is_descriptor_of(stored.line[i], pages);
	return n;
}

static bool both(uintptr_t line, const struct lines *lines)
{
	for (unsigned i = 0; i < lines->n; i++)
		if (lines->line[i] == line)
			return true;
	return false;
}

UNIT_TEST(order_0_stores_to_no_shared_line)
{
	static const gfp_t kinds[] = {GFP_KERNEL, GFP_ATOMIC, GFP_HIGHUSER_MOVABLE};
	struct page *pages[PAIRS];

	if (!host_sees_accesses)
		return;
	CHECK_CALL(enter());
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		drain_local_pages();
		pairs(pages, kinds[i]);
		pairs(pages, kinds[i]);
		watched_pairs(pages, kinds[i]);
		CHECK_GT(accesses, 8 * PAIRS); /* the watch does see */
		CHECK_EQ(shared_stores(pages), 0);
	}
	/* It sees a lock, too: a frame too many for the list. */
	drain_local_pages();
	watched_pairs(pages, GFP_KERNEL);
	CHECK_GT(shared_stores(pages), 0);
	own_leave();
}

/* What it loads beside its own - the machine, its tables - the other CPU stores to as little. */
UNIT_TEST(order_0_loads_what_nobody_writes)
{
	static struct lines first;
	struct page *pages[PAIRS], *others[PAIRS];

	if (!host_sees_accesses)
		return;
	CHECK_CALL(enter());
	pairs(pages, GFP_KERNEL);
	pairs(pages, GFP_KERNEL);
	watched_pairs(pages, GFP_KERNEL);
	first = loaded;
	CHECK_GT(first.n, 0);
	host_enter(own, 1);
	pairs(others, GFP_KERNEL);
	pairs(others, GFP_KERNEL);
	stored.n = 0;
	host_access_hook = watch;
	pairs(others, GFP_KERNEL);
	host_access_hook = NULL;
	for (unsigned i = 0; i < stored.n; i++)
		CHECK(!both(stored.line[i], &first));
	host_enter(own, 0);
	own_leave();
}

static void take(struct page **pages, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		CHECK((pages[i] = alloc_pages(GFP_KERNEL, 0)));
}

/* All of them, in random order: what stays in the lists comes from anywhere. */
static void give_shuffled(struct page **pages, unsigned n)
{
	while (n) {
		const unsigned i = (unsigned)random_below(unit_random(), n);

		__free_pages(pages[i], 0);
		pages[i] = pages[--n];
	}
}

/* A frame's descriptor is its own, but half a line: whatever was before, CPUs do not live on halves of the same lines. */
UNIT_TEST(cpus_do_not_share_pairs)
{
	static struct page *many[4000];
	struct page *mine[PAIRS], *others[PAIRS];

	CHECK_CALL(enter());
	CHECK_CALL(take(many, ARRAY_SIZE(many)));
	give_shuffled(many, ARRAY_SIZE(many));
	host_enter(own, 1);
	CHECK_CALL(take(others, PAIRS));
	host_enter(own, 0);
	CHECK_CALL(take(mine, PAIRS));
	for (unsigned i = 0; i < PAIRS; i++)
		for (unsigned k = 0; k < PAIRS; k++)
			CHECK_NE((uintptr_t)mine[i] / CACHELINE, (uintptr_t)others[k] / CACHELINE);
	give_shuffled(mine, PAIRS);
	give_shuffled(others, PAIRS);
	own_leave();
}
