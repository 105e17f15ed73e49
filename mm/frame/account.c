/*
 * account.c - where the frames are.
 *
 * present = reserved + free + (what each kind says) + other. Each CPU counts its own additions and
 * removals, so a single CPU's figure may be negative; the sum over CPUs is exact when the machine is quiet.
 */
#include "mm/frame/internal.h"

void frame_account(enum frame_kind kind, int64_t pages)
{
	atomic_fetch_add_explicit(&this_cpu()->frame_kind[kind], pages, memory_order_relaxed);
}

uint64_t frame_kind_pages(enum frame_kind kind)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		if (machine()->cpu[i])
			sum += atomic_load_explicit(&machine()->cpu[i]->frame_kind[kind],
			                            memory_order_relaxed);
	return sum > 0 ? (uint64_t)sum : 0;
}

uint64_t zone_free_pages(const struct zone *zone)
{
	return zone_free(zone) + zone_deferred(zone);
}

/* Deferred sections are free as the largest blocks there are. */
uint64_t zone_free_blocks_of(const struct zone *zone, unsigned order, unsigned type)
{
	uint64_t blocks = READ_ONCE(zone->free_area[order].free_list[type].count);

	if (order == MAX_ORDER - 1 && type == first_pageblock_type())
		blocks += zone_deferred(zone) >> order;
	return blocks;
}

uint64_t zone_free_blocks(const struct zone *zone, unsigned order)
{
	uint64_t blocks = 0;

	for (unsigned type = 0; type < MIGRATE_TYPES; type++)
		blocks += zone_free_blocks_of(zone, order, type);
	return blocks;
}

uint64_t nr_free_pages(void)
{
	uint64_t pages = 0;

	for_each_zone(zone)
		pages += zone_free_pages(zone) + zone_pcp_pages(zone);
	return pages;
}

uint64_t nr_unused_pages(void)
{
	uint64_t pages = nr_free_pages();

	for_each_zone(zone)
		pages += READ_ONCE(zone->nr_guard);
	return pages;
}

uint64_t totalram_pages(void)
{
	return machine()->totalram;
}

uint64_t min_free_pages(void)
{
	return atomic_load_explicit(&machine()->min_free, memory_order_relaxed);
}

void frame_report(struct quire_frames *out)
{
	uint64_t known;

	*out = (struct quire_frames){
	        .reserved = machine()->reserved_pages,
	        .free = nr_free_pages(),
	        .slab = frame_kind_pages(FRAME_SLAB),
	        .pagetable = frame_kind_pages(FRAME_PAGETABLE),
	        .kstack = frame_kind_pages(FRAME_KSTACK),
	        .vmalloc = frame_kind_pages(FRAME_VMALLOC),
	        .anon = frame_kind_pages(FRAME_ANON),
	        .file = frame_kind_pages(FRAME_FILE),
	        .shmem = frame_kind_pages(FRAME_SHMEM),
	};
	for_each_zone(zone)
		out->present += zone->present;
	known = out->reserved + out->free + out->slab + out->pagetable + out->kstack +
	        out->vmalloc + out->anon + out->file + out->shmem;
	out->other = out->present > known ? out->present - known : 0;
}
