/*
 * clone.c - fork, vfork, clone, clone3, unshare: the arguments of kernel_clone() as programs give them.
 */
#include "fs/vfs.h"
#include "kernel/exec.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "lib/string.h"

SYSCALL0(fork)
{
	struct kernel_clone_args args = {.exit_signal = SIGCHLD};

	return kernel_clone(&args);
}

SYSCALL0(vfork)
{
	struct kernel_clone_args args = {.flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD};

	return kernel_clone(&args);
}

SYSCALL5(clone, uint64_t, flags, vaddr_t, stack, vaddr_t, parent_tid, vaddr_t, child_tid, uint64_t,
         tls)
{
	struct kernel_clone_args args = {
	        .flags = (uint32_t)flags & ~CSIGNAL,
	        .exit_signal = (int)(flags & CSIGNAL),
	        .stack = stack,
	        .parent_tid = parent_tid,
	        .child_tid = child_tid,
	        .tls = tls,
	};

	if (flags & CLONE_PIDFD) /* through clone3 alone */
		return -EINVAL;
	if (flags & CLONE_SETTLS && tls >= mmu_user_end())
		return -EPERM;
	return kernel_clone(&args);
}

struct clone_args { /* struct clone_args of the ABI */
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	uint64_t set_tid, set_tid_size, cgroup;
};
#define CLONE_ARGS_SIZE_VER0 64

static int check_clone3(const struct clone_args *u)
{
	if (u->flags & ~(0xffffffffull | CLONE_CLEAR_SIGHAND) ||
	    u->flags & (CLONE_DETACHED | CSIGNAL))
		return -EINVAL;
	if (u->exit_signal && !valid_signal((int64_t)u->exit_signal))
		return -EINVAL;
	if (u->flags & (CLONE_THREAD | CLONE_PARENT) && u->exit_signal)
		return -EINVAL;
	if (!u->stack != !u->stack_size || u->stack + u->stack_size < u->stack)
		return -EINVAL;
	if (u->stack && !access_ok(u->stack, u->stack_size))
		return -EINVAL;
	if (u->flags & CLONE_SETTLS && u->tls >= mmu_user_end())
		return -EPERM;
	if (u->set_tid_size > 1 || (!u->set_tid) != (!u->set_tid_size) || u->flags & CLONE_PIDFD)
		return -EINVAL;
	return 0;
}

/* A structure that may be older (shorter) than ours, or newer with zeros in what we do not know. */
static int copy_struct_from_user(void *to, size_t known, vaddr_t from, size_t size)
{
	memset(to, 0, known);
	if (copy_from_user(to, from, MIN(size, known)))
		return -EFAULT;
	for (size_t i = known; i < size; i++) {
		uint8_t byte;

		if (copy_from_user(&byte, from + i, 1))
			return -EFAULT;
		if (byte)
			return -E2BIG;
	}
	return 0;
}

SYSCALL2(clone3, vaddr_t, uargs, size_t, size)
{
	struct kernel_clone_args args = {0};
	struct clone_args u;
	uint32_t tid = 0;
	int err;

	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	err = copy_struct_from_user(&u, sizeof(u), uargs, size);
	if (!err)
		err = check_clone3(&u);
	if (err)
		return err;
	if (u.set_tid_size && get_user_u32(&tid, u.set_tid))
		return -EFAULT;
	if (u.set_tid_size && (int32_t)tid < 1)
		return -EINVAL;
	args.flags = u.flags;
	args.exit_signal = (int)u.exit_signal;
	args.stack = u.stack ? u.stack + u.stack_size : 0;
	args.parent_tid = u.parent_tid;
	args.child_tid = u.child_tid;
	args.tls = u.tls;
	args.set_tid = (int32_t)tid;
	return kernel_clone(&args);
}

/* What clone could have left unshared. Of the rest only what is not shared anyway is accepted. */
SYSCALL1(unshare, uint64_t, flags)
{
	struct task_struct *task = current;
	struct fs_struct *fs = NULL, *old = task->fs;
	int err;

	if (flags & ~(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM))
		return -EINVAL;
	if (flags & CLONE_FS) {
		fs = fs_dup(old);
		if (!fs)
			return -ENOMEM;
	}
	err = flags & CLONE_FILES ? files_unshare() : 0;
	if (err) {
		if (fs)
			fs_put(fs);
		return err;
	}
	if (fs) {
		task_lock(task);
		task->fs = fs;
		task_unlock(task);
		fs_put(old);
	}
	return 0;
}
