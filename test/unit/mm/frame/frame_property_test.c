/*
 * frame_property_test.c - random sequences of the calls for frames against a map of who has what.
 */
#include "mm/frame/internal.h"
#include "lib/string.h"
#include "test/unit/property.h"

#define SLOTS     24u
#define MAX_TAKEN 4096u /* frames at once: the machine's own need comes on top */

enum { ALLOC, ALLOC_MOVABLE, ALLOC_COMPOUND, ALLOC_COLD, ALLOC_EXACT, SPLIT, FREE, DRAIN, NR_OPS };
static const char *const names[] = {"alloc_pages",
                                    "alloc_pages MOVABLE",
                                    "alloc_pages COMP",
                                    "alloc_pages COLD",
                                    "alloc_pages_exact",
                                    "split_page",
                                    "free",
                                    "drain_local_pages"};

static struct taken {
	struct page *page;
	unsigned order,
	        pages; /* pages: as single frames, from alloc_pages_exact or split; 0: a block */
} taken[SLOTS];
static uint64_t frames; /* in all of them */

static unsigned size(const struct taken *t)
{
	return t->pages ? t->pages : 1u << t->order;
}

static uint64_t stamp(const struct taken *t)
{
	return (uint64_t)(t - taken) + 100;
}

/* The new frames are nobody else's: all others still show their own slot's number. */
static const char *take(struct taken *t)
{
	if (!t->page)
		return NULL;
	if (page_to_pfn(t->page).n & ((1u << t->order) - 1))
		return "a block is not aligned";
	for (unsigned i = 0; i < size(t); i++) {
		if (page_flag(t->page + i, PG_buddy))
			return "a frame that was given out is free";
		*(uint64_t *)page_address(t->page + i) = stamp(t);
	}
	frames += size(t);
	return NULL;
}

static const char *give(struct taken *t)
{
	for (unsigned i = 0; i < size(t); i++)
		if (*(uint64_t *)page_address(t->page + i) != stamp(t))
			return "two had one frame";
	frames -= size(t);
	for (unsigned i = 0; i < t->pages; i++)
		__free_page(t->page + i);
	if (!t->pages)
		__free_pages(t->page, t->order);
	t->page = NULL;
	return NULL;
}

static const char *take_exact(struct taken *t, unsigned pages)
{
	void *at = alloc_pages_exact(pages * PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN);

	*t = (struct taken){.page = at ? virt_to_page(at) : NULL, .pages = pages};
	return take(t);
}

static const char *take_block(struct taken *t, gfp_t gfp, unsigned order)
{
	*t = (struct taken){.page = alloc_pages(gfp | __GFP_NOWARN, order), .order = order};
	return take(t);
}

static const char *apply(const struct op *op)
{
	struct taken *t = &taken[op->slot];

	if (op->kind == DRAIN)
		drain_local_pages();
	if (t->page && op->kind == FREE)
		return give(t);
	if (t->page && op->kind == SPLIT && !t->pages && !page_flag(t->page, PG_head)) {
		split_page(t->page, t->order);
		t->pages = 1u << t->order;
	}
	if (t->page || frames + (1u << MAX_ORDER) > MAX_TAKEN)
		return NULL;
	switch (op->kind) {
	case ALLOC:
		return take_block(t, GFP_KERNEL, op->arg % MAX_ORDER);
	case ALLOC_MOVABLE:
		return take_block(t, GFP_KERNEL | __GFP_MOVABLE, op->arg % 4);
	case ALLOC_COMPOUND:
		return take_block(t, GFP_KERNEL | __GFP_COMP, op->arg % MAX_ORDER);
	case ALLOC_COLD:
		return take_block(t, GFP_KERNEL | __GFP_COLD, op->arg % 4);
	case ALLOC_EXACT:
		return take_exact(t, 1 + op->arg % 300);
	default:
		return NULL;
	}
}

static const char *check(uint64_t before)
{
	if (nr_unused_pages() + frames != before)
		return "frames are lost or found";
	return frame_check();
}

static const char *run(const struct op *op, size_t n)
{
	const uint64_t before = nr_unused_pages();
	const char *broken = NULL, *end = NULL;

	memset(taken, 0, sizeof(taken));
	frames = 0;
	for (size_t i = 0; i < n && !broken; i++) {
		broken = apply(&op[i]);
		if (!broken && i % 16 == 0)
			broken = check(before);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (taken[i].page && !end)
			end = give(&taken[i]);
	drain_local_pages();
	if (!broken)
		broken = end ? end : check(before);
	return broken;
}

UNIT_TEST(frames_against_a_map)
{
	const struct property p = {run, names, NR_OPS, SLOTS, 1024};

	property_check(&p, 500, 20);
}

/* --- the shrinker itself: fails when 3 comes before 5 with an argument above 100 ---------------------------------- */

static const char *three_before_five(const struct op *op, size_t n)
{
	bool three = false;

	for (size_t i = 0; i < n; i++) {
		three |= op[i].kind == 3;
		if (three && op[i].kind == 5 && op[i].arg > 100)
			return "three before five";
	}
	return NULL;
}

UNIT_TEST(failures_become_short)
{
	static struct op op[PROPERTY_MAX];
	const struct property p = {three_before_five, names, NR_OPS, SLOTS, 1024};
	struct random *r = unit_random();

	for (size_t i = 0; i < PROPERTY_MAX; i++)
		op[i] = (struct op){(uint32_t)random_below(r, 7), (uint32_t)random_below(r, 9),
		                    (uint32_t)random_below(r, 1024)};
	CHECK(three_before_five(op, PROPERTY_MAX));
	CHECK_EQ(property_shrink(&p, op, PROPERTY_MAX), 2);
	CHECK_EQ(op[0].kind, 3);
	CHECK_EQ(op[0].arg, 0);
	CHECK_EQ(op[1].kind, 5);
	CHECK_LE(op[1].arg, 127);
}
