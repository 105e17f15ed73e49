/*
 * console_tty.c - the terminal of the host's console, and the streams that are no terminals.
 *
 * With stdio=t the first port is a terminal's both directions. A kernel thread reads it and feeds the line
 * discipline, so that ^C works whether or not a program reads. A port that is a byte stream (p) is a file of its own
 * kind that reads and writes the port; it looks like a pipe.
 */
#include "fs/internal.h"
#include "drivers/console.h"
#include "fs/tty.h"

struct tty *console_tty;
static struct wait_queue room_wait;
static _Atomic bool room;

/* --- the terminal --------------------------------------------------------------------------------------------- */

static struct byte_port *port_of(struct tty *tty)
{
	return tty->driver_data;
}

static int64_t console_write(struct tty *tty, const char *buf, size_t n, bool nonblock)
{
	return byte_port_write(port_of(tty), buf, n, nonblock);
}

static unsigned console_poll_out(struct tty *tty, struct file *file, struct poll_table *pt)
{
	unsigned state;

	poll_wait(file, byte_port_write_wait(port_of(tty)), pt);
	state = byte_port_poll(port_of(tty));
	return (state & BYTE_PORT_OUT ? POLLOUT | POLLWRNORM : 0) |
	       (state & BYTE_PORT_HUP ? POLLHUP : 0);
}

static int console_drain_tty(struct tty *tty)
{
	return byte_port_drain(port_of(tty));
}

static void console_input_room(struct tty *tty)
{
	(void)tty;
	atomic_store(&room, true);
	wake_up_all(&room_wait);
}

static const struct tty_ops console_ops = {
        .write = console_write,
        .poll_out = console_poll_out,
        .drain = console_drain_tty,
        .input_room = console_input_room,
};

static void feed(struct tty *tty, const uint8_t *data, size_t n)
{
	while (n) {
		size_t taken;

		atomic_store(&room, false);
		taken = n_tty_receive(tty, data, n);
		data += taken;
		n -= taken;
		if (n && !taken)
			wait_event(&room_wait, atomic_load(&room));
	}
}

static void console_thread(void *arg)
{
	struct tty *tty = arg;
	uint8_t data[256];
	int64_t n;

	while ((n = byte_port_read(port_of(tty), data, sizeof(data), false)) > 0 ||
	       n == -ERESTARTSYS)
		if (n > 0)
			feed(tty, data, (size_t)n);
	tty_hangup(tty);
}

/* --- lines of the control port: interrupt context ----------------------------------------------------------------- */

static _Atomic uint32_t next_size; /* rows << 16 | columns; 0: none */
static struct wait_queue control_wait;

/* A size takes a mutex to set: a thread does it. */
static void control_winsize(unsigned rows, unsigned cols)
{
	atomic_store(&next_size, rows << 16 | (cols & 0xffff));
	wake_up_all(&control_wait);
}

/* For a terminal the foreground group, else the first program's. */
static void control_signal(int signo)
{
	if (console_tty && READ_ONCE(console_tty->pgrp) > 0)
		kill_pgrp(console_tty->pgrp, signo);
	else if (stdio_pgrp > 0)
		kill_pgrp(stdio_pgrp, signo);
}

_Atomic int32_t stdio_pgrp;

static void control_thread(void *arg)
{
	struct tty *tty = arg;

	for (;;) {
		uint32_t size;

		wait_event(&control_wait, atomic_load(&next_size));
		size = atomic_exchange(&next_size, 0);
		tty_resize(tty, &(struct winsize){(uint16_t)(size >> 16), (uint16_t)size, 0, 0});
	}
}

static void first_size(struct tty *tty)
{
	char text[32];
	const char *end;
	uint64_t rows, cols;

	if (boot_param("winsize", text, sizeof(text)) <= 0)
		return;
	if (parse_u64(text, 10, &end, &rows) || *end != 'x' || parse_u64(end + 1, 10, &end, &cols))
		port_log("fs: winsize=%s is not ROWSxCOLS: ignored", text);
	else
		tty->winsize = (struct winsize){(uint16_t)rows, (uint16_t)cols, 0, 0};
}

/* --- streams ------------------------------------------------------------------------------------------------------ */

static int64_t stream_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct byte_port *port = iocb->ki_filp->private_data;
	bool nonblock = iocb->ki_flags & IOCB_NOWAIT;
	char buf[512];
	int64_t n;

	if (!iov_iter_count(to))
		return 0;
	if (!to->iov && !to->kernel) {
		n = byte_port_read_user(port, to->ubase, iov_iter_count(to), nonblock);
		if (n > 0)
			iov_iter_advance(to, (size_t)n);
		return n;
	}
	n = byte_port_read(port, buf, MIN(sizeof(buf), iov_iter_count(to)), nonblock);
	if (n > 0 && copy_to_iter(buf, (size_t)n, to) < (size_t)n)
		n = -EFAULT;
	return n;
}

