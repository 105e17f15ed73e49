/*
 * fibre.c - several stacks in one thread.
 *
 * ASan must know which stack is in use and has calls for that, absent (weak) in other builds. TSan would have to know which
 * fibre a thread-local variable belongs to, which it cannot: there, everything runs on threads (host_can_schedule).
 * Stacks are kept for the next machine: a search through schedules makes thousands.
 */
#define _GNU_SOURCE
#include "host/schedule.h"

#include <stdlib.h>
#include <sys/mman.h>

void *__tsan_create_fiber(unsigned flags) __attribute__((weak)); /* the runtime is there */

#define STACK_SIZE (256u << 10)

void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size)
        __attribute__((weak));
void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size)
        __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *at, size_t size) __attribute__((weak));

static struct {
	char *free[64];
	unsigned nr;
	/* Of the thread's own stack, learned at the first switch away from it. */
	const void *own_bottom;
	size_t own_size;
} stacks;

bool host_can_schedule(void)
{
	return __tsan_create_fiber == NULL;
}

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

/* Save what a call preserves on this stack, go to the other: the words that it saved, then its return address. */
void host_stack_switch(void **save, void *to);
#ifdef __x86_64__
#define SAVED 6u
__asm__(".text\n"
        "host_stack_switch:\n"
        "	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
        "	mov %rsp, (%rdi)\n"
        "	mov %rsi, %rsp\n"
        "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
        "	ret\n");
#else
#define SAVED 4u
__asm__(".text\n"
        "host_stack_switch:\n"
        "	mov 4(%esp), %eax\n"
        "	mov 8(%esp), %edx\n"
        "	push %ebp; push %ebx; push %esi; push %edi\n"
        "	mov %esp, (%eax)\n"
        "	mov %edx, %esp\n"
        "	pop %edi; pop %esi; pop %ebx; pop %ebp\n"
        "	ret\n");
#endif

/* As if it had been switched away from at the first instruction of fn, which has no caller. */
bool context_make(struct context *c, void (*fn)(void))
{
	void **top;

	*c = (struct context){.stack = stack_get()};
	if (!c->stack)
		return false;
	top = (void **)(c->stack + STACK_SIZE);
	*--top = NULL;
	*--top = (void *)fn;
	for (unsigned i = 0; i < SAVED; i++)
		*--top = NULL;
	c->sp = top;
	return true;
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
	host_stack_switch(&from->sp, to->sp);
	arrived(from->fake_stack);
}

void context_free(struct context *c)
{
	if (c->stack)
		stack_put(c->stack);
}
