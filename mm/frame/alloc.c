/*
 * alloc.c - alloc_pages: which zone, how far into the reserve, and what to do when there is none.
 *
 *   fast      this CPU's list of the preferred zone has such a block: no lock, no shared line
 *   normal    along the zonelist, the first zone above its low mark; refills the list
 *   slow      down to min, or deeper for those who may, and who have page blocks of their own (highatomic.c); then this CPU's
 *             lists go back, then, for a block, compaction, then reclaim (the one hook upwards) and compaction again, then
 *             the gfp flags say: again, when what is set aside has gone back, or somebody has died for it (the last resort), or fail
 *
 * __GFP_NOFAIL waits for ever, but only where it may sleep: without __GFP_DIRECT_RECLAIM it is ignored. Orders
 * above PAGE_ALLOC_COSTLY_ORDER are not worth retrying unless __GFP_RETRY_MAYFAIL says so.
 */
#include "mm/frame/compaction.h"
#include "mm/frame/debug.h"

#define MAX_RECLAIM_RETRIES 16u
#define NOFAIL_WAIT_NS      1000000u

uint64_t (*reclaim_hook)(gfp_t gfp, unsigned order);
enum oom_result (*oom_hook)(void);

static NOINLINE struct page *clear_new_page(struct page *page)
{
	clear_highpage(page);
	return page;
}

static NOINLINE struct page *trace_new_page(struct page *page, gfp_t gfp)
{
	trace_mm_page_alloc(page_to_pfn(page).n, 0, gfp, gfp_migratetype(gfp));
	return gfp & __GFP_ZERO ? clear_new_page(page) : page;
}

static ALWAYS_INLINE struct page *prep_page(struct page *page, gfp_t gfp, unsigned counter)
{
	atomic_store_explicit(&page->_refcount, 1, memory_order_relaxed);
	count_add(counter, 1);
	if (trace_enabled())
		return trace_new_page(page, gfp);
	if (gfp & __GFP_ZERO)
		return clear_new_page(page);
	return page;
}

static void prep_compound_page(struct page *page, unsigned order)
{
	uint32_t head = page_to_pfn(page).n;

	__page_set_flags(page, PAGE_FLAG(head));
	for (unsigned i = 1; i < 1u << order; i++) {
		__page_set_flags(page + i, PAGE_FLAG(tail));
		page[i].head = head;
	}
	page[1].order = order;
}

static void prep_block(struct page *page, gfp_t gfp, unsigned order, unsigned counter)
{
	atomic_store_explicit(&page->_refcount, 1, memory_order_relaxed);
	count_add(counter, (uint64_t)1 << order);
	trace_mm_page_alloc(page_to_pfn(page).n, order, gfp, gfp_migratetype(gfp));
	if (gfp & __GFP_ZERO)
		for (unsigned i = 0; i < 1u << order; i++)
			clear_highpage(page + i);
	if (gfp & __GFP_COMP)
		prep_compound_page(page, order);
}

/* Frames that a list may take beyond the one asked for: what lies above the low mark. Each may cost its guards. */
static uint64_t zone_spare(const struct zone *zone, const struct alloc_context *ac)
{
	uint64_t floor = zone->watermark[WMARK_LOW] + zone->lowmem_reserve[ac->highest_zone];
	uint64_t free = zone_free_usable(zone);

	return free > floor ? (free - floor) >> machine()->guard_minorder : 0;
}

/* Is the zone above the mark, with what can come online? */
static bool zone_above(struct zone *zone, enum zone_watermarks mark, const struct alloc_context *ac)
{
	while (!zone_watermark_ok(zone, mark, ac))
		if (likely(!zone_deferred(zone)) || !grow_zone(zone))
			return false;
	return true;
}

/* This CPU's list of the zone's blocks of that order and type. NULL: it keeps none. */
static const struct per_cpu_pages *this_cpu_list(const struct zone *zone, unsigned order,
                                                 unsigned type)
{
	const struct per_cpu_pages *pcp = block_pcp(zone_pcp(this_cpu(), zone, type), order);

	return order_has_pcp(order) && pcp->batch ? pcp : NULL;
}

