/*
 * port.c - port.h over tasks: who we are, waiting, work on other CPUs. Waking is in sched.c, where waiting is explained;
 * logging in log.c, time in time.c, fatal signals in signal.c, kernel threads in fork.c.
 */
#include "arch/x86_64/arch.h"
#include "kernel/sched.h"
#include "kernel/time.h"

struct thread *port_self(void)
{
	return task_thread(current);
}

bool *port_memalloc(void)
{
	return &current->memalloc;
}

int64_t port_boot_param(const char *key, char *buf, size_t size)
{
	return boot_param(key, buf, size);
}

void port_call_cpus(uint64_t mask, void (*fn)(void *arg), void *arg)
{
	arch_call_cpus(mask, fn, arg);
}

void port_set_cpus(uint64_t mask)
{
	if (set_cpus_allowed(current, mask))
		port_panic("port_set_cpus: no CPU of %#lx runs", (unsigned long)mask);
	while (!(mask >> cpu_id() & 1))
		yield();
}

void port_cond_resched(void)
{
	if (atomic_load_explicit(&this_cpu_ptr()->need_resched, memory_order_relaxed))
		schedule();
}

struct block_timer {
	struct timer_entry timer;
	struct task_struct *task;
};

static void block_timeout(struct timer_entry *timer)
{
	port_unblock(task_thread(container_of(timer, struct block_timer, timer)->task));
}

void block_state(enum task_state how, uint64_t deadline_ns)
{
	struct task_struct *task = current;
	struct block_timer t;

	if (atomic_exchange(&task->permit, false))
		return;
	if (deadline_ns != UINT64_MAX) {
		if (port_now_ns() >= deadline_ns)
			return;
		t.task = task;
		timer_setup(&t.timer, block_timeout);
		timer_add(&t.timer, deadline_ns);
	}
	atomic_store(&task->state, how);
	if (!atomic_load(&task->permit))
		schedule();
	atomic_store(&task->state, TASK_RUNNING);
	atomic_store(&task->permit, false);
	if (deadline_ns != UINT64_MAX)
		timer_cancel_sync(&t.timer);
}

void port_block(void)
{
	block_state(TASK_UNINTERRUPTIBLE, UINT64_MAX);
}

void port_block_until(uint64_t deadline_ns)
{
	block_state(TASK_UNINTERRUPTIBLE, deadline_ns);
}

void block_interruptible(void)
{
	block_state(TASK_INTERRUPTIBLE, UINT64_MAX);
}

void block_interruptible_until(uint64_t deadline_ns)
{
	block_state(TASK_INTERRUPTIBLE, deadline_ns);
}

void port_unblock(struct thread *thread)
{
	struct task_struct *task = (struct task_struct *)thread;

	atomic_store(&task->permit, true);
	wake_up_process(task);
}

unsigned port_stack_trace(uintptr_t *address, unsigned n)
{
	static_assert(sizeof(*address) == sizeof(uint64_t), "addresses are what the stack holds");
	return arch_stack_trace((uint64_t)__builtin_frame_address(0), address, n);
}
