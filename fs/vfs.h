/*
 * vfs.h - files: inodes, names, open files, file systems.
 *
 *     task -> files_struct -> file -> dentry -> inode -> address_space -> pages
 *                              |        |         |
 *                              f_op     d_parent  i_op, i_sb -> super_block -> s_op
 *
 * inode        a file. Counted; the last iput() evicts it: pages go, s_op->evict_inode() frees the rest.
 *              While a dentry is cached it holds its inode, so cached names keep cached pages.
 * dentry       a name in a directory, or the absence of one (d_inode NULL: negative). Counted; an unused one stays
 *              in the cache, on a list from which memory is won back. A directory's entries hold it.
 * super_block  a mounted file system. It is mounted in one place, so a place in the tree is a dentry
 *              alone: crossing a mount goes from the covered dentry (d_mounted) to the s_root, and back by s_mountpoint.
 * file         an open file. Counted by vm.count, so that areas of memory hold it like descriptors do.
 *
 * Lookups of cached names hold dcache_lock, a spin lock, over the whole path and touch counts only at its end;
 * what is not cached is asked from the file system with the directory's i_rwsem held.
 *
 * Lock order: s_vfs_rename_mutex -> i_rwsem (ancestor first; else by address) -> the file system's own
 *             -> dcache_lock; i_rwsem -> invalidate_lock -> pages (cache.h). mmap_lock comes before
 *             invalidate_lock and after i_rwsem: program memory may be touched under i_rwsem, not under invalidate_lock.
 *
 * Lock key
 *   (d) dcache_lock (spin, no interrupts)     (w) i_rwsem for writing to change
 *   (a) atomic                                (i) immutable once published
 *   (p) f_pos_lock                            (m) mount_mutex
 */
#ifndef FS_VFS_H
#define FS_VFS_H

#include "fs/abi.h"
#include "fs/iov.h"
#include "kernel/time.h"
#include "lib/list.h"
#include <quire/cache.h>
#include <quire/errno.h>
#include <quire/sync.h>

struct dentry;
struct file;
struct files_struct;
struct inode;
struct poll_table;
struct seq_file;
struct super_block;
struct task_struct;

/* --- attributes ------------------------------------------------------------------------------- */

/* Times of files: nanoseconds since 1970. */
typedef int64_t file_time_t;
static inline file_time_t file_time_now(void)
{
	return (file_time_t)ktime_get_real_ns();
}

struct kstat {
	uint64_t ino, nlink, size, blocks; /* blocks of 512 bytes */
	uint32_t dev, rdev, mode, uid, gid, blksize;
	file_time_t atime, mtime, ctime, btime; /* btime 0: not known */
};

#define ATTR_MODE      0x01u
#define ATTR_UID       0x02u
#define ATTR_GID       0x04u
#define ATTR_SIZE      0x08u
#define ATTR_ATIME     0x10u
#define ATTR_MTIME     0x20u
#define ATTR_CTIME     0x40u
#define ATTR_ATIME_SET 0x80u /* to a given time; else to now, which is filled in too */
#define ATTR_MTIME_SET 0x100u
#define ATTR_OPEN      0x200u /* truncation by open(2) */
#define ATTR_TOUCH     0x400u /* both times to now: who may write may do so */
#define ATTR_TIMES_SET 0x800u /* in any other way: the owner alone */
struct iattr {
	unsigned valid;
	uint32_t mode, uid, gid;
	uint64_t size;
	file_time_t atime, mtime, ctime;
	struct file *file; /* ftruncate and the like; or NULL */
};

struct kstatfs {
	uint64_t type, bsize, blocks, bfree, bavail, files, ffree, namelen;
};

/* --- inodes ------------------------------------------------------------------------------------- */