/* It does not count in an interrupt on top of the list's owner: that would have to go to the zone for it. */
static bool holds_any(const struct per_cpu_pages *pcp)
{
	return !(READ_ONCE(pcp->busy) & PCP_BUSY) &&
	       (pcp_count(pcp) || atomic_load_explicit(&pcp->cold_count, memory_order_relaxed));
}

/* From this zone. What is on this CPU's list counts as outside of the zone already: no mark is asked. */
static struct page *rmqueue(struct zone *zone, const struct alloc_context *ac, bool ok)
{
	const unsigned type = gfp_migratetype(ac->gfp);
	const struct per_cpu_pages *pcp = this_cpu_list(zone, ac->order, type);
	const bool kept = pcp && holds_any(pcp);
	struct page *page;

	if (!ok && !kept)
		return NULL;
	if (unlikely(ac->flags & ALLOC_HIGHATOMIC) && !kept) {
		page = rmqueue_highatomic(zone, ac->order);
		if (page)
			return page;
	}
	if (!pcp)
		return rmqueue_buddy(zone, ac->order, type);
	return rmqueue_pcp(zone, ac->gfp, ac->order, ok ? zone_spare(zone, ac) : 0);
}

/* The decision which zone serves a request. */
static struct page *get_page_from_freelist(const struct alloc_context *ac,
                                           enum zone_watermarks mark)
{
	struct zone *zone;

	for (struct zone *const *z = ac->zonelist->zones; (zone = *z); z++) {
		struct page *page;

		if (!(ac->nodes >> zone->nid & 1))
			continue;
		page = rmqueue(zone, ac, zone_above(zone, mark, ac));
		if (page) {
			if (unlikely(ac->flags & ALLOC_HIGHATOMIC))
				reserve_highatomic_pageblock(zone, page, ac->order);
			count_numa_event(ac, zone);
			trace_zone_select(ac->order, ac->gfp, ac->preferred->id, zone->id);
			return page;
		}
	}
	return NULL;
}

static unsigned gfp_to_alloc_flags(gfp_t gfp, unsigned order)
{
	unsigned flags = 0;

	if (gfp & __GFP_ATOMIC && !(gfp & __GFP_NOMEMALLOC))
		flags |= order ? ALLOC_HARDER | ALLOC_HIGHATOMIC : ALLOC_HARDER;
	if (!(gfp & __GFP_NOMEMALLOC) &&
	    (gfp & __GFP_MEMALLOC || (!in_interrupt() && *port_memalloc())))
		flags |= ALLOC_NO_WATERMARKS;
	if (gfp & __GFP_HIGH)
		flags |= ALLOC_HIGH;
	return flags;
}

/* Without waiting: others give their lists back when they next allocate. Those that idle are asked by drain_all_pages(). */
static void ask_for_drain(void)
{
	for (unsigned i = 0; i < machine()->nr_cpus; i++)
		if (machine()->cpu[i] && machine()->cpu[i] != this_cpu())
			atomic_store_explicit(&machine()->cpu[i]->drain_wanted, true,
			                      memory_order_relaxed);
}

static void warn_alloc(gfp_t gfp, unsigned order)
{
	uint64_t n =
	        atomic_fetch_add_explicit(&machine()->alloc_failures, 1, memory_order_relaxed) + 1;

	count(ALLOCFAIL);
	if (gfp & __GFP_NOWARN || (n > 8 && n & (n - 1)))
		return;
	port_log("page allocation failure: order:%u, gfp:%#x, pid:%d, free:%lu pages, failures:%lu",
	         order, gfp, current_pid(), (unsigned long)nr_free_pages(), (unsigned long)n);
}

/* Whoever frees memory may take what it needs for that from the reserve. */
static uint64_t direct_reclaim(const struct alloc_context *ac)
{
	bool *memalloc = port_memalloc();
	uint64_t freed;

	if (!reclaim_hook)
		return 0;
	*memalloc = true;
	freed = reclaim_hook(ac->gfp, ac->order);
	*memalloc = false;
	return freed;
}

/* May another round bring what `retries` rounds have not? */
static bool reclaim_may_help(const struct alloc_context *ac, uint64_t freed, unsigned retries)
{
	if (retries >= MAX_RECLAIM_RETRIES)
		return false;
	if (ac->gfp & __GFP_RETRY_MAYFAIL)
		return reclaim_hook != NULL;
	return freed && ac->order <= PAGE_ALLOC_COSTLY_ORDER;
}

