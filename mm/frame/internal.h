/*
 * internal.h - what the files of mm/frame share.
 *
 *   memblock.c    ranges at boot                     (1.2)
 *   node.c        nodes and zones                    (1.3, 1.4)
 *   movable.c     how much of it is ZONE_MOVABLE     (1.3)
 *   section.c     mem_map, initialised when needed   (1.1)
 *   zonelist.c    the order of zones, which node     (1.4)
 *   watermark.c   reserves and watermarks            (1.7)
 *   buddy.c       free blocks of a zone              (1.5)
 *   mobility.c    page blocks and their types        (1.10)
 *   highatomic.c  page blocks for who may not wait   (1.7, 1.10)
 *   compaction.c  movable pages make room            (1.10)
 *   kcompactd.c   the same in the background; proactive.c: before anybody asks
 *   pcp.c         frames and blocks kept by a CPU    (1.6)
 *   alloc.c       which zone, how far into the reserve, what to do when there is none (1.8, 1.9)
 *   page.c        the last reference; PG_locked      (1.1)
 *   debug.c       owners, poison, reports; stackdepot.c: call chains; names.c: flags in words
 *   lru.c         the policy's lists                 (6.6)
 *   account.c     what frames are used for
 *   check.c       invariants; check_nodes.c: of nodes, lists, marks and sections
 *
 * A free frame: flags hold only zone, type and node, _refcount 0, _mapcount -1, mapping NULL. Only the
 * head of a free block differs: PG_buddy and order.
 *
 * Lock order: lruvec->lock -> zone->lock. zone->lock is irqsave; lruvec->lock is never taken in an interrupt.
 */
#ifndef MM_FRAME_INTERNAL_H
#define MM_FRAME_INTERNAL_H

#include <quire/check.h>
#include <quire/frame.h>
#include <quire/highmem.h>
#include <quire/trace.h>

#define PAGE_FLAG(name) (1u << PG_##name)

/* Of flags, what a free frame keeps: node, type and zone. */
#define PAGE_FLAGS_FREE (~0u << PG_node_shift)

/* Flags that a frame off the LRU whose last reference has gone cannot have. */
#define PAGE_FLAGS_BAD                                                                   \
	(PAGE_FLAG(locked) | PAGE_FLAG(slab) | PAGE_FLAG(writeback) | PAGE_FLAG(buddy) | \
	 PAGE_FLAG(swapcache) | PAGE_FLAG(reserved) | PAGE_FLAG(tail))

/* Head of a guard: free frames that nobody gets while their neighbours are in use (debug.c). No other frame has both. */
#define PAGE_FLAGS_GUARD (PAGE_FLAG(reserved) | PAGE_FLAG(reclaim))

/* Not freed by the short way: compound pages, and what is a mistake. */
#define PAGE_FLAGS_SPECIAL (PAGE_FLAGS_BAD | PAGE_FLAG(head))

#define SWAP_CLUSTER_MAX 32u /* pages reclaimed in one go (L1: about 32) */

/* How far an allocation may go: __zone_watermark_ok. */
#define ALLOC_NO_WATERMARKS 1u
#define ALLOC_HIGH          2u /* half of min */
#define ALLOC_HARDER        4u /* a quarter less again */
#define ALLOC_HIGHATOMIC    8u /* HARDER, and for a block: what is set aside, too (highatomic.c) */

struct alloc_context {
	gfp_t gfp;
	unsigned order;
	unsigned highest_zone; /* enum zone_type */
	unsigned flags;        /* ALLOC_* */
	const struct zonelist *zonelist;
	struct zone *preferred;   /* the first of it that `nodes` allows; NULL: none does */
	unsigned nodes;           /* bit i: node i will do */
	unsigned preferred_nodes; /* these are tried first, unless 0 */
	bool interleaved;         /* the policy's turn chose the node */
	struct mempolicy *policy; /* NULL: the running task's */
};

/*
 * The highest zone that a request may use. DMA and DMA32 limit; HIGHMEM and HIGHMEM with MOVABLE extend;
 * MOVABLE alone is a matter of grouping. Contradictions take the narrower.
 */
static inline enum zone_type gfp_zone(gfp_t gfp)
{
	if (gfp & __GFP_DMA)
		return ZONE_DMA;
	if (gfp & __GFP_DMA32)
		return ZONE_DMA32;
	if (gfp & __GFP_HIGHMEM)
		return gfp & __GFP_MOVABLE ? ZONE_MOVABLE : ZONE_HIGHMEM;
	return ZONE_NORMAL;
}