struct inode {
	refcount_t i_count;
	uint32_t i_mode;                     /* (w) type bits (i) */
	uint32_t i_nlink;                    /* (w) 0: goes with the last reference */
	uint32_t i_uid, i_gid;               /* (w) */
	uint32_t i_rdev;                     /* (i) of devices */
	uint64_t i_ino;                      /* (i) */
	struct super_block *i_sb;            /* (i) */
	const struct inode_operations *i_op; /* (i) never NULL */
	const struct file_operations *i_fop; /* (i) never NULL */
	struct address_space *i_mapping;     /* (i) &i_data, or NULL: cannot be mapped or cached */
	struct rw_semaphore i_rwsem; /* directory: its names; file: writers and truncation */
	file_time_t i_atime, i_mtime, i_ctime; /* racy by design; each a single store */
	char *i_link;    /* (i) symlink with its target in memory; freed by the file system */
	void *i_private; /* the file system's; also the pipe of a FIFO, the socket of a bound name */
	struct file_lock_context *_Atomic i_flctx; /* fs/locks.c */
	struct hlist_node i_hash;                  /* s_inode_lock of the super block */
	struct list_head i_sb_list;                /* s_inode_lock */
	struct address_space i_data; /* size of a file: i_data.i_size, by i_size_read/write */
};

static inline uint64_t i_size_read(const struct inode *inode)
{
	return atomic_load_explicit(&inode->i_data.i_size, memory_order_relaxed);
}

static inline void i_size_write(struct inode *inode, uint64_t size)
{
	atomic_store_explicit(&inode->i_data.i_size, size, memory_order_relaxed);
}

/*
 * All run with the directory's i_rwsem held for writing (both for rename, and the victim's) and may sleep.
 * NULL where the file system has no such thing: -EPERM, or -EROFS when it is mounted read-only.
 */
struct inode_operations {
	/*
	 * The inode of dentry->d_name in dir, with a reference; NULL: no such name (which is then cached); ERR_PTR.
	 * May set dentry->d_fsdata and d_expires. The VFS attaches the inode.
	 */
	struct inode *(*lookup)(struct inode *dir, struct dentry *dentry);
	/* Makers attach the new inode with d_instantiate(). 0 or -errno. mode has the type bits, umask applied. */
	int (*create)(struct inode *dir, struct dentry *dentry, uint32_t mode);
	int (*mknod)(struct inode *dir, struct dentry *dentry, uint32_t mode, uint32_t rdev);
	int (*mkdir)(struct inode *dir, struct dentry *dentry, uint32_t mode);
	int (*symlink)(struct inode *dir, struct dentry *dentry, const char *target);
	int (*link)(struct dentry *old, struct inode *dir, struct dentry *dentry);
	int (*unlink)(struct inode *dir, struct dentry *dentry);
	int (*rmdir)(struct inode *dir, struct dentry *dentry); /* -ENOTEMPTY */
	/* flags: RENAME_*. `to` may be negative or a victim of the right type. The VFS moves the dentries. */
	int (*rename)(struct inode *from_dir, struct dentry *from, struct inode *to_dir,
	              struct dentry *to, unsigned flags);
	struct inode *(*tmpfile)(struct inode *dir, uint32_t mode); /* unnamed; ERR_PTR */

	/* Symlinks without i_link: the target, for kfree(); NULL: no memory; ERR_PTR. No lock held. */
	char *(*get_link)(struct dentry *dentry);
	/* Magic links (/proc/self/exe): the place itself, with a reference; ERR_PTR. Wins over get_link. No lock held. */
	struct dentry *(*jump_link)(struct dentry *dentry);

	/* NULL: generic_fillattr. No lock held. Fills stat from the store; may refresh the inode. */
	int (*getattr)(struct dentry *dentry, struct kstat *stat);
	/* NULL: simple_setattr (memory only, no size). i_rwsem of the inode held for writing. */
	int (*setattr)(struct dentry *dentry, struct iattr *attr);
	/*
	 * NULL: generic_permission() of the inode. Else this decides, and first brings mode and owner up to date, as far as they
	 * matter: also for mask 0, which asks for nothing else. i_rwsem of the inode or its directory may be held.
	 */
	int (*permission)(struct dentry *dentry, unsigned mask);
};

#define MAY_EXEC  1u
#define MAY_WRITE 2u
#define MAY_READ  4u

