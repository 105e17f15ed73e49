/*
 * wait.c - wait4 and waitid, and what processes used (getrusage, times).
 *
 * Children are scanned under tasklist_lock. A zombie is claimed by turning it DEAD there, so that of several threads that wait
 * one gets it; what is told of it is copied out under the lock, and only then goes to the program.
 */
#include "kernel/exec.h"
#include "fs/vfs.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "kernel/time.h"
#include "kernel/uaccess.h"
#include "lib/string.h"

#define WNOHANG     0x00000001u
#define WUNTRACED   0x00000002u
#define WSTOPPED    WUNTRACED
#define WEXITED     0x00000004u
#define WCONTINUED  0x00000008u
#define WNOWAIT     0x01000000u
#define __WNOTHREAD 0x20000000u
#define __WALL      0x40000000u
#define __WCLONE    0x80000000u

#define P_ALL   0
#define P_PID   1
#define P_PGID  2
#define P_PIDFD 3

#define RUSAGE_SELF     0
#define RUSAGE_CHILDREN (-1)
#define RUSAGE_THREAD   1

struct rusage { /* of the ABI */
	struct timeval64 ru_utime, ru_stime;
	int64_t ru_maxrss, ru_ixrss, ru_idrss, ru_isrss, ru_minflt, ru_majflt, ru_nswap;
	int64_t ru_inblock, ru_oublock, ru_msgsnd, ru_msgrcv, ru_nsignals, ru_nvcsw, ru_nivcsw;
};

struct wait_opts {
	int type;
	int32_t id;
	unsigned flags;
	/* out */
	int32_t pid;
	uint32_t uid;
	int code, status; /* CLD_*, and its status; raw: wait4's word */
	int raw;
	bool oom_killed;
	struct rusage_sum sum;
	uint64_t maxrss;
	struct task_struct *reap;
};

/* --- CPU time -------------------------------------------------------------------------------------------- */

/* Ticks divide what the scheduler measured, as Linux does where it samples. Without samples all is the program's. */
static void split_cputime(uint64_t total, uint64_t user, uint64_t sys, uint64_t *utime,
                          uint64_t *stime)
{
	*stime = user + sys ? total / (user + sys) * sys : 0;
	*utime = total - *stime;
}

void task_cputime(struct task_struct *task, uint64_t *utime, uint64_t *stime)
{
	split_cputime(task_sched_runtime(task), task->ticks_user, task->ticks_sys, utime, stime);
}

void thread_group_cputime_locked(struct task_struct *task, uint64_t *utime, uint64_t *stime)
{
	struct task_struct *t;

	*utime = task->signal->dead.utime;
	*stime = task->signal->dead.stime;
	for_each_thread(task, t) {
		uint64_t u, s;

		task_cputime(t, &u, &s);
		*utime += u;
		*stime += s;
	}
}

void thread_group_cputime(struct task_struct *task, uint64_t *utime, uint64_t *stime)
{
	irq_state_t state = spin_lock_irqsave(&task->sighand->lock);

	thread_group_cputime_locked(task, utime, stime);
	spin_unlock_irqrestore(&task->sighand->lock, state);
}

void children_cputime(struct task_struct *task, uint64_t *utime, uint64_t *stime)
{
	*utime = READ_ONCE(task->signal->children.utime);
	*stime = READ_ONCE(task->signal->children.stime);
}

static void add_sum(struct rusage_sum *to, const struct rusage_sum *from)
{
	to->utime += from->utime;
	to->stime += from->stime;
	to->minflt += from->minflt;
	to->majflt += from->majflt;
	to->nvcsw += from->nvcsw;
	to->nivcsw += from->nivcsw;
}

static void sum_thread(struct task_struct *t, struct rusage_sum *sum)
{
	struct rusage_sum one = {0};

	task_cputime(t, &one.utime, &one.stime);
	one.minflt = t->faults.minor;
	one.majflt = t->faults.major;
	one.nvcsw = t->nvcsw;
	one.nivcsw = t->nivcsw;
	add_sum(sum, &one);
}

static void sum_process(struct task_struct *task, struct rusage_sum *sum)
{
	irq_state_t state = spin_lock_irqsave(&task->sighand->lock);
	struct task_struct *t;

	*sum = task->signal->dead;
	for_each_thread(task, t)
		sum_thread(t, sum);
	spin_unlock_irqrestore(&task->sighand->lock, state);
}

void thread_group_faults(struct task_struct *task, struct fault_stats *own,
                         struct fault_stats *children)
{
	struct rusage_sum sum;

