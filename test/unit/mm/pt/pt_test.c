/*
 * pt_test.c - page tables by themselves: growing, walking over holes, freeing, the gather.
 */
#include "test/unit/mm/space/vm.h"

UNIT_TEST(walks_skip_holes)
{
	uint64_t tables_before = frame_kind_pages(FRAME_PAGETABLE);
	static const vaddr_t places[] = {VM_BASE, VM_BASE + (5ull << 21), VM_BASE + (7ull << 30),
	                                 VM_BASE + (3ull << 39)};
	struct mm_struct *mm = mm_alloc(VM_TOP);
	vaddr_t va = 0;
	uint64_t tables;
	unsigned n = 0;

	CHECK(mm);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		vm_map(mm, places[i] & PAGE_MASK, 1, RW, ANON);
		CHECK(pt_alloc(mm, places[i]));
	}
	CHECK_SOUND(pt_check(&mm->space, &tables));
	CHECK_EQ(tables * PAGE_SIZE, atomic_load(&mm->pgtables_bytes));
	for (pte_t *pte; (pte = pt_next_leaf(&mm->space, &va, mm->task_size));
	     va = pt_leaf_end(va, mm->task_size)) {
		CHECK_LT(n, ARRAY_SIZE(places));
		CHECK_EQ(va & ~(pt_leaf_span() - 1), places[n] & ~(pt_leaf_span() - 1));
		n++;
	}
	CHECK_EQ(n, ARRAY_SIZE(places));
	CHECK(!pt_lookup(&mm->space, VM_BASE + (1ull << 32)));
	CHECK(pt_lookup(&mm->space, places[2]));
	mmput(mm);
	CHECK_EQ(frame_kind_pages(FRAME_PAGETABLE), tables_before);
}

UNIT_TEST(tables_go_with_their_pages)
{
	struct mm_struct *mm = mm_alloc(VM_TOP);
	uint64_t bytes;

	CHECK(mm);
	vm_map(mm, VM_BASE, 1, RW, ANON);
	CHECK_EQ(vm_write(mm, VM_BASE, 1), 0);
	bytes = atomic_load(&mm->pgtables_bytes);
	vm_map(mm, VM_BASE + (100ull << 21), 5000, RW, ANON);
	for (unsigned i = 0; i < 5000; i += 50)
		CHECK_EQ(vm_write(mm, VM_BASE + (100ull << 21) + i * PAGE_SIZE, 1), 0);
	CHECK_GT(atomic_load(&mm->pgtables_bytes), bytes + 8 * PAGE_SIZE);
	CHECK_EQ(do_munmap(mm, VM_BASE + (100ull << 21), 5000 * PAGE_SIZE), 0);
	CHECK_EQ(mm->nr_spare_tables, PT_SPARE_TABLES);
	CHECK_EQ(atomic_load(&mm->pgtables_bytes), bytes + PT_SPARE_TABLES * PAGE_SIZE);
	CHECK_SOUND(space_check(mm));
	mmput(mm);
}

/* What an unmap left is what the next fault takes, and it is as empty as a new one. */
UNIT_TEST(spare_tables_are_used_again)
{
	uint64_t before = frame_kind_pages(FRAME_PAGETABLE), allocated;
	struct mm_struct *mm = mm_alloc(VM_TOP);

	CHECK(mm);
	for (unsigned round = 0; round < 3; round++) {
		const vaddr_t addr = VM_BASE + ((vaddr_t)round << 30);

		allocated = counter_read(COUNT_PGTABLE_ALLOC);
		vm_map(mm, addr, 100, RW, ANON);
		for (unsigned i = 0; i < 100; i += 7)
			CHECK_EQ(vm_write(mm, addr + i * PAGE_SIZE, 1), 0);
		CHECK_EQ(counter_read(COUNT_PGTABLE_ALLOC) != allocated,
		         round == 0 || mmu_levels() > 4);
		CHECK_SOUND(space_check(mm));
		CHECK_EQ(do_munmap(mm, addr, 100 * PAGE_SIZE), 0);
		CHECK_SOUND(space_check(mm));
	}
	CHECK_EQ(atomic_load(&mm->pgtables_bytes), mm->nr_spare_tables * PAGE_SIZE);
	mmput(mm);
	CHECK_EQ(frame_kind_pages(FRAME_PAGETABLE), before);
}

/* More pages than the batches of one flush hold. */
UNIT_TEST(large_unmap_flushes_on_the_way)
{
	struct mm_struct *mm = mm_alloc(VM_TOP);
	const unsigned pages = 6000;
	uint64_t frames;

	CHECK(mm);
	frames = nr_free_pages();
	vm_map(mm, VM_BASE, pages, RW, ANON);
	CHECK_EQ(mm_populate(mm, VM_BASE, pages * PAGE_SIZE), 0);
	CHECK_EQ(mm_rss(mm), pages);
	CHECK_EQ(do_munmap(mm, VM_BASE, pages * PAGE_SIZE), 0);
	CHECK_EQ(mm_rss(mm), 0);
	kmem_cache_shrink_all();
	CHECK_EQ(nr_free_pages() + mm->nr_spare_tables, frames);
	mmput(mm);
}

/* The user half ends a page before its last table does, where the stack of a program lies. */
UNIT_TEST(tables_at_the_top_go_too)
{
	uint64_t tables = frame_kind_pages(FRAME_PAGETABLE);
	struct mm_struct *mm = mm_alloc(VM_TOP);
	vaddr_t last = mmu_user_end() - PAGE_SIZE;

	CHECK(mm);
	CHECK_EQ(do_mmap(mm, last, PAGE_SIZE, RW, ANON | MAP_FIXED, NULL, 0), (int64_t)last);
	CHECK_EQ(vm_write(mm, last, 1), 0);
	CHECK_LT(tables, frame_kind_pages(FRAME_PAGETABLE));
	mmput(mm);
	CHECK_EQ(frame_kind_pages(FRAME_PAGETABLE), tables);
}

/* On x86-64 the last page of the user half is not the program's, and the stack lies below it. */
UNIT_TEST(the_topmost_table_goes_too)
{
	struct mm_struct *mm = mm_alloc(VM_TOP);
	uint64_t tables = frame_kind_pages(FRAME_PAGETABLE);
	vaddr_t top;

	CHECK(mm);
	mm->task_size = ALIGN_DOWN(mm->task_size - 1, PAGE_SIZE);
	top = mm->task_size - PAGE_SIZE;
	vm_map(mm, top, 1, RW, ANON);
	CHECK_EQ(vm_write(mm, top, 1), 0);
	CHECK_GT(frame_kind_pages(FRAME_PAGETABLE), tables);
	CHECK_EQ(do_munmap(mm, top, PAGE_SIZE), 0);
	CHECK_EQ(frame_kind_pages(FRAME_PAGETABLE), tables + mm->nr_spare_tables);
	CHECK_EQ(atomic_load(&mm->pgtables_bytes), mm->nr_spare_tables * PAGE_SIZE);
	mmput(mm);
}
