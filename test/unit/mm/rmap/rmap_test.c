/*
 * rmap_test.c - from a frame to all entries that map it, through forks, moves and splits.
 */
#include "mm/rmap/anon_vma.h"
#include "test/unit/mm/space/vm.h"

#define FAMILY 8

static struct mm_struct *mm[FAMILY];

static const char *check_frame(struct mm_struct *space, vaddr_t va, int32_t mapcount)
{
	struct page *page;
	const char *broken;

	if (get_user_page(space, va, FAULT_READ, &page))
		return "rmap test: no page there";
	lock_page(page);
	broken = rmap_check(page);
	if (!broken && page_mapcount(page) != mapcount)
		broken = "rmap test: another map count";
	unlock_page(page);
	put_page(page);
	return broken;
}

UNIT_TEST(a_family_is_found)
{
	mm[0] = mm_alloc(VM_TOP);
	CHECK(mm[0]);
	vm_map(mm[0], VM_PAGE(0), 10, RW, ANON);
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(vm_write(mm[0], VM_PAGE(i), i), 0);
	for (unsigned i = 1; i < FAMILY; i++) {
		mm[i] = dup_mm(mm[i / 2]);
		CHECK(!IS_ERR(mm[i]));
		CHECK_EQ(vm_write(mm[i], VM_PAGE(9), 100 + i), 0);
	}
	CHECK_SOUND(check_frame(mm[0], VM_PAGE(0), FAMILY));
	CHECK_SOUND(check_frame(mm[5], VM_PAGE(9), 1));
	/* Moved and split in one of them. */
	CHECK_EQ(do_mremap(mm[3], VM_PAGE(0), 5 * PAGE_SIZE, 5 * PAGE_SIZE,
	                   MREMAP_MAYMOVE | MREMAP_FIXED, VM_PAGE(700)),
	         (int64_t)VM_PAGE(700));
	CHECK_SOUND(check_frame(mm[3], VM_PAGE(702), FAMILY));
	CHECK_EQ(do_mprotect(mm[4], VM_PAGE(2), 2 * PAGE_SIZE, PROT_READ), 0);
	CHECK_SOUND(check_frame(mm[0], VM_PAGE(2), FAMILY));
	/* The eldest dies first. */
	for (unsigned i = 0; i < FAMILY; i++) {
		CHECK_SOUND(check_frame(mm[i], i == 3 ? VM_PAGE(701) : VM_PAGE(1),
		                        (int32_t)(FAMILY - i)));
		mmput(mm[i]);
	}
	CHECK_EQ(frame_kind_pages(FRAME_ANON), 0);
}

static unsigned chain_length(struct mm_struct *space)
{
	struct anon_vma_chain *avc;
	unsigned n = 0;

	list_for_each_entry(avc, &space->mmap->anon_vma_chain, same_vma)
		n++;
	return n;
}

/* A daemon that forks and dies, again and again. */
UNIT_TEST(chains_do_not_grow_for_ever)
{
	struct mm_struct *parent = mm_alloc(VM_TOP), *child;

	CHECK(parent);
	vm_map(parent, VM_PAGE(0), 2, RW, ANON);
	for (unsigned i = 0; i < 50; i++) {
		CHECK_EQ(vm_write(parent, VM_PAGE(0), i), 0);
		child = dup_mm(parent);
		CHECK(!IS_ERR(child));
		mmput(parent);
		parent = child;
		CHECK_LE(chain_length(parent), 4);
	}
	mmput(parent);
}

UNIT_TEST(file_pages_lose_their_mappings)
{
	static struct test_file file;
	struct page *page;

	tfile_init(&file, 10);
	for (unsigned i = 0; i < 3; i++) {
		mm[i] = mm_alloc(VM_TOP);
		CHECK(mm[i]);
		do_mmap(mm[i], VM_PAGE(i), 10 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file,
		        0);
		CHECK_EQ(vm_write(mm[i], VM_PAGE(i + 4), i), 0);
	}
	page = find_get_page(&file.mapping, 4);
	CHECK(page);
	lock_page(page);
	CHECK_SOUND(rmap_check(page));
	CHECK_EQ(page_mapcount(page), 3);
	CHECK_EQ(page_referenced(page), 3);
	CHECK_EQ(page_referenced(page), 0);
	CHECK(try_to_unmap(page));
	CHECK_EQ(page_mapcount(page), 0);
	CHECK_EQ(page_count(page), 2);
	CHECK(page_flag(page, PG_dirty));
	unlock_page(page);
	put_page(page);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(vm_get(mm[i], VM_PAGE(i + 4)), 2);
		CHECK_SOUND(space_check(mm[i]));
		mmput(mm[i]);
	}
	address_space_destroy(&file.mapping);
}
