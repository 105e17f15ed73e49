/*
 * buddy_test.c - the buddy system on a zone of its own, made of one large block.
 */
#include "mm/frame/debug.h"
#include "lib/bitmap.h"
#include "test/unit/unit.h"

#define LAB_ORDER 9u
#define LAB_TYPE  MIGRATE_UNMOVABLE
#define LAB_PAGES (1u << LAB_ORDER)

struct lab {
	struct zone zone;
	struct page *block;
	/* The machine's: the lab has none but in the test that is about them. */
	unsigned guard_minorder;
};

/* Of this block, of LAB_ORDER and in use. */
static void lab_make(struct lab *lab, struct page *block)
{
	*lab = (struct lab){.block = block, .guard_minorder = machine()->guard_minorder};
	lab->block->_refcount = 0;
	lab->zone.start = page_to_pfn(lab->block);
	lab->zone.spanned = LAB_PAGES;
	free_area_init(&lab->zone);
	set_pageblock_migratetype(lab->zone.start.n, LAB_TYPE);
	free_range_to_buddy(&lab->zone, lab->zone.start, PFN(lab->zone.start.n + LAB_PAGES));
	machine()->guard_minorder = 0;
}

static bool lab_open(struct lab *lab)
{
	struct page *block = alloc_pages(GFP_KERNEL, LAB_ORDER);

	if (block)
		lab_make(lab, block);
	return block != NULL;
}

/* Everything has been freed: it must have become the one block again, which is in use as at first. */
static void lab_unmake(struct lab *lab)
{
	CHECK_EQ(zone_free_blocks(&lab->zone, LAB_ORDER), 1);
	CHECK_EQ(zone_orders(&lab->zone), 1u << LAB_ORDER);
	CHECK_EQ(zone_free(&lab->zone), LAB_PAGES);
	CHECK_EQ(lab->zone.nr_guard, 0);
	machine()->guard_minorder = lab->guard_minorder;
	CHECK_EQ(__rmqueue(&lab->zone, LAB_ORDER, LAB_TYPE), lab->block);
	lab->block->_refcount = 1;
}

static void lab_close(struct lab *lab)
{
	CHECK_CALL(lab_unmake(lab));
	__free_pages(lab->block, LAB_ORDER);
	CHECK_SOUND(frame_check());
}

/* Lecture 003: 65 frames asked for, 512 free: the request has 128, one block each of 256 and 128 is left. */
UNIT_TEST(lecture_65_frames_of_512)
{
	struct lab lab;
	struct page *page;

	CHECK(lab_open(&lab));
	page = __rmqueue(&lab.zone, 7, LAB_TYPE);
	CHECK_EQ(page, lab.block);
	CHECK_EQ(zone_free_blocks(&lab.zone, 8), 1);
	CHECK_EQ(zone_free_blocks(&lab.zone, 7), 1);
	CHECK_EQ(zone_orders(&lab.zone), 1u << 8 | 1u << 7);
	CHECK_EQ(page_list_first(&lab.zone.free_area[8].free_list[LAB_TYPE]), lab.block + 256);
	CHECK_EQ(page_list_first(&lab.zone.free_area[7].free_list[LAB_TYPE]), lab.block + 128);
	__free_one_page(&lab.zone, page, 7);
	CHECK_CALL(lab_close(&lab));
}

static uint64_t free_blocks(const struct lab *lab)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < MAX_ORDER; i++)
		n += zone_free_blocks(&lab->zone, i);
	return n;
}

/* The smallest power of two that holds n frames. */
static unsigned order_of(unsigned n)
{
	return n > 1 ? 32 - (unsigned)__builtin_clz(n - 1) : 0;
}

