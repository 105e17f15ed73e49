/*
 * fork.c - new tasks: fork, vfork, clone, clone3, and kernel threads.
 *
 * copy_process() builds the whole task unseen, then publishes it in one step under tasklist_lock and the
 * sighand lock, where it looks once more for a signal that should keep it from being born: who sends to a
 * group reaches either the parent before or the child after. Everything before that step is undone by one ladder.
 */
#include "kernel/exec.h"
#include "fs/vfs.h"
#include "kernel/pid.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/stack.h"
#include "kernel/time.h"
#include "kernel/uaccess.h"
#include "lib/string.h"
#include <quire/slab.h>
#include <quire/trace.h>

static struct kmem_cache *task_cache, *signal_cache, *sighand_cache, *fpu_cache;

#define CLONE_NAMESPACES                                                               \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

void fork_init(void)
{
	task_cache =
	        kmem_cache_create("task_struct", sizeof(struct task_struct), 64, SLAB_PANIC, NULL);
	signal_cache = kmem_cache_create("signal_cache", sizeof(struct signal_struct), 0,
	                                 SLAB_PANIC, NULL);
	sighand_cache = kmem_cache_create("sighand_cache", sizeof(struct sighand_struct), 0,
	                                  SLAB_PANIC, NULL);
	fpu_cache = kmem_cache_create("fpu_state", arch_fpu_size(), 64, SLAB_PANIC, NULL);
}

/* --- the shared parts ------------------------------------------------------------------------------ */

static void sighand_put(struct sighand_struct *sighand)
{
	if (sighand && refcount_dec_and_test(&sighand->count))
		kmem_cache_free(sighand_cache, sighand);
}

static struct sighand_struct *sighand_dup(struct sighand_struct *old)
{
	struct sighand_struct *sighand = kmem_cache_alloc(sighand_cache, GFP_KERNEL);
	irq_state_t state;

	if (!sighand)
		return NULL;
	refcount_set(&sighand->count, 1);
	spin_lock_init(&sighand->lock);
	if (!old) {
		memset(sighand->action, 0, sizeof(sighand->action));
		return sighand;
	}
	state = spin_lock_irqsave(&old->lock);
	memcpy(sighand->action, old->action, sizeof(sighand->action));
	spin_unlock_irqrestore(&old->lock, state);
	return sighand;
}

int unshare_sighand(struct task_struct *task)
{
	struct sighand_struct *old = task->sighand, *sighand;
	irq_state_t state;

	if (refcount_read(&old->count) == 1)
		return 0;
	sighand = sighand_dup(old);
	if (!sighand)
		return -ENOMEM;
	state = spin_lock_irqsave(&tasklist_lock);
	spin_lock(&old->lock);
	task->sighand = sighand;
	spin_unlock(&old->lock);
	spin_unlock_irqrestore(&tasklist_lock, state);
	sighand_put(old);
	return 0;
}

static void signal_put(struct signal_struct *sig)
{
	if (!sig || !refcount_dec_and_test(&sig->count))
		return;
	kfree(sig->itimer_real);
	kmem_cache_free(signal_cache, sig);
}

