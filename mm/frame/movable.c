/*
 * movable.c - how much of each node becomes ZONE_MOVABLE.
 *
 * Memory that only movable pages may use can be emptied: for large blocks, or to be taken out of the machine. The boot
 * words (Linux: Documentation/admin-guide/kernel-parameters) say how much:
 *
 *     kernelcore=N    at least N for everybody, the rest movable
 *     movablecore=N   N movable, the rest for everybody; with both, the larger share for everybody wins
 *
 * What is for everybody is spread evenly over the nodes. Only the highest kind of zone gives frames away, for the
 * lower ones are there for who cannot do with any other; a node that has less than its part leaves the rest
 * to the others, in another round. The boundary is a multiple of the largest block.
 */
#include "mm/frame/internal.h"

#include "lib/string.h"

#define BLOCK_PAGES (1ull << (MAX_ORDER - 1))

bool parse_core_size(const char *text, uint64_t *bytes, unsigned *percent)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	uint64_t n;

	if (parse_u64(text, 0, &end, &n))
		return false;
	if (*end == '%' && !end[1] && n <= 100) {
		*percent = (unsigned)n;
		return true;
	}
	if (*end) {
		unit = strchr(units, *end & ~0x20);
		if (!unit || end[1] || n > UINT64_MAX >> 10 * (unit - units + 1))
			return false;
		n <<= 10 * (unit - units + 1);
	}
	*bytes = n;
	return true;
}

static uint64_t pages_wanted(uint64_t bytes, unsigned percent, uint64_t total)
{
	return percent ? total * percent / 100 : bytes >> PAGE_SHIFT;
}

/* Pages that must stay for everybody; 0: no zone was asked for, or none can be made: Linux does without it, too. */
static uint64_t required_kernelcore(uint64_t total)
{
	const struct frame_config *c = &machine()->config;
	uint64_t kernel = pages_wanted(c->kernelcore, c->kernelcore_percent, total);
	uint64_t movable = pages_wanted(c->movablecore, c->movablecore_percent, total);
	const bool asked =
	        c->kernelcore || c->movablecore || c->kernelcore_percent || c->movablecore_percent;

	if (movable) {
		movable = MIN(ALIGN_UP(movable, BLOCK_PAGES), total);
		kernel = MAX(kernel, total - movable);
	}
	if (asked && (!kernel || kernel >= total))
		port_log("boot: kernelcore, movablecore: nothing would be left %s: ignored",
		         kernel ? "to be movable" : "for the kernel");
	return kernel < total ? kernel : 0;
}

/*
 * At least `part` more pages of the node for everybody, from movable[nid] on, where the round before ended: all below
 * usable_start, which cannot be movable, and then as many as are missing. Returns how many, fewer if there are no more.
 */
static uint64_t take_part(unsigned nid, uint64_t usable_start, uint64_t part, uint64_t movable[])
{
	const struct memblock *m = &machine()->memblock;
	const struct pglist_data *node = &machine()->node[nid];
	uint64_t taken = 0;

	for (unsigned i = 0; i < m->nr_memory && taken < part; i++) {
		uint64_t start = MAX(m->memory[i].start >> PAGE_SHIFT, node->start.n);
		uint64_t end = MIN(m->memory[i].end >> PAGE_SHIFT, node->start.n + node->spanned);
		uint64_t n = 0;

		start = MAX(start, movable[nid]);
		if (start >= end)
			continue;
		if (start < usable_start)
			n = MIN(end, usable_start) - start;
		if (taken + n < part)
			n += MIN(end - start - n, part - taken - n);
		taken += n;
		movable[nid] = start + n;
	}
	return taken;
}

void find_movable_zones(uint64_t total, uint64_t usable_start, uint64_t movable[])
{
	uint64_t required = required_kernelcore(total);
	unsigned nodes = machine()->nr_nodes;

	for (unsigned nid = 0; nid < nodes; nid++)
		movable[nid] = 0;
	if (!required)
		return;
	for (unsigned usable = nodes; usable && required >= usable;) {
		uint64_t part = required / usable;

		usable = 0;
		for (unsigned nid = 0; nid < nodes; nid++) {
			uint64_t had = take_part(nid, usable_start, part, movable);

			required -= MIN(had, required);
			usable += had >= part;
		}
	}
	for (unsigned nid = 0; nid < nodes; nid++)
		movable[nid] = ALIGN_UP(MAX(movable[nid], usable_start), BLOCK_PAGES);
}