	sum_process(task, &sum);
	*own = (struct fault_stats){sum.minflt, sum.majflt};
	*children =
	        (struct fault_stats){task->signal->children.minflt, task->signal->children.majflt};
}

static void fill_rusage(struct rusage *ru, const struct rusage_sum *sum, uint64_t maxrss_pages)
{
	memset(ru, 0, sizeof(*ru));
	ru->ru_utime = ns_to_timeval(sum->utime);
	ru->ru_stime = ns_to_timeval(sum->stime);
	ru->ru_maxrss = (int64_t)(maxrss_pages * (PAGE_SIZE / 1024));
	ru->ru_minflt = (int64_t)sum->minflt;
	ru->ru_majflt = (int64_t)sum->majflt;
	ru->ru_nvcsw = (int64_t)sum->nvcsw;
	ru->ru_nivcsw = (int64_t)sum->nivcsw;
}

/* --- what may be waited for ---------------------------------------------------------------------------------- */

static bool eligible(const struct wait_opts *wo, const struct task_struct *child)
{
	if (wo->type == P_PID && child->pid != wo->id)
		return false;
	if (wo->type == P_PGID && child->signal->pgid != wo->id)
		return false;
	return wo->flags & __WALL || (child->exit_signal != SIGCHLD) == !!(wo->flags & __WCLONE);
}

static void describe(struct wait_opts *wo, struct task_struct *child, int code, int status, int raw)
{
	wo->pid = child->pid;
	wo->uid = child->cred.uid;
	wo->code = code;
	wo->status = status;
	wo->raw = raw;
	wo->oom_killed = raw == SIGKILL && atomic_load(&child->signal->oom_killed);
	sum_process(child, &wo->sum);
	add_sum(&wo->sum, &child->signal->children);
	wo->maxrss = MAX(child->signal->maxrss, child->signal->cmaxrss);
}

static void take_zombie(struct wait_opts *wo, struct task_struct *child)
{
	struct signal_struct *parent = child->real_parent->signal;
	int raw = child->signal->group_exit ? child->signal->group_exit_code : child->exit_code;

	if (raw & 0x7f)
		describe(wo, child, raw & 0x80 ? CLD_DUMPED : CLD_KILLED, raw & 0x7f, raw);
	else
		describe(wo, child, CLD_EXITED, raw >> 8 & 0xff, raw);
	if (wo->flags & WNOWAIT)
		return;
	atomic_store(&child->state, TASK_DEAD);
	add_sum(&parent->children, &wo->sum);
	parent->cmaxrss = MAX(parent->cmaxrss, wo->maxrss);
	wo->reap = child;
}

/* Stopped or continued, not told yet. sighand->lock held. */
static bool take_job_state(struct wait_opts *wo, struct task_struct *child)
{
	struct signal_struct *sig = child->signal;
	irq_state_t state = spin_lock_irqsave(&child->sighand->lock);
	int code = 0, signo = 0;

	if (wo->flags & WSTOPPED && sig->stop_reportable) {
		code = CLD_STOPPED;
		signo = sig->stop_signal;
		sig->stop_reportable = wo->flags & WNOWAIT;
	} else if (wo->flags & WCONTINUED && sig->continued) {
		code = CLD_CONTINUED;
		signo = SIGCONT;
		sig->continued = wo->flags & WNOWAIT;
	}
	spin_unlock_irqrestore(&child->sighand->lock, state);
	if (!code)
		return false;
	describe(wo, child, code, signo, code == CLD_STOPPED ? signo << 8 | 0x7f : 0xffff);
	return true;
}

/* 1: something was found; 0: children, but none is ready; -ECHILD. */
static int scan_children(struct wait_opts *wo)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *child;
	int ret = -ECHILD;

	list_for_each_entry(child, &current->group_leader->children, sibling) {
		uint32_t s = atomic_load(&child->state);

		if (s == TASK_DEAD || !eligible(wo, child))
			continue;
		ret = 0;
		if (s == TASK_ZOMBIE) {
			if (child->signal->nr_threads == 1 && wo->flags & WEXITED) {
				take_zombie(wo, child);
				ret = 1;
				break;
			}
			continue;
		}
		if (take_job_state(wo, child)) {
			ret = 1;
			break;
		}
	}
	spin_unlock_irqrestore(&tasklist_lock, state);
	return ret;
}

