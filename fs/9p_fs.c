/*
 * 9p_fs.c - the 9P file system: mounting, inodes, attributes and their age.
 *
 * The host may change its files at any time, so names, absent names and attributes are believed for
 * a second (P9_CACHE_NS) and then asked for again. One Tgetattr on a name's fid proves both that
 * the name is still there and what it is like. An inode is a file of the host by qid.path, so hard
 * links share one; its pages are right as long as qid.version, size and modification time stay, and
 * are dropped when they change.
 *
 * While the guest has a file open for writing the guest's idea of size and contents wins; what was
 * written is on the host when the descriptor is closed or fsync returns.
 *
 * Locks: p9_inode->lock -> invalidate_lock. readpages runs under invalidate_lock and takes neither.
 */
#include "fs/9p_fs.h"

#include "kernel/task.h"
#include "lib/string.h"
#include <quire/slab.h>

static struct kmem_cache *p9_inode_cache;

/* --- inodes ----------------------------------------------------------------------------------- */

static struct inode *p9_alloc_inode(struct super_block *sb UNUSED)
{
	struct p9_inode *p9i = kmem_cache_alloc(p9_inode_cache, GFP_KERNEL | __GFP_ZERO);

	if (!p9i)
		return NULL;
	mutex_init(&p9i->lock);
	return &p9i->vfs;
}

static void p9_free_inode(struct inode *inode)
{
	kmem_cache_free(p9_inode_cache, P9_I(inode));
}

static void p9_evict_inode(struct inode *inode)
{
	struct p9_inode *p9i = P9_I(inode);

	p9_fid_put(p9i->rfid);
	p9_fid_put(p9i->wfid);
	kfree(p9i->target);
}

static void set_ops(struct inode *inode, const struct p9_attr *attr)
{
	if (S_ISREG(attr->mode)) {
		inode->i_op = &p9_file_iops;
		inode->i_fop = &p9_file_fops;
	} else if (S_ISDIR(attr->mode)) {
		inode->i_op = &p9_dir_iops;
		inode->i_fop = &p9_dir_fops;
	} else if (S_ISLNK(attr->mode)) {
		inode->i_op = &p9_link_iops;
	} else {
		inode->i_op = &p9_file_iops;
		init_special_inode(inode, attr->mode, new_decode_dev(attr->rdev));
	}
}

static bool same_type(const struct inode *inode, const struct p9_attr *attr)
{
	return (inode->i_mode & S_IFMT) == (attr->mode & S_IFMT);
}

struct inode *p9_iget(struct super_block *sb, const struct p9_attr *attr)
{
	struct inode *inode = ilookup(sb, attr->qid.path), *found;

	if (inode && same_type(inode, attr)) {
		p9_apply_attr(inode, attr);
		return inode;
	}
	found = inode;
	inode = new_inode(sb, attr->mode, S_ISREG(attr->mode) ? &p9_aops : NULL);
	if (!inode) {
		iput(found);
		return ERR_PTR(-ENOMEM);
	}
	inode->i_ino = inode->i_data.ino = attr->qid.path;
	P9_I(inode)->qid = attr->qid;
	i_size_write(inode, attr->size);
	set_ops(inode, attr);
	p9_apply_attr(inode, attr);
	/*
	 * A number that went to another kind of file: the old inode keeps its place in the table
	 * until it goes.
	 */
	if (!found)
		inode = insert_inode_hash(inode);
	iput(found);
	return inode;
}

struct inode *p9_iget_lazy(struct super_block *sb, const struct p9_qid *qid)
{
	bool is_dir = qid->type & P9_QTDIR;
	struct p9_attr attr = {
	        .qid = *qid,
	        .mode = is_dir ? S_IFDIR | 0755 : S_IFLNK | S_IRWXUGO,
	        .nlink = is_dir ? 2 : 1,
	        .mtime = file_time_now(),
	};
	struct inode *inode = ilookup(sb, qid->path);

