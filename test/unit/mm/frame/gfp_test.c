/*
 * gfp_test.c - the flags of lecture 002's tables, one by one: what the allocator may do for a request, seen from the one
 * hook through which it asks for memory to be freed. Nodes (HARDWALL, THISNODE): host/nodes_test.c; warnings:
 * host/gfp_log_test.c; COMP, ZERO, HIGH and the reserves: alloc_test.c.
 */
#include "mm/frame/compaction.h"
#include "mm/frame/internal.h"
#include "test/unit/unit.h"

static struct {
	uint32_t first; /* frames hoarded, by lru.next */
	uint64_t count;
	unsigned calls;
	gfp_t gfp; /* of the last call */
	unsigned order;
	unsigned give; /* frames to free at each call */
	unsigned from; /* but not before this call */
	uint64_t first_ns, last_ns;
} seen;

static void keep(struct page *page)
{
	page->lru.next = seen.first;
	seen.first = page_to_pfn(page).n;
	seen.count++;
}

static uint64_t give(uint64_t n)
{
	uint64_t given = 0;

	for (; given < n && seen.count; given++, seen.count--) {
		struct page *page = pfn_to_page(PFN(seen.first));

		seen.first = page->lru.next;
		__free_page(page);
	}
	return given;
}

static uint64_t watching(gfp_t gfp, unsigned order)
{
	seen.gfp = gfp;
	seen.order = order;
	seen.last_ns = port_now_ns();
	if (!seen.calls)
		seen.first_ns = seen.last_ns;
	return ++seen.calls < seen.from ? 0 : give(seen.give);
}

static void take_everything(void)
{
	struct page *page;

	while ((page = alloc_page(GFP_NOWAIT | __GFP_HIGHMEM | __GFP_MOVABLE | __GFP_MEMALLOC |
	                          __GFP_NOWARN)))
		keep(page);
}

static uint64_t (*saved_hook)(gfp_t gfp, unsigned order);
static uint64_t free_before;

static void tight(void)
{
	seen = (__typeof__(seen)){.first = PFN_NONE_N};
	saved_hook = reclaim_hook;
	reclaim_hook = NULL;
	free_before = nr_unused_pages();
	take_everything();
	reclaim_hook = watching;
}

static void relax(void)
{
	reclaim_hook = saved_hook;
	give(UINT64_MAX);
	CHECK_EQ(nr_unused_pages(), free_before);
	CHECK_SOUND(frame_check());
}

/* The same, and there was one to be had. */
static void relax_with(struct page *page)
{
	if (page)
		keep(page);
	CHECK_CALL(relax());
	CHECK(page);
}

/* On a machine without a free frame: the flags that the hook is told, 0: not called. */
static gfp_t told(gfp_t gfp, unsigned order)
{
	struct page *page;

	seen.calls = 0;
	seen.gfp = 0;
	page = alloc_pages(gfp | __GFP_NORETRY | __GFP_NOWARN, order);
	if (page)
		__free_pages(page, order);
	return page ? ~0u : seen.gfp & ~(__GFP_NORETRY | __GFP_NOWARN);
}

/* __GFP_WAIT: who may not sleep is not helped. */
UNIT_TEST(wait)
{
	tight();
	CHECK_EQ(told(GFP_NOWAIT, 0), 0);
	CHECK_EQ(told(GFP_ATOMIC, 0), 0);
	CHECK_EQ(told(GFP_DMA, 0), 0);
	CHECK_EQ(told(__GFP_IO | __GFP_FS, 0), 0);
	CHECK_EQ(told(__GFP_WAIT, 0), __GFP_WAIT);
	CHECK_EQ(seen.calls, 1);
	CHECK_CALL(relax());
}

