/*
 * sched.h - running tasks on CPUs, and waiting.
 *
 * Whoever waits uses a wait queue of <quire/sync.h> and one of the blocks below: port_block() where a signal
 * does not matter, block_interruptible() where it ends the wait. Both return when the permit was
 * given (wake_up, port_unblock) or a signal came, and both may return for no reason: test in a loop.
 */
#ifndef KERNEL_SCHED_H
#define KERNEL_SCHED_H

#include "kernel/task.h"

/* One CPU's queue; the scheduler alone looks inside (runqueue.h). */
struct runqueue;

/* This CPU's run queue and idle task: before anything sleeps. Once for each CPU. */
void sched_init_cpu(void);

/* Give the CPU to whoever is next. Interrupts may be on or off; not under a spin lock. */
void schedule(void);
/* First code of a new task: ends the switch that brought it in. Called by arch. */
void schedule_tail(void);
/* To the back of the queue (sched_yield). */
void yield(void);
/* Put a new task on a queue. */
void wake_up_new_task(struct task_struct *task);
/* This CPU's timer or an interrupt may have made another task due: sets need_resched. Interrupts off. */
void sched_tick(void);
/* End the running task: it is never scheduled again; its stack goes back when the next task runs. */
NORETURN void schedule_dead(void);

/* As port_block and port_block_until, but shown as interruptible sleep. Test signal_pending() in the loop. */
void block_interruptible(void);
void block_interruptible_until(uint64_t deadline_ns);
/* The same with a state to show (TASK_*); deadline UINT64_MAX: none. */
void block_state(enum task_state state, uint64_t deadline_ns);

/* Sleep until cond holds or a signal comes: 0 or -ERESTARTSYS. */
#define wait_event_interruptible(q, cond)                      \
	({                                                     \
		int err_ = 0;                                  \
		if (!(cond)) {                                 \
			struct waiter w_;                      \
			wait_begin((q), &w_);                  \
			while (!(cond)) {                      \
				if (signal_pending(current)) { \
					err_ = -ERESTARTSYS;   \
					break;                 \
				}                              \
				block_interruptible();         \
			}                                      \
			wait_end((q), &w_);                    \
		}                                              \
		err_;                                          \
	})

/* End the task's sleep, if it sleeps. port_unblock() is this after the permit is set. Any context. */
void wake_up_process(struct task_struct *task);

/* A signal for task: wake it from any sleep of this file (sets its permit) or make its CPU look. */
void signal_wake_up(struct task_struct *task);

/* Change what the scheduler knows of a task. 0 or -EINVAL (no allowed CPU runs). */
MUST_USE int set_cpus_allowed(struct task_struct *task, uint64_t mask);
void set_user_nice(struct task_struct *task, int nice);
void set_task_policy(struct task_struct *task, int policy, bool reset_on_fork);

/* sum_exec now, also while it runs. */
uint64_t task_sched_runtime(struct task_struct *task);

#define SCHED_OTHER 0
#define SCHED_FIFO  1
#define SCHED_RR    2
#define SCHED_BATCH 3
#define SCHED_IDLE  5

/* The boot code's end on each CPU: run tasks for ever. Interrupts off. */
NORETURN void cpu_idle(void);
uint64_t cpus_online(void); /* mask */
/* Make every CPU forget the dead address space it may have loaded; at the end, when no other task exists. */
void sched_drop_lazy_mm(void);

/* Runnable tasks; idle ns of a CPU; load averages in 1/2048 for 1, 5, 15 minutes (/proc/stat, /proc/loadavg). */
unsigned nr_running(void);
uint64_t cpu_idle_ns(unsigned cpu);
uint64_t cpu_busy_ns(unsigned cpu);
void get_loadavg(uint64_t avg[3]);
void loadavg_init(void);

/* A kernel thread: run(arg), with a reference for the caller. NULL: no memory. It starts to run at once. */
struct task_struct *kthread_create(const char *name, void (*run)(void *arg), void *arg);

#endif
