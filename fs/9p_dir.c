/*
 * 9p_dir.c - directories of a 9P share: finding, making, removing and listing names.
 *
 * A name costs two round trips the first time (walk, attributes), and none for a second after. An
 * absent name costs one, and is remembered as long.
 */
#include "fs/9p_fs.h"

#include "kernel/task.h"
#include "lib/string.h"
#include <quire/frame.h>
#include <quire/slab.h>

static struct p9_fid *dir_fid(struct dentry *dentry)
{
	return dentry_fid(dentry->d_parent);
}

/*
 * The inode of what was walked to. For directories and symlinks the walk has told enough: what else
 * there is to know is asked when stat(2) wants it.
 */
static struct inode *walked_inode(struct super_block *sb, struct p9_fid *fid,
                                  const struct p9_qid *qid)
{
	struct p9_attr attr;
	int err;

	if (qid->type & (P9_QTDIR | P9_QTSYMLINK))
		return p9_iget_lazy(sb, qid);
	err = p9_getattr(fid, &attr);
	return err ? ERR_PTR(err) : p9_iget(sb, &attr);
}

static struct inode *p9_lookup(struct inode *dir, struct dentry *dentry)
{
	struct p9_fid *fid;
	struct p9_qid qid;
	struct inode *inode;

	p9_believe(dentry);
	if (!dir_fid(dentry))
		return NULL;
	fid = p9_walk(dir_fid(dentry), dentry->d_name.name, dentry->d_name.len, &qid);
	if (IS_ERR(fid))
		return fid == ERR_PTR(-ENOENT) ? NULL : ERR_PTR(PTR_ERR(fid));
	inode = walked_inode(dir->i_sb, fid, &qid);
	if (IS_ERR(inode))
		p9_fid_put(fid);
	else
		dentry->d_fsdata = fid;
	return inode == ERR_PTR(-ENOENT) ? NULL : inode;
}

int p9_instantiate(struct dentry *dentry)
{
	struct inode *dir = dentry->d_parent->d_inode;
	struct inode *inode = p9_lookup(dir, dentry);

	p9_expire_attr(dir);
	if (!inode)
		return -ENOENT; /* the host took it away again */
	if (IS_ERR(inode))
		return (int)PTR_ERR(inode);
	d_instantiate(dentry, inode);
	return 0;
}

/* The host takes set-id bits away with a change of owner: they are set again. */
static int p9_give_away(struct dentry *dentry, uint32_t uid)
{
	struct inode *inode = dentry->d_inode;
	struct iattr owner = {.valid = ATTR_UID, .uid = uid},
	             mode = {.valid = ATTR_MODE, .mode = inode->i_mode};
	int err = p9_setattr(dentry_fid(dentry), &owner);

	if (!err && inode->i_mode & (S_ISUID | S_ISGID) && !S_ISDIR(inode->i_mode))
		err = p9_setattr(dentry_fid(dentry), &mode);
	if (!err)
		inode->i_uid = uid;
	return err;
}

/*
 * A new name, whose file the server has made as root's, if it may: another user's becomes that user's. On a host where files
 * cannot be given away it stays the server's.
 */
static int p9_made(struct dentry *dentry)
{
	uint32_t uid = file_cred()->fsuid;
	int err = p9_instantiate(dentry);

	if (err || uid == 0)
		return err;
	err = p9_give_away(dentry, uid);
	return err == -EPERM ? 0 : err;
}

/* --- making ----------------------------------------------------------------------------------- */

/* The server opens what it creates: keep that fid for the open that follows. */
static int p9_create(struct inode *dir, struct dentry *dentry, uint32_t mode)
{
	struct p9_fid *fid = p9_walk(dir_fid(dentry), NULL, 0, NULL);
	struct p9_inode *p9i;
	int err;

	if (IS_ERR(fid))
		return (int)PTR_ERR(fid);
	err = p9_lcreate(fid, dentry->d_name.name, dentry->d_name.len, O_RDWR | O_CREAT | O_EXCL,
	                 mode & S_IALLUGO, gid_for_create(dir));
	if (!err)
		err = p9_made(dentry);
	if (err) {
		p9_fid_put(fid);
		return err;
	}
	p9i = P9_I(dentry->d_inode);
	mutex_lock(&p9i->lock);
	if (!p9i->rfid)
		p9i->rfid = p9_fid_get(fid);
	if (!p9i->wfid)
		p9i->wfid = p9_fid_get(fid);
	mutex_unlock(&p9i->lock);
	p9_fid_put(fid);
	return 0;
}