/* A new inode of sb, count 1, nlink 1, times now, i_mapping = &i_data with a_ops. NULL: no memory. */
struct inode *new_inode(struct super_block *sb, uint32_t mode,
                        const struct address_space_operations *a_ops);
void iput(struct inode *inode); /* NULL is nothing; the last one sleeps */
static inline struct inode *igrab(struct inode *inode)
{
	refcount_inc(&inode->i_count);
	return inode;
}

/*
 * Inodes found by number (hard links share one). ilookup: with a reference or NULL. insert_inode_hash: publish; if another was
 * published first, drops inode and returns that one. Neither sleeps but for the dropped one.
 */
struct inode *ilookup(struct super_block *sb, uint64_t ino);
struct inode *insert_inode_hash(struct inode *inode);

/* i_fop of FIFOs, devices and sockets from the mode; i_rdev. For mknod and lookup of special files. */
void init_special_inode(struct inode *inode, uint32_t mode, uint32_t rdev);
void generic_fillattr(struct inode *inode, struct kstat *stat);
int simple_setattr(struct dentry *dentry, struct iattr *attr);
void setattr_copy(struct inode *inode, const struct iattr *attr); /* all but the size */
uint64_t get_next_ino(void); /* numbers for memory file systems */

/* --- permissions (fs/permission.c): the running task's, 0 or -errno -------------------------------- */

/* May it do all of mask (MAY_*) to the file? -EACCES, -EROFS. May sleep. */
MUST_USE int inode_permission(struct dentry *dentry, unsigned mask);
/* By mode, owner and capabilities alone. Takes no lock. */
MUST_USE int generic_permission(struct inode *inode, unsigned mask);
/* The group of a new file in dir: the task's, or dir's if that has S_ISGID. */
uint32_t gid_for_create(const struct inode *dir);

/* --- names ------------------------------------------------------------------------------------- */

#define D_NAME_INLINE 40
#define D_NEVER       UINT64_MAX

struct qstr {
	const char *name; /* ends with NUL in a dentry, not in a path that is being walked */
	uint32_t len, hash;
};

#define DCACHE_UNHASHED  1u /* (d) removed: not found any more */
#define DCACHE_PINNED    2u /* (d) simple_*: the tree is the directory; holds its own reference */
#define DCACHE_MOUNTED   4u /* (d) covered by d_mounted */
#define DCACHE_TRANSIENT 8u /* (i) goes with its last user */

struct dentry {
	refcount_t d_count;       /* (a) up from 0 only under (d) */
	unsigned d_flags;         /* (d) */
	struct hlist_node d_hash; /* (d) */
	struct dentry *d_parent;  /* (d) itself for a root */
	/* (d), and d_parent's (w); stable while referenced, but for negative to positive. */
	struct inode *d_inode;
	struct qstr d_name;            /* (d) rename */
	struct super_block *d_sb;      /* (i) */
	struct super_block *d_mounted; /* (d) */
	_Atomic uint64_t d_expires; /* port_now_ns() after which d_revalidate is asked; D_NEVER */
	uint64_t d_pos;             /* (d) place among its siblings: grows; readdir's position */
	void *d_fsdata;
	struct list_head d_child;   /* (d) of d_parent's d_subdirs */
	struct list_head d_subdirs; /* (d) */
	struct list_head d_lru;     /* (d) unused */
	char d_iname[D_NAME_INLINE];
};

/* Take another reference to a dentry that the caller holds or that dcache_lock pins. */
static inline struct dentry *dget(struct dentry *dentry)
{
	refcount_inc(&dentry->d_count);
	return dentry;
}
void dput(struct dentry *dentry); /* NULL is nothing; may sleep */
void d_instantiate(struct dentry *dentry,
                   struct inode *inode);         /* takes over the inode's reference */
void d_drop(struct dentry *dentry);              /* not found any more */
struct dentry *d_make_root(struct inode *inode); /* takes the inode over, also on failure; NULL */
/* A name that is in no directory: pipes and the like. */
struct dentry *d_alloc_pseudo(struct super_block *sb, const char *name);
/* The cached, positive child; with a reference, or NULL. */
struct dentry *d_lookup(struct dentry *parent, const struct qstr *name);
struct qstr qstr_init(const char *name, size_t len); /* with the hash */

