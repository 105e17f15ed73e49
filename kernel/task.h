/*
 * task.h - a task: one thread of a program, or a kernel thread.
 *
 * Linux's cut: task_struct for each thread, signal_struct for each process (thread group), and the shared
 * things behind counts: mm, files, fs, sighand. Parents and children are processes: the family
 * fields are those of the group leader.
 *
 * Lifetime. usage counts holders: the pid table (until the task is reaped), the task's own stack (until it
 * was switched away from for the last time), and whoever asked with get_task. The struct, its credentials and its
 * signal_struct and sighand stay valid while usage > 0; mm, files and fs go when the task exits and are
 * read from outside under task_lock() only.
 *
 * Lock order: tasklist_lock -> sighand->lock -> task->alloc_lock; rq->lock comes after all of them.
 *
 * Lock key
 *   (i) immutable after the task is published      (c) only the task itself (current) writes
 *   (r) rq->lock of the CPU it is on               (s) sighand->lock (irqsave)
 *   (t) tasklist_lock (irqsave)                    (a) atomic
 *   (l) alloc_lock: the task writes under it, others read under it
 *   (ts) written under both tasklist_lock and sighand->lock: either suffices to read
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
#define PID_MAX       32768

enum task_state {
	TASK_RUNNING = 0,         /* running, or on a run queue */
	TASK_INTERRUPTIBLE = 1,   /* sleeps; a signal ends the wait */
	TASK_UNINTERRUPTIBLE = 2, /* sleeps; a signal makes it look and sleep on */
	TASK_STOPPED = 4,         /* by SIGSTOP and its like */
	TASK_NEW = 8, /* can be found, but wake_up_new_task() was not reached: nobody wakes it */
	TASK_ZOMBIE = 32, /* waits to be reaped */
	TASK_DEAD = 64,   /* reaped, or nobody waits for it */
};

enum on_rq {
	OFF_RQ,    /* sleeps, or is new */
	ON_RQ,     /* runs or waits to run */
	MIGRATING, /* between two queues, whose mover alone may touch it: sched.c */
};

/* The embedder's thread of port.h is the task. */
struct thread;
struct task_struct;
struct tty;

static inline struct thread *task_thread(struct task_struct *task)
{
	return (struct thread *)task;
}

struct cred { /* who the task is: fsuid, fsgid and groups decide about files, capabilities about the rest */
	uint32_t uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	unsigned ngroups;
	uint32_t groups[32];
	uint64_t cap_effective, cap_permitted, cap_inheritable;
};

struct task_struct {
	struct arch_thread thread; /* first: switch.S */
	_Atomic uint32_t state;    /* enum task_state; the protocol is in sched.c */
	_Atomic uint32_t flags;    /* (a) PF_*, TIF_* below */
	int32_t pid, tgid;         /* (i), but for exec of a thread that becomes the leader (t) */
	refcount_t usage;
	char comm[TASK_COMM_LEN]; /* (l) */
	void *stack;              /* (i) KSTACK_SIZE bytes with a guard page below */
	spinlock_t alloc_lock;    /* not taken by interrupts */

	struct mm_struct *mm;           /* (l) NULL: kernel thread, or exited */
	struct mm_struct *active_mm;    /* (r) what CR3 may keep: borrowed by kernel threads */
	struct files_struct *files;     /* (l) fs/ */
	struct fs_struct *fs;           /* (l) root, cwd, umask: fs/ */
	struct signal_struct *signal;   /* (i) NULL: kernel thread */
	struct sighand_struct *sighand; /* (i), but for exec, which unshares it (ts) */
	struct cred cred;               /* (l) */
	const struct cred *other_cred;  /* (c) for files, during access(2): else NULL */

