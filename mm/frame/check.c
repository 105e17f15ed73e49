/*
 * check.c - the invariants of mm/frame, walked. Quiet machine only.
 */
#include "mm/frame/debug.h"

static bool free_page_state(const struct page *page, uint32_t allowed)
{
	return !(page->flags & ~(PAGE_FLAGS_FREE | allowed)) && page_count(page) == 0 &&
	       !page->mapping;
}

static bool types_agree(const struct page *page, unsigned order, unsigned type)
{
	if (page_type(page) != type)
		return false;
	for (uint32_t i = 0; order >= pageblock_order && i < 1u << order; i += pageblock_nr_pages)
		if (get_pageblock_migratetype(page + i) != type)
			return false;
	return true;
}

static const char *check_block(const struct zone *zone, const struct page *page, unsigned order,
                               unsigned type)
{
	uint32_t pfn = page_to_pfn(page).n, buddy = pfn ^ 1u << order;

	if (!page_flag(page, PG_buddy) || page->order != order)
		return "frame: head of a free block without PG_buddy or with another order";
	if (pfn & ((1u << order) - 1))
		return "frame: free block is not aligned to its size";
	if (pfn < zone->start.n || pfn + (1u << order) > zone->start.n + zone->spanned)
		return "frame: free block outside of its zone";
	if ((type == MIGRATE_HIGHATOMIC) != (get_pageblock_migratetype(page) == MIGRATE_HIGHATOMIC))
		return "frame: free block of a page block set aside is on a usual list, or the reverse";
	if (!types_agree(page, order, type))
		return "frame: free block on another type's list than its own or its page block's";
	for (unsigned i = 0; i < 1u << order; i++)
		if (!free_page_state(page + i, i ? 0 : PAGE_FLAG(buddy)) ||
		    page_zone(page + i) != zone)
			return "frame: frame in a free block is in use, or of another zone";
	if (order < MAX_ORDER - 1 && buddy - zone->start.n < zone->spanned &&
	    page_flag(pfn_to_page(PFN(buddy)), PG_buddy) &&
	    pfn_to_page(PFN(buddy))->order == order && !highatomic_border(pfn, buddy))
		return "frame: buddies both free and not merged";
	return NULL;
}

static const char *check_free_list(const struct zone *zone, unsigned order, unsigned type)
{
	const struct page_list *list = &zone->free_area[order].free_list[type];
	uint64_t n = 0;

	for (uint32_t pfn = list->first; pfn != PFN_NONE_N; pfn = pfn_to_page(PFN(pfn))->lru.next) {
		const char *broken = check_block(zone, pfn_to_page(PFN(pfn)), order, type);

		if (broken)
			return broken;
		if (++n > list->count)
			break;
	}
	if (n != list->count)
		return "frame: length of a free list";
	if (!n != !(zone_type_orders(zone, type) >> order & 1))
		return "frame: bit map of a type's free orders";
	return NULL;
}

static const char *check_free_area(const struct zone *zone, unsigned order, uint64_t *pages)
{
	for (unsigned type = 0; type < MIGRATE_TYPES; type++) {
		const char *broken = check_free_list(zone, order, type);

		if (broken)
			return broken;
		*pages += zone->free_area[order].free_list[type].count << order;
	}
	return NULL;
}

/* It goes by the list's type, or, having been taken from another type's page block, by that. */
static const char *check_kept(const struct zone *zone, const struct page *page, unsigned order,
                              unsigned type)
{
	if (page_to_pfn(page).n & ((1u << order) - 1))
		return "frame: block on a per-CPU list is not aligned to its size";
	if (page_type(page) != type && page_type(page) != get_pageblock_migratetype(page))
		return "frame: block on a per-CPU list of another type";
	for (unsigned i = 0; i < 1u << order; i++)
		if (!free_page_state(page + i, 0) || page_zone(page + i) != zone)
			return "frame: frame on a per-CPU list is in use, or of another zone";
	return NULL;
}

static const char *check_stack(const struct zone *zone, unsigned order, unsigned type, uint32_t pfn,
                               unsigned count)
{
	const char *broken = NULL;

	for (; count && !broken; count--) {
		if (pfn == PFN_NONE_N)
			return "frame: per-CPU list is shorter than its count";
		broken = check_kept(zone, pfn_to_page(PFN(pfn)), order, type);
		pfn = pfn_to_page(PFN(pfn))->lru.next;
	}
	if (!broken && pfn != PFN_NONE_N)
		broken = "frame: per-CPU list is longer than its count";
	return broken;
}

