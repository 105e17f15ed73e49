/*
 * port.c - what is left of port.h: who we are, and work on other CPUs. Waiting is in sched.c, logging in log.c,
 * time in time.c, fatal signals in signal.c, kernel threads in fork.c.
 */
#include "arch/x86_64/arch.h"
#include "kernel/task.h"

struct thread *port_self(void)
{
	return task_thread(current);
}

void port_call_cpus(uint64_t mask, void (*fn)(void *arg), void *arg)
{
	arch_call_cpus(mask, fn, arg);
}
