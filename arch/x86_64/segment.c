/*
 * segment.c - what is left of segmentation in 64-bit mode, one set for each CPU: GDT, TSS with the interrupt
 * stacks, the registers of the SYSCALL instruction; and the one IDT.
 *
 * Vector      gate to                                     stack
 * 1, 2, 8, 18 paranoid entry (may interrupt the entry code) IST
 * 3           from programs too (int3)                     the task's
 * others      vector_stubs[vector]                         the task's
 */
#include "arch/x86_64/internal.h"

struct cpu_block boot_cpu_block;

static struct {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
} idt[256] __attribute__((aligned(16)));

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern char vector_stubs[256][16]; /* entry.S */
extern char entry_syscall[], entry_compat[];
extern char entry_page_fault[], entry_debug[], entry_nmi[], entry_double_fault[],
        entry_machine_check[];

static void set_gate(unsigned vector, const char *entry, unsigned ist, unsigned dpl)
{
	uint64_t a = (uint64_t)entry;

	idt[vector].offset_low = (uint16_t)a;
	idt[vector].selector = SEL_KERNEL_CS;
	idt[vector].ist = (uint8_t)ist;
	idt[vector].type = (uint8_t)(0x8e | dpl << 5);
	idt[vector].offset_middle = (uint16_t)(a >> 16);
	idt[vector].offset_high = (uint32_t)(a >> 32);
}

void init_idt(void)
{
	for (unsigned i = 0; i < 256; i++)
		set_gate(i, vector_stubs[i], 0, i == 3 ? 3 : 0);
	set_gate(VEC_PF, entry_page_fault, 0, 0);
	set_gate(VEC_DB, entry_debug, IST_DB, 0);
	set_gate(VEC_NMI, entry_nmi, IST_NMI, 0);
	set_gate(VEC_DF, entry_double_fault, IST_DF, 0);
	set_gate(VEC_MC, entry_machine_check, IST_DF, 0);
}

static void init_gdt(struct arch_cpu *arch)
{
	uint64_t tss = (uint64_t)&arch->tss;

	arch->gdt[SEL_KERNEL_CS / 8] = 0x00af9b000000ffff;
	arch->gdt[SEL_KERNEL_DS / 8] = 0x00cf93000000ffff;
	arch->gdt[SEL_USER_DS / 8] = 0x00cff3000000ffff;
	arch->gdt[SEL_USER_CS / 8] = 0x00affb000000ffff;
	arch->gdt[SEL_TSS / 8] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 | 0x89ull << 40 |
	                         (tss >> 24 & 0xff) << 56;
	arch->gdt[SEL_TSS / 8 + 1] = tss >> 32;
}

void load_gs(struct cpu *cpu)
{
	wrmsr(MSR_GS_BASE, (uint64_t)cpu);
}

static void init_ist(struct arch_cpu *arch, unsigned ist, uint8_t *stack, size_t size,
                     struct cpu *cpu)
{
	*(struct cpu **)stack = cpu;
	arch->tss.ist[ist - 1] = (uint64_t)stack + size;
}

/* The block is zero. */
void init_cpu(struct cpu_block *block, unsigned id)
{
	struct arch_cpu *arch = &block->arch;
	struct cpu *cpu = &block->cpu;

	cpu->self = cpu;
	cpu->id = id;
	cpu->line = id * CACHELINE;
	cpu->arch = arch;
	init_gdt(arch);
	init_ist(arch, IST_DF, arch->ist_fatal, IST_SIZE_FATAL, cpu);
	init_ist(arch, IST_NMI, arch->ist_nmi, IST_SIZE, cpu);
	init_ist(arch, IST_DB, arch->ist_debug, IST_SIZE, cpu);
	arch->tss.io_map_base = sizeof(struct tss);
	machine()->cpu[id] = &cpu->mm;
}

void load_cpu(struct cpu *cpu)
{
	struct table_pointer gdtr = {sizeof(cpu->arch->gdt) - 1, (uint64_t)cpu->arch->gdt};
	struct table_pointer idtr = {sizeof(idt) - 1, (uint64_t)idt};

	__asm__ volatile("lgdt %0" : : "m"(gdtr));
	__asm__ volatile("lidt %0" : : "m"(idtr));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
	wrmsr(MSR_STAR, (uint64_t)STAR_USER << 48 | (uint64_t)SEL_KERNEL_CS << 32);
	wrmsr(MSR_LSTAR, (uint64_t)entry_syscall);
	wrmsr(MSR_CSTAR, (uint64_t)entry_compat);
	wrmsr(MSR_FMASK, RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_AC |
	                         RFLAGS_RF | 0x8d5);
}
