/*
 * sys_attr.c - changing what a file is: mode, owner, times, size; and bringing it to its store.
 */
#include "fs/internal.h"

/* Apply attr to what dirfd and path name. */
static int64_t change_at(int dirfd, vaddr_t path, unsigned at_flags, struct iattr *attr)
{
	unsigned lookup = at_flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	struct dentry *dentry;
	int err;

	if (at_flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (at_flags & AT_EMPTY_PATH)
		lookup |= LOOKUP_EMPTY;
	err = user_path_at(dirfd, path, lookup, &dentry);
	if (err)
		return err;
	if (attr->valid & ATTR_MODE && S_ISLNK(dentry->d_inode->i_mode))
		err = -ENOTSUP;
	else if (attr->valid)
		err = notify_change(dentry, attr);
	dput(dentry);
	return err;
}

static int64_t change_fd(int fd, struct iattr *attr)
{
	struct fd f = fdget(fd);
	int err;

	if (!f.file)
		return -EBADF;
	attr->file = f.file;
	err = attr->valid ? notify_change(f.file->f_dentry, attr) : 0;
	fdput(f);
	return err;
}

/* --- mode and owner ---------------------------------------------------------------------------------------- */

static struct iattr mode_attr(uint32_t mode)
{
	return (struct iattr){.valid = ATTR_MODE, .mode = mode & S_IALLUGO};
}

/* -1: leave it. */
static struct iattr owner_attr(uint32_t uid, uint32_t gid)
{
	return (struct iattr){.valid = (uid != UINT32_MAX ? ATTR_UID : 0) |
	                               (gid != UINT32_MAX ? ATTR_GID : 0),
	                      .uid = uid,
	                      .gid = gid};
}

SYSCALL2(chmod, vaddr_t, path, uint32_t, mode)
{
	struct iattr attr = mode_attr(mode);

	return change_at(AT_FDCWD, path, 0, &attr);
}

SYSCALL3(fchmodat, int, dirfd, vaddr_t, path, uint32_t, mode)
{
	struct iattr attr = mode_attr(mode);

	return change_at(dirfd, path, 0, &attr);
}

SYSCALL2(fchmod, int, fd, uint32_t, mode)
{
	struct iattr attr = mode_attr(mode);

	return change_fd(fd, &attr);
}

SYSCALL3(chown, vaddr_t, path, uint32_t, uid, uint32_t, gid)
{
	struct iattr attr = owner_attr(uid, gid);

	return change_at(AT_FDCWD, path, 0, &attr);
}

SYSCALL3(lchown, vaddr_t, path, uint32_t, uid, uint32_t, gid)
{
	struct iattr attr = owner_attr(uid, gid);

	return change_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &attr);
}

SYSCALL5(fchownat, int, dirfd, vaddr_t, path, uint32_t, uid, uint32_t, gid, uint32_t, flags)
{
	struct iattr attr = owner_attr(uid, gid);

	return change_at(dirfd, path, flags, &attr);
}

SYSCALL3(fchown, int, fd, uint32_t, uid, uint32_t, gid)
{
	struct iattr attr = owner_attr(uid, gid);

	return change_fd(fd, &attr);
}

/* --- times --------------------------------------------------------------------------------------------------- */

#define UTIME_NOW  ((1l << 30) - 1l)
#define UTIME_OMIT ((1l << 30) - 2l)

static int set_time(struct iattr *attr, const struct timespec64 *ts, unsigned what, unsigned set,
                    file_time_t *t)
{
	if (ts->tv_nsec == UTIME_OMIT)
		return 0;
	attr->valid |= what;
	if (ts->tv_nsec == UTIME_NOW)
		return 0;
	if (ts->tv_nsec < 0 || ts->tv_nsec >= (int64_t)NSEC_PER_SEC)
		return -EINVAL;
	attr->valid |= set;
	*t = ts->tv_sec * (int64_t)NSEC_PER_SEC + ts->tv_nsec;
	return 0;
}

/* times NULL: both now. */
static int64_t do_utimes(int dirfd, vaddr_t path, const struct timespec64 *times, uint32_t flags)
{
	struct iattr attr = {.valid = 0};
	int err = 0;

	if (!times || (times[0].tv_nsec == UTIME_NOW && times[1].tv_nsec == UTIME_NOW)) {
		attr.valid = ATTR_ATIME | ATTR_MTIME | ATTR_TOUCH;
	} else {
		err = set_time(&attr, &times[0], ATTR_ATIME, ATTR_ATIME_SET, &attr.atime);
		if (!err)
			err = set_time(&attr, &times[1], ATTR_MTIME, ATTR_MTIME_SET, &attr.mtime);
	}
	if (err)
		return err;
	if (attr.valid && !(attr.valid & ATTR_TOUCH))
		attr.valid |= ATTR_TIMES_SET;
	if (!path && dirfd != AT_FDCWD)
		return flags ? -EINVAL : change_fd(dirfd, &attr);
	return change_at(dirfd, path, flags, &attr);
}

