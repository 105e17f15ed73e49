/*
 * section.c - mem_map, a section at a time.
 *
 * Filling in the descriptors of 64 GB takes longer than the rest of the boot, and most of them are not needed for a long
 * time. So memory is cut into sections (32 MB, or so large that there are no more than 4096), and a section that is
 * free RAM of one zone from end to end is deferred: it counts as free, but its descriptors are not written and the buddy
 * does not have it. When a zone falls to the mark that a request asks for, its next section comes online first
 * (Linux: deferred_grow_zone); only when there is none left is the zone low.
 *
 *      | online | deferred | deferred | online |   hole   | deferred | online |
 *        kernel   ^next_deferred        archive             (the zone above)  mem_map
 *
 * Whether a section is deferred follows from memblock and the zones alone, which do not change after boot; the
 * bit map says which are online. Blocks of the buddy are smaller than sections and aligned, so that no buddy of a block
 * that has descriptors is without. Whoever walks mem_map by number asks pfn_online() first: holes never come online.
 */
#include "mm/frame/internal.h"

#define SECTION_MIN_SHIFT 13u /* 32 MB */
#define MAX_SECTIONS      (SECTION_WORDS * 64u)
static_assert(SECTION_MIN_SHIFT >= MAX_ORDER - 1, "buddies are in one section");

static uint64_t section_pages(void)
{
	return 1ull << machine()->section_shift;
}

static bool section_online(uint64_t section)
{
	return atomic_load_explicit(&machine()->section_online[section / 64],
	                            memory_order_acquire) >>
	               section % 64 &
	       1;
}

static void set_section_online(uint64_t section)
{
	atomic_fetch_or_explicit(&machine()->section_online[section / 64], 1ull << section % 64,
	                         memory_order_release);
}

bool pfn_online(uint64_t pfn)
{
	return pfn < machine()->max_pfn && section_online(pfn >> machine()->section_shift);
}

/* Is [start, end), in bytes, in one range of RAM and clear of all that is reserved? Frame 0 never is. */
static bool all_free_ram(uint64_t start, uint64_t end)
{
	const struct memblock *m = &machine()->memblock;
	bool ram = false;

	for (unsigned i = 0; i < m->nr_memory; i++)
		ram |= m->memory[i].start <= start && end <= m->memory[i].end;
	for (unsigned i = 0; i < m->nr_reserved; i++)
		ram &= m->reserved[i].end <= start || end <= m->reserved[i].start;
	return ram && start;
}

static bool any_ram(uint64_t start, uint64_t end)
{
	const struct memblock *m = &machine()->memblock;

	for (unsigned i = 0; i < m->nr_memory; i++)
		if (m->memory[i].start < end && start < m->memory[i].end)
			return true;
	return false;
}

static bool deferrable(const struct zone *zone, uint64_t section)
{
	uint64_t start = section << machine()->section_shift, end = start + section_pages();

	return start >= zone->start.n && end <= zone->start.n + zone->spanned &&
	       all_free_ram(start << PAGE_SHIFT, end << PAGE_SHIFT);
}

/* Every descriptor starts as reserved; what is free is said next. */
static void init_descriptors(struct zone *zone, pfn_t start, pfn_t end)
{
	struct page *page = pfn_to_page(start);
	uint32_t flags =
	        PAGE_FLAG(reserved) | zone->id << PG_zone_shift | zone->nid << PG_node_shift;

	for (uint32_t pfn = start.n; pfn < end.n; pfn++, page++) {
		atomic_store_explicit(&page->flags, flags, memory_order_relaxed);
		atomic_store_explicit(&page->_refcount, 0, memory_order_relaxed);
		atomic_store_explicit(&page->_mapcount, -1, memory_order_relaxed);
		page->index = 0;
		page->private = 0;
		page_set_mapping(page, NULL);
	}
}

bool section_is_deferred(const struct zone *zone, uint64_t pfn)
{
	return deferrable(zone, pfn >> machine()->section_shift);
}

static bool deferred_at_boot(uint64_t section)
{
	for_each_zone(zone)
		if (deferrable(zone, section))
			return true;
	return false;
}

void sections_init(void)
{
	struct machine *m = machine();

	m->section_shift = SECTION_MIN_SHIFT;
	while (m->max_pfn > (uint64_t)MAX_SECTIONS << m->section_shift)
		m->section_shift++;
	for_each_zone(zone)
		zone->next_deferred = zone->start.n >> m->section_shift;
	for (uint64_t pfn = 0; pfn < m->max_pfn; pfn += section_pages()) {
		uint64_t end = MIN(pfn + section_pages(), m->max_pfn);

		if (!any_ram(pfn << PAGE_SHIFT, end << PAGE_SHIFT) ||
		    deferred_at_boot(pfn >> m->section_shift))
			continue;
		for_zones_of(PFN(pfn), PFN(end), init_descriptors);
		set_section_online(pfn >> m->section_shift);
	}
}

/* Free memory of one zone, at boot: to the buddy now, or later. Zone lock held. */
void free_boot_range(struct zone *zone, pfn_t start, pfn_t end)
{
	while (start.n < end.n) {
		uint64_t section = start.n >> machine()->section_shift;
		pfn_t next = PFN(MIN((section + 1) << machine()->section_shift, end.n));

		if (section_online(section))
			free_range_to_buddy(zone, start, next);
		else
			atomic_fetch_add_explicit(&zone->deferred, next.n - start.n,
			                          memory_order_relaxed);
		start = next;
	}
}

/* The zone's next section that was deferred at boot, and so still is; UINT32_MAX: none. Zone lock held. */
static uint32_t next_section(struct zone *zone)
{
	const uint64_t end = zone->start.n + zone->spanned;
	uint32_t section = zone->next_deferred, found = UINT32_MAX;

	for (; (uint64_t)section << machine()->section_shift < end && found == UINT32_MAX;
	     section++)
		if (deferrable(zone, section))
			found = section;
	atomic_store_explicit(&zone->next_deferred, section, memory_order_relaxed);
	return found;
}

/*
 * All under the zone's lock, as Linux does it: who comes meanwhile waits some microseconds and then finds the memory, instead
 * of going without.
 */
bool grow_zone(struct zone *zone)
{
	const uint32_t before = atomic_load_explicit(&zone->next_deferred, memory_order_relaxed);
	irq_state_t irq = spin_lock_irqsave(&zone->lock);
	bool grown = zone->next_deferred != before; /* by somebody else */
	uint32_t section = grown ? UINT32_MAX : next_section(zone);

	if (section != UINT32_MAX) {
		pfn_t start = PFN((uint64_t)section << machine()->section_shift);
		pfn_t end = PFN(start.n + section_pages());

		init_descriptors(zone, start, end);
		set_section_online(section);
		free_range_to_buddy(zone, start, end);
		atomic_fetch_sub_explicit(&zone->deferred, (int64_t)section_pages(),
		                          memory_order_relaxed);
		trace_section_online(zone->nid, zone->id, start.n);
		grown = true;
	}
	spin_unlock_irqrestore(&zone->lock, irq);
	return grown;
}
