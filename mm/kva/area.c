/*
 * area.c - which kernel addresses are taken.
 *
 *      start                                                    end
 *        |  [area A |g]      gap of B      [area B |g][area C |g] |
 *
 *                          B                       each node: its gap, and
 *                        /   \                     the largest gap of its subtree
 *                       A     C
 *
 * A red-black tree of the areas in address order; each knows the free gap before it, and each subtree its
 * largest. So the lowest gap that is large enough is found on one way down, and a subtree without one is not
 * entered. The gap behind the last area belongs to nobody and is looked at last. g: a guard page,
 * never mapped, so that running over the end faults.
 *
 * Alignment. A gap of size + align - page holds an aligned block wherever it begins, so that is what is searched for, still on one
 * way down. A smaller gap may happen to hold one too: those are tried one by one, but only when there is
 * nothing else left.
 *
 * Limits (start, end of the request) cut the gaps at both ends; a search may then have to pass one gap that is
 * large and lies outside, and climb.
 *
 * There is no cache of areas for each CPU in front: the tree and the description are 399 instructions of the 1,264 that vmalloc and vfree
 * of a page take (bench/vmalloc.sh), and whoever needs areas often, as fork its stacks, keeps them with their frames.
 *
 * Sources: CLRS 14.2 (augmenting); Linux's mm/vmalloc.c keeps the free ranges in a second tree for the same
 * search, which costs a second description for each gap.
 */
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"

static uint64_t max_gap(struct rb_node *node)
{
	return node ? vmap_area_of(node)->max_gap : 0;
}

static ALWAYS_INLINE bool update_gap(struct rb_node *node)
{
	struct vmap_area *area = vmap_area_of(node);
	uint64_t max = MAX(area->gap, MAX(max_gap(node->rb_left), max_gap(node->rb_right)));
	bool changed = max != area->max_gap;

	area->max_gap = max;
	return changed;
}

bool vmap_area_update_gap(struct rb_node *node)
{
	return update_gap(node);
}

static void set_gap(struct vmap_area *area, uint64_t gap)
{
	area->gap = gap;
	rb_propagate(&area->rb, update_gap);
}

/* --- searching ----------------------------------------------------------------------------------- */

struct gap_search {
	uint64_t size, align;
	uint64_t least; /* gaps below this are not looked at */
	vaddr_t low, high;
	vaddr_t found;
};

/* Is there room in the gap [start, end)? Where, in found. */
static bool gap_fits(struct gap_search *s, vaddr_t start, vaddr_t end)
{
	start = MAX(start, s->low);
	end = MIN(end, s->high);
	if (end <= start || end - start < s->least)
		return false;
	s->found = ALIGN_UP(start, s->align);
	return s->found < end && end - s->found >= s->size;
}

static bool subtree_fits(const struct gap_search *s, struct rb_node *node)
{
	return max_gap(node) >= s->least;
}

/* The nearest ancestor that has node in its left subtree. */
static struct rb_node *ascend(struct rb_node *node)
{
	struct rb_node *parent;

	while ((parent = rb_parent(node)) && parent->rb_left != node)
		node = parent;
	return parent;
}

/* In order: the lowest area whose gap has room, or NULL. */
static struct vmap_area *find_gap(struct kva_state *k, struct gap_search *s)
{
	struct rb_node *node = subtree_fits(s, k->areas.rb_node) ? k->areas.rb_node : NULL;
	bool descend = true;

	while (node) {
		struct vmap_area *area = vmap_area_of(node);

		if (descend && area->start > s->low && subtree_fits(s, node->rb_left)) {
			node = node->rb_left;
			continue;
		}
		if (gap_fits(s, area->start - area->gap, area->start))
			return area;
		if (area->end >= s->high)
			return NULL;
		descend = subtree_fits(s, node->rb_right);
		node = descend ? node->rb_right : ascend(node);
	}
	return NULL;
}

/* --- changing the tree --------------------------------------------------------------------------- */

static void insert(struct kva_state *k, struct vmap_area *area, struct rb_node *parent,
                   struct rb_node **link)
{
	area->max_gap = 0;
	rb_link_node(&area->rb, parent, link);
	rb_insert_augmented(&area->rb, &k->areas, update_gap);
}

static void insert_before(struct kva_state *k, struct vmap_area *area, struct vmap_area *next)
{
	struct rb_node *parent = &next->rb, **link = &parent->rb_left;

	area->gap = area->start - (next->start - next->gap);
	set_gap(next, next->start - area->end);
	while (*link) {
		parent = *link;
		link = &parent->rb_right;
	}
	insert(k, area, parent, link);
}

