/*
 * 9p_fs.h - what the files of the 9P file system share.
 *
 * A dentry's d_fsdata is a fid of that name, unopened (but see 9p_file.c); NULL for names that
 * exist in the guest only (virtual mount points).
 */
#ifndef FS_9P_FS_H
#define FS_9P_FS_H

#include "fs/9p.h"

/* How long names, their absence and attributes are believed. */
#define P9_CACHE_NS 1000000000ull

struct p9_inode {
	struct inode vfs;              /* first */
	struct p9_qid qid;             /* (lock) as of the attributes */
	_Atomic uint64_t attr_expires; /* port_now_ns() */
	uint64_t blocks;               /* racy, as the times are */
	struct mutex lock;             /* attributes, opening; before invalidate_lock */
	struct p9_fid *rfid;           /* set once under lock: open for reading */
	struct p9_fid *wfid;           /* set once under lock: open for writing */
	unsigned writers;              /* (lock) files open for writing: size and pages are ours */
	bool wrote;                    /* (lock) we changed the file: its new version is ours */
	bool guessed;                  /* mode and owner were never asked for: p9_iget_lazy() */
	char *target;                  /* (lock) of a symlink, of qid.version */
};

static inline struct p9_inode *P9_I(struct inode *inode)
{
	return container_of(inode, struct p9_inode, vfs);
}

static inline struct p9_fid *dentry_fid(struct dentry *dentry)
{
	return dentry->d_fsdata;
}

extern const struct super_operations p9_super_ops;
extern const struct inode_operations p9_dir_iops, p9_file_iops, p9_link_iops;
extern const struct file_operations p9_dir_fops, p9_file_fops;
extern const struct address_space_operations p9_aops;

/* The inode of what fid names. ERR_PTR. Sleeps. */
struct inode *p9_iget(struct super_block *sb, const struct p9_attr *attr);
/*
 * The same for a directory or symlink of which the qid alone is known; the rest counts as too old.
 */
struct inode *p9_iget_lazy(struct super_block *sb, const struct p9_qid *qid);
/* Attributes have come from the server: believe them, and drop what they prove stale. Sleeps. */
void p9_apply_attr(struct inode *inode, const struct p9_attr *attr);
/* Give a new name its fid and (new) inode. 0 or -errno. Sleeps. */
MUST_USE int p9_instantiate(struct dentry *dentry);
static inline void p9_expire_attr(struct inode *inode)
{
	atomic_store_explicit(&P9_I(inode)->attr_expires, 0, memory_order_relaxed);
}
static inline void p9_believe(struct dentry *dentry)
{
	atomic_store_explicit(&dentry->d_expires, port_now_ns() + P9_CACHE_NS,
	                      memory_order_relaxed);
}

int p9_getattr_op(struct dentry *dentry, struct kstat *stat);
int p9_setattr_op(struct dentry *dentry, struct iattr *attr);
int p9_permission(struct dentry *dentry, unsigned mask);

/* Write dirty pages to the server. 0 or the first error. Sleeps. */
MUST_USE int p9_flush_inode(struct inode *inode);

/* Register the file system type "9p"; mount source: the share's tag. Once. */
void p9_fs_init(void);

#endif
