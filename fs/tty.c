/*
 * tty.c - terminals as files: job control, ioctls, the controlling terminal of a session.
 */
#include "fs/internal.h"
#include "fs/tty.h"
#include <quire/slab.h>

#define TCGETS     0x5401u
#define TCSETS     0x5402u
#define TCSETSW    0x5403u
#define TCSETSF    0x5404u
#define TCGETA     0x5405u
#define TCSETA     0x5406u
#define TCSETAW    0x5407u
#define TCSETAF    0x5408u
#define TCSBRK     0x5409u
#define TCXONC     0x540au
#define TCFLSH     0x540bu
#define TIOCEXCL   0x540cu
#define TIOCNXCL   0x540du
#define TIOCSCTTY  0x540eu
#define TIOCGPGRP  0x540fu
#define TIOCSPGRP  0x5410u
#define TIOCOUTQ   0x5411u
#define TIOCGWINSZ 0x5413u
#define TIOCSWINSZ 0x5414u
#define TIOCNOTTY  0x5422u
#define TCSBRKP    0x5425u
#define TIOCGSID   0x5429u
#define TCGETS2    0x802c542au
#define TCSETS2    0x402c542bu
#define TCSETSW2   0x402c542cu
#define TCSETSF2   0x402c542du

/* --- life ----------------------------------------------------------------------------------------------------- */

struct tty *tty_alloc(const struct tty_ops *ops, void *driver_data, const char *name, uint32_t dev)
{
	struct tty *tty = kzalloc(sizeof(*tty), GFP_KERNEL);

	if (!tty)
		return NULL;
	refcount_set(&tty->count, 1);
	tty->ops = ops;
	tty->driver_data = driver_data;
	tty->dev = dev;
	strscpy(tty->name, name, sizeof(tty->name));
	mutex_init(&tty->lock);
	mutex_init(&tty->write_lock);
	wait_queue_init(&tty->read_wait);
	wait_queue_init(&tty->write_wait);
	n_tty_reset(tty);
	return tty;
}

void tty_put(struct tty *tty)
{
	if (!tty || !refcount_dec_and_test(&tty->count))
		return;
	if (tty->ops->free)
		tty->ops->free(tty);
	kfree(tty);
}

void tty_signal(struct tty *tty, int signo)
{
	int32_t pgrp = READ_ONCE(tty->pgrp);

	if (pgrp > 0)
		kill_pgrp(pgrp, signo);
}

void tty_resize(struct tty *tty, const struct winsize *ws)
{
	bool changed;

	mutex_lock(&tty->lock);
	changed = memcmp(&tty->winsize, ws, sizeof(*ws));
	tty->winsize = *ws;
	mutex_unlock(&tty->lock);
	if (changed)
		tty_signal(tty, SIGWINCH);
}

/* --- the controlling terminal --------------------------------------------------------------------------------- */

/*
 * signal->tty of every process of the session points to the tty, without a reference each: tty->session != 0 holds one for
 * all. tasklist_lock is held.
 */
static void session_clear_tty_locked(int32_t session)
{
	struct task_struct *p;

	for_each_process(p) if (p->signal && p->signal->sid == session) p->signal->tty = NULL;
}

/* The tty stops being the session's; the caller gets the session's reference to drop. tasklist_lock held. */
static bool tty_leave_session_locked(struct tty *tty)
{
	if (!tty->session)
		return false;
	session_clear_tty_locked(tty->session);
	tty->session = 0;
	tty->pgrp = 0;
	return true;
}

void disassociate_ctty(bool on_exit)
{
	struct tty *tty;
	int32_t pgrp = 0;
	irq_state_t irq;
	bool put = false;

	irq = spin_lock_irqsave(&tasklist_lock);
	tty = current->signal->tty;
	if (tty) {
		pgrp = tty->pgrp;
		put = tty_leave_session_locked(tty);
	}
	spin_unlock_irqrestore(&tasklist_lock, irq);
	if (pgrp > 0) {
		kill_pgrp(pgrp, SIGHUP);
		if (!on_exit)
			kill_pgrp(pgrp, SIGCONT);
	}
	if (put)
		tty_put(tty);
}