	/* A symlink that changed is another file, or would have another version. */
	if (inode && same_type(inode, &attr) && P9_I(inode)->qid.version == qid->version)
		return inode;
	iput(inode);
	inode = p9_iget(sb, &attr);
	if (!IS_ERR(inode)) {
		WRITE_ONCE(P9_I(inode)->guessed, true);
		p9_expire_attr(inode);
	}
	return inode;
}

/* --- attributes ------------------------------------------------------------------------------- */

/*
 * The host's file changed behind our back: forget its pages, also those that are mapped, but not
 * the private copies that programs have made of them.
 */
static void drop_pages(struct inode *inode, uint64_t new_size)
{
	struct address_space *mapping = inode->i_mapping;
	uint64_t old_size = i_size_read(inode);

	down_write(&mapping->invalidate_lock);
	i_size_write(inode, new_size);
	truncate_pagecache_range(mapping, 0, PAGE_ALIGN(MAX(old_size, new_size)));
	up_write(&mapping->invalidate_lock);
}

static void update_data(struct inode *inode, const struct p9_attr *attr)
{
	struct p9_inode *p9i = P9_I(inode);
	bool changed = attr->qid.version != p9i->qid.version || attr->mtime != inode->i_mtime ||
	               attr->size != i_size_read(inode);

	if (p9i->writers)
		return;
	if (!inode->i_mapping)
		i_size_write(inode, attr->size);
	else if (changed && (!p9i->wrote || attr->size != i_size_read(inode)))
		drop_pages(inode, attr->size);
	p9i->wrote = false;
	p9i->qid = attr->qid;
	inode->i_mtime = attr->mtime;
}

void p9_apply_attr(struct inode *inode, const struct p9_attr *attr)
{
	struct p9_inode *p9i = P9_I(inode);

	mutex_lock(&p9i->lock);
	WRITE_ONCE(p9i->guessed, false);
	inode->i_mode = attr->mode;
	inode->i_uid = attr->uid;
	inode->i_gid = attr->gid;
	inode->i_nlink = (uint32_t)attr->nlink;
	if (attr->qid.version != p9i->qid.version && p9i->target) {
		kfree(p9i->target);
		p9i->target = NULL;
	}
	update_data(inode, attr);
	inode->i_atime = attr->atime;
	inode->i_ctime = attr->ctime;
	p9i->blocks = attr->blocks;
	atomic_store_explicit(&p9i->attr_expires, port_now_ns() + P9_CACHE_NS,
	                      memory_order_relaxed);
	mutex_unlock(&p9i->lock);
}

/* 1: the name still means this inode, whose attributes are fresh now. 0: it does not. */
static int refresh(struct dentry *dentry)
{
	struct inode *inode = dentry->d_inode;
	struct p9_attr attr;
	int err = p9_getattr(dentry_fid(dentry), &attr);

	if (err == -ENOENT || err == -ENOTDIR)
		return 0;
	if (err)
		return err;
	if (attr.qid.path != P9_I(inode)->qid.path || !same_type(inode, &attr))
		return 0;
	p9_apply_attr(inode, &attr);
	return 1;
}

/*
 * On a read-only share the name's fid may have been opened (9p_file.c), and an open fid is the file
 * whatever becomes of its name: so the name is walked again. As refresh().
 */
static int revalidate_opened(struct dentry *dentry)
{
	struct inode *inode = dentry->d_inode;
	struct p9_qid qid;
	struct p9_attr attr;
	struct p9_fid *fid = p9_walk(dentry_fid(dentry->d_parent), dentry->d_name.name,
	                             dentry->d_name.len, &qid);
	int ok = 1;

	if (IS_ERR(fid))
		return fid == ERR_PTR(-ENOENT) ? 0 : (int)PTR_ERR(fid);
	if (qid.path != P9_I(inode)->qid.path) {
		ok = 0;
	} else if (qid.version != P9_I(inode)->qid.version) {
		ok = p9_getattr(fid, &attr);
		if (!ok && same_type(inode, &attr)) {
			p9_apply_attr(inode, &attr);
			ok = 1;
		}
	}
	p9_fid_put(fid);
	return ok;
}

