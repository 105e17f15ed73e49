/*
 * stack.h - kernel stacks: KSTACK_SIZE bytes of vmalloc space with guard pages (kernel/stack.c).
 *
 * A dead task's stack is freed by the task that runs next, where nothing may sleep, so stacks go to a
 * small store first: each CPU keeps a few, the rest wait until somebody who may sleep returns them.
 */
#ifndef KERNEL_STACK_H
#define KERNEL_STACK_H

#include "kernel/task.h"

void *stack_alloc(void);      /* NULL: no memory. Sleeps. */
void stack_free(void *stack); /* any context but an interrupt; does not sleep */
void stack_trim(void);        /* give back what is over the CPUs' stores, if it is much. Sleeps. */
void stack_drain(void); /* give back all: at the end, when no task but the caller exists. Sleeps. */

#endif
