/*
 * numa.c - nodes from what the firmware says.
 *
 *     SRAT    domain 0: 0-640K, 1M-48M      domain 1: 48M-128M      CPUs 0, 1: domain 0      CPU 2: domain 1
 *     nodes   | node 0                    | node 1              |
 *
 * A proximity domain with RAM or a CPU becomes a node. Here a node is one range of addresses, so node i has all from its
 * first RAM to the first RAM of the next; nodes are numbered as their domains are, or, where that is not the order of
 * their memory, by address, those without memory last. RAM of two domains in turns does not fit into that and is
 * refused; firmware that spreads addresses over domains makes one domain of them and says nothing.
 *
 * Ranges without RAM count for nothing: places for memory that may be plugged in, device memory, holes. RAM
 * that has no domain means that the table is not about this machine: as Linux does, more than 1 MB of it, and the
 * table is not used. A CPU without an entry is of node 0.
 */
#include "mm/frame/internal.h"

#include "lib/acpi.h"

#define UNCOVERED_MAX (1ull << 20)

struct domain {
	uint32_t number;
	uint64_t low, high; /* of its RAM; low UINT64_MAX: it has none */
};

struct domains {
	unsigned n;
	struct domain d[MAX_NUMNODES];
};

static struct domain *find_domain(struct domains *all, uint32_t number)
{
	for (unsigned i = 0; i < all->n; i++)
		if (all->d[i].number == number)
			return &all->d[i];
	return NULL;
}

/* NULL: there are too many. */
static struct domain *get_domain(struct domains *all, uint32_t number)
{
	struct domain *d = find_domain(all, number);

	if (d || all->n == MAX_NUMNODES)
		return d;
	all->d[all->n] = (struct domain){.number = number, .low = UINT64_MAX};
	return &all->d[all->n++];
}

/* --- the tables looked through -------------------------------------------------------------------- */

/* The part of [start, end) in the first range of RAM from *i on that has any. */
static bool next_ram(uint64_t start, uint64_t end, unsigned *i, uint64_t *low, uint64_t *high)
{
	const struct memblock *m = &machine()->memblock;

	for (; *i < m->nr_memory; ++*i) {
		*low = MAX(start, m->memory[*i].start);
		*high = MIN(end, m->memory[*i].end);
		if (*low < *high) {
			++*i;
			return true;
		}
	}
	return false;
}

static bool collect(const struct acpi_numa *acpi, struct domains *all)
{
	uint64_t low, high;

	for (unsigned r = 0; r < acpi->nr_ranges; r++)
		for (unsigned i = 0;
		     next_ram(acpi->range[r].start, acpi->range[r].end, &i, &low, &high);) {
			struct domain *d = get_domain(all, acpi->range[r].domain);

			if (!d)
				return false;
			d->low = MIN(d->low, low);
			d->high = MAX(d->high, high);
		}
	for (unsigned i = 0; i < acpi->nr_cpus; i++)
		if (!get_domain(all, acpi->cpu[i].domain))
			return false;
	return true;
}

static bool ranges_clash(const struct acpi_numa *acpi)
{
	for (unsigned i = 0; i < acpi->nr_ranges; i++)
		for (unsigned j = 0; j < i; j++)
			if (acpi->range[i].start < acpi->range[j].end &&
			    acpi->range[j].start < acpi->range[i].end &&
			    acpi->range[i].domain != acpi->range[j].domain)
				return true;
	return false;
}

/* The end of the RAM without domain that begins at addr, no further than end; addr: it has one. */
static uint64_t uncovered_end(const struct acpi_numa *acpi, uint64_t addr, uint64_t end,
                              uint64_t *covered)
{
	for (unsigned i = 0; i < acpi->nr_ranges; i++) {
		const struct acpi_numa_range *r = &acpi->range[i];

		if (r->start <= addr && addr < r->end) {
			*covered = r->end;
			return addr;
		}
		if (r->start > addr)
			end = MIN(end, r->start);
	}
	*covered = end;
	return end;
}

static uint64_t uncovered_ram(const struct acpi_numa *acpi)
{
	const struct memblock *m = &machine()->memblock;
	uint64_t bytes = 0, next;

	for (unsigned i = 0; i < m->nr_memory; i++)
		for (uint64_t at = m->memory[i].start; at < m->memory[i].end; at = next)
			bytes += uncovered_end(acpi, at, m->memory[i].end, &next) - at;
	return bytes;
}

/* --- their order ---------------------------------------------------------------------------------- */

static void sort_domains(struct domains *all, bool by_address)
{
	for (unsigned i = 1; i < all->n; i++) {
		struct domain d = all->d[i];
		unsigned j = i;

		for (; j &&
		       (by_address ? all->d[j - 1].low > d.low : all->d[j - 1].number > d.number);
		     j--)
			all->d[j] = all->d[j - 1];
		all->d[j] = d;
	}
}

static bool in_order(const struct domains *all)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < all->n; i++) {
		if (all->d[i].low == UINT64_MAX)
			continue;
		if (all->d[i].low < end)
			return false;
		end = all->d[i].high;
	}
	return true;
}

static bool order_domains(struct domains *all)
{
	sort_domains(all, false);
	if (in_order(all))
		return true;
	sort_domains(all, true);
	return in_order(all);
}

/* --- the answer ----------------------------------------------------------------------------------- */

/* A node without memory begins where the next one that has some does. */
static void set_starts(const struct domains *all, struct frame_config *c)
{
	uint64_t next = memblock_end();

	for (unsigned i = all->n; i-- > 0;) {
		next = MIN(next, all->d[i].low);
		c->node_start[i] = next;
	}
	c->node_start[0] = 0;
	for (unsigned i = 1; i < all->n && all->d[i - 1].low == UINT64_MAX; i++)
		c->node_start[i] = 0;
}

static void set_distances(const struct acpi_numa *acpi, const struct domains *all,
                          struct frame_config *c)
{
	for (unsigned i = 0; i < all->n; i++)
		for (unsigned j = 0; j < all->n; j++) {
			uint32_t from = all->d[i].number, to = all->d[j].number;

			c->node_distance[i][j] =
			        from < acpi->localities && to < acpi->localities
			                ? acpi->distance[from * acpi->localities + to]
			                : 0;
		}
}

static void set_cpus(const struct acpi_numa *acpi, struct domains *all, uint8_t apic_node[])
{
	for (unsigned i = 0; i < NUMA_APIC_IDS; i++)
		apic_node[i] = 0;
	for (unsigned i = 0; i < acpi->nr_cpus; i++)
		if (acpi->cpu[i].apic_id < NUMA_APIC_IDS)
			apic_node[acpi->cpu[i].apic_id] =
			        (uint8_t)(find_domain(all, acpi->cpu[i].domain) - all->d);
}

const char *numa_from_acpi(const struct acpi_numa *acpi, struct frame_config *c,
                           uint8_t apic_node[NUMA_APIC_IDS])
{
	struct domains all = {0};

	if (ranges_clash(acpi))
		return "two domains claim the same memory";
	if (!collect(acpi, &all))
		return "there are more domains than nodes can be";
	if (!all.n || uncovered_ram(acpi) > UNCOVERED_MAX)
		return "it leaves memory without a domain";
	if (!order_domains(&all))
		return "the memory of two domains alternates";
	c->nr_nodes = all.n;
	set_starts(&all, c);
	set_distances(acpi, &all, c);
	set_cpus(acpi, &all, apic_node);
	c->cpu_node_set = true;
	return NULL;
}