static void init_rlimits(struct rlimit *rlim)
{
	for (unsigned i = 0; i < RLIM_NLIMITS; i++)
		rlim[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	rlim[RLIMIT_STACK].rlim_cur = 8ull << 20;
	rlim[RLIMIT_CORE].rlim_cur = 0;
	rlim[RLIMIT_NPROC] = (struct rlimit){PID_MAX / 2, PID_MAX / 2};
	rlim[RLIMIT_NOFILE] = (struct rlimit){1024, 1048576};
	rlim[RLIMIT_MEMLOCK] = (struct rlimit){8ull << 20, 8ull << 20};
	rlim[RLIMIT_SIGPENDING] = (struct rlimit){8192, 8192};
	rlim[RLIMIT_MSGQUEUE] = (struct rlimit){819200, 819200};
	rlim[RLIMIT_NICE] = rlim[RLIMIT_RTPRIO] = (struct rlimit){0, 0};
}

static struct signal_struct *signal_alloc(struct task_struct *parent)
{
	struct signal_struct *sig = kmem_cache_alloc(signal_cache, GFP_KERNEL | __GFP_ZERO);

	if (!sig)
		return NULL;
	if (itimer_real_init(sig)) {
		kmem_cache_free(signal_cache, sig);
		return NULL;
	}
	refcount_set(&sig->count, 1);
	atomic_store(&sig->live, 1);
	INIT_LIST_HEAD(&sig->thread_head);
	INIT_LIST_HEAD(&sig->shared_pending);
	INIT_LIST_HEAD(&sig->posix_timers);
	wait_queue_init(&sig->wait_chldexit);
	wait_queue_init(&sig->wait_exit);
	sig->nr_threads = 1;
	sig->dumpable = true;
	if (!parent) {
		init_rlimits(sig->rlim);
		return sig;
	}
	task_lock(parent->group_leader);
	memcpy(sig->rlim, parent->signal->rlim, sizeof(sig->rlim));
	task_unlock(parent->group_leader);
	sig->oom_score_adj = READ_ONCE(parent->signal->oom_score_adj);
	sig->oom_score_adj_min = READ_ONCE(parent->signal->oom_score_adj_min);
	sig->dumpable = parent->signal->dumpable;
	return sig;
}

/* The last reference has gone; the task is in no table and on no CPU. */
void put_task(struct task_struct *task)
{
	if (!refcount_dec_and_test(&task->usage))
		return;
	if (task->thread.fpu)
		kmem_cache_free(fpu_cache, task->thread.fpu);
	signal_put(task->signal);
	sighand_put(task->sighand);
	kmem_cache_free(task_cache, task);
}

/* --- building a task --------------------------------------------------------------------------------- */

static void init_links(struct task_struct *task)
{
	INIT_LIST_HEAD(&task->pending);
	INIT_LIST_HEAD(&task->children);
	INIT_LIST_HEAD(&task->sibling);
	INIT_LIST_HEAD(&task->tasks);
	INIT_LIST_HEAD(&task->thread_node);
}

void idle_task_init(struct task_struct *idle, unsigned cpu)
{
	init_links(idle);
	refcount_set(&idle->usage, 1);
	atomic_store(&idle->flags, PF_KTHREAD);
	idle->group_leader = idle;
	idle->cpu = cpu;
	idle->cpus_allowed = 1ull << cpu;
	atomic_store(&idle->on_rq, ON_RQ);
	idle->cred.cap_effective = idle->cred.cap_permitted = (1ull << (CAP_LAST + 1)) - 1;
	strscpy(idle->comm, "swapper", sizeof(idle->comm));
}

/* A task with a stack, and with the running task's attributes if it is to be a program's. */
static struct task_struct *dup_task_struct(bool kthread)
{
	struct task_struct *task = kmem_cache_alloc(task_cache, GFP_KERNEL | __GFP_ZERO);
	struct task_struct *parent = current;

	if (!task)
		return NULL;
	task->stack = stack_alloc();
	if (!task->stack)
		goto fail_stack;
	task->thread.fpu =
	        kmem_cache_alloc(fpu_cache, GFP_KERNEL | __GFP_ZERO); /* XSAVE's header */
	if (!task->thread.fpu)
		goto fail_fpu;
	refcount_set(&task->usage, 2); /* the table's and its stack's */
	atomic_store(&task->state, TASK_NEW);
	init_links(task);
	task->cred = parent->cred;
	task->nice = parent->reset_on_fork ? MAX(parent->nice, 0) : parent->nice;
	task->policy = parent->policy;
	task->cpu = cpu_id();
	task->cpus_allowed = kthread ? UINT64_MAX : parent->cpus_allowed;
	task->blocked = parent->blocked;
	task->personality = parent->personality;
	task->no_new_privs = parent->no_new_privs;
	task->timer_slack = 50000;
	if (!kthread)
		task->mempolicy = parent->mempolicy;
	task->start_time = port_now_ns();
	memcpy(task->comm, parent->comm, TASK_COMM_LEN);
	return task;
fail_fpu:
	stack_free(task->stack);
fail_stack:
	kmem_cache_free(task_cache, task);
	return NULL;
}

/* 0, or -EPERM: the thread's TLS would lie outside the user half. */
static int copy_thread(struct task_struct *task, const struct kernel_clone_args *args)
{
	struct pt_regs *regs;

	arch_thread_init(&task->thread, task->stack, KSTACK_SIZE, NULL, NULL);
	regs = arch_task_regs(&task->thread);
	if (args->run) {
		memset(regs, 0, sizeof(*regs));
		arch_fpu_init(task->thread.fpu);
		task->start = args->run;
		task->start_arg = args->arg;
		return 0;
	}
	*regs = *arch_task_regs(&current->thread);
	regs->rax = 0;
	if (args->stack)
		regs->rsp = args->stack;
	arch_fpu_fork(task->thread.fpu);
	return args->flags & CLONE_SETTLS ? arch_set_fs_base(task, args->tls) : 0;
}

static int copy_files_fs(struct task_struct *task, uint64_t flags)
{
	struct task_struct *parent = current;

	if (!parent->signal)
		return 0; /* init: made before there are files */
	if (flags & CLONE_FILES) {
		files_get(parent->files);
		task->files = parent->files;
	} else {
		task->files = parent->files ? files_dup(parent->files) : files_alloc();
		if (!task->files || IS_ERR(task->files))
			return task->files ? (int)PTR_ERR(task->files) : -ENOMEM;
	}
	if (flags & CLONE_FS) {
		fs_get(parent->fs);
		task->fs = parent->fs;
		return 0;
	}
	task->fs = fs_dup(parent->fs);
	if (!task->fs) {
		files_put(task->files);
		return -ENOMEM;
	}
	return 0;
}

static int copy_signal_parts(struct task_struct *task, uint64_t flags)
{
	struct task_struct *parent = current;

	if (flags & CLONE_SIGHAND) {
		refcount_inc(&parent->sighand->count);
		task->sighand = parent->sighand;
	} else {
		task->sighand = sighand_dup(parent->sighand);
		if (!task->sighand)
			return -ENOMEM;
		if (flags & CLONE_CLEAR_SIGHAND)
			flush_signal_handlers(task->sighand, false);
	}
	if (flags & CLONE_THREAD) {
		refcount_inc(&parent->signal->count);
		task->signal = parent->signal;
	} else {
		task->signal = signal_alloc(parent->signal ? parent : NULL);
		if (!task->signal)
			goto fail;
	}
	return 0;
fail:
	sighand_put(task->sighand);
	return -ENOMEM;
}

static int copy_mm(struct task_struct *task, uint64_t flags)
{
	struct mm_struct *mm = current->mm;

	if (!mm)
		return 0; /* exec will make one */
	if (flags & CLONE_VM) {
		mmget(mm);
	} else {
		mm = dup_mm(mm);
		if (IS_ERR(mm))
			return (int)PTR_ERR(mm);
	}
	task->mm = task->active_mm = mm;
	if (!(flags & CLONE_VM) || flags & CLONE_VFORK) { /* a thread has no alternate stack yet */
		task->sas_sp = current->sas_sp;
		task->sas_size = current->sas_size;
		task->sas_flags = current->sas_flags;
	}
	return 0;
}

static int check_clone_flags(uint64_t flags)
{
	if (flags & (CLONE_NAMESPACES | CLONE_INTO_CGROUP))
		return -EINVAL;
	if ((flags & CLONE_THREAD && !(flags & CLONE_SIGHAND)) ||
	    (flags & CLONE_SIGHAND && !(flags & CLONE_VM)))
		return -EINVAL;
	if (flags & CLONE_SIGHAND && flags & CLONE_CLEAR_SIGHAND)
		return -EINVAL;
	if (flags & CLONE_PIDFD && flags & (CLONE_THREAD | CLONE_DETACHED))
		return -EINVAL;
	return 0;
}

/* Tasks of the user, threads and zombies included. */
static unsigned tasks_of_user(uint32_t uid)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *p;
	unsigned n = 0;

	for_each_process(p) if (p->cred.uid == uid) n += p->signal->nr_threads;
	spin_unlock_irqrestore(&tasklist_lock, state);
	return n;
}

