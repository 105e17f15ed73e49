/*
 * pty.c - pseudo-terminals, pty(7): a terminal whose other end is a file, the master.
 *
 * Opening /dev/ptmx makes a pair; the slave appears as /dev/pts/N until the master is closed. What the slave's programs write
 * lies in a ring until the master reads it; what is written to the master is the slave's input.
 */
#include "fs/internal.h"
#include "fs/tty.h"
#include "lib/bitmap.h"
#include <quire/slab.h>

#define MAX_PTYS    256
#define PTY_BUF     8192u
#define TIOCGPTN    0x80045430u
#define TIOCSPTLCK  0x40045431u
#define TIOCGPTLCK  0x80045439u
#define TIOCGPTPEER 0x5441u

struct pty {
	unsigned index;        /* (i) */
	struct tty *slave;     /* (i) the master's reference */
	struct dentry *dentry; /* pty_mutex: /dev/pts/N */
	struct mutex lock;
	struct wait_queue
	        wait;        /* the master's readers, the slave's writers, the master's writers */
	unsigned head, tail; /* lock */
	bool master_closed;  /* lock */
	bool opened;         /* lock: the slave was open once */
	bool locked;         /* lock: TIOCSPTLCK */
	char buf[PTY_BUF];   /* lock */
};

static struct mutex pty_mutex;
static struct pty *ptys[MAX_PTYS]; /* pty_mutex */
static const struct file_operations pts_fops;

static struct dentry *pts_dir(void)
{
	struct dentry *dir;

	return kern_path("/dev/pts", LOOKUP_DIRECTORY | LOOKUP_IN_ROOT, &dir) ? NULL : dir;
}

/* --- the slave's side ------------------------------------------------------------------------------------------------ */

static struct pty *pty_of(struct tty *tty)
{
	return tty->driver_data;
}

static size_t pty_room(const struct pty *pty)
{
	return PTY_BUF - (pty->head - pty->tail);
}

static size_t pty_push(struct pty *pty, const char *buf, size_t n)
{
	size_t at = pty->head & (PTY_BUF - 1);

	n = MIN(MIN(n, pty_room(pty)), (size_t)(PTY_BUF - at));
	memcpy(pty->buf + at, buf, n);
	pty->head += (unsigned)n;
	return n;
}

static int64_t pty_slave_write(struct tty *tty, const char *buf, size_t n, bool nonblock)
{
	struct pty *pty = pty_of(tty);
	int64_t done = 0;
	int err = 0;

	mutex_lock(&pty->lock);
	while ((size_t)done < n && !err) {
		if (pty->master_closed)
			err = -EIO;
		else if (pty_room(pty))
			done += (int64_t)pty_push(pty, buf + done, n - (size_t)done);
		else if (nonblock)
			err = -EAGAIN;
		else {
			wake_up_all(&pty->wait);
			err = wait_event_mutex(&pty->wait, &pty->lock,
			                       pty_room(pty) || pty->master_closed);
		}
	}
	wake_up_all(&pty->wait);
	mutex_unlock(&pty->lock);
	return done ? done : err;
}

static unsigned pty_slave_poll_out(struct tty *tty, struct file *file, struct poll_table *pt)
{
	struct pty *pty = pty_of(tty);
	unsigned mask;

	poll_wait(file, &pty->wait, pt);
	mutex_lock(&pty->lock);
	mask = pty->master_closed ? POLLHUP | POLLERR : pty_room(pty) ? POLLOUT | POLLWRNORM : 0;
	mutex_unlock(&pty->lock);
	return mask;
}

static void pty_wake(struct tty *tty)
{
	wake_up_all(&pty_of(tty)->wait);
}

static void pty_free(struct tty *tty)
{
	kfree(pty_of(tty));
}

static const struct tty_ops pty_slave_ops = {
        .write = pty_slave_write,
        .poll_out = pty_slave_poll_out,
        .input_room = pty_wake,
        .last_close = pty_wake,
        .free = pty_free,
};

