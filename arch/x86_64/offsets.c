/*
 * offsets.c - places in structures, as absolute symbols that assembler uses: addressed as OFF_x(%reg).
 *
 * The function is never called and its section is discarded by the linker script; its symbols stay.
 */
#include "arch/x86_64/internal.h"
#include "kernel/task.h"
#include <quire/machine.h>

#define SYMBOL(name, value) \
	__asm__ volatile(".globl " #name "\n\t.set " #name ", %c0" : : "i"(value))

void arch_offsets(void);

__attribute__((section(".discard.text"))) void arch_offsets(void)
{
	SYMBOL(OFF_CPU_CURRENT, offsetof(struct cpu, curr));
	SYMBOL(OFF_CPU_KERNEL_SP, offsetof(struct cpu, kernel_sp));
	SYMBOL(OFF_CPU_USER_SP, offsetof(struct cpu, user_sp));
	SYMBOL(OFF_CPU_NEED_RESCHED, offsetof(struct cpu, need_resched));
	SYMBOL(OFF_CPU_SYSCALLS, offsetof(struct cpu, mm.counters[COUNT_SYSCALLS]));
	SYMBOL(OFF_TASK_FLAGS, offsetof(struct task_struct, flags));
	SYMBOL(OFF_TRACE_ON, offsetof(struct machine, trace_on));
}

static_assert(EXIT_WORK_FLAGS == TIF_SIGPENDING, "entry.S tests them");
static_assert(offsetof(struct task_struct, thread.sp) == 0, "switch.S");
static_assert(sizeof(struct pt_regs) == 168, "asm.h");
static_assert(offsetof(struct pt_regs, orig_rax) == 120, "asm.h");
