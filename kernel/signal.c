/*
 * signal.c - sending signals and taking them; what is done about one is in sigdeliver.c.
 *
 * A signal is a bit in a mask, the thread's own or its process's, and a queued siginfo. Standard signals are
 * queued once, realtime ones as often as sent. Sending picks a thread that lets the signal through and makes
 * it look (signal_wake_up).
 * A fatal signal marks the whole process when it is sent.
 *
 * Everything here is under sighand->lock (irqsave), taken after tasklist_lock where both are needed.
 */
#include "kernel/signal.h"
#include "kernel/exec.h"
#include "kernel/sched.h"
#include "kernel/time.h"
#include "lib/string.h"
#include <quire/slab.h>

struct sigqueue {
	struct list_head link;
	struct kernel_siginfo info;
	bool owned; /* a timer's: it is not freed when it is taken */
};

static struct kmem_cache *sigqueue_cache;

#define SIG_SYNCHRONOUS                                                            \
	(sigmask(SIGSEGV) | sigmask(SIGBUS) | sigmask(SIGILL) | sigmask(SIGTRAP) | \
	 sigmask(SIGFPE) | sigmask(SIGSYS))

void signal_init(void)
{
	sigqueue_cache =
	        kmem_cache_create("sigqueue", sizeof(struct sigqueue), 0, SLAB_PANIC, NULL);
}

/* --- queues ---------------------------------------------------------------------------------------------- */

static void free_sigqueue(struct sigqueue *q, struct signal_struct *sig)
{
	if (q->owned) {
		INIT_LIST_HEAD(&q->link);
		return;
	}
	atomic_fetch_sub(&sig->nr_sigqueue, 1);
	kmem_cache_free(sigqueue_cache, q);
}

static struct sigqueue *alloc_sigqueue(struct signal_struct *sig, gfp_t gfp)
{
	struct sigqueue *q = kmem_cache_alloc(sigqueue_cache, gfp);

	if (q) {
		atomic_fetch_add(&sig->nr_sigqueue, 1);
		q->owned = false;
	}
	return q;
}

static bool may_queue(struct signal_struct *sig)
{
	return atomic_load(&sig->nr_sigqueue) < READ_ONCE(sig->rlim[RLIMIT_SIGPENDING].rlim_cur);
}

struct sigqueue *timer_sigqueue_alloc(struct signal_struct *sig)
{
	struct sigqueue *q = may_queue(sig) ? alloc_sigqueue(sig, GFP_KERNEL) : NULL;

	if (q) {
		q->owned = true;
		INIT_LIST_HEAD(&q->link);
	}
	return q;
}

void timer_sigqueue_free_locked(struct sigqueue *q, struct signal_struct *sig)
{
	q->owned = false; /* what waits is still taken, and freed then */
	if (list_empty(&q->link))
		free_sigqueue(q, sig);
}

void flush_signal_queue(struct list_head *queue, uint64_t *mask, struct signal_struct *sig)
{
	struct sigqueue *q, *next;

	list_for_each_entry_safe(q, next, queue, link) {
		list_del(&q->link);
		free_sigqueue(q, sig);
	}
	*mask = 0;
}

static void remove_signals(struct list_head *queue, uint64_t *mask, uint64_t which,
                           struct signal_struct *sig)
{
	struct sigqueue *q, *next;

	if (!(*mask & which))
		return;
	*mask &= ~which;
	list_for_each_entry_safe(q, next, queue, link) {
		if (which & sigmask(q->info.si_signo)) {
			list_del(&q->link);
			free_sigqueue(q, sig);
		}
	}
}

static void remove_from_process(struct task_struct *task, uint64_t which)
{
	struct signal_struct *sig = task->signal;
	struct task_struct *t;

	remove_signals(&sig->shared_pending, &sig->shared_pending_mask, which, sig);
	for_each_thread(task, t)
		remove_signals(&t->pending, &t->pending_mask, which, sig);
}

