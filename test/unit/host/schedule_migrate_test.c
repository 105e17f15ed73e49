/*
 * schedule_migrate_test.c - pages move in batches, under many schedules, while their space is changed: between the moment an entry
 * goes and the flush of the batch, other CPUs still have translations.
 */
#include "host/internal.h"
#include <quire/errno.h>
#include <quire/migrate.h>
#include "test/unit/host/explore.h"
#include "test/unit/mm/space/vm.h"

#define PAGES       6u
#define MOST_ROUNDS 2000u

static struct mm_struct *mm;
static _Atomic bool over,
        taken[PAGES]; /* since a call has come back that took writing, or the page, away */

static void make_space(void)
{
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	atomic_store(&over, false);
	CHECK_EQ(vm_map(mm, VM_PAGE(0), PAGES, RW, ANON), (int64_t)VM_PAGE(0));
	for (unsigned i = 0; i < PAGES; i++) {
		atomic_store(&taken[i], false);
		CHECK_EQ(vm_write(mm, VM_PAGE(i), i + 1), 0);
	}
}

static void end_space(void)
{
	CHECK_SOUND(space_check(mm));
	mmput(mm);
}

/* All that can be moved, as compaction isolates it. */
static unsigned collect(struct migrate_pair pairs[MIGRATE_BATCH])
{
	unsigned n = 0;

	for (uint32_t pfn = 1; pfn < machine()->max_pfn && n < MIGRATE_BATCH; pfn++) {
		struct page *page = pfn_to_page(PFN(pfn)), *dst;

		if (!page_flag(page, PG_lru) || !get_page_unless_zero(page))
			continue;
		dst = alloc_page(GFP_HIGHUSER_MOVABLE);
		if (dst && page_flag(page, PG_lru)) {
			pairs[n++] = (struct migrate_pair){page, dst, -EAGAIN};
			continue;
		}
		put_page(page);
		if (dst)
			put_page(dst);
	}
	return n;
}

static void move_until_over(UNUSED unsigned cpu)
{
	struct migrate_pair pairs[MIGRATE_BATCH];

	for (unsigned round = 0; round < MOST_ROUNDS && (!round || !atomic_load(&over)); round++) {
		const unsigned n = collect(pairs);

		migrate_pages(pairs, n, round % 3 ? MIGRATE_ASYNC : MIGRATE_SYNC);
		for (unsigned i = 0; i < n; i++) {
			if (!pairs[i].err)
				continue;
			put_page(pairs[i].old);
			put_page(pairs[i].dst);
		}
	}
}

/* --- the right to write is taken away -------------------------------------------------------------------------------- */

static void seal(UNUSED unsigned cpu)
{
	for (unsigned i = 0; i < PAGES; i++) {
		CHECK_EQ(do_mprotect(mm, VM_PAGE(i), PAGE_SIZE, PROT_READ), 0);
		atomic_store(&taken[i], true);
		host_point();
	}
	atomic_store(&over, true);
}

static void write_until_over(unsigned cpu)
{
	for (unsigned round = 0; round < MOST_ROUNDS && !atomic_load(&over); round++) {
		const unsigned i = explore_random(cpu, PAGES);
		const bool sealed = atomic_load(&taken[i]);
		const uint64_t value = i + 1;

		if (!host_write(mm, VM_PAGE(i), &value, 8))
			CHECK_MSG(!sealed, "page %u is written after mprotect() took that away", i);
	}
}

const struct scenario scenario_move_protect = {
        .begin = make_space,
        .cpu = {seal, write_until_over, move_until_over, write_until_over},
        .end = end_space};

UNIT_TEST(moving_and_protecting)
{
	explore(&scenario_move_protect, 60);
}

/* --- pages are thrown away -------------------------------------------------------------------------------------------- */

static void throw_away(UNUSED unsigned cpu)
{
	for (unsigned i = 0; i < PAGES; i++) {
		CHECK_EQ(do_madvise(mm, VM_PAGE(i), PAGE_SIZE, MADV_DONTNEED), 0);
		atomic_store(&taken[i], true);
		host_point();
	}
	atomic_store(&over, true);
}

static void read_until_over(unsigned cpu)
{
	uint64_t value;

	for (unsigned round = 0; round < MOST_ROUNDS && !atomic_load(&over); round++) {
		const unsigned i = explore_random(cpu, PAGES);
		const bool gone = atomic_load(&taken[i]);

		CHECK_EQ(host_read(mm, VM_PAGE(i), &value, 8), 0);
		CHECK_MSG(value == (gone ? 0 : i + 1) || value == 0,
		          "page %u shows %#llx after it was thrown away", i, (long long)value);
	}
}

const struct scenario scenario_move_discard = {
        .begin = make_space,
        .cpu = {throw_away, read_until_over, move_until_over, read_until_over},
        .end = end_space};

UNIT_TEST(moving_and_throwing_away)
{
	explore(&scenario_move_discard, 60);
}

