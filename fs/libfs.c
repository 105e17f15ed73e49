/*
 * libfs.c - file systems that are nothing but their dentries: what proc, dev and tmpfs are made of.
 *
 * A name exists when its dentry is pinned (DCACHE_PINNED, one reference). The directory is the list of
 * pinned children; a place in it is d_pos, which grows, so that a reader's position means the same
 * whatever came and went in between.
 */
#include "fs/internal.h"
#include <quire/slab.h>

/* --- reading directories ------------------------------------------------------------------------------ */

bool dir_emit_dots(struct file *file, struct dir_context *ctx)
{
	struct dentry *d = file->f_dentry;

	if (ctx->pos == 0) {
		if (!dir_emit(ctx, ".", 1, d->d_inode->i_ino, DT_DIR))
			return false;
		ctx->pos = 1;
	}
	if (ctx->pos == 1) {
		if (!dir_emit(ctx, "..", 2, d->d_parent->d_inode->i_ino, DT_DIR))
			return false;
		ctx->pos = 2;
	}
	return true;
}

/* The pinned child with the lowest place from pos on, with a reference. prev: one that was found before, or NULL. */
static struct dentry *next_positive(struct dentry *dir, struct dentry *prev, uint64_t pos)
{
	struct list_head *p = &dir->d_subdirs;
	struct dentry *d, *found = NULL;

	spin_lock(&dcache_lock);
	if (prev && prev->d_parent == dir && !list_empty(&prev->d_child) && prev->d_pos < pos)
		p = &prev->d_child;
	for (p = p->prev; p != &dir->d_subdirs; p = p->prev) {
		d = list_entry(p, struct dentry, d_child);
		if (d->d_pos >= pos && d->d_flags & DCACHE_PINNED && d->d_inode &&
		    !(d->d_flags & DCACHE_UNHASHED)) {
			found = dget(d);
			break;
		}
	}
	spin_unlock(&dcache_lock);
	return found;
}

int dcache_readdir(struct file *file, struct dir_context *ctx)
{
	struct dentry *dir = file->f_dentry, *prev = NULL, *d;

	if (!dir_emit_dots(file, ctx))
		return 0;
	while ((d = next_positive(dir, prev, ctx->pos))) {
		bool room;

		dput(prev);
		prev = d;
		ctx->pos = MAX(d->d_pos, 2);
		room = dir_emit(ctx, d->d_name.name, d->d_name.len, d->d_inode->i_ino,
		                S_DT(d->d_inode->i_mode));
		if (!room)
			break;
		ctx->pos = d->d_pos + 1;
	}
	dput(prev);
	return 0;
}

static struct inode *simple_lookup(struct inode *dir, struct dentry *dentry)
{
	(void)dir;
	(void)dentry;
	return NULL;
}

const struct inode_operations simple_dir_inode_operations = {.lookup = simple_lookup};
const struct file_operations simple_dir_operations = {.iterate = dcache_readdir};
static const struct inode_operations simple_inode_operations;

/* --- making and removing ---------------------------------------------------------------------------------- */

static struct inode *simple_inode(struct super_block *sb, uint32_t mode)
{
	struct inode *inode = new_inode(sb, mode, NULL);

	if (!inode)
		return NULL;
	inode->i_ino = get_next_ino();
	inode->i_op = &simple_inode_operations;
	if (S_ISDIR(mode)) {
		inode->i_op = &simple_dir_inode_operations;
		inode->i_fop = &simple_dir_operations;
		inode->i_nlink = 2;
	}
	return inode;
}

/* parent is pinned, so its name cannot go; a name that was looked up before it existed is replaced. */
static struct dentry *simple_add(struct dentry *parent, const char *name, struct inode *inode)
{
	struct qstr q = qstr_init(name, strlen(name));
	struct dentry *dentry, *old;

	if (!inode)
		return NULL;
	dentry = d_alloc(parent, &q);
	if (!dentry) {
		iput(inode);
		return NULL;
	}
	down_write(&parent->d_inode->i_rwsem);
	spin_lock(&dcache_lock);
	old = __d_lookup(parent, &q);
	if (old)
		dget_locked(old);
	spin_unlock(&dcache_lock);
	if (old)
		d_drop(old);
	dentry->d_flags |= DCACHE_PINNED;
	d_add(dentry, inode);
	if (S_ISDIR(inode->i_mode))
		parent->d_inode->i_nlink++;
	up_write(&parent->d_inode->i_rwsem);
	dput(old);
	return dentry;
}

struct dentry *simple_mkdir(struct dentry *parent, const char *name, uint32_t mode)
{
	return simple_add(parent, name, simple_inode(parent->d_sb, S_IFDIR | mode));
}

struct dentry *simple_create(struct dentry *parent, const char *name, uint32_t mode,
                             const struct file_operations *fops, void *i_private)
{
	struct inode *inode = simple_inode(parent->d_sb, mode & S_IFMT ? mode : S_IFREG | mode);

	if (inode) {
		inode->i_fop = fops;
		inode->i_private = i_private;
	}
	return simple_add(parent, name, inode);
}

/* i_link is freed by simple_evict_inode, the evict_inode of simple file systems. */
struct dentry *simple_symlink(struct dentry *parent, const char *name, const char *target)
{
	struct inode *inode = simple_inode(parent->d_sb, S_IFLNK | S_IRWXUGO);

	if (inode) {
		inode->i_link = kstrdup(target, GFP_KERNEL);
		i_size_write(inode, strlen(target));
		if (!inode->i_link) {
			iput(inode);
			inode = NULL;
		}
	}
	return simple_add(parent, name, inode);
}

struct dentry *simple_mknod(struct dentry *parent, const char *name, uint32_t mode, uint32_t rdev)
{
	struct inode *inode = simple_inode(parent->d_sb, mode);

	if (inode)
		init_special_inode(inode, mode, rdev);
	return simple_add(parent, name, inode);
}

void simple_remove(struct dentry *dentry)
{
	struct inode *dir = dentry->d_parent->d_inode;

	d_genocide(dentry);
	if (d_is_dir(dentry))
		dir->i_nlink--;
	spin_lock(&dcache_lock);
	dentry->d_flags &= ~DCACHE_PINNED;
	spin_unlock(&dcache_lock);
	d_drop(dentry);
	dput(dentry);
}

void simple_evict_inode(struct inode *inode)
{
	kfree(inode->i_link);
}

int simple_statfs(struct super_block *sb, struct kstatfs *buf)
{
	*buf = (struct kstatfs){.type = sb->s_magic, .bsize = PAGE_SIZE, .namelen = NAME_MAX};
	return 0;
}

int simple_fill_super(struct super_block *sb, uint64_t magic, const struct super_operations *ops)
{
	static const struct super_operations simple_ops = {.statfs = simple_statfs,
	                                                   .evict_inode = simple_evict_inode};
	struct inode *inode;

	sb->s_magic = magic;
	sb->s_op = ops ? ops : &simple_ops;
	inode = simple_inode(sb, S_IFDIR | 0755);
	if (!inode)
		return -ENOMEM;
	sb->s_root = d_make_root(inode);
	return sb->s_root ? 0 : -ENOMEM;
}
