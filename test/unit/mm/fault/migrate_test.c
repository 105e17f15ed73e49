/*
 * migrate_test.c - a page moves to another frame: contents, entries, counts and the file follow; whoever holds it keeps it.
 */
#include <quire/highmem.h>
#include <quire/migrate.h>
#include "test/unit/mm/space/vm.h"

static struct mm_struct *mm, *child;
static struct test_file file;

/* The frame at va, without a fault or a reference. */
static struct page *frame_at(struct mm_struct *space, vaddr_t va)
{
	pte_t *pte = pt_lookup(&space->space, va);

	return pte && pte_present(pte_read(pte)) ? pfn_to_page(pte_pfn(pte_read(pte))) : NULL;
}

/* Move the page at va, which `held` more references keep in place. */
static int move_at(struct mm_struct *space, vaddr_t va, int held)
{
	struct page *old = frame_at(space, va), *dst = alloc_page(GFP_HIGHUSER_MOVABLE);
	int err = -ENOMEM;

	for (int i = 0; dst && i < held; i++)
		get_page(old);
	if (dst) {
		get_page(old);
		err = migrate_page(old, dst, MIGRATE_SYNC);
	}
	if (err) {
		put_page(old);
		if (dst)
			put_page(dst);
	}
	for (int i = 0; i < held; i++)
		put_page(old);
	return err;
}

static void finish(void)
{
	const char *broken = space_check(mm);

	mmput(mm);
	CHECK_SOUND(broken);
	CHECK_EQ(frame_kind_pages(FRAME_ANON), 0);
	CHECK_SOUND(mm_check());
}

UNIT_TEST(a_private_page)
{
	struct page *before;

	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	vm_map(mm, VM_PAGE(0), 4, RW, ANON);
	CHECK_EQ(vm_write(mm, VM_PAGE(1), 77), 0);
	before = frame_at(mm, VM_PAGE(1));
	CHECK_EQ(move_at(mm, VM_PAGE(1), 0), 0);
	CHECK_NE(frame_at(mm, VM_PAGE(1)), before);
	CHECK_EQ(page_count(frame_at(mm, VM_PAGE(1))), 1);
	CHECK(page_flag(frame_at(mm, VM_PAGE(1)), PG_lru));
	CHECK_EQ(page_count(before), 0);
	CHECK_EQ(vm_get(mm, VM_PAGE(1)), 77);
	CHECK_EQ(frame_kind_pages(FRAME_ANON), 1);
	CHECK_EQ(mm_rss(mm), 1);
	/* Somebody has it in hand. */
	before = frame_at(mm, VM_PAGE(1));
	CHECK_EQ(move_at(mm, VM_PAGE(1), 1), -EBUSY);
	CHECK_EQ(frame_at(mm, VM_PAGE(1)), before);
	/* It is being written to disk. */
	set_page_writeback(before);
	CHECK_EQ(move_at(mm, VM_PAGE(1), 0), -EBUSY);
	end_page_writeback(before);
	CHECK_EQ(frame_at(mm, VM_PAGE(1)), before);
	CHECK_EQ(move_at(mm, VM_PAGE(1), 0), 0);
	CHECK_CALL(finish());
}

/* What mlock() holds moves like any other, unless that is forbidden: it stays in memory in either case. */
UNIT_TEST(a_locked_page)
{
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	vm_map(mm, VM_PAGE(0), 4, RW, ANON);
	CHECK_EQ(vm_write(mm, VM_PAGE(1), 77), 0);
	CHECK_EQ(do_mlock(mm, VM_PAGE(0), 4 * PAGE_SIZE, false), 0);
	CHECK_EQ(move_at(mm, VM_PAGE(1), 0), 0);
	machine()->sysctl_compact_unevictable_allowed = 0;
	CHECK_EQ(move_at(mm, VM_PAGE(1), 0), -EBUSY);
	CHECK_EQ(do_munlock(mm, VM_PAGE(0), 4 * PAGE_SIZE), 0);
	CHECK_EQ(move_at(mm, VM_PAGE(1), 0), 0);
	machine()->sysctl_compact_unevictable_allowed = 1;
	CHECK_EQ(vm_get(mm, VM_PAGE(1)), 77);
	CHECK_CALL(finish());
}

