/*
 * kva_search_test.c - how far the search for a gap between kernel areas goes: one way down a tree, so with 128 times the areas it looks
 * at a few more.
 *
 * The build in which every access is seen (build/unit-sched) counts; in others there is nothing to count.
 */
#include "host/schedule.h"
#include "mm/kva/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <quire/check.h>

#define MB   (1ull << 20)
#define FEW  32u
#define MANY 4096u

static struct vmap_area *area[2 * MANY];
static unsigned accesses;

static void count_access(const volatile void *at, bool stores UNUSED)
{
	accesses += at != (const volatile void *)&host_access_hook;
}

static struct vmap_area *make(unsigned pages)
{
	const struct kva_state *k = kva_state();
	const struct vmap_request request = {
	        .pages = pages,
	        .align = PAGE_SIZE,
	        .start = k->start,
	        .end = k->end,
	        .kind = VMALLOC_MAP,
	        .gfp = GFP_KERNEL,
	};
	struct vmap_area *made = vmap_area_alloc(&request);

	if (made)
		vmap_area_publish(made);
	return made;
}

static void end(struct vmap_area *a)
{
	CHECK_EQ(vmap_area_take((void *)(uintptr_t)a->start, 1u << VMALLOC_MAP, "test"), a);
	vmap_area_free_lazy(a);
}

/* n areas with gaps of two pages between them. *cost: of one of six pages, which must go behind them all, and of finding and freeing it. */
static void cost_among(unsigned n, unsigned *cost)
{
	struct vmap_area *last;

	for (unsigned i = 0; i < 2 * n; i++)
		CHECK((area[i] = make(1)));
	for (unsigned i = 1; i < 2 * n - 1; i += 2)
		CHECK_CALL(end(area[i]));
	purge_vmap_area_lazy();
	CHECK_SOUND(kva_check());
	accesses = 0;
	host_access_hook = count_access;
	last = make(5);
	host_access_hook = NULL;
	CHECK(last);
	CHECK_EQ(last->start, area[2 * n - 1]->end);
	host_access_hook = count_access;
	end(last);
	host_access_hook = NULL;
	for (unsigned i = 0; i < 2 * n; i += i < 2 * n - 2 ? 2 : 1)
		CHECK_CALL(end(area[i]));
	purge_vmap_area_lazy();
	*cost = accesses;
}

UNIT_TEST(a_search_goes_one_way_down)
{
	unsigned few = 0, many = 0;

	if (!host_sees_accesses)
		return;
	CHECK(own_enter(&(struct host_config){.ram = 64 * MB, .cpus = 1}));
	machine()->trace_on = false;
	CHECK_CALL(cost_among(FEW, &few));
	CHECK_CALL(cost_among(MANY, &many));
	CHECK_GT(few, 20);
	CHECK_LT(many, 2 * few);
	own_leave();
}
