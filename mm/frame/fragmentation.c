/*
 * fragmentation.c - how broken up free memory is (Linux's mm/vmstat.c; Gorman and Whitcroft 2006).
 *
 * unusable free space index of order k: the share of free memory that lies in blocks too small for k. 0: all can be used;
 * 1000: none. It tells how bad things are, whoever asks.
 *
 * fragmentation index of order k, of a request that would fail: why it would. Towards 0: memory is short, and
 * reclaim is the cure; towards 1000: memory is in pieces, and compaction is. -1000: it would not fail.
 *
 *                      1 + free_pages / 2^k
 *     index  =  1  -  ----------------------      in thousandths
 *                          free blocks
 */
#include "mm/frame/compaction.h"

void fill_contig_page_info(const struct zone *zone, unsigned order, struct contig_page_info *info)
{
	*info = (struct contig_page_info){.free_pages = 0};
	for (unsigned i = 0; i < MAX_ORDER; i++) {
		const uint64_t blocks = zone_free_blocks(zone, i);

		info->free_blocks_total += blocks;
		info->free_pages += blocks << i;
		if (i >= order)
			info->free_blocks_suitable += blocks << (i - order);
	}
}

int fragmentation_index(const struct zone *zone, unsigned order)
{
	const uint64_t requested = (uint64_t)1 << order;
	struct contig_page_info info;

	if (order >= MAX_ORDER)
		return 0;
	fill_contig_page_info(zone, order, &info);
	if (!info.free_blocks_total)
		return 0;
	if (info.free_blocks_suitable)
		return -1000;
	return 1000 - (int)((1000 + info.free_pages * 1000 / requested) / info.free_blocks_total);
}

int unusable_free_index(const struct zone *zone, unsigned order)
{
	struct contig_page_info info;

	fill_contig_page_info(zone, order, &info);
	if (!info.free_pages)
		return 1000;
	return (int)((info.free_pages - (info.free_blocks_suitable << order)) * 1000 /
	             info.free_pages);
}