/* The gap behind all areas. */
static bool place_last(struct kva_state *k, struct vmap_area *area, struct gap_search *s)
{
	struct vmap_area *last = vmap_area_of(rb_last(&k->areas));
	vaddr_t from = last ? last->end : k->start;

	if (!gap_fits(s, from, k->end))
		return false;
	area->start = s->found;
	area->end = s->found + s->size;
	area->gap = area->start - from;
	insert(k, area, last ? &last->rb : NULL, last ? &last->rb.rb_right : &k->areas.rb_node);
	return true;
}

static bool place(struct kva_state *k, struct vmap_area *area, struct gap_search *s)
{
	struct vmap_area *next = find_gap(k, s);

	if (!next)
		return place_last(k, area, s);
	area->start = s->found;
	area->end = s->found + s->size;
	insert_before(k, area, next);
	return true;
}

static bool place_locked(struct vmap_area *area, struct gap_search *s, uint64_t least)
{
	struct kva_state *k = kva_state();
	bool placed;

	s->least = least;
	spin_lock(&k->lock);
	placed = place(k, area, s);
	spin_unlock(&k->lock);
	return placed;
}

void vmap_area_erase(struct kva_state *k, struct vmap_area *area)
{
	struct vmap_area *next = vmap_area_of(rb_next(&area->rb));

	rb_erase_augmented(&area->rb, &k->areas, update_gap);
	if (next)
		set_gap(next, next->gap + (area->end - area->start) + area->gap);
}

void vmap_area_absorb(struct kva_state *k, struct vmap_area *before, struct vmap_area *area)
{
	before->end = area->end;
	rb_erase_augmented(&area->rb, &k->areas, update_gap);
}

/* --- allocating and finding ---------------------------------------------------------------------- */

/* The usual way, then with what a purge brings, then in gaps that hold an aligned block by chance. */
static bool find_room(struct vmap_area *area, const struct vmap_request *r)
{
	struct gap_search s = {.size = (r->pages + 1) << PAGE_SHIFT,
	                       .align = r->align,
	                       .low = r->start,
	                       .high = r->end};
	uint64_t surely = s.size + (r->align - PAGE_SIZE);

	if (likely(place_locked(area, &s, surely)))
		return true;
	purge_vmap_area_lazy();
	return place_locked(area, &s, surely) || place_locked(area, &s, s.size);
}

struct vmap_area *vmap_area_alloc(const struct vmap_request *r)
{
	const struct kva_state *k = kva_state();
	struct vmap_area *area;
	bool placed;

	if (!r->pages || r->pages >= (k->end - k->start) >> PAGE_SHIFT)
		return NULL;
	area = kmem_cache_alloc(k->cache, r->gfp);
	if (!area)
		return NULL;
	atomic_store_explicit(&area->state, VMAP_PRIVATE, memory_order_relaxed);
	area->kind = (uint8_t)r->kind;
	area->caller = r->caller;
	area->pages = r->pages;
	placed = find_room(area, r);
	trace_alloc_vmap_area(placed ? area->start : 0, (r->pages + 1) << PAGE_SHIFT, r->align,
	                      r->start, r->end, !placed);
	if (likely(placed))
		return area;
	kmem_cache_free(k->cache, area);
	return NULL;
}

struct vmap_area *vmap_area_take(const void *addr, unsigned kinds, const char *who)
{
	vaddr_t start = (vaddr_t)(uintptr_t)addr;
	struct kva_state *k = kva_state();
	struct vmap_area *area;
	struct rb_node *node;
	bool found;

	spin_lock(&k->lock);
	node = k->areas.rb_node;
	while (node && vmap_area_of(node)->start != start)
		node = start < vmap_area_of(node)->start ? node->rb_left : node->rb_right;
	area = vmap_area_of(node);
	found = area && vmap_area_state(area) == VMAP_BUSY && kinds >> area->kind & 1;
	if (found)
		atomic_store_explicit(&area->state, VMAP_PRIVATE, memory_order_relaxed);
	spin_unlock(&k->lock);
	if (!found)
		port_panic("%s: %#lx is no area's start", who, (unsigned long)start);
	return area;
}

void kva_init(vaddr_t start, vaddr_t end)
{
	struct kva_state *k = kzalloc(sizeof(*k), GFP_KERNEL);

	if (!k)
		port_panic("kva_init: no memory");
	spin_lock_init(&k->lock);
	mutex_init(&k->purge_lock);
	INIT_LIST_HEAD(&k->lazy);
	k->start = start;
	k->end = end;
	k->cache = kmem_cache_create("vmap_area", sizeof(struct vmap_area), 0, SLAB_PANIC, NULL);
	machine()->kva = k;
}

bool is_vmalloc_addr(const void *addr)
{
	const struct kva_state *k = kva_state();

	return k && (vaddr_t)(uintptr_t)addr - k->start < k->end - k->start;
}
