/*
 * filemap.c - pages of files by (mapping, index) (lecture 001; mechanism 7.1).
 *
 *     struct address_space
 *       i_pages: radix tree, 64-way     index -> struct page
 *                                                  | flags: locked, uptodate, dirty, error ...
 *                                                  | mapping, index: back to here
 *
 * A page of the cache has one reference for the tree and one for each entry that maps it; whoever got
 * it from here has one more. Its states:
 *
 *     (absent) --insert--> locked, not uptodate --read--> uptodate <---> dirty
 *         ^                     | error                      |
 *         +---------------------+----------- remove ---------+
 *
 * Invariants
 *  1. A page in the tree has mapping and index of its place; a page leaves the tree under its lock (PG_locked).
 *  2. A page that is not up to date is locked by who fills it, or empty since its reader failed and about to be removed.
 *     Whoever waits for the lock looks again.
 *  3. What the tree has is counted in nrpages and as FRAME_FILE or FRAME_SHMEM, and on the LRU.
 *
 * tree_lock guards the tree, not the pages: a look-up takes a reference under it. Inserting needs memory for nodes, so
 * it is done with a node allocator that does not sleep, and tried again after a sleeping
 * allocation has been made and freed (which leaves memory where the other finds it).
 *
 * invalidate_lock. Bringing pages in holds it for reading, truncation and hole punching for writing: no page is read from
 * a place of the store that goes away at the same time.
 */
#include <quire/errno.h>
#include "mm/cache/filemap.h"

static void *node_alloc(struct radix_tree_root *root UNUSED)
{
	return kmem_cache_alloc(machine()->cache->node_cache, GFP_NOWAIT | __GFP_NOWARN);
}

static void node_free(struct radix_tree_root *root UNUSED, void *node)
{
	kmem_cache_free(machine()->cache->node_cache, node);
}

static const struct radix_tree_ops node_ops = {node_alloc, node_free};

void cache_init(void)
{
	struct cache_state *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		port_panic("cache: no memory for the first structures");
	machine()->cache = s;
	s->node_cache = kmem_cache_create("radix_tree_node", sizeof(struct radix_tree_node), 0,
	                                  SLAB_PANIC | SLAB_RECLAIM, NULL);
	shmem_init(s);
}

void address_space_init(struct address_space *mapping, const struct address_space_operations *ops,
                        void *host, unsigned flags)
{
	mapping->a_ops = ops;
	mapping->host = host;
	mapping->ino = mapping->dev = 0;
	mapping->flags = flags;
	spin_lock_init(&mapping->tree_lock);
	radix_tree_init(&mapping->i_pages, &node_ops);
	mapping->nrpages = 0;
	atomic_store_explicit(&mapping->i_size, 0, memory_order_relaxed);
	init_rwsem(&mapping->invalidate_lock);
	init_rwsem(&mapping->i_mmap_rwsem);
	mapping->i_mmap = RB_ROOT;
	atomic_store_explicit(&mapping->i_mmap_writable, 0, memory_order_relaxed);
}

void address_space_destroy(struct address_space *mapping)
{
	if (mapping->nrpages)
		truncate_pagecache(mapping, 0);
	radix_tree_destroy(&mapping->i_pages);
}

void put_vm_file(struct vm_file *file)
{
	if (refcount_dec_and_test(&file->count))
		file->vf_ops->release(file);
}

static void cache_account(struct address_space *mapping, int64_t pages)
{
	frame_account(mapping->flags & AS_SHMEM ? FRAME_SHMEM : FRAME_FILE, pages);
}

struct page *find_get_page(struct address_space *mapping, uint64_t index)
{
	struct page *page;

	spin_lock(&mapping->tree_lock);
	page = radix_tree_lookup(&mapping->i_pages, index);
	if (page)
		get_page(page);
	spin_unlock(&mapping->tree_lock);
	return page;
}

unsigned filemap_lock_cached(struct address_space *mapping, uint64_t first, unsigned n,
                             struct page **pages)
{
	const uint64_t end = PAGES_OF(atomic_load_explicit(&mapping->i_size, memory_order_acquire));
	const unsigned inside = first < end ? (unsigned)MIN(n, end - first) : 0;
	unsigned found = 0;

	spin_lock(&mapping->tree_lock);
	radix_tree_lookup_range(&mapping->i_pages, first, inside, (void **)pages);
	for (unsigned i = 0; i < inside; i++) {
		if (!pages[i])
			continue;
		if (!page_flag(pages[i], PG_uptodate) || !trylock_page(pages[i])) {
			pages[i] = NULL;
			continue;
		}
		get_page(pages[i]);
		found++;
	}
	spin_unlock(&mapping->tree_lock);
	for (unsigned i = inside; i < n; i++)
		pages[i] = NULL;
	return found;
}

