/*
 * internal.h - what the files of fs/ share among themselves; file systems need vfs.h only.
 */
#ifndef FS_INTERNAL_H
#define FS_INTERNAL_H

#include "fs/vfs.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "lib/format.h"
#include "lib/string.h"

/* --- dcache.c ------------------------------------------------------------------------------- */
extern spinlock_t dcache_lock;
void dcache_init(void);
struct dentry *d_alloc(struct dentry *parent, const struct qstr *name); /* unhashed, count 1 */
void d_add(struct dentry *dentry, struct inode *inode); /* hash it; inode may be NULL */
struct dentry *dget_locked(struct dentry *dentry);      /* also from 0 */
struct dentry *__d_lookup(struct dentry *parent,
                          const struct qstr *name); /* (d) held; no reference */
/* dentry takes target's place in the tree; target (negative or victim) is dropped. Under both i_rwsem. */
void d_move(struct dentry *dentry, struct dentry *target);
void d_exchange(struct dentry *a, struct dentry *b);
void d_delete(struct dentry *dentry);                   /* unlinked: not found any more */
bool d_is_ancestor(struct dentry *a, struct dentry *d); /* is a d or above it? */
uint64_t shrink_dcache(uint64_t max);                   /* free unused dentries; how many */
uint64_t nr_dentry_unused(void);
void shrink_dcache_sb(struct super_block *sb); /* all unused ones of sb */
void d_genocide(struct dentry *root);          /* unpin a simple tree */

static inline bool d_is_negative(const struct dentry *dentry)
{
	return !dentry->d_inode;
}
static inline bool d_is_dir(const struct dentry *dentry)
{
	return dentry->d_inode && S_ISDIR(dentry->d_inode->i_mode);
}

/* --- inode.c ---------------------------------------------------------------------------------- */
void inode_init(void);
int notify_change(struct dentry *dentry, struct iattr *attr); /* takes i_rwsem */
MUST_USE int file_remove_privs(struct file *file);            /* before a write; i_rwsem held */
int vfs_getattr(struct dentry *dentry, struct kstat *stat);

/* --- permission.c ------------------------------------------------------------------------------ */
bool inode_owner_or_capable(const struct inode *inode);
/* May names be made in dir? May this one be taken out of it (sticky directories: -EPERM)? */
MUST_USE int may_change_dir(struct dentry *dir);
MUST_USE int may_remove_name(struct dentry *dir, struct dentry *victim);
/* The mode that a new file in dir gets when it is asked to be made with mode: S_ISGID. */
uint32_t mode_for_create(const struct inode *dir, uint32_t mode);
/* May attr be? Takes from it the S_ISGID that may not be set. Before the caller adds attributes of its own. */
MUST_USE int setattr_prepare(struct dentry *dentry, struct iattr *attr);
/* The permission bits after a change of owner; does a write or truncation by this task do the same? */
uint32_t mode_without_setid(const struct inode *inode);
bool write_clears_setid(const struct inode *inode);

/* --- namei.c ---------------------------------------------------------------------------------- */
#define MAXSYMLINKS 40
struct nameidata {
	struct dentry *at;   /* where we are; held, or borrowed while dcache_lock is */
	struct dentry *held; /* the reference that we own */
	struct dentry *root; /* NULL until needed */
	const char *name;    /* what is left */
	char *body;          /* owns name when it is in a symlink */
	/* Parent lookups: the last component; name NULL when there is none ("/") */
	struct qstr last;
	bool last_dots; /* it is "." or ".." */
	unsigned flags;
	unsigned depth, links;
	struct {
		const char *name;
		char *body;
	} stack[MAXSYMLINKS];
};

MUST_USE int filename_lookup(int dirfd, const char *name, unsigned flags, struct dentry **dentry);
/* The directory of the last component (nd->at) and that (nd->last). nd_end() in any case. */
MUST_USE int filename_parent(struct nameidata *nd, int dirfd, const char *name, unsigned flags);
/* nd->last is the symlink `link`: walk on to what it names, again up to a last component. */
MUST_USE int follow_last(struct nameidata *nd, struct dentry *link);
void nd_end(struct nameidata *nd);
/* The text of a symlink that is not a magic one, for kfree(); ERR_PTR. Sleeps. */
char *read_link(struct dentry *link);
/* A name in a directory: the dentry, perhaps negative, mounts crossed; ERR_PTR. Takes i_rwsem if it must ask. */
struct dentry *lookup_one(struct dentry *dir, const struct qstr *name);
/* Likewise with i_rwsem held for writing, mounts not crossed. */
struct dentry *lookup_one_locked(struct dentry *dir, const struct qstr *name);
struct file *do_filp_open(int dirfd, const char *name, uint32_t flags, uint32_t mode);
int do_truncate(struct dentry *dentry, uint64_t size, unsigned attr, struct file *file);

/* Calls by name; see sys_name.c. */
int vfs_create_at(int dirfd, const char *name, uint32_t mode, uint32_t rdev, struct dentry **out);
int vfs_mkdir_at(int dirfd, const char *name, uint32_t mode);
int vfs_symlink_at(const char *target, int dirfd, const char *name);
int vfs_link_at(struct dentry *old, int dirfd, const char *name);

