/*
 * space_tlb_test.c - translations that another CPU still holds: each call that takes something away must reach them.
 *
 * One thread is both CPUs in turn, so that what each TLB holds is known exactly.
 */
#include "host/internal.h"
#include <quire/errno.h>
#include <quire/migrate.h>
#include <quire/trace.h>
#include "test/unit/mm/space/vm.h"

static struct mm_struct *mm;

static void be_cpu(unsigned cpu)
{
	host_enter(host_of(machine()), cpu);
}

static uint64_t read_as(unsigned cpu, vaddr_t va)
{
	uint64_t value = 0;

	be_cpu(cpu);
	return host_read(mm, va, &value, 8) ? UINT64_MAX : value;
}

static int write_as(unsigned cpu, vaddr_t va, uint64_t value)
{
	be_cpu(cpu);
	return host_write(mm, va, &value, 8);
}

/* A space with four pages, the first two written. CPU 1 holds translations of all. */
static bool begin(void)
{
	mm = mm_alloc(VM_TOP);
	if (!mm)
		return false;
	vm_map(mm, VM_PAGE(0), 4, RW, ANON);
	return !write_as(1, VM_PAGE(0), 1) && !write_as(1, VM_PAGE(1), 2) &&
	       read_as(1, VM_PAGE(2)) == 0 && read_as(1, VM_PAGE(3)) == 0;
}

static void end(void)
{
	be_cpu(1);
	kmem_cache_shrink_all();
	be_cpu(0);
	mmput(mm);
}

UNIT_TEST(a_copy_is_seen_by_all)
{
	CHECK(begin());
	CHECK_EQ(write_as(0, VM_PAGE(2), 5), 0);
	CHECK_EQ(read_as(1, VM_PAGE(2)), 5);
	end();
}

UNIT_TEST(fork_takes_writing_away)
{
	struct mm_struct *child;

	CHECK(begin());
	be_cpu(0);
	child = dup_mm(mm);
	CHECK(!IS_ERR(child));
	CHECK_EQ(write_as(1, VM_PAGE(0), 100), 0);
	be_cpu(0);
	CHECK_EQ(vm_get(child, VM_PAGE(0)), 1);
	mmput(child);
	end();
}

UNIT_TEST(unmapping_and_protecting_reach_all)
{
	CHECK(begin());
	be_cpu(0);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(0), PAGE_SIZE, PROT_READ), 0);
	CHECK_EQ(write_as(1, VM_PAGE(0), 9), FAULT_ACCERR);
	be_cpu(0);
	CHECK_EQ(do_munmap(mm, VM_PAGE(1), PAGE_SIZE), 0);
	CHECK_EQ(write_as(1, VM_PAGE(1), 9), FAULT_MAPERR);
	be_cpu(0);
	CHECK_EQ(do_madvise(mm, VM_PAGE(0), PAGE_SIZE, MADV_DONTNEED), 0);
	CHECK_EQ(read_as(1, VM_PAGE(0)), 0);
	end();
}

UNIT_TEST(moving_leaves_nothing_behind)
{
	CHECK(begin());
	be_cpu(0);
	CHECK_EQ(do_mremap(mm, VM_PAGE(0), 2 * PAGE_SIZE, 2 * PAGE_SIZE,
	                   MREMAP_MAYMOVE | MREMAP_FIXED, VM_PAGE(50)),
	         (int64_t)VM_PAGE(50));
	CHECK_EQ(write_as(1, VM_PAGE(0), 9), FAULT_MAPERR);
	CHECK_EQ(read_as(1, VM_PAGE(51)), 2);
	end();
}

UNIT_TEST(write_back_hears_of_the_next_write)
{
	static struct test_file file;

	CHECK(begin());
	tfile_init(&file, 4);
	do_mmap(mm, VM_PAGE(8), 4 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file, 0);
	CHECK_EQ(write_as(1, VM_PAGE(8), 71), 0);
	be_cpu(0);
	CHECK_EQ(do_msync(mm, VM_PAGE(8), PAGE_SIZE, MS_SYNC), 0);
	CHECK_EQ(file.store[0], 71);
	CHECK_EQ(write_as(1, VM_PAGE(8), 72), 0);
	be_cpu(0);
	CHECK_EQ(do_msync(mm, VM_PAGE(8), PAGE_SIZE, MS_SYNC), 0);
	CHECK_EQ(file.store[0], 72);
	end();
	address_space_destroy(&file.mapping);
}

/* The frame at va goes, with a reference of ours, to a new one. */
static struct migrate_pair pair_of(struct mm_struct *space, vaddr_t va)
{
	struct page *old = pfn_to_page(pte_pfn(pte_read(pt_lookup(&space->space, va))));

	get_page(old);
	return (struct migrate_pair){old, alloc_page(GFP_HIGHUSER_MOVABLE), -EAGAIN};
}

UNIT_TEST(pages_that_move_are_flushed_at_once)
{
	struct migrate_pair pairs[4];
	uint64_t flushes;

	CHECK(begin());
	CHECK_EQ(write_as(1, VM_PAGE(2), 3), 0);
	CHECK_EQ(write_as(1, VM_PAGE(3), 4), 0);
	be_cpu(0);
	for (unsigned i = 0; i < 4; i++)
		pairs[i] = pair_of(mm, VM_PAGE(i));
	flushes = counter_read(COUNT_TLB_REMOTE_FLUSH);
	migrate_pages(pairs, 4, MIGRATE_ASYNC);
	CHECK_EQ(counter_read(COUNT_TLB_REMOTE_FLUSH), flushes + 1);
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(pairs[i].err, 0);
		CHECK_EQ(read_as(1, VM_PAGE(i)), i + 1);
	}
	CHECK_SOUND(space_check(mm));
	end();
}

/* More spaces than a batch has room for: those are flushed one by one. */
UNIT_TEST(a_page_of_many_moves)
{
	struct mm_struct *child[MMU_RANGES_MAX + 2];
	struct migrate_pair pair;
	uint64_t value;

	CHECK(begin());
	for (unsigned i = 0; i < ARRAY_SIZE(child); i++) {
		child[i] = dup_mm(mm);
		CHECK(!IS_ERR(child[i]));
		be_cpu(1);
		CHECK_EQ(host_read(child[i], VM_PAGE(1), &value, 8), 0);
		be_cpu(0);
	}
	pair = pair_of(mm, VM_PAGE(1));
	migrate_pages(&pair, 1, MIGRATE_ASYNC);
	CHECK_EQ(pair.err, 0);
	be_cpu(1);
	for (unsigned i = ARRAY_SIZE(child); i-- > 0;) { /* the last one's is still in the TLB */
		CHECK_EQ(host_read(child[i], VM_PAGE(1), &value, 8), 0);
		CHECK_EQ(value, 2);
	}
	be_cpu(0);
	for (unsigned i = 0; i < ARRAY_SIZE(child); i++) {
		CHECK_SOUND(space_check(child[i]));
		mmput(child[i]);
	}
	CHECK_SOUND(space_check(mm));
	end();
}
