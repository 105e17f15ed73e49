/*
 * itimer.c - timers that send signals: alarm, setitimer, timer_create.
 *
 * ITIMER_REAL and POSIX timers are timer_entries whose callback, in interrupt context, sends the signal and arms the
 * next period. ITIMER_VIRTUAL and ITIMER_PROF count CPU time, and are looked at by the tick that a process
 * with one of them has while it runs (sched.c).
 *
 * A period shorter than PERIOD_MIN is kept on the clock, but looked at no more often: a program that asks for a nanosecond
 * does not keep the CPU in its timer's interrupt.
 *
 * A POSIX timer's signal is queued at most once; expiries meanwhile count as overruns, told when it is taken. Its memory is the
 * timer's from the start: an expiry cannot fail.
 *
 * Locks: sighand->lock of the process guards all settings. A callback takes it, under tasklist_lock, which keeps the process
 * and its sighand what they are meanwhile; so timers are cancelled with timer_cancel_sync() outside both.
 */
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "kernel/time.h"
#include "kernel/uaccess.h"
#include <quire/slab.h>

#define ITIMER_REAL    0
#define ITIMER_VIRTUAL 1
#define ITIMER_PROF    2

#define PERIOD_MIN (100 * NSEC_PER_USEC)

/* --- ITIMER_REAL ------------------------------------------------------------------------------------------- */

struct real_timer {
	struct timer_entry timer; /* first */
	struct signal_struct *sig;
};

static struct task_struct *sig_leader(struct signal_struct *sig)
{
	return list_first_entry(&sig->thread_head, struct task_struct, thread_node)->group_leader;
}

/* signal_struct outlives the timer: it is cancelled when the process ends, before its threads are released. */
static void it_real_fn(struct timer_entry *timer)
{
	struct signal_struct *sig = container_of(timer, struct real_timer, timer)->sig;
	struct kernel_siginfo info = {.si_signo = SIGALRM, .si_code = SI_KERNEL};
	irq_state_t state = spin_lock_irqsave(&tasklist_lock); /* threads may be leaving */
	struct task_struct *task = sig_leader(sig);

	spin_lock(&task->sighand->lock);
	send_signal_locked(task, &info, true);
	if (sig->it_real_interval) {
		uint64_t next = timer->expires + sig->it_real_interval;

		timer_add(timer, MAX(next, deadline_after(PERIOD_MIN)));
	}
	spin_unlock(&task->sighand->lock);
	spin_unlock_irqrestore(&tasklist_lock, state);
}

int itimer_real_init(struct signal_struct *sig)
{
	struct real_timer *t = kmalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	t->sig = sig;
	timer_setup(&t->timer, it_real_fn);
	sig->itimer_real = &t->timer;
	return 0;
}

void cancel_itimer_real(struct signal_struct *sig)
{
	irq_state_t state = spin_lock_irqsave(&current->sighand->lock);

	sig->it_real_interval = 0;
	spin_unlock_irqrestore(&current->sighand->lock, state);
	timer_cancel_sync(sig->itimer_real);
}

static uint64_t real_left(struct signal_struct *sig)
{
	uint64_t now = port_now_ns(), expires = sig->itimer_real->expires;

	if (!atomic_load(&sig->itimer_real->armed))
		return 0;
	return expires > now ? expires - now : 1;
}

static void set_real(struct signal_struct *sig, uint64_t value, uint64_t interval,
                     uint64_t *old_value, uint64_t *old_interval)
{
	irq_state_t state;

	*old_value = real_left(sig);
	*old_interval = sig->it_real_interval;
	cancel_itimer_real(sig);
	state = spin_lock_irqsave(&current->sighand->lock);
	sig->it_real_interval = interval;
	if (value)
		timer_add(sig->itimer_real, deadline_after(value));
	spin_unlock_irqrestore(&current->sighand->lock, state);
}

