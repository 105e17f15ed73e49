/*
 * sched_test.c - the scheduler: shares of a CPU by nice value, who is woken first, where a task may run.
 */
#include "kernel/sched.h"
#include "kernel/time.h"
#include "test/unit/unit.h"

#define RUNNERS 4

static struct runner {
	struct task_struct *task;
	uint64_t had;
	struct completion done;
	int nice;
	unsigned cpu; /* where it ended */
} runners[RUNNERS];

static uint64_t stop_at;
static uint64_t may_run_on;

static void run(void *arg)
{
	struct runner *r = arg;

	(void)!set_cpus_allowed(current, may_run_on);
	set_user_nice(current, r->nice);
	while (port_now_ns() < stop_at)
		port_cond_resched();
	r->had = task_sched_runtime(current);
	r->cpu = cpu_id();
	complete_all(&r->done);
}

/* n threads with these nice values on the CPUs of mask for a while; false: no memory. */
static bool race(unsigned n, const int *nice, uint64_t mask)
{
	unsigned made = 0;

	may_run_on = mask;
	stop_at = deadline_after(300 * NSEC_PER_MSEC);
	for (; made < n; made++) {
		runners[made].nice = nice[made];
		init_completion(&runners[made].done);
		runners[made].task = kthread_create("runner", run, &runners[made]);
		if (!runners[made].task)
			break;
	}
	for (unsigned i = 0; i < made; i++) {
		wait_for_completion(&runners[i].done);
		put_task(runners[i].task);
	}
	return made == n;
}

UNIT_TEST(equal_tasks_share_equally)
{
	static const int nice[RUNNERS] = {0, 0, 0, 0};
	uint64_t sum = 0;

	CHECK(race(RUNNERS, nice, 1));
	for (unsigned i = 0; i < RUNNERS; i++)
		sum += runners[i].had;
	for (unsigned i = 0; i < RUNNERS; i++) {
		CHECK_EQ(runners[i].cpu, 0);
		CHECK_MSG(runners[i].had > sum / RUNNERS / 2 && runners[i].had < sum / 2,
		          "thread %u had %lu of %lu us", i, runners[i].had / 1000, sum / 1000);
	}
}

/* 1024 to 335: three to one. */
UNIT_TEST(nice_tasks_get_less)
{
	static const int nice[2] = {0, 5};

	CHECK(race(2, nice, 1));
	CHECK_MSG(runners[0].had > 2 * runners[1].had && runners[0].had < 5 * runners[1].had,
	          "%lu and %lu us", runners[0].had / 1000, runners[1].had / 1000);
}

UNIT_TEST(tasks_stay_where_they_may_run)
{
	static const int nice[2] = {0, 0};
	uint64_t last = 1ull << (63 - __builtin_clzll(cpus_online()));

	CHECK(race(2, nice, last));
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(1ull << runners[i].cpu, last);
	CHECK_EQ(set_cpus_allowed(current, 1ull << 63), -EINVAL);
}

/* --- exclusive waiters are woken in the order in which they came ------------------------------------------- */

static struct wait_queue queue;
static _Atomic unsigned waiting, woken;
static unsigned who[RUNNERS];

static void wait_turn(void *arg)
{
	struct runner *r = arg;
	unsigned turn;
	struct waiter w;

	turn = (unsigned)(r - runners);
	wait_begin_exclusive(&queue, &w);
	atomic_fetch_add(&waiting, 1);
	port_block();
	wait_end(&queue, &w);
	who[atomic_fetch_add(&woken, 1)] = turn;
	complete_all(&r->done);
}

UNIT_TEST(wake_up_is_first_come_first_served)
{
	wait_queue_init(&queue);
	atomic_store(&waiting, 0);
	atomic_store(&woken, 0);
	for (unsigned i = 0; i < RUNNERS; i++) {
		init_completion(&runners[i].done);
		runners[i].task = kthread_create("waiter", wait_turn, &runners[i]);
		CHECK(runners[i].task);
		while (atomic_load(&waiting) <= i)
			port_block_until(deadline_after(NSEC_PER_MSEC / 10));
	}
	for (unsigned i = 0; i < RUNNERS; i++) {
		wake_up(&queue);
		wait_for_completion(&runners[i].done);
		put_task(runners[i].task);
	}
	for (unsigned i = 0; i < RUNNERS; i++)
		CHECK_EQ(who[i], i);
}
