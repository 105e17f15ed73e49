/*
 * read_write.c - reading and writing any file, for the kernel and for the system calls.
 */
#include "fs/internal.h"

static unsigned iocb_flags_of(struct file *file)
{
	uint32_t f = atomic_load_explicit(&file->f_flags, memory_order_relaxed);

	if (likely(!(f & (O_NONBLOCK | O_APPEND | O_DSYNC))))
		return 0;
	return (f & O_NONBLOCK ? IOCB_NOWAIT : 0) | (f & O_APPEND ? IOCB_APPEND : 0) |
	       (f & O_DSYNC ? IOCB_DSYNC : 0);
}

/* No byte may lie past the last position that an offset can name; more than MAX_RW_COUNT is cut. 0 or -EINVAL. */
static inline int check_area(struct iov_iter *i, int64_t pos)
{
	if (unlikely(pos < 0 || i->count > (uint64_t)(INT64_MAX - pos)))
		return -EINVAL;
	if (unlikely(i->count > MAX_RW_COUNT))
		i->count = MAX_RW_COUNT;
	return 0;
}

int64_t vfs_read_iter(struct file *file, struct iov_iter *to, int64_t *pos, unsigned iocb_flags)
{
	struct kiocb iocb = {file, *pos, iocb_flags | iocb_flags_of(file)};
	int64_t n;

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (!file->f_op->read_iter)
		return S_ISDIR(file->f_inode->i_mode) ? -EISDIR : -EINVAL;
	n = check_area(to, *pos);
	if (unlikely(n))
		return n;
	n = file->f_op->read_iter(&iocb, to);
	*pos = iocb.ki_pos;
	return n;
}

int64_t vfs_write_iter(struct file *file, struct iov_iter *from, int64_t *pos, unsigned iocb_flags)
{
	struct kiocb iocb = {file, *pos, iocb_flags | iocb_flags_of(file)};
	int64_t n;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (!file->f_op->write_iter)
		return -EINVAL;
	n = check_area(from, *pos);
	if (unlikely(n))
		return n;
	n = file->f_op->write_iter(&iocb, from);
	*pos = iocb.ki_pos;
	if (n > 0 && iocb.ki_flags & IOCB_DSYNC && file->f_op->fsync) {
		int err = file->f_op->fsync(file, (uint64_t)(*pos - n), (uint64_t)*pos, true);

		if (err)
			return err;
	}
	return n;
}

int64_t kernel_read(struct file *file, void *buf, size_t n, int64_t *pos)
{
	struct iov_iter to;
	int64_t done = 0;

	iov_iter_kernel(&to, buf, n);
	while (iov_iter_count(&to)) {
		int64_t part = vfs_read_iter(file, &to, pos, 0);

		if (part <= 0)
			return done ? done : part;
		done += part;
	}
	return done;
}

int64_t kernel_write(struct file *file, const void *buf, size_t n, int64_t *pos)
{
	struct iov_iter from;
	int64_t done = 0;

	iov_iter_kernel(&from, (void *)buf, n);
	while (iov_iter_count(&from)) {
		int64_t part = vfs_write_iter(file, &from, pos, 0);

		if (part <= 0)
			return done ? done : part;
		done += part;
	}
	return done;
}