SYSCALL1(alarm, unsigned, seconds)
{
	uint64_t old, interval;

	set_real(current->signal, seconds * NSEC_PER_SEC, 0, &old, &interval);
	return (int64_t)((old + NSEC_PER_SEC / 2) / NSEC_PER_SEC
	                         ? (old + NSEC_PER_SEC / 2) / NSEC_PER_SEC
	                 : old ? 1
	                       : 0);
}

/* --- CPU time ------------------------------------------------------------------------------------------------- */

bool has_cpu_itimers(struct signal_struct *sig)
{
	return READ_ONCE(sig->it[0].expires) | READ_ONCE(sig->it[1].expires);
}

/* sighand->lock held. */
static uint64_t cpu_now(struct task_struct *task, unsigned which)
{
	uint64_t utime, stime;

	thread_group_cputime_locked(task, &utime, &stime);
	return which == 0 ? utime : utime + stime;
}

/* task is the running one: its sighand is replaced by itself alone, and not in an interrupt. */
void run_cpu_itimers(struct task_struct *task)
{
	static const int signals[2] = {SIGVTALRM, SIGPROF};
	irq_state_t state = spin_lock_irqsave(&task->sighand->lock);

	for (unsigned i = 0; i < 2; i++) {
		struct kernel_siginfo info = {.si_signo = signals[i], .si_code = SI_KERNEL};
		struct cpu_itimer *it = &task->signal->it[i];
		uint64_t now;

		if (!it->expires || (now = cpu_now(task, i)) < it->expires)
			continue;
		it->expires = it->interval ? now + it->interval : 0;
		if (!list_empty(
		            &task->thread_node)) /* else it is leaving, and others run their own ticks */
			send_signal_locked(task, &info, true);
	}
	spin_unlock_irqrestore(&task->sighand->lock, state);
}

static uint64_t cpu_left(const struct cpu_itimer *it, uint64_t now)
{
	return !it->expires ? 0 : it->expires > now ? it->expires - now : 1;
}

static void set_cpu_timer(unsigned which, uint64_t value, uint64_t interval, uint64_t *old_value,
                          uint64_t *old_interval)
{
	struct cpu_itimer *it = &current->signal->it[which];
	irq_state_t state = spin_lock_irqsave(&current->sighand->lock);
	uint64_t now = cpu_now(current, which);

	*old_value = cpu_left(it, now);
	*old_interval = it->interval;
	it->expires = value ? now + value : 0;
	it->interval = interval;
	spin_unlock_irqrestore(&current->sighand->lock, state);
	if (value)
		atomic_store(&this_cpu_ptr()->need_resched,
		             1); /* the tick starts with the next pick */
}

static uint64_t timeval_ns(const struct timeval64 *tv)
{
	struct timespec64 ts = {tv->tv_sec, tv->tv_usec * (int64_t)NSEC_PER_USEC};

	return timespec_to_ns(&ts);
}

static int put_itimerval(vaddr_t to, uint64_t value, uint64_t interval)
{
	struct itimerval64 it = {ns_to_timeval(interval), ns_to_timeval(value)};

	return copy_to_user(to, &it, sizeof(it));
}

static bool itimerval_valid(const struct itimerval64 *it)
{
	return it->it_value.tv_sec >= 0 && (uint64_t)it->it_value.tv_usec < 1000000 &&
	       it->it_interval.tv_sec >= 0 && (uint64_t)it->it_interval.tv_usec < 1000000;
}

SYSCALL3(setitimer, int, which, vaddr_t, from, vaddr_t, to)
{
	struct itimerval64 it = {0};
	uint64_t value, interval;

	if (from && copy_from_user(&it, from, sizeof(it)))
		return -EFAULT;
	if (which < ITIMER_REAL || which > ITIMER_PROF || !itimerval_valid(&it))
		return -EINVAL;
	if (which == ITIMER_REAL)
		set_real(current->signal, timeval_ns(&it.it_value), timeval_ns(&it.it_interval),
		         &value, &interval);
	else
		set_cpu_timer((unsigned)which - 1, timeval_ns(&it.it_value),
		              timeval_ns(&it.it_interval), &value, &interval);
	return to ? put_itimerval(to, value, interval) : 0;
}

