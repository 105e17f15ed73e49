/*
 * smp.c - starting the other CPUs, and asking something of them.
 *
 * Starting. All others get the start-up message at once and run the trampoline (boot.S) side by side. Those that are
 * wanted wait for each other and are numbered by the numbers of their local APICs, so that a CPU has the same number in
 * every run; under its number lie a stack and a struct cpu ready.
 *
 * Asking. A CPU has one request, calls[its id], and names itself in call_from of every CPU that shall serve it. While it
 * waits it serves what others ask of it, so that two that ask each other do not wait for ever, with
 * interrupts on or off.
 *
 *     asker:  calls[me] = {fn, arg, pending = mask}     target:  from = exchange(call_from, 0)
 *             call_from of each |= me; IPI if it was 0           for each: fn(arg); pending &= ~target
 *             serve own call_from until pending == 0
 */
#include "arch/x86_64/internal.h"
#include "kernel/task.h"
#include "lib/string.h"
#include <quire/frame.h>
#include <quire/kva.h>

#define IPI_RESCHEDULE 1u

/* A virtual CPU is a thread of a host that may be busy: the message is repeated, and given up late. */
#define START_REPEAT_NS  20000000ull
#define START_TIMEOUT_NS 30000000000ull

static struct CACHE_ALIGNED {
	void (*fn)(void *arg);
	void *arg;
	_Atomic uint64_t pending; /* CPUs that have not run it */
} calls[QUIRE_MAX_CPUS];

/* For boot.S: how many have come, how many are wanted, and what goes with each number. */
_Atomic uint32_t secondary_next;
uint32_t secondary_count;
_Atomic uint32_t secondary_here;          /* CPUs that have a bit in secondary_ids */
_Atomic uint32_t secondary_ids[256 / 32]; /* by APIC id */
uint64_t secondary_stack[QUIRE_MAX_CPUS];
static struct cpu_block *secondary_block[QUIRE_MAX_CPUS];
static _Atomic uint32_t secondary_up;

extern char trampoline_start[], trampoline_end[];

NORETURN void start_secondary(uint32_t n);

static struct cpu *cpu_of(unsigned id)
{
	return container_of(machine()->cpu[id], struct cpu, mm);
}

/* --- asking --------------------------------------------------------------------------------------------- */

static void serve_calls(void)
{
	struct cpu *cpu = this_cpu_ptr();
	uint64_t from = atomic_exchange(&cpu->call_from, 0);

	for (; from; from &= from - 1) {
		unsigned asker = (unsigned)__builtin_ctzll(from);

		calls[asker].fn(calls[asker].arg);
		atomic_fetch_and(&calls[asker].pending, ~(1ull << cpu->id));
	}
}

/* Interrupts off. need_resched is looked at on the way out. */
void ipi_interrupt(void)
{
	atomic_store(&this_cpu_ptr()->ipi_work, 0);
	serve_calls();
}

void arch_send_reschedule(unsigned cpu)
{
	if (!atomic_fetch_or(&cpu_of(cpu)->ipi_work, IPI_RESCHEDULE))
		apic_send(cpu, VEC_IPI);
}

static void wait_for_calls(unsigned self)
{
	while (atomic_load(&calls[self].pending)) {
		if (atomic_load_explicit(&this_cpu_ptr()->call_from, memory_order_relaxed)) {
			irq_state_t state = irq_save();

			serve_calls();
			irq_restore(state);
		}
		cpu_relax();
	}
}

void arch_call_cpus(uint64_t mask, void (*fn)(void *arg), void *arg)
{
	unsigned self = cpu_id();
	uint64_t me = 1ull << self, others = mask & ((1ull << machine()->nr_cpus) - 1) & ~me;

	if (others) {
		calls[self].fn = fn;
		calls[self].arg = arg;
		atomic_store(&calls[self].pending, others);
		for (uint64_t m = others; m; m &= m - 1) {
			unsigned id = (unsigned)__builtin_ctzll(m);

			if (!atomic_fetch_or(&cpu_of(id)->call_from, me))
				apic_send(id, VEC_IPI);
		}
	}
	if (mask & me) {
		irq_state_t state = irq_save();

		fn(arg);
		irq_restore(state);
	}
	if (others)
		wait_for_calls(self);
}

static _Atomic bool stopping;

bool others_must_stop(void)
{
	return atomic_load(&stopping);
}

void arch_stop_others(void)
{
	atomic_store(&stopping, true);
	if (machine()->nr_cpus > 1)
		apic_nmi_others();
}

void arch_idle(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* --- starting -------------------------------------------------------------------------------------------- */

/* On the new CPU, on its stack, in the kernel's tables. */
void start_secondary(uint32_t n)
{
	struct cpu_block *block = secondary_block[n];

	load_gs(&block->cpu);
	load_cpu(&block->cpu);
	enable_features();
	apic_init_cpu();
	numa_cpu_up(&block->cpu);
	block->cpu.space = mmu_kernel_space();
	atomic_fetch_add(&secondary_up, 1);
	secondary_main();
}

/* Memory for CPU number n + 1; false when there is none. */
static bool prepare(unsigned n)
{
	struct cpu_block *block = alloc_pages_exact(sizeof(*block), GFP_KERNEL | __GFP_ZERO);
	char *stack = vmalloc_range(KSTACK_SIZE, VMALLOC_START, KSTACK_AREA_END, GFP_KERNEL);

	if (!block || !stack) {
		if (block)
			free_pages_exact(block, sizeof(*block));
		vfree(stack);
		return false;
	}
	init_cpu(block, n + 1);
	secondary_block[n] = block;
	secondary_stack[n] = (uint64_t)stack + KSTACK_SIZE;
	return true;
}

static void start_prepared(unsigned n)
{
	uint64_t deadline = arch_clock_ns() + START_TIMEOUT_NS, repeat;

	memcpy(phys_to_virt(PHYS(TRAMPOLINE_PAGE)), trampoline_start,
	       (size_t)(trampoline_end - trampoline_start));
	secondary_count = n;
	apic_init_others();
	do {
		apic_start_others(); /* who runs already does not hear it */
		repeat = arch_clock_ns() + START_REPEAT_NS;
		while (atomic_load(&secondary_up) < n && arch_clock_ns() < repeat)
			cpu_relax();
	} while (atomic_load(&secondary_up) < n && arch_clock_ns() < deadline);
}

void arch_boot_secondary(unsigned cpus)
{
	unsigned n = 0, up;

	time_measure_apic();
	while (n + 1 < MIN(cpus, (unsigned)QUIRE_MAX_CPUS) && prepare(n))
		n++;
	if (n) {
		machine()->nr_cpus = n + 1;
		start_prepared(n);
	}
	up = atomic_load(&secondary_up);
	if (up != n)
		port_panic("smp: %u of %u further CPUs came up", up, n);
	port_log("smp: %u CPUs of %u asked for", n + 1, cpus);
	drop_boot_memory();
}