/* Lecture 000's table: a pool of 512; A 70, B 35, C 80; A goes; D 60; B, D, C go. How many blocks are free each time. */
UNIT_TEST(lecture_table_of_a_pool_of_512)
{
	struct page *a, *b, *c, *d;
	struct lab lab;

	CHECK(lab_open(&lab));
	CHECK_EQ(free_blocks(&lab), 1);
	a = __rmqueue(&lab.zone, order_of(70), LAB_TYPE);
	CHECK_EQ(free_blocks(&lab), 2); /* 128, 256 */
	b = __rmqueue(&lab.zone, order_of(35), LAB_TYPE);
	CHECK_EQ(free_blocks(&lab), 2); /* 64, 256 */
	c = __rmqueue(&lab.zone, order_of(80), LAB_TYPE);
	CHECK_EQ(free_blocks(&lab), 2); /* 64, 128 */
	__free_one_page(&lab.zone, a, order_of(70));
	CHECK_EQ(free_blocks(&lab), 3); /* 128, 64, 128 */
	d = __rmqueue(&lab.zone, order_of(60), LAB_TYPE);
	CHECK_EQ(d, lab.block + 192);   /* B's buddy */
	CHECK_EQ(free_blocks(&lab), 2); /* 128, 128: no buddies */
	__free_one_page(&lab.zone, b, order_of(35));
	CHECK_EQ(free_blocks(&lab), 3);
	__free_one_page(&lab.zone, d, order_of(60));
	CHECK_EQ(free_blocks(&lab), 2); /* 256, 128 */
	__free_one_page(&lab.zone, c, order_of(80));
	CHECK_EQ(free_blocks(&lab), 1);
	CHECK_CALL(lab_close(&lab));
}

/* Lecture 000: who needs 33 pages must ask for 64. */
UNIT_TEST(lecture_33_pages_take_64)
{
	struct page *page;
	struct lab lab;

	CHECK(lab_open(&lab));
	page = __rmqueue(&lab.zone, order_of(33), LAB_TYPE);
	CHECK_EQ(zone_free(&lab.zone), LAB_PAGES - 64);
	__free_one_page(&lab.zone, page, order_of(33));
	CHECK_CALL(lab_close(&lab));
}

UNIT_TEST(buddies_differ_in_one_bit)
{
	struct lab lab;
	struct page *one[8];

	CHECK(lab_open(&lab));
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(one[i] = __rmqueue(&lab.zone, 0, LAB_TYPE), lab.block + i);
	/* Frames 1 and 2 are neighbours and no buddies: 1 ^ 1 = 0. */
	__free_one_page(&lab.zone, one[1], 0);
	__free_one_page(&lab.zone, one[2], 0);
	CHECK_EQ(zone_free_blocks(&lab.zone, 0), 2);
	__free_one_page(&lab.zone, one[0], 0);
	CHECK_EQ(zone_free_blocks(&lab.zone, 0), 1);
	CHECK_EQ(zone_free_blocks(&lab.zone, 1), 1);
	__free_one_page(&lab.zone, one[3], 0);
	CHECK_EQ(zone_free_blocks(&lab.zone, 2), 1);
	CHECK_EQ(zone_free_blocks(&lab.zone, 0) + zone_free_blocks(&lab.zone, 1), 0);
	for (unsigned i = 4; i < 8; i++)
		__free_one_page(&lab.zone, one[i], 0);
	CHECK_CALL(lab_close(&lab));
}

/* Nothing merges across the end of a zone, on either side of it, free as both may be. */
UNIT_TEST(zones_end)
{
	struct page *page = alloc_pages(GFP_KERNEL, LAB_ORDER + 1);
	struct lab lab[2];

	CHECK(page);
	lab_make(&lab[0], page);
	lab_make(&lab[1], page + LAB_PAGES);
	lab[1].guard_minorder = lab[0].guard_minorder;
	for (unsigned i = 0; i < 2; i++) {
		struct page *one = __rmqueue(&lab[i].zone, 0, LAB_TYPE);

		CHECK_EQ(one, lab[i].block);
		__free_one_page(&lab[i].zone, one, 0);
		for (unsigned k = 0; k < 2; k++) {
			CHECK_EQ(zone_free_blocks(&lab[k].zone, LAB_ORDER), 1);
			CHECK_EQ(zone_free(&lab[k].zone), LAB_PAGES);
		}
	}
	for (unsigned i = 0; i < 2; i++)
		CHECK_CALL(lab_unmake(&lab[i]));
	for (unsigned i = 0; i < 2; i++)
		__free_pages(lab[i].block, LAB_ORDER);
	CHECK_SOUND(frame_check());
}

