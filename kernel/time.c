/*
 * time.c - clocks and the calls that read and set them.
 *
 * There is one source, arch_clock_ns(): monotonic ns since boot, the same on all CPUs. Real time is that plus
 * an offset, which the host gives at boot (wallclock=) and settimeofday(2) changes. Nothing steers the rate,
 * so the RAW clock is the monotonic one, and since the machine is never suspended so is BOOTTIME. The COARSE clocks are as
 * fine as the others: reading the counter costs no more than caching it.
 */
#include "kernel/time.h"
#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "lib/string.h"
#include <quire/machine.h>

static _Atomic uint64_t real_offset; /* CLOCK_REALTIME less CLOCK_MONOTONIC, ns */
struct wait_queue clock_was_set;
_Atomic uint32_t clock_set_count;

uint64_t port_now_ns(void)
{
	return arch_clock_ns();
}

void timekeeping_init(void)
{
	char text[40];
	const char *end = text;
	uint64_t sec = 0, frac = 0;

	wait_queue_init(&clock_was_set);
	if (boot_param("wallclock", text, sizeof(text)) <= 0 || parse_u64(text, 10, &end, &sec))
		return;
	if (*end == '.') {
		const char *digits = end + 1;

		if (parse_u64(digits, 10, &end, &frac) == 0)
			for (long n = end - digits; n < 9; n++)
				frac *= 10;
	}
	atomic_store(&real_offset, sec * NSEC_PER_SEC + frac - port_now_ns());
}

uint64_t ktime_get_real_ns(void)
{
	return port_now_ns() + atomic_load_explicit(&real_offset, memory_order_relaxed);
}

uint64_t real_to_mono_ns(uint64_t real)
{
	uint64_t offset = atomic_load_explicit(&real_offset, memory_order_relaxed);

	return real > offset ? real - offset : 0;
}

struct timespec64 current_time(void)
{
	return ns_to_timespec(ktime_get_real_ns());
}

static void set_real_ns(uint64_t real)
{
	atomic_store(&real_offset, real - port_now_ns());
	atomic_fetch_add(&clock_set_count, 1);
	wake_up_all(&clock_was_set);
}

/* --- time structures of the program -------------------------------------------------------------- */

int get_timespec_user(struct timespec64 *ts, vaddr_t from)
{
	int err = copy_from_user(ts, from, sizeof(*ts));

	if (err)
		return err;
	return timespec_valid(ts) ? 0 : -EINVAL;
}

int put_timespec_user(vaddr_t to, const struct timespec64 *ts)
{
	return copy_to_user(to, ts, sizeof(*ts));
}

int get_timeval_user(struct timeval64 *tv, vaddr_t from)
{
	int err = copy_from_user(tv, from, sizeof(*tv));

	if (err)
		return err;
	return tv->tv_sec >= 0 && (uint64_t)tv->tv_usec < 1000000 ? 0 : -EINVAL;
}

int put_timeval_user(vaddr_t to, const struct timeval64 *tv)
{
	return copy_to_user(to, tv, sizeof(*tv));
}

int get_timeout_user(uint64_t *deadline_ns, vaddr_t timespec)
{
	struct timespec64 ts;
	int err;

	*deadline_ns = UINT64_MAX;
	if (!timespec)
		return 0;
	err = get_timespec_user(&ts, timespec);
	if (!err)
		*deadline_ns = deadline_after(timespec_to_ns(&ts));
	return err;
}

/* --- clocks -------------------------------------------------------------------------------------- */

static uint64_t process_cpu_ns(struct task_struct *task)
{
	uint64_t utime, stime;

	thread_group_cputime(task, &utime, &stime);
	return utime + stime;
}

/* A negative clock id holds ~pid << 3, a bit for "thread", and which clock: 2 is the scheduler's. */
struct task_struct *cpu_clock_task(int32_t clock, bool *thread)
{
	int32_t pid = clock < 0 ? ~(clock >> 3) : 0;
	struct task_struct *task;