	/* kernel/sched.c */
	struct rb_node run_node; /* (r) */
	uint64_t vruntime;       /* (r) weighted ns */
	uint64_t exec_start;     /* (r) ns: when sum_exec was last brought up to date */
	uint64_t sum_exec;       /* (r) ns on a CPU */
	uint64_t slice_start;    /* (r) sum_exec when it was picked */
	uint32_t ticks_user;     /* (c) samples that found it in the program / in the kernel: */
	uint32_t ticks_sys; /*     the proportion in which sum_exec is shown as utime and stime */
	int nice;           /* (r) -20..19 */
	int policy;         /* (r) SCHED_OTHER, SCHED_BATCH, SCHED_IDLE */
	bool reset_on_fork; /* (r) SCHED_RESET_ON_FORK: children are nice 0 at best */
	unsigned cpu;       /* (r) its run queue: where it runs or last ran */
	uint64_t cpus_allowed;  /* (r) */
	_Atomic uint8_t on_rq;  /* (r) enum on_rq */
	_Atomic bool permit;    /* port_block / port_unblock */
	uint64_t nvcsw, nivcsw; /* (r) */

	/* signals: kernel/signal.c */
	uint64_t blocked;         /* (s) written by the task, read by senders */
	uint64_t saved_blocked;   /* (c) of sigsuspend, ppoll, pselect: restored after delivery */
	uint64_t waiting_for;     /* (s) sigtimedwait: blocked signals that wake it all the same */
	struct list_head pending; /* (s) queued siginfo of this thread */
	uint64_t pending_mask;    /* (s) */
	vaddr_t sas_sp;           /* (c) sigaltstack */
	uint64_t sas_size;
	uint32_t sas_flags;
	struct { /* (c) restart_syscall: a sleep with what is left of it */
		int64_t (*fn)(struct task_struct *task);
		uint64_t arg[5];
	} restart;

	/* family: kernel/fork.c, exit.c */
	/* (t) of the group leader; a group leader; NULL: kernel's own. */
	struct task_struct *real_parent;
	struct list_head children;        /* (t) group leaders */
	struct list_head sibling;         /* (t) */
	struct list_head tasks;           /* (t) all group leaders */
	struct list_head thread_node;     /* (ts) all threads of the group */
	struct hlist_node pid_link;       /* (t) pid table */
	struct task_struct *group_leader; /* (t) */
	int exit_code;                    /* (t) wait(2)'s status */
	int exit_signal;                  /* (t) to the parent when the group ends; -1: a thread */
	int pdeath_signal;                /* (c) */
	vaddr_t clear_child_tid;          /* (c) */
	vaddr_t set_child_tid;            /* (c) */
	vaddr_t robust_list;              /* (c) */
	struct completion *vfork_done; /* (c) the parent sleeps on it; child's until exec or exit */
	void (*start)(
	        void *arg); /* (i) kernel code to run before the program: init, the first program */
	void *start_arg;
	uint64_t start_time;        /* (i) ns since boot */
	struct fault_stats faults;  /* (c) */
	uint64_t timer_slack;       /* (c) prctl */
	struct mempolicy mempolicy; /* (c) set_mempolicy */
	uint32_t personality;       /* (c) */
	uint32_t oom_departures; /* (c) how many it knew of when it last looked for memory: oom.c */
	bool memalloc;           /* (c) it is freeing memory: port_memalloc() */
	bool no_new_privs;       /* (c) */
	bool did_exec;           /* (c) setpgid by the parent is over */
};

/* task->flags */
#define PF_KTHREAD         0x01u
#define PF_EXITING         0x02u
#define PF_FORKNOEXEC      0x04u
#define PF_RESTORE_SIGMASK 0x08u
#define TIF_SIGPENDING     0x10u /* look for signals before going back to the program */
#define PF_SIGNALED        0x20u /* died by a signal */
#define PF_UNKNOWN_CALL    0x40u

/* The x86-64 ABI's resource numbers. */
enum {
	RLIMIT_CPU,
	RLIMIT_FSIZE,
	RLIMIT_DATA,
	RLIMIT_STACK,
	RLIMIT_CORE,
	RLIMIT_RSS,
	RLIMIT_NPROC,
	RLIMIT_NOFILE,
	RLIMIT_MEMLOCK,
	RLIMIT_AS,
	RLIMIT_LOCKS,
	RLIMIT_SIGPENDING,
	RLIMIT_MSGQUEUE,
	RLIMIT_NICE,
	RLIMIT_RTPRIO,
	RLIMIT_RTTIME,
	RLIM_NLIMITS
};
#define RLIM_INFINITY UINT64_MAX

struct rlimit {
	uint64_t rlim_cur, rlim_max;
};