static int p9_mknod_op(struct inode *dir, struct dentry *dentry, uint32_t mode, uint32_t rdev)
{
	int err;

	if (S_ISREG(mode))
		return p9_create(dir, dentry, mode);
	err = p9_mknod(dir_fid(dentry), dentry->d_name.name, dentry->d_name.len, mode, rdev,
	               gid_for_create(dir));
	return err ? err : p9_made(dentry);
}

static int p9_mkdir_op(struct inode *dir, struct dentry *dentry, uint32_t mode)
{
	int err = p9_mkdir(dir_fid(dentry), dentry->d_name.name, dentry->d_name.len, mode,
	                   gid_for_create(dir));

	return err ? err : p9_made(dentry);
}

static int p9_symlink_op(struct inode *dir, struct dentry *dentry, const char *target)
{
	int err = p9_symlink(dir_fid(dentry), dentry->d_name.name, dentry->d_name.len, target,
	                     gid_for_create(dir));

	return err ? err : p9_made(dentry);
}

static int p9_link_op(struct dentry *old, struct inode *dir UNUSED, struct dentry *dentry)
{
	int err =
	        p9_link(dir_fid(dentry), dentry_fid(old), dentry->d_name.name, dentry->d_name.len);

	return err ? err : p9_instantiate(dentry);
}

/* --- removing and renaming -------------------------------------------------------------------- */

static int p9_remove(struct inode *dir, struct dentry *dentry, uint32_t flags)
{
	struct inode *inode = dentry->d_inode;
	int err = p9_unlinkat(dir_fid(dentry), dentry->d_name.name, dentry->d_name.len, flags);

	if (err)
		return err;
	if (inode->i_nlink)
		inode->i_nlink -= S_ISDIR(inode->i_mode) ? inode->i_nlink : 1;
	p9_expire_attr(dir);
	return 0;
}

static int p9_unlink_op(struct inode *dir, struct dentry *dentry)
{
	return p9_remove(dir, dentry, 0);
}

static int p9_rmdir_op(struct inode *dir, struct dentry *dentry)
{
	return p9_remove(dir, dentry, AT_REMOVEDIR);
}

static int p9_rename_op(struct inode *from_dir, struct dentry *from, struct inode *to_dir,
                        struct dentry *to, unsigned flags)
{
	int err;

	/* Trenameat has no flags. NOREPLACE is kept as far as the guest knows. */
	if (flags & ~RENAME_NOREPLACE)
		return -EINVAL;
	if (flags & RENAME_NOREPLACE && to->d_inode)
		return -EEXIST;
	err = p9_renameat(dir_fid(from), &from->d_name, dir_fid(to), &to->d_name);
	if (err)
		return err;
	if (to->d_inode && to->d_inode->i_nlink)
		to->d_inode->i_nlink--;
	p9_expire_attr(from_dir);
	p9_expire_attr(to_dir);
	return 0;
}

const struct inode_operations p9_dir_iops = {
        .lookup = p9_lookup,
        .create = p9_create,
        .mknod = p9_mknod_op,
        .mkdir = p9_mkdir_op,
        .symlink = p9_symlink_op,
        .link = p9_link_op,
        .unlink = p9_unlink_op,
        .rmdir = p9_rmdir_op,
        .rename = p9_rename_op,
        .getattr = p9_getattr_op,
        .setattr = p9_setattr_op,
        .permission = p9_permission,
};

/* --- listing ---------------------------------------------------------------------------------- */

/*
 * A directory's position is the server's cookie plus two, after "." and "..". Some file systems end
 * with the cookie INT64_MAX, which stays.
 */
static uint64_t cookie_to_pos(uint64_t cookie)
{
	return MIN(cookie, (uint64_t)INT64_MAX - 2) + 2;
}

static uint64_t pos_to_cookie(uint64_t pos)
{
	return pos == INT64_MAX ? INT64_MAX : pos - 2;
}

#define DIR_BUF_ORDER 2

