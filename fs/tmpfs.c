/*
 * tmpfs.c - files that are memory.
 *
 * Names are pinned dentries (libfs.c), contents are pages of the page cache that have no other home (AS_SHMEM): they count against
 * the file system's limit from the moment a page is added until it goes. When the last name and the last
 * open file are gone, so are the pages.
 */
#include "fs/internal.h"
#include "lib/string.h"
#include <quire/frame.h>
#include <quire/slab.h>

struct tmpfs_info {
	_Atomic int64_t used; /* pages */
	int64_t max_pages;
	_Atomic int64_t inodes;
	int64_t max_inodes;
};

static const struct inode_operations tmpfs_dir_iops, tmpfs_file_iops, tmpfs_special_iops;
static const struct file_operations tmpfs_file_fops;

static struct tmpfs_info *info_of(struct super_block *sb)
{
	return sb->s_fs_info;
}

/* A page is added (pages > 0) or has gone (< 0). */
static int tmpfs_reserve(struct address_space *mapping, int64_t pages)
{
	struct inode *inode = mapping->host;
	struct tmpfs_info *info = info_of(inode->i_sb);

	if (atomic_fetch_add(&info->used, pages) + pages <= info->max_pages || pages < 0)
		return 0;
	atomic_fetch_sub(&info->used, pages);
	return -ENOSPC;
}

static struct address_space_operations tmpfs_aops; /* shmem_aops with the above */

/* --- inodes --------------------------------------------------------------------------------------------- */

static struct inode *tmpfs_inode(struct super_block *sb, uint32_t mode, uint32_t rdev)
{
	struct tmpfs_info *info = info_of(sb);
	struct inode *inode;

	if (atomic_fetch_add(&info->inodes, 1) >= info->max_inodes) {
		atomic_fetch_sub(&info->inodes, 1);
		return ERR_PTR(-ENOSPC);
	}
	inode = new_inode(sb, mode, S_ISREG(mode) ? &tmpfs_aops : NULL);
	if (!inode) {
		atomic_fetch_sub(&info->inodes, 1);
		return ERR_PTR(-ENOMEM);
	}
	inode->i_ino = get_next_ino();
	inode->i_uid = current->cred.fsuid;
	inode->i_gid = current->cred.fsgid;
	inode->i_op = &tmpfs_special_iops;
	if (S_ISREG(mode)) {
		inode->i_data.flags |= AS_SHMEM;
		inode->i_op = &tmpfs_file_iops;
		inode->i_fop = &tmpfs_file_fops;
	} else if (S_ISDIR(mode)) {
		inode->i_nlink = 2;
		inode->i_op = &tmpfs_dir_iops;
		inode->i_fop = &simple_dir_operations;
	} else {
		init_special_inode(inode, mode, rdev);
	}
	return inode;
}

static void tmpfs_evict(struct inode *inode)
{
	struct tmpfs_info *info = info_of(inode->i_sb);

	kfree(inode->i_link);
	if (info)
		atomic_fetch_sub(&info->inodes, 1);
}

/* --- names: the directory's i_rwsem is held for writing -------------------------------------------------- */

static void dir_changed(struct inode *dir)
{
	dir->i_mtime = dir->i_ctime = file_time_now();
}

static void pin(struct dentry *dentry, struct inode *inode)
{
	spin_lock(&dcache_lock);
	dentry->d_inode = inode;
	dentry->d_flags |= DCACHE_PINNED;
	dget(dentry);
	spin_unlock(&dcache_lock);
}

static void unpin(struct dentry *dentry)
{
	spin_lock(&dcache_lock);
	dentry->d_flags &= ~DCACHE_PINNED;
	spin_unlock(&dcache_lock);
	dput(dentry); /* not the last: the caller holds one */
}

static struct inode *tmpfs_lookup(struct inode *dir, struct dentry *dentry)
{
	(void)dir;
	(void)dentry;
	return NULL;
}

