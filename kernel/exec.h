/*
 * exec.h - programs: starting, replacing, and ending them.
 */
#ifndef KERNEL_EXEC_H
#define KERNEL_EXEC_H

#include "kernel/task.h"

#define MAX_ARG_STRLEN   (32 * PAGE_SIZE) /* one string, NUL included */
#define BINPRM_BUF_SIZE  256 /* first bytes of the file, where formats are recognised */
#define BINPRM_MAX_DEPTH 5   /* scripts run by scripts */

struct file;

/*
 * Replace the running task's program by `path` with kernel strings (the first program). 0, or a negative errno with
 * the old state kept.
 */
MUST_USE int kernel_execve(const char *path, char *const *argv, char *const *envp);

/* clone(2)'s work. Returns the new task's pid, or a negative errno. */
struct kernel_clone_args {
	uint64_t flags;
	vaddr_t pidfd, child_tid, parent_tid;
	int exit_signal;
	vaddr_t stack; /* new stack pointer, 0: the parent's */
	uint64_t tls;
	int32_t set_tid; /* 0: any */
	void (*run)(
	        void *arg); /* kernel code to start with; when it returns the task goes to its program */
	void *arg;
	const char *name;
};
struct task_struct *copy_process(const struct kernel_clone_args *args);
int64_t kernel_clone(const struct kernel_clone_args *args);

/* End the running thread; end the whole process with wait(2)'s status. */
NORETURN void do_exit(int code);
NORETURN void do_group_exit(int code);

/* Init: the next child that ends, its status in *raw, and was it killed for want of memory; -ECHILD when there is none left. Sleeps. */
int32_t kernel_wait(int *raw, bool *oom_killed);
/* Take a zombie out of the tables and free it. tasklist_lock not held. */
void release_task(struct task_struct *task);

/* Whether the running process takes in the orphans among its descendants; may an ancestor of parent's children do so? */
void set_child_subreaper(bool on);
bool below_subreaper_locked(const struct task_struct *parent);

/* Kill all threads but the running one, which becomes the leader: exec. 0 or -EAGAIN. Sleeps. */
MUST_USE int de_thread(void);
/* mm->limits from the rlimits of task's process. */
void mm_set_limits(struct mm_struct *mm, struct task_struct *task);
/* The child lets go of its parent's address space: vfork's parent may go on, tid word is cleared. */
void mm_release(struct task_struct *task, struct mm_struct *mm);
/* Switch the running task to mm (NULL: borrow the old one lazily). */
void switch_mm_current(struct mm_struct *mm);

/* The running task's handlers become its own: exec. 0 or -ENOMEM. */
MUST_USE int unshare_sighand(struct task_struct *task);
void fork_init(void);
/* Fill in the idle task of a CPU. */
void idle_task_init(struct task_struct *idle, unsigned cpu);

/* Clone flags. */
#define CSIGNAL              0xffull
#define CLONE_VM             0x00000100ull
#define CLONE_FS             0x00000200ull
#define CLONE_FILES          0x00000400ull
#define CLONE_SIGHAND        0x00000800ull
#define CLONE_PIDFD          0x00001000ull
#define CLONE_PTRACE         0x00002000ull
#define CLONE_VFORK          0x00004000ull
#define CLONE_PARENT         0x00008000ull
#define CLONE_THREAD         0x00010000ull
#define CLONE_NEWNS          0x00020000ull
#define CLONE_SYSVSEM        0x00040000ull
#define CLONE_SETTLS         0x00080000ull
#define CLONE_PARENT_SETTID  0x00100000ull
#define CLONE_CHILD_CLEARTID 0x00200000ull
#define CLONE_DETACHED       0x00400000ull
#define CLONE_UNTRACED       0x00800000ull
#define CLONE_CHILD_SETTID   0x01000000ull
#define CLONE_NEWCGROUP      0x02000000ull
#define CLONE_NEWUTS         0x04000000ull
#define CLONE_NEWIPC         0x08000000ull
#define CLONE_NEWUSER        0x10000000ull
#define CLONE_NEWPID         0x20000000ull
#define CLONE_NEWNET         0x40000000ull
#define CLONE_IO             0x80000000ull
#define CLONE_CLEAR_SIGHAND  0x100000000ull
#define CLONE_INTO_CGROUP    0x200000000ull
#define CLONE_NEWTIME        0x80ull

#endif
