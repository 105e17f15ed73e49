/*
 * proc_base.c - /proc/PID and /proc/PID/task/TID: which names there are, and finding them.
 *
 * Directory positions: two for the dots, then one for each entry of the table; in task/ two plus
 * the thread's number, in the root PROC_PID_BASE (proc.c) plus the process's.
 */
#include "fs/proc.h"

#include "lib/format.h"
#include "lib/string.h"

#define PID_LIMIT (1u << 22) /* more than any number in use */

static const struct inode_operations pid_dir_iops, task_dir_iops;
static const struct file_operations pid_dir_fops, task_dir_fops;

#define FILE_ENTRY(n, m, f)                                 \
	{                                                   \
		.name = n, .mode = S_IFREG | (m), .show = f \
	}
/* Of the program's memory: for who may see into it. */
#define SECRET_ENTRY(n, m, f)                                               \
	{                                                                   \
		.name = n, .mode = S_IFREG | (m), .show = f, .secret = true \
	}
#define OPS_ENTRY(n, m, f)                                     \
	{                                                      \
		.name = n, .mode = S_IFREG | (m), .fops = &(f) \
	}
#define LINK_ENTRY(n, i)                                             \
	{                                                            \
		.name = n, .mode = S_IFLNK | S_IRWXUGO, .iops = &(i) \
	}
#define DIR_ENTRY(n, m, i, f)                                                \
	{                                                                    \
		.name = n, .mode = S_IFDIR | (m), .fops = &(f), .iops = &(i) \
	}

static const struct pid_entry pid_entries[] = {
        {.name = "task",
         .mode = S_IFDIR | 0555,
         .fops = &task_dir_fops,
         .iops = &task_dir_iops,
         .leader_only = true},
        DIR_ENTRY("fd", 0500, proc_fd_dir_iops, proc_fd_dir_fops),
        DIR_ENTRY("fdinfo", 0555, proc_fdinfo_dir_iops, proc_fdinfo_dir_fops),
        SECRET_ENTRY("environ", 0400, proc_show_environ),
        SECRET_ENTRY("auxv", 0400, proc_show_auxv),
        FILE_ENTRY("status", 0444, proc_show_status),
        SECRET_ENTRY("personality", 0400, proc_show_personality),
        FILE_ENTRY("limits", 0444, proc_show_limits),
        {.name = "comm", .mode = S_IFREG | 0644, .show = proc_show_comm, .fops = &proc_comm_fops},
        FILE_ENTRY("cmdline", 0444, proc_show_cmdline),
        FILE_ENTRY("stat", 0444, proc_show_stat),
        FILE_ENTRY("statm", 0444, proc_show_statm),
        SECRET_ENTRY("maps", 0444, proc_show_maps),
        OPS_ENTRY("mem", 0600, proc_mem_fops),
        LINK_ENTRY("cwd", proc_cwd_iops),
        LINK_ENTRY("root", proc_root_iops),
        LINK_ENTRY("exe", proc_exe_iops),
        FILE_ENTRY("mounts", 0444, proc_show_mounts),
        FILE_ENTRY("mountinfo", 0444, proc_show_mountinfo),
        SECRET_ENTRY("smaps", 0444, proc_show_smaps),
        SECRET_ENTRY("smaps_rollup", 0444, proc_show_smaps_rollup),
        OPS_ENTRY("pagemap", 0400, proc_pagemap_fops),
        FILE_ENTRY("wchan", 0444, proc_show_wchan),
        FILE_ENTRY("oom_score", 0444, proc_show_oom_score),
        {.name = "oom_score_adj",
         .mode = S_IFREG | 0644,
         .show = proc_show_oom_score_adj,
         .fops = &proc_oom_score_adj_fops},
};

/* --- inodes ----------------------------------------------------------------------------------- */

struct task_struct *proc_task(struct inode *inode)
{
	struct proc_inode *pi = PROC_I(inode);
	struct task_struct *task = find_get_task_by_pid(pi->pid);

	if (task && task->start_time != pi->start_time) {
		put_task(task);
		task = NULL;
	}
	return task;
}

int proc_may_access(struct inode *inode)
{
	struct task_struct *task = proc_task(inode);
	int err;

	if (!task)
		return -ENOENT;
	err = ptrace_may_access(task) ? 0 : -EACCES;
	put_task(task);
	return err;
}