/* A page that three map, at different addresses: all see the new frame, and copy it when they write. */
UNIT_TEST(a_page_of_a_family)
{
	struct mm_struct *other;

	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	vm_map(mm, VM_PAGE(0), 4, RW, ANON);
	CHECK_EQ(vm_write(mm, VM_PAGE(2), 5), 0);
	child = dup_mm(mm);
	other = dup_mm(child);
	CHECK_EQ(do_mremap(other, VM_PAGE(2), PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
	                   VM_PAGE(50)),
	         (int64_t)VM_PAGE(50));
	CHECK_EQ(move_at(child, VM_PAGE(2), 0), 0);
	CHECK_EQ(frame_at(mm, VM_PAGE(2)), frame_at(child, VM_PAGE(2)));
	CHECK_EQ(frame_at(other, VM_PAGE(50)), frame_at(child, VM_PAGE(2)));
	CHECK_EQ(page_mapcount(frame_at(mm, VM_PAGE(2))), 3);
	CHECK_EQ(vm_write(child, VM_PAGE(2), 6), 0);
	CHECK_EQ(vm_get(mm, VM_PAGE(2)), 5);
	CHECK_EQ(vm_get(other, VM_PAGE(50)), 5);
	CHECK_SOUND(space_check(child));
	CHECK_SOUND(space_check(other));
	mmput(other);
	mmput(child);
	CHECK_CALL(finish());
}

/* The cache has the new frame; dirty stays dirty, in the entry, the flag and the tag, and gets written back. */
UNIT_TEST(a_page_of_a_file)
{
	struct page *page;
	uint64_t contents;

	tfile_init(&file, TFILE_PAGES);
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	CHECK_EQ(do_mmap(mm, VM_PAGE(0), 8 * PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file, 0),
	         (int64_t)VM_PAGE(0));
	CHECK_EQ(vm_write(mm, VM_PAGE(3), 42), 0);
	CHECK_EQ(move_at(mm, VM_PAGE(3), 0), 0);
	page = find_get_page(&file.mapping, 3);
	CHECK_EQ(page, frame_at(mm, VM_PAGE(3)));
	CHECK_EQ(page_count(page), 3);
	CHECK(page_flag(page, PG_dirty) && page_flag(page, PG_uptodate));
	put_page(page);
	CHECK_SOUND(cache_check(&file.mapping));
	CHECK_EQ(vm_get(mm, VM_PAGE(3)), 42);
	CHECK_EQ(filemap_write_and_wait_range(&file.mapping, 0, UINT64_MAX), 0);
	CHECK_EQ(file.store[3], 42);
	CHECK_EQ(move_at(mm, VM_PAGE(3), 1), -EBUSY);
	set_page_writeback(frame_at(mm, VM_PAGE(3))); /* a device has its address */
	CHECK_EQ(move_at(mm, VM_PAGE(3), 0), -EBUSY);
	end_page_writeback(frame_at(mm, VM_PAGE(3)));
	CHECK_CALL(finish());
	/* Nobody maps it any more: the file alone has it. */
	page = find_get_page(&file.mapping, 3);
	CHECK(page);
	CHECK_EQ(migrate_page(page, alloc_page(GFP_HIGHUSER_MOVABLE), MIGRATE_ASYNC), 0);
	page = find_get_page(&file.mapping, 3);
	CHECK_EQ(page_count(page), 2);
	memcpy_from_page(&contents, page, 0, sizeof(contents));
	CHECK_EQ(contents, 42);
	put_page(page);
	address_space_destroy(&file.mapping);
	CHECK_EQ(frame_kind_pages(FRAME_FILE), 0);
}

/* The processor has set the entry's bit, as it may at any moment: who takes the entry away tells the page. */
UNIT_TEST(only_the_entry_is_dirty)
{
	pte_t *pte;

	tfile_init(&file, 2);
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	CHECK_EQ(do_mmap(mm, VM_PAGE(0), PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, &file.file, 0),
	         (int64_t)VM_PAGE(0));
	CHECK_EQ(vm_write(mm, VM_PAGE(0), 42), 0);
	page_clear_flag(frame_at(mm, VM_PAGE(0)), PG_dirty);
	pte = pt_lookup(&mm->space, VM_PAGE(0));
	pte_set(pte, pte_mkdirty(pte_read(pte)));
	CHECK_EQ(move_at(mm, VM_PAGE(0), 0), 0);
	CHECK(page_flag(frame_at(mm, VM_PAGE(0)), PG_dirty));
	CHECK_CALL(finish());
	CHECK_EQ(filemap_write_and_wait_range(&file.mapping, 0, UINT64_MAX), 0);
	CHECK_EQ(file.store[0], 42);
	address_space_destroy(&file.mapping);
}

