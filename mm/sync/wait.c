/*
 * wait.c - wait queues and completions.
 *
 * A waiter stays queued until wait_end(), however often it is woken. An exclusive waiter that is woken goes to
 * the end of the queue, so that the next wake-up finds the next one even if the first has not run yet. The waker
 * holds the queue's lock until it no longer needs the waiter, which lives on another stack: wait_end()
 * takes the lock, so the stack outlives the waker's use of it.
 */
#include <quire/sync.h>

void wait_queue_init(struct wait_queue *q)
{
	spin_lock_init(&q->lock);
	INIT_LIST_HEAD(&q->waiters);
}

static void enqueue(struct wait_queue *q, struct waiter *w, bool exclusive,
                    void (*func)(struct waiter *))
{
	irq_state_t irq;

	w->thread = func ? NULL : port_self();
	w->exclusive = exclusive;
	w->woken = false;
	w->func = func;
	irq = spin_lock_irqsave(&q->lock);
	if (exclusive)
		list_add_tail(&w->link, &q->waiters);
	else
		list_add(&w->link, &q->waiters);
	spin_unlock_irqrestore(&q->lock, irq);
	/* The condition is tested after this, against a waker that changes it before it looks here. */
	atomic_thread_fence(memory_order_seq_cst);
}

void wait_begin(struct wait_queue *q, struct waiter *w)
{
	enqueue(q, w, false, NULL);
}

void wait_begin_exclusive(struct wait_queue *q, struct waiter *w)
{
	enqueue(q, w, true, NULL);
}

void wait_begin_func(struct wait_queue *q, struct waiter *w, void (*func)(struct waiter *w))
{
	enqueue(q, w, false, func);
}

void wait_end(struct wait_queue *q, struct waiter *w)
{
	irq_state_t irq = spin_lock_irqsave(&q->lock);

	list_del(&w->link);
	spin_unlock_irqrestore(&q->lock, irq);
}

/* At most `exclusive` of the exclusive ones. q->lock held. */
static int wake_locked(struct wait_queue *q, unsigned exclusive)
{
	struct waiter *w, *next;
	LIST_HEAD(woken);
	int n = 0;

	list_for_each_entry_safe(w, next, &q->waiters, link) {
		if (w->exclusive) {
			if (!exclusive)
				break;
			exclusive--;
			list_move_tail(&w->link, &woken);
		}
		w->woken = true;
		n++;
		if (w->func)
			w->func(w);
		else
			port_unblock(w->thread);
	}
	list_splice_tail(&woken, &q->waiters);
	return n;
}

static int wake(struct wait_queue *q, unsigned exclusive)
{
	irq_state_t irq;
	int n;

	atomic_thread_fence(memory_order_seq_cst);
	if (!wait_queue_active(q))
		return 0;
	irq = spin_lock_irqsave(&q->lock);
	n = wake_locked(q, exclusive);
	spin_unlock_irqrestore(&q->lock, irq);
	return n;
}

int wake_up_all(struct wait_queue *q)
{
	return wake(q, UINT32_MAX);
}

int wake_up(struct wait_queue *q)
{
	return wake(q, 1);
}

void init_completion(struct completion *c)
{
	atomic_init(&c->done, false);
	wait_queue_init(&c->wait);
}

/* All under the lock: who sees done may free the completion, once it has had the lock. */
void complete_all(struct completion *c)
{
	irq_state_t irq = spin_lock_irqsave(&c->wait.lock);

	atomic_store_explicit(&c->done, true, memory_order_release);
	wake_locked(&c->wait, UINT32_MAX);
	spin_unlock_irqrestore(&c->wait.lock, irq);
}

void wait_for_completion(struct completion *c)
{
	irq_state_t irq;

	wait_event(&c->wait, atomic_load_explicit(&c->done, memory_order_acquire));
	irq = spin_lock_irqsave(&c->wait.lock);
	spin_unlock_irqrestore(&c->wait.lock, irq);
}
