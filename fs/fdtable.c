/*
 * fdtable.c - tables of descriptors.
 *
 * A table starts with 64 places inside its struct and doubles as needed. The places, the bitmap of used numbers and that
 * of close-on-exec ones are changed under the table's lock. A task whose table nobody shares reads it without lock or
 * count (fdget): only itself could close the file meanwhile. Sharing begins with the task's own clone, so it cannot begin
 * in the middle of a call.
 */
#include "fs/internal.h"
#include "lib/bitmap.h"
#include <quire/slab.h>

#define NR_OPEN_DEFAULT 64
#define NR_OPEN_MAX     (1u << 20)

struct files_struct {
	refcount_t count;
	spinlock_t lock;
	unsigned max_fds, next_fd; /* no number below next_fd is free */
	struct file **fd;          /* a number in use without a file is being opened */
	uint64_t *open_fds, *cloexec;
	struct file *fd_array[NR_OPEN_DEFAULT];
	uint64_t open_init, cloexec_init;
};

/* --- tables --------------------------------------------------------------------------------------- */

struct files_struct *files_alloc(void)
{
	struct files_struct *files = kzalloc(sizeof(*files), GFP_KERNEL);

	if (!files)
		return NULL;
	refcount_set(&files->count, 1);
	files->max_fds = NR_OPEN_DEFAULT;
	files->fd = files->fd_array;
	files->open_fds = &files->open_init;
	files->cloexec = &files->cloexec_init;
	return files;
}

/* One block for places and bitmaps. */
static void *table_alloc(unsigned n)
{
	return kzalloc(n * sizeof(struct file *) + 2 * (n / 8), GFP_KERNEL);
}

static void table_use(struct files_struct *files, void *block, unsigned n)
{
	files->fd = block;
	files->open_fds = (uint64_t *)(files->fd + n);
	files->cloexec = files->open_fds + n / 64;
	files->max_fds = n;
}

static void table_free(struct files_struct *files)
{
	if (files->fd != files->fd_array)
		kfree(files->fd);
}

/* Make room for number fd; lock held, let go while memory is got. 0 or -errno. */
static int expand_locked(struct files_struct *files, unsigned fd)
{
	unsigned old, n = NR_OPEN_DEFAULT;
	struct file **old_fd;
	void *block;

	if (fd >= NR_OPEN_MAX)
		return -EMFILE;
	while (n <= fd)
		n *= 2;
	spin_unlock(&files->lock);
	block = table_alloc(n);
	spin_lock(&files->lock);
	if (!block)
		return -ENOMEM;
	old = files->max_fds;
	if (n <= old) { /* another thread was first */
		kfree(block);
		return 0;
	}
	old_fd = files->fd == files->fd_array ? NULL : files->fd;
	memcpy(block, files->fd, old * sizeof(struct file *));
	memcpy((struct file **)block + n, files->open_fds, old / 8);
	memcpy((uint64_t *)((struct file **)block + n) + n / 64, files->cloexec, old / 8);
	table_use(files, block, n);
	kfree(old_fd);
	return 0;
}

struct files_struct *files_dup(struct files_struct *old)
{
	struct files_struct *files = files_alloc();
	unsigned used;
	int err = 0;

	if (!files)
		return ERR_PTR(-ENOMEM);
	spin_lock(&old->lock);
	while (!err) {
		used = old->max_fds > NR_OPEN_DEFAULT
		               ? (unsigned)find_last_bit(old->open_fds, old->max_fds)
		               : 0;
		if (used >= old->max_fds)
			used = 0;
		if (used < files->max_fds)
			break;
		spin_unlock(&old->lock);
		spin_lock(&files->lock);
		err = expand_locked(files, used);
		spin_unlock(&files->lock);
		spin_lock(&old->lock);
	}
	if (!err) {
		unsigned n = MIN(files->max_fds, old->max_fds);

		for (unsigned fd = 0; (fd = (unsigned)find_next_bit(old->open_fds, n, fd)) < n;
		     fd++) {
			if (!old->fd[fd]) /* being opened */
				continue;
			files->fd[fd] = get_file(old->fd[fd]);
			__set_bit(fd, files->open_fds);
			if (test_bit(fd, old->cloexec))
				__set_bit(fd, files->cloexec);
		}
	}
	spin_unlock(&old->lock);
	if (err) {
		files_put(files);
		return ERR_PTR(err);
	}
	return files;
}

