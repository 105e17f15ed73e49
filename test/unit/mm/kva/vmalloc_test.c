/*
 * vmalloc_test.c - areas of kernel addresses: contents, guards, reuse, scattered frames.
 */
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"
#include "lib/string.h"
#include "test/unit/mm/kva/frames.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/trace.h>

UNIT_TEST(contents_and_frames)
{
	uint64_t free, used = vmalloc_used_pages(), account = frame_kind_pages(FRAME_VMALLOC);
	uint32_t *p;

	vfree(vmalloc(PAGE_SIZE)); /* tables, slabs */
	free = nr_free_pages();
	p = vmalloc(100 * PAGE_SIZE + 1);
	CHECK(p);
	CHECK(is_vmalloc_addr(p));
	CHECK_EQ((uintptr_t)p % PAGE_SIZE, 0);
	CHECK_EQ(vmalloc_used_pages(), used + 101);
	CHECK_EQ(frame_kind_pages(FRAME_VMALLOC), account + 101);
	for (uint32_t i = 0; i < 101 * 1024; i++)
		p[i] = i;
	for (uint32_t i = 0; i < 101; i++) {
		struct page *page = vmalloc_to_page(p + i * 1024);

		CHECK(page);
		CHECK_EQ((uint32_t)first_word(page), i * 1024);
	}
	CHECK_EQ(vmalloc_to_page(p + 101 * 1024), NULL); /* the guard */
	CHECK_SOUND(kva_check());
	vfree(p);
	CHECK_SOUND(kva_check());
	CHECK_EQ(vmalloc_used_pages(), used);
	CHECK_EQ(frame_kind_pages(FRAME_VMALLOC), account);
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

/* RAM has a cached mapping already, and must not get another kind. */
UNIT_TEST(vmap_refuses_cache_attributes)
{
	struct page *page = alloc_page(GFP_KERNEL);

	CHECK(page);
	CHECK_EQ(vmap(&page, 1, MMU_READ | MMU_UNCACHED), NULL);
	CHECK_EQ(vmap(&page, 1, MMU_READ | MMU_WRITE_COMBINING), NULL);
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

static uint64_t purges(void)
{
	return counter_read(COUNT_VMAP_PURGE);
}

/* Many frees, few flushes: each area is a page and a guard. */
UNIT_TEST(unmapping_is_lazy_and_bounded)
{
	struct kva_state *k = kva_state();
	uint64_t before, most = 0;

	vm_unmap_aliases();
	before = purges();
	for (uint64_t i = 0; i < 2 * lazy_max_pages(); i++) {
		void *p = vmalloc(PAGE_SIZE);

		CHECK(p);
		vfree(p);
		most = MAX(most, k->lazy_pages);
	}
	CHECK_LE(most, lazy_max_pages());
	CHECK_GE(most, lazy_max_pages() - 1);
	CHECK_GE(purges(), before + 3);
	CHECK_LE(purges(), before + 4);
	vm_unmap_aliases();
	CHECK_EQ(k->lazy_pages, 0);
	CHECK(list_empty(&k->lazy));
	CHECK_SOUND(kva_check());
}

/* Neighbours that wait are described together. */
UNIT_TEST(lazy_neighbours_become_one)
{
	struct kva_state *k = kva_state();
	void *p[30];

	vm_unmap_aliases();
	for (unsigned i = 0; i < 30; i++)
		CHECK(p[i] = vmalloc(PAGE_SIZE));
	for (unsigned step = 0; step < 3; step++) {
		for (unsigned i = step; i < 30; i += 3)
			vfree(p[i]);
		CHECK_SOUND(kva_check());
	}
	CHECK_LE(list_count_nodes(&k->lazy), 2);
	CHECK_EQ(k->lazy_pages, 60);
	vm_unmap_aliases();
	CHECK_SOUND(kva_check());
}

UNIT_TEST(lazy_limit_is_linux)
{
	unsigned digits = 0;

	for (unsigned n = machine()->nr_cpus; n; n /= 2)
		digits++;
	CHECK_EQ(lazy_max_pages(), digits * (32u << 20) / PAGE_SIZE);
}

/* A caller who cannot sleep leaves the area to the next who can. */
UNIT_TEST(freed_without_sleeping)
{
	uint64_t used = vmalloc_used_pages();
	void *a = vmalloc(5 * PAGE_SIZE), *b = vmalloc(PAGE_SIZE), *c;

	CHECK(a && b);
	vfree_atomic(NULL);
	vfree_atomic(a);
	vfree_atomic(b);
	CHECK_EQ(vmalloc_used_pages(), used + 6);
	CHECK_SOUND(kva_check());
	c = vmalloc(PAGE_SIZE);
	CHECK(c);
	CHECK_EQ(vmalloc_used_pages(), used + 1);
	CHECK(a = vmalloc(PAGE_SIZE));
	vfree_atomic(c);
	vfree(a);
	CHECK_EQ(vmalloc_used_pages(), used);
	CHECK(c = vmalloc(PAGE_SIZE));
	vfree_atomic(c);
	vm_unmap_aliases();
	CHECK_EQ(vmalloc_used_pages(), used);
	CHECK_SOUND(kva_check());
}

/* What /proc/vmallocinfo is made of. */
UNIT_TEST(areas_are_listed)
{
	char *p = vmalloc(3 * PAGE_SIZE);
	struct page *page = alloc_page(GFP_KERNEL);
	void *q;
	struct vmalloc_info info;
	bool seen_p = false, seen_q = false;
	vaddr_t end = 0;

	CHECK(p && page);
	CHECK(q = vmap(&page, 1, MMU_READ));
	for (vaddr_t from = 0; vmalloc_info_next(from, &info); from = info.end) {
		CHECK_GE(info.start, end);
		end = info.end;
		if (info.start == (vaddr_t)(uintptr_t)p) {
			seen_p = true;
			CHECK_EQ(info.kind, VMALLOC_ALLOC);
			CHECK_EQ(info.end - info.start, 4 * PAGE_SIZE);
			CHECK_EQ(info.pages, 3);
			CHECK_EQ(info.on_node[0], 3);
			CHECK(info.caller);
		}
		if (info.start == (vaddr_t)(uintptr_t)q) {
			seen_q = true;
			CHECK_EQ(info.kind, VMALLOC_MAP);
			CHECK_EQ(info.on_node[0], 0);
		}
	}
	CHECK(seen_p && seen_q);
	vunmap(q);
	vfree(p);
	put_page(page);
}

UNIT_TEST(limits_are_kept)
{
	const struct kva_state *k = kva_state();
	vaddr_t low = k->start + (64u << 20), high = low + 10 * PAGE_SIZE;
	char *a = vmalloc_range(4 * PAGE_SIZE, low, high, GFP_KERNEL);
	char *b = vmalloc_range(4 * PAGE_SIZE, low, high, GFP_KERNEL);

	CHECK_EQ((vaddr_t)(uintptr_t)a, low);
	CHECK_EQ((vaddr_t)(uintptr_t)b, low + 5 * PAGE_SIZE);
	CHECK_EQ(vmalloc_range(PAGE_SIZE, low, high, GFP_KERNEL), NULL);
	vfree(a); /* lazy: a search that finds nothing flushes */
	a = vmalloc_range(4 * PAGE_SIZE, low, high, GFP_KERNEL);
	CHECK_EQ((vaddr_t)(uintptr_t)a, low);
	vfree(a);
	vfree(b);
	CHECK_SOUND(kva_check());
}

/* Free, or kept for the next time: tables, slabs. */
static uint64_t at_hand(void)
{
	return nr_unused_pages() + frame_kind_pages(FRAME_PAGETABLE) + frame_kind_pages(FRAME_SLAB);
}

/* 64 MB, when every second frame is taken and so no two free frames are neighbours; of a smaller machine 2/5 of what is free. */
UNIT_TEST(scattered_frames_are_enough)
{
	uint64_t want = MIN(nr_free_pages() * 2 / 5, (64u << 20) / PAGE_SIZE), before = at_hand();
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
	CHECK_EQ(at_hand(), before);
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

/* Large pages and small ones: the tables for both are among what fails. */
UNIT_TEST(every_allocation_of_a_large_area_fails_in_turn)
{
	const size_t size = pt_leaf_span() + 20 * PAGE_SIZE;
	int64_t n = 0;
	uint64_t failed;

	do {
		uint64_t used = vmalloc_used_pages();
		void *p;

		fault_inject(n++);
		p = vmalloc(size);
		failed = fault_inject(-1);
		vfree(p);
		CHECK_EQ(vmalloc_used_pages(), used);
		CHECK_SOUND(kva_check());
		CHECK_LT(n, 600);
	} while (failed);
	CHECK_SOUND(mm_check());
}

/* Whatever fails, once, is tried again. */
UNIT_TEST(nofail_does_not_fail)
{
	for (int64_t n = 0; n < 30; n++) {
		void *p;

		fault_inject_once(n);
		p = __vmalloc(5 * PAGE_SIZE, GFP_KERNEL | __GFP_NOFAIL);
		CHECK(p);
		vfree(p);
		CHECK_SOUND(kva_check());
	}
	fault_inject(-1);
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