/*
 * The absolute path, from the running task's root, into the end of buf; " (deleted)" appended. A pointer into buf, or
 * ERR_PTR(-ENAMETOOLONG). Names of pseudo files are shown as they are ("pipe:[12]").
 */
char *d_path(struct dentry *dentry, char *buf, size_t size);
static inline bool d_unlinked(const struct dentry *dentry)
{
	return dentry->d_flags & DCACHE_UNHASHED && dentry != dentry->d_parent;
}

/* --- path lookup (fs/namei.c) ------------------------------------------------------------------- */

#define LOOKUP_FOLLOW    1u /* a symlink at the end */
#define LOOKUP_DIRECTORY 2u /* must be one */
#define LOOKUP_EMPTY     4u /* "" means the start (AT_EMPTY_PATH) */
#define LOOKUP_IN_ROOT \
	8u /* start and absolute links at the file system's root: the kernel's own walks */
#define LOOKUP_SEARCHED 16u /* no directory on the way need be asked if the task may search it */

/* The place named by a kernel string, from the running task's cwd; with a reference. 0 or -errno. Sleeps. */
MUST_USE int kern_path(const char *name, unsigned flags, struct dentry **dentry);
/* Likewise a string of the program, from dirfd or AT_FDCWD. */
MUST_USE int user_path_at(int dirfd, vaddr_t name, unsigned flags, struct dentry **dentry);
/* A program's path in a PATH_MAX buffer: for putname(). ERR_PTR(-ENOENT) when empty and not allowed. */
char *getname(vaddr_t name, bool empty_ok);
void putname(char *name);

/* --- open files --------------------------------------------------------------------------------- */

#define FMODE_READ       1u
#define FMODE_WRITE      2u
#define FMODE_LSEEK      4u  /* has a position; else ESPIPE */
#define FMODE_PATH       8u  /* O_PATH */
#define FMODE_ATOMIC_POS 16u /* read and write take f_pos_lock */
#define FMODE_EXEC       32u

struct file_ra_state {   /* how a file is read: see filemap_rw.c */
	uint32_t next;   /* page index where a sequential reader goes on */
	uint32_t window; /* pages to read ahead */
};

struct file {
	struct vm_file vm;                  /* first: count, mapping */
	uint32_t f_mode;                    /* (i) FMODE_* */
	_Atomic uint32_t f_flags;           /* (a) O_* but those of opening itself */
	const struct file_operations *f_op; /* (i) */
	struct dentry *f_dentry;            /* (i) */
	struct inode *f_inode;              /* (i) */
	int64_t f_pos;                      /* (p) */
	void *private_data;
	struct mutex f_pos_lock;
	struct file_ra_state f_ra;
	int32_t f_owner;             /* F_SETOWN */
	struct list_head f_ep_links; /* epoll entries that watch it: epoll's mutex */
};

static inline struct file *vm_to_file(struct vm_file *vm)
{
	return container_of(vm, struct file, vm);
}
extern const struct vm_file_operations
        file_vm_ops; /* vf_ops of every struct file; others are not files */

/* One read or write. */
#define IOCB_NOWAIT 1u /* O_NONBLOCK of the file or RWF_NOWAIT */
#define IOCB_APPEND 2u
#define IOCB_DSYNC  4u
struct kiocb {
	struct file *ki_filp;
	int64_t ki_pos; /* advanced by what moved */
	unsigned ki_flags;
};

struct dir_context {
	/* False: the buffer is full, stop before this entry. */
	bool (*actor)(struct dir_context *ctx, const char *name, size_t len, uint64_t pos,
	              uint64_t ino, unsigned type);
	uint64_t pos; /* 0: "."; 1: ".."; beyond: the file system's own */
};

