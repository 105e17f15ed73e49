/*
 * cache.h - the page cache: pages of files by (mapping, index) (mm/cache).
 *
 * A file, a memory file system's file, a piece of shared memory: each has one struct
 * address_space, and read(2), write(2) and every mapping of it use the same pages (7.3).
 * Sources: lecture 001 (radix tree, 6 bits a level); Linux's filemap.c for names.
 *
 * Lock order: mm->mmap_lock -> invalidate_lock -> PG_locked -> i_mmap_rwsem -> anon_vma -> ptl -> tree_lock.
 * So nobody touches a program's memory (a fault takes mmap_lock) while he holds invalidate_lock or a page's
 * lock: copy after unlocking, or after bringing the program's page in and without faults. See doc/locking.md.
 */
#ifndef QUIRE_CACHE_H
#define QUIRE_CACHE_H

#include <quire/frame.h>
#include <quire/sync.h>
#include "lib/interval_tree.h"
#include "lib/radix_tree.h"

struct address_space;
struct vm_area_struct;

struct address_space_operations {
	/*
	 * Fill n locked, not uptodate pages of consecutive index from the backing store; beyond the
	 * end of the file: zeros. Sets PG_uptodate on each page that has been filled. 0 or the error of
	 * the first that was not. Sleeps. NULL: there is no store, a new page is zeros (memory file systems).
	 */
	int (*readpages)(struct address_space *mapping, struct page **pages, unsigned n);
	/* Write one locked page back; clears PG_dirty before reading it. NULL: pages have no store to go to. */
	int (*writepage)(struct address_space *mapping, struct page *page);
	/* May a page be added at index? -ENOSPC where a memory file system is full. NULL: always. */
	int (*reserve)(struct address_space *mapping, int64_t pages);
};

#define AS_SHMEM 1u /* pages are memory itself: swap-backed, never discarded */

struct address_space {
	const struct address_space_operations *a_ops;
	void *host;           /* the file system's inode */
	uint64_t ino, dev;    /* for events and /proc/PID/maps */
	unsigned flags;       /* AS_* */
	spinlock_t tree_lock; /* guards i_pages, nrpages; not taken by interrupts */
	struct radix_tree_root i_pages;
	uint64_t nrpages;
	/* Bytes; set by the file system, under invalidate_lock when it shrinks. */
	_Atomic uint64_t i_size;
	/* Write: truncation; read: faults and reads adding pages. */
	struct rw_semaphore invalidate_lock;
	struct rw_semaphore i_mmap_rwsem; /* guards i_mmap */
	struct rb_root i_mmap;            /* areas that map it, by pgoff */
	_Atomic int32_t i_mmap_writable;  /* shared writable areas */
};

/*
 * What an area of memory holds of an open file. The kernel's struct file has one inside; shared anonymous
 * memory is one by itself.
 */
struct vm_file;
struct vm_file_operations {
	void (*release)(struct vm_file *file); /* the last reference has gone; sleeps */
	/* The path as /proc/PID/maps shows it, into buf, NUL-terminated. Returns its length. */
	size_t (*path)(struct vm_file *file, char *buf, size_t size);
};

struct vm_file {
	refcount_t count;
	struct address_space *f_mapping;
	const struct vm_file_operations *vf_ops;
	bool may_write; /* opened for writing: shared mappings may become writable */
	bool noexec;
};

static inline struct vm_file *get_vm_file(struct vm_file *file)
{
	refcount_inc(&file->count);
	return file;
}

void put_vm_file(struct vm_file *file); /* sleeps */

void address_space_init(struct address_space *mapping, const struct address_space_operations *ops,
                        void *host, unsigned flags);
/* All pages gone, no mappings: before the inode is freed. Truncates what is left. Sleeps. */
void address_space_destroy(struct address_space *mapping);

/*
 * The page at index, up to date, with a reference. Reads it if it is not there, and up to `ahead` pages more that
 * a sequential reader will want. *major is set if it had to wait for a device. 0, -ENOMEM, -EIO, ...;
 * -EFBIG beyond 2^32 pages. index at or after the end of file is the caller's business. Sleeps.
 */
MUST_USE int filemap_get_page(struct address_space *mapping, uint64_t index, unsigned ahead,
                              struct page **page, bool *major);

/* The page at index if it is in memory, whatever its state, with a reference; else NULL. */
struct page *find_get_page(struct address_space *mapping, uint64_t index);

/*
 * The page at index, locked, with a reference; made if it is not there (then not up to date unless
 * `whole`: the caller overwrites all of it). For write(2). Sleeps.
 */
MUST_USE int filemap_grab_page(struct address_space *mapping, uint64_t index, bool whole,
                               struct page **page);

/*
 * Adopt a frame as the page at index (the boot archive's pages become files without a copy). The page is
 * up to date and not yet in use; takes over the caller's reference. 0, -ENOMEM, -EEXIST.
 */
MUST_USE int filemap_adopt_page(struct address_space *mapping, uint64_t index, struct page *page);

/* The page's contents changed: PG_dirty and the tree's tag. Page locked or mapped under its ptl. */
void set_page_dirty(struct page *page);

/*
 * The page's contents are stored: the tag goes, unless the page is dirty again. For what a file system stores besides the page that its
 * writepage() was given. Page locked since before PG_dirty was cleared.
 */
void clear_dirty_tag(struct address_space *mapping, struct page *page);

/* Write dirty pages of [first, last] back and wait. 0 or the first error. Sleeps. */
MUST_USE int filemap_write_and_wait_range(struct address_space *mapping, uint64_t first,
                                          uint64_t last);

/*
 * The file ends at new_size: unmap and free whole pages after it, zero the rest of the last. The file system has
 * set i_size and holds invalidate_lock for writing. Sleeps.
 */
void truncate_pagecache(struct address_space *mapping, uint64_t new_size);

/*
 * The file is about to end at to instead of from: what mappings wrote behind the old end, into the last page, is not to become
 * its contents (POSIX: a file grows by zeros). Sleeps.
 */
void pagecache_isize_extended(struct address_space *mapping, uint64_t from, uint64_t to);

/* Free whole pages in the hole [start, end) of bytes, zero partial ones (fallocate PUNCH_HOLE). As above. */
void truncate_pagecache_range(struct address_space *mapping, uint64_t start, uint64_t end);

/* Drop clean, unmapped, unused pages of [first, last]. Returns how many. Sleeps. */
uint64_t invalidate_mapping_pages(struct address_space *mapping, uint64_t first, uint64_t last);

/* Remove every mapping of pages [first, last]; even_cows: private copies too (truncation). Sleeps. */
void unmap_mapping_range(struct address_space *mapping, uint64_t first, uint64_t last,
                         bool even_cows);

/*
 * Shared anonymous memory: a file of size bytes without a name but the one that maps shows
 * ("/dev/zero (deleted)", "/SYSV00000000 (deleted)"). ERR_PTR(-ENOMEM). Sleeps.
 */
struct vm_file *shmem_file_setup(const char *name, uint64_t size);
/* The a_ops of memory without a store; used by tmpfs with its own reserve. */
extern const struct address_space_operations shmem_aops;

void cache_init(void);
const char *cache_check(struct address_space *mapping);

#endif