void discard_signal_locked(struct task_struct *task, int signo)
{
	remove_from_process(task, sigmask(signo));
	recalc_sigpending_locked(task);
}

void flush_signal_handlers(struct sighand_struct *sighand, bool force_default)
{
	for (unsigned i = 0; i < _NSIG; i++) {
		struct k_sigaction *ka = &sighand->action[i];

		if (force_default || ka->handler != SIG_IGN)
			ka->handler = SIG_DFL;
		ka->flags = ka->restorer = ka->mask = 0;
	}
}

/* Deliverable to the thread now? What sigtimedwait waits for is its own business. */
static uint64_t deliverable(struct task_struct *task)
{
	return (task->pending_mask | task->signal->shared_pending_mask) & ~task->blocked;
}

void recalc_sigpending_locked(struct task_struct *task)
{
	struct signal_struct *sig = task->signal;
	bool dying = sig->group_exit || (sig->group_exec && sig->group_exec != task);

	if (deliverable(task) || dying || sig->stop_signal || sig->notify_cont)
		atomic_fetch_or(&task->flags, TIF_SIGPENDING);
	else
		atomic_fetch_and(&task->flags, ~TIF_SIGPENDING);
}

void recalc_sigpending(void)
{
	irq_state_t state = spin_lock_irqsave(&current->sighand->lock);

	recalc_sigpending_locked(current);
	spin_unlock_irqrestore(&current->sighand->lock, state);
}

/* --- sending ------------------------------------------------------------------------------------------------ */

static bool sig_ignored(struct task_struct *task, int signo)
{
	uint64_t handler = task->sighand->action[signo - 1].handler;

	if (task->group_leader == init_task)
		return true;
	if (task->blocked &
	    sigmask(signo)) /* what it will think of it when it unblocks is not known */
		return false;
	return handler == SIG_IGN || (handler == SIG_DFL && SIG_IGNORE_MASK & sigmask(signo));
}

static bool sig_fatal(struct task_struct *task, int signo)
{
	return task->sighand->action[signo - 1].handler == SIG_DFL &&
	       !((SIG_IGNORE_MASK | SIG_STOP_MASK) & sigmask(signo));
}

/* Stop and continue undo each other when they are sent, whatever becomes of them later. */
static void prepare_job_signal(struct task_struct *task, int signo)
{
	struct signal_struct *sig = task->signal;
	struct task_struct *t;

	if (SIG_STOP_MASK & sigmask(signo)) {
		remove_from_process(task, sigmask(SIGCONT));
		return;
	}
	remove_from_process(task, SIG_STOP_MASK);
	sig->stop_taken = false;
	if (!sig->stop_signal)
		return;
	if (sig->nr_stopped) {
		sig->continued = sig->notify_cont = true;
		sig->stop_reportable = false;
	}
	sig->stop_signal = 0;
	for_each_thread(task, t)
		signal_wake_up(t);
}

static bool wants_signal(struct task_struct *t, int signo)
{
	uint64_t bit = sigmask(signo);

	if (t->flags & PF_EXITING || atomic_load(&t->state) >= TASK_ZOMBIE)
		return false;
	if (signo == SIGKILL)
		return true;
	/* A stopped thread takes nothing else until it goes on: kill and continue come in either order. */
	return atomic_load(&t->state) != TASK_STOPPED &&
	       (!(t->blocked & bit) || t->waiting_for & bit);
}

/* Which thread of the process should look; NULL: none lets it through. */
static struct task_struct *choose_thread(struct task_struct *task, int signo, bool group)
{
	struct task_struct *t;

	if (wants_signal(task, signo) && (!group || !signal_pending(task)))
		return task;
	if (!group)
		return NULL;
	for_each_thread(task, t)
		if (wants_signal(t, signo) && !signal_pending(t))
			return t;
	for_each_thread(task, t)
		if (wants_signal(t, signo))
			return t;
	return NULL;
}

