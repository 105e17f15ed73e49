/*
 * proactive.c - compaction before anybody asks (Linux's proactive compaction; Gupta 2020).
 *
 * Who asks for a block of 2 MB pays for the compaction that makes it. Memory that is idle could have been made whole before. How
 * badly that is needed is the node's score: the percentage of free memory that is in blocks too small for 2 MB, of each zone,
 * weighted by the zone's share of the node. Above a mark kcompactd begins, and goes on until it is below another:
 *
 *     low  = 100 - compaction_proactiveness, at least 5        high = low + 10, at most 100
 *
 * So 0 never begins, the default 20 begins above 90 and ends at 80, and 100 keeps free memory whole at any cost. kcompactd
 * looks every half second; a run that did not lower the score makes the next wait 64 times as long.
 */
#include "mm/frame/compaction.h"

#define SCORE_LOW_LEAST  5u
#define SCORE_HYSTERESIS 10u

unsigned fragmentation_score_zone(const struct zone *zone)
{
	return zone_free_pages(zone) ? (unsigned)unusable_free_index(zone, pageblock_order) / 10
	                             : 0;
}

unsigned fragmentation_score_node(const struct pglist_data *node)
{
	uint64_t score = 0;

	for (unsigned i = 0; i < MAX_NR_ZONES; i++)
		if (node->zones[i].present)
			score += fragmentation_score_zone(&node->zones[i]) * node->zones[i].present;
	return (unsigned)(score / (node->present + 1));
}

unsigned fragmentation_score_low(void)
{
	const unsigned proactiveness = READ_ONCE(machine()->sysctl_compaction_proactiveness);

	return MAX(100 - proactiveness, SCORE_LOW_LEAST);
}

bool should_proactive_compact_node(const struct pglist_data *node)
{
	return READ_ONCE(machine()->sysctl_compaction_proactiveness) &&
	       fragmentation_score_node(node) >
	               MIN(fragmentation_score_low() + SCORE_HYSTERESIS, 100);
}

bool proactive_compact_node(struct pglist_data *node)
{
	const unsigned before = fragmentation_score_node(node);

	for (unsigned i = 0; i < MAX_NR_ZONES; i++) {
		struct compact_control cc = {.zone = &node->zones[i],
		                             .order = COMPACT_WHOLE,
		                             .type = MIGRATE_MOVABLE,
		                             .mode = MIGRATE_SYNC_LIGHT,
		                             .proactive = true};

		if (!cc.zone->present)
			continue;
		(void)compact_zone(&cc);
		count_n(KCOMPACTD_MIGRATE_SCANNED, cc.total_migrate_scanned);
		count_n(KCOMPACTD_FREE_SCANNED, cc.total_free_scanned);
	}
	trace_mm_compaction_proactive(node->nid, before, fragmentation_score_node(node));
	return fragmentation_score_node(node) < before;
}

void wakeup_proactive(void)
{
	for (unsigned nid = 0; nid < machine()->nr_nodes; nid++) {
		struct pglist_data *node = &machine()->node[nid];

		atomic_store(&node->proactive_compact_trigger, true);
		if (atomic_load(&node->kcompactd_running))
			wake_up(&node->kcompactd_wait);
	}
}
