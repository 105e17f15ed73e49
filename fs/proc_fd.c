/*
 * proc_fd.c - /proc/PID/fd and /proc/PID/fdinfo: the open files of a process.
 *
 * A name in fd/ is a magic link: following it opens the very file, whatever its path.
 */
#include "fs/proc.h"

#define FD_LIMIT (1u << 20)

/* The task's table with a reference, or NULL: it has exited. */
static struct files_struct *get_files(struct inode *inode)
{
	struct task_struct *task = proc_task(inode);
	struct files_struct *files;

	if (!task)
		return NULL;
	task_lock(task);
	files = task->files;
	if (files)
		files_get(files);
	task_unlock(task);
	put_task(task);
	return files;
}

static struct file *get_fd_file(struct inode *inode)
{
	struct files_struct *files = get_files(inode);
	struct file *file;

	if (!files)
		return NULL;
	file = files_get_file(files, (unsigned)PROC_I(inode)->fd);
	files_put(files);
	return file;
}

/* --- the links -------------------------------------------------------------------------------- */

static struct dentry *fd_jump_link(struct dentry *dentry)
{
	int err = proc_may_access(dentry->d_inode);
	struct file *file;
	struct dentry *target;

	if (err)
		return ERR_PTR(err);
	file = get_fd_file(dentry->d_inode);
	if (!file)
		return ERR_PTR(-ENOENT);
	target = dget(file->f_dentry);
	fput(file);
	return target;
}

static const struct inode_operations fd_link_iops = {.jump_link = fd_jump_link};

/* --- fdinfo ----------------------------------------------------------------------------------- */

static int fdinfo_show(struct seq_file *m, void *data)
{
	struct proc_inode *pi = data;
	struct files_struct *files = get_files(&pi->vfs);
	struct file *file;
	uint32_t flags;

	if (!files)
		return -ESRCH;
	file = files_get_file(files, (unsigned)pi->fd);
	flags = files_is_cloexec(files, (unsigned)pi->fd) ? O_CLOEXEC : 0;
	files_put(files);
	if (!file)
		return -ENOENT;
	flags |= atomic_load_explicit(&file->f_flags, memory_order_relaxed);
	seq_printf(m, "pos:\t%ld\nflags:\t0%o\nmnt_id:\t%u\nino:\t%lu\n", file->f_pos, flags,
	           MINOR(file->f_inode->i_sb->s_dev), file->f_inode->i_ino);
	if (file->f_op->show_fdinfo)
		file->f_op->show_fdinfo(m, file);
	fput(file);
	return 0;
}

static int fdinfo_open(struct inode *inode, struct file *file)
{
	int err = proc_may_access(inode);

	return err ? err : single_open(file, fdinfo_show, PROC_I(inode));
}

static const struct file_operations fdinfo_fops = {
        .open = fdinfo_open,
        .release = single_release,
        .read_iter = seq_read_iter,
        .llseek = seq_llseek,
};

/* --- the directories -------------------------------------------------------------------------- */

/* Permission bits of a link in fd/: how the file is open. */
static uint32_t link_mode(const struct file *file)
{
	uint32_t mode = S_IFLNK;

	if (file->f_mode & FMODE_READ)
		mode |= 0500;
	if (file->f_mode & FMODE_WRITE)
		mode |= 0300;
	return mode;
}

bool proc_fd_valid(struct inode *inode)
{
	struct file *file = get_fd_file(inode);
	bool valid = file && (!S_ISLNK(inode->i_mode) || inode->i_mode == link_mode(file));

	fput(file);
	return valid;
}

static struct inode *fd_inode(struct inode *dir, unsigned fd, struct file *file, bool link)
{
	struct task_struct *task = proc_task(dir);
	struct inode *inode;

	if (!task)
		return ERR_PTR(-ENOENT);
	inode = proc_task_inode(dir->i_sb, task, NULL, link ? link_mode(file) : S_IFREG | 0444,
	                        true);
	put_task(task);
	if (IS_ERR(inode))
		return inode;
	PROC_I(inode)->fd = (int)fd;
	if (link) {
		inode->i_op = &fd_link_iops;
		i_size_write(inode, 64);
	} else {
		inode->i_fop = &fdinfo_fops;
	}
	return inode;
}

static struct inode *lookup_fd(struct inode *dir, struct dentry *dentry, bool link)
{
	int64_t fd = proc_name_to_number(&dentry->d_name, FD_LIMIT);
	struct files_struct *files = get_files(dir);
	struct inode *inode = NULL;
	struct file *file;

	if (!files)
		return ERR_PTR(-ENOENT);
	file = fd >= 0 ? files_get_file(files, (unsigned)fd) : NULL;
	files_put(files);
	if (file)
		inode = fd_inode(dir, (unsigned)fd, file, link);
	fput(file);
	return proc_lookup_done(dentry, inode);
}

static struct inode *fd_lookup(struct inode *dir, struct dentry *dentry)
{
	return lookup_fd(dir, dentry, true);
}

static struct inode *fdinfo_lookup(struct inode *dir, struct dentry *dentry)
{
	return lookup_fd(dir, dentry, false);
}

static int readdir_fd(struct file *file, struct dir_context *ctx, unsigned type)
{
	struct files_struct *files;
	int fd;

	if (!dir_emit_dots(file, ctx))
		return 0;
	files = get_files(file->f_inode);
	if (!files)
		return -ENOENT;
	while ((fd = files_next_fd(files, (unsigned)(ctx->pos - 2))) >= 0) {
		ctx->pos = (uint64_t)fd + 2;
		if (!proc_emit_number(ctx, (unsigned)fd, type))
			break;
		ctx->pos++;
	}
	files_put(files);
	return 0;
}

static int fd_readdir(struct file *file, struct dir_context *ctx)
{
	return readdir_fd(file, ctx, DT_LNK);
}

static int fdinfo_readdir(struct file *file, struct dir_context *ctx)
{
	return readdir_fd(file, ctx, DT_REG);
}

/* A program may always see its own, also when it is not dumpable and they are root's. */
static int fd_permission(struct dentry *dentry, unsigned mask)
{
	struct inode *inode = dentry->d_inode;
	int err = generic_permission(inode, mask);
	struct task_struct *task = err ? proc_task(inode) : NULL;

	if (!task)
		return err;
	if (task->tgid == current->tgid)
		err = 0;
	put_task(task);
	return err;
}

const struct inode_operations proc_fd_dir_iops = {.lookup = fd_lookup, .permission = fd_permission};
const struct inode_operations proc_fdinfo_dir_iops = {.lookup = fdinfo_lookup,
                                                      .permission = fd_permission};
const struct file_operations proc_fd_dir_fops = {.iterate = fd_readdir};
const struct file_operations proc_fdinfo_dir_fops = {.iterate = fdinfo_readdir};
