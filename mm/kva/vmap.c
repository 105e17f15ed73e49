/*
 * vmap.c - other people's frames side by side in kernel addresses.
 *
 *     addresses    | A | C | B |g|
 *                    |    \ /           the frames stay the caller's, who keeps a reference to each
 *     frames        [A] .. [B][C]       for as long as they are mapped here
 *
 * Each frame has another mapping in the direct map, which is cached. Two mappings of one frame that differ in that are
 * undefined on x86-64 (Intel SDM vol. 3, 11.12.4), so a cache attribute is refused here; device memory
 * is ioremap.c's.
 */
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"

void *vmap(struct page **pages, unsigned n, unsigned mmu_bits)
{
	const struct kva_state *k = kva_state();
	const struct vmap_request request = {
	        .pages = n,
	        .align = PAGE_SIZE,
	        .start = k->start,
	        .end = k->end,
	        .kind = VMALLOC_MAP,
	        .caller = __builtin_return_address(0),
	        .gfp = GFP_KERNEL,
	};
	struct vmap_area *area;

	if (mmu_bits & MMU_CACHE_BITS) {
		port_log("vmap: frame %#x is RAM and stays cached: refused", page_to_pfn(*pages).n);
		return NULL;
	}
	area = vmap_area_alloc(&request);
	if (!area)
		return NULL;
	if (pt_map_kernel(area->start, pages, n, mmu_bits, GFP_KERNEL)) {
		vmap_area_free_lazy(area);
		return NULL;
	}
	vmap_area_publish(area);
	return (void *)(uintptr_t)area->start;
}

void vunmap(void *addr)
{
	struct vmap_area *area;

	if (!addr)
		return;
	area = vmap_area_take(addr, 1u << VMALLOC_MAP, "vunmap");
	pt_unmap_kernel(area->start, area->pages);
	vmap_area_free_lazy(area);
}

struct page *vmalloc_to_page(const void *addr)
{
	pfn_t pfn;

	if (!is_vmalloc_addr(addr) || !pt_kernel_frame((vaddr_t)(uintptr_t)addr, &pfn) ||
	    pfn.n >= machine()->max_pfn)
		return NULL;
	return pfn_to_page(pfn);
}
