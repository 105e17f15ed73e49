/*
 * time.h - clocks, timers, and the time structures of the ABI.
 *
 * Inside the kernel time is CLOCK_MONOTONIC in nanoseconds, a uint64_t; UINT64_MAX means never.
 */
#ifndef KERNEL_TIME_H
#define KERNEL_TIME_H

#include "lib/rbtree.h"
#include <quire/errno.h>
#include <quire/port.h>

#define NSEC_PER_SEC  1000000000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_USEC 1000ull

#define CLOCK_REALTIME           0
#define CLOCK_MONOTONIC          1
#define CLOCK_PROCESS_CPUTIME_ID 2
#define CLOCK_THREAD_CPUTIME_ID  3
#define CLOCK_MONOTONIC_RAW      4
#define CLOCK_REALTIME_COARSE    5
#define CLOCK_MONOTONIC_COARSE   6
#define CLOCK_BOOTTIME           7
#define CLOCK_REALTIME_ALARM     8
#define CLOCK_BOOTTIME_ALARM     9

#define TIMER_ABSTIME 1

struct timespec64 { /* struct timespec of the ABI */
	int64_t tv_sec, tv_nsec;
};
struct timeval64 { /* struct timeval */
	int64_t tv_sec, tv_usec;
};
struct itimerspec64 {
	struct timespec64 it_interval, it_value;
};
struct itimerval64 {
	struct timeval64 it_interval, it_value;
};

/*
 * A timer. fn runs once, on some CPU, in interrupt context, at or shortly after expires; it may add the timer again.
 * The memory is the caller's and must live until timer_cancel_sync() or fn has returned.
 */
struct timer_entry {
	struct rb_node node;
	uint64_t expires; /* ns */
	void (*fn)(struct timer_entry *timer);
	unsigned cpu; /* whose tree it is in, when armed */
	_Atomic bool armed;
};

void timer_setup(struct timer_entry *timer, void (*fn)(struct timer_entry *timer));
/* Arm on this CPU, or move to a new time. Any context. */
void timer_add(struct timer_entry *timer, uint64_t expires_ns);
/* Disarm; true if it was armed. fn may still be running on another CPU. Any context. */
bool timer_cancel(struct timer_entry *timer);
/* Disarm and wait until fn, if it runs, has returned. Not from fn, nor under a lock that fn takes. */
bool timer_cancel_sync(struct timer_entry *timer);

/* Run what is due on this CPU; the next expiry (UINT64_MAX: none). Interrupts off. */
void timers_run(void);
uint64_t timers_next(void);
void timers_init_cpu(void);
/* This CPU's one-shot timer goes off at deadline_ns or before. Interrupts off. */
void timer_program(uint64_t deadline_ns);

/* Interval timers of a process (kernel/itimer.c): alarm, setitimer, timer_create. */
struct signal_struct;
struct task_struct;
MUST_USE int itimer_real_init(struct signal_struct *sig); /* 0 or -ENOMEM */
void exit_itimers(struct signal_struct *sig);       /* the process ends or execs: POSIX timers go */
void cancel_itimer_real(struct signal_struct *sig); /* the process ends */
void run_cpu_itimers(struct task_struct *task);     /* at ticks; interrupt context */
bool has_cpu_itimers(struct signal_struct *sig);

/* Clocks. */
static inline uint64_t ktime_get_ns(void)
{
	return port_now_ns();
}
uint64_t ktime_get_real_ns(void);        /* since 1970 */
uint64_t real_to_mono_ns(uint64_t real); /* saturates */
struct timespec64 current_time(void);    /* for inodes */
/* Reads a clock by its ABI number, also negative ones of processes. 0 or -EINVAL. */
MUST_USE int clock_read(int32_t clock, uint64_t *ns);
/* Whose CPU time the clock counts, with a reference: of the thread alone, or of its process. NULL: no such clock. */
struct task_struct *cpu_clock_task(int32_t clock, bool *thread);
void timekeeping_init(void); /* wallclock= */

/* CLOCK_REALTIME was set: those who sleep for an absolute real time look again (timerfd, nanosleep). */
extern struct wait_queue clock_was_set;
extern _Atomic uint32_t clock_set_count;

static inline struct timespec64 ns_to_timespec(uint64_t ns)
{
	return (struct timespec64){(int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC)};
}
static inline struct timeval64 ns_to_timeval(uint64_t ns)
{
	return (struct timeval64){(int64_t)(ns / NSEC_PER_SEC),
	                          (int64_t)(ns % NSEC_PER_SEC / NSEC_PER_USEC)};
}
/* Fields in range and not negative? */
static inline bool timespec_valid(const struct timespec64 *ts)
{
	return ts->tv_sec >= 0 && (uint64_t)ts->tv_nsec < NSEC_PER_SEC;
}
/* Saturates below UINT64_MAX; the argument is valid. */
static inline uint64_t timespec_to_ns(const struct timespec64 *ts)
{
	if ((uint64_t)ts->tv_sec >= UINT64_MAX / 2 / NSEC_PER_SEC)
		return UINT64_MAX / 2;
	return (uint64_t)ts->tv_sec * NSEC_PER_SEC + (uint64_t)ts->tv_nsec;
}

/* From and to the program. 0, -EFAULT, -EINVAL (out of range). Sleep. */
MUST_USE int get_timespec_user(struct timespec64 *ts, vaddr_t from);
MUST_USE int put_timespec_user(vaddr_t to, const struct timespec64 *ts);
MUST_USE int get_timeval_user(struct timeval64 *tv, vaddr_t from);
MUST_USE int put_timeval_user(vaddr_t to, const struct timeval64 *tv);
/* A relative timeout that may be NULL (-> UINT64_MAX) as a deadline. */
MUST_USE int get_timeout_user(uint64_t *deadline_ns, vaddr_t timespec);

/* ns from now as a deadline; saturates. */
static inline uint64_t deadline_after(uint64_t ns)
{
	uint64_t now = port_now_ns();

	return ns > UINT64_MAX - 1 - now ? UINT64_MAX : now + ns;
}

#endif
