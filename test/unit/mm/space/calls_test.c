/*
 * calls_test.c - each call's rules, as the manual pages have them.
 */
#include "test/unit/mm/space/vm.h"

static struct mm_struct *mm;
static struct test_file file;

#define SPACE_BEGIN()                  \
	do {                           \
		mm = mm_alloc(VM_TOP); \
		CHECK(mm);             \
		tfile_init(&file, 16); \
	} while (0)

static void space_end(void)
{
	const char *broken = space_check(mm);

	mmput(mm);
	address_space_destroy(&file.mapping);
	CHECK_SOUND(broken);
}

UNIT_TEST(mmap_errors)
{
	SPACE_BEGIN();
	CHECK_EQ(do_mmap(mm, 0, 0, RW, ANON, NULL, 0), -EINVAL);
	CHECK_EQ(do_mmap(mm, 0, UINT64_MAX, RW, ANON, NULL, 0), -ENOMEM);
	CHECK_EQ(do_mmap(mm, 0, mm->task_size + PAGE_SIZE, RW, ANON, NULL, 0), -ENOMEM);
	CHECK_EQ(do_mmap(mm, 123, PAGE_SIZE, RW, ANON | MAP_FIXED, NULL, 0), -EINVAL);
	CHECK_EQ(do_mmap(mm, 0, PAGE_SIZE, RW, ANON | MAP_FIXED, NULL, 0), -EPERM);
	CHECK_EQ(do_mmap(mm, mm->task_size, PAGE_SIZE, RW, ANON | MAP_FIXED, NULL, 0), -ENOMEM);
	CHECK_EQ(do_mmap(mm, 0, PAGE_SIZE, RW, MAP_ANONYMOUS, NULL, 0), -EINVAL);
	CHECK_EQ(do_mmap(mm, 0, PAGE_SIZE, RW, MAP_SHARED, &file.file, UINT64_MAX), -EOVERFLOW);
	CHECK_EQ(do_mmap(mm, 0, PAGE_SIZE, RW, ANON | MAP_HUGETLB, NULL, 0), -EINVAL);
	CHECK_EQ(do_mmap(mm, 0, (machine()->totalram + 1) * PAGE_SIZE, RW, ANON, NULL, 0), -ENOMEM);
	CHECK_GT(do_mmap(mm, 0, have_highmem() ? 3ull << 29 : 1ull << 44, RW, ANON | MAP_NORESERVE,
	                 NULL, 0),
	         0);
	CHECK_GT(do_mmap(mm, 0, have_highmem() ? 3ull << 28 : 1ull << 43, PROT_NONE, ANON, NULL, 0),
	         0);
	file.file.may_write = false;
	CHECK_EQ(do_mmap(mm, 0, PAGE_SIZE, RW, MAP_SHARED, &file.file, 0), -EACCES);
	CHECK_GT(do_mmap(mm, VM_BASE, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, &file.file, 0),
	         0);
	CHECK_EQ(do_mprotect(mm, VM_BASE, PAGE_SIZE, RW), -EACCES);
	file.file.noexec = true;
	CHECK_EQ(do_mmap(mm, 0, PAGE_SIZE, PROT_EXEC, MAP_PRIVATE, &file.file, 0), -EPERM);
	space_end();
}

