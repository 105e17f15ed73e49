/*
 * task.h - a task: one thread of a program, or a kernel thread.
 *
 * Linux's cut: task_struct for each thread, signal_struct for each process (thread group), and the shared
 * things behind counts: mm, files, fs, sighand.
 *
 * Lock key
 *   (i) immutable after the task is published      (c) only the task itself (current) writes
 *   (r) rq->lock of the CPU it is on               (s) sighand->lock (irqsave)
 *   (t) tasklist_lock                              (a) atomic
 */
#ifndef KERNEL_TASK_H
#define KERNEL_TASK_H

#include "arch/x86_64/arch.h"
#include "lib/list.h"
#include "lib/rbtree.h"
#include <quire/mm.h>
#include <quire/sync.h>

#define TASK_COMM_LEN 16
#define KSTACK_SIZE   16384

enum task_state {
	TASK_RUNNING = 0,         /* running, or on a run queue */
	TASK_INTERRUPTIBLE = 1,   /* a signal wakes it */
	TASK_UNINTERRUPTIBLE = 2,
	TASK_STOPPED = 4,         /* by SIGSTOP and its like */
	TASK_ZOMBIE = 32,         /* waits to be reaped */
	TASK_DEAD = 64,
};

/* The embedder's thread of port.h is the task. */
struct thread;

struct cred { /* one user: root. Kept as fields since stat, auxv and /proc show them */
	uint32_t uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	unsigned ngroups;
	uint32_t groups[32];
	uint64_t cap_effective, cap_permitted, cap_inheritable;
};

struct task_struct {
	struct arch_thread thread;      /* first: switch.S */
	_Atomic uint32_t state;         /* (r) enum task_state */
	_Atomic uint32_t flags;         /* (a) PF_*, TIF_* below */
	int32_t pid, tgid;              /* (i) */
	refcount_t usage;
	char comm[TASK_COMM_LEN];       /* (c) */
	void *stack;                    /* (i) KSTACK_SIZE bytes with a guard page below */

	struct mm_struct *mm;           /* (c) NULL: kernel thread */
	struct mm_struct *active_mm;    /* (r) what CR3 may keep: borrowed by kernel threads */
	struct files_struct *files;     /* (c) fs/ */
	struct fs_struct *fs;           /* (c) root, cwd, umask: fs/ */
	struct signal_struct *signal;   /* (i) */
	struct sighand_struct *sighand; /* (i) */
	struct cred cred;               /* (c) */

	/* kernel/sched.c */
	struct rb_node run_node;        /* (r) */
	uint64_t vruntime;              /* (r) weighted ns */
	uint64_t exec_start, sum_exec;  /* (r) ns */
	uint64_t utime, stime;          /* (c) ns, by entry and exit of the kernel at ticks */
	int nice;                       /* (r) */
	unsigned cpu;                   /* (r) */
	uint64_t cpus_allowed;          /* (r) */
	bool on_rq;                     /* (r) */
	_Atomic bool on_cpu;            /* still on its stack: not yet to be switched to elsewhere */
	_Atomic bool permit;            /* port_block / port_unblock */
	uint64_t nvcsw, nivcsw;         /* (r) */

	/* signals: kernel/signal.c */
	uint64_t blocked;               /* (s) */
	uint64_t saved_blocked;         /* (c) of sigsuspend, ppoll, pselect: restored after delivery */
	struct list_head pending;       /* (s) queued siginfo of this thread */
	uint64_t pending_mask;          /* (s) */
	vaddr_t sas_sp;                 /* (c) sigaltstack */
	uint64_t sas_size;
	uint32_t sas_flags;
	struct {                        /* (c) restart_syscall: a sleep with what is left of it */
		int64_t (*fn)(struct task_struct *task);
		uint64_t arg[5];
	} restart;

	/* family: kernel/fork.c, exit.c */
	struct task_struct *real_parent; /* (t) of the group leader */
	struct list_head children;       /* (t) group leaders */
	struct list_head sibling;        /* (t) */
	struct list_head tasks;          /* (t) all group leaders */
	struct list_head thread_node;    /* (t) all threads of the group */
	struct task_struct *group_leader;
	int exit_code;                   /* (t) wait(2)'s status */
	int exit_signal;                 /* (i) to the parent; SIGCHLD; -1 thread */
	vaddr_t clear_child_tid;         /* (c) */
	vaddr_t set_child_tid;           /* (c) */
	vaddr_t robust_list;             /* (c) */
	struct completion *vfork_done;   /* (c) */
	uint64_t start_time;             /* (i) ns since boot */
	struct fault_stats faults;       /* (c) */
	uint32_t personality;
};

/* task->flags */
#define PF_KTHREAD     0x01u
#define PF_EXITING     0x02u
#define PF_FORKNOEXEC  0x04u
#define PF_RESTORE_SIGMASK 0x08u
#define TIF_SIGPENDING 0x10u /* look for signals before going back to the program */
#define PF_SIGNALED    0x20u /* died by a signal */

#define RLIM_NLIMITS 16
struct rlimit {
	uint64_t rlim_cur, rlim_max;
};

/* One process. */
struct signal_struct {
	refcount_t count;
	_Atomic int live;               /* threads that have not begun to exit */
	struct list_head thread_head;   /* (t) */
	struct list_head shared_pending; /* (s) */
	uint64_t shared_pending_mask;   /* (s) */
	struct wait_queue wait_chldexit;
	bool group_exit;                /* (s) all threads die with group_exit_code */
	int group_exit_code;
	int stop_signal;                /* (s) */
	bool stopped, stop_reported, continued; /* (s) for wait(2) */
	int32_t pgid, sid;              /* (t) */
	struct tty *tty;                /* (t) controlling terminal */
	struct rlimit rlim[RLIM_NLIMITS];
	uint64_t cutime, cstime, cminflt, cmajflt, utime, stime, minflt, majflt, nvcsw, nivcsw; /* (t) of the dead */
	uint64_t maxrss;
	struct timer_entry *itimer_real; /* alarm, setitimer */
	uint64_t it_real_interval;
	struct list_head posix_timers;
	int oom_score_adj;
	bool is_subreaper, dumpable;
	struct task_struct *curr_target;
	struct mutex exec_lock;
};

struct k_sigaction {
	uint64_t handler; /* SIG_DFL 0, SIG_IGN 1, or an address */
	uint64_t flags, restorer, mask;
};

struct sighand_struct {
	refcount_t count;
	spinlock_t lock; /* irqsave */
	struct k_sigaction action[64];
};

static inline bool signal_pending(struct task_struct *task)
{
	return unlikely(atomic_load_explicit(&task->flags, memory_order_relaxed) & TIF_SIGPENDING);
}

#endif
