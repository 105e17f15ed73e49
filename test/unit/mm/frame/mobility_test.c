/*
 * mobility_test.c - page blocks, their types, and what a type without memory takes from another; on a zone of its own.
 */
#include "mm/frame/compaction.h"
#include "test/unit/unit.h"

#define BLOCKS    2u
#define LAB_ORDER (pageblock_order + 1)
#define LAB_PAGES (BLOCKS << pageblock_order)

struct lab {
	struct zone zone;
	struct page *block;
	uint8_t type[BLOCKS];    /* of the page blocks, before */
	unsigned guard_minorder; /* the machine's: the lab has none */
};

static bool lab_open(struct lab *lab)
{
	*lab = (struct lab){.block = alloc_pages(GFP_KERNEL, LAB_ORDER),
	                    .guard_minorder = machine()->guard_minorder};
	if (!lab->block)
		return false;
	lab->block->_refcount = 0;
	lab->zone.start = page_to_pfn(lab->block);
	lab->zone.spanned = LAB_PAGES;
	free_area_init(&lab->zone);
	for (unsigned i = 0; i < BLOCKS; i++) {
		uint32_t pfn = lab->zone.start.n + i * pageblock_nr_pages;

		lab->type[i] = (uint8_t)get_pageblock_migratetype(pfn_to_page(PFN(pfn)));
		set_pageblock_migratetype(pfn, MIGRATE_MOVABLE);
	}
	free_range_to_buddy(&lab->zone, lab->zone.start, PFN(lab->zone.start.n + LAB_PAGES));
	machine()->guard_minorder = 0;
	return true;
}

static unsigned block_type(struct lab *lab, unsigned i)
{
	return get_pageblock_migratetype(lab->block + i * pageblock_nr_pages);
}

/* Everything has been freed: it must have become the one block again, of one type. */
static void lab_close(struct lab *lab)
{
	CHECK_EQ(zone_free_blocks(&lab->zone, LAB_ORDER), 1);
	CHECK_EQ(zone_orders(&lab->zone), 1u << LAB_ORDER);
	CHECK_EQ(zone_free(&lab->zone), LAB_PAGES);
	CHECK_EQ(block_type(lab, 0), block_type(lab, 1));
	machine()->guard_minorder = lab->guard_minorder;
	take_free_block(&lab->zone, lab->block);
	for (unsigned i = 0; i < BLOCKS; i++)
		set_pageblock_migratetype(lab->zone.start.n + i * pageblock_nr_pages, lab->type[i]);
	lab->block->_refcount = 1;
	__free_pages(lab->block, LAB_ORDER);
	CHECK_SOUND(frame_check());
}

/* Two blocks of eight are free, one in each movable page block. A kernel's list has what its request needs, and not the other. */
UNIT_TEST(lists_are_not_filled_from_other_types)
{
	static struct page *taken[LAB_PAGES / 8];
	struct page *last;
	struct lab lab;
	uint32_t pfn;

	CHECK(lab_open(&lab));
	for (unsigned i = 0; i < LAB_PAGES / 8; i++)
		CHECK((taken[i] = __rmqueue(&lab.zone, 3, MIGRATE_MOVABLE)));
	__free_one_page(&lab.zone, lab.block + 8, 3);
	__free_one_page(&lab.zone, lab.block + LAB_PAGES - 16, 3);
	CHECK_EQ(rmqueue_bulk(&lab.zone, 2, 3, MIGRATE_UNMOVABLE, &pfn, &last), 1);
	CHECK_EQ(page_to_pfn(last).n, pfn);
	CHECK_EQ(zone_free(&lab.zone), 8);
	CHECK_EQ(rmqueue_bulk(&lab.zone, 2, 3, MIGRATE_MOVABLE, &pfn, &last), 1);
	for (unsigned i = 0; i < LAB_PAGES / 8; i++)
		__free_one_page(&lab.zone, lab.block + 8 * i, 3);
	CHECK_CALL(lab_close(&lab));
}

