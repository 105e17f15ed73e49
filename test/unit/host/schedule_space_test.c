/*
 * schedule_space_test.c - address spaces, under many schedules: what meets whom in doc/locking.md.
 *
 * Programs go through the software TLB, which notices a translation to a frame that is free.
 */
#include "host/internal.h"
#include "test/unit/host/explore.h"
#include "test/unit/mm/space/vm.h"

#define PAGES 6u

static struct mm_struct *mm, *child;
static struct test_file file;

/* CPUs that still change the space; the others go on until there is none, for an access is short and a fork long. */
static _Atomic unsigned changers;
#define MOST_ROUNDS 2000u

static bool goes_on(unsigned round, unsigned least)
{
	return round < least || (round < MOST_ROUNDS && atomic_load(&changers));
}

static void make_space(void)
{
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	CHECK_EQ(vm_map(mm, VM_PAGE(0), PAGES, RW, ANON), (int64_t)VM_PAGE(0));
	for (unsigned i = 0; i < PAGES; i++)
		CHECK_EQ(vm_write(mm, VM_PAGE(i), i), 0);
}

static void make_space_for_change(void)
{
	atomic_store(&changers, 1);
	make_space();
}

static void make_space_for_two_changes(void)
{
	atomic_store(&changers, 2);
	make_space();
}

static void end_space(void)
{
	CHECK_SOUND(space_check(mm));
	mmput(mm);
}

/* --- faults against each other, and against unmapping and protecting ------------------------------------------------ */

/* The word of a page that only this CPU writes, in pages that all have. */
static vaddr_t own_word(unsigned cpu, unsigned page)
{
	return VM_PAGE(page) + 8 * (cpu + 1);
}

static void write_own_words(unsigned cpu)
{
	uint64_t last[PAGES] = {0}, value;

	for (unsigned n = 1; goes_on(n, 40); n++) {
		unsigned i = explore_random(cpu, PAGES);

		CHECK_EQ(host_read(mm, own_word(cpu, i), &value, 8), 0);
		CHECK_EQ(value, last[i]);
		last[i] = n;
		CHECK_EQ(host_write(mm, own_word(cpu, i), &last[i], 8), 0);
	}
}

/* A child has what was there when it was made, whatever its parent's CPUs write since. */
static void check_copy(struct mm_struct *copy)
{
	uint64_t seen[2][PAGES], value;

	for (unsigned cpu = 0; cpu < 2; cpu++)
		for (unsigned i = 0; i < PAGES; i++)
			CHECK_EQ(host_read(copy, own_word(cpu, i), &seen[cpu][i], 8), 0);
	for (unsigned cpu = 0; cpu < 2; cpu++)
		for (unsigned i = 0; i < PAGES; i++) {
			CHECK_EQ(host_read(copy, own_word(cpu, i), &value, 8), 0);
			CHECK_EQ(value, seen[cpu][i]);
		}
}

/* Takes rights away that a fault gives back, and makes all pages shared with a child for a moment. */
static void protect_and_fork(unsigned cpu)
{
	for (unsigned n = 0; n < 4; n++) {
		struct mm_struct *copy;
		uint64_t value;

		CHECK_EQ(do_mprotect(mm, VM_PAGE(cpu), PAGE_SIZE, RW), 0);
		copy = dup_mm(mm);
		CHECK(!IS_ERR(copy));
		CHECK_EQ(host_write(copy, VM_PAGE(1), &(uint64_t){1000}, 8), 0);
		CHECK_EQ(host_read(mm, VM_PAGE(1), &value, 8), 0);
		CHECK_EQ(value, 1);
		CHECK_CALL(check_copy(copy));
		mmput(copy);
	}
	atomic_fetch_sub(&changers, 1);
}

const struct scenario scenario_faults = {.begin = make_space,
                                         .cpu = {write_own_words, write_own_words, write_own_words},
                                         .end = end_space};
const struct scenario scenario_fork = {.begin = make_space_for_change,
                                       .cpu = {write_own_words, write_own_words, protect_and_fork},
                                       .end = end_space};

UNIT_TEST(faults)
{
	explore(&scenario_faults, 40);
}

UNIT_TEST(forks)
{
	explore(&scenario_fork, 40);
}

static void access_what_comes_and_goes(unsigned cpu)
{
	for (unsigned n = 0; goes_on(n, 40); n++) {
		vaddr_t at = VM_PAGE(20 + explore_random(cpu, 8));
		uint64_t value = at;

		if (n % 2)
			(void)!host_write(mm, at, &value, 8);
		else if (host_read(mm, at, &value, 8) == 0)
			CHECK_MSG(value == 0 || value == at, "%#llx shows %#llx", (long long)at,
			          (long long)value);
	}
}

