/*
 * sched.c - fair, preemptive scheduling of programs over all CPUs.
 *
 * Each CPU has a queue: a red-black tree of the runnable tasks ordered by vruntime, the time a task has had on a
 * CPU, weighted by its nice value. The task with the least goes next (lecture on CFS; Linux 6.1's
 * names). The running task is not in the tree. A slice ends by timer only when somebody else waits in
 * the tree: with one runnable task a CPU is interrupted every SAMPLE_TICK, for times(2) alone. Kernel code is never preempted: a
 * switch happens where it blocks, or on the way back to the program.
 *
 * Sleeping and waking
 *
 *      sleeper                                   waker
 *      (1) state = sleeping                      (a) permit = true
 *      (2) permit? -> state = running, done      (b) state sleeping? CAS to running, else done
 *      (3) schedule(): under rq->lock,           (c) under rq->lock of the task's CPU:
 *          state still sleeping: on_rq = false       on_rq? done, it never left
 *      (4) switch, lock held until the              else put it on a queue
 *          next task has the CPU
 *
 * (1)-(2) and (a)-(b) are sequentially consistent, so one sees the other. Who gets past (c) with on_rq false knows that
 * the task's registers are saved, since (4) holds the lock across the switch: no task ever runs in two places. A
 * waker delayed between (b) and (c) may wake a later sleep; sleepers test their condition in a loop. A dead
 * task (state >= TASK_ZOMBIE) is never woken, nor is a new one: it can be found, and sent signals, before its
 * maker has put it on a queue.
 *
 * Moving. A task on its way from one queue to another, while neither is locked, is MIGRATING; task_rq_lock() waits for the
 * end of that, so that nobody else moves, queues or changes it.
 *
 * Locks: rq->lock (irqs off) is innermost but for a timer base's. Two queues are locked together only by trylock of
 * the second. task->cpu is stable under the lock of the queue that it names.
 */
#include "kernel/runqueue.h"
#include "kernel/exec.h"
#include "kernel/time.h"
#include "kernel/stack.h"
#include "kernel/uaccess.h"
#include <quire/slab.h>
#include <quire/trace.h>

#define CPU_CURRENT  8          /* offset of struct cpu's field: cpu.h */
#define SLICE_NS     3000000ull /* a task's turn when others wait */
#define MIN_SLICE_NS 750000ull  /* with many waiting a turn shrinks to this */
#define WAKEUP_BONUS 3000000ull /* how far behind the queue a sleeper may wake */
#define WAKEUP_GRAN  1000000ull /* a woken task preempts when it is behind by more */
#define BALANCE_NS \
	10000000ull /* a queue longer than another's by two gives a task away this often */
#define NICE_0_WEIGHT 1024u
#define IDLE_WEIGHT   3u

struct runqueue *runqueues[QUIRE_MAX_CPUS];
static _Atomic uint64_t idle_mask; /* CPUs that have nothing to run: a hint */
_Atomic uint64_t online_mask;      /* CPUs with a queue */

/* 1024 / 1.25^nice, rounded: a step of nice is a tenth of the CPU between two tasks. */
static const uint32_t nice_weight[40] = {
        88818, 71054, 56843, 45475, 36380, 29104, 23283, 18626, 14901, 11921,
        9537,  7629,  6104,  4883,  3906,  3125,  2500,  2000,  1600,  1280,
        1024,  819,   655,   524,   419,   336,   268,   215,   172,   137,
        110,   88,    70,    56,    45,    36,    29,    23,    18,    15,
};

static inline uint32_t task_weight(const struct task_struct *task)
{
	return unlikely(task->policy == SCHED_IDLE) ? IDLE_WEIGHT : nice_weight[task->nice + 20];
}

static inline bool vruntime_before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

/* --- the queue --------------------------------------------------------------------------------- */

void update_curr(struct runqueue *rq, uint64_t now)
{
	struct task_struct *curr = rq->curr;
	uint64_t delta = now - curr->exec_start;
	uint32_t weight;

	if ((int64_t)delta <= 0)
		return;
	curr->exec_start = now;
	curr->sum_exec += delta;
	if (curr == rq->idle)
		return;
	weight = task_weight(curr);
	curr->vruntime += likely(weight == NICE_0_WEIGHT) ? delta : delta * NICE_0_WEIGHT / weight;
}

