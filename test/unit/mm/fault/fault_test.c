/*
 * fault_test.c - each kind of fault is what it is counted as, and costs the frames that it should.
 */
#include "test/unit/mm/space/vm.h"

static struct mm_struct *mm;
static struct test_file file;

/* The counter goes up by one and PGFAULT too. */
#define CHECK_FAULT(id, addr, access, result)                                                  \
	do {                                                                                   \
		uint64_t kind_ = counter_read(COUNT_##id), all_ = counter_read(COUNT_PGFAULT); \
		CHECK_EQ(handle_mm_fault(mm, addr, access, NULL), result);                     \
		CHECK_EQ(counter_read(COUNT_##id), kind_ + 1);                                 \
		CHECK_EQ(counter_read(COUNT_PGFAULT), all_ + 1);                               \
	} while (0)

static void finish(void)
{
	const char *broken = space_check(mm);

	mmput(mm);
	CHECK_SOUND(broken);
}

UNIT_TEST(anonymous_kinds)
{
	uint64_t frames, tables = frame_kind_pages(FRAME_PAGETABLE);

	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	vm_map(mm, VM_PAGE(0), 8, RW, ANON);
	CHECK_FAULT(FAULT_ZERO, VM_PAGE(0), FAULT_READ, FAULT_DONE);
	CHECK_EQ(mm_rss(mm), 0);
	CHECK_FAULT(FAULT_SPURIOUS, VM_PAGE(0), FAULT_READ, FAULT_DONE);
	frames = nr_free_pages();
	CHECK_FAULT(FAULT_COW, VM_PAGE(0), FAULT_WRITE, FAULT_DONE);
	CHECK_FAULT(FAULT_ANON, VM_PAGE(1), FAULT_WRITE, FAULT_DONE);
	CHECK_FAULT(FAULT_ANON, VM_PAGE(2) + 5, FAULT_WRITE | FAULT_USER, FAULT_DONE);
	CHECK_EQ(mm_rss(mm), 3);
	CHECK_GE(frames - nr_free_pages(), 3);
	CHECK_EQ(frame_kind_pages(FRAME_ANON), 3);
	CHECK_FAULT(FAULT_SIGSEGV, VM_PAGE(8), FAULT_READ, FAULT_MAPERR);
	CHECK_FAULT(FAULT_SIGSEGV, VM_PAGE(1), FAULT_EXEC, FAULT_ACCERR);
	CHECK_EQ(do_munmap(mm, VM_PAGE(2), PAGE_SIZE), 0);
	CHECK_EQ(mm_rss(mm), 2);
	CHECK_EQ(atomic_load(&mm->hiwater_rss), 3);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(0), PAGE_SIZE, PROT_READ), 0);
	CHECK_FAULT(FAULT_SIGSEGV, VM_PAGE(0), FAULT_WRITE, FAULT_ACCERR);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(0), PAGE_SIZE, PROT_NONE), 0);
	CHECK_FAULT(FAULT_SIGSEGV, VM_PAGE(0), FAULT_READ, FAULT_ACCERR);
	CHECK_CALL(finish());
	CHECK_EQ(frame_kind_pages(FRAME_ANON), 0);
	CHECK_EQ(frame_kind_pages(FRAME_PAGETABLE), tables);
}

UNIT_TEST(copies_until_one_owner_is_left)
{
	struct mm_struct *child;

	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	vm_map(mm, VM_PAGE(0), 4, RW, ANON);
	CHECK_EQ(vm_write(mm, VM_PAGE(0), 1), 0);
	CHECK_EQ(vm_write(mm, VM_PAGE(1), 2), 0);
	child = dup_mm(mm);
	CHECK(!IS_ERR(child));
	CHECK_EQ(frame_kind_pages(FRAME_ANON), 2);
	CHECK_FAULT(FAULT_COW, VM_PAGE(0), FAULT_WRITE, FAULT_DONE);
	CHECK_EQ(frame_kind_pages(FRAME_ANON), 3);
	CHECK_EQ(vm_write(mm, VM_PAGE(0), 11), 0);
	CHECK_EQ(vm_get(child, VM_PAGE(0)), 1);
	mmput(child);
	CHECK_FAULT(FAULT_REUSE, VM_PAGE(1), FAULT_WRITE, FAULT_DONE);
	CHECK_EQ(frame_kind_pages(FRAME_ANON), 2);
	CHECK_CALL(finish());
}