/* The first kernel object takes a whole page block: the next ones go into it, and movable pages do not. */
UNIT_TEST(first_claims_all)
{
	struct page *kernel, *user, *more;
	struct lab lab;

	CHECK(lab_open(&lab));
	kernel = __rmqueue(&lab.zone, 0, MIGRATE_UNMOVABLE);
	CHECK_EQ(block_type(&lab, 0), MIGRATE_UNMOVABLE);
	__free_one_page(&lab.zone, kernel, 0);
	/* Now all of it is unmovable; a page of a program takes it back. */
	user = __rmqueue(&lab.zone, 0, MIGRATE_MOVABLE);
	CHECK_EQ(block_type(&lab, 0), MIGRATE_MOVABLE);
	CHECK_EQ(block_type(&lab, 1), MIGRATE_MOVABLE);
	/* An object takes the largest that is free: the other page block. */
	kernel = __rmqueue(&lab.zone, 0, MIGRATE_UNMOVABLE);
	CHECK_EQ(block_type(&lab, 0), MIGRATE_MOVABLE);
	CHECK_EQ(block_type(&lab, 1), MIGRATE_UNMOVABLE);
	CHECK_EQ(kernel, lab.block + pageblock_nr_pages);
	more = __rmqueue(&lab.zone, 0, MIGRATE_MOVABLE);
	CHECK_EQ(more, user + 1);
	__free_one_page(&lab.zone, user, 0);
	__free_one_page(&lab.zone, kernel, 0);
	__free_one_page(&lab.zone, more, 0);
	CHECK_CALL(lab_close(&lab));
}

/* A block that is mostly in use stays what it is; only what is free in it changes hands. */
UNIT_TEST(a_full_block_keeps_its_type)
{
	struct page *user[LAB_PAGES], *kernel;
	struct lab lab;

	CHECK(lab_open(&lab));
	for (unsigned i = 0; i < LAB_PAGES - 2; i++)
		CHECK(user[i] = __rmqueue(&lab.zone, 0, MIGRATE_MOVABLE));
	for (unsigned i = 0; i < LAB_PAGES - 2; i++)
		__page_set_flags(user[i], PAGE_FLAG(lru)); /* can be moved */
	kernel = __rmqueue(&lab.zone, 0, MIGRATE_UNMOVABLE);
	CHECK(kernel);
	CHECK_EQ(block_type(&lab, 1), MIGRATE_MOVABLE);
	CHECK_EQ(lab.zone.type_orders[MIGRATE_UNMOVABLE], 1u);
	CHECK_EQ(lab.zone.type_orders[MIGRATE_MOVABLE], 0u);
	for (unsigned i = 0; i < LAB_PAGES - 2; i++) {
		__page_clear_flags(user[i], PAGE_FLAG(lru));
		__free_one_page(&lab.zone, user[i], 0);
	}
	__free_one_page(&lab.zone, kernel, 0);
	CHECK_CALL(lab_close(&lab));
}

/* The table of whom a type takes from first; and who may take more than it needs. */
UNIT_TEST(whom_a_type_takes_from)
{
	static const uint8_t first[MIGRATE_PCPTYPES][2] = {
	        [MIGRATE_UNMOVABLE] = {MIGRATE_RECLAIMABLE, MIGRATE_MOVABLE},
	        [MIGRATE_MOVABLE] = {MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE},
	        [MIGRATE_RECLAIMABLE] = {MIGRATE_UNMOVABLE, MIGRATE_MOVABLE},
	};
	static struct zone zone;

	for (unsigned type = 0; type < MIGRATE_PCPTYPES; type++) {
		for (unsigned other = 0; other < MIGRATE_PCPTYPES; other++)
			zone.type_orders[other] = 1u << 3;
		CHECK_EQ(find_suitable_fallback(&zone, 3, type, false), first[type][0]);
		zone.type_orders[first[type][0]] =
		        1u << 2 | 1u << 4; /* not of the order asked for */
		CHECK_EQ(find_suitable_fallback(&zone, 3, type, false), first[type][1]);
		zone.type_orders[first[type][1]] = 0;
		CHECK_EQ(find_suitable_fallback(&zone, 3, type, false), MIGRATE_TYPES);
	}
	for (unsigned type = 0; type < MIGRATE_PCPTYPES; type++)
		zone.type_orders[type] = ~0u;
	CHECK_EQ(find_suitable_fallback(&zone, 0, MIGRATE_UNMOVABLE, true), MIGRATE_RECLAIMABLE);
	CHECK_EQ(find_suitable_fallback(&zone, 0, MIGRATE_RECLAIMABLE, true), MIGRATE_UNMOVABLE);
	/* Mixing in movable pages does no lasting harm: a block for each is not worth it. */
	CHECK_EQ(find_suitable_fallback(&zone, 0, MIGRATE_MOVABLE, true), MIGRATE_TYPES);
	CHECK_EQ(find_suitable_fallback(&zone, pageblock_order / 2 - 1, MIGRATE_MOVABLE, true),
	         MIGRATE_TYPES);
	CHECK_EQ(find_suitable_fallback(&zone, pageblock_order / 2, MIGRATE_MOVABLE, true),
	         MIGRATE_RECLAIMABLE);
}

