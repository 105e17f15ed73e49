/*
 * signal.h - signals: numbers, siginfo as the ABI has it, sending, and taking.
 *
 * Sets are uint64_t: bit i is signal i + 1.
 */
#ifndef KERNEL_SIGNAL_H
#define KERNEL_SIGNAL_H

#include "kernel/task.h"

#define _NSIG     64
#define SIGHUP    1
#define SIGINT    2
#define SIGQUIT   3
#define SIGILL    4
#define SIGTRAP   5
#define SIGABRT   6
#define SIGBUS    7
#define SIGFPE    8
#define SIGKILL   9
#define SIGUSR1   10
#define SIGSEGV   11
#define SIGUSR2   12
#define SIGPIPE   13
#define SIGALRM   14
#define SIGTERM   15
#define SIGSTKFLT 16
#define SIGCHLD   17
#define SIGCONT   18
#define SIGSTOP   19
#define SIGTSTP   20
#define SIGTTIN   21
#define SIGTTOU   22
#define SIGURG    23
#define SIGXCPU   24
#define SIGXFSZ   25
#define SIGVTALRM 26
#define SIGPROF   27
#define SIGWINCH  28
#define SIGIO     29
#define SIGPWR    30
#define SIGSYS    31
#define SIGRTMIN  32

#define SIG_DFL 0ull
#define SIG_IGN 1ull

#define SA_NOCLDSTOP 0x00000001u
#define SA_NOCLDWAIT 0x00000002u
#define SA_SIGINFO   0x00000004u
#define SA_RESTORER  0x04000000u
#define SA_ONSTACK   0x08000000u
#define SA_RESTART   0x10000000u
#define SA_NODEFER   0x40000000u
#define SA_RESETHAND 0x80000000u

#define SS_ONSTACK    1
#define SS_DISABLE    2
#define SS_AUTODISARM 0x80000000u
#define MINSIGSTKSZ   2048

#define SI_USER       0
#define SI_KERNEL     0x80
#define SI_QUEUE      -1
#define SI_TIMER      -2
#define SI_MESGQ      -3
#define SI_ASYNCIO    -4
#define SI_SIGIO      -5
#define SI_TKILL      -6
#define ILL_ILLOPC    1
#define ILL_ILLOPN    2
#define ILL_PRVOPC    5
#define FPE_INTDIV    1
#define FPE_INTOVF    2
#define FPE_FLTDIV    3
#define FPE_FLTOVF    4
#define FPE_FLTUND    5
#define FPE_FLTRES    6
#define FPE_FLTINV    7
#define SEGV_MAPERR   1
#define SEGV_ACCERR   2
#define BUS_ADRALN    1
#define BUS_ADRERR    2
#define TRAP_BRKPT    1
#define TRAP_TRACE    2
#define CLD_EXITED    1
#define CLD_KILLED    2
#define CLD_DUMPED    3
#define CLD_STOPPED   5
#define CLD_CONTINUED 6
#define POLL_IN       1
#define POLL_OUT      2
#define POLL_HUP      6

/* siginfo_t of the x86-64 ABI, byte for byte. */
struct kernel_siginfo {
	int32_t si_signo;
	int32_t si_errno;
	int32_t si_code;
	int32_t pad0_;
	union {
		struct { /* kill, tkill, sigqueue */
			int32_t si_pid;
			uint32_t si_uid;
			uint64_t si_value;
		};
		struct { /* timers */
			int32_t si_tid;
			int32_t si_overrun;
			uint64_t value;
			int32_t si_sys_private;
		} timer;
		struct { /* SIGCHLD */
			int32_t pid;
			uint32_t uid;
			int32_t si_status;
			int32_t pad1_;
			int64_t si_utime, si_stime; /* clock ticks of 1/100 s */
		} child;
		struct { /* SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP */
			uint64_t si_addr;
			int16_t si_addr_lsb;
		} fault;
		struct { /* SIGIO */
			int64_t si_band;
			int32_t si_fd;
		} poll;
		uint8_t bytes[112];
	};
};
static_assert(sizeof(struct kernel_siginfo) == 128, "the ABI's siginfo_t");
static_assert(offsetof(struct kernel_siginfo, si_value) == 24, "");
static_assert(offsetof(struct kernel_siginfo, child.si_utime) == 32, "");

struct kernel_stack_t { /* stack_t */
	uint64_t ss_sp;
	int32_t ss_flags;
	int32_t pad_;
	uint64_t ss_size;
};

/* A signal on its way to a handler: what arch_setup_frame builds the frame from. */
struct ksignal {
	int signo;
	struct kernel_siginfo info;
	struct k_sigaction ka;
};

static inline uint64_t sigmask(int signo)
{
	return 1ull << (signo - 1);
}
#define SIG_KERNEL_ONLY (sigmask(SIGKILL) | sigmask(SIGSTOP))
#define SIG_STOP_MASK   (sigmask(SIGSTOP) | sigmask(SIGTSTP) | sigmask(SIGTTIN) | sigmask(SIGTTOU))

/* Those that do nothing by default. */
#define SIG_IGNORE_MASK (sigmask(SIGCONT) | sigmask(SIGCHLD) | sigmask(SIGWINCH) | sigmask(SIGURG))

static inline bool valid_signal(int64_t signo)
{
	return signo >= 1 && signo <= _NSIG;
}

