/*
 * n_tty.c - the line discipline: editing, echo, signals, output processing. termios(3).
 *
 * Input lies in a ring. In canonical mode the bytes from canon_head to head are the line being edited, which no reader sees
 * until a delimiter completes it; its place is marked in `ends`. In other modes every byte is readable as it comes.
 * Echo is collected while input is processed and written when the lock is free; what the terminal does not take at once is dropped,
 * as a terminal that is not read must not stop ^C.
 */
#include "fs/internal.h"
#include "fs/tty.h"
#include "lib/bitmap.h"

#define ECHO_MAX 1024

struct echo { /* echo of one batch of input */
	char text[ECHO_MAX];
	size_t n;
};

#define L(tty, flag) ((tty)->termios.c_lflag & (flag))
#define I(tty, flag) ((tty)->termios.c_iflag & (flag))
#define O(tty, flag) ((tty)->termios.c_oflag & (flag))

static inline uint8_t *slot(struct tty *tty, unsigned i)
{
	return &tty->buf[i & (TTY_BUF_SIZE - 1)];
}

static inline bool is_char(struct tty *tty, uint8_t c, unsigned which)
{
	return tty->termios.c_cc[which] && tty->termios.c_cc[which] == c;
}

static inline bool is_continuation(struct tty *tty, uint8_t c)
{
	return I(tty, IUTF8) && (c & 0xc0) == 0x80;
}

/* --- output ----------------------------------------------------------------------------------------------- */

/* One byte as the terminal gets it: at most 8 bytes at out. lock held. */
static size_t opost(struct tty *tty, uint8_t c, char *out)
{
	size_t n = 1;

	out[0] = (char)c;
	if (!O(tty, OPOST))
		return 1;
	switch (c) {
	case '\n':
		if (O(tty, ONLRET))
			tty->column = 0;
		if (O(tty, ONLCR)) {
			out[0] = '\r';
			out[1] = '\n';
			tty->column = 0;
			n = 2;
		}
		return n;
	case '\r':
		if (O(tty, ONOCR) && tty->column == 0)
			return 0;
		if (O(tty, OCRNL)) {
			out[0] = '\n';
			return 1;
		}
		tty->column = 0;
		return 1;
	case '\t':
		n = 8 - (tty->column & 7);
		tty->column += (unsigned)n;
		if (O(tty, TABDLY) != XTABS)
			return 1;
		memset(out, ' ', n);
		return n;
	case '\b':
		if (tty->column)
			tty->column--;
		return 1;
	default:
		if (c >= ' ' && c != 0x7f && !is_continuation(tty, c))
			tty->column++;
		return 1;
	}
}

static int wait_while_stopped(struct tty *tty)
{
	return wait_event_interruptible(&tty->write_wait,
	                                !atomic_load(&tty->stopped) || tty->hung_up);
}

/* All of the processed bytes; write_lock held. */
static int64_t write_out(struct tty *tty, const char *text, size_t n, bool nonblock)
{
	size_t done = 0;

	while (done < n) {
		int64_t part = tty->ops->write(tty, text + done, n - done, nonblock);

		if (part < 0)
			return done ? (int64_t)done : part;
		done += (size_t)part;
		nonblock = false; /* processed bytes cannot be given back */
	}
	return (int64_t)done;
}

static int64_t write_chunk(struct tty *tty, const char *in, size_t n, bool nonblock)
{
	size_t out = 0;
	int64_t err;

	mutex_lock(&tty->lock);
	for (size_t i = 0; i < n; i++)
		out += opost(tty, (uint8_t)in[i], tty->xmit + out);
	mutex_unlock(&tty->lock);
	err = write_out(tty, tty->xmit, out, nonblock);
	return err < 0 ? err : 0;
}

