/*
 * compaction.h - compaction inside mm/frame.
 *
 * Lock key of what a zone remembers between runs (struct compact_state, frame.h): written by whoever compacts, without a
 * lock; a lost update costs a run that starts elsewhere, or one that need not have been.
 */
#ifndef MM_FRAME_COMPACTION_H
#define MM_FRAME_COMPACTION_H

#include <quire/migrate.h>
#include "mm/frame/internal.h"

#define COMPACT_CLUSTER_MAX     MIGRATE_BATCH /* pages isolated in one go */
#define COMPACT_MAX_DEFER_SHIFT 6u /* up to 64 requests are turned away after failures in a row */
#define COMPACT_WHOLE           MAX_ORDER /* order: no block is wanted, go through all of the zone */

/* Linux 6.1's numbers, which events show. */
enum compact_result {
	COMPACT_NOT_SUITABLE_ZONE,
	COMPACT_SKIPPED, /* too little free memory, or it is not fragmentation that is the trouble */
	COMPACT_DEFERRED, /* failed often enough of late */
	COMPACT_NO_SUITABLE_PAGE,
	COMPACT_CONTINUE,
	COMPACT_COMPLETE,        /* the scanners met after a whole zone */
	COMPACT_PARTIAL_SKIPPED, /* they met, having begun in the middle */
	COMPACT_CONTENDED,
	COMPACT_SUCCESS,
};

/* One run over one zone. */
struct compact_control {
	struct zone *zone;
	unsigned order; /* of the block that is wanted, or COMPACT_WHOLE */
	unsigned type;  /* enum migratetype of who wants it */
	unsigned highest_zone;
	enum migrate_mode mode;
	bool direct;     /* the one who wants it waits meanwhile */
	bool proactive;  /* until the zone's score is low */
	bool whole_zone; /* began at the ends */
	uint32_t migrate_pfn,
	        free_pfn; /* the scanners: the next frame upwards, the last block downwards */
	struct migrate_pair migratepages[COMPACT_CLUSTER_MAX]; /* isolated, each with a reference */
	unsigned nr_migratepages;
	uint32_t freepages; /* chain by lru.next of nr_freepages frames, out of the buddy */
	unsigned nr_freepages;
	uint64_t total_migrate_scanned, total_free_scanned;
};

/* Is there any sense in it? CONTINUE: yes. SUCCESS: there is such a block. SKIPPED: no. */
enum compact_result compaction_suitable(struct zone *zone, unsigned order, unsigned highest_zone);
/* cc's zone, order, type, mode and direct are set. Sleeps. */
enum compact_result compact_zone(struct compact_control *cc);

/* Deferral: after 2^n failures in a row, so many requests of that order and above are turned away. */
bool compaction_deferred(struct zone *zone, unsigned order);
void defer_compaction(struct zone *zone, unsigned order);
void compaction_defer_reset(struct zone *zone, unsigned order, bool alloc_success);

/* For an allocation that has to sleep anyway: each zone it may use. Sleeps. */
enum compact_result try_to_compact_pages(const struct alloc_context *ac, enum migrate_mode mode);

/* kcompactd.c: the node has no block of the order left. Any context. */
void wakeup_kcompactd(struct pglist_data *node, unsigned order, unsigned highest_zone);

/* proactive.c: percentages; is it time; do it, true: the score went down. The last two sleep. */
unsigned fragmentation_score_zone(const struct zone *zone);
unsigned fragmentation_score_node(const struct pglist_data *node);
unsigned fragmentation_score_low(void);
bool should_proactive_compact_node(const struct pglist_data *node);
bool proactive_compact_node(struct pglist_data *node);

/* fragmentation.c: what a request of the order sees of the zone. */
struct contig_page_info {
	uint64_t free_pages;
	uint64_t free_blocks_total;    /* free blocks of any order */
	uint64_t free_blocks_suitable; /* blocks of the order that can be had */
};
void fill_contig_page_info(const struct zone *zone, unsigned order, struct contig_page_info *info);

#endif
