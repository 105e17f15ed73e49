/*
 * truncate.c - pages leave their file: it got shorter, a hole was punched, the cache is dropped.
 *
 * Against faults. The file system has set i_size (or holds invalidate_lock for a hole) before it comes here. First all
 * mappings of the range go; then each page is locked and taken out of the tree. A fault that found the page
 * before maps it only under the page's lock, while it is still in the file and before i_size:
 *
 *     fault first:     it maps the page; we find page_mapcount() > 0 under the lock, and unmap once more
 *     truncation first: the fault sees mapping == NULL or the new i_size, and gives SIGBUS or looks again
 *
 * A private copy that such a fault made is not found by the page. So where copies must go too, all mappings of
 * the range go once more when the pages have left: by then nobody makes another.
 *
 * A page that somebody else still holds (a read under way, a futex) just lives on without a file.
 */
#include "lib/string.h"
#include "mm/cache/filemap.h"
#include "mm/space/space.h"

void unmap_mapping_range(struct address_space *mapping, uint64_t first, uint64_t last,
                         bool even_cows)
{
	struct interval_tree_node *node;

	down_read(&mapping->i_mmap_rwsem);
	interval_for_each(node, &mapping->i_mmap, first, last) {
		struct vm_area_struct *vma = container_of(node, struct vm_area_struct, i_mmap_node);
		const uint64_t from = MAX(first, node->start), to = MIN(last, node->last);
		struct mmu_gather tlb;

		tlb_gather_mmu(&tlb, vma->vm_mm);
		zap_range(&tlb, vma, vma->vm_start + ((from - vma->vm_pgoff) << PAGE_SHIFT),
		          vma->vm_start + ((to - vma->vm_pgoff + 1) << PAGE_SHIFT), !even_cows);
		tlb_finish_mmu(&tlb);
	}
	up_read(&mapping->i_mmap_rwsem);
}

/* The next page of the file from *index on, with a reference. */
static struct page *next_page(struct address_space *mapping, uint64_t *index, uint64_t last)
{
	struct page *page;

	spin_lock(&mapping->tree_lock);
	page = radix_tree_next(&mapping->i_pages, index, last);
	if (page)
		get_page(page);
	spin_unlock(&mapping->tree_lock);
	return page;
}

static void truncate_page(struct address_space *mapping, struct page *page)
{
	lock_page(page);
	if (page_mapping(page) == mapping) {
		wait_on_page_writeback(page);
		if (page_mapcount(page))
			unmap_mapping_range(mapping, page->index, page->index, false);
		filemap_remove_page(mapping, page);
		put_page(page); /* the tree's */
	}
	unlock_page(page);
}

/* Whole pages [first, last]. */
static void truncate_pages(struct address_space *mapping, uint64_t first, uint64_t last)
{
	uint64_t index = first;
	struct page *page;

	while (index <= last && (page = next_page(mapping, &index, last))) {
		truncate_page(mapping, page);
		put_page(page);
		if (index++ == UINT64_MAX)
			break;
	}
}

/*
 * Zero bytes [from, to) of the page at index, if it is in memory. The store has zeros there too, so this does not make the page
 * newer than its store.
 */
static void zero_partial(struct address_space *mapping, uint64_t index, size_t from, size_t to)
{
	struct page *page = find_get_page(mapping, index);

	if (!page)
		return;
	lock_page(page);
	if (page_mapping(page) == mapping && page_flag(page, PG_uptodate))
		memset_page(page, from, 0, to - from);
	unlock_page(page);
	put_page(page);
}

/* Bytes [start, end); end UINT64_MAX: to the end of the file. */
static void truncate_range(struct address_space *mapping, uint64_t start, uint64_t end,
                           bool even_cows)
{
	const uint64_t first = start / PAGE_SIZE + (start % PAGE_SIZE != 0);
	const uint64_t stop = end == UINT64_MAX ? UINT64_MAX : end / PAGE_SIZE; /* not included */
	const size_t head = start % PAGE_SIZE, tail = end == UINT64_MAX ? 0 : end % PAGE_SIZE;

	if (start >= end)
		return;
	if (head)
		zero_partial(mapping, start / PAGE_SIZE, head,
		             first > stop ? tail : (size_t)PAGE_SIZE);
	if (tail && first <= stop)
		zero_partial(mapping, stop, 0, tail);
	if (first >= stop)
		return;
	unmap_mapping_range(mapping, first, stop - 1, even_cows);
	truncate_pages(mapping, first, stop - 1);
	if (even_cows)
		unmap_mapping_range(mapping, first, stop - 1, true);
}

void truncate_pagecache(struct address_space *mapping, uint64_t new_size)
{
	truncate_range(mapping, new_size, UINT64_MAX, true);
}

void truncate_pagecache_range(struct address_space *mapping, uint64_t start, uint64_t end)
{
	truncate_range(mapping, start, end, false);
}

void pagecache_isize_extended(struct address_space *mapping, uint64_t from, uint64_t to)
{
	const size_t head = from % PAGE_SIZE;

	if (head && to > from)
		zero_partial(mapping, from / PAGE_SIZE, head,
		             head + (size_t)MIN(PAGE_SIZE - head, to - from));
}

/* Nobody else has it or wants it: out it goes. New references come only through the tree, whose lock is held. */
static bool invalidate_page(struct address_space *mapping, struct page *page)
{
	bool idle;

	if (!trylock_page(page))
		return false;
	spin_lock(&mapping->tree_lock);
	idle = page->mapping == mapping && page_count(page) == 2 && page_mapcount(page) == 0 &&
	       !page_flag(page, PG_dirty) && !page_flag(page, PG_writeback);
	if (idle) {
		radix_tree_delete(&mapping->i_pages, page->index);
		mapping->nrpages--;
		page_set_mapping(page, NULL);
	}
	spin_unlock(&mapping->tree_lock);
	if (idle) {
		filemap_page_removed(mapping, page);
		put_page(page); /* the tree's */
	}
	unlock_page(page);
	return idle;
}

uint64_t invalidate_mapping_pages(struct address_space *mapping, uint64_t first, uint64_t last)
{
	uint64_t index = first, n = 0;
	struct page *page;

	if (mapping->flags & AS_SHMEM)
		return 0; /* they are the only copy */
	while (index <= last && (page = next_page(mapping, &index, last))) {
		n += invalidate_page(mapping, page);
		put_page(page);
		if (index++ == UINT64_MAX)
			break;
	}
	return n;
}