static inline struct zone *page_zone(const struct page *page)
{
	return &machine()->node[page_to_nid(page)].zones[page_zone_id(page)];
}

static inline uint64_t zone_free(const struct zone *zone)
{
	return (uint64_t)atomic_load_explicit(&zone->nr_free, memory_order_relaxed);
}

static inline uint32_t zone_type_orders(const struct zone *zone, unsigned type)
{
	return atomic_load_explicit(&zone->type_orders[type], memory_order_relaxed);
}

/* Bit i: there is a free block of order i that a request without ALLOC_HIGHATOMIC can have. */
static inline uint32_t zone_orders_usable(const struct zone *zone)
{
	uint32_t orders = 0;

	for (unsigned type = 0; type < MIGRATE_PCPTYPES; type++)
		orders |= zone_type_orders(zone, type);
	return orders;
}

/* Bit i: there is a free block of order i. */
static inline uint32_t zone_orders(const struct zone *zone)
{
	return zone_orders_usable(zone) | zone_type_orders(zone, MIGRATE_HIGHATOMIC);
}

/* buddy.c; (Z) held. */
void free_area_init(struct zone *zone);
void add_to_free_list(struct zone *zone, struct page *page, unsigned order, unsigned type);
void del_page_from_free_list(struct zone *zone, struct page *page);
void __free_one_page(struct zone *zone, struct page *page, unsigned order);
/* n blocks, first.lru.next leading to the others; neighbours as one. Returns what follows the last. */
uint32_t __free_chain(struct zone *zone, uint32_t first, unsigned n, unsigned order);
struct page *__rmqueue(struct zone *zone, unsigned order, unsigned type);
/* The same, from the type's own lists. */
struct page *__rmqueue_smallest(struct zone *zone, unsigned order, unsigned type);
/* Up to n blocks of the order as a chain by lru.next, lowest address first. Returns how many; *last ends it. */
unsigned rmqueue_bulk(struct zone *zone, unsigned n, unsigned order, unsigned type, uint32_t *first,
                      struct page **last);
/* All of a free block, which leaves the buddy; nr_free falls. */
void take_free_block(struct zone *zone, struct page *page);
/* Free frames [pfn, end), which are on no list. */
void __free_range(struct zone *zone, uint32_t pfn, uint32_t end);
/* Whole free range [start, end) of one zone, at boot. */
void free_range_to_buddy(struct zone *zone, pfn_t start, pfn_t end);
void note_min_free(struct zone *zone);

/* node.c: call fn for each part of [start, end) that lies in a zone. */
void for_zones_of(pfn_t start, pfn_t end, void (*fn)(struct zone *, pfn_t, pfn_t));

/* movable.c: first frame of each node's ZONE_MOVABLE, 0: none; only what is not below usable_start. */
void find_movable_zones(uint64_t total, uint64_t usable_start, uint64_t movable[]);

/* section.c */
void sections_init(void);
void free_boot_range(struct zone *zone, pfn_t start, pfn_t end); /* (Z) held */
/* A section of the zone comes online. False: there is none left. Takes zone->lock; any context. */
bool grow_zone(struct zone *zone);

/* Of a frame that is not online: because it is deferred, or in a hole? */
bool section_is_deferred(const struct zone *zone, uint64_t pfn);

static inline uint64_t zone_deferred(const struct zone *zone)
{
	return (uint64_t)atomic_load_explicit(&zone->deferred, memory_order_relaxed);
}

/* zonelist.c */
void build_zonelists(void);
/* Zonelist and nodes for a request of this CPU's task, beginning with nid; nid < 0: as its policy says. */
void choose_nodes(struct alloc_context *ac, int nid);
void narrow_nodes(struct alloc_context *ac, unsigned nodes);
void count_numa_event(const struct alloc_context *ac, struct zone *zone);
/* A block came from this CPU's list the short way: one hit. */
void count_short_block(unsigned zone_id, unsigned order);

/* mobility.c */
void pageblocks_init(void); /* before the first frame is free */

#define PB_TYPE 3u /* enum migratetype */

static inline _Atomic uint8_t *pageblock_of(uint32_t pfn)
{
	return &machine()->pageblock[pfn >> pageblock_order];
}

