/*
 * pipe.c - pipes and FIFOs, pipe(7). The ring and its rules are drawn in pipe.h.
 *
 * A write of at most PIPE_BUF bytes needs one place or the rest of the last page, so it is never mixed with another. Large
 * writes go a page a step and wake the reader once for a ring full.
 */
#include "fs/pipe.h"
#include <quire/slab.h>

#define PIPE_DEF_BUFFERS 16u
#define PIPE_MAX_BUFFERS 65536u

/* --- life ----------------------------------------------------------------------------------------------- */

static struct pipe_inode_info *alloc_pipe_info(void)
{
	struct pipe_inode_info *pipe = kzalloc(sizeof(*pipe), GFP_KERNEL);

	if (!pipe)
		return NULL;
	pipe->bufs = kcalloc(PIPE_DEF_BUFFERS, sizeof(*pipe->bufs), GFP_KERNEL | __GFP_ZERO);
	if (!pipe->bufs) {
		kfree(pipe);
		return NULL;
	}
	pipe->ring_size = PIPE_DEF_BUFFERS;
	mutex_init(&pipe->mutex);
	wait_queue_init(&pipe->rd_wait);
	wait_queue_init(&pipe->wr_wait);
	return pipe;
}

static void free_pipe_info(struct pipe_inode_info *pipe)
{
	for (; !pipe_empty(pipe); pipe->tail++)
		put_page(pipe_buf(pipe, pipe->tail)->page);
	for (unsigned i = 0; i < ARRAY_SIZE(pipe->tmp_page); i++)
		if (pipe->tmp_page[i])
			put_page(pipe->tmp_page[i]);
	kfree(pipe->bufs);
	kfree(pipe);
}

struct pipe_inode_info *get_pipe_info(struct file *file)
{
	return file->f_op == &pipe_fops ? file->private_data : NULL;
}

static struct page *pipe_get_page(struct pipe_inode_info *pipe)
{
	for (unsigned i = 0; i < ARRAY_SIZE(pipe->tmp_page); i++) {
		struct page *page = pipe->tmp_page[i];

		if (page) {
			pipe->tmp_page[i] = NULL;
			return page;
		}
	}
	return alloc_page(GFP_USER);
}

static void pipe_put_page(struct pipe_inode_info *pipe, struct page *page)
{
	for (unsigned i = 0; i < ARRAY_SIZE(pipe->tmp_page); i++) {
		if (!pipe->tmp_page[i]) {
			pipe->tmp_page[i] = page;
			return;
		}
	}
	put_page(page);
}

void pipe_release_tail(struct pipe_inode_info *pipe)
{
	struct pipe_buffer *buf = pipe_buf(pipe, pipe->tail);

	if (buf->merge && page_count(buf->page) == 1)
		pipe_put_page(pipe, buf->page);
	else
		put_page(buf->page);
	buf->page = NULL;
	pipe->tail++;
}

/* --- waiting ---------------------------------------------------------------------------------------------- */

#define pipe_wait(pipe, q, cond)                                            \
	({                                                                  \
		struct waiter w_;                                           \
		int err_ = 0;                                               \
		wait_begin_exclusive((q), &w_);                             \
		while (!(cond)) {                                           \
			if (signal_pending(current)) {                      \
				err_ = -ERESTARTSYS;                        \
				break;                                      \
			}                                                   \
			mutex_unlock(&(pipe)->mutex);                       \
			block_interruptible();                              \
			mutex_lock(&(pipe)->mutex);                         \
			if (!(cond)) { /* woken for nothing: queue again */ \
				wait_end((q), &w_);                         \
				wait_begin_exclusive((q), &w_);             \
			}                                                   \
		}                                                           \
		wait_end((q), &w_);                                         \
		err_;                                                       \
	})

/* One that leaves for a signal passes on the wake-up that may have been its. */
int pipe_wait_readable(struct pipe_inode_info *pipe)
{
	int err = pipe_wait(pipe, &pipe->rd_wait, !pipe_empty(pipe) || !pipe->writers);

	if (err)
		wake_up(&pipe->rd_wait);
	return err;
}

int pipe_wait_writable(struct pipe_inode_info *pipe)
{
	int err = pipe_wait(pipe, &pipe->wr_wait, !pipe_full(pipe) || !pipe->readers);

	if (err)
		wake_up(&pipe->wr_wait);
	return err;
}

void pipe_wake_readers(struct pipe_inode_info *pipe, bool was_empty)
{
	if ((was_empty || pipe->poll_usage) && !pipe_empty(pipe) &&
	    wait_queue_active(&pipe->rd_wait))
		wake_up(&pipe->rd_wait);
}

void pipe_wake_writers(struct pipe_inode_info *pipe, bool was_full)
{
	if ((was_full || pipe->poll_usage) && !pipe_full(pipe) && wait_queue_active(&pipe->wr_wait))
		wake_up(&pipe->wr_wait);
}

