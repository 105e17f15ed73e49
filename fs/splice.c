/*
 * splice.c - moving data between files without the program's memory: sendfile(2), copy_file_range(2), splice(2), tee(2),
 * vmsplice(2).
 *
 * From the page cache into a pipe pages go by reference; between pipes the buffers move; everything else is one
 * copy through a page of the kernel's.
 */
#include "fs/pipe.h"

#define SPLICE_F_MOVE     1u
#define SPLICE_F_NONBLOCK 2u
#define SPLICE_F_MORE     4u
#define SPLICE_F_GIFT     8u
#define SPLICE_F_ALL      15u

/* --- one copy ------------------------------------------------------------------------------------------------------ */

/* Up to len bytes from *in to *out through a page. What could not be written is taken back from *in. Bytes or -errno. */
static int64_t copy_through_page(struct file *from, int64_t *in, struct file *to, int64_t *out,
                                 size_t len)
{
	struct page *page = alloc_page(GFP_KERNEL);
	int64_t total = 0, n = 0, done;
	struct iov_iter iter;

	if (!page)
		return -ENOMEM;
	while (len) {
		int64_t start = *in;

		iov_iter_kernel(&iter, page_address(page), MIN(len, PAGE_SIZE));
		n = vfs_read_iter(from, &iter, in, 0);
		if (n <= 0)
			break;
		done = kernel_write(to, page_address(page), (size_t)n, out);
		if (done < n) {
			*in = start + MAX(done, 0);
			total += MAX(done, 0);
			n = done;
			break;
		}
		total += n;
		len -= (size_t)n;
		if (signal_pending(current))
			break;
	}
	__free_page(page);
	return total ? total : n;
}

static int64_t get_offset(vaddr_t addr, int64_t *pos)
{
	uint64_t value;

	if (get_user_u64(&value, addr))
		return -EFAULT;
	*pos = (int64_t)value;
	return *pos < 0 ? -EINVAL : 0;
}

/* --- copy_file_range --------------------------------------------------------------------------------------------------- */

static int64_t copy_range_files(struct file *in, vaddr_t off_in, struct file *out, vaddr_t off_out,
                                size_t len)
{
	int64_t in_pos = in->f_pos, out_pos = out->f_pos, size, n = 0;

	if (S_ISDIR(in->f_inode->i_mode) || S_ISDIR(out->f_inode->i_mode))
		return -EISDIR;
	if (!S_ISREG(in->f_inode->i_mode) || !S_ISREG(out->f_inode->i_mode))
		return -EINVAL;
	if (!(in->f_mode & FMODE_READ) || !(out->f_mode & FMODE_WRITE) ||
	    atomic_load(&out->f_flags) & O_APPEND)
		return -EBADF;
	if (off_in)
		n = get_offset(off_in, &in_pos);
	if (!n && off_out)
		n = get_offset(off_out, &out_pos);
	if (n)
		return n;
	len = MIN(len, (size_t)MAX_RW_COUNT);
	size = (int64_t)i_size_read(in->f_inode);
	len = MIN(len, (size_t)MAX(size - in_pos, 0));
	if ((int64_t)len > INT64_MAX - out_pos)
		return -EFBIG;
	if (in->f_inode == out->f_inode && in_pos < out_pos + (int64_t)len &&
	    out_pos < in_pos + (int64_t)len)
		return -EINVAL;
	n = copy_through_page(in, &in_pos, out, &out_pos, len);
	if (!off_in)
		in->f_pos = in_pos;
	if (!off_out)
		out->f_pos = out_pos;
	if ((off_in && put_user_u64(off_in, (uint64_t)in_pos)) ||
	    (off_out && put_user_u64(off_out, (uint64_t)out_pos)))
		return -EFAULT;
	return n;
}

SYSCALL6(copy_file_range, int, in_fd, vaddr_t, off_in, int, out_fd, vaddr_t, off_out, size_t, len,
         uint32_t, flags)
{
	struct fd in, out;
	int64_t n = -EBADF;

	if (flags)
		return -EINVAL;
	in = fdget(in_fd);
	out = fdget(out_fd);
	if (in.file && out.file)
		n = copy_range_files(in.file, off_in, out.file, off_out, len);
	if (in.file)
		fdput(in);
	if (out.file)
		fdput(out);
	return n;
}

/* --- splice --------------------------------------------------------------------------------------------------------------- */

static bool would_block(struct file *file, unsigned flags)
{
	return flags & SPLICE_F_NONBLOCK || atomic_load(&file->f_flags) & O_NONBLOCK;
}

