/*
 * proc_task.c - further files of a task: its arguments and environment, limits, name, and the magic
 * links.
 */
#include "fs/proc.h"
#include "lib/intvec.h"

#include "kernel/oom.h"
#include "kernel/signal.h"
#include "lib/string.h"
#include <quire/slab.h>

/* --- arguments and environment ---------------------------------------------------------------- */

/* [start, end) of the program's memory into the file, as far as it can be read. */
static int show_range(struct seq_file *m, struct mm_struct *mm, vaddr_t start, vaddr_t end)
{
	char *page = get_zeroed_page(GFP_KERNEL);

	if (!page)
		return -ENOMEM;
	while (start < end) {
		size_t n = MIN(PAGE_SIZE - (start & (PAGE_SIZE - 1)), end - start);
		size_t got = access_remote_vm(mm, start, page, n, false);

		seq_write(m, page, got);
		if (got < n)
			break;
		start += n;
	}
	free_page(page);
	return 0;
}

/*
 * A program that overwrote the end of its arguments (setproctitle) shows a longer string: up to its
 * NUL.
 */
static vaddr_t cmdline_end(struct mm_struct *mm)
{
	char last = 1;

	if (mm->arg_end == mm->arg_start)
		return mm->arg_end;
	if (access_remote_vm(mm, mm->arg_end - 1, &last, 1, false) != 1 || last == '\0')
		return mm->arg_end;
	for (vaddr_t p = mm->arg_end; p < mm->env_end; p++) {
		char c;

		if (access_remote_vm(mm, p, &c, 1, false) != 1 || c == '\0')
			return p;
	}
	return mm->arg_end;
}

int proc_show_cmdline(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	struct mm_struct *mm = get_task_mm(task);
	int err;

	if (!mm)
		return 0;
	err = show_range(m, mm, mm->arg_start, cmdline_end(mm));
	mmput(mm);
	return err;
}

int proc_show_environ(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	struct mm_struct *mm = get_task_mm(task);
	int err;

	if (!mm)
		return 0;
	err = show_range(m, mm, mm->env_start, mm->env_end);
	mmput(mm);
	return err;
}

/* Pairs up to and with AT_NULL. */
int proc_show_auxv(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	struct mm_struct *mm = get_task_mm(task);
	size_t n = 0;

	if (!mm)
		return 0;
	while (n + 2 < ARRAY_SIZE(mm->saved_auxv) && mm->saved_auxv[n])
		n += 2;
	seq_write(m, mm->saved_auxv, (n + 2) * sizeof(mm->saved_auxv[0]));
	mmput(mm);
	return 0;
}

/* --- small ones ------------------------------------------------------------------------------- */

int proc_show_wchan(struct seq_file *m, struct task_struct *task UNUSED, bool whole UNUSED)
{
	seq_putc(m, '0');
	return 0;
}

int proc_show_personality(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	seq_printf(m, "%08x\n", task->personality);
	return 0;
}

static void show_limit(struct seq_file *m, uint64_t value)
{
	if (value == RLIM_INFINITY)
		seq_printf(m, "%-20s ", "unlimited");
	else
		seq_printf(m, "%-20lu ", value);
}

