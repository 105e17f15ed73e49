/*
 * rbtree.h - red-black trees whose links live inside the sorted objects.
 *
 * A tree of n nodes is at most 2 log2(n + 1) high; insertion makes at most two rotations and
 * deletion at most three, so both are cheap next to the search. Nothing recurses: a node
 * knows its parent, and the parent pointer's low bit is the colour.
 *
 * The user searches, because only he knows the order:
 *
 *     struct rb_node **link = &root->rb_node, *parent = NULL;
 *     while (*link) {
 *             parent = *link;
 *             link = &parent->child[key > rb_entry(parent, struct thing, rb)->key];
 *     }
 *     rb_link_node(&thing->rb, parent, link);
 *     rb_insert_color(&thing->rb, root);
 *
 * Trees whose nodes sum up their subtrees: rbtree_augmented.h. The caller locks.
 * Sources: Guibas and Sedgewick 1978; CLRS ch. 13. Names are Linux 6.1's.
 */
#ifndef LIB_RBTREE_H
#define LIB_RBTREE_H

#include <quire/types.h>

struct rb_node {
	/* The parent's address | RB_BLACK; the node's own address: on no tree. */
	uintptr_t parent_color;
	union {
		struct {
			struct rb_node *rb_left, *rb_right;
		};
		struct rb_node *child[2];
	};
};

struct rb_root {
	struct rb_node *rb_node;
};

#define RB_RED   0u
#define RB_BLACK 1u

/* clang-format off */
#define RB_ROOT ((struct rb_root){NULL})
/* clang-format on */
#define RB_EMPTY_ROOT(root) (!READ_ONCE((root)->rb_node))

static inline struct rb_node *rb_parent(const struct rb_node *node)
{
	return (struct rb_node *)(node->parent_color & ~(uintptr_t)RB_BLACK);
}

/* Mark a node as on no tree; nothing else does so. */
static inline void RB_CLEAR_NODE(struct rb_node *node)
{
	node->parent_color = (uintptr_t)node;
}

static inline bool RB_EMPTY_NODE(const struct rb_node *node)
{
	return node->parent_color == (uintptr_t)node;
}

/* A red leaf at *link, where a search for its key ended below parent (NULL: the tree is empty). */
static inline void rb_link_node(struct rb_node *node, struct rb_node *parent, struct rb_node **link)
{
	node->parent_color = (uintptr_t)parent;
	node->rb_left = NULL;
	node->rb_right = NULL;
	*link = node;
}

/* Restore the balance after rb_link_node(). */
void rb_insert_color(struct rb_node *node, struct rb_root *root);

/* Take node off the tree. Its own fields are left as they were. */
void rb_erase(struct rb_node *node, struct rb_root *root);

/* Smallest and largest; NULL when empty. Next and previous in order; NULL at the end. */
struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_prev(const struct rb_node *node);

/* Children before parents: the order in which all objects of a tree can be freed. */
struct rb_node *rb_first_postorder(const struct rb_root *root);
struct rb_node *rb_next_postorder(const struct rb_node *node);

/* node takes the place of victim, which must sort the same. Constant time. */
void rb_replace_node(struct rb_node *victim, struct rb_node *node, struct rb_root *root);

/* Walk the tree: the name of the first broken invariant (links, colours, black height), or NULL. */
const char *rb_check(const struct rb_root *root);

#define rb_entry(ptr, type, member) container_of(ptr, type, member)
#define rb_entry_safe(ptr, type, member)                      \
	({                                                    \
		struct rb_node *node_ = (ptr);                \
		node_ ? rb_entry(node_, type, member) : NULL; \
	})

/* In order. The tree must not change in the body. */
#define rb_for_each(pos, root) for (pos = rb_first(root); pos; pos = rb_next(pos))

/* Every node is handed out after its children, so the body may free it (but not rb_erase() any). */
#define rb_for_each_postorder_safe(pos, n, root) \
	for (pos = rb_first_postorder(root); pos && ((n = rb_next_postorder(pos)), true); pos = n)

/* Search, link and balance in one: equal nodes go behind each other. */
static ALWAYS_INLINE void rb_add(struct rb_node *node, struct rb_root *root,
                                 bool (*less)(const struct rb_node *, const struct rb_node *))
{
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = &parent->child[!less(node, parent)];
	}
	rb_link_node(node, parent, link);
	rb_insert_color(node, root);
}

/* A node for which cmp(key, node) is 0, or NULL; cmp is negative when key is the smaller. */
static ALWAYS_INLINE struct rb_node *rb_find(const void *key, const struct rb_root *root,
                                             int (*cmp)(const void *, const struct rb_node *))
{
	struct rb_node *node = root->rb_node;

	while (node) {
		int c = cmp(key, node);

		if (!c)
			break;
		node = node->child[c > 0];
	}
	return node;
}

#endif
