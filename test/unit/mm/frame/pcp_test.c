/*
 * pcp_test.c - what a CPU keeps of frames and blocks: that it is found again, counted, bounded, and given back.
 *
 * On whatever machine there is: a small one keeps few kinds of blocks, or none. Machines that keep all of them: host/pcp_blocks_test.c.
 */
#include "mm/frame/internal.h"
#include "test/unit/unit.h"

#define MOST 256u

static struct page *taken[MOST];

/* The list that blocks of this order come from, with this gfp, on this CPU; NULL: it has none. */
static struct per_cpu_pages *list_of(gfp_t gfp, unsigned order)
{
	struct per_cpu_pages *pcp = this_cpu()->fast_pcp[gfp & 31];

	if (!order_has_pcp(order) || !pcp || !block_pcp(pcp, order)->batch)
		return NULL;
	return block_pcp(pcp, order);
}

static uint64_t kept(void)
{
	uint64_t pages = 0;

	for_each_zone(zone)
		pages += zone_pcp_pages_of(zone, cpu_id());
	return pages;
}

static void give_all(unsigned n, unsigned order)
{
	while (n)
		__free_pages(taken[--n], order);
}

static bool take_all(unsigned n, gfp_t gfp, unsigned order)
{
	for (unsigned i = 0; i < n; i++)
		if (!(taken[i] = alloc_pages(gfp | __GFP_NOWARN, order))) {
			give_all(i, order);
			return false;
		}
	return true;
}

static void each_order(void (*check)(struct per_cpu_pages *pcp, unsigned order))
{
	for (unsigned i = 0; i < NR_PCP_ORDERS; i++) {
		struct per_cpu_pages *pcp = list_of(GFP_KERNEL, pcp_order(i));

		if (pcp)
			CHECK_CALL(check(pcp, pcp_order(i)));
	}
}

/* Freed last, taken first; and while it is kept it is free for the machine, but not for its zone. */
static void check_hot(struct per_cpu_pages *pcp, unsigned order)
{
	const uint64_t free = nr_unused_pages();
	struct page *page = alloc_pages(GFP_KERNEL, order);
	uint64_t before, in_zone;
	struct zone *zone;

	CHECK(page);
	zone = page_zone(page);
	before = kept();
	in_zone = zone_free_pages(zone);
	__free_pages(page, order);
	CHECK_EQ(kept(), before + (1u << order));
	CHECK_EQ(zone_free_pages(zone), in_zone);
	CHECK_EQ(nr_unused_pages(), free);
	CHECK(!page_is_free(page));
	CHECK_EQ(pcp->first, page_to_pfn(page).n);
	CHECK_SOUND(frame_check());
	CHECK_EQ(alloc_pages(GFP_KERNEL, order), page);
	CHECK_EQ(page_count(page), 1);
	__free_pages(page, order);
}

UNIT_TEST(freed_last_taken_first)
{
	drain_local_pages();
	each_order(check_hot);
}

/* However many come back: two batches stay, the others are the zone's. And on demand, these are too. */
static void check_bounds(struct per_cpu_pages *pcp, unsigned order)
{
	const unsigned n = MIN(4u * pcp->batch, MOST);

	if (!take_all(n, GFP_KERNEL, order))
		return; /* not a matter of lists */
	give_all(n, order);
	CHECK_LE(pcp->count, pcp->batch);
	CHECK_LE(pcp->cold_count, pcp->batch);
	CHECK_GT(pcp->count + pcp->cold_count, 0);
	for_each_zone(zone)
		CHECK_LE(zone_pcp_pages_of(zone, cpu_id()), zone_pcp_high_of(zone, cpu_id()));
	CHECK_SOUND(frame_check());
	drain_local_pages();
	CHECK_EQ(pcp->count + pcp->cold_count, 0);
	CHECK_EQ(kept(), 0);
	CHECK_SOUND(frame_check());
}

UNIT_TEST(bounded_and_drained)
{
	const uint64_t free = nr_unused_pages();

	drain_local_pages();
	each_order(check_bounds);
	CHECK_EQ(nr_unused_pages(), free);
}

/* __GFP_COLD: the block that was free longest. */
static void check_cold(struct per_cpu_pages *pcp, unsigned order)
{
	const unsigned n = pcp->batch + 1u;
	struct page *cold;

	drain_local_pages();
	if (!take_all(n, GFP_KERNEL, order))
		return;
	drain_local_pages();
	for (unsigned i = 0; i < n; i++)
		__free_pages(taken[i], order);
	CHECK_EQ(pcp->count, 1);
	CHECK_EQ(pcp->cold_count, n - 1);
	cold = alloc_pages(GFP_KERNEL | __GFP_COLD, order);
	CHECK_EQ(cold, taken[n - 2]);
	CHECK_EQ(pcp->count, 1);
	__free_pages(cold, order);
	drain_local_pages();
}

UNIT_TEST(cold_ends)
{
	each_order(check_cold);
}

/* Kept under the type that it was taken under: another type does not get it, so page blocks stay of one kind. */
static void check_type(struct per_cpu_pages *pcp, unsigned order)
{
	struct per_cpu_pages *movable = list_of(GFP_KERNEL | __GFP_MOVABLE, order);
	struct page *page, *other;

	if (!movable || movable == pcp)
		return; /* a machine too small for types */
	drain_local_pages();
	page = alloc_pages(GFP_KERNEL | __GFP_MOVABLE, order);
	other = alloc_pages(GFP_KERNEL, order);
	CHECK(page && other);
	CHECK_EQ(get_pageblock_migratetype(page), MIGRATE_MOVABLE);
	drain_local_pages();
	__free_pages(page, order);
	CHECK_EQ(movable->first, page_to_pfn(page).n);
	CHECK_EQ(pcp->count, 0);
	CHECK_NE(taken[0] = alloc_pages(GFP_KERNEL, order), page);
	CHECK(taken[0]);
	CHECK_EQ(movable->first, page_to_pfn(page).n);
	__free_pages(taken[0], order);
	__free_pages(other, order);
	CHECK_SOUND(frame_check());
	drain_local_pages();
}