int64_t n_tty_write(struct tty *tty, struct iov_iter *from, bool nonblock)
{
	char in[sizeof(tty->xmit) / 8];
	int64_t total = 0, err = 0;

	mutex_lock(&tty->write_lock);
	while (iov_iter_count(from) && !err) {
		struct iov_iter before = *from;
		size_t n;

		if (atomic_load(&tty->stopped))
			err = nonblock ? -EAGAIN : wait_while_stopped(tty);
		if (!err && tty->hung_up)
			err = -EIO;
		if (err)
			break;
		n = copy_from_iter(in, sizeof(in), from);
		if (!n) {
			err = -EFAULT;
			break;
		}
		err = write_chunk(tty, in, n, nonblock);
		if (err)
			*from = before;
		else
			total += (int64_t)n;
	}
	mutex_unlock(&tty->write_lock);
	return total ? total : err;
}

/* --- echo --------------------------------------------------------------------------------------------------- */

static void echo_raw(struct tty *tty, struct echo *e, uint8_t c)
{
	if (e->n + 8 <= ECHO_MAX)
		e->n += opost(tty, c, e->text + e->n);
}

static bool shown_as_caret(struct tty *tty, uint8_t c)
{
	return L(tty, ECHOCTL) && ((c < ' ' && c != '\t' && c != '\n') || c == 0x7f);
}

static void echo_char(struct tty *tty, struct echo *e, uint8_t c)
{
	if (shown_as_caret(tty, c)) {
		echo_raw(tty, e, '^');
		c ^= 0x40;
	}
	echo_raw(tty, e, c);
}

static void begin_line(struct tty *tty)
{
	if (tty->head == tty->canon_head)
		tty->canon_column = tty->column;
}

static unsigned char_width(struct tty *tty, uint8_t c, unsigned column)
{
	if (c == '\t')
		return 8 - (column & 7);
	if (is_continuation(tty, c))
		return 0;
	if (shown_as_caret(tty, c))
		return 2;
	return c >= ' ' ? 1 : 0;
}

/* Columns that the byte at number `at` of the edited line takes. */
static unsigned width_at(struct tty *tty, unsigned at)
{
	unsigned column = tty->canon_column;

	for (unsigned i = tty->canon_head; i != at; i++)
		column += char_width(tty, *slot(tty, i), column);
	return char_width(tty, *slot(tty, at), column);
}

/* Take one character off the edited line. */
static void erase_one(struct tty *tty, struct echo *e)
{
	unsigned width = 0;

	do {
		tty->head--;
		width += width_at(tty, tty->head);
	} while (is_continuation(tty, *slot(tty, tty->head)) && tty->head != tty->canon_head);
	if (!L(tty, ECHO))
		return;
	if (!L(tty, ECHOE)) {
		echo_char(tty, e, tty->termios.c_cc[VERASE]);
		return;
	}
	if (*slot(tty, tty->head) == '\t') {
		while (width--)
			echo_raw(tty, e, '\b');
		return;
	}
	while (width--) {
		echo_raw(tty, e, '\b');
		echo_raw(tty, e, ' ');
		echo_raw(tty, e, '\b');
	}
}

static bool is_word(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '_' || c >= 0x80;
}

static void erase_word(struct tty *tty, struct echo *e)
{
	while (tty->head != tty->canon_head && !is_word(*slot(tty, tty->head - 1)))
		erase_one(tty, e);
	while (tty->head != tty->canon_head && is_word(*slot(tty, tty->head - 1)))
		erase_one(tty, e);
}

static void kill_line(struct tty *tty, struct echo *e)
{
	if (L(tty, ECHO) && L(tty, ECHOK) && L(tty, ECHOKE) && L(tty, ECHOE)) {
		while (tty->head != tty->canon_head)
			erase_one(tty, e);
		return;
	}
	tty->head = tty->canon_head;
	if (!L(tty, ECHO))
		return;
	echo_char(tty, e, tty->termios.c_cc[VKILL]);
	if (L(tty, ECHOK))
		echo_raw(tty, e, '\n');
}

static void reprint(struct tty *tty, struct echo *e)
{
	if (!L(tty, ECHO))
		return;
	echo_char(tty, e, tty->termios.c_cc[VREPRINT]);
	echo_raw(tty, e, '\n');
	tty->canon_column = tty->column;
	for (unsigned i = tty->canon_head; i != tty->head; i++)
		echo_char(tty, e, *slot(tty, i));
}

/* --- input --------------------------------------------------------------------------------------------------- */

