/*
 * interval_tree_test.c - the interval tree against a list that is searched from end to end.
 */
#include "lib/interval_tree.h"
#include "test/unit/unit.h"

#define N 120

static struct interval_tree_node nodes[N];
static bool in[N];

static unsigned number_of(const struct interval_tree_node *node)
{
	return (unsigned)(node - nodes);
}

/* Exactly those that touch, each once, in the order of start. */
static void check_query(const struct rb_root *root, uint64_t start, uint64_t last)
{
	struct interval_tree_node *pos;
	bool seen[N] = {false};
	uint64_t before = 0;

	interval_for_each(pos, root, start, last) {
		CHECK(in[number_of(pos)] && !seen[number_of(pos)]);
		CHECK_GE(pos->start, before);
		before = pos->start;
		seen[number_of(pos)] = true;
	}
	for (unsigned i = 0; i < N; i++)
		if (in[i])
			CHECK_EQ(seen[i], nodes[i].start <= last && nodes[i].last >= start);
}

static void random_interval(struct random *r, uint64_t *start, uint64_t *last)
{
	*start = random_below(r, 1000);
	*last = *start + random_below(r, random_one_in(r, 10) ? 500 : 20);
	if (random_one_in(r, 50))
		*last = UINT64_MAX;
}

UNIT_TEST(agrees_with_a_list)
{
	struct rb_root root = RB_ROOT;
	struct random *r = unit_random();

	for (unsigned i = 0; i < N; i++)
		in[i] = false;
	for (unsigned round = 0; round < 20000; round++) {
		unsigned i = (unsigned)random_below(r, round / 4000 % 2 ? N : 12);
		uint64_t start, last;

		if (in[i]) {
			interval_tree_remove(&nodes[i], &root);
		} else {
			random_interval(r, &nodes[i].start, &nodes[i].last);
			interval_tree_insert(&nodes[i], &root);
		}
		in[i] = !in[i];
		if (round % 4 == 0)
			CHECK_SOUND(interval_tree_check(&root));
		random_interval(r, &start, &last);
		if (round % 4 == 0)
			CHECK_CALL(check_query(&root, start, last));
	}
}

UNIT_TEST(ends_are_included)
{
	struct rb_root root = RB_ROOT;
	struct interval_tree_node node = {.start = 10, .last = 20};
	struct interval_tree_node whole = {.start = 0, .last = UINT64_MAX};

	CHECK_EQ(interval_tree_iter_first(&root, 0, UINT64_MAX), NULL);
	interval_tree_insert(&node, &root);
	CHECK_EQ(interval_tree_iter_first(&root, 0, 9), NULL);
	CHECK_EQ(interval_tree_iter_first(&root, 0, 10), &node);
	CHECK_EQ(interval_tree_iter_first(&root, 20, 20), &node);
	CHECK_EQ(interval_tree_iter_first(&root, 21, UINT64_MAX), NULL);
	CHECK_EQ(interval_tree_iter_next(&node, 0, UINT64_MAX), NULL);
	interval_tree_insert(&whole, &root);
	CHECK_EQ(interval_tree_iter_first(&root, UINT64_MAX, UINT64_MAX), &whole);
	CHECK_EQ(interval_tree_iter_first(&root, 15, 15), &whole);
	CHECK_EQ(interval_tree_iter_next(&whole, 15, 15), &node);
	interval_tree_remove(&node, &root);
	interval_tree_remove(&whole, &root);
	CHECK(RB_EMPTY_ROOT(&root));
}
