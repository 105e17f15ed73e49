/*
 * frame.h - page frames: zones, buddy, per-CPU lists (mm/frame).
 *
 * Sources: lecture 001 (zones, watermarks, per-CPU lists), 002 (the alloc and free calls),
 * 003 (buddy); Knuth 2.5; Linux 6.1's names.
 */
#ifndef QUIRE_FRAME_H
#define QUIRE_FRAME_H

#include <quire/gfp.h>
#include <quire/page.h>
#include <quire/policy.h>
#include <quire/sync.h>

#define MAX_ORDER 11 /* orders 0..10: 4 KB to 4 MB */

enum zone_watermarks { WMARK_MIN, WMARK_LOW, WMARK_HIGH, WMARK_PROMO, NR_WMARK };

/* Where a request was served from, as seen from a zone (Linux: Documentation/admin-guide/numastat). */
enum numa_stat_item {
	NUMA_HIT,     /* from this node, and this node was wanted */
	NUMA_MISS,    /* from this node, another was wanted */
	NUMA_FOREIGN, /* from another node, this one was wanted */
	NUMA_INTERLEAVE_HIT,
	NUMA_LOCAL, /* from this node, asked for by a CPU of it */
	NUMA_OTHER, /* from this node, asked for by a CPU of another */
	NR_NUMA_STATS
};

/* Page blocks: what is grouped by mobility, and what compaction works on. As large as a huge page. */
#define pageblock_order    9u
#define pageblock_nr_pages (1u << pageblock_order)

struct CACHE_ALIGNED free_area {
	struct page_list free_list[MIGRATE_TYPES];
};

struct CACHE_ALIGNED zone {
	spinlock_t lock; /* irqsave */
	unsigned id;     /* enum zone_type */
	unsigned nid;
	const char *name;
	pfn_t start;               /* spanned range: [start, start + spanned) */
	uint64_t spanned, present; /* pages; present: RAM in it */
	uint64_t managed;          /* (Z) given to the buddy */
	uint64_t watermark[NR_WMARK];
	uint64_t lowmem_reserve[MAX_NR_ZONES]; /* pages kept from requests that could use zone i */
	struct free_area free_area[MAX_ORDER]; /* (Z) */
	_Atomic uint32_t type_orders
	        [MIGRATE_TYPES]; /* bit i: free_area[i] has a block of the type; written under lock */
	_Atomic int64_t nr_free; /* pages in free_area; written under lock */
	/* Above it the machine cannot be at its lowest: note_min_free(). */
	_Atomic uint64_t min_free_gate;
	/* Pages of its HighAtomic page blocks; changed (Z). */
	_Atomic uint64_t nr_reserved_highatomic;
	uint64_t nr_guard;        /* (Z) frames out of use as guards; neither free nor used */
	_Atomic int64_t deferred; /* free pages whose descriptors do not exist yet (section.c) */
	_Atomic uint32_t next_deferred; /* changed (Z): no section below this one is deferred */
	/* What the short way did not count: zone_numa_stat(). */
	_Atomic uint64_t numa[NR_NUMA_STATS];

	/* Compaction, unlocked (mm/frame/compaction.h). */
	uint32_t compact_cached_migrate_pfn; /* where it stopped; 0: nowhere */
	uint32_t compact_cached_free_pfn;
	unsigned compact_considered;   /* requests turned away since the last failure */
	unsigned compact_defer_shift;  /* 1 << this are to be */
	unsigned compact_order_failed; /* orders below are not */
};

struct zonelist {
	struct zone *zones[MAX_NUMNODES * MAX_NR_ZONES + 1]; /* in order of preference; NULL ends */
};

/* What a node has (Linux: pg_data_t). */
struct pglist_data {
	unsigned nid;
	pfn_t start;
	uint64_t spanned, present;
	struct zone zones[MAX_NR_ZONES];
	uint8_t near[MAX_NUMNODES];               /* all nodes: itself, then by distance */
	struct zonelist zonelist[MAX_NR_ZONES];   /* by the highest zone that will do */
	struct zonelist nofallback[MAX_NR_ZONES]; /* the same without the other nodes */
	struct wait_queue kcompactd_wait;
	_Atomic unsigned kcompactd_max_order; /* what it is to make; 0: nothing */
	_Atomic unsigned kcompactd_highest_zoneidx;
	_Atomic bool kcompactd_running, kcompactd_stop;
	_Atomic bool proactive_compact_trigger; /* look at the score now */
};

/*
 * What the embedder says before mm_init(): boot words, and the machine's shape. All zero: one node,
 * all memory has a kernel address, no ZONE_MOVABLE.
 */