static void update_min_vruntime(struct runqueue *rq)
{
	uint64_t v = rq->min_vruntime;
	bool any = false;

	if (rq->curr != rq->idle && rq->curr->on_rq) {
		v = rq->curr->vruntime;
		any = true;
	}
	if (rq->leftmost) {
		uint64_t left = rb_entry(rq->leftmost, struct task_struct, run_node)->vruntime;

		v = !any || vruntime_before(left, v) ? left : v;
	}
	if (vruntime_before(rq->min_vruntime, v))
		rq->min_vruntime = v;
}

void tree_insert(struct runqueue *rq, struct task_struct *task)
{
	struct rb_node **link = &rq->tree.rb_node, *parent = NULL;
	bool left = true;

	while (*link) {
		parent = *link;
		if (vruntime_before(task->vruntime,
		                    rb_entry(parent, struct task_struct, run_node)->vruntime)) {
			link = &parent->rb_left;
		} else {
			link = &parent->rb_right;
			left = false;
		}
	}
	if (left)
		rq->leftmost = &task->run_node;
	rb_link_node(&task->run_node, parent, link);
	rb_insert_color(&task->run_node, &rq->tree);
}

void tree_remove(struct runqueue *rq, struct task_struct *task)
{
	if (rq->leftmost == &task->run_node)
		rq->leftmost = rb_next(&task->run_node);
	rb_erase(&task->run_node, &rq->tree);
}

/* A task that comes from sleep or from another queue starts near the others, neither starving nor starved. */
static void place_task(struct runqueue *rq, struct task_struct *task)
{
	uint64_t low = rq->min_vruntime - WAKEUP_BONUS, high = rq->min_vruntime + SLICE_NS;

	if (vruntime_before(task->vruntime, low))
		task->vruntime = low;
	else if (vruntime_before(high, task->vruntime))
		task->vruntime = high;
}

void kick_cpu(struct runqueue *rq)
{
	atomic_store_explicit(&rq->cpu->need_resched, 1, memory_order_release);
	if (rq != this_rq())
		arch_send_reschedule(rq->id);
}

#define CPU_TIMER_TICK 4000000ull /* how often a process with a CPU-time timer is looked at */
#define SAMPLE_TICK    10000000ull /* and any other: is it in its program or in the kernel? (wait.c) */

/* The running task's turn ends when those who wait have waited long enough. */
static void start_slice(struct runqueue *rq)
{
	uint64_t slice = SLICE_NS;

	if (rq->curr == rq->idle)
		return;
	if (unlikely(rq->curr->signal && has_cpu_itimers(rq->curr->signal)) && rq == this_rq())
		timer_program(arch_clock_ns() + CPU_TIMER_TICK);
	else if (rq == this_rq() && rq->curr->mm)
		timer_program(rq->curr->exec_start + SAMPLE_TICK);
	if (!rq->leftmost)
		return;
	if (rq->nr_running > 2)
		slice = MAX(2 * SLICE_NS / rq->nr_running, MIN_SLICE_NS);
	if (rq == this_rq()) {
		uint64_t used = rq->curr->sum_exec - rq->curr->slice_start;

		/* A turn that is over needs no timer: the kernel is left, or sleeps, as soon as it can. */
		if (used < slice)
			timer_program(rq->curr->exec_start + slice - used);
		else
			atomic_store_explicit(&rq->cpu->need_resched, 1, memory_order_relaxed);
	}
}

/* Queue a task that is on no queue; rq->lock held. Says whether the running task should make way. */
static void activate_task(struct runqueue *rq, struct task_struct *task, bool woken)
{
	struct task_struct *curr = rq->curr;

	task->cpu = rq->id;
	place_task(rq, task);
	atomic_store_explicit(&task->on_rq, ON_RQ,
	                      memory_order_release); /* after cpu: task_rq_lock */
	tree_insert(rq, task);
	rq->nr_running++;
	if (curr == rq->idle) {
		kick_cpu(rq);
		return;
	}
	if (rq == this_rq())
		update_curr(rq, arch_clock_ns());
	if (woken && task->policy == SCHED_OTHER &&
	    vruntime_before(task->vruntime + WAKEUP_GRAN, curr->vruntime))
		kick_cpu(rq);
	else if (rq->nr_running == 2 && rq != this_rq())
		kick_cpu(rq); /* it runs without a timer: let it start one */
	else
		start_slice(rq);
}

struct runqueue *task_rq_lock(struct task_struct *task, irq_state_t *state)
{
	struct runqueue *rq;