void n_tty_flush_input(struct tty *tty)
{
	tty->head = tty->tail = tty->canon_head = 0;
	tty->lnext = false;
	bitmap_zero(tty->ends, TTY_BUF_SIZE);
	bitmap_zero(tty->eofs, TTY_BUF_SIZE);
}

static bool ring_full(struct tty *tty)
{
	return tty->head - tty->tail >= TTY_BUF_SIZE - 1;
}

static void put_byte(struct tty *tty, uint8_t c)
{
	*slot(tty, tty->head++) = c;
}

static void end_line(struct tty *tty, bool eof)
{
	unsigned at = (tty->head - 1) & (TTY_BUF_SIZE - 1);

	__set_bit(at, tty->ends);
	if (eof)
		__set_bit(at, tty->eofs);
	tty->canon_head = tty->head;
}

static int signal_of(struct tty *tty, uint8_t c)
{
	if (!L(tty, ISIG))
		return 0;
	if (is_char(tty, c, VINTR))
		return SIGINT;
	if (is_char(tty, c, VQUIT))
		return SIGQUIT;
	return is_char(tty, c, VSUSP) ? SIGTSTP : 0;
}

static void receive_signal(struct tty *tty, struct echo *e, uint8_t c, int signo)
{
	if (!L(tty, NOFLSH))
		n_tty_flush_input(tty);
	atomic_store(&tty->stopped, false);
	wake_up_all(&tty->write_wait);
	if (L(tty, ECHO))
		echo_char(tty, e, c);
	tty_signal(tty, signo);
}

/* ^S and ^Q. True: c was one of them. */
static bool receive_flow(struct tty *tty, uint8_t c)
{
	if (is_char(tty, c, VSTOP)) {
		atomic_store(&tty->stopped, true);
		return true;
	}
	if (!is_char(tty, c, VSTART))
		return false;
	atomic_store(&tty->stopped, false);
	wake_up_all(&tty->write_wait);
	return true;
}

/* Editing characters of canonical mode. True: c was one. */
static bool receive_edit(struct tty *tty, struct echo *e, uint8_t c)
{
	bool any = tty->head != tty->canon_head;

	if (is_char(tty, c, VERASE)) {
		if (any)
			erase_one(tty, e);
	} else if (is_char(tty, c, VKILL)) {
		kill_line(tty, e);
	} else if (is_char(tty, c, VWERASE) && L(tty, IEXTEN)) {
		erase_word(tty, e);
	} else if (is_char(tty, c, VREPRINT) && L(tty, IEXTEN)) {
		reprint(tty, e);
	} else if (is_char(tty, c, VLNEXT) && L(tty, IEXTEN)) {
		tty->lnext = true;
		if (L(tty, ECHO) && L(tty, ECHOCTL)) {
			echo_raw(tty, e, '^');
			echo_raw(tty, e, '\b');
		}
	} else {
		return false;
	}
	return true;
}

static void receive_canon(struct tty *tty, struct echo *e, uint8_t c)
{
	bool full = ring_full(tty);

	if (receive_edit(tty, e, c))
		return;
	if (is_char(tty, c, VEOF)) {
		if (!full) {
			put_byte(tty, '\0');
			end_line(tty, true);
		}
		return;
	}
	if (c == '\n' || is_char(tty, c, VEOL) || is_char(tty, c, VEOL2)) {
		if (full)
			tty->head--; /* the line was cut: its end takes the last place */
		if (L(tty, ECHO) || (c == '\n' && L(tty, ECHONL)))
			echo_raw(tty, e, c);
		put_byte(tty, c);
		end_line(tty, false);
		return;
	}
	if (full) {
		if (I(tty, IMAXBEL))
			echo_raw(tty, e, '\a');
		return;
	}
	begin_line(tty);
	if (L(tty, ECHO))
		echo_char(tty, e, c);
	put_byte(tty, c);
}

static void receive_literal(struct tty *tty, struct echo *e, uint8_t c)
{
	tty->lnext = false;
	if (ring_full(tty))
		return;
	begin_line(tty);
	if (L(tty, ECHO))
		echo_char(tty, e, c);
	put_byte(tty, c);
	if (!L(tty, ICANON))
		tty->canon_head = tty->head;
}

