/*
 * super.c - file system types, super blocks, and where they are mounted.
 *
 * A super block is mounted in at most one place. mount_mutex serialises mounting; the links that path
 * walks follow (d_mounted, s_mountpoint) change under dcache_lock too.
 */
#include "fs/internal.h"
#include <quire/slab.h>

struct mutex mount_mutex;
LIST_HEAD(super_blocks);
struct super_block *root_super, *anon_super;
static struct file_system_type *file_systems;

void register_filesystem(struct file_system_type *type)
{
	mutex_lock(&mount_mutex);
	type->next = file_systems;
	file_systems = type;
	mutex_unlock(&mount_mutex);
}

void filesystems_for_each(void (*show)(const struct file_system_type *type, void *ctx), void *ctx)
{
	mutex_lock(&mount_mutex);
	for (struct file_system_type *t = file_systems; t; t = t->next)
		show(t, ctx);
	mutex_unlock(&mount_mutex);
}

static struct file_system_type *find_type(const char *name)
{
	struct file_system_type *t;

	mutex_lock(&mount_mutex);
	for (t = file_systems; t && strcmp(t->name, name); t = t->next)
		;
	mutex_unlock(&mount_mutex);
	return t;
}

/* --- super blocks -------------------------------------------------------------------------------------- */

static struct super_block *alloc_super(struct file_system_type *type, const char *source,
                                       uint32_t flags)
{
	static _Atomic uint32_t last_dev = 20;
	struct super_block *sb = kzalloc(sizeof(*sb), GFP_KERNEL);

	if (!sb)
		return NULL;
	sb->s_source = kstrdup(source && *source ? source : "none", GFP_KERNEL);
	if (!sb->s_source) {
		kfree(sb);
		return NULL;
	}
	sb->s_type = type;
	sb->s_flags = flags;
	sb->s_dev = MKDEV(0, atomic_fetch_add(&last_dev, 1) + 1);
	mutex_init(&sb->s_vfs_rename_mutex);
	INIT_LIST_HEAD(&sb->s_list);
	INIT_LIST_HEAD(&sb->s_inodes);
	return sb;
}

/* Everything of an unmounted file system goes; s_root may be NULL after a failed start. */
void deactivate_super(struct super_block *sb)
{
	if (sb->s_op && sb->s_op->sync_fs && sb->s_root)
		(void)sb->s_op->sync_fs(sb);
	if (sb->s_op && sb->s_op->umount_begin)
		sb->s_op->umount_begin(sb);
	if (sb->s_root) {
		d_genocide(sb->s_root);
		shrink_dcache_sb(sb);
		dput(sb->s_root);
	}
	if (!list_empty(&sb->s_inodes)) {
		port_log("fs: %s on %s is still in use at its end", sb->s_type->name, sb->s_source);
		return;
	}
	if (sb->s_op && sb->s_op->put_super)
		sb->s_op->put_super(sb);
	kfree(sb->s_source);
	kfree(sb);
}

struct super_block *sget(struct file_system_type *type, const char *source, uint32_t flags,
                         const char *data)
{
	static const struct super_operations no_ops;
	struct super_block *sb = alloc_super(type, source, flags);
	int err;

	if (!sb)
		return ERR_PTR(-ENOMEM);
	sb->s_op = &no_ops;
	err = type->fill_super(sb, source, data);
	if (err) {
		deactivate_super(sb);
		return ERR_PTR(err);
	}
	return sb;
}

struct super_block *kern_mount(struct file_system_type *type)
{
	return sget(type, type->name, 0, NULL);
}

/* --- the tree ------------------------------------------------------------------------------------------- */

/* Cover a directory; its reference is taken over on success. mount_mutex held. */
static int attach_locked(struct super_block *sb, struct dentry *where)
{
	if (!S_ISDIR(where->d_inode->i_mode) && S_ISDIR(sb->s_root->d_inode->i_mode))
		return -ENOTDIR;
	spin_lock(&dcache_lock);
	if (where->d_mounted || d_unlinked(where)) {
		int err = where->d_mounted ? -EBUSY : -ENOENT;

		spin_unlock(&dcache_lock);
		return err;
	}
	atomic_store(&where->d_expires, D_NEVER);
	where->d_mounted = sb;
	where->d_flags |= DCACHE_MOUNTED;
	sb->s_mountpoint = where;
	spin_unlock(&dcache_lock);
	list_add_tail(&sb->s_list, &super_blocks);
	return 0;
}

/* where: reference taken over. */
int do_mount(const char *type_name, const char *source, struct dentry *where, uint32_t flags,
             const char *data)
{
	struct file_system_type *type = find_type(type_name);
	struct super_block *sb;
	int err;

	sb = type ? sget(type, source, flags, data) : ERR_PTR(-ENODEV);
	if (IS_ERR(sb)) {
		dput(where);
		return (int)PTR_ERR(sb);
	}
	mutex_lock(&mount_mutex);
	err = attach_locked(sb, where);
	mutex_unlock(&mount_mutex);
	if (err) {
		dput(where);
		deactivate_super(sb);
	}
	return err;
}