void tty_hangup(struct tty *tty)
{
	int32_t pgrp, session;
	irq_state_t irq;
	bool put;

	mutex_lock(&tty->lock);
	tty->hung_up = true;
	wake_up_all(&tty->read_wait);
	wake_up_all(&tty->write_wait);
	mutex_unlock(&tty->lock);
	irq = spin_lock_irqsave(&tasklist_lock);
	pgrp = tty->pgrp;
	session = tty->session;
	put = tty_leave_session_locked(tty);
	spin_unlock_irqrestore(&tasklist_lock, irq);
	if (session > 0) {
		kill_pid(session, SIGHUP);
		kill_pid(session, SIGCONT);
	}
	if (pgrp > 0 && pgrp != session)
		kill_pgrp(pgrp, SIGHUP);
	if (put)
		tty_put(tty);
}

/* The running session leader without a terminal takes a terminal without a session. 0 or -EPERM. */
static int tty_take(struct tty *tty)
{
	struct signal_struct *sig = current->signal;
	irq_state_t irq = spin_lock_irqsave(&tasklist_lock);
	int err = 0;

	if (sig->tty == tty && tty->session == sig->sid)
		goto out;
	err = -EPERM;
	if (!sig->leader || sig->tty || tty->session || tty->hung_up)
		goto out;
	sig->tty = tty_get(tty);
	tty->session = sig->sid;
	tty->pgrp = sig->pgid;
	err = 0;
out:
	spin_unlock_irqrestore(&tasklist_lock, irq);
	return err;
}

static struct tty *get_current_tty(void)
{
	irq_state_t irq = spin_lock_irqsave(&tasklist_lock);
	struct tty *tty = current->signal ? current->signal->tty : NULL;

	if (tty)
		tty_get(tty);
	spin_unlock_irqrestore(&tasklist_lock, irq);
	return tty;
}

/* --- job control ------------------------------------------------------------------------------------------------ */

static bool signal_ignored(int signo)
{
	return current->blocked & sigmask(signo) ||
	       current->sighand->action[signo - 1].handler == SIG_IGN;
}

/*
 * May the running task, perhaps of a background group, use its controlling terminal so? 0; -ERESTARTSYS after the group was sent
 * signo; -EIO when that cannot help.
 */
static int check_foreground(struct tty *tty, int signo)
{
	struct signal_struct *sig = current->signal;
	bool background, orphaned;
	irq_state_t irq;

	if (!sig || sig->tty != tty)
		return 0;
	irq = spin_lock_irqsave(&tasklist_lock);
	background = sig->tty == tty && tty->pgrp && sig->pgid != tty->pgrp;
	orphaned = background && is_orphaned_pgrp_locked(sig->pgid, NULL);
	spin_unlock_irqrestore(&tasklist_lock, irq);
	if (!background)
		return 0;
	if (signal_ignored(signo))
		return signo == SIGTTIN ? -EIO : 0;
	if (orphaned)
		return -EIO;
	kill_pgrp(sig->pgid, signo);
	return -ERESTARTSYS;
}

/* --- open and close ------------------------------------------------------------------------------------------------ */

static struct tty *tty_of(struct file *file)
{
	return file->private_data;
}

int tty_attach_file(struct tty *tty, struct file *file)
{
	int err = 0;

	mutex_lock(&tty->lock);
	if (tty->exclusive && tty->files && !capable(CAP_SYS_ADMIN))
		err = -EBUSY;
	else
		tty->files++;
	mutex_unlock(&tty->lock);
	if (err)
		return err;
	file->private_data = tty_get(tty);
	file->f_op = &tty_fops;
	file->f_mode &= ~(FMODE_LSEEK | FMODE_ATOMIC_POS);
	if (!(atomic_load(&file->f_flags) & O_NOCTTY) && current->signal &&
	    file->f_mode & FMODE_READ)
		(void)tty_take(tty); /* only a leader without one takes it */
	return 0;
}