static void receive_byte(struct tty *tty, struct echo *e, uint8_t c)
{
	int signo;

	if (I(tty, ISTRIP))
		c &= 0x7f;
	if (tty->lnext) {
		receive_literal(tty, e, c);
		return;
	}
	if (I(tty, IXON) && receive_flow(tty, c))
		return;
	signo = signal_of(tty, c);
	if (signo) {
		receive_signal(tty, e, c, signo);
		return;
	}
	if (I(tty, IXANY) && atomic_exchange(&tty->stopped, false))
		wake_up_all(&tty->write_wait);
	if (c == '\r') {
		if (I(tty, IGNCR))
			return;
		if (I(tty, ICRNL))
			c = '\n';
	} else if (c == '\n' && I(tty, INLCR)) {
		c = '\r';
	}
	if (L(tty, ICANON)) {
		receive_canon(tty, e, c);
		return;
	}
	if (L(tty, ECHO))
		echo_char(tty, e, c);
	put_byte(tty, c);
	tty->canon_head = tty->head;
}

/* Must the sender wait until the program has read? A line being edited is cut instead. */
static bool must_wait(struct tty *tty)
{
	return ring_full(tty) && tty->canon_head != tty->tail;
}

size_t n_tty_receive(struct tty *tty, const uint8_t *data, size_t n)
{
	struct echo e = {.n = 0};
	size_t i;

	mutex_lock(&tty->lock);
	for (i = 0; i < n && e.n < ECHO_MAX / 2; i++) {
		if (must_wait(tty) && !signal_of(tty, data[i]))
			break;
		receive_byte(tty, &e, data[i]);
	}
	if (n_tty_input_ready(tty))
		wake_up_all(&tty->read_wait);
	mutex_unlock(&tty->lock);
	if (e.n)
		(void)tty->ops->write(tty, e.text, e.n, true);
	return i;
}

/* --- reading --------------------------------------------------------------------------------------------------- */

size_t n_tty_readable(struct tty *tty)
{
	return (L(tty, ICANON) ? tty->canon_head : tty->head) - tty->tail;
}

/* Would a read return? VMIN counts only for reads themselves and for poll without VTIME. */
bool n_tty_input_ready(struct tty *tty)
{
	size_t n = n_tty_readable(tty);
	unsigned min = tty->termios.c_cc[VMIN];

	if (tty->hung_up)
		return true;
	if (L(tty, ICANON) || tty->termios.c_cc[VTIME] || !min)
		return n > 0;
	return n > 0 && n >= min;
}

/* Up to the end of a line, or all in other modes. Bytes, -EFAULT. *line: a delimiter was read. lock held. */
static int64_t take_input(struct tty *tty, struct iov_iter *to, bool *line)
{
	bool canon = L(tty, ICANON);
	int64_t total = 0;

	*line = false;
	while (iov_iter_count(to) && n_tty_readable(tty) && !*line) {
		unsigned at = tty->tail & (TTY_BUF_SIZE - 1);
		size_t n = MIN(n_tty_readable(tty), (size_t)(TTY_BUF_SIZE - at));
		bool eof = false;

		n = MIN(n, iov_iter_count(to));
		if (canon) {
			size_t end = find_next_bit(tty->ends, at + n, at);

			if (end < at + n) {
				n = end + 1 - at;
				eof = __test_and_clear_bit(end, tty->eofs);
				__clear_bit(end, tty->ends);
				*line = true;
			}
		}
		if (n > eof && copy_to_iter(&tty->buf[at], n - eof, to) < n - eof)
			return total ? total : -EFAULT;
		tty->tail += (unsigned)n;
		total += (int64_t)(n - eof);
	}
	/* An end of file right behind what was read belongs to it. */
	if (canon && !*line && total && tty->tail != tty->canon_head &&
	    test_bit(tty->tail & (TTY_BUF_SIZE - 1), tty->eofs)) {
		__clear_bit(tty->tail & (TTY_BUF_SIZE - 1), tty->eofs);
		__clear_bit(tty->tail & (TTY_BUF_SIZE - 1), tty->ends);
		tty->tail++;
	}
	return total;
}

