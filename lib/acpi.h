/*
 * acpi.h - what the firmware's ACPI tables say of the shape of the machine (ACPI 6.4): which memory and which CPUs are near
 * each other (SRAT, 5.2.16), and how far apart those groups, "proximity domains", are (SLIT, 5.2.17).
 *
 * Whoever wrote the tables is not trusted: every length and checksum is looked at before what it covers is.
 */
#ifndef LIB_ACPI_H
#define LIB_ACPI_H

#include <quire/types.h>

/* n bytes of physical memory at addr to `to`. False: there is none. */
struct acpi_memory {
	bool (*read)(void *ctx, uint64_t addr, void *to, size_t n);
	void *ctx;
};

/*
 * The table with that signature ("SRAT") among those that the RSDP at rsdp leads to, copied to buf. Returns its length; 0:
 * there is none; -EINVAL: it, or what leads to it, is damaged; -ENOSPC: it is longer than size.
 */
int64_t acpi_find_table(const struct acpi_memory *m, uint64_t rsdp, const char *signature,
                        uint8_t *buf, size_t size);

#define ACPI_NUMA_RANGES 64
#define ACPI_NUMA_CPUS   256

struct acpi_numa {
	unsigned nr_ranges, nr_cpus;
	struct acpi_numa_range {
		uint64_t start, end; /* bytes, not empty */
		uint32_t domain;
	} range[ACPI_NUMA_RANGES];
	struct {
		uint32_t apic_id, domain;
	} cpu[ACPI_NUMA_CPUS];
	uint32_t localities;     /* domains that the SLIT knows; 0: there is none */
	const uint8_t *distance; /* [from * localities + to], in the SLIT */
};

/*
 * An SRAT's enabled entries, of processors and of memory, hot-pluggable memory included. NULL, or what is
 * wrong with it.
 */
const char *acpi_parse_srat(const uint8_t *table, size_t len, struct acpi_numa *numa);

/* A SLIT's distances: numa->distance points into the table. NULL, or what is wrong: numa is as it was. */
const char *acpi_parse_slit(const uint8_t *table, size_t len, struct acpi_numa *numa);

#endif