/* A movable request that finds only small blocks takes the smallest that will do, and that alone. */
UNIT_TEST(movable_takes_the_smallest)
{
	struct page *kernel[2], *user;
	struct lab lab;

	CHECK(lab_open(&lab));
	kernel[0] = __rmqueue(&lab.zone, pageblock_order, MIGRATE_UNMOVABLE);
	kernel[1] = __rmqueue(&lab.zone, pageblock_order, MIGRATE_UNMOVABLE);
	CHECK(kernel[0] && kernel[1]);
	__free_one_page(&lab.zone, kernel[1] + 64,
	                3); /* 8 frames, and 2, of a block that is in use */
	__free_one_page(&lab.zone, kernel[1] + 128, 1);
	user = __rmqueue(&lab.zone, 0, MIGRATE_MOVABLE);
	CHECK_EQ(user, kernel[1] + 128);
	CHECK_EQ(lab.zone.type_orders[MIGRATE_UNMOVABLE], 1u << 3);
	CHECK_EQ(lab.zone.type_orders[MIGRATE_MOVABLE], 1u);
	CHECK_EQ(block_type(&lab, (unsigned)(kernel[1] - lab.block) >> pageblock_order),
	         MIGRATE_UNMOVABLE);
	__free_one_page(&lab.zone, user, 0);
	__free_range(&lab.zone, page_to_pfn(kernel[1]).n, page_to_pfn(kernel[1]).n + 64);
	__free_range(&lab.zone, page_to_pfn(kernel[1]).n + 72, page_to_pfn(kernel[1]).n + 128);
	__free_range(&lab.zone, page_to_pfn(kernel[1]).n + 130,
	             page_to_pfn(kernel[1]).n + pageblock_nr_pages);
	__free_one_page(&lab.zone, kernel[0], pageblock_order);
	CHECK_CALL(lab_close(&lab));
}

/* --- against a naive model ------------------------------------------------------------------------- */

/*
 * The model knows of each frame the block in use that it belongs to, and expects: an allocation succeeds when any type has a free
 * block large enough, whatever the grouping; what is given out is aligned, free, and marked as used once.
 */
struct model {
	uint8_t used[LAB_PAGES];  /* by a block in use */
	uint8_t order[LAB_PAGES]; /* of the block in use that starts here, plus one */
	unsigned live, frames;
};

static bool model_has(const struct model *m, unsigned order)
{
	for (unsigned at = 0; at < LAB_PAGES; at += 1u << order) {
		unsigned i = 0;

		while (i < 1u << order && !m->used[at + i])
			i++;
		if (i == 1u << order)
			return true;
	}
	return false;
}

static void model_take(struct lab *lab, struct model *m, struct page *page, unsigned order)
{
	unsigned at = (unsigned)(page - lab->block);

	CHECK_EQ(at & ((1u << order) - 1), 0);
	CHECK_LE(at + (1u << order), LAB_PAGES);
	for (unsigned i = 0; i < 1u << order; i++) {
		CHECK_EQ(m->used[at + i], 0);
		m->used[at + i] = 1;
	}
	m->order[at] = (uint8_t)(order + 1);
	m->live++;
	m->frames += 1u << order;
}

static void model_alloc(struct lab *lab, struct model *m, unsigned order, unsigned type)
{
	struct page *page = __rmqueue(&lab->zone, order, type);

	CHECK_EQ(page != NULL, model_has(m, order));
	if (page)
		CHECK_CALL(model_take(lab, m, page, order));
}

/* A frame is marked with the type that its page block has then; a fallback later in the same call may give that to another type. */
static void model_bulk(struct lab *lab, struct model *m, unsigned n, unsigned type)
{
	const unsigned want = MIN(n, LAB_PAGES - m->frames);
	const unsigned was[BLOCKS] = {block_type(lab, 0), block_type(lab, 1)};
	unsigned got;
	struct page *last;
	uint32_t pfn;

	got = rmqueue_bulk(&lab->zone, n, 0, type, &pfn, &last);
	CHECK_EQ(got, want);
	for (unsigned i = 0; i < got; i++) {
		struct page *page = pfn_to_page(PFN(pfn));

		pfn = page->lru.next;
		CHECK_LT(page_type(page), MIGRATE_PCPTYPES);
		if (block_type(lab, 0) == was[0] && block_type(lab, 1) == was[1])
			CHECK_EQ(page_type(page), get_pageblock_migratetype(page));
		CHECK_CALL(model_take(lab, m, page, 0));
	}
}

