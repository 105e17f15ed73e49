/*
 * radix_tree.c - the page cache's tree. radix_tree.h has the figure and the invariants.
 *
 * "present" is a mark like the tags, so that the searches for any item, for a tagged item and
 * the upkeep of what is below an inner slot are the same code. Nodes know their parent: marks
 * are carried upwards, and a search goes on to the right, without a stack.
 */
#include "lib/radix_tree.h"
#include <quire/errno.h>

#define SLOT_MASK (RADIX_TREE_MAP_SIZE - 1)

static ALWAYS_INLINE unsigned slot_of(uint64_t index, unsigned shift)
{
	return (unsigned)(index >> shift) & SLOT_MASK;
}

/* May a tree of this height hold index? Height 11 has 66 bits: all of them. */
static ALWAYS_INLINE bool fits(uint64_t index, unsigned height)
{
	unsigned bits = height * RADIX_TREE_MAP_SHIFT;

	return bits >= 64 || !(index >> bits);
}

static unsigned height_for(uint64_t index)
{
	unsigned height = 0;

	while (!fits(index, height))
		height++;
	return height;
}

/* The bits of index that a node and those below it consume. */
static ALWAYS_INLINE uint64_t index_bits(unsigned shift)
{
	unsigned bits = shift + RADIX_TREE_MAP_SHIFT;

	return bits >= 64 ? UINT64_MAX : (1ull << bits) - 1;
}

/* The leaf for index, or NULL. The height is not 0. */
static ALWAYS_INLINE struct radix_tree_node *find_leaf(const struct radix_tree_root *root,
                                                       uint64_t index)
{
	unsigned shift = root->height * RADIX_TREE_MAP_SHIFT;
	struct radix_tree_node *node = root->top;

	if (!fits(index, root->height))
		return NULL;
	while (node && (shift -= RADIX_TREE_MAP_SHIFT))
		node = node->slots[slot_of(index, shift)];
	return node;
}

void *radix_tree_lookup(const struct radix_tree_root *root, uint64_t index)
{
	unsigned shift = root->height * RADIX_TREE_MAP_SHIFT;
	void *p = root->top;

	if (!fits(index, root->height))
		return NULL;
	while (shift && p) {
		shift -= RADIX_TREE_MAP_SHIFT;
		p = ((struct radix_tree_node *)p)->slots[slot_of(index, shift)];
	}
	return p;
}

void radix_tree_lookup_range(const struct radix_tree_root *root, uint64_t first, unsigned n,
                             void **items)
{
	while (n) {
		const unsigned slot = slot_of(first, 0), here = MIN(n, RADIX_TREE_MAP_SIZE - slot);
		const struct radix_tree_node *leaf = root->height ? find_leaf(root, first) : NULL;

		for (unsigned i = 0; i < here; i++)
			items[i] = leaf ? leaf->slots[slot + i] : NULL;
		if (!root->height && !first)
			items[0] = root->top;
		items += here;
		first += here;
		n -= here;
	}
}

void **radix_tree_lookup_slot(struct radix_tree_root *root, uint64_t index)
{
	struct radix_tree_node *leaf;

	if (!root->height)
		return index || !root->top ? NULL : &root->top;
	leaf = find_leaf(root, index);
	if (!leaf || !leaf->slots[slot_of(index, 0)])
		return NULL;
	return &leaf->slots[slot_of(index, 0)];
}

void *radix_tree_replace(struct radix_tree_root *root, uint64_t index, void *item)
{
	void **slot = radix_tree_lookup_slot(root, index), *old = NULL;

	if (slot) {
		old = *slot;
		*slot = item;
	}
	return old;
}

/* Set a mark of one slot, and upwards of all slots that lead there. */
static void mark_set(struct radix_tree_root *root, struct radix_tree_node *node, unsigned offset,
                     unsigned mark)
{
	for (; node; offset = node->offset, node = node->parent) {
		uint64_t old = node->marks[mark];

		node->marks[mark] = old | 1ull << offset;
		if (old)
			return;
	}
	root->marks |= (uint8_t)(1u << mark);
}

