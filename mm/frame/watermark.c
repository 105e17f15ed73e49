/*
 * watermark.c - how low a zone may fall, and for whom.
 *
 *      free frames
 *      |################| high   reclaim rests here
 *      |##########|       low    reclaim starts here
 *      |######|           min    ordinary requests stop here
 *      |###|              min/2  __GFP_HIGH;  3/8 min: with __GFP_ATOMIC too
 *      ||                 0      __GFP_MEMALLOC: whoever frees more than it takes
 *
 * Frames that are set aside (highatomic.c) are free to those only who may have them.
 *
 * As Linux 6.1, but for machines below 16 MB: min_free_kbytes = sqrt(16 * KB of memory), shared out by zone size; low, high
 * and promo lie a quarter of min above each other, or watermark_scale_factor/10000 of the zone if that is more. High memory
 * keeps little: those who may enter a reserve have no use for frames without addresses.
 *
 * lowmem_reserve: a request that could have had NORMAL memory leaves managed(NORMAL)/256 frames of
 * DMA32 (lowmem_reserve_ratio), and so on, to those who cannot do with any other.
 */
#include "mm/frame/internal.h"

static const unsigned default_lowmem_reserve_ratio[MAX_NR_ZONES] = {256, 256, 32, 0, 0};
#define DEFAULT_WATERMARK_SCALE_FACTOR 10u /* of 10000 */

static uint64_t int_sqrt(uint64_t x)
{
	uint64_t root = 0;

	for (uint64_t bit = 1ull << 31; bit; bit >>= 1)
		if ((root | bit) * (root | bit) <= x)
			root |= bit;
	return root;
}

/*
 * Linux's choice: the root, within 128 KB and 256 MB. Linux does not run in a few megabytes; this kernel does, and there the lower
 * limit and the root, which shrinks too slowly, would keep a tenth of memory from programs: with 2 MB a program of 800 KB that runs
 * so is killed. Hence not more than 1/32 of memory, which is the smaller below 16 MB only. What somebody writes to
 * min_free_kbytes is taken as it is.
 */
static unsigned default_min_free_kbytes(uint64_t lowmem_kbytes)
{
	uint64_t kbytes = int_sqrt(lowmem_kbytes * 16);

	kbytes = MIN(MAX(kbytes, 128), 262144);
	return (unsigned)MIN(kbytes, lowmem_kbytes / 32);
}

static bool is_highmem(const struct zone *zone)
{
	return zone->id == ZONE_HIGHMEM ||
	       (zone->id == ZONE_MOVABLE && machine()->movable_zone == ZONE_HIGHMEM);
}

static uint64_t lowmem_pages(void)
{
	uint64_t pages = 0;

	for_each_zone(zone)
		if (!is_highmem(zone))
			pages += zone->managed;
	return pages;
}

/* What the kernel and GFP_USER may use, above the high marks: what Linux sizes its reserve by. */
static uint64_t free_buffer_pages(void)
{
	struct zone *const *z = machine()->node[numa_node_id()].zonelist[ZONE_NORMAL].zones;
	uint64_t pages = 0;

	for (; *z; z++)
		if ((*z)->managed > (*z)->watermark[WMARK_HIGH])
			pages += (*z)->managed - (*z)->watermark[WMARK_HIGH];
	return pages;
}

static void zone_lowmem_reserve(struct pglist_data *node, unsigned id)
{
	struct zone *zone = &node->zones[id];
	unsigned ratio = machine()->lowmem_reserve_ratio[id];
	uint64_t above = 0;

	for (unsigned j = id + 1; j < MAX_NR_ZONES; j++) {
		above += node->zones[j].managed;
		zone->lowmem_reserve[j] = ratio && zone->managed ? above / ratio : 0;
		trace_mm_setup_per_zone_lowmem_reserve(node->nid, id, j, zone->lowmem_reserve[j]);
	}
}

static void lowmem_reserve_locked(void)
{
	for (unsigned nid = 0; nid < machine()->nr_nodes; nid++)
		for (unsigned id = 0; id < MAX_NR_ZONES - 1; id++)
			zone_lowmem_reserve(&machine()->node[nid], id);
}

static void setup_zone_wmarks(struct zone *zone, uint64_t min_pages, uint64_t lowmem)
{
	uint64_t share = lowmem ? min_pages * zone->managed / lowmem : 0, step;
	irq_state_t irq = spin_lock_irqsave(&zone->lock);

	zone->watermark[WMARK_MIN] =
	        is_highmem(zone) ? MIN(MAX(zone->managed / 1024, SWAP_CLUSTER_MAX), 128) : share;
	step = MAX(share / 4, zone->managed * machine()->watermark_scale_factor / 10000);
	for (unsigned mark = WMARK_LOW; mark < NR_WMARK; mark++)
		zone->watermark[mark] = zone->watermark[mark - 1] + step;
	spin_unlock_irqrestore(&zone->lock, irq);
	trace_mm_setup_per_zone_wmarks(zone->nid, zone->id, zone->watermark[WMARK_MIN],
	                               zone->watermark[WMARK_LOW], zone->watermark[WMARK_HIGH],
	                               zone->watermark[WMARK_PROMO]);
}

static void wmarks_locked(void)
{
	uint64_t lowmem = lowmem_pages();

	for_each_zone(zone)
		setup_zone_wmarks(zone, READ_ONCE(machine()->min_free_kbytes) >> (PAGE_SHIFT - 10),
		                  lowmem);
}

void setup_per_zone_wmarks(void)
{
	spin_lock(&machine()->wmark_lock);
	wmarks_locked();
	spin_unlock(&machine()->wmark_lock);
}

void setup_per_zone_lowmem_reserve(void)
{
	spin_lock(&machine()->wmark_lock);
	lowmem_reserve_locked();
	spin_unlock(&machine()->wmark_lock);
}

void init_per_zone_wmark_min(void)
{
	struct machine *m = machine();
	uint64_t lowmem_kbytes = free_buffer_pages() << (PAGE_SHIFT - 10);

	spin_lock(&m->wmark_lock);
	if (!m->watermark_scale_factor) {
		m->watermark_scale_factor = DEFAULT_WATERMARK_SCALE_FACTOR;
		for (unsigned i = 0; i < MAX_NR_ZONES; i++)
			m->lowmem_reserve_ratio[i] = default_lowmem_reserve_ratio[i];
	}
	m->min_free_kbytes = default_min_free_kbytes(lowmem_kbytes);
	wmarks_locked();
	lowmem_reserve_locked();
	spin_unlock(&m->wmark_lock);
}

bool zone_watermark_ok(const struct zone *zone, enum zone_watermarks mark,
                       const struct alloc_context *ac)
{
	const bool all = ac->flags & ALLOC_HIGHATOMIC;
	const uint32_t orders = all ? zone_orders(zone) : zone_orders_usable(zone);
	const uint64_t free = all ? zone_free(zone) : zone_free_usable(zone);
	uint64_t min = zone->watermark[mark];

	if (!(orders >> ac->order))
		return false;
	if (ac->flags & ALLOC_NO_WATERMARKS)
		return true;
	if (ac->flags & ALLOC_HIGH)
		min -= min / 2;
	if (ac->flags & ALLOC_HARDER)
		min -= min / 4;
	return free >= min + zone->lowmem_reserve[ac->highest_zone] + (1u << ac->order);
}
