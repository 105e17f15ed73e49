/*
 * timer.c - timers: a red-black tree for each CPU, ordered by expiry, that drives the CPU's one-shot timer.
 *
 * The hardware is programmed only when something is due earlier than what it was last told; an interrupt that
 * comes for a timer since cancelled finds nothing to do, which is cheaper than a device access for every change.
 *
 * Locks: base->lock (irqs off), innermost of all. A callback runs with no lock held; base->running names the
 * timer meanwhile, which is what timer_cancel_sync() waits for.
 */
#include "kernel/time.h"
#include "kernel/sched.h"
#include <quire/trace.h>

struct CACHE_ALIGNED timer_base {
	spinlock_t lock;
	struct rb_root tree;
	struct rb_node *first;
	struct timer_entry *_Atomic running;
	uint64_t programmed; /* its own CPU's: what the hardware was told */
};

static struct timer_base bases[QUIRE_MAX_CPUS];

void timers_init_cpu(void)
{
	bases[cpu_id()].programmed = UINT64_MAX;
}

void timer_setup(struct timer_entry *timer, void (*fn)(struct timer_entry *timer))
{
	timer->fn = fn;
	timer->cpu = 0;
	atomic_store_explicit(&timer->armed, false, memory_order_relaxed);
}

void timer_program(uint64_t deadline_ns)
{
	struct timer_base *base = &bases[cpu_id()];

	if (deadline_ns >= base->programmed)
		return;
	base->programmed = deadline_ns;
	arch_timer_set(deadline_ns);
}

static void base_remove(struct timer_base *base, struct timer_entry *timer)
{
	if (base->first == &timer->node)
		base->first = rb_next(&timer->node);
	rb_erase(&timer->node, &base->tree);
	atomic_store_explicit(&timer->armed, false, memory_order_release);
}

static void base_insert(struct timer_base *base, struct timer_entry *timer)
{
	struct rb_node **link = &base->tree.rb_node, *parent = NULL;
	bool first = true;

	while (*link) {
		parent = *link;
		if (timer->expires < rb_entry(parent, struct timer_entry, node)->expires) {
			link = &parent->rb_left;
		} else {
			link = &parent->rb_right;
			first = false;
		}
	}
	if (first)
		base->first = &timer->node;
	rb_link_node(&timer->node, parent, link);
	rb_insert_color(&timer->node, &base->tree);
	atomic_store_explicit(&timer->armed, true, memory_order_release);
}

bool timer_cancel(struct timer_entry *timer)
{
	while (atomic_load_explicit(&timer->armed, memory_order_acquire)) {
		unsigned cpu = READ_ONCE(timer->cpu);
		struct timer_base *base = &bases[cpu];
		irq_state_t state = spin_lock_irqsave(&base->lock);
		bool ours = atomic_load(&timer->armed) && timer->cpu == cpu;

		if (ours)
			base_remove(base, timer);
		spin_unlock_irqrestore(&base->lock, state);
		if (ours)
			return true;
	}
	return false;
}

bool timer_cancel_sync(struct timer_entry *timer)
{
	bool was_armed = false, running;

	do {
		was_armed |= timer_cancel(timer);
		running = false;
		for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
			while (atomic_load_explicit(&bases[i].running, memory_order_acquire) ==
			       timer) {
				running = true;
				cpu_relax();
			}
	} while (running);
	return was_armed;
}

void timer_add(struct timer_entry *timer, uint64_t expires_ns)
{
	irq_state_t state = irq_save();
	struct timer_base *base = &bases[cpu_id()];

	timer_cancel(timer);
	spin_lock(&base->lock);
	timer->expires = expires_ns;
	timer->cpu = cpu_id();
	base_insert(base, timer);
	if (base->first == &timer->node)
		timer_program(expires_ns);
	spin_unlock_irqrestore(&base->lock, state);
}

uint64_t timers_next(void)
{
	struct timer_base *base = &bases[cpu_id()];
	uint64_t next = UINT64_MAX;

	spin_lock(&base->lock);
	if (base->first)
		next = rb_entry(base->first, struct timer_entry, node)->expires;
	spin_unlock(&base->lock);
	return next;
}

void timers_run(void)
{
	struct timer_base *base = &bases[cpu_id()];
	struct timer_entry *timer;

	spin_lock(&base->lock);
	while (base->first) {
		timer = rb_entry(base->first, struct timer_entry, node);
		if (timer->expires > port_now_ns())
			break;
		/* Before it is disarmed, so that a canceller sees it either armed or running. */
		atomic_store_explicit(&base->running, timer, memory_order_relaxed);
		base_remove(base, timer);
		spin_unlock(&base->lock);
		timer->fn(timer);
		atomic_store_explicit(&base->running, NULL, memory_order_release);
		spin_lock(&base->lock);
	}
	spin_unlock(&base->lock);
}

void timer_interrupt(void)
{
	bases[cpu_id()].programmed = UINT64_MAX;
	timers_run();
	sched_tick();
	timer_program(timers_next());
}