SYSCALL2(getitimer, int, which, vaddr_t, to)
{
	struct signal_struct *sig = current->signal;
	uint64_t value, interval;
	irq_state_t state;

	if (which < ITIMER_REAL || which > ITIMER_PROF)
		return -EINVAL;
	state = spin_lock_irqsave(&current->sighand->lock);
	if (which == ITIMER_REAL) {
		value = real_left(sig);
		interval = sig->it_real_interval;
	} else {
		struct cpu_itimer *it = &sig->it[which - 1];

		value = cpu_left(it, cpu_now(current, (unsigned)which - 1));
		interval = it->interval;
	}
	spin_unlock_irqrestore(&current->sighand->lock, state);
	return put_itimerval(to, value, interval);
}

/* --- POSIX timers -------------------------------------------------------------------------------------------------- */

#define SIGEV_SIGNAL    0
#define SIGEV_NONE      1
#define SIGEV_THREAD    2 /* the library's: a signal to the kernel */
#define SIGEV_THREAD_ID 4
#define TIMERS_MAX      1024
#define CPU_CLOCK_POLL  (4 * NSEC_PER_MSEC)

struct sigevent { /* of the ABI */
	uint64_t value;
	int32_t signo, notify, tid;
	uint8_t pad[44];
};

struct posix_timer {
	struct timer_entry timer;
	struct list_head link; /* (s) */
	struct signal_struct *sig;
	struct task_struct *target; /* held; SIGEV_THREAD_ID: that thread, else the leader */
	/* Held; of a CPU clock: whose time, and whether its alone. Of this process. */
	struct task_struct *counted;
	bool counted_alone;
	int32_t id, clock;
	int32_t notify, signo;
	uint64_t value;
	uint64_t interval;             /* (s) ns */
	uint64_t expires;              /* (s) on its clock, ns; 0: off */
	int64_t overrun, last_overrun; /* (s) */
	struct sigqueue *q;            /* (s) its signal */
};

static uint64_t timer_clock(struct posix_timer *t)
{
	uint64_t ns = 0;

	if (t->counted)
		return t->counted_alone ? task_sched_runtime(t->counted) : cpu_now(t->counted, 1);
	return clock_read(t->clock, &ns) ? 0 : ns;
}

/* When to look, not before least from now: CPU clocks stand still while nobody runs, so those are polled. */
static void arm(struct posix_timer *t, uint64_t least)
{
	uint64_t now = timer_clock(t), wait = t->expires > now ? t->expires - now : 0;

	if (t->counted)
		least = CPU_CLOCK_POLL;
	timer_add(&t->timer, deadline_after(MAX(wait, least)));
}

static void send_timer_signal(struct posix_timer *t)
{
	struct kernel_siginfo info = {.si_signo = t->signo, .si_code = SI_TIMER};

	if (t->notify == SIGEV_NONE)
		return;
	if (t->notify == SIGEV_THREAD_ID && list_empty(&t->target->thread_node))
		return; /* it has ended: what it would be sent is lost */
	info.timer.si_tid = t->id;
	info.timer.value = t->value;
	if (!send_timer_sigqueue_locked(t->q, t->target, &info, t->notify != SIGEV_THREAD_ID))
		t->overrun++;
}

static void posix_timer_fn(struct timer_entry *timer)
{
	struct posix_timer *t = container_of(timer, struct posix_timer, timer);
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct sighand_struct *sighand = sig_leader(t->sig)->sighand;
	uint64_t now;

	spin_lock(&sighand->lock);
	if (!t->expires)
		goto out;
	now = timer_clock(t);
	if (now >= t->expires) {
		send_timer_signal(t);
		if (t->interval) {
			uint64_t missed = (now - t->expires) / t->interval;

			t->overrun += (int64_t)missed;
			t->expires += (missed + 1) * t->interval;
		} else {
			t->expires = 0;
		}
	}
	if (t->expires)
		arm(t, PERIOD_MIN);
out:
	spin_unlock(&sighand->lock);
	spin_unlock_irqrestore(&tasklist_lock, state);
}

