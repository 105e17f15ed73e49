/*
 * rbtree_test.c - red-black trees, plain and augmented, against a table of what is in them.
 *
 * The augmented tree is the one that address spaces use it for: each node knows its key and its
 * weight, its subtree's total weight (not monotonic, so every early stop is tried) and its range.
 */
#include "lib/rbtree_augmented.h"
#include "test/unit/unit.h"

#define N 300

struct thing {
	struct rb_node rb;
	uint64_t key;
	uint64_t weight, total; /* total: of the subtree */
	uint64_t low;           /* the smallest key of the subtree */
	bool in;
};

static struct thing things[N];

static struct thing *thing_of(const struct rb_node *rb)
{
	return rb_entry((struct rb_node *)(uintptr_t)rb, struct thing, rb);
}

static bool update_thing(struct rb_node *rb)
{
	struct thing *t = thing_of(rb);
	uint64_t total = t->weight, low = rb->rb_left ? thing_of(rb->rb_left)->low : t->key;
	bool changed;

	for (unsigned dir = 0; dir < 2; dir++)
		total += rb->child[dir] ? thing_of(rb->child[dir])->total : 0;
	changed = total != t->total || low != t->low;
	t->total = total;
	t->low = low;
	return changed;
}

static bool thing_less(const struct rb_node *a, const struct rb_node *b)
{
	return thing_of(a)->key < thing_of(b)->key;
}

static int thing_cmp(const void *key, const struct rb_node *rb)
{
	uint64_t k = *(const uint64_t *)key;

	return k < thing_of(rb)->key ? -1 : k > thing_of(rb)->key;
}

static void insert_augmented(struct thing *t, struct rb_root *root)
{
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = &parent->child[!thing_less(&t->rb, parent)];
	}
	rb_link_node(&t->rb, parent, link);
	rb_insert_augmented(&t->rb, root, update_thing);
}

/* things[i].key is i, so that walking the array and walking the tree must agree. */
static void check_plain(const struct rb_root *root)
{
	struct rb_node *rb = rb_first(root), *before = NULL;

	CHECK_SOUND(rb_check(root));
	for (unsigned i = 0; i < N; i++) {
		if (!things[i].in)
			continue;
		CHECK_EQ(rb, &things[i].rb);
		CHECK_EQ(rb_prev(rb), before);
		before = rb;
		rb = rb_next(rb);
	}
	CHECK_EQ(rb, NULL);
	CHECK_EQ(rb_last(root), before);
}

static void check_augmented(const struct rb_root *root)
{
	struct rb_node *rb;

	CHECK_CALL(check_plain(root));
	rb_for_each(rb, root) {
		uint64_t total = thing_of(rb)->total, low = thing_of(rb)->low;

		update_thing(rb);
		CHECK_EQ(total, thing_of(rb)->total);
		CHECK_EQ(low, thing_of(rb)->low);
	}
}

static void reset(void)
{
	for (unsigned i = 0; i < N; i++)
		things[i] = (struct thing){.key = i, .weight = i % 7 + 1, .total = 99, .low = 99};
}

UNIT_TEST(empty_and_single)
{
	struct rb_root root = RB_ROOT;

	reset();
	CHECK(RB_EMPTY_ROOT(&root));
	CHECK_EQ(rb_first(&root), NULL);
	CHECK_EQ(rb_last(&root), NULL);
	CHECK_EQ(rb_first_postorder(&root), NULL);
	RB_CLEAR_NODE(&things[0].rb);
	CHECK(RB_EMPTY_NODE(&things[0].rb));
	rb_add(&things[0].rb, &root, thing_less);
	CHECK(!RB_EMPTY_NODE(&things[0].rb));
	CHECK_EQ(rb_first(&root), &things[0].rb);
	CHECK_EQ(rb_next(&things[0].rb), NULL);
	rb_erase(&things[0].rb, &root);
	CHECK(RB_EMPTY_ROOT(&root));
}

