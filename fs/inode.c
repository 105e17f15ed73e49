/*
 * inode.c - inodes: making, finding, changing and evicting them.
 *
 * An inode lives as long as somebody holds it: dentries (cached ones too), open files and mappings. There is no
 * cache of inodes beside that of names.
 */
#include "fs/internal.h"
#include "lib/hash.h"
#include <quire/slab.h>

static struct kmem_cache *inode_cache;
static const struct inode_operations empty_iops;

uint64_t get_next_ino(void)
{
	static _Atomic uint64_t last;

	return atomic_fetch_add(&last, 1) + 1;
}

static struct inode *alloc_inode(struct super_block *sb)
{
	if (sb->s_op->alloc_inode)
		return sb->s_op->alloc_inode(sb);
	return kmem_cache_alloc(inode_cache, GFP_KERNEL | __GFP_ZERO);
}

static void free_inode(struct inode *inode)
{
	if (inode->i_sb->s_op->free_inode)
		inode->i_sb->s_op->free_inode(inode);
	else
		kmem_cache_free(inode_cache, inode);
}

/* Every field: an embedding file system may hand over memory that is not zeroed. */
static void inode_init_always(struct inode *inode, struct super_block *sb, uint32_t mode)
{
	memset(inode, 0, sizeof(*inode));
	refcount_set(&inode->i_count, 1);
	inode->i_mode = mode;
	inode->i_nlink = 1;
	inode->i_sb = sb;
	inode->i_op = &empty_iops;
	inode->i_fop = &empty_fops;
	inode->i_atime = inode->i_mtime = inode->i_ctime = file_time_now();
	init_rwsem(&inode->i_rwsem);
	INIT_HLIST_NODE(&inode->i_hash);
}

struct inode *new_inode(struct super_block *sb, uint32_t mode,
                        const struct address_space_operations *a_ops)
{
	struct inode *inode = alloc_inode(sb);

	if (!inode)
		return NULL;
	inode_init_always(inode, sb, mode);
	if (a_ops) {
		address_space_init(&inode->i_data, a_ops, inode, 0);
		inode->i_data.dev = sb->s_dev;
		inode->i_mapping = &inode->i_data;
	}
	spin_lock(&sb->s_inode_lock);
	list_add_tail(&inode->i_sb_list, &sb->s_inodes);
	spin_unlock(&sb->s_inode_lock);
	return inode;
}

static void evict(struct inode *inode)
{
	const struct super_operations *op = inode->i_sb->s_op;

	locks_free_inode(inode);
	if (inode->i_mapping)
		address_space_destroy(&inode->i_data);
	if (op->evict_inode)
		op->evict_inode(inode);
	free_inode(inode);
}

/* The count reaches zero only under s_inode_lock, so that ilookup() never revives the dead. */
void iput(struct inode *inode)
{
	struct super_block *sb;
	int32_t n;

	if (!inode)
		return;
	n = refcount_read(&inode->i_count);
	while (n > 1)
		if (atomic_compare_exchange_weak(&inode->i_count.n, &n, n - 1))
			return;
	sb = inode->i_sb;
	spin_lock(&sb->s_inode_lock);
	if (!refcount_dec_and_test(&inode->i_count)) {
		spin_unlock(&sb->s_inode_lock);
		return;
	}
	if (!hlist_unhashed(&inode->i_hash))
		hlist_del_init(&inode->i_hash);
	list_del(&inode->i_sb_list);
	spin_unlock(&sb->s_inode_lock);
	evict(inode);
}

static struct inode *find_inode_locked(struct super_block *sb, uint64_t ino)
{
	struct inode *inode;

	hlist_for_each_entry(inode, &sb->s_inode_hash[hash_64(ino, INODE_HASH_BITS)], i_hash)
		if (inode->i_ino == ino)
			return igrab(inode);
	return NULL;
}

struct inode *ilookup(struct super_block *sb, uint64_t ino)
{
	struct inode *inode;

	spin_lock(&sb->s_inode_lock);
	inode = find_inode_locked(sb, ino);
	spin_unlock(&sb->s_inode_lock);
	return inode;
}

struct inode *insert_inode_hash(struct inode *inode)
{
	struct super_block *sb = inode->i_sb;
	struct inode *old;

	spin_lock(&sb->s_inode_lock);
	old = find_inode_locked(sb, inode->i_ino);
	if (!old)
		hlist_add_head(&inode->i_hash,
		               &sb->s_inode_hash[hash_64(inode->i_ino, INODE_HASH_BITS)]);
	spin_unlock(&sb->s_inode_lock);
	if (!old)
		return inode;
	iput(inode);
	return old;
}