	if (clock < 0 ? (clock & 3) == 3
	              : clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID)
		return NULL;
	*thread = clock < 0 ? clock & 4 : clock == CLOCK_THREAD_CPUTIME_ID;
	if (!pid)
		return get_task(*thread ? current : current->group_leader);
	task = *thread ? find_get_task_by_pid(pid) : find_get_process(pid);
	if (task && !task->signal) {
		put_task(task);
		return NULL;
	}
	return task;
}

static int cpu_clock_read(int32_t clock, uint64_t *ns)
{
	bool thread;
	struct task_struct *task = cpu_clock_task(clock, &thread);

	if (!task)
		return -EINVAL;
	*ns = thread ? task_sched_runtime(task) : process_cpu_ns(task);
	put_task(task);
	return 0;
}

int clock_read(int32_t clock, uint64_t *ns)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
		*ns = ktime_get_real_ns();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		*ns = port_now_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		*ns = process_cpu_ns(current);
		return 0;
	case CLOCK_THREAD_CPUTIME_ID:
		*ns = task_sched_runtime(current);
		return 0;
	default:
		return clock < 0 ? cpu_clock_read(clock, ns) : -EINVAL;
	}
}

SYSCALL2(clock_gettime, int32_t, clock, vaddr_t, to)
{
	struct timespec64 ts;
	uint64_t ns;
	int err = clock_read(clock, &ns);

	if (err)
		return err;
	ts = ns_to_timespec(ns);
	return put_timespec_user(to, &ts);
}

SYSCALL2(clock_getres, int32_t, clock, vaddr_t, to)
{
	struct timespec64 ts = {0, 1};
	uint64_t ns;
	int err = clock_read(clock, &ns);

	if (err || !to)
		return err;
	return put_timespec_user(to, &ts);
}

SYSCALL2(clock_settime, int32_t, clock, vaddr_t, from)
{
	struct timespec64 ts;
	int err;

	if (clock != CLOCK_REALTIME)
		return -EINVAL;
	err = get_timespec_user(&ts, from);
	if (err)
		return err;
	if (!capable(CAP_SYS_TIME))
		return -EPERM;
	set_real_ns(timespec_to_ns(&ts));
	return 0;
}

/* Minutes west of UTC, and what nobody uses any more: kept for those who ask. */
static int32_t zone[2];

SYSCALL2(gettimeofday, vaddr_t, tv, vaddr_t, tz)
{
	struct timeval64 now = ns_to_timeval(ktime_get_real_ns());
	int err = tv ? put_timeval_user(tv, &now) : 0;

	return err || !tz ? err : copy_to_user(tz, zone, sizeof(zone));
}

SYSCALL2(settimeofday, vaddr_t, tv, vaddr_t, tz)
{
	struct timeval64 t;
	int32_t new_zone[2];
	int err = tv ? get_timeval_user(&t, tv) : 0;

	if (err)
		return err;
	if (tz && copy_from_user(new_zone, tz, sizeof(new_zone)))
		return -EFAULT;
	if (!capable(CAP_SYS_TIME))
		return -EPERM;
	if (tz && (new_zone[0] > 15 * 60 || new_zone[0] < -15 * 60))
		return -EINVAL;
	if (tz)
		memcpy(zone, new_zone, sizeof(zone));
	if (tv)
		set_real_ns((uint64_t)t.tv_sec * NSEC_PER_SEC +
		            (uint64_t)t.tv_usec * NSEC_PER_USEC);
	return 0;
}

SYSCALL1(time, vaddr_t, to)
{
	uint64_t sec = ktime_get_real_ns() / NSEC_PER_SEC;

	if (to && put_user_u64(to, sec))
		return -EFAULT;
	return (int64_t)sec;
}

/* --- sleeping ------------------------------------------------------------------------------------ */

/* restart.arg: deadline, address for what is left. */
static int64_t nanosleep_until(uint64_t deadline, vaddr_t left, bool absolute)
{
	struct task_struct *task = current;
	uint64_t now;

	while ((now = port_now_ns()) < deadline && !signal_pending(task))
		block_interruptible_until(deadline);
	if (now >= deadline)
		return 0;
	if (absolute)
		return -ERESTARTNOHAND;
	if (left) {
		struct timespec64 ts = ns_to_timespec(deadline - now);

		if (put_timespec_user(left, &ts))
			return -EFAULT;
	}
	task->restart.arg[0] = deadline;
	task->restart.arg[1] = left;
	return -ERESTART_RESTARTBLOCK;
}