SYSCALL4(utimensat, int, dirfd, vaddr_t, path, vaddr_t, utimes, uint32_t, flags)
{
	struct timespec64 times[2];

	if (utimes && copy_from_user(times, utimes, sizeof(times)))
		return -EFAULT;
	return do_utimes(dirfd, path, utimes ? times : NULL, flags);
}

static int64_t do_timevals(int dirfd, vaddr_t path, vaddr_t utimes)
{
	struct timeval64 tv[2];
	struct timespec64 ts[2];

	if (!utimes)
		return do_utimes(dirfd, path, NULL, 0);
	if (copy_from_user(tv, utimes, sizeof(tv)))
		return -EFAULT;
	for (int i = 0; i < 2; i++) {
		if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
			return -EINVAL;
		ts[i] = (struct timespec64){tv[i].tv_sec, tv[i].tv_usec * 1000};
	}
	return do_utimes(dirfd, path, ts, 0);
}

SYSCALL2(utimes, vaddr_t, path, vaddr_t, utimes)
{
	return do_timevals(AT_FDCWD, path, utimes);
}

SYSCALL3(futimesat, int, dirfd, vaddr_t, path, vaddr_t, utimes)
{
	return do_timevals(dirfd, path, utimes);
}

SYSCALL2(utime, vaddr_t, path, vaddr_t, utimes)
{
	int64_t sec[2];
	struct timespec64 ts[2];

	if (!utimes)
		return do_utimes(AT_FDCWD, path, NULL, 0);
	if (copy_from_user(sec, utimes, sizeof(sec)))
		return -EFAULT;
	ts[0] = (struct timespec64){sec[0], 0};
	ts[1] = (struct timespec64){sec[1], 0};
	return do_utimes(AT_FDCWD, path, ts, 0);
}

/* --- size ---------------------------------------------------------------------------------------------------- */

SYSCALL2(truncate, vaddr_t, path, int64_t, size)
{
	struct dentry *dentry;
	int64_t err;

	if (size < 0)
		return -EINVAL;
	err = user_path_at(AT_FDCWD, path, LOOKUP_FOLLOW, &dentry);
	if (err)
		return err;
	if (d_is_dir(dentry))
		err = -EISDIR;
	else if (!S_ISREG(dentry->d_inode->i_mode))
		err = -EINVAL;
	else
		err = inode_permission(dentry, MAY_WRITE);
	if (!err)
		err = do_truncate(dentry, (uint64_t)size, 0, NULL);
	dput(dentry);
	return err;
}

SYSCALL2(ftruncate, int, fd, int64_t, size)
{
	struct fd f;
	int64_t err;

	if (size < 0)
		return -EINVAL;
	f = fdget(fd);
	if (!f.file)
		return -EBADF;
	if (!S_ISREG(f.file->f_inode->i_mode) || !(f.file->f_mode & FMODE_WRITE))
		err = -EINVAL;
	else
		err = do_truncate(f.file->f_dentry, (uint64_t)size, 0, f.file);
	fdput(f);
	return err;
}

static int64_t check_fallocate(struct file *file, unsigned mode, int64_t offset, int64_t len)
{
	int64_t end;

	if (offset < 0 || len <= 0)
		return -EINVAL;
	if (mode & FALLOC_FL_PUNCH_HOLE && mode & FALLOC_FL_ZERO_RANGE)
		return -ENOTSUP;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (S_ISFIFO(file->f_inode->i_mode))
		return -ESPIPE;
	if (S_ISDIR(file->f_inode->i_mode))
		return -EISDIR;
	if (!S_ISREG(file->f_inode->i_mode))
		return -ENODEV;
	if (__builtin_add_overflow(offset, len, &end) || end > 1ll << (32 + PAGE_SHIFT))
		return -EFBIG;
	return file->f_op->fallocate ? 0 : -ENOTSUP;
}

SYSCALL4(fallocate, int, fd, uint32_t, mode, int64_t, offset, int64_t, len)
{
	struct fd f = fdget(fd);
	int64_t err;

	if (!f.file)
		return -EBADF;
	err = check_fallocate(f.file, mode, offset, len);
	if (!err)
		err = f.file->f_op->fallocate(f.file, mode, (uint64_t)offset, (uint64_t)len);
	fdput(f);
	return err;
}

/* --- to the store ---------------------------------------------------------------------------------------------- */

