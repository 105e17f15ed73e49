/*
 * filemap_rw.c - read(2) and write(2) of files that live in the page cache.
 *
 * A step moves what one page holds. Reading: the page with its reference, a copy, the reference back; the
 * mapping's lock is taken once for each page. Whether a read is sequential is seen from where the last one
 * ended; the window of pages read ahead doubles up to 128 (512 KB) while it is, and shrinks to nothing when it is not.
 *
 * Writing holds i_rwsem, so that writers do not mix. The program's memory is touched before the page is locked:
 * a fault on it may need that very page (a file written from its own mapping). What another thread unmaps in between
 * is not copied, and the step is made again.
 */
#include "fs/internal.h"
#include <quire/frame.h>

#define RA_MIN 4u
#define RA_MAX 128u

/* How many pages beyond `index` a reader that is about to take it will want. */
static unsigned readahead_window(struct file_ra_state *ra, uint32_t index, uint32_t wanted)
{
	if (index != ra->next && index + 1 != ra->next)
		ra->window = index == 0 ? RA_MIN : 0;
	else if (index == ra->next)
		ra->window = MIN(MAX(ra->window * 2, RA_MIN), RA_MAX);
	return MAX(ra->window, MIN(wanted, RA_MAX));
}

/* One page's part of a read. Bytes, 0 at the end, -errno. */
static int64_t read_page_part(struct kiocb *iocb, struct address_space *mapping,
                              struct iov_iter *to)
{
	struct file_ra_state *ra = &iocb->ki_filp->f_ra;
	uint64_t pos = (uint64_t)iocb->ki_pos, size, index = pos >> PAGE_SHIFT;
	size_t offset = pos & ~PAGE_MASK, n;
	unsigned ahead = 0;
	struct page *page;
	bool major = false;
	int err;

	size = atomic_load_explicit(&mapping->i_size, memory_order_relaxed);
	if (pos >= size)
		return 0;
	page = find_get_page(mapping, index);
	if (!page || !page_flag(page, PG_uptodate)) {
		if (page)
			put_page(page);
		if (mapping->a_ops->readpages)
			ahead = readahead_window(ra, (uint32_t)index,
			                         (uint32_t)PAGES_OF(offset + iov_iter_count(to)) -
			                                 1);
		ahead = (unsigned)MIN((uint64_t)ahead, (size - 1) >> PAGE_SHIFT > index
		                                               ? ((size - 1) >> PAGE_SHIFT) - index
		                                               : 0);
		err = filemap_get_page(mapping, index, ahead, &page, &major);
		if (err)
			return err;
		size = atomic_load_explicit(&mapping->i_size, memory_order_relaxed);
	}
	n = pos < size ? (size_t)MIN((uint64_t)(PAGE_SIZE - offset), size - pos) : 0;
	n = MIN(n, iov_iter_count(to));
	if (n) {
		size_t done = copy_to_iter((char *)page_address(page) + offset, n, to);

		n = done;
		err = done ? 0 : -EFAULT;
	} else {
		err = 0;
	}
	if (offset == 0)
		mark_page_accessed(page);
	put_page(page);
	ra->next = (uint32_t)(index + 1);
	return err ? err : (int64_t)n;
}

/* A hole in a memory file reads as zeros and stays a hole. */
static bool read_hole(struct kiocb *iocb, struct address_space *mapping, struct iov_iter *to,
                      int64_t *done)
{
	uint64_t pos = (uint64_t)iocb->ki_pos, size;
	size_t n;
	struct page *page;

	if (mapping->a_ops->readpages)
		return false;
	page = find_get_page(mapping, pos >> PAGE_SHIFT);
	if (page) {
		put_page(page);
		return false;
	}
	size = atomic_load_explicit(&mapping->i_size, memory_order_relaxed);
	n = pos < size ? (size_t)MIN((uint64_t)(PAGE_SIZE - (pos & ~PAGE_MASK)), size - pos) : 0;
	n = MIN(n, iov_iter_count(to));
	*done = n ? (int64_t)iov_iter_zero(n, to) : 0;
	if (n && !*done)
		*done = -EFAULT;
	return true;
}

int64_t generic_file_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = iocb->ki_filp->f_inode;
	struct address_space *mapping = inode->i_mapping;
	int64_t total = 0, n = 0;

	while (iov_iter_count(to)) {
		if (!read_hole(iocb, mapping, to, &n))
			n = read_page_part(iocb, mapping, to);
		if (n <= 0)
			break;
		iocb->ki_pos += n;
		total += n;
		if (unlikely(!(iocb->ki_pos & 0xfffff))) { /* each MB */
			port_cond_resched();
			if (port_fatal_signal_pending())
				break;
		}
	}
	if (total && !sb_rdonly(inode->i_sb) && !(iocb->ki_filp->f_flags & O_NOATIME))
		inode->i_atime = file_time_now();
	return total ? total : n;
}

/* --- writing ------------------------------------------------------------------------------------------- */

