/*
 * cpu.h - a CPU of the kernel, reached through %gs in kernel mode.
 *
 * The first fields are at offsets that assembler knows (asserted below).
 */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#include <quire/cpu.h>

struct task_struct;
struct runqueue;
struct arch_cpu; /* GDT, TSS, emergency stacks: arch/x86_64/segment.c */

struct CACHE_ALIGNED cpu {
	struct cpu *self;              /* 0: so that %gs:0 is the address */
	struct task_struct *curr;      /* 8 */
	uint64_t kernel_sp;            /* 16: top of its kernel stack, for system-call entry */
	uint64_t user_sp;              /* 24: scratch of system-call entry */
	uint32_t id;                   /* 32 */
	uint32_t irq_depth;            /* 36: > 0 in interrupt context */
	_Atomic uint32_t need_resched; /* 40 */
	uint32_t apic_id;
	uint64_t line; /* cpu_line() */
	int32_t pid;   /* curr->pid, for trace records; set by arch_switch */
	bool irq_user; /* the interrupt being served came from a program: CPU time is split by it */
	struct runqueue *rq;
	struct task_struct *idle;
	struct mmu_space *space;   /* the space that CR3 holds */
	uint64_t space_generation; /* its generation when it was last flushed here */
	_Atomic uint64_t ipi_work; /* bits: what an IPI asks for (arch/x86_64/smp.c) */
	void *fpu_owner; /* area whose contents the FPU registers equal, if its task says so too */
	_Atomic uint64_t call_from; /* CPUs whose request this one has yet to serve (smp.c) */
	struct arch_cpu *arch;
	struct cpu_area mm;
};

static_assert(offsetof(struct cpu, curr) == 8, "entry.S");
static_assert(offsetof(struct cpu, kernel_sp) == 16, "entry.S");
static_assert(offsetof(struct cpu, user_sp) == 24, "entry.S");
static_assert(offsetof(struct cpu, irq_depth) == 36, "entry.S");
static_assert(offsetof(struct cpu, need_resched) == 40, "entry.S");

static inline struct cpu *this_cpu_ptr(void)
{
	struct cpu *cpu;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

#endif