static int64_t do_fsync(int fd, bool datasync)
{
	struct fd f = fdget(fd);
	int64_t err;

	if (!f.file)
		return -EBADF;
	if (f.file->f_op->fsync)
		err = f.file->f_op->fsync(f.file, 0, INT64_MAX, datasync);
	else /* a directory has nothing of its own to write */
		err = S_ISDIR(f.file->f_inode->i_mode) || S_ISREG(f.file->f_inode->i_mode)
		              ? 0
		              : -EINVAL;
	fdput(f);
	return err;
}

SYSCALL1(fsync, int, fd)
{
	return do_fsync(fd, false);
}

SYSCALL1(fdatasync, int, fd)
{
	return do_fsync(fd, true);
}

SYSCALL4(sync_file_range, int, fd, int64_t, offset, int64_t, len, uint32_t, flags)
{
	struct fd f = fdget(fd);
	int64_t err = 0, end;

	if (!f.file)
		return -EBADF;
	if (flags & ~7u || offset < 0 || len < 0 || __builtin_add_overflow(offset, len, &end))
		err = -EINVAL;
	else if (!S_ISREG(f.file->f_inode->i_mode))
		err = -ESPIPE;
	else if (flags && f.file->f_op->fsync)
		err = f.file->f_op->fsync(f.file, (uint64_t)offset, len ? (uint64_t)end : INT64_MAX,
		                          true);
	fdput(f);
	return err;
}

SYSCALL1(syncfs, int, fd)
{
	struct fd f = fdget(fd);
	struct super_block *sb;
	int64_t err;

	if (!f.file)
		return -EBADF;
	sb = f.file->f_dentry->d_sb;
	err = sb->s_op->sync_fs ? sb->s_op->sync_fs(sb) : 0;
	fdput(f);
	return err;
}

SYSCALL0(sync)
{
	struct super_block *sb;

	mutex_lock(&mount_mutex);
	list_for_each_entry(sb, &super_blocks, s_list)
		if (sb->s_op->sync_fs)
			(void)sb->s_op->sync_fs(sb);
	mutex_unlock(&mount_mutex);
	return 0;
}

/* --- advice ------------------------------------------------------------------------------------------------------ */

#define POSIX_FADV_WILLNEED 3
#define POSIX_FADV_DONTNEED 4
#define POSIX_FADV_NOREUSE  5

/* Bring pages of [offset, end) in, as many as one read-ahead takes at a time. */
static int64_t read_ahead(struct file *file, uint64_t offset, uint64_t end)
{
	struct address_space *mapping = file->f_inode->i_mapping;
	uint64_t index = offset >> PAGE_SHIFT, last;

	end = MIN(end, i_size_read(file->f_inode));
	if (!mapping->a_ops->readpages || end <= offset)
		return 0;
	last = MIN((end - 1) >> PAGE_SHIFT, index + 512);
	while (index <= last) {
		unsigned n = (unsigned)MIN(last - index, 127);
		struct page *page;
		bool major;

		if (filemap_get_page(mapping, index, n, &page, &major))
			return 0;
		put_page(page);
		index += n + 1;
	}
	return 0;
}

static int64_t do_fadvise(struct file *file, int64_t offset, int64_t len, uint32_t advice)
{
	uint64_t end;

	if (S_ISFIFO(file->f_inode->i_mode))
		return -ESPIPE;
	if (len < 0 || offset < 0 || advice > POSIX_FADV_NOREUSE)
		return -EINVAL;
	end = len ? (uint64_t)offset + (uint64_t)len : INT64_MAX;
	if (!file->f_inode->i_mapping)
		return 0;
	if (advice == POSIX_FADV_WILLNEED)
		return read_ahead(file, (uint64_t)offset, end);
	if (advice == POSIX_FADV_DONTNEED && end >> PAGE_SHIFT > PAGES_OF((uint64_t)offset))
		invalidate_mapping_pages(file->f_inode->i_mapping, PAGES_OF((uint64_t)offset),
		                         (end >> PAGE_SHIFT) - 1);
	return 0;
}

SYSCALL4(fadvise64, int, fd, int64_t, offset, int64_t, len, uint32_t, advice)
{
	struct fd f = fdget(fd);
	int64_t err;

	if (!f.file)
		return -EBADF;
	err = do_fadvise(f.file, offset, len, advice);
	fdput(f);
	return err;
}

SYSCALL3(readahead, int, fd, int64_t, offset, size_t, count)
{
	struct fd f = fdget(fd);
	int64_t err = -EBADF;

	if (!f.file)
		return -EBADF;
	if (f.file->f_mode & FMODE_READ) {
		err = -EINVAL;
		if (f.file->f_inode->i_mapping && S_ISREG(f.file->f_inode->i_mode) && offset >= 0)
			err = read_ahead(f.file, (uint64_t)offset, (uint64_t)offset + count);
	}
	fdput(f);
	return err;
}
