/*
 * sys_name.c - making, linking, removing and renaming names.
 *
 * A call finds the directory of the last component, locks it, looks the name up, and asks the file system. A directory that is
 * removed is locked too, so that nothing appears in it meanwhile.
 */
#include "fs/internal.h"
#include <quire/slab.h>

/* --- making --------------------------------------------------------------------------------------------- */

/*
 * The new name, negative, in its directory, which is left locked: make_end(). dir: a trailing slash is allowed.
 */
static struct dentry *make_begin(struct nameidata *nd, int dirfd, const char *name, bool dir)
{
	struct dentry *dentry;
	int err = filename_parent(nd, dirfd, name, 0);

	if (err)
		return ERR_PTR(err);
	if (!nd->last.name || nd->last_dots)
		return ERR_PTR(-EEXIST);
	down_write(&nd->at->d_inode->i_rwsem);
	dentry = lookup_one_locked(nd->at, &nd->last);
	if (IS_ERR(dentry))
		goto fail;
	if (!d_is_negative(dentry))
		err = -EEXIST;
	else if (nd->flags & LOOKUP_DIRECTORY && !dir)
		err = -ENOENT;
	else
		err = may_change_dir(nd->at);
	if (!err)
		return dentry;
	dput(dentry);
	dentry = ERR_PTR(err);
fail:
	up_write(&nd->at->d_inode->i_rwsem);
	return dentry;
}

static void make_end(struct nameidata *nd, struct dentry *dentry)
{
	if (!IS_ERR(dentry)) {
		up_write(&nd->at->d_inode->i_rwsem);
		dput(dentry);
	}
	nd_end(nd);
}

static int create_node(struct inode *dir, struct dentry *dentry, uint32_t mode, uint32_t rdev)
{
	const struct inode_operations *op = dir->i_op;

	if ((S_ISCHR(mode) || S_ISBLK(mode)) && !capable(CAP_MKNOD))
		return -EPERM;
	mode = mode_for_create(dir, mode);
	if (S_ISREG(mode))
		return op->create ? op->create(dir, dentry, mode) : -EPERM;
	return op->mknod ? op->mknod(dir, dentry, mode, rdev) : -EPERM;
}

int vfs_create_at(int dirfd, const char *name, uint32_t mode, uint32_t rdev, struct dentry **out)
{
	struct nameidata nd;
	struct dentry *dentry = make_begin(&nd, dirfd, name, false);
	int err;

	if (IS_ERR(dentry)) {
		err = (int)PTR_ERR(dentry);
	} else {
		err = create_node(nd.at->d_inode, dentry, mode, rdev);
		if (!err && out)
			*out = dget(dentry);
	}
	make_end(&nd, dentry);
	return err;
}

int vfs_mkdir_at(int dirfd, const char *name, uint32_t mode)
{
	struct nameidata nd;
	struct dentry *dentry = make_begin(&nd, dirfd, name, true);
	int err;

	if (IS_ERR(dentry))
		err = (int)PTR_ERR(dentry);
	else if (!nd.at->d_inode->i_op->mkdir)
		err = -EPERM;
	else
		err = nd.at->d_inode->i_op->mkdir(nd.at->d_inode, dentry,
		                                  mode_for_create(nd.at->d_inode, S_IFDIR | mode));
	make_end(&nd, dentry);
	return err;
}

int vfs_symlink_at(const char *target, int dirfd, const char *name)
{
	struct nameidata nd;
	struct dentry *dentry = make_begin(&nd, dirfd, name, false);
	int err;

	if (IS_ERR(dentry))
		err = (int)PTR_ERR(dentry);
	else if (!nd.at->d_inode->i_op->symlink)
		err = -EPERM;
	else
		err = nd.at->d_inode->i_op->symlink(nd.at->d_inode, dentry, target);
	make_end(&nd, dentry);
	return err;
}

/* The count of names is the file's: its own lock guards it, for they may be in many directories. */
static int link_locked(struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	int err = -ENOENT;

	down_write(&old->d_inode->i_rwsem);
	if (old->d_inode->i_nlink ||
	    !d_unlinked(old)) /* not what was removed; a file of O_TMPFILE may */
		err = dir->i_op->link(old, dir, dentry);
	up_write(&old->d_inode->i_rwsem);
	return err;
}

int vfs_link_at(struct dentry *old, int dirfd, const char *name)
{
	struct nameidata nd;
	struct dentry *dentry = make_begin(&nd, dirfd, name, false);
	int err = 0;

	if (IS_ERR(dentry))
		err = (int)PTR_ERR(dentry);
	else if (old->d_sb != dentry->d_sb)
		err = -EXDEV;
	else if (S_ISDIR(old->d_inode->i_mode) || !nd.at->d_inode->i_op->link)
		err = -EPERM;
	else
		err = link_locked(old, nd.at->d_inode, dentry);
	make_end(&nd, dentry);
	return err;
}

