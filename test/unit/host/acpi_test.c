/*
 * acpi_test.c - ACPI tables made by hand, and nodes from them.
 *
 * Tables lie in memory of exactly their length, so that the address sanitizer sees a step too far. "Physical memory" is a
 * small array at FIRMWARE.
 */
#include "host/internal.h"
#include "lib/acpi.h"
#include "lib/string.h"
#include "mm/frame/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/errno.h>
#include <stdlib.h>

#define MB       (1ull << 20)
#define GB       (1ull << 30)
#define FIRMWARE 0xe0000ull

struct table {
	uint8_t b[2048];
	size_t len;
};

static void put(uint8_t *at, uint64_t value, unsigned n)
{
	for (; n--; value >>= 8)
		*at++ = (uint8_t)value;
}

static void seal(struct table *t)
{
	uint8_t sum = 0;

	put(t->b + 4, t->len, 4);
	t->b[9] = 0;
	for (size_t i = 0; i < t->len; i++)
		sum = (uint8_t)(sum + t->b[i]);
	t->b[9] = (uint8_t)-sum;
}

static void begin(struct table *t, const char *signature, unsigned revision, size_t len)
{
	*t = (struct table){.len = len};
	memcpy(t->b, signature, 4);
	t->b[8] = (uint8_t)revision;
	seal(t);
}

static uint8_t *entry(struct table *t, unsigned type, unsigned size)
{
	uint8_t *e = t->b + t->len;

	t->len += size;
	e[0] = (uint8_t)type;
	e[1] = (uint8_t)size;
	return e;
}

static void srat(struct table *t)
{
	begin(t, "SRAT", 3, 48);
}

static void cpu(struct table *t, unsigned apic_id, unsigned domain)
{
	uint8_t *e = entry(t, 0, 16);

	e[2] = (uint8_t)domain;
	e[3] = (uint8_t)apic_id;
	e[4] = 1;
	put(e + 9, domain >> 8, 3);
	seal(t);
}

static void x2apic(struct table *t, unsigned apic_id, unsigned domain)
{
	uint8_t *e = entry(t, 2, 24);

	put(e + 4, domain, 4);
	put(e + 8, apic_id, 4);
	e[12] = 1;
	seal(t);
}

#define ENABLED 1u
#define HOTPLUG 2u

static void memory(struct table *t, uint64_t start, uint64_t end, unsigned domain, unsigned flags)
{
	uint8_t *e = entry(t, 1, 40);

	put(e + 2, domain, 4);
	put(e + 8, start, 8);
	put(e + 16, end - start, 8);
	put(e + 28, flags, 4);
	seal(t);
}

static void slit(struct table *t, unsigned n, const uint8_t *distance)
{
	begin(t, "SLIT", 1, 44 + n * n);
	put(t->b + 36, n, 8);
	memcpy(t->b + 44, distance, n * n);
	seal(t);
}

/* In memory of its own, of just that length; the caller frees it. */
static uint8_t *exact(const struct table *t)
{
	uint8_t *copy = malloc(t->len);

	memcpy(copy, t->b, t->len);
	return copy;
}

static const char *parse_srat(const struct table *t, struct acpi_numa *numa)
{
	uint8_t *copy = exact(t);
	const char *bad = acpi_parse_srat(copy, t->len, numa);

	free(copy);
	return bad;
}

/* --- parsing ------------------------------------------------------------------------------------ */

