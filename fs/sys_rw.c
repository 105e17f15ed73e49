/*
 * sys_rw.c - read(2), write(2) and their families, lseek(2).
 */
#include "fs/internal.h"
#include <quire/slab.h>

#define RWF_HIPRI  1u
#define RWF_DSYNC  2u
#define RWF_SYNC   4u
#define RWF_NOWAIT 8u
#define RWF_APPEND 16u

/* The position of a shared open file is used by one call at a time. */
static inline bool lock_pos(struct file *file)
{
	if (!(file->f_mode & FMODE_ATOMIC_POS) || refcount_read(&file->vm.count) == 1)
		return false;
	mutex_lock(&file->f_pos_lock);
	return true;
}

static inline int64_t rw_at_pos(struct file *file, struct iov_iter *i, bool write, unsigned flags)
{
	bool locked = lock_pos(file);
	int64_t pos = file->f_mode & FMODE_LSEEK ? file->f_pos : 0, n;

	n = write ? vfs_write_iter(file, i, &pos, flags) : vfs_read_iter(file, i, &pos, flags);
	if (file->f_mode & FMODE_LSEEK)
		file->f_pos = pos;
	if (locked)
		mutex_unlock(&file->f_pos_lock);
	return n;
}

static int64_t rw_one(int fd, vaddr_t buf, size_t count, bool write)
{
	struct fd f = fdget(fd);
	struct iov_iter i;
	int64_t n;

	if (unlikely(!f.file))
		return -EBADF;
	iov_iter_user(&i, buf, count);
	if (likely(access_ok(buf, count)))
		n = rw_at_pos(f.file, &i, write, 0);
	else
		n = f.file->f_mode & (write ? FMODE_WRITE : FMODE_READ) ? -EFAULT : -EBADF;
	fdput(f);
	return n;
}

SYSCALL3(read, int, fd, vaddr_t, buf, size_t, count)
{
	return rw_one(fd, buf, count, false);
}

SYSCALL3(write, int, fd, vaddr_t, buf, size_t, count)
{
	return rw_one(fd, buf, count, true);
}

static int64_t rw_offset(struct file *file, struct iov_iter *i, int64_t pos, bool write,
                         unsigned flags)
{
	if (pos < 0)
		return -EINVAL;
	if (!(file->f_mode & FMODE_LSEEK))
		return -ESPIPE;
	return write ? vfs_write_iter(file, i, &pos, flags) : vfs_read_iter(file, i, &pos, flags);
}

static int64_t prw_one(int fd, vaddr_t buf, size_t count, int64_t pos, bool write)
{
	struct fd f = fdget(fd);
	struct iov_iter i;
	int64_t n = -EFAULT;

	if (pos < 0)
		n = -EINVAL;
	else if (!f.file)
		return -EBADF;
	else if (access_ok(buf, count)) {
		iov_iter_user(&i, buf, count);
		n = rw_offset(f.file, &i, pos, write, 0);
	}
	if (f.file)
		fdput(f);
	return n;
}

SYSCALL4(pread64, int, fd, vaddr_t, buf, size_t, count, int64_t, pos)
{
	return prw_one(fd, buf, count, pos, false);
}

SYSCALL4(pwrite64, int, fd, vaddr_t, buf, size_t, count, int64_t, pos)
{
	return prw_one(fd, buf, count, pos, true);
}

/* --- vectors -------------------------------------------------------------------------------------------- */

/* Lengths are sane, the sum is what one call may move. Bytes or -errno. */
static int64_t check_iovec(struct iovec *iov, unsigned n)
{
	int64_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		if ((int64_t)iov[i].iov_len < 0)
			return -EINVAL;
		if (!access_ok(iov[i].iov_base, iov[i].iov_len))
			return -EFAULT;
		if ((int64_t)iov[i].iov_len > MAX_RW_COUNT - total)
			iov[i].iov_len = (uint64_t)(MAX_RW_COUNT - total);
		total += (int64_t)iov[i].iov_len;
	}
	return total;
}