/* A block by compaction, or NULL. */
static struct page *alloc_pages_direct_compact(struct alloc_context *ac, enum migrate_mode mode)
{
	enum compact_result result;
	struct page *page;

	if (!ac->order || !(ac->gfp & __GFP_DIRECT_RECLAIM))
		return NULL;
	result = try_to_compact_pages(ac, mode);
	if (result == COMPACT_SKIPPED || result == COMPACT_DEFERRED)
		return NULL;
	count(COMPACTSTALL);
	page = get_page_from_freelist(ac, WMARK_MIN);
	if (page) {
		compaction_defer_reset(page_zone(page), ac->order, true);
		count(COMPACTSUCCESS);
	} else {
		count(COMPACTFAIL);
	}
	return page;
}

/* Of the nodes that would have done: none had it. */
static void wake_all_kcompactds(const struct alloc_context *ac)
{
	unsigned woken = ~ac->nodes;

	for (struct zone *const *z = ac->zonelist->zones; *z; z++)
		if (!(woken >> (*z)->nid & 1)) {
			woken |= 1u << (*z)->nid;
			wakeup_kcompactd(&machine()->node[(*z)->nid], ac->order, ac->highest_zone);
		}
}

/*
 * A frame or block that freeing memory has brought, or that lies on another CPU's lists: there it is as good as lost, when that CPU
 * idles. So they are asked in each round, before it is said to have failed. What lies on this CPU's goes to the zone first, for
 * the reserve fills before requests. freed: how many frames came back.
 */
static struct page *alloc_pages_direct_reclaim(struct alloc_context *ac, uint64_t *freed)
{
	struct page *page;

	*freed = direct_reclaim(ac);
	drain_local_pages();
	page = *freed ? get_page_from_freelist(ac, WMARK_MIN) : NULL;
	if (page)
		return page;
	if (*freed)
		(void)unreserve_highatomic_pageblock(ac, false);
	drain_all_pages();
	return get_page_from_freelist(ac, WMARK_MIN);
}

/*
 * May somebody die for it? Not for who can do without, nor for large blocks; nor for scarce zones or some nodes only, for the victim's frames
 * need not lie there; nor for a file system at work, which cannot be waited for.
 */
static bool may_oom(const struct alloc_context *ac)
{
	const gfp_t easy = __GFP_NORETRY | __GFP_RETRY_MAYFAIL | __GFP_THISNODE;

	return oom_hook &&
	       (ac->gfp & (__GFP_DIRECT_RECLAIM | __GFP_FS)) == (__GFP_DIRECT_RECLAIM | __GFP_FS) &&
	       !(ac->gfp & easy) && ac->order <= PAGE_ALLOC_COSTLY_ORDER &&
	       ac->highest_zone >= ZONE_NORMAL && !(nodes_with_memory() & ~ac->nodes);
}

/* Memory by somebody's death. False: there is none to be had so; else another round may bring it, or has: *page. */
static bool alloc_pages_may_oom(struct alloc_context *ac, struct page **page)
{
	if (!may_oom(ac))
		return false;
	switch (oom_hook()) {
	case OOM_RETRY:
		return true;
	case OOM_DYING:
		ac->flags |= ALLOC_HIGH | ALLOC_HARDER;
		*page = get_page_from_freelist(ac, WMARK_MIN);
		return *page != NULL;
	case OOM_NOBODY:
		break;
	}
	return false;
}

/*
 * Is another round worth it; or did somebody's death bring the block: *page? What is set aside goes back before anybody dies for it, or is
 * told that there is nothing left.
 */
static bool should_retry(struct alloc_context *ac, uint64_t freed, unsigned retries,
                         struct page **page)
{
	const bool costly = ac->order > PAGE_ALLOC_COSTLY_ORDER && !(ac->gfp & __GFP_RETRY_MAYFAIL);

	if (!(ac->gfp & __GFP_NOFAIL) && (ac->gfp & __GFP_NORETRY || costly))
		return false;
	return reclaim_may_help(ac, freed, retries) || unreserve_highatomic_pageblock(ac, true) ||
	       (!freed && alloc_pages_may_oom(ac, page)) || ac->gfp & __GFP_NOFAIL;
}