UNIT_TEST(srat_entries)
{
	struct acpi_numa numa;
	struct table t;

	srat(&t);
	cpu(&t, 0, 0);
	cpu(&t, 1, 0x12345678);
	x2apic(&t, 300, 7);
	memory(&t, 0, 640 << 10, 0, ENABLED);
	memory(&t, 1 * MB, 1 * GB, 0, ENABLED);
	memory(&t, 1 * GB, 1 * GB, 0, ENABLED); /* empty */
	memory(&t, 4 * GB, 5 * GB, 1, 0);       /* not enabled */
	memory(&t, 8 * GB, 9 * GB, 1, ENABLED | HOTPLUG);
	entry(&t, 3, 20); /* GICC affinity: of other machines */
	seal(&t);
	CHECK_STR(parse_srat(&t, &numa), NULL);
	CHECK_EQ(numa.nr_cpus, 3);
	CHECK_EQ(numa.cpu[1].apic_id, 1);
	CHECK_EQ(numa.cpu[1].domain, 0x12345678);
	CHECK_EQ(numa.cpu[2].apic_id, 300);
	CHECK_EQ(numa.cpu[2].domain, 7);
	CHECK_EQ(numa.nr_ranges, 3);
	CHECK_EQ(numa.range[1].start, 1 * MB);
	CHECK_EQ(numa.range[1].end, 1 * GB);
	CHECK_EQ(numa.range[2].domain, 1);

	t.b[8] = 1; /* a revision in which domains have 8 bits */
	seal(&t);
	CHECK_STR(parse_srat(&t, &numa), NULL);
	CHECK_EQ(numa.cpu[1].domain, 0x78);
}

UNIT_TEST(bad_srats)
{
	struct acpi_numa numa;
	struct table t;

	srat(&t);
	cpu(&t, 0, 0);
	t.b[9]++;
	CHECK_STR(parse_srat(&t, &numa), "its checksum is wrong");
	t.len -= 1;
	CHECK_STR(parse_srat(&t, &numa), "its length is wrong");
	begin(&t, "SRAT", 3, 40);
	CHECK_STR(parse_srat(&t, &numa), "its length is wrong");
	begin(&t, "SLIT", 3, 48);
	CHECK_STR(parse_srat(&t, &numa), "its signature is wrong");
	srat(&t);
	memory(&t, UINT64_MAX - 100, 50, 0, ENABLED);
	CHECK_STR(parse_srat(&t, &numa), "a range of memory that wraps");
	srat(&t);
	cpu(&t, 0, 0);
	t.len -= 1; /* the last entry is cut */
	seal(&t);
	CHECK_STR(parse_srat(&t, &numa), "an entry has a wrong length");
	srat(&t);
	entry(&t, 0, 12);
	seal(&t);
	CHECK_STR(parse_srat(&t, &numa), "an entry is too short");
	srat(&t);
	entry(&t, 9, 0); /* would never end */
	t.len += 2;
	seal(&t);
	CHECK_STR(parse_srat(&t, &numa), "an entry has a wrong length");
	srat(&t);
	t.len++; /* a length of its own it has not */
	seal(&t);
	CHECK_STR(parse_srat(&t, &numa), "an entry has a wrong length");
}

static const char *parse_slit(const struct table *t, struct acpi_numa *numa)
{
	uint8_t *copy = exact(t);
	const char *bad = acpi_parse_slit(copy, t->len, numa);

	free(copy);
	return bad;
}

UNIT_TEST(slits)
{
	static const uint8_t good[] = {10, 31, 42, 10}, near[] = {10, 10, 21, 10},
	                     far[] = {10, 21, 21, 11};
	struct acpi_numa numa = {0};
	struct table t;

	slit(&t, 2, good);
	CHECK_STR(acpi_parse_slit(t.b, t.len, &numa), NULL);
	CHECK_EQ(numa.localities, 2);
	CHECK_EQ(numa.distance[2], 42);
	numa.localities = 0;
	slit(&t, 2, near);
	CHECK_STR(parse_slit(&t, &numa), "a distance is impossible");
	slit(&t, 2, far);
	CHECK_STR(parse_slit(&t, &numa), "a distance is impossible");
	slit(&t, 2, good);
	put(t.b + 36, 3, 8);
	seal(&t);
	CHECK_STR(parse_slit(&t, &numa), "it has no room for its distances");
	put(t.b + 36, 0x100000001, 8); /* squared: 1 in the low half */
	seal(&t);
	CHECK_STR(parse_slit(&t, &numa), "it has no room for its distances");
	CHECK_EQ(numa.localities, 0);
}

/* --- the way to a table ----------------------------------------------------------------------------- */

static uint8_t firmware[0x1000];

static unsigned reads;

static bool read_firmware(void *ctx UNUSED, uint64_t addr, void *to, size_t n)
{
	reads++;
	if (addr < FIRMWARE || addr - FIRMWARE > sizeof(firmware) ||
	    n > sizeof(firmware) - (addr - FIRMWARE))
		return false;
	memcpy(to, firmware + (addr - FIRMWARE), n);
	return true;
}

