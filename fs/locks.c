/*
 * locks.c - locks on ranges of files: fcntl(2), of processes and of open files, and flock(2).
 *
 * An inode that was ever locked has a context: a mutex, two lists (ranges; flock), a queue. The owner of a process's locks is its
 * table of descriptors, of the others the open file. Locks of one owner never overlap: setting a range first cuts it
 * out of what the owner has there, which needs at most one lock more than the two that are allocated before.
 *
 * Deadlocks between waiting processes are not looked for (Linux finds some, EDEADLK): a signal ends the wait.
 */
#include "fs/internal.h"
#include <quire/slab.h>

#define OFFSET_MAX INT64_MAX

struct file_lock {
	struct list_head link;
	const void *owner;
	int64_t start, end; /* inclusive */
	int32_t pid;        /* -1: of an open file */
	short type;         /* F_RDLCK, F_WRLCK */
};

struct file_lock_context {
	struct mutex lock;
	struct list_head posix, flock;
	struct wait_queue wait;
};

struct linux_flock {
	int16_t l_type, l_whence;
	int32_t pad;
	int64_t l_start, l_len;
	int32_t l_pid, pad2;
};
static_assert(sizeof(struct linux_flock) == 32, "struct flock");

static struct kmem_cache *lock_cache;

static struct file_lock_context *get_context(struct inode *inode)
{
	struct file_lock_context *ctx = atomic_load(&inode->i_flctx), *none = NULL;

	if (ctx)
		return ctx;
	ctx = kmalloc(sizeof(*ctx), GFP_KERNEL);
	if (!ctx)
		return NULL;
	mutex_init(&ctx->lock);
	INIT_LIST_HEAD(&ctx->posix);
	INIT_LIST_HEAD(&ctx->flock);
	wait_queue_init(&ctx->wait);
	if (atomic_compare_exchange_strong(&inode->i_flctx, &none, ctx))
		return ctx;
	kfree(ctx);
	return none;
}

void locks_free_inode(struct inode *inode)
{
	kfree(atomic_load(&inode->i_flctx)); /* no open file, so no lock */
}

/* --- lists of locks: the context's mutex is held ------------------------------------------------------------------- */

static struct file_lock *find_conflict(struct list_head *list, const struct file_lock *want)
{
	struct file_lock *l;

	list_for_each_entry(l, list, link)
		if (l->owner != want->owner && l->start <= want->end && want->start <= l->end &&
		    (l->type == F_WRLCK || want->type == F_WRLCK))
			return l;
	return NULL;
}

/* Take [start, end] out of what owner has; *spare is used if a lock falls into two. */
static void cut_out(struct list_head *list, const void *owner, int64_t start, int64_t end,
                    struct file_lock **spare)
{
	struct file_lock *l, *next;

	list_for_each_entry_safe(l, next, list, link) {
		if (l->owner != owner || l->end < start || l->start > end)
			continue;
		if (l->start < start && l->end > end) {
			struct file_lock *right = *spare;

			*spare = NULL;
			*right = *l;
			right->start = end + 1;
			l->end = start - 1;
			list_add(&right->link, &l->link);
		} else if (l->start < start) {
			l->end = start - 1;
		} else if (l->end > end) {
			l->start = end + 1;
		} else {
			list_del(&l->link);
			kmem_cache_free(lock_cache, l);
		}
	}
}

/* Grow `lock` over neighbours of the same owner and type. */
static void join_neighbours(struct list_head *list, struct file_lock *lock)
{
	struct file_lock *l, *next;

	list_for_each_entry_safe(l, next, list, link) {
		if (l == lock || l->owner != lock->owner || l->type != lock->type)
			continue;
		if (l->end < OFFSET_MAX && l->end + 1 == lock->start)
			lock->start = l->start;
		else if (lock->end < OFFSET_MAX && lock->end + 1 == l->start)
			lock->end = l->end;
		else
			continue;
		list_del(&l->link);
		kmem_cache_free(lock_cache, l);
	}
}

/* Set or (F_UNLCK) clear a range. 0, -EAGAIN, -ENOMEM, -ERESTARTSYS. */
static int set_lock(struct file_lock_context *ctx, struct list_head *list,
                    const struct file_lock *want, bool wait)
{
	struct file_lock *lock = kmem_cache_alloc(lock_cache, GFP_KERNEL);
	struct file_lock *spare = kmem_cache_alloc(lock_cache, GFP_KERNEL);
	int err = lock && spare ? 0 : -ENOMEM;

	mutex_lock(&ctx->lock);
	if (!err && want->type != F_UNLCK && find_conflict(list, want))
		err = wait ? wait_event_mutex(&ctx->wait, &ctx->lock, !find_conflict(list, want))
		           : -EAGAIN;
	if (!err) {
		cut_out(list, want->owner, want->start, want->end, &spare);
		if (want->type != F_UNLCK) {
			*lock = *want;
			list_add_tail(&lock->link, list);
			join_neighbours(list, lock);
			lock = NULL;
		}
		wake_up_all(&ctx->wait);
	}
	mutex_unlock(&ctx->lock);
	if (lock)
		kmem_cache_free(lock_cache, lock);
	if (spare)
		kmem_cache_free(lock_cache, spare);
	return err;
}