/*
 * A task's files are its effective user's; those of one that may know what its user must not (dumpable) are root's, but for
 * the directories that anybody may list.
 */
void proc_update_owner(struct inode *inode, struct task_struct *task)
{
	bool root = inode->i_mode != (S_IFDIR | 0555) &&
	            !(task->signal && READ_ONCE(task->signal->dumpable));

	task_lock(task);
	inode->i_uid = root ? 0 : task->cred.euid;
	inode->i_gid = root ? 0 : task->cred.egid;
	task_unlock(task);
}

struct inode *proc_task_inode(struct super_block *sb, struct task_struct *task,
                              const struct pid_entry *entry, uint32_t mode, bool whole)
{
	struct inode *inode = new_inode(sb, mode, NULL);
	struct proc_inode *pi;

	if (!inode)
		return ERR_PTR(-ENOMEM);
	pi = PROC_I(inode);
	pi->pid = task->pid;
	pi->start_time = task->start_time;
	pi->entry = entry;
	pi->whole = whole;
	pi->fd = -1;
	inode->i_ino = get_next_ino();
	proc_update_owner(inode, task);
	return inode;
}

/*
 * Names of tasks and descriptors are checked each time they are used, and go with their last user: the thing that
 * they stand for may be gone by then, and thousands come and go.
 */
struct inode *proc_lookup_done(struct dentry *dentry, struct inode *inode)
{
	dentry->d_flags |= DCACHE_TRANSIENT;
	atomic_store_explicit(&dentry->d_expires, 0, memory_order_relaxed);
	return inode;
}

int64_t proc_name_to_number(const struct qstr *name, uint32_t limit)
{
	uint64_t n = 0;

	if (name->len == 0 || name->len > 10 || (name->name[0] == '0' && name->len > 1))
		return -ENOENT;
	for (uint32_t i = 0; i < name->len; i++) {
		if (name->name[i] < '0' || name->name[i] > '9')
			return -ENOENT;
		n = n * 10 + (uint64_t)(name->name[i] - '0');
	}
	return n < limit ? (int64_t)n : -ENOENT;
}

bool proc_emit_number(struct dir_context *ctx, uint32_t number, unsigned type)
{
	char name[12];
	size_t len = format(name, sizeof(name), "%u", number);

	/*
	 * The number d_ino shows need only not be 0: what stat(2) says is made when the name is
	 * looked up.
	 */
	return dir_emit(ctx, name, len, number + 1u, type);
}

/* --- files of text ---------------------------------------------------------------------------- */

static int task_show(struct seq_file *m, void *data)
{
	struct proc_inode *pi = data;
	struct task_struct *task = proc_task(&pi->vfs);
	int err;

	if (!task)
		return -ESRCH;
	err = pi->entry->show(m, task, pi->whole);
	put_task(task);
	return err;
}

static int task_single_open(struct inode *inode, struct file *file)
{
	int err = PROC_I(inode)->entry->secret ? proc_may_access(inode) : 0;

	if (err)
		return err;
	return single_open(file, task_show, PROC_I(inode));
}

const struct file_operations proc_task_single_fops = {
        .open = task_single_open,
        .release = single_release,
        .read_iter = seq_read_iter,
        .llseek = seq_llseek,
};

/* --- /proc/PID -------------------------------------------------------------------------------- */

static struct inode *entry_inode(struct super_block *sb, struct task_struct *task,
                                 const struct pid_entry *entry, bool whole)
{
	struct inode *inode = proc_task_inode(sb, task, entry, entry->mode, whole);

	if (IS_ERR(inode))
		return inode;
	if (entry->fops)
		inode->i_fop = entry->fops;
	else if (entry->show)
		inode->i_fop = &proc_task_single_fops;
	inode->i_op = entry->iops ? entry->iops : &proc_file_iops;
	if (S_ISDIR(entry->mode))
		inode->i_nlink = 2;
	return inode;
}

static const struct pid_entry *find_entry(const struct qstr *name, bool whole)
{
	for (unsigned i = 0; i < ARRAY_SIZE(pid_entries); i++) {
		const struct pid_entry *e = &pid_entries[i];

		if (strlen(e->name) == name->len && memcmp(e->name, name->name, name->len) == 0)
			return e->leader_only && !whole ? NULL : e;
	}
	return NULL;
}

