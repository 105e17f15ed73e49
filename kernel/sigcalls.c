/*
 * sigcalls.c - the system calls of signals: actions, masks, waiting, sending, the alternate stack.
 */
#include "kernel/exec.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "kernel/time.h"
#include "kernel/uaccess.h"
#include "lib/string.h"

/* --- actions ------------------------------------------------------------------------------------------------ */

static bool ignores(const struct k_sigaction *ka, int signo)
{
	return ka->handler == SIG_IGN ||
	       (ka->handler == SIG_DFL && SIG_IGNORE_MASK & sigmask(signo));
}

SYSCALL4(rt_sigaction, int, signo, vaddr_t, act, vaddr_t, old, size_t, size)
{
	const uint64_t known = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_RESTORER | SA_ONSTACK |
	                       SA_RESTART | SA_NODEFER | SA_RESETHAND;
	struct sighand_struct *sighand = current->sighand;
	struct k_sigaction new_ka, old_ka;
	irq_state_t state;

	if (size != sizeof(uint64_t) || !valid_signal(signo) ||
	    (act && SIG_KERNEL_ONLY & sigmask(signo)))
		return -EINVAL;
	if (act && copy_from_user(&new_ka, act, sizeof(new_ka)))
		return -EFAULT;
	state = spin_lock_irqsave(&sighand->lock);
	old_ka = sighand->action[signo - 1];
	if (act) {
		new_ka.flags &= known;
		new_ka.mask &= ~SIG_KERNEL_ONLY;
		sighand->action[signo - 1] = new_ka;
		if (ignores(&new_ka, signo))
			discard_signal_locked(current, signo);
	}
	spin_unlock_irqrestore(&sighand->lock, state);
	return old ? copy_to_user(old, &old_ka, sizeof(old_ka)) : 0;
}

/* --- masks -------------------------------------------------------------------------------------------------- */

#define SIG_BLOCK   0
#define SIG_UNBLOCK 1
#define SIG_SETMASK 2

SYSCALL4(rt_sigprocmask, int, how, vaddr_t, set, vaddr_t, old, size_t, size)
{
	uint64_t before = current->blocked, mask;

	if (size != sizeof(uint64_t))
		return -EINVAL;
	if (set) {
		if (get_user_u64(&mask, set))
			return -EFAULT;
		mask &= ~SIG_KERNEL_ONLY;
		switch (how) {
		case SIG_BLOCK:
			mask = before | mask;
			break;
		case SIG_UNBLOCK:
			mask = before & ~mask;
			break;
		case SIG_SETMASK:
			break;
		default:
			return -EINVAL;
		}
		set_current_blocked(mask);
	}
	return old ? put_user_u64(old, before) : 0;
}

SYSCALL2(rt_sigpending, vaddr_t, to, size_t, size)
{
	uint64_t set = pending_signals(current) & current->blocked;

	if (size > sizeof(uint64_t))
		return -EINVAL;
	return copy_to_user(to, &set, size);
}

int set_user_sigmask(vaddr_t addr, uint64_t size)
{
	uint64_t set;

	if (!addr)
		return 0;
	if (size != sizeof(uint64_t))
		return -EINVAL;
	if (get_user_u64(&set, addr))
		return -EFAULT;
	set_temporary_sigmask(set);
	return 0;
}

static int64_t wait_for_signal(void)
{
	while (!signal_pending(current))
		block_interruptible();
	return -ERESTARTNOHAND;
}

SYSCALL2(rt_sigsuspend, vaddr_t, addr, size_t, size)
{
	uint64_t set;

	if (size != sizeof(uint64_t))
		return -EINVAL;
	if (get_user_u64(&set, addr))
		return -EFAULT;
	set_temporary_sigmask(set);
	return wait_for_signal();
}

SYSCALL0(pause)
{
	return wait_for_signal();
}

