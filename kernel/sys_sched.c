/*
 * sys_sched.c - the system calls about scheduling: giving way, affinity, nice values, policies.
 *
 * There are no realtime classes: asking for one is EINVAL for what does not exist, not success.
 */
#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"

#include <quire/frame.h>

#define PRIO_PROCESS        0
#define PRIO_PGRP           1
#define PRIO_USER           2
#define SCHED_RESET_ON_FORK 0x40000000

SYSCALL0(sched_yield)
{
	yield();
	return 0;
}

static struct task_struct *get_thread(int32_t pid)
{
	return pid ? find_get_task_by_pid(pid) : get_task(current);
}

static bool may_change(struct task_struct *task)
{
	return capable(CAP_SYS_NICE) || current->cred.euid == task->cred.uid ||
	       current->cred.euid == task->cred.euid;
}

SYSCALL3(sched_setaffinity, int32_t, pid, unsigned, len, vaddr_t, from)
{
	struct task_struct *task;
	uint64_t mask = 0;
	int err;

	if (copy_from_user(&mask, from, MIN(len, sizeof(mask))))
		return -EFAULT;
	task = get_thread(pid);
	if (!task)
		return -ESRCH;
	err = may_change(task) ? set_cpus_allowed(task, mask & cpus_online()) : -EPERM;
	put_task(task);
	return err;
}

SYSCALL3(sched_getaffinity, int32_t, pid, unsigned, len, vaddr_t, to)
{
	struct task_struct *task;
	uint64_t mask;

	if (len < sizeof(mask) || len % sizeof(mask))
		return -EINVAL;
	task = get_thread(pid);
	if (!task)
		return -ESRCH;
	mask = task->cpus_allowed & cpus_online();
	put_task(task);
	return copy_to_user(to, &mask, sizeof(mask)) ? -EFAULT : (int64_t)sizeof(mask);
}

SYSCALL3(getcpu, vaddr_t, cpu, vaddr_t, node, vaddr_t, unused UNUSED)
{
	if ((cpu && put_user_u32(cpu, cpu_id())) ||
	    (node && put_user_u32(node, cpu_to_node(cpu_id()))))
		return -EFAULT;
	return 0;
}

/* --- policies ------------------------------------------------------------------------------------------------ */

