/*
 * feature.c - what this CPU can do, and turning it on.
 *
 * Protection that a CPU has is always on: write protection for the kernel too (CR0.WP), no execution of data (EFER.NXE; both set in
 * boot.S), no kernel execution of the program's pages (SMEP), no access to them but between stac and clac
 * (SMAP), no descriptor-table addresses for programs (UMIP). SSE, and AVX where it is.
 *
 * How memory may be cached is said by three bits of an entry, which choose one of eight types from a register
 * (PAT). Linux's choice of the eight, so that the two bits that mean the same in entries of every level do for
 * all that mmu.h knows; those that a CPU has after reset at 0, 2 and 3 stay:
 *
 *     PCD PWT    0   1    2    3        with the PAT bit, unused    4   5   6    7
 *                WB  WC  UC-   UC                                   WB  WP  UC-  WT
 *
 * All CPUs must agree, so each sets it before it uses an entry that differs from the one after reset.
 *
 * Source: Intel SDM vol. 2, CPUID; vol. 3, 2.5, 11.12.
 */
#include "arch/x86_64/internal.h"

struct x86_features x86;

#define PAT_UC       0ull
#define PAT_WC       1ull
#define PAT_WT       4ull
#define PAT_WP       5ull
#define PAT_WB       6ull
#define PAT_UC_MINUS 7ull

#define PAT_LAYOUT                                                                                \
	(PAT_WB | PAT_WC << 8 | PAT_UC_MINUS << 16 | PAT_UC << 24 | PAT_WB << 32 | PAT_WP << 40 | \
	 PAT_UC_MINUS << 48 | PAT_WT << 56)
static_assert(PAT_LAYOUT == 0x0407050600070106, "Linux's");

/* x87, SSE, AVX. Components beyond are left off, so no one uses them. */
#define XCR0_WANTED 7u

static void detect_xsave(uint32_t features_1_ecx)
{
	x86.xsave_size = 512;
	x86.xsave = features_1_ecx >> 26 & 1;
	if (!x86.xsave)
		return;
	x86.xcr0 = cpuid(0xd, 0).eax & XCR0_WANTED;
	x86.xsaveopt = cpuid(0xd, 1).eax & 1;
	x86.xsave_size = 512 + 64;
	if (x86.xcr0 & 4) {
		struct cpuid avx = cpuid(0xd, 2);

		x86.xsave_size = avx.ebx + avx.eax;
	}
	if (x86.xsave_size > FPU_SIZE_MAX)
		port_panic("boot: this CPU's AVX state ends at %u, not %u", x86.xsave_size,
		           FPU_SIZE_MAX);
}

static void detect_brand(void)
{
	for (uint32_t i = 0; i < 3; i++) {
		struct cpuid r = cpuid(0x80000002 + i, 0);

		__builtin_memcpy(x86.brand + i * 16, &r, 16);
	}
}

void detect_features(void)
{
	uint32_t max = cpuid(0, 0).eax, max_ext = cpuid(0x80000000, 0).eax;
	struct cpuid one = cpuid(1, 0), seven = {0};

	if (!(one.edx >> 16 & 1))
		port_panic("boot: this CPU has no PAT");
	if (max >= 7)
		seven = cpuid(7, 0);
	x86.gigabyte_pages = cpuid(0x80000001, 0).edx >> 26 & 1;
	x86.smep = seven.ebx >> 7 & 1;
	x86.smap = seven.ebx >> 20 & 1;
	x86.fsgsbase = seven.ebx & 1;
	x86.umip = seven.ecx >> 2 & 1;
	x86.rdseed = seven.ebx >> 18 & 1;
	x86.rdrand = one.ecx >> 30 & 1;
	x86.tsc_deadline = one.ecx >> 24 & 1;
	detect_xsave(one.ecx);
	if (max_ext >= 0x80000004)
		detect_brand();
}

void enable_features(void)
{
	uint64_t cr4 = CR4_PAE | CR4_PGE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	if (x86.smep)
		cr4 |= CR4_SMEP;
	if (x86.smap)
		cr4 |= CR4_SMAP;
	if (x86.umip)
		cr4 |= CR4_UMIP;
	if (x86.fsgsbase)
		cr4 |= CR4_FSGSBASE;
	if (x86.xsave)
		cr4 |= CR4_OSXSAVE;
	write_cr4(cr4);
	wrmsr(MSR_PAT, PAT_LAYOUT);
	fpu_init_cpu();
}

uint64_t arch_random_seed(void)
{
	uint64_t value;
	bool ok = false;

	for (unsigned i = 0; i < 10 && !ok && x86.rdseed; i++)
		__asm__ volatile("rdseed %0" : "=r"(value), "=@ccc"(ok));
	for (unsigned i = 0; i < 10 && !ok && x86.rdrand; i++)
		__asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(ok));
	return ok ? value : 0;
}
