/*
 * migrate_threads_test.c - pages of running programs move all the time: on other CPUs a program reads back what it wrote,
 * and an address space is mapped, forked, moved and truncated.
 *
 * A reference, an entry or a flush that migration forgets shows as a wrong value, a broken check or a frame too few.
 */
#include "host/internal.h"
#include <quire/migrate.h>
#include "test/unit/mm/space/vm.h"

#define OWN    0  /* written by the program only, the rest of the file's pages likewise */
#define SHARED 64 /* a file, shared */
#define MOVED  128
#define PAGES  32

static struct mm_struct *mm;
static struct test_file file;
static _Atomic bool stop;
static _Atomic unsigned wrong, accesses, moved, refused;

/* One word of each page is what was written there last. */
static void program(void *arg)
{
	uint64_t expect[2][PAGES] = {{0}}, value;
	struct random random;

	random_seed(&random, *(uint64_t *)arg);
	for (unsigned i = 0; i < PAGES; i++)
		expect[1][i] = 1000 + i;
	while (!atomic_load(&stop)) {
		const unsigned i = (unsigned)random_below(&random, PAGES);
		const unsigned which = (unsigned)random_below(&random, 2);
		const vaddr_t at = VM_PAGE((which ? SHARED : OWN) + i);

		if (host_read(mm, at, &value, 8) || value != expect[which][i])
			atomic_fetch_add(&wrong, 1);
		expect[which][i] = random_u64(&random);
		if (host_write(mm, at, &expect[which][i], 8))
			atomic_fetch_add(&wrong, 1);
		atomic_fetch_add(&accesses, 1);
	}
	kmem_cache_shrink_all();
}

/* What compaction does, for any page on the LRU. */
static void move_frame(uint32_t pfn)
{
	struct page *page = pfn_to_page(PFN(pfn)), *dst;

	if (!page_flag(page, PG_lru) || !get_page_unless_zero(page))
		return;
	if (!page_flag(page, PG_lru)) {
		put_page(page);
		return;
	}
	dst = alloc_page(GFP_HIGHUSER_MOVABLE);
	if (dst && !migrate_page(page, dst, pfn % 3 ? MIGRATE_ASYNC : MIGRATE_SYNC)) {
		atomic_fetch_add(&moved, 1);
		return;
	}
	atomic_fetch_add(&refused, 1);
	put_page(page);
	if (dst)
		put_page(dst);
}

static void migrator(void *unused UNUSED)
{
	while (!atomic_load(&stop))
		for (uint32_t pfn = 1; pfn < machine()->max_pfn && !atomic_load(&stop); pfn++)
			move_frame(pfn);
	kmem_cache_shrink_all();
}

static void fork_and_look(void)
{
	struct mm_struct *child = dup_mm(mm), *grandchild;
	uint64_t seen[PAGES], again = 0;

	CHECK(!IS_ERR(child));
	for (unsigned i = 0; i < PAGES; i++)
		CHECK_EQ(host_read(child, VM_PAGE(OWN + i), &seen[i], 8), 0);
	grandchild = dup_mm(child);
	CHECK(!IS_ERR(grandchild));
	for (unsigned i = 0; i < PAGES; i++) {
		const uint64_t mine = i;

		CHECK_EQ(host_read(child, VM_PAGE(OWN + i), &again, 8), 0);
		CHECK_EQ(again, seen[i]);
		if (i % 4 == 0)
			CHECK_EQ(host_write(child, VM_PAGE(OWN + i), &mine, 8), 0);
		CHECK_EQ(host_read(grandchild, VM_PAGE(OWN + i), &again, 8), 0);
		CHECK_EQ(again, seen[i]);
	}
	mmput(child);
	mmput(grandchild);
}

