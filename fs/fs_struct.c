/*
 * fs_struct.c - root, working directory and umask of tasks.
 */
#include "fs/internal.h"
#include <quire/slab.h>

struct dentry *fs_get_root(struct fs_struct *fs)
{
	struct dentry *root;

	if (!fs)
		return dget(root_super->s_root);
	spin_lock(&fs->lock);
	root = dget(fs->root);
	spin_unlock(&fs->lock);
	return root;
}

struct dentry *fs_get_pwd(struct fs_struct *fs)
{
	struct dentry *pwd;

	if (!fs)
		return dget(root_super->s_root);
	spin_lock(&fs->lock);
	pwd = dget(fs->pwd);
	spin_unlock(&fs->lock);
	return pwd;
}

struct fs_struct *fs_dup(struct fs_struct *old)
{
	struct fs_struct *fs = kmalloc(sizeof(*fs), GFP_KERNEL);

	if (!fs)
		return NULL;
	refcount_set(&fs->count, 1);
	spin_lock_init(&fs->lock);
	fs->root = fs_get_root(old);
	fs->pwd = fs_get_pwd(old);
	fs->umask = old ? old->umask : 022;
	return fs;
}

void fs_get(struct fs_struct *fs)
{
	refcount_inc(&fs->count);
}

void fs_put(struct fs_struct *fs)
{
	if (!fs || !refcount_dec_and_test(&fs->count))
		return;
	dput(fs->root);
	dput(fs->pwd);
	kfree(fs);
}

static void set_place(struct fs_struct *fs, struct dentry **place, struct dentry *dentry)
{
	struct dentry *old;

	dget(dentry);
	spin_lock(&fs->lock);
	old = *place;
	*place = dentry;
	spin_unlock(&fs->lock);
	dput(old);
}

void fs_set_root(struct fs_struct *fs, struct dentry *dentry)
{
	set_place(fs, &fs->root, dentry);
}

void fs_set_pwd(struct fs_struct *fs, struct dentry *dentry)
{
	set_place(fs, &fs->pwd, dentry);
}