static bool fid_is_open(struct dentry *dentry)
{
	return dentry_fid(dentry) == READ_ONCE(P9_I(dentry->d_inode)->rfid);
}

static int p9_d_revalidate(struct dentry *dentry)
{
	int ok;

	if (!dentry->d_inode)
		return 0;
	if (!dentry_fid(dentry))
		return 1;
	ok = fid_is_open(dentry) ? revalidate_opened(dentry) : refresh(dentry);
	if (ok > 0)
		p9_believe(dentry);
	return ok;
}

/* Attributes that can be believed. A file that is gone from the host is described as it was last seen. */
static int update_attr(struct dentry *dentry)
{
	struct p9_inode *p9i = P9_I(dentry->d_inode);
	int err = 0;

	if (dentry_fid(dentry) &&
	    port_now_ns() >= atomic_load_explicit(&p9i->attr_expires, memory_order_relaxed))
		err = refresh(dentry);
	return MIN(err, 0);
}

int p9_getattr_op(struct dentry *dentry, struct kstat *stat)
{
	struct inode *inode = dentry->d_inode;
	struct p9_inode *p9i = P9_I(inode);
	int err = update_attr(dentry);

	if (err)
		return err;
	generic_fillattr(inode, stat);
	if (p9i->writers == 0)
		stat->blocks = p9i->blocks;
	else
		stat->blocks = MAX(p9i->blocks, DIV_ROUND_UP(stat->size, 512));
	return 0;
}

/*
 * The host's mode and owner, to the guest's ids. For who may do everything what was once known will do, for it changes nothing
 * but what S_ISGID of a directory passes on: programs of root open and make one file after another. What the host
 * forbids the server itself, it says then.
 */
int p9_permission(struct dentry *dentry, unsigned mask)
{
	int err = 0;

	if (!file_capable(CAP_DAC_OVERRIDE) || !file_capable(CAP_FOWNER) ||
	    (mask & MAY_WRITE && READ_ONCE(P9_I(dentry->d_inode)->guessed)))
		err = update_attr(dentry);
	return err ? err : generic_permission(dentry->d_inode, mask);
}

int p9_setattr_op(struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = dentry->d_inode;
	int err = 0;

	if (!dentry_fid(dentry))
		return -EROFS;
	err = p9_setattr(dentry_fid(dentry), attr);
	if (err)
		return err;
	mutex_lock(&P9_I(inode)->lock);
	setattr_copy(inode, attr);
	P9_I(inode)->wrote = true;
	if (attr->valid & ATTR_SIZE && inode->i_mapping) {
		down_write(&inode->i_mapping->invalidate_lock);
		pagecache_isize_extended(inode->i_mapping, i_size_read(inode), attr->size);
		i_size_write(inode, attr->size);
		truncate_pagecache(inode->i_mapping, attr->size);
		up_write(&inode->i_mapping->invalidate_lock);
	}
	mutex_unlock(&P9_I(inode)->lock);
	p9_expire_attr(inode);
	return 0;
}

/* --- symlinks --------------------------------------------------------------------------------- */

static char *p9_get_link(struct dentry *dentry)
{
	struct p9_inode *p9i = P9_I(dentry->d_inode);
	char *target;

	mutex_lock(&p9i->lock);
	target = p9i->target;
	if (!target)
		target = p9_readlink(dentry_fid(dentry));
	if (!IS_ERR(target)) {
		p9i->target = target;
		target = kstrdup(target, GFP_KERNEL);
	}
	mutex_unlock(&p9i->lock);
	return target ? target : ERR_PTR(-ENOMEM);
}