int64_t import_iovec(vaddr_t addr, unsigned n, struct iovec *fast, struct iovec **iov,
                     struct iov_iter *i)
{
	int64_t total;

	*iov = fast;
	if (n > UIO_MAXIOV)
		return -EINVAL;
	if (n > IOV_FAST) {
		*iov = kmalloc(n * sizeof(**iov), GFP_KERNEL);
		if (!*iov) {
			*iov = fast;
			return -ENOMEM;
		}
	}
	if (n && copy_from_user(*iov, addr, n * sizeof(**iov)))
		return -EFAULT;
	total = check_iovec(*iov, n);
	if (total >= 0 && n)
		iov_iter_init(i, *iov, (size_t)total);
	else if (total == 0)
		iov_iter_kernel(i, NULL, 0);
	return total;
}

void import_end(struct iovec *iov, struct iovec *fast)
{
	if (iov != fast)
		kfree(iov);
}

static int rwf_flags(unsigned rwf, unsigned *flags)
{
	if (rwf & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND))
		return -ENOTSUP;
	*flags = (rwf & (RWF_DSYNC | RWF_SYNC) ? IOCB_DSYNC : 0) |
	         (rwf & RWF_NOWAIT ? IOCB_NOWAIT : 0) | (rwf & RWF_APPEND ? IOCB_APPEND : 0);
	return 0;
}

/* pos -1: at the file's own position. */
static int64_t rw_vector(int fd, vaddr_t vec, unsigned vlen, int64_t pos, bool own_pos,
                         unsigned rwf, bool write)
{
	struct fd f = fdget(fd);
	struct iovec fast[IOV_FAST], *iov = fast;
	struct iov_iter i;
	unsigned flags = 0;
	int64_t n = rwf_flags(rwf, &flags);

	if (!f.file)
		return -EBADF;
	if (!n)
		n = import_iovec(vec, vlen, fast, &iov, &i);
	if (n >= 0)
		n = own_pos ? rw_at_pos(f.file, &i, write, flags)
		            : rw_offset(f.file, &i, pos, write, flags);
	import_end(iov, fast);
	fdput(f);
	return n;
}

SYSCALL3(readv, int, fd, vaddr_t, vec, uint32_t, vlen)
{
	return rw_vector(fd, vec, vlen, 0, true, 0, false);
}

SYSCALL3(writev, int, fd, vaddr_t, vec, uint32_t, vlen)
{
	return rw_vector(fd, vec, vlen, 0, true, 0, true);
}

SYSCALL4(preadv, int, fd, vaddr_t, vec, uint32_t, vlen, int64_t, pos)
{
	return rw_vector(fd, vec, vlen, pos, false, 0, false);
}

SYSCALL4(pwritev, int, fd, vaddr_t, vec, uint32_t, vlen, int64_t, pos)
{
	return rw_vector(fd, vec, vlen, pos, false, 0, true);
}

SYSCALL6(preadv2, int, fd, vaddr_t, vec, uint32_t, vlen, int64_t, pos, uint64_t, high UNUSED,
         uint32_t, rwf)
{
	return rw_vector(fd, vec, vlen, pos, pos == -1, rwf, false);
}

SYSCALL6(pwritev2, int, fd, vaddr_t, vec, uint32_t, vlen, int64_t, pos, uint64_t, high UNUSED,
         uint32_t, rwf)
{
	return rw_vector(fd, vec, vlen, pos, pos == -1, rwf, true);
}

SYSCALL3(lseek, int, fd, int64_t, offset, uint32_t, whence)
{
	struct fd f = fdget(fd);
	int64_t n;
	bool locked;

	if (!f.file)
		return -EBADF;
	locked = lock_pos(f.file);
	if (whence > SEEK_HOLE)
		n = -EINVAL;
	else if (f.file->f_op->llseek)
		n = f.file->f_op->llseek(f.file, offset, (int)whence);
	else if (f.file->f_mode & FMODE_LSEEK)
		n = generic_file_llseek(f.file, offset, (int)whence);
	else
		n = -ESPIPE;
	if (locked)
		mutex_unlock(&f.file->f_pos_lock);
	fdput(f);
	return n;
}
