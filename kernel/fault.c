/*
 * fault.c - what becomes of a page fault that mm/ could not satisfy: a signal, or, without memory, the end of the
 * process that asked.
 */
#include "kernel/sched.h"
#include "kernel/signal.h"
#include <quire/trace.h>

static uint64_t kb(struct mm_struct *mm, enum rss_counter counter)
{
	int64_t pages = atomic_load(&mm->rss[counter]);

	return pages > 0 ? (uint64_t)pages * (PAGE_SIZE / 1024) : 0;
}

/* The running process dies for lack of memory. It may use the reserve no further than dying needs. */
static void out_of_memory(void)
{
	struct task_struct *task = current;
	struct mm_struct *mm = task->mm;
	uint64_t total = mm->total_vm * (PAGE_SIZE / 1024);

	if (fatal_signal_pending(task))
		return; /* already dying */
	port_log(
	        "Out of memory: Killed process %d (%s) total-vm:%lukB, anon-rss:%lukB, file-rss:%lukB, "
	        "shmem-rss:%lukB",
	        task->tgid, task->comm, total, kb(mm, MM_ANONPAGES), kb(mm, MM_FILEPAGES),
	        kb(mm, MM_SHMEMPAGES));
	trace_mark_victim((uint64_t)task->tgid, total, kb(mm, MM_ANONPAGES), kb(mm, MM_FILEPAGES));
	count(OOM_KILL);
	atomic_store(&task->signal->oom_killed, true);
	send_signal(SIGKILL, task);
}

static bool kernel_fault_result(enum fault_result result)
{
	if (result == FAULT_NOMEM)
		out_of_memory();
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
		out_of_memory();
		break;
	default: /* a fatal signal is pending: it is taken on the way back */
		break;
	}
	return true;
}