void files_get(struct files_struct *files)
{
	refcount_inc(&files->count);
}

void files_put(struct files_struct *files)
{
	if (!files || !refcount_dec_and_test(&files->count))
		return;
	for (unsigned fd = 0;
	     (fd = (unsigned)find_next_bit(files->open_fds, files->max_fds, fd)) < files->max_fds;
	     fd++)
		if (files->fd[fd])
			filp_close(files->fd[fd], files);
	table_free(files);
	kfree(files);
}

int files_unshare(void)
{
	struct files_struct *files, *old = current->files;

	if (!old || refcount_read(&old->count) == 1)
		return 0;
	files = files_dup(old);
	if (IS_ERR(files))
		return (int)PTR_ERR(files);
	task_lock(current);
	current->files = files;
	task_unlock(current);
	files_put(old);
	return 0;
}

static struct file *take_fd_locked(struct files_struct *files, unsigned fd)
{
	struct file *file = fd < files->max_fds ? files->fd[fd] : NULL;

	if (!file)
		return NULL;
	files->fd[fd] = NULL;
	__clear_bit(fd, files->open_fds);
	__clear_bit(fd, files->cloexec);
	if (fd < files->next_fd)
		files->next_fd = fd;
	return file;
}

void files_close_on_exec(struct files_struct *files)
{
	for (unsigned fd = 0;; fd++) {
		struct file *file;

		spin_lock(&files->lock);
		fd = (unsigned)find_next_bit(files->cloexec, files->max_fds, fd);
		if (fd >= files->max_fds) {
			spin_unlock(&files->lock);
			return;
		}
		file = take_fd_locked(files, fd);
		spin_unlock(&files->lock);
		if (file)
			filp_close(file, files);
	}
}

/* --- finding --------------------------------------------------------------------------------------- */

struct file *files_get_file(struct files_struct *files, unsigned fd)
{
	struct file *file = NULL;

	spin_lock(&files->lock);
	if (fd < files->max_fds && files->fd[fd])
		file = get_file(files->fd[fd]);
	spin_unlock(&files->lock);
	return file;
}

int files_next_fd(struct files_struct *files, unsigned fd)
{
	int found = -1;

	spin_lock(&files->lock);
	while ((fd = (unsigned)find_next_bit(files->open_fds, files->max_fds, fd)) <
	       files->max_fds) {
		if (files->fd[fd]) {
			found = (int)fd;
			break;
		}
		fd++;
	}
	spin_unlock(&files->lock);
	return found;
}

bool files_is_cloexec(struct files_struct *files, unsigned fd)
{
	bool on;

	spin_lock(&files->lock);
	on = fd < files->max_fds && test_bit(fd, files->cloexec);
	spin_unlock(&files->lock);
	return on;
}

unsigned files_max(struct files_struct *files)
{
	return READ_ONCE(files->max_fds);
}

struct fd fdget_raw(int fd)
{
	struct files_struct *files = current->files;
	struct file *file;

	if (likely(refcount_read(&files->count) == 1)) {
		file = likely((unsigned)fd < files->max_fds) ? files->fd[fd] : NULL;
		return (struct fd){file, false};
	}
	file = files_get_file(files, (unsigned)fd);
	return (struct fd){file, file != NULL};
}

struct fd fdget(int fd)
{
	struct fd f = fdget_raw(fd);

	if (f.file && unlikely(f.file->f_mode & FMODE_PATH)) {
		fdput(f);
		return (struct fd){NULL, false};
	}
	return f;
}

struct file *fget_raw(int fd)
{
	return current->files ? files_get_file(current->files, (unsigned)fd) : NULL;
}

struct file *fget(int fd)
{
	struct file *file = fget_raw(fd);

	if (file && file->f_mode & FMODE_PATH) {
		fput(file);
		return NULL;
	}
	return file;
}

bool get_close_on_exec(unsigned fd)
{
	return files_is_cloexec(current->files, fd);
}

void set_close_on_exec(unsigned fd, bool on)
{
	struct files_struct *files = current->files;

	spin_lock(&files->lock);
	if (fd < files->max_fds && files->fd[fd]) {
		if (on)
			__set_bit(fd, files->cloexec);
		else
			__clear_bit(fd, files->cloexec);
	}
	spin_unlock(&files->lock);
}

