/*
 * sync.h - sleeping locks and wait queues, made of spin locks and the port's
 * block and unblock. The kernel around mm/ uses the same ones.
 *
 * Order: every lock here may be taken before a spin lock, never after one.
 * Source: the permit protocol of port.h; Mesa-style monitors (Lampson and Redell 1980).
 */
#ifndef QUIRE_SYNC_H
#define QUIRE_SYNC_H

#include <quire/port.h>
#include "lib/list.h"

/*
 * A wait queue. A waiter lives on the stack of its thread:
 *
 *     struct waiter w;
 *     wait_begin(&q, &w);
 *     while (!condition && !interrupted)
 *             port_block();
 *     wait_end(&q, &w);
 *
 * wait_begin() queues before the condition is tested, and wake_up() sets the permit of
 * every queued thread, so no wake-up is lost.
 */
struct wait_queue {
	spinlock_t lock; /* taken with irqsave: wake_up() comes from interrupts */
	struct list_head waiters;
};

struct waiter {
	struct list_head link;
	struct thread *thread;
	bool exclusive; /* wake_up_one() stops after waking one of these */
	bool woken;     /* set by the waker, under the queue's lock */
	void (*func)(struct waiter *
	                     w); /* NULL; else the waker calls it (lock held) and wakes no thread */
};

void wait_queue_init(struct wait_queue *q);
void wait_begin(struct wait_queue *q, struct waiter *w);
void wait_begin_exclusive(struct wait_queue *q, struct waiter *w);
/* Queue a callback instead of a thread: func runs at each wake-up, any context, until wait_end(). */
void wait_begin_func(struct wait_queue *q, struct waiter *w, void (*func)(struct waiter *w));
void wait_end(struct wait_queue *q, struct waiter *w);
static inline bool wait_queue_active(struct wait_queue *q)
{
	return !list_empty(&q->waiters);
}

/* Wake all waiters; all but exclusive ones and at most n of those. Any context. Return how many. */
int wake_up_all(struct wait_queue *q);
int wake_up(struct wait_queue *q); /* one exclusive */

/* Sleep until cond holds; not interruptible. */
#define wait_event(q, cond)                   \
	do {                                  \
		if (!(cond)) {                \
			struct waiter w_;     \
			wait_begin((q), &w_); \
			while (!(cond))       \
				port_block(); \
			wait_end((q), &w_);   \
		}                             \
	} while (0)

/* The same, until port_now_ns() reaches deadline at the latest. */
#define wait_event_until(q, cond, deadline)                   \
	do {                                                  \
		struct waiter w_;                             \
		wait_begin((q), &w_);                         \
		while (!(cond) && port_now_ns() < (deadline)) \
			port_block_until(deadline);           \
		wait_end((q), &w_);                           \
	} while (0)

/* A mutual-exclusion lock that sleeps. First come, first served when contended. */
struct mutex {
	_Atomic uint32_t state; /* 0 free, 1 held, 2 held and waited for */
	struct wait_queue wait;
	struct thread *owner; /* for assertions */
};

void mutex_init(struct mutex *m);
void mutex_lock(struct mutex *m);
MUST_USE bool mutex_trylock(struct mutex *m);
void mutex_unlock(struct mutex *m);
bool mutex_is_held(struct mutex *m); /* by the running thread */

/*
 * Many readers or one writer; sleeps. A waiting writer stops new readers. The uncontended
 * read side is one atomic step each way (the page fault takes it).
 */
struct rw_semaphore {
	_Atomic int64_t count; /* readers and two flags; see mm/sync/rwsem.c */
	struct wait_queue wait;
	struct thread *owner; /* the writer, for assertions */
};

void init_rwsem(struct rw_semaphore *s);
void down_read(struct rw_semaphore *s);
MUST_USE bool down_read_trylock(struct rw_semaphore *s);
void up_read(struct rw_semaphore *s);
void down_write(struct rw_semaphore *s);
MUST_USE int down_write_killable(struct rw_semaphore *s); /* 0 or -EINTR */
MUST_USE bool down_write_trylock(struct rw_semaphore *s);
void up_write(struct rw_semaphore *s);
void downgrade_write(struct rw_semaphore *s);
bool rwsem_is_locked(struct rw_semaphore *s);
bool rwsem_is_write_held(struct rw_semaphore *s); /* by the running thread */

/* A one-way door: wait until complete_all(). */
struct completion {
	_Atomic bool done;
	struct wait_queue wait;
};

void init_completion(struct completion *c);
void complete_all(struct completion *c);
void wait_for_completion(struct completion *c);

/* A count of users; the last put returns true. Never goes up from zero. */
typedef struct {
	_Atomic int32_t n;
} refcount_t;

static inline void refcount_set(refcount_t *r, int32_t n)
{
	atomic_store_explicit(&r->n, n, memory_order_relaxed);
}

static inline void refcount_inc(refcount_t *r)
{
	atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);
}

static inline int32_t refcount_read(refcount_t *r)
{
	return atomic_load_explicit(&r->n, memory_order_relaxed);
}

MUST_USE static inline bool refcount_dec_and_test(refcount_t *r)
{
	return atomic_fetch_sub_explicit(&r->n, 1, memory_order_acq_rel) == 1;
}

MUST_USE static inline bool refcount_inc_not_zero(refcount_t *r)
{
	int32_t n = refcount_read(r);

	while (n != 0)
		if (atomic_compare_exchange_weak(&r->n, &n, n + 1))
			return true;
	return false;
}

#endif