static void map_what_comes_and_goes(unsigned cpu)
{
	for (unsigned n = 0; n < 12; n++) {
		vaddr_t at = VM_PAGE(20 + explore_random(cpu, 6));

		switch (explore_random(cpu, 4)) {
		case 0:
			CHECK_EQ(do_munmap(mm, at, 3 * PAGE_SIZE), 0);
			break;
		case 1:
			(void)!do_mprotect(mm, at, 2 * PAGE_SIZE, n % 2 ? RW : PROT_READ);
			break;
		case 2:
			(void)!do_madvise(mm, at, 2 * PAGE_SIZE, MADV_DONTNEED);
			break;
		default:
			CHECK_EQ(vm_map(mm, VM_PAGE(20), 8, RW, ANON), (int64_t)VM_PAGE(20));
		}
	}
	atomic_fetch_sub(&changers, 1);
}

const struct scenario scenario_space = {.begin = make_space_for_two_changes,
                                        .cpu = {access_what_comes_and_goes, map_what_comes_and_goes,
                                                access_what_comes_and_goes,
                                                map_what_comes_and_goes},
                                        .end = end_space};

UNIT_TEST(unmapping_and_faults)
{
	explore(&scenario_space, 60);
}

/* --- a frame that is freed and used again while a translation to it is about ------------------------------------------ */

static void use_until_over(unsigned cpu)
{
	uint64_t value;

	for (unsigned n = 0; goes_on(n, 1); n++) {
		vaddr_t at = VM_PAGE(explore_random(cpu, PAGES));

		if (host_read(mm, at, &value, 8) == 0)
			CHECK_MSG(value < PAGES, "a program reads %#llx, which is not its own",
			          (long long)value);
	}
}

/* Give pages back to the system, and have the frames used by others at once. */
static void throw_away(UNUSED unsigned cpu)
{
	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t *frame;

		CHECK_EQ(do_madvise(mm, VM_PAGE(i), PAGE_SIZE, MADV_DONTNEED), 0);
		frame = page_address(alloc_page(GFP_KERNEL));
		*frame = 1ull << 40;
		host_point();
		free_page(frame);
	}
	atomic_fetch_sub(&changers, 1);
}

const struct scenario scenario_tlb = {.begin = make_space_for_change,
                                      .cpu = {throw_away, use_until_over, use_until_over},
                                      .end = end_space};

UNIT_TEST(stale_translations)
{
	explore(&scenario_tlb, 60);
}

/* --- walks from a frame against exit --------------------------------------------------------------------------------------- */

static struct page *walked[PAGES];

static void make_family(void)
{
	CHECK_CALL(make_space());
	child = dup_mm(mm);
	CHECK(!IS_ERR(child));
	for (unsigned i = 0; i < PAGES; i++)
		CHECK_EQ(get_user_page(mm, VM_PAGE(i), FAULT_READ, &walked[i]), 0);
}

static void exit_child(UNUSED unsigned cpu)
{
	mmput(child);
}

static void exit_parent(UNUSED unsigned cpu)
{
	mmput(mm);
}

static void walk(unsigned cpu)
{
	for (unsigned n = 0; n < 10; n++) {
		struct page *page = walked[explore_random(cpu, PAGES)];

		lock_page(page);
		CHECK_LE(page_referenced(page), 2);
		unlock_page(page);
	}
}

static void end_family(void)
{
	for (unsigned i = 0; i < PAGES; i++) {
		CHECK_EQ(page_count(walked[i]), 1);
		CHECK_EQ(page_mapcount(walked[i]), 0);
		put_page(walked[i]);
	}
}

const struct scenario scenario_exit = {
        .begin = make_family, .cpu = {exit_parent, exit_child, walk, walk}, .end = end_family};

UNIT_TEST(walks_and_exit)
{
	explore(&scenario_exit, 60);
}

/* --- walks while areas are split: each entry is found once, wherever the boundary is ------------------- */

/* Every other page becomes an area of its own; none can merge with its neighbours. */
static void split(UNUSED unsigned cpu)
{
	for (unsigned i = 1; i < PAGES; i += 2)
		CHECK_EQ(do_mprotect(mm, VM_PAGE(i), PAGE_SIZE, PROT_READ), 0);
	atomic_fetch_sub(&changers, 1);
}

static void count_entries(unsigned cpu)
{
	for (unsigned n = 0; goes_on(n, 10); n++) {
		struct page *page = walked[explore_random(cpu, PAGES)];
		const char *broken;

		lock_page(page);
		broken = rmap_check(page);
		unlock_page(page);
		CHECK_SOUND(broken);
	}
}

static void make_family_for_change(void)
{
	atomic_store(&changers, 1);
	make_family();
}

static void end_split_family(void)
{
	mmput(child);
	mmput(mm);
	end_family();
}

const struct scenario scenario_split = {.begin = make_family_for_change,
                                        .cpu = {split, NULL, count_entries, count_entries},
                                        .end = end_split_family};

UNIT_TEST(walks_and_splits)
{
	explore(&scenario_split, 100);
}

