/*
 * mutex.c - one atomic step when nobody competes; else first come, first served.
 *
 *      FREE --lock--> HELD --someone queues--> CONTENDED
 *        ^             | ^                        |
 *        +---unlock----+ +--handed over, queue empty
 *
 * The one who unlocks a CONTENDED mutex hands it to the head of the queue: it is never free in between, so
 * nobody overtakes. state becomes CONTENDED, and a queue becomes empty, only under wait.lock.
 */
#include <quire/sync.h>

enum { MUTEX_FREE, MUTEX_HELD, MUTEX_CONTENDED };

void mutex_init(struct mutex *m)
{
	atomic_init(&m->state, MUTEX_FREE);
	wait_queue_init(&m->wait);
	m->owner = NULL;
}

bool mutex_trylock(struct mutex *m)
{
	uint32_t state = MUTEX_FREE;

	if (!atomic_compare_exchange_strong_explicit(&m->state, &state, MUTEX_HELD,
	                                             memory_order_acquire, memory_order_relaxed))
		return false;
	WRITE_ONCE(m->owner, port_self());
	return true;
}

/* Under wait.lock. True: it was free after all and is ours now. */
static bool take_or_contend(struct mutex *m)
{
	uint32_t state = atomic_load_explicit(&m->state, memory_order_relaxed);

	do {
		if (state == MUTEX_CONTENDED)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	        &m->state, &state, state + 1, memory_order_acquire, memory_order_relaxed));
	return state == MUTEX_FREE;
}

static NOINLINE void mutex_lock_slow(struct mutex *m)
{
	struct waiter w = {.thread = port_self(), .exclusive = true};
	irq_state_t irq = spin_lock_irqsave(&m->wait.lock);
	bool taken = take_or_contend(m);

	if (!taken)
		list_add_tail(&w.link, &m->wait.waiters);
	spin_unlock_irqrestore(&m->wait.lock, irq);
	while (!taken) {
		port_block();
		irq = spin_lock_irqsave(&m->wait.lock);
		taken = w.woken;
		spin_unlock_irqrestore(&m->wait.lock, irq);
	}
	WRITE_ONCE(m->owner, port_self());
}

void mutex_lock(struct mutex *m)
{
	if (unlikely(!mutex_trylock(m)))
		mutex_lock_slow(m);
}

/* Hand it to the head of the queue; the waiter may be gone as soon as the lock is. */
static NOINLINE void mutex_unlock_slow(struct mutex *m)
{
	irq_state_t irq = spin_lock_irqsave(&m->wait.lock);
	struct waiter *w = list_first_entry(&m->wait.waiters, struct waiter, link);

	list_del(&w->link);
	if (list_empty(&m->wait.waiters))
		atomic_store_explicit(&m->state, MUTEX_HELD, memory_order_relaxed);
	w->woken = true;
	port_unblock(w->thread);
	spin_unlock_irqrestore(&m->wait.lock, irq);
}

void mutex_unlock(struct mutex *m)
{
	uint32_t state = MUTEX_HELD;

	if (unlikely(READ_ONCE(m->owner) != port_self()))
		port_panic("mutex_unlock: not held by this thread");
	WRITE_ONCE(m->owner, NULL);
	if (unlikely(!atomic_compare_exchange_strong_explicit(
	            &m->state, &state, MUTEX_FREE, memory_order_release, memory_order_relaxed)))
		mutex_unlock_slow(m);
}

bool mutex_is_held(struct mutex *m)
{
	return READ_ONCE(m->owner) == port_self();
}
