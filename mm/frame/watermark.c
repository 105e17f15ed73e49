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
 * As Linux 6.1: min_free_kbytes = sqrt(16 * KB of memory), shared out by zone size; low and high
 * lie a quarter of min above each other, or 0.1% of the zone if that is more. That root grows too slowly
 * downwards: 2 MB of memory would keep 181 KB, 9%. So it is no more than 1/32 of memory, which
 * is the smaller only below 16 MB.
 *
 * lowmem_reserve: a request that could have had NORMAL memory leaves managed(NORMAL)/256 frames of
 * DMA32, and so on, to those who cannot do with any other.
 */
#include "mm/frame/internal.h"

#define WATERMARK_SCALE_FACTOR 10u /* of 10000 */

static const unsigned lowmem_reserve_ratio[MAX_NR_ZONES] = {256, 256, 32, 0, 0};

static uint64_t int_sqrt(uint64_t x)
{
	uint64_t root = 0;

	for (uint64_t bit = 1ull << 31; bit; bit >>= 1)
		if ((root | bit) * (root | bit) <= x)
			root |= bit;
	return root;
}

static uint64_t default_min_free_kbytes(uint64_t lowmem_kbytes)
{
	uint64_t kbytes = int_sqrt(lowmem_kbytes * 16);

	kbytes = MIN(MAX(kbytes, 128), 262144);
	return MIN(kbytes, lowmem_kbytes / 32);
}

static uint64_t lowmem_pages(void)
{
	uint64_t pages = 0;

	for_each_zone(zone)
		if (zone->id != ZONE_HIGHMEM && zone->id != ZONE_MOVABLE)
			pages += zone->managed;
	return pages;
}

static void setup_lowmem_reserve(struct pglist_data *node)
{
	for (unsigned i = 0; i < MAX_NR_ZONES; i++) {
		uint64_t above = 0;

		for (unsigned j = 0; j < MAX_NR_ZONES; j++) {
			if (j > i)
				above += node->zones[j].managed;
			node->zones[i].lowmem_reserve[j] =
			        lowmem_reserve_ratio[i] ? above / lowmem_reserve_ratio[i] : 0;
		}
	}
}

static void setup_zone_wmarks(struct zone *zone, uint64_t min_pages, uint64_t lowmem)
{
	uint64_t min = lowmem ? min_pages * zone->managed / lowmem : 0, step;

	if (zone->id == ZONE_HIGHMEM || zone->id == ZONE_MOVABLE)
		min = MIN(MAX(zone->managed / 1024, SWAP_CLUSTER_MAX), 128);
	step = MAX(min / 4, zone->managed * WATERMARK_SCALE_FACTOR / 10000);
	zone->watermark[WMARK_MIN] = min;
	zone->watermark[WMARK_LOW] = min + step;
	zone->watermark[WMARK_HIGH] = min + 2 * step;
}

void setup_per_zone_wmarks(uint64_t min_free_kbytes)
{
	uint64_t lowmem = lowmem_pages();

	if (!min_free_kbytes)
		min_free_kbytes = default_min_free_kbytes(lowmem << (PAGE_SHIFT - 10));
	machine()->min_free_kbytes = min_free_kbytes;
	for (unsigned nid = 0; nid < machine()->nr_nodes; nid++)
		setup_lowmem_reserve(&machine()->node[nid]);
	for_each_zone(zone)
		setup_zone_wmarks(zone, min_free_kbytes >> (PAGE_SHIFT - 10), lowmem);
}

bool zone_watermark_ok(const struct zone *zone, enum zone_watermarks mark,
                       const struct alloc_context *ac)
{
	uint64_t min = zone->watermark[mark];

	if (!(zone_orders(zone) >> ac->order))
		return false;
	if (ac->flags & ALLOC_NO_WATERMARKS)
		return true;
	if (ac->flags & ALLOC_HIGH)
		min -= min / 2;
	if (ac->flags & ALLOC_HARDER)
		min -= min / 4;
	return zone_free(zone) >= min + zone->lowmem_reserve[ac->highest_zone] + (1u << ac->order);
}