	*state = irq_save();
	for (;;) {
		rq = runqueues[READ_ONCE(task->cpu)];
		spin_lock(&rq->lock);
		if (likely(atomic_load_explicit(&task->on_rq, memory_order_acquire) != MIGRATING &&
		           rq->id == READ_ONCE(task->cpu)))
			return rq;
		spin_unlock(&rq->lock);
		cpu_relax();
	}
}

/* --- placement and balance ----------------------------------------------------------------------- */

/* Where a woken task should run: where it was if that is idle, else an idle CPU, else where it was. */
static unsigned select_task_rq(struct task_struct *task)
{
	uint64_t allowed =
	        task->cpus_allowed & atomic_load_explicit(&online_mask, memory_order_relaxed);
	uint64_t idle = atomic_load_explicit(&idle_mask, memory_order_relaxed) & allowed;
	unsigned prev = task->cpu;

	if (likely(allowed >> prev & 1) && (!idle || idle >> prev & 1))
		return prev;
	if (idle)
		return (unsigned)__builtin_ctzll(idle);
	return allowed ? (unsigned)__builtin_ctzll(allowed) : prev;
}

void begin_migration(struct runqueue *rq, struct task_struct *task)
{
	task->vruntime -= rq->min_vruntime;
	atomic_store_explicit(&task->on_rq, MIGRATING, memory_order_relaxed);
}

void finish_migration(struct task_struct *task, bool woken)
{
	struct runqueue *to = runqueues[select_task_rq(task)];

	spin_lock(&to->lock);
	task->vruntime += to->min_vruntime;
	activate_task(to, task, woken);
	spin_unlock(&to->lock);
}

/* A task that is on no queue, to the queue where it should run; unlocks rq, its last one. */
static void queue_and_unlock(struct runqueue *rq, struct task_struct *task, bool woken)
{
	atomic_store(&task->state, TASK_RUNNING);
	if (likely(select_task_rq(task) == rq->id)) {
		activate_task(rq, task, woken);
		spin_unlock(&rq->lock);
		return;
	}
	begin_migration(rq, task);
	spin_unlock(&rq->lock);
	finish_migration(task, woken);
}

/* The longest other queue with somebody waiting in it; NULL: none. A look without locks. */
static struct runqueue *busiest_rq(struct runqueue *self, unsigned least)
{
	struct runqueue *best = NULL;

	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++) {
		struct runqueue *rq = runqueues[i];
		unsigned n = rq && rq != self ? READ_ONCE(rq->nr_running) : 0;

		if (n >= least && READ_ONCE(rq->leftmost)) {
			best = rq;
			least = n + 1;
		}
	}
	return best;
}

static void move_task(struct runqueue *from, struct runqueue *to, struct task_struct *task)
{
	tree_remove(from, task);
	from->nr_running--;
	task->vruntime += to->min_vruntime - from->min_vruntime;
	task->cpu = to->id;
	tree_insert(to, task);
	to->nr_running++;
}

/* A waiting task of `from` that may run on `to`. Both locked. */
static bool pull_one(struct runqueue *from, struct runqueue *to)
{
	struct rb_node *node;

	rb_for_each(node, &from->tree) {
		struct task_struct *task = rb_entry(node, struct task_struct, run_node);

		if (task->cpus_allowed >> to->id & 1) {
			move_task(from, to, task);
			return true;
		}
	}
	return false;
}

/* This CPU has nothing to run: take a waiting task from another. Our lock held. */
static bool idle_steal(struct runqueue *rq)
{
	struct runqueue *busy = busiest_rq(rq, 1);
	bool found;

	if (!busy || !spin_trylock(&busy->lock))
		return false;
	found = pull_one(busy, rq);
	spin_unlock(&busy->lock);
	return found;
}

/* Our queue is longer than another's by two or more: give one away. Our lock held. */
static void push_balance(struct runqueue *rq, uint64_t now)
{
	struct runqueue *least = NULL;

	if (rq->nr_running < 2 || now < rq->next_balance)
		return;
	rq->next_balance = now + BALANCE_NS;
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++) {
		struct runqueue *other = runqueues[i];

		if (other && other != rq && READ_ONCE(other->nr_running) + 2 <= rq->nr_running &&
		    (!least || READ_ONCE(other->nr_running) < READ_ONCE(least->nr_running)))
			least = other;
	}
	if (!least || !spin_trylock(&least->lock))
		return;
	if (pull_one(rq, least))
		kick_cpu(least);
	spin_unlock(&least->lock);
}

/* --- switching --------------------------------------------------------------------------------- */