static void remove_owner(struct inode *inode, bool flock, const void *owner)
{
	struct file_lock_context *ctx = atomic_load(&inode->i_flctx);

	if (!ctx)
		return;
	mutex_lock(&ctx->lock);
	cut_out(flock ? &ctx->flock : &ctx->posix, owner, 0, OFFSET_MAX,
	        NULL); /* nothing falls into two */
	wake_up_all(&ctx->wait);
	mutex_unlock(&ctx->lock);
}

void locks_remove_posix(struct file *file, struct files_struct *owner)
{
	if (file->f_inode->i_flctx)
		remove_owner(file->f_inode, false, owner);
}

void locks_remove_file(struct file *file)
{
	if (file->f_inode->i_flctx) {
		remove_owner(file->f_inode, false, file);
		remove_owner(file->f_inode, true, file);
	}
}

/* --- fcntl ------------------------------------------------------------------------------------------------------------ */

static bool is_ofd(unsigned cmd)
{
	return cmd >= F_OFD_GETLK;
}

/* The program's struct flock as a lock: 0, -EINVAL, -EOVERFLOW, -EFAULT. */
static int read_flock(struct file *file, unsigned cmd, vaddr_t arg, struct linux_flock *fl,
                      struct file_lock *lock)
{
	int64_t start, end;

	if (copy_from_user(fl, arg, sizeof(*fl)))
		return -EFAULT;
	if (fl->l_type < F_RDLCK || fl->l_type > F_UNLCK || (is_ofd(cmd) && fl->l_pid))
		return -EINVAL;
	if (fl->l_whence == SEEK_SET)
		start = 0;
	else if (fl->l_whence == SEEK_CUR)
		start = file->f_pos;
	else if (fl->l_whence == SEEK_END)
		start = (int64_t)i_size_read(file->f_inode);
	else
		return -EINVAL;
	if (__builtin_add_overflow(start, fl->l_start, &start))
		return -EOVERFLOW;
	end = OFFSET_MAX;
	if (fl->l_len > 0 && __builtin_add_overflow(start, fl->l_len - 1, &end))
		return -EOVERFLOW;
	if (fl->l_len < 0) {
		end = start - 1;
		start += fl->l_len;
	}
	if (start < 0)
		return -EINVAL;
	*lock = (struct file_lock){.owner = is_ofd(cmd) ? (void *)file : (void *)current->files,
	                           .start = start,
	                           .end = end,
	                           .pid = is_ofd(cmd) ? -1 : current->tgid,
	                           .type = fl->l_type};
	return 0;
}

int64_t fcntl_getlk(struct file *file, unsigned cmd, vaddr_t arg)
{
	struct file_lock_context *ctx;
	struct file_lock want, *l = NULL;
	struct linux_flock fl;
	int err = read_flock(file, cmd, arg, &fl, &want);

	if (err)
		return err;
	if (fl.l_type == F_UNLCK)
		return -EINVAL;
	ctx = atomic_load(&file->f_inode->i_flctx);
	fl.l_type = F_UNLCK;
	if (ctx) {
		mutex_lock(&ctx->lock);
		l = find_conflict(&ctx->posix, &want);
		if (l) {
			fl = (struct linux_flock){
			        .l_type = l->type,
			        .l_whence = SEEK_SET,
			        .l_start = l->start,
			        .l_len = l->end == OFFSET_MAX ? 0 : l->end - l->start + 1,
			        .l_pid = l->pid};
		}
		mutex_unlock(&ctx->lock);
	}
	return copy_to_user(arg, &fl, sizeof(fl));
}

int64_t fcntl_setlk(struct file *file, unsigned cmd, vaddr_t arg)
{
	struct file_lock_context *ctx;
	struct file_lock want;
	struct linux_flock fl;
	int err = read_flock(file, cmd, arg, &fl, &want);

	if (err)
		return err;
	if ((want.type == F_RDLCK && !(file->f_mode & FMODE_READ)) ||
	    (want.type == F_WRLCK && !(file->f_mode & FMODE_WRITE)))
		return -EBADF;
	ctx = get_context(file->f_inode);
	if (!ctx)
		return -ENOLCK;
	return set_lock(ctx, &ctx->posix, &want, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
}

/* --- flock --------------------------------------------------------------------------------------------------------------- */

#define LOCK_SH 1
#define LOCK_EX 2
#define LOCK_NB 4
#define LOCK_UN 8

SYSCALL2(flock, int, fd, uint32_t, op)
{
	static const short types[] = {
	        [LOCK_SH] = F_RDLCK, [LOCK_EX] = F_WRLCK, [LOCK_UN] = F_UNLCK};
	uint32_t what = op & ~(uint32_t)LOCK_NB;
	struct file_lock_context *ctx;
	struct file_lock want;
	struct fd f;
	int err = -ENOLCK;

	if (what != LOCK_SH && what != LOCK_EX && what != LOCK_UN)
		return -EINVAL;
	f = fdget(fd);
	if (!f.file)
		return -EBADF;
	want = (struct file_lock){.owner = f.file, .end = OFFSET_MAX, .type = types[what]};
	ctx = get_context(f.file->f_inode);
	if (ctx)
		err = set_lock(ctx, &ctx->flock, &want, !(op & LOCK_NB));
	fdput(f);
	return err;
}

void locks_init(void)
{
	lock_cache =
	        kmem_cache_create("file_lock_cache", sizeof(struct file_lock), 0, SLAB_PANIC, NULL);
}