/* RLIMIT_NPROC, which does not bind root. */
static bool too_many_processes(void)
{
	uint32_t uid = current->cred.uid;

	return uid && !capable(CAP_SYS_RESOURCE) && !capable(CAP_SYS_ADMIN) &&
	       tasks_of_user(uid) >= rlimit(RLIMIT_NPROC);
}

/* --- publishing ---------------------------------------------------------------------------------------- */

static void link_new_process(struct task_struct *task, const struct kernel_clone_args *args)
{
	struct task_struct *parent = current->signal ? current->group_leader : NULL;
	struct signal_struct *sig = task->signal;

	if (args->flags & CLONE_PARENT && parent) {
		task->exit_signal = parent->exit_signal;
		parent = parent->real_parent;
	} else {
		task->exit_signal = args->exit_signal;
	}
	task->real_parent = parent;
	sig->below_subreaper = below_subreaper_locked(parent);
	sig->pgid = current->signal ? current->signal->pgid : task->pid;
	sig->sid = current->signal ? current->signal->sid : task->pid;
	sig->tty = current->signal ? current->signal->tty : NULL;
	sig->curr_target = task;
	if (parent)
		list_add_tail(&task->sibling, &parent->children);
	list_add_tail(&task->tasks, &task_list);
}

/* The step that makes the task exist. 0, -ERESTARTNOINTR (a signal came first), -EAGAIN. */
static int publish(struct task_struct *task, const struct kernel_clone_args *args)
{
	bool thread = args->flags & CLONE_THREAD;
	struct sighand_struct *sighand = current->sighand ? current->sighand : task->sighand;
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	int32_t pid;
	int err = 0;

	spin_lock(&sighand->lock);
	if (signal_pending(current) && !args->run)
		err = -ERESTARTNOINTR;
	else if ((pid = alloc_pid_locked(args->set_tid)) < 0)
		err = pid;
	if (err)
		goto out;
	task->pid = pid;
	task->tgid = thread ? current->tgid : pid;
	task->group_leader = thread ? current->group_leader : task;
	if (thread) {
		task->exit_signal = -1;
		task->signal->nr_threads++;
		atomic_fetch_add(&task->signal->live, 1);
	} else {
		link_new_process(task, args);
	}
	list_add_tail(&task->thread_node, &task->signal->thread_head);
	attach_pid_locked(task);
out:
	spin_unlock(&sighand->lock);
	spin_unlock_irqrestore(&tasklist_lock, state);
	return err;
}