static bool policy_exists(int policy)
{
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

static int64_t set_scheduler(int32_t pid, int policy, vaddr_t param)
{
	struct task_struct *task;
	uint32_t priority;
	bool reset;
	int64_t err = 0;

	if (!param || pid < 0)
		return -EINVAL;
	if (get_user_u32(&priority, param))
		return -EFAULT;
	task = get_thread(pid);
	if (!task)
		return -ESRCH;
	reset = policy < 0 ? task->reset_on_fork : policy & SCHED_RESET_ON_FORK;
	policy = policy < 0 ? task->policy : policy & ~SCHED_RESET_ON_FORK;
	if (!policy_exists(policy) || priority)
		err = -EINVAL;
	else if (!may_change(task) || (task->reset_on_fork && !reset && !capable(CAP_SYS_NICE)))
		err = -EPERM;
	else
		set_task_policy(task, policy, reset);
	put_task(task);
	return err;
}

SYSCALL3(sched_setscheduler, int32_t, pid, int, policy, vaddr_t, param)
{
	return policy < 0 ? -EINVAL : set_scheduler(pid, policy, param);
}

SYSCALL2(sched_setparam, int32_t, pid, vaddr_t, param)
{
	return set_scheduler(pid, -1, param);
}

SYSCALL1(sched_getscheduler, int32_t, pid)
{
	struct task_struct *task = pid < 0 ? NULL : get_thread(pid);
	int64_t policy;

	if (!task)
		return pid < 0 ? -EINVAL : -ESRCH;
	policy = task->policy | (task->reset_on_fork ? SCHED_RESET_ON_FORK : 0);
	put_task(task);
	return policy;
}

SYSCALL2(sched_getparam, int32_t, pid, vaddr_t, param)
{
	struct task_struct *task;

	if (pid < 0 || !param)
		return -EINVAL;
	task = get_thread(pid);
	if (!task)
		return -ESRCH;
	put_task(task);
	return put_user_u32(param, 0);
}

/* The numbers are the ABI's, also for the policies that cannot be set. */
SYSCALL1(sched_get_priority_max, int, policy)
{
	if (policy == SCHED_FIFO || policy == SCHED_RR)
		return 99;
	return policy_exists(policy) ? 0 : -EINVAL;
}

SYSCALL1(sched_get_priority_min, int, policy)
{
	if (policy == SCHED_FIFO || policy == SCHED_RR)
		return 1;
	return policy_exists(policy) ? 0 : -EINVAL;
}

SYSCALL2(sched_rr_get_interval, int32_t, pid, vaddr_t, to)
{
	const uint64_t slice[2] = {0, 3000000};
	struct task_struct *task = pid < 0 ? NULL : get_thread(pid);

	if (!task)
		return pid < 0 ? -EINVAL : -ESRCH;
	put_task(task);
	return copy_to_user(to, slice, sizeof(slice));
}

/* --- nice values ----------------------------------------------------------------------------------------------- */

static bool who_matches(struct task_struct *p, int which, int32_t who)
{
	switch (which) {
	case PRIO_PGRP:
		return p->signal->pgid == (who ? who : current->signal->pgid);
	case PRIO_USER:
		return p->cred.uid == (who ? (uint32_t)who : current->cred.uid);
	default:
		return false;
	}
}

static int64_t set_nice(struct task_struct *task, int nice)
{
	if (!may_change(task))
		return -EPERM;
	if (nice < task->nice && !capable(CAP_SYS_NICE))
		return -EACCES;
	set_user_nice(task, nice);
	return 0;
}

SYSCALL3(setpriority, int, which, int32_t, who, int, nice)
{
	irq_state_t state;
	struct task_struct *p, *t;
	int64_t ret = -ESRCH;

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	nice = MAX(MIN(nice, 19), -20);
	state = spin_lock_irqsave(&tasklist_lock);
	if (which == PRIO_PROCESS) {
		p = who ? find_task_by_pid_locked(who) : current;
		ret = p ? set_nice(p, nice) : -ESRCH;
	} else {
		for_each_process(p) if (who_matches(p, which, who)) for_each_thread(p, t) ret =
		        set_nice(t, nice);
	}
	spin_unlock_irqrestore(&tasklist_lock, state);
	return ret;
}

/* 20 - nice, so that it is never negative: 40 is the best. */
SYSCALL2(getpriority, int, which, int32_t, who)
{
	irq_state_t state;
	struct task_struct *p;
	int64_t best = -ESRCH;

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	state = spin_lock_irqsave(&tasklist_lock);
	if (which == PRIO_PROCESS) {
		p = who ? find_task_by_pid_locked(who) : current;
		best = p ? 20 - p->nice : -ESRCH;
	} else {
		for_each_process(p) if (who_matches(p, which, who)) best = MAX(best, 20 - p->nice);
	}
	spin_unlock_irqrestore(&tasklist_lock, state);
	return best;
}

/* --- barriers --------------------------------------------------------------------------------------------------- */

#define MEMBARRIER_CMD_QUERY                      0
#define MEMBARRIER_CMD_GLOBAL                     1
#define MEMBARRIER_CMD_GLOBAL_EXPEDITED           2
#define MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED  4
#define MEMBARRIER_CMD_PRIVATE_EXPEDITED          8
#define MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED 16

static void full_barrier(void *unused UNUSED)
{
	atomic_thread_fence(memory_order_seq_cst);
}

SYSCALL2(membarrier, int, cmd, unsigned, flags)
{
	if (flags)
		return -EINVAL;
	switch (cmd) {
	case MEMBARRIER_CMD_QUERY:
		return MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |
		       MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |
		       MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
	case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
		return 0; /* every CPU is interrupted in any case */
	case MEMBARRIER_CMD_GLOBAL:
	case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
		port_call_cpus(cpus_online(), full_barrier, NULL);
		return 0;
	default:
		return -EINVAL;
	}
}
