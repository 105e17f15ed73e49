/*
 * sys_open.c - open(2), close(2), dup(2), fcntl(2), ioctl(2).
 */
#include "fs/internal.h"
#include <quire/slab.h>

#define VALID_OPEN_FLAGS                                                                       \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |  \
	 O_ASYNC | O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | \
	 O_PATH | O_TMPFILE)
#define SETFL_MASK (O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME)

static int64_t do_open(int dirfd, vaddr_t path, uint32_t flags, uint32_t mode)
{
	char *name = getname(path, false);
	struct file *file;
	int fd;

	if (IS_ERR(name))
		return PTR_ERR(name);
	flags &= VALID_OPEN_FLAGS;
	fd = get_unused_fd_flags(flags);
	if (fd >= 0) {
		file = do_filp_open(dirfd, name, flags | O_LARGEFILE,
		                    mode & S_IALLUGO & ~current->fs->umask);
		if (IS_ERR(file)) {
			put_unused_fd((unsigned)fd);
			fd = (int)PTR_ERR(file);
		} else {
			fd_install((unsigned)fd, file);
		}
	}
	putname(name);
	return fd;
}

SYSCALL3(open, vaddr_t, path, uint32_t, flags, uint32_t, mode)
{
	return do_open(AT_FDCWD, path, flags, mode);
}

SYSCALL4(openat, int, dirfd, vaddr_t, path, uint32_t, flags, uint32_t, mode)
{
	return do_open(dirfd, path, flags, mode);
}

SYSCALL2(creat, vaddr_t, path, uint32_t, mode)
{
	return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

struct open_how {
	uint64_t flags, mode, resolve;
};

/* Restrictions on the way (resolve) are not kept, so they are refused. */
SYSCALL4(openat2, int, dirfd, vaddr_t, path, vaddr_t, uhow, size_t, size)
{
	struct open_how how;

	if (size < sizeof(how))
		return -EINVAL;
	if (size > sizeof(how))
		return -E2BIG;
	if (copy_from_user(&how, uhow, sizeof(how)))
		return -EFAULT;
	if (how.flags & ~(uint64_t)VALID_OPEN_FLAGS || how.mode & ~(uint64_t)S_IALLUGO)
		return -EINVAL;
	if (how.mode && !(how.flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))))
		return -EINVAL;
	if (how.resolve)
		return -ENOTSUP;
	return do_open(dirfd, path, (uint32_t)how.flags, (uint32_t)how.mode);
}

SYSCALL1(close, uint32_t, fd)
{
	struct file *file = close_fd_get_file(fd);

	return file ? filp_close(file, current->files) : -EBADF;
}

#define CLOSE_RANGE_UNSHARE 2u
#define CLOSE_RANGE_CLOEXEC 4u

SYSCALL3(close_range, uint32_t, first, uint32_t, last, uint32_t, flags)
{
	int fd = (int)MIN(first, (uint32_t)INT32_MAX), err;

	if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
		return -EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE) {
		err = files_unshare();
		if (err)
			return err;
	}
	while ((fd = files_next_fd(current->files, (unsigned)fd)) >= 0 && (uint32_t)fd <= last) {
		struct file *file;

		if (flags & CLOSE_RANGE_CLOEXEC)
			set_close_on_exec((unsigned)fd, true);
		else if ((file = close_fd_get_file((unsigned)fd)))
			filp_close(file, current->files);
		fd++;
	}
	return 0;
}

/* --- dup ------------------------------------------------------------------------------------------------ */

SYSCALL1(dup, int, fd)
{
	struct file *file = fget_raw(fd);

	return file ? fd_add(file, 0) : -EBADF;
}

static int64_t do_dup3(uint32_t old, uint32_t new_fd, uint32_t flags)
{
	struct file *file = fget_raw((int)old);
	int64_t n;

	if (!file)
		return -EBADF;
	n = replace_fd(new_fd, file, flags);
	fput(file);
	return n;
}

SYSCALL2(dup2, uint32_t, old, uint32_t, new_fd)
{
	if (old == new_fd) {
		struct fd f = fdget_raw((int)old);

		if (!f.file)
			return -EBADF;
		fdput(f);
		return old;
	}
	return do_dup3(old, new_fd, 0);
}