/* Approximate without (Z). */
static inline unsigned pfn_migratetype(uint32_t pfn)
{
	return atomic_load_explicit(pageblock_of(pfn), memory_order_relaxed) & PB_TYPE;
}

static inline unsigned get_pageblock_migratetype(const struct page *page)
{
	return pfn_migratetype(page_to_pfn(page).n);
}

void set_pageblock_migratetype(uint32_t pfn, unsigned type); /* (Z) */

/* The part of a page block that lies in the zone. */
struct block_range {
	uint32_t start, end;
};

struct block_range pageblock_range(const struct zone *zone, uint32_t pfn);
/* What is free in the page block, in blocks smaller than it, goes to the type's lists. (Z) */
void move_freepages_block(struct zone *zone, struct block_range range, unsigned type);

/* What every page block is at first, and while its section is deferred. */
static inline unsigned first_pageblock_type(void)
{
	return machine()->page_group_by_mobility_disabled ? MIGRATE_UNMOVABLE : MIGRATE_MOVABLE;
}

/*
 * There is no block of the type large enough: make one from another type's, by claiming what is free in its page
 * block, the block as a whole, or just this. True: now there is one. (Z) held. The one place that decides.
 */
bool __rmqueue_fallback(struct zone *zone, unsigned order, unsigned type);
/* What would be taken for the type from a free list of this order; MIGRATE_TYPES: nothing. */
unsigned find_suitable_fallback(const struct zone *zone, unsigned order, unsigned type,
                                bool only_stealable);

/* highatomic.c */
/* A request with ALLOC_HIGHATOMIC got this block, which is in use. Takes zone->lock. The one place that decides. */
void reserve_highatomic_pageblock(struct zone *zone, const struct page *page, unsigned order);
/*
 * A page block of the request's zones, of which something is free, goes back to its type: of each zone the last one only by force. True:
 * one did. Takes zone->lock. The one place that decides.
 */
bool unreserve_highatomic_pageblock(const struct alloc_context *ac, bool force);
uint64_t nr_free_highatomic(const struct zone *zone);

/* Free frames that a request without ALLOC_HIGHATOMIC can have. */
static inline uint64_t zone_free_usable(const struct zone *zone)
{
	const uint64_t free = zone_free(zone);

	if (likely(!zone_type_orders(zone, MIGRATE_HIGHATOMIC)))
		return free;
	return free - MIN(free, nr_free_highatomic(zone));
}

/* Is one of the two page blocks set aside, and the other not? Then they do not make one free block. */
static inline bool highatomic_border(uint32_t pfn, uint32_t other)
{
	const unsigned a = pfn_migratetype(pfn), b = pfn_migratetype(other);

	return a != b && (a == MIGRATE_HIGHATOMIC || b == MIGRATE_HIGHATOMIC);
}

/* The type of per-CPU list that a frame of this page block goes to when it is freed. */
static inline unsigned pageblock_pcp_type(const struct page *page)
{
	const unsigned type = get_pageblock_migratetype(page);

	return likely(type < MIGRATE_PCPTYPES) ? type : first_pageblock_type();
}

/*
 * The frame was just taken from the buddy: it will be freed to the list of the type that its page block has now. Should another type
 * claim the block meanwhile, it takes one way through the old list.
 */
static inline void set_frame_type(struct page *page, unsigned type)
{
	uint32_t flags = atomic_load_explicit(&page->flags, memory_order_relaxed);

	atomic_store_explicit(&page->flags,
	                      (flags & ~(3u << PG_type_shift)) | type << PG_type_shift,
	                      memory_order_relaxed);
}

static inline unsigned gfp_migratetype(gfp_t gfp)
{
	unsigned type = (gfp & (__GFP_MOVABLE | __GFP_RECLAIMABLE)) >> 3;

	static_assert(__GFP_MOVABLE == MIGRATE_MOVABLE << 3, "");
	static_assert(__GFP_RECLAIMABLE == MIGRATE_RECLAIMABLE << 3, "");
	if (unlikely(machine()->page_group_by_mobility_disabled))
		return MIGRATE_UNMOVABLE;
	return type < MIGRATE_PCPTYPES ? type : MIGRATE_MOVABLE;
}

/* watermark.c */
bool zone_watermark_ok(const struct zone *zone, enum zone_watermarks mark,
                       const struct alloc_context *ac);

