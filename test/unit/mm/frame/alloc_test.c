/*
 * alloc_test.c - alloc_pages and its family: what gfp flags mean, where frames come from and go.
 */
#include "mm/frame/internal.h"
#include "lib/string.h"
#include "test/unit/unit.h"

/* Frames taken until there are none, in a chain by lru.next. */
struct hoard {
	uint32_t first;
	uint64_t count;
};

static void hoard_all(struct hoard *h, gfp_t gfp)
{
	struct page *page;

	while ((page = alloc_page(gfp | __GFP_NOWARN))) {
		page->lru.next = h->first;
		h->first = page_to_pfn(page).n;
		h->count++;
	}
}

static void hoard_free(struct hoard *h)
{
	while (h->first != PFN_NONE_N) {
		struct page *page = pfn_to_page(PFN(h->first));

		h->first = page->lru.next;
		__free_page(page);
	}
	h->count = 0;
}

static struct hoard hoard_init(void)
{
	return (struct hoard){.first = PFN_NONE_N};
}

UNIT_TEST(every_order_comes_and_goes)
{
	uint64_t free = nr_unused_pages();

	for (unsigned order = 0; order < MAX_ORDER; order++) {
		struct page *page = alloc_pages(GFP_KERNEL, order);

		CHECK(page);
		CHECK_EQ(page_to_pfn(page).n & ((1u << order) - 1), 0);
		CHECK_EQ(page_count(page), 1);
		CHECK_EQ(page_mapcount(page), 0);
		CHECK_EQ(nr_unused_pages(), free - (1u << order));
		__free_pages(page, order);
		CHECK_EQ(nr_unused_pages(), free);
	}
	CHECK_EQ(alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_ORDER), NULL);
	CHECK_SOUND(frame_check());
}

UNIT_TEST(report_adds_up)
{
	struct quire_frames a, b;
	struct page *page;

	frame_report(&a);
	CHECK_EQ(a.present, a.reserved + a.free + a.slab + a.pagetable + a.kstack + a.vmalloc +
	                            a.anon + a.file + a.shmem + a.other);
	page = alloc_pages(GFP_KERNEL, 3);
	CHECK(page);
	frame_account(FRAME_ANON, 5);
	frame_report(&b);
	frame_account(FRAME_ANON, -5);
	CHECK_EQ(b.free, a.free - 8);
	CHECK_EQ(b.anon, a.anon + 5);
	CHECK_EQ(b.other, a.other + 3);
	__free_pages(page, 3);
	CHECK_LE(min_free_pages(), a.free - 8);
}

UNIT_TEST(zero_is_zero)
{
	for (unsigned order = 0; order < 3; order++) {
		struct page *page = alloc_pages(GFP_KERNEL, order);
		const uint8_t *p;

		CHECK(page);
		memset(page_address(page), 0xa5, PAGE_SIZE << order);
		__free_pages(page, order);
		page = alloc_pages(GFP_KERNEL | __GFP_ZERO, order);
		CHECK(page);
		p = page_address(page);
		for (size_t i = 0; i < PAGE_SIZE << order; i++)
			CHECK_EQ(p[i], 0);
		__free_pages(page, order);
	}
}

UNIT_TEST(compound_pages_count_in_their_head)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP, 2);

	CHECK(page);
	CHECK(page_flag(page, PG_head));
	CHECK_EQ(page[1].order, 2);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(compound_head(page + i), page);
	get_page(page + 3);
	CHECK_EQ(page_count(page), 2);
	put_page(page + 1);
	put_page(page);
	CHECK(!page_flag(page + 1, PG_tail));
	CHECK_EQ(compound_head(page + 3), page + 3);
	CHECK_SOUND(frame_check());
}

