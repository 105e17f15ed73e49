/*
 * soak_test.c - the soak on the machine that booted: two threads for each CPU, a timer on each, and calls from CPU to CPU.
 *
 *     ./quire run --mem 48M --cpus 4 --kernel build/quire-test.elf --selftest=soak --set soak_seconds=60 --set unit_verbose=1
 *
 * Half of the time the allocators are careful: freed frames are filled with junk, and every fast path is closed.
 */
#include "kernel/sched.h"
#include "kernel/task.h"
#include "kernel/time.h"
#include "test/unit/soak.h"

#include <quire/check.h>
#include <quire/kva.h>
#include <quire/slab.h>

#define THREADS_PER_CPU 2u
#define TIMER_NS        2000000u
#define STEPS_IN_TIMER  4u

static _Atomic bool running;
static _Atomic unsigned live;
static struct completion all_ended;
static struct timer_entry timer[QUIRE_MAX_CPUS];

static void steps_in_interrupt(UNUSED void *arg)
{
	for (unsigned i = 0; i < STEPS_IN_TIMER; i++)
		soak_step();
}

static void tick(struct timer_entry *t)
{
	if (!atomic_load(&running))
		return;
	steps_in_interrupt(NULL);
	timer_add(t, port_now_ns() + TIMER_NS);
}

static void work(UNUSED void *arg)
{
	for (unsigned n = 1; atomic_load(&running); n++) {
		soak_step();
		if (n % 64 == 0)
			port_cond_resched();
		if (n % 1024 == 0)
			port_call_cpus(cpus_online(), steps_in_interrupt, NULL);
	}
	if (atomic_fetch_sub(&live, 1) == 1)
		complete_all(&all_ended);
}

/* Each on its CPU, where the timers are, too. */
static void start_timer(UNUSED void *arg)
{
	timer_setup(&timer[cpu_id()], tick);
	timer_add(&timer[cpu_id()], port_now_ns() + TIMER_NS);
}

static void start(unsigned cpus)
{
	struct task_struct *task;

	init_completion(&all_ended);
	atomic_store(&running, true);
	atomic_store(&live, cpus * THREADS_PER_CPU);
	for (unsigned i = 0; i < cpus * THREADS_PER_CPU; i++) {
		task = kthread_create("soak", work, NULL);
		CHECK(task);
		CHECK_EQ(set_cpus_allowed(task, 1ull << i % cpus), 0);
		put_task(task);
	}
	port_call_cpus(cpus_online(), start_timer, NULL);
}

static void stop(unsigned cpus)
{
	atomic_store(&running, false);
	wait_for_completion(&all_ended);
	for (unsigned i = 0; i < cpus; i++)
		timer_cancel_sync(&timer[i]);
}

static uint64_t free_frames(void)
{
	vm_unmap_aliases();
	kmem_cache_shrink_all();
	drain_all_pages();
	return nr_free_pages() + frame_kind_pages(FRAME_PAGETABLE) + frame_kind_pages(FRAME_SLAB) +
	       frame_kind_pages(FRAME_KSTACK);
}

static void soak_for(uint64_t ns, bool poison)
{
	const unsigned cpus = machine()->nr_cpus;
	struct soak_report threads, interrupts;
	uint64_t end = port_now_ns() + ns, before = free_frames();

	check_poison(poison);
	CHECK_CALL(soak_begin(unit_seed() + poison));
	CHECK_CALL(start(cpus));
	while (port_now_ns() < end)
		port_block_until(end);
	stop(cpus);
	CHECK_CALL(soak_end(&threads, &interrupts));
	check_poison(false);
	CHECK_MSG(!threads.broken, "%s contents were changed", threads.broken);
	CHECK_EQ(threads.made + interrupts.made, threads.freed + interrupts.freed);
	CHECK_GT(interrupts.made, 0);
	CHECK_SOUND(mm_check());
	CHECK_EQ(free_frames(), before);
	if (unit_verbose())
		unit_printf("     %u CPUs%s: %lu allocations, %lu in interrupts, %lu refused\n",
		            cpus, poison ? ", careful" : "",
		            (unsigned long)(threads.made + interrupts.made),
		            (unsigned long)interrupts.made,
		            (unsigned long)(threads.refused + interrupts.refused));
}

UNIT_TEST(soak)
{
	uint64_t ns = boot_param_u64("soak_seconds", 1) * NSEC_PER_SEC / 2;

	CHECK_CALL(soak_for(ns, false));
	CHECK_CALL(soak_for(ns, true));
}
