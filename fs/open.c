/*
 * open.c - opening a name, O_CREAT and O_TRUNC included.
 */
#include "fs/internal.h"
#include <quire/slab.h>

/* Flags that describe the act of opening, not the open file. */
#define O_OPENING (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC)

int do_truncate(struct dentry *dentry, uint64_t size, unsigned attr, struct file *file)
{
	struct iattr ia = {.valid = ATTR_SIZE | ATTR_MTIME | attr, .size = size, .file = file};

	if ((int64_t)size < 0)
		return -EINVAL;
	if (size > file_size_limit()) {
		send_signal(SIGXFSZ, current);
		return -EFBIG;
	}
	return notify_change(dentry, &ia);
}

static unsigned open_mask(uint32_t flags)
{
	static const uint8_t mask[4] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE,
	                                MAY_READ | MAY_WRITE};

	return mask[flags & O_ACCMODE] | (flags & O_TRUNC ? MAY_WRITE : 0);
}

/* A file that was made by this very open is open as asked, whatever its mode. */
static int may_open(struct dentry *dentry, uint32_t flags, bool created)
{
	uint32_t mode = dentry->d_inode->i_mode;
	int err;

	if (flags & O_PATH)
		return 0;
	if (S_ISLNK(mode))
		return -ELOOP;
	if (S_ISDIR(mode) && (flags & O_CREAT || open_mask(flags) & MAY_WRITE))
		return -EISDIR;
	if (S_ISSOCK(mode))
		return -ENXIO;
	if ((S_ISCHR(mode) || S_ISBLK(mode)) && dentry->d_sb->s_flags & MS_NODEV)
		return -EACCES;
	err = inode_permission(dentry, created ? 0 : open_mask(flags));
	if (!err && flags & O_NOATIME && !inode_owner_or_capable(dentry->d_inode))
		err = -EPERM;
	return err;
}

/* dentry's reference stays the caller's. */
static struct file *finish_open(struct dentry *dentry, uint32_t flags, bool created)
{
	struct file *file;
	int err = may_open(dentry, flags, created);

	if (err)
		return ERR_PTR(err);
	if (flags & O_TRUNC && !created && S_ISREG(dentry->d_inode->i_mode) && !(flags & O_PATH)) {
		err = do_truncate(dentry, 0, ATTR_OPEN, NULL);
		if (err)
			return ERR_PTR(err);
	}
	file = dentry_open(dentry, flags & ~(O_OPENING & ~(O_NOCTTY | O_TRUNC)));
	if (!IS_ERR(file))
		atomic_fetch_and(&file->f_flags, ~O_OPENING);
	return file;
}

static struct file *open_tmpfile(int dirfd, const char *name, uint32_t flags, uint32_t mode)
{
	struct file *file = ERR_PTR(-ENOMEM);
	struct dentry *dir, *dentry;
	struct inode *inode;
	int err;

	if (!(open_mask(flags) & MAY_WRITE))
		return ERR_PTR(-EINVAL);
	err = filename_lookup(dirfd, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &dir);
	if (err)
		return ERR_PTR(err);
	err = may_change_dir(dir);
	if (err)
		inode = ERR_PTR(err);
	else if (!dir->d_inode->i_op->tmpfile)
		inode = ERR_PTR(-ENOTSUP);
	else
		inode = dir->d_inode->i_op->tmpfile(
		        dir->d_inode, mode_for_create(dir->d_inode, S_IFREG | (mode & S_IALLUGO)));
	if (IS_ERR(inode)) {
		dput(dir);
		return (struct file *)inode;
	}
	dentry = d_alloc_pseudo(dir->d_sb, "#tmpfile");
	if (dentry) {
		dentry->d_inode = inode;
		file = dentry_open(dentry, flags & ~(O_TMPFILE | O_CREAT));
		dput(dentry);
	} else {
		iput(inode);
	}
	dput(dir);
	return file;
}

/* The name is absent, its directory locked: make it. */
static int create_locked(struct nameidata *nd, struct dentry *dentry, uint32_t mode)
{
	struct inode *dir = nd->at->d_inode;
	int err;

	if (nd->flags & LOOKUP_DIRECTORY)
		return -EISDIR;
	err = may_change_dir(nd->at);
	if (err)
		return err;
	if (!dir->i_op->create)
		return -EACCES;
	return dir->i_op->create(dir, dentry, mode_for_create(dir, S_IFREG | (mode & S_IALLUGO)));
}

