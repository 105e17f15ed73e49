/*
 * exit.c - the end of a thread and of a process.
 *
 * A thread lets go of what it shares (exit_mm, files_put, ...) while it can still sleep, then in exit_notify(), in
 * one step under tasklist_lock, gives its children away, tells whoever waits, and becomes a zombie or is gone; what
 * is left is one last switch. A leader stays a zombie until all other threads of its group have gone: only then does
 * the parent hear of it. Every other thread releases itself.
 *
 *      running -> ZOMBIE (leader, parent waits) -> DEAD (claimed by one waiter) -> released
 *              -> DEAD (thread; or SIGCHLD ignored) -> released
 */
#include "kernel/exec.h"
#include "fs/tty.h"
#include "fs/vfs.h"
#include "kernel/futex.h"
#include "kernel/pid.h"
#include "kernel/sched.h"
#include "kernel/shm.h"
#include "kernel/signal.h"
#include "kernel/stack.h"
#include "kernel/syscall.h"
#include "kernel/time.h"
#include "kernel/uaccess.h"
#include <quire/trace.h>

struct task_struct *init_task; /* pid 1: takes in orphans */

void mm_release(struct task_struct *task, struct mm_struct *mm)
{
	vaddr_t word = task->clear_child_tid;

	exit_robust_list(task);
	task->clear_child_tid = 0;
	/* Nobody else can look at it when we are the last: skip the fault. */
	if (word && refcount_read(&mm->mm_users) > 1 && !put_user_u32(word, 0))
		futex_wake_user(word, 1);
	task_lock(task);
	if (task->vfork_done) {
		complete_all(task->vfork_done);
		task->vfork_done = NULL;
	}
	task_unlock(task);
}

static void exit_mm(struct task_struct *task)
{
	struct mm_struct *mm = task->mm;
	uint64_t rss;

	if (!mm)
		return;
	mm_release(task, mm);
	rss = MAX(atomic_load(&mm->hiwater_rss), mm_rss(mm));
	if (rss > task->signal->maxrss)
		task->signal->maxrss = rss;
	mmgrab(mm); /* for active_mm: the page tables stay loaded until the last switch */
	task_lock(task);
	task->mm = NULL;
	task_unlock(task);
	mmput(mm);
	shm_reap();
}

static void exit_files_fs(struct task_struct *task)
{
	struct files_struct *files = task->files;
	struct fs_struct *fs = task->fs;

	task_lock(task);
	task->files = NULL;
	task->fs = NULL;
	task_unlock(task);
	if (files)
		files_put(files);
	if (fs)
		fs_put(fs);
}

/* --- leaving the family -------------------------------------------------------------------------------- */

/* Who takes the children in: the nearest ancestor that asked to, else init. Few ask, and chains of vforks are long. */
static struct task_struct *find_new_reaper(struct task_struct *leader)
{
	if (!leader->signal->below_subreaper)
		return init_task;
	for (struct task_struct *p = leader->real_parent; p && p != init_task; p = p->real_parent)
		if (p->signal->is_subreaper && atomic_load(&p->signal->live))
			return p;
	return init_task;
}

bool below_subreaper_locked(const struct task_struct *parent)
{
	return parent && (parent->signal->is_subreaper || parent->signal->below_subreaper);
}

/* One pass does: task_list is in the order of birth, so that whoever is a parent comes before its children. */
void set_child_subreaper(bool on)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *p;

	current->signal->is_subreaper = on;
	for_each_process(p) p->signal->below_subreaper = below_subreaper_locked(p->real_parent);
	spin_unlock_irqrestore(&tasklist_lock, state);
}

/* A group that became orphaned and has stopped members: they would never be continued. */
static void kill_orphaned_pgrp(int32_t pgid, struct task_struct *ignored)
{
	struct task_struct *p;
	bool stopped = false;

	if (!is_orphaned_pgrp_locked(pgid, ignored))
		return;
	for_each_process(p) if (p->signal->pgid == pgid && p->signal->stop_signal) stopped = true;
	if (!stopped)
		return;
	kill_pgrp_locked(pgid, SIGHUP);
	kill_pgrp_locked(pgid, SIGCONT);
}

static void reparent_child(struct task_struct *child, struct task_struct *reaper,
                           struct list_head *dead)
{
	list_move_tail(&child->sibling, &reaper->children);
	child->real_parent = reaper;
	child->exit_signal = SIGCHLD;
	if (child->pdeath_signal)
		send_signal(child->pdeath_signal, child);
	if (atomic_load(&child->state) == TASK_ZOMBIE && child->signal->nr_threads == 1 &&
	    do_notify_parent_locked(child, SIGCHLD)) {
		atomic_store(&child->state, TASK_DEAD);
		list_move_tail(&child->sibling, dead);
	}
}

