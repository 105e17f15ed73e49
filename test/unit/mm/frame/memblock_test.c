/*
 * memblock_test.c - ranges at boot. The machine's own are put aside meanwhile.
 */
#include "mm/frame/internal.h"
#include "test/unit/unit.h"

#include <quire/errno.h>

#define MB (1ull << 20)

static struct memblock saved;

static struct memblock *lab_open(void)
{
	saved = machine()->memblock;
	machine()->memblock = (struct memblock){0};
	return &machine()->memblock;
}

static void lab_close(void)
{
	machine()->memblock = saved;
}

static void check_merges(struct memblock *m)
{
	CHECK_EQ(memblock_add(PHYS(4 * MB), MB), 0);
	CHECK_EQ(memblock_add(PHYS(8 * MB), MB), 0);
	CHECK_EQ(memblock_add(PHYS(0), MB), 0);
	CHECK_EQ(m->nr_memory, 3);
	CHECK_EQ(m->memory[1].start, 4 * MB);
	CHECK_EQ(memblock_add(PHYS(5 * MB), 3 * MB), 0); /* closes the gap between 4 and 8 */
	CHECK_EQ(m->nr_memory, 2);
	CHECK_EQ(m->memory[1].end, 9 * MB);
	CHECK_EQ(memblock_add(PHYS(2 * MB), 20 * MB), 0); /* swallows */
	CHECK_EQ(m->nr_memory, 2);
	CHECK_EQ(m->memory[1].start, 2 * MB);
	CHECK_EQ(m->memory[1].end, 22 * MB);
	CHECK_EQ(memblock_add(PHYS(3 * MB), 0), 0);
	CHECK_EQ(m->nr_memory, 2);
	CHECK_EQ(memblock_end(), 22 * MB);
}

UNIT_TEST(ranges_merge)
{
	check_merges(lab_open());
	lab_close();
}

static void check_alloc(struct memblock *m)
{
	CHECK_EQ(memblock_add(PHYS(0), 8 * MB), 0);
	CHECK_EQ(memblock_add(PHYS(16 * MB), 8 * MB), 0);
	CHECK_EQ(memblock_reserve(PHYS(24 * MB - 4096), 4096), 0);
	CHECK_EQ(memblock_alloc(4096, 4096, 0).a, 24 * MB - 8192);
	CHECK_EQ(memblock_alloc(MB, 2 * MB, 0).a, 22 * MB);
	CHECK_EQ(memblock_alloc(4096, 4096, 8 * MB).a, 8 * MB - 4096);
	CHECK_EQ(memblock_alloc(7 * MB, 4096, 8 * MB).a, 0); /* would need the first MB */
	CHECK_EQ(memblock_alloc(9 * MB, 4096, 0).a, 0);
	CHECK_EQ(memblock_alloc(6 * MB, 4096, 0).a, 16 * MB);
	CHECK_EQ(m->nr_reserved, 3);
}

UNIT_TEST(allocates_top_down_around_what_is_reserved)
{
	check_alloc(lab_open());
	lab_close();
}

static void check_full(void)
{
	for (unsigned i = 0; i < MEMBLOCK_MAX; i++)
		CHECK_EQ(memblock_reserve(PHYS(i * 2 * MB), MB), 0);
	CHECK_EQ(memblock_reserve(PHYS(MEMBLOCK_MAX * 2 * MB), MB), -ENOSPC);
	CHECK_EQ(memblock_reserve(PHYS(MB), MB), 0); /* merges: no room needed */
	CHECK_EQ(memblock_reserve(PHYS(UINT64_MAX - MB), 2 * MB), -EINVAL);
	CHECK_EQ(memblock_reserve(PHYS(MEMBLOCK_MAX * 2 * MB), MB), 0);
}

UNIT_TEST(says_when_it_is_full)
{
	lab_open();
	check_full();
	lab_close();
}