/* --- the program writes, forks, and ends --------------------------------------------------------------------------------- */

static void fork_and_exit(UNUSED unsigned cpu)
{
	for (unsigned n = 0; n < 8; n++) {
		struct mm_struct *copy = dup_mm(mm);
		uint64_t before, after;

		CHECK(!IS_ERR(copy));
		if (n % 2) {
			mmput(copy);
			continue;
		}
		CHECK_EQ(host_read(copy, VM_PAGE(n / 2), &before, 8), 0);
		for (unsigned i = 0; i < 8; i++)
			host_point();
		CHECK_EQ(host_read(copy, VM_PAGE(n / 2), &after, 8), 0);
		CHECK_MSG(before == after, "a child sees what its parent wrote after the fork");
		mmput(copy);
	}
	atomic_store(&over, true);
}

static void count_up(unsigned cpu)
{
	const vaddr_t at = 8 * (cpu + 1);
	uint64_t last[PAGES] = {0}, value;

	for (unsigned round = 1; round < MOST_ROUNDS && !atomic_load(&over); round++) {
		const unsigned i = explore_random(cpu, PAGES);

		CHECK_EQ(host_read(mm, VM_PAGE(i) + at, &value, 8), 0);
		CHECK_EQ(value, last[i]);
		last[i] = round;
		CHECK_EQ(host_write(mm, VM_PAGE(i) + at, &last[i], 8), 0);
		CHECK_EQ(host_write(mm, VM_PAGE(i), &last[i], 8), 0);
	}
}

const struct scenario scenario_move_fork = {.begin = make_space,
                                            .cpu = {fork_and_exit, count_up, move_until_over, NULL},
                                            .end = end_space};

UNIT_TEST(moving_and_forking)
{
	explore(&scenario_move_fork, 60);
}

/* --- spaces end, and others begin in their place -------------------------------------------------------------------------- */

/* Freed structs are poisoned: a batch that flushed the space of one would count in it. */
static struct mm_struct *own[2];

static void begin_own(unsigned cpu)
{
	own[cpu] = mm_alloc(VM_TOP);
	CHECK(own[cpu]);
	CHECK_EQ(vm_map(own[cpu], VM_PAGE(0), 2, RW, ANON), (int64_t)VM_PAGE(0));
	CHECK_EQ(vm_write(own[cpu], VM_PAGE(0), 1), 0);
	CHECK_EQ(vm_write(own[cpu], VM_PAGE(1), 2), 0);
}

static void begin_two(void)
{
	atomic_store(&over, false);
	begin_own(0);
	begin_own(1);
}

static void end_and_begin(unsigned cpu)
{
	for (unsigned n = 0; n < 12; n++) {
		mmput(own[cpu]);
		CHECK_CALL(begin_own(cpu));
	}
	if (!cpu)
		atomic_store(&over, true);
}

static void end_two(void)
{
	for (unsigned i = 0; i < 2; i++) {
		CHECK_SOUND(space_check(own[i]));
		mmput(own[i]);
	}
}

const struct scenario scenario_move_exit = {
        .begin = begin_two,
        .cpu = {end_and_begin, end_and_begin, move_until_over, NULL},
        .end = end_two,
        .boot_words = "slub_debug=FZP"};

UNIT_TEST(moving_and_ending)
{
	explore(&scenario_move_exit, 60);
}

/* --- two move, while the area goes to another address ------------------------------------------------------------------------- */

static void move_area(UNUSED unsigned cpu)
{
	for (unsigned n = 0; n < 8; n++) {
		const unsigned from = n % 2 ? 20 : 0, to = 20 - from;

		CHECK_EQ(do_mremap(mm, VM_PAGE(from), PAGES * PAGE_SIZE, PAGES * PAGE_SIZE,
		                   MREMAP_MAYMOVE | MREMAP_FIXED, VM_PAGE(to)),
		         (int64_t)VM_PAGE(to));
		for (unsigned i = 0; i < PAGES; i++) {
			uint64_t value;

			CHECK_EQ(host_read(mm, VM_PAGE(to + i), &value, 8), 0);
			CHECK_MSG(value == i + 1, "page %u is lost", i);
		}
	}
	atomic_store(&over, true);
}

/* Where it is not it cannot be seen, and not written. */
static void use_both(unsigned cpu)
{
	for (unsigned round = 0; round < MOST_ROUNDS && !atomic_load(&over); round++) {
		const unsigned i = explore_random(cpu, PAGES);
		uint64_t value = i + 1;

		if (round % 2)
			(void)!host_write(mm, VM_PAGE(round % 4 / 2 * 20 + i), &value, 8);
		else if (!host_read(mm, VM_PAGE(round % 4 / 2 * 20 + i), &value, 8))
			CHECK_EQ(value, i + 1);
	}
}

const struct scenario scenario_move_remap = {
        .begin = make_space,
        .cpu = {move_area, use_both, move_until_over, move_until_over},
        .end = end_space};

