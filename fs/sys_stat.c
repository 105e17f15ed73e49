/*
 * sys_stat.c - stat(2), statx(2), statfs(2), access(2), readlink(2).
 */
#include "fs/internal.h"
#include <quire/slab.h>

static int put_stat(vaddr_t to, const struct kstat *k)
{
	struct linux_stat st = {
	        .st_dev = new_encode_dev(k->dev),
	        .st_ino = k->ino,
	        .st_nlink = k->nlink,
	        .st_mode = k->mode,
	        .st_uid = k->uid,
	        .st_gid = k->gid,
	        .st_rdev = new_encode_dev(k->rdev),
	        .st_size = (int64_t)k->size,
	        .st_blksize = k->blksize,
	        .st_blocks = (int64_t)k->blocks,
	        .st_atime = (uint64_t)k->atime / NSEC_PER_SEC,
	        .st_atime_nsec = (uint64_t)k->atime % NSEC_PER_SEC,
	        .st_mtime = (uint64_t)k->mtime / NSEC_PER_SEC,
	        .st_mtime_nsec = (uint64_t)k->mtime % NSEC_PER_SEC,
	        .st_ctime = (uint64_t)k->ctime / NSEC_PER_SEC,
	        .st_ctime_nsec = (uint64_t)k->ctime % NSEC_PER_SEC,
	};

	return copy_to_user(to, &st, sizeof(st));
}

/* The attributes of what dirfd and path name, as the AT_ flags say. */
static int stat_at(int dirfd, vaddr_t path, unsigned flags, struct kstat *k)
{
	unsigned lookup = flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	struct dentry *dentry;
	int err;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH)
		lookup |= LOOKUP_EMPTY;
	err = user_path_at(dirfd, path, lookup, &dentry);
	if (err)
		return err;
	err = vfs_getattr(dentry, k);
	dput(dentry);
	return err;
}

static int stat_fd(int fd, struct kstat *k)
{
	struct fd f = fdget_raw(fd);
	int err;

	if (!f.file)
		return -EBADF;
	err = vfs_getattr(f.file->f_dentry, k);
	fdput(f);
	return err;
}

/* "" with AT_EMPTY_PATH is how libcs spell fstat: spare it the walk. */
static bool is_fstat(int dirfd, vaddr_t path, unsigned flags)
{
	char c;

	return flags & AT_EMPTY_PATH && dirfd >= 0 && copy_from_user(&c, path, 1) == 0 && c == '\0';
}

SYSCALL2(stat, vaddr_t, path, vaddr_t, buf)
{
	struct kstat k;
	int err = stat_at(AT_FDCWD, path, 0, &k);

	return err ? err : put_stat(buf, &k);
}

SYSCALL2(lstat, vaddr_t, path, vaddr_t, buf)
{
	struct kstat k;
	int err = stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &k);

	return err ? err : put_stat(buf, &k);
}

SYSCALL2(fstat, int, fd, vaddr_t, buf)
{
	struct kstat k;
	int err = stat_fd(fd, &k);

	return err ? err : put_stat(buf, &k);
}

SYSCALL4(newfstatat, int, dirfd, vaddr_t, path, vaddr_t, buf, uint32_t, flags)
{
	struct kstat k;
	int err =
	        is_fstat(dirfd, path, flags) ? stat_fd(dirfd, &k) : stat_at(dirfd, path, flags, &k);

	return err ? err : put_stat(buf, &k);
}

/* --- statx ------------------------------------------------------------------------------------------------ */

struct statx_timestamp {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
};