void init_special_inode(struct inode *inode, uint32_t mode, uint32_t rdev)
{
	inode->i_rdev = rdev;
	if (S_ISCHR(mode))
		inode->i_fop = &def_chr_fops;
	else if (S_ISFIFO(mode))
		inode->i_fop = &fifo_fops;
}

void generic_fillattr(struct inode *inode, struct kstat *stat)
{
	stat->ino = inode->i_ino;
	stat->dev = inode->i_sb->s_dev;
	stat->rdev = inode->i_rdev;
	stat->mode = inode->i_mode;
	stat->nlink = inode->i_nlink;
	stat->uid = inode->i_uid;
	stat->gid = inode->i_gid;
	stat->size = i_size_read(inode);
	stat->blksize = PAGE_SIZE;
	stat->blocks = inode->i_mapping ? inode->i_mapping->nrpages * (PAGE_SIZE / 512) : 0;
	stat->atime = inode->i_atime;
	stat->mtime = inode->i_mtime;
	stat->ctime = inode->i_ctime;
	stat->btime = 0;
}

int vfs_getattr(struct dentry *dentry, struct kstat *stat)
{
	struct inode *inode = dentry->d_inode;

	if (inode->i_op->getattr)
		return inode->i_op->getattr(dentry, stat);
	generic_fillattr(inode, stat);
	return 0;
}

void setattr_copy(struct inode *inode, const struct iattr *attr)
{
	if (attr->valid & ATTR_UID)
		inode->i_uid = attr->uid;
	if (attr->valid & ATTR_GID)
		inode->i_gid = attr->gid;
	if (attr->valid & ATTR_ATIME)
		inode->i_atime = attr->atime;
	if (attr->valid & ATTR_MTIME)
		inode->i_mtime = attr->mtime;
	if (attr->valid & ATTR_CTIME)
		inode->i_ctime = attr->ctime;
	if (attr->valid & ATTR_MODE)
		inode->i_mode = (inode->i_mode & S_IFMT) | (attr->mode & S_IALLUGO);
}

int simple_setattr(struct dentry *dentry, struct iattr *attr)
{
	if (attr->valid & ATTR_SIZE)
		return -EINVAL;
	setattr_copy(dentry->d_inode, attr);
	return 0;
}

/* Changes of owner take set-id bits off programs (chown(2)); so does a change of size by those who must not keep them. */
static void clear_setid(struct inode *inode, struct iattr *attr)
{
	bool chown = attr->valid & (ATTR_UID | ATTR_GID) && !S_ISDIR(inode->i_mode);

	if (attr->valid & ATTR_MODE || !(inode->i_mode & (S_ISUID | S_ISGID)))
		return;
	if (!chown && !(attr->valid & ATTR_SIZE && write_clears_setid(inode)))
		return;
	attr->valid |= ATTR_MODE;
	attr->mode = mode_without_setid(inode);
}

/* i_rwsem held, and all has been checked. */
static int set_attributes(struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = dentry->d_inode;

	return inode->i_op->setattr ? inode->i_op->setattr(dentry, attr)
	                            : simple_setattr(dentry, attr);
}

static void fill_times(struct iattr *attr)
{
	file_time_t now = file_time_now();

	if (attr->valid & ATTR_ATIME && !(attr->valid & ATTR_ATIME_SET))
		attr->atime = now;
	if (attr->valid & ATTR_MTIME && !(attr->valid & ATTR_MTIME_SET))
		attr->mtime = now;
	attr->ctime = now;
	attr->valid |= ATTR_CTIME;
}

int notify_change(struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = dentry->d_inode;
	int err;

	if (sb_rdonly(inode->i_sb))
		return -EROFS;
	fill_times(attr);
	down_write(&inode->i_rwsem);
	err = setattr_prepare(dentry, attr);
	if (!err) {
		clear_setid(inode, attr);
		err = set_attributes(dentry, attr);
	}
	up_write(&inode->i_rwsem);
	return err;
}

int file_remove_privs(struct file *file)
{
	struct iattr attr = {.valid = ATTR_MODE};

	if (likely(!write_clears_setid(file->f_inode)))
		return 0;
	attr.mode = mode_without_setid(file->f_inode);
	fill_times(&attr);
	return set_attributes(file->f_dentry, &attr);
}

void inode_init(void)
{
	inode_cache = kmem_cache_create("inode_cache", sizeof(struct inode), 0,
	                                SLAB_PANIC | SLAB_RECLAIM_ACCOUNT, NULL);
}
