/*
 * numa.c - the firmware's tables, and which CPU is of which node.
 *
 * The loader says where the tables begin (RSDP). They lie in memory that the map calls reserved, so the direct map does
 * not show them: they are read through one page of the fixmap that is moved over them, before anything can be
 * allocated, into a part of the image that is given back after the boot (boot.S).
 *
 * CPUs are numbered by the numbers of their local APICs (boot.S); a further CPU's node is known when it comes up.
 */
#include "arch/x86_64/internal.h"
#include "kernel/log.h"
#include "lib/acpi.h"
#include "lib/string.h"
#include <quire/frame.h>

/* boot.S */
extern struct {
	struct acpi_numa numa;
	uint8_t slit[NUMA_SLIT_SIZE], srat[NUMA_SRAT_SIZE];
} numa_tables;
static_assert(sizeof(numa_tables) <= NUMA_TABLES_SIZE, "boot.S has room");

static uint8_t apic_node[NUMA_APIC_IDS];

/* --- reading --------------------------------------------------------------------------------------- */

static uint64_t physical_end(void)
{
	uint32_t bits =
	        cpuid(0x80000000, 0).eax >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xff : 36;

	return 1ull << MIN(bits, 52u);
}

static bool read_firmware(void *ctx UNUSED, uint64_t addr, void *to, size_t n)
{
	if (addr + n < addr || addr + n > physical_end())
		return false;
	while (n) {
		size_t chunk = MIN(n, PAGE_SIZE - (addr & ~PAGE_MASK));

		memcpy(to, fixmap_show(addr), chunk);
		addr += chunk;
		to = (char *)to + chunk;
		n -= chunk;
	}
	fixmap_hide();
	return true;
}

static const struct acpi_memory firmware = {read_firmware, NULL};

/* Its length; 0: there is none that could be used. */
static size_t find_table(const char *signature, uint8_t *buf, size_t size)
{
	int64_t len = acpi_find_table(&firmware, boot_info.rsdp.a, signature, buf, size);

	if (len < 0)
		port_log("numa: %s: the firmware's table cannot be read (error %ld): ignored",
		         signature, (long)-len);
	return len < 0 ? 0 : (size_t)len;
}

static void read_distances(struct acpi_numa *numa)
{
	size_t len = find_table("SLIT", numa_tables.slit, sizeof(numa_tables.slit));
	const char *bad = len ? acpi_parse_slit(numa_tables.slit, len, numa) : NULL;

	if (bad)
		port_log("numa: SLIT: %s: ignored", bad);
}

static const char *read_nodes(size_t len, struct frame_config *c)
{
	const char *bad = acpi_parse_srat(numa_tables.srat, len, &numa_tables.numa);

	if (bad)
		return bad;
	read_distances(&numa_tables.numa);
	return numa_from_acpi(&numa_tables.numa, c, apic_node);
}

/* --- nodes ----------------------------------------------------------------------------------------- */

void arch_numa_config(struct frame_config *c)
{
	size_t len;
	const char *bad;

	if (!boot_info.rsdp.a)
		return;
	len = find_table("SRAT", numa_tables.srat, sizeof(numa_tables.srat));
	if (!len)
		return;
	bad = read_nodes(len, c);
	if (bad) {
		port_log("numa: SRAT: %s: ignored", bad);
		return;
	}
	port_log("numa: SRAT: %lu nodes", c->nr_nodes);
	for (unsigned nid = 0; nid < c->nr_nodes; nid++)
		port_log("numa: node %u from %#lx", nid, c->node_start[nid]);
	numa_cpu_up(this_cpu_ptr());
}

void numa_cpu_up(const struct cpu *cpu)
{
	if (cpu->apic_id < NUMA_APIC_IDS)
		machine()->config.cpu_node[cpu->id] = apic_node[cpu->apic_id];
}