/* Into the tree, with its reference. 0, -EEXIST, -ENOMEM. */
static int tree_insert(struct address_space *mapping, uint64_t index, struct page *page)
{
	int err;

	spin_lock(&mapping->tree_lock);
	err = radix_tree_insert(&mapping->i_pages, index, page);
	if (!err)
		mapping->nrpages++;
	spin_unlock(&mapping->tree_lock);
	return err;
}

static int tree_insert_retry(struct address_space *mapping, uint64_t index, struct page *page)
{
	int err;

	while ((err = tree_insert(mapping, index, page)) == -ENOMEM) {
		void *node = kmem_cache_alloc(machine()->cache->node_cache, GFP_KERNEL);

		if (!node)
			break;
		kmem_cache_free(machine()->cache->node_cache, node);
		if (port_fatal_signal_pending())
			break;
	}
	return err;
}

int filemap_add_page(struct address_space *mapping, uint64_t index, struct page *page,
                     uint32_t flags)
{
	int err;

	if (index >= MAX_FILE_PAGES)
		return -EFBIG;
	if (mapping->a_ops->reserve) {
		err = mapping->a_ops->reserve(mapping, 1);
		if (err)
			return err;
	}
	if (mapping->flags & AS_SHMEM)
		flags |= 1u << PG_swapbacked;
	__page_set_flags(page, flags);
	page->index = (uint32_t)index;
	page_set_mapping(page, mapping);
	err = tree_insert_retry(mapping, index, page);
	if (err)
		goto out;
	cache_account(mapping, 1);
	lru_cache_add(page);
	trace_mm_filemap_add_to_page_cache(mapping->ino, index, page_to_pfn(page).n);
	return 0;
out:
	page_set_mapping(page, NULL);
	__page_clear_flags(page, flags);
	if (mapping->a_ops->reserve)
		(void)!mapping->a_ops->reserve(mapping, -1);
	return err;
}

void filemap_page_removed(struct address_space *mapping, struct page *page)
{
	page_clear_flag(page, PG_dirty);
	cache_account(mapping, -1);
	trace_mm_filemap_delete_from_page_cache(mapping->ino, page->index, page_to_pfn(page).n);
	if (mapping->a_ops->reserve)
		(void)!mapping->a_ops->reserve(mapping, -1);
}

void filemap_remove_page(struct address_space *mapping, struct page *page)
{
	spin_lock(&mapping->tree_lock);
	radix_tree_delete(&mapping->i_pages, page->index);
	mapping->nrpages--;
	page_set_mapping(page, NULL);
	spin_unlock(&mapping->tree_lock);
	filemap_page_removed(mapping, page);
}

/*
 * Fill a page that this caller has just added, locked. Memory without a store: zeros. 0 or the reader's error, and then the page
 * is out of the cache again. Unlocks.
 */
static int fill_new_page(struct address_space *mapping, struct page *page)
{
	int err = 0;

	if (mapping->a_ops->readpages) {
		err = mapping->a_ops->readpages(mapping, &page, 1);
		if (!err)
			count_n(PGPGIN, PAGE_SIZE >> 10);
	} else {
		clear_highpage(page);
		page_set_flag(page, PG_uptodate);
	}
	if (err || !page_flag(page, PG_uptodate)) {
		filemap_remove_page(mapping, page);
		put_page(page); /* the tree's */
		err = err && err != -EAGAIN ? err : -EIO;
	}
	unlock_page(page);
	return err;
}

/*
 * Wait for another's read of a page, with our reference. 0: up to date. -EAGAIN: it is no longer in the file, or was not
 * read: look again. A page left not up to date (grabbed for a write that failed) is read by us.
 */
static int wait_uptodate(struct address_space *mapping, struct page *page)
{
	int err = 0;

	lock_page(page);
	if (page_mapping(page) != mapping)
		err = -EAGAIN;
	else if (!page_flag(page, PG_uptodate))
		return fill_new_page(mapping, page); /* unlocks; on error removes it */
	unlock_page(page);
	return err;
}

int filemap_add_memory(struct address_space *mapping, uint64_t index, struct page *page)
{
	int err = filemap_add_page(mapping, index, page, 1u << PG_locked);

	if (!err) {
		get_page(page); /* the other one is the tree's */
		err = fill_new_page(mapping, page);
	}
	put_page(page);
	return err;
}

