/*
 * cpu.h - what each CPU has of the memory manager for itself.
 *
 * Only its own CPU writes a cpu_area, so nothing in it is locked; the exceptions are named at
 * their fields. Included by port.h before <quire_embed.h>, which finds fields by offset.
 */
#ifndef QUIRE_CPU_H
#define QUIRE_CPU_H

#include <quire/types.h>
#include <quire/counter.h>
#include <quire/header.h>

/* ZONE_DMA: the first 16 MB. ZONE_DMA32: the first 4 GB. HIGHMEM: no kernel address. */
enum zone_type { ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, ZONE_HIGHMEM, ZONE_MOVABLE, MAX_NR_ZONES };

#define MAX_NUMNODES 4

/* cpu_line() in an interrupt: behind those of the CPUs. */
#define CPU_LINE_INTERRUPT ((size_t)QUIRE_MAX_CPUS * CACHELINE)

/*
 * What can be done about an allocated frame that stands in the way (mm/frame/mobility.c): nothing; it can be moved; it can be freed.
 * Linux's numbers, which are the gfp bits' too. No request has the last one, and no CPU a list of it: page blocks set aside
 * (mm/frame/highatomic.c).
 */
enum migratetype {
	MIGRATE_UNMOVABLE,
	MIGRATE_MOVABLE,
	MIGRATE_RECLAIMABLE,
	MIGRATE_PCPTYPES,
	MIGRATE_HIGHATOMIC = MIGRATE_PCPTYPES,
	MIGRATE_TYPES
};

/*
 * Frames, or blocks of one order, kept by a CPU for a zone and a migratetype, in two stacks linked through
 * page->lru.next (Bonwick's magazines). Hot ones are freed to and taken from `first`. When it holds a batch and another
 * comes, it becomes `cold`, and what was cold, longest unused, goes to the zone. So a batch is kept
 * at least and two at most, and whatever a program does, each step to the zone moves a batch.
 *
 * busy: PCP_BUSY while the owner is inside; an interrupt that finds it set goes to the zone
 * instead, so neither needs the other's permission. PCP_CAREFUL keeps every caller out of the inline
 * paths, so that checks cost nothing when they are off. Counts are atomic for readers on other CPUs.
 */
#define PCP_BUSY    1u
#define PCP_CAREFUL 2u

struct per_cpu_pages {
	uint32_t first, cold; /* frame numbers; PFN_NONE_N ends */
	_Atomic uint16_t count, cold_count;
	uint16_t batch; /* 0: not set up yet, or the zone is too small for blocks of the order */
	uint8_t busy;
	uint8_t counter; /* COUNT_PGALLOC_* of the zone */
};
struct mempolicy;
static_assert(NR_COUNTERS <= 256, "a counter's number fits into per_cpu_pages.counter");

/* Index of a zone's list of a type: the bits of page->flags from the node's on (page.h). */
#define PCP_INDEX(zone, nid, type) ((zone) << 4 | (type) << 2 | (nid))
#define NR_PCP_LISTS_OF_ORDER      (MAX_NR_ZONES << 4)

/*
 * Orders that have lists: 0, then those that are asked for all the time (up to PAGE_ALLOC_COSTLY_ORDER, 3), then that of huge
 * pages (pageblock_order). Their lists follow each other in cpu_area.pcp, in the same order of zones.
 */
#define NR_PCP_ORDERS 5u
#define NR_PCP_LISTS  (NR_PCP_ORDERS * NR_PCP_LISTS_OF_ORDER)

/* What an allocated frame is used for. */
enum frame_kind {
	FRAME_SLAB,
	FRAME_PAGETABLE,
	FRAME_KSTACK,
	FRAME_VMALLOC,
	FRAME_ANON,
	FRAME_FILE,
	FRAME_SHMEM,
	FRAME_SLAB_RECLAIMABLE, /* part of FRAME_SLAB: of caches whose objects a shrinker can free */
	NR_FRAME_KINDS
};

struct CACHE_ALIGNED cpu_area {
	uint64_t counters[NR_COUNTERS];
	struct trace_ring *ring; /* NULL when tracing is off */
	uint8_t *ring_data;
	uint64_t ring_size;
	/* Pages; this CPU's additions less its removals. */
	_Atomic int64_t frame_kind[NR_FRAME_KINDS];
	struct per_cpu_pages
	        *fast_pcp[32];       /* by gfp's bits of zone and type; NULL at first, or closed */
	struct mempolicy *mempolicy; /* of the task that runs here; NULL: local, all nodes */
	/* In counters[], and are no local hits: zonelist.c. */
	_Atomic uint64_t slow_pages[MAX_NR_ZONES];
	unsigned kmap_depth; /* kmap_local_page()s that are open (mm/kva/highmem.c) */
	uint8_t nid;         /* the node that it belongs to, once pcp_ready */
	bool pcp_ready;
	_Atomic bool drain_wanted; /* set by any CPU: give the lists back at the next slow step */
	struct per_cpu_pages pcp[NR_PCP_LISTS];
};

#endif
