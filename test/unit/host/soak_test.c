/*
 * soak_test.c - the soak on four threads, with an interrupt now and then (host/cpu.c).
 */
#include "host/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/soak.h"

#include <quire/check.h>
#include <quire/kva.h>
#include <quire/slab.h>

#define CPUS    4u
#define SECONDS 1u

static _Atomic bool running;

static void interrupt(void)
{
	if (atomic_load(&running))
		soak_step();
}

static void work(UNUSED void *arg)
{
	while (atomic_load(&running)) {
		soak_step();
		host_point();
	}
}

static void stop_after(UNUSED void *arg)
{
	uint64_t end = port_now_ns() + (unit_thorough() ? 60 : SECONDS) * 1000000000ull / 2;

	while (port_now_ns() < end)
		soak_step();
	atomic_store(&running, false);
}

static uint64_t free_frames(void)
{
	vm_unmap_aliases();
	slab_flush_all();
	kmem_cache_shrink_all();
	drain_local_pages();
	return nr_free_pages() + frame_kind_pages(FRAME_PAGETABLE);
}

static void soak(struct host_machine *h)
{
	struct soak_report threads, interrupts;
	struct host_task *task[CPUS];
	uint64_t before = free_frames();

	CHECK_CALL(soak_begin(unit_seed()));
	atomic_store(&running, true);
	for (unsigned i = 1; i < CPUS; i++)
		CHECK(task[i] = host_run_on(h, i, work, NULL));
	stop_after(NULL);
	for (unsigned i = 1; i < CPUS; i++)
		host_join(task[i]);
	CHECK_CALL(soak_end(&threads, &interrupts));
	CHECK_MSG(!threads.broken, "%s contents were changed", threads.broken);
	CHECK_EQ(threads.made + interrupts.made, threads.freed + interrupts.freed);
	CHECK_GT(interrupts.made, 0);
	CHECK_SOUND(mm_check());
	CHECK_EQ(free_frames(), before);
	if (unit_verbose())
		unit_printf("     %llu allocations, %llu in interrupts, %llu refused\n",
		            (unsigned long long)(threads.made + interrupts.made),
		            (unsigned long long)interrupts.made,
		            (unsigned long long)(threads.refused + interrupts.refused));
}

static void soak_machine(bool poison)
{
	CHECK(own_enter(&(struct host_config){.ram = 24ull << 20,
	                                      .cpus = CPUS,
	                                      .seed = unit_seed(),
	                                      .watch_locks = true,
	                                      .interrupt = interrupt}));
	check_poison(poison);
	soak(own);
	check_poison(false);
	own_leave();
}

UNIT_TEST(soak)
{
	CHECK_CALL(soak_machine(false));
}

UNIT_TEST(soak_with_poison)
{
	CHECK_CALL(soak_machine(true));
}
