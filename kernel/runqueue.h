/*
 * runqueue.h - one CPU's queue: the inside of the scheduler, for sched.c and sched_attr.c alone.
 */
#ifndef KERNEL_RUNQUEUE_H
#define KERNEL_RUNQUEUE_H

#include "kernel/sched.h"

struct CACHE_ALIGNED runqueue {
	spinlock_t lock;
	unsigned id;
	struct cpu *cpu;
	struct rb_root tree; /* runnable tasks but the running one */
	struct rb_node *leftmost;
	unsigned nr_running;   /* tree and the running task, idle not counted */
	uint64_t min_vruntime; /* never goes back: where new and woken tasks start */
	uint64_t next_balance;
	struct task_struct *curr, *idle;

	/* Between schedule() and finish_task_switch(). */
	struct task_struct *prev;
	struct mm_struct *drop_mm;
	bool migrate_prev;
};

extern struct runqueue *runqueues[QUIRE_MAX_CPUS];
extern _Atomic uint64_t online_mask; /* CPUs with a queue */

#define this_rq() (this_cpu_ptr()->rq)

/* The queue that task is on, or was last, locked; interrupts off. */
struct runqueue *task_rq_lock(struct task_struct *task, irq_state_t *state);
/* rq locked: bring the running task's times up to date; into and out of the tree; let the CPU look. */
void update_curr(struct runqueue *rq, uint64_t now);
void tree_insert(struct runqueue *rq, struct task_struct *task);
void tree_remove(struct runqueue *rq, struct task_struct *task);
void kick_cpu(struct runqueue *rq);
/* Off rq, which is locked; the task is in no tree. */
void begin_migration(struct runqueue *rq, struct task_struct *task);
/* To the queue where it should run now. Interrupts off, no queue locked. */
void finish_migration(struct task_struct *task, bool woken);

#endif