static int open_current_tty(struct inode *inode, struct file *file)
{
	struct tty *tty = get_current_tty();
	int err;

	(void)inode;
	if (!tty)
		return -ENXIO;
	err = tty_attach_file(tty, file);
	tty_put(tty);
	return err;
}

static int open_console(struct inode *inode, struct file *file)
{
	(void)inode;
	return console_tty ? tty_attach_file(console_tty, file) : -ENXIO;
}

static void tty_release(struct inode *inode, struct file *file)
{
	struct tty *tty = tty_of(file);
	bool last;

	(void)inode;
	mutex_lock(&tty->lock);
	last = --tty->files == 0;
	if (last)
		tty->exclusive = false;
	mutex_unlock(&tty->lock);
	if (last && tty->ops->last_close)
		tty->ops->last_close(tty);
	tty_put(tty);
}

/* --- reading, writing, polling ------------------------------------------------------------------------------------ */

static int64_t tty_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct tty *tty = tty_of(iocb->ki_filp);
	int err = check_foreground(tty, SIGTTIN);

	return err ? err : n_tty_read(tty, to, iocb->ki_flags & IOCB_NOWAIT);
}

static int64_t tty_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct tty *tty = tty_of(iocb->ki_filp);
	int err = 0;

	if (READ_ONCE(tty->termios.c_lflag) & TOSTOP)
		err = check_foreground(tty, SIGTTOU);
	return err ? err : n_tty_write(tty, from, iocb->ki_flags & IOCB_NOWAIT);
}

static unsigned tty_poll(struct file *file, struct poll_table *pt)
{
	struct tty *tty = tty_of(file);
	unsigned mask;

	poll_wait(file, &tty->read_wait, pt);
	poll_wait(file, &tty->write_wait, pt);
	mask = tty->ops->poll_out(tty, file, pt);
	mutex_lock(&tty->lock);
	if (n_tty_input_ready(tty))
		mask |= POLLIN | POLLRDNORM;
	if (tty->hung_up)
		mask |= POLLHUP;
	if (atomic_load(&tty->stopped))
		mask &= ~(POLLOUT | POLLWRNORM);
	mutex_unlock(&tty->lock);
	return mask;
}

/* --- ioctl ---------------------------------------------------------------------------------------------------------- */

struct termios2 {
	struct termios t;
	uint32_t c_ispeed, c_ospeed;
};
static_assert(sizeof(struct termios) == 36 && sizeof(struct termios2) == 44, "the ABI's layouts");

static int64_t get_termios(struct tty *tty, uint64_t arg, size_t size)
{
	struct termios2 t = {.c_ispeed = 38400, .c_ospeed = 38400};

	mutex_lock(&tty->lock);
	t.t = tty->termios;
	mutex_unlock(&tty->lock);
	return copy_to_user(arg, &t, size);
}

enum when { NOW, DRAIN, FLUSH };

/* The older layout (struct termio): the low halves, and eight control characters. */
struct termio {
	uint16_t c_iflag, c_oflag, c_cflag, c_lflag;
	uint8_t c_line, c_cc[8];
};
static_assert(sizeof(struct termio) == 18, "struct termio");

static int64_t get_termio(struct tty *tty, uint64_t arg)
{
	struct termios t = tty->termios;
	struct termio old = {(uint16_t)t.c_iflag,
	                     (uint16_t)t.c_oflag,
	                     (uint16_t)t.c_cflag,
	                     (uint16_t)t.c_lflag,
	                     t.c_line,
	                     {0}};

	memcpy(old.c_cc, t.c_cc, sizeof(old.c_cc));
	return copy_to_user(arg, &old, sizeof(old));
}