const struct inode_operations p9_link_iops = {
        .get_link = p9_get_link,
        .getattr = p9_getattr_op,
        .setattr = p9_setattr_op,
        .permission = p9_permission,
};

/* --- super blocks ----------------------------------------------------------------------------- */

static void p9_d_release(struct dentry *dentry)
{
	p9_fid_put(dentry_fid(dentry));
}

static int p9_statfs_op(struct super_block *sb, struct kstatfs *buf)
{
	return p9_statfs(dentry_fid(sb->s_root), buf);
}

static int p9_sync_fs(struct super_block *sb)
{
	struct inode *inode, *last = NULL;
	int err = 0, e;

	spin_lock(&sb->s_inode_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		if (!inode->i_mapping || !P9_I(inode)->wfid ||
		    !refcount_inc_not_zero(&inode->i_count))
			continue;
		spin_unlock(&sb->s_inode_lock);
		iput(last); /* not before: it held our place in the list */
		last = inode;
		e = p9_flush_inode(inode);
		err = err ? err : e;
		spin_lock(&sb->s_inode_lock);
	}
	spin_unlock(&sb->s_inode_lock);
	iput(last);
	return err;
}

/* The client's end is the end of its fids, with the server too. */
static void p9_umount_begin(struct super_block *sb)
{
	struct p9_client *c = sb->s_fs_info;

	if (c)
		c->closing = true;
}

static void p9_put_super(struct super_block *sb)
{
	if (sb->s_fs_info)
		p9_client_destroy(sb->s_fs_info);
}

const struct super_operations p9_super_ops = {
        .alloc_inode = p9_alloc_inode,
        .free_inode = p9_free_inode,
        .evict_inode = p9_evict_inode,
        .d_release = p9_d_release,
        .d_revalidate = p9_d_revalidate,
        .statfs = p9_statfs_op,
        .sync_fs = p9_sync_fs,
        .umount_begin = p9_umount_begin,
        .put_super = p9_put_super,
};

#define V9FS_MAGIC 0x01021997

static struct dentry *make_root(struct super_block *sb, struct p9_fid *fid)
{
	struct p9_attr attr;
	struct inode *inode;
	struct dentry *root;
	int err = p9_getattr(fid, &attr);

	if (err)
		return ERR_PTR(err);
	if (!S_ISDIR(attr.mode))
		return ERR_PTR(-ENOTDIR);
	inode = p9_iget(sb, &attr);
	if (IS_ERR(inode))
		return ERR_PTR(PTR_ERR(inode));
	root = d_make_root(inode);
	if (!root)
		return ERR_PTR(-ENOMEM);
	root->d_fsdata = fid;
	return root;
}

/* source is the share's tag. */
static int p9_fill_super(struct super_block *sb, const char *source, const char *data UNUSED)
{
	struct p9_client *c = p9_client_create(source);
	struct p9_fid *fid;
	struct p9_qid qid;
	struct dentry *root;

	if (IS_ERR(c))
		return (int)PTR_ERR(c);
	sb->s_op = &p9_super_ops;
	sb->s_magic = V9FS_MAGIC;
	sb->s_fs_info = c;
	fid = p9_attach(c, &qid);
	if (IS_ERR(fid))
		return (int)PTR_ERR(fid);
	root = make_root(sb, fid);
	if (IS_ERR(root)) {
		p9_fid_put(fid);
		return (int)PTR_ERR(root);
	}
	sb->s_root = root;
	return 0;
}

static struct file_system_type p9_fs_type = {
        .name = "9p",
        .fs_flags = FS_NODEV,
        .fill_super = p9_fill_super,
};

void p9_fs_init(void)
{
	p9_client_init();
	p9_inode_cache = kmem_cache_create("9p_inode_cache", sizeof(struct p9_inode), 0,
	                                   SLAB_PANIC | SLAB_RECLAIM_ACCOUNT, NULL);
	register_filesystem(&p9_fs_type);
}
