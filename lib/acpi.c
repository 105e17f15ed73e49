/*
 * acpi.c - see acpi.h.
 *
 *     RSDP --> XSDT (revision 2 and up), addresses of 8 bytes --> tables
 *          \-> RSDT, addresses of 4 bytes -----------------------^
 *
 * A table begins with 36 bytes: signature [0], length [4], revision [8], checksum [9], by which all bytes of the table add
 * up to 0. Fields may lie at any address and are little-endian: they are put together from bytes.
 */
#include "lib/acpi.h"

#include "lib/string.h"
#include <quire/errno.h>

#define HEADER_SIZE  36u
#define RSDP_SIZE    20u /* of revision 0; the checksum of the others covers the first 20 bytes too */
#define RSDP_SIZE_2  36u
#define ROOT_ENTRIES 256u /* that are looked at */

#define SRAT_ENTRIES 48u /* where they begin */
#define SLIT_MATRIX  44u

#define SRAT_CPU        0u
#define SRAT_MEMORY     1u
#define SRAT_X2APIC_CPU 2u
#define SRAT_ENABLED    1u

#define LOCAL_DISTANCE 10u

static uint64_t field(const uint8_t *p, unsigned n)
{
	uint64_t value = 0;

	while (n--)
		value = value << 8 | p[n];
	return value;
}

static uint32_t field32(const uint8_t *p)
{
	return (uint32_t)field(p, 4);
}

static bool sums_to_zero(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *p++);
	return sum == 0;
}

/* --- the way to a table ----------------------------------------------------------------------------- */

/* The root table's address and the size of its entries; 0: the RSDP is damaged. */
static uint64_t read_rsdp(const struct acpi_memory *m, uint64_t rsdp, unsigned *entry_size)
{
	uint8_t r[RSDP_SIZE_2];

	if (!m->read(m->ctx, rsdp, r, RSDP_SIZE) || memcmp(r, "RSD PTR ", 8) ||
	    !sums_to_zero(r, RSDP_SIZE))
		return 0;
	*entry_size = 4;
	if (r[15] >= 2 && m->read(m->ctx, rsdp, r, RSDP_SIZE_2) && sums_to_zero(r, RSDP_SIZE_2) &&
	    field(r + 24, 8)) {
		*entry_size = 8;
		return field(r + 24, 8);
	}
	return field(r + 16, 4);
}

static int64_t read_table(const struct acpi_memory *m, uint64_t addr, uint8_t *buf, size_t size)
{
	uint32_t len;

	if (!m->read(m->ctx, addr, buf, HEADER_SIZE))
		return -EINVAL;
	len = field32(buf + 4);
	if (len < HEADER_SIZE)
		return -EINVAL;
	if (len > size)
		return -ENOSPC;
	if (!m->read(m->ctx, addr, buf, len) || !sums_to_zero(buf, len))
		return -EINVAL;
	return len;
}

static bool has_signature(const struct acpi_memory *m, uint64_t addr, const char *signature)
{
	uint8_t s[4];

	return m->read(m->ctx, addr, s, sizeof(s)) && !memcmp(s, signature, sizeof(s));
}

int64_t acpi_find_table(const struct acpi_memory *m, uint64_t rsdp, const char *signature,
                        uint8_t *buf, size_t size)
{
	uint8_t root[HEADER_SIZE + 8 * ROOT_ENTRIES];
	unsigned entry_size;
	uint64_t addr = read_rsdp(m, rsdp, &entry_size);
	int64_t len = addr ? read_table(m, addr, root, sizeof(root)) : -EINVAL;

	if (len < 0)
		return len;
	if (memcmp(root, entry_size == 8 ? "XSDT" : "RSDT", 4))
		return -EINVAL;
	for (size_t at = HEADER_SIZE; at + entry_size <= (size_t)len; at += entry_size) {
		addr = field(root + at, entry_size);
		if (has_signature(m, addr, signature))
			return size < HEADER_SIZE ? -ENOSPC : read_table(m, addr, buf, size);
	}
	return 0;
}

/* --- SRAT ------------------------------------------------------------------------------------------- */