/* Clear a mark of one slot, and upwards where nothing is left that has it. */
static void mark_clear(struct radix_tree_root *root, struct radix_tree_node *node, unsigned offset,
                       unsigned mark)
{
	for (; node; offset = node->offset, node = node->parent) {
		node->marks[mark] &= ~(1ull << offset);
		if (node->marks[mark])
			return;
	}
	root->marks &= (uint8_t) ~(1u << mark);
}

static struct radix_tree_node *node_new(struct radix_tree_root *root,
                                        struct radix_tree_node *parent, unsigned shift,
                                        unsigned offset)
{
	struct radix_tree_node *node = root->ops->node_alloc(root);

	if (!node)
		return NULL;
	node->parent = parent;
	node->shift = (uint8_t)shift;
	node->offset = (uint8_t)offset;
	for (unsigned i = 0; i < RADIX_TREE_NR_MARKS; i++)
		node->marks[i] = 0;
	for (unsigned i = 0; i < RADIX_TREE_MAP_SIZE; i++)
		node->slots[i] = NULL;
	return node;
}

/* While all that there is lies below slot 0 of the top, the top is one level too many. */
static void shrink(struct radix_tree_root *root)
{
	struct radix_tree_node *top, *below;

	while (root->height) {
		top = root->top;
		if (top->marks[RADIX_TREE_PRESENT] != 1)
			return;
		below = top->slots[0];
		root->top = below;
		if (--root->height)
			below->parent = NULL;
		root->ops->node_free(root, top);
	}
}

/* Free node, if it has become empty, with the parents that thereby do; then fit the height. */
static void prune(struct radix_tree_root *root, struct radix_tree_node *node)
{
	while (node && !node->marks[RADIX_TREE_PRESENT]) {
		struct radix_tree_node *parent = node->parent;

		if (parent) {
			parent->slots[node->offset] = NULL;
			parent->marks[RADIX_TREE_PRESENT] &= ~(1ull << node->offset);
		} else {
			root->top = NULL;
			root->height = 0;
		}
		root->ops->node_free(root, node);
		node = parent;
	}
	shrink(root);
}

/* One more level on top. The old top, a node or the item of index 0, goes to slot 0. */
static int grow_level(struct radix_tree_root *root)
{
	struct radix_tree_node *top = node_new(root, NULL, root->height * RADIX_TREE_MAP_SHIFT, 0);

	if (!top)
		return -ENOMEM;
	top->slots[0] = root->top;
	for (unsigned i = 0; i < RADIX_TREE_NR_MARKS; i++)
		top->marks[i] = root->marks >> i & 1;
	if (root->height)
		((struct radix_tree_node *)root->top)->parent = top;
	root->top = top;
	root->height++;
	return 0;
}

/* Make the tree high enough for index. An empty one gets its top only, and that empty. */
static int grow(struct radix_tree_root *root, uint64_t index)
{
	unsigned height = height_for(index);
	int err;

	if (!root->top) {
		root->top = node_new(root, NULL, (height - 1) * RADIX_TREE_MAP_SHIFT, 0);
		if (!root->top)
			return -ENOMEM;
		root->height = (uint8_t)height;
		return 0;
	}
	while (root->height < height) {
		err = grow_level(root);
		if (err) {
			shrink(root);
			return err;
		}
	}
	return 0;
}

/* The leaf for index, made with all that leads there. NULL: no memory; the tree is as before. */
static struct radix_tree_node *make_leaf(struct radix_tree_root *root, uint64_t index)
{
	struct radix_tree_node *node, *below;

	if (!fits(index, root->height) && grow(root, index))
		return NULL;
	for (node = root->top; node->shift; node = below) {
		unsigned offset = slot_of(index, node->shift);

		below = node->slots[offset];
		if (below)
			continue;
		below = node_new(root, node, node->shift - RADIX_TREE_MAP_SHIFT, offset);
		if (!below) {
			prune(root, node);
			return NULL;
		}
		node->slots[offset] = below;
	}
	return node;
}

