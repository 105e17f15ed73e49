/*
 * arch.h - what kernel/, fs/ and drivers/ need of x86-64, and what x86-64 calls in kernel/.
 */
#ifndef ARCH_H
#define ARCH_H

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/regs.h"
#include <quire/mmu.h>

struct task_struct;

static inline struct task_struct *get_current(void)
{
	struct task_struct *task;

	__asm__ volatile("movq %%gs:8, %0" : "=r"(task));
	return task;
}
#define current get_current()

/* Kernel memory map: Linux's. */
#define DIRECT_MAP_START 0xffff888000000000ull /* 64 TB: all physical memory */
#define VMALLOC_START    0xffffc90000000000ull /* 32 TB */
#define VMALLOC_END      0xffffe90000000000ull
#define VMEMMAP_START    0xffffea0000000000ull /* mem_map */
#define KERNEL_START     0xffffffff80000000ull /* the image; physical 0 + this */
#define KERNEL_END       0xffffffffa0000000ull /* 512 MB */
#define FIXADDR_TOP      0xffffffffff7ff000ull /* the fixmap's first page; the others lie below */

/*
 * Kernel stacks lie where the master table had its top-level entry before the first program: a stack that a program's
 * tables do not know could not even take the fault that would mend it.
 */
#define KSTACK_AREA_END (VMALLOC_START + (1ull << 39))

/* The kernel's memory map (kernel_map.c): NULL, or what is wrong with it. */
const char *kernel_map_check(void);
/* All of it as the tables have it, a line of text at a time, in the form of Linux's page_tables/kernel. */
void kernel_map_dump(void (*line)(void *ctx, const char *text), void *ctx);

/* --- threads --------------------------------------------------------------------------------- */

/* The part of a task that the switch code knows. First in task_struct. */
struct arch_thread {
	uint64_t sp;        /* 0: kernel stack pointer while switched out (switch.S) */
	uint64_t stack_top; /* 8: highest address of the kernel stack */
	uint64_t fs_base;
	uint64_t gs_base;
	void *fpu; /* 64-byte aligned area of arch_fpu_size() bytes; NULL for kernel threads */
	uint64_t fault_addr; /* of the last exception: siginfo, mcontext cr2 */
	uint64_t trap_nr, error_code;
	unsigned fpu_cpu; /* whose registers may still hold fpu; FPU_NOWHERE */
};
#define FPU_NOWHERE ~0u

size_t arch_fpu_size(void);
void arch_fpu_init(void *fpu);   /* as at execve: all clear, MXCSR 0x1f80, x87 0x37f */
void arch_fpu_fork(void *child); /* the running task's live state into child's area */

/* Save prev, load next: callee-saved registers, stack, FPU, FS and GS bases, TSS. Interrupts off. */
void arch_switch(struct task_struct *prev, struct task_struct *next);

/*
 * First switch to a new task goes to run(arg) in kernel mode (kernel threads), or, with run == NULL, to the program
 * state in arch_task_regs(task), after schedule_tail(). With run == NULL the FS and GS bases are the running task's.
 */
void arch_thread_init(struct arch_thread *t, void *stack, size_t stack_size, void (*run)(void *),
                      void *arg);

/* Where a task's program registers are, at the top of its kernel stack. */
static inline struct pt_regs *arch_task_regs(const struct arch_thread *t)
{
	return (struct pt_regs *)t->stack_top - 1;
}

/* The running task's registers at the start of an image: all clear but these. */
void arch_start_user(struct pt_regs *regs, vaddr_t ip, vaddr_t sp);

/*
 * arch_prctl(2) and clone's CLONE_SETTLS: of the running task, or of one that has not run. 0 or -EPERM. Programs may
 * change their bases without the kernel where the CPU has FSGSBASE, so ask arch_get_bases(), not the thread's fields.
 */
int arch_set_fs_base(struct task_struct *task, uint64_t base);
int arch_set_gs_base(struct task_struct *task, uint64_t base);
void arch_get_bases(struct task_struct *task, uint64_t *fs, uint64_t *gs);

/* --- interrupts, time, CPUs -------------------------------------------------------------------- */

/* Handler in interrupt context, interrupts off. IO-APIC line irq to the boot CPU, edge triggered unless level. 0 or -EBUSY, -EINVAL. */
MUST_USE int arch_request_irq(unsigned irq, void (*handler)(void *arg), void *arg);

uint64_t arch_clock_ns(void); /* monotonic since boot, the same on all CPUs */
void arch_timer_set(
        uint64_t
                deadline_ns); /* this CPU's one-shot timer; UINT64_MAX: off. -> timer_interrupt() */
void arch_send_reschedule(unsigned cpu); /* IPI: the target looks at need_resched */
/* Interrupts on and halt until one comes, atomically; returns with them off. */
void arch_idle(void);
/*
 * Start CPUs 1..count-1; each calls secondary_main(). nr_cpus is how many came. Once, with memory management up; also
 * with count 1, for it gives back what only the boot needed.
 */
