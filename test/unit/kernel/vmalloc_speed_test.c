/*
 * vmalloc_speed_test.c - what vmalloc and vfree cost: figures for bench/vmalloc.sh, where a nanosecond is an instruction.
 *
 * A pair of calls, on average over many, so that each bears its part of the purges. Shown when tests are verbose.
 */
#include "mm/kva/internal.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/trace.h>

struct cost {
	uint64_t pair, alloc;
};

static void *measure_pairs(size_t size, unsigned n, struct cost *cost)
{
	uint64_t start = port_now_ns(), between, alloc = 0;

	for (unsigned i = 0; i < n; i++) {
		void *p;

		between = port_now_ns();
		p = vmalloc(size);
		alloc += port_now_ns() - between;
		if (!p)
			return NULL;
		vfree(p);
	}
	cost->pair = (port_now_ns() - start) / n;
	cost->alloc = alloc / n;
	return cost;
}

/* One of a few hundred areas goes and another comes, so that the search has a tree to go down. */
static void measure_in_a_crowd(uint64_t *pair)
{
	enum { CROWD = 300 };
	static void *p[CROWD];
	uint64_t start;

	for (unsigned i = 0; i < CROWD; i++)
		CHECK(p[i] = vmalloc(PAGE_SIZE));
	start = port_now_ns();
	for (unsigned i = 0; i < 2 * CROWD; i++) {
		vfree(p[i * 7 % CROWD]);
		CHECK(p[i * 7 % CROWD] = vmalloc(PAGE_SIZE));
	}
	*pair = (port_now_ns() - start) / (2 * CROWD);
	for (unsigned i = 0; i < CROWD; i++)
		vfree(p[i]);
}

/* The tree and the description by themselves: what a cache of areas for each CPU could save. */
static uint64_t measure_addresses(void)
{
	enum { N = 20000 };
	const struct kva_state *k = kva_state();
	const struct vmap_request request = {.pages = 1,
	                                     .align = PAGE_SIZE,
	                                     .start = k->start,
	                                     .end = k->end,
	                                     .kind = VMALLOC_MAP,
	                                     .gfp = GFP_KERNEL};
	uint64_t start = port_now_ns();

	for (unsigned i = 0; i < N; i++) {
		struct vmap_area *area = vmap_area_alloc(&request);

		if (area)
			vmap_area_free_lazy(area);
	}
	return (port_now_ns() - start) / N;
}

UNIT_TEST(pairs)
{
	static const struct {
		const char *name;
		size_t size;
		unsigned n;
	} rows[] = {{"4 KB", 4 << 10, 20000}, {"16 KB", 16 << 10, 8000}, {"64 KB", 64 << 10, 4000},
	            {"1 MB", 1 << 20, 200},   {"2 MB", 2 << 20, 200},    {"64 MB", 64 << 20, 10}};
	struct cost cost;
	uint64_t crowd = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK(measure_pairs(rows[i].size, 2, &cost)); /* tables, slabs */
		CHECK(measure_pairs(rows[i].size, rows[i].n, &cost));
		unit_printf("%-8s vmalloc %9lu  vfree %9lu\n", rows[i].name, cost.alloc,
		            cost.pair - cost.alloc);
	}
	CHECK_CALL(measure_in_a_crowd(&crowd));
	unit_printf("addresses alone, a pair: %lu\n", measure_addresses());
	unit_printf("4 KB among 300 others: vfree and vmalloc %lu\n", crowd);
	vm_unmap_aliases();
}