/* With a reference for the caller, locked, not up to date. 0, -EAGAIN (another was faster), -ENOMEM, ... */
static int add_locked_page(struct address_space *mapping, uint64_t index, struct page **pagep)
{
	struct page *page = alloc_page(GFP_HIGHUSER_MOVABLE);
	int err;

	if (!page)
		return -ENOMEM;
	err = filemap_add_page(mapping, index, page, 1u << PG_locked);
	if (err) {
		put_page(page);
		return err == -EEXIST ? -EAGAIN : err;
	}
	get_page(page);
	*pagep = page;
	return 0;
}

/* Nothing at index: add a page and read it, with those after it. As filemap_get_page. */
static int filemap_miss(struct address_space *mapping, uint64_t index, unsigned ahead,
                        struct page **pagep)
{
	int err;

	if (mapping->a_ops->readpages && ahead) {
		filemap_read_run(mapping, index, (uint64_t)ahead + 1);
		*pagep = find_get_page(mapping, index);
		if (*pagep)
			return wait_uptodate(mapping, *pagep);
	}
	err = add_locked_page(mapping, index, pagep);
	return err ? err : fill_new_page(mapping, *pagep);
}

int filemap_get_page(struct address_space *mapping, uint64_t index, unsigned ahead,
                     struct page **pagep, bool *major)
{
	int err;

	for (;;) {
		struct page *page = find_get_page(mapping, index);

		if (likely(page && page_flag(page, PG_uptodate))) {
			count(FILEMAP_HIT);
			*pagep = page;
			return 0;
		}
		if (mapping->a_ops->readpages && major)
			*major = true;
		if (page) {
			*pagep = page;
			err = wait_uptodate(mapping, page);
		} else {
			*pagep = NULL;
			count(FILEMAP_MISS);
			down_read(&mapping->invalidate_lock);
			err = filemap_miss(mapping, index, ahead, pagep);
			up_read(&mapping->invalidate_lock);
		}
		if (!err)
			return 0;
		if (*pagep)
			put_page(*pagep);
		if (err != -EAGAIN)
			return err;
	}
}

/* A locked page that the caller overwrites in part: its contents first. On error unlocked and without reference. */
static int grab_fill(struct address_space *mapping, struct page *page, bool whole)
{
	int err;

	if (whole || page_flag(page, PG_uptodate))
		return 0;
	err = fill_new_page(mapping, page);
	if (!err) {
		lock_page(page);
		if (page_mapping(page) == mapping)
			return 0;
		unlock_page(page);
		err = -EAGAIN;
	}
	put_page(page);
	return err;
}

int filemap_grab_page(struct address_space *mapping, uint64_t index, bool whole,
                      struct page **pagep)
{
	int err;

	do {
		struct page *page = find_get_page(mapping, index);

		err = 0;
		if (page) {
			lock_page(page);
			if (page_mapping(page) != mapping) {
				unlock_page(page);
				put_page(page);
				err = -EAGAIN;
				continue;
			}
		} else {
			down_read(&mapping->invalidate_lock);
			err = add_locked_page(mapping, index, &page);
			up_read(&mapping->invalidate_lock);
		}
		if (!err)
			err = grab_fill(mapping, page, whole);
		*pagep = page;
	} while (err == -EAGAIN);
	return err;
}

int filemap_adopt_page(struct address_space *mapping, uint64_t index, struct page *page)
{
	int err = filemap_add_page(mapping, index, page, 1u << PG_uptodate | 1u << PG_locked);

	if (!err)
		unlock_page(page);
	return err;
}

const char *cache_check(struct address_space *mapping)
{
	const char *broken = radix_tree_check(&mapping->i_pages);
	uint64_t index, n = 0;
	struct page *page;

	radix_tree_for_each(page, &mapping->i_pages, index, 0, UINT64_MAX) {
		if (page->mapping != mapping || page->index != index)
			return "cache: a page does not know its place";
		if (page_count(page) < 1 + page_mapcount(page))
			return "cache: fewer references than users";
		if (page_flag(page, PG_dirty) && !(mapping->flags & AS_SHMEM) &&
		    !radix_tree_tag_get(&mapping->i_pages, index, RADIX_TREE_DIRTY))
			return "cache: a dirty page without its tag";
		n++;
	}
	if (!broken && n != mapping->nrpages)
		broken = "cache: nrpages is wrong";
	return broken ? broken : interval_tree_check(&mapping->i_mmap);
}
