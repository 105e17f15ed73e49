/*
 * prctl.c - what a thread may ask of itself: names, what happens at its parent's death, bases, odds and ends.
 */
#include "kernel/exec.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "lib/string.h"
#include <quire/trace.h>

#define PR_SET_PDEATHSIG       1
#define PR_GET_PDEATHSIG       2
#define PR_GET_DUMPABLE        3
#define PR_SET_DUMPABLE        4
#define PR_GET_KEEPCAPS        7
#define PR_SET_NAME            15
#define PR_GET_NAME            16
#define PR_CAPBSET_READ        23
#define PR_SET_TIMERSLACK      29
#define PR_GET_TIMERSLACK      30
#define PR_SET_CHILD_SUBREAPER 36
#define PR_GET_CHILD_SUBREAPER 37
#define PR_SET_NO_NEW_PRIVS    38
#define PR_GET_NO_NEW_PRIVS    39
#define PR_GET_TID_ADDRESS     40

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004

static int64_t set_name(vaddr_t from)
{
	char name[TASK_COMM_LEN];
	uint64_t comm[2];
	int64_t n = strncpy_from_user(name, from, sizeof(name));

	if (n < 0 && n != -ENAMETOOLONG)
		return n;
	name[TASK_COMM_LEN - 1] = '\0';
	set_task_comm(current, name);
	if (trace_enabled()) {
		memcpy(comm, current->comm, sizeof(comm));
		trace_task_rename((uint64_t)current->pid, comm[0], comm[1]);
	}
	return 0;
}

static int64_t get_name(vaddr_t to)
{
	char name[TASK_COMM_LEN];

	get_task_comm(name, current);
	return copy_to_user(to, name, sizeof(name));
}

static int64_t set_timer_slack(uint64_t ns)
{
	current->timer_slack = ns ? ns : 50000;
	return 0;
}

static int64_t set_flag(bool *flag, uint64_t value)
{
	if (value > 1)
		return -EINVAL;
	*flag = value;
	return 0;
}

static int64_t set_no_new_privs(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	if (a != 1 || b || c || d)
		return -EINVAL;
	current->no_new_privs = true;
	return 0;
}

SYSCALL5(prctl, int, option, uint64_t, a, uint64_t, b, uint64_t, c, uint64_t, d)
{
	struct task_struct *task = current;

	switch (option) {
	case PR_SET_PDEATHSIG:
		if (a && !valid_signal((int64_t)a))
			return -EINVAL;
		task->group_leader->pdeath_signal = (int)a;
		return 0;
	case PR_GET_PDEATHSIG:
		return put_user_u32(a, (uint32_t)task->group_leader->pdeath_signal);
	case PR_GET_DUMPABLE:
		return task->signal->dumpable;
	case PR_SET_DUMPABLE:
		return set_flag(&task->signal->dumpable, a);
	case PR_GET_KEEPCAPS:
		return 0;
	case PR_SET_NAME:
		return set_name(a);
	case PR_GET_NAME:
		return get_name(a);
	case PR_CAPBSET_READ:
		return a <= CAP_LAST ? 1 : -EINVAL;
	case PR_SET_TIMERSLACK:
		return set_timer_slack(a);
	case PR_GET_TIMERSLACK:
		return (int64_t)task->timer_slack;
	case PR_SET_CHILD_SUBREAPER:
		set_child_subreaper(a);
		return 0;
	case PR_GET_CHILD_SUBREAPER:
		return put_user_u32(a, task->signal->is_subreaper);
	case PR_SET_NO_NEW_PRIVS:
		return set_no_new_privs(a, b, c, d);
	case PR_GET_NO_NEW_PRIVS:
		return a || b || c || d ? -EINVAL : task->no_new_privs;
	case PR_GET_TID_ADDRESS:
		return put_user_u64(a, task->clear_child_tid);
	default:
		return -EINVAL;
	}
}

SYSCALL2(arch_prctl, int, option, vaddr_t, arg)
{
	uint64_t fs, gs;

	switch (option) {
	case ARCH_SET_FS:
		return arch_set_fs_base(current, arg);
	case ARCH_SET_GS:
		return arch_set_gs_base(current, arg);
	case ARCH_GET_FS:
		arch_get_bases(current, &fs, &gs);
		return put_user_u64(arg, fs);
	case ARCH_GET_GS:
		arch_get_bases(current, &fs, &gs);
		return put_user_u64(arg, gs);
	default:
		return -EINVAL;
	}
}

SYSCALL1(set_tid_address, vaddr_t, addr)
{
	current->clear_child_tid = addr;
	return current->pid;
}

SYSCALL1(personality, uint32_t, value)
{
	uint32_t old = current->personality;

	if (value != UINT32_MAX)
		current->personality = value;
	return old;
}
