/*
 * node.c - nodes and zones, built from memblock.
 *
 *   0            16 MB                     4 GB
 *   |  ZONE_DMA    |       ZONE_DMA32        |   ZONE_NORMAL ...                 | ZONE_MOVABLE |
 *   |  ZONE_DMA    |       ZONE_NORMAL       |  896 MB     ZONE_HIGHMEM ...
 *
 * A zone is a range of addresses that some requests cannot do without (lecture 001): old devices
 * reach 16 MB, most reach 4 GB. The second line is a machine whose kernel addresses reach only the lowest 896 MB
 * (config.lowmem_end): what lies above has no address until it is given one. ZONE_MOVABLE is cut from the end
 * of the highest (movable.c).
 *
 * A node is the memory near some CPUs, a range of addresses too; each has its own zones. numa_fake splits a machine
 * that has one node into several of the same size. Which zones a request tries in which order: zonelist.c.
 *
 * Frame 0 is never given out: physical address 0 means "none" (memblock_alloc).
 */
#include "mm/frame/debug.h"

#define DMA_END     (16ull << (20 - PAGE_SHIFT))
#define DMA32_END   (1ull << (32 - PAGE_SHIFT))
#define BLOCK_PAGES (1ull << (MAX_ORDER - 1))

static const char *const zone_names[MAX_NR_ZONES] = {"DMA", "DMA32", "Normal", "HighMem",
                                                     "Movable"};

/* First frame that a type of zone may have, without regard to ZONE_MOVABLE. */
static uint64_t zone_low(unsigned id)
{
	uint64_t max = machine()->max_pfn, low = machine()->config.lowmem_end >> PAGE_SHIFT;
	const uint64_t flat[] = {0, DMA_END, DMA32_END, max, max, max};
	const uint64_t high[] = {0, DMA_END, DMA_END, low, max, max};

	return MIN(low ? high[id] : flat[id], max);
}

static void zone_init(struct pglist_data *node, unsigned id, uint64_t movable)
{
	uint64_t end = node->start.n + node->spanned;
	uint64_t start = MAX(zone_low(id), node->start.n), stop = MIN(zone_low(id + 1), end);
	struct zone *zone = &node->zones[id];

	if (movable && id == ZONE_MOVABLE) {
		start = MAX(movable, node->start.n);
		stop = end;
	} else if (movable) {
		stop = MIN(stop, movable);
	}
	spin_lock_init(&zone->lock);
	zone->id = id;
	zone->nid = node->nid;
	zone->name = zone_names[id];
	zone->start = PFN(start);
	zone->spanned = start < stop ? stop - start : 0;
	free_area_init(zone);
}