static int64_t do_wait(struct wait_opts *wo)
{
	struct signal_struct *sig = current->signal;
	struct waiter w;
	int ret = scan_children(wo);

	if (ret || wo->flags & WNOHANG)
		goto out;
	wait_begin(&sig->wait_chldexit, &w);
	while (!(ret = scan_children(wo))) {
		if (signal_pending(current)) {
			ret = -ERESTARTSYS;
			break;
		}
		block_interruptible();
	}
	wait_end(&sig->wait_chldexit, &w);
out:
	if (wo->reap)
		release_task(wo->reap);
	return ret < 0 ? ret : wo->pid;
}

int32_t kernel_wait(int *raw, bool *oom_killed)
{
	struct wait_opts wo = {.type = P_ALL, .flags = WEXITED | __WALL};
	int64_t pid = do_wait(&wo);

	*raw = wo.raw;
	*oom_killed = wo.oom_killed;
	return (int32_t)pid;
}

SYSCALL4(wait4, int32_t, pid, vaddr_t, status, int, options, vaddr_t, ru)
{
	struct wait_opts wo = {.flags = (unsigned)options | WEXITED};
	struct rusage usage;
	int64_t ret;

	if ((unsigned)options &
	    ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	wo.type = pid == -1 ? P_ALL : pid > 0 ? P_PID : P_PGID;
	wo.id = pid > 0 ? pid : pid == 0 ? current->signal->pgid : -pid;
	ret = do_wait(&wo);
	if (ret <= 0)
		return ret;
	if (status && put_user_u32(status, (uint32_t)wo.raw))
		return -EFAULT;
	if (ru) {
		fill_rusage(&usage, &wo.sum, wo.maxrss);
		if (copy_to_user(ru, &usage, sizeof(usage)))
			return -EFAULT;
	}
	return ret;
}

static int put_waitid_info(vaddr_t to, const struct wait_opts *wo)
{
	struct kernel_siginfo info = {0};

	if (wo->pid) {
		info.si_signo = SIGCHLD;
		info.si_code = wo->code;
		info.child.pid = wo->pid;
		info.child.uid = wo->uid;
		info.child.si_status = wo->status;
	}
	return copy_to_user(to, &info, offsetof(struct kernel_siginfo, child.si_utime));
}

SYSCALL5(waitid, int, type, int32_t, id, vaddr_t, infop, int, options, vaddr_t, ru)
{
	struct wait_opts wo = {.type = type, .id = id, .flags = (unsigned)options};
	const unsigned all = WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD |
	                     __WCLONE | __WALL;
	struct rusage usage;
	int64_t ret;

	if (wo.flags & ~all || !(wo.flags & (WEXITED | WSTOPPED | WCONTINUED)))
		return -EINVAL;
	if (type < P_ALL || type > P_PGID || (type == P_PID && id <= 0) ||
	    (type == P_PGID && id < 0))
		return -EINVAL;
	if (type == P_PGID && !id)
		wo.id = current->signal->pgid;
	ret = do_wait(&wo);
	if (ret < 0)
		return ret;
	if (infop && put_waitid_info(infop, &wo))
		return -EFAULT;
	if (ru && wo.pid) {
		fill_rusage(&usage, &wo.sum, wo.maxrss);
		if (copy_to_user(ru, &usage, sizeof(usage)))
			return -EFAULT;
	}
	return 0;
}

/* --- usage ------------------------------------------------------------------------------------------------------ */

static uint64_t own_maxrss(void)
{
	struct mm_struct *mm = current->mm;

	return MAX(current->signal->maxrss, MAX(atomic_load(&mm->hiwater_rss), mm_rss(mm)));
}

SYSCALL2(getrusage, int, who, vaddr_t, to)
{
	struct rusage_sum sum = {0};
	struct rusage usage;

	switch (who) {
	case RUSAGE_SELF:
		sum_process(current, &sum);
		break;
	case RUSAGE_THREAD:
		sum_thread(current, &sum);
		break;
	case RUSAGE_CHILDREN:
		sum = current->signal->children;
		break;
	default:
		return -EINVAL;
	}
	fill_rusage(&usage, &sum, who == RUSAGE_CHILDREN ? current->signal->cmaxrss : own_maxrss());
	return copy_to_user(to, &usage, sizeof(usage));
}

SYSCALL1(times, vaddr_t, to)
{
	uint64_t t[4];
	const uint64_t tick = NSEC_PER_SEC / 100;

	thread_group_cputime(current, &t[0], &t[1]);
	children_cputime(current, &t[2], &t[3]);
	for (unsigned i = 0; i < 4; i++)
		t[i] /= tick;
	if (to && copy_to_user(to, t, sizeof(t)))
		return -EFAULT;
	return (int64_t)(port_now_ns() / tick);
}