/* Sleep unless noted. Absent: read, write -EINVAL; ioctl -ENOTTY; mmap -ENODEV; poll always ready; fsync -EINVAL. */
struct file_operations {
	int (*open)(struct inode *inode, struct file *file);
	void (*release)(struct inode *inode, struct file *file);
	/* Bytes moved, 0 at the end; negative errno only if nothing moved. */
	int64_t (*read_iter)(struct kiocb *iocb, struct iov_iter *to);
	int64_t (*write_iter)(struct kiocb *iocb, struct iov_iter *from);
	int64_t (*llseek)(struct file *file, int64_t offset,
	                  int whence); /* NULL: generic_file_llseek */
	/* i_rwsem of the directory is held for reading. Emits from ctx->pos and leaves it after the last. */
	int (*iterate)(struct file *file, struct dir_context *ctx);
	/* Queue on the wait queues that tell of changes (poll_wait), return what is ready now. */
	unsigned (*poll)(struct file *file, struct poll_table *pt);
	int64_t (*ioctl)(struct file *file, unsigned cmd, uint64_t arg);
	/*
	 * What an area maps: *vm with a reference, or NULL for anonymous memory. NULL op: the file itself if it has a mapping.
	 */
	int (*mmap)(struct file *file, uint64_t len, int prot, int flags, struct vm_file **vm);
	int (*fsync)(struct file *file, uint64_t start, uint64_t end, bool datasync);
	int (*fallocate)(struct file *file, unsigned mode, uint64_t offset, uint64_t len);
	int (*flush)(
	        struct file *file); /* at each close(2) of a descriptor; its error is close's */
	void (*show_fdinfo)(struct seq_file *m, struct file *file);
};

/* Drop a reference; the last one closes the file. NULL is nothing. */
static inline void fput(struct file *file)
{
	if (file)
		put_vm_file(&file->vm);
}
static inline struct file *get_file(struct file *file)
{
	get_vm_file(&file->vm);
	return file;
}

/* From the running task's root and cwd. ERR_PTR. */
struct file *filp_open(const char *path, uint32_t flags, uint32_t mode);
struct file *dentry_open(struct dentry *dentry, uint32_t flags);
/* For execve: regular, executable, readable; ERR_PTR(-EACCES). */
struct file *open_exec(const char *path);
struct file *open_exec_at(int dirfd, vaddr_t path, unsigned at_flags);

/* A file with no name in a directory: its own inode (mode has the type) on the anonymous super block. ERR_PTR. */
struct file *alloc_file_pseudo(const char *name, uint32_t mode, uint32_t flags,
                               const struct file_operations *fops, void *private_data);
/* Likewise, all such files sharing one inode: eventfd, epoll, pidfd ... name is what /proc/self/fd shows. */
struct file *anon_inode_getfile(const char *name, const struct file_operations *fops,
                                void *private_data, uint32_t flags);

/* Kernel memory. Bytes moved (kernel_read: all that there are) or -errno. *pos is advanced. */
int64_t kernel_read(struct file *file, void *buf, size_t n, int64_t *pos);
int64_t kernel_write(struct file *file, const void *buf, size_t n, int64_t *pos);
int64_t vfs_read_iter(struct file *file, struct iov_iter *to, int64_t *pos, unsigned iocb_flags);
int64_t vfs_write_iter(struct file *file, struct iov_iter *from, int64_t *pos, unsigned iocb_flags);

/* d_path() of the file. */
static inline char *file_path(struct file *file, char *buf, size_t size)
{
	return d_path(file->f_dentry, buf, size);
}

/*
 * For mmap(2): may the file be mapped so (EACCES, ENODEV, EPERM), and what is mapped: *vm with a reference, NULL for
 * anonymous memory (/dev/zero private).
 */
MUST_USE int file_mmap(struct file *file, uint64_t len, int prot, int flags, struct vm_file **vm);

int generic_file_open(struct inode *inode, struct file *file);
int64_t generic_file_llseek(struct file *file, int64_t offset, int whence);
int64_t no_llseek(struct file *file, int64_t offset, int whence); /* -ESPIPE */
int64_t noop_llseek(struct file *file, int64_t offset, int whence);
int stream_open(struct inode *inode, struct file *file); /* no position */