struct frame_config {
	uint64_t kernelcore,
	        movablecore; /* bytes (Linux's boot words); at least / at most this much */
	unsigned kernelcore_percent, movablecore_percent; /* of memory, instead of bytes */
	uint64_t nr_nodes; /* nodes from node_start; or, with numa_fake, as many equal parts */
	bool numa_fake;
	bool no_grouping;                  /* all page blocks are of one type (mobility.c) */
	uint64_t node_start[MAX_NUMNODES]; /* bytes, ascending, [0] is 0; rounded up to 4 MB */
	uint8_t node_distance[MAX_NUMNODES][MAX_NUMNODES]; /* all 0: 10 here, 20 elsewhere */
	uint8_t cpu_node[QUIRE_MAX_CPUS];
	bool cpu_node_set; /* else CPUs are dealt out to the nodes in turn */
	/* Bytes; above is ZONE_HIGHMEM, and there is no DMA32. 0: none above. */
	uint64_t lowmem_end;
};

/* A boot word's value: N[KMGT] bytes or N%, into one of a pair. False: neither. */
MUST_USE bool parse_core_size(const char *text, uint64_t *bytes, unsigned *percent);

/*
 * Nodes as the firmware has them (mm/frame/numa.c), with memblock filled: c's nodes and distances, and the node of each CPU
 * by the number of its local APIC. NULL, or why the tables are of no use: c is as it was.
 */
struct acpi_numa;
#define NUMA_APIC_IDS 256
const char *numa_from_acpi(const struct acpi_numa *acpi, struct frame_config *c,
                           uint8_t apic_node[NUMA_APIC_IDS]);

/* Policy of a task for the nodes of its memory: set_mempolicy(2), with Linux's numbers. */
enum mempolicy_mode {
	MPOL_DEFAULT,
	MPOL_PREFERRED,
	MPOL_BIND,
	MPOL_INTERLEAVE,
	MPOL_LOCAL,
	MPOL_PREFERRED_MANY,
	MPOL_MAX
};

#define MPOL_F_STATIC_NODES   0x8000
#define MPOL_F_RELATIVE_NODES 0x4000
#define MPOL_F_NUMA_BALANCING 0x2000
#define MPOL_PLACING          (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES)
#define MPOL_MODE_FLAGS       (MPOL_PLACING | MPOL_F_NUMA_BALANCING)
#define MPOL_ASKED_BITS       16 /* of mempolicy.asked, that an area's policy keeps with MPOL_PLACING */

struct mempolicy {
	/* The nodes as set_mempolicy(2) was told them, and how: of no meaning here. */
	uint64_t asked;
	uint16_t flags;
	uint8_t mode;  /* enum mempolicy_mode */
	uint8_t nodes; /* bit i = node i; not for DEFAULT and LOCAL */
	uint8_t next;  /* INTERLEAVE: the node that had the last page */
	uint8_t mems;  /* nodes that __GFP_HARDWALL may use; 0: all */
};

/* This CPU runs, from now on, a task with this policy; NULL: with none. The caller keeps it until the next call. */
void cpu_set_mempolicy(struct mempolicy *policy);

static inline bool mempolicy_is_default(const struct mempolicy *policy)
{
	return (policy->mode == MPOL_DEFAULT || policy->mode == MPOL_LOCAL) && !policy->mems;
}

/*
 * Boot-time ranges (1.2). Ranges of RAM and of reserved memory, before there is a buddy. Adjacent and
 * overlapping ranges merge. Fixed arrays: 0 or -ENOSPC; -EINVAL: beyond the last address.
 */
struct memblock_range {
	uint64_t start, end; /* bytes, [start, end) */
};
#define MEMBLOCK_MAX 64
struct memblock {
	struct memblock_range memory[MEMBLOCK_MAX], reserved[MEMBLOCK_MAX];
	unsigned nr_memory, nr_reserved;
};

MUST_USE int memblock_add(phys_t start, uint64_t size);
MUST_USE int memblock_reserve(phys_t start, uint64_t size);

/*
 * Reserve size bytes aligned to align below limit (0: anywhere), top down, not from the first MB.
 * PHYS(0) when there is none. Not zeroed.
 */
phys_t memblock_alloc(uint64_t size, uint64_t align, uint64_t limit);

/*
 * Bytes of physical address space that mem_map must span (highest RAM address, rounded to a page).
 */
uint64_t memblock_end(void);

/*
 * Build nodes, zones and the buddy from memblock; mem_map() is mapped and has room for memblock_end().
 * Every frame of RAM that is not reserved is free afterwards. Called once, on one CPU.
 */
void frame_init(void);

/* Give memory that memblock had reserved to the buddy (boot archive, start-up code), in whole pages inside. */
void free_reserved_area(phys_t start, phys_t end);