SYSCALL3(dup3, uint32_t, old, uint32_t, new_fd, uint32_t, flags)
{
	if (flags & ~O_CLOEXEC || old == new_fd)
		return -EINVAL;
	return do_dup3(old, new_fd, flags);
}

/* --- fcntl ------------------------------------------------------------------------------------------------ */

static int64_t setfl(struct file *file, uint32_t arg)
{
	uint32_t old = atomic_load(&file->f_flags);

	if (arg & ~old & O_ASYNC)
		return -EINVAL; /* nothing here sends SIGIO */
	if (arg & ~old & O_NOATIME && !inode_owner_or_capable(file->f_inode))
		return -EPERM;
	while (!atomic_compare_exchange_weak(&file->f_flags, &old,
	                                     (old & ~SETFL_MASK) | (arg & SETFL_MASK)))
		;
	return 0;
}

static int64_t dup_from(struct file *file, uint64_t from, uint32_t flags)
{
	if (from >= rlimit(RLIMIT_NOFILE))
		return -EINVAL;
	return fd_add_from((unsigned)from, get_file(file), flags);
}

static int64_t do_fcntl(struct file *file, uint32_t fd, uint32_t cmd, uint64_t arg)
{
	switch (cmd) {
	case F_DUPFD:
		return dup_from(file, arg, 0);
	case F_DUPFD_CLOEXEC:
		return dup_from(file, arg, O_CLOEXEC);
	case F_GETFD:
		return get_close_on_exec(fd) ? FD_CLOEXEC : 0;
	case F_SETFD:
		set_close_on_exec(fd, arg & FD_CLOEXEC);
		return 0;
	case F_GETFL:
		return atomic_load(&file->f_flags);
	case F_SETFL:
		return setfl(file, (uint32_t)arg);
	case F_GETLK:
	case F_OFD_GETLK:
		return fcntl_getlk(file, cmd, arg);
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return fcntl_setlk(file, cmd, arg);
	case F_GETOWN:
		return file->f_owner;
	case F_SETOWN:
		file->f_owner = (int32_t)arg;
		return 0;
	case F_SETPIPE_SZ:
	case F_GETPIPE_SZ:
		return pipe_fcntl(file, cmd, arg);
	case F_ADD_SEALS:
		return memfd_add_seals(file, (unsigned)arg);
	case F_GET_SEALS:
		return memfd_get_seals(file);
	default:
		return -EINVAL;
	}
}

SYSCALL3(fcntl, uint32_t, fd, uint32_t, cmd, uint64_t, arg)
{
	struct fd f = fdget_raw((int)fd);
	int64_t n;

	if (!f.file)
		return -EBADF;
	if (f.file->f_mode & FMODE_PATH && cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC &&
	    cmd != F_GETFD && cmd != F_SETFD && cmd != F_GETFL)
		n = -EBADF;
	else
		n = do_fcntl(f.file, fd, cmd, arg);
	fdput(f);
	return n;
}

/* --- ioctl ------------------------------------------------------------------------------------------------ */

static int64_t ioctl_fionbio(struct file *file, uint64_t arg)
{
	uint32_t on;

	if (get_user_u32(&on, arg))
		return -EFAULT;
	if (on)
		atomic_fetch_or(&file->f_flags, O_NONBLOCK);
	else
		atomic_fetch_and(&file->f_flags, ~O_NONBLOCK);
	return 0;
}

static int64_t ioctl_fionread(struct file *file, uint64_t arg)
{
	int64_t left = (int64_t)i_size_read(file->f_inode) - file->f_pos;

	return put_user_u32(arg, (uint32_t)MAX(left, 0));
}

SYSCALL3(ioctl, uint32_t, fd, uint32_t, cmd, uint64_t, arg)
{
	struct fd f = fdget((int)fd);
	int64_t n;

	if (!f.file)
		return -EBADF;
	if (cmd == FIOCLEX || cmd == FIONCLEX) {
		set_close_on_exec(fd, cmd == FIOCLEX);
		n = 0;
	} else if (cmd == FIONBIO) {
		n = ioctl_fionbio(f.file, arg);
	} else if (cmd == FIONREAD && S_ISREG(f.file->f_inode->i_mode)) {
		n = ioctl_fionread(f.file, arg);
	} else {
		n = f.file->f_op->ioctl ? f.file->f_op->ioctl(f.file, cmd, arg) : -ENOTTY;
	}
	fdput(f);
	return n;
}
