/*
 * mutants_test.c - would the schedules find a mistake? Machines that are broken on purpose.
 *
 * Each runs in a process of its own, for it may end in any way: a check, a panic, a deadlock, a sanitizer's report. What
 * counts is that it is found, and after how many schedules (`unit -v mutants` tells).
 */
#include "host/schedule.h"
#include "test/unit/host/explore.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 60u /* for one that hangs in a way of its own */

struct mutant {
	const char *name;
	const struct scenario *scenario;
	enum host_mutant kind;
	const char *lock; /* what it guards has no other points: found where each access is one */
	unsigned within;  /* schedules */
};

static NORETURN void run_mutant(const struct mutant *m)
{
	struct scenario broken = *m->scenario;
	int null = open("/dev/null", O_WRONLY);

	alarm(SECONDS);
	dup2(null, 1);
	dup2(null, 2);
	broken.mutant = m->kind;
	broken.mutant_lock = m->lock;
	explore(&broken, m->within);
	_exit(unit_failed() ? 1 : 0);
}

static void find(const struct mutant *m)
{
	int status = 0;
	pid_t pid;

	explore_tried = mmap(NULL, sizeof(*explore_tried), PROT_READ | PROT_WRITE,
	                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(explore_tried != MAP_FAILED);
	pid = fork();
	CHECK_GE(pid, 0);
	if (pid == 0)
		run_mutant(m);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_MSG(status != 0, "%s: not found in %u schedules", m->name, m->within);
	if (unit_verbose())
		unit_printf("     %s: found by schedule %u\n", m->name, *explore_tried);
	munmap(explore_tried, sizeof(*explore_tried));
	explore_tried = NULL;
}

static const struct mutant mutants[] = {
        {"flush of this CPU's TLB only", &scenario_tlb, MUTANT_LOCAL_FLUSH, NULL, 500},
        {"flush of this CPU's TLB only, fork", &scenario_fork, MUTANT_LOCAL_FLUSH, NULL, 100},
        {"flush of this CPU's TLB only, moving", &scenario_move_fork, MUTANT_LOCAL_FLUSH, NULL,
         500},
        {"a wake-up is lost, mutex", &scenario_mutex, MUTANT_LOST_WAKE_UP, NULL, 500},
        {"a wake-up is lost, page", &scenario_page_lock, MUTANT_LOST_WAKE_UP, NULL, 500},
        {"no zone->lock", &scenario_blocks, MUTANT_NO_LOCK, "zone->lock", 100},
        {"no zone->lock, single frames", &scenario_drain, MUTANT_NO_LOCK, "zone->lock", 100},
        {"no lruvec->lock", &scenario_lists, MUTANT_NO_LOCK, "lruvec->lock", 1000},
        {"no lock of partial slabs, arrays", &scenario_arrays, MUTANT_NO_LOCK, "mm/slab", 6000},
        {"no lock of SLAB's lists", &scenario_slab, MUTANT_NO_LOCK, "mm/slab", 3000},
        {"no lock of SLOB's pages", &scenario_slob, MUTANT_NO_LOCK, "mm/slab", 3000},
        {"no lock of partial slabs, shrinking", &scenario_shrink, MUTANT_NO_LOCK, "mm/slab", 3000},
        {"no ptl", &scenario_space, MUTANT_NO_LOCK, "ptl", 1000},
        {"no page_table_lock", &scenario_space, MUTANT_NO_LOCK, "page_table_lock", 2000},
        {"no tree_lock", &scenario_file, MUTANT_NO_LOCK, "tree_lock", 2000},
        {"no lock of wait queues", &scenario_rwsem, MUTANT_NO_LOCK, "q->lock", 100},
};

UNIT_TEST(mutants)
{
	if (!unit_schedule() && host_can_schedule())
		for (unsigned i = 0; i < ARRAY_SIZE(mutants); i++)
			if (!mutants[i].lock || host_sees_accesses)
				CHECK_CALL(find(&mutants[i]));
}