/* The page cache's side of read and write (fs/filemap_rw.c). */
int64_t generic_file_read_iter(struct kiocb *iocb, struct iov_iter *to);
int64_t generic_file_write_iter(struct kiocb *iocb, struct iov_iter *from); /* takes i_rwsem */
/* The middle of the above, i_rwsem held, position and limits settled. */
int64_t generic_perform_write(struct kiocb *iocb, struct iov_iter *from);
int generic_fsync(struct file *file, uint64_t start, uint64_t end,
                  bool datasync); /* write back and wait */

/* --- descriptors (fs/fdtable.c) ------------------------------------------------------------------ */

struct files_struct *files_alloc(void);                     /* empty; NULL */
struct files_struct *files_dup(struct files_struct *files); /* fork: a copy; ERR_PTR */
void files_get(struct files_struct *files);                 /* CLONE_FILES */
void files_put(struct files_struct *files);                 /* the last closes all; sleeps */
/* execve: the running task gets a table of its own (0 or -ENOMEM), and later loses the close-on-exec ones. */
MUST_USE int files_unshare(void);
void files_close_on_exec(struct files_struct *files);

/* The running task's file behind fd, with a reference; NULL. Not O_PATH ones; fget_raw: also those. */
struct file *fget(int fd);
struct file *fget_raw(int fd);
/* Another table's (held by files_get): for /proc. */
struct file *files_get_file(struct files_struct *files, unsigned fd);
/* The first open descriptor at or after fd, or -1. */
int files_next_fd(struct files_struct *files, unsigned fd);
bool files_is_cloexec(struct files_struct *files, unsigned fd);
unsigned files_max(struct files_struct *files); /* size of the table: FDSize of /proc/PID/status */

/*
 * Borrowed: no count is taken when the table is not shared, for nobody else can close it. For the length of a system call.
 */
struct fd {
	struct file *file;
	bool put;
};
struct fd fdget(int fd);
struct fd fdget_raw(int fd);
static inline void fdput(struct fd f)
{
	if (f.put)
		fput(f.file);
}

/* A descriptor in two steps, so that failure in between has nothing to undo in the program's eyes. */
MUST_USE int get_unused_fd_flags(uint32_t flags); /* O_CLOEXEC; -EMFILE, -ENOMEM */
void put_unused_fd(unsigned fd);
void fd_install(unsigned fd, struct file *file); /* takes the reference over */
/* Both steps; the reference is gone also on failure. file may be an ERR_PTR, which is returned. */
int fd_add(struct file *file, uint32_t flags);

/* --- root and working directory (fs/fs_struct.c) --------------------------------------------------- */

struct fs_struct {
	refcount_t count;
	spinlock_t lock;
	struct dentry *root, *pwd; /* lock */
	uint32_t umask;
};

struct fs_struct *
fs_dup(struct fs_struct *fs); /* NULL: no memory. fs == NULL: the root, umask 022 */
void fs_get(struct fs_struct *fs);
void fs_put(struct fs_struct *fs);
struct dentry *fs_get_root(struct fs_struct *fs); /* with a reference */
struct dentry *fs_get_pwd(struct fs_struct *fs);
void fs_set_root(struct fs_struct *fs, struct dentry *dentry); /* takes its own reference */
void fs_set_pwd(struct fs_struct *fs, struct dentry *dentry);

/* --- file systems and mounts (fs/super.c) ------------------------------------------------------------ */

#define INODE_HASH_BITS 6

struct super_operations {
	/* Embed struct inode in something larger. NULL: a plain inode. free_inode gets what alloc_inode made. */
	struct inode *(*alloc_inode)(struct super_block *sb);
	void (*free_inode)(struct inode *inode);
	/* The last reference has gone and the pages too: release what belongs to the file system. Sleeps. */
	void (*evict_inode)(struct inode *inode);
	/* The dentry is going: d_fsdata. Sleeps. */
	void (*d_release)(struct dentry *dentry);
	/*
	 * d_expires has passed: 1 still right (and sets d_expires anew), 0 not, -errno. Reference held, no locks. Sleeps.
	 */
	int (*d_revalidate)(struct dentry *dentry);
	/* Everything that follows is the end: what only the other side would keep need not be given back. */
	void (*umount_begin)(struct super_block *sb);
	int (*statfs)(struct super_block *sb, struct kstatfs *buf);
	int (*sync_fs)(struct super_block *sb);
	void (*put_super)(struct super_block *sb); /* at the end: s_fs_info */
	void (*show_options)(struct seq_file *m,
	                     struct super_block *sb); /* ",size=64k" for /proc/mounts */
};

