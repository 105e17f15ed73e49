/*
 * ioremap.c - device registers and device memory at kernel addresses.
 *
 * A mapping says how the processor may cache what is behind it, and two mappings of the same bytes that differ
 * in that are undefined on x86-64 (Intel SDM vol. 3, 11.12.4): a line that one of them has cached hides what the other
 * writes. So
 *
 *  - RAM, which the direct map has cached, is refused, by the list of memory ranges;
 *  - of device memory the mapped ranges are known, in an interval tree by physical address, and the
 *    first mapping of a range decides:
 *
 *        asked for          found: cached    write-combining    UC-        UC
 *        cached             cached           write-combining    UC-        UC
 *        write-combining    refused          write-combining    UC-        UC
 *        UC-, UC            refused          write-combining    UC-        UC
 *
 * That is, a driver may get a stricter attribute than it asked for, or gathered writes, but never a cache behind its back. These
 * are Linux's rules (Documentation/x86/pat.rst). A range over two that differ is refused.
 *
 * Ranges need not be aligned: whole pages are mapped, and the address returned has the offset of the one given. Large ranges
 * that begin at a large page's border are mapped by large pages.
 */
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"

static bool is_ram(uint64_t start, uint64_t end)
{
	const struct memblock *mb = &machine()->memblock;

	for (unsigned i = 0; i < mb->nr_memory; i++)
		if (mb->memory[i].start < end && start < mb->memory[i].end)
			return true;
	return false;
}

static struct vmap_area *area_of_phys(struct interval_tree_node *node)
{
	return container_of(node, struct vmap_area, phys);
}

/* What the mappings of [start, last] that are there make of the wish; false: they cannot be reconciled. (K) */
static bool agree_on_cache_bits(const struct kva_state *k, uint64_t start, uint64_t last,
                                unsigned *bits)
{
	struct interval_tree_node *first = interval_tree_iter_first(&k->phys, start, last), *node;
	unsigned found;

	if (!first)
		return true;
	found = area_of_phys(first)->cache_bits;
	for (node = first; node; node = interval_tree_iter_next(node, start, last))
		if (area_of_phys(node)->cache_bits != found)
			return false;
	if (!found && *bits)
		return false;
	*bits = found;
	return true;
}

/* The range and its attribute are known from here on, before anything is mapped. */
static bool reserve_phys(struct vmap_area *area, uint64_t start, unsigned bits)
{
	struct kva_state *k = kva_state();
	bool agreed;

	area->phys.start = start;
	area->phys.last = start + (area->pages << PAGE_SHIFT) - 1;
	spin_lock(&k->lock);
	agreed = agree_on_cache_bits(k, area->phys.start, area->phys.last, &bits);
	if (agreed) {
		area->cache_bits = bits;
		interval_tree_insert(&area->phys, &k->phys);
	}
	spin_unlock(&k->lock);
	return agreed;
}

static void free_phys(struct vmap_area *area)
{
	struct kva_state *k = kva_state();

	spin_lock(&k->lock);
	interval_tree_remove(&area->phys, &k->phys);
	spin_unlock(&k->lock);
}

static bool map_area(struct vmap_area *area, uint64_t start, unsigned bits)
{
	if (!reserve_phys(area, start, bits)) {
		port_log("ioremap: %#lx is mapped already with another cache attribute: refused",
		         (unsigned long)start);
		return false;
	}
	if (!pt_map_kernel_phys(area->start, PHYS(start), area->pages,
	                        MMU_READ | MMU_WRITE | area->cache_bits, GFP_KERNEL))
		return true;
	free_phys(area);
	return false;
}

static void *ioremap_caller(phys_t phys, size_t size, unsigned bits, const void *caller)
{
	const struct kva_state *k = kva_state();
	uint64_t offset = phys.a & (PAGE_SIZE - 1), start = phys.a - offset;
	const struct vmap_request request = {
	        .pages = PAGES_OF(offset + size),
	        .align = start & (pt_leaf_span() - 1) || size < pt_leaf_span() ? PAGE_SIZE
	                                                                       : pt_leaf_span(),
	        .start = k->start,
	        .end = k->end,
	        .kind = VMALLOC_IOREMAP,
	        .caller = caller,
	        .gfp = GFP_KERNEL,
	};
	struct vmap_area *area;

	if (!size || phys.a + size < phys.a || (phys.a + size - 1) >> PAGE_SHIFT >= PFN_NONE_N)
		return NULL;
	if (is_ram(start, phys.a + size)) {
		port_log("ioremap: %#lx is RAM: refused", (unsigned long)phys.a);
		return NULL;
	}
	area = vmap_area_alloc(&request);
	if (!area)
		return NULL;
	if (!map_area(area, start, bits)) {
		vmap_area_free_lazy(area);
		return NULL;
	}
	vmap_area_publish(area);
	return (char *)(uintptr_t)area->start + offset;
}

void *ioremap(phys_t phys, size_t size)
{
	return ioremap_caller(phys, size, MMU_UNCACHED_MINUS, __builtin_return_address(0));
}

void *ioremap_uc(phys_t phys, size_t size)
{
	return ioremap_caller(phys, size, MMU_UNCACHED, __builtin_return_address(0));
}

void *ioremap_wc(phys_t phys, size_t size)
{
	return ioremap_caller(phys, size, MMU_WRITE_COMBINING, __builtin_return_address(0));
}

void *ioremap_cache(phys_t phys, size_t size)
{
	return ioremap_caller(phys, size, 0, __builtin_return_address(0));
}

void iounmap(void *addr)
{
	struct vmap_area *area;

	if (!addr)
		return;
	area = vmap_area_take((void *)((uintptr_t)addr & PAGE_MASK), 1u << VMALLOC_IOREMAP,
	                      "iounmap");
	pt_unmap_kernel(area->start, area->pages);
	free_phys(area);
	vmap_area_free_lazy(area);
}
