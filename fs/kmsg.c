/*
 * kmsg.c - /dev/kmsg: what is written is a line of the kernel's log; each read gives one, as on Linux:
 *
 *      6,SEQUENCE,MICROSECONDS,-;text
 *
 * A line's sequence is where it begins in the log, in bytes since boot: unique and ascending, though not one by one. At the end of
 * the log a read waits, or is EAGAIN; who fell behind the ring is told once (EPIPE) and goes on with the oldest line.
 */
#include "fs/internal.h"
#include "kernel/log.h"
#include <quire/port.h>

#define POLL_NS 50000000ull /* the log wakes nobody: it is written to under any lock */

static int64_t kmsg_write(struct kiocb *iocb, struct iov_iter *from)
{
	char line[512];
	size_t all = iov_iter_count(from), n = copy_from_iter(line, sizeof(line) - 1, from);

	(void)iocb;
	if (!n)
		return all ? -EFAULT : 0;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	port_log("%s", line);
	return (int64_t)all;
}

/*
 * The line at *pos into line, with a NUL for its end; *pos moves behind it. Its length, 0 at the end of the log, or -EPIPE with
 * *pos at the oldest line that is whole.
 */
static int64_t next_line(uint64_t *pos, char *line, size_t size)
{
	uint64_t at = *pos;
	size_t n = log_read(&at, line, size - 1), len;
	bool lost = at != *pos + n;

	line[n] = '\0';
	len = strcspn(line, "\n");
	if (len == n && n < size - 1)
		return 0; /* it is being written */
	*pos = at - n + len + (len < n);
	line[len] = '\0';
	return lost ? -EPIPE : (int64_t)len;
}

/* "[ seconds.microseconds] text" in the form above. */
static size_t make_record(char *record, size_t size, uint64_t sequence, const char *line)
{
	const char *p = line + strspn(line, "[ "), *text;
	uint64_t s = 0, us = 0;

	if (parse_u64(p, 10, &p, &s) || *p != '.' || parse_u64(p + 1, 10, &p, &us))
		p = line;
	text = strchr(p, ' ');
	return format_cut(record, size, "6,%lu,%lu,-;%s\n", sequence, s * 1000000 + us,
	                  text ? text + 1 : line);
}

static int64_t kmsg_read(struct kiocb *iocb, struct iov_iter *to)
{
	uint64_t pos = (uint64_t)iocb->ki_pos;
	char line[320], record[400];
	int64_t n;
	size_t len;

	while (!(n = next_line(&pos, line, sizeof(line)))) {
		if (iocb->ki_flags & IOCB_NOWAIT)
			return -EAGAIN;
		if (signal_pending(current))
			return -ERESTARTSYS;
		block_interruptible_until(port_now_ns() + POLL_NS);
	}
	if (n > 0) {
		len = make_record(record, sizeof(record), (uint64_t)iocb->ki_pos, line);
		if (len > iov_iter_count(to))
			return -EINVAL;
		n = copy_to_iter(record, len, to) < len ? -EFAULT : (int64_t)len;
	}
	if (n != -EFAULT)
		iocb->ki_pos = (int64_t)pos;
	return n;
}

/* To the beginning, or behind the last line. */
static int64_t kmsg_llseek(struct file *file, int64_t offset, int whence)
{
	if (offset)
		return -ESPIPE;
	if (whence != SEEK_SET && whence != SEEK_END && whence != SEEK_DATA)
		return -EINVAL;
	file->f_pos = whence == SEEK_END ? (int64_t)log_end() : 0;
	return 0;
}

const struct file_operations kmsg_fops = {
        .read_iter = kmsg_read, .write_iter = kmsg_write, .llseek = kmsg_llseek};
