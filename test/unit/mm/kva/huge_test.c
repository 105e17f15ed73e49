/*
 * huge_test.c - large areas: large pages where there are any, and single frames where there is nothing else.
 */
#include "lib/string.h"
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"
#include "test/unit/mm/kva/frames.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/trace.h>

#define MB (1u << 20)

static uint64_t large_pages(void)
{
	return counter_read(COUNT_VMALLOC_HUGE);
}

/* Writes all of it and reads it back, there and, here and there, through another mapping. */
static void fill_and_compare(uint64_t *p, size_t size)
{
	for (size_t i = 0; i < size / 8; i += 64)
		p[i] = i * 3;
	for (size_t i = 0; i < size / 8; i += 64)
		CHECK_EQ(p[i], i * 3);
	for (size_t i = 0; i < size / 8; i += 37 * 512) {
		struct page *page = vmalloc_to_page(p + i);

		CHECK(page);
		CHECK_EQ(first_word(page), i * 3);
	}
	CHECK_EQ(vmalloc_to_page((char *)p + PAGE_ALIGN(size)), NULL);
}

UNIT_TEST(large_areas_have_large_pages)
{
	const size_t size = 6 * MB + 5 * PAGE_SIZE;
	uint64_t before = large_pages();
	char *p = vmalloc(size);

	CHECK(p);
	if (pt_has_huge()) {
		CHECK_EQ((uintptr_t)p % (2 * MB), 0);
		CHECK_EQ(large_pages(), before + 3);
	}
	CHECK_CALL(fill_and_compare((uint64_t *)p, size));
	CHECK_SOUND(kva_check());
	vfree(p);
	CHECK_SOUND(kva_check());
	p = vzalloc(size);
	CHECK(p);
	for (size_t i = 0; i < size; i += 512)
		CHECK_EQ(p[i], 0);
	vfree(p);
	CHECK_SOUND(mm_check());
}

/* The same addresses by small pages, large ones, small ones: tables come and go, and nobody sees an old translation. */
UNIT_TEST(large_and_small_pages_take_turns)
{
	const vaddr_t low = ALIGN_UP(kva_state()->start, 2 * MB) + 32 * MB, high = low + 4 * MB;
	uint64_t before = large_pages(), tables;

	if (!pt_has_huge())
		return;
	for (unsigned round = 0; round < 4; round++) {
		uint64_t *small[100], *large;

		for (unsigned i = 0; i < 100; i++) {
			small[i] = vmalloc_range(7 * PAGE_SIZE, low, high, GFP_KERNEL);
			CHECK(small[i]);
			*small[i] = round + i;
		}
		for (unsigned i = 0; i < 100; i++) {
			CHECK_EQ(*small[i], round + i);
			vfree(small[i]);
		}
		tables = frame_kind_pages(FRAME_PAGETABLE);
		large = vmalloc_range(3 * MB, low, high, GFP_KERNEL);
		CHECK_EQ((vaddr_t)(uintptr_t)large, low);
		CHECK_EQ(frame_kind_pages(FRAME_PAGETABLE), tables - 1);
		CHECK_EQ(large_pages(), before + round + 1);
		CHECK_CALL(fill_and_compare(large, 3 * MB));
		CHECK_SOUND(kva_check());
		vfree(large);
		CHECK_SOUND(mm_check());
	}
}

/* A frame of a large page is one that others may refer to, beyond the area's life. */
UNIT_TEST(a_page_of_a_large_page_can_be_kept)
{
	uint64_t *p = vmalloc(2 * MB);
	struct page *page;

	CHECK(p);
	p[512 * 100] = 77;
	page = vmalloc_to_page(p + 512 * 100);
	CHECK(page);
	get_page(page);
	vfree(p);
	CHECK_EQ(first_word(page), 77);
	put_page(page);
	CHECK_SOUND(mm_check());
}

/* 64 MB, or a third of a small machine, while no block of order 4 exists. */
UNIT_TEST(large_areas_without_large_blocks)
{
	size_t size = MIN(64 * MB, (size_t)(nr_free_pages() / 3) << PAGE_SHIFT);
	uint64_t before = large_pages();
	struct fragments f;
	uint64_t *p;

	CHECK_CALL(fragment_memory(&f, 3));
	CHECK_EQ(alloc_pages(__GFP_HIGHMEM | GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN, 4), NULL);
	p = vmalloc(size);
	CHECK(p);
	CHECK_EQ(large_pages(), before);
	CHECK_CALL(fill_and_compare(p, size));
	CHECK_SOUND(kva_check());
	vfree(p);
	unfragment_memory(&f);
	CHECK_SOUND(mm_check());
}

/* kvmalloc asks for a block first, takes what there is, and may be told never to fail. */
UNIT_TEST(kvmalloc_without_large_blocks)
{
	struct fragments f;
	void *p, *q;

	CHECK_CALL(fragment_memory(&f, 3));
	p = kvmalloc(1 * MB, GFP_KERNEL);
	q = kvmalloc(1 * MB, GFP_KERNEL | __GFP_NOFAIL);
	CHECK_EQ(kvmalloc(1 * MB, GFP_NOWAIT | __GFP_NOWARN), NULL);
	CHECK(p && q);
	CHECK(is_vmalloc_addr(p) && is_vmalloc_addr(q));
	kvfree(p);
	kvfree(q);
	unfragment_memory(&f);
	CHECK_SOUND(mm_check());
}