static const char *check_pcp(const struct zone *zone, struct cpu_area *cpu, unsigned type)
{
	const char *broken = NULL;

	for (unsigned i = 0; i < NR_PCP_ORDERS && !broken; i++) {
		const unsigned order = pcp_order(i);
		const struct per_cpu_pages *pcp = block_pcp(zone_pcp(cpu, zone, type), order);

		broken = check_stack(zone, order, type, pcp->first, pcp->count);
		if (!broken)
			broken = check_stack(zone, order, type, pcp->cold, pcp->cold_count);
	}
	return broken;
}

static const char *check_pcps(const struct zone *zone)
{
	const char *broken = NULL;

	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++) {
		struct cpu_area *cpu = machine()->cpu[i];

		for (unsigned type = 0; cpu && cpu->pcp_ready && type < MIGRATE_PCPTYPES && !broken;
		     type++)
			broken = check_pcp(zone, cpu, type);
	}
	return broken;
}

static const char *check_guards(const struct zone *zone)
{
	uint64_t pages = 0;

	for (uint64_t pfn = zone->start.n;
	     machine()->guard_minorder && pfn < zone->start.n + zone->spanned; pfn++)
		pages += pfn_online(pfn) && page_is_guard(pfn_to_page(PFN((uint32_t)pfn)));
	return pages == zone->nr_guard ? NULL : "frame: nr_guard is not the sum of the guards";
}

static const char *check_highatomic(const struct zone *zone)
{
	uint64_t blocks[MIGRATE_TYPES];

	zone_pageblocks(zone, blocks);
	return blocks[MIGRATE_HIGHATOMIC] << pageblock_order == zone->nr_reserved_highatomic
	               ? NULL
	               : "frame: nr_reserved_highatomic is not the sum of the page blocks";
}

static const char *check_zone(const struct zone *zone)
{
	uint64_t pages = 0;
	const char *broken = NULL;

	for (unsigned order = 0; order < MAX_ORDER && !broken; order++)
		broken = check_free_area(zone, order, &pages);
	if (!broken)
		broken = check_pcps(zone);
	if (!broken)
		broken = check_guards(zone);
	if (!broken)
		broken = check_highatomic(zone);
	if (!broken && pages != zone_free(zone))
		broken = "frame: nr_free is not the sum of the free blocks";
	if (!broken && (zone->managed > zone->present || zone->present > zone->spanned))
		broken = "frame: managed <= present <= spanned";
	if (!broken &&
	    zone_free_pages(zone) + zone_pcp_pages(zone) + zone->nr_guard > zone->managed)
		broken = "frame: more frames free than managed";
	return broken;
}

const char *frame_check(void)
{
	uint64_t managed = 0, present = 0;

	for_each_zone(zone) {
		const char *broken = check_zone(zone);

		if (broken)
			return broken;
		managed += zone->managed;
		present += zone->present;
	}
	if (managed != machine()->totalram || present != managed + machine()->reserved_pages)
		return "frame: present = managed + reserved";
	return check_nodes();
}

static const char *check_list(const struct lruvec *lruvec, unsigned list)
{
	uint64_t n = 0;

	for (const struct page *p = page_list_first(&lruvec->lists[list]); p;
	     p = p->lru.next == PFN_NONE_N ? NULL : pfn_to_page(PFN(p->lru.next))) {
		if (!page_flag(p, PG_lru) || page_lru(p) != list || page_lruvec(p) != lruvec)
			return "lru: page on a list that its flags do not name";
		if (page_count(p) <= 0)
			return "lru: page without a reference on a list";
		if (++n > lruvec->lists[list].count)
			break;
	}
	return n == lruvec->lists[list].count ? NULL : "lru: length of a list";
}

const char *lru_check(void)
{
	const char *broken = NULL;

	for (unsigned i = 0; i < LRUVECS(machine()->nr_nodes) && !broken; i++)
		for (unsigned list = 0; list < NR_LRU_LISTS && !broken; list++)
			broken = check_list(&machine()->lruvec[i], list);
	return broken;
}
