/*
 * stack.c - kernel stacks and their store.
 *
 * vmalloc leaves an unmapped page behind each area, and none of its areas is the first of its range without one
 * before it, so running off the low end of a stack meets a hole: a double fault with a message instead of
 * somebody else's memory. A free stack's first word links it.
 *
 * What is over the CPUs' stores waits for a fork; when many tasks have ended, the next that ends gives back those of
 * the ones before it, while it may still sleep.
 */
#include "kernel/stack.h"
#include "kernel/sched.h"
#include <quire/kva.h>
#include <quire/slab.h>

#define STORE_MAX   4u  /* for each CPU: forks and exits that alternate never reach vmalloc */
#define SURPLUS_MAX 16u /* on top of that, for all */

static struct {
	void *first;
	unsigned n;
} store[QUIRE_MAX_CPUS]; /* its own CPU's, interrupts do not touch it */

static spinlock_t surplus_lock;
static void *surplus;
static unsigned nr_surplus;

void *stack_alloc(void)
{
	unsigned cpu = cpu_id();
	void *stack = store[cpu].first;

	if (likely(stack)) {
		store[cpu].first = *(void **)stack;
		store[cpu].n--;
		return stack;
	}
	spin_lock(&surplus_lock);
	stack = surplus;
	if (stack) {
		surplus = *(void **)stack;
		nr_surplus--;
	}
	spin_unlock(&surplus_lock);
	if (stack)
		return stack;
	stack = vmalloc_range(KSTACK_SIZE, VMALLOC_START, KSTACK_AREA_END, GFP_KERNEL);
	if (!stack)
		return NULL;
	frame_account(FRAME_VMALLOC, -(int64_t)PAGES_OF(KSTACK_SIZE));
	frame_account(FRAME_KSTACK, (int64_t)PAGES_OF(KSTACK_SIZE));
	for (size_t i = 0; i < KSTACK_SIZE; i += PAGE_SIZE)
		page_set_flag(vmalloc_to_page((char *)stack + i), PG_kstack);
	return stack;
}

static void add_surplus(void *stack)
{
	spin_lock(&surplus_lock);
	*(void **)stack = surplus;
	surplus = stack;
	nr_surplus++;
	spin_unlock(&surplus_lock);
}

void stack_free(void *stack)
{
	unsigned cpu = cpu_id();

	if (!stack)
		return;
	if (store[cpu].n < STORE_MAX) {
		*(void **)stack = store[cpu].first;
		store[cpu].first = stack;
		store[cpu].n++;
		return;
	}
	add_surplus(stack);
}

static void release(void *list)
{
	while (list) {
		void *next = *(void **)list;

		vfree(list);
		frame_account(FRAME_VMALLOC, (int64_t)PAGES_OF(KSTACK_SIZE));
		frame_account(FRAME_KSTACK, -(int64_t)PAGES_OF(KSTACK_SIZE));
		list = next;
	}
}

static void release_surplus(void)
{
	void *list;

	spin_lock(&surplus_lock);
	list = surplus;
	surplus = NULL;
	nr_surplus = 0;
	spin_unlock(&surplus_lock);
	release(list);
}

void stack_trim(void)
{
	if (unlikely(READ_ONCE(nr_surplus) > SURPLUS_MAX))
		release_surplus();
}

/* On each CPU, in interrupt context: only while no task but the caller exists. */
static void empty_store(void *unused UNUSED)
{
	unsigned cpu = cpu_id();

	while (store[cpu].first) {
		void *stack = store[cpu].first;

		store[cpu].first = *(void **)stack;
		add_surplus(stack);
	}
	store[cpu].n = 0;
}

void stack_drain(void)
{
	uint64_t mask = cpus_online();

	port_call_cpus(mask, empty_store, NULL);
	release_surplus();
}