/* --- reading ---------------------------------------------------------------------------------------------- */

/* Take what is there. Bytes, or -EFAULT if nothing could be copied. */
static int64_t pipe_take(struct pipe_inode_info *pipe, struct iov_iter *to)
{
	int64_t total = 0;

	while (iov_iter_count(to) && !pipe_empty(pipe)) {
		struct pipe_buffer *buf = pipe_buf(pipe, pipe->tail);
		size_t n = MIN(iov_iter_count(to), (size_t)buf->len), done;
		bool packet = buf->packet;

		done = copy_to_iter((char *)page_address(buf->page) + buf->offset, n, to);
		buf->offset += (uint32_t)done;
		buf->len -= (uint32_t)done;
		total += (int64_t)done;
		if (done < n)
			return total ? total : -EFAULT;
		if (!buf->len || packet)
			pipe_release_tail(pipe);
		if (packet)
			break;
	}
	return total;
}

static int64_t pipe_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct pipe_inode_info *pipe = iocb->ki_filp->private_data;
	int64_t n = 0;
	bool was_full;

	if (!iov_iter_count(to))
		return 0;
	mutex_lock(&pipe->mutex);
	while (pipe_empty(pipe)) {
		if (!pipe->writers)
			goto out;
		n = iocb->ki_flags & IOCB_NOWAIT ? -EAGAIN : pipe_wait_readable(pipe);
		if (n)
			goto out;
	}
	was_full = pipe_full(pipe);
	n = pipe_take(pipe, to);
	pipe_wake_writers(pipe, was_full);
	if (!pipe_empty(pipe))
		pipe_wake_readers(pipe, true);
out:
	mutex_unlock(&pipe->mutex);
	return n;
}

/* --- writing ---------------------------------------------------------------------------------------------- */

/* The odd bytes of a write may go on in the last page. Bytes, or -EFAULT. */
static int64_t pipe_merge(struct pipe_inode_info *pipe, struct iov_iter *from)
{
	size_t odd = iov_iter_count(from) & (PAGE_SIZE - 1), done;
	struct pipe_buffer *buf;

	if (!odd || pipe_empty(pipe))
		return 0;
	buf = pipe_buf(pipe, pipe->head - 1);
	if (!buf->merge || buf->packet || buf->offset + buf->len + odd > PAGE_SIZE)
		return 0;
	done = copy_from_iter((char *)page_address(buf->page) + buf->offset + buf->len, odd, from);
	if (done < odd)
		return -EFAULT;
	buf->len += (uint32_t)done;
	return (int64_t)done;
}

/* One more page; there is room. Bytes or -errno. */
static int64_t pipe_add_page(struct pipe_inode_info *pipe, struct iov_iter *from, bool packet)
{
	size_t n = MIN(iov_iter_count(from), PAGE_SIZE), done;
	struct page *page = pipe_get_page(pipe);

	if (!page)
		return -ENOMEM;
	done = copy_from_iter(page_address(page), n, from);
	if (done < n && (!done || n <= PIPE_BUF)) {
		pipe_put_page(pipe, page);
		return -EFAULT;
	}
	*pipe_buf(pipe, pipe->head) = (struct pipe_buffer){page, 0, (uint32_t)done, true, packet};
	pipe->head++;
	return (int64_t)done;
}

/* As much as goes without sleeping. Bytes, or -errno if none. */
static int64_t pipe_fill(struct pipe_inode_info *pipe, struct iov_iter *from, bool packet)
{
	bool was_empty = pipe_empty(pipe);
	int64_t total = packet ? 0 : pipe_merge(pipe, from), n = 0;

	if (total < 0)
		return total;
	while (iov_iter_count(from) && !pipe_full(pipe)) {
		n = pipe_add_page(pipe, from, packet);
		if (n < 0)
			break;
		total += n;
	}
	if (total)
		pipe_wake_readers(pipe, was_empty);
	return total ? total : n;
}

static int64_t pipe_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct pipe_inode_info *pipe = iocb->ki_filp->private_data;
	bool packet = atomic_load(&iocb->ki_filp->f_flags) & O_DIRECT;
	int64_t total = 0, n = 0;

	if (!iov_iter_count(from))
		return 0;
	mutex_lock(&pipe->mutex);
	while (iov_iter_count(from)) {
		if (!pipe->readers) {
			n = broken_pipe();
			break;
		}
		n = pipe_fill(pipe, from, packet);
		if (n < 0)
			break;
		total += n;
		if (!iov_iter_count(from))
			break;
		n = iocb->ki_flags & IOCB_NOWAIT ? -EAGAIN : pipe_wait_writable(pipe);
		if (n)
			break;
	}
	if (!pipe_full(pipe))
		pipe_wake_writers(pipe, true); /* the next of several writers */
	mutex_unlock(&pipe->mutex);
	return total ? total : n;
}