int proc_show_limits(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	static const struct {
		const char *name, *unit;
	} names[RLIM_NLIMITS] = {
	        [RLIMIT_CPU] = {"Max cpu time", "seconds"},
	        [RLIMIT_FSIZE] = {"Max file size", "bytes"},
	        [RLIMIT_DATA] = {"Max data size", "bytes"},
	        [RLIMIT_STACK] = {"Max stack size", "bytes"},
	        [RLIMIT_CORE] = {"Max core file size", "bytes"},
	        [RLIMIT_RSS] = {"Max resident set", "bytes"},
	        [RLIMIT_NPROC] = {"Max processes", "processes"},
	        [RLIMIT_NOFILE] = {"Max open files", "files"},
	        [RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
	        [RLIMIT_AS] = {"Max address space", "bytes"},
	        [RLIMIT_LOCKS] = {"Max file locks", "locks"},
	        [RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
	        [RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
	        [RLIMIT_NICE] = {"Max nice priority", NULL},
	        [RLIMIT_RTPRIO] = {"Max realtime priority", NULL},
	        [RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
	};

	if (!task->signal)
		return 0;
	seq_printf(m, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		seq_printf(m, "%-25s ", names[i].name);
		show_limit(m, READ_ONCE(task->signal->rlim[i].rlim_cur));
		show_limit(m, READ_ONCE(task->signal->rlim[i].rlim_max));
		if (names[i].unit)
			seq_printf(m, "%-10s\n", names[i].unit);
		else
			seq_putc(m, '\n');
	}
	return 0;
}

/* --- out of memory ---------------------------------------------------------------------------- */

int proc_show_oom_score(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	seq_printf(m, "%lu\n", process_oom_score(task));
	return 0;
}

int proc_show_oom_score_adj(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	seq_printf(m, "%d\n", task->signal ? READ_ONCE(task->signal->oom_score_adj) : 0);
	return 0;
}

/* What was written, as a string; its length or -errno. */
static int64_t get_written(struct iov_iter *from, char *buf, size_t size)
{
	size_t n = MIN(iov_iter_count(from), size - 1);

	if (copy_from_iter(buf, n, from) != n)
		return -EFAULT;
	buf[n] = '\0';
	return (int64_t)n;
}

/* As Linux spells it: white space around it, and perhaps a plus. */
static int parse_adj(const char *s, int32_t *value)
{
	size_t used, n;
	int err;

	s += strspn(s, " \t\n");
	if (s[0] == '+' && s[1] >= '0' && s[1] <= '9')
		s++;
	n = strlen(s);
	err = parse_intvec(s, n, OOM_SCORE_ADJ_MIN, OOM_SCORE_ADJ_MAX, value, 1, &used);
	return err < 0 || used < n ? -EINVAL : 0;
}

/* A process may make itself likelier to die, and go back as far as a privileged one has set it. */
static int set_adj(struct signal_struct *sig, int value)
{
	const bool privileged = capable(CAP_SYS_RESOURCE);

	if (value < READ_ONCE(sig->oom_score_adj_min) && !privileged)
		return -EACCES;
	WRITE_ONCE(sig->oom_score_adj, value);
	if (privileged)
		WRITE_ONCE(sig->oom_score_adj_min, value);
	return 0;
}

static int64_t oom_score_adj_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct task_struct *task = proc_task(iocb->ki_filp->f_inode);
	char buf[16];
	int32_t value;
	int64_t n;
	int err;

	if (!task)
		return -ESRCH;
	n = get_written(from, buf, sizeof(buf));
	err = n < 0 ? (int)n : parse_adj(buf, &value);
	if (!err)
		err = task->signal ? set_adj(task->signal, value) : -EINVAL;
	if (!err)
		iocb->ki_pos += n;
	put_task(task);
	return err ? err : n;
}

/* --- comm ------------------------------------------------------------------------------------- */

int proc_show_comm(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	char comm[TASK_COMM_LEN];

	get_task_comm(comm, task);
	seq_puts(m, comm);
	seq_putc(m, '\n');
	return 0;
}

/* Only threads of the writer's own process can be named. */
static int64_t comm_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct task_struct *task = proc_task(iocb->ki_filp->f_inode);
	size_t all = iov_iter_count(from);
	char comm[TASK_COMM_LEN];
	int64_t n;

	if (!task)
		return -ESRCH;
	n = task->tgid == current->tgid ? get_written(from, comm, sizeof(comm)) : -EINVAL;
	if (n >= 0) {
		set_task_comm(task, comm);
		iocb->ki_pos += (int64_t)all;
	}
	put_task(task);
	return n < 0 ? n : (int64_t)all;
}

/* The text of proc_task_single_fops, and a way to write. */
static int writable_open(struct inode *inode, struct file *file)
{
	return proc_task_single_fops.open(inode, file);
}

const struct file_operations proc_comm_fops = {
        .open = writable_open,
        .release = single_release,
        .read_iter = seq_read_iter,
        .write_iter = comm_write,
        .llseek = seq_llseek,
};

const struct file_operations proc_oom_score_adj_fops = {
        .open = writable_open,
        .release = single_release,
        .read_iter = seq_read_iter,
        .write_iter = oom_score_adj_write,
        .llseek = seq_llseek,
};

/* --- links ------------------------------------------------------------------------------------ */

static struct dentry *exe_jump_link(struct dentry *dentry)
{
	int err = proc_may_access(dentry->d_inode);
	struct task_struct *task = err ? NULL : proc_task(dentry->d_inode);
	struct mm_struct *mm = task ? get_task_mm(task) : NULL;
	struct dentry *target = ERR_PTR(err ? err : -ENOENT);

	if (mm) {
		down_read(&mm->mmap_lock);
		if (mm->exe_file)
			target = dget(vm_to_file(mm->exe_file)->f_dentry);
		up_read(&mm->mmap_lock);
		mmput(mm);
	}
	if (task)
		put_task(task);
	return target;
}

static struct dentry *fs_place(struct dentry *dentry, struct dentry *(*place)(struct fs_struct *fs))
{
	int err = proc_may_access(dentry->d_inode);
	struct task_struct *task = err ? NULL : proc_task(dentry->d_inode);
	struct dentry *target = ERR_PTR(err ? err : -ENOENT);
	struct fs_struct *fs;

	if (!task)
		return target;
	task_lock(task);
	fs = task->fs;
	if (fs)
		fs_get(fs);
	task_unlock(task);
	if (fs) {
		target = place(fs);
		fs_put(fs);
	}
	put_task(task);
	return target;
}

static struct dentry *cwd_jump_link(struct dentry *dentry)
{
	return fs_place(dentry, fs_get_pwd);
}

static struct dentry *root_jump_link(struct dentry *dentry)
{
	return fs_place(dentry, fs_get_root);
}

const struct inode_operations proc_exe_iops = {.jump_link = exe_jump_link};
const struct inode_operations proc_cwd_iops = {.jump_link = cwd_jump_link};
const struct inode_operations proc_root_iops = {.jump_link = root_jump_link};