static const struct acpi_memory memory_of_firmware = {read_firmware, NULL};

static void sum_rsdp(void)
{
	uint8_t sum = 0;

	firmware[8] = firmware[32] = 0;
	for (unsigned i = 0; i < 20; i++)
		sum = (uint8_t)(sum + firmware[i]);
	firmware[8] = (uint8_t)-sum;
	sum = 0;
	for (unsigned i = 0; i < 36; i++)
		sum = (uint8_t)(sum + firmware[i]);
	firmware[32] = (uint8_t)-sum;
}

/* RSDP at 0, root table at 0x100 with an entry that leads nowhere, one for each table. */
static void load(unsigned entry_size, const struct table *a, const struct table *b)
{
	struct table root;

	begin(&root, entry_size == 8 ? "XSDT" : "RSDT", 1, 36);
	put(root.b + 36, 0x12345, entry_size);
	put(root.b + 36 + entry_size, FIRMWARE + 0x400, entry_size);
	put(root.b + 36 + 2 * entry_size, FIRMWARE + 0x800, entry_size);
	root.len += 3 * entry_size;
	seal(&root);
	memset(firmware, 0, sizeof(firmware));
	memcpy(firmware, "RSD PTR ", 8);
	firmware[15] = entry_size == 8 ? 2 : 0;
	put(firmware + 16, entry_size == 8 ? 0 : FIRMWARE + 0x100, 4);
	put(firmware + 20, 36, 4);
	put(firmware + 24, FIRMWARE + 0x100, 8);
	sum_rsdp();
	memcpy(firmware + 0x100, root.b, root.len);
	memcpy(firmware + 0x400, a->b, a->len);
	memcpy(firmware + 0x800, b->b, b->len);
}

static void two_tables(struct table *s, struct table *d)
{
	static const uint8_t distance[] = {10, 31, 31, 10};

	srat(s);
	cpu(s, 0, 0);
	cpu(s, 1, 1);
	memory(s, 0, 48 * MB, 0, ENABLED);
	memory(s, 48 * MB, 128 * MB, 1, ENABLED);
	slit(d, 2, distance);
}

UNIT_TEST(tables_are_found)
{
	struct table s, d;
	uint8_t buf[512];

	two_tables(&s, &d);
	for (unsigned size = 4; size <= 8; size += 4) {
		load(size, &s, &d);
		CHECK_EQ(acpi_find_table(&memory_of_firmware, FIRMWARE, "SLIT", buf, sizeof(buf)),
		         d.len);
		CHECK_EQ(memcmp(buf, d.b, d.len), 0);
		CHECK_EQ(acpi_find_table(&memory_of_firmware, FIRMWARE, "HMAT", buf, sizeof(buf)),
		         0);
		CHECK_EQ(acpi_find_table(&memory_of_firmware, FIRMWARE, "SRAT", buf, s.len - 1),
		         -ENOSPC);
		CHECK_EQ(acpi_find_table(&memory_of_firmware, FIRMWARE, "SRAT", buf, 8), -ENOSPC);
	}
}

/* How often memory is read in vain for a table, when the root table has this length. */
static unsigned reads_for_none(size_t len)
{
	struct table root = {.len = len};
	uint8_t buf[64];

	memcpy(root.b, firmware + 0x100, len);
	seal(&root);
	memcpy(firmware + 0x100, root.b, len);
	reads = 0;
	return acpi_find_table(&memory_of_firmware, FIRMWARE, "HMAT", buf, sizeof(buf)) ? 0 : reads;
}

/* What is left of the last entry is no address: nothing is read there. */
UNIT_TEST(cut_entries)
{
	struct table s, d;

	two_tables(&s, &d);
	for (unsigned size = 4; size <= 8; size += 4) {
		unsigned two, three;

		load(size, &s, &d);
		three = reads_for_none(36 + 3 * size);
		for (unsigned cut = 1; cut < size; cut++)
			CHECK_EQ(reads_for_none(36 + 3 * size - cut), three - 1);
		two = reads_for_none(36 + 2 * size);
		CHECK_GT(two, 0);
		CHECK_EQ(two, three - 1);
	}
}

