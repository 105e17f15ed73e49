/*
 * sigdeliver.c - what a thread does about its signals on its way back to the program: die, stop, or run a handler.
 *
 *  - A fatal signal marked the whole process (group_exit) when it was sent: each thread dies as soon as it looks.
 *  - A stop signal, when taken, sets stop_signal; each thread then stops in do_stop() until SIGCONT or death. The
 *    last one to stop tells the parent.
 *  - An interrupted system call has left an ERESTART code. With a handler SA_RESTART decides; without, the call is
 *    made again by moving the program counter back over the syscall instruction (2 bytes).
 */
#include "kernel/exec.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include <quire/errno.h>

#define SYSCALL_INSN_SIZE  2
#define NR_restart_syscall 219

/* --- stopping ------------------------------------------------------------------------------------------------------ */

/* All threads that are not leaving have stopped; sighand->lock held. */
static bool stop_is_complete(struct signal_struct *sig)
{
	return sig->stop_signal && (int)sig->nr_stopped >= atomic_load(&sig->live);
}

/* Stop with the process until it is continued or killed. sighand->lock held in and out, dropped between. */
static void do_stop(struct task_struct *task, irq_state_t *state)
{
	struct signal_struct *sig = task->signal;
	bool complete;
	int signo = sig->stop_signal;

	sig->nr_stopped++;
	complete = stop_is_complete(sig);
	sig->stop_reportable |= complete;
	spin_unlock_irqrestore(&task->sighand->lock, *state);
	if (complete)
		notify_cldstop(task, CLD_STOPPED, signo);
	while (READ_ONCE(sig->stop_signal) && !fatal_signal_pending(task) &&
	       !READ_ONCE(sig->group_exec))
		block_state(TASK_STOPPED, UINT64_MAX);
	*state = spin_lock_irqsave(&task->sighand->lock);
	sig->nr_stopped--;
}

void exit_signals(struct task_struct *task)
{
	struct signal_struct *sig = task->signal;
	irq_state_t state = spin_lock_irqsave(&task->sighand->lock);
	bool complete = false;
	int signo = sig->stop_signal;

	if (sig->nr_threads > 1 && !sig->group_exit) {
		retarget_shared_pending(task, ~task->blocked);
		complete = sig->nr_stopped && stop_is_complete(sig) && !sig->stop_reportable;
		sig->stop_reportable |= complete;
	}
	spin_unlock_irqrestore(&task->sighand->lock, state);
	if (complete)
		notify_cldstop(task, CLD_STOPPED, signo);
}

/* A stop signal is taken: stop everybody, unless nobody could continue us. */
static void begin_stop(struct task_struct *task, int signo, irq_state_t *state)
{
	struct signal_struct *sig = task->signal;
	struct task_struct *t;
	bool orphaned = false;

	sig->stop_taken = true;
	if (signo != SIGSTOP) {
		spin_unlock_irqrestore(&task->sighand->lock, *state);
		*state = spin_lock_irqsave(&tasklist_lock);
		orphaned = is_orphaned_pgrp_locked(sig->pgid, NULL);
		spin_unlock_irqrestore(&tasklist_lock, *state);
		*state = spin_lock_irqsave(&task->sighand->lock);
	}
	/* A SIGCONT that came meanwhile found no stop to undo: it wins, as the later one, ignored or not. */
	if (orphaned || sig->group_exit || sig->group_exec || !sig->stop_taken)
		return;
	sig->stop_signal = signo;
	sig->continued = sig->notify_cont = false;
	for_each_thread(task, t)
		if (t != task && !(t->flags & PF_EXITING))
			signal_wake_up(t);
}

/* --- delivering ------------------------------------------------------------------------------------------------------ */

static NORETURN void die_of(struct task_struct *task, int code, irq_state_t state)
{
	spin_unlock_irqrestore(&task->sighand->lock, state);
	if (code & 0x7f)
		atomic_fetch_or(&task->flags, PF_SIGNALED);
	do_group_exit(code);
}

/* What must happen before any signal is looked at: death, stops, news of a continue. */
static void do_group_actions(struct task_struct *task, irq_state_t *state)
{
	struct signal_struct *sig = task->signal;

	for (;;) {
		if (sig->group_exit)
			die_of(task, sig->group_exit_code, *state);
		if (task->pending_mask & sigmask(SIGKILL))
			die_of(task, SIGKILL, *state);
		if (sig->notify_cont) {
			sig->notify_cont = false;
			spin_unlock_irqrestore(&task->sighand->lock, *state);
			notify_cldstop(task, CLD_CONTINUED, SIGCONT);
			*state = spin_lock_irqsave(&task->sighand->lock);
			continue;
		}
		if (!sig->stop_signal)
			return;
		do_stop(task, state);
	}
}

