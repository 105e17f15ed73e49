/*
 * area.c - which kernel addresses are taken.
 *
 *      start                                                    end
 *        |  [area A |g]      gap of B      [area B |g][area C |g] |
 *
 * A red-black tree of the areas in address order; each knows the free gap before it, and each subtree
 * its largest. So the lowest gap that is large enough is found on one way down. The gap behind the last area
 * belongs to nobody and is looked at last. g: a guard page, never mapped, so that running over the end faults.
 *
 * Unmapping is lazy. The entries go at once, but TLBs are told later and for many areas in one flush; until then
 * the addresses stay taken. Not more than LAZY_MAX_PAGES or LAZY_MAX_AREAS wait, and a search that finds no room flushes
 * first.
 */
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"

#define LAZY_MAX_PAGES 8192u /* 32 MB of addresses */
#define LAZY_MAX_AREAS 256u

static struct vmap_area *area_of(struct rb_node *node)
{
	return rb_entry_safe(node, struct vmap_area, rb);
}

static uint64_t max_gap(struct rb_node *node)
{
	return node ? area_of(node)->max_gap : 0;
}

static bool update_gap(struct rb_node *node)
{
	struct vmap_area *area = area_of(node);
	uint64_t max = MAX(area->gap, MAX(max_gap(node->rb_left), max_gap(node->rb_right)));
	bool changed = max != area->max_gap;

	area->max_gap = max;
	return changed;
}

static void set_gap(struct vmap_area *area, uint64_t gap)
{
	area->gap = gap;
	rb_propagate(&area->rb, update_gap);
}

/* The lowest area with a gap of at least size before it, or NULL. */
static struct vmap_area *find_gap(const struct kva_state *k, uint64_t size)
{
	struct rb_node *node = k->areas.rb_node;

	if (max_gap(node) < size)
		return NULL;
	for (;;) {
		if (max_gap(node->rb_left) >= size)
			node = node->rb_left;
		else if (area_of(node)->gap >= size)
			return area_of(node);
		else
			node = node->rb_right;
	}
}

static void insert(struct kva_state *k, struct vmap_area *area, struct rb_node *parent,
                   struct rb_node **link)
{
	area->gap = 0;
	area->max_gap = 0;
	rb_link_node(&area->rb, parent, link);
	rb_insert_augmented(&area->rb, &k->areas, update_gap);
}

/* At the beginning of the gap before `next`. */
static void insert_before(struct kva_state *k, struct vmap_area *area, struct vmap_area *next,
                          uint64_t size)
{
	struct rb_node *parent = &next->rb, **link = &parent->rb_left;

	area->start = next->start - next->gap;
	area->end = area->start + size;
	set_gap(next, next->gap - size);
	while (*link) {
		parent = *link;
		link = &parent->rb_right;
	}
	insert(k, area, parent, link);
}

static bool insert_last(struct kva_state *k, struct vmap_area *area, uint64_t size)
{
	struct vmap_area *last = area_of(rb_last(&k->areas));
	vaddr_t start = last ? last->end : k->start;

	if (k->end - start < size)
		return false;
	area->start = start;
	area->end = start + size;
	insert(k, area, last ? &last->rb : NULL, last ? &last->rb.rb_right : &k->areas.rb_node);
	return true;
}

static bool place(struct kva_state *k, struct vmap_area *area, uint64_t size)
{
	struct vmap_area *next = find_gap(k, size);

	if (!next)
		return insert_last(k, area, size);
	insert_before(k, area, next, size);
	return true;
}

static void erase(struct kva_state *k, struct vmap_area *area)
{
	struct vmap_area *next = area_of(rb_next(&area->rb));

	rb_erase_augmented(&area->rb, &k->areas, update_gap);
	if (next)
		set_gap(next, next->gap + (area->end - area->start) + area->gap);
	kmem_cache_free(k->cache, area);
}

/* One flush for all that wait. */
static void purge_lazy(struct kva_state *k)
{
	vaddr_t start = UINT64_MAX, end = 0;
	struct vmap_area *area, *next;

	if (list_empty(&k->lazy))
		return;
	list_for_each_entry(area, &k->lazy, lazy) {
		start = MIN(start, area->start);
		end = MAX(end, area->end);
	}
	mmu_flush_kernel_range(start, end);
	list_for_each_entry_safe(area, next, &k->lazy, lazy)
		erase(k, area);
	INIT_LIST_HEAD(&k->lazy);
	k->lazy_pages = 0;
	k->nr_lazy = 0;
}

