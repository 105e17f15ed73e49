/*
 * cache_test.c - pages of files: reading, reading ahead, errors, dirt, truncation, and mappings of them.
 */
#include "test/unit/mm/space/vm.h"

static struct test_file file;

static uint64_t first_word(struct page *page)
{
	uint64_t word;

	memcpy_from_page(&word, page, 0, sizeof(word));
	return word;
}

UNIT_TEST(reads_once_and_ahead)
{
	struct page *page;
	bool major = false;

	tfile_init(&file, 40);
	CHECK_EQ(filemap_get_page(&file.mapping, 3, 7, &page, &major), 0);
	CHECK(major);
	CHECK_EQ(first_word(page), 1003);
	CHECK_EQ(page_count(page), 2);
	put_page(page);
	CHECK_EQ(file.reads, 1);
	CHECK_EQ(file.mapping.nrpages, 8);
	major = false;
	CHECK_EQ(filemap_get_page(&file.mapping, 10, 7, &page, &major), 0);
	CHECK(!major);
	put_page(page);
	/* Up to what is there, and to the end of the file. */
	CHECK_EQ(filemap_get_page(&file.mapping, 0, 31, &page, NULL), 0);
	put_page(page);
	CHECK_EQ(file.mapping.nrpages, 11);
	CHECK_EQ(filemap_get_page(&file.mapping, 39, 31, &page, NULL), 0);
	put_page(page);
	CHECK_EQ(file.mapping.nrpages, 12);
	CHECK_SOUND(cache_check(&file.mapping));
	address_space_destroy(&file.mapping);
	CHECK_EQ(frame_kind_pages(FRAME_FILE), 0);
}

UNIT_TEST(a_failed_read_leaves_nothing)
{
	struct page *page;

	tfile_init(&file, 40);
	file.fail_index = 5;
	CHECK_EQ(filemap_get_page(&file.mapping, 5, 0, &page, NULL), -EIO);
	CHECK_EQ(filemap_get_page(&file.mapping, 5, 8, &page, NULL), -EIO);
	CHECK(!find_get_page(&file.mapping, 5));
	/* Read-ahead over the bad page does not hurt the good one. */
	CHECK_EQ(filemap_get_page(&file.mapping, 2, 8, &page, NULL), 0);
	CHECK_EQ(first_word(page), 1002);
	put_page(page);
	CHECK(!find_get_page(&file.mapping, 5));
	file.fail_index = UINT64_MAX;
	CHECK_EQ(filemap_get_page(&file.mapping, 5, 0, &page, NULL), 0);
	put_page(page);
	CHECK_EQ(filemap_get_page(&file.mapping, MAX_FILE_PAGES, 0, &page, NULL), -EFBIG);
	CHECK_SOUND(cache_check(&file.mapping));
	address_space_destroy(&file.mapping);
}

UNIT_TEST(dirty_pages_reach_the_store)
{
	tfile_init(&file, 100);
	for (uint64_t i = 0; i < 100; i += 7)
		CHECK_EQ(tfile_write(&file, i, 5000 + i), 0);
	CHECK_EQ(filemap_write_and_wait_range(&file.mapping, 0, 49), 0);
	CHECK_EQ(file.writes, 8);
	CHECK_EQ(file.store[49], 5049);
	CHECK_EQ(file.store[56], 1056);
	CHECK_EQ(filemap_write_and_wait_range(&file.mapping, 0, UINT64_MAX), 0);
	CHECK_EQ(file.writes, 15);
	CHECK_SOUND(cache_check(&file.mapping));
	/* Clean pages may go; dirty ones stay. */
	CHECK_EQ(tfile_write(&file, 0, 1), 0);
	CHECK_EQ(invalidate_mapping_pages(&file.mapping, 0, UINT64_MAX), 14);
	CHECK_EQ(file.mapping.nrpages, 1);
	address_space_destroy(&file.mapping);
}

