/*
 * rbtree_augmented.h - red-black trees in which each node sums up its subtree.
 *
 * The user supplies one function,
 *
 *     bool update(struct rb_node *node)
 *
 * which computes node's summary from the node itself and from its children's summaries, stores
 * it, and says whether it changed. The summary must be a function of the objects in the subtree
 * and their order, not of the subtree's shape: a rotation then changes two summaries only.
 *
 * Everything here is always inlined, and update with it when the caller names it directly.
 * Wrap each operation once in a function of your own; a call site costs about 500 bytes.
 */
#ifndef LIB_RBTREE_AUGMENTED_H
#define LIB_RBTREE_AUGMENTED_H

#include "lib/rbtree.h"

typedef bool (*rb_update_t)(struct rb_node *node);

/*
 * After the object of node itself changed: correct the summaries from node upwards, as far as
 * they change. node may be NULL.
 */
static ALWAYS_INLINE void rb_propagate(struct rb_node *node, rb_update_t update)
{
	while (node && update(node))
		node = rb_parent(node);
}

static inline bool rb_is_black(const struct rb_node *node)
{
	return node->parent_color & RB_BLACK;
}

static inline bool rb_null_or_black(const struct rb_node *node)
{
	return !node || rb_is_black(node);
}

static inline void rb_set_parent_color(struct rb_node *node, struct rb_node *parent,
                                       uintptr_t color)
{
	node->parent_color = (uintptr_t)parent | color;
}

/* entry replaces old below parent; a NULL parent means that old was the top. */
static inline void rb_change_child(struct rb_node *old, struct rb_node *entry,
                                   struct rb_node *parent, struct rb_root *root)
{
	if (!parent)
		root->rb_node = entry;
	else
		parent->child[parent->child[1] == old] = entry;
}

/*
 * Move top's child on side !dir above top, which becomes its child on side dir:
 *
 *        top                 up
 *        / \                 / \
 *       a   up     -->    top   c       (dir is left)
 *           / \           / \
 *          b   c         a   b
 *
 * up gets top's parent and colour, top gets color; b keeps its colour. The summary of up, which
 * is returned, is left to the caller: a second rotation may move something above it.
 */
static ALWAYS_INLINE struct rb_node *rb_rotate(struct rb_node *top, unsigned dir, uintptr_t color,
                                               struct rb_root *root, rb_update_t update)
{
	struct rb_node *up = top->child[!dir], *b = up->child[dir], *parent = rb_parent(top);

	top->child[!dir] = b;
	if (b)
		rb_set_parent_color(b, top, b->parent_color & RB_BLACK);
	up->child[dir] = top;
	up->parent_color = top->parent_color;
	rb_set_parent_color(top, up, color);
	rb_change_child(top, up, parent, root);
	update(top);
	return up;
}

/* node is red; restore that no red node has a red parent. Summaries are right already. */
static ALWAYS_INLINE void rb_insert_fixup(struct rb_node *node, struct rb_root *root,
                                          rb_update_t update)
{
	for (;;) {
		struct rb_node *parent = (struct rb_node *)node->parent_color, *grand, *uncle;
		unsigned dir;

		if (!parent) {
			node->parent_color = RB_BLACK;
			return;
		}
		if (rb_is_black(parent))
			return;
		grand = (struct rb_node *)parent->parent_color;
		dir = grand->child[1] == parent;
		uncle = grand->child[!dir];
		if (rb_null_or_black(uncle)) {
			if (parent->child[!dir] == node)
				rb_rotate(parent, dir, RB_RED, root, update);
			update(rb_rotate(grand, !dir, RB_RED, root, update));
			return;
		}
		rb_set_parent_color(parent, grand, RB_BLACK);
		rb_set_parent_color(uncle, grand, RB_BLACK);
		node = grand;
		rb_set_parent_color(node, rb_parent(node), RB_RED);
	}
}

