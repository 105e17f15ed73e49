/*
 * fpu.c - x87, SSE and AVX state in memory: XSAVE's standard form, or FXSAVE where the CPU has no more.
 *
 * Source: Intel SDM vol. 1, 13.4 (layout: 512 bytes legacy, 64 bytes header, then components), 13.7.
 */
#include "arch/x86_64/internal.h"
#include "kernel/signal.h"

size_t arch_fpu_size(void)
{
	return x86.xsave_size;
}

void fpu_init_cpu(void)
{
	if (x86.xsave)
		__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)x86.xcr0), "d"(0));
	__asm__ volatile("fninit");
}

void fpu_save_live(void *area)
{
	if (x86.xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

/* As fpu_save_live, but what the area has already may be left out. */
void fpu_save_switch(void *area)
{
	if (x86.xsaveopt)
		__asm__ volatile("xsaveopt64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
	else
		fpu_save_live(area);
}

void fpu_load(const void *area)
{
	if (x86.xsave)
		__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

int fpu_exception_code(unsigned vector)
{
	uint32_t pending;

	if (vector == 19) {
		uint32_t mxcsr;

		__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
		pending = ~(mxcsr >> 7) & mxcsr;
	} else {
		uint16_t control, status;

		__asm__ volatile("fnstcw %0" : "=m"(control));
		__asm__ volatile("fnstsw %0" : "=m"(status));
		pending = status & ~control & 0x3fu;
	}
	if (pending & 1)
		return FPE_FLTINV;
	if (pending & 4)
		return FPE_FLTDIV;
	if (pending & 8)
		return FPE_FLTOVF;
	if (pending & 0x12)
		return FPE_FLTUND;
	return pending & 0x20 ? FPE_FLTRES : FPE_FLTINV;
}
