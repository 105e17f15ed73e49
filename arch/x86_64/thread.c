/*
 * thread.c - from one task to another, and the registers a program starts with.
 *
 * A task that is switched out has on its kernel stack the frame of switch_stacks(): six registers and a return
 * address. A new task's stack is made to look the same, with task_start (entry.S) as the address:
 *
 *     stack_top ->  struct pt_regs      the program's registers (arch_task_regs)
 *                   task_start
 *                   rbp = 0
 *                   rbx = run           NULL: to the program
 *                   r12 = arg
 *     sp ------->   r13, r14, r15
 */
#include "arch/x86_64/internal.h"
#include "kernel/task.h"
#include "lib/string.h"
#include <quire/errno.h>

void switch_stacks(uint64_t *save_sp, uint64_t load_sp);
void task_start(void);

/* --- FS and GS bases ---------------------------------------------------------------------------------- */

static uint64_t read_fs_base(void)
{
	uint64_t base;

	__asm__ volatile("rdfsbase %0" : "=r"(base));
	return base;
}

/* A base that is not canonical makes the instruction fault, and then it does nothing. */
#define TRY_BASE(before, instruction, after)            \
	before "1:	" instruction "\n2:	" after \
	       "\n\t.pushsection __ex_table, \"a\"\n\t.quad 1b, 2b\n\t.popsection"

static void try_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile(TRY_BASE("", "wrmsr", "")
	                 :
	                 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
}

static void write_fs_base(uint64_t base)
{
	if (x86.fsgsbase)
		__asm__ volatile(TRY_BASE("", "wrfsbase %0", "") : : "r"(base) : "memory");
	else
		try_wrmsr(MSR_FS_BASE, base);
}

/* The program's, which lies in KERNEL_GS_BASE now. Interrupts off. */
static uint64_t read_user_gs_base(void)
{
	uint64_t base;

	__asm__ volatile("swapgs\n\trdgsbase %0\n\tswapgs" : "=r"(base) : : "memory");
	return base;
}

static void write_user_gs_base(uint64_t base)
{
	if (x86.fsgsbase)
		__asm__ volatile("swapgs\n\twrgsbase %0\n\tswapgs" : : "r"(base) : "memory");
	else
		wrmsr(MSR_KERNEL_GS_BASE, base);
}

/* Programs may have changed the bases themselves where the CPU has FSGSBASE. */
static void save_bases(struct arch_thread *t)
{
	if (x86.fsgsbase) {
		t->fs_base = read_fs_base();
		t->gs_base = read_user_gs_base();
	}
}

/* Kernel threads leave what is there. */
static void switch_bases(struct task_struct *prev, struct task_struct *next)
{
	if (prev->mm)
		save_bases(&prev->thread);
	if (next->mm) {
		write_fs_base(next->thread.fs_base);
		write_user_gs_base(next->thread.gs_base);
	}
}

void arch_get_bases(struct task_struct *task, uint64_t *fs, uint64_t *gs)
{
	irq_state_t state = irq_save();

	if (task == current)
		save_bases(&task->thread);
	irq_restore(state);
	*fs = task->thread.fs_base;
	*gs = task->thread.gs_base;
}

int arch_set_fs_base(struct task_struct *task, uint64_t base)
{
	if (base >= mmu_user_end())
		return -EPERM;
	task->thread.fs_base = base;
	if (task == current)
		write_fs_base(base);
	return 0;
}

int arch_set_gs_base(struct task_struct *task, uint64_t base)
{
	irq_state_t state;

	if (base >= mmu_user_end())
		return -EPERM;
	state = irq_save();
	task->thread.gs_base = base;
	if (task == current)
		write_user_gs_base(base);
	irq_restore(state);
	return 0;
}

/* --- FPU ------------------------------------------------------------------------------------------------- */

/*
 * Saved whenever its task stops running, loaded when it runs again, unless it runs on the same CPU and
 * nobody else's state was loaded there in between (kernel threads use none).
 */
static void switch_fpu(struct arch_thread *prev, struct arch_thread *next, struct cpu *cpu)
{
	if (prev->fpu) {
		fpu_save_switch(prev->fpu);
		cpu->fpu_owner = prev->fpu;
		prev->fpu_cpu = cpu->id;
	}
	if (next->fpu && (cpu->fpu_owner != next->fpu || next->fpu_cpu != cpu->id)) {
		fpu_load(next->fpu);
		cpu->fpu_owner = next->fpu;
	}
}

void arch_fpu_init(void *fpu)
{
	memset(fpu, 0, arch_fpu_size());
	*(uint16_t *)fpu = 0x37f;
	*(uint32_t *)((char *)fpu + 24) = 0x1f80;
	if (fpu == current->thread.fpu)
		fpu_load(fpu);
}

void arch_fpu_fork(void *child)
{
	fpu_save_live(child);
}

/* --- switching --------------------------------------------------------------------------------------------- */

void arch_switch(struct task_struct *prev, struct task_struct *next)
{
	struct cpu *cpu = this_cpu_ptr();

	/* A flush may have moved this CPU off a space that no task used (mmu.c). */
	if (next->mm && cpu->space != &next->mm->space)
		mmu_activate(&next->mm->space);
	switch_fpu(&prev->thread, &next->thread, cpu);
	switch_bases(prev, next);
	cpu->curr = next;
	cpu->pid = next->pid;
	cpu->kernel_sp = next->thread.stack_top;
	cpu->arch->tss.rsp[0] = next->thread.stack_top;
	switch_stacks(&prev->thread.sp, next->thread.sp);
}

void arch_thread_init(struct arch_thread *t, void *stack, size_t stack_size, void (*run)(void *),
                      void *arg)
{
	uint64_t *sp;

	t->stack_top = (uint64_t)stack + stack_size;
	t->fpu_cpu = FPU_NOWHERE;
	t->fs_base = t->gs_base = 0;
	if (!run) {
		struct task_struct *task = current;

		arch_get_bases(task, &t->fs_base, &t->gs_base);
	}
	sp = (uint64_t *)arch_task_regs(t);
	*--sp = (uint64_t)task_start;
	*--sp = 0;
	*--sp = (uint64_t)run;
	*--sp = (uint64_t)arg;
	sp -= 3;
	memset(sp, 0, 3 * sizeof(*sp));
	t->sp = (uint64_t)sp;
}

void arch_start_user(struct pt_regs *regs, vaddr_t ip, vaddr_t sp)
{
	memset(regs, 0, sizeof(*regs));
	regs->orig_rax = (uint64_t)-1;
	regs->rip = ip;
	regs->rsp = sp;
	regs->cs = SEL_USER_CS;
	regs->ss = SEL_USER_DS;
	regs->eflags = RFLAGS_IF | RFLAGS_FIXED;
}
