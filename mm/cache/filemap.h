/*
 * filemap.h - the page cache, inside mm/.
 */
#ifndef MM_CACHE_FILEMAP_H
#define MM_CACHE_FILEMAP_H

#include <quire/cache.h>
#include <quire/highmem.h>
#include <quire/machine.h>
#include <quire/slab.h>
#include <quire/trace.h>

struct cache_state {
	struct kmem_cache *node_cache;  /* nodes of radix trees */
	struct kmem_cache *shmem_cache; /* files without a name */
};

#define MAX_FILE_PAGES ((uint64_t)1 << 32) /* page->index has 32 bits */
#define READ_BATCH     32u                 /* pages that one a_ops->readpages gets at most */

/*
 * The pages of [first, first + n) that are in the cache, up to date, before the end of the file, and not
 * locked by anyone: into pages[0..n), locked and with a reference; NULL for the others. How many. Never sleeps.
 */
unsigned filemap_lock_cached(struct address_space *mapping, uint64_t first, unsigned n,
                             struct page **pages);

/*
 * A new page becomes the page at index: in the tree, on the LRU, counted. flags are set before anyone can
 * find it; PG_locked is among them. The tree takes over one reference. 0, -EEXIST, -ENOMEM, -ENOSPC, -EFBIG. Sleeps.
 */
MUST_USE int filemap_add_page(struct address_space *mapping, uint64_t index, struct page *page,
                              uint32_t flags);

/*
 * The same for memory without a store: zeroed, up to date, unlocked; the caller's reference to page is used up. 0,
 * -EEXIST: there is one, or as filemap_add_page. Sleeps.
 */
MUST_USE int filemap_add_memory(struct address_space *mapping, uint64_t index, struct page *page);

/*
 * Read the missing pages from first on, up to n, up to the first that is there already and up to the end of the file.
 * invalidate_lock held for reading. Failures leave pages missing. Returns pages added. Sleeps.
 */
uint64_t filemap_read_run(struct address_space *mapping, uint64_t first, uint64_t n);

void shmem_init(struct cache_state *s);

/* Bring missing pages of [first, first + n) in, without waiting for those that others read. Sleeps. */
void filemap_read_ahead(struct address_space *mapping, uint64_t first, uint64_t n);

/*
 * Put dst, locked and unknown, where the locked old is, with those of old's flags, if nobody has a reference to old but the
 * tree and the caller. The tree's goes over to dst. Its tags stay.
 */
MUST_USE bool filemap_replace_page(struct address_space *mapping, struct page *old,
                                   struct page *dst, uint32_t flags);

/* Take a locked page out of its file: the cache's reference is the caller's now. */
void filemap_remove_page(struct address_space *mapping, struct page *page);
/* The part of it after the tree: accounts, events. */
void filemap_page_removed(struct address_space *mapping, struct page *page);

#endif