static int64_t do_mkdir(int dirfd, vaddr_t path, uint32_t mode)
{
	char *name = getname(path, false);
	int err;

	if (IS_ERR(name))
		return PTR_ERR(name);
	err = vfs_mkdir_at(dirfd, name, mode & (S_IRWXUGO | S_ISVTX) & ~current->fs->umask);
	putname(name);
	return err;
}

SYSCALL2(mkdir, vaddr_t, path, uint32_t, mode)
{
	return do_mkdir(AT_FDCWD, path, mode);
}

SYSCALL3(mkdirat, int, dirfd, vaddr_t, path, uint32_t, mode)
{
	return do_mkdir(dirfd, path, mode);
}

static int64_t do_mknod(int dirfd, vaddr_t path, uint32_t mode, uint32_t dev)
{
	char *name;
	int err;

	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	if (S_ISDIR(mode))
		return -EPERM;
	if (!S_ISREG(mode) && !S_ISCHR(mode) && !S_ISBLK(mode) && !S_ISFIFO(mode) &&
	    !S_ISSOCK(mode))
		return -EINVAL;
	name = getname(path, false);
	if (IS_ERR(name))
		return PTR_ERR(name);
	err = vfs_create_at(dirfd, name, mode & ~current->fs->umask, new_decode_dev(dev), NULL);
	putname(name);
	return err;
}

SYSCALL3(mknod, vaddr_t, path, uint32_t, mode, uint32_t, dev)
{
	return do_mknod(AT_FDCWD, path, mode, dev);
}

SYSCALL4(mknodat, int, dirfd, vaddr_t, path, uint32_t, mode, uint32_t, dev)
{
	return do_mknod(dirfd, path, mode, dev);
}

static int64_t do_symlink(vaddr_t target, int dirfd, vaddr_t path)
{
	char *from = getname(target, false), *name;
	int64_t err = PTR_ERR(from);

	if (IS_ERR(from))
		return err;
	name = getname(path, false);
	err = IS_ERR(name) ? PTR_ERR(name) : vfs_symlink_at(from, dirfd, name);
	if (!IS_ERR(name))
		putname(name);
	putname(from);
	return err;
}

SYSCALL2(symlink, vaddr_t, target, vaddr_t, path)
{
	return do_symlink(target, AT_FDCWD, path);
}

SYSCALL3(symlinkat, vaddr_t, target, int, dirfd, vaddr_t, path)
{
	return do_symlink(target, dirfd, path);
}

static int64_t do_link(int old_dirfd, vaddr_t old, int dirfd, vaddr_t path, uint32_t flags)
{
	unsigned lookup = flags & AT_SYMLINK_FOLLOW ? LOOKUP_FOLLOW : 0;
	struct dentry *from;
	char *name;
	int64_t err;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH) {
		if (!file_capable(CAP_DAC_READ_SEARCH))
			return -ENOENT;
		lookup |= LOOKUP_EMPTY;
	}
	err = user_path_at(old_dirfd, old, lookup, &from);
	if (err)
		return err;
	name = getname(path, false);
	err = IS_ERR(name) ? PTR_ERR(name) : vfs_link_at(from, dirfd, name);
	if (!IS_ERR(name))
		putname(name);
	dput(from);
	return err;
}

SYSCALL2(link, vaddr_t, old, vaddr_t, path)
{
	return do_link(AT_FDCWD, old, AT_FDCWD, path, 0);
}

SYSCALL5(linkat, int, old_dirfd, vaddr_t, old, int, dirfd, vaddr_t, path, uint32_t, flags)
{
	return do_link(old_dirfd, old, dirfd, path, flags);
}

/* --- removing ------------------------------------------------------------------------------------------------ */

static int may_delete(struct dentry *parent, struct dentry *dentry, bool dir)
{
	int err;

	if (d_is_negative(dentry))
		return -ENOENT;
	err = may_remove_name(parent, dentry);
	if (err)
		return err;
	if (dir && !d_is_dir(dentry))
		return -ENOTDIR;
	if (!dir && d_is_dir(dentry))
		return -EISDIR;
	return dentry->d_mounted ? -EBUSY : 0;
}