static void set_clone_words(struct task_struct *task, const struct kernel_clone_args *args)
{
	if (args->flags & CLONE_CHILD_SETTID)
		task->set_child_tid = args->child_tid;
	if (args->flags & CLONE_CHILD_CLEARTID)
		task->clear_child_tid = args->child_tid;
	if (args->name)
		strscpy(task->comm, args->name, sizeof(task->comm));
	else
		atomic_store(&task->flags, PF_FORKNOEXEC);
}

struct task_struct *copy_process(const struct kernel_clone_args *args)
{
	struct task_struct *task;
	int err = check_clone_flags(args->flags);

	if (!err && !args->run && too_many_processes())
		err = -EAGAIN;
	if (err)
		return ERR_PTR(err);
	err = -ENOMEM;
	task = dup_task_struct(args->run);
	if (!task)
		goto fail;
	err = copy_thread(task, args);
	if (err)
		goto fail_files;
	set_clone_words(task, args);
	err = copy_files_fs(task, args->flags);
	if (err)
		goto fail_files;
	err = copy_signal_parts(task, args->flags);
	if (err)
		goto fail_signal;
	err = copy_mm(task, args->flags);
	if (err)
		goto fail_mm;
	err = publish(task, args);
	if (err)
		goto fail_publish;
	count(FORKS);
	return task;

fail_publish:
	if (task->mm)
		mmput(task->mm);
fail_mm:
	signal_put(task->signal);
	sighand_put(task->sighand);
fail_signal:
	if (task->files) {
		fs_put(task->fs);
		files_put(task->files);
	}
fail_files:
	kmem_cache_free(fpu_cache, task->thread.fpu);
	stack_free(task->stack);
	kmem_cache_free(task_cache, task);
fail:
	return ERR_PTR(err);
}

