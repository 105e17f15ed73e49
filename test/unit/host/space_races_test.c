/*
 * space_races_test.c - races between CPUs, each brought about on purpose: a step of one is held up at a lock, while the
 * other does what it must not get away with.
 */
#include "host/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/mm/space/vm.h"

enum { WATCHER, PROGRAM, HELD_UP, RIVAL, CPUS }; /* who is which CPU */

#define PATIENCE_NS 20000000ull /* until one that does not end is taken for waiting */

static struct mm_struct *mm;
static struct test_file file;
static _Atomic bool done[CPUS];

static void be_cpu(unsigned cpu)
{
	host_enter(own, cpu);
}

/* As the program; then we are the watcher again. */
static uint64_t program_reads(vaddr_t va)
{
	uint64_t value = 0;
	int err;

	be_cpu(PROGRAM);
	err = host_read(mm, va, &value, 8);
	be_cpu(WATCHER);
	return err ? UINT64_MAX : value;
}

static int program_writes(vaddr_t va, uint64_t value)
{
	int err;

	be_cpu(PROGRAM);
	err = host_write(mm, va, &value, 8);
	be_cpu(WATCHER);
	return err;
}

static void wait_a_moment(void)
{
	port_block_until(port_now_ns() + 100000);
}

/* Until it is done or must be waiting for a lock. */
static void let_run(unsigned cpu)
{
	const uint64_t end = port_now_ns() + PATIENCE_NS;

	while (!atomic_load(&done[cpu]) && port_now_ns() < end)
		wait_a_moment();
}

static bool begin(int flags)
{
	if (!own_enter(&(struct host_config){.ram = 32 << 20, .cpus = CPUS, .seed = unit_seed()}))
		return false;
	for (unsigned i = 0; i < CPUS; i++)
		atomic_store(&done[i], false);
	mm = mm_alloc(VM_TOP);
	tfile_init(&file, 16);
	return mm &&
	       do_mmap(mm, VM_PAGE(0), 16 * PAGE_SIZE, RW, flags | MAP_FIXED, &file.file, 0) > 0;
}

static void end(void)
{
	const char *broken = space_check(mm);

	mmput(mm);
	address_space_destroy(&file.mapping);
	own_leave();
	CHECK_SOUND(broken);
}

/* One has cleared the entries, and not flushed yet. Whoever clears them again finds nothing to do but that. */
UNIT_TEST(who_finds_entries_gone_flushes)
{
	struct mmu_gather tlb;

	CHECK(begin(MAP_PRIVATE));
	CHECK_EQ(program_writes(VM_PAGE(0), 7), 0);
	tlb_gather_mmu(&tlb, mm);
	zap_range(&tlb, mm->mmap, VM_PAGE(0), VM_PAGE(1), false);
	be_cpu(RIVAL);
	CHECK_EQ(do_madvise(mm, VM_PAGE(0), PAGE_SIZE, MADV_DONTNEED), 0);
	CHECK_EQ(program_reads(VM_PAGE(0)), 1000);
	CHECK_EQ(program_writes(VM_PAGE(0), 8), 0);
	tlb_finish_mmu(&tlb);
	CHECK_EQ(program_reads(VM_PAGE(0)), 8);
	tlb_gather_mmu(&tlb, mm);
	zap_range(&tlb, mm->mmap, VM_PAGE(0), VM_PAGE(1), false);
	be_cpu(RIVAL);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(0), 16 * PAGE_SIZE, PROT_READ), 0);
	CHECK_EQ(program_writes(VM_PAGE(0), 9), FAULT_ACCERR);
	tlb_finish_mmu(&tlb);
	CHECK_CALL(end());
}

static void drop_mapping(void *arg UNUSED)
{
	(void)!do_madvise(mm, VM_PAGE(0), 2 * PAGE_SIZE, MADV_DONTNEED);
	atomic_store(&done[HELD_UP], true);
}

static void write_back(void *arg UNUSED)
{
	(void)!filemap_write_and_wait_range(&file.mapping, 0, 0);
	atomic_store(&done[RIVAL], true);
}

/*
 * The entry of page 0 is gone and its map count 0, but the program can still write to it, for the zap stands at page 1,
 * whose list's lock we hold. Write-back must wait: a page that is clean afterwards has what the store has.
 */
UNIT_TEST(write_back_waits_for_the_flush)
{
	struct host_task *zap, *writer;
	struct page *page[2];

	CHECK(begin(MAP_SHARED));
	for (unsigned i = 0; i < 2; i++) {
		be_cpu(RIVAL - i); /* on lists of different CPUs */
		CHECK_EQ(filemap_get_page(&file.mapping, i, 0, &page[i], NULL), 0);
	}
	CHECK_EQ(program_writes(VM_PAGE(0), 70), 0);
	CHECK_EQ(program_writes(VM_PAGE(1), 71), 0);
	CHECK(page_lruvec(page[0]) != page_lruvec(page[1]));
	spin_lock(&page_lruvec(page[1])->lock);
	CHECK(zap = host_run_on(own, HELD_UP, drop_mapping, NULL));
	while (page_mapcount(page[0]))
		wait_a_moment();
	CHECK(writer = host_run_on(own, RIVAL, write_back, NULL));
	let_run(RIVAL);
	CHECK_EQ(program_writes(VM_PAGE(0), 72), 0); /* by what its TLB holds */
	CHECK_EQ(page_mapcount(page[0]), 0);
	spin_unlock(&page_lruvec(page[1])->lock);
	host_join(zap);
	host_join(writer);
	CHECK_EQ(*(uint64_t *)page_address(page[0]), 72);
	CHECK(page_flag(page[0], PG_dirty) || file.store[0] == 72);
	put_page(page[0]);
	put_page(page[1]);
	CHECK_CALL(end());
}

static void fault_privately(void *arg UNUSED)
{
	(void)!handle_mm_fault(mm, VM_PAGE(6), FAULT_WRITE, NULL);
	atomic_store(&done[HELD_UP], true);
}

static void shorten(void *arg UNUSED)
{
	down_write(&file.mapping.invalidate_lock);
	atomic_store(&file.mapping.i_size, 5 * PAGE_SIZE);
	truncate_pagecache(&file.mapping, 5 * PAGE_SIZE);
	up_write(&file.mapping.invalidate_lock);
	atomic_store(&done[RIVAL], true);
}

/* The fault has seen that page 6 is in the file and stands before the table, whose lock we hold; then the file gets shorter. */
UNIT_TEST(no_private_copy_stays_behind_the_end)
{
	struct host_task *fault, *truncation;
	struct page *page;
	pte_t *pte;

	CHECK(begin(MAP_PRIVATE));
	CHECK_EQ(filemap_get_page(&file.mapping, 6, 0, &page, NULL), 0);
	down_read(&mm->mmap_lock);
	CHECK(pte = pt_alloc(mm, VM_PAGE(6)));
	up_read(&mm->mmap_lock);
	pt_lock(pte);
	CHECK(fault = host_run_on(own, HELD_UP, fault_privately, NULL));
	while (page_count(page) < 3)
		wait_a_moment();
	let_run(HELD_UP);
	CHECK(truncation = host_run_on(own, RIVAL, shorten, NULL));
	let_run(RIVAL);
	pt_unlock(pte);
	host_join(fault);
	host_join(truncation);
	CHECK_EQ(handle_mm_fault(mm, VM_PAGE(6), FAULT_READ, NULL), FAULT_BUS);
	CHECK_EQ(handle_mm_fault(mm, VM_PAGE(4), FAULT_READ, NULL), FAULT_DONE);
	put_page(page);
	CHECK_CALL(end());
}