UNIT_TEST(damaged_ways)
{
	struct table s, d;
	uint8_t buf[512];

	two_tables(&s, &d);
	load(8, &s, &d);
	CHECK_EQ(acpi_find_table(&memory_of_firmware, FIRMWARE + 16, "SLIT", buf, sizeof(buf)),
	         -EINVAL);
	CHECK_EQ(acpi_find_table(&memory_of_firmware, 0, "SLIT", buf, sizeof(buf)), -EINVAL);
	firmware[0x800 + 44]++; /* the table's checksum */
	CHECK_EQ(acpi_find_table(&memory_of_firmware, FIRMWARE, "SLIT", buf, sizeof(buf)), -EINVAL);
	firmware[0x100 + 10]++; /* the root's */
	CHECK_EQ(acpi_find_table(&memory_of_firmware, FIRMWARE, "SRAT", buf, sizeof(buf)), -EINVAL);
	load(8, &s, &d);
	put(firmware + 0x400 + 4, 0x2000, 4); /* longer than there is memory */
	CHECK_EQ(acpi_find_table(&memory_of_firmware, FIRMWARE, "SRAT", buf, sizeof(buf)), -ENOSPC);
	load(8, &s, &d);
	firmware[16]++; /* the RSDP's */
	CHECK_EQ(acpi_find_table(&memory_of_firmware, FIRMWARE, "SRAT", buf, sizeof(buf)), -EINVAL);
}

/* --- nodes ------------------------------------------------------------------------------------------ */

/* On a machine with that memory: what becomes of the table. */
static const char *nodes_of(const struct host_config *shape, const struct table *t,
                            const struct table *distances, struct frame_config *c,
                            uint8_t apic_node[])
{
	struct acpi_numa numa;
	const char *bad = parse_srat(t, &numa);

	if (!bad && distances)
		bad = acpi_parse_slit(distances->b, distances->len, &numa);
	if (!own_enter(shape))
		bad = "no machine";
	if (!bad)
		bad = numa_from_acpi(&numa, c, apic_node);
	own_leave();
	return bad;
}

static const struct host_config flat = {.ram = 128 * MB, .cpus = 4};

UNIT_TEST(nodes_of_two_sizes)
{
	struct frame_config c = {0};
	uint8_t apic_node[NUMA_APIC_IDS];
	struct table s, d;

	two_tables(&s, &d);
	CHECK_STR(nodes_of(&flat, &s, &d, &c, apic_node), NULL);
	CHECK_EQ(c.nr_nodes, 2);
	CHECK_EQ(c.node_start[0], 0);
	CHECK_EQ(c.node_start[1], 48 * MB);
	CHECK_EQ(c.node_distance[0][1], 31);
	CHECK_EQ(c.node_distance[1][1], 10);
	CHECK_EQ(apic_node[1], 1);
	CHECK_EQ(apic_node[7], 0); /* no entry */
	CHECK(c.cpu_node_set);
}

UNIT_TEST(domains_may_have_any_number_and_order)
{
	static const uint8_t distance[] = {10, 21, 22, 23, 10, 24, 25, 26, 10};
	struct frame_config c = {0};
	uint8_t apic_node[NUMA_APIC_IDS];
	struct table s, d;

	srat(&s);
	memory(&s, 64 * MB, 1 * GB, 1, ENABLED); /* more than there is */
	memory(&s, 0, 64 * MB, 2, ENABLED);
	cpu(&s, 0, 1);
	x2apic(&s, 1, 2);
	x2apic(&s, 1000, 2);
	slit(&d, 3, distance);
	CHECK_STR(nodes_of(&flat, &s, &d, &c, apic_node), NULL);
	CHECK_EQ(c.nr_nodes, 2);
	CHECK_EQ(c.node_start[1], 64 * MB);
	CHECK_EQ(apic_node[0], 1);
	CHECK_EQ(apic_node[1], 0);
	CHECK_EQ(c.node_distance[0][1], 26); /* from domain 2 to 1 */
	CHECK_EQ(c.node_distance[1][0], 24);
}