static struct page *alloc_pages_slowpath(struct alloc_context *ac)
{
	struct page *page;

	count(ALLOCSTALL);
	if (ac->gfp & __GFP_DIRECT_RECLAIM && *port_memalloc())
		ac->gfp &= ~__GFP_DIRECT_RECLAIM; /* this is for somebody who reclaims */
	ac->flags = gfp_to_alloc_flags(ac->gfp, ac->order);
	page = get_page_from_freelist(ac, WMARK_MIN);
	if (page)
		return page;
	drain_local_pages();
	ask_for_drain();
	if (ac->order && ac->gfp & __GFP_KSWAPD_RECLAIM)
		wake_all_kcompactds(ac);
	page = alloc_pages_direct_compact(ac, MIGRATE_ASYNC);
	if (page)
		return page;
	for (unsigned retries = 0;; retries++) {
		uint64_t freed;

		page = get_page_from_freelist(ac, WMARK_MIN);
		if (page || !(ac->gfp & __GFP_DIRECT_RECLAIM))
			return page;
		page = alloc_pages_direct_reclaim(ac, &freed);
		if (!page && !(ac->gfp & __GFP_NORETRY))
			page = alloc_pages_direct_compact(ac, MIGRATE_SYNC_LIGHT);
		if (page || !should_retry(ac, freed, retries, &page) || page)
			return page;
		if (freed && ac->order <= PAGE_ALLOC_COSTLY_ORDER)
			retries = 0;
		if (!freed && ac->gfp & __GFP_NOFAIL)
			port_block_until(port_now_ns() + NOFAIL_WAIT_NS);
		drain_local_pages();
	}
}

/* MPOL_PREFERRED_MANY: from those nodes, if they have it to spare. The nearest of them is the one that was meant. */
static struct page *get_preferred_page(struct alloc_context ac)
{
	narrow_nodes(&ac, ac.preferred_nodes);
	return get_page_from_freelist(&ac, WMARK_LOW);
}

/* nid < 0: as the policy says, or, where there is none, the running task's. */
static ALWAYS_INLINE struct page *alloc_pages_as(struct mempolicy *policy, gfp_t gfp,
                                                 unsigned order, int nid, uintptr_t caller)
{
	struct alloc_context ac = {
	        .gfp = gfp, .order = order, .highest_zone = gfp_zone(gfp), .policy = policy};
	struct page *page = NULL;

	if (unlikely(order >= MAX_ORDER)) {
		warn_alloc(gfp, order);
		return NULL;
	}
	if (unlikely(machine()->careful) && should_fail_alloc(gfp))
		return NULL;
	if (unlikely(!this_cpu()->pcp_ready))
		pcp_init(this_cpu());
	drain_if_wanted();
	choose_nodes(&ac, nid);
	if (unlikely(ac.preferred_nodes))
		page = get_preferred_page(ac);
	if (likely(!page))
		page = get_page_from_freelist(&ac, WMARK_LOW);
	if (unlikely(!page && ac.preferred))
		page = alloc_pages_slowpath(&ac);
	if (unlikely(!page)) {
		warn_alloc(gfp, order);
		return NULL;
	}
	if (unlikely(machine()->careful))
		page_allocated(page, order, gfp, caller);
	if (order)
		prep_block(page, gfp, order, page_pcp(this_cpu(), page->flags)->counter);
	else
		prep_page(page, gfp, page_pcp(this_cpu(), page->flags)->counter);
	return page;
}

static NOINLINE struct page *alloc_pages_normal(gfp_t gfp, unsigned order, int nid,
                                                uintptr_t caller)
{
	return alloc_pages_as(NULL, gfp, order, nid, caller);
}

struct page *alloc_pages_policy(struct mempolicy *policy, gfp_t gfp, unsigned order)
{
	return alloc_pages_as(policy, gfp, order, -1, CALLER);
}

