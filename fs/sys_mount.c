/*
 * sys_mount.c - mount(2), umount(2), and extended attributes, which no file system here has.
 */
#include "fs/internal.h"
#include <quire/slab.h>

#define MS_REC          16384u
#define MS_SILENT       32768u
#define MS_MOVE         8192u
#define MS_PROPAGATION  ((1u << 17) | (1u << 18) | (1u << 19) | (1u << 20))
#define MS_KEPT         (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define MNT_DETACH      2u
#define MNT_FORCE       1u
#define MNT_DETACH      2u
#define UMOUNT_NOFOLLOW 8u
#define UMOUNT_KNOWN    (MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW)

/* An optional string of the program: NULL, or for putname(). */
static int optional_string(vaddr_t addr, char **out)
{
	char *s;

	*out = NULL;
	if (!addr)
		return 0;
	s = getname(addr, true);
	if (IS_ERR(s))
		return (int)PTR_ERR(s);
	*out = s;
	return 0;
}

static int remount(struct dentry *where, uint32_t flags)
{
	struct super_block *sb = where->d_sb;

	if (where != sb->s_root)
		return -EINVAL;
	if (!(flags & MS_RDONLY) && sb_rdonly(sb) && sb->s_magic == V9FS_MAGIC)
		return -EACCES; /* the host shares it read-only */
	mutex_lock(&mount_mutex);
	sb->s_flags = (sb->s_flags & ~MS_KEPT) | (flags & MS_KEPT);
	mutex_unlock(&mount_mutex);
	return 0;
}

/* Takes the reference to where over. */
static int mount_at(const char *type, const char *source, struct dentry *where, uint32_t flags,
                    const char *data)
{
	int err = -EINVAL;

	if (flags & MS_REMOUNT)
		err = remount(where, flags);
	else if (flags & MS_PROPAGATION)
		err = where == where->d_sb->s_root ? 0 : -EINVAL; /* there is one name space only */
	else if (flags & (MS_BIND | MS_MOVE))
		err = -EINVAL; /* a file system is in one place here */
	else if (type)
		return do_mount(type, source, where, flags & MS_KEPT, data);
	dput(where);
	return err;
}

SYSCALL5(mount, vaddr_t, usource, vaddr_t, utarget, vaddr_t, utype, uint32_t, flags, vaddr_t, udata)
{
	char *source = NULL, *type = NULL, *data = NULL;
	struct dentry *where;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	err = optional_string(utype, &type);
	if (!err)
		err = optional_string(usource, &source);
	if (!err)
		err = optional_string(udata, &data);
	if (!err)
		err = user_path_at(AT_FDCWD, utarget, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &where);
	if (!err)
		err = mount_at(type, source, where, flags, data);
	putname(data);
	putname(source);
	putname(type);
	return err;
}

SYSCALL2(umount2, vaddr_t, path, uint32_t, flags)
{
	struct super_block *sb = NULL;
	struct dentry *where;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (flags & ~UMOUNT_KNOWN)
		return -EINVAL;
	err = user_path_at(AT_FDCWD, path, flags & UMOUNT_NOFOLLOW ? 0 : LOOKUP_FOLLOW, &where);
	if (err)
		return err;
	if (where == where->d_sb->s_root && where->d_sb->s_mountpoint)
		sb = where->d_sb;
	dput(where);
	return sb ? vfs_umount(sb) : -EINVAL;
}

/* --- extended attributes ---------------------------------------------------------------------------------------- */

/* What a call answers once the file is known to exist. */
static int64_t xattr_path(vaddr_t path, unsigned lookup, int64_t answer)
{
	struct dentry *dentry;
	int err = user_path_at(AT_FDCWD, path, lookup, &dentry);

	if (err)
		return err;
	dput(dentry);
	return answer;
}

static int64_t xattr_fd(int fd, int64_t answer)
{
	struct fd f = fdget(fd);

	if (!f.file)
		return -EBADF;
	fdput(f);
	return answer;
}

SYSCALL4(getxattr, vaddr_t, path, vaddr_t, name UNUSED, vaddr_t, value UNUSED, size_t, size UNUSED)
{
	return xattr_path(path, LOOKUP_FOLLOW, -ENODATA);
}

SYSCALL4(lgetxattr, vaddr_t, path, vaddr_t, name UNUSED, vaddr_t, value UNUSED, size_t, size UNUSED)
{
	return xattr_path(path, 0, -ENODATA);
}

SYSCALL4(fgetxattr, int, fd, vaddr_t, name UNUSED, vaddr_t, value UNUSED, size_t, size UNUSED)
{
	return xattr_fd(fd, -ENODATA);
}

SYSCALL5(setxattr, vaddr_t, path, vaddr_t, name UNUSED, vaddr_t, value UNUSED, size_t, size UNUSED,
         uint32_t, flags UNUSED)
{
	return xattr_path(path, LOOKUP_FOLLOW, -ENOTSUP);
}

SYSCALL5(lsetxattr, vaddr_t, path, vaddr_t, name UNUSED, vaddr_t, value UNUSED, size_t, size UNUSED,
         uint32_t, flags UNUSED)
{
	return xattr_path(path, 0, -ENOTSUP);
}

SYSCALL5(fsetxattr, int, fd, vaddr_t, name UNUSED, vaddr_t, value UNUSED, size_t, size UNUSED,
         uint32_t, flags UNUSED)
{
	return xattr_fd(fd, -ENOTSUP);
}

SYSCALL3(listxattr, vaddr_t, path, vaddr_t, list UNUSED, size_t, size UNUSED)
{
	return xattr_path(path, LOOKUP_FOLLOW, 0);
}

SYSCALL3(llistxattr, vaddr_t, path, vaddr_t, list UNUSED, size_t, size UNUSED)
{
	return xattr_path(path, 0, 0);
}

SYSCALL3(flistxattr, int, fd, vaddr_t, list UNUSED, size_t, size UNUSED)
{
	return xattr_fd(fd, 0);
}

SYSCALL2(removexattr, vaddr_t, path, vaddr_t, name UNUSED)
{
	return xattr_path(path, LOOKUP_FOLLOW, -ENODATA);
}

SYSCALL2(lremovexattr, vaddr_t, path, vaddr_t, name UNUSED)
{
	return xattr_path(path, 0, -ENODATA);
}

SYSCALL2(fremovexattr, int, fd, vaddr_t, name UNUSED)
{
	return xattr_fd(fd, -ENODATA);
}