/* Areas part and become one again, by a boundary that moves to the end of either. */
static void split_and_merge(vaddr_t at)
{
	for (unsigned n = 0; n < 3; n++) {
		for (unsigned i = n % 2; i < PAGES; i += 2)
			CHECK_EQ(do_mprotect(mm, at + i * PAGE_SIZE, PAGE_SIZE, PROT_READ), 0);
		for (unsigned i = n % 2; i < PAGES; i += 2)
			CHECK_EQ(do_mprotect(mm, at + i * PAGE_SIZE, PAGE_SIZE, RW), 0);
	}
	atomic_fetch_sub(&changers, 1);
}

static void split_and_merge_anon(UNUSED unsigned cpu)
{
	split_and_merge(VM_PAGE(0));
}

const struct scenario scenario_merge = {
        .begin = make_family_for_change,
        .cpu = {split_and_merge_anon, NULL, count_entries, count_entries},
        .end = end_split_family};

UNIT_TEST(walks_and_merges)
{
	explore(&scenario_merge, 60);
}

/* --- a file: truncated, written back, mapped and read ------------------------------------------------------------------------ */

static void make_file(void)
{
	CHECK_CALL(make_space_for_two_changes());
	tfile_init(&file, PAGES);
	CHECK_EQ(do_mmap(mm, VM_PAGE(40), PAGES * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file,
	                 0),
	         (int64_t)VM_PAGE(40));
}

static void end_file(void)
{
	CHECK_SOUND(cache_check(&file.mapping));
	CHECK_CALL(end_space());
	address_space_destroy(&file.mapping);
}

static void use_file(unsigned cpu)
{
	for (unsigned n = 0; goes_on(n, 25); n++) {
		unsigned i = explore_random(cpu, PAGES);
		uint64_t value = 1000 + i;

		if (n % 2)
			(void)!host_write(mm, VM_PAGE(40 + i), &value, 8);
		else if (host_read(mm, VM_PAGE(40 + i), &value, 8) == 0)
			CHECK_MSG(value == 0 || value == 1000 + i, "page %u shows %llu", i,
			          (unsigned long long)value);
	}
}

static void resize_file(unsigned cpu)
{
	for (unsigned n = 0; n < 6; n++) {
		uint64_t size = explore_random(cpu, PAGES + 1) * PAGE_SIZE;

		down_write(&file.mapping.invalidate_lock);
		atomic_store(&file.mapping.i_size, size);
		truncate_pagecache(&file.mapping, size);
		up_write(&file.mapping.invalidate_lock);
	}
	atomic_fetch_sub(&changers, 1);
}

static void write_back(UNUSED unsigned cpu)
{
	for (unsigned n = 0; n < 5; n++) {
		(void)!filemap_write_and_wait_range(&file.mapping, 0, UINT64_MAX);
		host_point();
	}
	atomic_fetch_sub(&changers, 1);
}

const struct scenario scenario_file = {
        .begin = make_file, .cpu = {use_file, resize_file, write_back, use_file}, .end = end_file};

UNIT_TEST(files)
{
	explore(&scenario_file, 60);
}

static void make_walked_file(void)
{
	CHECK_CALL(make_file());
	atomic_store(&changers, 1);
	for (unsigned i = 0; i < PAGES; i++) {
		CHECK_EQ(host_write(mm, VM_PAGE(40 + i), &(uint64_t){i}, 8), 0);
		CHECK_EQ(get_user_page(mm, VM_PAGE(40 + i), FAULT_READ, &walked[i]), 0);
	}
}

static void split_and_merge_file(UNUSED unsigned cpu)
{
	split_and_merge(VM_PAGE(40));
}

static void end_walked_file(void)
{
	for (unsigned i = 0; i < PAGES; i++)
		put_page(walked[i]);
	end_file();
}

const struct scenario scenario_merge_file = {
        .begin = make_walked_file,
        .cpu = {split_and_merge_file, NULL, count_entries, count_entries},
        .end = end_walked_file};

UNIT_TEST(walks_and_merges_of_a_file)
{
	explore(&scenario_merge_file, 60);
}

/* --- PG_locked ----------------------------------------------------------------------------------------------------------------- */

static struct page *the_page;
static uint64_t under_lock;

static void make_page(void)
{
	the_page = alloc_page(GFP_KERNEL);
	CHECK(the_page);
	under_lock = 0;
}

static void lock_and_count(UNUSED unsigned cpu)
{
	for (unsigned n = 0; n < 15; n++) {
		uint64_t before;

		lock_page(the_page);
		before = under_lock;
		host_point();
		under_lock = before + 1;
		unlock_page(the_page);
	}
}

static void watch_the_lock(UNUSED unsigned cpu)
{
	for (unsigned n = 0; n < 15; n++)
		wait_on_page_locked(the_page);
}

static void end_page(void)
{
	CHECK_EQ(under_lock, 45);
	__free_page(the_page);
}

const struct scenario scenario_page_lock = {
        .begin = make_page,
        .cpu = {lock_and_count, lock_and_count, lock_and_count, watch_the_lock},
        .end = end_page};

UNIT_TEST(page_locks)
{
	explore(&scenario_page_lock, 80);
}
