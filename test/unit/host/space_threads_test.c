/*
 * space_threads_test.c - two CPUs in one address space, through the software TLBs: what the naive model cannot see.
 *
 * One thread runs as the program: it writes and reads back, and touches what may be gone. The other maps, unmaps, protects, forks,
 * truncates. A forgotten flush, a lost write or a page freed while it is mapped shows as a wrong value or a broken check.
 */
#include "host/internal.h"
#include "test/unit/mm/space/vm.h"

#define OWN    0   /* pages of this area are written by one thread only */
#define COMMON 64  /* these come and go */
#define MAPPED 128 /* these show the file */
#define PAGES  32

static struct mm_struct *mm;
static struct test_file file;
static _Atomic bool stop;
static _Atomic unsigned wrong, accesses;

static void program(void *arg)
{
	struct random random;
	uint64_t expect[PAGES] = {0}, value;

	random_seed(&random, *(uint64_t *)arg);
	while (!atomic_load(&stop)) {
		const unsigned i = (unsigned)random_below(&random, PAGES);

		if (host_read(mm, VM_PAGE(OWN + i), &value, 8) || value != expect[i])
			atomic_fetch_add(&wrong, 1);
		expect[i] = random_u64(&random);
		if (host_write(mm, VM_PAGE(OWN + i), &expect[i], 8))
			atomic_fetch_add(&wrong, 1);
		(void)!host_write(mm, VM_PAGE(COMMON + i), &value, 8);
		value = i;
		if (!host_read(mm, VM_PAGE(MAPPED + i), &value, 8) && value != 0 &&
		    value != 1000 + i)
			atomic_fetch_add(&wrong, 1);
		atomic_fetch_add(&accesses, 1);
	}
	kmem_cache_shrink_all(); /* what this CPU keeps for itself */
}

static void resize(uint64_t pages)
{
	down_write(&file.mapping.invalidate_lock);
	atomic_store(&file.mapping.i_size, pages * PAGE_SIZE);
	truncate_pagecache(&file.mapping, pages * PAGE_SIZE);
	up_write(&file.mapping.invalidate_lock);
}

/* A child's memory stands still, whatever its parent writes. */
static void fork_and_look(void)
{
	struct mm_struct *child = dup_mm(mm);
	uint64_t seen[PAGES], again = 0;

	CHECK(!IS_ERR(child));
	for (unsigned i = 0; i < PAGES; i++)
		CHECK_EQ(host_read(child, VM_PAGE(OWN + i), &seen[i], 8), 0);
	for (unsigned i = 0; i < PAGES; i++) {
		CHECK_EQ(host_read(child, VM_PAGE(OWN + i), &again, 8), 0);
		CHECK_EQ(again, seen[i]);
		if (i % 4 == 0)
			CHECK_EQ(host_write(child, VM_PAGE(OWN + i), &again, 8), 0);
	}
	CHECK_SOUND(space_check(child));
	mmput(child);
}

static void disturb(unsigned round)
{
	const vaddr_t at = VM_PAGE(COMMON + round % 16);

	switch (round % 7) {
	case 0:
		CHECK_EQ(do_munmap(mm, at, 8 * PAGE_SIZE), 0);
		break;
	case 1:
		CHECK_EQ(vm_map(mm, VM_PAGE(COMMON), PAGES, RW, ANON), (int64_t)VM_PAGE(COMMON));
		break;
	case 2:
		(void)!do_mprotect(mm, at, 4 * PAGE_SIZE, round % 2 ? PROT_READ : RW);
		CHECK_EQ(do_mprotect(mm, VM_PAGE(OWN + 8), 8 * PAGE_SIZE, RW), 0);
		break;
	case 3:
		CHECK_CALL(fork_and_look());
		break;
	case 4:
		resize(round % 3 ? 0 : PAGES / 2);
		break;
	case 5:
		resize(PAGES);
		break;
	default:
		(void)!do_madvise(mm, at, 8 * PAGE_SIZE, MADV_DONTNEED);
		(void)!filemap_write_and_wait_range(&file.mapping, 0, UINT64_MAX);
	}
}

static void disturb_for(unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		CHECK_CALL(disturb(i));
		if (i % 8 == 0) {
			down_write(&mm->mmap_lock);
			const char *broken = vma_tree_check(mm);
			up_write(&mm->mmap_lock);
			CHECK_SOUND(broken);
		}
	}
}

UNIT_TEST(two_cpus_in_one_space)
{
	struct host_task *task;
	uint64_t seed = unit_seed();
	unsigned before;

	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	tfile_init(&file, PAGES);
	vm_map(mm, VM_PAGE(OWN), PAGES, RW, ANON);
	do_mmap(mm, VM_PAGE(MAPPED), PAGES * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file, 0);
	atomic_store(&stop, false);
	atomic_store(&wrong, 0);
	atomic_store(&accesses, 0);
	task = host_run_on(host_of(machine()), 1, program, &seed);
	CHECK(task);
	for (before = 0; before < 20 && !unit_failed(); before++)
		disturb_for(200);
	atomic_store(&stop, true);
	host_join(task);
	CHECK_EQ(atomic_load(&wrong), 0);
	CHECK_GT(atomic_load(&accesses), 0);
	CHECK_SOUND(space_check(mm));
	CHECK_SOUND(cache_check(&file.mapping));
	mmput(mm);
	address_space_destroy(&file.mapping);
}