/* Has the frame a descriptor? Not in holes, and not before its section is first needed. */
bool pfn_online(uint64_t pfn);

/* Take one frame that memblock had reserved, as an allocated page with one reference, contents kept. Boot. */
struct page *take_reserved_page(pfn_t pfn);

/*
 * 2^order frames, physically contiguous, aligned to their size. NULL when there are none that
 * gfp may take. Sleeps only with __GFP_DIRECT_RECLAIM. refcount of the first is 1 (of each, unless
 * __GFP_COMP, only the first is counted and only it may be freed, with the same order).
 */
struct page *alloc_pages(gfp_t gfp, unsigned order);
static inline struct page *alloc_page(gfp_t gfp)
{
	return alloc_pages(gfp, 0);
}

/* The same, near node nid rather than the running CPU, whatever the task's policy; nid < 0: alloc_pages(). */
struct page *alloc_pages_node(int nid, gfp_t gfp, unsigned order);

/* The same by a policy that is not the task's: that of some memory. INTERLEAVE takes its next turn. */
struct page *alloc_pages_policy(struct mempolicy *policy, gfp_t gfp, unsigned order);

/* As alloc_pages, kernel address or NULL. Not for __GFP_HIGHMEM. */
void *__get_free_pages(gfp_t gfp, unsigned order);
void *get_zeroed_page(gfp_t gfp);
void __free_pages(struct page *page, unsigned order);
void free_pages(void *addr, unsigned order);
static inline void __free_page(struct page *page)
{
	__free_pages(page, 0);
}
static inline void free_page(void *addr)
{
	free_pages(addr, 0);
}

/* Exactly PAGES_OF(size) frames: the rest of the block goes back at once (lecture 003). */
void *alloc_pages_exact(size_t size, gfp_t gfp);
void free_pages_exact(void *addr, size_t size);

/* Return this CPU's lists to the buddy; all CPUs' (sleeps; waits for a CPU that is just inside one). */
void drain_local_pages(void);
void drain_all_pages(void);

/* Block to single frames, each with a reference of its own. Not a compound page. */
void split_page(struct page *page, unsigned order);

/* Frames free now, per-CPU lists included, on the whole machine / managed in all. Approximate while running. */
uint64_t nr_free_pages(void);
uint64_t totalram_pages(void);

/* Frames that nobody has: nr_free_pages(), and the guards beside what is in use or on a per-CPU list, if there are any. */
uint64_t nr_unused_pages(void);

/* Fewest free frames seen since boot, sampled whenever the buddy gives frames out; per-CPU lists count as used. */
uint64_t min_free_pages(void);

/*
 * Watermarks and reserves of all zones, from the tunables in machine(). Sleeps not.
 */
void setup_per_zone_wmarks(void);
void setup_per_zone_lowmem_reserve(void);

/* Choose min_free_kbytes as Linux does (kept from starving a machine below 16 MB), then both of the above. */
void init_per_zone_wmark_min(void);

/* Free pages of a zone, whether or not they have descriptors; per-CPU lists are used. */
uint64_t zone_free_pages(const struct zone *zone);
/* Blocks of an order that are free, those without descriptors as blocks of the highest order. */
uint64_t zone_free_blocks(const struct zone *zone, unsigned order);
uint64_t zone_free_blocks_of(const struct zone *zone, unsigned order, unsigned type);
uint64_t zone_numa_stat(const struct zone *zone, enum numa_stat_item item);

/* Nodes. Distances are ACPI's: 10 is here. */
unsigned node_distance(unsigned from, unsigned to);
unsigned nodes_with_memory(void); /* bit i: node i */
unsigned cpu_to_node(unsigned cpu);
unsigned numa_node_id(void); /* the running CPU's */

/* Pages in per-CPU lists of a zone, of one CPU or all (approximate while running), and how many there may be. */
unsigned zone_pcp_pages_of(const struct zone *zone, unsigned cpu);
unsigned zone_pcp_high_of(const struct zone *zone, unsigned cpu);
uint64_t zone_pcp_pages(const struct zone *zone);

/*
 * LRU membership, not in interrupts. lru_cache_add: a page newly in use joins the policy's lists (once).
 * Removal is part of the last put_page(). mark_page_accessed: used through a system call.
 */
void lru_init(void); /* after slab_init: the policy's own state */
void lru_cache_add(struct page *page);
void mark_page_accessed(struct page *page);
uint64_t lru_pages(enum lru_list list);

/*
 * Accounts: what the allocated frames are used for, counted by CPU, summed on reading. Callers that
 * allocate for one of these kinds say so, and again (negative) when they free.
 */
