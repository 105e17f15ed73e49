/*
 * ioremap_test.c - what may be mapped in which way, and top-level entries that come late.
 */
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/mm.h>

UNIT_TEST(ram_is_refused)
{
	struct page *page = alloc_page(GFP_KERNEL);

	CHECK(page);
	CHECK_EQ(ioremap(page_to_phys(page), PAGE_SIZE), NULL);
	CHECK_EQ(ioremap_cache(page_to_phys(page), 8), NULL);
	CHECK_EQ(ioremap(PHYS(4096), 0), NULL);
	CHECK_EQ(ioremap(PHYS(UINT64_MAX - 5), 100), NULL);
	put_page(page);
	CHECK_SOUND(kva_check());
}

/* As the last frame of memory and the first behind it. */
UNIT_TEST(a_range_that_touches_ram_is_refused)
{
	uint64_t end = memblock_end();

	CHECK_EQ(ioremap(PHYS(end - 100), 200), NULL);
	CHECK_SOUND(kva_check());
}

/* --- attributes ---------------------------------------------------------------------------------------- */

/* Where there is nothing, neither memory nor a device. Nobody touches it. */
static phys_t nobody(void)
{
	return PHYS(ALIGN_UP(memblock_end(), 2u << 20) + (64u << 20));
}

typedef void *(*ioremap_t)(phys_t phys, size_t size);

/* The attribute of the mapping at p; its PCD and PWT are looked at in test/unit/kernel/kva_test.c. */
static unsigned attribute(void *p)
{
	struct vmap_area *area =
	        vmap_area_take((void *)((uintptr_t)p & PAGE_MASK), 1u << VMALLOC_IOREMAP, "test");
	unsigned bits = area->cache_bits;

	vmap_area_publish(area);
	return bits;
}

/* The first mapping of a range decides, or the second is refused. */
UNIT_TEST(mappings_of_one_range_agree)
{
	static const ioremap_t kinds[] = {ioremap_cache, ioremap_wc, ioremap, ioremap_uc};
	static const unsigned bits[] = {0, MMU_WRITE_COMBINING, MMU_UNCACHED_MINUS, MMU_UNCACHED};

	for (unsigned i = 0; i < 4; i++) {
		for (unsigned j = 0; j < 4; j++) {
			void *p = kinds[i](nobody(), 3 * PAGE_SIZE);
			void *q = kinds[j](PHYS(nobody().a + 2 * PAGE_SIZE), 100);
			bool refused = i == 0 && j != 0;

			CHECK(p);
			CHECK_EQ(attribute(p), bits[i]);
			CHECK_EQ(q == NULL, refused);
			if (q)
				CHECK_EQ(attribute(q), bits[i]);
			CHECK_SOUND(kva_check());
			iounmap(p);
			iounmap(q);
		}
	}
	CHECK_SOUND(kva_check());
}

UNIT_TEST(a_range_over_two_that_differ_is_refused)
{
	void *p = ioremap_wc(nobody(), PAGE_SIZE);
	void *q = ioremap(PHYS(nobody().a + PAGE_SIZE), PAGE_SIZE);

	CHECK(p && q);
	CHECK_EQ(ioremap(nobody(), 2 * PAGE_SIZE), NULL);
	iounmap(p);
	p = ioremap(nobody(), 2 * PAGE_SIZE); /* the reason has gone */
	CHECK(p);
	iounmap(p);
	iounmap(q);
	CHECK_SOUND(kva_check());
}

UNIT_TEST(the_offset_is_kept)
{
	char *p = ioremap(PHYS(nobody().a + 0x123), PAGE_SIZE);
	struct vmalloc_info info;

	CHECK(p);
	CHECK_EQ((uintptr_t)p % PAGE_SIZE, 0x123);
	CHECK(vmalloc_info_next((vaddr_t)(uintptr_t)p & PAGE_MASK, &info));
	CHECK_EQ(info.kind, VMALLOC_IOREMAP);
	CHECK_EQ(info.phys.a, nobody().a);
	CHECK_EQ(info.pages, 2);
	iounmap(p);
}

UNIT_TEST(every_allocation_fails_in_turn)
{
	int64_t n = 0;
	uint64_t failed;

	do {
		void *p;

		fault_inject(n++);
		p = ioremap(nobody(), (2u << 20) + 5 * PAGE_SIZE);
		failed = fault_inject(-1);
		CHECK_EQ(failed != 0, p == NULL);
		iounmap(p);
		CHECK_SOUND(kva_check());
		CHECK_LT(n, 20);
	} while (failed);
}

/* --- top-level entries --------------------------------------------------------------------------------- */

/* One page of the root goes to a space that is older than it, once, and only while something is mapped. */
UNIT_TEST(old_spaces_take_over_new_root_entries)
{
	struct mm_struct *mm = mm_alloc(mmu_user_end());
	vaddr_t va;
	char *p;

	CHECK(mm);
	p = vmalloc(PAGE_SIZE);
	CHECK(p);
	va = (vaddr_t)(uintptr_t)p;
	for (unsigned i = 0; i < 2; i++) {
		CHECK(pt_sync_kernel_root(&mm->space, va));
		CHECK_EQ(pt_entries_of(mm->space.root)[mmu_index(va, mmu_levels())].v,
		         pt_entries_of(mmu_kernel_space()->root)[mmu_index(va, mmu_levels())].v);
	}
	CHECK(!pt_sync_kernel_root(&mm->space, va + PAGE_SIZE)); /* the guard */
	CHECK(!pt_sync_kernel_root(&mm->space, PAGE_SIZE));      /* a program's */
	vfree(p);
	CHECK(!pt_sync_kernel_root(&mm->space, va));
	mmput(mm);
	CHECK_SOUND(mm_check());
}