/* __GFP_IO, __GFP_FS: what may be done to free memory is what the caller can bear. */
UNIT_TEST(io_and_fs)
{
	tight();
	CHECK_EQ(told(GFP_NOIO, 0) & (__GFP_IO | __GFP_FS), 0);
	CHECK_EQ(told(GFP_NOFS, 0) & (__GFP_IO | __GFP_FS), __GFP_IO);
	CHECK_EQ(told(GFP_KERNEL, 3) & (__GFP_IO | __GFP_FS), __GFP_IO | __GFP_FS);
	CHECK_EQ(seen.order, 3);
	CHECK_EQ(told(GFP_HIGHUSER_MOVABLE, 0), GFP_HIGHUSER_MOVABLE);
	CHECK_CALL(relax());
}

static struct page *asking(gfp_t gfp, unsigned order, unsigned n, unsigned from)
{
	seen.calls = 0;
	seen.give = n;
	seen.from = from;
	return alloc_pages(gfp | __GFP_NOWARN, order);
}

static struct page *own, *refused;

static uint64_t allocating(gfp_t gfp UNUSED, unsigned order UNUSED)
{
	seen.calls++;
	own = alloc_page(GFP_KERNEL | __GFP_NOWARN);
	refused = alloc_page(GFP_KERNEL | __GFP_NOMEMALLOC | __GFP_NOWARN);
	return 0;
}

static void take_down_to_the_marks(gfp_t gfp)
{
	struct page *page;

	while ((page = alloc_page(gfp | __GFP_NORETRY | __GFP_NOWARN)))
		keep(page);
}

/* Whoever frees memory takes from the reserve what that needs, and is not asked to free memory for it. */
UNIT_TEST(reclaim_enters_the_reserve)
{
	struct page *page;

	tight();
	reclaim_hook = NULL;
	give(UINT64_MAX);
	take_down_to_the_marks(GFP_HIGHUSER_MOVABLE);
	take_down_to_the_marks(GFP_KERNEL); /* what is kept from those who can have high memory */
	own = refused = NULL;
	reclaim_hook = allocating;
	page = alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
	if (own)
		keep(own);
	if (page)
		keep(page);
	CHECK_CALL(relax()); /* first of all, or a failure here fails others */
	CHECK_EQ(page, NULL);
	CHECK_EQ(seen.calls, 1);
	CHECK_EQ(refused, NULL);
	CHECK(own);
	CHECK_EQ(*port_memalloc(), false);
}

/* What reclaim brings is given to who waited for it, as soon as the marks allow: 32 frames, with guards, do not suffice. */
UNIT_TEST(waiting_helps)
{
	struct page *page;

	tight();
	page = asking(GFP_KERNEL, 0, 32u >> machine()->guard_minorder, 1);
	CHECK(page);
	CHECK_GT(seen.calls, 1); /* the reserve fills first */
	keep(page);
	CHECK_CALL(relax());
}

/* __GFP_NORETRY: one round. __GFP_REPEAT: so many, and then fails. __GFP_NOFAIL: as many as it takes. */
UNIT_TEST(how_often)
{
	struct page *page;

	tight();
	CHECK_EQ(asking(GFP_KERNEL | __GFP_NORETRY, 0, 0, 0), NULL);
	CHECK_EQ(seen.calls, 1);
	CHECK_EQ(asking(GFP_KERNEL | __GFP_REPEAT, 0, 0, 0), NULL);
	CHECK_GT(seen.calls, 8);
	CHECK_LT(seen.calls, 40);
	CHECK_EQ(asking(GFP_KERNEL, 0, 0, 0), NULL);
	CHECK_EQ(seen.calls, 1); /* nothing freed: not worth another */
	page = asking(GFP_KERNEL | __GFP_NOFAIL, 0, 2000, 50);
	CHECK(page);
	CHECK_GE(seen.calls, 50);
	keep(page);
	CHECK_CALL(relax());
}

