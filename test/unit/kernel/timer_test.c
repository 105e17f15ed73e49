/*
 * timer_test.c - timers: order, cancelling, moving, adding from the callback, on the real clock and interrupt.
 *
 * A CPU's timers fire on that CPU. What must be in place before the first fires is set up with interrupts off, however long the
 * host lets that take.
 */
#include "kernel/sched.h"
#include "kernel/time.h"
#include "test/unit/unit.h"

#define MANY 200

static struct test_timer {
	struct timer_entry timer; /* first */
	unsigned id;
} timers[MANY];

static unsigned order[MANY];
static _Atomic unsigned fired;
static uint64_t too_early;

static void note(struct timer_entry *timer)
{
	unsigned n = atomic_fetch_add(&fired, 1);

	if (port_now_ns() < timer->expires)
		too_early++;
	if (n < MANY)
		order[n] = ((struct test_timer *)timer)->id;
}

static void start(void)
{
	atomic_store(&fired, 0);
	too_early = 0;
	for (unsigned i = 0; i < MANY; i++) {
		timers[i].id = i;
		timer_setup(&timers[i].timer, note);
	}
}

/* Until n have fired, but for ten seconds at most. */
static void wait_fired(unsigned n)
{
	uint64_t end = deadline_after(10 * NSEC_PER_SEC);

	while (atomic_load(&fired) < n && port_now_ns() < end)
		port_block_until(deadline_after(NSEC_PER_MSEC));
}

UNIT_TEST(timers_fire_in_order)
{
	uint64_t base = deadline_after(5 * NSEC_PER_MSEC);
	unsigned late[MANY];
	irq_state_t irq;

	start();
	irq = irq_save();
	for (unsigned i = 0; i < MANY; i++) {
		late[i] = (unsigned)random_below(unit_random(), 1000);
		timer_add(&timers[i].timer, base + late[i] * 5000);
	}
	irq_restore(irq);
	wait_fired(MANY);
	CHECK_EQ(atomic_load(&fired), MANY);
	CHECK_EQ(too_early, 0);
	for (unsigned i = 1; i < MANY; i++)
		CHECK(late[order[i - 1]] < late[order[i]] ||
		      (late[order[i - 1]] == late[order[i]] && order[i - 1] < order[i]));
}

UNIT_TEST(cancelled_timers_do_not_fire)
{
	unsigned cancelled = 0;
	irq_state_t irq;

	start();
	irq = irq_save();
	for (unsigned i = 0; i < MANY; i++)
		timer_add(&timers[i].timer, deadline_after(3 * NSEC_PER_MSEC + i * 1000));
	for (unsigned i = 0; i < MANY; i += 2)
		cancelled += timer_cancel(&timers[i].timer);
	irq_restore(irq);
	CHECK_EQ(cancelled, MANY / 2);
	wait_fired(MANY / 2);
	port_block_until(deadline_after(2 * NSEC_PER_MSEC));
	CHECK_EQ(atomic_load(&fired), MANY / 2);
	for (unsigned i = 0; i < MANY / 2; i++)
		CHECK_EQ(order[i] % 2, 1);
	for (unsigned i = 0; i < MANY; i++)
		CHECK(!timer_cancel_sync(&timers[i].timer));
}

UNIT_TEST(moving_a_timer)
{
	uint64_t now = port_now_ns();
	irq_state_t irq;

	start();
	irq = irq_save();
	timer_add(&timers[0].timer, now + 100 * NSEC_PER_SEC);
	timer_add(&timers[1].timer, now + 4 * NSEC_PER_MSEC);
	timer_add(&timers[0].timer, now + 2 * NSEC_PER_MSEC); /* to the front */
	irq_restore(irq);
	wait_fired(2);
	CHECK_EQ(atomic_load(&fired), 2);
	CHECK_EQ(order[0], 0);
	irq = irq_save();
	timer_add(&timers[0].timer, port_now_ns() + NSEC_PER_MSEC);
	timer_add(&timers[0].timer, port_now_ns() + 100 * NSEC_PER_SEC); /* and away */
	irq_restore(irq);
	port_block_until(deadline_after(4 * NSEC_PER_MSEC));
	CHECK_EQ(atomic_load(&fired), 2);
	CHECK(timer_cancel(&timers[0].timer));
	timer_add(&timers[0].timer, 0); /* long past: at once */
	wait_fired(3);
	CHECK_EQ(atomic_load(&fired), 3);
}

static void again(struct timer_entry *timer)
{
	if (atomic_fetch_add(&fired, 1) < 19)
		timer_add(timer, timer->expires + 100000);
}

UNIT_TEST(periodic_timer)
{
	start();
	timer_setup(&timers[0].timer, again);
	timer_add(&timers[0].timer, deadline_after(100000));
	wait_fired(20);
	CHECK_EQ(atomic_load(&fired), 20);
	CHECK(!timer_cancel_sync(&timers[0].timer));
}

/* An NMI that nobody here sent is no reason to stop. */
UNIT_TEST(stray_nmi)
{
	__asm__ volatile("int $2" : : : "memory");
	CHECK(!irqs_disabled());
}