/* --- sending ----------------------------------------------------------------------------------- */

/*
 * Send info to a thread, or to its whole process (any thread that lets it through takes it). 0, -EAGAIN (queue
 * of realtime signals is full). Any context. task is referenced or tasklist_lock is held. No permission check.
 */
int send_signal_info(struct task_struct *task, const struct kernel_siginfo *info, bool group);
/* The same with sighand->lock held already. */
int send_signal_locked(struct task_struct *task, const struct kernel_siginfo *info, bool group);
/* As the kernel's own signal (SI_KERNEL), to a process. Any context. */
void send_signal(int signo, struct task_struct *task);
/* The kernel's signal to each process of a group; 0 or -ESRCH. Any context. _locked: tasklist_lock held. */
int kill_pgrp(int32_t pgid, int signo);
int kill_pgrp_locked(int32_t pgid, int signo);
/* To process pid. 0 or -ESRCH. */
int kill_pid(int32_t pid, int signo);

/* --- taking ------------------------------------------------------------------------------------ */

/*
 * Take a pending signal of the running task that is not in `blocked`; its number or 0. What signalfd and
 * sigtimedwait use, with blocked = ~wanted.
 */
int dequeue_signal(uint64_t blocked, struct kernel_siginfo *info);
/* Signals pending for the thread or its process, whether blocked or not: signalfd's poll. */
uint64_t pending_signals(struct task_struct *task);
/* Woken whenever a signal comes to anybody: a queue of a process could die before an epoll that watches it. */
extern struct wait_queue signalfd_wait;

/* Block exactly the signals of set (never SIGKILL, SIGSTOP) and look again at what is pending. */
void set_current_blocked(uint64_t set);
/*
 * ppoll, pselect, sigsuspend: block set now; the old mask comes back after the signal was delivered, or at once
 * by restore_saved_sigmask() when none came.
 */
void set_temporary_sigmask(uint64_t set);
void restore_saved_sigmask(void);
/* The mask of *_sigmask system calls: from user memory. 0, -EINVAL (size), -EFAULT. addr 0: unchanged. */
MUST_USE int set_user_sigmask(vaddr_t addr, uint64_t size);
/* After such a call: interrupted says that it returns an ERESTART code and delivery restores the mask. */
void restore_saved_sigmask_unless(bool interrupted);

/* Recompute TIF_SIGPENDING. sighand->lock held / takes it. */
void recalc_sigpending_locked(struct task_struct *task);
void recalc_sigpending(void);

/* SIGKILL is on its way to the task: killable sleeps end. */
bool fatal_signal_pending(struct task_struct *task);

/* Deliver what is pending: called before going back to the program. */
void do_signal(struct pt_regs *regs);

/* The sigaltstack as sigreturn and setup_frame need it. 0, -EPERM, -EINVAL, -ENOMEM. */
int do_sigaltstack(const struct kernel_stack_t *new_stack, struct kernel_stack_t *old, vaddr_t sp);
/* Is sp on the alternate stack? Where does a handler's frame go? */
static inline bool on_sig_stack(vaddr_t sp)
{
	return !(current->sas_flags & SS_AUTODISARM) && sp > current->sas_sp &&
	       sp - current->sas_sp <= current->sas_size;
}

/* kernel/signal.c's own among kernel/: */
void flush_signal_queue(struct list_head *queue, uint64_t *mask, struct signal_struct *sig);
void flush_signal_handlers(struct sighand_struct *sighand, bool force_default);
/* Tell the parent of a process; tasklist_lock held. True: nobody will wait, release it now. */
bool do_notify_parent_locked(struct task_struct *leader, int signo);
void do_notify_parent_cldstop_locked(struct task_struct *leader, int code, int status);
/* Forget a pending signal of the running process that it now ignores; sighand->lock held. */
void discard_signal_locked(struct task_struct *task, int signo);
/* sighand->lock held: take a signal of the running task; wake others for what it leaves. Takes locks: tell its parent. */
int dequeue_signal_locked(uint64_t blocked, struct kernel_siginfo *info);
void retarget_shared_pending(struct task_struct *task, uint64_t which);
void notify_cldstop(struct task_struct *task, int code, int status);
/* Blocked signals that end the running thread's sleep all the same. */
void set_waiting_for(uint64_t set);
/* Make all other threads of the process die. sighand->lock held. */
void zap_other_threads_locked(struct task_struct *task);
/* The running thread is leaving: what it was chosen to take goes to another. */
void exit_signals(struct task_struct *task);
/*
 * A timer's signal, whose memory is there beforehand: NULL when the process may queue no more, or no memory. Sent it is queued at most
 * once: false, it still is, and the timer counts an overrun. Freed it is still taken if it is queued. sighand->lock held but to allocate.
 */
struct sigqueue;
struct sigqueue *timer_sigqueue_alloc(struct signal_struct *sig);
bool send_timer_sigqueue_locked(struct sigqueue *q, struct task_struct *task,
                                const struct kernel_siginfo *info, bool group);
void timer_sigqueue_free_locked(struct sigqueue *q, struct signal_struct *sig);
/* Hand the overrun count of a POSIX timer's signal over (kernel/itimer.c); sighand->lock held. */
void posix_timer_dequeued(struct signal_struct *sig, struct kernel_siginfo *info);
void signal_init(void);

#endif