SYSCALL4(rt_sigtimedwait, vaddr_t, uset, vaddr_t, uinfo, vaddr_t, timeout, size_t, size)
{
	struct task_struct *task = current;
	struct kernel_siginfo info;
	uint64_t wanted, deadline;
	int signo, err;

	if (size != sizeof(uint64_t))
		return -EINVAL;
	if (get_user_u64(&wanted, uset))
		return -EFAULT;
	err = get_timeout_user(&deadline, timeout);
	if (err)
		return err;
	wanted &= ~SIG_KERNEL_ONLY;
	set_waiting_for(wanted);
	while (!(signo = dequeue_signal(~wanted, &info)) && port_now_ns() < deadline) {
		recalc_sigpending();
		if (signal_pending(task))
			break;
		block_interruptible_until(deadline);
	}
	set_waiting_for(0);
	if (!signo)
		return signal_pending(task) ? -EINTR : -EAGAIN;
	return uinfo && copy_to_user(uinfo, &info, sizeof(info)) ? -EFAULT : signo;
}

/* --- sending -------------------------------------------------------------------------------------------------- */

static bool may_signal(struct task_struct *task, int signo)
{
	const struct cred *mine = &current->cred, *its = &task->cred;

	if (!task->signal)
		return false;
	if (capable(CAP_KILL) || mine->euid == its->suid || mine->euid == its->uid ||
	    mine->uid == its->suid || mine->uid == its->uid)
		return true;
	return signo == SIGCONT && task->signal->sid == current->signal->sid;
}

static int signal_task(struct task_struct *task, const struct kernel_siginfo *info, bool group)
{
	if (!may_signal(task, info->si_signo))
		return -EPERM;
	return info->si_signo ? send_signal_info(task, info, group) : 0;
}

/* pid > 0 a process, 0 our group, -1 everybody but init and us, < -1 a group. tasklist_lock held. */
static int kill_something_locked(const struct kernel_siginfo *info, int32_t pid)
{
	int32_t pgid = pid == 0 ? current->signal->pgid : -pid;
	struct task_struct *p;
	int ret = -ESRCH;

	if (pid > 0) {
		p = find_task_by_pid_locked(pid);
		return p && p->signal ? signal_task(p, info, true) : -ESRCH;
	}
	for_each_process(p)
	{
		int err;

		if (pid == -1 ? p == init_task || p == current->group_leader
		              : p->signal->pgid != pgid)
			continue;
		err = signal_task(p, info, true);
		if (!err || ret == -ESRCH)
			ret = err;
	}
	return ret;
}

static struct kernel_siginfo user_info(int signo, int code)
{
	struct kernel_siginfo info = {.si_signo = signo, .si_code = code};

	info.si_pid = current->tgid;
	info.si_uid = current->cred.uid;
	return info;
}

SYSCALL2(kill, int32_t, pid, int, signo)
{
	struct kernel_siginfo info = user_info(signo, SI_USER);
	irq_state_t state;
	int ret;

	if (signo < 0 || signo > _NSIG)
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	state = spin_lock_irqsave(&tasklist_lock);
	ret = kill_something_locked(&info, pid);
	spin_unlock_irqrestore(&tasklist_lock, state);
	return ret;
}

static int signal_thread(int32_t tgid, int32_t tid, const struct kernel_siginfo *info)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *task = find_task_by_pid_locked(tid);
	int ret = -ESRCH;

	if (task && (tgid <= 0 || task->tgid == tgid))
		ret = signal_task(task, info, false);
	spin_unlock_irqrestore(&tasklist_lock, state);
	return ret;
}

SYSCALL2(tkill, int32_t, tid, int, signo)
{
	struct kernel_siginfo info = user_info(signo, SI_TKILL);

	if (tid <= 0 || signo < 0 || signo > _NSIG)
		return -EINVAL;
	return signal_thread(0, tid, &info);
}

SYSCALL3(tgkill, int32_t, tgid, int32_t, tid, int, signo)
{
	struct kernel_siginfo info = user_info(signo, SI_TKILL);

	if (tid <= 0 || tgid <= 0 || signo < 0 || signo > _NSIG)
		return -EINVAL;
	return signal_thread(tgid, tid, &info);
}

