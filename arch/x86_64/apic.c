/*
 * apic.c - interrupts: each CPU's local APIC (timer, messages between CPUs), the IO-APIC (devices).
 *
 * Memory-mapped form (xAPIC), which every machine has; each access leaves the virtual machine, so they are few. The old
 * 8259 pair is masked and not used. IO-APIC line i arrives at the boot CPU as vector VEC_IRQ + i, edge triggered:
 * drivers acknowledge at their device and look again until there is nothing to do. The numbers above the IO-APIC's lines
 * are for devices that write their interrupts as messages to the local APIC (MSI).
 *
 * Source: Intel SDM vol. 3, chapter 10, 10.11 (messages); 82093AA (IO-APIC) data sheet.
 */
#include "arch/x86_64/internal.h"
#include <quire/errno.h>

#define APIC_ID          0x20
#define APIC_EOI         0xb0
#define APIC_SVR         0xf0
#define APIC_ICR_LOW     0x300
#define APIC_ICR_HIGH    0x310
#define APIC_LVT_TIMER   0x320
#define APIC_TIMER_INIT  0x380
#define APIC_TIMER_COUNT 0x390
#define APIC_TIMER_DIV   0x3e0

#define SVR_ENABLE       0x100
#define DIV_1            0xb
#define LVT_TSC_DEADLINE 0x40000
#define ICR_ASSERT       0x4000
#define ICR_NMI          0x400
#define ICR_INIT         0x500
#define ICR_STARTUP      0x600
#define ICR_OTHERS       0xc0000 /* all but this CPU */

#define IOAPIC_VERSION  1
#define IOAPIC_REDIRECT 0x10
#define NR_LINES        48

#define MSI_ADDRESS 0xfee00000ull

static volatile uint32_t *apic;
static volatile uint32_t *ioapic;

static spinlock_t lines_lock;
static struct {
	void (*handler)(void *arg);
	void *arg;
} lines[NR_LINES];

/* --- local APIC --------------------------------------------------------------------------------------- */

static void apic_write(unsigned reg, uint32_t value)
{
	apic[reg / 4] = value;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

uint32_t apic_id(void)
{
	return apic[APIC_ID / 4] >> 24;
}

void apic_timer_start(uint32_t n)
{
	apic_write(APIC_TIMER_INIT, n);
}

uint32_t apic_timer_count(void)
{
	return apic[APIC_TIMER_COUNT / 4];
}

void apic_init_cpu(void)
{
	apic_write(APIC_SVR, SVR_ENABLE | VEC_SPURIOUS);
	if (x86.tsc_deadline) {
		apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | VEC_TIMER);
	} else {
		apic_write(APIC_TIMER_DIV, DIV_1);
		apic_write(APIC_LVT_TIMER, VEC_TIMER);
	}
	this_cpu_ptr()->apic_id = apic_id();
}

void apic_init(void)
{
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	apic = (volatile uint32_t *)fix_to_virt(FIX_APIC_BASE);
	ioapic = (volatile uint32_t *)fix_to_virt(FIX_IO_APIC_BASE_0);
	apic_init_cpu();
	if (!x86.tsc_deadline) {
		apic_timer_start(UINT32_MAX);
		time_apic_started();
	}
}

/* The two halves belong together: an interrupt in between may send too. */
static void icr_write(uint32_t high, uint32_t low)
{
	irq_state_t state = irq_save();

	apic_write(APIC_ICR_HIGH, high);
	apic_write(APIC_ICR_LOW, low);
	irq_restore(state);
}

void apic_send(unsigned cpu, unsigned vector)
{
	struct cpu *target = container_of(machine()->cpu[cpu], struct cpu, mm);

	icr_write(target->apic_id << 24, ICR_ASSERT | vector);
}

void apic_nmi_others(void)
{
	icr_write(0, ICR_OTHERS | ICR_ASSERT | ICR_NMI);
}

void apic_init_others(void)
{
	icr_write(0, ICR_OTHERS | ICR_ASSERT | ICR_INIT);
}

void apic_start_others(void)
{
	icr_write(0, ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | TRAMPOLINE_PAGE / PAGE_SIZE);
}

/* --- IO-APIC ------------------------------------------------------------------------------------------- */

static uint32_t ioapic_read(uint32_t reg)
{
	ioapic[0] = reg;
	return ioapic[4];
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
	ioapic[0] = reg;
	ioapic[4] = value;
}

static unsigned ioapic_lines(void)
{
	return MIN((ioapic_read(IOAPIC_VERSION) >> 16 & 0xff) + 1, (uint32_t)NR_LINES);
}

int arch_request_irq(unsigned irq, void (*handler)(void *arg), void *arg)
{
	irq_state_t state;

	if (irq >= ioapic_lines())
		return -EINVAL;
	state = spin_lock_irqsave(&lines_lock);
	if (lines[irq].handler) {
		spin_unlock_irqrestore(&lines_lock, state);
		return -EBUSY;
	}
	lines[irq].arg = arg;
	lines[irq].handler = handler;
	ioapic_write(IOAPIC_REDIRECT + 2 * irq + 1, boot_cpu_block.cpu.apic_id << 24);
	ioapic_write(IOAPIC_REDIRECT + 2 * irq, VEC_IRQ + irq);
	spin_unlock_irqrestore(&lines_lock, state);
	return 0;
}

int arch_request_msi(void (*handler)(void *arg), void *arg, uint64_t *addr, uint32_t *data)
{
	irq_state_t state = spin_lock_irqsave(&lines_lock);
	unsigned line = ioapic_lines();

	while (line < NR_LINES && lines[line].handler)
		line++;
	if (line < NR_LINES) {
		lines[line].arg = arg;
		lines[line].handler = handler;
	}
	spin_unlock_irqrestore(&lines_lock, state);
	*addr = MSI_ADDRESS | (uint64_t)boot_cpu_block.cpu.apic_id << 12;
	*data = VEC_IRQ + line;
	return line < NR_LINES ? 0 : -ENOSPC;
}

/* --- dispatch ------------------------------------------------------------------------------------------ */

static void device_interrupt(unsigned line)
{
	if (line < NR_LINES && lines[line].handler)
		lines[line].handler(lines[line].arg);
}

/* Interrupts off. */
void irq_dispatch(struct pt_regs *regs, unsigned vector)
{
	struct cpu *cpu = this_cpu_ptr();
	uint64_t line = cpu->line;

	if (vector == VEC_SPURIOUS)
		return;
	count(INTERRUPTS);
	apic_eoi();
	cpu->irq_user = user_mode(regs);
	cpu->irq_depth++;
	cpu->line = CPU_LINE_INTERRUPT;
	if (vector == VEC_TIMER)
		time_interrupt();
	else if (vector == VEC_IPI)
		ipi_interrupt();
	else
		device_interrupt(vector - VEC_IRQ);
	cpu->line = line;
	cpu->irq_depth--;
}