void zap_other_threads_locked(struct task_struct *task)
{
	struct task_struct *t;

	for_each_thread(task, t) {
		if (t == task || t->flags & PF_EXITING)
			continue;
		t->pending_mask |= sigmask(SIGKILL);
		signal_wake_up(t);
	}
}

static void complete_signal(struct task_struct *task, int signo, bool group)
{
	struct signal_struct *sig = task->signal;
	struct task_struct *t = choose_thread(task, signo, group), *other;

	if (!t)
		return;
	if (sig_fatal(t, signo) && !sig->group_exit &&
	    (signo == SIGKILL || !(t->blocked & sigmask(signo)))) {
		sig->group_exit = true;
		sig->group_exit_code = signo;
		sig->stop_signal = 0;
		for_each_thread(task, other) {
			other->pending_mask |= sigmask(SIGKILL);
			signal_wake_up(other);
		}
		return;
	}
	signal_wake_up(t);
}

/* What is done about stops even if the signal itself is ignored; then: is it? */
static bool prepare_signal(struct task_struct *task, int signo)
{
	if ((SIG_STOP_MASK | sigmask(SIGCONT)) & sigmask(signo))
		prepare_job_signal(task, signo);
	return !sig_ignored(task, signo);
}

/* The signal becomes pending; with q's information, or (NULL) without. */
static void add_signal(struct task_struct *task, struct sigqueue *q, int signo, bool group)
{
	struct signal_struct *sig = task->signal;

	if (q)
		list_add_tail(&q->link, group ? &sig->shared_pending : &task->pending);
	*(group ? &sig->shared_pending_mask : &task->pending_mask) |= sigmask(signo);
	wake_up_all(&signalfd_wait);
	complete_signal(task, signo, group);
}

int send_signal_locked(struct task_struct *task, const struct kernel_siginfo *info, bool group)
{
	struct signal_struct *sig = task->signal;
	int signo = info->si_signo;
	const uint64_t *pending = group ? &sig->shared_pending_mask : &task->pending_mask;
	struct sigqueue *q = NULL;

	if (!prepare_signal(task, signo) || (signo < SIGRTMIN && *pending & sigmask(signo)))
		return 0;
	if (signo != SIGKILL) {
		q = may_queue(sig) || signo < SIGRTMIN ? alloc_sigqueue(sig, GFP_ATOMIC) : NULL;
		if (!q && signo >= SIGRTMIN && info->si_code != SI_USER)
			return -EAGAIN; /* else it is delivered without its information, as Linux */
	}
	if (q)
		q->info = *info;
	add_signal(task, q, signo, group);
	return 0;
}

bool send_timer_sigqueue_locked(struct sigqueue *q, struct task_struct *task,
                                const struct kernel_siginfo *info, bool group)
{
	if (!list_empty(&q->link))
		return false;
	if (!prepare_signal(task, info->si_signo))
		return true;
	q->info = *info;
	add_signal(task, q, info->si_signo, group);
	return true;
}

int send_signal_info(struct task_struct *task, const struct kernel_siginfo *info, bool group)
{
	irq_state_t state;
	int err;

	if (!task->signal)
		return 0; /* kernel threads hear nothing */
	state = spin_lock_irqsave(&task->sighand->lock);
	err = list_empty(&task->thread_node) ? -ESRCH : send_signal_locked(task, info, group);
	spin_unlock_irqrestore(&task->sighand->lock, state);
	return err;
}

void send_signal(int signo, struct task_struct *task)
{
	struct kernel_siginfo info = {.si_signo = signo, .si_code = SI_KERNEL};

	send_signal_info(task, &info, true);
}

int kill_pgrp_locked(int32_t pgid, int signo)
{
	struct task_struct *p;
	int ret = -ESRCH;

	for_each_process(p)
	{
		if (p->signal->pgid == pgid) {
			send_signal(signo, p);
			ret = 0;
		}
	}
	return ret;
}

int kill_pgrp(int32_t pgid, int signo)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	int ret = kill_pgrp_locked(pgid, signo);

	spin_unlock_irqrestore(&tasklist_lock, state);
	return ret;
}

