/*
 * section_test.c - which sections of mem_map come online at boot, and which on demand: against a model that looks at each frame.
 */
#include "host/internal.h"
#include "mm/frame/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <quire/check.h>

#define MB (1ull << 20)

static void leave(void)
{
	CHECK_SOUND(mm_check());
	own_leave();
}

static bool in_any(const struct memblock_range *r, unsigned n, uint64_t pfn)
{
	const uint64_t start = pfn << PAGE_SHIFT, end = start + PAGE_SIZE;

	for (; n; n--, r++)
		if (start < r->end && r->start < end)
			return true;
	return false;
}

static bool is_ram(uint64_t pfn)
{
	return in_any(machine()->memblock.memory, machine()->memblock.nr_memory, pfn);
}

/* Free RAM of this zone? */
static bool is_free(const struct zone *zone, uint64_t pfn)
{
	return is_ram(pfn) &&
	       !in_any(machine()->memblock.reserved, machine()->memblock.nr_reserved, pfn) &&
	       pfn >= zone->start.n && pfn < zone->start.n + zone->spanned;
}

static bool is_all_free(const struct zone *zone, uint64_t start, uint64_t end)
{
	while (start < end && is_free(zone, start))
		start++;
	return start == end;
}

static struct zone *zone_that_defers(uint64_t start, uint64_t end)
{
	for_each_zone(zone)
		if (is_all_free(zone, start, end))
			return zone;
	return NULL;
}

static bool has_ram(uint64_t start, uint64_t end)
{
	while (start < end && !is_ram(start))
		start++;
	return start < end;
}

/* What is deferred is free in the largest blocks, of the type that page blocks have at first. */
static void check_blocks(const struct zone *zone)
{
	const unsigned order = MAX_ORDER - 1;
	uint64_t pages = 0;

	for (unsigned i = 0; i < MAX_ORDER; i++)
		pages += zone_free_blocks(zone, i) << i;
	CHECK_EQ(pages, zone_free_pages(zone));
	CHECK_GE(zone_free_blocks_of(zone, order, first_pageblock_type()) << order,
	         zone_deferred(zone));
}

/* Nothing has come online since boot. */
static void check_boot(unsigned at_least)
{
	const uint64_t size = 1ull << machine()->section_shift, top = machine()->max_pfn;
	uint64_t deferred = 0, counted = 0;

	for (uint64_t pfn = 0; pfn < top; pfn += size) {
		const uint64_t end = MIN(pfn + size, top);
		const bool late = zone_that_defers(pfn, pfn + size) != NULL;

		deferred += late ? size : 0;
		CHECK_EQ(pfn_online(pfn), !late && has_ram(pfn, end));
		CHECK_EQ(pfn_online(end - 1), !late && has_ram(pfn, end));
		CHECK(!pfn_online(MAX(pfn + size, top)));
	}
	for_each_zone(zone) {
		counted += (uint64_t)atomic_load(&zone->deferred);
		CHECK_CALL(check_blocks(zone));
	}
	CHECK_EQ(counted, deferred);
	CHECK_GE(deferred, at_least * size);
}

UNIT_TEST(what_comes_online_at_boot)
{
	static const struct {
		struct host_config config;
		unsigned deferred; /* sections, at least */
	} cases[] = {
	        {{.ram = 16 * MB}, 0},
	        {{.ram = 100 * MB}, 1},
	        {{.ram = 256 * MB, .trace_size = 32 * MB}, 5}, /* which end where sections do */
	        {{.ram = 256 * MB, .trace_size = 31 * MB}, 4},
	        {{.ram = 256 * MB, .hole_start = 64 * MB, .hole_end = 160 * MB}, 1},
	        {{.ram = 256 * MB, .hole_start = 80 * MB, .hole_end = 180 * MB}, 1},
	        {{.ram = 256 * MB, .frames = {.movablecore = 100 * MB}}, 4},
	        {{.ram = 300 * MB, .frames = {.nr_nodes = 3, .numa_fake = true}}, 3},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK(own_enter(&cases[i].config));
		CHECK_CALL(check_boot(cases[i].deferred));
		leave();
	}
}

/* As many as are asked for, in order, and then no more. */
UNIT_TEST(a_zone_grows_by_sections)
{
	/* Node 1 begins where a section does. */
	CHECK(own_enter(&(struct host_config){
	        .ram = 256 * MB, .frames = {.nr_nodes = 2, .node_start = {0, 128 * MB}}}));
	CHECK(section_is_deferred(machine()->node[1].zonelist[ZONE_NORMAL].zones[0],
	                          128 * MB / PAGE_SIZE));
	for_each_zone(zone) {
		const uint64_t size = 1ull << machine()->section_shift;
		int64_t left = atomic_load(&zone->deferred);

		while (left) {
			const uint64_t free = zone_free_pages(zone);

			CHECK(grow_zone(zone));
			left -= (int64_t)size;
			CHECK_EQ(atomic_load(&zone->deferred), left);
			CHECK_EQ(zone_free_pages(zone), free); /* deferred ones count */
			CHECK_SOUND(mm_check());
		}
		CHECK(!grow_zone(zone));
		CHECK_EQ(atomic_load(&zone->deferred), 0);
	}
	leave();
}
