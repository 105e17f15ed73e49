/*
 * proc_cpuinfo.c - /proc/cpuinfo: what CPUID says of the CPUs, which are all alike.
 *
 * Source: Intel SDM vol. 2, CPUID; AMD APM vol. 3, appendix E; names of features as Linux shows
 * them.
 */
#include "fs/proc.h"

#include "arch/x86_64/arch.h"
#include "lib/string.h"
#include <quire/machine.h>

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

static struct cpuid_regs cpuid_leaf(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid"
	                 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
	                 : "a"(leaf), "c"(subleaf));
	return r;
}

/* Names by bit of one register; "" where Linux shows none. */
static const char *const leaf1_edx[32] = {
        "fpu",  "vme",  "de",   "pse", "tsc",  "msr", "pae",   "mce", "cx8",     "apic", "",
        "sep",  "mtrr", "pge",  "mca", "cmov", "pat", "pse36", "pn",  "clflush", "",     "dts",
        "acpi", "mmx",  "fxsr", "sse", "sse2", "ss",  "ht",    "tm",  "ia64",    "pbe",
};
static const char *const leaf1_ecx[32] = {
        "pni",    "pclmulqdq",  "dtes64", "monitor", "ds_cpl",
        "vmx",    "smx",        "est",    "tm2",     "ssse3",
        "cid",    "sdbg",       "fma",    "cx16",    "xtpr",
        "pdcm",   "",           "pcid",   "dca",     "sse4_1",
        "sse4_2", "x2apic",     "movbe",  "popcnt",  "tsc_deadline_timer",
        "aes",    "xsave",      "",       "avx",     "f16c",
        "rdrand", "hypervisor",
};
static const char *const ext1_edx[32] = {
        [11] = "syscall", [20] = "nx", [22] = "mmxext",   [25] = "fxsr_opt", [26] = "pdpe1gb",
        [27] = "rdtscp",  [29] = "lm", [30] = "3dnowext", [31] = "3dnow",
};
static const char *const ext1_ecx[32] = {
        [0] = "lahf_lm", [1] = "cmp_legacy",  [2] = "svm",
        [3] = "extapic", [4] = "cr8_legacy",  [5] = "abm",
        [6] = "sse4a",   [7] = "misalignsse", [8] = "3dnowprefetch",
};
static const char *const leaf7_ebx[32] = {
        [0] = "fsgsbase", [1] = "tsc_adjust", [3] = "bmi1", [4] = "hle",      [5] = "avx2",
        [7] = "smep",     [8] = "bmi2",       [9] = "erms", [10] = "invpcid", [11] = "rtm",
        [14] = "mpx",     [18] = "rdseed",    [19] = "adx", [20] = "smap",    [23] = "clflushopt",
        [24] = "clwb",    [29] = "sha_ni",
};
static const char *const leaf7_ecx[32] = {
        [2] = "umip", [3] = "pku", [9] = "vaes", [10] = "vpclmulqdq", [16] = "la57", [22] = "rdpid",
};

static void show_names(struct seq_file *m, uint32_t bits, const char *const names[32])
{
	for (unsigned i = 0; i < 32; i++)
		if (bits >> i & 1 && names[i] && *names[i])
			seq_printf(m, " %s", names[i]);
}

static void show_flags(struct seq_file *m)
{
	struct cpuid_regs one = cpuid_leaf(1, 0), ext = {0}, seven = {0};

	if (cpuid_leaf(0x80000000, 0).eax >= 0x80000001)
		ext = cpuid_leaf(0x80000001, 0);
	if (cpuid_leaf(0, 0).eax >= 7)
		seven = cpuid_leaf(7, 0);
	seq_puts(m, "flags\t\t:");
	show_names(m, one.edx, leaf1_edx);
	show_names(m, ext.edx, ext1_edx);
	show_names(m, one.ecx, leaf1_ecx);
	show_names(m, ext.ecx, ext1_ecx);
	show_names(m, seven.ebx, leaf7_ebx);
	show_names(m, seven.ecx, leaf7_ecx);
	seq_putc(m, '\n');
}

/* Family, model, stepping from the signature, with their extensions. */
static void show_signature(struct seq_file *m, uint32_t sig, const char *brand)
{
	uint32_t family = sig >> 8 & 15, model = sig >> 4 & 15;

	if (family == 6 || family == 15)
		model |= sig >> 12 & 0xf0;
	if (family == 15)
		family += sig >> 20 & 0xff;
	seq_printf(m, "cpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\nstepping\t: %u\n", family,
	           model, brand, sig & 15);
}

static void read_brand(char brand[49])
{
	strscpy(brand, "unknown", 49);
	if (cpuid_leaf(0x80000000, 0).eax < 0x80000004)
		return;
	for (uint32_t i = 0; i < 3; i++) {
		struct cpuid_regs r = cpuid_leaf(0x80000002 + i, 0);

		memcpy(brand + i * 16, &r, 16);
	}
	brand[48] = '\0';
}

static void show_identity(struct seq_file *m)
{
	struct cpuid_regs zero = cpuid_leaf(0, 0);
	uint32_t vendor[3] = {zero.ebx, zero.edx, zero.ecx};
	char brand[49];
	const char *b = brand;

	read_brand(brand);
	while (*b == ' ')
		b++;
	seq_puts(m, "vendor_id\t: ");
	seq_write(m, vendor, sizeof(vendor));
	seq_putc(m, '\n');
	show_signature(m, cpuid_leaf(1, 0).eax, b);
}

static void show_address_sizes(struct seq_file *m)
{
	uint32_t sizes = 0x3024;

	if (cpuid_leaf(0x80000000, 0).eax >= 0x80000008)
		sizes = cpuid_leaf(0x80000008, 0).eax;
	seq_printf(m, "address sizes\t: %u bits physical, %u bits virtual\npower management:\n\n",
	           sizes & 0xff, sizes >> 8 & 0xff);
}

static void show_one(struct seq_file *m, unsigned cpu)
{
	uint32_t one_ebx = cpuid_leaf(1, 0).ebx;
	uint64_t khz = boot_param_u64("tsc_khz", 0);

	seq_printf(m, "processor\t: %u\n", cpu);
	show_identity(m);
	if (khz)
		seq_printf(m, "cpu MHz\t\t: %lu.%03lu\n", khz / 1000, khz % 1000);
	seq_printf(m, "physical id\t: %u\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\n", cpu);
	seq_printf(m, "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\n",
	           cpuid_leaf(0, 0).eax);
	show_flags(m);
	if (khz)
		seq_printf(m, "bogomips\t: %lu.%02lu\n", khz / 500, khz % 500 / 5);
	seq_printf(m, "clflush size\t: %u\ncache_alignment\t: %u\n", (one_ebx >> 8 & 0xff) * 8,
	           (unsigned)CACHELINE);
	show_address_sizes(m);
}

static int cpuinfo_show(struct seq_file *m, void *unused UNUSED)
{
	for (unsigned cpu = 0; cpu < machine()->nr_cpus; cpu++)
		show_one(m, cpu);
	return 0;
}

int proc_cpuinfo_init(struct dentry *root)
{
	static const struct proc_file files[] = {{"cpuinfo", cpuinfo_show, 0}};

	return proc_create_files(root, files, ARRAY_SIZE(files));
}