void for_zones_of(pfn_t start, pfn_t end, void (*fn)(struct zone *, pfn_t, pfn_t))
{
	struct machine *m = machine();

	for (unsigned i = 0; i < m->nr_nodes * MAX_NR_ZONES; i++) {
		struct zone *zone = &m->node[i / MAX_NR_ZONES].zones[i % MAX_NR_ZONES];
		uint64_t low = MAX(start.n, zone->start.n);
		uint64_t high = MIN(end.n, zone->start.n + zone->spanned);

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

	free_boot_range(zone, start, end);
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

/* --- nodes ------------------------------------------------------------------------------------ */

static uint64_t ram_pages(void)
{
	const struct memblock *m = &machine()->memblock;
	uint64_t pages = 0;

	for (unsigned i = 0; i < m->nr_memory; i++)
		pages += (m->memory[i].end >> PAGE_SHIFT) - (m->memory[i].start >> PAGE_SHIFT);
	return pages;
}

/* The frame that has `pages` pages of RAM below it, rounded up to a whole block. */
static uint64_t frame_after(uint64_t pages)
{
	const struct memblock *m = &machine()->memblock;
	uint64_t pfn = 0;

	for (unsigned i = 0; i < m->nr_memory && pages; i++) {
		uint64_t start = m->memory[i].start >> PAGE_SHIFT;
		uint64_t n = MIN((m->memory[i].end >> PAGE_SHIFT) - start, pages);

		pfn = start + n;
		pages -= n;
	}
	return ALIGN_UP(pfn, BLOCK_PAGES);
}

/* numa=fake=N: parts of the same size, in whole blocks; too small a machine stays whole. */
static void fake_nodes(unsigned n)
{
	struct machine *m = machine();
	uint64_t part = ALIGN_DOWN(ram_pages() / n, BLOCK_PAGES);

	m->nr_nodes = part ? n : 1;
	if (!part)
		port_log("boot: too little memory for %u nodes: it stays one", n);
	for (unsigned nid = 0; nid < m->nr_nodes; nid++)
		m->node[nid].start = PFN(frame_after(nid * part));
}

static void nodes_init(void)
{
	struct machine *m = machine();
	const struct frame_config *c = &m->config;
	unsigned n = (unsigned)MIN(MAX(c->nr_nodes, 1), MAX_NUMNODES);

	if (c->nr_nodes > MAX_NUMNODES)
		port_log("boot: %llu nodes: %d are the most", (unsigned long long)c->nr_nodes,
		         MAX_NUMNODES);
	if (c->numa_fake) {
		fake_nodes(n);
	} else {
		m->nr_nodes = n;
		for (unsigned nid = 0; nid < n; nid++)
			m->node[nid].start =
			        PFN(ALIGN_UP(c->node_start[nid] >> PAGE_SHIFT, BLOCK_PAGES));
	}
	for (unsigned nid = 0; nid < m->nr_nodes; nid++) {
		struct pglist_data *node = &m->node[nid];
		uint64_t end = nid + 1 < m->nr_nodes ? m->node[nid + 1].start.n : m->max_pfn;

		end = MIN(end, m->max_pfn);
		node->nid = nid;
		node->spanned = MAX(end, node->start.n) - node->start.n;
		wait_queue_init(&node->kcompactd_wait);
	}
}

/* The kind of zone that ZONE_MOVABLE is cut from: the highest that has RAM. */
static unsigned highest_zone(void)
{
	const struct memblock *m = &machine()->memblock;
	uint64_t last = m->nr_memory ? (m->memory[m->nr_memory - 1].end >> PAGE_SHIFT) - 1 : 0;
	unsigned id = ZONE_HIGHMEM;

	while (id > ZONE_DMA && (zone_low(id) > last || zone_low(id) == zone_low(id + 1)))
		id--;
	return id;
}

static void zones_init(void)
{
	struct machine *m = machine();
	uint64_t movable[MAX_NUMNODES];

	m->movable_zone = highest_zone();
	find_movable_zones(ram_pages(), zone_low(m->movable_zone), movable);
	for (unsigned nid = 0; nid < m->nr_nodes; nid++)
		for (unsigned id = 0; id < MAX_NR_ZONES; id++)
			zone_init(&m->node[nid], id, movable[nid]);
}

void frame_init(void)
{
	struct machine *m = machine();

	m->max_pfn = memblock_end() >> PAGE_SHIFT;
	m->fail_after = -1;
	m->sysctl_extfrag_threshold = 500;
	m->sysctl_compaction_proactiveness = 20;
	m->sysctl_compact_unevictable_allowed = 1;
	for (unsigned i = 0; i < PAGE_WAIT_QUEUES; i++)
		wait_queue_init(&m->page_wait[i]);
	nodes_init();
	zones_init();
	pageblocks_init();
	page_debug_init();
	pcp_setup();
	for (unsigned i = 0; i < m->memblock.nr_memory; i++) {
		const struct memblock_range *ram = &m->memblock.memory[i];

		whole_frames(ram->start, ram->end, add_present);
	}
	sections_init();
	for (unsigned i = 0; i < m->memblock.nr_memory; i++)
		free_unreserved(&m->memblock, &m->memblock.memory[i]);
	build_zonelists();
	lruvecs_init();
	init_per_zone_wmark_min();
	for_each_zone(zone)
		zone->min_free_gate = UINT64_MAX;
	m->min_free = m->totalram;
}

void free_reserved_area(phys_t start, phys_t end)
{
	whole_frames(start.a, end.a, give_to_buddy);
	setup_per_zone_wmarks();
	setup_per_zone_lowmem_reserve();
}

struct page *take_reserved_page(pfn_t pfn)
{
	struct page *page = pfn_to_page(pfn);
	struct zone *zone = page_zone(page);
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
