/*
 * internal.h - what the files of arch/x86_64 tell each other and nobody else.
 */
#ifndef ARCH_INTERNAL_H
#define ARCH_INTERNAL_H

#include "arch/x86_64/arch.h"
#include "arch/x86_64/asm.h"
#include <quire/trace.h>

/* --- instructions -------------------------------------------------------------------------------- */

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
	                 :
	                 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline uint64_t read_cr2(void)
{
	uint64_t value;

	__asm__ volatile("movq %%cr2, %0" : "=r"(value));
	return value;
}

static inline uint64_t read_cr3(void)
{
	uint64_t value;

	__asm__ volatile("movq %%cr3, %0" : "=r"(value));
	return value;
}

static inline void write_cr3(uint64_t value)
{
	__asm__ volatile("movq %0, %%cr3" : : "r"(value) : "memory");
}

static inline uint64_t read_cr4(void)
{
	uint64_t value;

	__asm__ volatile("movq %%cr4, %0" : "=r"(value));
	return value;
}

static inline void write_cr4(uint64_t value)
{
	__asm__ volatile("movq %0, %%cr4" : : "r"(value) : "memory");
}

static inline void invlpg(vaddr_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static inline void irq_enable(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void irq_disable(void)
{
	__asm__ volatile("cli" : : : "memory");
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
	                 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
	                 : "a"(leaf), "c"(subleaf));
	return r;
}

/* --- CPU features, read once (feature.c) ----------------------------------------------------------- */

struct x86_features {
	bool gigabyte_pages, smep, smap, umip, fsgsbase, xsave, xsaveopt, tsc_deadline, rdrand,
	        rdseed;
	uint64_t xcr0;       /* state components that are on; 0: FXSAVE */
	uint32_t xsave_size; /* bytes of the save area */
	char brand[49];
};
extern struct x86_features x86;

void detect_features(void);
void enable_features(void); /* CR4, XCR0 of this CPU */

/* --- a CPU's hardware structures (segment.c) ------------------------------------------------------- */

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3, io_map_base;
} __attribute__((packed, aligned(4)));
static_assert(sizeof(struct tss) == 104, "Intel SDM vol. 3, figure 8-11");

struct arch_cpu {
	uint8_t ist_fatal[IST_SIZE_FATAL] __attribute__((aligned(IST_SIZE_FATAL)));
	uint8_t ist_nmi[IST_SIZE];
	uint8_t ist_debug[IST_SIZE];
	uint64_t gdt[GDT_ENTRIES];
	struct tss tss;
};

/* One block: a further CPU's memory is allocated at once. */
struct cpu_block {
	struct arch_cpu arch; /* first: its stacks are aligned */
	struct cpu cpu;
};

extern struct cpu_block boot_cpu_block;

void load_gs(struct cpu *cpu);                       /* this_cpu() works from here on */
void init_cpu(struct cpu_block *block, unsigned id); /* fields; any CPU */
void load_cpu(struct cpu *cpu);                      /* GDT, TSS, IDT, system calls of this CPU */
void init_idt(void);

/* --- the rest ------------------------------------------------------------------------------------- */

extern char __image_start[], __text_start[], __text_end[], __data_start[], __image_end[];
extern char __init_start[], __init_end[];

static inline phys_t image_to_phys(const void *p)
{
	return PHYS((uint64_t)p - KERNEL_START);
}

/* paging.c: the final page tables and mem_map; the boot CPU moves to them. */
void paging_init(void);
void drop_boot_memory(void);
void map_page(vaddr_t va, uint64_t phys, uint64_t prot); /* boot only */

#define PTE_KERNEL  (PTE_P | PTE_W | PTE_A | PTE_D | PTE_G | PTE_NX) /* data: no execution */
#define PROT_DIRECT PTE_KERNEL /* of memory in the direct map */

/* fixmap.c: device registers that are needed before anything can be allocated, each at an address known when compiling. */
enum fixed_addresses { FIX_APIC_BASE, FIX_IO_APIC_BASE_0, FIX_EARLY, NR_FIXED_ADDRESSES };

#define FIXADDR_START (FIXADDR_TOP - (NR_FIXED_ADDRESSES - 1) * PAGE_SIZE)

static inline vaddr_t fix_to_virt(enum fixed_addresses i)
{
	return FIXADDR_TOP - i * PAGE_SIZE;
}

void fixmap_init(void);
/* At boot, read-only: where the byte at phys is, with the rest of its page, until the next call. */
const void *fixmap_show(uint64_t phys);
void fixmap_hide(void);
const char *fixmap_check(void);

/* kernel_map.c: what a kernel address leads to, at which level; none where nothing is mapped. Any context. */
pte_t kernel_map_entry(vaddr_t va, unsigned *level);
/* The table of the lowest level for va, where no table is ever taken away; NULL: there is none. */
const pte_t *kernel_map_leaf_table(vaddr_t va);

/* trap.c: is ip among the instructions that may fault on a program's behalf? */
bool kernel_fixup(struct pt_regs *regs);
NORETURN void die(const char *what, struct pt_regs *regs, uint64_t error);

/* numa.c: this CPU, which has just come up, is of the node that the firmware says. */
void numa_cpu_up(const struct cpu *cpu);

/* apic.c */
void apic_init(void);     /* boot CPU */
void apic_init_cpu(void); /* every CPU */
void apic_eoi(void);
void apic_send(unsigned cpu, unsigned vector);
void apic_nmi_others(void);
void apic_init_others(void);
bool others_must_stop(void); /* smp.c: arch_stop_others() was called */
void apic_start_others(void);
void apic_timer_start(uint32_t count);
uint32_t apic_timer_count(void);
uint32_t apic_id(void);
void irq_dispatch(struct pt_regs *regs, unsigned vector);

/* smp.c */
void ipi_interrupt(void);
void arch_call_cpus(uint64_t mask, void (*fn)(void *arg), void *arg);

/* mmu.c */
void mmu_init(pfn_t kernel_root);

/* time.c */
void time_init(void);
void time_apic_started(void); /* the boot CPU's timer began to count down from 2^32 - 1 */
void time_measure_apic(void);
void time_interrupt(void);

/* fpu.c */
#define FPU_SIZE_MAX 832 /* x87, SSE and AVX in XSAVE's standard form */

void fpu_init_cpu(void);
void fpu_save_live(void *area);   /* all components, nothing left out */
void fpu_save_switch(void *area); /* into the area that was loaded or saved last */
void fpu_load(const void *area);
/* Signal code of a floating-point exception, from the live state. */
int fpu_exception_code(unsigned vector);

#endif
