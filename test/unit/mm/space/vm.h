/*
 * vm.h - what tests of address spaces share: access to a program's memory, a file with a store, and the count of frames.
 *
 * Memory is reached through get_user_page, which faults as the program would; tests in the hosted machine also go through
 * the software TLB (test/unit/host).
 */
#ifndef TEST_VM_H
#define TEST_VM_H

#include <quire/check.h>
#include <quire/errno.h>
#include <quire/kva.h>
#include <quire/rmap.h>
#include <quire/slab.h>
#include "lib/string.h"
#include "mm/cache/filemap.h"
#include "mm/space/space.h"
#include "test/unit/unit.h"

#define VM_BASE 0x10000000ull /* where tests map by hand */
/* mmap_base of test spaces */
#define VM_TOP     MIN(0x7fff0000000ull, mmu_user_end() - 0x10000)
#define RW         (PROT_READ | PROT_WRITE)
#define ANON       (MAP_PRIVATE | MAP_ANONYMOUS)
#define VM_PAGE(n) (VM_BASE + (uint64_t)(n)*PAGE_SIZE)

static inline int vm_access(struct mm_struct *mm, vaddr_t va, uint64_t *value, bool write)
{
	struct page *page;
	int err = get_user_page(mm, va, write ? FAULT_WRITE : FAULT_READ, &page);

	if (err)
		return err;
	if (write)
		memcpy_to_page(page, (size_t)(va % PAGE_SIZE), value, sizeof(*value));
	else
		memcpy_from_page(value, page, (size_t)(va % PAGE_SIZE), sizeof(*value));
	put_page(page);
	return 0;
}

static inline int vm_write(struct mm_struct *mm, vaddr_t va, uint64_t value)
{
	return vm_access(mm, va, &value, true);
}

static inline int vm_read(struct mm_struct *mm, vaddr_t va, uint64_t *value)
{
	return vm_access(mm, va, value, false);
}

/* The value, or an impossible one. */
static inline uint64_t vm_get(struct mm_struct *mm, vaddr_t va)
{
	uint64_t value = 0;

	return vm_read(mm, va, &value) ? 0xdeadull << 48 : value;
}

static inline int64_t vm_map(struct mm_struct *mm, vaddr_t at, unsigned pages, int prot, int flags)
{
	return do_mmap(mm, at, pages * PAGE_SIZE, prot, flags | (at ? MAP_FIXED : 0), NULL, 0);
}

/* A file of a store that holds one number a page. */
#define TFILE_PAGES 128u

struct test_file {
	struct vm_file file;
	struct address_space mapping;
	uint64_t store[TFILE_PAGES];
	_Atomic unsigned reads, read_pages, writes;
	uint64_t fail_index; /* reading this page fails */
};

static inline int tfile_readpages(struct address_space *mapping, struct page **pages, unsigned n)
{
	struct test_file *f = mapping->host;

	f->reads++;
	for (unsigned i = 0; i < n; i++) {
		if (pages[i]->index == f->fail_index)
			return -EIO;
		clear_highpage(pages[i]);
		memcpy_to_page(pages[i], 0, &f->store[pages[i]->index], sizeof(f->store[0]));
		page_set_flag(pages[i], PG_uptodate);
		f->read_pages++;
	}
	return 0;
}

static inline int tfile_writepage(struct address_space *mapping, struct page *page)
{
	struct test_file *f = mapping->host;

	page_clear_flag(page, PG_dirty);
	memcpy_from_page(&f->store[page->index], page, 0, sizeof(f->store[0]));
	f->writes++;
	return 0;
}

static inline void tfile_release(struct vm_file *file UNUSED)
{
}

static inline size_t tfile_path(struct vm_file *file UNUSED, char *buf, size_t size)
{
	return strscpy(buf, "/test", size) < 0 ? 0 : 5;
}

static const struct address_space_operations tfile_aops UNUSED = {.readpages = tfile_readpages,
                                                                  .writepage = tfile_writepage};
static const struct vm_file_operations tfile_ops UNUSED = {tfile_release, tfile_path};

static inline void tfile_init(struct test_file *f, uint64_t pages)
{
	memset(f, 0, sizeof(*f));
	address_space_init(&f->mapping, &tfile_aops, f, 0);
	refcount_set(&f->file.count, 1);
	f->file.f_mapping = &f->mapping;
	f->file.vf_ops = &tfile_ops;
	f->file.may_write = true;
	f->fail_index = UINT64_MAX;
	atomic_store(&f->mapping.i_size, pages * PAGE_SIZE);
	for (unsigned i = 0; i < TFILE_PAGES; i++)
		f->store[i] = 1000 + i;
}

/* What write(2) does to the first word of a page. */
static inline int tfile_write(struct test_file *f, uint64_t index, uint64_t value)
{
	struct page *page;
	int err = filemap_grab_page(&f->mapping, index, false, &page);

	if (err)
		return err;
	memcpy_to_page(page, 0, &value, sizeof(value));
	set_page_dirty(page);
	unlock_page(page);
	put_page(page);
	return 0;
}

/* Frames free when nothing is kept for later. */
static inline uint64_t vm_free_frames(void)
{
	kmem_cache_shrink_all();
	drain_all_pages();
	return nr_free_pages();
}

/* Before a test: allocate and free one of everything, so that what caches keep is there already. */
static inline uint64_t vm_baseline(void)
{
	struct mm_struct *mm = mm_alloc(VM_TOP);

	if (mm)
		mmput(mm);
	return vm_free_frames();
}

#endif
