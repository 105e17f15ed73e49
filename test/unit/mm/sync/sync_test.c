/*
 * sync_test.c - wait queues, mutexes, reader-writer semaphores, completions; alone and with other threads.
 */
#include <quire/sync.h>
#include "test/unit/unit.h"

UNIT_TEST(mutex_alone)
{
	struct mutex m;

	mutex_init(&m);
	CHECK(!mutex_is_held(&m));
	mutex_lock(&m);
	CHECK(mutex_is_held(&m));
	CHECK(!mutex_trylock(&m));
	mutex_unlock(&m);
	CHECK(mutex_trylock(&m));
	mutex_unlock(&m);
	CHECK(!mutex_is_held(&m));
}

UNIT_TEST(rwsem_alone)
{
	struct rw_semaphore s;

	init_rwsem(&s);
	CHECK(!rwsem_is_locked(&s));
	down_read(&s);
	CHECK(down_read_trylock(&s));
	CHECK(!down_write_trylock(&s));
	up_read(&s);
	CHECK(rwsem_is_locked(&s));
	up_read(&s);
	CHECK_EQ(down_write_killable(&s), 0);
	CHECK(rwsem_is_write_held(&s));
	CHECK(!down_read_trylock(&s));
	CHECK(!down_write_trylock(&s));
	downgrade_write(&s);
	CHECK(!rwsem_is_write_held(&s));
	CHECK(down_read_trylock(&s));
	up_read(&s);
	up_read(&s);
	CHECK(!rwsem_is_locked(&s));
	down_write(&s);
	up_write(&s);
	CHECK_EQ(s.count, 0);
}

static unsigned called;

static void on_wake(UNUSED struct waiter *w)
{
	called++;
}

UNIT_TEST(a_callback_waits)
{
	struct wait_queue q;
	struct waiter w;

	wait_queue_init(&q);
	CHECK_EQ(wake_up_all(&q), 0);
	wait_begin_func(&q, &w, on_wake);
	CHECK(wait_queue_active(&q));
	called = 0;
	CHECK_EQ(wake_up(&q), 1);
	CHECK_EQ(wake_up_all(&q), 1);
	CHECK_EQ(called, 2);
	wait_end(&q, &w);
	CHECK_EQ(wake_up_all(&q), 0);
}

UNIT_TEST(exclusive_waiters_are_woken_one_by_one)
{
	struct wait_queue q;
	struct waiter shared, first, second;

	wait_queue_init(&q);
	wait_begin_exclusive(&q, &first);
	wait_begin_exclusive(&q, &second);
	wait_begin(&q, &shared);
	CHECK_EQ(wake_up(&q), 2);
	CHECK(shared.woken && first.woken && !second.woken);
	first.woken = false;
	CHECK_EQ(wake_up(&q), 2);
	CHECK(second.woken && !first.woken);
	CHECK_EQ(wake_up_all(&q), 3);
	wait_end(&q, &first);
	wait_end(&q, &second);
	wait_end(&q, &shared);
	CHECK(!wait_queue_active(&q));
}

UNIT_TEST(completion_done_before)
{
	struct completion c;

	init_completion(&c);
	complete_all(&c);
	wait_for_completion(&c);
	wait_for_completion(&c);
}

/* --- several threads --------------------------------------------------------------------------------- */

#define THREADS 4u
#define ROUNDS  3000u

static struct {
	struct mutex mutex;
	struct rw_semaphore sem;
	uint64_t plain;          /* changed only under the lock */
	_Atomic uint32_t inside; /* readers, and 1000 for a writer */
	_Atomic uint32_t broken;
	_Atomic uint32_t left;
	struct completion done;
} lab;

static void leave(void)
{
	if (atomic_fetch_sub(&lab.left, 1) == 1)
		complete_all(&lab.done);
}

static void with_threads(void (*fn)(void *))
{
	mutex_init(&lab.mutex);
	init_rwsem(&lab.sem);
	init_completion(&lab.done);
	lab.plain = 0;
	lab.inside = lab.broken = 0;
	lab.left = THREADS;
	for (unsigned i = 1; i < THREADS; i++)
		CHECK_EQ(port_kthread_start("sync-test", fn, (void *)(uintptr_t)i), 0);
	fn(NULL);
	wait_for_completion(&lab.done);
	CHECK_EQ(lab.broken, 0);
}

static void add_under_mutex(UNUSED void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		mutex_lock(&lab.mutex);
		lab.plain++;
		if (i % 64 == 0)
			port_cond_resched();
		mutex_unlock(&lab.mutex);
	}
	leave();
}

