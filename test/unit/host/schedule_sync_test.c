/*
 * schedule_sync_test.c - sleeping locks and waiting, under many schedules.
 */
#include "test/unit/host/explore.h"

#include <quire/errno.h>
#include <quire/sync.h>

static struct mutex mutex;
static struct rw_semaphore sem;
static struct wait_queue queue;
static struct completion done;
static uint64_t count;
static _Atomic unsigned inside, tokens;

static void setup(void)
{
	mutex_init(&mutex);
	init_rwsem(&sem);
	wait_queue_init(&queue);
	init_completion(&done);
	count = 0;
	atomic_store(&inside, 0);
	atomic_store(&tokens, 0);
}

static void step_under_mutex(UNUSED unsigned cpu)
{
	for (unsigned n = 0; n < 15; n++) {
		uint64_t before;

		if (n % 5 != 4 || !mutex_trylock(&mutex))
			mutex_lock(&mutex);
		before = count;
		host_point();
		count = before + 1;
		mutex_unlock(&mutex);
	}
}

static void check_mutex(void)
{
	CHECK_EQ(count, 60);
	CHECK_EQ(mutex.state, 0);
}

const struct scenario scenario_mutex = {
        .begin = setup,
        .cpu = {step_under_mutex, step_under_mutex, step_under_mutex, step_under_mutex},
        .end = check_mutex};

UNIT_TEST(mutexes)
{
	explore(&scenario_mutex, 100);
}

/* Readers count 1, a writer 100. */
static void read_once(void)
{
	CHECK_LT(atomic_fetch_add(&inside, 1), 100);
	host_point();
	atomic_fetch_sub(&inside, 1);
	up_read(&sem);
}

static void write_once(unsigned n)
{
	CHECK_EQ(atomic_fetch_add(&inside, 100), 0);
	host_point();
	count++;
	atomic_fetch_sub(&inside, 100);
	if (n % 3) {
		up_write(&sem);
		return;
	}
	downgrade_write(&sem);
	CHECK_CALL(read_once());
}

static void read_and_write(unsigned cpu)
{
	for (unsigned n = 0; n < 12; n++) {
		switch (explore_random(cpu, 4)) {
		case 0:
			down_write(&sem);
			CHECK_CALL(write_once(n));
			break;
		case 1:
			if (down_write_trylock(&sem))
				CHECK_CALL(write_once(n));
			break;
		case 2:
			if (down_read_trylock(&sem))
				CHECK_CALL(read_once());
			break;
		default:
			down_read(&sem);
			CHECK_CALL(read_once());
		}
	}
}

static void check_rwsem(void)
{
	CHECK_EQ(sem.count, 0);
	CHECK(!wait_queue_active(&sem.wait));
}

const struct scenario scenario_rwsem = {
        .begin = setup,
        .cpu = {read_and_write, read_and_write, read_and_write, read_and_write},
        .end = check_rwsem};

UNIT_TEST(rwsems)
{
	explore(&scenario_rwsem, 150);
}

/* One takes what the others put, and none is left waiting. */
static bool take_token(void)
{
	unsigned n = atomic_load(&tokens);

	while (n)
		if (atomic_compare_exchange_weak(&tokens, &n, n - 1))
			return true;
	return false;
}

static void take(UNUSED unsigned cpu)
{
	for (unsigned n = 0; n < 10; n++) {
		struct waiter w;

		wait_begin_exclusive(&queue, &w);
		while (!take_token())
			port_block();
		wait_end(&queue, &w);
		wake_up(&queue); /* a wake-up that came while we took may have been another's */
	}
	if (atomic_fetch_add(&inside, 1) == 1)
		complete_all(&done);
}

static void put(UNUSED unsigned cpu)
{
	for (unsigned n = 0; n < 20; n++) {
		atomic_fetch_add(&tokens, 1);
		wake_up(&queue);
	}
	wait_for_completion(&done);
}

static void check_waiting(void)
{
	CHECK_EQ(atomic_load(&tokens), 0);
	CHECK(!wait_queue_active(&queue));
}

const struct scenario scenario_waiting = {
        .begin = setup, .cpu = {take, put, take}, .end = check_waiting};

UNIT_TEST(waiting)
{
	explore(&scenario_waiting, 150);
}