/* CPU-time interval timers (ITIMER_VIRTUAL, ITIMER_PROF): process CPU ns; 0 = off. */
struct cpu_itimer {
	uint64_t expires, interval; /* (s) */
};

/* What the dead of a process, and its reaped children, used. */
struct rusage_sum {
	uint64_t utime, stime; /* ns */
	uint64_t minflt, majflt, nvcsw, nivcsw;
};

/* One process. */
struct signal_struct {
	refcount_t count;
	_Atomic int live;                /* threads that have not begun to exit */
	struct list_head thread_head;    /* (ts) */
	unsigned nr_threads;             /* (ts) threads not yet released */
	struct list_head shared_pending; /* (s) */
	uint64_t shared_pending_mask;    /* (s) */
	_Atomic uint32_t nr_sigqueue;    /* (a) queued siginfo: RLIMIT_SIGPENDING */
	struct wait_queue wait_chldexit;
	struct wait_queue wait_exit;    /* pidfd: the process ended */
	bool group_exit;                /* (s) all threads die with group_exit_code */
	int group_exit_code;            /* (s) wait(2)'s status */
	struct task_struct *group_exec; /* (s) the thread that waits for all others to go: exec */
	int stop_signal;                /* (s) != 0: threads are to stop, or are stopped */
	bool stop_taken;                /* (s) a stop signal was taken, and no SIGCONT came since */
	unsigned nr_stopped;            /* (s) threads that stopped */
	bool stop_reportable;           /* (s) all stopped and nobody waited for it yet */
	bool notify_cont;               /* (s) the first thread to go on tells the parent */
	bool continued;                 /* (s) continued and nobody waited for it yet */
	int32_t pgid, sid;              /* (t) */
	bool leader;                    /* (t) of the session */
	struct tty *tty;                /* (t) controlling terminal */
	struct rlimit rlim[RLIM_NLIMITS]; /* (l) of the group leader */
	struct rusage_sum dead;           /* (s) threads that exited */
	uint64_t dead_exec;               /* (s) their time on CPUs, ns */
	struct rusage_sum children;       /* (t) reaped children and theirs */
	uint64_t maxrss, cmaxrss;         /* pages */
	struct timer_entry *itimer_real;  /* (i) alarm, setitimer */
	uint64_t it_real_interval;        /* (s) ns */
	struct cpu_itimer it[2];          /* (s) VIRTUAL, PROF */
	struct list_head posix_timers;    /* (s) */
	int32_t next_timer_id;
	int oom_score_adj, oom_score_adj_min; /* min: no lower without CAP_SYS_RESOURCE */
	_Atomic bool oom_killed;              /* by the kernel, for want of memory */
	/* Since when its death is waited for: oom.c; 0: it is not. */
	_Atomic uint64_t oom_victim_ns;
	bool is_subreaper;    /* (t) takes in the orphans among its descendants: prctl */
	bool below_subreaper; /* (t) an ancestor may be one; false spares the way up */
	bool dumpable;
	struct task_struct *curr_target; /* (s) */
};

struct k_sigaction {
	uint64_t handler; /* SIG_DFL 0, SIG_IGN 1, or an address */
	uint64_t flags, restorer, mask;
};

struct sighand_struct {
	refcount_t count;
	spinlock_t lock;               /* irqsave */
	struct k_sigaction action[64]; /* (s) of signal i + 1 */
};

static inline bool signal_pending(struct task_struct *task)
{
	return unlikely(atomic_load_explicit(&task->flags, memory_order_relaxed) & TIF_SIGPENDING);
}

static inline bool thread_group_leader(const struct task_struct *task)
{
	return task->group_leader == task;
}

static inline void task_lock(struct task_struct *task)
{
	spin_lock(&task->alloc_lock);
}

static inline void task_unlock(struct task_struct *task)
{
	spin_unlock(&task->alloc_lock);
}

/* --- finding and holding tasks: kernel/pid.c, fork.c ------------------------------------------- */

extern spinlock_t tasklist_lock; /* irqsave; under it no task is reaped and no family changes */

static inline struct task_struct *get_task(struct task_struct *task)
{
	refcount_inc(&task->usage);
	return task;
}
void put_task(struct task_struct *task); /* any context */

