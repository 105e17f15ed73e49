/*
 * linux_alloc.c - a module for the Linux that Quire is compared with: the rows of alloc_rows.h, printed to the kernel's log.
 */
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/slab.h>

static u64 bench_now(void)
{
	return ktime_get_ns();
}

#include "alloc_rows.h"

static int __init alloc_speed_init(void)
{
	bench_cache = kmem_cache_create("bench", 64, 0, 0, NULL);
	if (!bench_cache)
		return -ENOMEM;
	for (unsigned int i = 0; i < BENCH_ROWS; i++)
		pr_info("bench: %s|%llu\n", bench_rows[i].name, bench_row_cost(&bench_rows[i]));
	kmem_cache_destroy(bench_cache);
	return 0;
}
module_init(alloc_speed_init);
MODULE_LICENSE("Dual MIT/GPL");