static int read_termios(struct tty *tty, uint64_t arg, bool old, struct termios *t)
{
	struct termio o;

	if (!old)
		return copy_from_user(t, arg, sizeof(*t));
	if (copy_from_user(&o, arg, sizeof(o)))
		return -EFAULT;
	*t = tty->termios;
	t->c_iflag = (t->c_iflag & ~0xffffu) | o.c_iflag;
	t->c_oflag = (t->c_oflag & ~0xffffu) | o.c_oflag;
	t->c_cflag = (t->c_cflag & ~0xffffu) | o.c_cflag;
	t->c_lflag = (t->c_lflag & ~0xffffu) | o.c_lflag;
	t->c_line = o.c_line;
	memcpy(t->c_cc, o.c_cc, sizeof(o.c_cc));
	return 0;
}

static int64_t set_termios(struct tty *tty, uint64_t arg, enum when when, bool termio)
{
	struct termios t, old;
	int64_t err = check_foreground(tty, SIGTTOU);

	if (err)
		return err;
	if (read_termios(tty, arg, termio, &t))
		return -EFAULT;
	if (when != NOW && tty->ops->drain) {
		err = tty->ops->drain(tty);
		if (err)
			return err;
	}
	mutex_lock(&tty->lock);
	if (when == FLUSH)
		n_tty_flush_input(tty);
	old = tty->termios;
	tty->termios = t;
	n_tty_termios_changed(tty, &old);
	mutex_unlock(&tty->lock);
	return 0;
}

static int64_t tty_flush(struct tty *tty, uint64_t what)
{
	int64_t err = check_foreground(tty, SIGTTOU);

	if (err)
		return err;
	if (what > 2)
		return -EINVAL;
	if (what != 1) { /* TCIFLUSH, TCIOFLUSH; output is with the host already */
		mutex_lock(&tty->lock);
		n_tty_flush_input(tty);
		mutex_unlock(&tty->lock);
		if (tty->ops->input_room)
			tty->ops->input_room(tty);
	}
	return 0;
}

static int64_t tty_flow(struct tty *tty, uint64_t what)
{
	uint8_t c;

	switch (what) {
	case 0: /* TCOOFF */
		atomic_store(&tty->stopped, true);
		return 0;
	case 1: /* TCOON */
		atomic_store(&tty->stopped, false);
		wake_up_all(&tty->write_wait);
		return 0;
	case 2: /* TCIOFF, TCION: tell the terminal to stop, to go on */
	case 3:
		c = tty->termios.c_cc[what == 2 ? VSTOP : VSTART];
		if (c)
			(void)tty->ops->write(tty, (const char *)&c, 1, false);
		return 0;
	default:
		return -EINVAL;
	}
}

static int64_t get_pgrp(struct tty *tty, uint64_t arg, bool session)
{
	if (current->signal->tty != tty)
		return -ENOTTY;
	return put_user_u32(arg,
	                    (uint32_t)(session ? READ_ONCE(tty->session) : READ_ONCE(tty->pgrp)));
}

static int64_t set_pgrp(struct tty *tty, uint64_t arg)
{
	int64_t err = check_foreground(tty, SIGTTOU);
	irq_state_t irq;
	uint32_t pgrp;

	if (err)
		return err;
	if (get_user_u32(&pgrp, arg))
		return -EFAULT;
	if ((int32_t)pgrp < 0)
		return -EINVAL;
	irq = spin_lock_irqsave(&tasklist_lock);
	if (current->signal->tty != tty || tty->session != current->signal->sid)
		err = -ENOTTY;
	else if (!pgrp_exists_locked((int32_t)pgrp, tty->session))
		err = -EPERM;
	else
		tty->pgrp = (int32_t)pgrp;
	spin_unlock_irqrestore(&tasklist_lock, irq);
	return err;
}

static int64_t set_ctty(struct tty *tty, uint64_t steal)
{
	irq_state_t irq;
	bool put = false;

	if (steal == 1 && current->signal->leader && !current->signal->tty) {
		irq = spin_lock_irqsave(&tasklist_lock);
		put = tty_leave_session_locked(tty);
		spin_unlock_irqrestore(&tasklist_lock, irq);
		if (put)
			tty_put(tty);
	}
	return tty_take(tty);
}

