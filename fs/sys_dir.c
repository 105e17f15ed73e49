/*
 * sys_dir.c - getdents(2), getcwd(2), chdir(2), chroot(2), umask(2).
 */
#include "fs/internal.h"
#include <quire/slab.h>

/* --- getdents ------------------------------------------------------------------------------------------- */

/*
 * Entries go straight to the program's buffer. d_off of an entry is where the next begins, so it is filled in when that one
 * comes, or at the end.
 */
struct getdents_ctx {
	struct dir_context ctx;
	vaddr_t buf, prev; /* next free byte; the entry before, or 0 */
	size_t left;
	bool old; /* getdents: type behind the name */
	int err;
};

#define DIRENT_OFF      8
#define DIRENT_LEN      16
#define DIRENT_HEAD     19 /* struct linux_dirent64 up to the name */
#define DIRENT_OLD_HEAD 18

static int put_entry(struct getdents_ctx *g, const char *name, size_t len, uint64_t ino,
                     unsigned type, size_t reclen)
{
	union {
		char bytes[DIRENT_HEAD + NAME_MAX + 16];
		struct {
			uint64_t ino, off;
			uint16_t reclen;
			uint8_t type;
		} __attribute__((packed)) head;
	} e;
	char *text = e.bytes + (g->old ? DIRENT_OLD_HEAD : DIRENT_HEAD);

	e.head.ino = ino;
	e.head.off = 0;
	e.head.reclen = (uint16_t)reclen;
	e.head.type = (uint8_t)type;
	memcpy(text, name, len);
	memset(text + len, 0, reclen - (size_t)(text - e.bytes) - len);
	if (g->old)
		e.bytes[reclen - 1] = (char)type;
	return copy_to_user(g->buf, &e, reclen);
}

static bool getdents_actor(struct dir_context *ctx, const char *name, size_t len, uint64_t pos,
                           uint64_t ino, unsigned type)
{
	struct getdents_ctx *g = container_of(ctx, struct getdents_ctx, ctx);
	size_t reclen = ALIGN_UP((g->old ? DIRENT_OLD_HEAD + 1 : DIRENT_HEAD) + len + 1, (size_t)8);

	if (len > NAME_MAX) {
		g->err = -EIO;
		return false;
	}
	if (reclen > g->left) {
		g->err = g->prev ? 0 : -EINVAL;
		return false;
	}
	if ((g->prev && put_user_u64(g->prev + DIRENT_OFF, pos)) ||
	    put_entry(g, name, len, ino, type, reclen)) {
		g->err = -EFAULT;
		return false;
	}
	g->prev = g->buf;
	g->buf += reclen;
	g->left -= reclen;
	return true;
}

static int64_t getdents_file(struct file *file, struct getdents_ctx *g, size_t size)
{
	struct inode *inode = file->f_inode;
	int err;

	if (!S_ISDIR(inode->i_mode) || !file->f_op->iterate)
		return -ENOTDIR;
	mutex_lock(&file->f_pos_lock);
	g->ctx.pos = (uint64_t)file->f_pos;
	down_read(&inode->i_rwsem);
	err = d_unlinked(file->f_dentry) ? -ENOENT : file->f_op->iterate(file, &g->ctx);
	up_read(&inode->i_rwsem);
	file->f_pos = (int64_t)g->ctx.pos;
	mutex_unlock(&file->f_pos_lock);
	if (g->prev) { /* what went before an error was read */
		if (put_user_u64(g->prev + DIRENT_OFF, g->ctx.pos))
			return -EFAULT;
		return (int64_t)(size - g->left);
	}
	return err ? err : g->err;
}

static int64_t do_getdents(int fd, vaddr_t buf, uint32_t size, bool old)
{
	struct getdents_ctx g = {
	        .ctx = {.actor = getdents_actor}, .buf = buf, .left = size, .old = old};
	struct fd f = fdget(fd);
	int64_t n;

	if (!f.file)
		return -EBADF;
	n = access_ok(buf, size) ? getdents_file(f.file, &g, size) : -EFAULT;
	fdput(f);
	return n;
}

SYSCALL3(getdents64, int, fd, vaddr_t, buf, uint32_t, size)
{
	return do_getdents(fd, buf, size, false);
}

SYSCALL3(getdents, int, fd, vaddr_t, buf, uint32_t, size)
{
	return do_getdents(fd, buf, size, true);
}

/* --- where a task is -------------------------------------------------------------------------------------- */

SYSCALL2(getcwd, vaddr_t, buf, size_t, size)
{
	struct dentry *pwd = fs_get_pwd(current->fs);
	char *page = kmalloc(PATH_MAX, GFP_KERNEL), *path;
	int64_t n = -ENOMEM;

	if (page) {
		path = d_unlinked(pwd) ? ERR_PTR(-ENOENT) : d_path(pwd, page, PATH_MAX);
		if (IS_ERR(path)) {
			n = PTR_ERR(path);
		} else {
			n = (int64_t)strlen(path) + 1;
			if ((size_t)n > size)
				n = -ERANGE;
			else if (copy_to_user(buf, path, (size_t)n))
				n = -EFAULT;
		}
	}
	kfree(page);
	dput(pwd);
	return n;
}

SYSCALL1(chdir, vaddr_t, path)
{
	struct dentry *dentry;
	int err = user_path_at(AT_FDCWD, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &dentry);

	if (err)
		return err;
	err = inode_permission(dentry, MAY_EXEC);
	if (!err)
		fs_set_pwd(current->fs, dentry);
	dput(dentry);
	return err;
}

SYSCALL1(fchdir, int, fd)
{
	struct fd f = fdget_raw(fd);
	int err;

	if (!f.file)
		return -EBADF;
	err = d_is_dir(f.file->f_dentry) ? inode_permission(f.file->f_dentry, MAY_EXEC) : -ENOTDIR;
	if (!err)
		fs_set_pwd(current->fs, f.file->f_dentry);
	fdput(f);
	return err;
}

SYSCALL1(chroot, vaddr_t, path)
{
	struct dentry *dentry;
	int err;

	err = user_path_at(AT_FDCWD, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &dentry);
	if (err)
		return err;
	err = inode_permission(dentry, MAY_EXEC);
	if (!err && !capable(CAP_SYS_CHROOT))
		err = -EPERM;
	if (!err)
		fs_set_root(current->fs, dentry);
	dput(dentry);
	return err;
}

SYSCALL1(umask, uint32_t, mask)
{
	struct fs_struct *fs = current->fs;
	uint32_t old;

	spin_lock(&fs->lock);
	old = fs->umask;
	fs->umask = mask & S_IRWXUGO;
	spin_unlock(&fs->lock);
	return old;
}