/* Kernel threads borrow the space that is loaded; NULL is the kernel's own. */
static void switch_mm(struct runqueue *rq, struct task_struct *prev, struct task_struct *next)
{
	if (!next->mm) {
		next->active_mm = prev->active_mm;
		if (prev->mm && next->active_mm)
			mmgrab(next->active_mm);
	} else {
		if (next->mm != prev->active_mm)
			mmu_activate(&next->mm->space);
		next->active_mm = next->mm;
		if (!prev->mm)
			rq->drop_mm = prev->active_mm;
	}
	if (!prev->mm)
		prev->active_mm = NULL; /* handed on, or dropped after the switch */
}

static struct task_struct *pick_next_task(struct runqueue *rq)
{
	struct task_struct *next;

	if (!rq->leftmost && !idle_steal(rq)) {
		atomic_fetch_or_explicit(&idle_mask, 1ull << rq->id, memory_order_relaxed);
		return rq->idle;
	}
	next = rb_entry(rq->leftmost, struct task_struct, run_node);
	tree_remove(rq, next);
	next->slice_start = next->sum_exec;
	return next;
}

/* What the switch left over, done by the task that now has the CPU. Interrupts off; releases rq->lock. */
static void finish_task_switch(void)
{
	struct runqueue *rq = this_rq();
	struct task_struct *prev = rq->prev;
	struct mm_struct *mm = rq->drop_mm;
	bool migrate = rq->migrate_prev, dead = atomic_load(&prev->state) >= TASK_ZOMBIE;

	rq->drop_mm = NULL;
	rq->migrate_prev = false;
	spin_unlock(&rq->lock);
	if (migrate)
		finish_migration(prev, false);
	if (mm)
		mmdrop(mm);
	if (dead) {
		stack_free(prev->stack);
		prev->stack = NULL;
		put_task(prev);
	}
}

/* The running task stops running: to sleep, to another CPU, or to the tree. */
static void put_prev_task(struct runqueue *rq, struct task_struct *prev)
{
	if (prev == rq->idle)
		return;
	if (atomic_load(&prev->state) != TASK_RUNNING) {
		atomic_store_explicit(&prev->on_rq, OFF_RQ, memory_order_relaxed);
		rq->nr_running--;
		prev->nvcsw++;
	} else if (unlikely(!(prev->cpus_allowed >> rq->id & 1))) {
		begin_migration(rq, prev);
		rq->nr_running--;
		rq->migrate_prev = true;
	} else {
		tree_insert(rq, prev);
	}
}

/* Almost never anything to do: neither has a policy. */
static void switch_mempolicy(struct task_struct *next)
{
	if (unlikely(this_cpu()->mempolicy || !mempolicy_is_default(&next->mempolicy)))
		cpu_set_mempolicy(&next->mempolicy);
}

static void context_switch(struct runqueue *rq, struct task_struct *prev, struct task_struct *next)
{
	count(CONTEXT_SWITCH);
	trace_sched_switch((uint64_t)prev->pid, atomic_load(&prev->state), (uint64_t)next->pid,
	                   rq->id);
	if (prev != rq->idle && atomic_load(&prev->state) == TASK_RUNNING)
		prev->nivcsw++;
	rq->prev = prev;
	rq->curr = next;
	switch_mm(rq, prev, next);
	switch_mempolicy(next);
	arch_switch(prev, next);
	finish_task_switch();
}

void schedule(void)
{
	irq_state_t state = irq_save();
	struct runqueue *rq = this_rq();
	struct task_struct *prev = rq->curr, *next;
	uint64_t now = arch_clock_ns();

	spin_lock(&rq->lock);
	update_curr(rq, now);
	put_prev_task(rq, prev);
	update_min_vruntime(rq);
	next = pick_next_task(rq);
	next->exec_start = now;
	atomic_store_explicit(&rq->cpu->need_resched, 0, memory_order_relaxed);
	if (prev == rq->idle && next != prev)
		atomic_fetch_and_explicit(&idle_mask, ~(1ull << rq->id), memory_order_relaxed);
	if (likely(next != prev)) {
		rq->curr = next;
		start_slice(rq);
		context_switch(rq, prev, next);
	} else {
		rq->migrate_prev = false;
		start_slice(rq);
		spin_unlock(&rq->lock);
	}
	irq_restore(state);
}

void schedule_tail(void)
{
	struct task_struct *task = current;

	finish_task_switch();
	irq_restore(X86_RFLAGS_IF);
	if (task->set_child_tid && put_user_u32(task->set_child_tid, (uint32_t)task->pid))
		task->set_child_tid = 0; /* as Linux: an unmapped word is the program's loss */
	if (unlikely(task->start))
		task->start(task->start_arg);
}