/* Hot-pluggable memory that is there counts, and places for more do not; nor do the SLIT's unknown domains. */
UNIT_TEST(places_for_memory_are_no_memory)
{
	struct frame_config c = {0};
	uint8_t apic_node[NUMA_APIC_IDS];
	struct table s, d;

	two_tables(&s, &d);
	s.b[48 + 32 + 40 + 28] |= HOTPLUG;
	for (unsigned domain = 2; domain < 8; domain++)
		memory(&s, domain * GB, (domain + 1) * GB, domain, ENABLED | HOTPLUG);
	CHECK_STR(nodes_of(&flat, &s, &d, &c, apic_node), NULL);
	CHECK_EQ(c.nr_nodes, 2);
	cpu(&s, 2, 7);
	CHECK_STR(nodes_of(&flat, &s, &d, &c, apic_node), NULL);
	CHECK_EQ(c.nr_nodes, 3);
	CHECK_EQ(apic_node[2], 2);
	CHECK_EQ(c.node_distance[0][2], 0);
	CHECK_EQ(c.node_distance[0][1], 31);
}

UNIT_TEST(tables_that_do_not_fit_the_machine)
{
	struct frame_config c = {.nr_nodes = 9};
	uint8_t apic_node[NUMA_APIC_IDS];
	struct table t;

	srat(&t);
	cpu(&t, 0, 0);
	CHECK_STR(nodes_of(&flat, &t, NULL, &c, apic_node), "it leaves memory without a domain");
	memory(&t, 0, 126 * MB, 0, ENABLED);
	CHECK_STR(nodes_of(&flat, &t, NULL, &c, apic_node), "it leaves memory without a domain");
	memory(&t, 126 * MB, 127 * MB, 0, ENABLED);
	CHECK_STR(nodes_of(&flat, &t, NULL, &c, apic_node), NULL);
	c.nr_nodes = 9;
	memory(&t, 64 * MB, 65 * MB, 1, ENABLED);
	CHECK_STR(nodes_of(&flat, &t, NULL, &c, apic_node), "two domains claim the same memory");
	srat(&t);
	for (unsigned i = 0; i < 4; i++)
		memory(&t, i * 32 * MB, (i + 1) * 32 * MB, i % 2, ENABLED);
	CHECK_STR(nodes_of(&flat, &t, NULL, &c, apic_node), "the memory of two domains alternates");
	srat(&t);
	for (unsigned i = 0; i < 8; i++)
		memory(&t, i * 16 * MB, (i + 1) * 16 * MB, i, ENABLED);
	CHECK_STR(nodes_of(&flat, &t, NULL, &c, apic_node),
	          "there are more domains than nodes can be");
	CHECK_EQ(c.nr_nodes, 9);
}

/* --- nodes without memory ----------------------------------------------------------------------------- */

static void use_memory(unsigned nid)
{
	struct page *page = alloc_page(GFP_KERNEL), *near;

	CHECK(page);
	CHECK_EQ(page_to_nid(page), nid);
	__free_page(page);
	near = alloc_pages_node((int)numa_node_id(), GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN, 0);
	CHECK_EQ(near != NULL, nid == numa_node_id());
	if (near)
		__free_page(near);
}

static void check_node(unsigned nid, bool without)
{
	const struct pglist_data *node = &machine()->node[nid];

	CHECK_EQ(node->present >> (20 - PAGE_SHIFT), without ? 0 : 64);
	CHECK_LE(node->spanned ? node->start.n + node->spanned : 0, machine()->max_pfn);
}