/* __GFP_NOFAIL sleeps between rounds that bring nothing, a millisecond each: others free memory only if they may run. */
UNIT_TEST(nofail_waits)
{
	struct page *page;

	tight();
	page = asking(GFP_KERNEL | __GFP_NOFAIL, 0, 2000, 51);
	CHECK(page);
	CHECK_EQ(seen.calls, 51);
	CHECK_GE(seen.last_ns - seen.first_ns, 40 * 1000000u); /* of 50 waits */
	keep(page);
	CHECK_CALL(relax());
}

static enum oom_result last_resort;
static unsigned resorts;

/* The first time so, and gives what there is; and then there is nobody. */
static enum oom_result killing(void)
{
	if (resorts++)
		return OOM_NOBODY;
	if (last_resort == OOM_RETRY)
		give(UINT64_MAX);
	return last_resort;
}

/* What becomes of a request when nothing can be freed and the last resort says so. */
static struct page *resorting(enum oom_result result, gfp_t gfp, unsigned order)
{
	enum oom_result (*saved)(void) = oom_hook;
	struct page *page;

	last_resort = result;
	resorts = 0;
	oom_hook = killing;
	page = alloc_pages(gfp | __GFP_NOWARN, order);
	oom_hook = saved;
	return page;
}

/* Who can do without, or cannot wait, or needs what a death would not bring, kills nobody. */
UNIT_TEST(who_may_kill)
{
	static const struct {
		gfp_t gfp;
		unsigned order, want;
	} tries[] = {
	        {GFP_KERNEL, 0, 1},
	        {GFP_HIGHUSER_MOVABLE, 0, 1},
	        {GFP_KERNEL, PAGE_ALLOC_COSTLY_ORDER, 1},
	        {GFP_KERNEL, PAGE_ALLOC_COSTLY_ORDER + 1, 0},
	        {GFP_NOWAIT, 0, 0},
	        {GFP_ATOMIC, 0, 0},
	        {GFP_NOFS, 0, 0},
	        {GFP_NOIO, 0, 0},
	        {GFP_KERNEL | __GFP_NORETRY, 0, 0},
	        {GFP_KERNEL | __GFP_RETRY_MAYFAIL, 0, 0},
	        {GFP_KERNEL | __GFP_THISNODE, 0, 0},
	        {GFP_KERNEL | __GFP_DMA, 0, 0},
	};
	unsigned got[ARRAY_SIZE(tries)];

	tight();
	for (unsigned i = 0; i < ARRAY_SIZE(tries); i++) {
		(void)resorting(OOM_NOBODY, tries[i].gfp, tries[i].order);
		got[i] = resorts;
	}
	CHECK_CALL(relax());
	for (unsigned i = 0; i < ARRAY_SIZE(tries); i++)
		CHECK_EQ(got[i], tries[i].want);
}

/* Who waited for a death gets the frame; who is to die himself gets one of the reserve; who asked for no failure asks on. */
UNIT_TEST(the_last_resort)
{
	struct page *waited, *dying, *insisting;
	unsigned asked;

	tight();
	waited = resorting(OOM_RETRY, GFP_KERNEL, 0);
	CHECK_CALL(relax_with(waited));
	tight();
	insisting = resorting(OOM_RETRY, GFP_KERNEL | __GFP_NOFAIL, 0);
	asked = resorts;
	CHECK_CALL(relax_with(insisting));
	CHECK_EQ(asked, 1);
	tight();
	reclaim_hook = NULL;
	give(UINT64_MAX);
	take_down_to_the_marks(GFP_HIGHUSER_MOVABLE);
	take_down_to_the_marks(GFP_KERNEL);
	dying = resorting(OOM_NOBODY, GFP_KERNEL, 0);
	CHECK_EQ(dying, NULL);
	dying = resorting(OOM_DYING, GFP_KERNEL, 0);
	CHECK_CALL(relax_with(dying));
}