UNIT_TEST(stays_low)
{
	struct rb_root root = RB_ROOT;

	reset();
	for (unsigned i = 0; i < N; i++) {
		unsigned depth = 0;

		things[i].in = true;
		rb_add(&things[i].rb, &root, thing_less);
		for (struct rb_node *rb = &things[i].rb; rb; rb = rb_parent(rb))
			depth++;
		CHECK_LE(depth, 2 * (64 - (unsigned)__builtin_clzll(i + 2)));
	}
	CHECK_CALL(check_plain(&root));
}

static void random_round(struct random *r, struct rb_root *root, uint64_t bias)
{
	struct thing *t = &things[random_below(r, N)];

	if (t->in && random_below(r, 16) < bias) {
		rb_erase(&t->rb, root);
		t->in = false;
	} else if (!t->in && random_below(r, 16) >= bias) {
		rb_add(&t->rb, root, thing_less);
		t->in = true;
	}
}

UNIT_TEST(agrees_with_an_array)
{
	struct rb_root root = RB_ROOT;
	struct random *r = unit_random();

	reset();
	for (unsigned round = 0; round < 20000; round++) {
		random_round(r, &root, round / 2000 % 2 ? 12 : 4);
		if (round % 16 == 0)
			CHECK_CALL(check_plain(&root));
	}
	for (uint64_t key = 0; key < N; key++)
		CHECK_EQ(rb_find(&key, &root, thing_cmp), things[key].in ? &things[key].rb : NULL);
}

/* Few nodes and every step checked: all the shapes of rebalancing occur. */
UNIT_TEST(summaries_stay_right)
{
	struct rb_root root = RB_ROOT;
	struct random *r = unit_random();
	uint64_t width = 1;

	reset();
	for (unsigned round = 0; round < 30000; round++) {
		struct thing *t;

		if (round % 3000 == 0)
			width = (uint64_t[]){3, 7, 16, 40, N}[round / 3000 % 5];
		t = &things[random_below(r, width)];
		if (!t->in) {
			insert_augmented(t, &root);
			t->in = true;
		} else if (random_one_in(r, 4)) {
			t->weight = random_below(r, 5);
			rb_propagate(&t->rb, update_thing);
		} else {
			rb_erase_augmented(&t->rb, &root, update_thing);
			t->in = false;
		}
		if (round % 8 == 0 || width < 20)
			CHECK_CALL(check_augmented(&root));
	}
}

UNIT_TEST(replaces)
{
	struct rb_root root = RB_ROOT;
	static struct thing stand_in;

	reset();
	for (unsigned i = 0; i < 20; i++)
		rb_add(&things[i].rb, &root, thing_less);
	for (unsigned i = 0; i < 20; i++) {
		stand_in = things[i];
		rb_replace_node(&things[i].rb, &stand_in.rb, &root);
		things[i].rb = (struct rb_node){0};
		CHECK_SOUND(rb_check(&root));
		rb_replace_node(&stand_in.rb, &things[i].rb, &root);
		things[i].in = true;
	}
	CHECK_CALL(check_plain(&root));
}

UNIT_TEST(postorder_frees_children_first)
{
	struct rb_root root = RB_ROOT;
	struct rb_node *pos, *n;
	unsigned seen = 0;

	reset();
	for (unsigned i = 0; i < N; i++)
		rb_add(&things[i].rb, &root, thing_less);
	for (unsigned i = 0; i < N; i++)
		things[i].in = true;
	rb_for_each_postorder_safe(pos, n, &root) {
		for (unsigned dir = 0; dir < 2; dir++)
			CHECK(!pos->child[dir] || !thing_of(pos->child[dir])->in);
		thing_of(pos)->in = false;
		seen++;
	}
	CHECK_EQ(seen, N);
}

UNIT_TEST(check_finds_damage)
{
	struct rb_root root = RB_ROOT;

	reset();
	for (unsigned i = 0; i < 30; i++)
		rb_add(&things[i].rb, &root, thing_less);
	CHECK_SOUND(rb_check(&root));
	for (unsigned i = 0; i < 30; i++) {
		things[i].rb.parent_color ^= RB_BLACK;
		CHECK(rb_check(&root) != NULL);
		things[i].rb.parent_color ^= RB_BLACK;
	}
	CHECK_SOUND(rb_check(&root));
}
