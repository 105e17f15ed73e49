/*
 * check.c - looking at kernel addresses: the list of areas for /proc/vmallocinfo, and the invariants.
 *
 *  1. Areas are in order, disjoint, and inside of the range.
 *  2. gap is the distance to the area before; max_gap the largest of the subtree.
 *  3. The lazy areas of the tree are those of the list; lazy_pages is their size; none is PURGING, nor PRIVATE (quiet machine).
 *  4. What a BUSY area says it maps is what the page tables say, page for page; its guard is not mapped.
 *  5. No page of a LAZY area is mapped.
 *  6. nr_vmalloc_pages is the sum over the areas; on_node adds up to each one's pages.
 *  7. The tree of physical ranges holds the ioremapped areas and no other.
 */
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"

/* --- listing ------------------------------------------------------------------------------------- */

static struct vmap_area *first_from(const struct kva_state *k, vaddr_t from)
{
	struct rb_node *node = k->areas.rb_node;
	struct vmap_area *found = NULL;

	while (node) {
		struct vmap_area *area = vmap_area_of(node);

		if (area->start >= from) {
			found = area;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

static void describe(const struct vmap_area *area, enum vmap_state state, struct vmalloc_info *out)
{
	*out = (struct vmalloc_info){
	        .start = area->start,
	        .end = area->end,
	        .kind = state == VMAP_BUSY ? (enum vmalloc_kind)area->kind : VMALLOC_UNPURGED,
	        .caller = area->caller,
	        .pages = area->pages,
	};
	if (out->kind == VMALLOC_IOREMAP)
		out->phys = PHYS(area->phys.start);
	if (out->kind == VMALLOC_ALLOC)
		for (unsigned i = 0; i < MAX_NUMNODES; i++)
			out->on_node[i] = area->on_node[i];
}

bool vmalloc_info_next(vaddr_t from, struct vmalloc_info *out)
{
	struct kva_state *k = kva_state();
	struct vmap_area *area;
	enum vmap_state state;

	spin_lock(&k->lock);
	for (area = first_from(k, from); area; area = vmap_area_of(rb_next(&area->rb))) {
		state = vmap_area_state(area);
		if (state != VMAP_PRIVATE)
			break;
	}
	if (area)
		describe(area, state, out);
	spin_unlock(&k->lock);
	return area != NULL;
}

uint64_t vmalloc_used_pages(void)
{
	return atomic_load_explicit(&kva_state()->nr_vmalloc_pages, memory_order_relaxed);
}

uint64_t vmalloc_chunk_pages(void)
{
	struct kva_state *k = kva_state();
	struct vmap_area *top, *last;
	uint64_t largest;

	spin_lock(&k->lock);
	top = vmap_area_of(k->areas.rb_node);
	last = vmap_area_of(rb_last(&k->areas));
	largest = k->end - (last ? last->end : k->start);
	if (top)
		largest = MAX(largest, top->max_gap);
	spin_unlock(&k->lock);
	return largest >> PAGE_SHIFT;
}

/* --- invariants ---------------------------------------------------------------------------------- */

struct sums {
	uint64_t lazy_pages, nr_lazy, vmalloc_pages, nr_phys;
};

static bool maps(vaddr_t va, uint64_t pfn)
{
	pfn_t found;

	return pt_kernel_frame(va, &found) && found.n == pfn;
}

static bool any_mapped(vaddr_t va, vaddr_t end)
{
	pfn_t unused;

	for (; va < end; va += PAGE_SIZE)
		if (pt_kernel_frame(va, &unused))
			return true;
	return false;
}

static const char *check_frames(const struct vmap_area *area)
{
	uint64_t n = 0, on_nodes = 0;

	for (uint32_t pfn = area->frames.first; pfn != PFN_NONE_N;) {
		const struct page *page = pfn_to_page(PFN(pfn));
		uint64_t pages = page_flag(page, PG_head) ? pt_leaf_span() >> PAGE_SHIFT : 1;

		if (page_count(page) < 1)
			return "kva: a frame of an area is free";
		for (uint64_t i = 0; i < pages; i++, n++)
			if (!maps(area->start + (n << PAGE_SHIFT), pfn + i))
				return "kva: page tables and frames of an area differ";
		pfn = page->lru.next;
	}
	for (unsigned i = 0; i < MAX_NUMNODES; i++)
		on_nodes += area->on_node[i];
	return n == area->pages && n == area->nr_mapped && n == on_nodes ? NULL
	                                                                 : "kva: frames of an area";
}

static const char *check_device(const struct vmap_area *area)
{
	for (uint64_t i = 0; i < area->pages; i++)
		if (!maps(area->start + (i << PAGE_SHIFT), (area->phys.start >> PAGE_SHIFT) + i))
			return "kva: page tables and registers of an area differ";
	return NULL;
}

static const char *check_busy(const struct vmap_area *area, struct sums *sums)
{
	if (area->end - area->start != (area->pages + 1) << PAGE_SHIFT)
		return "kva: size of an area";
	if (any_mapped(area->end - PAGE_SIZE, area->end))
		return "kva: something is mapped in a guard";
	if (area->kind == VMALLOC_ALLOC) {
		sums->vmalloc_pages += area->pages;
		return check_frames(area);
	}
	if (area->kind == VMALLOC_IOREMAP) {
		sums->nr_phys++;
		return check_device(area);
	}
	return NULL;
}

static const char *check_area(const struct vmap_area *area, struct sums *sums)
{
	switch (vmap_area_state(area)) {
	case VMAP_BUSY:
		return check_busy(area, sums);
	case VMAP_LAZY:
		sums->lazy_pages += (area->end - area->start) >> PAGE_SHIFT;
		sums->nr_lazy++;
		return any_mapped(area->start, area->end) ? "kva: mapped, and not in use" : NULL;
	default:
		return "kva: an area is neither in use nor waiting";
	}
}

static const char *check_tree(const struct kva_state *k, struct sums *sums)
{
	const char *broken = rb_check(&k->areas);
	vaddr_t end = k->start;
	struct rb_node *node;

	if (broken)
		return broken;
	rb_for_each(node, &k->areas) {
		struct vmap_area *area = vmap_area_of(node);

		if (area->start < end || area->end > k->end || area->end <= area->start)
			return "kva: areas overlap or leave the range";
		if (area->gap != area->start - end)
			return "kva: gap before an area";
		if (vmap_area_update_gap(node))
			return "kva: largest gap of a subtree";
		broken = check_area(area, sums);
		if (broken)
			return broken;
		end = area->end;
	}
	return NULL;
}

static const char *check_phys(const struct kva_state *k, uint64_t expected)
{
	const char *broken = interval_tree_check(&k->phys);
	struct interval_tree_node *node;
	uint64_t n = 0;

	if (broken)
		return broken;
	interval_for_each(node, &k->phys, 0, UINT64_MAX)
		n++;
	return n == expected ? NULL : "kva: ranges of device memory";
}

static const char *check_locked(const struct kva_state *k)
{
	struct sums sums = {0};
	const char *broken = check_tree(k, &sums);

	if (broken)
		return broken;
	if (sums.lazy_pages != k->lazy_pages || sums.nr_lazy != list_count_nodes(&k->lazy))
		return "kva: areas that wait for a flush";
	if (sums.vmalloc_pages != atomic_load(&k->nr_vmalloc_pages))
		return "kva: pages allocated";
	return check_phys(k, sums.nr_phys);
}

const char *kva_check(void)
{
	struct kva_state *k = kva_state();
	const char *broken;

	spin_lock(&k->lock);
	broken = check_locked(k);
	spin_unlock(&k->lock);
	return broken;
}
