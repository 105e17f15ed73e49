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