/* link: a symlink's target, the inode's from now on (freed on failure). */
static int tmpfs_make(struct inode *dir, struct dentry *dentry, uint32_t mode, uint32_t rdev,
                      char *link)
{
	struct inode *inode;

	inode = tmpfs_inode(dir->i_sb, mode, rdev);
	if (IS_ERR(inode)) {
		kfree(link);
		return (int)PTR_ERR(inode);
	}
	inode->i_gid = gid_for_create(dir);
	if (link) {
		inode->i_link = link;
		i_size_write(inode, strlen(link));
	}
	pin(dentry, inode);
	dir_changed(dir);
	return 0;
}

static int tmpfs_mknod(struct inode *dir, struct dentry *dentry, uint32_t mode, uint32_t rdev)
{
	return tmpfs_make(dir, dentry, mode, rdev, NULL);
}

static int tmpfs_create(struct inode *dir, struct dentry *dentry, uint32_t mode)
{
	return tmpfs_mknod(dir, dentry, mode, 0);
}

static int tmpfs_mkdir(struct inode *dir, struct dentry *dentry, uint32_t mode)
{
	int err = tmpfs_mknod(dir, dentry, mode, 0);

	if (!err)
		dir->i_nlink++;
	return err;
}

static int tmpfs_symlink(struct inode *dir, struct dentry *dentry, const char *target)
{
	char *link = kstrdup(target, GFP_KERNEL);

	return link ? tmpfs_make(dir, dentry, S_IFLNK | S_IRWXUGO, 0, link) : -ENOMEM;
}

static int tmpfs_link(struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = old->d_inode;

	inode->i_nlink++;
	inode->i_ctime = file_time_now();
	pin(dentry, igrab(inode));
	dir_changed(dir);
	return 0;
}

static int tmpfs_unlink(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = dentry->d_inode;

	inode->i_nlink--;
	inode->i_ctime = file_time_now();
	dir_changed(dir);
	unpin(dentry);
	return 0;
}

static bool dir_is_empty(struct dentry *dir)
{
	struct dentry *child;
	bool empty = true;

	spin_lock(&dcache_lock);
	list_for_each_entry(child, &dir->d_subdirs, d_child)
		if (child->d_flags & DCACHE_PINNED)
			empty = false;
	spin_unlock(&dcache_lock);
	return empty;
}

static int tmpfs_rmdir(struct inode *dir, struct dentry *dentry)
{
	if (!dir_is_empty(dentry))
		return -ENOTEMPTY;
	dentry->d_inode->i_nlink = 0;
	dir->i_nlink--;
	dir_changed(dir);
	unpin(dentry);
	return 0;
}

static void move_subdir_count(struct inode *from, struct inode *to, bool dir)
{
	if (dir) {
		from->i_nlink--;
		to->i_nlink++;
	}
}

static int tmpfs_rename(struct inode *from_dir, struct dentry *from, struct inode *to_dir,
                        struct dentry *to, unsigned flags)
{
	int err = 0;

	if (flags & RENAME_EXCHANGE) {
		move_subdir_count(from_dir, to_dir, d_is_dir(from));
		move_subdir_count(to_dir, from_dir, d_is_dir(to));
	} else {
		if (!d_is_negative(to))
			err = d_is_dir(to) ? tmpfs_rmdir(to_dir, to) : tmpfs_unlink(to_dir, to);
		if (err)
			return err;
		move_subdir_count(from_dir, to_dir, d_is_dir(from));
	}
	dir_changed(from_dir);
	dir_changed(to_dir);
	from->d_inode->i_ctime = from_dir->i_ctime;
	return 0;
}

static struct inode *tmpfs_tmpfile(struct inode *dir, uint32_t mode)
{
	struct inode *inode = tmpfs_inode(dir->i_sb, mode, 0);

	if (!IS_ERR(inode)) {
		inode->i_gid = gid_for_create(dir);
		inode->i_nlink = 0;
	}
	return inode;
}

/* --- contents -------------------------------------------------------------------------------------------- */