static int pts_open(struct inode *inode, struct file *file)
{
	unsigned index = MINOR(inode->i_rdev);
	struct pty *pty;
	int err = -EIO;

	mutex_lock(&pty_mutex);
	pty = index < MAX_PTYS ? ptys[index] : NULL;
	if (pty) {
		mutex_lock(&pty->lock);
		if (!pty->locked)
			err = tty_attach_file(pty->slave, file);
		if (!err)
			pty->opened = true;
		mutex_unlock(&pty->lock);
	}
	mutex_unlock(&pty_mutex);
	return err;
}

static const struct file_operations pts_fops = {.open = pts_open};

/* --- the master's side ----------------------------------------------------------------------------------------------- */

/* Nobody has the slave open any more. lock held. */
static bool slave_gone(struct pty *pty)
{
	return pty->opened && !READ_ONCE(pty->slave->files);
}

static int64_t pty_pull(struct pty *pty, struct iov_iter *to)
{
	int64_t total = 0;

	while (iov_iter_count(to) && pty->head != pty->tail) {
		size_t at = pty->tail & (PTY_BUF - 1),
		       n = MIN((size_t)(pty->head - pty->tail), (size_t)(PTY_BUF - at));
		size_t want = MIN(n, iov_iter_count(to)),
		       done = copy_to_iter(pty->buf + at, want, to);

		pty->tail += (unsigned)done;
		total += (int64_t)done;
		if (done < want)
			return total ? total : -EFAULT;
	}
	return total;
}

static int64_t ptm_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct pty *pty = iocb->ki_filp->private_data;
	int64_t n = 0;

	mutex_lock(&pty->lock);
	if (pty->head == pty->tail && !slave_gone(pty))
		n = iocb->ki_flags & IOCB_NOWAIT
		            ? -EAGAIN
		            : wait_event_mutex(&pty->wait, &pty->lock,
		                               pty->head != pty->tail || slave_gone(pty));
	if (!n)
		n = pty->head != pty->tail ? pty_pull(pty, to) : -EIO;
	wake_up_all(&pty->wait);
	mutex_unlock(&pty->lock);
	return n;
}

/* Sleep until the slave's input has room. */
static int wait_slave_room(struct pty *pty)
{
	struct waiter w;
	int err = 0;

	wait_begin(&pty->wait, &w);
	if (n_tty_readable(pty->slave) >= TTY_BUF_SIZE / 2)
		block_interruptible();
	if (signal_pending(current))
		err = -ERESTARTSYS;
	wait_end(&pty->wait, &w);
	return err;
}

static int64_t ptm_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct pty *pty = iocb->ki_filp->private_data;
	uint8_t data[256];
	int64_t total = 0;
	int err = 0;

	while (iov_iter_count(from) && !err) {
		struct iov_iter before = *from;
		size_t n = copy_from_iter(data, sizeof(data), from), taken;

		if (!n) {
			err = -EFAULT;
			break;
		}
		taken = n_tty_receive(pty->slave, data, n);
		total += (int64_t)taken;
		*from = before;
		iov_iter_advance(from, taken);
		if (!taken)
			err = iocb->ki_flags & IOCB_NOWAIT ? -EAGAIN : wait_slave_room(pty);
	}
	return total ? total : err;
}

static unsigned ptm_poll(struct file *file, struct poll_table *pt)
{
	struct pty *pty = file->private_data;
	unsigned mask = POLLOUT | POLLWRNORM;

	poll_wait(file, &pty->wait, pt);
	mutex_lock(&pty->lock);
	if (pty->head != pty->tail)
		mask |= POLLIN | POLLRDNORM;
	if (slave_gone(pty))
		mask |= POLLHUP;
	mutex_unlock(&pty->lock);
	return mask;
}

static int64_t open_peer(struct pty *pty, uint32_t flags)
{
	struct file *file;

	if (!pty->dentry)
		return -EIO;
	file = dentry_open(pty->dentry, flags & (O_ACCMODE | O_NONBLOCK | O_NOCTTY));
	return fd_add(file, flags);
}

