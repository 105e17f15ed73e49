/*
 * tty.h - terminals: the line discipline between programs and a stream of bytes.
 *
 *     program <-- read/write --> struct tty <-- n_tty_receive / ops->write --> console port, or pty master
 *
 * Input is edited and turned into signals by n_tty.c when the bytes arrive, in a thread (the console's own, or whoever
 * writes to a pty's master): nothing here runs in interrupt context.
 *
 * Locks: write_lock (a writer's turn) -> lock (termios, input buffer, column) -> tasklist_lock, wait queues.
 * ops->write is called with write_lock at most, since it may sleep.
 *
 * Lock key: (l) lock  (w) write_lock  (t) tasklist_lock  (i) immutable
 */
#ifndef FS_TTY_H
#define FS_TTY_H

#include "fs/vfs.h"

#define TTY_BUF_SIZE 4096u
#define NCCS         19

struct termios { /* TCGETS */
	uint32_t c_iflag, c_oflag, c_cflag, c_lflag;
	uint8_t c_line, c_cc[NCCS];
};

struct winsize {
	uint16_t ws_row, ws_col, ws_xpixel, ws_ypixel;
};

struct tty;
struct tty_ops {
	/* Bytes taken, or -EAGAIN (nonblock), -ERESTARTSYS, -EPIPE, -EIO. Sleeps unless nonblock. */
	int64_t (*write)(struct tty *tty, const char *buf, size_t n, bool nonblock);
	unsigned (*poll_out)(struct tty *tty, struct file *file,
	                     struct poll_table *pt); /* POLLOUT, POLLHUP */
	int (*drain)(
	        struct tty *tty); /* until what was written has been taken; 0 or -ERESTARTSYS */
	void (*input_room)(struct tty *tty); /* the program has read: there is room again */
	void (*last_close)(struct tty *tty); /* the last open file has gone */
	void (*free)(struct tty *tty);       /* the last reference has gone */
};

struct tty {
	refcount_t count;
	const struct tty_ops *ops; /* (i) */
	void *driver_data;         /* (i) */
	char name[16];             /* (i) as in /dev */
	uint32_t dev;              /* (i) */
	struct mutex lock, write_lock;
	struct termios termios; /* (l) */
	struct winsize winsize; /* (l) */
	unsigned files;         /* (l) open files */
	bool hung_up;           /* (l) */
	bool exclusive;         /* (l) TIOCEXCL */
	_Atomic bool stopped;   /* output, by ^S or TCOOFF */
	int32_t pgrp, session;  /* (t) foreground group, session that it controls; 0: none */
	struct wait_queue read_wait, write_wait;

	/* Input: numbers grow, places are modulo the size. */
	unsigned head, tail;              /* (l) */
	unsigned canon_head;              /* (l) where the line being edited starts */
	bool lnext;                       /* (l) the next byte is literal */
	unsigned column, canon_column;    /* (l) of the cursor; where the edited line began */
	uint64_t ends[TTY_BUF_SIZE / 64]; /* (l) a line ends with this byte */
	uint64_t eofs[TTY_BUF_SIZE / 64]; /* (l) by end of file: the byte itself is not read */
	uint8_t buf[TTY_BUF_SIZE];        /* (l) */
	char xmit[6144];                  /* (w) */
};

/* A new terminal with sane settings, one reference; NULL: no memory. */
struct tty *tty_alloc(const struct tty_ops *ops, void *driver_data, const char *name, uint32_t dev);
static inline struct tty *tty_get(struct tty *tty)
{
	refcount_inc(&tty->count);
	return tty;
}
void tty_put(struct tty *tty);

/* The other end has gone: readers see the end, the session's leader and foreground group get SIGHUP, SIGCONT. */
void tty_hangup(struct tty *tty);

/* Bytes from the terminal: how many were taken (fewer when the program must read first). Sleeps. */
size_t n_tty_receive(struct tty *tty, const uint8_t *data, size_t n);
/* Signal for the foreground process group. Any context. */
void tty_signal(struct tty *tty, int signo);
/* New size; SIGWINCH when it differs. Sleeps. */
void tty_resize(struct tty *tty, const struct winsize *ws);

/*
 * The running task is a session leader that exits (on_exit: the foreground group gets SIGHUP) or gives its terminal up
 * (TIOCNOTTY): no task of the session has a controlling terminal any more. Sleeps.
 */
void disassociate_ctty(bool on_exit);

/* The terminal of the host's console, opened by /dev/console; NULL: there is none. */
extern struct tty *console_tty;

/* n_tty.c for tty.c */
void n_tty_reset(struct tty *tty);
void n_tty_flush_input(struct tty *tty);                                /* lock held */
void n_tty_termios_changed(struct tty *tty, const struct termios *old); /* lock held */
size_t n_tty_readable(struct tty *tty); /* lock held: bytes that a read would give now */
int64_t n_tty_read(struct tty *tty, struct iov_iter *to, bool nonblock);
int64_t n_tty_write(struct tty *tty, struct iov_iter *from, bool nonblock);
bool n_tty_input_ready(struct tty *tty); /* lock held */

extern const struct file_operations tty_fops;
int64_t tty_ioctl(struct tty *tty, unsigned cmd, uint64_t arg);
/* Open `file` on tty: takes a reference of its own. */
int tty_attach_file(struct tty *tty, struct file *file);

/* c_iflag */
#define IGNCR   0000200u
#define INLCR   0000100u
#define ICRNL   0000400u
#define IXON    0002000u
#define IXANY   0004000u
#define ISTRIP  0000040u
#define IMAXBEL 0020000u
#define IUTF8   0040000u
/* c_oflag */
#define OPOST  0000001u
#define ONLCR  0000004u
#define OCRNL  0000010u
#define ONOCR  0000020u
#define ONLRET 0000040u
#define TABDLY 0014000u
#define XTABS  0014000u
/* c_cflag: 38400 baud, 8 bits, receiver on, hang up at the end */
#define B38400_CS8_CREAD_HUPCL (0000017u | 0000060u | 0000200u | 0002000u)
/* c_lflag */
#define ISIG    0000001u
#define ICANON  0000002u
#define ECHO    0000010u
#define ECHOE   0000020u
#define ECHOK   0000040u
#define ECHONL  0000100u
#define NOFLSH  0000200u
#define TOSTOP  0000400u
#define ECHOCTL 0001000u
#define ECHOKE  0004000u
#define IEXTEN  0100000u
enum {
	VINTR,
	VQUIT,
	VERASE,
	VKILL,
	VEOF,
	VTIME,
	VMIN,
	VSWTC,
	VSTART,
	VSTOP,
	VSUSP,
	VEOL,
	VREPRINT,
	VDISCARD,
	VWERASE,
	VLNEXT,
	VEOL2
};

#endif
