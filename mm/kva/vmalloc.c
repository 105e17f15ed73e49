/*
 * vmalloc.c - memory that is contiguous only in kernel addresses.
 *
 *     addresses   |   |   |   |   |   |  2 MB  |  2 MB  |   |g|     g: guard, never mapped
 *                   |    \ /    |   |      |        |     |
 *                   |     X     |   |      |        |     |
 *     frames      [ ] ... [ ][ ] ... [ ]  [ order 9 ] ... [ ]
 *
 * Single frames, from wherever they come, mapped side by side: so 64 MB are had although no two free frames
 * are neighbours. Where an area covers a large page's addresses from end to end and a block of that size is free, the block
 * is taken instead: one entry and one TLB slot in place of 512. Nobody waits for such a block and nothing is rounded up
 * to it.
 *
 * The area keeps its frames in a list through their descriptors, which takes no memory of its own: a single frame, or
 * the head of a large page, which is a compound page. Frames are freed as soon as their entries are gone; a
 * stale translation reaches them only through a pointer that must not be used any more. The addresses are not
 * given out again before the flush (purge.c).
 *
 * High memory will do, where there is such: its frames get an address here.
 *
 * Mapping and unmapping sleep: tables are allocated, other CPUs are waited for. Who cannot sleep leaves the area
 * to vfree_atomic(), which links it through its first word, and the next caller that can sleep frees it.
 *
 * Source: lectures 001 (Noncontiguous memory), 002 (vmalloc), 004.
 */
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"

#define VMALLOC_BATCH 32u /* frames mapped or freed in one go: 256 bytes of stack */

static struct page *alloc_pages_huge(const struct vmap_request *r)
{
	const gfp_t retry = __GFP_NOFAIL | __GFP_RETRY_MAYFAIL | __GFP_DIRECT_RECLAIM;
	unsigned order = mmu_shift(PT_HUGE) - PAGE_SHIFT;

	if (order >= MAX_ORDER)
		return NULL;
	return alloc_pages_node(r->nid, (r->frames_gfp & ~retry) | __GFP_COMP | __GFP_NOWARN,
	                        order);
}

/* --- freeing ------------------------------------------------------------------------------------- */