UNIT_TEST(mmap_places)
{
	int64_t a, b;

	SPACE_BEGIN();
	a = vm_map(mm, 0, 4, RW, ANON);
	CHECK_EQ(a, (int64_t)(VM_TOP - 4 * PAGE_SIZE));
	b = vm_map(mm, 0, 4, RW, ANON);
	CHECK_EQ(b, a - (int64_t)(4 * PAGE_SIZE));
	CHECK_EQ(mm->map_count, 1);
	CHECK_EQ(vm_map(mm, VM_BASE, 2, RW, ANON | MAP_FIXED_NOREPLACE), (int64_t)VM_BASE);
	CHECK_EQ(do_mmap(mm, VM_BASE + PAGE_SIZE, PAGE_SIZE, RW, ANON | MAP_FIXED_NOREPLACE, NULL,
	                 0),
	         -EEXIST);
	CHECK_EQ(do_mmap(mm, VM_PAGE(10) + 5, PAGE_SIZE, RW, ANON, NULL, 0), (int64_t)VM_PAGE(10));
	a = do_mmap(mm, 0, PAGE_SIZE, RW, ANON | MAP_32BIT, NULL, 0);
	CHECK(a >= 0x40000000 && a < 0x80000000ll);
	CHECK_EQ(do_mmap(mm, 0x30000000, PAGE_SIZE, RW, ANON | MAP_32BIT, NULL, 0), 0x30000000);
	a = do_mmap(mm, 0x7ffff000, 2 * PAGE_SIZE, RW, ANON | MAP_32BIT, NULL, 0);
	CHECK(a >= 0x40000000 && a <= 0x7fffe000ll);
	CHECK_EQ(do_munmap(mm, (vaddr_t)b, 8 * PAGE_SIZE), 0);
	CHECK_EQ(vm_map(mm, 0, 3, RW, ANON), (int64_t)(VM_TOP - 3 * PAGE_SIZE));
	space_end();
}

UNIT_TEST(areas_split_and_merge)
{
	SPACE_BEGIN();
	vm_map(mm, VM_PAGE(0), 10, RW, ANON);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(3), 2 * PAGE_SIZE, PROT_READ), 0);
	CHECK_EQ(mm->map_count, 3);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(5), 1 * PAGE_SIZE, PROT_READ), 0);
	CHECK_EQ(mm->map_count, 3);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(3), 3 * PAGE_SIZE, RW), 0);
	CHECK_EQ(mm->map_count, 1);
	CHECK_EQ(do_munmap(mm, VM_PAGE(4), PAGE_SIZE), 0);
	CHECK_EQ(mm->map_count, 2);
	vm_map(mm, VM_PAGE(4), 1, RW, ANON);
	CHECK_EQ(mm->map_count, 1);
	CHECK_EQ(mm->total_vm, 10);
	CHECK_EQ(do_munmap(mm, VM_PAGE(0) + 1, PAGE_SIZE), -EINVAL);
	CHECK_EQ(do_munmap(mm, VM_PAGE(0), 0), -EINVAL);
	CHECK_EQ(do_munmap(mm, VM_PAGE(50), PAGE_SIZE), 0);
	space_end();
}

UNIT_TEST(map_count_is_limited)
{
	SPACE_BEGIN();
	vm_map(mm, VM_PAGE(0), 2 * SYSCTL_MAX_MAP_COUNT, PROT_NONE, ANON);
	for (unsigned i = 0; mm->map_count < SYSCTL_MAX_MAP_COUNT - 1; i++)
		CHECK_EQ(do_mprotect(mm, VM_PAGE(2 * i + 1), PAGE_SIZE, PROT_READ), 0);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(2 * SYSCTL_MAX_MAP_COUNT - 5), PAGE_SIZE, PROT_READ),
	         -ENOMEM);
	CHECK_EQ(do_munmap(mm, VM_PAGE(0), 2ull * SYSCTL_MAX_MAP_COUNT * PAGE_SIZE), 0);
	CHECK_EQ(mm->map_count, 0);
	space_end();
}

UNIT_TEST(brk_moves)
{
	const vaddr_t start = 0x3000010;

	SPACE_BEGIN();
	mm_set_brk(mm, start);
	CHECK_EQ(do_brk(mm, 0), start);
	CHECK_EQ(do_brk(mm, start + 5 * PAGE_SIZE), start + 5 * PAGE_SIZE);
	CHECK_EQ(vm_write(mm, start + 4 * PAGE_SIZE + 4088 - 16, 7), 0);
	CHECK_STR(vma_name(mm->mmap), "[heap]");
	CHECK_EQ(do_brk(mm, start + PAGE_SIZE), start + PAGE_SIZE);
	CHECK_EQ(do_brk(mm, start + 5 * PAGE_SIZE), start + 5 * PAGE_SIZE);
	CHECK_EQ(vm_get(mm, start + 4 * PAGE_SIZE + 4088 - 16), 0);
	vm_map(mm, 0x3000000 + 10 * PAGE_SIZE, 1, RW, ANON);
	CHECK_EQ(do_brk(mm, start + 20 * PAGE_SIZE), start + 5 * PAGE_SIZE);
	mm->limits.data = 6 * PAGE_SIZE;
	CHECK_EQ(do_brk(mm, start + 7 * PAGE_SIZE), start + 5 * PAGE_SIZE);
	space_end();
}