static int tmpfs_resize(struct inode *inode, uint64_t size)
{
	uint64_t old = i_size_read(inode);
	unsigned seals = inode_seals(inode);

	if ((size < old && seals & F_SEAL_SHRINK) || (size > old && seals & F_SEAL_GROW))
		return -EPERM;
	if (size > 1ull << (32 + PAGE_SHIFT))
		return -EFBIG;
	if (size >= old) {
		pagecache_isize_extended(&inode->i_data, old, size);
		i_size_write(inode, size);
		return 0;
	}
	down_write(&inode->i_data.invalidate_lock);
	i_size_write(inode, size);
	truncate_pagecache(&inode->i_data, size);
	up_write(&inode->i_data.invalidate_lock);
	return 0;
}

static int tmpfs_setattr(struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = dentry->d_inode;
	int err = 0;

	if (attr->valid & ATTR_SIZE)
		err = S_ISREG(inode->i_mode) ? tmpfs_resize(inode, attr->size) : -EINVAL;
	if (!err)
		setattr_copy(inode, attr);
	return err;
}

static int64_t tmpfs_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = iocb->ki_filp->f_inode;
	unsigned seals = inode_seals(inode);

	if (unlikely(seals)) {
		if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
			return -EPERM;
		if (seals & F_SEAL_GROW &&
		    (uint64_t)iocb->ki_pos + iov_iter_count(from) > i_size_read(inode))
			return -EPERM;
	}
	return generic_file_write_iter(iocb, from);
}

/* The first page from index on that is (data) or is not (hole) there, or `end`. */
static uint64_t seek_page(struct address_space *mapping, uint64_t index, uint64_t end, bool data)
{
	bool found;

	spin_lock(&mapping->tree_lock);
	found = data ? radix_tree_next(&mapping->i_pages, &index, end - 1) != NULL
	             : radix_tree_next_hole(&mapping->i_pages, &index, end - 1);
	spin_unlock(&mapping->tree_lock);
	return found ? index : end;
}

static int64_t tmpfs_llseek(struct file *file, int64_t offset, int whence)
{
	struct inode *inode = file->f_inode;
	uint64_t size = i_size_read(inode), index;
	int64_t found;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, offset, whence);
	if (offset < 0 || (uint64_t)offset >= size)
		return -ENXIO;
	index = seek_page(inode->i_mapping, (uint64_t)offset >> PAGE_SHIFT, PAGES_OF(size),
	                  whence == SEEK_DATA);
	found = MAX((int64_t)(index << PAGE_SHIFT), offset);
	if ((uint64_t)found >= size) {
		if (whence == SEEK_DATA)
			return -ENXIO;
		found = (int64_t)size;
	}
	file->f_pos = found;
	return found;
}

/* Pages of [start, end) that are not there come into being. */
static int populate(struct address_space *mapping, uint64_t start, uint64_t end)
{
	for (uint64_t index = start >> PAGE_SHIFT; index < PAGES_OF(end); index++) {
		struct page *page;
		bool major;
		int err = filemap_get_page(mapping, index, 0, &page, &major);

		if (err)
			return err;
		put_page(page);
		if (signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/* All of it or, but for zeros inside the file, nothing. */
static int allocate_range(struct inode *inode, uint64_t start, uint64_t end)
{
	struct address_space *mapping = inode->i_mapping;
	uint64_t old_end = PAGE_ALIGN(i_size_read(inode));
	int err = 0;

	if (PAGES_OF(end) - (start >> PAGE_SHIFT) > (uint64_t)info_of(inode->i_sb)->max_pages)
		return -ENOSPC;
	err = populate(mapping, start, end);
	if (err && old_end < end) {
		down_write(&mapping->invalidate_lock);
		truncate_pagecache_range(mapping,
		                         MAX(ALIGN_DOWN(start, (uint64_t)PAGE_SIZE), old_end),
		                         PAGE_ALIGN(end));
		up_write(&mapping->invalidate_lock);
	}
	return err;
}

static int64_t tmpfs_fallocate_locked(struct inode *inode, unsigned mode, uint64_t start,
                                      uint64_t end)
{
	unsigned seals = inode_seals(inode);
	int err;

	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
		if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
			return -EPERM;
		down_write(&inode->i_data.invalidate_lock);
		truncate_pagecache_range(&inode->i_data, start, end);
		up_write(&inode->i_data.invalidate_lock);
		if (mode & FALLOC_FL_PUNCH_HOLE)
			return 0;
	}
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > i_size_read(inode) && seals & F_SEAL_GROW)
		return -EPERM;
	err = allocate_range(inode, start, end);
	if (err)
		return err;
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > i_size_read(inode)) {
		pagecache_isize_extended(&inode->i_data, i_size_read(inode), end);
		i_size_write(inode, end);
	}
	inode->i_mtime = inode->i_ctime = file_time_now();
	return 0;
}