/* As deep into the reserve as who may not wait. */
UNIT_TEST(who_dies_takes_of_the_reserve)
{
	struct page *page, *spared;
	unsigned taken = 0;

	tight();
	reclaim_hook = NULL;
	give(UINT64_MAX);
	take_down_to_the_marks(GFP_HIGHUSER_MOVABLE);
	take_down_to_the_marks(GFP_KERNEL);
	while ((page = resorting(OOM_DYING, GFP_KERNEL, 0))) {
		keep(page);
		taken++;
	}
	spared = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
	if (spared)
		keep(spared);
	page = alloc_page(GFP_KERNEL | __GFP_MEMALLOC);
	CHECK_CALL(relax_with(page)); /* the rest is for who frees memory */
	CHECK_GT(taken, 0);
	CHECK_EQ(spared, NULL);
}

/* A large block that must not fail is waited for, but nobody dies. */
UNIT_TEST(no_death_for_a_large_block)
{
	enum oom_result (*saved)(void) = oom_hook;
	struct page *page;

	tight();
	resorts = 0;
	oom_hook = killing;
	page = asking(GFP_KERNEL | __GFP_NOFAIL, PAGE_ALLOC_COSTLY_ORDER + 1, UINT32_MAX, 5);
	oom_hook = saved;
	if (page)
		__free_pages(page, PAGE_ALLOC_COSTLY_ORDER + 1);
	CHECK_CALL(relax());
	CHECK(page);
	CHECK_GE(seen.calls, 5);
	CHECK_EQ(resorts, 0);
}

static uint64_t pretending(gfp_t gfp UNUSED, unsigned order UNUSED)
{
	return ++seen.calls < 200;
}

/* A large block does not come of some frames, however often: so many rounds, whatever they win. */
UNIT_TEST(large_blocks_are_given_up)
{
	struct page *page;

	tight();
	reclaim_hook = pretending;
	page = alloc_pages(GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN,
	                   PAGE_ALLOC_COSTLY_ORDER + 1);
	CHECK_CALL(relax());
	CHECK_EQ(page, NULL);
	CHECK_LT(seen.calls, 40);
}

/* Though frames do come: too few for a block at first. */
UNIT_TEST(noretry)
{
	struct page *page;
	unsigned calls;

	tight();
	page = asking(GFP_KERNEL | __GFP_NORETRY, 3, 1, 1);
	calls = seen.calls;
	if (page)
		__free_pages(page, 3);
	CHECK_CALL(relax());
	CHECK_EQ(page, NULL);
	CHECK_EQ(calls, 1);
}

/* Half of memory is free in pieces, each a frame and its guards, of which no two are neighbours; and none can be moved. */
static void scatter(void)
{
	uint32_t *link = &seen.first, pfn;

	tight();
	reclaim_hook = NULL;
	while ((pfn = *link) != PFN_NONE_N) {
		struct page *page = pfn_to_page(PFN(pfn));

		if (pfn >> machine()->guard_minorder & 1) {
			link = &page->lru.next;
			continue;
		}
		*link = page->lru.next;
		seen.count--;
		__free_page(page);
	}
	drain_all_pages();
}

/* Blocks of this order are none among the pieces that scatter() leaves, nor of a larger one. */
static unsigned scattered_order(unsigned order)
{
	return MAX(order, machine()->guard_minorder + 1);
}

static void forget_failures(unsigned order)
{
	for_each_zone(zone)
		compaction_defer_reset(zone, order, true);
}

/* How often compaction was tried for a block that cannot be had. */
static uint64_t tries(gfp_t gfp, unsigned order)
{
	uint64_t before = counter_read(COUNT_COMPACTSTALL);
	struct page *page;

	forget_failures(order);
	page = alloc_pages(gfp | __GFP_NOWARN, order);
	forget_failures(order);
	if (page)
		__free_pages(page, order);
	return page ? 99 : counter_read(COUNT_COMPACTSTALL) - before;
}