int kill_pid(int32_t pid, int signo)
{
	struct task_struct *task = find_get_task_by_pid(pid);

	if (!task)
		return -ESRCH;
	send_signal(signo, task);
	put_task(task);
	return 0;
}

void force_signal(int signo, int code, vaddr_t addr)
{
	struct task_struct *task = current;
	struct kernel_siginfo info = {.si_signo = signo, .si_code = code, .fault.si_addr = addr};
	irq_state_t state = spin_lock_irqsave(&task->sighand->lock);
	struct k_sigaction *ka = &task->sighand->action[signo - 1];

	if (task->blocked & sigmask(signo) || ka->handler == SIG_IGN) {
		ka->handler = SIG_DFL;
		task->blocked &= ~sigmask(signo);
	}
	send_signal_locked(task, &info, false);
	recalc_sigpending_locked(task);
	spin_unlock_irqrestore(&task->sighand->lock, state);
}

/* --- telling the parent --------------------------------------------------------------------------------------- */

static void fill_child_info(struct kernel_siginfo *info, struct task_struct *child)
{
	uint64_t utime, stime;

	thread_group_cputime(child, &utime, &stime);
	info->child.pid = child->pid;
	info->child.uid = child->cred.uid;
	info->child.si_utime = (int64_t)(utime / (NSEC_PER_SEC / 100));
	info->child.si_stime = (int64_t)(stime / (NSEC_PER_SEC / 100));
}

bool do_notify_parent_locked(struct task_struct *leader, int signo)
{
	struct task_struct *parent = leader->real_parent;
	int code = leader->signal->group_exit ? leader->signal->group_exit_code : leader->exit_code;
	struct kernel_siginfo info = {.si_signo = signo};
	struct k_sigaction *ka;
	irq_state_t state;
	bool nobody_waits = false;

	if (!parent)
		return true;
	fill_child_info(&info, leader);
	info.si_code = code & 0x7f ? CLD_KILLED : CLD_EXITED;
	info.child.si_status = code & 0x7f ? code & 0x7f : code >> 8;
	state = spin_lock_irqsave(&parent->sighand->lock);
	ka = &parent->sighand->action[SIGCHLD - 1];
	if (signo == SIGCHLD && (ka->handler == SIG_IGN || ka->flags & SA_NOCLDWAIT))
		nobody_waits = true;
	if (signo > 0 && !(nobody_waits && ka->handler == SIG_IGN))
		send_signal_locked(parent, &info, true);
	wake_up_all(&parent->signal->wait_chldexit);
	spin_unlock_irqrestore(&parent->sighand->lock, state);
	return nobody_waits;
}

void do_notify_parent_cldstop_locked(struct task_struct *leader, int code, int status)
{
	struct task_struct *parent = leader->real_parent;
	struct kernel_siginfo info = {.si_signo = SIGCHLD, .si_code = code};
	struct k_sigaction *ka;
	irq_state_t state;

	if (!parent)
		return;
	fill_child_info(&info, leader);
	info.child.si_status = status;
	state = spin_lock_irqsave(&parent->sighand->lock);
	ka = &parent->sighand->action[SIGCHLD - 1];
	if (ka->handler != SIG_IGN && !(ka->flags & SA_NOCLDSTOP))
		send_signal_locked(parent, &info, true);
	wake_up_all(&parent->signal->wait_chldexit);
	spin_unlock_irqrestore(&parent->sighand->lock, state);
}

void notify_cldstop(struct task_struct *task, int code, int status)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);

	do_notify_parent_cldstop_locked(task->group_leader, code, status);
	spin_unlock_irqrestore(&tasklist_lock, state);
}

/* --- taking ------------------------------------------------------------------------------------------------------ */

/* The first siginfo of signo in the queue; the bit stays if there are more. */
static void collect_signal(struct list_head *queue, uint64_t *mask, int signo,
                           struct kernel_siginfo *info, struct signal_struct *sig)
{
	struct sigqueue *q, *found = NULL;

