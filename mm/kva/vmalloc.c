/*
 * vmalloc.c - memory that is contiguous only in kernel addresses, and other mappings there.
 *
 * Single frames, from wherever they come, mapped side by side: so 64 MB are had although no two free frames
 * are neighbours. The area keeps its frames in a list through their descriptors, which takes no memory of its own.
 * Frames are freed as soon as their entries are gone; a stale translation reaches them only through a pointer
 * that must not be used any more. The addresses are not given out again before the flush (area.c).
 */
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"

#define VMALLOC_BATCH 32u /* frames mapped or freed in one go: 256 bytes of stack */

static void free_frames(struct page_list *frames)
{
	struct page *batch[VMALLOC_BATCH];
	unsigned n = 0;

	frame_account(FRAME_VMALLOC, -(int64_t)frames->count);
	for (uint32_t pfn = frames->first; pfn != PFN_NONE_N;) {
		batch[n] = pfn_to_page(PFN(pfn));
		pfn = batch[n++]->lru.next;
		if (n == VMALLOC_BATCH || pfn == PFN_NONE_N) {
			release_pages(batch, n);
			n = 0;
		}
	}
	page_list_init(frames);
}

static unsigned alloc_batch(struct page **batch, uint64_t want, gfp_t gfp)
{
	unsigned n = 0;

	while (n < want && n < VMALLOC_BATCH) {
		batch[n] = alloc_page(gfp);
		if (!batch[n])
			break;
		n++;
	}
	return n;
}

/* All frames of the area, mapped. False: out of memory; what was done is in area->frames and is mapped. */
static bool populate(struct vmap_area *area, gfp_t gfp)
{
	struct page *batch[VMALLOC_BATCH];

	while (area->frames.count < area->pages) {
		vaddr_t va = area->start + (area->frames.count << PAGE_SHIFT);
		unsigned n = alloc_batch(batch, area->pages - area->frames.count, gfp);

		if (!n)
			return false;
		if (pt_map_kernel(va, batch, n, MMU_READ | MMU_WRITE)) {
			release_pages(batch, n);
			return false;
		}
		for (unsigned i = 0; i < n; i++)
			page_list_add_tail(&area->frames, batch[i]);
		frame_account(FRAME_VMALLOC, n);
		if (area->frames.count % (VMALLOC_BATCH * 16) == 0)
			port_cond_resched();
	}
	return true;
}

/* Entries first, then frames, then, some time, the addresses. */
static void vmap_release(struct vmap_area *area)
{
	pt_unmap_kernel(area->start, area->pages);
	free_frames(&area->frames);
	vmap_area_free_lazy(area);
}

static void *vmalloc_gfp(size_t size, gfp_t gfp)
{
	uint64_t pages = PAGES_OF(size);
	struct vmap_area *area;

	if (size > SIZE_MAX - PAGE_SIZE || pages > totalram_pages())
		return NULL;
	area = vmap_area_alloc(pages);
	if (!area)
		return NULL;
	if (populate(area, gfp))
		return (void *)(uintptr_t)area->start;
	vmap_release(area);
	return NULL;
}

void *vmalloc(size_t size)
{
	return vmalloc_gfp(size, GFP_KERNEL);
}

void *vzalloc(size_t size)
{
	return vmalloc_gfp(size, GFP_KERNEL | __GFP_ZERO);
}

static void *map_area(struct page **pages, phys_t phys, uint64_t n, unsigned mmu_bits)
{
	struct vmap_area *area = vmap_area_alloc(n);
	int error;

	if (!area)
		return NULL;
	error = pages ? pt_map_kernel(area->start, pages, n, mmu_bits)
	              : pt_map_kernel_phys(area->start, phys, n, mmu_bits);
	if (!error)
		return (void *)(uintptr_t)area->start;
	vmap_area_free_lazy(area);
	return NULL;
}

void *vmap(struct page **pages, unsigned n, unsigned mmu_bits)
{
	return map_area(pages, PHYS(0), n, mmu_bits);
}

static void release_at(const void *addr, const char *who)
{
	struct vmap_area *area = vmap_area_find((vaddr_t)(uintptr_t)addr);

	if (!area)
		port_panic("%s: %#lx is no area's start", who, (unsigned long)(uintptr_t)addr);
	vmap_release(area);
}

void vfree(void *addr)
{
	if (addr)
		release_at(addr, "vfree");
}

void vunmap(void *addr)
{
	if (addr)
		release_at(addr, "vunmap");
}

void *ioremap(phys_t phys, size_t size)
{
	uint64_t offset = phys.a & (PAGE_SIZE - 1);
	char *va;

	if (!size || phys.a + size < phys.a)
		return NULL;
	va = map_area(NULL, PHYS(phys.a - offset), PAGES_OF(offset + size),
	              MMU_READ | MMU_WRITE | MMU_UNCACHED);
	return va ? va + offset : NULL;
}

void iounmap(void *addr)
{
	if (addr)
		release_at((void *)((uintptr_t)addr & PAGE_MASK), "iounmap");
}

struct page *vmalloc_to_page(const void *addr)
{
	pte_t entry = pt_kernel_entry((vaddr_t)(uintptr_t)addr & PAGE_MASK);

	return is_vmalloc_addr(addr) && pte_present(entry) ? pfn_to_page(pte_pfn(entry)) : NULL;
}

/* Physically contiguous if that is easily had: a large block is not worth reclaim. */
void *kvmalloc(size_t size, gfp_t gfp)
{
	void *p = kmalloc(size, size > PAGE_SIZE ? gfp | __GFP_NORETRY | __GFP_NOWARN : gfp);

	if (p || size <= PAGE_SIZE || !(gfp & __GFP_DIRECT_RECLAIM))
		return p;
	return vmalloc_gfp(size, gfp);
}

void kvfree(void *p)
{
	if (is_vmalloc_addr(p))
		vfree(p);
	else
		kfree(p);
}