static int tmpfs_fallocate(struct file *file, unsigned mode, uint64_t offset, uint64_t len)
{
	struct inode *inode = file->f_inode;
	int err;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -ENOTSUP;
	if (mode & FALLOC_FL_PUNCH_HOLE && !(mode & FALLOC_FL_KEEP_SIZE))
		return -ENOTSUP;
	down_write(&inode->i_rwsem);
	err = (int)tmpfs_fallocate_locked(inode, mode, offset, offset + len);
	up_write(&inode->i_rwsem);
	return err;
}

static int tmpfs_fsync(struct file *file, uint64_t start, uint64_t end, bool datasync)
{
	(void)file;
	(void)start;
	(void)end;
	(void)datasync;
	return 0;
}

static const struct inode_operations tmpfs_dir_iops = {
        .lookup = tmpfs_lookup,
        .create = tmpfs_create,
        .mknod = tmpfs_mknod,
        .mkdir = tmpfs_mkdir,
        .symlink = tmpfs_symlink,
        .link = tmpfs_link,
        .unlink = tmpfs_unlink,
        .rmdir = tmpfs_rmdir,
        .rename = tmpfs_rename,
        .tmpfile = tmpfs_tmpfile,
        .setattr = tmpfs_setattr,
};
static const struct inode_operations tmpfs_file_iops = {.setattr = tmpfs_setattr};
static const struct inode_operations tmpfs_special_iops = {.setattr = tmpfs_setattr};
static const struct file_operations tmpfs_file_fops = {
        .read_iter = generic_file_read_iter,
        .write_iter = tmpfs_write_iter,
        .llseek = tmpfs_llseek,
        .fallocate = tmpfs_fallocate,
        .fsync = tmpfs_fsync,
};

/* --- the file system --------------------------------------------------------------------------------------- */

static int tmpfs_statfs(struct super_block *sb, struct kstatfs *buf)
{
	struct tmpfs_info *info = info_of(sb);
	int64_t left = info->max_pages - atomic_load(&info->used);

	*buf = (struct kstatfs){
	        .type = TMPFS_MAGIC,
	        .bsize = PAGE_SIZE,
	        .blocks = (uint64_t)info->max_pages,
	        .bfree = (uint64_t)MAX(left, 0),
	        .bavail = (uint64_t)MAX(left, 0),
	        .files = (uint64_t)info->max_inodes,
	        .ffree = (uint64_t)(info->max_inodes - atomic_load(&info->inodes)),
	        .namelen = NAME_MAX,
	};
	return 0;
}

static void tmpfs_put_super(struct super_block *sb)
{
	kfree(sb->s_fs_info);
}

static void tmpfs_show_options(struct seq_file *m, struct super_block *sb)
{
	seq_printf(m, ",size=%lldk",
	           (long long)(info_of(sb)->max_pages * (int64_t)(PAGE_SIZE / 1024)));
}

static const struct super_operations tmpfs_sops = {
        .evict_inode = tmpfs_evict,
        .statfs = tmpfs_statfs,
        .put_super = tmpfs_put_super,
        .show_options = tmpfs_show_options,
};