UNIT_TEST(a_reference_forbids_reuse)
{
	struct page *page;

	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	vm_map(mm, VM_PAGE(0), 1, RW, ANON);
	CHECK_EQ(vm_write(mm, VM_PAGE(0), 1), 0);
	CHECK_EQ(get_user_page(mm, VM_PAGE(0), FAULT_READ, &page), 0);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(0), PAGE_SIZE, PROT_READ), 0);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(0), PAGE_SIZE, RW), 0);
	CHECK_FAULT(FAULT_COW, VM_PAGE(0), FAULT_WRITE, FAULT_DONE);
	put_page(page);
	CHECK_CALL(finish());
}

UNIT_TEST(file_kinds)
{
	struct fault_stats stats = {0, 0};
	uint64_t around;

	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	tfile_init(&file, 64);
	do_mmap(mm, VM_PAGE(0), 64 * PAGE_SIZE, RW, MAP_PRIVATE | MAP_FIXED, &file.file, 0);
	do_mmap(mm, VM_PAGE(100), 64 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file, 0);
	CHECK_EQ(handle_mm_fault(mm, VM_PAGE(0), FAULT_READ, &stats), FAULT_DONE);
	CHECK_EQ(stats.major, 1);
	CHECK_EQ(file.reads, 2); /* 33 pages wanted, 32 to a request */
	around = counter_read(COUNT_FAULT_AROUND);
	CHECK_FAULT(FAULT_FILE, VM_PAGE(17), FAULT_READ, FAULT_DONE);
	CHECK_EQ(counter_read(COUNT_FAULT_AROUND), around + 15);
	CHECK_EQ(atomic_load(&mm->rss[MM_FILEPAGES]), 17);
	CHECK_FAULT(FAULT_COW, VM_PAGE(17), FAULT_WRITE, FAULT_DONE);
	CHECK_FAULT(FAULT_COW, VM_PAGE(40), FAULT_WRITE, FAULT_DONE);
	CHECK_EQ(atomic_load(&mm->rss[MM_FILEPAGES]), 16);
	CHECK_EQ(atomic_load(&mm->rss[MM_ANONPAGES]), 2);
	/* Shared: read-only until the first write, which marks the page. */
	CHECK_FAULT(FAULT_FILE, VM_PAGE(103), FAULT_READ, FAULT_DONE);
	CHECK_FAULT(FAULT_FILE, VM_PAGE(103), FAULT_WRITE, FAULT_DONE);
	CHECK(radix_tree_tag_get(&file.mapping.i_pages, 3, RADIX_TREE_DIRTY));
	CHECK(!radix_tree_tag_get(&file.mapping.i_pages, 4, RADIX_TREE_DIRTY));
	atomic_store(&file.mapping.i_size, 10);
	CHECK_FAULT(FAULT_SIGBUS, VM_PAGE(150), FAULT_READ, FAULT_BUS);
	file.fail_index = 0;
	CHECK_CALL(finish());
	address_space_destroy(&file.mapping);
}

UNIT_TEST(an_unreadable_page_is_a_bus_error)
{
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	tfile_init(&file, 4);
	file.fail_index = 2;
	do_mmap(mm, VM_PAGE(0), 4 * PAGE_SIZE, RW, MAP_PRIVATE | MAP_FIXED, &file.file, 0);
	CHECK_FAULT(FAULT_SIGBUS, VM_PAGE(2), FAULT_READ, FAULT_BUS);
	CHECK_FAULT(FAULT_SIGBUS, VM_PAGE(2), FAULT_WRITE, FAULT_BUS);
	CHECK_EQ(vm_get(mm, VM_PAGE(1)), 1001);
	CHECK_CALL(finish());
	address_space_destroy(&file.mapping);
}

UNIT_TEST(remote_access_stops_at_a_hole)
{
	static char buf[3 * PAGE_SIZE];

	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	vm_map(mm, VM_PAGE(0), 2, RW, ANON);
	memset(buf, 0x5a, sizeof(buf));
	CHECK_EQ(access_remote_vm(mm, VM_PAGE(0) + 100, buf, sizeof(buf), true),
	         2 * PAGE_SIZE - 100);
	memset(buf, 0, sizeof(buf));
	CHECK_EQ(access_remote_vm(mm, VM_PAGE(0), buf, sizeof(buf), false), 2 * PAGE_SIZE);
	CHECK(buf[99] == 0 && buf[100] == 0x5a && buf[2 * PAGE_SIZE - 1] == 0x5a);
	CHECK_CALL(finish());
}