UNIT_TEST(bulk_takes_small_blocks_first)
{
	struct lab lab;
	struct page *page, *last;
	uint32_t pfn;

	CHECK(lab_open(&lab));
	page = __rmqueue(&lab.zone, 2, LAB_TYPE); /* leaves blocks of 4, 8, ... 256 */
	CHECK_EQ(rmqueue_bulk(&lab.zone, 11, 0, LAB_TYPE, &pfn, &last), 11);
	CHECK_EQ(zone_orders(&lab.zone) & 0x1ff,
	         0x1f1u); /* 4 gone, 7 of 8 gone, 16 ... 256 whole */
	last->lru.next = PFN_NONE_N;
	for (unsigned i = 0; i < 11; i++) {
		struct page *p = pfn_to_page(PFN(pfn));

		CHECK_EQ(p, lab.block + 4 + i);
		pfn = p->lru.next;
		__free_one_page(&lab.zone, p, 0);
	}
	CHECK_EQ(pfn, PFN_NONE_N);
	__free_one_page(&lab.zone, page, 2);
	CHECK_EQ(rmqueue_bulk(&lab.zone, LAB_PAGES + 9, 0, LAB_TYPE, &pfn, &last), LAB_PAGES);
	for (unsigned i = 0; i < LAB_PAGES; i++)
		__free_one_page(&lab.zone, lab.block + i, 0);
	CHECK_CALL(lab_close(&lab));
}

/* A chain of n from rmqueue_bulk, beginning at the block's frame `first`. */
static void check_bulk(struct lab *lab, unsigned n, unsigned first)
{
	struct page *last;
	uint32_t pfn;

	CHECK_EQ(rmqueue_bulk(&lab->zone, n, 0, LAB_TYPE, &pfn, &last), n);
	CHECK_EQ(pfn, lab->zone.start.n + first);
}

/*
 * A single frame whose neighbour a CPU keeps is not what another one's list is filled with: it goes to the end, and one whose neighbour is
 * in use is next. But it is better than nothing.
 */
UNIT_TEST(bulk_passes_over_neighbours_of_kept_frames)
{
	struct lab lab;

	CHECK(lab_open(&lab));
	while (__rmqueue(&lab.zone, 0, LAB_TYPE))
		;
	lab.block[1]._refcount = 1;
	__free_one_page(&lab.zone, lab.block, 0);
	__free_one_page(&lab.zone, lab.block + 9, 0);
	__free_one_page(&lab.zone, lab.block + 4, 2);
	CHECK_CALL(check_bulk(&lab, 2, 4)); /* 9 is passed over for 8 */
	CHECK_CALL(check_bulk(&lab, 1, 0)); /* 1 is in use */
	CHECK_CALL(check_bulk(&lab, 1, 6)); /* 9 again: 7 is left */
	CHECK_CALL(check_bulk(&lab, 1, 7));
	CHECK_CALL(check_bulk(&lab, 1, 9));
	lab.block[1]._refcount = 0;
	for (unsigned i = 0; i < LAB_PAGES; i++)
		__free_one_page(&lab.zone, lab.block + i, 0);
	CHECK_CALL(lab_close(&lab));
}

/* --- against a naive model: a bit for each frame ------------------------------------------------- */

struct model {
	DECLARE_BITMAP(used, LAB_PAGES);
	uint8_t order[LAB_PAGES]; /* of the block in use that starts here, plus one */
	unsigned live;
};

static bool model_has(const struct model *m, unsigned order)
{
	for (unsigned at = 0; at < LAB_PAGES; at += 1u << order)
		if (find_next_bit(m->used, at + (1u << order), at) >= at + (1u << order))
			return true;
	return false;
}

static void model_alloc(struct lab *lab, struct model *m, unsigned order)
{
	struct page *page = __rmqueue(&lab->zone, order, LAB_TYPE);
	unsigned at;

	CHECK_EQ(page != NULL, model_has(m, order));
	if (!page)
		return;
	at = (unsigned)(page - lab->block);
	CHECK_EQ(at & ((1u << order) - 1), 0);
	CHECK_LE(at + (1u << order), LAB_PAGES);
	CHECK_EQ(bitmap_weight_range(m->used, at, 1u << order), 0);
	bitmap_set(m->used, at, 1u << order);
	m->order[at] = (uint8_t)(order + 1);
	m->live++;
}

static void model_free(struct lab *lab, struct model *m, unsigned at)
{
	unsigned order;

	while (!m->order[at])
		at = (at + 1) % LAB_PAGES;
	order = m->order[at] - 1u;
	__free_one_page(&lab->zone, lab->block + at, order);
	bitmap_clear(m->used, at, 1u << order);
	m->order[at] = 0;
	m->live--;
}

