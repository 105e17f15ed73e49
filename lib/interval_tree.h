/*
 * interval_tree.h - which of many intervals touch a given one?
 *
 * A red-black tree ordered by the start of the intervals, each node knowing the largest end
 * below it. A subtree whose largest end lies before the query is skipped whole, so finding k
 * intervals among n takes O(log n) for the first and O(k log n) at worst for all.
 *
 * Intervals are closed, [start, last], and may overlap and repeat. start and last must not
 * change while the node is in the tree. The caller locks. Source: CLRS 14.3; Linux 6.1's names.
 */
#ifndef LIB_INTERVAL_TREE_H
#define LIB_INTERVAL_TREE_H

#include "lib/rbtree.h"

struct interval_tree_node {
	struct rb_node rb;
	uint64_t start, last;  /* start <= last */
	uint64_t subtree_last; /* the largest last in this node's subtree */
};

/* start and last are set by the caller. */
void interval_tree_insert(struct interval_tree_node *node, struct rb_root *root);
void interval_tree_remove(struct interval_tree_node *node, struct rb_root *root);

/* The first node, in the order of start, that touches [start, last]; NULL: none. */
struct interval_tree_node *interval_tree_iter_first(const struct rb_root *root, uint64_t start,
                                                    uint64_t last);

/* The next one after node, which was returned for the same [start, last]; NULL: no more. */
struct interval_tree_node *interval_tree_iter_next(const struct interval_tree_node *node,
                                                   uint64_t start, uint64_t last);

/* The name of the first broken invariant, or NULL. */
const char *interval_tree_check(const struct rb_root *root);

#define interval_for_each(pos, root, start, last)                    \
	for (pos = interval_tree_iter_first(root, start, last); pos; \
	     pos = interval_tree_iter_next(pos, start, last))

#endif