/* The last component with O_CREAT, in its directory: *created says if it is new. ERR_PTR. */
static struct dentry *lookup_or_create(struct nameidata *nd, uint32_t mode, bool *created)
{
	struct inode *dir = nd->at->d_inode;
	struct dentry *dentry = lookup_one(nd->at, &nd->last);
	int err;

	if (IS_ERR(dentry) || !d_is_negative(dentry))
		return dentry;
	dput(dentry);
	down_write(&dir->i_rwsem);
	dentry = lookup_one_locked(nd->at, &nd->last);
	if (!IS_ERR(dentry) && d_is_negative(dentry)) {
		err = create_locked(nd, dentry, mode);
		*created = !err;
		if (err) {
			dput(dentry);
			dentry = ERR_PTR(err);
		}
	}
	up_write(&dir->i_rwsem);
	return dentry;
}

static struct file *open_create(int dirfd, const char *name, uint32_t flags, uint32_t mode)
{
	struct nameidata nd;
	struct file *file;
	struct dentry *dentry;
	int err = filename_parent(&nd, dirfd, name, 0);

	while (!err) {
		bool created = false;

		if (!nd.last.name || nd.last_dots) {
			file = finish_open(nd.at, flags, false);
			goto out;
		}
		dentry = lookup_or_create(&nd, mode, &created);
		if (IS_ERR(dentry)) {
			err = (int)PTR_ERR(dentry);
			break;
		}
		if (!created && flags & O_EXCL) {
			err = -EEXIST;
		} else if (S_ISLNK(dentry->d_inode->i_mode) && !(flags & O_NOFOLLOW)) {
			err = follow_last(&nd, dentry);
			dput(dentry);
			continue;
		} else if (nd.flags & LOOKUP_DIRECTORY && !d_is_dir(dentry)) {
			err = -ENOTDIR;
		}
		file = err ? ERR_PTR(err) : finish_open(dentry, flags, created);
		dput(dentry);
		goto out;
	}
	file = ERR_PTR(err);
out:
	nd_end(&nd);
	return file;
}

struct file *do_filp_open(int dirfd, const char *name, uint32_t flags, uint32_t mode)
{
	unsigned lookup = 0;
	struct dentry *dentry;
	struct file *file;
	int err;

	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return open_tmpfile(dirfd, name, flags, mode);
	if (flags & O_CREAT) {
		if (flags & O_DIRECTORY)
			return ERR_PTR(-EINVAL);
		return open_create(dirfd, name, flags, mode);
	}
	if (!(flags & O_NOFOLLOW))
		lookup |= LOOKUP_FOLLOW;
	if (flags & O_DIRECTORY)
		lookup |= LOOKUP_DIRECTORY;
	err = filename_lookup(dirfd, name, lookup, &dentry);
	if (err)
		return ERR_PTR(err);
	file = finish_open(dentry, flags, false);
	dput(dentry);
	return file;
}

struct file *filp_open(const char *path, uint32_t flags, uint32_t mode)
{
	return do_filp_open(AT_FDCWD, path, flags, mode);
}

static struct file *exec_file(struct dentry *dentry)
{
	int err = 0;

	if (S_ISLNK(dentry->d_inode->i_mode))
		err = -ELOOP;
	else if (!S_ISREG(dentry->d_inode->i_mode) || dentry->d_sb->s_flags & MS_NOEXEC)
		err = -EACCES;
	else
		err = inode_permission(dentry, MAY_EXEC);
	return err ? ERR_PTR(err) : dentry_open(dentry, O_RDONLY);
}

struct file *open_exec(const char *path)
{
	struct dentry *dentry;
	struct file *file;
	int err = kern_path(path, LOOKUP_FOLLOW, &dentry);

	if (err)
		return ERR_PTR(err);
	file = exec_file(dentry);
	dput(dentry);
	return file;
}

struct file *open_exec_at(int dirfd, vaddr_t path, unsigned at_flags)
{
	unsigned lookup = at_flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	struct dentry *dentry;
	struct file *file;
	int err;

	if (at_flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return ERR_PTR(-EINVAL);
	if (at_flags & AT_EMPTY_PATH)
		lookup |= LOOKUP_EMPTY;
	err = user_path_at(dirfd, path, lookup, &dentry);
	if (err)
		return ERR_PTR(err);
	file = exec_file(dentry);
	dput(dentry);
	return file;
}