static struct inode *pid_dir_lookup(struct inode *dir, struct dentry *dentry)
{
	bool whole = PROC_I(dir)->whole;
	const struct pid_entry *entry = find_entry(&dentry->d_name, whole);
	struct task_struct *task = proc_task(dir);
	struct inode *inode = NULL;

	if (!task)
		return ERR_PTR(-ENOENT);
	if (entry)
		inode = entry_inode(dir->i_sb, task, entry, whole);
	put_task(task);
	return proc_lookup_done(dentry, inode);
}

static int pid_dir_readdir(struct file *file, struct dir_context *ctx)
{
	bool whole = PROC_I(file->f_inode)->whole;

	if (!dir_emit_dots(file, ctx))
		return 0;
	for (; ctx->pos - 2 < ARRAY_SIZE(pid_entries); ctx->pos++) {
		const struct pid_entry *e = &pid_entries[ctx->pos - 2];

		if (e->leader_only && !whole)
			continue;
		if (!dir_emit(ctx, e->name, strlen(e->name), ctx->pos, S_DT(e->mode)))
			break;
	}
	return 0;
}

static const struct inode_operations pid_dir_iops = {.lookup = pid_dir_lookup};
static const struct file_operations pid_dir_fops = {.iterate = pid_dir_readdir};

static struct inode *pid_dir_inode(struct super_block *sb, struct task_struct *task, bool whole)
{
	struct inode *inode = proc_task_inode(sb, task, NULL, S_IFDIR | 0555, whole);

	if (!IS_ERR(inode)) {
		inode->i_op = &pid_dir_iops;
		inode->i_fop = &pid_dir_fops;
		inode->i_nlink = 2;
	}
	return inode;
}

/* Any thread's number is found as a process too, though only leaders are listed: as Linux does. */
struct inode *proc_pid_lookup(struct inode *dir, struct dentry *dentry)
{
	int64_t pid = proc_name_to_number(&dentry->d_name, PID_LIMIT);
	struct task_struct *task = pid > 0 ? find_get_task_by_pid((int32_t)pid) : NULL;
	struct inode *inode = NULL;

	if (task) {
		inode = pid_dir_inode(dir->i_sb, task, true);
		put_task(task);
	}
	return proc_lookup_done(dentry, inode);
}

int proc_pid_readdir(struct file *file UNUSED, struct dir_context *ctx)
{
	uint64_t base = ctx->pos & ~0xffffffffull;
	struct task_struct *task;

	while ((task = next_process((int32_t)(ctx->pos - base)))) {
		uint32_t pid = (uint32_t)task->pid;

		put_task(task);
		ctx->pos = base + pid;
		if (!proc_emit_number(ctx, pid, DT_DIR))
			break;
		ctx->pos++;
	}
	return 0;
}

/* --- /proc/PID/task --------------------------------------------------------------------------- */

static struct inode *task_dir_lookup(struct inode *dir, struct dentry *dentry)
{
	int64_t tid = proc_name_to_number(&dentry->d_name, PID_LIMIT);
	struct task_struct *leader = proc_task(dir), *task;
	struct inode *inode = NULL;

	if (!leader)
		return ERR_PTR(-ENOENT);
	task = tid > 0 ? find_get_task_by_pid((int32_t)tid) : NULL;
	if (task) {
		if (task->tgid == leader->tgid)
			inode = pid_dir_inode(dir->i_sb, task, false);
		put_task(task);
	}
	put_task(leader);
	return proc_lookup_done(dentry, inode);
}

static int task_dir_readdir(struct file *file, struct dir_context *ctx)
{
	struct task_struct *leader = proc_task(file->f_inode), *task;

	if (!leader)
		return -ENOENT;
	if (!dir_emit_dots(file, ctx))
		goto out;
	while ((task = next_thread(leader, (int32_t)(ctx->pos - 2)))) {
		uint32_t tid = (uint32_t)task->pid;

		put_task(task);
		ctx->pos = tid + 2ull;
		if (!proc_emit_number(ctx, tid, DT_DIR))
			break;
		ctx->pos++;
	}
out:
	put_task(leader);
	return 0;
}

static const struct inode_operations task_dir_iops = {.lookup = task_dir_lookup};
static const struct file_operations task_dir_fops = {.iterate = task_dir_readdir};