	*info = (struct kernel_siginfo){.si_signo = signo, .si_code = SI_USER};
	list_for_each_entry(q, queue, link) {
		if (q->info.si_signo != signo)
			continue;
		if (found)
			goto more;
		found = q;
	}
	*mask &= ~sigmask(signo);
more:
	if (!found)
		return;
	*info = found->info;
	list_del(&found->link);
	if (found->owned)
		posix_timer_dequeued(sig, info);
	free_sigqueue(found, sig);
}

static int next_signal(uint64_t pending)
{
	if (pending & SIG_SYNCHRONOUS)
		pending &= SIG_SYNCHRONOUS;
	return pending ? __builtin_ctzll(pending) + 1 : 0;
}

int dequeue_signal_locked(uint64_t blocked, struct kernel_siginfo *info)
{
	struct task_struct *task = current;
	struct signal_struct *sig = task->signal;
	int signo = next_signal(task->pending_mask & ~blocked);

	if (signo) {
		collect_signal(&task->pending, &task->pending_mask, signo, info, sig);
	} else {
		signo = next_signal(sig->shared_pending_mask & ~blocked);
		if (signo)
			collect_signal(&sig->shared_pending, &sig->shared_pending_mask, signo, info,
			               sig);
	}
	recalc_sigpending_locked(task);
	return signo;
}

int dequeue_signal(uint64_t blocked, struct kernel_siginfo *info)
{
	irq_state_t state = spin_lock_irqsave(&current->sighand->lock);
	int signo = dequeue_signal_locked(blocked | SIG_KERNEL_ONLY, info);

	spin_unlock_irqrestore(&current->sighand->lock, state);
	return signo;
}

uint64_t pending_signals(struct task_struct *task)
{
	return READ_ONCE(task->pending_mask) | READ_ONCE(task->signal->shared_pending_mask);
}

bool fatal_signal_pending(struct task_struct *task)
{
	return signal_pending(task) && (READ_ONCE(task->pending_mask) & sigmask(SIGKILL) ||
	                                READ_ONCE(task->signal->group_exit));
}

bool port_fatal_signal_pending(void)
{
	struct task_struct *task = current;

	return task->signal && fatal_signal_pending(task);
}

/* Others may have to take what we no longer let through, or are no longer there for. */
void retarget_shared_pending(struct task_struct *task, uint64_t which)
{
	struct task_struct *t;

	which &= task->signal->shared_pending_mask;
	if (!which)
		return;
	for_each_thread(task, t)
		if (t != task && !(t->flags & PF_EXITING) && which & ~t->blocked)
			signal_wake_up(t);
}

void set_current_blocked(uint64_t set)
{
	struct task_struct *task = current;
	irq_state_t state;

	set &= ~SIG_KERNEL_ONLY;
	if (task->blocked == set)
		return;
	state = spin_lock_irqsave(&task->sighand->lock);
	if (task->signal->nr_threads > 1)
		retarget_shared_pending(task, set & ~task->blocked);
	task->blocked = set;
	recalc_sigpending_locked(task);
	spin_unlock_irqrestore(&task->sighand->lock, state);
}

void set_temporary_sigmask(uint64_t set)
{
	current->saved_blocked = current->blocked;
	atomic_fetch_or(&current->flags, PF_RESTORE_SIGMASK);
	set_current_blocked(set);
}

void restore_saved_sigmask(void)
{
	if (atomic_fetch_and(&current->flags, ~PF_RESTORE_SIGMASK) & PF_RESTORE_SIGMASK)
		set_current_blocked(current->saved_blocked);
}

void restore_saved_sigmask_unless(bool interrupted)
{
	if (!interrupted)
		restore_saved_sigmask();
}

void set_waiting_for(uint64_t set)
{
	irq_state_t state = spin_lock_irqsave(&current->sighand->lock);

	current->waiting_for = set;
	recalc_sigpending_locked(current);
	spin_unlock_irqrestore(&current->sighand->lock, state);
}
