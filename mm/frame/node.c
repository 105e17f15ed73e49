/*
 * node.c - nodes, zones and mem_map, built from memblock.
 *
 *   0            16 MB                     4 GB
 *   |  ZONE_DMA    |       ZONE_DMA32        |   ZONE_NORMAL ...
 *
 * A zone is a range of addresses that some requests cannot do without (lecture 001): old devices
 * reach 16 MB, most reach 4 GB. A zonelist is the order in which a kind of request tries them: its own
 * zone first, then the scarcer ones below. HIGHMEM and MOVABLE exist as types and hold no frames here.
 *
 * Frame 0 is never given out: physical address 0 means "none" (memblock_alloc).
 */
#include <quire/check.h>
#include "mm/frame/debug.h"

#define DMA_END   (16ull << (20 - PAGE_SHIFT))
#define DMA32_END (1ull << (32 - PAGE_SHIFT))

static const char *const zone_names[MAX_NR_ZONES] = {"DMA", "DMA32", "Normal", "HighMem",
                                                     "Movable"};
static const uint64_t zone_starts[MAX_NR_ZONES + 1] = {0,          DMA_END,    DMA32_END,
                                                       UINT32_MAX, UINT32_MAX, UINT32_MAX};

static void zone_init(struct zone *zone, unsigned nid, unsigned id, uint64_t max_pfn)
{
	uint64_t start = MIN(zone_starts[id], max_pfn), end = MIN(zone_starts[id + 1], max_pfn);

	spin_lock_init(&zone->lock);
	zone->id = id;
	zone->nid = nid;
	zone->name = zone_names[id];
	zone->start = PFN(start);
	zone->spanned = end - start;
	free_area_init(zone);
}

/* Every descriptor starts as reserved; what is free is said next. */
static void mem_map_init(const struct zone *zone)
{
	struct page *page = pfn_to_page(zone->start);
	uint32_t flags =
	        PAGE_FLAG(reserved) | zone->id << PG_zone_shift | zone->nid << PG_node_shift;

	for (uint64_t i = 0; i < zone->spanned; i++, page++) {
		atomic_store_explicit(&page->flags, flags, memory_order_relaxed);
		atomic_store_explicit(&page->_refcount, 0, memory_order_relaxed);
		atomic_store_explicit(&page->_mapcount, -1, memory_order_relaxed);
		page->index = 0;
		page->private = 0;
		page->mapping = NULL;
	}
}

/* Call fn for each part of [start, end) that lies in a zone. */
static void for_zones_of(pfn_t start, pfn_t end, void (*fn)(struct zone *, pfn_t, pfn_t))
{
	struct pglist_data *node = &machine()->node[0];

	for (unsigned i = 0; i < MAX_NR_ZONES; i++) {
		struct zone *zone = &node->zones[i];
		uint32_t low = MAX(start.n, zone->start.n);
		uint32_t high = MIN(end.n, (uint32_t)(zone->start.n + zone->spanned));

		if (low < high)
			fn(zone, PFN(low), PFN(high));
	}
}

static void add_present(struct zone *zone, pfn_t start, pfn_t end)
{
	zone->present += end.n - start.n;
	machine()->node[zone->nid].present += end.n - start.n;
	machine()->reserved_pages += end.n - start.n;
}

static void give_to_buddy(struct zone *zone, pfn_t start, pfn_t end)
{
	uint64_t pages = end.n - start.n;
	irq_state_t irq = spin_lock_irqsave(&zone->lock);

	free_range_to_buddy(zone, start, end);
	zone->managed += pages;
	spin_unlock_irqrestore(&zone->lock, irq);
	machine()->totalram += pages;
	machine()->reserved_pages -= pages;
}

/* Whole frames inside a range of bytes. */
static void whole_frames(uint64_t start, uint64_t end, void (*fn)(struct zone *, pfn_t, pfn_t))
{
	start = ALIGN_UP(start, (uint64_t)PAGE_SIZE) >> PAGE_SHIFT;
	end = MIN(end >> PAGE_SHIFT, machine()->max_pfn);
	if (start < end)
		for_zones_of(PFN(start), PFN(end), fn);
}

