/*
 * radix_tree.h - a sparse array of pointers with a 64-bit index: the page cache's tree.
 *
 * Each node has 64 slots and consumes six bits of the index. The tree is as high as its
 * largest index needs, 0 to 11 levels, and grows and shrinks with it; at height 0 the one
 * item, at index 0, is held by the root itself.
 *
 *     root (height 2)                 marks of a node: one bit for each slot
 *       |                                present    something is below
 *     node: [0] [1] [2] ... [63]         dirty, writeback, towrite: an item
 *            |       |                                          below has the tag
 *          leaf    leaf: [0] ... [63]
 *            |              |
 *          items          item 2*64 + 63
 *
 * Invariants: 1. no node is empty; 2. the height is the least that holds the largest index;
 * 3. a mark of a slot is the "or" of the marks of the node below, up to the root.
 *
 * Items are non-NULL pointers. The tree never looks at them, so the lowest bit is free to tell
 * exceptional entries (radix_tree_exceptional()) from plain ones.
 *
 * The caller locks: one writer, or any number of readers, at a time. Nothing here sleeps unless
 * node_alloc does. Cost: one step a level; 560 bytes a node, which is all the memory used.
 * Sources: lecture 001; Linux 2.6's lib/radix-tree.c for the interface.
 */
#ifndef LIB_RADIX_TREE_H
#define LIB_RADIX_TREE_H

#include <quire/types.h>

#define RADIX_TREE_MAP_SHIFT 6
#define RADIX_TREE_MAP_SIZE  (1u << RADIX_TREE_MAP_SHIFT)

enum radix_tree_tag {
	RADIX_TREE_DIRTY,
	RADIX_TREE_WRITEBACK,
	RADIX_TREE_TOWRITE,
	RADIX_TREE_MAX_TAGS,
	RADIX_TREE_PRESENT = RADIX_TREE_MAX_TAGS, /* the tree's own: every item has it */
	RADIX_TREE_NR_MARKS
};

struct radix_tree_node {
	struct radix_tree_node *parent;      /* NULL at the top */
	uint8_t shift;                       /* bits of index below a slot: 0 in a leaf */
	uint8_t offset;                      /* of this node in its parent */
	uint64_t marks[RADIX_TREE_NR_MARKS]; /* indexed by enum radix_tree_tag */
	void *slots[RADIX_TREE_MAP_SIZE];
};

struct radix_tree_root;

/*
 * Where nodes come from: sizeof(struct radix_tree_node) bytes aligned for pointers, contents of
 * no matter. The root is passed along so that what contains it (an inode's mapping, with its gfp
 * mask) can be found with container_of(). node_alloc may return NULL.
 */
struct radix_tree_ops {
	void *(*node_alloc)(struct radix_tree_root *root);
	void (*node_free)(struct radix_tree_root *root, void *node);
};

struct radix_tree_root {
	void *top; /* a node; at height 0 the item of index 0 or NULL */
	const struct radix_tree_ops *ops;
	uint8_t height;
	uint8_t marks; /* bit t: some item has tag t */
};

/* clang-format off */
#define RADIX_TREE_INIT(node_ops) { .ops = (node_ops) }
/* clang-format on */

static inline void radix_tree_init(struct radix_tree_root *root, const struct radix_tree_ops *ops)
{
	*root = (struct radix_tree_root)RADIX_TREE_INIT(ops);
}

static inline bool radix_tree_empty(const struct radix_tree_root *root)
{
	return !root->top;
}

/* Does any item have the tag? */
static inline bool radix_tree_tagged(const struct radix_tree_root *root, enum radix_tree_tag tag)
{
	return root->marks >> tag & 1;
}

/* Exceptional entries: a value in place of a pointer, with one bit less than it. */
static inline void *radix_tree_exceptional(uint64_t value)
{
	return (void *)(uintptr_t)(value << 1 | 1);
}

static inline bool radix_tree_is_exceptional(const void *item)
{
	return (uintptr_t)item & 1;
}

static inline uint64_t radix_tree_exceptional_value(const void *item)
{
	return (uintptr_t)item >> 1;
}

/* 0, -EEXIST (something is there: nothing is changed), -ENOMEM (the tree is as before). */
MUST_USE int radix_tree_insert(struct radix_tree_root *root, uint64_t index, void *item);