/* One entry of Rreaddir: qid[13] offset[8] type[1] name[s]. */
struct p9_dirent {
	uint64_t ino, cookie;
	uint8_t type;
	const char *name;
	size_t len;
};

/* The entry at p; the bytes it takes, or 0 when it is cut off. */
static size_t parse_dirent(const uint8_t *p, size_t left, struct p9_dirent *d)
{
	uint16_t len;

	if (left < 24)
		return 0;
	memcpy(&d->ino, p + 5, 8);
	memcpy(&d->cookie, p + 13, 8);
	d->type = p[21];
	memcpy(&len, p + 22, 2);
	if (len > left - 24)
		return 0;
	d->len = len;
	d->name = (const char *)p + 24;
	return 24u + len;
}

static bool is_dots(const struct p9_dirent *d)
{
	return (d->len == 1 && d->name[0] == '.') ||
	       (d->len == 2 && d->name[0] == '.' && d->name[1] == '.');
}

/* 1: all of the buffer went out; 0: the caller's is full; -EIO. */
static int emit_entries(struct dir_context *ctx, const uint8_t *buf, size_t n)
{
	for (size_t at = 0; at < n;) {
		struct p9_dirent d;
		size_t size = parse_dirent(buf + at, n - at, &d);

		if (size == 0 || d.len == 0 || d.len > NAME_MAX || memchr(d.name, '/', d.len))
			return -EIO;
		if (!is_dots(&d) && !dir_emit(ctx, d.name, d.len, d.ino, d.type))
			return 0;
		ctx->pos = cookie_to_pos(d.cookie);
		at += size;
	}
	return 1;
}

static int64_t read_entries(struct p9_fid *fid, uint64_t pos, void *buf, uint32_t size)
{
	struct p9_req *req = p9_io_new(fid, P9_TREADDIR, 1);

	if (!req)
		return -ENOMEM;
	p9_io_add(req, virt_to_phys(buf), size);
	return p9_io(req, pos_to_cookie(pos));
}

/*
 * private_data is the position where the end was seen, so that the reader's last, empty call asks
 * nobody.
 */
static int p9_iterate(struct file *file, struct dir_context *ctx)
{
	struct p9_fid *fid = P9_I(file->f_inode)->rfid;
	unsigned order = DIR_BUF_ORDER;
	void *buf;
	int more = 1;

	if (ctx->pos == 0)
		file->private_data = NULL;
	if (!dir_emit_dots(file, ctx) || ctx->pos == (uint64_t)(uintptr_t)file->private_data)
		return 0;
	buf = __get_free_pages(GFP_NOWAIT | __GFP_NOWARN, order);
	if (!buf)
		buf = __get_free_pages(GFP_KERNEL, order = 0);
	if (!buf)
		return -ENOMEM;
	while (more > 0) {
		int64_t n = read_entries(fid, ctx->pos, buf, (uint32_t)PAGE_SIZE << order);

		if (n <= 0) {
			if (n == 0)
				file->private_data = (void *)(uintptr_t)ctx->pos;
			more = (int)n;
			break;
		}
		more = emit_entries(ctx, buf, (size_t)n);
	}
	free_pages(buf, order);
	return more;
}

/* One open directory for all who list it: each read says where it starts. */
static int p9_dir_open(struct inode *inode, struct file *file)
{
	struct p9_inode *p9i = P9_I(inode);
	struct p9_fid *fid;
	int err = 0;

	mutex_lock(&p9i->lock);
	if (p9i->rfid)
		goto out;
	fid = p9_walk(dentry_fid(file->f_dentry), NULL, 0, NULL);
	if (IS_ERR(fid)) {
		err = (int)PTR_ERR(fid);
		goto out;
	}
	err = p9_lopen(fid, O_RDONLY | O_DIRECTORY);
	if (err)
		p9_fid_put(fid);
	else
		p9i->rfid = fid;
out:
	mutex_unlock(&p9i->lock);
	return err;
}

static int p9_dir_fsync(struct file *file, uint64_t start UNUSED, uint64_t end UNUSED,
                        bool datasync)
{
	return p9_fsync(P9_I(file->f_inode)->rfid, datasync);
}

const struct file_operations p9_dir_fops = {
        .open = p9_dir_open,
        .iterate = p9_iterate,
        .fsync = p9_dir_fsync,
};