/* A directory that exists in the cache only, to be covered. */
static int make_virtual_dir(const char *path, struct dentry **out)
{
	struct nameidata nd;
	struct inode *inode;
	int err = filename_parent(&nd, AT_FDCWD, path, LOOKUP_FOLLOW);

	if (!err && (!nd.last.name || nd.last_dots))
		err = -ENOENT;
	if (err)
		goto out;
	inode = new_inode(anon_super, S_IFDIR | 0755, NULL);
	err = -ENOMEM;
	if (!inode)
		goto out;
	inode->i_ino = get_next_ino();
	down_write(&nd.at->d_inode->i_rwsem);
	*out = lookup_one_locked(nd.at, &nd.last);
	err = IS_ERR(*out) ? (int)PTR_ERR(*out) : d_is_negative(*out) ? 0 : -EEXIST;
	if (!err)
		d_instantiate(*out, inode);
	else
		iput(inode);
	up_write(&nd.at->d_inode->i_rwsem);
	if (err == -EEXIST)
		dput(*out);
out:
	nd_end(&nd);
	return err;
}

static int mount_root(struct file_system_type *type, const char *source, uint32_t flags,
                      const char *data)
{
	struct super_block *sb = type ? sget(type, source, flags, data) : ERR_PTR(-ENODEV);

	if (IS_ERR(sb))
		return (int)PTR_ERR(sb);
	root_super = sb;
	mutex_lock(&mount_mutex);
	list_add_tail(&sb->s_list, &super_blocks);
	mutex_unlock(&mount_mutex);
	return 0;
}

int vfs_mount(const char *type, const char *source, const char *path, uint32_t flags,
              const char *data, bool virtual_ok)
{
	struct dentry *where;
	int err;

	if (!root_super)
		return mount_root(find_type(type), source, flags, data);
	err = kern_path(path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &where);
	if (err == -ENOENT && virtual_ok)
		err = make_virtual_dir(path, &where);
	return err ? err : do_mount(type, source, where, flags, data);
}

/* --- unmounting ----------------------------------------------------------------------------------------- */

/* The next dentry of the tree in preorder; NULL at its end. dcache_lock held. */
static struct dentry *next_in_tree(struct dentry *root, struct dentry *d)
{
	if (!list_empty(&d->d_subdirs))
		return list_first_entry(&d->d_subdirs, struct dentry, d_child);
	while (d != root && list_is_last(&d->d_child, &d->d_parent->d_subdirs))
		d = d->d_parent;
	return d == root ? NULL : list_next_entry(d, d_child);
}

/* Does anybody hold something of it but the tree itself? dcache_lock held, so that nobody walks in meanwhile. */
static bool super_busy(struct super_block *sb)
{
	bool busy = false;

	for (struct dentry *d = sb->s_root; d && !busy; d = next_in_tree(sb->s_root, d)) {
		size_t own = list_count_nodes(&d->d_subdirs);

		own += d == sb->s_root || d->d_flags & DCACHE_PINNED;
		busy = (size_t)refcount_read(&d->d_count) > own;
	}
	return busy;
}

int vfs_umount(struct super_block *sb)
{
	struct dentry *where;

	mutex_lock(&mount_mutex);
	spin_lock(&dcache_lock);
	where = sb->s_mountpoint;
	if (!where || super_busy(sb)) {
		spin_unlock(&dcache_lock);
		mutex_unlock(&mount_mutex);
		return where ? -EBUSY : -EINVAL;
	}
	where->d_mounted = NULL;
	where->d_flags &= ~DCACHE_MOUNTED;
	sb->s_mountpoint = NULL;
	spin_unlock(&dcache_lock);
	list_del_init(&sb->s_list);
	mutex_unlock(&mount_mutex);
	if (where->d_inode->i_sb == anon_super)
		d_drop(where); /* a virtual one */
	dput(where);
	deactivate_super(sb);
	return 0;
}

/* --- the anonymous one -------------------------------------------------------------------------------------- */

static int anon_fill(struct super_block *sb, const char *source, const char *data)
{
	(void)source;
	(void)data;
	sb->s_magic = ANON_INODE_FS_MAGIC;
	return 0;
}

static struct file_system_type anon_type = {
        .name = "anon_inodefs", .fs_flags = FS_NODEV | FS_KERNEL, .fill_super = anon_fill};

void super_init(void)
{
	mutex_init(&mount_mutex);
	anon_super = kern_mount(&anon_type);
	if (IS_ERR(anon_super))
		port_panic("fs: no memory for the first super block");
}