/* Position and limits: 0 or -errno; from is cut to what may be written. */
static int write_checks(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = iocb->ki_filp->f_inode;
	uint64_t limit = file_size_limit(), pos;

	if (iocb->ki_flags & IOCB_APPEND)
		iocb->ki_pos = (int64_t)i_size_read(inode);
	pos = (uint64_t)iocb->ki_pos;
	if (limit != RLIM_INFINITY && pos >= limit) {
		send_signal(SIGXFSZ, current);
		return -EFBIG;
	}
	if (pos >= 1ull << (32 + PAGE_SHIFT))
		return -EFBIG;
	limit = MIN(limit, 1ull << (32 + PAGE_SHIFT));
	from->count = MIN(from->count, limit - pos);
	return 0;
}

/*
 * The page at index, locked, with contents that a write of part of it may build on; or, if the write is of all of it, perhaps
 * without any (not PG_uptodate).
 */
static int grab_for_write(struct address_space *mapping, uint64_t index, bool whole,
                          struct page **page)
{
	int err = filemap_grab_page(mapping, index, whole, page);
	bool stored =
	        mapping->a_ops->readpages && index << PAGE_SHIFT < atomic_load(&mapping->i_size);

	while (!err && !whole && stored && !page_flag(*page, PG_uptodate)) {
		bool major;

		unlock_page(*page);
		put_page(*page);
		err = filemap_get_page(mapping, index, 0, page, &major);
		if (err)
			return err;
		put_page(*page);
		err = filemap_grab_page(mapping, index, false, page);
	}
	if (!err && !whole && !page_flag(*page, PG_uptodate)) {
		clear_page(page_address(*page));
		page_set_flag(*page, PG_uptodate);
	}
	return err;
}

/*
 * The copy into a locked page. A page that was to be written whole but whose source ended early becomes zeros behind what came if
 * there is no older content; else nothing of it counts (0) and the caller tries again in part.
 */
static size_t copy_into_page(struct address_space *mapping, struct page *page, size_t offset,
                             size_t n, struct iov_iter *from)
{
	struct iov_iter old = *from;
	char *addr = page_address(page);
	size_t done = copy_from_iter_nofault(addr + offset, n, from);

	if (page_flag(page, PG_uptodate))
		return done;
	if (done < n && mapping->a_ops->readpages) {
		*from = old;
		return 0;
	}
	memset(addr + offset + done, 0, PAGE_SIZE - offset - done);
	page_set_flag(page, PG_uptodate);
	return done;
}

/* One page's part of a write: bytes or -errno. */
static int64_t write_page_part(struct kiocb *iocb, struct address_space *mapping,
                               struct iov_iter *from)
{
	uint64_t pos = (uint64_t)iocb->ki_pos;
	size_t offset = pos & ~PAGE_MASK, n = MIN(PAGE_SIZE - offset, iov_iter_count(from)), left,
	       done;
	struct page *page;
	int err;

	left = fault_in_iov_iter(from, n);
	if (unlikely(left == n))
		return -EFAULT;
	err = grab_for_write(mapping, pos >> PAGE_SHIFT, n - left == PAGE_SIZE, &page);
	if (err)
		return err;
	done = copy_into_page(mapping, page, offset, n - left, from);
	if (done) {
		set_page_dirty(page);
		if (pos + done > atomic_load_explicit(&mapping->i_size, memory_order_relaxed))
			atomic_store_explicit(&mapping->i_size, pos + done, memory_order_release);
	}
	unlock_page(page);
	put_page(page);
	return (int64_t)done;
}

int64_t generic_perform_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct address_space *mapping = iocb->ki_filp->f_inode->i_mapping;
	int64_t total = 0, n = 0;

	pagecache_isize_extended(mapping, i_size_read(iocb->ki_filp->f_inode),
	                         (uint64_t)iocb->ki_pos);
	while (iov_iter_count(from)) {
		n = write_page_part(iocb, mapping, from);
		if (n < 0 || (n == 0 && port_fatal_signal_pending()))
			break;
		iocb->ki_pos += n;
		total += n;
		if (unlikely(!(iocb->ki_pos & 0xfffff))) {
			port_cond_resched();
			if (port_fatal_signal_pending())
				break;
		}
	}
	return total ? total : n;
}

int64_t generic_file_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = iocb->ki_filp->f_inode;
	int64_t n;

	if (!iov_iter_count(from))
		return 0;
	down_write(&inode->i_rwsem);
	n = write_checks(iocb, from);
	if (!n)
		n = file_remove_privs(iocb->ki_filp);
	if (!n)
		n = generic_perform_write(iocb, from);
	if (n > 0)
		inode->i_mtime = inode->i_ctime = file_time_now();
	up_write(&inode->i_rwsem);
	return n;
}

int generic_fsync(struct file *file, uint64_t start, uint64_t end, bool datasync)
{
	struct address_space *mapping = file->f_inode->i_mapping;

	(void)datasync;
	if (!mapping)
		return -EINVAL;
	return filemap_write_and_wait_range(mapping, start >> PAGE_SHIFT, end >> PAGE_SHIFT);
}
