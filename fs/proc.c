/*
 * proc.c - the proc file system: its type, its root, and the files of text in it.
 *
 * The root's directory is the pinned names first, then the processes by number, at positions from
 * PROC_PID_BASE on.
 */
#include "fs/proc.h"

#include "lib/format.h"
#include "lib/string.h"
#include <quire/slab.h>

#define PROC_SUPER_MAGIC 0x9fa0
#define PROC_PID_BASE    0x100000000ull

static struct kmem_cache *proc_inode_cache;

/* --- inodes ----------------------------------------------------------------------------------- */

static struct inode *proc_alloc_inode(struct super_block *sb UNUSED)
{
	struct proc_inode *pi = kmem_cache_alloc(proc_inode_cache, GFP_KERNEL | __GFP_ZERO);

	return pi ? &pi->vfs : NULL;
}

static void proc_free_inode(struct inode *inode)
{
	kmem_cache_free(proc_inode_cache, PROC_I(inode));
}

static void proc_evict_inode(struct inode *inode)
{
	kfree(inode->i_link);
}

/* The name is right while its task lives; an absent one may have come. */
static int proc_d_revalidate(struct dentry *dentry)
{
	struct task_struct *task;

	if (!dentry->d_inode)
		return 0;
	if (PROC_I(dentry->d_inode)->pid == 0)
		return 1;
	task = proc_task(dentry->d_inode);
	if (!task)
		return 0;
	proc_update_owner(dentry->d_inode, task);
	put_task(task);
	return PROC_I(dentry->d_inode)->fd < 0 || proc_fd_valid(dentry->d_inode);
}

static const struct super_operations proc_super_ops = {
        .alloc_inode = proc_alloc_inode,
        .free_inode = proc_free_inode,
        .evict_inode = proc_evict_inode,
        .d_revalidate = proc_d_revalidate,
        .statfs = simple_statfs,
};

/* --- files of text ---------------------------------------------------------------------------- */

static int single_file_open(struct inode *inode, struct file *file)
{
	const struct proc_file *f = inode->i_private;

	return single_open(file, f->show, (void *)(uintptr_t)f->arg);
}

static const struct file_operations single_file_fops = {
        .open = single_file_open,
        .release = single_release,
        .read_iter = seq_read_iter,
        .llseek = seq_llseek,
};

static int proc_setattr(struct dentry *dentry UNUSED, struct iattr *attr)
{
	return attr->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) ? -EPERM : 0;
}

const struct inode_operations proc_file_iops = {.setattr = proc_setattr};

int proc_create(struct dentry *dir, const char *name, uint32_t mode,
                const struct file_operations *fops, const void *data)
{
	struct dentry *d = simple_create(dir, name, mode, fops, (void *)(uintptr_t)data);

	if (!d)
		return -ENOMEM;
	d->d_inode->i_op = &proc_file_iops;
	return 0;
}

int proc_create_files(struct dentry *dir, const struct proc_file *files, unsigned n)
{
	int err = 0;

	for (unsigned i = 0; i < n && !err; i++) {
		uint32_t mode = files[i].mode ? files[i].mode : 0444;

		err = proc_create(dir, files[i].name, mode, &single_file_fops, &files[i]);
	}
	return err;
}

/* --- the root --------------------------------------------------------------------------------- */

static char *self_link(struct dentry *dentry UNUSED)
{
	char buf[12];

	format(buf, sizeof(buf), "%d", current->tgid);
	return kstrdup(buf, GFP_KERNEL);
}

static char *thread_self_link(struct dentry *dentry UNUSED)
{
	char buf[32];

	format(buf, sizeof(buf), "%d/task/%d", current->tgid, current->pid);
	return kstrdup(buf, GFP_KERNEL);
}

static const struct inode_operations self_iops = {.get_link = self_link};
static const struct inode_operations thread_self_iops = {.get_link = thread_self_link};

static const struct inode_operations proc_root_dir_iops = {.lookup = proc_pid_lookup};

/* Hands entries through and remembers that the reader had enough. */
struct root_context {
	struct dir_context ctx;
	struct dir_context *outer;
	bool full;
};

static bool root_actor(struct dir_context *ctx, const char *name, size_t len, uint64_t pos,
                       uint64_t ino, unsigned type)
{
	struct root_context *rc = container_of(ctx, struct root_context, ctx);

	rc->full = !rc->outer->actor(rc->outer, name, len, pos, ino, type);
	return !rc->full;
}

static int proc_root_readdir(struct file *file, struct dir_context *ctx)
{
	struct root_context rc = {.ctx = {.actor = root_actor, .pos = ctx->pos}, .outer = ctx};
	int err;

	if (ctx->pos < PROC_PID_BASE) {
		err = dcache_readdir(file, &rc.ctx);
		ctx->pos = rc.ctx.pos;
		if (err || rc.full)
			return err;
		ctx->pos = PROC_PID_BASE;
	}
	return proc_pid_readdir(file, ctx);
}

static const struct file_operations proc_root_dir_fops = {.iterate = proc_root_readdir};

static int make_link(struct dentry *root, const char *name, const struct inode_operations *iops)
{
	struct dentry *d =
	        simple_create(root, name, S_IFLNK | S_IRWXUGO, root->d_inode->i_fop, NULL);

	if (!d)
		return -ENOMEM;
	d->d_inode->i_op = iops;
	return 0;
}

static int populate_root(struct dentry *root)
{
	int err = make_link(root, "self", &self_iops);

	if (!err)
		err = make_link(root, "thread-self", &thread_self_iops);
	if (!err && !simple_symlink(root, "mounts", "self/mounts"))
		err = -ENOMEM;
	if (!err)
		err = proc_meminfo_init(root);
	if (!err)
		err = proc_zones_init(root);
	if (!err)
		err = proc_frames_init(root);
	if (!err)
		err = proc_system_init(root);
	if (!err)
		err = proc_kallsyms_init(root);
	if (!err)
		err = proc_sysrq_init(root);
	if (!err)
		err = proc_cpuinfo_init(root);
	if (!err)
		err = proc_sys_init(root);
	return err;
}

static int proc_fill_super(struct super_block *sb, const char *source UNUSED,
                           const char *data UNUSED)
{
	int err = simple_fill_super(sb, PROC_SUPER_MAGIC, &proc_super_ops);

	if (err)
		return err;
	sb->s_root->d_inode->i_op = &proc_root_dir_iops;
	sb->s_root->d_inode->i_fop = &proc_root_dir_fops;
	sb->s_root->d_inode->i_mode = S_IFDIR | 0555;
	return populate_root(sb->s_root);
}

static struct file_system_type proc_fs_type = {
        .name = "proc",
        .fs_flags = FS_NODEV,
        .fill_super = proc_fill_super,
};

void proc_fs_init(void)
{
	proc_inode_cache = kmem_cache_create("proc_inode_cache", sizeof(struct proc_inode), 0,
	                                     SLAB_PANIC | SLAB_RECLAIM_ACCOUNT, NULL);
	register_filesystem(&proc_fs_type);
}
