/*
 * writeback.c - which pages are newer than their store, and bringing it up to date (mechanism 7.2).
 *
 * PG_dirty says it on the page; the tree's dirty tag finds the page among thousands of clean ones. A page becomes
 * dirty by write(2), by the first write fault of a shared mapping, and when an entry with the hardware's dirty bit goes.
 *
 * Writing back a page, under its lock: 1. its entries become read-only and clean, so that the next
 * write faults and marks it again; 2. the file system clears PG_dirty, then reads and stores the
 * contents; 3. the tag goes, unless the page is dirty again. A write before 2 is in what it reads; a write after 1 faults and waits
 * for the page's lock. The tag lasts until the contents are stored, so that who syncs at the same time finds the page, and waits too.
 */
#include <quire/errno.h>
#include <quire/rmap.h>
#include "mm/cache/filemap.h"
#include "mm/pt/pt.h"

void set_page_dirty(struct page *page)
{
	struct address_space *mapping = page_mapping(page);

	if (page_test_and_set_flag(page, PG_dirty))
		return;
	if (!mapping || (mapping->flags & AS_SHMEM))
		return;
	spin_lock(&mapping->tree_lock);
	if (page->mapping == mapping)
		radix_tree_tag_set(&mapping->i_pages, page->index, RADIX_TREE_DIRTY);
	spin_unlock(&mapping->tree_lock);
}

static bool clean_one(struct rmap_walk *walk, struct page *page UNUSED, struct vm_area_struct *vma,
                      vaddr_t addr, pte_t *pte)
{
	pte_t old = pte_read(pte);

	if (!pte_write(old) && !pte_dirty(old))
		return true;
	while (!pte_cmpxchg(pte, &old, pte_mkclean(pte_wrprotect(old))))
		;
	mmu_flush_range(&vma->vm_mm->space, addr, addr + PAGE_SIZE);
	if (pte_dirty(old))
		*(bool *)walk->ctx = true;
	return true;
}

/*
 * Make all entries of a locked page read-only and clean; true if one was dirty. Sleeps. A map count of 0 is no
 * reason to leave the walk out: zap.c lowers it before it flushes, and the walk waits for the flush at the table's lock.
 */
static bool page_mkclean(struct page *page)
{
	bool dirty = false;
	struct rmap_walk walk = {.visit = clean_one, .ctx = &dirty};

	rmap_walk(page, &walk);
	return dirty;
}

/* Who makes the page dirty sets its flag first, then the tag: either we see the flag, or the tag is set after we cleared it. */
void clear_dirty_tag(struct address_space *mapping, struct page *page)
{
	spin_lock(&mapping->tree_lock);
	if (!page_flag(page, PG_dirty))
		radix_tree_tag_clear(&mapping->i_pages, page->index, RADIX_TREE_DIRTY);
	spin_unlock(&mapping->tree_lock);
}

/* Under the page's lock, still in the file. */
static int write_locked_page(struct address_space *mapping, struct page *page)
{
	int err;

	if (page_mkclean(page))
		set_page_dirty(page);
	if (!page_flag(page, PG_dirty)) {
		clear_dirty_tag(mapping, page);
		return 0;
	}
	err = mapping->a_ops->writepage(mapping, page);
	if (err) {
		page_clear_flag(page, PG_dirty);
		set_page_dirty(page);
		return err;
	}
	clear_dirty_tag(mapping, page);
	count_n(PGPGOUT, PAGE_SIZE >> 10);
	return 0;
}

static struct page *next_dirty(struct address_space *mapping, uint64_t *index, uint64_t last)
{
	struct page *page;

	spin_lock(&mapping->tree_lock);
	page = radix_tree_next_tagged(&mapping->i_pages, index, last, RADIX_TREE_DIRTY);
	if (page)
		get_page(page);
	spin_unlock(&mapping->tree_lock);
	return page;
}

int filemap_write_and_wait_range(struct address_space *mapping, uint64_t first, uint64_t last)
{
	uint64_t index = first;
	struct page *page;
	int result = 0;

	if (!mapping->a_ops->writepage)
		return 0;
	while (index <= last && (page = next_dirty(mapping, &index, last))) {
		int err = 0;

		lock_page(page);
		wait_on_page_writeback(page);
		if (page_mapping(page) == mapping)
			err = write_locked_page(mapping, page);
		unlock_page(page);
		wait_on_page_writeback(page);
		put_page(page);
		result = result ? result : err;
		if (index++ == UINT64_MAX)
			break;
	}
	return result;
}
