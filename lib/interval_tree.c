/*
 * interval_tree.c - the summary is the largest end; the two searches.
 */
#include "lib/interval_tree.h"
#include "lib/rbtree_augmented.h"

static ALWAYS_INLINE struct interval_tree_node *interval_of(struct rb_node *rb)
{
	return rb_entry(rb, struct interval_tree_node, rb);
}

static ALWAYS_INLINE uint64_t largest_last(const struct interval_tree_node *node)
{
	uint64_t largest = node->last;

	for (unsigned dir = 0; dir < 2; dir++)
		if (node->rb.child[dir])
			largest = MAX(largest, interval_of(node->rb.child[dir])->subtree_last);
	return largest;
}

static ALWAYS_INLINE bool update_last(struct rb_node *rb)
{
	struct interval_tree_node *node = interval_of(rb);
	uint64_t largest = largest_last(node);
	bool changed = largest != node->subtree_last;

	node->subtree_last = largest;
	return changed;
}

/* The way down already visits every node whose summary the new interval can change. */
void interval_tree_insert(struct interval_tree_node *node, struct rb_root *root)
{
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		struct interval_tree_node *at = interval_of(*link);

		parent = *link;
		at->subtree_last = MAX(at->subtree_last, node->last);
		link = &parent->child[node->start >= at->start];
	}
	node->subtree_last = node->last;
	rb_link_node(&node->rb, parent, link);
	rb_insert_fixup(&node->rb, root, update_last);
}

void interval_tree_remove(struct interval_tree_node *node, struct rb_root *root)
{
	rb_erase_augmented(&node->rb, root, update_last);
}

/*
 * The first in the subtree of rb that touches [start, last]. If the left subtree reaches start,
 * then either it holds an answer or all that reach lie beyond last, as does everything right of
 * them: there is never a need to come back.
 */
static struct interval_tree_node *subtree_search(struct rb_node *rb, uint64_t start, uint64_t last)
{
	while (rb && interval_of(rb)->subtree_last >= start) {
		struct interval_tree_node *node = interval_of(rb);

		if (rb->rb_left && interval_of(rb->rb_left)->subtree_last >= start) {
			rb = rb->rb_left;
			continue;
		}
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
		rb = rb->rb_right;
	}
	return NULL;
}

struct interval_tree_node *interval_tree_iter_first(const struct rb_root *root, uint64_t start,
                                                    uint64_t last)
{
	return subtree_search(root->rb_node, start, last);
}

struct interval_tree_node *interval_tree_iter_next(const struct interval_tree_node *node,
                                                   uint64_t start, uint64_t last)
{
	const struct rb_node *rb = &node->rb, *parent;

	for (;;) {
		struct interval_tree_node *found = subtree_search(rb->rb_right, start, last);

		if (found)
			return found;
		while ((parent = rb_parent(rb)) && parent->rb_right == rb)
			rb = parent;
		if (!parent)
			return NULL;
		rb = parent;
		found = rb_entry((struct rb_node *)rb, struct interval_tree_node, rb);
		if (found->start > last)
			return NULL;
		if (found->last >= start)
			return found;
	}
}

const char *interval_tree_check(const struct rb_root *root)
{
	const char *broken = rb_check(root);
	uint64_t before = 0;

	if (broken)
		return broken;
	for (struct rb_node *rb = rb_first(root); rb; rb = rb_next(rb)) {
		const struct interval_tree_node *node = interval_of(rb);

		if (node->last < node->start)
			return "an interval ends before it starts";
		if (node->start < before)
			return "the intervals are out of order";
		if (node->subtree_last != largest_last(node))
			return "a largest end is wrong";
		before = node->start;
	}
	return NULL;
}
