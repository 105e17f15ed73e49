/*
 * setup.c - the boot CPU from boot.S to kernel_main(): boot facts copied, memory counted, tables made.
 *
 * The loader's structures (start_info, command line, memory map) lie in memory that will soon be somebody's, so all of
 * it is copied first. The memory map goes to memblock; reserved are the first page (address 0 is nobody's), the page
 * where further CPUs start, the kernel's image, the boot archive and the range for traces.
 *
 * Source: Xen's docs/misc/pvh.pandoc (hvm_start_info, version 1).
 */
#include "arch/x86_64/internal.h"
#include "kernel/log.h"
#include "lib/string.h"
#include "lib/words.h"
#include <quire/errno.h>
#include <quire/frame.h>

#define CMDLINE_MAX 4096
#define PVH_MAGIC   0x336ec578u
#define E820_RAM    1

struct hvm_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr;
	uint64_t memmap_paddr; /* from version 1 */
	uint32_t memmap_entries, reserved;
};

struct hvm_module {
	uint64_t paddr, size, cmdline_paddr, reserved;
};

struct hvm_memory {
	uint64_t addr, size;
	uint32_t type, reserved;
};

struct machine quire_machine;
struct boot_info boot_info;
static char cmdline[CMDLINE_MAX];
static _Atomic uint64_t
        asked_for[CMDLINE_MAX / 64]; /* a bit where a word begins that boot_param was asked for */

/* The page at 1 MB (header.h). */
__attribute__((section(".header"), aligned(4096))) struct quire_header quire_header = {
        .magic = QUIRE_HEADER_MAGIC,
        .version = QUIRE_HEADER_VERSION,
        .header_size = sizeof(struct quire_header),
        .nr_counters = NR_COUNTERS,
        .nr_events = NR_EVENTS,
};

/* --- command line ---------------------------------------------------------------------------------- */

int64_t boot_param(const char *key, char *buf, size_t size)
{
	const char *value;
	size_t len, at;
	const char *word = find_word(cmdline, key, &value, &len);

	if (!word)
		return -ENOENT;
	at = (size_t)(word - cmdline);
	atomic_fetch_or(&asked_for[at / 64], 1ull << at % 64);
	return word_value(cmdline, key, buf, size);
}

const char *boot_unknown_word(unsigned *index)
{
	static const char device[] =
	        "virtio_mmio.device="; /* of the driver, which looks for itself */

	*index = 0;
	for (const char *s = cmdline; *s; (*index)++) {
		size_t at = s - cmdline;

		if (!(atomic_load(&asked_for[at / 64]) >> at % 64 & 1) &&
		    strncmp(s, device, sizeof(device) - 1))
			return s;
		s += strcspn(s, " ");
		s += strspn(s, " ");
	}
	return NULL;
}

uint64_t boot_param_u64(const char *key, uint64_t fallback)
{
	char text[24];
	int64_t len = boot_param(key, text, sizeof(text));
	uint64_t value;
	const char *end;

	if (len <= 0 || len >= (int64_t)sizeof(text))
		return fallback;
	if (parse_u64(text, 0, &end, &value) || *end) {
		port_log("boot: %s=%s is not a number: ignored", key, text);
		return fallback;
	}
	return value;
}

/* --- memory ------------------------------------------------------------------------------------------ */

void boot_out_of_memory(uint64_t kib)
{
	port_log("boot: %lu KiB of memory is too little: %lu KiB would do",
	         boot_info.ram_bytes >> 10, kib);
	quire_header.exit_kind = QUIRE_EXIT_MEMORY;
	quire_header.exit_code = (int32_t)kib;
	atomic_store(&quire_header.state, QUIRE_DONE);
	arch_exit(0x10);
}

static void reserve(uint64_t start, uint64_t end)
{
	if (end > start && memblock_reserve(PHYS(start), end - start))
		port_panic("boot: more reserved ranges than %d", MEMBLOCK_MAX);
}

/* trace=0xPADDR,SIZE: the rings' memory, which the kernel otherwise leaves alone. */
static void reserve_trace(void)
{
	char text[48];
	uint64_t start, size;
	const char *end;

	if (boot_param("trace", text, sizeof(text)) < 0)
		return;
	if (parse_u64(text, 0, &end, &start) || *end != ',' || parse_u64(end + 1, 0, &end, &size) ||
	    *end)
		port_log("boot: trace=%s is not ADDRESS,SIZE: ignored", text);
	else
		reserve(start, start + size);
}

