/*
 * trap.c - exceptions: a program's become signals, page faults go to the memory manager, the kernel's own are fixed up
 * where they were foreseen, and otherwise the end.
 *
 * The kernel touches a program's memory in uaccess.S alone. A page fault there is handled as the program's, or
 * (section .nofault, or no such memory) goes on at the place that the exception table names. Any other fault in the
 * kernel is a bug.
 *
 * Signal numbers and codes: Linux's arch/x86/kernel/traps.c as documented in sigaction(2).
 */
#include "arch/x86_64/internal.h"
#include "kernel/signal.h"
#include "kernel/task.h"
#include <quire/kva.h>
#include <quire/mm.h>
#include <quire/symbol.h>

/* Bits of a page fault's error code. */
#define PF_PRESENT 1u
#define PF_WRITE   2u
#define PF_USER    4u
#define PF_RSVD    8u
#define PF_INSTR   16u

#define NO_ERROR_CODE UINT64_MAX /* what entry.S puts where the CPU pushes none */

void page_fault_user(struct pt_regs *regs, vaddr_t addr, uint64_t error);
void page_fault_kernel(struct pt_regs *regs, vaddr_t addr, uint64_t error);
void trap_user(struct pt_regs *regs, unsigned vector, uint64_t error);
void trap_kernel(struct pt_regs *regs, unsigned vector, uint64_t error);
void debug_kernel(struct pt_regs *regs);
void nmi_interrupt(struct pt_regs *regs);
void double_fault(struct pt_regs *regs, uint64_t error);
void machine_check(struct pt_regs *regs);
void bad_iret_fault(struct pt_regs *regs);
struct pt_regs *move_regs(uint64_t *to, const uint64_t *from);

static const char *const names[32] = {
        "divide error",
        "debug",
        "NMI",
        "breakpoint",
        "overflow",
        "bound range",
        "invalid opcode",
        "device not available",
        "double fault",
        "coprocessor segment",
        "invalid TSS",
        "segment not present",
        "stack segment",
        "general protection",
        "page fault",
        "reserved",
        "x87 floating point",
        "alignment check",
        "machine check",
        "SIMD floating point",
        "virtualization",
        "control protection",
};

/* --- the end ------------------------------------------------------------------------------------------ */

static void log_regs(const struct pt_regs *r, uint64_t cr2)
{
	port_log("rip %016lx cs %02lx flags %08lx rsp %016lx ss %02lx", r->rip, r->cs, r->eflags,
	         r->rsp, r->ss);
	port_log("rax %016lx rbx %016lx rcx %016lx rdx %016lx", r->rax, r->rbx, r->rcx, r->rdx);
	port_log("rsi %016lx rdi %016lx rbp %016lx r8  %016lx", r->rsi, r->rdi, r->rbp, r->r8);
	port_log("r9  %016lx r10 %016lx r11 %016lx r12 %016lx", r->r9, r->r10, r->r11, r->r12);
	port_log("r13 %016lx r14 %016lx r15 %016lx cr2 %016lx cr3 %016lx", r->r13, r->r14, r->r15,
	         cr2, read_cr3());
}

void die(const char *what, struct pt_regs *regs, uint64_t error)
{
	uint64_t addr = read_cr2();
	char name[KSYM_SYMBOL_LEN];

	log_regs(regs, addr);
	arch_backtrace(regs);
	port_panic("%s in the kernel at %s (address %016lx, error code 0x%lx, pid %d)", what,
	           sprint_symbol(name, regs->rip), addr, error == NO_ERROR_CODE ? 0 : error,
	           current_pid());
}

/* --- foreseen faults ------------------------------------------------------------------------------------ */

bool kernel_fixup(struct pt_regs *regs)
{
	extern const struct {
		uint64_t from, to;
	} __ex_table_start[], __ex_table_end[];

	for (__typeof__(&__ex_table_start[0]) e = __ex_table_start; e < __ex_table_end; e++) {
		if (e->from == regs->rip) {
			regs->rip = e->to;
			return true;
		}
	}
	return false;
}

/* Does ip belong to the code that touches the program's memory and may sleep for it? */
static bool in_uaccess(uint64_t ip)
{
	extern const char __uaccess_start[], __uaccess_end[];

	return ip >= (uint64_t)__uaccess_start && ip < (uint64_t)__uaccess_end;
}

/* --- page faults ------------------------------------------------------------------------------------------ */

static unsigned fault_access(uint64_t error)
{
	unsigned access = 0;

	if (error & PF_WRITE)
		access = FAULT_WRITE;
	if (error & PF_INSTR)
		access = FAULT_EXEC;
	if (error & PF_USER)
		access |= FAULT_USER;
	return access;
}

static void note_fault(vaddr_t addr, uint64_t error)
{
	struct arch_thread *t = &current->thread;

	t->fault_addr = addr;
	t->trap_nr = VEC_PF;
	t->error_code = error;
}