/* The cache's page at *pos goes into the pipe, which has room. Bytes, 0 at the end of the file, -errno. */
static int64_t splice_page(struct file *in, int64_t *pos, struct pipe_inode_info *pipe, size_t len)
{
	uint64_t size = i_size_read(in->f_inode);
	size_t offset = (size_t)*pos & ~PAGE_MASK, n;
	bool was_empty = pipe_empty(pipe), major;
	struct page *page;
	int err;

	if ((uint64_t)*pos >= size)
		return 0;
	n = MIN(MIN(PAGE_SIZE - offset, len), (size_t)(size - (uint64_t)*pos));
	err = filemap_get_page(in->f_inode->i_mapping, (uint64_t)*pos >> PAGE_SHIFT, 16, &page,
	                       &major);
	if (err)
		return err;
	*pipe_buf(pipe, pipe->head) =
	        (struct pipe_buffer){page, (uint32_t)offset, (uint32_t)n, false, false};
	pipe->head++;
	*pos += (int64_t)n;
	pipe_wake_readers(pipe, was_empty);
	return (int64_t)n;
}

/* Other files: one read into a fresh page. */
static int64_t splice_read_page(struct file *in, int64_t *pos, struct pipe_inode_info *pipe,
                                size_t len)
{
	struct page *page = alloc_page(GFP_USER);
	bool was_empty = pipe_empty(pipe);
	struct iov_iter to;
	int64_t n;

	if (!page)
		return -ENOMEM;
	iov_iter_kernel(&to, page_address(page), MIN(len, PAGE_SIZE));
	n = vfs_read_iter(in, &to, pos, 0);
	if (n <= 0) {
		__free_page(page);
		return n;
	}
	*pipe_buf(pipe, pipe->head) = (struct pipe_buffer){page, 0, (uint32_t)n, true, false};
	pipe->head++;
	pipe_wake_readers(pipe, was_empty);
	return n;
}

/* Room in a pipe that is locked: 0, -EAGAIN, -EPIPE, -ERESTARTSYS. */
static int pipe_room(struct pipe_inode_info *pipe, bool nonblock)
{
	while (pipe->readers && pipe_full(pipe)) {
		int err = nonblock ? -EAGAIN : pipe_wait_writable(pipe);

		if (err)
			return err;
	}
	return pipe->readers ? 0 : broken_pipe();
}

/* Data in a pipe that is locked: 1, 0 (no writers are left), -errno. */
static int pipe_data(struct pipe_inode_info *pipe, bool nonblock)
{
	while (pipe_empty(pipe)) {
		int err;

		if (!pipe->writers)
			return 0;
		err = nonblock ? -EAGAIN : pipe_wait_readable(pipe);
		if (err)
			return err;
	}
	return 1;
}

static int64_t splice_to_pipe(struct file *in, int64_t *pos, struct file *out, size_t len,
                              unsigned flags)
{
	struct pipe_inode_info *pipe = get_pipe_info(out);
	bool cached = S_ISREG(in->f_inode->i_mode) && in->f_inode->i_mapping;
	int64_t total = 0, n = 0;

	mutex_lock(&pipe->mutex);
	n = pipe_room(pipe, would_block(out, flags));
	while (!n && len && !pipe_full(pipe)) {
		n = cached ? splice_page(in, pos, pipe, len) : splice_read_page(in, pos, pipe, len);
		if (n <= 0)
			break;
		total += n;
		len -= (size_t)n;
		n = 0;
		if (!cached) /* it might sleep next time, with data at hand */
			break;
	}
	mutex_unlock(&pipe->mutex);
	return total ? total : n;
}

/* --- sendfile -------------------------------------------------------------------------------------------------------- */

/* All of count, as pages by reference: what a pipe holds at a time, until the file ends. */
static int64_t send_to_pipe(struct file *in, int64_t *pos, struct file *out, size_t count)
{
	int64_t total = 0, n = 0;

	while (count) {
		n = splice_to_pipe(in, pos, out, count, 0);
		if (n <= 0)
			break;
		total += n;
		count -= (size_t)n;
	}
	return total ? total : n;
}