/* The process ends: its children go to the reaper. Those that nobody will wait for go to `dead`. */
static void forget_original_parent(struct task_struct *leader, struct list_head *dead)
{
	struct task_struct *reaper = find_new_reaper(leader), *child, *next;

	list_for_each_entry_safe(child, next, &leader->children, sibling) {
		int32_t pgid = child->signal->pgid;
		bool matters =
		        pgid != leader->signal->pgid && child->signal->sid == leader->signal->sid;

		reparent_child(child, reaper, dead);
		if (matters)
			kill_orphaned_pgrp(pgid, leader);
	}
}

/* The last thread of the process is going; tasklist_lock held. True: nobody will wait for the leader. */
static bool notify_end_of_process(struct task_struct *leader)
{
	struct task_struct *parent = leader->real_parent;

	wake_up_all(&leader->signal->wait_exit);
	if (parent && parent->signal->pgid != leader->signal->pgid &&
	    parent->signal->sid == leader->signal->sid)
		kill_orphaned_pgrp(leader->signal->pgid, leader);
	return do_notify_parent_locked(leader, leader->exit_signal);
}

static void add_dead_thread(struct task_struct *task)
{
	struct signal_struct *sig = task->signal;
	uint64_t utime, stime;

	task_cputime(task, &utime, &stime);
	sig->dead.utime += utime;
	sig->dead.stime += stime;
	sig->dead_exec += utime + stime;
	sig->dead.minflt += task->faults.minor;
	sig->dead.majflt += task->faults.major;
	sig->dead.nvcsw += task->nvcsw;
	sig->dead.nivcsw += task->nivcsw;
}

/* Out of the tables; tasklist_lock held. The table's reference is the caller's to drop. */
static void unhash_process_locked(struct task_struct *task)
{
	struct sighand_struct *sighand = task->sighand;
	struct signal_struct *sig = task->signal;

	spin_lock(&sighand->lock);
	flush_signal_queue(&task->pending, &task->pending_mask, sig);
	sig->nr_threads--;
	if (thread_group_leader(task))
		flush_signal_queue(&sig->shared_pending, &sig->shared_pending_mask, sig);
	else
		add_dead_thread(task);
	if (sig->curr_target == task)
		sig->curr_target = task->group_leader;
	list_del_init(&task->thread_node);
	spin_unlock(&sighand->lock);
	if (thread_group_leader(task)) {
		list_del_init(&task->tasks);
		list_del_init(&task->sibling);
	}
	detach_pid_locked(task);
}

/* A thread has gone: may its zombie leader be reported now? True: and nobody waits for it. */
static bool leader_is_due(struct task_struct *leader)
{
	if (leader->signal->nr_threads != 1 || atomic_load(&leader->state) != TASK_ZOMBIE)
		return false;
	if (!notify_end_of_process(leader))
		return false;
	atomic_store(&leader->state, TASK_DEAD);
	return true;
}

void release_task(struct task_struct *task)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);

	unhash_process_locked(task);
	spin_unlock_irqrestore(&tasklist_lock, state);
	put_task(task);
}

static void wake_exec_waiter(struct signal_struct *sig)
{
	struct task_struct *waiter = sig->group_exec;

	if (waiter)
		port_unblock(task_thread(waiter));
}

/* The running task leaves; what it must still drop is in *dead (its orphans) when it returns. */
static void exit_notify(struct task_struct *task, bool group_dead, struct list_head *dead)
{
	struct task_struct *leader = task->group_leader;
	struct signal_struct *sig = task->signal;
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	bool autoreap = false;

	if (group_dead)
		forget_original_parent(leader, dead);
	if (task == leader) {
		autoreap = sig->nr_threads == 1 && notify_end_of_process(leader);
		atomic_store(&task->state, autoreap ? TASK_DEAD : TASK_ZOMBIE);
		if (autoreap)
			list_move_tail(&task->sibling, dead);
	} else {
		atomic_store(&task->state, TASK_DEAD);
		get_task(leader); /* unhashing ourselves may make it the only one left */
		unhash_process_locked(task);
		if (leader_is_due(leader))
			list_move_tail(&leader->sibling, dead);
	}
	spin_lock(&task->sighand->lock);
	wake_exec_waiter(sig);
	spin_unlock(&task->sighand->lock);
	spin_unlock_irqrestore(&tasklist_lock, state);
	if (task != leader) {
		put_task(leader);
		put_task(task);
	}
}

void schedule_dead(void)
{
	schedule();
	port_panic("a dead task was scheduled");
}