static void model_free(struct lab *lab, struct model *m, unsigned at)
{
	unsigned order;

	while (!m->order[at])
		at = (at + 1) % LAB_PAGES;
	order = m->order[at] - 1u;
	__free_one_page(&lab->zone, lab->block + at, order);
	for (unsigned i = 0; i < 1u << order; i++)
		m->used[at + i] = 0;
	m->order[at] = 0;
	m->live--;
	m->frames -= 1u << order;
}

/* Lists, counts and bit maps of the lab's zone agree with the flags of its frames. */
static void lab_sound(struct lab *lab)
{
	uint64_t blocks[MAX_ORDER][MIGRATE_TYPES] = {{0}};

	for (unsigned i = 0; i < LAB_PAGES; i++) {
		const struct page *page = lab->block + i;

		if (!page_flag(page, PG_buddy))
			continue;
		blocks[page->order][page_type(page)]++;
		if (page->order >= pageblock_order)
			CHECK_EQ(page_type(page), get_pageblock_migratetype(page));
		i += (1u << page->order) - 1;
	}
	for (unsigned order = 0; order < MAX_ORDER; order++) {
		uint64_t sum = 0;

		for (unsigned type = 0; type < MIGRATE_TYPES; type++) {
			CHECK_EQ(lab->zone.free_area[order].free_list[type].count,
			         blocks[order][type]);
			CHECK_EQ(lab->zone.type_orders[type] >> order & 1, blocks[order][type] > 0);
			sum += blocks[order][type];
		}
		CHECK_EQ(zone_free_blocks(&lab->zone, order), sum);
		CHECK_EQ(zone_orders(&lab->zone) >> order & 1, sum > 0);
	}
}

UNIT_TEST(random_types_against_model)
{
	struct random *r = unit_random();
	static struct model m;
	struct lab lab;

	m = (struct model){.live = 0};
	CHECK(lab_open(&lab));
	for (unsigned i = 0; i < 20000; i++) {
		unsigned type = (unsigned)random_below(r, MIGRATE_PCPTYPES);

		if (m.live && random_below(r, 100) >= 52)
			CHECK_CALL(model_free(&lab, &m, (unsigned)random_below(r, LAB_PAGES)));
		else if (random_below(r, 8))
			CHECK_CALL(model_alloc(&lab, &m, (unsigned)random_below(r, 7), type));
		else
			CHECK_CALL(model_bulk(&lab, &m, (unsigned)random_below(r, 40), type));
		CHECK_EQ(zone_free(&lab.zone), LAB_PAGES - m.frames);
		if (i % 64 == 0)
			CHECK_CALL(lab_sound(&lab));
		if (i % 5000 == 4999)
			while (m.live)
				CHECK_CALL(model_free(&lab, &m, 0));
	}
	CHECK_CALL(lab_close(&lab));
}

/* Worked by hand: 100 single frames, no block of four: it is fragmentation rather than want of memory. */
UNIT_TEST(fragmentation_indices)
{
	static struct zone zone;

	zone = (struct zone){.id = 0};
	CHECK_EQ(fragmentation_index(&zone, 2), 0);
	CHECK_EQ(unusable_free_index(&zone, 2), 1000);
	zone.free_area[0].free_list[MIGRATE_UNMOVABLE].count = 100;
	CHECK_EQ(fragmentation_index(&zone, 2), 740); /* 1000 - (1000 + 25000) / 100 */
	CHECK_EQ(unusable_free_index(&zone, 2), 1000);
	CHECK_EQ(fragmentation_index(&zone, 10), 990); /* 1000 - (1000 + 97) / 100 */
	CHECK_EQ(fragmentation_index(&zone, 0), -1000);
	CHECK_EQ(unusable_free_index(&zone, 0), 0);
	zone.free_area[3].free_list[MIGRATE_UNMOVABLE].count =
	        25; /* 200 of 300 frames are in blocks of eight */
	CHECK_EQ(fragmentation_index(&zone, 2), -1000);
	CHECK_EQ(unusable_free_index(&zone, 2), 333);
	CHECK_EQ(unusable_free_index(&zone, 4), 1000);
	zone.free_area[0].free_list[MIGRATE_UNMOVABLE].count = 0;
	zone.free_area[3].free_list[MIGRATE_UNMOVABLE].count =
	        1;                                     /* one block of eight: memory is short */
	CHECK_EQ(fragmentation_index(&zone, 4), -500); /* 1000 - (1000 + 500) / 1 */
}