static int64_t notty(struct tty *tty)
{
	irq_state_t irq;

	if (current->signal->tty != tty)
		return -ENOTTY;
	if (current->signal->leader) {
		disassociate_ctty(false);
		return 0;
	}
	irq = spin_lock_irqsave(&tasklist_lock);
	current->signal->tty = NULL;
	spin_unlock_irqrestore(&tasklist_lock, irq);
	return 0;
}

static int64_t ioctl_winsize(struct tty *tty, unsigned cmd, uint64_t arg)
{
	struct winsize ws;

	if (cmd == TIOCSWINSZ) {
		if (copy_from_user(&ws, arg, sizeof(ws)))
			return -EFAULT;
		tty_resize(tty, &ws);
		return 0;
	}
	mutex_lock(&tty->lock);
	ws = tty->winsize;
	mutex_unlock(&tty->lock);
	return copy_to_user(arg, &ws, sizeof(ws));
}

static int64_t ioctl_inq(struct tty *tty, uint64_t arg)
{
	size_t n;

	mutex_lock(&tty->lock);
	n = n_tty_readable(tty);
	mutex_unlock(&tty->lock);
	return put_user_u32(arg, (uint32_t)n);
}

int64_t tty_ioctl(struct tty *tty, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case TCGETS:
		return get_termios(tty, arg, sizeof(struct termios));
	case TCGETS2:
		return get_termios(tty, arg, sizeof(struct termios2));
	case TCSETS:
	case TCSETS2:
		return set_termios(tty, arg, NOW, false);
	case TCSETSW:
	case TCSETSW2:
		return set_termios(tty, arg, DRAIN, false);
	case TCSETSF:
	case TCSETSF2:
		return set_termios(tty, arg, FLUSH, false);
	case TCGETA:
		return get_termio(tty, arg);
	case TCSETA:
	case TCSETAW:
	case TCSETAF:
		return set_termios(tty, arg, (enum when)(cmd - TCSETA), true);
	case TIOCGWINSZ:
	case TIOCSWINSZ:
		return ioctl_winsize(tty, cmd, arg);
	case TIOCGPGRP:
		return get_pgrp(tty, arg, false);
	case TIOCGSID:
		return get_pgrp(tty, arg, true);
	case TIOCSPGRP:
		return set_pgrp(tty, arg);
	case TIOCSCTTY:
		return set_ctty(tty, arg);
	case TIOCNOTTY:
		return notty(tty);
	case FIONREAD:
		return ioctl_inq(tty, arg);
	case TIOCOUTQ:
		return put_user_u32(arg, 0);
	case TCFLSH:
		return tty_flush(tty, arg);
	case TCXONC:
		return tty_flow(tty, arg);
	case TCSBRK:
	case TCSBRKP:
		return tty->ops->drain ? tty->ops->drain(tty) : 0;
	case TIOCEXCL:
	case TIOCNXCL:
		tty->exclusive = cmd == TIOCEXCL;
		return 0;
	default:
		return -ENOTTY;
	}
}

static int64_t tty_file_ioctl(struct file *file, unsigned cmd, uint64_t arg)
{
	struct tty *tty = tty_of(file);

	return tty->hung_up ? -EIO : tty_ioctl(tty, cmd, arg);
}

const struct file_operations tty_fops = {
        .release = tty_release,
        .read_iter = tty_read,
        .write_iter = tty_write,
        .llseek = no_llseek,
        .poll = tty_poll,
        .ioctl = tty_file_ioctl,
};
static const struct file_operations current_tty_fops = {.open = open_current_tty};
static const struct file_operations console_fops = {.open = open_console};

int tty_init(void)
{
	int err = register_chrdev(MKDEV(5, 0), "/dev/tty", &current_tty_fops);

	return err ? err : register_chrdev(MKDEV(5, 1), "/dev/console", &console_fops);
}