/* The item at index, or NULL. */
void *radix_tree_lookup(const struct radix_tree_root *root, uint64_t index);

/* The items of n indices from first on, which do not wrap, go to items[]; NULL where nothing is. One search for each 64. */
void radix_tree_lookup_range(const struct radix_tree_root *root, uint64_t first, unsigned n,
                             void **items);

/*
 * The place of the item at index, or NULL when nothing is there. A non-NULL item may be stored
 * through it, and keeps the tags; the place is valid until the tree is next changed.
 */
void **radix_tree_lookup_slot(struct radix_tree_root *root, uint64_t index);

/* Put item where another is, which is returned; tags stay. NULL: nothing there, nothing done. */
void *radix_tree_replace(struct radix_tree_root *root, uint64_t index, void *item);

/* Remove and return the item at index, or NULL. Frees nodes that become empty. */
void *radix_tree_delete(struct radix_tree_root *root, uint64_t index);

/*
 * Remove all items of [first, last], handing each to drop (may be NULL), which must not touch the
 * tree. Returns how many. Takes time for items present, not for the width of the range.
 */
uint64_t radix_tree_delete_range(struct radix_tree_root *root, uint64_t first, uint64_t last,
                                 void (*drop)(void *ctx, uint64_t index, void *item), void *ctx);

/* Free all nodes and forget all items. */
void radix_tree_destroy(struct radix_tree_root *root);

/* Tags of the item at index. All are false, and nothing is done, when nothing is there. */
bool radix_tree_tag_set(struct radix_tree_root *root, uint64_t index, enum radix_tree_tag tag);
bool radix_tree_tag_clear(struct radix_tree_root *root, uint64_t index, enum radix_tree_tag tag);
bool radix_tree_tag_get(const struct radix_tree_root *root, uint64_t index,
                        enum radix_tree_tag tag);

/*
 * Give tag set to the items of [*first, last] that have tag iftag, at most max of them. Returns how
 * many; *first becomes the index to go on from, or last + 1 at the end (0 after UINT64_MAX).
 * Write-back marks what is dirty now as towrite, and so does not chase pages dirtied meanwhile.
 */
uint64_t radix_tree_tag_if_tagged(struct radix_tree_root *root, uint64_t *first, uint64_t last,
                                  uint64_t max, enum radix_tree_tag iftag, enum radix_tree_tag set);

/*
 * The first item at an index of [*index, last], and *index becomes its index; NULL: none, and
 * *index is unchanged. With the tag form, the first that has the tag.
 */
void *radix_tree_next(const struct radix_tree_root *root, uint64_t *index, uint64_t last);
void *radix_tree_next_tagged(const struct radix_tree_root *root, uint64_t *index, uint64_t last,
                             enum radix_tree_tag tag);

/*
 * Up to max items from index first on, in order; their indices go to indices[] unless it is NULL.
 * Returns how many.
 */
unsigned radix_tree_gang_lookup(const struct radix_tree_root *root, void **items, uint64_t *indices,
                                uint64_t first, unsigned max);
unsigned radix_tree_gang_lookup_tag(const struct radix_tree_root *root, void **items,
                                    uint64_t *indices, uint64_t first, unsigned max,
                                    enum radix_tree_tag tag);

/* The first empty index of [*index, last] goes to *index; false: none. A step for each 64. */
bool radix_tree_next_hole(const struct radix_tree_root *root, uint64_t *index, uint64_t last);

/* The same downwards: the last empty index of [first, *index]. */
bool radix_tree_prev_hole(const struct radix_tree_root *root, uint64_t *index, uint64_t first);

/* The name of the first broken invariant, or NULL. */
const char *radix_tree_check(const struct radix_tree_root *root);

/*
 * All items of [first, last] in order; index is a uint64_t variable. Each step searches from the
 * top, so the body may insert and delete anything and even drop the lock: items that stay are
 * seen exactly once.
 */
#define radix_tree_for_each(item, root, index, first, last)                     \
	for (index = (first), item = radix_tree_next(root, &index, last); item; \
	     item = index++ == (last) ? NULL : radix_tree_next(root, &index, last))
#define radix_tree_for_each_tagged(item, root, index, first, last, tag)                     \
	for (index = (first), item = radix_tree_next_tagged(root, &index, last, tag); item; \
	     item = index++ == (last) ? NULL : radix_tree_next_tagged(root, &index, last, tag))

#endif