UNIT_TEST(mutex_excludes)
{
	CHECK_CALL(with_threads(add_under_mutex));
	CHECK_EQ(lab.plain, THREADS * ROUNDS);
	CHECK_EQ(lab.mutex.state, 0);
}

static void write_once(unsigned i)
{
	down_write(&lab.sem);
	if (atomic_fetch_add(&lab.inside, 1000) != 0)
		lab.broken++;
	lab.plain++;
	if (i % 32 == 0)
		port_cond_resched();
	atomic_fetch_sub(&lab.inside, 1000);
	if (i % 3) {
		up_write(&lab.sem);
		return;
	}
	downgrade_write(&lab.sem);
	if (atomic_load(&lab.inside) >= 1000)
		lab.broken++;
	up_read(&lab.sem);
}

static void read_once(unsigned i)
{
	uint64_t before;

	down_read(&lab.sem);
	if (atomic_fetch_add(&lab.inside, 1) >= 1000)
		lab.broken++;
	before = lab.plain;
	if (i % 16 == 0)
		port_cond_resched();
	if (lab.plain != before)
		lab.broken++;
	atomic_fetch_sub(&lab.inside, 1);
	up_read(&lab.sem);
}

static void read_and_write(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		if ((i + (uintptr_t)arg) % 4 == 0)
			write_once(i);
		else
			read_once(i);
	leave();
}

UNIT_TEST(rwsem_excludes)
{
	CHECK_CALL(with_threads(read_and_write));
	CHECK_EQ(lab.plain, THREADS * ROUNDS / 4);
	CHECK_EQ(lab.sem.count, 0);
}

/* Readers without end; a writer gets in all the same. */
static void read_until_written(void *arg)
{
	if (arg == NULL) {
		for (unsigned i = 0; i < 50; i++)
			write_once(i);
		leave();
		return;
	}
	for (;;) {
		bool end;

		down_read(&lab.sem);
		end = lab.plain == 50;
		up_read(&lab.sem);
		if (end)
			break;
		port_cond_resched();
	}
	leave();
}

UNIT_TEST(writers_do_not_starve)
{
	CHECK_CALL(with_threads(read_until_written));
	CHECK_EQ(lab.sem.count, 0);
}

static struct {
	struct rw_semaphore sem;
	struct completion in, done;
} own;

static void read_and_say(UNUSED void *arg)
{
	down_read(&own.sem);
	complete_all(&own.in);
	up_read(&own.sem);
	complete_all(&own.done);
}

/* A reader that waits for a writer comes in when the writer becomes a reader, not only when it leaves. */
UNIT_TEST(downgrade_lets_readers_in)
{
	uint64_t end = port_now_ns() + 5000000000u;

	init_rwsem(&own.sem);
	init_completion(&own.in);
	init_completion(&own.done);
	down_write(&own.sem);
	CHECK_EQ(port_kthread_start("reader", read_and_say, NULL), 0);
	while (!wait_queue_active(&own.sem.wait) && port_now_ns() < end)
		port_cond_resched();
	CHECK(wait_queue_active(&own.sem.wait));
	CHECK(!down_read_trylock(&own.sem));
	downgrade_write(&own.sem);
	while (!atomic_load(&own.in.done) && port_now_ns() < end)
		port_cond_resched();
	CHECK(atomic_load(&own.in.done));
	up_read(&own.sem);
	wait_for_completion(&own.done);
	CHECK_EQ(own.sem.count, 0);
}

static void write_once_and_say(UNUSED void *arg)
{
	down_write(&own.sem);
	complete_all(&own.in);
	up_write(&own.sem);
	complete_all(&own.done);
}

/* While somebody waits, nobody tries his luck past him. */
UNIT_TEST(trylock_does_not_overtake)
{
	uint64_t end = port_now_ns() + 5000000000u;

	init_rwsem(&own.sem);
	init_completion(&own.in);
	init_completion(&own.done);
	down_read(&own.sem);
	CHECK_EQ(port_kthread_start("writer", write_once_and_say, NULL), 0);
	while (!wait_queue_active(&own.sem.wait) && port_now_ns() < end)
		port_cond_resched();
	CHECK(wait_queue_active(&own.sem.wait));
	CHECK(!down_read_trylock(&own.sem));
	CHECK(!atomic_load(&own.in.done));
	up_read(&own.sem);
	wait_for_completion(&own.done);
	CHECK_EQ(own.sem.count, 0);
}