/* Who may not wait does not compact; __GFP_NORETRY does, but does not wait for pages to be let go. */
UNIT_TEST(who_compacts)
{
	static const gfp_t gfp[] = {GFP_NOWAIT, GFP_ATOMIC, GFP_KERNEL | __GFP_NORETRY, GFP_KERNEL};
	static const unsigned want[] = {0, 0, 1, 2};
	uint64_t got[ARRAY_SIZE(gfp)];

	scatter();
	for (unsigned i = 0; i < ARRAY_SIZE(gfp); i++)
		got[i] = tries(gfp[i], scattered_order(2));
	CHECK_CALL(relax());
	for (unsigned i = 0; i < ARRAY_SIZE(gfp); i++)
		CHECK_EQ(got[i], want[i]);
}

static unsigned kcompactd_told(gfp_t gfp, unsigned order)
{
	struct pglist_data *node = &machine()->node[0];
	bool running = atomic_exchange(&node->kcompactd_running, true);
	unsigned told, before = atomic_exchange(&node->kcompactd_max_order, 0);

	(void)tries(gfp, order);
	told = atomic_exchange(&node->kcompactd_max_order, before);
	atomic_store(&node->kcompactd_running, running);
	return told;
}

/* __GFP_KSWAPD_RECLAIM: the daemon is told of what was missing. */
UNIT_TEST(who_wakes_the_daemon)
{
	static const gfp_t gfp[] = {GFP_NOWAIT, 0, __GFP_DIRECT_RECLAIM, GFP_KERNEL};
	const unsigned order = scattered_order(3);
	unsigned got[ARRAY_SIZE(gfp)];

	scatter();
	for (unsigned i = 0; i < ARRAY_SIZE(gfp); i++)
		got[i] = kcompactd_told(gfp[i], order);
	CHECK_CALL(relax());
	for (unsigned i = 0; i < ARRAY_SIZE(gfp); i++)
		CHECK_EQ(got[i], gfp[i] & __GFP_KSWAPD_RECLAIM ? order : 0);
}

/* A costly order is not waited for, though frames do come; with __GFP_REPEAT it is. */
UNIT_TEST(costly_orders)
{
	tight();
	CHECK_EQ(asking(GFP_KERNEL, MAX_ORDER - 1, 1, 1), NULL);
	CHECK_EQ(seen.calls, 1);
	CHECK_EQ(asking(GFP_KERNEL | __GFP_REPEAT, MAX_ORDER - 1, 0, 0), NULL);
	CHECK_GT(seen.calls, 8);
	CHECK_CALL(relax());
}

/* __GFP_NOMEMALLOC wins over __GFP_MEMALLOC and over the deeper half of GFP_ATOMIC, not over __GFP_HIGH. */
UNIT_TEST(nomemalloc)
{
	uint64_t ordinary, atomic_no, atomic;

	seen = (__typeof__(seen)){.first = PFN_NONE_N};
	free_before = nr_unused_pages();
	saved_hook = reclaim_hook;
	for (struct page *p; (p = alloc_page(GFP_NOWAIT | __GFP_NOWARN));)
		keep(p);
	ordinary = nr_free_pages();
	CHECK_EQ(alloc_page(GFP_NOWAIT | __GFP_MEMALLOC | __GFP_NOMEMALLOC | __GFP_NOWARN), NULL);
	for (struct page *p; (p = alloc_page(GFP_ATOMIC | __GFP_NOMEMALLOC | __GFP_NOWARN));)
		keep(p);
	atomic_no = nr_free_pages();
	for (struct page *p; (p = alloc_page(GFP_ATOMIC | __GFP_NOWARN));)
		keep(p);
	atomic = nr_free_pages();
	CHECK_LT(atomic_no, ordinary);
	CHECK_LT(atomic, atomic_no);
	CHECK_GT(atomic, 0);
	CHECK_CALL(relax());
}