/* Lecture 003's request, given back what it does not need: 65 of 128, so blocks of 1, 2, 4, 8, 16, 32 return. */
UNIT_TEST(exact_65_and_33)
{
	uint64_t free = nr_unused_pages();
	void *p = alloc_pages_exact(65 * PAGE_SIZE, GFP_KERNEL);

	CHECK(p);
	CHECK_EQ(nr_unused_pages(), free - 65);
	CHECK_SOUND(frame_check());
	memset(p, 1, 65 * PAGE_SIZE);
	free_pages_exact(p, 65 * PAGE_SIZE);
	CHECK_EQ(nr_unused_pages(), free);
	CHECK_SOUND(frame_check());
	p = alloc_pages_exact(33 * PAGE_SIZE, GFP_KERNEL);
	CHECK(p);
	CHECK_EQ(nr_unused_pages(), free - 33);
	free_pages_exact(p, 33 * PAGE_SIZE);
	CHECK_EQ(alloc_pages_exact(0, GFP_KERNEL), NULL);
	CHECK_EQ(alloc_pages_exact((PAGE_SIZE << (MAX_ORDER - 1)) + 1, GFP_KERNEL), NULL);
}

UNIT_TEST(split_pages_are_single)
{
	uint64_t free = nr_unused_pages();
	struct page *page = alloc_pages(GFP_KERNEL, 3);

	CHECK(page);
	split_page(page, 3);
	for (unsigned i = 0; i < 8; i++)
		put_page(page + i);
	CHECK_EQ(nr_unused_pages(), free);
	CHECK_SOUND(frame_check());
}

UNIT_TEST(zone_modifiers)
{
	struct page *dma = alloc_page(GFP_KERNEL | GFP_DMA),
	            *dma32 = alloc_page(GFP_KERNEL | GFP_DMA32);

	CHECK(dma && dma32);
	CHECK_EQ(page_zone_id(dma), ZONE_DMA);
	CHECK_LT(page_to_pfn(dma).n, 4096);
	CHECK_LE(page_zone_id(dma32), ZONE_DMA32);
	__free_page(dma);
	__free_page(dma32);
	dma = alloc_pages(GFP_DMA, 4);
	CHECK(dma);
	CHECK_EQ(page_zone_id(dma), ZONE_DMA);
	__free_pages(dma, 4);
}

/* Who may go how deep (lecture 001): ordinary < __GFP_HIGH < GFP_ATOMIC < __GFP_MEMALLOC. */
UNIT_TEST(reserves_are_for_those_who_may)
{
	static const gfp_t deeper[] = {GFP_NOWAIT, GFP_NOWAIT | __GFP_HIGH, GFP_ATOMIC,
	                               GFP_NOWAIT | __GFP_MEMALLOC};
	uint64_t free = nr_unused_pages(), min = 0, left;
	struct hoard h = hoard_init();

	for_each_zone(zone)
		min += zone->watermark[WMARK_MIN];
	for (unsigned i = 0; i < ARRAY_SIZE(deeper); i++) {
		uint64_t before = h.count;

		if (deeper[i] & __GFP_MEMALLOC)
			CHECK_EQ(alloc_page(deeper[i] | __GFP_NOMEMALLOC | __GFP_NOWARN), NULL);
		hoard_all(&h, deeper[i]);
		left = nr_free_pages();
		CHECK_MSG(h.count > before, "gfp %#x found nothing", deeper[i]);
		if (i == 0)
			CHECK_GE(left, min);
		else if (i < 3)
			CHECK_GT(left, 0);
	}
	CHECK_EQ(alloc_page(GFP_ATOMIC | __GFP_NOWARN), NULL);
	CHECK_SOUND(frame_check());
	hoard_free(&h);
	CHECK_EQ(nr_unused_pages(), free);
	drain_local_pages();
	CHECK_SOUND(frame_check());
	CHECK_EQ(nr_unused_pages(), free);
}

static unsigned hook_calls;
static struct hoard *hook_hoard;

static uint64_t hook_nothing(UNUSED gfp_t gfp, UNUSED unsigned order)
{
	hook_calls++;
	return 0;
}

/* Nothing, and so often that whoever may give up has given up. */
static uint64_t hook_gives_late(UNUSED gfp_t gfp, UNUSED unsigned order)
{
	if (++hook_calls == 40)
		hoard_free(hook_hoard);
	return 0;
}

static uint64_t hook_gives(UNUSED gfp_t gfp, UNUSED unsigned order)
{
	uint64_t n = hook_hoard->count;

	hook_calls++;
	hoard_free(hook_hoard);
	return n;
}

