/*
 * proc_census.c - pages counted by what their descriptors say: the gauges that nobody keeps.
 *
 * A walk over the frames of a zone that have descriptors, without locks: as racy as every gauge, and as slow as memory is
 * large, which is the price of keeping no count for each zone and node on the paths that allocate.
 */
#include "fs/proc.h"

#include <quire/machine.h>
#include <quire/policy.h>
#include <quire/slab.h>

static void census_user_page(struct page_census *c, const struct page *page, uint32_t flags)
{
	bool anon = PageAnon(page), swapbacked = flags >> PG_swapbacked & 1;

	c->anon += anon;
	c->shmem += !anon && swapbacked;
	c->file += !anon && !swapbacked && page_mapping(page);
	c->dirty += flags >> PG_dirty & 1 && !swapbacked;
	c->writeback += flags >> PG_writeback & 1;
	c->mlocked += flags >> PG_mlocked & 1;
	c->unevictable += flags >> PG_unevictable & 1;
	if (flags >> PG_lru & 1)
		c->lru[page_lru(page)]++;
	if (page_mapping(page) && page_mapcount(page) > 0)
		c->mapped++;
}

static void census_slab(struct page_census *c, const struct page *page, uint64_t pages)
{
	c->slab += pages;
	if (slab_page_reclaimable(page))
		c->slab_reclaimable += pages;
}

/* In all other uses the descriptor's words mean other things. */
static void census_page(struct page_census *c, const struct page *page)
{
	uint32_t flags = atomic_load_explicit(&page->flags, memory_order_relaxed);
	uint32_t not_user = 1u << PG_buddy | 1u << PG_reserved | 1u << PG_vmalloc;

	if (page_count(page) <= 0 || flags & not_user)
		return;
	if (flags & 1u << PG_slab)
		census_slab(c, page, flags & 1u << PG_head ? 1ull << page[1].order : 1);
	else if (flags & 1u << PG_table)
		c->table++;
	else if (flags & 1u << PG_kstack)
		c->kstack++;
	else if (flags & 1u << PG_uptodate && !(flags & 1u << PG_tail))
		census_user_page(c, page, flags);
}

void proc_zone_census(const struct zone *zone, struct page_census *c)
{
	const uint64_t end = zone->start.n + zone->spanned;
	const uint64_t section = (uint64_t)1 << machine()->section_shift;

	for (uint64_t pfn = zone->start.n; pfn < end;) {
		const uint64_t next = MIN(ALIGN_DOWN(pfn, section) + section, end);

		for (; pfn < next && pfn_online(pfn); pfn++)
			census_page(c, pfn_to_page(PFN(pfn)));
		pfn = next;
		port_cond_resched();
	}
}

void proc_page_census(struct page_census *c)
{
	*c = (struct page_census){0};
	for_each_zone(zone)
		proc_zone_census(zone, c);
}

uint64_t proc_numa_stat(enum numa_stat_item item)
{
	uint64_t sum = 0;

	for_each_zone(zone)
		sum += zone_numa_stat(zone, item);
	return sum;
}
