/*
 * check.c - the invariants of mm/frame, walked. Quiet machine only.
 */
#include "mm/frame/internal.h"

static bool free_page_state(const struct page *page, uint32_t allowed)
{
	return !(page->flags & ~(PAGE_FLAGS_FREE | allowed)) && page_count(page) == 0 &&
	       !page->mapping;
}

static const char *check_block(const struct zone *zone, const struct page *page, unsigned order)
{
	uint32_t pfn = page_to_pfn(page).n, buddy = pfn ^ 1u << order;

	if (!page_flag(page, PG_buddy) || page->order != order)
		return "frame: head of a free block without PG_buddy or with another order";
	if (pfn & ((1u << order) - 1))
		return "frame: free block is not aligned to its size";
	if (pfn < zone->start.n || pfn + (1u << order) > zone->start.n + zone->spanned)
		return "frame: free block outside of its zone";
	for (unsigned i = 0; i < 1u << order; i++)
		if (!free_page_state(page + i, i ? 0 : PAGE_FLAG(buddy)) ||
		    page_zone(page + i) != zone)
			return "frame: frame in a free block is in use, or of another zone";
	if (order < MAX_ORDER - 1 && buddy - zone->start.n < zone->spanned &&
	    page_flag(pfn_to_page(PFN(buddy)), PG_buddy) && pfn_to_page(PFN(buddy))->order == order)
		return "frame: buddies both free and not merged";
	return NULL;
}

static const char *check_free_area(const struct zone *zone, unsigned order, uint64_t *pages)
{
	const struct page_list *list = &zone->free_area[order];
	uint64_t n = 0;

	for (uint32_t pfn = list->first; pfn != PFN_NONE_N; pfn = pfn_to_page(PFN(pfn))->lru.next) {
		const char *broken = check_block(zone, pfn_to_page(PFN(pfn)), order);

		if (broken)
			return broken;
		if (++n > list->count)
			break;
	}
	if (n != list->count)
		return "frame: length of a free list";
	if (!n != !(zone->free_orders >> order & 1))
		return "frame: bit map of free orders";
	*pages += n << order;
	return NULL;
}

static const char *check_stack(const struct zone *zone, uint32_t pfn, unsigned count)
{
	for (; count; count--) {
		const struct page *page;

		if (pfn == PFN_NONE_N)
			return "frame: per-CPU list is shorter than its count";
		page = pfn_to_page(PFN(pfn));
		if (!free_page_state(page, 0) || page_zone(page) != zone)
			return "frame: frame on a per-CPU list is in use, or of another zone";
		pfn = page->lru.next;
	}
	return pfn == PFN_NONE_N ? NULL : "frame: per-CPU list is longer than its count";
}

static const char *check_pcps(const struct zone *zone)
{
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++) {
		const struct cpu_area *cpu = machine()->cpu[i];
		const struct per_cpu_pages *pcp;
		const char *broken;

		if (!cpu || !cpu->pcp_ready)
			continue;
		pcp = &cpu->pcp[PCP_INDEX(zone->id, zone->nid)];
		broken = check_stack(zone, pcp->first, pcp->count);
		if (!broken)
			broken = check_stack(zone, pcp->cold, pcp->cold_count);
		if (broken)
			return broken;
	}
	return NULL;
}

static const char *check_zone(const struct zone *zone)
{
	uint64_t pages = 0;
	const char *broken = NULL;

	for (unsigned order = 0; order < MAX_ORDER && !broken; order++)
		broken = check_free_area(zone, order, &pages);
	if (!broken)
		broken = check_pcps(zone);
	if (!broken && pages != zone_free(zone))
		broken = "frame: nr_free is not the sum of the free blocks";
	if (!broken && (zone->managed > zone->present || zone->present > zone->spanned))
		broken = "frame: managed <= present <= spanned";
	if (!broken && zone_free_pages(zone) + zone_pcp_pages(zone) > zone->managed)
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