/* Node without has a CPU and no memory, and of the others the memory at `nearest` is nearest. */
static void check_memoryless(unsigned without, unsigned nearest, uint64_t movablecore)
{
	static const uint8_t distance[] = {10, 20, 30, 20, 10, 21, 30, 21, 10};
	struct host_config shape = {.ram = 128 * MB + (64 << 10),
	                            .cpus = 3}; /* ends amid a block */
	uint8_t apic_node[NUMA_APIC_IDS];
	struct table s, d;
	uint64_t at = 0;

	srat(&s);
	for (unsigned i = 0; i < 3; i++) {
		cpu(&s, i, i);
		if (i != without)
			memory(&s, MAX(at, PAGE_SIZE), at + 64 * MB, i, ENABLED);
		at += i != without ? 64 * MB : 0;
	}
	slit(&d, 3, distance);
	CHECK_STR(nodes_of(&shape, &s, &d, &shape.frames, apic_node), NULL);
	CHECK_EQ(shape.frames.nr_nodes, 3);
	for (unsigned i = 0; i < 3; i++)
		shape.frames.cpu_node[i] = apic_node[i];
	shape.frames.movablecore = movablecore;
	CHECK(own_enter(&shape));
	for (unsigned i = 0; i < 3; i++) {
		CHECK_CALL(check_node(i, i == without));
		host_enter(own, i);
		CHECK_CALL(use_memory(i == without ? nearest : i));
	}
	CHECK_SOUND(mm_check());
	own_leave();
}

UNIT_TEST(a_node_may_have_no_memory)
{
	for (uint64_t movable = 0; movable <= 32 * MB; movable += 32 * MB) {
		CHECK_CALL(check_memoryless(0, 1, movable));
		CHECK_CALL(check_memoryless(1, 0, movable));
		CHECK_CALL(check_memoryless(2, 1, movable));
	}
}

/* --- anything ----------------------------------------------------------------------------------------- */

/* Change some bytes, or cut; sometimes with a right checksum, so that what lies behind it is reached. */
static void mutate(struct table *t)
{
	struct random *r = unit_random();

	for (uint64_t n = random_range(r, 1, 4); n--;)
		t->b[random_below(r, t->len)] = random_one_in(r, 2)
		                                        ? (uint8_t)random_u64(r)
		                                        : (uint8_t)(1u << random_below(r, 8));
	if (random_one_in(r, 4))
		t->len = random_range(r, 1, t->len);
	if (!random_one_in(r, 4) && t->len >= 36)
		seal(t);
}

/* Whatever the tables say, the answer is a reason or a machine that can be built. */
UNIT_TEST(random_damage)
{
	uint64_t rounds = unit_scale(20000), taken = 0;

	CHECK(own_enter(&flat));
	for (uint64_t i = 0; i < rounds; i++) {
		struct frame_config c = {0};
		uint8_t apic_node[NUMA_APIC_IDS], *distances;
		struct acpi_numa numa;
		struct table s, d;
		const char *bad;

		two_tables(&s, &d);
		mutate(&s);
		mutate(&d);
		bad = parse_srat(&s, &numa);
		distances = exact(&d);
		if (!bad)
			(void)acpi_parse_slit(distances, d.len, &numa);
		if (!bad && !numa_from_acpi(&numa, &c, apic_node)) {
			taken++;
			CHECK(c.nr_nodes >= 1 && c.nr_nodes <= MAX_NUMNODES);
			CHECK_EQ(c.node_start[0], 0);
			for (unsigned n = 1; n < c.nr_nodes; n++)
				CHECK_LE(c.node_start[n - 1], c.node_start[n]);
			for (unsigned id = 0; id < NUMA_APIC_IDS; id++)
				CHECK_LT(apic_node[id], c.nr_nodes);
		}
		free(distances);
	}
	CHECK_GT(taken, rounds / 100); /* not all die at the gate */
	own_leave();
}

UNIT_TEST(random_firmware)
{
	struct random *r = unit_random();
	uint8_t buf[512];
	uint64_t found = 0;

	for (uint64_t i = unit_scale(5000); i--;) {
		struct table s, d;
		int64_t len;

		two_tables(&s, &d);
		load(random_one_in(r, 2) ? 4 : 8, &s, &d);
		for (uint64_t n = random_below(r, 4); n--;)
			firmware[random_below(r, 0x100) + (random_one_in(r, 2) ? 0x100 : 0)] =
			        (uint8_t)random_u64(r);
		if (random_one_in(r, 2))
			sum_rsdp();
		len = acpi_find_table(&memory_of_firmware, FIRMWARE, "SRAT", buf, sizeof(buf));
		CHECK(len == (int64_t)s.len || len == 0 || len == -EINVAL || len == -ENOSPC);
		found += len > 0;
	}
	CHECK_GT(found, 0);
}