UNIT_TEST(adopted_and_grabbed_pages)
{
	struct page *page = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_ZERO), *again;

	tfile_init(&file, 10);
	CHECK(page);
	CHECK_EQ(filemap_adopt_page(&file.mapping, 4, page), 0);
	CHECK_EQ(filemap_get_page(&file.mapping, 4, 0, &again, NULL), 0);
	CHECK_EQ(again, page);
	put_page(again);
	page = alloc_page(GFP_HIGHUSER_MOVABLE);
	CHECK(page);
	CHECK_EQ(filemap_adopt_page(&file.mapping, 4, page), -EEXIST);
	put_page(page);
	CHECK_EQ(filemap_grab_page(&file.mapping, 6, true, &page), 0);
	CHECK(!page_flag(page, PG_uptodate) && page_flag(page, PG_locked));
	unlock_page(page);
	put_page(page);
	/* Who grabbed it wrote nothing: the next one reads it. */
	CHECK_EQ(filemap_get_page(&file.mapping, 6, 0, &page, NULL), 0);
	CHECK_EQ(first_word(page), 1006);
	put_page(page);
	CHECK_SOUND(cache_check(&file.mapping));
	address_space_destroy(&file.mapping);
}

/* Set the size as a file system does. */
static void resize(uint64_t bytes)
{
	down_write(&file.mapping.invalidate_lock);
	atomic_store(&file.mapping.i_size, bytes);
	truncate_pagecache(&file.mapping, bytes);
	up_write(&file.mapping.invalidate_lock);
}

UNIT_TEST(truncation_takes_mappings_with_it)
{
	struct mm_struct *mm = mm_alloc(VM_TOP);

	CHECK(mm);
	tfile_init(&file, 20);
	do_mmap(mm, VM_PAGE(0), 20 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file, 0);
	do_mmap(mm, VM_PAGE(50), 20 * PAGE_SIZE, RW, MAP_PRIVATE | MAP_FIXED, &file.file, 0);
	for (unsigned i = 0; i < 20; i++) {
		CHECK_EQ(vm_get(mm, VM_PAGE(i)), 1000 + i);
		CHECK_EQ(vm_write(mm, VM_PAGE(50 + i), 1), 0);
	}
	CHECK_EQ(vm_write(mm, VM_PAGE(9) + 2048, 99), 0);
	resize(9 * PAGE_SIZE + 1024);
	CHECK_SOUND(space_check(mm));
	CHECK_EQ(handle_mm_fault(mm, VM_PAGE(10), FAULT_READ, NULL), FAULT_BUS);
	CHECK_EQ(handle_mm_fault(mm, VM_PAGE(60), FAULT_READ, NULL), FAULT_BUS);
	CHECK_EQ(handle_mm_fault(mm, VM_PAGE(60), FAULT_WRITE, NULL), FAULT_BUS);
	CHECK_EQ(vm_get(mm, VM_PAGE(9)), 1009);
	CHECK_EQ(vm_get(mm, VM_PAGE(9) + 2048), 0);
	CHECK_EQ(vm_get(mm, VM_PAGE(59)), 1);
	CHECK_EQ(file.mapping.nrpages, 10);
	resize(20 * PAGE_SIZE);
	CHECK_EQ(vm_get(mm, VM_PAGE(15)), 1015);
	CHECK_SOUND(space_check(mm));
	mmput(mm);
	address_space_destroy(&file.mapping);
}

UNIT_TEST(holes_keep_private_copies)
{
	struct mm_struct *mm = mm_alloc(VM_TOP);

	CHECK(mm);
	tfile_init(&file, 20);
	do_mmap(mm, VM_PAGE(0), 20 * PAGE_SIZE, RW, MAP_PRIVATE | MAP_FIXED, &file.file, 0);
	CHECK_EQ(vm_write(mm, VM_PAGE(5), 1), 0);
	CHECK_EQ(vm_get(mm, VM_PAGE(6)), 1006);
	file.store[5] = file.store[6] = 0;
	down_write(&file.mapping.invalidate_lock);
	truncate_pagecache_range(&file.mapping, 5 * PAGE_SIZE, 7 * PAGE_SIZE);
	up_write(&file.mapping.invalidate_lock);
	CHECK_EQ(vm_get(mm, VM_PAGE(5)), 1);
	CHECK_EQ(vm_get(mm, VM_PAGE(6)), 0);
	CHECK_SOUND(space_check(mm));
	mmput(mm);
	address_space_destroy(&file.mapping);
}