/* The last thread is leaving, and its code is the process's unless that was decided before. */
static void end_of_group(struct task_struct *task, int code)
{
	struct signal_struct *sig = task->signal;
	irq_state_t state = spin_lock_irqsave(&task->sighand->lock);

	if (!sig->group_exit) {
		sig->group_exit = true;
		sig->group_exit_code = code;
	}
	spin_unlock_irqrestore(&task->sighand->lock, state);
	cancel_itimer_real(task->signal);
	exit_itimers(task->signal);
}

void do_exit(int code)
{
	struct task_struct *task = current, *p, *next;
	struct list_head dead = LIST_HEAD_INIT(dead);
	bool group_dead;

	atomic_fetch_or(&task->flags, PF_EXITING);
	group_dead = atomic_fetch_sub(&task->signal->live, 1) == 1;
	task->exit_code = code;
	trace_sched_process_exit((uint64_t)task->pid, (uint64_t)(uint32_t)code);
	if (group_dead)
		end_of_group(task, code);
	exit_mm(task);
	if (group_dead && task->signal->leader)
		disassociate_ctty(true);
	exit_files_fs(task);
	stack_trim();
	exit_signals(task);
	exit_notify(task, group_dead, &dead);
	/* From here on nothing may sleep: the state is no longer RUNNING. */
	list_for_each_entry_safe(p, next, &dead, sibling)
		release_task(p);
	schedule_dead();
}

void do_group_exit(int code)
{
	struct task_struct *task = current;
	struct signal_struct *sig = task->signal;
	irq_state_t state = spin_lock_irqsave(&task->sighand->lock);

	if (sig->group_exit) {
		code = sig->group_exit_code;
	} else if (sig->group_exec && sig->group_exec != task) {
		code = 0; /* exec goes on; this thread just ends */
	} else {
		sig->group_exit = true;
		sig->group_exit_code = code;
		zap_other_threads_locked(task);
	}
	spin_unlock_irqrestore(&task->sighand->lock, state);
	do_exit(code);
}

SYSCALL1(exit, int, code)
{
	do_exit((code & 0xff) << 8);
}

SYSCALL1(exit_group, int, code)
{
	do_group_exit((code & 0xff) << 8);
}

/* --- one thread left: exec ---------------------------------------------------------------------------------- */

/* The leader is a zombie and we are the only other thread: take its place and its number. */
static void become_leader(struct task_struct *task)
{
	struct task_struct *leader = task->group_leader, *child;
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);

	spin_lock(&task->sighand->lock);
	exchange_pids_locked(task, leader);
	task->exit_signal = leader->exit_signal;
	leader->exit_signal = -1;
	task->real_parent = leader->real_parent;
	list_replace(&leader->tasks, &task->tasks);
	INIT_LIST_HEAD(&leader->tasks);
	list_replace(&leader->sibling, &task->sibling);
	INIT_LIST_HEAD(&leader->sibling);
	list_splice_tail_init(&leader->children, &task->children);
	list_for_each_entry(child, &task->children, sibling)
		child->real_parent = task;
	task->start_time = leader->start_time;
	task->group_leader = task;
	leader->group_leader = task;
	task->signal->curr_target = task;
	this_cpu_ptr()->pid = task->pid;
	spin_unlock(&task->sighand->lock);
	atomic_store(&leader->state, TASK_DEAD);
	unhash_process_locked(leader);
	spin_unlock_irqrestore(&tasklist_lock, state);
	put_task(leader);
}

/* How many other threads there are that are not zombie leaders. */
static bool others_alive(struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	unsigned others = task->signal->nr_threads - 1;
	bool zombie = task != leader && atomic_load(&leader->state) == TASK_ZOMBIE;

	spin_unlock_irqrestore(&tasklist_lock, state);
	return others > (zombie ? 1u : 0u) || (task != leader && !zombie);
}

int de_thread(void)
{
	struct task_struct *task = current;
	struct signal_struct *sig = task->signal;
	irq_state_t state;

	if (READ_ONCE(sig->nr_threads) == 1)
		goto alone;
	state = spin_lock_irqsave(&task->sighand->lock);
	if (sig->group_exit || sig->group_exec) {
		spin_unlock_irqrestore(&task->sighand->lock, state);
		return -EAGAIN;
	}
	sig->group_exec = task;
	zap_other_threads_locked(task);
	spin_unlock_irqrestore(&task->sighand->lock, state);
	while (others_alive(task)) {
		if (fatal_signal_pending(task))
			goto killed;
		port_block();
	}
	if (!thread_group_leader(task))
		become_leader(task);
	state = spin_lock_irqsave(&task->sighand->lock);
	sig->group_exec = NULL;
	spin_unlock_irqrestore(&task->sighand->lock, state);
alone:
	task->exit_signal = SIGCHLD;
	return 0;
killed:
	state = spin_lock_irqsave(&task->sighand->lock);
	sig->group_exec = NULL;
	spin_unlock_irqrestore(&task->sighand->lock, state);
	return -EAGAIN;
}