/* The next signal with a handler into ksig; false: none. Default actions happen on the way. */
static bool get_signal(struct ksignal *ksig)
{
	struct task_struct *task = current;
	irq_state_t state = spin_lock_irqsave(&task->sighand->lock);
	struct k_sigaction *ka;
	bool found = false;

	for (;;) {
		do_group_actions(task, &state);
		ksig->signo = dequeue_signal_locked(task->blocked, &ksig->info);
		if (!ksig->signo)
			break;
		ka = &task->sighand->action[ksig->signo - 1];
		if (ka->handler == SIG_IGN)
			continue;
		if (ka->handler != SIG_DFL) {
			ksig->ka = *ka;
			if (ka->flags & SA_RESETHAND)
				ka->handler = SIG_DFL;
			found = true;
			break;
		}
		if (SIG_IGNORE_MASK & sigmask(ksig->signo) || task->group_leader == init_task)
			continue;
		if (SIG_STOP_MASK & sigmask(ksig->signo))
			begin_stop(task, ksig->signo, &state);
		else
			die_of(task, ksig->signo, state);
	}
	spin_unlock_irqrestore(&task->sighand->lock, state);
	return found;
}

static inline bool in_syscall(const struct pt_regs *regs)
{
	return (int64_t)regs->orig_rax >= 0;
}

static void restart_call(struct pt_regs *regs, uint64_t nr)
{
	regs->rax = nr;
	regs->rip -= SYSCALL_INSN_SIZE;
}

/* A handler will run first: does the interrupted call go on after it? */
static void syscall_before_handler(struct pt_regs *regs, const struct ksignal *ksig)
{
	switch (-(int64_t)regs->rax) {
	case ERESTART_RESTARTBLOCK:
	case ERESTARTNOHAND:
		regs->rax = (uint64_t)-EINTR;
		break;
	case ERESTARTSYS:
		if (!(ksig->ka.flags & SA_RESTART)) {
			regs->rax = (uint64_t)-EINTR;
			break;
		}
		restart_call(regs, regs->orig_rax);
		break;
	case ERESTARTNOINTR:
		restart_call(regs, regs->orig_rax);
		break;
	}
}

static void syscall_without_handler(struct pt_regs *regs)
{
	switch (-(int64_t)regs->rax) {
	case ERESTART_RESTARTBLOCK:
		restart_call(regs, NR_restart_syscall);
		break;
	case ERESTARTNOHAND:
	case ERESTARTSYS:
	case ERESTARTNOINTR:
		restart_call(regs, regs->orig_rax);
		break;
	}
}

static void handle_signal(struct ksignal *ksig, struct pt_regs *regs)
{
	struct task_struct *task = current;
	uint64_t old = task->blocked, blocked;

	if (in_syscall(regs))
		syscall_before_handler(regs, ksig);
	if (atomic_fetch_and(&task->flags, ~PF_RESTORE_SIGMASK) & PF_RESTORE_SIGMASK)
		old = task->saved_blocked;
	if (arch_setup_frame(ksig, old, regs)) {
		if (ksig->signo == SIGSEGV) {
			irq_state_t state = spin_lock_irqsave(&task->sighand->lock);

			task->sighand->action[SIGSEGV - 1].handler = SIG_DFL;
			spin_unlock_irqrestore(&task->sighand->lock, state);
		}
		force_signal(SIGSEGV, SI_KERNEL, 0);
		return;
	}
	blocked = task->blocked | ksig->ka.mask;
	if (!(ksig->ka.flags & SA_NODEFER))
		blocked |= sigmask(ksig->signo);
	set_current_blocked(blocked);
	if (task->sas_flags & SS_AUTODISARM && ksig->ka.flags & SA_ONSTACK) {
		task->sas_sp = task->sas_size = 0;
		task->sas_flags = SS_DISABLE;
	}
}

void do_signal(struct pt_regs *regs)
{
	struct ksignal ksig;
	bool handled = false;

	while (get_signal(&ksig)) {
		handle_signal(&ksig, regs);
		regs->orig_rax = (uint64_t)-1; /* further frames go on top: no restart for them */
		handled = true;
	}
	if (handled)
		return;
	if (in_syscall(regs)) {
		syscall_without_handler(regs);
		regs->orig_rax = (uint64_t)-1;
	}
	restore_saved_sigmask();
}

bool exit_work_pending(void)
{
	return atomic_load_explicit(&this_cpu_ptr()->need_resched, memory_order_relaxed) ||
	       signal_pending(current);
}

void exit_to_user(struct pt_regs *regs)
{
	while (exit_work_pending()) {
		irq_restore(X86_RFLAGS_IF);
		if (atomic_load_explicit(&this_cpu_ptr()->need_resched, memory_order_relaxed))
			schedule();
		if (signal_pending(current))
			do_signal(regs);
		irq_save();
	}
}