/* --- giving out ------------------------------------------------------------------------------------ */

static unsigned nofile_limit(void)
{
	return (unsigned)MIN(rlimit(RLIMIT_NOFILE), NR_OPEN_MAX);
}

/* The lowest free number from `from` on, marked as used. */
int alloc_fd(unsigned from, uint32_t flags)
{
	struct files_struct *files = current->files;
	unsigned fd, limit = nofile_limit();
	int err = 0;

	spin_lock(&files->lock);
	for (;;) {
		fd = MAX(from, files->next_fd);
		if (fd < files->max_fds)
			fd = (unsigned)find_next_zero_bit(files->open_fds, files->max_fds, fd);
		if (fd >= limit)
			err = -EMFILE;
		else if (fd >= files->max_fds)
			err = expand_locked(files, fd);
		else
			break;
		if (err)
			goto out;
	}
	__set_bit(fd, files->open_fds);
	if (flags & O_CLOEXEC)
		__set_bit(fd, files->cloexec);
	else
		__clear_bit(fd, files->cloexec);
	if (from <= files->next_fd)
		files->next_fd = fd + 1;
	err = (int)fd;
out:
	spin_unlock(&files->lock);
	return err;
}

int get_unused_fd_flags(uint32_t flags)
{
	return alloc_fd(0, flags);
}

void put_unused_fd(unsigned fd)
{
	struct files_struct *files = current->files;

	spin_lock(&files->lock);
	__clear_bit(fd, files->open_fds);
	__clear_bit(fd, files->cloexec);
	if (fd < files->next_fd)
		files->next_fd = fd;
	spin_unlock(&files->lock);
}

void fd_install(unsigned fd, struct file *file)
{
	struct files_struct *files = current->files;

	spin_lock(&files->lock);
	files->fd[fd] = file;
	spin_unlock(&files->lock);
}

int fd_add_from(unsigned from, struct file *file, uint32_t flags)
{
	int fd;

	if (IS_ERR(file))
		return (int)PTR_ERR(file);
	fd = alloc_fd(from, flags);
	if (fd < 0)
		fput(file);
	else
		fd_install((unsigned)fd, file);
	return fd;
}

int fd_add(struct file *file, uint32_t flags)
{
	return fd_add_from(0, file, flags);
}

/* dup2: file takes number fd, whose file is closed. */
int replace_fd(unsigned fd, struct file *file, uint32_t flags)
{
	struct files_struct *files = current->files;
	struct file *old;
	int err = 0;

	if (fd >= nofile_limit())
		return -EBADF;
	spin_lock(&files->lock);
	while (fd >= files->max_fds && !err)
		err = expand_locked(files, fd);
	if (!err && test_bit(fd, files->open_fds) && !files->fd[fd])
		err = -EBUSY; /* another thread is opening it */
	if (err) {
		spin_unlock(&files->lock);
		return err;
	}
	old = files->fd[fd];
	files->fd[fd] = get_file(file);
	__set_bit(fd, files->open_fds);
	if (flags & O_CLOEXEC)
		__set_bit(fd, files->cloexec);
	else
		__clear_bit(fd, files->cloexec);
	spin_unlock(&files->lock);
	if (old)
		filp_close(old, files);
	return (int)fd;
}

struct file *close_fd_get_file(unsigned fd)
{
	struct files_struct *files = current->files;
	struct file *file;

	spin_lock(&files->lock);
	file = take_fd_locked(files, fd);
	spin_unlock(&files->lock);
	return file;
}

int filp_close(struct file *file, struct files_struct *files)
{
	bool socket = file->f_op == &socket_fops;
	int err = 0;

	if (!(file->f_mode & FMODE_PATH)) {
		if (file->f_op->flush)
			err = file->f_op->flush(file);
		locks_remove_posix(file, files);
	}
	fput(file);
	if (socket)
		unix_gc(); /* it may live on in a queue that nobody can read any more */
	return err;
}

/* For the first program: its table is not the running task's. */
int files_install_at(struct files_struct *files, unsigned fd, struct file *file)
{
	if (fd >= files->max_fds || files->fd[fd])
		return -EBADF;
	files->fd[fd] = file;
	__set_bit(fd, files->open_fds);
	return 0;
}