static int unlink_locked(struct dentry *parent, struct dentry *dentry)
{
	struct inode *dir = parent->d_inode;
	int err = may_delete(parent, dentry, false);

	if (err)
		return err;
	if (!dir->i_op->unlink)
		return -EPERM;
	down_write(&dentry->d_inode->i_rwsem);
	err = dir->i_op->unlink(dir, dentry);
	if (!err)
		d_delete(dentry);
	up_write(&dentry->d_inode->i_rwsem);
	return err;
}

static int rmdir_locked(struct dentry *parent, struct dentry *dentry)
{
	struct inode *dir = parent->d_inode;
	int err = may_delete(parent, dentry, true);

	if (err)
		return err;
	if (!dir->i_op->rmdir)
		return -EPERM;
	down_write(&dentry->d_inode->i_rwsem);
	err = dir->i_op->rmdir(dir, dentry);
	if (!err)
		d_delete(dentry);
	up_write(&dentry->d_inode->i_rwsem);
	return err;
}

static int last_of_unlink(struct nameidata *nd, bool dir)
{
	if (!nd->last.name)
		return dir ? -EBUSY : -EISDIR;
	if (!nd->last_dots)
		return 0;
	return !dir ? -EISDIR : nd->last.len == 1 ? -EINVAL : -ENOTEMPTY;
}

static int64_t do_unlink(int dirfd, vaddr_t path, bool dir)
{
	char *name = getname(path, false);
	struct nameidata nd;
	struct dentry *dentry;
	int err;

	if (IS_ERR(name))
		return PTR_ERR(name);
	err = filename_parent(&nd, dirfd, name, 0);
	if (!err)
		err = last_of_unlink(&nd, dir);
	if (err)
		goto out;
	down_write(&nd.at->d_inode->i_rwsem);
	dentry = lookup_one_locked(nd.at, &nd.last);
	if (IS_ERR(dentry)) {
		err = (int)PTR_ERR(dentry);
	} else {
		if (!dir && nd.flags & LOOKUP_DIRECTORY && !d_is_negative(dentry) &&
		    !d_is_dir(dentry))
			err = -ENOTDIR;
		else
			err = dir ? rmdir_locked(nd.at, dentry) : unlink_locked(nd.at, dentry);
	}
	up_write(&nd.at->d_inode->i_rwsem);
	if (!IS_ERR(dentry))
		dput(dentry); /* pages of the file go here, with nothing locked */
out:
	nd_end(&nd);
	putname(name);
	return err;
}

SYSCALL1(unlink, vaddr_t, path)
{
	return do_unlink(AT_FDCWD, path, false);
}

SYSCALL1(rmdir, vaddr_t, path)
{
	return do_unlink(AT_FDCWD, path, true);
}

SYSCALL3(unlinkat, int, dirfd, vaddr_t, path, uint32_t, flags)
{
	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	return do_unlink(dirfd, path, flags & AT_REMOVEDIR);
}

/* --- renaming ------------------------------------------------------------------------------------------------ */

static void lock_dirs(struct dentry *a, struct dentry *b)
{
	if (a == b) {
		down_write(&a->d_inode->i_rwsem);
		return;
	}
	mutex_lock(&a->d_sb->s_vfs_rename_mutex);
	if (d_is_ancestor(b, a) || (!d_is_ancestor(a, b) && a > b)) {
		struct dentry *t = a;

		a = b;
		b = t;
	}
	down_write(&a->d_inode->i_rwsem);
	down_write(&b->d_inode->i_rwsem);
}

static void unlock_dirs(struct dentry *a, struct dentry *b)
{
	up_write(&a->d_inode->i_rwsem);
	if (a == b)
		return;
	up_write(&b->d_inode->i_rwsem);
	mutex_unlock(&a->d_sb->s_vfs_rename_mutex);
}

/*
 * Both names go from their directories, or the second comes into being; a directory with another parent is written to itself,
 * for its "..".
 */
static int may_move(struct dentry *from_dir, struct dentry *to_dir, struct dentry *from,
                    struct dentry *to, bool exchange)
{
	int err = may_remove_name(from_dir, from);

	if (!err)
		err = d_is_negative(to) ? may_change_dir(to_dir) : may_remove_name(to_dir, to);
	if (!err && from_dir != to_dir && d_is_dir(from))
		err = inode_permission(from, MAY_WRITE);
	if (!err && from_dir != to_dir && exchange && d_is_dir(to))
		err = inode_permission(to, MAY_WRITE);
	return err;
}

/* Both looked up, directories locked: may it be? 1: they are the same file and nothing is to be done. */
static int may_rename(struct nameidata *f, struct nameidata *t, struct dentry *from,
                      struct dentry *to, unsigned flags)
{
	bool exchange = flags & RENAME_EXCHANGE;
	int err;