/* pcp.c */
static inline struct per_cpu_pages *page_pcp(struct cpu_area *cpu, uint32_t flags)
{
	static_assert(PG_zone_shift == PG_type_shift + 2 && PG_type_shift == PG_node_shift + 2,
	              "zone, type and node make the list's index");
	return (struct per_cpu_pages *)((char *)cpu->pcp +
	                                (size_t)(flags >> PG_node_shift) * sizeof(*cpu->pcp));
}

static inline struct per_cpu_pages *zone_pcp(struct cpu_area *cpu, const struct zone *zone,
                                             unsigned type)
{
	return &cpu->pcp[PCP_INDEX(zone->id, zone->nid, type)];
}

#define PAGE_ALLOC_COSTLY_ORDER 3u

static inline bool order_has_pcp(unsigned order)
{
	return order <= PAGE_ALLOC_COSTLY_ORDER || order == pageblock_order;
}

static inline unsigned pcp_order(unsigned i)
{
	return i > PAGE_ALLOC_COSTLY_ORDER ? pageblock_order : i;
}

/* From the list of a zone's single frames to that of its blocks. */
static inline struct per_cpu_pages *block_pcp(struct per_cpu_pages *pcp, unsigned order)
{
	static_assert(NR_PCP_ORDERS == PAGE_ALLOC_COSTLY_ORDER + 2, "and pageblock_order");
	return pcp + MIN(order, PAGE_ALLOC_COSTLY_ORDER + 1) * NR_PCP_LISTS_OF_ORDER;
}

static inline void pcp_enter(struct per_cpu_pages *pcp)
{
	WRITE_ONCE(pcp->busy, PCP_BUSY);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void pcp_leave(struct per_cpu_pages *pcp)
{
	atomic_signal_fence(memory_order_seq_cst);
	WRITE_ONCE(pcp->busy, 0);
}

static inline unsigned pcp_count(const struct per_cpu_pages *pcp)
{
	return atomic_load_explicit(&pcp->count, memory_order_relaxed);
}

static inline void pcp_push(struct per_cpu_pages *pcp, struct page *page, unsigned count)
{
	page->lru.next = pcp->first;
	pcp->first = page_to_pfn(page).n;
	atomic_store_explicit(&pcp->count, (uint16_t)(count + 1), memory_order_relaxed);
}

/* count: what the list holds, at least one. */
static inline struct page *pcp_pop(struct per_cpu_pages *pcp, unsigned count)
{
	struct page *page = pfn_to_page(PFN(pcp->first));

	pcp->first = page->lru.next;
	atomic_store_explicit(&pcp->count, (uint16_t)(count - 1), memory_order_relaxed);
	return page;
}

/* A block of this zone by way of this CPU's list, which the order has; spare: frames that the zone can give before it is low. */
struct page *rmqueue_pcp(struct zone *zone, gfp_t gfp, unsigned order, uint64_t spare);
/* Straight from the zone; _highatomic: from what is set aside in it. */
struct page *rmqueue_highatomic(struct zone *zone, unsigned order);
struct page *rmqueue_buddy(struct zone *zone, unsigned order, unsigned type);
void free_unref_page_slow(struct page *page, uintptr_t caller); /* reset already */
/* n frames of one zone and type; caller: for the frames' history. */
void free_unref_chain_slow(uint32_t first, struct page *last, unsigned n, uintptr_t caller);
/* There is a list for it. */
void free_unref_block_slow(struct page *page, unsigned order);
void drain_if_wanted(void);
void pcp_setup(void);                        /* at boot, before any list */
void pcp_init(struct cpu_area *cpu);         /* while !cpu->pcp_ready */
void setup_fast_pcp(struct cpu_area *cpu);   /* this CPU's; interrupts off */
enum counter zone_counter(unsigned zone_id); /* COUNT_PGALLOC_* */

/* page.c: a block that nobody refers to and that is off the LRU, freed as it was allocated. */
void free_block(struct page *page, unsigned order, uintptr_t caller);
/* The same for a part of one, which has no type of its own yet. */
void free_part(struct page *page, unsigned order, uintptr_t caller);

/* check_nodes.c: part of frame_check(). */
const char *check_nodes(void);

/* lru.c */
void lruvecs_init(void);

/* lruvec->lock held. */
static ALWAYS_INLINE void page_leaves_lru(struct lruvec *lruvec, struct page *page)
{
	if (unlikely(lruvec->policy->page_removed))
		lruvec->policy->page_removed(lruvec, page);
	else
		del_page_from_lru_list(lruvec, page);
}

#endif
