/*
 * oom_test.c - allocation number 1, 2, 3, ... fails, until none does: every call gives an error and leaves an address
 * space that is sound, and everything comes back in the end.
 */
#include "test/unit/mm/space/vm.h"

static struct test_file file;

/* A bit of everything, each step surviving the failure of the ones before. */
static const char *scenario(void)
{
	struct mm_struct *mm = mm_alloc(VM_TOP), *child;
	const char *broken;

	if (!mm)
		return NULL;
	(void)!mm_setup_stack(mm, VM_TOP + (1 << 20), 16 * PAGE_SIZE, false);
	mm_set_brk(mm, 0x2000000);
	do_brk(mm, 0x2000000 + 10 * PAGE_SIZE);
	(void)!vm_write(mm, 0x2000000, 1);
	vm_map(mm, VM_PAGE(0), 40, RW, ANON);
	for (unsigned i = 0; i < 40; i += 3)
		(void)!vm_write(mm, VM_PAGE(i), i);
	(void)!do_mprotect(mm, VM_PAGE(10), 5 * PAGE_SIZE, PROT_READ);
	(void)!do_munmap(mm, VM_PAGE(20), 2 * PAGE_SIZE);
	do_mmap(mm, VM_PAGE(100), 20 * PAGE_SIZE, RW, MAP_PRIVATE | MAP_FIXED, &file.file, 0);
	do_mmap(mm, VM_PAGE(200), 20 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file, 5);
	vm_map(mm, VM_PAGE(300), 20, RW, MAP_SHARED | MAP_ANONYMOUS);
	for (unsigned i = 100; i < 320; i += 5)
		(void)!vm_write(mm, VM_PAGE(i), i);
	child = dup_mm(mm);
	if (!IS_ERR(child)) {
		for (unsigned i = 0; i < 40; i += 3)
			(void)!vm_write(child, VM_PAGE(i), i + 1);
		broken = space_check(child);
		if (broken)
			return broken;
		mmput(child);
	}
	do_mremap(mm, VM_PAGE(0), 4 * PAGE_SIZE, 600 * PAGE_SIZE, MREMAP_MAYMOVE, 0);
	do_mremap(mm, VM_PAGE(100), 20 * PAGE_SIZE, 20 * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
	          VM_PAGE(5000));
	(void)!do_mlock(mm, VM_PAGE(300), 20 * PAGE_SIZE, false);
	(void)!do_madvise(mm, VM_PAGE(0), 20 * PAGE_SIZE, MADV_DONTFORK);
	(void)!do_madvise(mm, VM_PAGE(0), 20 * PAGE_SIZE, MADV_DONTNEED);
	broken = space_check(mm);
	mmput(mm);
	return broken;
}

UNIT_TEST(every_allocation_fails_in_turn)
{
	uint64_t frames, failed = 1;

	tfile_init(&file, TFILE_PAGES);
	CHECK_SOUND(scenario());
	address_space_destroy(&file.mapping);
	frames = vm_baseline();
	for (int64_t n = 0; failed; n++) {
		const char *broken;

		tfile_init(&file, TFILE_PAGES);
		fault_inject(n);
		broken = scenario();
		failed = fault_inject(-1);
		CHECK_MSG(!broken, "allocation %ld fails: %s", (long)n, broken);
		CHECK_SOUND(cache_check(&file.mapping));
		address_space_destroy(&file.mapping);
		CHECK_MSG(vm_free_frames() == frames, "allocation %ld fails: %ld frames lost",
		          (long)n, (long)(frames - nr_free_pages()));
		CHECK_LT(n, 100000);
	}
	CHECK_SOUND(slab_check());
}

#define SPREAD 700u /* pages apart: each under a table of its own */

/* Four pages under four tables, as seen at base; 0: all right. */
static unsigned wrong_pages(struct mm_struct *mm, vaddr_t base)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < 4; i++)
		wrong += vm_get(mm, base + i * SPREAD * PAGE_SIZE) != 100 + i;
	return wrong;
}

/* A move that gets stuck under way goes back: all pages are at the old place, or all at the new one. */
UNIT_TEST(a_move_is_whole_or_undone)
{
	const vaddr_t old = VM_PAGE(1000), new_place = VM_PAGE(400000) + 5 * PAGE_SIZE;
	const uint64_t len = 4 * SPREAD * PAGE_SIZE;
	int64_t moved = -ENOMEM;

	for (int64_t n = 0; moved < 0; n++) {
		struct mm_struct *mm = mm_alloc(VM_TOP);

		CHECK(mm);
		CHECK_EQ(vm_map(mm, old, 4 * SPREAD, RW, ANON), (int64_t)old);
		for (unsigned i = 0; i < 4; i++)
			CHECK_EQ(vm_write(mm, old + i * SPREAD * PAGE_SIZE, 100 + i), 0);
		fault_inject(n);
		moved = do_mremap(mm, old, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, new_place);
		fault_inject(-1);
		CHECK(moved == -ENOMEM || moved == (int64_t)new_place);
		CHECK_EQ(wrong_pages(mm, moved < 0 ? old : new_place), 0);
		CHECK_EQ(mm->map_count, 1);
		CHECK_SOUND(space_check(mm));
		mmput(mm);
		CHECK_LT(n, 1000);
	}
}
