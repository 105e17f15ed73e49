/*
 * alloc_speed_test.c - what frames and objects cost in the kernel: figures for bench/kernel.sh, where a nanosecond is an instruction.
 * Shown when tests are verbose.
 */
#include "test/unit/unit.h"

#include <quire/frame.h>
#include <quire/slab.h>

static uint64_t bench_now(void)
{
	return port_now_ns();
}

#include "bench/alloc_rows.h"

UNIT_TEST(rows)
{
	bench_cache = kmem_cache_create("bench", 64, 0, SLAB_NO_MERGE, NULL);
	CHECK(bench_cache);
	for (unsigned i = 0; i < BENCH_ROWS; i++) {
		uint64_t cost = bench_row_cost(&bench_rows[i]);

		CHECK(cost);
		unit_printf("bench: %s|%lu\n", bench_rows[i].name, cost);
	}
	kmem_cache_destroy(bench_cache);
}