UNIT_TEST(types_stay_apart)
{
	each_order(check_type);
}

/* An interrupt on top of the owner: neither waits, the list stays as it is. */
static void check_busy(struct per_cpu_pages *pcp, unsigned order)
{
	const uint64_t free = nr_unused_pages();
	struct page *page, *kept_one = alloc_pages(GFP_KERNEL, order);
	unsigned count;

	CHECK(kept_one);
	__free_pages(kept_one, order);
	count = pcp->count;
	pcp->busy |= PCP_BUSY;
	page = alloc_pages(GFP_ATOMIC, order);
	CHECK_EQ(pcp->count, count);
	CHECK(page);
	CHECK_NE(page, kept_one);
	__free_pages(page, order);
	CHECK_EQ(pcp->count, count);
	CHECK(page_is_free(page));
	drain_local_pages(); /* passes this list by, and will be done when it is left */
	CHECK_EQ(pcp->count, count);
	pcp->busy &= (uint8_t)~PCP_BUSY;
	CHECK(this_cpu()->drain_wanted);
	drain_if_wanted();
	CHECK_EQ(pcp->count, 0);
	CHECK_EQ(nr_unused_pages(), free);
	CHECK_SOUND(frame_check());
}

UNIT_TEST(interrupt_on_top)
{
	each_order(check_busy);
}

/* Compound blocks are kept like others, and come back without tails. */
static void check_compound(struct per_cpu_pages *pcp, unsigned order)
{
	struct page *page = order ? alloc_pages(GFP_KERNEL | __GFP_COMP, order) : NULL;

	if (!page)
		return;
	put_page(page + 1);
	CHECK_EQ(pcp->first, page_to_pfn(page).n);
	CHECK_SOUND(frame_check());
	CHECK_EQ(alloc_pages(GFP_KERNEL, order), page);
	CHECK(!page_flag(page, PG_head));
	CHECK(!page_flag(page + 1, PG_tail));
	__free_pages(page, order);
}

UNIT_TEST(compound_blocks)
{
	each_order(check_compound);
}

/* With checks on: nobody gets a block past them, and one is junk when it is free, wherever it is kept. */
static void check_careful(UNUSED struct per_cpu_pages *pcp, unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);
	const uint8_t *last;

	CHECK(page);
	last = (const uint8_t *)page_address(page + (1u << order) - 1) + PAGE_SIZE - 1;
	__free_pages(page, order);
	fault_inject(0);
	CHECK_EQ(alloc_pages(GFP_KERNEL | __GFP_NOWARN, order), NULL);
	fault_inject(-1);
	check_poison(true);
	page = alloc_pages(GFP_KERNEL, order);
	CHECK(page);
	last = (const uint8_t *)page_address(page + (1u << order) - 1) + PAGE_SIZE - 1;
	*(uint8_t *)(uintptr_t)last = 1;
	__free_pages(page, order);
	CHECK_EQ(*last, POISON_FREE);
	page = alloc_pages(GFP_KERNEL, order);
	check_poison(false);
	CHECK(page);
	__free_pages(page, order);
	CHECK_SOUND(frame_check());
}

UNIT_TEST(careful_with_blocks)
{
	each_order(check_careful);
}

/* A block is one hit of its node, whichever way it came. */
static void check_hits(struct per_cpu_pages *pcp, unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);
	uint64_t before;
	struct zone *zone;

	CHECK(page);
	zone = page_zone(page);
	before = zone_numa_stat(zone, NUMA_HIT);
	__free_pages(page, order);
	for (unsigned i = 0; i < 3; i++) { /* from the list, from the zone, straight */
		page = alloc_pages(GFP_KERNEL, order);
		CHECK(page);
		CHECK_EQ(page_zone(page), zone);
		CHECK_EQ(zone_numa_stat(zone, NUMA_HIT), before + i + 1);
		__free_pages(page, order);
		pcp->busy = (uint8_t)(i == 1 ? pcp->busy | PCP_BUSY : pcp->busy & ~PCP_BUSY);
		if (i == 0)
			drain_local_pages();
	}
}

UNIT_TEST(blocks_are_single_hits)
{
	each_order(check_hits);
}

/* What is left of a block whose first frame somebody holds: parts that have had no type before go where their page block says. */
static void check_part(struct per_cpu_pages *pcp, unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order + 1), *part;
	const unsigned n = 1u << order;

	CHECK(page);
	part = page + n;
	if (get_pageblock_migratetype(page) !=
	    MIGRATE_UNMOVABLE) { /* it came from another type's */
		__free_pages(page, order + 1);
		return;
	}
	drain_local_pages();
	set_frame_type(part, MIGRATE_RECLAIMABLE); /* as an earlier use might have left it */
	get_page(page);
	__free_pages(page, order + 1);
	CHECK_EQ(pcp->first, page_to_pfn(part).n);
	put_page(page);
	CHECK_SOUND(frame_check());
	drain_local_pages();
	CHECK_SOUND(frame_check());
}

UNIT_TEST(parts_of_blocks)
{
	each_order(check_part);
}