struct statx {
	uint32_t stx_mask, stx_blksize;
	uint64_t stx_attributes;
	uint32_t stx_nlink, stx_uid, stx_gid;
	uint16_t stx_mode, pad0;
	uint64_t stx_ino, stx_size, stx_blocks, stx_attributes_mask;
	struct statx_timestamp stx_atime, stx_btime, stx_ctime, stx_mtime;
	uint32_t stx_rdev_major, stx_rdev_minor, stx_dev_major, stx_dev_minor;
	uint64_t stx_mnt_id;
	uint32_t stx_dio_mem_align, stx_dio_offset_align;
	uint64_t spare[12];
};
static_assert(sizeof(struct statx) == 256, "struct statx");
#define STATX_BASIC_STATS 0x7ffu
#define STATX_BTIME       0x800u
#define STATX_RESERVED    0x80000000u

static struct statx_timestamp statx_time(file_time_t t)
{
	return (struct statx_timestamp){.tv_sec = t / (int64_t)NSEC_PER_SEC,
	                                .tv_nsec = (uint32_t)((uint64_t)t % NSEC_PER_SEC)};
}

SYSCALL5(statx, int, dirfd, vaddr_t, path, uint32_t, flags, uint32_t, mask, vaddr_t, buf)
{
	struct kstat k;
	struct statx x;
	int err;

	if (mask & STATX_RESERVED || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	err = is_fstat(dirfd, path, flags) ? stat_fd(dirfd, &k) : stat_at(dirfd, path, flags, &k);
	if (err)
		return err;
	x = (struct statx){
	        .stx_mask = STATX_BASIC_STATS | (k.btime ? STATX_BTIME : 0),
	        .stx_blksize = k.blksize,
	        .stx_nlink = (uint32_t)k.nlink,
	        .stx_uid = k.uid,
	        .stx_gid = k.gid,
	        .stx_mode = (uint16_t)k.mode,
	        .stx_ino = k.ino,
	        .stx_size = k.size,
	        .stx_blocks = k.blocks,
	        .stx_atime = statx_time(k.atime),
	        .stx_btime = statx_time(k.btime),
	        .stx_ctime = statx_time(k.ctime),
	        .stx_mtime = statx_time(k.mtime),
	        .stx_rdev_major = MAJOR(k.rdev),
	        .stx_rdev_minor = MINOR(k.rdev),
	        .stx_dev_major = MAJOR(k.dev),
	        .stx_dev_minor = MINOR(k.dev),
	};
	return copy_to_user(buf, &x, sizeof(x));
}

/* --- statfs ------------------------------------------------------------------------------------------------ */

static int64_t put_statfs(struct super_block *sb, vaddr_t buf)
{
	struct kstatfs k = {.type = sb->s_magic, .bsize = PAGE_SIZE, .namelen = NAME_MAX};
	struct linux_statfs st;
	int err = sb->s_op->statfs ? sb->s_op->statfs(sb, &k) : 0;

	if (err)
		return err;
	st = (struct linux_statfs){
	        .f_type = (int64_t)k.type,
	        .f_bsize = (int64_t)k.bsize,
	        .f_blocks = (int64_t)k.blocks,
	        .f_bfree = (int64_t)k.bfree,
	        .f_bavail = (int64_t)k.bavail,
	        .f_files = (int64_t)k.files,
	        .f_ffree = (int64_t)k.ffree,
	        .f_fsid = {(int32_t)sb->s_dev, 0},
	        .f_namelen = (int64_t)k.namelen,
	        .f_frsize = (int64_t)k.bsize,
	        .f_flags =
	                (int64_t)((sb->s_flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)) |
	                          0x20),
	};
	return copy_to_user(buf, &st, sizeof(st));
}

SYSCALL2(statfs, vaddr_t, path, vaddr_t, buf)
{
	struct dentry *dentry;
	int64_t err = user_path_at(AT_FDCWD, path, LOOKUP_FOLLOW, &dentry);

	if (err)
		return err;
	err = put_statfs(dentry->d_sb, buf);
	dput(dentry);
	return err;
}

SYSCALL2(fstatfs, int, fd, vaddr_t, buf)
{
	struct fd f = fdget_raw(fd);
	int64_t err;

	if (!f.file)
		return -EBADF;
	err = put_statfs(f.file->f_dentry->d_sb, buf);
	fdput(f);
	return err;
}