void posix_timer_dequeued(struct signal_struct *sig, struct kernel_siginfo *info)
{
	struct posix_timer *t;

	list_for_each_entry(t, &sig->posix_timers, link) {
		if (t->id != info->timer.si_tid)
			continue;
		t->last_overrun = t->overrun;
		t->overrun = 0;
		info->timer.si_overrun = (int32_t)MIN(t->last_overrun, INT32_MAX);
	}
	info->timer.si_sys_private = 0;
}

static void free_posix_timer(struct posix_timer *t)
{
	if (t->target)
		put_task(t->target);
	if (t->counted)
		put_task(t->counted);
	if (t->q) {
		irq_state_t state = spin_lock_irqsave(&current->sighand->lock);

		timer_sigqueue_free_locked(t->q, t->sig);
		spin_unlock_irqrestore(&current->sighand->lock, state);
	}
	kfree(t);
}

/* Taken off the list under the lock; then nobody but its callback knows it. */
static void destroy_posix_timer(struct posix_timer *t)
{
	timer_cancel_sync(&t->timer);
	free_posix_timer(t);
}

void exit_itimers(struct signal_struct *sig)
{
	for (;;) {
		irq_state_t state = spin_lock_irqsave(&current->sighand->lock);
		struct posix_timer *t =
		        list_first_entry_or_null(&sig->posix_timers, struct posix_timer, link);

		if (t) {
			list_del(&t->link);
			t->expires = 0;
		}
		sig->it[0] = sig->it[1] = (struct cpu_itimer){0};
		spin_unlock_irqrestore(&current->sighand->lock, state);
		if (!t)
			return;
		destroy_posix_timer(t);
	}
}

/* With sighand->lock held. */
static struct posix_timer *find_timer(int32_t id)
{
	struct posix_timer *t;

	list_for_each_entry(t, &current->signal->posix_timers, link)
		if (t->id == id)
			return t;
	return NULL;
}

static bool in_this_process(const struct task_struct *task)
{
	return task && task->signal == current->signal;
}

/* The clock: 0, or -EINVAL. Of CPU clocks only those of this process, whose lock is held when the timer is looked at. */
static int set_timer_clock(struct posix_timer *t, int32_t clock)
{
	t->clock = clock;
	if (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME)
		return 0;
	t->counted = cpu_clock_task(clock, &t->counted_alone);
	return in_this_process(t->counted) ? 0 : -EINVAL;
}

/* Who gets the signal: 0, or -EINVAL, the event makes no sense. */
static int set_timer_target(struct posix_timer *t, const struct sigevent *ev)
{
	t->notify = ev->notify;
	t->signo = ev->signo;
	t->value = ev->value;
	if (ev->notify != SIGEV_NONE && !valid_signal(ev->signo))
		return -EINVAL;
	if (ev->notify == SIGEV_NONE || ev->notify == SIGEV_SIGNAL || ev->notify == SIGEV_THREAD)
		t->target = get_task(current->group_leader);
	else if (ev->notify == SIGEV_THREAD_ID)
		t->target = find_get_task_by_pid(ev->tid);
	return in_this_process(t->target) ? 0 : -EINVAL;
}

/* The timer gets its number, by which the process finds it; without an event that is its value too. 0 or -EAGAIN. */
static int publish_timer(struct posix_timer *t, bool value_is_id)
{
	irq_state_t state = spin_lock_irqsave(&current->sighand->lock);
	struct signal_struct *sig = current->signal;
	int err = -EAGAIN;

	if (list_count_nodes(&sig->posix_timers) < TIMERS_MAX) {
		do {
			t->id = sig->next_timer_id;
			sig->next_timer_id = t->id == INT32_MAX ? 0 : t->id + 1;
		} while (find_timer(t->id));
		if (value_is_id)
			t->value = (uint64_t)t->id;
		list_add_tail(&t->link, &sig->posix_timers);
		err = 0;
	}
	spin_unlock_irqrestore(&current->sighand->lock, state);
	return err;
}

