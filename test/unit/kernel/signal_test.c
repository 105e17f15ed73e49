/*
 * signal_test.c - queues of signals: what is queued once and what as often as sent, the order of taking, limits, timers' signals,
 * stops and continues. The running process is init, which ignores all signals; for a test it is not init.
 */
#include "kernel/signal.h"
#include "kernel/sched.h"
#include "test/unit/unit.h"

#include <quire/errno.h>

static struct task_struct *real_init;

static void begin(void)
{
	real_init = init_task;
	init_task = NULL;
	set_current_blocked(UINT64_MAX);
}

static void end(void)
{
	struct kernel_siginfo info;

	while (dequeue_signal(0, &info))
		;
	set_current_blocked(0);
	init_task = real_init;
}

static int send(int signo, uint64_t value, bool group)
{
	struct kernel_siginfo info = {.si_signo = signo, .si_code = SI_QUEUE, .si_value = value};

	return send_signal_info(current, &info, group);
}

static void check_order(void)
{
	static const struct {
		int signo;
		uint64_t value;
	} want[] = {{SIGSEGV, 5}, {SIGUSR1, 1}, {SIGTERM, 7}, {40, 3}, {40, 4}, {41, 2}, {41, 6}};
	struct kernel_siginfo info;

	CHECK_EQ(send(SIGUSR1, 1, false), 0);
	CHECK_EQ(send(SIGUSR1, 99, false), 0); /* it is pending: this one is lost */
	CHECK_EQ(send(41, 2, false), 0);
	CHECK_EQ(send(40, 3, false), 0);
	CHECK_EQ(send(40, 4, false), 0);
	CHECK_EQ(send(SIGSEGV, 5, false), 0); /* faults come first */
	CHECK_EQ(send(41, 6, false), 0);
	CHECK_EQ(send(SIGTERM, 7, false), 0);
	CHECK_EQ(atomic_load(&current->signal->nr_sigqueue), 7);
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		CHECK_EQ(dequeue_signal(0, &info), want[i].signo);
		CHECK_EQ(info.si_value, want[i].value);
		CHECK_EQ(info.si_code, SI_QUEUE);
	}
	CHECK_EQ(dequeue_signal(0, &info), 0);
	CHECK_EQ(pending_signals(current), 0);
	CHECK_EQ(atomic_load(&current->signal->nr_sigqueue), 0);
}

UNIT_TEST(order_of_taking)
{
	begin();
	check_order();
	end();
}

static void check_masks(void)
{
	struct kernel_siginfo info;

	CHECK_EQ(send(SIGUSR1, 1, true), 0);
	CHECK_EQ(send(SIGUSR1, 2, false), 0); /* the thread's own, before the process's */
	CHECK_EQ(dequeue_signal(sigmask(SIGUSR1), &info), 0);
	CHECK_EQ(dequeue_signal(~sigmask(SIGUSR1), &info), SIGUSR1);
	CHECK_EQ(info.si_value, 2);
	CHECK_EQ(dequeue_signal(0, &info), SIGUSR1);
	CHECK_EQ(info.si_value, 1);
	CHECK(!signal_pending(current));
}

UNIT_TEST(blocked_signals_wait)
{
	begin();
	check_masks();
	end();
}

static void check_limit(void)
{
	struct kernel_siginfo info;

	current->signal->rlim[RLIMIT_SIGPENDING].rlim_cur = 3;
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQ(send(50, i, true), 0);
	CHECK_EQ(send(50, 3, true), -EAGAIN);
	CHECK_EQ(send(SIGUSR2, 9, true), 0); /* not refused: each is queued once */
	CHECK(!timer_sigqueue_alloc(current->signal));
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQ(dequeue_signal(sigmask(SIGUSR2), &info), 50);
	CHECK_EQ(dequeue_signal(sigmask(SIGUSR2), &info), 0);
}

UNIT_TEST(limit_of_queued_signals)
{
	uint64_t limit = current->signal->rlim[RLIMIT_SIGPENDING].rlim_cur;

	begin();
	check_limit();
	end();
	current->signal->rlim[RLIMIT_SIGPENDING].rlim_cur = limit;
}

static bool send_timer(struct sigqueue *q, int signo)
{
	struct kernel_siginfo info = {.si_signo = signo, .si_code = SI_TIMER};
	irq_state_t state = spin_lock_irqsave(&current->sighand->lock);
	bool ret = send_timer_sigqueue_locked(q, current, &info, true);

	spin_unlock_irqrestore(&current->sighand->lock, state);
	return ret;
}

static void free_timer(struct sigqueue *q)
{
	irq_state_t state = spin_lock_irqsave(&current->sighand->lock);

	timer_sigqueue_free_locked(q, current->signal);
	spin_unlock_irqrestore(&current->sighand->lock, state);
}

static void check_timer_signal(void)
{
	struct sigqueue *q = timer_sigqueue_alloc(current->signal);
	struct kernel_siginfo info;

	CHECK(q);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(send_timer(q, 45));
		CHECK(!send_timer(q, 45)); /* still there */
		CHECK_EQ(dequeue_signal(0, &info), 45);
		CHECK_EQ(info.si_code, SI_TIMER);
		CHECK_EQ(dequeue_signal(0, &info), 0);
	}
	CHECK(send_timer(q, 45));
	free_timer(q); /* a timer that is deleted: what it sent is still taken */
	CHECK_EQ(dequeue_signal(0, &info), 45);
	CHECK_EQ(atomic_load(&current->signal->nr_sigqueue), 0);
}

UNIT_TEST(signal_of_a_timer)
{
	begin();
	check_timer_signal();
	end();
}

/* Ignored, nothing is queued: and the timer can send when it is no longer. */
static void check_ignored_timer(void)
{
	struct k_sigaction *ka = &current->sighand->action[45 - 1];
	struct sigqueue *q = timer_sigqueue_alloc(current->signal);
	struct kernel_siginfo info;

	CHECK(q);
	set_current_blocked(0);
	ka->handler = SIG_IGN;
	CHECK(send_timer(q, 45));
	CHECK(send_timer(q, 45));
	ka->handler = SIG_DFL;
	set_current_blocked(UINT64_MAX);
	CHECK_EQ(dequeue_signal(0, &info), 0);
	CHECK(send_timer(q, 45));
	CHECK_EQ(dequeue_signal(0, &info), 45);
	free_timer(q);
}

UNIT_TEST(ignored_signal_of_a_timer)
{
	begin();
	check_ignored_timer();
	end();
}

static void check_stops(void)
{
	uint64_t stops = sigmask(SIGTSTP) | sigmask(SIGTTIN);

	CHECK_EQ(send(SIGTSTP, 0, true), 0);
	CHECK_EQ(send(SIGTTIN, 0, false), 0);
	CHECK_EQ(pending_signals(current), stops);
	CHECK_EQ(send(SIGCONT, 0, true), 0);
	CHECK_EQ(pending_signals(current), sigmask(SIGCONT));
	CHECK_EQ(send(SIGTTOU, 0, true), 0);
	CHECK_EQ(pending_signals(current), sigmask(SIGTTOU));
}

UNIT_TEST(stop_and_continue_undo_each_other)
{
	begin();
	check_stops();
	end();
}