/* Interrupts on. */
void page_fault_user(struct pt_regs *regs, vaddr_t addr, uint64_t error)
{
	trace_page_fault_user(addr, regs->rip, error);
	note_fault(addr, error);
	if (unlikely(error & PF_RSVD))
		die("page table with reserved bits", regs, error);
	/*
	 * What the CPU touches by itself with the kernel's right, as its tables. (QEMU before 9.1 counts the stack of
	 * a program's far return among it, and SMAP forbids that.)
	 */
	if (unlikely(!(error & PF_USER)))
		force_signal(SIGSEGV, SEGV_ACCERR, addr);
	else
		do_user_fault(regs, addr, fault_access(error));
}

static const char *kernel_fault_name(vaddr_t addr, uint64_t error)
{
	if (addr < PAGE_SIZE)
		return "null pointer";
	if (addr >= DIRECT_MAP_START && addr < VMALLOC_START && !(error & PF_PRESENT) &&
	    report_free_frame((const void *)addr))
		return "use of a free frame";
	return "page fault";
}

/* Interrupts off. */
void page_fault_kernel(struct pt_regs *regs, vaddr_t addr, uint64_t error)
{
	trace_page_fault_kernel(addr, regs->rip, error);
	if (addr >= mmu_user_end()) {
		if (!(error & PF_PRESENT) && pt_sync_kernel_root(this_cpu_ptr()->space, addr))
			return;
	} else if (in_uaccess(regs->rip) && (regs->eflags & RFLAGS_IF)) {
		bool handled;

		note_fault(addr, error);
		irq_enable();
		handled = do_user_fault(regs, addr, fault_access(error));
		irq_disable();
		if (handled)
			return;
	}
	if (!kernel_fixup(regs))
		die(kernel_fault_name(addr, error), regs, error);
}

/* --- other exceptions of programs --------------------------------------------------------------------------- */

static void user_exception(struct pt_regs *regs, unsigned vector)
{
	switch (vector) {
	case 0:
		return force_signal(SIGFPE, FPE_INTDIV, regs->rip);
	case VEC_DB:
		return force_signal(SIGTRAP, TRAP_TRACE, regs->rip);
	case 3:
		return force_signal(SIGTRAP, SI_KERNEL, 0);
	case 6:
		return force_signal(SIGILL, ILL_ILLOPN, regs->rip);
	case 11:
	case 12:
		return force_signal(SIGBUS, SI_KERNEL, 0);
	case 16:
	case 19:
		return force_signal(SIGFPE, fpu_exception_code(vector), regs->rip);
	case 17:
		return force_signal(SIGBUS, BUS_ADRALN, 0);
	default:
		return force_signal(SIGSEGV, SI_KERNEL, 0);
	}
}

static void clear_dr6(void)
{
	__asm__ volatile("movq %0, %%dr6" : : "r"(0xffff0ff0ull));
}

/* Interrupts off in and out. */
void trap_user(struct pt_regs *regs, unsigned vector, uint64_t error)
{
	struct arch_thread *t;

	if (likely(vector >= 32)) {
		irq_dispatch(regs, vector);
		return;
	}
	t = &current->thread;
	t->fault_addr = 0;
	t->trap_nr = vector;
	t->error_code = error == NO_ERROR_CODE ? 0 : error;
	if (vector == VEC_DB)
		clear_dr6();
	irq_enable();
	user_exception(regs, vector);
	irq_disable();
}

void trap_kernel(struct pt_regs *regs, unsigned vector, uint64_t error)
{
	if (likely(vector >= 32))
		irq_dispatch(regs, vector);
	else if (!kernel_fixup(regs))
		die(names[vector] ? names[vector] : "exception", regs, error);
}

struct pt_regs *move_regs(uint64_t *to, const uint64_t *from)
{
	for (unsigned i = offsetof(struct pt_regs, rip) / 8; i-- > 0;)
		to[i] = from[i];
	return (struct pt_regs *)to;
}

/* What the program's registers ask for cannot be loaded. Interrupts off. */
void bad_iret_fault(struct pt_regs *regs UNUSED)
{
	struct arch_thread *t = &current->thread;

	t->fault_addr = 0;
	t->trap_nr = VEC_GP;
	t->error_code = 0;
	irq_enable();
	force_signal(SIGSEGV, SI_KERNEL, 0);
	irq_disable();
}

/* --- on stacks of their own ----------------------------------------------------------------------------------- */

/*
 * A trap that a program left pending (TF or a breakpoint before SYSCALL) and that hits the kernel's first instruction:
 * nothing to do with it. The kernel sets none itself.
 */
void debug_kernel(struct pt_regs *regs)
{
	clear_dr6();
	regs->eflags &= ~(uint64_t)RFLAGS_TF;
}

/*
 * From a CPU that panics or ends the machine: the end. From anything else (a watchdog, the monitor's "nmi"): nothing here knows
 * what it means, and the machine goes on. It may have hit any code, with any lock held, so it is not logged.
 */
void nmi_interrupt(struct pt_regs *regs UNUSED)
{
	if (!others_must_stop())
		return;
	for (;;)
		__asm__ volatile("cli; hlt");
}

void double_fault(struct pt_regs *regs, uint64_t error)
{
	uint64_t below = regs->rsp - read_cr2();

	if (below < 2 * PAGE_SIZE || -below < 2 * PAGE_SIZE)
		die("kernel stack overflow", regs, error);
	die("double fault", regs, error);
}

void machine_check(struct pt_regs *regs)
{
	die("machine check", regs, 0);
}