static int delete_timer(int32_t id)
{
	irq_state_t state = spin_lock_irqsave(&current->sighand->lock);
	struct posix_timer *t = find_timer(id);

	if (t) {
		list_del(&t->link);
		t->expires = 0;
	}
	spin_unlock_irqrestore(&current->sighand->lock, state);
	if (!t)
		return -EINVAL;
	destroy_posix_timer(t);
	return 0;
}

SYSCALL3(timer_create, int32_t, clock, vaddr_t, event, vaddr_t, uid)
{
	struct sigevent ev = {.notify = SIGEV_SIGNAL, .signo = SIGALRM};
	struct posix_timer *t;
	int32_t id;
	int err;

	if (event && copy_from_user(&ev, event, sizeof(ev)))
		return -EFAULT;
	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t)
		return -EAGAIN;
	timer_setup(&t->timer, posix_timer_fn);
	t->sig = current->signal;
	t->q = timer_sigqueue_alloc(t->sig);
	err = t->q ? set_timer_clock(t, clock) : -EAGAIN;
	if (!err)
		err = set_timer_target(t, &ev);
	if (!err)
		err = publish_timer(t, !event);
	if (err) {
		free_posix_timer(t);
		return err;
	}
	id = READ_ONCE(t->id);
	if (!put_user_u32(uid, (uint32_t)id))
		return 0;
	(void)delete_timer(id); /* unless another thread guessed the number and did */
	return -EFAULT;
}

static void timer_left(struct posix_timer *t, struct itimerspec64 *out)
{
	uint64_t now = timer_clock(t);

	out->it_interval = ns_to_timespec(t->interval);
	out->it_value = ns_to_timespec(!t->expires ? 0 : t->expires > now ? t->expires - now : 1);
}

SYSCALL4(timer_settime, int32_t, id, int, flags, vaddr_t, from, vaddr_t, to)
{
	struct itimerspec64 it, old;
	struct posix_timer *t;
	irq_state_t state;
	uint64_t value;

	if (!from || copy_from_user(&it, from, sizeof(it)))
		return from ? -EFAULT : -EINVAL;
	if (!timespec_valid(&it.it_value) || !timespec_valid(&it.it_interval))
		return -EINVAL;
	value = timespec_to_ns(&it.it_value);
	state = spin_lock_irqsave(&current->sighand->lock);
	t = find_timer(id);
	if (t) {
		timer_left(t, &old);
		timer_cancel(&t->timer);
		t->interval = timespec_to_ns(&it.it_interval);
		t->overrun = 0;
		t->expires = !value ? 0 : flags & TIMER_ABSTIME ? value : timer_clock(t) + value;
		if (t->expires)
			arm(t, 0);
	}
	spin_unlock_irqrestore(&current->sighand->lock, state);
	if (!t)
		return -EINVAL;
	return to ? copy_to_user(to, &old, sizeof(old)) : 0;
}

SYSCALL2(timer_gettime, int32_t, id, vaddr_t, to)
{
	struct itimerspec64 it;
	irq_state_t state = spin_lock_irqsave(&current->sighand->lock);
	struct posix_timer *t = find_timer(id);

	if (t)
		timer_left(t, &it);
	spin_unlock_irqrestore(&current->sighand->lock, state);
	return t ? copy_to_user(to, &it, sizeof(it)) : -EINVAL;
}

SYSCALL1(timer_getoverrun, int32_t, id)
{
	irq_state_t state = spin_lock_irqsave(&current->sighand->lock);
	struct posix_timer *t = find_timer(id);
	int64_t overrun = t ? MIN(t->last_overrun, INT32_MAX) : -EINVAL;

	spin_unlock_irqrestore(&current->sighand->lock, state);
	return overrun;
}

SYSCALL1(timer_delete, int32_t, id)
{
	return delete_timer(id);
}