/* RAM less what is reserved; a frame that is partly reserved is reserved. */
static void free_unreserved(const struct memblock *m, const struct memblock_range *ram)
{
	uint64_t start = MAX(ram->start, (uint64_t)PAGE_SIZE);

	for (unsigned i = 0; i < m->nr_reserved && start < ram->end; i++) {
		const struct memblock_range *r = &m->reserved[i];

		if (r->end <= start)
			continue;
		if (r->start > start)
			whole_frames(start,
			             MIN(ALIGN_DOWN(r->start, (uint64_t)PAGE_SIZE), ram->end),
			             give_to_buddy);
		start = MAX(start, ALIGN_UP(r->end, (uint64_t)PAGE_SIZE));
	}
	if (start < ram->end)
		whole_frames(start, ram->end, give_to_buddy);
}

/* By the highest zone that will do, downwards; empty zones are left out. */
static void build_zonelists(struct pglist_data *node)
{
	for (unsigned highest = 0; highest < MAX_NR_ZONES; highest++) {
		struct zonelist *list = &node->zonelist[highest];
		unsigned n = 0;

		for (unsigned i = highest + 1; i-- > 0;)
			if (node->zones[i].present)
				list->zones[n++] = &node->zones[i];
		list->zones[n] = NULL;
	}
}

void frame_init(void)
{
	struct machine *m = machine();
	struct pglist_data *node = &m->node[0];

	m->nr_nodes = 1;
	m->max_pfn = memblock_end() >> PAGE_SHIFT;
	m->fail_after = -1;
	m->sysctl_extfrag_threshold = 500;
	wait_queue_init(&node->kcompactd_wait);
	node->spanned = m->max_pfn;
	for (unsigned i = 0; i < PAGE_WAIT_QUEUES; i++)
		wait_queue_init(&m->page_wait[i]);
	for (unsigned i = 0; i < MAX_NR_ZONES; i++) {
		zone_init(&node->zones[i], 0, i, m->max_pfn);
		mem_map_init(&node->zones[i]);
	}
	pageblocks_init();
	page_owner_init();
	m->careful = m->poison || m->page_owner;
	for (unsigned i = 0; i < m->memblock.nr_memory; i++) {
		const struct memblock_range *ram = &m->memblock.memory[i];

		whole_frames(ram->start, ram->end, add_present);
	}
	for (unsigned i = 0; i < m->memblock.nr_memory; i++)
		free_unreserved(&m->memblock, &m->memblock.memory[i]);
	if (m->poison)
		poison_free_memory();
	build_zonelists(node);
	lruvecs_init();
	setup_per_zone_wmarks(0);
	for_each_zone(zone)
		zone->min_free_seen = zone_free(zone);
	m->min_free = m->totalram;
}

void free_reserved_area(phys_t start, phys_t end)
{
	whole_frames(start.a, end.a, give_to_buddy);
	if (machine()->poison)
		poison_free_memory();
	setup_per_zone_wmarks(machine()->min_free_kbytes);
}

struct page *take_reserved_page(pfn_t pfn)
{
	struct page *page = pfn_to_page(pfn);
	struct zone *zone = &machine()->node[page_to_nid(page)].zones[page_zone_id(page)];
	irq_state_t irq = spin_lock_irqsave(&zone->lock);

	zone->managed++;
	spin_unlock_irqrestore(&zone->lock, irq);
	machine()->totalram++;
	machine()->reserved_pages--;
	__page_clear_flags(page, PAGE_FLAG(reserved));
	atomic_store_explicit(&page->_refcount, 1, memory_order_relaxed);
	atomic_store_explicit(&page->_mapcount, -1, memory_order_relaxed);
	return page;
}

static struct zone *zone_from(unsigned nid, unsigned id)
{
	for (; nid < machine()->nr_nodes; nid++, id = 0)
		for (; id < MAX_NR_ZONES; id++)
			if (machine()->node[nid].zones[id].present)
				return &machine()->node[nid].zones[id];
	return NULL;
}

struct zone *first_zone(void)
{
	return zone_from(0, 0);
}

struct zone *next_zone(struct zone *zone)
{
	return zone_from(zone->nid, zone->id + 1);
}