struct file_system_type {
	const char *name;
	unsigned fs_flags; /* FS_* */
	/* Fill sb: s_op, s_magic, s_root, s_fs_info. source and data as mount(2). 0 or -errno. Sleeps. */
	int (*fill_super)(struct super_block *sb, const char *source, const char *data);
	struct file_system_type *next;
};
#define FS_NODEV  1u /* no device: "nodev" in /proc/filesystems */
#define FS_KERNEL 2u /* not for mount(2) */

struct super_block {
	struct list_head s_list; /* (m) in order of mounting */
	uint32_t s_dev;          /* (i) anonymous device number */
	uint32_t s_flags;        /* (m) MS_* */
	uint64_t s_magic;
	const struct super_operations *s_op; /* never NULL */
	const struct file_system_type *s_type;
	struct dentry *s_root;
	/* (m)(d) what it covers; NULL: the root of all, or not mounted. */
	struct dentry *s_mountpoint;
	char *s_source;
	void *s_fs_info;
	struct mutex s_vfs_rename_mutex; /* renames between directories: the tree's shape */
	spinlock_t s_inode_lock;
	struct hlist_head s_inode_hash[1 << INODE_HASH_BITS]; /* ilookup */
	struct list_head s_inodes;
};

extern struct mutex mount_mutex;
extern struct list_head super_blocks; /* mount_mutex: for /proc/mounts, in order */
void register_filesystem(struct file_system_type *type);
void filesystems_for_each(void (*show)(const struct file_system_type *type, void *ctx), void *ctx);

/*
 * Mount type over path ("/" the first time). A missing mount point is made in the cache only, so that it works on a
 * read-only file system: virtual_ok. 0 or -errno. Sleeps.
 */
MUST_USE int vfs_mount(const char *type, const char *source, const char *path, uint32_t flags,
                       const char *data, bool virtual_ok);
/* A super block that is not in the tree. ERR_PTR. */
struct super_block *kern_mount(struct file_system_type *type);

/* Drivers' numbers: open of a device special file finds them. 0 or -EBUSY. */
MUST_USE int register_chrdev(uint32_t dev, const char *name, const struct file_operations *fops);

/* --- in-memory trees for synthetic file systems (fs/libfs.c) ------------------------------------------ */

/*
 * The dentries are the directory: pinned from creation until simple_remove() or unmount. NULL: no memory. Directories made so have
 * simple_dir_inode_operations (names not in the cache do not exist) and simple_dir_operations.
 * A file system that has further names (numbers in /proc) sets i_op of the directory to its own, whose lookup is asked for
 * names not in the tree, and calls dcache_readdir() for the ones that are.
 */
struct dentry *simple_mkdir(struct dentry *parent, const char *name, uint32_t mode);
struct dentry *simple_create(struct dentry *parent, const char *name, uint32_t mode,
                             const struct file_operations *fops, void *i_private);
struct dentry *simple_symlink(struct dentry *parent, const char *name, const char *target);
struct dentry *simple_mknod(struct dentry *parent, const char *name, uint32_t mode, uint32_t rdev);
void simple_remove(struct dentry *dentry); /* and all below; open files live on */
extern const struct inode_operations simple_dir_inode_operations;
extern const struct file_operations simple_dir_operations;
int dcache_readdir(struct file *file, struct dir_context *ctx);
/* "." and "..": true when they are out (or were), false when the buffer is full. */
bool dir_emit_dots(struct file *file, struct dir_context *ctx);
static inline bool dir_emit(struct dir_context *ctx, const char *name, size_t len, uint64_t ino,
                            unsigned type)
{
	return ctx->actor(ctx, name, len, ctx->pos, ino, type);
}
void simple_evict_inode(
        struct inode *inode); /* frees i_link: part of any ops given to simple_fill_super */