void arch_boot_secondary(unsigned count);
uint64_t arch_random_seed(void); /* RDSEED, RDRAND or 0 */

/* Too little memory to go on booting: say in the header how many KiB would do, and end the machine. */
NORETURN void boot_out_of_memory(uint64_t kib);

/* End the machine: value for isa-debug-exit (doc/boot-protocol.md). */
NORETURN void arch_exit(unsigned value);

/* The log's way out when asked for: the serial port, polled. */
void serial_init(void);                        /* once, before anything is written */
void serial_write(const char *text, size_t n); /* waits, polling, for the reader */

/* Stop all other CPUs for good, wherever they are: before the last words of a panic. */
void arch_stop_others(void);

/* Run fn(arg) on the CPUs of mask and wait: port_call_cpus() of port.h. */
void arch_call_cpus(uint64_t mask, void (*fn)(void *arg), void *arg);

/* The CPU's name as /proc/cpuinfo shows it, and its TSC's frequency. */
const char *arch_cpu_name(void);
uint64_t arch_tsc_khz(void);

/* The nodes of the firmware's tables, if they are of any use; before mm_init(). */
struct frame_config;
void arch_numa_config(struct frame_config *c);

/* Physical address of something in the kernel's image (virt_to_phys is for the direct map). */
static inline phys_t kernel_virt_to_phys(const void *p)
{
	return PHYS((uint64_t)p - KERNEL_START);
}

/* The call chain of the running function, a line each, through port_log. */
void arch_backtrace(const struct pt_regs *regs);

/* Return addresses, from the frame that a frame pointer points to outwards; how many. Reads nothing that is not there. */
unsigned arch_stack_trace(uint64_t frame, uint64_t *address, unsigned n);

/* --- signals ----------------------------------------------------------------------------------- */
struct ksignal;
/* Build a frame on the program's stack (or its alternate) and point regs at the handler. 0 or -EFAULT. */
MUST_USE int arch_setup_frame(const struct ksignal *ksig, uint64_t blocked_mask,
                              struct pt_regs *regs);
/* rt_sigreturn: registers, FPU, mask and alternate stack from the frame. 0, or -EFAULT: regs are as they were. */
MUST_USE int arch_sigreturn(struct pt_regs *regs, uint64_t *mask);

/* --- devices ----------------------------------------------------------------------------------- */

/* Configuration space of PCI: 4 bytes at a multiple of 4 below 256. All ones: there is no such device. */
uint32_t arch_pci_read(unsigned bus, unsigned device, unsigned function, unsigned offset);
void arch_pci_write(unsigned bus, unsigned device, unsigned function, unsigned offset,
                    uint32_t value);

/*
 * A message-signalled interrupt: a device that writes data to addr interrupts the boot CPU, edge triggered. As
 * arch_request_irq(); -ENOSPC: no vector is left.
 */
MUST_USE int arch_request_msi(void (*handler)(void *arg), void *arg, uint64_t *addr,
                              uint32_t *data);

/* --- called by arch, implemented in kernel/ ------------------------------------------------------- */
/* Boot CPU: paging, GDT, IDT, per-CPU area and memblock are set; mm_init not yet done. */
NORETURN void kernel_main(void);
NORETURN void secondary_main(void);    /* a further CPU, likewise; interrupts off */
void do_syscall(struct pt_regs *regs); /* regs->orig_rax is the number; sets regs->rax */
/* Before going back to the program whenever there may be work: need_resched, signals. Interrupts off in and out. */
void exit_to_user(struct pt_regs *regs);
bool exit_work_pending(void); /* cheap test of the same */
void timer_interrupt(void);   /* this CPU's timer went off */
void schedule_tail(void);     /* first thing a new task does */
/* A fault that the program answers for: queue the signal. code, addr as siginfo. */
void force_signal(int signo, int code, vaddr_t addr);
/* Fault in the program's memory, by it or for it; true: handled (the access is tried again). For the kernel's own access false: fix up with -EFAULT. */
bool do_user_fault(struct pt_regs *regs, vaddr_t addr, unsigned access);

/* --- boot facts, filled by arch before kernel_main ---------------------------------------------- */
struct boot_info {
	const char *cmdline;             /* NUL-terminated copy */
	phys_t initrd_start, initrd_end; /* 0, 0: none */
	phys_t kernel_start, kernel_end;
	phys_t rsdp; /* of the firmware's ACPI tables; 0: there are none */
	uint64_t ram_bytes;
};
extern struct boot_info boot_info;
/* Value of key= in the command line into buf; its length, or -ENOENT. A bare key gives "". */
int64_t boot_param(const char *key, char *buf, size_t size);
/* The number in key=N, or fallback. */
uint64_t boot_param_u64(const char *key, uint64_t fallback);
/* The first word that nobody has asked for yet, and its number from 0; NULL when there is none. */
const char *boot_unknown_word(unsigned *index);

#endif