/* --- super.c ----------------------------------------------------------------------------------- */
extern struct super_block *root_super;
extern struct super_block *anon_super; /* pipes, sockets, anonymous inodes */
void super_init(void);
static inline bool sb_rdonly(const struct super_block *sb)
{
	return sb->s_flags & MS_RDONLY;
}
int vfs_umount(struct super_block *sb); /* -EBUSY */
struct super_block *sget(struct file_system_type *type, const char *source, uint32_t flags,
                         const char *data);
void deactivate_super(struct super_block *sb);
int do_mount(const char *type, const char *source, struct dentry *where, uint32_t flags,
             const char *data);

/* --- file.c, fdtable.c --------------------------------------------------------------------------- */
void file_init(void);
int file_late_init(void);
void file_shutdown(void);
struct file *alloc_empty_file(uint32_t flags);
extern const struct file_operations def_chr_fops, empty_fops, kmsg_fops;
int alloc_fd(unsigned from, uint32_t flags);
int fd_add_from(unsigned from, struct file *file, uint32_t flags); /* F_DUPFD */
int files_install_at(struct files_struct *files, unsigned fd, struct file *file);
int replace_fd(unsigned fd, struct file *file, uint32_t flags); /* dup2: takes its own reference */
struct file *close_fd_get_file(unsigned fd);
int filp_close(struct file *file, struct files_struct *files); /* the reference goes */
bool get_close_on_exec(unsigned fd);
void set_close_on_exec(unsigned fd, bool on);
extern _Atomic uint64_t nr_files;

/* RLIMIT_FSIZE; the kernel's own threads have none. */
static inline uint64_t file_size_limit(void)
{
	return current->signal ? rlimit(RLIMIT_FSIZE) : RLIM_INFINITY;
}

/* --- locks.c ---------------------------------------------------------------------------------------- */
void locks_init(void);
void locks_remove_posix(struct file *file, struct files_struct *owner);
void locks_remove_file(struct file *file);
void locks_free_inode(struct inode *inode);
int64_t fcntl_getlk(struct file *file, unsigned cmd, vaddr_t arg);
int64_t fcntl_setlk(struct file *file, unsigned cmd, vaddr_t arg);

/* --- pipe.c ------------------------------------------------------------------------------------------ */
struct pipe_inode_info;
extern const struct file_operations pipe_fops, fifo_fops;
int64_t pipe_fcntl(struct file *file, unsigned cmd, uint64_t arg);
struct pipe_inode_info *get_pipe_info(struct file *file); /* NULL: not a pipe */
int create_pipe(struct file *files[2], uint32_t flags);

/* --- memfd.c, shmem ------------------------------------------------------------------------------------ */
int memfd_add_seals(struct file *file, unsigned seals);
int memfd_get_seals(struct file *file);
unsigned inode_seals(struct inode *inode);

/* --- file systems ---------------------------------------------------------------------------------------- */
extern struct file_system_type tmpfs_type, devtmpfs_type;
struct file *tmpfs_unnamed_file(const char *name, uint64_t size); /* for memfd */
void unix_init(void);
int tmpfs_init(void);
void tmpfs_shutdown(void);
int dev_init(void);
int tty_init(void);
int console_tty_init(void);
int pty_init(void);
extern _Atomic int32_t stdio_pgrp; /* the first program's group: signals from the host */
void poll_init(void);
extern const struct file_operations socket_fops;
/* Free what lies in queues of sockets that nobody can reach. unix_lock not held. */
void unix_gc(void);
void eventpoll_release(struct file *file); /* closing: no epoll instance watches it any more */

/* --- sockets ---------------------------------------------------------------------------------------------- */

/* --- reclaim.c */
void fs_reclaim_init(void);
uint64_t fs_drop_pages(uint64_t target); /* mount_mutex held: clean, unused ones; how many */

/* --- cpio.c ------------------------------------------------------------------------------------------------- */
int cpio_unpack(void);

/* A signal or not: what an interrupted wait returns. */
#define RESTART (-ERESTARTSYS)

static inline int64_t pos_of(struct file *file)
{
	return file->f_pos;
}

/* The running thread wrote where nobody reads: it is told as if it had sent the signal itself, as on Linux. */
static inline int broken_pipe(void)
{
	struct kernel_siginfo info = {.si_signo = SIGPIPE, .si_code = SI_USER};

	info.si_pid = current->tgid;
	info.si_uid = current->cred.uid;
	send_signal_info(current, &info, false);
	return -EPIPE;
}

/* Sleep on q until cond; a signal ends the wait: 0 or -ERESTARTSYS. The lock is let go while asleep. */
#define wait_event_mutex(q, m, cond)                   \
	({                                             \
		int err_ = 0;                          \
		struct waiter w_;                      \
		wait_begin((q), &w_);                  \
		while (!(cond)) {                      \
			if (signal_pending(current)) { \
				err_ = -ERESTARTSYS;   \
				break;                 \
			}                              \
			mutex_unlock(m);               \
			block_interruptible();         \
			mutex_lock(m);                 \
		}                                      \
		wait_end((q), &w_);                    \
		err_;                                  \
	})

#endif
