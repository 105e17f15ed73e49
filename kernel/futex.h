/*
 * futex.h - what the rest of the kernel needs of futexes.
 */
#ifndef KERNEL_FUTEX_H
#define KERNEL_FUTEX_H

#include <quire/types.h>

struct task_struct;

/* Wake up to n waiters on the word at addr of the running task's program, shared key. Sleeps. Count or -EFAULT. */
int futex_wake_user(vaddr_t addr, unsigned n);
/* The running task exits or execs: mark the robust locks it holds, wake their waiters. Sleeps. */
void exit_robust_list(struct task_struct *task);
void futex_init(void);

#endif