static int64_t ptm_ioctl(struct file *file, unsigned cmd, uint64_t arg)
{
	struct pty *pty = file->private_data;
	uint32_t value;

	switch (cmd) {
	case TIOCGPTN:
		return put_user_u32(arg, pty->index);
	case TIOCSPTLCK:
		if (get_user_u32(&value, arg))
			return -EFAULT;
		pty->locked = value;
		return 0;
	case TIOCGPTLCK:
		return put_user_u32(arg, pty->locked);
	case TIOCGPTPEER:
		return open_peer(pty, (uint32_t)arg);
	case FIONREAD:
		return put_user_u32(arg, pty->head - pty->tail);
	default:
		return tty_ioctl(pty->slave, cmd, arg);
	}
}

static void ptm_release(struct inode *inode, struct file *file)
{
	struct pty *pty = file->private_data;

	(void)inode;
	mutex_lock(&pty_mutex);
	ptys[pty->index] = NULL;
	if (pty->dentry)
		simple_remove(pty->dentry);
	pty->dentry = NULL;
	mutex_unlock(&pty_mutex);
	mutex_lock(&pty->lock);
	pty->master_closed = true;
	wake_up_all(&pty->wait);
	mutex_unlock(&pty->lock);
	tty_hangup(pty->slave);
	tty_put(pty->slave);
}

static const struct file_operations ptm_fops = {
        .release = ptm_release,
        .read_iter = ptm_read,
        .write_iter = ptm_write,
        .llseek = no_llseek,
        .poll = ptm_poll,
        .ioctl = ptm_ioctl,
};

/* --- pairs ------------------------------------------------------------------------------------------------------------- */

/* Number and name of a new pair; pty_mutex held. */
static int publish_locked(struct pty *pty)
{
	struct dentry *dir = pts_dir();
	char name[8];

	if (!dir)
		return -ENOENT;
	for (pty->index = 0; pty->index < MAX_PTYS && ptys[pty->index]; pty->index++)
		;
	if (pty->index < MAX_PTYS) {
		format(name, sizeof(name), "%u", pty->index);
		pty->dentry = simple_create(dir, name, S_IFCHR | 0620, &pts_fops, NULL);
	}
	dput(dir);
	if (!pty->dentry)
		return pty->index < MAX_PTYS ? -ENOMEM : -ENOSPC;
	pty->dentry->d_inode->i_uid = current->cred.fsuid;
	pty->dentry->d_inode->i_gid = current->cred.fsgid;
	pty->dentry->d_inode->i_rdev = pty->slave->dev = MKDEV(136, pty->index);
	format(pty->slave->name, sizeof(pty->slave->name), "pts/%u", pty->index);
	ptys[pty->index] = pty;
	return 0;
}

static int ptmx_open(struct inode *inode, struct file *file)
{
	struct pty *pty = kzalloc(sizeof(*pty), GFP_KERNEL);
	int err;

	(void)inode;
	if (!pty)
		return -ENOMEM;
	mutex_init(&pty->lock);
	wait_queue_init(&pty->wait);
	pty->locked = true;
	pty->slave = tty_alloc(&pty_slave_ops, pty, "pts", 0);
	if (!pty->slave) {
		kfree(pty);
		return -ENOMEM;
	}
	mutex_lock(&pty_mutex);
	err = publish_locked(pty);
	mutex_unlock(&pty_mutex);
	if (err) {
		tty_put(pty->slave);
		return err;
	}
	file->f_op = &ptm_fops;
	file->f_mode &= ~(FMODE_LSEEK | FMODE_ATOMIC_POS);
	file->private_data = pty;
	return 0;
}

static const struct file_operations ptmx_fops = {.open = ptmx_open};

int pty_init(void)
{
	mutex_init(&pty_mutex);
	return register_chrdev(MKDEV(5, 2), "/dev/ptmx", &ptmx_fops);
}
