/*
 * fault.c - what becomes of a page fault that mm/ could not satisfy: a signal, or, without memory, the end of the
 * process.
 */
#include "kernel/oom.h"
#include "kernel/sched.h"
#include "kernel/signal.h"

static bool kernel_fault_result(enum fault_result result)
{
	if (result == FAULT_NOMEM)
		pagefault_out_of_memory();
	return result == FAULT_DONE;
}

bool do_user_fault(struct pt_regs *regs, vaddr_t addr, unsigned access)
{
	struct task_struct *task = current;
	enum fault_result result;

	if (!task->mm)
		return false;
	result = handle_mm_fault(task->mm, addr, access, &task->faults);
	if (likely(result == FAULT_DONE))
		return true;
	if (!user_mode(regs))
		return kernel_fault_result(result);
	switch (result) {
	case FAULT_MAPERR:
		force_signal(SIGSEGV, SEGV_MAPERR, addr);
		break;
	case FAULT_ACCERR:
		force_signal(SIGSEGV, SEGV_ACCERR, addr);
		break;
	case FAULT_BUS:
		force_signal(SIGBUS, BUS_ADRERR, addr);
		break;
	case FAULT_NOMEM:
		pagefault_out_of_memory();
		break;
	default: /* a fatal signal is pending: it is taken on the way back */
		break;
	}
	return true;
}
