/*
 * radix_tree_test.c - the page cache's tree against a table of the same items, with a supply of
 * nodes that counts, poisons and can be made to fail.
 */
#include "lib/radix_tree.h"
#include "lib/string.h"
#include "test/unit/unit.h"
#include <quire/errno.h>

#define POOL    160
#define ENTRIES 64

/* A root with its supply around it, as a mapping has it. */
struct supply {
	struct radix_tree_root root;
	struct radix_tree_node pool[POOL];
	bool taken[POOL];
	unsigned used, hint;
	long fail_in; /* this many allocations succeed; negative: all */
};

static struct supply s;

static void *pool_alloc(struct radix_tree_root *root)
{
	struct supply *from = container_of(root, struct supply, root);

	if (from->fail_in == 0 || from->used == POOL)
		return NULL;
	if (from->fail_in > 0)
		from->fail_in--;
	while (from->taken[from->hint])
		from->hint = (from->hint + 1) % POOL;
	from->taken[from->hint] = true;
	from->used++;
	return &from->pool[from->hint];
}

static void pool_free(struct radix_tree_root *root, void *p)
{
	struct supply *from = container_of(root, struct supply, root);
	size_t i = (size_t)((struct radix_tree_node *)p - from->pool);

	if (i >= POOL || !from->taken[i]) {
		unit_fail(__FILE__, __LINE__, "a node is freed that is not in use");
		return;
	}
	memset(p, 0x6b, sizeof(struct radix_tree_node));
	from->taken[i] = false;
	from->used--;
}

static const struct radix_tree_ops pool_ops = {pool_alloc, pool_free};

/* The model: entries in the order of their index. */
struct entry {
	uint64_t index;
	bool in;
	bool tags[RADIX_TREE_MAX_TAGS];
};

static struct entry entries[ENTRIES];

static void *item_of(uint64_t index)
{
	return radix_tree_exceptional(index ^ 0x5a5a);
}

static void start(void)
{
	memset(s.taken, 0, sizeof(s.taken));
	s.used = s.hint = 0;
	s.fail_in = -1;
	radix_tree_init(&s.root, &pool_ops);
}

/* Runs, neighbours across nodes, all heights, both ends. Ascending. */
static uint64_t index_of(unsigned i)
{
	static const uint64_t bases[] = {
	        0, 60, 4090, 1ull << 18, (1ull << 24) - 3, 1ull << 42, 1ull << 60, UINT64_MAX - 7};

	return bases[i / 8] + i % 8;
}

static void reset_entries(void)
{
	start();
	for (unsigned i = 0; i < ENTRIES; i++)
		entries[i] = (struct entry){.index = index_of(i)};
}

static void check_lookups(void)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		const struct entry *e = &entries[i];

		CHECK_EQ(radix_tree_lookup(&s.root, e->index), e->in ? item_of(e->index) : NULL);
		for (enum radix_tree_tag t = 0; t < RADIX_TREE_MAX_TAGS; t++)
			CHECK_EQ(radix_tree_tag_get(&s.root, e->index, t), e->tags[t]);
	}
}

/* Does the model have entry i, with the tag (RADIX_TREE_PRESENT: any)? */
static bool has(unsigned i, unsigned tag)
{
	return entries[i].in && (tag == RADIX_TREE_PRESENT || entries[i].tags[tag]);
}

static void check_gang(uint64_t first, unsigned max, unsigned tag)
{
	void *items[ENTRIES];
	uint64_t indices[ENTRIES];
	unsigned n, want = 0;

	if (tag == RADIX_TREE_PRESENT)
		n = radix_tree_gang_lookup(&s.root, items, indices, first, max);
	else
		n = radix_tree_gang_lookup_tag(&s.root, items, indices, first, max, tag);
	for (unsigned i = 0; i < ENTRIES && want < max; i++) {
		if (entries[i].index < first || !has(i, tag))
			continue;
		CHECK_LT(want, n);
		CHECK_EQ(indices[want], entries[i].index);
		CHECK_EQ(items[want], item_of(entries[i].index));
		want++;
	}
	CHECK_EQ(n, want);
}