static const char *add_cpu(struct acpi_numa *numa, uint32_t apic_id, uint32_t domain)
{
	if (numa->nr_cpus == ACPI_NUMA_CPUS)
		return "more processors than can be kept";
	numa->cpu[numa->nr_cpus].apic_id = apic_id;
	numa->cpu[numa->nr_cpus++].domain = domain;
	return NULL;
}

/* Before revision 2 a domain has 8 bits, and the others are anything. */
static const char *cpu_entry(const uint8_t *e, unsigned revision, struct acpi_numa *numa)
{
	uint32_t domain = e[2];

	if (!(e[4] & SRAT_ENABLED))
		return NULL;
	if (revision >= 2)
		domain |= (uint32_t)field(e + 9, 3) << 8;
	return add_cpu(numa, e[3], domain);
}

static const char *x2apic_entry(const uint8_t *e, struct acpi_numa *numa)
{
	return e[12] & SRAT_ENABLED ? add_cpu(numa, field32(e + 8), field32(e + 4)) : NULL;
}

static const char *memory_entry(const uint8_t *e, unsigned revision, struct acpi_numa *numa)
{
	uint64_t start = field(e + 8, 8), size = field(e + 16, 8);
	uint32_t domain = field32(e + 2);

	if (!(e[28] & SRAT_ENABLED) || !size)
		return NULL;
	if (start + size < start)
		return "a range of memory that wraps";
	if (numa->nr_ranges == ACPI_NUMA_RANGES)
		return "more ranges of memory than can be kept";
	numa->range[numa->nr_ranges++] = (struct acpi_numa_range){
	        start, start + size, revision >= 2 ? domain : domain & 0xff};
	return NULL;
}

static const char *srat_entry(const uint8_t *e, unsigned revision, struct acpi_numa *numa)
{
	static const uint8_t sizes[] = {
	        [SRAT_CPU] = 16, [SRAT_MEMORY] = 40, [SRAT_X2APIC_CPU] = 24};

	if (e[0] < sizeof(sizes) && e[1] < sizes[e[0]])
		return "an entry is too short";
	if (e[0] == SRAT_CPU)
		return cpu_entry(e, revision, numa);
	if (e[0] == SRAT_MEMORY)
		return memory_entry(e, revision, numa);
	return e[0] == SRAT_X2APIC_CPU ? x2apic_entry(e, numa) : NULL; /* others: not for us */
}

static const char *check_table(const uint8_t *table, size_t len, const char *signature, size_t min)
{
	if (len < min || field32(table + 4) != len)
		return "its length is wrong";
	if (memcmp(table, signature, 4))
		return "its signature is wrong";
	return sums_to_zero(table, len) ? NULL : "its checksum is wrong";
}

const char *acpi_parse_srat(const uint8_t *table, size_t len, struct acpi_numa *numa)
{
	const char *bad = check_table(table, len, "SRAT", SRAT_ENTRIES);

	numa->nr_cpus = numa->nr_ranges = 0;
	numa->localities = 0;
	for (size_t at = SRAT_ENTRIES; !bad && at < len; at += table[at + 1]) {
		if (len - at < 2 || table[at + 1] < 2 || table[at + 1] > len - at)
			return "an entry has a wrong length";
		bad = srat_entry(table + at, table[8], numa);
	}
	return bad;
}

/* --- SLIT ------------------------------------------------------------------------------------------- */

const char *acpi_parse_slit(const uint8_t *table, size_t len, struct acpi_numa *numa)
{
	const char *bad = check_table(table, len, "SLIT", SLIT_MATRIX);
	const uint8_t *matrix = table + SLIT_MATRIX;
	uint64_t n;

	if (bad)
		return bad;
	n = field(table + HEADER_SIZE, 8);
	if (!n || n > 0xffff || n * n > len - SLIT_MATRIX)
		return "it has no room for its distances";
	for (uint64_t i = 0; i < n * n; i++) {
		bool self = i / n == i % n;

		if (self ? matrix[i] != LOCAL_DISTANCE : matrix[i] <= LOCAL_DISTANCE)
			return "a distance is impossible";
	}
	numa->localities = (uint32_t)n;
	numa->distance = matrix;
	return NULL;
}