static void log_identity(const struct hvm_memory *map, uint32_t entries)
{
	port_log("boot: Quire, image %#lx-%#lx, archive %#lx-%#lx", boot_info.kernel_start.a,
	         boot_info.kernel_end.a, boot_info.initrd_start.a, boot_info.initrd_end.a);
	port_log("boot: command line: %.200s", cmdline);
	port_log("boot: CPU: %s: NX WP%s%s%s%s", x86.brand, x86.smep ? " SMEP" : "",
	         x86.smap ? " SMAP" : "", x86.umip ? " UMIP" : "", x86.xcr0 ? " XSAVE" : "");
	for (uint32_t i = 0; i < entries; i++)
		if (map[i].size)
			port_log("boot: memory %#lx-%#lx %s", map[i].addr,
			         map[i].addr + map[i].size,
			         map[i].type == E820_RAM ? "RAM" : "reserved");
}

static void add_memory(const struct hvm_memory *map, uint32_t entries)
{
	for (uint32_t i = 0; i < entries; i++) {
		uint64_t start = PAGE_ALIGN(map[i].addr);
		uint64_t end = (map[i].addr + map[i].size) & PAGE_MASK;

		if (map[i].type != E820_RAM || end <= start)
			continue;
		if (memblock_add(PHYS(start), end - start))
			port_log("boot: more ranges of memory than %d: one is ignored",
			         MEMBLOCK_MAX);
		else
			boot_info.ram_bytes += end - start;
	}
}

static void reserve_memory(void)
{
	reserve(0, PAGE_SIZE);
	reserve(TRAMPOLINE_PAGE, TRAMPOLINE_PAGE + PAGE_SIZE);
	reserve(boot_info.kernel_start.a, boot_info.kernel_end.a);
	reserve(boot_info.initrd_start.a & PAGE_MASK, PAGE_ALIGN(boot_info.initrd_end.a));
	reserve_trace();
}

/* --- start ----------------------------------------------------------------------------------------- */

static void copy_boot_info(const struct hvm_start_info *info)
{
	boot_info.cmdline = cmdline;
	boot_info.rsdp = PHYS(info->rsdp_paddr);
	boot_info.kernel_start = image_to_phys(__image_start);
	boot_info.kernel_end = image_to_phys(__image_end);
	if (info->cmdline_paddr)
		strscpy(cmdline, phys_to_virt(PHYS(info->cmdline_paddr)), sizeof(cmdline));
	if (info->nr_modules) {
		const struct hvm_module *module = phys_to_virt(PHYS(info->modlist_paddr));

		boot_info.initrd_start = PHYS(module->paddr);
		boot_info.initrd_end = PHYS(module->paddr + module->size);
	}
}

/* stac and clac where the CPU knows them; the boot tables let text be written. See asm.h. */
static void patch_smap(void)
{
	extern struct {
		uint64_t where, opcode;
	} __smap_patch_start[], __smap_patch_end[];

	if (!x86.smap)
		return;
	for (__typeof__(&__smap_patch_start[0]) p = __smap_patch_start; p < __smap_patch_end; p++) {
		uint8_t *code = phys_to_virt(image_to_phys((void *)p->where));

		code[1] = 0x01;
		code[2] = (uint8_t)p->opcode;
	}
}

NORETURN void start_kernel(uint64_t start_info);

void start_kernel(uint64_t start_info)
{
	const struct hvm_start_info *info = phys_to_virt(PHYS(start_info));
	struct cpu *cpu = &boot_cpu_block.cpu;

	load_gs(cpu);
	init_cpu(&boot_cpu_block, 0);
	machine()->nr_cpus = 1;
	init_idt();
	load_cpu(cpu);
	detect_features();
	patch_smap();
	enable_features();
	copy_boot_info(info);
	time_init();
	serial_init();
	if (info->magic != PVH_MAGIC || info->version < 1 || !info->memmap_entries)
		port_panic("boot: the loader gave no memory map (PVH version 1 is needed)");
	log_init();
	log_identity(phys_to_virt(PHYS(info->memmap_paddr)), info->memmap_entries);
	add_memory(phys_to_virt(PHYS(info->memmap_paddr)), info->memmap_entries);
	reserve_memory();
	paging_init();
	apic_init();
	kernel_main();
}