static void check_walk(uint64_t first, uint64_t last, unsigned tag)
{
	uint64_t index;
	unsigned i = 0;
	void *item;

	if (tag == RADIX_TREE_PRESENT) {
		radix_tree_for_each(item, &s.root, index, first, last) {
			while (i < ENTRIES && (!has(i, tag) || entries[i].index < first))
				i++;
			CHECK(i < ENTRIES && entries[i++].index == index && item == item_of(index));
		}
	} else {
		radix_tree_for_each_tagged(item, &s.root, index, first, last, tag) {
			while (i < ENTRIES && (!has(i, tag) || entries[i].index < first))
				i++;
			CHECK(i < ENTRIES && entries[i++].index == index && item == item_of(index));
		}
	}
	for (; i < ENTRIES; i++)
		CHECK(!has(i, tag) || entries[i].index < first || entries[i].index > last);
}

static bool model_full(uint64_t index)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		if (entries[i].index == index)
			return entries[i].in;
	return false;
}

static void check_holes(uint64_t from, uint64_t span)
{
	uint64_t last = from > UINT64_MAX - span ? UINT64_MAX : from + span, want = from;
	uint64_t index = from, low = last - MIN(span, last);
	bool found = radix_tree_next_hole(&s.root, &index, last);

	while (want < last && model_full(want))
		want++;
	CHECK_EQ(found, !model_full(want));
	CHECK_EQ(index, found ? want : from);
	index = want = last;
	found = radix_tree_prev_hole(&s.root, &index, low);
	while (want > low && model_full(want))
		want--;
	CHECK_EQ(found, !model_full(want));
	CHECK_EQ(index, found ? want : last);
}

#define RANGE 100u

static void check_range(uint64_t first, unsigned n)
{
	void *items[RANGE + 1];

	first = MIN(first, UINT64_MAX - n);
	items[n] = &s;
	radix_tree_lookup_range(&s.root, first, n, items);
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(items[i], model_full(first + i) ? item_of(first + i) : NULL);
	CHECK_EQ(items[n], &s);
}

static void check_all(struct random *r)
{
	unsigned tag = (unsigned)random_below(r, RADIX_TREE_NR_MARKS);
	uint64_t first = entries[random_below(r, ENTRIES)].index + random_below(r, 3) - 1;
	uint64_t last = entries[random_below(r, ENTRIES)].index;
	bool any = false;

	CHECK_SOUND(radix_tree_check(&s.root));
	CHECK_CALL(check_lookups());
	CHECK_CALL(check_gang(first, (unsigned)random_below(r, ENTRIES + 1), tag));
	CHECK_CALL(check_range(first, (unsigned)random_below(r, RANGE + 1)));
	CHECK_CALL(check_walk(MIN(first, last), MAX(first, last), tag));
	CHECK_CALL(check_holes(first, random_below(r, 20)));
	for (unsigned i = 0; i < ENTRIES; i++)
		any |= has(i, tag);
	if (tag == RADIX_TREE_PRESENT)
		CHECK_EQ(radix_tree_empty(&s.root), !any);
	else
		CHECK_EQ(radix_tree_tagged(&s.root, tag), any);
}

static void random_insert(struct random *r, struct entry *e)
{
	int err;

	s.fail_in = random_one_in(r, 4) ? (long)random_below(r, 12) : -1;
	err = radix_tree_insert(&s.root, e->index, item_of(e->index));
	s.fail_in = -1;
	if (e->in) {
		CHECK(err == -EEXIST);
		return;
	}
	CHECK(err == 0 || err == -ENOMEM);
	if (!err)
		*e = (struct entry){.index = e->index, .in = true};
}

static void random_delete(struct entry *e)
{
	void *item = radix_tree_delete(&s.root, e->index);

	CHECK_EQ(item, e->in ? item_of(e->index) : NULL);
	*e = (struct entry){.index = e->index};
}

static void random_tag(struct random *r, struct entry *e)
{
	enum radix_tree_tag tag = (enum radix_tree_tag)random_below(r, RADIX_TREE_MAX_TAGS);
	bool set = random_one_in(r, 2), done;

	done = set ? radix_tree_tag_set(&s.root, e->index, tag)
	           : radix_tree_tag_clear(&s.root, e->index, tag);
	CHECK_EQ(done, e->in);
	e->tags[tag] = e->in && set;
}

UNIT_TEST(agrees_with_a_table)
{
	struct random *r = unit_random();

	reset_entries();
	for (unsigned round = 0; round < 12000; round++) {
		struct entry *e = &entries[random_below(r, round / 3000 % 2 ? 24 : ENTRIES)];
		uint64_t growing = round / 500 % 2;

		switch (random_below(r, 4)) {
		case 0:
			CHECK_CALL(random_insert(r, e));
			break;
		case 1:
			CHECK_CALL(random_delete(e));
			break;
		case 2:
			if (growing)
				CHECK_CALL(random_insert(r, e));
			else
				CHECK_CALL(random_delete(e));
			break;
		default:
			CHECK_CALL(random_tag(r, e));
		}
		if (round % 4 == 0)
			CHECK_CALL(check_all(r));
	}
	radix_tree_destroy(&s.root);
	CHECK_EQ(s.used, 0);
}