/* --- the rest ----------------------------------------------------------------------------------------------- */

static unsigned pipe_poll(struct file *file, struct poll_table *pt)
{
	struct pipe_inode_info *pipe = file->private_data;
	unsigned mask = 0;

	WRITE_ONCE(pipe->poll_usage, true);
	if (file->f_mode & FMODE_READ)
		poll_wait(file, &pipe->rd_wait, pt);
	if (file->f_mode & FMODE_WRITE)
		poll_wait(file, &pipe->wr_wait, pt);
	mutex_lock(&pipe->mutex);
	if (file->f_mode & FMODE_READ) {
		if (!pipe_empty(pipe))
			mask |= POLLIN | POLLRDNORM;
		if (!pipe->writers && pipe->w_counter)
			mask |= POLLHUP;
	}
	if (file->f_mode & FMODE_WRITE) {
		if (!pipe_full(pipe))
			mask |= POLLOUT | POLLWRNORM;
		if (!pipe->readers)
			mask |= POLLERR;
	}
	mutex_unlock(&pipe->mutex);
	return mask;
}

static int64_t pipe_ioctl(struct file *file, unsigned cmd, uint64_t arg)
{
	struct pipe_inode_info *pipe = file->private_data;
	uint32_t bytes = 0;

	if (cmd != FIONREAD)
		return -ENOTTY;
	mutex_lock(&pipe->mutex);
	for (unsigned i = pipe->tail; i != pipe->head; i++)
		bytes += pipe_buf(pipe, i)->len;
	mutex_unlock(&pipe->mutex);
	return put_user_u32(arg, bytes);
}

static int64_t pipe_resize_locked(struct pipe_inode_info *pipe, unsigned slots)
{
	struct pipe_buffer *bufs;
	unsigned n = pipe_occupancy(pipe);

	if (n > slots)
		return -EBUSY;
	bufs = kcalloc(slots, sizeof(*bufs), GFP_KERNEL | __GFP_ZERO);
	if (!bufs)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		bufs[i] = *pipe_buf(pipe, pipe->tail + i);
	kfree(pipe->bufs);
	pipe->bufs = bufs;
	pipe->ring_size = slots;
	pipe->tail = 0;
	pipe->head = n;
	pipe_wake_writers(pipe, true);
	return (int64_t)(slots * PAGE_SIZE);
}

int64_t pipe_fcntl(struct file *file, unsigned cmd, uint64_t arg)
{
	struct pipe_inode_info *pipe = get_pipe_info(file);
	uint64_t slots = 1;
	int64_t n;

	if (!pipe)
		return -EBADF;
	if (cmd == F_GETPIPE_SZ)
		return (int64_t)(READ_ONCE(pipe->ring_size) * PAGE_SIZE);
	while (slots * PAGE_SIZE < (uint32_t)arg)
		slots *= 2;
	if (slots > PIPE_MAX_BUFFERS)
		return -EINVAL;
	mutex_lock(&pipe->mutex);
	n = pipe_resize_locked(pipe, (unsigned)slots);
	mutex_unlock(&pipe->mutex);
	return n;
}

/* The last open file of a pipe or FIFO frees it; i_rwsem orders that with opens. */
static void put_pipe(struct inode *inode, struct pipe_inode_info *pipe)
{
	bool last;

	down_write(&inode->i_rwsem);
	last = --pipe->files == 0;
	if (last)
		inode->i_private = NULL;
	up_write(&inode->i_rwsem);
	if (last)
		free_pipe_info(pipe);
}

static void drop_ends(struct file *file, struct pipe_inode_info *pipe)
{
	if (file->f_mode & FMODE_READ)
		pipe->readers--;
	if (file->f_mode & FMODE_WRITE)
		pipe->writers--;
	if (!pipe->readers != !pipe->writers || !pipe->readers) {
		wake_up_all(&pipe->rd_wait);
		wake_up_all(&pipe->wr_wait);
	}
}

static void pipe_release(struct inode *inode, struct file *file)
{
	struct pipe_inode_info *pipe = file->private_data;

	mutex_lock(&pipe->mutex);
	drop_ends(file, pipe);
	mutex_unlock(&pipe->mutex);
	put_pipe(inode, pipe);
}

/* Wait for the other side of a FIFO: an open of it counts even if it has been closed since. */
static int wait_for_partner(struct pipe_inode_info *pipe, unsigned *counter)
{
	unsigned seen = *counter;

	return wait_event_mutex(&pipe->rd_wait, &pipe->mutex, *counter != seen);
}