static int64_t nanosleep_restart(struct task_struct *task)
{
	return nanosleep_until(task->restart.arg[0], task->restart.arg[1], false);
}

/* Until a point of real time, which moves when the clock is set. */
static int64_t sleep_until_real(uint64_t real)
{
	struct task_struct *task = current;
	struct waiter w;

	wait_begin(&clock_was_set, &w);
	while (ktime_get_real_ns() < real && !signal_pending(task))
		block_interruptible_until(real_to_mono_ns(real));
	wait_end(&clock_was_set, &w);
	return ktime_get_real_ns() >= real ? 0 : -ERESTARTNOHAND;
}

SYSCALL2(nanosleep, vaddr_t, want, vaddr_t, left)
{
	struct timespec64 ts;
	int err = get_timespec_user(&ts, want);

	if (err)
		return err;
	current->restart.fn = nanosleep_restart;
	return nanosleep_until(deadline_after(timespec_to_ns(&ts)), left, false);
}

/* Sleeping on a CPU-time clock: nobody runs for us while we sleep, so look at it at the pace of real time. */
static int64_t sleep_on_cpu_clock(int32_t clock, uint64_t until)
{
	uint64_t now;
	int err;

	while (!(err = clock_read(clock, &now)) && now < until) {
		if (signal_pending(current))
			return -EINTR;
		block_interruptible_until(deadline_after(MAX(until - now, NSEC_PER_MSEC)));
	}
	return err;
}

SYSCALL4(clock_nanosleep, int32_t, clock, int, flags, vaddr_t, want, vaddr_t, left)
{
	bool absolute = flags & TIMER_ABSTIME;
	struct timespec64 ts;
	uint64_t ns, now;
	int err = clock_read(clock, &now);

	if (err)
		return err;
	if (clock == CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	if (clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_REALTIME_COARSE ||
	    clock == CLOCK_MONOTONIC_COARSE)
		return -EOPNOTSUPP;
	err = get_timespec_user(&ts, want);
	if (err)
		return err;
	ns = timespec_to_ns(&ts);
	if (clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID)
		return sleep_on_cpu_clock(clock, absolute ? ns : now + ns);
	if (absolute && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM))
		return sleep_until_real(ns);
	current->restart.fn = nanosleep_restart;
	return nanosleep_until(absolute ? ns : deadline_after(ns), left, absolute);
}

/* --- load average: runnable tasks, decayed every 5 s ---------------------------------------------- */

#define LOAD_ONE    2048u
#define LOAD_PERIOD (5 * NSEC_PER_SEC)

static uint64_t avenrun[3]; /* written by the timer alone */
static struct timer_entry load_timer;

static void load_sample(struct timer_entry *timer)
{
	static const uint32_t keep[3] = {1884, 2014, 2037}; /* 2048 e^(-5s/1, 5, 15 min) */
	uint64_t active = nr_running() * LOAD_ONE;

	for (unsigned i = 0; i < 3; i++)
		avenrun[i] = (avenrun[i] * keep[i] + active * (LOAD_ONE - keep[i]) + LOAD_ONE / 2) /
		             LOAD_ONE;
	timer_add(timer, timer->expires + LOAD_PERIOD);
}

void loadavg_init(void)
{
	timer_setup(&load_timer, load_sample);
	timer_add(&load_timer, deadline_after(LOAD_PERIOD));
}

void get_loadavg(uint64_t avg[3])
{
	for (unsigned i = 0; i < 3; i++)
		avg[i] = READ_ONCE(avenrun[i]);
}

/* --- how busy a CPU is --------------------------------------------------------------------------- */

uint64_t cpu_idle_ns(unsigned cpu)
{
	if (!(cpus_online() >> cpu & 1))
		return 0;
	return task_sched_runtime(container_of(machine()->cpu[cpu], struct cpu, mm)->idle);
}

uint64_t cpu_busy_ns(unsigned cpu)
{
	uint64_t idle = cpu_idle_ns(cpu), now = port_now_ns();

	return cpus_online() >> cpu & 1 && now > idle ? now - idle : 0;
}