/* Node N fails, for all N that matter, from an empty, a low and a high tree: nothing changes. */
UNIT_TEST(every_allocation_fails_in_turn)
{
	static const uint64_t targets[] = {1, 63, 64, 4096, 1ull << 40, UINT64_MAX};

	for (unsigned with = 0; with < 8; with++)
		for (unsigned i = 0; i < ARRAY_SIZE(targets); i++) {
			int err = -ENOMEM;

			start();
			for (unsigned b = 0; b < 3; b++)
				if (with >> b & 1)
					CHECK_EQ(radix_tree_insert(
					                 &s.root,
					                 (uint64_t[]){0, 70, 1ull << 63}[b], &s),
					         0);
			for (unsigned fail = 0; err; fail++) {
				unsigned used = s.used;

				s.fail_in = fail;
				err = radix_tree_insert(&s.root, targets[i], &s);
				CHECK_SOUND(radix_tree_check(&s.root));
				CHECK(!err || (err == -ENOMEM && s.used == used));
				CHECK_EQ(radix_tree_lookup(&s.root, targets[i]), err ? NULL : &s);
				CHECK_LE(fail, 21);
			}
			s.fail_in = 0;
			CHECK_EQ(radix_tree_delete(&s.root, targets[i]), &s);
			CHECK_SOUND(radix_tree_check(&s.root));
			radix_tree_destroy(&s.root);
			CHECK_EQ(s.used, 0);
		}
}

UNIT_TEST(height_follows_the_largest_index)
{
	start();
	CHECK_LE(sizeof(struct radix_tree_root), 24);
	CHECK_EQ(sizeof(struct radix_tree_node), sizeof(void *) == 8 ? 560 : 296);
	CHECK_EQ(radix_tree_insert(&s.root, 0, &s), 0);
	CHECK_EQ(s.used, 0);
	for (unsigned height = 1; height <= 11; height++) {
		uint64_t index = 1ull << 6 * (height - 1);

		CHECK_EQ(radix_tree_insert(&s.root, index, &s), 0);
		CHECK_EQ(s.root.height, height);
		CHECK_EQ(radix_tree_lookup(&s.root, 0), &s);
		CHECK_EQ(radix_tree_delete(&s.root, index), &s);
		CHECK_EQ(s.root.height, 0);
		CHECK_EQ(s.used, 0);
	}
}

UNIT_TEST(replaces)
{
	int a, b;

	start();
	CHECK_EQ(radix_tree_replace(&s.root, 0, &a), NULL);
	CHECK(radix_tree_empty(&s.root));
	CHECK_EQ(radix_tree_insert(&s.root, 0, &a), 0);
	CHECK_EQ(radix_tree_replace(&s.root, 0, &b), &a);
	CHECK_EQ(radix_tree_insert(&s.root, 200, &a), 0);
	CHECK(radix_tree_tag_set(&s.root, 200, RADIX_TREE_DIRTY));
	CHECK_EQ(radix_tree_replace(&s.root, 200, &b), &a);
	CHECK_EQ(radix_tree_replace(&s.root, 201, &b), NULL);
	CHECK_EQ(radix_tree_replace(&s.root, 1ull << 50, &b), NULL);
	CHECK_EQ(radix_tree_lookup(&s.root, 200), &b);
	CHECK(radix_tree_tag_get(&s.root, 200, RADIX_TREE_DIRTY));
	CHECK_EQ(*radix_tree_lookup_slot(&s.root, 0), &b);
	CHECK_EQ(radix_tree_lookup_slot(&s.root, 5), NULL);
	radix_tree_destroy(&s.root);
	CHECK_EQ(s.used, 0);
}

static void count_drop(void *ctx, uint64_t index, void *item)
{
	uint64_t *sum = ctx;

	if (item != item_of(index))
		unit_fail(__FILE__, __LINE__, "item and index do not belong together");
	*sum += index;
}