/* size=N[kmg], size=N%, nr_inodes=N, mode=OCTAL; separated by commas. */
static int parse_option(struct tmpfs_info *info, const char *key, size_t key_len, const char *value,
                        uint32_t *mode)
{
	const char *end;
	uint64_t n;

	if (key_len == 4 && !memcmp(key, "mode", 4)) {
		for (*mode = 0; *value >= '0' && *value <= '7'; value++)
			*mode = *mode * 8 + (uint32_t)(*value - '0');
		return *value && *value != ',' ? -EINVAL : 0;
	}
	if (key_len == 4 && !memcmp(key, "size", 4)) {
		for (n = 0, end = value; *end >= '0' && *end <= '9'; end++)
			n = n * 10 + (uint64_t)(*end - '0');
		if (*end == '%')
			info->max_pages = (int64_t)(totalram_pages() * MIN(n, 100) / 100);
		else if (*end == 'k' || *end == 'K')
			info->max_pages = (int64_t)(n / 4);
		else if (*end == 'm' || *end == 'M')
			info->max_pages = (int64_t)(n << 8);
		else if (*end == 'g' || *end == 'G')
			info->max_pages = (int64_t)(n << 18);
		else
			info->max_pages = (int64_t)PAGES_OF(n);
		return end == value ? -EINVAL : 0;
	}
	if (key_len == 9 && !memcmp(key, "nr_inodes", 9)) {
		for (n = 0; *value >= '0' && *value <= '9'; value++)
			n = n * 10 + (uint64_t)(*value - '0');
		info->max_inodes = (int64_t)n;
		return 0;
	}
	return key_len == 0 ? 0 : -EINVAL;
}

static int parse_options(struct tmpfs_info *info, const char *data, uint32_t *mode)
{
	while (data && *data) {
		size_t n = strcspn(data, ","), key = strcspn(data, "=,");
		int err = parse_option(info, data, key, data + key + (data[key] == '='), mode);

		if (err)
			return err;
		data += n + (data[n] == ',');
	}
	return 0;
}

static int tmpfs_fill_super(struct super_block *sb, const char *source, const char *data)
{
	struct tmpfs_info *info = kzalloc(sizeof(*info), GFP_KERNEL);
	uint32_t mode = 01777;
	struct inode *inode;
	int err;

	(void)source;
	if (!info)
		return -ENOMEM;
	sb->s_fs_info = info;
	sb->s_op = &tmpfs_sops;
	sb->s_magic = TMPFS_MAGIC;
	info->max_pages = (int64_t)(totalram_pages() / 2);
	info->max_inodes = (int64_t)MAX(totalram_pages() / 2, 1024);
	err = parse_options(info, data, &mode);
	if (err)
		return err;
	inode = tmpfs_inode(sb, S_IFDIR | (mode & S_IALLUGO), 0);
	if (IS_ERR(inode))
		return (int)PTR_ERR(inode);
	sb->s_root = d_make_root(inode);
	return sb->s_root ? 0 : -ENOMEM;
}

struct file_system_type tmpfs_type = {
        .name = "tmpfs", .fs_flags = FS_NODEV, .fill_super = tmpfs_fill_super};

/* --- files without a name: memfd_create(2) ------------------------------------------------------------------ */

static struct super_block *shm_super;

struct file *tmpfs_unnamed_file(const char *name, uint64_t size)
{
	struct inode *inode = tmpfs_inode(shm_super, S_IFREG | S_IRWXUGO, 0);
	struct dentry *dentry;
	struct file *file;

	if (IS_ERR(inode))
		return (struct file *)inode;
	inode->i_nlink = 0;
	i_size_write(inode, size);
	dentry = d_alloc_pseudo(shm_super, name);
	if (!dentry) {
		iput(inode);
		return ERR_PTR(-ENOMEM);
	}
	dentry->d_inode = inode;
	file = dentry_open(dentry, O_RDWR);
	dput(dentry);
	return file;
}

int tmpfs_init(void)
{
	tmpfs_aops = shmem_aops;
	tmpfs_aops.reserve = tmpfs_reserve;
	register_filesystem(&tmpfs_type);
	shm_super = kern_mount(&tmpfs_type);
	if (IS_ERR(shm_super))
		return (int)PTR_ERR(shm_super);
	/* The limits of memory itself, not half of it. */
	info_of(shm_super)->max_pages = INT64_MAX / 2;
	return 0;
}

void tmpfs_shutdown(void)
{
	deactivate_super(shm_super);
}