int radix_tree_insert(struct radix_tree_root *root, uint64_t index, void *item)
{
	struct radix_tree_node *leaf;
	unsigned offset = slot_of(index, 0);

	if (!root->height && !index) {
		if (root->top)
			return -EEXIST;
		root->top = item;
		root->marks = 1u << RADIX_TREE_PRESENT;
		return 0;
	}
	leaf = make_leaf(root, index);
	if (!leaf)
		return -ENOMEM;
	if (leaf->slots[offset])
		return -EEXIST;
	leaf->slots[offset] = item;
	mark_set(root, leaf, offset, RADIX_TREE_PRESENT);
	return 0;
}

void *radix_tree_delete(struct radix_tree_root *root, uint64_t index)
{
	unsigned offset = slot_of(index, 0);
	struct radix_tree_node *leaf;
	void *item;

	if (!root->height) {
		if (index)
			return NULL;
		item = root->top;
		root->top = NULL;
		root->marks = 0;
		return item;
	}
	leaf = find_leaf(root, index);
	item = leaf ? leaf->slots[offset] : NULL;
	if (!item)
		return NULL;
	leaf->slots[offset] = NULL;
	for (unsigned mark = 0; mark < RADIX_TREE_NR_MARKS; mark++)
		if (leaf->marks[mark] >> offset & 1)
			mark_clear(root, leaf, offset, mark);
	prune(root, leaf);
	return item;
}

uint64_t radix_tree_delete_range(struct radix_tree_root *root, uint64_t first, uint64_t last,
                                 void (*drop)(void *ctx, uint64_t index, void *item), void *ctx)
{
	uint64_t index, n = 0;
	void *item;

	radix_tree_for_each(item, root, index, first, last) {
		radix_tree_delete(root, index);
		if (drop)
			drop(ctx, index, item);
		n++;
	}
	return n;
}

/* Downwards to a leaf, free it, go on in its parent, where its slot is now taken for empty. */
void radix_tree_destroy(struct radix_tree_root *root)
{
	struct radix_tree_node *node = root->height ? root->top : NULL, *parent;

	while (node) {
		uint64_t *present = &node->marks[RADIX_TREE_PRESENT];

		if (node->shift && *present) {
			unsigned offset = (unsigned)__builtin_ctzll(*present);

			*present &= *present - 1;
			node = node->slots[offset];
			continue;
		}
		parent = node->parent;
		root->ops->node_free(root, node);
		node = parent;
	}
	root->top = NULL;
	root->height = 0;
	root->marks = 0;
}

/*
 * The first slot of a leaf, at or after *index, that has the mark; *index becomes its index.
 * NULL: none. The height is not 0. Inner marks lead down without a wrong turn; only the path to
 * *index itself may prove empty to the right, and then the next set bit above it is the way.
 */
static struct radix_tree_node *next_marked(const struct radix_tree_root *root, uint64_t *index,
                                           unsigned mark)
{
	struct radix_tree_node *node = root->top;
	uint64_t bits, at = *index;

	if (!fits(at, root->height))
		return NULL;
	for (;;) {
		unsigned offset = slot_of(at, node->shift), found;

		bits = node->marks[mark] & UINT64_MAX << offset;
		while (!bits) {
			offset = node->offset;
			node = node->parent;
			if (!node)
				return NULL;
			bits = node->marks[mark] & UINT64_MAX << offset << 1;
		}
		found = (unsigned)__builtin_ctzll(bits);
		if (found != slot_of(at, node->shift))
			at = (at & ~index_bits(node->shift)) | (uint64_t)found << node->shift;
		if (!node->shift)
			break;
		node = node->slots[found];
	}
	*index = at;
	return node;
}

static ALWAYS_INLINE void *next_item(const struct radix_tree_root *root, uint64_t *index,
                                     uint64_t last, unsigned mark)
{
	struct radix_tree_node *leaf;
	uint64_t at = *index;

	if (!(root->marks >> mark & 1) || at > last)
		return NULL;
	if (!root->height)
		return at ? NULL : root->top;
	leaf = next_marked(root, &at, mark);
	if (!leaf || at > last)
		return NULL;
	*index = at;
	return leaf->slots[slot_of(at, 0)];
}

void *radix_tree_next(const struct radix_tree_root *root, uint64_t *index, uint64_t last)
{
	return next_item(root, index, last, RADIX_TREE_PRESENT);
}