/* Truncation: the walk deletes under its own feet. */
UNIT_TEST(deletes_ranges)
{
	uint64_t sum = 0;

	start();
	for (uint64_t i = 0; i < 1000; i++)
		CHECK_EQ(radix_tree_insert(&s.root, i, item_of(i)), 0);
	CHECK_EQ(radix_tree_delete_range(&s.root, 100, 899, count_drop, &sum), 800);
	CHECK_EQ(sum, (100 + 899) * 400);
	CHECK_SOUND(radix_tree_check(&s.root));
	CHECK_EQ(radix_tree_lookup(&s.root, 100), NULL);
	CHECK_EQ(radix_tree_lookup(&s.root, 99), item_of(99));
	CHECK_EQ(radix_tree_lookup(&s.root, 900), item_of(900));
	CHECK_EQ(radix_tree_delete_range(&s.root, 900, UINT64_MAX, NULL, NULL), 100);
	CHECK_EQ(s.used, 3);
	CHECK_EQ(radix_tree_delete_range(&s.root, 0, UINT64_MAX, NULL, NULL), 100);
	CHECK_EQ(s.used, 0);
}

UNIT_TEST(marks_what_is_dirty_for_writing)
{
	uint64_t first = 0;

	start();
	for (uint64_t i = 0; i < 300; i++) {
		CHECK_EQ(radix_tree_insert(&s.root, i, &s), 0);
		if (i % 3 == 0)
			CHECK(radix_tree_tag_set(&s.root, i, RADIX_TREE_DIRTY));
	}
	CHECK_EQ(radix_tree_tag_if_tagged(&s.root, &first, 199, 10, RADIX_TREE_DIRTY,
	                                  RADIX_TREE_TOWRITE),
	         10);
	CHECK_EQ(first, 28);
	CHECK_EQ(radix_tree_tag_if_tagged(&s.root, &first, 199, 1000, RADIX_TREE_DIRTY,
	                                  RADIX_TREE_TOWRITE),
	         57);
	CHECK_EQ(first, 200);
	for (uint64_t i = 0; i < 300; i++)
		CHECK_EQ(radix_tree_tag_get(&s.root, i, RADIX_TREE_TOWRITE), i % 3 == 0 && i < 200);
	CHECK_SOUND(radix_tree_check(&s.root));
	first = 299;
	CHECK_EQ(radix_tree_tag_if_tagged(&s.root, &first, UINT64_MAX, 1, RADIX_TREE_DIRTY,
	                                  RADIX_TREE_TOWRITE),
	         0);
	CHECK_EQ(first, 0);
	radix_tree_destroy(&s.root);
	CHECK_EQ(s.used, 0);
}

UNIT_TEST(holes)
{
	uint64_t index;

	start();
	index = 7;
	CHECK(radix_tree_next_hole(&s.root, &index, 7));
	CHECK_EQ(index, 7);
	for (uint64_t i = 0; i < 640; i++)
		CHECK_EQ(radix_tree_insert(&s.root, i, &s), 0);
	index = 3;
	CHECK(!radix_tree_next_hole(&s.root, &index, 639));
	CHECK(radix_tree_next_hole(&s.root, &index, UINT64_MAX));
	CHECK_EQ(index, 640);
	index = 639;
	CHECK(!radix_tree_prev_hole(&s.root, &index, 0));
	CHECK_EQ(radix_tree_delete(&s.root, 64), &s);
	CHECK(radix_tree_prev_hole(&s.root, &index, 0));
	CHECK_EQ(index, 64);
	radix_tree_destroy(&s.root);
}

UNIT_TEST(exceptional_entries)
{
	void *e = radix_tree_exceptional(0x1234);

	CHECK(radix_tree_is_exceptional(e));
	CHECK(!radix_tree_is_exceptional(&s));
	CHECK_EQ(radix_tree_exceptional_value(e), 0x1234);
}

UNIT_TEST(check_finds_damage)
{
	struct radix_tree_node *top;

	start();
	CHECK_EQ(radix_tree_insert(&s.root, 3, &s), 0);
	CHECK_EQ(radix_tree_insert(&s.root, 100, &s), 0);
	CHECK_SOUND(radix_tree_check(&s.root));
	top = s.root.top;
	top->marks[RADIX_TREE_DIRTY] ^= 1;
	CHECK(radix_tree_check(&s.root) != NULL);
	top->marks[RADIX_TREE_DIRTY] ^= 1;
	((struct radix_tree_node *)top->slots[1])->offset++;
	CHECK_STR(radix_tree_check(&s.root), "a node does not know its place");
	((struct radix_tree_node *)top->slots[1])->offset--;
	radix_tree_destroy(&s.root);
}