static void check_reclaim(struct hoard *h)
{
	struct page *page;

	reclaim_hook = hook_nothing;
	hook_calls = 0;
	CHECK_EQ(alloc_page(GFP_ATOMIC | __GFP_NOMEMALLOC | __GFP_NOWARN) != NULL, false);
	CHECK_EQ(hook_calls, 0);
	CHECK_EQ(alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN), NULL);
	CHECK_EQ(hook_calls, 1);
	hook_calls = 0;
	CHECK_EQ(alloc_page(GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN), NULL);
	CHECK_GT(hook_calls, 8);
	CHECK_LT(hook_calls, 40);
	reclaim_hook = hook_gives;
	hook_hoard = h;
	hook_calls = 0;
	page = alloc_page(GFP_KERNEL | __GFP_NOFAIL);
	CHECK(page);
	CHECK_EQ(hook_calls, 1);
	__free_page(page);
}

static void check_nofail(struct hoard *h)
{
	struct page *page;

	reclaim_hook = hook_gives_late;
	hook_hoard = h;
	hook_calls = 0;
	page = alloc_page(GFP_KERNEL | __GFP_NOFAIL);
	CHECK(page);
	CHECK_GE(hook_calls, 40);
	__free_page(page);
}

UNIT_TEST(slow_path_asks_reclaim)
{
	uint64_t (*saved)(gfp_t, unsigned) = reclaim_hook;
	struct hoard h = hoard_init();
	uint64_t free = nr_unused_pages();

	reclaim_hook = NULL;
	hoard_all(&h, GFP_ATOMIC | __GFP_MEMALLOC);
	check_reclaim(&h);
	hoard_free(&h);
	hoard_all(&h, GFP_ATOMIC | __GFP_MEMALLOC);
	check_nofail(&h);
	hoard_free(&h);
	reclaim_hook = saved;
	CHECK_EQ(nr_unused_pages(), free);
}

UNIT_TEST(cold_frames_come_from_the_cold_end)
{
	struct page *hot = alloc_page(GFP_KERNEL), *again;

	CHECK(hot);
	__free_page(hot);
	again = alloc_page(GFP_KERNEL); /* last freed, first taken: still in the cache */
	CHECK_EQ(again, hot);
	__free_page(again);
	again = alloc_page(GFP_KERNEL | __GFP_COLD);
	CHECK(again);
	__free_page(again);
	CHECK_SOUND(frame_check());
}

UNIT_TEST(per_cpu_lists_are_bounded)
{
	struct hoard h = hoard_init();
	uint64_t kept = 0;

	for (unsigned i = 0; i < 1000; i++) {
		struct page *page = alloc_page(GFP_KERNEL);

		CHECK(page);
		page->lru.next = h.first;
		h.first = page_to_pfn(page).n;
	}
	hoard_free(&h);
	for_each_zone(zone)
		kept += zone_pcp_pages(zone);
	CHECK_GT(kept, 0);
	CHECK_LE(kept, 2 * 64 * MAX_NR_ZONES);
	CHECK_SOUND(frame_check());
	drain_local_pages();
	CHECK_SOUND(frame_check());
}

/* The last page that each may take, to the page. */
UNIT_TEST(marks_to_the_page)
{
	static const struct {
		unsigned flags, floor;
	} who[] = {{0, 80}, {ALLOC_HIGH, 40}, {ALLOC_HARDER, 60}, {ALLOC_HIGH | ALLOC_HARDER, 30}};
	struct zone zone = {.watermark = {[WMARK_MIN] = 80},
	                    .lowmem_reserve = {[ZONE_NORMAL] = 7},
	                    .type_orders = {1}};
	struct alloc_context ac = {.highest_zone = ZONE_DMA};

	for (unsigned i = 0; i < ARRAY_SIZE(who); i++) {
		ac.flags = who[i].flags;
		zone.nr_free = who[i].floor + 1;
		CHECK(zone_watermark_ok(&zone, WMARK_MIN, &ac));
		zone.nr_free = who[i].floor;
		CHECK(!zone_watermark_ok(&zone, WMARK_MIN, &ac));
	}
	ac = (struct alloc_context){.highest_zone = ZONE_NORMAL};
	zone.nr_free = 87;
	CHECK(!zone_watermark_ok(&zone, WMARK_MIN, &ac));
	zone.nr_free = 88;
	CHECK(zone_watermark_ok(&zone, WMARK_MIN, &ac));
	ac.order = 1; /* enough, but no block */
	zone.nr_free = 1000;
	CHECK(!zone_watermark_ok(&zone, WMARK_MIN, &ac));
}