static int64_t sendfile_files(struct file *out, struct file *in, vaddr_t offset, size_t count)
{
	int64_t in_pos = in->f_pos, out_pos = out->f_pos, n;

	if (!(in->f_mode & FMODE_READ) || !(out->f_mode & FMODE_WRITE))
		return -EBADF;
	if (atomic_load(&out->f_flags) & O_APPEND)
		return -EINVAL;
	if (offset) {
		if (!(in->f_mode & FMODE_LSEEK))
			return -ESPIPE;
		n = get_offset(offset, &in_pos);
		if (n)
			return n;
	}
	if (!in->f_op->read_iter || !out->f_op->write_iter)
		return -EINVAL;
	count = MIN(count, (size_t)MAX_RW_COUNT);
	if (get_pipe_info(out) && in->f_inode->i_mapping)
		n = send_to_pipe(in, &in_pos, out, count);
	else
		n = copy_through_page(in, &in_pos, out, &out_pos, count);
	if (out->f_mode & FMODE_LSEEK)
		out->f_pos = out_pos;
	if (!offset && in->f_mode & FMODE_LSEEK)
		in->f_pos = in_pos;
	if (offset && put_user_u64(offset, (uint64_t)in_pos))
		return -EFAULT;
	return n;
}

SYSCALL4(sendfile, int, out_fd, int, in_fd, vaddr_t, offset, size_t, count)
{
	struct fd out = fdget(out_fd), in = fdget(in_fd);
	int64_t n = -EBADF;

	if (out.file && in.file)
		n = sendfile_files(out.file, in.file, offset, count);
	if (in.file)
		fdput(in);
	if (out.file)
		fdput(out);
	return n;
}

/* --- splice from a pipe, and between pipes ------------------------------------------------------------------------- */

static int64_t splice_from_pipe(struct file *in, struct file *out, int64_t *pos, size_t len,
                                unsigned flags)
{
	struct pipe_inode_info *pipe = get_pipe_info(in);
	int64_t total = 0, n;

	mutex_lock(&pipe->mutex);
	n = pipe_data(pipe, would_block(in, flags));
	while (n > 0 && len && !pipe_empty(pipe)) {
		struct pipe_buffer *buf = pipe_buf(pipe, pipe->tail);
		bool was_full = pipe_full(pipe);

		n = kernel_write(out, (char *)page_address(buf->page) + buf->offset,
		                 MIN(len, (size_t)buf->len), pos);
		if (n <= 0)
			break;
		buf->offset += (uint32_t)n;
		buf->len -= (uint32_t)n;
		total += n;
		len -= (size_t)n;
		if (!buf->len)
			pipe_release_tail(pipe);
		pipe_wake_writers(pipe, was_full);
	}
	mutex_unlock(&pipe->mutex);
	return total ? total : n;
}

static void lock_pipes(struct pipe_inode_info *a, struct pipe_inode_info *b)
{
	mutex_lock(a < b ? &a->mutex : &b->mutex);
	mutex_lock(a < b ? &b->mutex : &a->mutex);
}

/* Buffers from the head of `in` to `out`, both locked; tee: they stay in `in` too. Bytes. */
static int64_t move_buffers(struct pipe_inode_info *in, struct pipe_inode_info *out, size_t len,
                            bool tee)
{
	bool in_full = pipe_full(in), out_empty = pipe_empty(out);
	unsigned slot = in->tail;
	int64_t total = 0;

	for (; len && slot != in->head && !pipe_full(out); slot++) {
		struct pipe_buffer *buf = pipe_buf(in, slot), copy = *buf;
		bool part = buf->len > len;

		copy.len = (uint32_t)MIN(len, (size_t)buf->len);
		copy.merge = false;
		if (tee || part)
			get_page(buf->page);
		*pipe_buf(out, out->head) = copy;
		out->head++;
		total += copy.len;
		len -= copy.len;
		if (tee) {
			buf->merge = false; /* two pipes show this page now */
			continue;
		}
		if (part) {
			buf->merge = false;
			buf->offset += copy.len;
			buf->len -= copy.len;
			break;
		}
		buf->page = NULL;
		in->tail++;
	}
	if (!tee)
		pipe_wake_writers(in, in_full);
	pipe_wake_readers(out, out_empty);
	return total;
}

/* Wait for data here, for room there, each alone; then move under both locks. */
static int64_t pipe_to_pipe(struct file *in_file, struct file *out_file, size_t len, unsigned flags,
                            bool tee)
{
	struct pipe_inode_info *in = get_pipe_info(in_file), *out = get_pipe_info(out_file);
	int64_t n = 0;

	if (in == out)
		return -EINVAL;
	while (!n) {
		mutex_lock(&in->mutex);
		n = pipe_data(in, would_block(in_file, flags));
		mutex_unlock(&in->mutex);
		if (n <= 0)
			return n;
		mutex_lock(&out->mutex);
		n = pipe_room(out, would_block(out_file, flags));
		mutex_unlock(&out->mutex);
		if (n)
			return n;
		lock_pipes(in, out);
		n = move_buffers(in, out, len, tee);
		mutex_unlock(&in->mutex);
		mutex_unlock(&out->mutex);
	}
	return n;
}