void vm_unmap_aliases(void)
{
	struct kva_state *k = kva_state();

	mutex_lock(&k->lock);
	purge_lazy(k);
	mutex_unlock(&k->lock);
}

struct vmap_area *vmap_area_alloc(uint64_t pages)
{
	struct kva_state *k = kva_state();
	uint64_t size = (pages + 1) << PAGE_SHIFT;
	struct vmap_area *area;
	bool placed = false;

	if (!pages || size > k->end - k->start)
		return NULL;
	area = kmem_cache_alloc(k->cache, GFP_KERNEL);
	if (!area)
		return NULL;
	area->pages = pages;
	page_list_init(&area->frames);
	mutex_lock(&k->lock);
	placed = place(k, area, size);
	if (unlikely(!placed)) {
		purge_lazy(k);
		placed = place(k, area, size);
	}
	if (placed)
		k->used_pages += pages;
	mutex_unlock(&k->lock);
	trace_alloc_vmap_area(placed ? area->start : 0, size, PAGE_SIZE, k->start, k->end, !placed);
	if (!placed) {
		kmem_cache_free(k->cache, area);
		return NULL;
	}
	return area;
}

void vmap_area_free_lazy(struct vmap_area *area)
{
	struct kva_state *k = kva_state();

	trace_vunmap(area->start, area->pages << PAGE_SHIFT);
	mutex_lock(&k->lock);
	k->used_pages -= area->pages;
	list_add_tail(&area->lazy, &k->lazy);
	area->pages = 0;
	k->lazy_pages += (area->end - area->start) >> PAGE_SHIFT;
	k->nr_lazy++;
	if (k->lazy_pages > LAZY_MAX_PAGES || k->nr_lazy > LAZY_MAX_AREAS)
		purge_lazy(k);
	mutex_unlock(&k->lock);
}

/* The area in use that begins at start, or NULL. */
struct vmap_area *vmap_area_find(vaddr_t start)
{
	struct kva_state *k = kva_state();
	struct rb_node *node;

	mutex_lock(&k->lock);
	node = k->areas.rb_node;
	while (node && area_of(node)->start != start)
		node = start < area_of(node)->start ? node->rb_left : node->rb_right;
	mutex_unlock(&k->lock);
	return node && area_of(node)->pages ? area_of(node) : NULL;
}

void kva_init(vaddr_t start, vaddr_t end)
{
	struct kva_state *k = kzalloc(sizeof(*k), GFP_KERNEL);

	if (!k)
		port_panic("kva_init: no memory");
	mutex_init(&k->lock);
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

void vmalloc_for_each(void (*show)(vaddr_t start, size_t size, unsigned pages, void *ctx),
                      void *ctx)
{
	struct kva_state *k = kva_state();
	struct rb_node *node;

	mutex_lock(&k->lock);
	rb_for_each(node, &k->areas) {
		struct vmap_area *area = area_of(node);

		if (area->pages)
			show(area->start, (size_t)(area->end - area->start), (unsigned)area->pages,
			     ctx);
	}
	mutex_unlock(&k->lock);
}

uint64_t vmalloc_used_pages(void)
{
	return READ_ONCE(kva_state()->used_pages);
}

static const char *check_areas(const struct kva_state *k)
{
	uint64_t used = 0, lazy = 0;
	vaddr_t end = k->start;
	struct rb_node *node;

	rb_for_each(node, &k->areas) {
		struct vmap_area *area = area_of(node);

		if (area->start < end || area->end > k->end || area->end <= area->start)
			return "kva: areas overlap or leave the range";
		if (area->gap != area->start - end)
			return "kva: gap before an area";
		if (update_gap(node))
			return "kva: largest gap of a subtree";
		if (area->frames.count && area->frames.count != area->pages)
			return "kva: frames of an area";
		if (area->pages)
			used += area->pages;
		else
			lazy += (area->end - area->start) >> PAGE_SHIFT;
		end = area->end;
	}
	return used == k->used_pages && lazy == k->lazy_pages ? NULL
	                                                      : "kva: pages in use, pages to flush";
}

const char *kva_check(void)
{
	struct kva_state *k = kva_state();
	const char *broken;

	mutex_lock(&k->lock);
	broken = rb_check(&k->areas);
	if (!broken)
		broken = check_areas(k);
	mutex_unlock(&k->lock);
	return broken;
}