UNIT_TEST(failing_on_purpose)
{
	struct page *a, *b;

	CHECK_EQ(fault_inject(1), 0);
	a = alloc_page(GFP_KERNEL);
	b = alloc_page(GFP_KERNEL);
	fault_inject(0);
	CHECK_EQ(alloc_pages(GFP_KERNEL, 2), NULL);
	CHECK(!b);
	b = alloc_page(GFP_KERNEL | __GFP_NOFAIL);
	CHECK_EQ(fault_inject(-1), 1);
	CHECK(a && b);
	__free_page(a);
	__free_page(b);
	CHECK_SOUND(frame_check());
	a = alloc_page(GFP_KERNEL);
	CHECK(a);
	__free_page(a);
}

UNIT_TEST(freed_frames_are_junk_when_asked)
{
	struct page *page = alloc_page(GFP_KERNEL), *block = alloc_pages(GFP_KERNEL, 1);
	const uint8_t *p;

	CHECK(page && block);
	memset(page_address(page), 1, PAGE_SIZE);
	memset(page_address(block), 1, 2 * PAGE_SIZE);
	check_poison(true);
	__free_page(page);
	__free_pages(block, 1);
	check_poison(false);
	p = page_address(page);
	CHECK_EQ(p[0], POISON_FREE);
	CHECK_EQ(p[PAGE_SIZE - 1], POISON_FREE);
	p = page_address(block);
	CHECK_EQ(p[2 * PAGE_SIZE - 1], POISON_FREE);
	page = alloc_page(GFP_KERNEL);
	CHECK(page);
	memset(page_address(page), 1, PAGE_SIZE);
	__free_page(page);
	CHECK_EQ(*(const uint8_t *)page_address(page), 1);
}

/* Random orders, contexts and ways of freeing; each block carries a pattern. */
#define SLOTS 200
static struct {
	struct page *page;
	unsigned order;
} slots[SLOTS];

static void fill(unsigned i)
{
	for (unsigned k = 0; k < 1u << slots[i].order; k++)
		memcpy_to_page(slots[i].page + k, 0, &(uint64_t){(uint64_t)i << 32 | k}, 8);
}

static void drop(unsigned i)
{
	for (unsigned k = 0; k < 1u << slots[i].order; k++) {
		uint64_t word;

		memcpy_from_page(&word, slots[i].page + k, 0, sizeof(word));
		CHECK_EQ(word, (uint64_t)i << 32 | k);
	}
	__free_pages(slots[i].page, slots[i].order);
	slots[i].page = NULL;
}

UNIT_TEST(random_blocks_do_not_overlap)
{
	static const gfp_t kinds[] = {GFP_KERNEL,
	                              GFP_ATOMIC,
	                              GFP_HIGHUSER_MOVABLE,
	                              GFP_KERNEL | __GFP_COMP,
	                              GFP_KERNEL | __GFP_COLD,
	                              GFP_DMA};
	uint64_t free = nr_unused_pages();
	struct random *r = unit_random();

	for (unsigned n = 0; n < 30000; n++) {
		unsigned i = (unsigned)random_below(r, SLOTS);

		if (slots[i].page) {
			CHECK_CALL(drop(i));
			continue;
		}
		slots[i].order = random_one_in(r, 4) ? (unsigned)random_below(r, 7) : 0;
		slots[i].page = alloc_pages(
		        kinds[random_below(r, ARRAY_SIZE(kinds))] | __GFP_NOWARN, slots[i].order);
		if (slots[i].page)
			fill(i);
		if (n % 5000 == 0)
			CHECK_SOUND(frame_check());
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i].page)
			CHECK_CALL(drop(i));
	CHECK_EQ(nr_unused_pages(), free);
	CHECK_SOUND(frame_check());
}
