/*
 * time.c - the clock is the TSC; the alarm is the local APIC's timer, one shot at a time.
 *
 * ns = (tsc - tsc at boot) * mult / 2^32. The command says the TSC's frequency (tsc_khz=); without it CPUID or the PIT
 * does. The APIC timer's rate is measured in passing: it is started at boot and compared with the clock when
 * the first alarm is set, so nobody waits for it. With TSC-deadline there is nothing to measure.
 */
#include "arch/x86_64/internal.h"

#define PIT_HZ       1193182u
#define PIT_CHANNEL0 0x40
#define PIT_COMMAND  0x43
#define PIT_MS       10u

#define MEASURE_NS 100000u /* the shortest time to measure the APIC timer over */
#define NO_ALARM   UINT64_MAX

static uint64_t tsc_base, tsc_khz;
static uint64_t mult;      /* ns for a TSC tick, 32.32 */
static uint64_t tsc_mult;  /* TSC ticks for a ns, 32.32 */
static uint64_t apic_mult; /* APIC timer ticks for a ns, 32.32; 0: not measured yet */
static uint64_t apic_start_ns;
static uint64_t alarm_ns[QUIRE_MAX_CPUS]; /* its own CPU's: what the timer is set to */

/* (a * b) >> 32 with all bits in between. */
static inline uint64_t mul_shift32(uint64_t a, uint64_t b)
{
	return (uint64_t)((unsigned __int128)a * b >> 32);
}

/* (a << 32) / b; the quotient fits. */
static inline uint64_t shift32_div(uint64_t a, uint64_t b)
{
	uint64_t quotient, rest;

	__asm__("divq %4" : "=a"(quotient), "=d"(rest) : "a"(a << 32), "d"(a >> 32), "rm"(b));
	return quotient;
}

uint64_t arch_clock_ns(void)
{
	return mul_shift32(rdtsc() - tsc_base, mult);
}

uint64_t arch_tsc_khz(void)
{
	return tsc_khz;
}

const char *arch_cpu_name(void)
{
	return x86.brand;
}

/* --- frequency of the TSC --------------------------------------------------------------------------------- */

static uint16_t pit_count(void)
{
	uint8_t low;

	outb(PIT_COMMAND, 0); /* latch channel 0 */
	low = inb(PIT_CHANNEL0);
	return (uint16_t)(low | inb(PIT_CHANNEL0) << 8);
}

/* TSC ticks while the PIT counts 10 ms down. 0: there is no PIT, its count stands still. */
static uint64_t pit_measure_khz(void)
{
	const uint16_t goal = PIT_HZ * PIT_MS / 1000;
	uint16_t first, passed = 0;
	uint64_t start;

	outb(PIT_COMMAND, 0x34); /* channel 0, both bytes, mode 2: from 0xffff over and over */
	outb(PIT_CHANNEL0, 0xff);
	outb(PIT_CHANNEL0, 0xff);
	first = pit_count();
	start = rdtsc();
	for (unsigned tries = 0; passed < goal; tries++) {
		passed = (uint16_t)(first - pit_count());
		if (!passed && tries > 100)
			return 0;
	}
	return (rdtsc() - start) * (PIT_HZ / 1000) / passed;
}

static uint64_t cpuid_khz(void)
{
	uint32_t max = cpuid(0, 0).eax;

	if (max >= 0x15) {
		struct cpuid r = cpuid(0x15, 0);

		if (r.eax && r.ebx && r.ecx)
			return (uint64_t)r.ecx * r.ebx / r.eax / 1000;
	}
	if ((cpuid(1, 0).ecx >> 31) && cpuid(0x40000000, 0).eax >= 0x40000010)
		return cpuid(0x40000010, 0).eax;
	return 0;
}

static uint64_t find_tsc_khz(void)
{
	uint64_t khz = boot_param_u64("tsc_khz", 0);

	if (!khz)
		khz = cpuid_khz();
	if (!khz)
		khz = pit_measure_khz();
	if (!khz) {
		port_log(
		        "time: no tsc_khz=, CPUID or PIT gives the TSC's frequency: 1 GHz assumed");
		khz = 1000000;
	}
	return khz;
}

void time_init(void)
{
	tsc_base = rdtsc();
	tsc_khz = find_tsc_khz();
	mult = shift32_div(1000000, tsc_khz);
	tsc_mult = shift32_div(tsc_khz, 1000000);
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		alarm_ns[i] = NO_ALARM;
}

/* --- alarm ---------------------------------------------------------------------------------------------------- */

/* The boot CPU's timer counts down from 2^32 - 1 since apic_init(). */
void time_measure_apic(void)
{
	uint64_t ns;
	uint32_t ticks;

	if (x86.tsc_deadline || apic_mult)
		return;
	do {
		ns = arch_clock_ns() - apic_start_ns;
		ticks = UINT32_MAX - apic_timer_count();
	} while (ns < MEASURE_NS);
	apic_mult = shift32_div(ticks, ns);
	apic_timer_start(0);
	if (!apic_mult)
		port_panic("time: the local APIC's timer does not count");
}

void time_apic_started(void)
{
	apic_start_ns = arch_clock_ns();
}

static void program_timer(uint64_t deadline_ns)
{
	uint64_t now, ticks;

	if (x86.tsc_deadline) {
		wrmsr(MSR_TSC_DEADLINE,
		      deadline_ns == NO_ALARM ? 0 : tsc_base + mul_shift32(deadline_ns, tsc_mult));
		return;
	}
	if (unlikely(!apic_mult))
		time_measure_apic();
	if (deadline_ns == NO_ALARM) {
		apic_timer_start(0);
		return;
	}
	now = arch_clock_ns();
	ticks = deadline_ns > now ? mul_shift32(deadline_ns - now, apic_mult) : 0;
	apic_timer_start((uint32_t)MIN(ticks + 1, (uint64_t)UINT32_MAX));
}

void arch_timer_set(uint64_t deadline_ns)
{
	irq_state_t state = irq_save();
	uint64_t *alarm = &alarm_ns[cpu_id()];

	if (*alarm != deadline_ns) {
		*alarm = deadline_ns;
		program_timer(deadline_ns);
	}
	irq_restore(state);
}

void time_interrupt(void)
{
	alarm_ns[cpu_id()] = NO_ALARM;
	timer_interrupt();
}