/* A pipe without a name, opened again through /proc/PID/fd, waits for nobody: who left may never come back. */
static int fifo_open_locked(struct file *file, struct pipe_inode_info *pipe, bool named)
{
	bool nonblock = atomic_load(&file->f_flags) & O_NONBLOCK;
	unsigned mode = file->f_mode & (FMODE_READ | FMODE_WRITE);

	if (named && mode == FMODE_WRITE && nonblock && !pipe->readers)
		return -ENXIO;
	if (mode & FMODE_READ) {
		pipe->readers++;
		pipe->r_counter++;
	}
	if (mode & FMODE_WRITE) {
		pipe->writers++;
		pipe->w_counter++;
	}
	wake_up_all(&pipe->rd_wait);
	wake_up_all(&pipe->wr_wait);
	if (!named)
		return 0;
	if (mode == FMODE_READ && !pipe->writers && !nonblock)
		return wait_for_partner(pipe, &pipe->w_counter);
	if (mode == FMODE_WRITE && !pipe->readers)
		return wait_for_partner(pipe, &pipe->r_counter);
	return 0;
}

static struct pipe_inode_info *get_fifo(struct inode *inode)
{
	struct pipe_inode_info *pipe;

	down_write(&inode->i_rwsem);
	if (!inode->i_private)
		inode->i_private = alloc_pipe_info();
	pipe = inode->i_private;
	if (pipe)
		pipe->files++;
	up_write(&inode->i_rwsem);
	return pipe;
}

static int fifo_open(struct inode *inode, struct file *file)
{
	struct pipe_inode_info *pipe = get_fifo(inode);
	int err;

	if (!pipe)
		return -ENOMEM;
	file->f_op = &pipe_fops;
	file->private_data = pipe;
	mutex_lock(&pipe->mutex);
	err = fifo_open_locked(file, pipe, inode->i_fop == &fifo_fops);
	if (err && err != -ENXIO)
		drop_ends(file, pipe);
	mutex_unlock(&pipe->mutex);
	if (err)
		put_pipe(inode, pipe);
	return err;
}

const struct file_operations fifo_fops = {.open = fifo_open};
const struct file_operations pipe_fops = {
        .open = fifo_open,
        .release = pipe_release,
        .read_iter = pipe_read,
        .write_iter = pipe_write,
        .llseek = no_llseek,
        .poll = pipe_poll,
        .ioctl = pipe_ioctl,
};

/* --- pipe(2) -------------------------------------------------------------------------------------------------- */

int create_pipe(struct file *files[2], uint32_t flags)
{
	struct pipe_inode_info *pipe = alloc_pipe_info();

	if (!pipe)
		return -ENOMEM;
	files[0] = alloc_file_pseudo("pipe", S_IFIFO | 0600, O_RDONLY | (flags & O_NONBLOCK),
	                             &pipe_fops, pipe);
	if (IS_ERR(files[0])) {
		free_pipe_info(pipe);
		return (int)PTR_ERR(files[0]);
	}
	pipe->files = pipe->readers = pipe->r_counter = 1;
	files[0]->f_inode->i_private = pipe;
	files[1] = dentry_open(files[0]->f_dentry, O_RDWR | (flags & (O_NONBLOCK | O_DIRECT)));
	if (IS_ERR(files[1])) {
		fput(files[0]);
		return (int)PTR_ERR(files[1]);
	}
	/* Opened for both, so as not to wait; now it is the writing end. */
	mutex_lock(&pipe->mutex);
	pipe->readers--;
	files[1]->f_mode &= ~FMODE_READ;
	atomic_fetch_xor(&files[1]->f_flags, O_RDWR ^ O_WRONLY);
	mutex_unlock(&pipe->mutex);
	return 0;
}

static int64_t do_pipe2(vaddr_t fds, uint32_t flags)
{
	struct file *files[2];
	int fd[2], err;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	err = create_pipe(files, flags);
	if (err)
		return err;
	err = fd[0] = get_unused_fd_flags(flags);
	if (err < 0)
		goto fail_files;
	err = fd[1] = get_unused_fd_flags(flags);
	if (err < 0)
		goto fail_fd0;
	err = copy_to_user(fds, fd, sizeof(fd));
	if (err)
		goto fail_fd1;
	fd_install((unsigned)fd[0], files[0]);
	fd_install((unsigned)fd[1], files[1]);
	return 0;
fail_fd1:
	put_unused_fd((unsigned)fd[1]);
fail_fd0:
	put_unused_fd((unsigned)fd[0]);
fail_files:
	fput(files[0]);
	fput(files[1]);
	return err;
}

SYSCALL1(pipe, vaddr_t, fds)
{
	return do_pipe2(fds, 0);
}

SYSCALL2(pipe2, vaddr_t, fds, uint32_t, flags)
{
	return do_pipe2(fds, flags);
}