int simple_statfs(struct super_block *sb, struct kstatfs *buf);
/* s_root for such a file system: an empty directory. 0 or -ENOMEM. */
MUST_USE int simple_fill_super(struct super_block *sb, uint64_t magic,
                               const struct super_operations *ops);
int64_t simple_read_from_buffer(struct iov_iter *to, int64_t *pos, const void *from,
                                size_t available);

/*
 * Files of text made when read: show() prints the whole into a growing buffer at the first read (and again after a seek to 0), so
 * that a reader sees one moment; it is called again from the same cursor when the buffer was too small, and may hold any lock. What may be long is made a read at a time instead, in whole records as on Linux: see
 * seq_record_fits(). A failed allocation is -ENOMEM at read.
 */
struct seq_file {
	char *buf;
	size_t size, count;
	bool overflow; /* the buffer was too small: show() is called again with a larger one */
	bool more; /* show() stopped early, and is called again from `cursor` when more is read */
	uint64_t cursor; /* where show() is to go on: its own business, 0 at the start */
	size_t pos, end; /* what is being read */
	struct mutex lock;
	int (*show)(struct seq_file *m, void *data);
	void *private;
	struct file *file;
};
int single_open(struct file *file, int (*show)(struct seq_file *m, void *data), void *data);
void single_release(struct inode *inode, struct file *file);
int64_t seq_read_iter(struct kiocb *iocb, struct iov_iter *to);
int64_t seq_llseek(struct file *file, int64_t offset, int whence);
/* A record was made from `start` on. False: it is one too many for this read and is taken back; show() is to stop. */
MUST_USE bool seq_record_fits(struct seq_file *m, size_t start);
void seq_write(struct seq_file *m, const void *data, size_t n);
void seq_puts(struct seq_file *m, const char *s);
void seq_putc(struct seq_file *m, char c);
PRINTF(2, 3) void seq_printf(struct seq_file *m, const char *format, ...);
void seq_mask(struct seq_file *m, uint64_t mask,
              unsigned bits);                          /* so many bits, in hexadecimal: 07 of 8 */
void seq_mask_list(struct seq_file *m, uint64_t mask); /* 0-2,5 */
void seq_escape_path(struct seq_file *m,
                     struct dentry *dentry); /* space, tab, newline, backslash in octal */

/* --- polling (fs/select.c) ---------------------------------------------------------------------------- */

/*
 * A poll op calls poll_wait() for each queue whose wake-ups may change its answer; pt may be NULL: only asked. The
 * queue must live as long as the file.
 */
struct poll_table {
	void (*qproc)(struct file *file, struct wait_queue *q, struct poll_table *pt);
};
static inline void poll_wait(struct file *file, struct wait_queue *q, struct poll_table *pt)
{
	if (pt && pt->qproc)
		pt->qproc(file, q, pt);
}
unsigned vfs_poll(struct file *file, struct poll_table *pt);

/* --- the module ------------------------------------------------------------------------------------------ */

/* Caches, file systems, the root and what is mounted over it, from the boot parameters. 0 or -errno with a log line. */
MUST_USE int fs_init(void);
/* Descriptors 0, 1, 2 of the first program, by stdio=. 0 or -errno. */
MUST_USE int fs_open_stdio(struct files_struct *files);
/* Forget unused names, and clean pages that nobody uses. Returns pages freed. Sleeps. */
uint64_t fs_drop_caches(void);
uint64_t fs_drop_pagecache(void); /* of that, clean pages of files that nobody uses */
uint64_t fs_drop_slab(void);      /* and unused names, and objects' frames */
/* After the last process: write back, unmount all, free all. Open files that are left are named in the log. */
void fs_shutdown(void);

/* What the boot archive says to run (doc/boot-protocol.md). Strings end with NUL; lengths in bytes. */
struct boot_program {
	char *argv, *env, *cwd, *shares;
	size_t argv_len, env_len, shares_len;
	struct file *stdin; /* a memory file, until descriptor 0 is opened; NULL: none came */
};
extern struct boot_program boot_program;

#endif
