/*
 * check_nodes.c - the invariants of nodes, zonelists, marks and sections. Quiet machine only.
 *
 *   1. A node's list begins with itself, never comes nearer again, and each node is in it in one run, zones downwards.
 *   2. min <= low <= high <= promo; nothing is reserved from requests that can do with a lower zone only.
 *   3. deferred is what the offline sections of the zone hold that are not holes; online descriptors are of the zone and node
 *      that their frame lies in.
 *   4. A CPU's short way leads to its own node, or nowhere.
 */
#include "mm/frame/internal.h"

static const char *check_list(const struct pglist_data *node, unsigned highest)
{
	struct zone *const *z = node->zonelist[highest].zones;
	const struct zone *before = NULL;
	unsigned seen = 0;

	for (; *z; before = *z++) {
		const struct zone *zone = *z;
		bool same = before && before->nid == zone->nid;

		if (!zone->present || zone->id > highest)
			return "frame: a zone in a list that cannot serve it";
		if (same ? zone->id >= before->id : seen >> zone->nid & 1)
			return "frame: order of zones in a list";
		if (before &&
		    node_distance(node->nid, zone->nid) < node_distance(node->nid, before->nid))
			return "frame: a list comes nearer again";
		seen |= 1u << zone->nid;
	}
	return NULL;
}

static const char *check_marks(const struct zone *zone)
{
	for (unsigned mark = WMARK_LOW; mark < NR_WMARK; mark++)
		if (zone->watermark[mark] < zone->watermark[mark - 1])
			return "frame: order of the watermarks";
	for (unsigned i = 0; i <= zone->id; i++)
		if (zone->lowmem_reserve[i])
			return "frame: reserve from requests that have no other zone";
	return NULL;
}

static const char *check_descriptors(const struct zone *zone)
{
	const unsigned shift = machine()->section_shift;
	uint64_t deferred = 0, end = zone->start.n + zone->spanned;

	for (uint64_t pfn = zone->start.n; pfn < end; pfn++) {
		const struct page *page = pfn_to_page(PFN(pfn));

		if (!pfn_online(pfn)) {
			uint64_t next = ((pfn >> shift) + 1) << shift;

			if (section_is_deferred(zone, pfn))
				deferred += next - pfn;
			pfn = next - 1;
		} else if (page_to_nid(page) != zone->nid || page_zone_id(page) != zone->id) {
			return "frame: descriptor of another zone or node";
		}
	}
	return deferred == zone_deferred(zone) ? NULL : "frame: pages without descriptors";
}

static const char *check_short_ways(void)
{
	for (unsigned i = 0; i < machine()->nr_cpus; i++) {
		const struct cpu_area *cpu = machine()->cpu[i];

		for (unsigned gfp = 0; cpu && cpu->pcp_ready && gfp < ARRAY_SIZE(cpu->fast_pcp);
		     gfp++) {
			const struct per_cpu_pages *pcp = cpu->fast_pcp[gfp];

			if (pcp && ((pcp - cpu->pcp) & (MAX_NUMNODES - 1)) != cpu_to_node(i))
				return "frame: a CPU's short way leads to another node";
			if (pcp && cpu->mempolicy)
				return "frame: a CPU's short way is open under a policy";
		}
	}
	return NULL;
}

const char *check_nodes(void)
{
	const char *broken = check_short_ways();

	for (unsigned i = 0; i < machine()->nr_nodes * MAX_NR_ZONES && !broken; i++)
		broken = check_list(&machine()->node[i / MAX_NR_ZONES], i % MAX_NR_ZONES);
	for_each_zone(zone) {
		if (!broken)
			broken = check_marks(zone);
		if (!broken)
			broken = check_descriptors(zone);
	}
	return broken;
}
