/*
 * rbtree.c - trees without summaries: the augmented operations with an update that is nothing.
 */
#include "lib/rbtree_augmented.h"

static ALWAYS_INLINE bool no_summary(UNUSED struct rb_node *node)
{
	return false;
}

void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	rb_insert_fixup(node, root, no_summary);
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
	rb_erase_augmented(node, root, no_summary);
}

static struct rb_node *outermost(struct rb_node *node, unsigned dir)
{
	if (!node)
		return NULL;
	while (node->child[dir])
		node = node->child[dir];
	return node;
}

struct rb_node *rb_first(const struct rb_root *root)
{
	return outermost(root->rb_node, 0);
}

struct rb_node *rb_last(const struct rb_root *root)
{
	return outermost(root->rb_node, 1);
}

static ALWAYS_INLINE struct rb_node *neighbour(const struct rb_node *node, unsigned dir)
{
	struct rb_node *parent;

	if (node->child[dir])
		return outermost(node->child[dir], !dir);
	while ((parent = rb_parent(node)) && parent->child[dir] == node)
		node = parent;
	return parent;
}

struct rb_node *rb_next(const struct rb_node *node)
{
	return neighbour(node, 1);
}

struct rb_node *rb_prev(const struct rb_node *node)
{
	return neighbour(node, 0);
}

static struct rb_node *deepest(struct rb_node *node)
{
	while (node->rb_left || node->rb_right)
		node = node->child[!node->rb_left];
	return node;
}

struct rb_node *rb_first_postorder(const struct rb_root *root)
{
	return root->rb_node ? deepest(root->rb_node) : NULL;
}

struct rb_node *rb_next_postorder(const struct rb_node *node)
{
	struct rb_node *parent = rb_parent(node);

	if (parent && parent->rb_left == node && parent->rb_right)
		return deepest(parent->rb_right);
	return parent;
}

void rb_replace_node(struct rb_node *victim, struct rb_node *node, struct rb_root *root)
{
	*node = *victim;
	for (unsigned dir = 0; dir < 2; dir++)
		if (node->child[dir])
			rb_set_parent_color(node->child[dir], node,
			                    node->child[dir]->parent_color & RB_BLACK);
	rb_change_child(victim, node, rb_parent(node), root);
}

static unsigned blacks_above(const struct rb_node *node)
{
	unsigned n = 0;

	for (; node; node = rb_parent(node))
		n += rb_is_black(node);
	return n;
}

static const char *check_node(const struct rb_node *node, unsigned blacks)
{
	for (unsigned dir = 0; dir < 2; dir++) {
		const struct rb_node *child = node->child[dir];

		if (child && rb_parent(child) != node)
			return "a child does not know its parent";
		if (child && !rb_is_black(node) && !rb_is_black(child))
			return "a red node has a red child";
		if (!child && blacks_above(node) != blacks)
			return "the black height differs";
	}
	return NULL;
}

const char *rb_check(const struct rb_root *root)
{
	const struct rb_node *node = root->rb_node;
	unsigned blacks;

	if (!node)
		return NULL;
	if (rb_parent(node) || !rb_is_black(node))
		return "the top has a parent or is red";
	while (node->rb_left) {
		if (rb_parent(node->rb_left) != node)
			return "a child does not know its parent";
		node = node->rb_left;
	}
	blacks = blacks_above(node);
	for (; node; node = rb_next(node)) {
		const char *broken = check_node(node, blacks);

		if (broken)
			return broken;
	}
	return NULL;
}