/* A program may not pretend to be the kernel, or kill, except to itself. */
static int get_siginfo_user(struct kernel_siginfo *info, int signo, vaddr_t from, int32_t target)
{
	if (copy_from_user(info, from, sizeof(*info)))
		return -EFAULT;
	info->si_signo = signo;
	if ((info->si_code >= 0 || info->si_code == SI_TKILL) && target != current->tgid)
		return -EPERM;
	return signo < 0 || signo > _NSIG ? -EINVAL : 0;
}

SYSCALL3(rt_sigqueueinfo, int32_t, pid, int, signo, vaddr_t, uinfo)
{
	struct kernel_siginfo info;
	irq_state_t state;
	int ret = get_siginfo_user(&info, signo, uinfo, pid);

	if (ret || pid <= 0)
		return ret ? ret : -EINVAL;
	state = spin_lock_irqsave(&tasklist_lock);
	ret = kill_something_locked(&info, pid);
	spin_unlock_irqrestore(&tasklist_lock, state);
	return ret;
}

SYSCALL4(rt_tgsigqueueinfo, int32_t, tgid, int32_t, tid, int, signo, vaddr_t, uinfo)
{
	struct kernel_siginfo info;
	int ret = get_siginfo_user(&info, signo, uinfo, tgid);

	if (ret)
		return ret;
	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	return signal_thread(tgid, tid, &info);
}

/* --- the alternate stack, coming back ---------------------------------------------------------------------------- */

int do_sigaltstack(const struct kernel_stack_t *new_stack, struct kernel_stack_t *old, vaddr_t sp)
{
	struct task_struct *task = current;
	bool on_it = on_sig_stack(sp);

	if (old) {
		memset(old, 0, sizeof(*old));
		old->ss_sp = task->sas_sp;
		old->ss_size = task->sas_size;
		old->ss_flags =
		        (int32_t)((task->sas_flags & SS_AUTODISARM) | (!task->sas_size ? SS_DISABLE
		                                                       : on_it         ? SS_ONSTACK
		                                                                       : 0u));
	}
	if (!new_stack)
		return 0;
	if (on_it)
		return -EPERM;
	switch ((uint32_t)new_stack->ss_flags & ~SS_AUTODISARM) {
	case SS_DISABLE:
		task->sas_sp = task->sas_size = 0;
		break;
	case 0:
	case SS_ONSTACK:
		if (new_stack->ss_size < MINSIGSTKSZ)
			return -ENOMEM;
		task->sas_sp = new_stack->ss_sp;
		task->sas_size = new_stack->ss_size;
		break;
	default:
		return -EINVAL;
	}
	task->sas_flags = (uint32_t)new_stack->ss_flags;
	return 0;
}

SYSCALL2(sigaltstack, vaddr_t, unew, vaddr_t, uold)
{
	struct kernel_stack_t new_stack, old;
	int err;

	if (unew && copy_from_user(&new_stack, unew, sizeof(new_stack)))
		return -EFAULT;
	err = do_sigaltstack(unew ? &new_stack : NULL, &old, arch_task_regs(&current->thread)->rsp);
	if (err)
		return err;
	return uold ? copy_to_user(uold, &old, sizeof(old)) : 0;
}

SYSCALL0(rt_sigreturn)
{
	struct pt_regs *regs = arch_task_regs(&current->thread);
	uint64_t mask;
	int err = arch_sigreturn(regs, &mask);

	regs->orig_rax = (uint64_t)-1;
	if (err)
		force_signal(SIGSEGV, SI_KERNEL, 0);
	else
		set_current_blocked(mask);
	return (int64_t)regs->rax;
}

SYSCALL0(restart_syscall)
{
	struct task_struct *task = current;

	return task->restart.fn ? task->restart.fn(task) : -EINTR;
}
