/*
 * machine.h - all state of the memory manager hangs off one object.
 *
 * In the kernel it is a constant address; in the hosted machine a thread-local pointer, so that
 * one process can run many machines. There is no other global state in mm/.
 */
#ifndef QUIRE_MACHINE_H
#define QUIRE_MACHINE_H

#include <quire/frame.h>
#include <quire/sync.h>

struct kmem_cache;
struct slab_state;
struct kva_state;
struct highmem_state;
struct cache_state;
struct space_state;

/* Sections of mem_map that are initialised: one bit each. */
#define SECTION_WORDS 64

/* Hashed wait queues for PG_locked and PG_writeback. */
#define PAGE_WAIT_BITS   5
#define PAGE_WAIT_QUEUES (1 << PAGE_WAIT_BITS)

/* The largest size whose cache kmalloc() finds in a table, and that table: by (size + 7) / 8. */
#define KMALLOC_SMALL  1024u
#define KMALLOC_CACHES (KMALLOC_SMALL / 8 + 1)

/* Index of a lruvec: the bits of page->flags from PG_shard_shift on. */
#define LRUVECS(nodes) ((nodes) << 3)
static_assert(QUIRE_MAX_CPUS == 8 && PG_node_shift == PG_shard_shift + 3 && MAX_NUMNODES == 4,
              "node and shard make the index");

struct machine {
	unsigned nr_cpus;                     /* CPUs that run; ids 0 .. nr_cpus - 1 */
	bool trace_on;                        /* records go to the rings */
	uint64_t seed;                        /* all randomness of the manager comes from here */
	struct cpu_area *cpu[QUIRE_MAX_CPUS]; /* set by the embedder before that CPU enters mm/ */

	struct frame_config config; /* the embedder's, before mm_init() */
	struct memblock memblock;   /* (boot) */
	unsigned nr_nodes;
	unsigned movable_zone; /* the enum zone_type that ZONE_MOVABLE is cut from */
	struct pglist_data node[MAX_NUMNODES];
	struct lruvec lruvec[LRUVECS(MAX_NUMNODES)]; /* by node and shard: page_lruvec() */
	uint64_t max_pfn;                            /* frames that mem_map has room for */
	unsigned section_shift;                      /* log2 of pages in a section (section.c) */
	_Atomic uint64_t section_online[SECTION_WORDS];
	bool page_group_by_mobility_disabled; /* config says so, or there are few page blocks */
	_Atomic uint8_t *pageblock;           /* of each page block: PB_* (mm/frame/mobility.c) */
	uint64_t reserved_pages;              /* RAM that the buddy never got */
	/* One page of zeros, mapped read-only wherever memory is read before written. */
	struct page *zero_page;
	unsigned sysctl_extfrag_threshold; /* fragmentation index up to which reclaim is the cure */
	unsigned sysctl_compaction_proactiveness;    /* 0 to 100 (mm/frame/proactive.c) */
	unsigned sysctl_compact_unevictable_allowed; /* 0: what mlock() holds stays where it is */
	uint64_t totalram;                           /* managed pages */
	_Atomic uint64_t min_free;                   /* see min_free_pages() */
	spinlock_t wmark_lock;    /* (z): tunables, marks and reserves are made one at a time */
	unsigned min_free_kbytes; /* (z) what the watermarks are made from */
	unsigned watermark_scale_factor;             /* (z) of 10000 */
	unsigned lowmem_reserve_ratio[MAX_NR_ZONES]; /* (z) */
	_Atomic uint64_t alloc_failures;             /* logged: the first few, then ever fewer */
	struct wait_queue page_wait[PAGE_WAIT_QUEUES];
	const struct policy *policy; /* NULL before mm_init(): the default */

	/* Checking (mm/check), changed on a quiet machine only: see check.h. */
	bool careful;                  /* fast paths are closed: one of those below is on */
	bool poison;                   /* freed frames are filled with junk, and looked at again */
	bool debug_pagealloc;          /* free frames have no kernel address */
	struct page_owner *page_owner; /* by frame number; NULL: not kept */
	struct stack_depot *stack_depot; /* their call chains; NULL: not kept */
	/* Halves of split blocks below this order are guards; 0: none (boot) */
	unsigned guard_minorder;
	int pcp_blocks; /* blocks in a batch of a CPU's list; -1: by the zone's size (boot) */
	bool fail_once; /* one, not all behind it */
	_Atomic int64_t fail_after; /* allocations that still succeed; -1: all */
	_Atomic uint64_t failed;    /* allocations that were made to fail */

	/* The modules' own, allocated or embedded by them: see each module's head. */
	struct slab_state *slab;
	struct kmem_cache *kmalloc_cache[KMALLOC_CACHES];
	struct kva_state *kva;
	struct highmem_state *highmem; /* NULL: all memory has an address */
	struct cache_state *cache;
	struct space_state *space;
};

/* Where the page is, or was last, on a list. */
static inline struct lruvec *page_lruvec(const struct page *page)
{
	uint32_t flags = atomic_load_explicit(&page->flags, memory_order_relaxed);

	return &machine()->lruvec[flags >> PG_shard_shift & (LRUVECS(MAX_NUMNODES) - 1)];
}

/* Start the manager: frames, slab, cache and spaces, in that order; memblock is filled, one CPU runs. */
void mm_init(void);

#endif