static int64_t splice_dispatch(struct file *in, int64_t *in_pos, struct file *out, int64_t *out_pos,
                               size_t len, unsigned flags)
{
	bool from_pipe = get_pipe_info(in), to_pipe = get_pipe_info(out);

	if (from_pipe && to_pipe)
		return pipe_to_pipe(in, out, len, flags, false);
	if (from_pipe)
		return atomic_load(&out->f_flags) & O_APPEND || !out->f_op->write_iter
		               ? -EINVAL
		               : splice_from_pipe(in, out, out_pos, len, flags);
	if (to_pipe)
		return in->f_op->read_iter ? splice_to_pipe(in, in_pos, out, len, flags) : -EINVAL;
	return -EINVAL;
}

/* An offset is for a file that has a position, and not for a pipe. */
static int64_t splice_offset(struct file *file, vaddr_t addr, int64_t *pos)
{
	*pos = file->f_mode & FMODE_LSEEK ? file->f_pos : 0;
	if (!addr)
		return 0;
	if (!(file->f_mode & FMODE_LSEEK))
		return -ESPIPE;
	return get_offset(addr, pos);
}

static int64_t end_offset(struct file *file, vaddr_t addr, int64_t pos)
{
	if (addr)
		return put_user_u64(addr, (uint64_t)pos);
	if (file->f_mode & FMODE_LSEEK)
		file->f_pos = pos;
	return 0;
}

static int64_t splice_files(struct file *in, vaddr_t off_in, struct file *out, vaddr_t off_out,
                            size_t len, unsigned flags)
{
	int64_t in_pos, out_pos, n;

	if (!(in->f_mode & FMODE_READ) || !(out->f_mode & FMODE_WRITE))
		return -EBADF;
	n = splice_offset(in, off_in, &in_pos);
	if (!n)
		n = splice_offset(out, off_out, &out_pos);
	if (!n)
		n = splice_dispatch(in, &in_pos, out, &out_pos, MIN(len, (size_t)MAX_RW_COUNT),
		                    flags);
	if (n > 0 && (end_offset(in, off_in, in_pos) || end_offset(out, off_out, out_pos)))
		return -EFAULT;
	return n;
}

SYSCALL6(splice, int, in_fd, vaddr_t, off_in, int, out_fd, vaddr_t, off_out, size_t, len, uint32_t,
         flags)
{
	struct fd in, out;
	int64_t n = -EBADF;

	if (flags & ~SPLICE_F_ALL)
		return -EINVAL;
	if (!len)
		return 0;
	in = fdget(in_fd);
	out = fdget(out_fd);
	if (in.file && out.file)
		n = splice_files(in.file, off_in, out.file, off_out, len, flags);
	if (in.file)
		fdput(in);
	if (out.file)
		fdput(out);
	return n;
}

SYSCALL4(tee, int, in_fd, int, out_fd, size_t, len, uint32_t, flags)
{
	struct fd in, out;
	int64_t n = -EBADF;

	if (flags & ~SPLICE_F_ALL)
		return -EINVAL;
	if (!len)
		return 0;
	in = fdget(in_fd);
	out = fdget(out_fd);
	if (in.file && out.file && in.file->f_mode & FMODE_READ && out.file->f_mode & FMODE_WRITE)
		n = get_pipe_info(in.file) && get_pipe_info(out.file)
		            ? pipe_to_pipe(in.file, out.file, len, flags, true)
		            : -EINVAL;
	if (in.file)
		fdput(in);
	if (out.file)
		fdput(out);
	return n;
}

/* The program's pages are copied, not lent: it may go on to write them. */
SYSCALL4(vmsplice, int, fd, vaddr_t, vec, size_t, vlen, uint32_t, flags)
{
	struct iovec fast[IOV_FAST], *iov = fast;
	struct iov_iter i;
	struct fd f;
	int64_t n, pos = 0;

	if (flags & ~SPLICE_F_ALL)
		return -EINVAL;
	f = fdget(fd);
	if (!f.file)
		return -EBADF;
	n = get_pipe_info(f.file)
	            ? import_iovec(vec, (unsigned)MIN(vlen, UIO_MAXIOV + 1), fast, &iov, &i)
	            : -EBADF;
	if (n > 0) {
		unsigned nowait = flags & SPLICE_F_NONBLOCK ? IOCB_NOWAIT : 0;

		n = f.file->f_mode & FMODE_WRITE ? vfs_write_iter(f.file, &i, &pos, nowait)
		                                 : vfs_read_iter(f.file, &i, &pos, nowait);
	}
	import_end(iov, fast);
	fdput(f);
	return n;
}