/* Pages that change their place, their protection, and whether they are there. */
static void shuffle(unsigned round)
{
	const unsigned from = MOVED + (round % 2 ? PAGES : 0), to = MOVED + (round % 2 ? 0 : PAGES);
	const uint64_t value = 7000 + round;
	uint64_t seen = 0;

	CHECK_EQ(host_write(mm, VM_PAGE(from + 3), &value, 8), 0);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(from), 8 * PAGE_SIZE, PROT_READ), 0);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(from), 8 * PAGE_SIZE, RW), 0);
	CHECK_EQ(do_mremap(mm, VM_PAGE(from), PAGES * PAGE_SIZE, PAGES * PAGE_SIZE,
	                   MREMAP_MAYMOVE | MREMAP_FIXED, VM_PAGE(to)),
	         (int64_t)VM_PAGE(to));
	CHECK_EQ(host_read(mm, VM_PAGE(to + 3), &seen, 8), 0);
	CHECK_EQ(seen, value);
	CHECK_EQ(do_madvise(mm, VM_PAGE(to + 16), 8 * PAGE_SIZE, MADV_DONTNEED), 0);
	CHECK_EQ(host_read(mm, VM_PAGE(to + 17), &seen, 8), 0);
	CHECK_EQ(seen, 0);
	CHECK_EQ(host_write(mm, VM_PAGE(to + 17), &value, 8), 0);
}

static void truncate_behind(void)
{
	const uint64_t pages = PAGES + 4;
	uint64_t value;

	/* The pages after those that are looked at come and go. */
	for (unsigned i = PAGES; i < pages; i++)
		(void)!host_read(mm, VM_PAGE(SHARED + i), &value, 8);
	down_write(&file.mapping.invalidate_lock);
	atomic_store(&file.mapping.i_size, PAGES * PAGE_SIZE);
	truncate_pagecache(&file.mapping, PAGES * PAGE_SIZE);
	atomic_store(&file.mapping.i_size, pages * PAGE_SIZE);
	up_write(&file.mapping.invalidate_lock);
}

static void disturb_for(unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		CHECK_CALL(shuffle(i));
		if (i % 3 == 0)
			CHECK_CALL(fork_and_look());
		if (i % 5 == 0)
			truncate_behind();
		if (i % 7 == 0)
			(void)!filemap_write_and_wait_range(&file.mapping, 0, UINT64_MAX);
	}
}

static void map_all(void)
{
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	tfile_init(&file, PAGES + 4);
	CHECK_EQ(vm_map(mm, VM_PAGE(OWN), PAGES, RW, ANON), (int64_t)VM_PAGE(OWN));
	CHECK_EQ(vm_map(mm, VM_PAGE(MOVED), PAGES, RW, ANON), (int64_t)VM_PAGE(MOVED));
	CHECK_EQ(do_mmap(mm, VM_PAGE(SHARED), (PAGES + 4) * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED,
	                 &file.file, 0),
	         (int64_t)VM_PAGE(SHARED));
}

UNIT_TEST(programs_do_not_notice)
{
	struct host_machine *before = host_of(machine()), *h;
	uint64_t seed = unit_seed(), frames;
	struct host_task *task[2];
	const char *broken;

	h = host_create(&(struct host_config){.ram = 16 << 20, .cpus = 3, .seed = seed});
	CHECK(h);
	frames = vm_baseline();
	CHECK_CALL(map_all());
	stop = false;
	wrong = accesses = moved = refused = 0;
	task[0] = host_run_on(h, 1, program, &seed);
	task[1] = host_run_on(h, 2, migrator, NULL);
	disturb_for(6000);
	atomic_store(&stop, true);
	host_join(task[0]);
	host_join(task[1]);
	broken = space_check(mm);
	if (!broken)
		broken = cache_check(&file.mapping);
	mmput(mm);
	address_space_destroy(&file.mapping);
	if (!broken)
		broken = mm_check();
	frames -= vm_free_frames();
	host_destroy(h);
	host_enter(before, 0);
	CHECK_SOUND(broken);
	CHECK_EQ(wrong, 0);
	CHECK_EQ(frames, 0);
	CHECK_GT(accesses, 1000);
	CHECK_GT(moved, 1000);
}