UNIT_TEST(mremap_grows_shrinks_moves)
{
	int64_t at;

	SPACE_BEGIN();
	vm_map(mm, VM_PAGE(0), 4, RW, ANON);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(vm_write(mm, VM_PAGE(i), 100 + i), 0);
	CHECK_EQ(do_mremap(mm, VM_PAGE(0), 4 * PAGE_SIZE, 8 * PAGE_SIZE, 0, 0),
	         (int64_t)VM_PAGE(0));
	CHECK_EQ(mm->map_count, 1);
	vm_map(mm, VM_PAGE(8), 1, PROT_READ, ANON);
	CHECK_EQ(do_mremap(mm, VM_PAGE(0), 8 * PAGE_SIZE, 9 * PAGE_SIZE, 0, 0), -ENOMEM);
	at = do_mremap(mm, VM_PAGE(0), 8 * PAGE_SIZE, 2000 * PAGE_SIZE, MREMAP_MAYMOVE, 0);
	CHECK_GT(at, 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(vm_get(mm, (vaddr_t)at + i * PAGE_SIZE), 100 + i);
	CHECK_EQ(vm_write(mm, VM_PAGE(0), 1), -EFAULT);
	CHECK_EQ(do_mremap(mm, (vaddr_t)at, 2000 * PAGE_SIZE, PAGE_SIZE, 0, 0), at);
	CHECK_EQ(vm_get(mm, (vaddr_t)at + PAGE_SIZE), 0xdeadull << 48);
	CHECK_EQ(do_mremap(mm, VM_PAGE(70), PAGE_SIZE, PAGE_SIZE, 0, 0), -EFAULT);
	CHECK_EQ(do_mremap(mm, (vaddr_t)at, PAGE_SIZE, 0, 0, 0), -EINVAL);
	CHECK_EQ(do_mremap(mm, (vaddr_t)at, 0, PAGE_SIZE, MREMAP_MAYMOVE, 0), -EINVAL);
	CHECK_EQ(do_mremap(mm, (vaddr_t)at, PAGE_SIZE, PAGE_SIZE, MREMAP_FIXED, 0), -EINVAL);
	space_end();
}

UNIT_TEST(mremap_leaves_or_doubles)
{
	int64_t at;

	SPACE_BEGIN();
	vm_map(mm, VM_PAGE(0), 3, RW, ANON);
	CHECK_EQ(vm_write(mm, VM_PAGE(1), 5), 0);
	at = do_mremap(mm, VM_PAGE(0), 3 * PAGE_SIZE, 3 * PAGE_SIZE,
	               MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	CHECK_GT(at, 0);
	CHECK_EQ(vm_get(mm, (vaddr_t)at + PAGE_SIZE), 5);
	CHECK_EQ(vm_get(mm, VM_PAGE(1)), 0);
	CHECK_EQ(do_mremap(mm, VM_PAGE(0), 3 * PAGE_SIZE, 3 * PAGE_SIZE - 1,
	                   MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0),
	         -EINVAL);
	do_mmap(mm, VM_PAGE(20), 4 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file, 2);
	CHECK_EQ(vm_write(mm, VM_PAGE(21), 77), 0);
	at = do_mremap(mm, VM_PAGE(20), 0, 4 * PAGE_SIZE, MREMAP_MAYMOVE, 0);
	CHECK_GT(at, 0);
	CHECK_EQ(vm_get(mm, (vaddr_t)at + PAGE_SIZE), 77);
	CHECK_EQ(vm_get(mm, VM_PAGE(21)), 77);
	space_end();
}

UNIT_TEST(stack_grows_within_limits)
{
	const vaddr_t top = VM_BASE + (64ull << 20);

	SPACE_BEGIN();
	CHECK_EQ(mm_setup_stack(mm, top, 4 * PAGE_SIZE, false), 0);
	CHECK_STR(vma_name(mm->mmap), "[stack]");
	CHECK_EQ(vm_write(mm, top - 8, 1), 0);
	CHECK_EQ(handle_mm_fault(mm, top - 100 * PAGE_SIZE, FAULT_WRITE, NULL), FAULT_DONE);
	CHECK_EQ(mm->mmap->vm_start, top - 100 * PAGE_SIZE);
	CHECK_EQ(handle_mm_fault(mm, top - (9ull << 20), FAULT_WRITE, NULL), FAULT_MAPERR);
	CHECK_EQ(mm->stack_vm, 100);
	/* Somebody else's area: 256 pages stay free. */
	vm_map(mm, top - 600 * PAGE_SIZE, 10, RW, ANON);
	CHECK_EQ(handle_mm_fault(mm, top - 400 * PAGE_SIZE, FAULT_WRITE, NULL), FAULT_MAPERR);
	CHECK_EQ(handle_mm_fault(mm, top - 300 * PAGE_SIZE, FAULT_WRITE, NULL), FAULT_DONE);
	/* And others do not come closer than that either. */
	mm->mmap_base = top;
	CHECK_LE(vm_map(mm, 0, 1, RW, ANON), (int64_t)(top - (300 + 256) * PAGE_SIZE));
	space_end();
}

UNIT_TEST(madvise_rules)
{
	uint64_t frames;

	SPACE_BEGIN();
	vm_map(mm, VM_PAGE(0), 8, RW, ANON);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(vm_write(mm, VM_PAGE(i), i + 1), 0);
	frames = nr_free_pages();
	CHECK_EQ(do_madvise(mm, VM_PAGE(2), 2 * PAGE_SIZE, MADV_DONTNEED), 0);
	CHECK_EQ(nr_free_pages(), frames + 2);
	CHECK_EQ(vm_get(mm, VM_PAGE(2)), 0);
	CHECK_EQ(vm_get(mm, VM_PAGE(4)), 5);
	CHECK_EQ(do_madvise(mm, VM_PAGE(4), PAGE_SIZE, MADV_FREE), 0);
	CHECK_EQ(vm_get(mm, VM_PAGE(4)), 5);
	CHECK_EQ(do_madvise(mm, VM_PAGE(4), PAGE_SIZE, MADV_MERGEABLE), -EINVAL);
	CHECK_EQ(do_madvise(mm, VM_PAGE(4), PAGE_SIZE, MADV_HUGEPAGE), -EINVAL);
	CHECK_EQ(do_madvise(mm, VM_PAGE(4) + 1, PAGE_SIZE, MADV_NORMAL), -EINVAL);
	CHECK_EQ(do_madvise(mm, VM_PAGE(6), 4 * PAGE_SIZE, MADV_DONTNEED), -ENOMEM);
	CHECK_EQ(vm_get(mm, VM_PAGE(7)), 0);
	CHECK_EQ(do_madvise(mm, VM_PAGE(0), 8 * PAGE_SIZE, MADV_POPULATE_WRITE), 0);
	CHECK_EQ(atomic_load(&mm->rss[MM_ANONPAGES]), 8);
	CHECK_EQ(do_madvise(mm, VM_PAGE(0), 0, MADV_DONTNEED), 0);
	vm_map(mm, VM_PAGE(20), 4, RW, MAP_SHARED | MAP_ANONYMOUS);
	CHECK_EQ(vm_write(mm, VM_PAGE(21), 9), 0);
	CHECK_EQ(do_madvise(mm, VM_PAGE(20), 4 * PAGE_SIZE, MADV_DONTNEED), 0);
	CHECK_EQ(vm_get(mm, VM_PAGE(21)), 9);
	CHECK_EQ(do_madvise(mm, VM_PAGE(20), 4 * PAGE_SIZE, MADV_REMOVE), 0);
	CHECK_EQ(vm_get(mm, VM_PAGE(21)), 0);
	CHECK_EQ(do_madvise(mm, VM_PAGE(20), 4 * PAGE_SIZE, MADV_WIPEONFORK), -EINVAL);
	space_end();
}

UNIT_TEST(fork_flags)
{
	struct mm_struct *child;

	SPACE_BEGIN();
	vm_map(mm, VM_PAGE(0), 6, RW, ANON);
	for (unsigned i = 0; i < 6; i++)
		CHECK_EQ(vm_write(mm, VM_PAGE(i), i + 1), 0);
	CHECK_EQ(do_madvise(mm, VM_PAGE(0), 2 * PAGE_SIZE, MADV_DONTFORK), 0);
	CHECK_EQ(do_madvise(mm, VM_PAGE(2), 2 * PAGE_SIZE, MADV_WIPEONFORK), 0);
	CHECK_EQ(do_mlock(mm, VM_PAGE(4), PAGE_SIZE, false), 0);
	child = dup_mm(mm);
	CHECK(!IS_ERR(child));
	CHECK_EQ(vm_get(child, VM_PAGE(0)), 0xdeadull << 48);
	CHECK_EQ(vm_get(child, VM_PAGE(2)), 0);
	CHECK_EQ(vm_get(child, VM_PAGE(4)), 5);
	CHECK_EQ(child->locked_vm, 0);
	CHECK_EQ(mm->locked_vm, 1);
	CHECK_SOUND(space_check(child));
	mmput(child);
	space_end();
}

UNIT_TEST(mlock_rules)
{
	SPACE_BEGIN();
	vm_map(mm, VM_PAGE(0), 8, RW, ANON);
	CHECK_EQ(do_mlock(mm, VM_PAGE(1) + 100, PAGE_SIZE, false), 0);
	CHECK_EQ(mm->locked_vm, 2);
	CHECK_EQ(atomic_load(&mm->rss[MM_ANONPAGES]), 2);
	CHECK_EQ(do_madvise(mm, VM_PAGE(1), PAGE_SIZE, MADV_DONTNEED), -EINVAL);
	CHECK_EQ(do_msync(mm, VM_PAGE(1), PAGE_SIZE, MS_INVALIDATE), -EBUSY);
	CHECK_EQ(do_munlock(mm, VM_PAGE(0), 8 * PAGE_SIZE), 0);
	CHECK_EQ(mm->locked_vm, 0);
	CHECK_EQ(mm->map_count, 1);
	CHECK_EQ(do_mlock(mm, VM_PAGE(6), 4 * PAGE_SIZE, false), -ENOMEM);
	mm->limits.may_mlock_any = false;
	mm->limits.memlock = 2 * PAGE_SIZE;
	CHECK_EQ(do_munlockall(mm), 0);
	CHECK_EQ(do_mlock(mm, VM_PAGE(0), 3 * PAGE_SIZE, false), -ENOMEM);
	CHECK_EQ(do_mlock(mm, VM_PAGE(0), 2 * PAGE_SIZE, true), 0);
	CHECK_EQ(do_mlockall(mm, MCL_CURRENT), -ENOMEM);
	CHECK_EQ(do_mlockall(mm, 0), -EINVAL);
	CHECK_EQ(do_mmap(mm, 0, PAGE_SIZE, RW, ANON | MAP_LOCKED, NULL, 0), -EAGAIN);
	CHECK_EQ(do_munlockall(mm), 0);
	CHECK_EQ(do_mlockall(mm, MCL_FUTURE), 0);
	CHECK_EQ(vm_map(mm, VM_PAGE(100), 1, RW, ANON), (int64_t)VM_PAGE(100));
	CHECK_EQ(mm->locked_vm, 1);
	mm->limits.memlock = 0;
	CHECK_EQ(do_mlock(mm, VM_PAGE(0), PAGE_SIZE, false), -EPERM);
	space_end();
}

UNIT_TEST(limits_refuse)
{
	SPACE_BEGIN();
	mm->limits.as = 10 * PAGE_SIZE;
	mm->limits.data = 5 * PAGE_SIZE;
	CHECK_EQ(vm_map(mm, VM_PAGE(0), 6, RW, ANON), -ENOMEM);
	CHECK_EQ(vm_map(mm, VM_PAGE(0), 5, RW, ANON), (int64_t)VM_PAGE(0));
	CHECK_EQ(vm_map(mm, VM_PAGE(10), 5, PROT_READ, ANON), (int64_t)VM_PAGE(10));
	CHECK_EQ(do_mprotect(mm, VM_PAGE(10), PAGE_SIZE, RW), -ENOMEM);
	CHECK_EQ(vm_map(mm, VM_PAGE(20), 1, PROT_READ, ANON), -ENOMEM);
	/* Replacing counts once. */
	CHECK_EQ(vm_map(mm, VM_PAGE(10), 5, PROT_READ, ANON), (int64_t)VM_PAGE(10));
	/* A limit that came later takes nothing away. */
	CHECK_EQ(do_mprotect(mm, VM_PAGE(0), PAGE_SIZE, PROT_READ), 0);
	mm->limits.as = PAGE_SIZE;
	CHECK_EQ(do_mprotect(mm, VM_PAGE(0), PAGE_SIZE, RW), 0);
	space_end();
}

UNIT_TEST(mincore_and_msync)
{
	uint8_t vec[4] = {9, 9, 9, 9};

	SPACE_BEGIN();
	vm_map(mm, VM_PAGE(0), 3, RW, ANON);
	CHECK_EQ(vm_write(mm, VM_PAGE(1), 1), 0);
	CHECK_EQ(do_mincore(mm, VM_PAGE(0), 3, vec), 0);
	CHECK(vec[0] == 0 && vec[1] == 1 && vec[2] == 0);
	CHECK_EQ(do_mincore(mm, VM_PAGE(0), 4, vec), -ENOMEM);
	CHECK_EQ(do_mincore(mm, VM_PAGE(0) + 1, 1, vec), -EINVAL);
	do_mmap(mm, VM_PAGE(10), 4 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file, 3);
	CHECK_EQ(vm_write(mm, VM_PAGE(11), 4242), 0);
	CHECK_EQ(file.store[4], 1004);
	CHECK_EQ(do_msync(mm, VM_PAGE(10), 4 * PAGE_SIZE, MS_SYNC), 0);
	CHECK_EQ(file.store[4], 4242);
	CHECK_EQ(file.writes, 1);
	/* Clean and read-only now: the next write is noticed. */
	CHECK_EQ(vm_write(mm, VM_PAGE(11), 4343), 0);
	CHECK_EQ(do_msync(mm, VM_PAGE(10), 4 * PAGE_SIZE, MS_SYNC), 0);
	CHECK_EQ(file.store[4], 4343);
	CHECK_EQ(do_msync(mm, VM_PAGE(10), PAGE_SIZE, MS_SYNC | MS_ASYNC), -EINVAL);
	CHECK_EQ(do_msync(mm, VM_PAGE(30), PAGE_SIZE, MS_SYNC), -ENOMEM);
	space_end();
}

/* What cannot be promised does not cost what is there. */
UNIT_TEST(a_refused_mapping_replaces_nothing)
{
	struct mm_struct *mm = mm_alloc(VM_TOP);

	CHECK(mm);
	vm_map(mm, VM_PAGE(0), 4, RW, ANON);
	CHECK_EQ(vm_write(mm, VM_PAGE(3), 33), 0);
	CHECK_EQ(do_mmap(mm, VM_PAGE(0), (machine()->totalram + 1) * PAGE_SIZE, RW,
	                 ANON | MAP_FIXED, NULL, 0),
	         -ENOMEM);
	CHECK_EQ(vm_get(mm, VM_PAGE(3)), 33);
	mm->limits.as = 8 * PAGE_SIZE;
	CHECK_EQ(vm_map(mm, VM_PAGE(2), 7, RW, ANON), -ENOMEM);
	CHECK_EQ(vm_get(mm, VM_PAGE(3)), 33);
	CHECK_SOUND(space_check(mm));
	mmput(mm);
}