void *radix_tree_next_tagged(const struct radix_tree_root *root, uint64_t *index, uint64_t last,
                             enum radix_tree_tag tag)
{
	return next_item(root, index, last, tag);
}

/* The marked items of a leaf from index on, up to max. */
static unsigned gang_leaf(const struct radix_tree_node *leaf, void **items, uint64_t *indices,
                          uint64_t index, unsigned max, unsigned mark)
{
	uint64_t bits = leaf->marks[mark] & UINT64_MAX << slot_of(index, 0);
	unsigned n = 0;

	for (; bits && n < max; bits &= bits - 1, n++) {
		unsigned offset = (unsigned)__builtin_ctzll(bits);

		items[n] = leaf->slots[offset];
		if (indices)
			indices[n] = (index & ~(uint64_t)SLOT_MASK) | offset;
	}
	return n;
}

static unsigned gang(const struct radix_tree_root *root, void **items, uint64_t *indices,
                     uint64_t index, unsigned max, unsigned mark)
{
	struct radix_tree_node *leaf;
	unsigned n = 0;

	if (!root->height) {
		if (!max || !(items[0] = next_item(root, &index, UINT64_MAX, mark)))
			return 0;
		if (indices)
			indices[0] = index;
		return 1;
	}
	while (n < max && (leaf = next_marked(root, &index, mark))) {
		n += gang_leaf(leaf, items + n, indices ? indices + n : NULL, index, max - n, mark);
		index = (index | SLOT_MASK) + 1;
		if (!index)
			break;
	}
	return n;
}

unsigned radix_tree_gang_lookup(const struct radix_tree_root *root, void **items, uint64_t *indices,
                                uint64_t first, unsigned max)
{
	return gang(root, items, indices, first, max, RADIX_TREE_PRESENT);
}

unsigned radix_tree_gang_lookup_tag(const struct radix_tree_root *root, void **items,
                                    uint64_t *indices, uint64_t first, unsigned max,
                                    enum radix_tree_tag tag)
{
	return gang(root, items, indices, first, max, tag);
}

/* The item at index, which is there, and where its marks are: *leaf is NULL at height 0. */
static bool find_item(const struct radix_tree_root *root, uint64_t index,
                      struct radix_tree_node **leaf)
{
	*leaf = NULL;
	if (!root->height)
		return !index && root->top;
	*leaf = find_leaf(root, index);
	return *leaf && (*leaf)->slots[slot_of(index, 0)];
}

bool radix_tree_tag_set(struct radix_tree_root *root, uint64_t index, enum radix_tree_tag tag)
{
	struct radix_tree_node *leaf;

	if (!find_item(root, index, &leaf))
		return false;
	mark_set(root, leaf, slot_of(index, 0), tag);
	return true;
}

bool radix_tree_tag_clear(struct radix_tree_root *root, uint64_t index, enum radix_tree_tag tag)
{
	struct radix_tree_node *leaf;

	if (!find_item(root, index, &leaf))
		return false;
	mark_clear(root, leaf, slot_of(index, 0), tag);
	return true;
}

bool radix_tree_tag_get(const struct radix_tree_root *root, uint64_t index, enum radix_tree_tag tag)
{
	struct radix_tree_node *leaf;

	if (!find_item(root, index, &leaf))
		return false;
	if (!leaf)
		return radix_tree_tagged(root, tag);
	return leaf->marks[tag] >> slot_of(index, 0) & 1;
}

uint64_t radix_tree_tag_if_tagged(struct radix_tree_root *root, uint64_t *first, uint64_t last,
                                  uint64_t max, enum radix_tree_tag iftag, enum radix_tree_tag set)
{
	uint64_t index = *first, n = 0;

	while (n < max && next_item(root, &index, last, iftag)) {
		radix_tree_tag_set(root, index, set);
		n++;
		if (index++ == last) {
			*first = index;
			return n;
		}
	}
	*first = n < max ? last + 1 : index;
	return n;
}

