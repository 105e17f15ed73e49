/*
 * vmalloc_test.c - areas of kernel addresses: contents, guards, reuse, scattered frames.
 */
#include "mm/kva/internal.h"
#include "lib/string.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/trace.h>

UNIT_TEST(contents_and_frames)
{
	uint64_t free, used = vmalloc_used_pages();
	uint32_t *p;

	vfree(vmalloc(PAGE_SIZE)); /* tables, slabs */
	free = nr_free_pages();
	p = vmalloc(100 * PAGE_SIZE + 1);
	CHECK(p);
	CHECK(is_vmalloc_addr(p));
	CHECK_EQ((uintptr_t)p % PAGE_SIZE, 0);
	CHECK_EQ(vmalloc_used_pages(), used + 101);
	for (uint32_t i = 0; i < 101 * 1024; i++)
		p[i] = i;
	for (uint32_t i = 0; i < 101; i++) {
		struct page *page = vmalloc_to_page(p + i * 1024);

		CHECK(page);
		CHECK_EQ(*(uint32_t *)page_address(page), i * 1024);
	}
	CHECK_EQ(vmalloc_to_page(p + 101 * 1024), NULL); /* the guard */
	CHECK_SOUND(kva_check());
	vfree(p);
	CHECK_SOUND(kva_check());
	CHECK_EQ(vmalloc_used_pages(), used);
	CHECK_GE(nr_free_pages() + 2, free); /* a leaf table may have come to stay */
	vfree(NULL);
}

UNIT_TEST(zeroed)
{
	uint8_t *p = vmalloc(3 * PAGE_SIZE);

	CHECK(p);
	memset(p, 0xee, 3 * PAGE_SIZE);
	vfree(p);
	p = vzalloc(3 * PAGE_SIZE);
	CHECK(p);
	for (size_t i = 0; i < 3 * PAGE_SIZE; i++)
		CHECK_EQ(p[i], 0);
	vfree(p);
}

UNIT_TEST(impossible_sizes)
{
	CHECK_EQ(vmalloc(0), NULL);
	CHECK_EQ(vmalloc(SIZE_MAX), NULL);
	CHECK_EQ(vmalloc((totalram_pages() + 1) * PAGE_SIZE), NULL);
	CHECK_EQ(ioremap(PHYS(4096), 0), NULL);
	CHECK_SOUND(kva_check());
}

UNIT_TEST(vmap_shows_frames_twice)
{
	struct page *pages[5];
	uint64_t *p;

	for (unsigned i = 0; i < 5; i++)
		CHECK(pages[i] = alloc_page(GFP_KERNEL));
	p = vmap(pages, 5, MMU_READ | MMU_WRITE);
	CHECK(p);
	for (unsigned i = 0; i < 5; i++) {
		p[i * 512] = i + 1000;
		CHECK_EQ(*(uint64_t *)page_address(pages[i]), i + 1000);
	}
	vunmap(p);
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(page_count(pages[i]), 1);
		put_page(pages[i]);
	}
	CHECK_SOUND(kva_check());
}

UNIT_TEST(ioremap_keeps_the_offset)
{
	struct page *page = alloc_page(GFP_KERNEL);
	uint8_t *p;

	CHECK(page);
	p = ioremap(PHYS(page_to_phys(page).a + 0x123), 16);
	CHECK(p);
	CHECK_EQ((uintptr_t)p % PAGE_SIZE, 0x123);
	*p = 77;
	CHECK_EQ(*((uint8_t *)page_address(page) + 0x123), 77);
	iounmap(p);
	put_page(page);
	CHECK_SOUND(kva_check());
}

UNIT_TEST(kvmalloc_falls_back)
{
	void *small = kvmalloc(100, GFP_KERNEL),
	     *large = kvmalloc(5 << 20, GFP_KERNEL | __GFP_ZERO);

	CHECK(small && large);
	CHECK(!is_vmalloc_addr(small));
	CHECK(is_vmalloc_addr(large)); /* more than 4 MB: no block of frames is that large */
	kvfree(small);
	kvfree(large);
	kvfree(NULL);
}

/* --- random areas: order, gaps, reuse --------------------------------------------------------------- */

#define AREAS 64