/* __GFP_COLD: the frame that was free longest, and the hot one stays for who will touch it. */
UNIT_TEST(cold)
{
	struct page *pages[200], *hot, *cold;
	unsigned batch;

	drain_local_pages();
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		CHECK(pages[i] = alloc_page(GFP_KERNEL));
	drain_local_pages();
	batch = page_pcp(this_cpu(), pages[0]->flags)->batch;
	CHECK_LT(batch, ARRAY_SIZE(pages) / 2);
	for (unsigned i = 0; i <= batch; i++) /* a batch becomes cold, and one is hot */
		__free_page(pages[i]);
	cold = alloc_page(GFP_KERNEL | __GFP_COLD);
	CHECK_NE(cold, pages[batch]);
	hot = alloc_page(GFP_KERNEL);
	CHECK_EQ(hot, pages[batch]);
	__free_page(cold);
	__free_page(hot);
	for (unsigned i = batch + 1; i < ARRAY_SIZE(pages); i++)
		__free_page(pages[i]);
	CHECK_SOUND(frame_check());
}

/* __GFP_RECLAIMABLE, __GFP_MOVABLE: in whose company the frame is, and so where it goes when it is free. */
UNIT_TEST(company)
{
	static const gfp_t gfp[] = {
	        [MIGRATE_UNMOVABLE] = GFP_KERNEL,
	        [MIGRATE_MOVABLE] = GFP_KERNEL | __GFP_MOVABLE,
	        [MIGRATE_RECLAIMABLE] = GFP_KERNEL | __GFP_RECLAIMABLE,
	};

	if (machine()->page_group_by_mobility_disabled)
		return;
	for (unsigned type = 0; type < ARRAY_SIZE(gfp); type++)
		for (unsigned order = 0; order < 4; order++) {
			struct page *page = alloc_pages(gfp[type], order);

			CHECK(page);
			CHECK_EQ(get_pageblock_migratetype(page), type);
			__free_pages(page, order);
		}
}

/* Zone modifiers, in all combinations: which zone is the highest that will do. */
UNIT_TEST(zone_modifier_table)
{
	static const uint8_t zone[16] = {
	        ZONE_NORMAL, ZONE_DMA, ZONE_HIGHMEM, ZONE_DMA, /* -, DMA, HIGHMEM, both */
	        ZONE_DMA32,  ZONE_DMA, ZONE_DMA32,   ZONE_DMA, /* with DMA32 */
	        ZONE_NORMAL, ZONE_DMA, ZONE_MOVABLE, ZONE_DMA, /* with MOVABLE */
	        ZONE_DMA32,  ZONE_DMA, ZONE_DMA32,   ZONE_DMA,
	};

	for (gfp_t gfp = 0; gfp < 16; gfp++) {
		struct page *page = alloc_page(gfp | GFP_NOWAIT);

		CHECK_EQ(gfp_zone(gfp), zone[gfp]);
		CHECK(page);
		CHECK_LE(page_zone_id(page), zone[gfp]);
		__free_page(page);
	}
}

/* The composed types, as the lecture's table composes them. */
UNIT_TEST(composed_types)
{
	const gfp_t asked = __GFP_WAIT | __GFP_IO | __GFP_FS | __GFP_HIGH | __GFP_HIGHMEM |
	                    __GFP_DMA | __GFP_HARDWALL | __GFP_MOVABLE;

	CHECK_EQ(GFP_ATOMIC & asked, __GFP_HIGH);
	CHECK_EQ(GFP_NOWAIT & asked, 0);
	CHECK_EQ(GFP_NOIO & asked, __GFP_WAIT);
	CHECK_EQ(GFP_NOFS & asked, __GFP_WAIT | __GFP_IO);
	CHECK_EQ(GFP_KERNEL & asked, __GFP_WAIT | __GFP_IO | __GFP_FS);
	CHECK_EQ(GFP_USER & asked, (GFP_KERNEL & asked) | __GFP_HARDWALL);
	CHECK_EQ(GFP_HIGHUSER & asked, (GFP_USER & asked) | __GFP_HIGHMEM);
	CHECK_EQ(GFP_DMA & asked, __GFP_DMA);
}