	if (d_is_negative(from) || (exchange && d_is_negative(to)))
		return -ENOENT;
	if (sb_rdonly(from->d_sb))
		return -EROFS;
	if (flags & RENAME_NOREPLACE && !d_is_negative(to))
		return -EEXIST;
	if (from->d_mounted || to->d_mounted)
		return -EBUSY;
	if (!d_is_dir(from) && f->flags & LOOKUP_DIRECTORY)
		return -ENOTDIR;
	if (t->flags & LOOKUP_DIRECTORY && (exchange ? !d_is_dir(to) : !d_is_dir(from)))
		return -ENOTDIR;
	if (d_is_dir(from) && d_is_ancestor(from, t->at))
		return -EINVAL;
	if (!d_is_negative(to) && d_is_ancestor(to, f->at))
		return exchange ? -EINVAL : -ENOTEMPTY;
	if (to->d_inode == from->d_inode)
		return 1;
	err = may_move(f->at, t->at, from, to, exchange);
	if (err || d_is_negative(to) || exchange)
		return err;
	if (d_is_dir(from) != d_is_dir(to))
		return d_is_dir(from) ? -ENOTDIR : -EISDIR;
	return 0;
}

static int rename_locked(struct nameidata *f, struct nameidata *t, struct dentry *from,
                         struct dentry *to, unsigned flags)
{
	struct inode *from_dir = f->at->d_inode, *to_dir = t->at->d_inode;
	bool victim = !d_is_negative(to) && !(flags & RENAME_EXCHANGE);
	int err = may_rename(f, t, from, to, flags);

	if (err)
		return err < 0 ? err : 0;
	if (!from_dir->i_op->rename)
		return -EPERM;
	if (victim)
		down_write(&to->d_inode->i_rwsem);
	err = from_dir->i_op->rename(from_dir, from, to_dir, to, flags);
	if (!err && flags & RENAME_EXCHANGE)
		d_exchange(from, to);
	else if (!err)
		d_move(from, to);
	if (victim)
		up_write(&to->d_inode->i_rwsem);
	return err;
}

static int rename_parents(struct nameidata *f, struct nameidata *t, unsigned flags)
{
	struct dentry *from, *to;
	int err;

	if (f->at->d_sb != t->at->d_sb)
		return -EXDEV;
	if (!f->last.name || f->last_dots)
		return -EBUSY;
	if (!t->last.name || t->last_dots)
		return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	lock_dirs(f->at, t->at);
	from = lookup_one_locked(f->at, &f->last);
	to = IS_ERR(from) ? from : lookup_one_locked(t->at, &t->last);
	err = IS_ERR(to) ? (int)PTR_ERR(to) : rename_locked(f, t, from, to, flags);
	unlock_dirs(f->at, t->at);
	if (!IS_ERR(from)) {
		dput(from);
		if (!IS_ERR(to))
			dput(to);
	}
	return err;
}

/* Two name walks need 1.4 KB of state: not on the stack. */
static int64_t do_rename(int from_fd, vaddr_t from, int to_fd, vaddr_t to, uint32_t flags)
{
	struct nameidata *nd;
	char *from_name, *to_name;
	int64_t err = -ENOMEM;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    (flags & RENAME_NOREPLACE && flags & RENAME_EXCHANGE))
		return -EINVAL;
	from_name = getname(from, false);
	if (IS_ERR(from_name))
		return PTR_ERR(from_name);
	to_name = getname(to, false);
	if (IS_ERR(to_name)) {
		err = PTR_ERR(to_name);
		goto out_from;
	}
	nd = kzalloc(2 * sizeof(*nd), GFP_KERNEL);
	if (!nd)
		goto out_to;
	err = filename_parent(&nd[0], from_fd, from_name, 0);
	if (!err)
		err = filename_parent(&nd[1], to_fd, to_name, 0);
	if (!err)
		err = rename_parents(&nd[0], &nd[1], flags);
	nd_end(&nd[0]);
	nd_end(&nd[1]);
	kfree(nd);
out_to:
	putname(to_name);
out_from:
	putname(from_name);
	return err;
}

SYSCALL2(rename, vaddr_t, from, vaddr_t, to)
{
	return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}

SYSCALL4(renameat, int, from_fd, vaddr_t, from, int, to_fd, vaddr_t, to)
{
	return do_rename(from_fd, from, to_fd, to, 0);
}

SYSCALL5(renameat2, int, from_fd, vaddr_t, from, int, to_fd, vaddr_t, to, uint32_t, flags)
{
	return do_rename(from_fd, from, to_fd, to, flags);
}
