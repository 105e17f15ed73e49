/*
 * sched_attr.c - what the scheduler knows of a task and others may change or ask while it runs or waits: where it may run, its weight,
 * its time. See sched.c for queues, migration and locks.
 */
#include "kernel/runqueue.h"
#include <quire/errno.h>

/* With the task off the tree, if it was on it, so that its place can change. */
static bool dequeue_for_change(struct runqueue *rq, struct task_struct *task)
{
	bool queued = task->on_rq == ON_RQ && rq->curr != task;

	if (rq == this_rq() || rq->curr != task)
		update_curr(rq, arch_clock_ns());
	if (queued)
		tree_remove(rq, task);
	return queued;
}

int set_cpus_allowed(struct task_struct *task, uint64_t mask)
{
	irq_state_t state;
	struct runqueue *rq;
	bool here, moves = false;

	if (!(mask & atomic_load(&online_mask)))
		return -EINVAL;
	rq = task_rq_lock(task, &state);
	task->cpus_allowed = mask;
	here = mask >> rq->id & 1;
	if (!here && rq->curr == task) {
		kick_cpu(rq);
	} else if (!here && task->on_rq == ON_RQ) {
		tree_remove(rq, task);
		rq->nr_running--;
		begin_migration(rq, task);
		moves = true;
	}
	spin_unlock(&rq->lock);
	if (moves)
		finish_migration(task, false);
	irq_restore(state);
	if (task == current)
		port_cond_resched();
	return 0;
}

/* Weight and order change together, with the task off the tree. */
static void change_weight(struct task_struct *task, int nice, int policy, bool reset)
{
	irq_state_t state;
	struct runqueue *rq = task_rq_lock(task, &state);
	bool queued = dequeue_for_change(rq, task);

	task->nice = nice;
	task->policy = policy;
	task->reset_on_fork = reset;
	if (queued)
		tree_insert(rq, task);
	spin_unlock(&rq->lock);
	irq_restore(state);
}

void set_user_nice(struct task_struct *task, int nice)
{
	change_weight(task, nice, task->policy, task->reset_on_fork);
}

void set_task_policy(struct task_struct *task, int policy, bool reset_on_fork)
{
	change_weight(task, task->nice, policy, reset_on_fork);
}

uint64_t task_sched_runtime(struct task_struct *task)
{
	irq_state_t state;
	struct runqueue *rq = task_rq_lock(task, &state);
	uint64_t sum = task->sum_exec, now = arch_clock_ns();

	if (rq->curr == task && (int64_t)(now - task->exec_start) > 0)
		sum += now - task->exec_start;
	spin_unlock(&rq->lock);
	irq_restore(state);
	return sum;
}