/* --- access ------------------------------------------------------------------------------------------------ */

#define R_OK 4u
#define W_OK 2u
#define X_OK 1u

/* Credentials with the real ids, and the capabilities that a program of that user would have. */
static void real_cred(struct cred *c)
{
	*c = current->cred;
	c->fsuid = c->uid;
	c->fsgid = c->gid;
	c->cap_effective = c->uid ? 0 : c->cap_permitted;
}

static int access_at(int dirfd, vaddr_t path, uint32_t mode, unsigned lookup)
{
	struct dentry *dentry;
	int err = user_path_at(dirfd, path, lookup, &dentry);

	if (err)
		return err;
	if (mode & X_OK && S_ISREG(dentry->d_inode->i_mode) && dentry->d_sb->s_flags & MS_NOEXEC)
		err = -EACCES;
	else
		err = inode_permission(dentry, mode);
	dput(dentry);
	return err;
}

static int64_t do_access(int dirfd, vaddr_t path, uint32_t mode, uint32_t flags)
{
	unsigned lookup = flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	struct cred cred;
	int err;

	if (mode & ~(R_OK | W_OK | X_OK) ||
	    flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH)
		lookup |= LOOKUP_EMPTY;
	if (!(flags & AT_EACCESS)) {
		real_cred(&cred);
		current->other_cred = &cred;
	}
	err = access_at(dirfd, path, mode, lookup);
	current->other_cred = NULL;
	return err;
}

SYSCALL2(access, vaddr_t, path, uint32_t, mode)
{
	return do_access(AT_FDCWD, path, mode, 0);
}

SYSCALL3(faccessat, int, dirfd, vaddr_t, path, uint32_t, mode)
{
	return do_access(dirfd, path, mode, 0);
}

SYSCALL4(faccessat2, int, dirfd, vaddr_t, path, uint32_t, mode, uint32_t, flags)
{
	return do_access(dirfd, path, mode, flags);
}

/* --- readlink ------------------------------------------------------------------------------------------------ */

/* What a symlink says; of a magic one the path of what it names. For kfree(). */
static char *link_text(struct dentry *link)
{
	const struct inode_operations *op = link->d_inode->i_op;
	struct dentry *to;
	char *buf, *path;

	if (!op->jump_link)
		return read_link(link);
	to = op->jump_link(link);
	if (IS_ERR(to))
		return (char *)to;
	buf = kmalloc(PATH_MAX, GFP_KERNEL);
	path = buf ? d_path(to, buf, PATH_MAX) : ERR_PTR(-ENOMEM);
	dput(to);
	if (IS_ERR(path)) {
		kfree(buf);
		return path;
	}
	memmove(buf, path, strlen(path) + 1);
	return buf;
}

static int64_t do_readlink(int dirfd, vaddr_t path, vaddr_t buf, int32_t size)
{
	struct dentry *dentry;
	int64_t n;
	char *text;

	if (size <= 0)
		return -EINVAL;
	n = user_path_at(dirfd, path, dirfd == AT_FDCWD ? 0 : LOOKUP_EMPTY, &dentry);
	if (n)
		return n;
	text = S_ISLNK(dentry->d_inode->i_mode) ? link_text(dentry) : ERR_PTR(-EINVAL);
	dput(dentry);
	if (IS_ERR(text))
		return PTR_ERR(text);
	n = (int64_t)MIN(strlen(text), (size_t)size);
	if (copy_to_user(buf, text, (size_t)n))
		n = -EFAULT;
	kfree(text);
	return n;
}

SYSCALL3(readlink, vaddr_t, path, vaddr_t, buf, int32_t, size)
{
	return do_readlink(AT_FDCWD, path, buf, size);
}

SYSCALL4(readlinkat, int, dirfd, vaddr_t, path, vaddr_t, buf, int32_t, size)
{
	return do_readlink(dirfd, path, buf, size);
}