/* The hottest block of this CPU's list, or NULL. The one that is next will be wanted soon. */
static ALWAYS_INLINE struct page *pop_block(struct per_cpu_pages *pcp)
{
	struct page *page = NULL;
	unsigned n;

	if (unlikely(READ_ONCE(pcp->busy)))
		return NULL;
	pcp_enter(pcp);
	n = pcp_count(pcp);
	if (likely(n))
		page = pcp_pop(pcp, n);
	if (n > 1)
		__builtin_prefetch(pfn_to_page(PFN(pcp->first)), 1);
	pcp_leave(pcp);
	return page;
}

/* As alloc_pages() does it for single frames. */
static NOINLINE struct page *alloc_block(gfp_t gfp, unsigned order, uintptr_t caller)
{
	struct per_cpu_pages *pcp = this_cpu()->fast_pcp[gfp & 31];
	struct page *page = NULL;

	if (likely(pcp && order_has_pcp(order) && !(gfp & __GFP_COLD)))
		page = pop_block(block_pcp(pcp, order));
	if (unlikely(!page))
		return alloc_pages_normal(gfp, order, -1, caller);
	count_short_block(page_zone_id(page), order);
	prep_block(page, gfp, order, pcp->counter);
	return page;
}

struct page *alloc_pages(gfp_t gfp, unsigned order)
{
	struct per_cpu_pages *pcp = this_cpu()->fast_pcp[gfp & 31];
	struct page *page;
	unsigned n;

	if (unlikely(order | (gfp & __GFP_COLD) || !pcp || READ_ONCE(pcp->busy)))
		return order ? alloc_block(gfp, order, CALLER)
		             : alloc_pages_normal(gfp, 0, -1, CALLER);
	pcp_enter(pcp);
	n = pcp_count(pcp);
	if (unlikely(!n)) {
		pcp_leave(pcp);
		return alloc_pages_normal(gfp, 0, -1, CALLER);
	}
	page = pcp_pop(pcp, n);
	pcp_leave(pcp);
	return prep_page(page, gfp, pcp->counter);
}

struct page *alloc_pages_node(int nid, gfp_t gfp, unsigned order)
{
	if (nid < 0 || (unsigned)nid >= machine()->nr_nodes)
		return alloc_pages(gfp, order);
	return alloc_pages_normal(gfp, order, nid, CALLER);
}

void *__get_free_pages(gfp_t gfp, unsigned order)
{
	struct page *page;

	if (gfp & __GFP_HIGHMEM)
		port_panic("__get_free_pages: high memory has no address (gfp %#x)", gfp);
	page = alloc_pages(gfp, order);
	return page ? page_address(page) : NULL;
}

void *get_zeroed_page(gfp_t gfp)
{
	return __get_free_pages(gfp | __GFP_ZERO, 0);
}

void split_page(struct page *page, unsigned order)
{
	for (unsigned i = 1; i < 1u << order; i++)
		atomic_store_explicit(&page[i]._refcount, 1, memory_order_relaxed);
	for (unsigned i = 0; i < 1u << order; i++)
		set_frame_type(page + i, pageblock_pcp_type(page + i));
}

void *alloc_pages_exact(size_t size, gfp_t gfp)
{
	size_t pages = PAGES_OF(size);
	unsigned order = pages > 1 ? 64 - (unsigned)__builtin_clzll(pages - 1) : 0;
	struct page *page;

	if (!pages || order >= MAX_ORDER)
		return NULL;
	page = alloc_pages(gfp & ~__GFP_COMP, order);
	if (!page)
		return NULL;
	for (size_t i = 0; i < pages; i++) {
		atomic_store_explicit(&page[i]._refcount, 1, memory_order_relaxed);
		set_frame_type(page + i, pageblock_pcp_type(page + i));
	}
	/* The rest, as the largest blocks it is made of. */
	for (size_t i = pages; i < (size_t)1 << order;) {
		unsigned k = (unsigned)__builtin_ctzll(i);

		atomic_store_explicit(&page[i]._refcount, 1, memory_order_relaxed);
		free_part(page + i, k, CALLER);
		i += (size_t)1 << k;
	}
	return page_address(page);
}

void free_pages_exact(void *addr, size_t size)
{
	struct page *page = addr ? virt_to_page(addr) : NULL;

	for (size_t i = 0; page && i < PAGES_OF(size); i++)
		__free_page(page + i);
}