/* Its unmapping is done; it waits for page 5, which the test has locked. */
static void punch_hole(void *arg)
{
	struct completion *done = arg;

	down_write(&file.mapping.invalidate_lock);
	truncate_pagecache_range(&file.mapping, 5 * PAGE_SIZE, 8 * PAGE_SIZE);
	up_write(&file.mapping.invalidate_lock);
	complete_all(done);
}

/* A fault that is faster than truncation maps a page that has been unmapped already: it is unmapped once more. */
UNIT_TEST(truncation_finds_what_a_fault_mapped_meanwhile)
{
	struct mm_struct *mm = mm_alloc(VM_TOP);
	static struct completion done;
	struct page *first, *page;

	CHECK(mm);
	tfile_init(&file, 20);
	do_mmap(mm, VM_PAGE(0), 20 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file, 0);
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(vm_get(mm, VM_PAGE(i)), 1000 + i);
	first = find_get_page(&file.mapping, 5);
	page = find_get_page(&file.mapping, 6);
	CHECK(first && page);
	/* As another thread's: this one may not hold a page's lock and fault (doc/locking.md). */
	page_set_flag(first, PG_locked);
	init_completion(&done);
	CHECK_EQ(port_kthread_start("punch", punch_hole, &done), 0);
	while (!page_flag(first, PG_waiters))
		port_block_until(port_now_ns() + 100000);
	CHECK_EQ(page_mapcount(page), 0);
	CHECK_EQ(vm_get(mm, VM_PAGE(6)), 1006);
	CHECK_EQ(page_mapcount(page), 1);
	unlock_page(first);
	wait_for_completion(&done);
	CHECK_EQ(page_mapcount(page), 0);
	CHECK_EQ(page_count(page), 1);
	CHECK(!page_mapping(page));
	put_page(page);
	put_page(first);
	file.store[6] = 0;
	CHECK_EQ(vm_get(mm, VM_PAGE(6)), 0);
	CHECK_SOUND(space_check(mm));
	mmput(mm);
	address_space_destroy(&file.mapping);
}

UNIT_TEST(shared_memory_lives_with_its_holders)
{
	struct vm_file *shm = shmem_file_setup("SYSV00000000", 10 * PAGE_SIZE);
	struct mm_struct *mm = mm_alloc(VM_TOP);
	char name[64];

	CHECK(mm && !IS_ERR(shm));
	CHECK_EQ(shm->vf_ops->path(shm, name, sizeof(name)), 22);
	CHECK_STR(name, "SYSV00000000 (deleted)");
	do_mmap(mm, VM_PAGE(0), 10 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, shm, 0);
	do_mmap(mm, VM_PAGE(100), 5 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, shm, 5);
	put_vm_file(shm);
	CHECK_EQ(vm_write(mm, VM_PAGE(7), 7), 0);
	CHECK_EQ(vm_get(mm, VM_PAGE(102)), 7);
	CHECK_EQ(atomic_load(&mm->rss[MM_SHMEMPAGES]), 2);
	CHECK_EQ(frame_kind_pages(FRAME_SHMEM), 1);
	CHECK_EQ(do_munmap(mm, VM_PAGE(0), 10 * PAGE_SIZE), 0);
	CHECK_EQ(vm_get(mm, VM_PAGE(102)), 7);
	CHECK_EQ(handle_mm_fault(mm, VM_PAGE(104), FAULT_WRITE, NULL), FAULT_DONE);
	mmput(mm);
	CHECK_EQ(frame_kind_pages(FRAME_SHMEM), 0);
}