void frame_account(enum frame_kind kind, int64_t pages);
uint64_t frame_kind_pages(enum frame_kind kind);
void frame_report(struct quire_frames *out);

/*
 * The hook from here upwards: an allocation in the slow path asks for memory to be freed. Returns pages
 * freed. NULL while nothing reclaims. gfp says what may be done; sleeps only with __GFP_DIRECT_RECLAIM.
 */
extern uint64_t (*reclaim_hook)(gfp_t gfp, unsigned order);

/*
 * The last resort, when that brings nothing and nothing is set aside (mm/frame/highatomic.c): an ordinary request of an order up to
 * PAGE_ALLOC_COSTLY_ORDER has somebody killed who has much, and waits. NULL: nobody can be. May sleep, and any lock may be held that is
 * held over an allocation: so it waits a little, not until the victim has gone. OOM_RETRY: ask again. OOM_DYING: the caller is to die
 * itself, and may take from the reserve what it needs for that. OOM_NOBODY: there is no one left.
 */
enum oom_result { OOM_RETRY, OOM_DYING, OOM_NOBODY };
extern enum oom_result (*oom_hook)(void);

/*
 * Compaction (1.10). Its one way up: migrate_pages() of quire/migrate.h, when there is one; see there for the contract.
 */
enum migrate_mode;
struct migrate_pair;
extern void (*migrate_hook)(struct migrate_pair *pairs, unsigned n, enum migrate_mode mode);

/* Go through all zones once, whatever that costs. Sleeps. */
void compact_memory(void);

/* sysctl_compaction_proactiveness has been changed: kcompactd looks again. */
void wakeup_proactive(void);

/* Start a kcompactd thread for each node, after mm_init. 0 or -ENOMEM. Or be one: returns after kcompactd_stop(), which waits. */
MUST_USE int kcompactd_run(void);
void kcompactd(void *node);
void kcompactd_stop(struct pglist_data *node);

/*
 * Who allocated a frame last, and who freed it; with page_owner=on. ts_ns 0: nobody. caller, free_caller: addresses in the code that
 * asked; order: of the block that the frame was part of.
 */
typedef uint32_t stack_handle_t;

struct page_owner {
	unsigned order;
	gfp_t gfp;
	int32_t pid, free_pid;
	uint64_t ts_ns, free_ts_ns;
	uintptr_t caller, free_caller;
	stack_handle_t stack, free_stack; /* who called them; 0: not known */
};

/*
 * Call chains, each kept once (mm/frame/stackdepot.c); with page_owner=on. The running thread's, from the return address `from` on; the
 * whole of it if that is not in it. 0: not kept. Any context.
 */
stack_handle_t stack_depot_save(uintptr_t from);
/* As a backtrace is logged, a line each. Of a chain that was not kept, the caller alone. */
void stack_depot_log(stack_handle_t handle, uintptr_t caller);
/* The chain's addresses, from the caller outwards; how many, up to STACK_DEPTH. */
#define STACK_DEPTH 16u
unsigned stack_depot_fetch(stack_handle_t handle, const uintptr_t **address);

/* In words, as in Linux's reports (mm/frame/names.c). Return text. */
#define FLAG_NAMES_MAX 384u
const char *gfp_names(char text[FLAG_NAMES_MAX], gfp_t gfp);
const char *page_flag_names(char text[FLAG_NAMES_MAX], const struct page *page);

/* False: not kept. */
bool page_owner_read(pfn_t pfn, struct page_owner *out);
void page_owner_copy(struct page *dst, const struct page *old); /* old's page moves to dst */

/* A kernel address faulted: is it a free frame's, which debug_pagealloc took away? Then its history is logged. */
bool report_free_frame(const void *addr);

/* The type of the page block that the frame lies in. */
unsigned frame_pageblock_type(pfn_t pfn);

/* Page blocks of the zone by type, holes left out. */
void zone_pageblocks(const struct zone *zone, uint64_t blocks[MIGRATE_TYPES]);

/* In a free block, as far as a look without a lock can say. Frames on per-CPU lists are not. */
bool page_is_free(const struct page *page);

/* How fragmented the free memory of a zone is, in thousandths: mm/frame/fragmentation.c. */
int fragmentation_index(const struct zone *zone, unsigned order);
int unusable_free_index(const struct zone *zone, unsigned order);

#define for_each_zone(z) for (struct zone *z = first_zone(); z; z = next_zone(z))
struct zone *first_zone(void); /* zones with present pages, by node and type */
struct zone *next_zone(struct zone *zone);

/* Walks every structure of the module; the name of the first broken invariant, or NULL. Quiet machine only. */
const char *frame_check(void);
const char *lru_check(void);

#endif