UNIT_TEST(random_against_bitmap)
{
	struct random *r = unit_random();
	static struct model m;
	struct lab lab;

	m = (struct model){0};
	CHECK(lab_open(&lab));
	for (unsigned i = 0; i < 20000; i++) {
		if (!m.live || random_below(r, 100) < 55)
			CHECK_CALL(model_alloc(&lab, &m, (unsigned)random_below(r, 7)));
		else
			CHECK_CALL(model_free(&lab, &m, (unsigned)random_below(r, LAB_PAGES)));
		CHECK_EQ(zone_free(&lab.zone), LAB_PAGES - bitmap_weight(m.used, LAB_PAGES));
		if (i % 4000 == 3999)
			while (m.live)
				CHECK_CALL(model_free(&lab, &m, 0));
	}
	CHECK_CALL(lab_close(&lab));
}

/* Chains of single frames, up, down, and scattered, go back as one by one. */
static void chains(struct lab *lab, unsigned minorder)
{
	static const uint8_t orders[][8] = {
	        {0, 1, 2, 3, 4, 5, 6, 7}, {7, 6, 5, 4, 3, 2, 1, 0}, {5, 0, 3, 6, 1, 4, 7, 2}};
	struct page *one[8];

	for (unsigned k = 0; k < ARRAY_SIZE(orders); k++) {
		const uint8_t *o = orders[k];

		machine()->guard_minorder = minorder;
		for (unsigned i = 0; i < 8; i++)
			CHECK((one[i] = __rmqueue(&lab->zone, 0, LAB_TYPE)) != NULL);
		CHECK_EQ(lab->zone.nr_guard, minorder ? 8 : 0);
		for (unsigned i = 0; i < 8; i++)
			one[o[i]]->lru.next = i < 7 ? page_to_pfn(one[o[i + 1]]).n : PFN_NONE_N;
		CHECK_EQ(__free_chain(&lab->zone, page_to_pfn(one[o[0]]).n, 7, 0),
		         page_to_pfn(one[o[7]]).n);
		CHECK_EQ(zone_free(&lab->zone), LAB_PAGES - 1u - lab->zone.nr_guard);
		CHECK_EQ(__free_chain(&lab->zone, page_to_pfn(one[o[7]]).n, 1, 0), PFN_NONE_N);
		CHECK_EQ(zone_free(&lab->zone), LAB_PAGES);
		CHECK_EQ(zone_free_blocks(&lab->zone, LAB_ORDER), 1);
	}
}

UNIT_TEST(chains_merge_as_single_frames_do)
{
	struct lab lab;

	CHECK(lab_open(&lab));
	CHECK_CALL(chains(&lab, 0));
	CHECK_CALL(chains(&lab, 1));
	machine()->guard_minorder = 0;
	CHECK_CALL(lab_close(&lab));
}

/* --- with guards: the model's other half of each split below the order stays out of use ------------ */

static unsigned guards_in(const struct lab *lab)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LAB_PAGES; i++)
		n += page_is_guard(lab->block + i);
	return n;
}

/* Nothing that is given out is a guard, and each frame is free, in use or a guard. */
static void guarded_alloc(struct lab *lab, struct model *m, unsigned order)
{
	struct page *page = __rmqueue(&lab->zone, order, LAB_TYPE);
	unsigned at;

	if (!page)
		return;
	CHECK(model_has(m, order));
	at = (unsigned)(page - lab->block);
	CHECK_EQ(bitmap_weight_range(m->used, at, 1u << order), 0);
	for (unsigned i = 0; i < 1u << order; i++)
		CHECK(!page_is_guard(page + i));
	bitmap_set(m->used, at, 1u << order);
	m->order[at] = (uint8_t)(order + 1);
	m->live++;
}

UNIT_TEST(guards_are_neither_free_nor_used)
{
	struct random *r = unit_random();
	static struct model m;
	unsigned guards = 0;
	struct lab lab;

	m = (struct model){0};
	CHECK(lab_open(&lab));
	machine()->guard_minorder = 3;
	for (unsigned i = 0; i < 4000; i++) {
		if (!m.live || random_below(r, 100) < 55)
			CHECK_CALL(guarded_alloc(&lab, &m, (unsigned)random_below(r, 5)));
		else
			CHECK_CALL(model_free(&lab, &m, (unsigned)random_below(r, LAB_PAGES)));
		CHECK_EQ(zone_free(&lab.zone) + lab.zone.nr_guard,
		         LAB_PAGES - bitmap_weight(m.used, LAB_PAGES));
		CHECK_EQ(lab.zone.nr_guard, guards_in(&lab));
		guards = MAX(guards, (unsigned)lab.zone.nr_guard);
	}
	CHECK_GT(guards, LAB_PAGES / 8);
	while (m.live)
		CHECK_CALL(model_free(&lab, &m, 0));
	CHECK_CALL(lab_close(&lab));
}
