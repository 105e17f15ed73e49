/*
 * rlimit.c - resource limits. Those of memory are copied to the mm_struct, where mm/ observes them.
 */
#include "kernel/exec.h"
#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"

void mm_set_limits(struct mm_struct *mm, struct task_struct *task)
{
	mm->limits = (struct mm_limits){
	        .as = task_rlimit(task, RLIMIT_AS),
	        .data = task_rlimit(task, RLIMIT_DATA),
	        .stack = task_rlimit(task, RLIMIT_STACK),
	        .memlock = task_rlimit(task, RLIMIT_MEMLOCK),
	        .may_mlock_any = task->cred.cap_effective >> CAP_IPC_LOCK & 1,
	};
}

static bool may_raise(const struct rlimit *old, const struct rlimit *new_limit)
{
	return new_limit->rlim_max <= old->rlim_max || capable(CAP_SYS_RESOURCE);
}

static int do_prlimit(struct task_struct *task, unsigned resource, const struct rlimit *new_limit,
                      struct rlimit *old)
{
	struct rlimit *limit = &task->signal->rlim[resource];
	struct mm_struct *mm;
	int err = 0;

	task_lock(task->group_leader);
	*old = *limit;
	if (new_limit && new_limit->rlim_cur > new_limit->rlim_max)
		err = -EINVAL;
	else if (new_limit && !may_raise(limit, new_limit))
		err = -EPERM;
	else if (new_limit)
		*limit = *new_limit;
	task_unlock(task->group_leader);
	if (err || !new_limit)
		return err;
	mm = get_task_mm(task);
	if (mm) {
		down_write(&mm->mmap_lock);
		mm_set_limits(mm, task);
		up_write(&mm->mmap_lock);
		mmput(mm);
	}
	return 0;
}

/* prlimit(2): the caller's real ids are all of the other's, or CAP_SYS_RESOURCE. */
static bool may_set_limits(struct task_struct *task)
{
	const struct cred *mine = &current->cred, *its = &task->cred;

	if (task->signal == current->signal || capable(CAP_SYS_RESOURCE))
		return true;
	return mine->uid == its->uid && mine->uid == its->euid && mine->uid == its->suid &&
	       mine->gid == its->gid && mine->gid == its->egid && mine->gid == its->sgid;
}

SYSCALL4(prlimit64, int32_t, pid, unsigned, resource, vaddr_t, from, vaddr_t, to)
{
	struct rlimit new_limit, old;
	struct task_struct *task;
	int err;

	if (resource >= RLIM_NLIMITS)
		return -EINVAL;
	if (from && copy_from_user(&new_limit, from, sizeof(new_limit)))
		return -EFAULT;
	task = pid ? find_get_task_by_pid(pid) : get_task(current);
	if (!task || !task->signal) {
		if (task)
			put_task(task);
		return -ESRCH;
	}
	err = may_set_limits(task) ? do_prlimit(task, resource, from ? &new_limit : NULL, &old)
	                           : -EPERM;
	put_task(task);
	if (!err && to)
		err = copy_to_user(to, &old, sizeof(old));
	return err;
}

SYSCALL2(getrlimit, unsigned, resource, vaddr_t, to)
{
	struct rlimit old;

	if (resource >= RLIM_NLIMITS)
		return -EINVAL;
	(void)do_prlimit(current, resource, NULL, &old);
	return copy_to_user(to, &old, sizeof(old));
}

SYSCALL2(setrlimit, unsigned, resource, vaddr_t, from)
{
	struct rlimit new_limit, old;

	if (resource >= RLIM_NLIMITS)
		return -EINVAL;
	if (copy_from_user(&new_limit, from, sizeof(new_limit)))
		return -EFAULT;
	return do_prlimit(current, resource, &new_limit, &old);
}