/* The empty slots of the leaf that index belongs to; all of them when there is no such leaf. */
static uint64_t empty_slots(const struct radix_tree_root *root, uint64_t index)
{
	struct radix_tree_node *leaf;

	if (!root->height)
		return index > SLOT_MASK || !root->top ? UINT64_MAX : ~1ull;
	leaf = find_leaf(root, index);
	return leaf ? ~leaf->marks[RADIX_TREE_PRESENT] : UINT64_MAX;
}

bool radix_tree_next_hole(const struct radix_tree_root *root, uint64_t *index, uint64_t last)
{
	uint64_t at = *index;

	while (at <= last) {
		uint64_t holes = empty_slots(root, at) & UINT64_MAX << (at & SLOT_MASK);

		if (holes) {
			at = (at & ~(uint64_t)SLOT_MASK) | (unsigned)__builtin_ctzll(holes);
			if (at > last)
				return false;
			*index = at;
			return true;
		}
		at = (at | SLOT_MASK) + 1;
		if (!at)
			break;
	}
	return false;
}

bool radix_tree_prev_hole(const struct radix_tree_root *root, uint64_t *index, uint64_t first)
{
	uint64_t at = *index;

	while (at >= first) {
		uint64_t holes =
		        empty_slots(root, at) & UINT64_MAX >> (SLOT_MASK - (at & SLOT_MASK));

		if (holes) {
			at = (at | SLOT_MASK) - (unsigned)__builtin_clzll(holes);
			if (at < first)
				return false;
			*index = at;
			return true;
		}
		at &= ~(uint64_t)SLOT_MASK;
		if (!at--)
			break;
	}
	return false;
}

/* What the marks of node must be, and where its children must point. */
static const char *check_slots(const struct radix_tree_node *node)
{
	for (unsigned i = 0; i < RADIX_TREE_MAP_SIZE; i++) {
		const struct radix_tree_node *below = node->shift ? node->slots[i] : NULL;

		if (!!node->slots[i] != (node->marks[RADIX_TREE_PRESENT] >> i & 1))
			return "a slot and its presence differ";
		for (unsigned m = 0; m < RADIX_TREE_MAX_TAGS; m++)
			if (node->marks[m] >> i & 1 && !node->slots[i])
				return "an empty slot has a tag";
		if (!below)
			continue;
		if (below->parent != node || below->offset != i ||
		    below->shift + RADIX_TREE_MAP_SHIFT != node->shift)
			return "a node does not know its place";
		for (unsigned m = 0; m < RADIX_TREE_NR_MARKS; m++)
			if (!!below->marks[m] != (node->marks[m] >> i & 1))
				return "a mark differs from what is below";
	}
	return node->marks[RADIX_TREE_PRESENT] ? NULL : "a node is empty";
}

static const char *check_top(const struct radix_tree_root *root)
{
	const struct radix_tree_node *top = root->top;

	if (root->marks && !root->top)
		return "an empty tree has marks";
	if (!root->height)
		return root->top && !(root->marks >> RADIX_TREE_PRESENT) ? "the item is not marked"
		                                                         : NULL;
	if (!top || top->parent || top->shift != (root->height - 1) * RADIX_TREE_MAP_SHIFT)
		return "the top is not of the tree's height";
	if (top->marks[RADIX_TREE_PRESENT] == 1)
		return "the tree is too high";
	for (unsigned m = 0; m < RADIX_TREE_NR_MARKS; m++)
		if (!!top->marks[m] != (root->marks >> m & 1))
			return "a mark of the root is wrong";
	return NULL;
}

/* In preorder: down by slot 0 or the next one of the nearest ancestor that has one. */
static const struct radix_tree_node *next_node(const struct radix_tree_node *node)
{
	uint64_t bits = node->shift ? node->marks[RADIX_TREE_PRESENT] : 0;

	while (!bits) {
		unsigned offset = node->offset;

		node = node->parent;
		if (!node)
			return NULL;
		bits = node->marks[RADIX_TREE_PRESENT] & UINT64_MAX << offset << 1;
	}
	return node->slots[__builtin_ctzll(bits)];
}

const char *radix_tree_check(const struct radix_tree_root *root)
{
	const char *broken = check_top(root);
	const struct radix_tree_node *node = root->height ? root->top : NULL;

	for (; node && !broken; node = next_node(node))
		broken = check_slots(node);
	return broken;
}
