/*
 * memblock.c - what memory there is, before there is an allocator.
 *
 * Two sorted arrays of ranges: RAM, as the boot loader told it, and what of it is taken. Free is the
 * difference. Ranges in an array never touch: neighbours merge.
 */
#include "mm/frame/internal.h"

#include <quire/errno.h>

#define MEMBLOCK_LOWEST \
	0x100000ull /* memblock_alloc leaves the first MB to firmware and start-up code */

/* Take in [start, end): everything that touches it becomes one range. */
static int insert_range(struct memblock_range *r, unsigned *nr, uint64_t start, uint64_t end)
{
	unsigned first = 0, last;

	if (end < start)
		return -EINVAL;
	while (first < *nr && r[first].end < start)
		first++;
	for (last = first; last < *nr && r[last].start <= end; last++) {
		start = MIN(start, r[last].start);
		end = MAX(end, r[last].end);
	}
	if (last == first) {
		if (*nr == MEMBLOCK_MAX)
			return -ENOSPC;
		for (unsigned i = *nr; i > first; i--)
			r[i] = r[i - 1];
		++*nr;
	} else {
		for (unsigned i = last; i < *nr; i++)
			r[first + 1 + i - last] = r[i];
		*nr -= last - first - 1;
	}
	r[first] = (struct memblock_range){start, end};
	return 0;
}

int memblock_add(phys_t start, uint64_t size)
{
	struct memblock *m = &machine()->memblock;

	return size ? insert_range(m->memory, &m->nr_memory, start.a, start.a + size) : 0;
}

int memblock_reserve(phys_t start, uint64_t size)
{
	struct memblock *m = &machine()->memblock;

	return size ? insert_range(m->reserved, &m->nr_reserved, start.a, start.a + size) : 0;
}

/* The highest aligned place of size bytes in [low, high) that is not reserved, or 0. */
static uint64_t find_below(const struct memblock *m, uint64_t low, uint64_t high, uint64_t size,
                           uint64_t align)
{
	for (unsigned i = m->nr_reserved;; i--) {
		uint64_t floor = i ? MAX(low, m->reserved[i - 1].end) : low;

		if (high > floor && high - floor >= size) {
			uint64_t start = ALIGN_DOWN(high - size, align);

			if (start >= floor)
				return start;
		}
		if (i == 0)
			return 0;
		high = MIN(high, m->reserved[i - 1].start);
		if (high <= low)
			return 0;
	}
}

phys_t memblock_alloc(uint64_t size, uint64_t align, uint64_t limit)
{
	struct memblock *m = &machine()->memblock;

	if (!limit)
		limit = UINT64_MAX;
	for (unsigned i = m->nr_memory; size && i-- > 0;) {
		uint64_t low = MAX(m->memory[i].start, MEMBLOCK_LOWEST);
		uint64_t high = MIN(m->memory[i].end, limit);
		uint64_t start = find_below(m, low, high, size, MAX(align, 1));

		if (start && memblock_reserve(PHYS(start), size) == 0)
			return PHYS(start);
	}
	return PHYS(0);
}

uint64_t memblock_end(void)
{
	const struct memblock *m = &machine()->memblock;

	return m->nr_memory ? ALIGN_DOWN(m->memory[m->nr_memory - 1].end, (uint64_t)PAGE_SIZE) : 0;
}