/* By thread id, with tasklist_lock held; NULL: none. Zombies are found until reaped. */
struct task_struct *find_task_by_pid_locked(int32_t pid);
/* The same with a reference; takes the lock itself. */
struct task_struct *find_get_task_by_pid(int32_t pid);
/* The group leader of process pid with a reference; NULL when pid is none or another thread. */
struct task_struct *find_get_process(int32_t pid);
/* The process with the lowest pid >= pid, with a reference: /proc's directory. NULL: no more. */
struct task_struct *next_process(int32_t pid);
/* The thread of leader's group with the lowest tid >= tid, with a reference. NULL: no more. */
struct task_struct *next_thread(struct task_struct *leader, int32_t tid);
/* Tasks of all kinds that exist, zombies included; tasks made since boot. */
unsigned nr_tasks(void);
uint64_t nr_forks(void);
int32_t last_pid(void);

/* All group leaders; all threads of a process. tasklist_lock held. */
extern struct list_head task_list;
extern struct task_struct *init_task; /* pid 1: runs no program, takes in orphans */
#define for_each_process(p)   list_for_each_entry(p, &task_list, tasks)
#define for_each_thread(p, t) list_for_each_entry(t, &(p)->signal->thread_head, thread_node)

/* With a user counted (mmput), or NULL. */
struct mm_struct *get_task_mm(struct task_struct *task);
/* comm into buf of TASK_COMM_LEN; set it (truncates). */
void get_task_comm(char *buf, struct task_struct *task);
void set_task_comm(struct task_struct *task, const char *name);
/* The letter of /proc/PID/stat. */
char task_state_char(struct task_struct *task);

/* CPU time of a thread or of a process with its dead threads, ns. tasklist_lock not held. */
void task_cputime(struct task_struct *task, uint64_t *utime, uint64_t *stime);
void thread_group_cputime(struct task_struct *task, uint64_t *utime, uint64_t *stime);
void thread_group_cputime_locked(struct task_struct *task, uint64_t *utime,
                                 uint64_t *stime); /* sighand->lock held */
/* Children that were waited for. */
void children_cputime(struct task_struct *task, uint64_t *utime, uint64_t *stime);
/* Faults of a process, dead threads included; of reaped children. */
void thread_group_faults(struct task_struct *task, struct fault_stats *own,
                         struct fault_stats *children);

static inline uint64_t task_rlimit(struct task_struct *task, unsigned limit)
{
	return READ_ONCE(task->signal->rlim[limit].rlim_cur);
}
static inline uint64_t rlimit(unsigned limit)
{
	return task_rlimit(current, limit);
}

/* May the running task do what capability cap (CAP_*) is for? */
static inline bool capable(unsigned cap)
{
	return current->cred.cap_effective >> cap & 1;
}

/* As whom the running task asks for files, and with which capabilities. */
static inline const struct cred *file_cred(void)
{
	const struct cred *other = current->other_cred;

	return unlikely(other != NULL) ? other : &current->cred;
}
static inline bool file_capable(unsigned cap)
{
	return file_cred()->cap_effective >> cap & 1;
}

/* May the running task see into another: its memory, its files, where it is? ptrace(2), "access mode checking". */
bool ptrace_may_access(struct task_struct *task);
#define CAP_CHOWN           0
#define CAP_DAC_OVERRIDE    1
#define CAP_DAC_READ_SEARCH 2
#define CAP_FOWNER          3
#define CAP_FSETID          4
#define CAP_KILL            5
#define CAP_SETGID          6
#define CAP_SETUID          7
#define CAP_SETPCAP         8
#define CAP_LINUX_IMMUTABLE 9
#define CAP_IPC_LOCK        14
#define CAP_SYS_CHROOT      18
#define CAP_SYS_PTRACE      19
#define CAP_SYS_ADMIN       21
#define CAP_SYS_NICE        23
#define CAP_SYS_RESOURCE    24
#define CAP_SYS_TIME        25
#define CAP_MKNOD           27
#define CAP_MAC_OVERRIDE    32
#define CAP_SYSLOG          34
#define CAP_LAST            40

/* Process groups and sessions (kernel/ids.c); tasklist_lock held. */
bool pgrp_exists_locked(int32_t pgid, int32_t sid);
bool is_orphaned_pgrp_locked(int32_t pgid, struct task_struct *ignored);

#endif