/* Permissions that change while a page is away are those that it comes back with. */
static void mark_moving(struct mm_struct *space, vaddr_t va)
{
	pte_t *pte = pt_lookup(&space->space, va);

	pt_lock(pte);
	pte_set(pte, make_migration_entry(pte_read(pte)));
	mmu_flush_range(&space->space, va, va + PAGE_SIZE);
	pt_unlock(pte);
}

static void mark_back(struct mm_struct *space, vaddr_t va)
{
	struct vm_area_struct *vma = find_vma(space, va);
	pte_t *pte = pt_lookup(&space->space, va);
	pte_t entry = pte_read(pte);

	pte_set(pte, migration_entry_restore(entry, migration_entry_page(entry), vma->vm_page_prot,
	                                     vma->vm_flags & VM_WRITE));
}

/* Entries of a page that is away: what the calls on areas do with them. */
UNIT_TEST(entries_of_a_page_that_is_away)
{
	uint8_t in_core[4];
	pte_t entry;

	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	vm_map(mm, VM_PAGE(0), 4, RW, ANON);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(vm_write(mm, VM_PAGE(i), 10 + i), 0);
	mark_moving(mm, VM_PAGE(0));
	CHECK_EQ(do_mincore(mm, VM_PAGE(0), 4, in_core), 0);
	CHECK_EQ(in_core[0] & 1, 1);
	/* mprotect */
	CHECK_EQ(do_mprotect(mm, VM_PAGE(0), PAGE_SIZE, PROT_READ), 0);
	mark_back(mm, VM_PAGE(0));
	CHECK_EQ(vm_write(mm, VM_PAGE(0), 1), -EFAULT);
	CHECK_EQ(vm_get(mm, VM_PAGE(0)), 10);
	CHECK_EQ(do_mprotect(mm, VM_PAGE(0), PAGE_SIZE, RW), 0);
	CHECK_EQ(vm_write(mm, VM_PAGE(0), 10), 0);
	/* mremap */
	mark_moving(mm, VM_PAGE(1));
	CHECK_EQ(do_mremap(mm, VM_PAGE(1), PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
	                   VM_PAGE(40)),
	         (int64_t)VM_PAGE(40));
	CHECK(is_migration_entry(pte_read(pt_lookup(&mm->space, VM_PAGE(40)))));
	mark_back(mm, VM_PAGE(40));
	CHECK_EQ(vm_get(mm, VM_PAGE(40)), 11);
	/* fork: both lose the right to write. */
	mark_moving(mm, VM_PAGE(2));
	child = dup_mm(mm);
	CHECK(!IS_ERR(child));
	entry = pte_read(pt_lookup(&child->space, VM_PAGE(2)));
	CHECK(is_migration_entry(entry) && !migration_entry_write(entry));
	entry = pte_read(pt_lookup(&mm->space, VM_PAGE(2)));
	CHECK(is_migration_entry(entry) && !migration_entry_write(entry));
	CHECK_EQ(mm_rss(child), 4);
	/* The child's goes with it: it is mapped by the other only, and rss was counted. */
	mmput(child);
	mark_back(mm, VM_PAGE(2));
	CHECK_EQ(vm_get(mm, VM_PAGE(2)), 12);
	/* zap: the entry's reference and count were the mapping's, as a migrator has taken them. */
	mark_moving(mm, VM_PAGE(3));
	entry = pte_read(pt_lookup(&mm->space, VM_PAGE(3)));
	CHECK_EQ(do_munmap(mm, VM_PAGE(3), PAGE_SIZE), 0);
	CHECK_EQ(mm_rss(mm), 3);
	page_remove_rmap(migration_entry_page(entry));
	put_page(migration_entry_page(entry));
	CHECK_CALL(finish());
}