/* Sleep for input until the deadline; lock held, let go meanwhile. 0, -ETIME, -ERESTARTSYS. */
static int wait_input(struct tty *tty, size_t more_than, uint64_t deadline)
{
	struct waiter w;
	int err = 0;

	wait_begin(&tty->read_wait, &w);
	while (n_tty_readable(tty) <= more_than && !tty->hung_up) {
		if (signal_pending(current))
			err = -ERESTARTSYS;
		else if (port_now_ns() >= deadline)
			err = -ETIME;
		if (err)
			break;
		mutex_unlock(&tty->lock);
		block_interruptible_until(deadline);
		mutex_lock(&tty->lock);
	}
	wait_end(&tty->read_wait, &w);
	return err;
}

/* Wait as VMIN and VTIME say, lock held. 0 also when the time is over. */
static int wait_raw(struct tty *tty, size_t wanted)
{
	uint64_t time = tty->termios.c_cc[VTIME] * 100 * NSEC_PER_MSEC;
	size_t min = MIN((size_t)tty->termios.c_cc[VMIN], wanted), have;
	int err;

	if (!min)
		err = time ? wait_input(tty, 0, deadline_after(time)) : 0;
	else
		err = wait_input(tty, 0, UINT64_MAX);
	while (!err && min && (have = n_tty_readable(tty)) < min && !tty->hung_up)
		err = wait_input(tty, have, time ? deadline_after(time) : UINT64_MAX);
	if (err == -ERESTARTSYS && n_tty_readable(tty))
		return 0;
	return err == -ETIME ? 0 : err;
}

static int64_t read_locked(struct tty *tty, struct iov_iter *to, bool nonblock)
{
	int64_t n = 0;
	bool line;

	if (nonblock)
		n = n_tty_readable(tty) || tty->hung_up ? 0 : -EAGAIN;
	else if (L(tty, ICANON))
		n = wait_input(tty, 0, UINT64_MAX);
	else
		n = wait_raw(tty, iov_iter_count(to));
	return n ? n : take_input(tty, to, &line);
}

int64_t n_tty_read(struct tty *tty, struct iov_iter *to, bool nonblock)
{
	int64_t n;

	if (!iov_iter_count(to))
		return 0;
	mutex_lock(&tty->lock);
	n = read_locked(tty, to, nonblock);
	mutex_unlock(&tty->lock);
	if (n > 0 && tty->ops->input_room)
		tty->ops->input_room(tty);
	return n;
}

/* --- settings ---------------------------------------------------------------------------------------------------- */

void n_tty_reset(struct tty *tty)
{
	static const uint8_t cc[NCCS] = {3,  28, 127, 21, 4,  0,  1,  0, 17,
	                                 19, 26, 0,   18, 15, 23, 22, 0};

	tty->termios = (struct termios){
	        .c_iflag = ICRNL | IXON,
	        .c_oflag = OPOST | ONLCR,
	        .c_cflag = B38400_CS8_CREAD_HUPCL,
	        .c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
	};
	memcpy(tty->termios.c_cc, cc, sizeof(cc));
	n_tty_flush_input(tty);
}

/* Bytes that wait become readable, or a line again, with the mode. */
void n_tty_termios_changed(struct tty *tty, const struct termios *old)
{
	if ((old->c_lflag ^ tty->termios.c_lflag) & ICANON) {
		bitmap_zero(tty->ends, TTY_BUF_SIZE);
		bitmap_zero(tty->eofs, TTY_BUF_SIZE);
		tty->canon_head = tty->head;
		if (L(tty, ICANON) && tty->head != tty->tail)
			__set_bit((tty->head - 1) & (TTY_BUF_SIZE - 1), tty->ends);
		tty->lnext = false;
	}
	if (!I(tty, IXON) && atomic_exchange(&tty->stopped, false))
		wake_up_all(&tty->write_wait);
	if (n_tty_input_ready(tty))
		wake_up_all(&tty->read_wait);
}