static void trace_newtask(struct task_struct *task, uint64_t flags)
{
	uint64_t comm[2];

	if (!trace_enabled())
		return;
	memcpy(comm, task->comm, sizeof(comm));
	trace_task_newtask((uint64_t)task->pid, comm[0], comm[1], flags, (uint64_t)current->pid);
}

/* vfork: sleep until the child has its own program or is gone; only death cuts it short. */
static void wait_for_vfork_done(struct task_struct *child, struct completion *done)
{
	struct waiter w;
	bool killed = false;

	wait_begin(&done->wait, &w);
	while (!atomic_load(&done->done) && !(killed = fatal_signal_pending(current)))
		port_block();
	wait_end(&done->wait, &w);
	task_lock(child);
	if (child->vfork_done == done)
		child->vfork_done = NULL;
	task_unlock(child);
}

int64_t kernel_clone(const struct kernel_clone_args *args)
{
	struct completion done;
	struct task_struct *task = copy_process(args);
	int32_t pid;

	if (IS_ERR(task))
		return PTR_ERR(task);
	get_task(task);
	pid = task->pid;
	trace_newtask(task, args->flags);
	if (args->flags & CLONE_PARENT_SETTID && put_user_u32(args->parent_tid, (uint32_t)pid))
		pid = task->pid; /* as Linux: the child exists all the same */
	if (args->flags & CLONE_VFORK) {
		init_completion(&done);
		task->vfork_done = &done;
	}
	wake_up_new_task(task);
	if (args->flags & CLONE_VFORK)
		wait_for_vfork_done(task, &done);
	put_task(task);
	return pid;
}

/* --- kernel threads ------------------------------------------------------------------------------------------ */

/*
 * A kernel thread has no signals, files or parent, and is in no process list: it is found by nobody but who
 * made it. It ends by returning from run().
 */
static void kthread_end(struct task_struct *task)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);

	detach_pid_locked(task);
	atomic_store(&task->state, TASK_DEAD);
	spin_unlock_irqrestore(&tasklist_lock, state);
	put_task(task); /* the table's; the stack's goes when it has been switched away from */
	schedule_dead();
}

struct kthread_start {
	void (*run)(void *arg);
	void *arg;
};

static void kthread_main(void *p)
{
	struct kthread_start start = *(struct kthread_start *)p;

	kfree(p);
	start.run(start.arg);
	kthread_end(current);
}

struct task_struct *kthread_create(const char *name, void (*run)(void *arg), void *arg)
{
	struct kthread_start *start = kmalloc(sizeof(*start), GFP_KERNEL);
	struct task_struct *task = start ? dup_task_struct(true) : NULL;
	irq_state_t state;

	if (!task)
		goto fail;
	*start = (struct kthread_start){run, arg};
	arch_thread_init(&task->thread, task->stack, KSTACK_SIZE, kthread_main, start);
	strscpy(task->comm, name, sizeof(task->comm));
	atomic_store(&task->flags, PF_KTHREAD);
	kmem_cache_free(fpu_cache, task->thread.fpu);
	task->thread.fpu = NULL;
	task->group_leader = task;
	state = spin_lock_irqsave(&tasklist_lock);
	task->pid = task->tgid = alloc_pid_locked(0);
	if (task->pid > 0)
		attach_pid_locked(task);
	spin_unlock_irqrestore(&tasklist_lock, state);
	if (task->pid < 0)
		goto fail_pid;
	get_task(task);
	wake_up_new_task(task);
	return task;
fail_pid:
	stack_free(task->stack);
	kmem_cache_free(task_cache, task);
fail:
	kfree(start);
	return NULL;
}

int port_kthread_start(const char *name, void (*run)(void *arg), void *arg)
{
	struct task_struct *task = kthread_create(name, run, arg);

	if (!task)
		return -ENOMEM;
	put_task(task);
	return 0;
}