UNIT_TEST(random_areas)
{
	static struct {
		uint64_t *p;
		size_t pages;
	} area[AREAS];
	struct random *r = unit_random();

	for (unsigned n = 0; n < 4000; n++) {
		unsigned i = (unsigned)random_below(r, AREAS);

		if (area[i].p) {
			CHECK_EQ(area[i].p[0], i);
			CHECK_EQ(area[i].p[area[i].pages * 512 - 1], i);
			vfree(area[i].p);
			area[i].p = NULL;
		} else {
			area[i].pages = 1 + random_below(r, 9);
			area[i].p = vmalloc(area[i].pages * PAGE_SIZE);
			CHECK(area[i].p);
			area[i].p[0] = area[i].p[area[i].pages * 512 - 1] = i;
		}
		if (n % 64 == 0)
			CHECK_SOUND(kva_check());
	}
	for (unsigned i = 0; i < AREAS; i++) {
		vfree(area[i].p);
		area[i].p = NULL;
	}
	CHECK_SOUND(kva_check());
}

/* Many frees, few flushes. */
UNIT_TEST(unmapping_is_lazy_and_bounded)
{
	struct kva_state *k = kva_state();
	unsigned most = 0;

	for (unsigned i = 0; i < 1000; i++) {
		void *p = vmalloc(PAGE_SIZE);

		CHECK(p);
		vfree(p);
		most = MAX(most, k->nr_lazy);
	}
	CHECK_GT(most, 100);
	CHECK_LE(most, 256);
	vm_unmap_aliases();
	CHECK_EQ(k->nr_lazy, 0);
	CHECK_SOUND(kva_check());
}

/* A quarter of memory, when every second frame is taken and so no two free frames are neighbours. */
UNIT_TEST(scattered_frames_are_enough)
{
	uint64_t want = nr_free_pages() / 4, free = nr_free_pages();
	uint32_t taken = PFN_NONE_N, *p;
	struct page *page;

	while ((page = alloc_page(GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN))) {
		page->lru.next = taken;
		taken = page_to_pfn(page).n;
	}
	for (uint32_t pfn = taken, *link = &taken; pfn != PFN_NONE_N; pfn = *link) {
		page = pfn_to_page(PFN(pfn));
		if (pfn & 1) {
			link = &page->lru.next;
			continue;
		}
		*link = page->lru.next;
		__free_page(page);
	}
	drain_local_pages();
	CHECK_EQ(alloc_pages(GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN, 1), NULL);
	p = vmalloc(want * PAGE_SIZE);
	CHECK(p);
	for (uint64_t i = 0; i < want; i++)
		p[i * 1024] = (uint32_t)i;
	for (uint64_t i = 0; i < want; i++)
		CHECK_EQ(p[i * 1024], i);
	vfree(p);
	while (taken != PFN_NONE_N) {
		page = pfn_to_page(PFN(taken));
		taken = page->lru.next;
		__free_page(page);
	}
	drain_local_pages();
	CHECK_SOUND(frame_check());
	CHECK_GE(nr_free_pages() + want / 500 + 4, free); /* less the page tables, which stay */
}

UNIT_TEST(every_allocation_fails_in_turn)
{
	for (int64_t n = 0;; n++) {
		uint64_t used = vmalloc_used_pages(), failed;
		void *p;

		fault_inject(n);
		p = vmalloc(40 * PAGE_SIZE);
		failed = fault_inject(-1);
		CHECK_EQ(failed != 0, p == NULL);
		vfree(p);
		CHECK_EQ(vmalloc_used_pages(), used);
		CHECK_SOUND(kva_check());
		CHECK_SOUND(frame_check());
		if (!failed)
			break;
		CHECK_LT(n, 60);
	}
	CHECK_SOUND(mm_check());
}

UNIT_TEST(every_mapping_fails_in_turn)
{
	struct page *page = alloc_page(GFP_KERNEL);
	uint64_t used = vmalloc_used_pages();

	CHECK(page);
	for (int64_t n = 0; n < 20; n++) {
		void *p;

		fault_inject(n);
		p = vmap(&page, 1, MMU_READ);
		fault_inject(-1);
		vunmap(p);
		CHECK_EQ(vmalloc_used_pages(), used);
		CHECK_SOUND(kva_check());
	}
	put_page(page);
}

/* Behind each area a page that is nobody's; and TLBs hear of what was unmapped before it is given out again. */
UNIT_TEST(areas_have_guards_and_are_flushed)
{
	char *a = vmalloc(PAGE_SIZE), *b = vmalloc(PAGE_SIZE);
	uint64_t flushes;

	CHECK(a && b);
	CHECK_GE(a > b ? a - b : b - a, 2 * PAGE_SIZE);
	vfree(a);
	vfree(b);
	flushes = counter_read(COUNT_TLB_LOCAL_FLUSH_ALL) + counter_read(COUNT_TLB_LOCAL_FLUSH_ONE);
	vm_unmap_aliases();
	CHECK_GT(counter_read(COUNT_TLB_LOCAL_FLUSH_ALL) + counter_read(COUNT_TLB_LOCAL_FLUSH_ONE),
	         flushes);
	CHECK_SOUND(kva_check());
}