static void free_frames(struct page_list *frames)
{
	struct page *batch[VMALLOC_BATCH];
	unsigned n = 0;

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

/* Entries first, then frames, then, some time, the addresses. */
static void free_area(struct vmap_area *area)
{
	pt_unmap_kernel(area->start, area->nr_mapped);
	frame_account(FRAME_VMALLOC, -(int64_t)area->nr_mapped);
	atomic_fetch_sub_explicit(&kva_state()->nr_vmalloc_pages, area->nr_mapped,
	                          memory_order_relaxed);
	free_frames(&area->frames);
	vmap_area_free_lazy(area);
}

static void free_at(void *addr)
{
	free_area(vmap_area_take(addr, 1u << VMALLOC_ALLOC, "vfree"));
}

static NOINLINE void free_deferred(struct kva_state *k)
{
	void *addr = atomic_exchange_explicit(&k->deferred, NULL, memory_order_acquire);

	while (addr) {
		void *next = *(void **)addr;

		free_at(addr);
		addr = next;
	}
}

/* What is left over from those who could not sleep. */
static void take_over_deferred(void)
{
	struct kva_state *k = kva_state();

	if (unlikely(atomic_load_explicit(&k->deferred, memory_order_relaxed)))
		free_deferred(k);
}

void vfree_atomic(void *addr)
{
	struct kva_state *k = kva_state();
	void *first = atomic_load_explicit(&k->deferred, memory_order_relaxed);

	if (!addr)
		return;
	do
		*(void **)addr = first;
	while (!atomic_compare_exchange_weak_explicit(&k->deferred, &first, addr,
	                                              memory_order_release, memory_order_relaxed));
}

void vfree(void *addr)
{
	if (!addr)
		return;
	if (unlikely(in_interrupt() || irqs_disabled())) {
		vfree_atomic(addr);
		return;
	}
	free_at(addr);
	take_over_deferred();
}

void vm_unmap_aliases(void)
{
	take_over_deferred();
	purge_vmap_area_lazy();
}

/* --- allocating ---------------------------------------------------------------------------------- */

static void area_takes(struct vmap_area *area, struct page *page, uint64_t pages)
{
	page_list_add_tail(&area->frames, page);
	area->nr_mapped += pages;
	area->on_node[page_to_nid(page)] += (uint32_t)pages;
}

static vaddr_t next_address(const struct vmap_area *area)
{
	return area->start + (area->nr_mapped << PAGE_SHIFT);
}

/* The rest of the area has room for a large page at the next address. */
static bool huge_fits(const struct vmap_area *area)
{
	vaddr_t va = next_address(area), end = area->start + (area->pages << PAGE_SHIFT);

	return !(va & (pt_leaf_span() - 1)) && end - va >= pt_leaf_span() && pt_has_huge();
}

/* The first large page of an area clears the way for all: the tables go with one flush. */
static bool populate_huge(struct vmap_area *area, const struct vmap_request *r, bool *cleared)
{
	vaddr_t va = next_address(area);
	struct page *page = alloc_pages_huge(r);

	if (!page)
		return false;
	if (!*cleared)
		pt_drop_kernel_tables(va, area->start + (area->pages << PAGE_SHIFT));
	*cleared = true;
	if (pt_map_kernel_huge(va, page_to_phys(page), MMU_READ | MMU_WRITE, r->gfp)) {
		put_page(page);
		return false;
	}
	area_takes(area, page, pt_leaf_span() >> PAGE_SHIFT);
	count(VMALLOC_HUGE);
	return true;
}

static unsigned alloc_batch(struct page **batch, uint64_t want, const struct vmap_request *r)
{
	unsigned n = 0;

	while (n < want && n < VMALLOC_BATCH) {
		batch[n] = alloc_pages_node(r->nid, r->frames_gfp, 0);
		if (!batch[n])
			break;
		n++;
	}
	return n;
}

/* Up to a batch of single frames, not beyond the next place for a large page. */
static bool populate_small(struct vmap_area *area, const struct vmap_request *r)
{
	struct page *batch[VMALLOC_BATCH];
	vaddr_t va = next_address(area);
	vaddr_t end = pt_leaf_end(va, area->start + (area->pages << PAGE_SHIFT));
	unsigned n = alloc_batch(batch, (end - va) >> PAGE_SHIFT, r);

	if (!n)
		return false;
	if (pt_map_kernel(va, batch, n, MMU_READ | MMU_WRITE, r->gfp)) {
		release_pages(batch, n);
		return false;
	}
	for (unsigned i = 0; i < n; i++)
		area_takes(area, batch[i], 1);
	return true;
}

/* All frames of the area, mapped. False: out of memory; what was done is in area->frames and is mapped. */
static bool populate(struct vmap_area *area, const struct vmap_request *r)
{
	bool cleared = false, done = true;

	page_list_init(&area->frames);
	area->nr_mapped = 0;
	for (unsigned i = 0; i < MAX_NUMNODES; i++)
		area->on_node[i] = 0;
	for (unsigned rounds = 1; done && area->nr_mapped < area->pages; rounds++) {
		done = (huge_fits(area) && populate_huge(area, r, &cleared)) ||
		       populate_small(area, r);
		if (rounds % 16 == 0)
			port_cond_resched();
	}
	frame_account(FRAME_VMALLOC, (int64_t)area->nr_mapped);
	atomic_fetch_add_explicit(&kva_state()->nr_vmalloc_pages, area->nr_mapped,
	                          memory_order_relaxed);
	return done;
}

static void *try_vmalloc(const struct vmap_request *request)
{
	struct vmap_area *area = vmap_area_alloc(request);

	if (!area)
		return NULL;
	if (likely(populate(area, request))) {
		vmap_area_publish(area);
		return (void *)(uintptr_t)area->start;
	}
	free_area(area);
	return NULL;
}

static void *vmalloc_from(size_t size, vaddr_t start, vaddr_t end, gfp_t gfp, int nid,
                          const void *caller)
{
	struct vmap_request request = {
	        .pages = PAGES_OF(size),
	        .align = PAGE_SIZE,
	        .start = start,
	        .end = end,
	        .kind = VMALLOC_ALLOC,
	        .caller = caller,
	        .gfp = gfp & VMAP_HOW,
	        .frames_gfp = gfp,
	        .nid = nid,
	};
	void *p;

	if (!(gfp & (__GFP_DMA | __GFP_DMA32)))
		request.frames_gfp |= __GFP_HIGHMEM;
	if (unlikely(in_interrupt()))
		port_panic("vmalloc in an interrupt");
	if (!size || size > SIZE_MAX - PAGE_SIZE || request.pages > totalram_pages())
		return NULL;
	if (size >= pt_leaf_span() && pt_has_huge())
		request.align = pt_leaf_span();
	take_over_deferred();
	while (!(p = try_vmalloc(&request)) && gfp & __GFP_NOFAIL)
		port_cond_resched();
	return p;
}

/* Anywhere in the range of kernel addresses. */
static void *vmalloc_anywhere(size_t size, gfp_t gfp, int nid, const void *caller)
{
	return vmalloc_from(size, kva_state()->start, kva_state()->end, gfp, nid, caller);
}

void *vmalloc(size_t size)
{
	return vmalloc_anywhere(size, GFP_KERNEL, -1, __builtin_return_address(0));
}

void *vzalloc(size_t size)
{
	return vmalloc_anywhere(size, GFP_KERNEL | __GFP_ZERO, -1, __builtin_return_address(0));
}

void *__vmalloc(size_t size, gfp_t gfp)
{
	return vmalloc_anywhere(size, gfp, -1, __builtin_return_address(0));
}

void *vmalloc_node(size_t size, int nid)
{
	return vmalloc_anywhere(size, GFP_KERNEL, nid, __builtin_return_address(0));
}

void *vzalloc_node(size_t size, int nid)
{
	return vmalloc_anywhere(size, GFP_KERNEL | __GFP_ZERO, nid, __builtin_return_address(0));
}

/* A machine with high memory has no DMA32: all its memory lies so low. */
void *vmalloc_32(size_t size)
{
	const gfp_t zone = machine()->config.lowmem_end ? 0 : __GFP_DMA32;

	return vmalloc_anywhere(size, GFP_KERNEL | zone, -1, __builtin_return_address(0));
}

void *vmalloc_range(size_t size, vaddr_t start, vaddr_t end, gfp_t gfp)
{
	return vmalloc_from(size, start, end, gfp, -1, __builtin_return_address(0));
}

/* --- either -------------------------------------------------------------------------------------- */

/* Physically contiguous if that is easily had: a large block is not worth reclaim, let alone waiting for ever. */
static gfp_t kmalloc_flags(size_t size, gfp_t gfp)
{
	if (size <= PAGE_SIZE)
		return gfp;
	gfp = (gfp & ~__GFP_NOFAIL) | __GFP_NOWARN;
	return gfp & __GFP_RETRY_MAYFAIL ? gfp : gfp | __GFP_NORETRY;
}

void *kvmalloc(size_t size, gfp_t gfp)
{
	void *p = kmalloc(size, kmalloc_flags(size, gfp));

	if (p || size <= PAGE_SIZE || !(gfp & __GFP_DIRECT_RECLAIM))
		return p;
	return vmalloc_anywhere(size, gfp, -1, __builtin_return_address(0));
}

void kvfree(void *p)
{
	if (is_vmalloc_addr(p))
		vfree(p);
	else
		kfree(p);
}