UNIT_TEST(moving_and_remapping)
{
	explore(&scenario_move_remap, 60);
}

/* --- pages of a file: cut off, written back, written to -------------------------------------------------------------------------- */

static struct test_file file;
static _Atomic uint64_t written[PAGES]; /* what the only writer of the page has last put there */

static void make_file(void)
{
	CHECK_CALL(make_space());
	tfile_init(&file, PAGES);
	for (unsigned i = 0; i < PAGES; i++)
		atomic_store(&written[i], file.store[i]);
	CHECK_EQ(do_mmap(mm, VM_PAGE(40), PAGES * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file,
	                 0),
	         (int64_t)VM_PAGE(40));
}

static void end_file(void)
{
	CHECK_SOUND(cache_check(&file.mapping));
	CHECK_EQ(do_munmap(mm, VM_PAGE(40), PAGES * PAGE_SIZE), 0);
	CHECK_EQ(filemap_write_and_wait_range(&file.mapping, 0, UINT64_MAX), 0);
	for (unsigned i = 0; i < PAGES; i++)
		CHECK_MSG(file.store[i] == atomic_load(&written[i]), "page %u: %llu is stored", i,
		          (unsigned long long)file.store[i]);
	CHECK_CALL(end_space());
	address_space_destroy(&file.mapping);
}

/* Through its own mapping; what write-back has missed is missing from the file at the end. */
static void write_file(unsigned cpu)
{
	for (uint64_t n = 2000; n < 2060; n++) {
		const unsigned i = explore_random(cpu, PAGES);
		uint64_t value;

		CHECK_EQ(host_read(mm, VM_PAGE(40 + i), &value, 8), 0);
		CHECK_EQ(value, atomic_load(&written[i]));
		CHECK_EQ(host_write(mm, VM_PAGE(40 + i), &n, 8), 0);
		atomic_store(&written[i], n);
		if (n % 4)
			continue;
		CHECK_EQ(filemap_write_and_wait_range(&file.mapping, 0, UINT64_MAX), 0);
		CHECK_MSG(file.store[i] == n, "page %u: what was written is not stored", i);
	}
	atomic_store(&over, true);
}

static void write_back(UNUSED unsigned cpu)
{
	for (unsigned round = 0; round < MOST_ROUNDS && !atomic_load(&over); round++) {
		CHECK_EQ(filemap_write_and_wait_range(&file.mapping, 0, UINT64_MAX), 0);
		host_point();
	}
}

/* Entries go, pages of the file stay; another way to the pages than the program's. */
static void drop_and_read(unsigned cpu)
{
	for (unsigned round = 0; round < MOST_ROUNDS && !atomic_load(&over); round++) {
		const unsigned i = explore_random(cpu, PAGES);
		uint64_t before = atomic_load(&written[i]), value;

		CHECK_EQ(do_madvise(mm, VM_PAGE(40 + i), PAGE_SIZE, MADV_DONTNEED), 0);
		CHECK_EQ(host_read(mm, VM_PAGE(40 + i), &value, 8), 0);
		CHECK_MSG(value >= before, "page %u goes back in time", i);
	}
}

const struct scenario scenario_move_file = {
        .begin = make_file,
        .cpu = {write_file, write_back, move_until_over, drop_and_read},
        .end = end_file};

UNIT_TEST(moving_and_writing_back)
{
	explore(&scenario_move_file, 60);
}

static void cut(unsigned cpu)
{
	for (unsigned n = 0; n < 8; n++) {
		const uint64_t size = explore_random(cpu, PAGES + 1) * PAGE_SIZE, value = 1;

		down_write(&file.mapping.invalidate_lock);
		atomic_store(&file.mapping.i_size, size);
		truncate_pagecache(&file.mapping, size);
		up_write(&file.mapping.invalidate_lock);
		if (size < PAGES * PAGE_SIZE)
			CHECK_NE(host_write(mm, VM_PAGE(40) + size, &value, 8), 0);
	}
	atomic_store(&over, true);
}

static void use_file(unsigned cpu)
{
	for (unsigned round = 0; round < MOST_ROUNDS && !atomic_load(&over); round++) {
		const unsigned i = explore_random(cpu, PAGES);
		uint64_t value = 1000 + i;

		if (round % 2)
			(void)!host_write(mm, VM_PAGE(40 + i), &value, 8);
		else if (!host_read(mm, VM_PAGE(40 + i), &value, 8))
			CHECK(value == 0 || value == 1000 + i);
	}
}

static void end_cut_file(void)
{
	CHECK_SOUND(cache_check(&file.mapping));
	CHECK_CALL(end_space());
	address_space_destroy(&file.mapping);
}

const struct scenario scenario_move_cut = {.begin = make_file,
                                           .cpu = {cut, use_file, move_until_over, move_until_over},
                                           .end = end_cut_file};

UNIT_TEST(moving_and_cutting_off)
{
	explore(&scenario_move_cut, 60);
}
