/*
 * explore.c - see explore.h.
 */
#include "test/unit/host/explore.h"
#include "host/schedule.h"
#include "lib/hash.h"

#include <quire/check.h>
#include <quire/kva.h>
#include <quire/slab.h>

static struct random sequence[EXPLORE_CPUS];
static const struct scenario *now;
static bool together;
unsigned *explore_tried;

unsigned explore_random(unsigned cpu, unsigned n)
{
	return (unsigned)random_below(&sequence[cpu], n);
}

uint64_t explore_free_frames(void)
{
	vm_unmap_aliases();
	slab_flush_all();
	kmem_cache_shrink_all();
	return nr_free_pages() + frame_kind_pages(FRAME_PAGETABLE);
}

/* Only while the CPUs run: what is counted before and after stands still. */
static void interrupt_if_running(void)
{
	if (together)
		now->interrupt();
}

static void cpu_main(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	now->cpu[i](i);
}

static void run_together(struct host_machine *h)
{
	struct host_task *task[EXPLORE_CPUS] = {NULL};

	together = true;
	for (unsigned i = 1; i < EXPLORE_CPUS; i++)
		if (now->cpu[i])
			CHECK(task[i] = host_run_on(h, i, cpu_main, (void *)(uintptr_t)i));
	if (now->cpu[0])
		now->cpu[0](0);
	for (unsigned i = 1; i < EXPLORE_CPUS; i++)
		if (task[i])
			host_join(task[i]);
	together = false;
}

static void run_once(struct host_machine *h)
{
	uint64_t before = explore_free_frames();

	if (now->begin)
		CHECK_CALL(now->begin());
	CHECK_CALL(run_together(h));
	if (now->end)
		CHECK_CALL(now->end());
	CHECK_SOUND(mm_check());
	CHECK_EQ(explore_free_frames(), before);
}

static void run_schedule(uint64_t number)
{
	struct host_machine *h = host_create(&(struct host_config){
	        .ram = 4 << 20,
	        .cpus = EXPLORE_CPUS,
	        .seed = number,
	        .boot_words = now->boot_words,
	        .schedule = host_can_schedule() ? number : 0,
	        .watch_locks = true,
	        .interrupt = now->interrupt ? interrupt_if_running : NULL,
	        .mutant = now->mutant,
	        .mutant_lock = now->mutant_lock,
	});

	CHECK(h);
	if (explore_tried)
		++*explore_tried;
	for (unsigned i = 0; i < EXPLORE_CPUS; i++)
		random_seed(&sequence[i], number + i);
	run_once(h);
	host_destroy(h);
	if (unit_failed())
		unit_printf("     the same run again: --schedule %llu\n",
		            (unsigned long long)number);
}

void explore(const struct scenario *scenario, unsigned schedules)
{
	struct host_machine *outer = machine() ? host_of(machine()) : NULL;
	uint64_t n = unit_schedule() ? 1 : unit_scale(schedules);

	if (host_sees_accesses && !unit_schedule() && !explore_tried)
		n *= 4; /* there is more to find */
	now = scenario;
	if (!host_can_schedule()) /* threads run as they like */
		n = n / 4 + 1;
	for (uint64_t i = 0; i < n && !unit_failed(); i++)
		run_schedule(unit_schedule() ? unit_schedule()
		                             : (uint32_t)hash_combine(unit_seed(), i) | 1u);
	if (outer)
		host_enter(outer, 0);
}
