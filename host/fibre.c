/*
 * fibre.c - several stacks in one thread.
 *
 * ASan must know which stack is in use and has calls for that, absent (weak) in other builds. TSan would have to know which
 * fibre a thread-local variable belongs to, which it cannot: there, scenarios run on threads (test/unit/host/explore.c).
 * Stacks are kept for the next machine: a search through schedules makes thousands.
 */
#define _GNU_SOURCE
#include "host/schedule.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STACK_SIZE (256u << 10)

void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size)
        __attribute__((weak));
void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size)
        __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *at, size_t size) __attribute__((weak));

static struct {
	char *free[64];
	unsigned nr;
	const void *
	        own_bottom; /* of the thread's own stack, learned at the first switch away from it */
	size_t own_size;
} stacks;

static char *stack_get(void)
{
	char *stack;

	if (stacks.nr)
		return stacks.free[--stacks.nr];
	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return stack == MAP_FAILED ? NULL : stack;
}

static void stack_put(char *stack)
{
	/* Frames that were left without return. */
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(stack, STACK_SIZE);
	if (stacks.nr < ARRAY_SIZE(stacks.free))
		stacks.free[stacks.nr++] = stack;
	else
		munmap(stack, STACK_SIZE);
}

bool context_make(struct context *c, void (*fn)(void))
{
	ucontext_t *u = malloc(sizeof(*u));

	*c = (struct context){.ucontext = u, .stack = u ? stack_get() : NULL};
	if (!c->stack) {
		free(u);
		return false;
	}
	getcontext(u);
	u->uc_stack.ss_sp = c->stack;
	u->uc_stack.ss_size = STACK_SIZE;
	u->uc_link = NULL;
	makecontext(u, fn, 0);
	return true;
}

void context_adopt(struct context *c)
{
	*c = (struct context){.ucontext = malloc(sizeof(ucontext_t))};
	if (!c->ucontext)
		abort();
}

/* On a stack that has just been switched to. */
static void arrived(void *fake_stack)
{
	const void *bottom;
	size_t size;

	if (!__sanitizer_finish_switch_fiber)
		return;
	__sanitizer_finish_switch_fiber(fake_stack, &bottom, &size);
	if (!stacks.own_bottom) {
		stacks.own_bottom = bottom;
		stacks.own_size = size;
	}
}

void context_begin(void)
{
	arrived(NULL);
}

void context_switch(struct context *from, struct context *to)
{
	if (__sanitizer_start_switch_fiber)
		__sanitizer_start_switch_fiber(&from->fake_stack,
		                               to->stack ? to->stack : stacks.own_bottom,
		                               to->stack ? STACK_SIZE : stacks.own_size);
	swapcontext(from->ucontext, to->ucontext);
	arrived(from->fake_stack);
}

void context_free(struct context *c)
{
	free(c->ucontext);
	if (!c->stack)
		return;
	stack_put(c->stack);
}