/* After rb_link_node(): correct the summaries of node and its ancestors, and the balance. */
static ALWAYS_INLINE void rb_insert_augmented(struct rb_node *node, struct rb_root *root,
                                              rb_update_t update)
{
	update(node);
	rb_propagate(rb_parent(node), update);
	rb_insert_fixup(node, root, update);
}

/* The side dir of parent has one black node too few on every path; its top is black or NULL. */
static ALWAYS_INLINE void rb_erase_fixup(struct rb_node *parent, unsigned dir, struct rb_root *root,
                                         rb_update_t update)
{
	for (;;) {
		struct rb_node *sibling = parent->child[!dir], *node;

		if (!rb_is_black(sibling)) {
			update(rb_rotate(parent, dir, RB_RED, root, update));
			sibling = parent->child[!dir];
		}
		if (!rb_null_or_black(sibling->child[!dir]))
			break;
		if (!rb_null_or_black(sibling->child[dir])) {
			rb_rotate(sibling, !dir, RB_RED, root, update);
			break;
		}
		sibling->parent_color &= ~(uintptr_t)RB_BLACK;
		node = parent;
		parent = rb_parent(node);
		if (!rb_is_black(node) || !parent) {
			node->parent_color |= RB_BLACK;
			return;
		}
		dir = parent->child[1] == node;
	}
	parent->child[!dir]->child[!dir]->parent_color |= RB_BLACK;
	update(rb_rotate(parent, dir, RB_BLACK, root, update));
}

/*
 * Replace node, which has two children, by its successor. Returns the lowest node below which
 * something was taken away, with *child what is there now and *dir on which side.
 */
static ALWAYS_INLINE struct rb_node *rb_replace_by_successor(struct rb_node *node,
                                                             struct rb_root *root, bool *black,
                                                             struct rb_node **child, unsigned *dir)
{
	struct rb_node *succ = node->rb_right, *parent = succ;

	*dir = 1;
	if (succ->rb_left) {
		*dir = 0;
		do {
			parent = succ;
			succ = succ->rb_left;
		} while (succ->rb_left);
		parent->rb_left = succ->rb_right;
	}
	*black = rb_is_black(succ);
	*child = succ->rb_right;
	if (parent != succ) {
		succ->rb_right = node->rb_right;
		rb_set_parent_color(succ->rb_right, succ, succ->rb_right->parent_color & RB_BLACK);
	}
	succ->rb_left = node->rb_left;
	rb_set_parent_color(succ->rb_left, succ, succ->rb_left->parent_color & RB_BLACK);
	succ->parent_color = node->parent_color;
	rb_change_child(node, succ, rb_parent(node), root);
	return parent;
}

/*
 * Correct the summaries above a removal. successor, when there is one, took the removed node's
 * place with a summary that is neither its own nor that of the node before, so neither it nor
 * its parent can be judged by whether it changed.
 */
static ALWAYS_INLINE void rb_erase_propagate(struct rb_node *lowest, struct rb_node *successor,
                                             rb_update_t update)
{
	if (successor) {
		while (lowest != successor && update(lowest))
			lowest = rb_parent(lowest);
		update(successor);
		lowest = rb_parent(successor);
	}
	rb_propagate(lowest, update);
}

/* Take node off the tree and correct the summaries of those above it. node's own are left. */
static ALWAYS_INLINE void rb_erase_augmented(struct rb_node *node, struct rb_root *root,
                                             rb_update_t update)
{
	struct rb_node *child = node->rb_left, *parent, *successor = NULL;
	bool black;
	unsigned dir;

	if (child && node->rb_right) {
		parent = rb_replace_by_successor(node, root, &black, &child, &dir);
		successor = rb_parent(node->rb_left);
	} else {
		if (!child)
			child = node->rb_right;
		black = rb_is_black(node);
		parent = rb_parent(node);
		dir = parent && parent->child[1] == node;
		rb_change_child(node, child, parent, root);
	}
	if (child)
		rb_set_parent_color(child, parent, RB_BLACK);
	rb_erase_propagate(parent, successor, update);
	if (!child && black && parent)
		rb_erase_fixup(parent, dir, root, update);
}

#endif
