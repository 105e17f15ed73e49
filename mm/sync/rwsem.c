/*
 * rwsem.c - many readers or one writer.
 *
 *      count = READER * (readers that have it or have just knocked) + WRITER + WAITERS
 *
 * Free to enter for a reader: neither WRITER nor WAITERS; it adds READER and looks at what was there before. If
 * it was not free the reader has knocked only: it goes to the slow path, which either finds that the obstacle
 * has gone, and the count already stands for it, or takes its knock back and queues.
 *
 * Rules, all under wait.lock:
 *   1. WAITERS is set exactly while the queue is not empty. While it is, nobody enters on his own.
 *   2. grant() lets in the head of the queue: a writer if count has neither readers nor WRITER, or all readers up
 *      to the next writer if there is no WRITER. Strictly first come, first served: neither side starves.
 *   3. Whoever takes something off count while WAITERS is set (leaves, withdraws a knock, gives up) calls
 *      grant(). A knock that keeps a writer out is withdrawn by somebody who then calls grant().
 */
#include <quire/errno.h>
#include <quire/sync.h>

#define WRITER  1
#define WAITERS 2
#define READER  4

void init_rwsem(struct rw_semaphore *s)
{
	atomic_init(&s->count, 0);
	wait_queue_init(&s->wait);
	s->owner = NULL;
}

static bool try_write(struct rw_semaphore *s, int64_t free)
{
	if (!atomic_compare_exchange_strong_explicit(&s->count, &free, free | WRITER,
	                                             memory_order_acquire, memory_order_relaxed))
		return false;
	return true;
}

/* The waiter may be gone as soon as wait.lock is. */
static void let_in(struct waiter *w)
{
	list_del(&w->link);
	w->woken = true;
	port_unblock(w->thread);
}

static bool grant_reader(struct rw_semaphore *s, struct waiter *w)
{
	int64_t count = atomic_load_explicit(&s->count, memory_order_relaxed);

	do {
		if (count & WRITER)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	        &s->count, &count, count + READER, memory_order_acquire, memory_order_relaxed));
	let_in(w);
	return true;
}

static bool grant_writer(struct rw_semaphore *s, struct waiter *w)
{
	if (!try_write(s, WAITERS))
		return false;
	WRITE_ONCE(s->owner, w->thread);
	let_in(w);
	return true;
}

static void grant(struct rw_semaphore *s)
{
	struct list_head *q = &s->wait.waiters;
	bool go_on = true;

	while (go_on && !list_empty(q)) {
		struct waiter *w = list_first_entry(q, struct waiter, link);

		go_on = w->exclusive ? grant_writer(s, w) : grant_reader(s, w);
	}
	if (list_empty(q))
		atomic_fetch_and_explicit(&s->count, ~(int64_t)WAITERS, memory_order_relaxed);
}

static NOINLINE void grant_slow(struct rw_semaphore *s)
{
	irq_state_t irq = spin_lock_irqsave(&s->wait.lock);

	grant(s);
	spin_unlock_irqrestore(&s->wait.lock, irq);
}

static void enqueue(struct rw_semaphore *s, struct waiter *w)
{
	list_add_tail(&w->link, &s->wait.waiters);
	atomic_fetch_or_explicit(&s->count, WAITERS, memory_order_relaxed);
}

static bool is_woken(struct rw_semaphore *s, struct waiter *w)
{
	irq_state_t irq = spin_lock_irqsave(&s->wait.lock);
	bool woken = w->woken;

	spin_unlock_irqrestore(&s->wait.lock, irq);
	return woken;
}

static NOINLINE void down_read_slow(struct rw_semaphore *s)
{
	struct waiter w = {.thread = port_self()};
	irq_state_t irq = spin_lock_irqsave(&s->wait.lock);
	bool in = !(atomic_load_explicit(&s->count, memory_order_acquire) & (WRITER | WAITERS));

	if (!in) {
		enqueue(s, &w);
		atomic_fetch_sub_explicit(&s->count, READER, memory_order_relaxed);
		grant(s);
	}
	spin_unlock_irqrestore(&s->wait.lock, irq);
	if (in)
		return;
	while (!is_woken(s, &w))
		port_block();
}

void down_read(struct rw_semaphore *s)
{
	int64_t old = atomic_fetch_add_explicit(&s->count, READER, memory_order_acquire);

	if (unlikely(old & (WRITER | WAITERS)))
		down_read_slow(s);
}

bool down_read_trylock(struct rw_semaphore *s)
{
	int64_t count = atomic_load_explicit(&s->count, memory_order_relaxed);

	while (!(count & (WRITER | WAITERS)))
		if (atomic_compare_exchange_weak_explicit(&s->count, &count, count + READER,
		                                          memory_order_acquire,
		                                          memory_order_relaxed))
			return true;
	return false;
}

void up_read(struct rw_semaphore *s)
{
	int64_t left = atomic_fetch_sub_explicit(&s->count, READER, memory_order_release) - READER;

	if (unlikely(left < READER && left & WAITERS))
		grant_slow(s);
}

static NOINLINE int down_write_slow(struct rw_semaphore *s, bool killable)
{
	struct waiter w = {.thread = port_self(), .exclusive = true};
	irq_state_t irq = spin_lock_irqsave(&s->wait.lock);
	int error = 0;

	enqueue(s, &w);
	grant(s);
	spin_unlock_irqrestore(&s->wait.lock, irq);
	while (!is_woken(s, &w)) {
		if (killable && port_fatal_signal_pending()) {
			error = -EINTR;
			break;
		}
		port_block();
	}
	if (!error)
		return 0;
	irq = spin_lock_irqsave(&s->wait.lock);
	if (w.woken) {
		error = 0;
	} else {
		list_del(&w.link);
		grant(s);
	}
	spin_unlock_irqrestore(&s->wait.lock, irq);
	return error;
}

void down_write(struct rw_semaphore *s)
{
	if (unlikely(!down_write_trylock(s)))
		(void)down_write_slow(s, false);
}

int down_write_killable(struct rw_semaphore *s)
{
	return likely(down_write_trylock(s)) ? 0 : down_write_slow(s, true);
}

bool down_write_trylock(struct rw_semaphore *s)
{
	if (!try_write(s, 0))
		return false;
	WRITE_ONCE(s->owner, port_self());
	return true;
}

void up_write(struct rw_semaphore *s)
{
	int64_t left;

	if (unlikely(!rwsem_is_write_held(s)))
		port_panic("up_write: not held by this thread");
	WRITE_ONCE(s->owner, NULL);
	left = atomic_fetch_sub_explicit(&s->count, WRITER, memory_order_release) - WRITER;
	if (unlikely(left & WAITERS))
		grant_slow(s);
}

/* Readers that knocked meanwhile may stay; those at the head of the queue come in. */
void downgrade_write(struct rw_semaphore *s)
{
	int64_t now;

	WRITE_ONCE(s->owner, NULL);
	now = atomic_fetch_add_explicit(&s->count, READER - WRITER, memory_order_release) + READER -
	      WRITER;
	if (unlikely(now & WAITERS))
		grant_slow(s);
}

bool rwsem_is_locked(struct rw_semaphore *s)
{
	return (atomic_load_explicit(&s->count, memory_order_relaxed) & ~(int64_t)WAITERS) != 0;
}

bool rwsem_is_write_held(struct rw_semaphore *s)
{
	return READ_ONCE(s->owner) == port_self();
}
