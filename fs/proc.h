/*
 * proc.h - what the files of procfs share.
 *
 * The root and what is not about a process is a tree of pinned dentries (libfs). Names about
 * processes are made when looked up and asked about again at each use (d_expires 0): an inode of
 * such a name knows the task by number and start time, holds no reference, and is of no use when
 * the task has gone (-ESRCH, -ENOENT).
 *
 * Formats are Linux's: proc(5). No lock is held while text is made, but those named by the
 * functions.
 */
#ifndef FS_PROC_H
#define FS_PROC_H

#include "fs/vfs.h"
#include "kernel/task.h"

#include <quire/frame.h>

/* One show function of a task's file: whole says that the process is meant, not the thread. */
typedef int (*proc_task_show)(struct seq_file *m, struct task_struct *task, bool whole);

/* A name in /proc/PID or /proc/PID/task/TID. */
struct pid_entry {
	const char *name;
	uint32_t mode;
	proc_task_show show;                /* a file of text; or */
	const struct file_operations *fops; /* another kind of file, or a directory; and/or */
	const struct inode_operations *iops;
	bool leader_only; /* not below task/ */
	bool secret;      /* opened only by who may see into the task */
};

struct proc_inode {
	struct inode vfs; /* first */
	int32_t pid;
	uint64_t start_time; /* of the task, to tell it from a later one of the same number */
	const struct pid_entry *entry;
	bool whole;
	int fd; /* of names in fd/ and fdinfo/; else -1 */
};

static inline struct proc_inode *PROC_I(struct inode *inode)
{
	return container_of(inode, struct proc_inode, vfs);
}

/* --- proc_base.c: inodes of tasks ------------------------------------------------------------- */

/* The task with a reference, or NULL: gone. */
struct task_struct *proc_task(struct inode *inode);
/* A new inode about task. ERR_PTR(-ENOMEM). */
struct inode *proc_task_inode(struct super_block *sb, struct task_struct *task,
                              const struct pid_entry *entry, uint32_t mode, bool whole);
/* Whose it is, as of now. */
void proc_update_owner(struct inode *inode, struct task_struct *task);
/* May the running task see what only the task's user may? 0, -EACCES, -ENOENT: it has gone. */
MUST_USE int proc_may_access(struct inode *inode);
/* lookup's result: the name is asked about again at each use. */
struct inode *proc_lookup_done(struct dentry *dentry, struct inode *inode);
/* A whole name as a number below limit; -ENOENT. */
int64_t proc_name_to_number(const struct qstr *name, uint32_t limit);
/* Emit a number as a name. False: the buffer is full. */
bool proc_emit_number(struct dir_context *ctx, uint32_t number, unsigned type);
extern const struct file_operations proc_task_single_fops; /* i.e. entry->show */

/* --- directories ------------------------------------------------------------------------------ */
struct inode *proc_pid_lookup(struct inode *dir,
                              struct dentry *dentry); /* proc_base.c: of the root */
int proc_pid_readdir(struct file *file, struct dir_context *ctx);
extern const struct inode_operations proc_fd_dir_iops, proc_fdinfo_dir_iops; /* proc_fd.c */
extern const struct file_operations proc_fd_dir_fops, proc_fdinfo_dir_fops;

/* Is the descriptor of an inode of fd/ or fdinfo/ still open, in the way its mode says? */
bool proc_fd_valid(struct inode *inode);

/* --- files of a task -------------------------------------------------------------------------- */
/* proc_stat.c */
int proc_show_stat(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_statm(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_status(struct seq_file *m, struct task_struct *task, bool whole);
/* proc_task.c */
int proc_show_cmdline(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_environ(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_auxv(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_comm(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_limits(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_oom_score(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_oom_score_adj(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_wchan(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_personality(struct seq_file *m, struct task_struct *task, bool whole);
extern const struct file_operations proc_comm_fops, proc_oom_score_adj_fops;
extern const struct inode_operations proc_exe_iops, proc_cwd_iops, proc_root_iops;
/* proc_maps.c */
int proc_show_maps(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_smaps(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_smaps_rollup(struct seq_file *m, struct task_struct *task, bool whole);
/* proc_mem.c */
extern const struct file_operations proc_mem_fops, proc_pagemap_fops;
/* proc_mounts.c */
int proc_show_mounts(struct seq_file *m, struct task_struct *task, bool whole);
int proc_show_mountinfo(struct seq_file *m, struct task_struct *task, bool whole);

/* --- files of the system ---------------------------------------------------------------------- */

/* A file of text about the system. */
struct proc_file {
	const char *name;
	int (*show)(struct seq_file *m, void *arg);
	uint32_t mode;   /* 0: 0444 */
	const void *arg; /* passed to show */
};
/* Of all files: open(2) may truncate what has no length; owner and mode cannot be changed. */
extern const struct inode_operations proc_file_iops;
/* Make n of them in dir; or one that has its own operations. 0 or -ENOMEM. */
MUST_USE int proc_create_files(struct dentry *dir, const struct proc_file *files, unsigned n);
MUST_USE int proc_create(struct dentry *dir, const char *name, uint32_t mode,
                         const struct file_operations *fops, const void *data);

MUST_USE int proc_meminfo_init(struct dentry *root); /* meminfo, vmstat, ... proc_meminfo.c */
MUST_USE int proc_zones_init(struct dentry *root);   /* buddyinfo, zoneinfo, ... proc_zones.c */
MUST_USE int proc_frames_init(struct dentry *root);  /* pagetypeinfo, ... proc_frames.c */
MUST_USE int sysfs_extfrag_init(struct dentry *debug);
MUST_USE int sysfs_page_owner_init(struct dentry *debug); /* proc_owner.c */
MUST_USE int proc_sysrq_init(struct dentry *root);        /* sysrq-trigger. proc_sysrq.c */
MUST_USE int proc_kallsyms_init(struct dentry *root);     /* proc_kallsyms.c */
MUST_USE int proc_system_init(struct dentry *root);       /* stat, uptime, ... proc_system.c */
MUST_USE int proc_cpuinfo_init(struct dentry *root);      /* proc_cpuinfo.c */
MUST_USE int proc_sys_init(struct dentry *root);          /* sys/: proc_sys.c */
MUST_USE int proc_vm_init(struct dentry *vm);             /* of sys/vm/: proc_vm.c */

/* Types of page blocks, as pagetypeinfo and page_owner call them. */
extern const char *const migratetype_names[MIGRATE_TYPES];

/* Pages by what only their descriptors tell: a walk over mem_map, racy as every gauge. */
struct page_census {
	uint64_t anon, file, shmem;
	uint64_t slab, slab_reclaimable, table, kstack;
	uint64_t lru[NR_LRU_LISTS];
	uint64_t mapped; /* file and shared pages that programs map */
	uint64_t dirty, writeback;
	uint64_t mlocked, unevictable;
};
void proc_page_census(struct page_census *c);
void proc_zone_census(const struct zone *zone, struct page_census *c); /* added to *c */
uint64_t proc_numa_stat(enum numa_stat_item item);                     /* of all zones */

static inline uint64_t pages_to_kb(uint64_t pages)
{
	return pages << (PAGE_SHIFT - 10);
}

/* Clock ticks of 1/100 s. */
static inline uint64_t ns_to_ticks(uint64_t ns)
{
	return ns / 10000000;
}

/* Register "proc"; "sysfs" (proc_sysfs.c). Once. */
void proc_fs_init(void);
void sysfs_init(void);
MUST_USE int sysfs_nodes_init(struct dentry *system); /* devices/system/node: sysfs_node.c */

#endif