static int64_t stream_write_part(struct byte_port *port, struct iov_iter *from, bool nonblock)
{
	struct iov_iter before = *from;
	char buf[1024];
	size_t n;
	int64_t done;

	if (!from->iov && !from->kernel) {
		done = byte_port_write_user(port, from->ubase, iov_iter_count(from), nonblock);
		if (done > 0)
			iov_iter_advance(from, (size_t)done);
		return done;
	}
	n = copy_from_iter(buf, sizeof(buf), from);
	if (!n)
		return -EFAULT;
	done = byte_port_write(port, buf, n, nonblock);
	if (done < (int64_t)n) {
		*from = before;
		iov_iter_advance(from, done > 0 ? (size_t)done : 0);
	}
	return done;
}

static int64_t stream_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct byte_port *port = iocb->ki_filp->private_data;
	int64_t total = 0, n = 0;

	while (iov_iter_count(from)) {
		n = stream_write_part(port, from, iocb->ki_flags & IOCB_NOWAIT);
		if (n <= 0)
			break;
		total += n;
	}
	if (n == -EPIPE)
		(void)broken_pipe();
	return total ? total : n;
}

static unsigned stream_poll(struct file *file, struct poll_table *pt)
{
	struct byte_port *port = file->private_data;
	unsigned state, mask = 0;

	poll_wait(file, byte_port_read_wait(port), pt);
	poll_wait(file, byte_port_write_wait(port), pt);
	state = byte_port_poll(port);
	if (file->f_mode & FMODE_READ && state & BYTE_PORT_IN)
		mask |= POLLIN | POLLRDNORM;
	if (file->f_mode & FMODE_WRITE && state & BYTE_PORT_OUT)
		mask |= POLLOUT | POLLWRNORM;
	if (state & BYTE_PORT_HUP)
		mask |= file->f_mode & FMODE_WRITE ? POLLERR : POLLHUP;
	return mask;
}

static int64_t stream_ioctl(struct file *file, unsigned cmd, uint64_t arg)
{
	if (cmd != FIONREAD)
		return -ENOTTY;
	return put_user_u32(arg, (uint32_t)byte_port_pending(file->private_data));
}

/* Opened again through /proc/self/fd: the same port. */
static int stream_reopen(struct inode *inode, struct file *file)
{
	file->private_data = inode->i_private;
	return stream_open(inode, file);
}

static const struct file_operations stream_fops = {
        .open = stream_reopen,
        .read_iter = stream_read,
        .write_iter = stream_write,
        .llseek = no_llseek,
        .poll = stream_poll,
        .ioctl = stream_ioctl,
};

static struct file *open_stream(unsigned fd)
{
	struct byte_port *port = byte_port(fd);
	struct file *file;

	if (!port)
		return ERR_PTR(-ENXIO);
	file = alloc_file_pseudo("pipe", S_IFIFO | 0600, fd ? O_WRONLY : O_RDONLY, &stream_fops,
	                         port);
	if (!IS_ERR(file))
		file->f_inode->i_private = port;
	return file;
}

/* --- descriptors of the first program ------------------------------------------------------------------------------ */

/* The input that came with the boot archive, from its start; its memory goes with the last descriptor of it. */
static struct file *open_input(void)
{
	struct file *kept = boot_program.stdin, *file;

	if (!kept)
		return ERR_PTR(-ENXIO);
	file = dentry_open(kept->f_dentry, O_RDONLY);
	if (IS_ERR(file))
		return file;
	boot_program.stdin = NULL;
	fput(kept);
	return file;
}

static struct file *open_stdio(char how, unsigned fd)
{
	if (how == 't')
		return filp_open("/dev/console", O_RDWR, 0);
	return how == 'f' && fd == 0 ? open_input() : open_stream(fd);
}

int fs_open_stdio(struct files_struct *files)
{
	char stdio[8] = "ppp";

	if (boot_param("stdio", stdio, sizeof(stdio)) != 3)
		memcpy(stdio, "ppp", 4);
	if (current->signal)
		atomic_store(&stdio_pgrp, current->signal->pgid);
	for (unsigned fd = 0; fd < 3; fd++) {
		struct file *file;
		int err;

		if (stdio[fd] == 'n')
			continue;
		file = open_stdio(stdio[fd], fd);
		if (IS_ERR(file)) {
			port_log("fs: descriptor %u (%c): error %ld", fd, stdio[fd],
			         -PTR_ERR(file));
			return (int)PTR_ERR(file);
		}
		err = files_install_at(files, fd, file);
		if (err) {
			fput(file);
			return err;
		}
	}
	return 0;
}

int console_tty_init(void)
{
	static const struct console_control control = {control_winsize, control_signal};
	struct byte_port *port = byte_port(PORT_STDIN);
	char stdio[8] = "";
	int err;

	wait_queue_init(&room_wait);
	wait_queue_init(&control_wait);
	if (port && boot_param("stdio", stdio, sizeof(stdio)) > 0 && strchr(stdio, 't')) {
		console_tty = tty_alloc(&console_ops, port, "console", MKDEV(5, 1));
		if (!console_tty)
			return -ENOMEM;
		first_size(console_tty);
		err = port_kthread_start("tty", console_thread, console_tty);
		if (!err)
			err = port_kthread_start("winsize", control_thread, console_tty);
		if (err)
			return err;
	}
	console_set_control(&control);
	return 0;
}