void yield(void)
{
	irq_state_t state = irq_save();
	struct runqueue *rq = this_rq();

	spin_lock(&rq->lock);
	if (rq->tree.rb_node && rq->curr != rq->idle) {
		uint64_t last =
		        rb_entry(rb_last(&rq->tree), struct task_struct, run_node)->vruntime;

		if (vruntime_before(rq->curr->vruntime, last))
			rq->curr->vruntime = last;
	}
	spin_unlock(&rq->lock);
	irq_restore(state);
	schedule();
}

/* --- waking ------------------------------------------------------------------------- */

void wake_up_process(struct task_struct *task)
{
	uint32_t s = atomic_load(&task->state);
	struct runqueue *rq;
	irq_state_t state;

	do {
		if (s == TASK_RUNNING || s >= TASK_NEW)
			return;
	} while (!atomic_compare_exchange_weak(&task->state, &s, TASK_RUNNING));

	rq = task_rq_lock(task, &state);
	if (task->on_rq == OFF_RQ && atomic_load(&task->state) < TASK_NEW)
		queue_and_unlock(rq, task, true);
	else
		spin_unlock(&rq->lock);
	irq_restore(state);
}

void signal_wake_up(struct task_struct *task)
{
	struct runqueue *rq;

	atomic_fetch_or(&task->flags, TIF_SIGPENDING);
	port_unblock(task_thread(task));
	if (task == current)
		return;
	rq = runqueues[READ_ONCE(task->cpu)];
	if (READ_ONCE(rq->curr) == task) /* in its program: make it look */
		arch_send_reschedule(rq->id);
}

void wake_up_new_task(struct task_struct *task)
{
	irq_state_t state;
	struct runqueue *rq = task_rq_lock(task, &state);

	task->vruntime = rq->min_vruntime;
	queue_and_unlock(rq, task, false);
	irq_restore(state);
}

void sched_tick(void)
{
	struct runqueue *rq = this_rq();
	uint64_t now = arch_clock_ns();

	if (rq->cpu->irq_user)
		rq->curr->ticks_user++;
	else
		rq->curr->ticks_sys++;
	if (rq->curr->signal && has_cpu_itimers(rq->curr->signal))
		run_cpu_itimers(rq->curr);
	spin_lock(&rq->lock);
	update_curr(rq, now);
	if (rq->curr != rq->idle) {
		if (rq->leftmost)
			push_balance(rq, now);
		start_slice(rq);
	}
	spin_unlock(&rq->lock);
}

/* --- CPUs ---------------------------------------------------------------------------------------- */

unsigned nr_running(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		n += runqueues[i] ? READ_ONCE(runqueues[i]->nr_running) : 0;
	return n;
}

static inline void set_current(struct task_struct *task)
{
	__asm__ volatile("movq %0, %%gs:%c1" : : "r"(task), "i"(CPU_CURRENT) : "memory");
}

/* The code that started this CPU becomes its idle task, on the stack that it has. */
void sched_init_cpu(void)
{
	struct cpu *cpu = this_cpu_ptr();
	struct runqueue *rq = kzalloc(sizeof(*rq), GFP_KERNEL);
	struct task_struct *idle = kzalloc(sizeof(*idle), GFP_KERNEL);

	if (!rq || !idle)
		port_panic("no memory for the run queue of CPU %u", cpu->id);
	idle_task_init(idle, cpu->id);
	rq->id = cpu->id;
	rq->cpu = cpu;
	rq->idle = rq->curr = idle;
	idle->exec_start = arch_clock_ns();
	cpu->idle = idle;
	set_current(idle);
	cpu->rq = rq;
	timers_init_cpu();
	runqueues[cpu->id] = rq;
	atomic_fetch_or(&online_mask, 1ull << cpu->id);
}

/* What a CPU does when there is nothing to do. */
void cpu_idle(void)
{
	struct runqueue *rq = this_rq();

	irq_save();
	for (;;) {
		if (atomic_load_explicit(&rq->cpu->need_resched, memory_order_acquire) ||
		    busiest_rq(rq, 2))
			schedule();
		/* What could not be stolen (a lock was taken, affinity) is pushed to us by its CPU's next tick. */
		if (!atomic_load_explicit(&rq->cpu->need_resched, memory_order_acquire))
			arch_idle();
	}
}

uint64_t cpus_online(void)
{
	return atomic_load(&online_mask);
}
