/*
 * pump.c - one direction of one stream.
 */
#define _GNU_SOURCE
#include "cmd/quire/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUNCH_EVERY (1u << 20) /* a power of two */

void pump_init(struct pump *p, int from, int to)
{
	struct stat st;

	*p = (struct pump){.from = from, .to = to, .data = xcalloc(1, PUMP_SIZE)};
	if (fstat(to, &st) == 0) {
		p->sink_socket = S_ISSOCK(st.st_mode);
		p->sink_regular = S_ISREG(st.st_mode);
	}
	p->done = from < 0 || to < 0;
}

static bool empty(const struct pump *p)
{
	return p->start == p->end;
}

void pump_poll(const struct pump *p, struct pollfd *f)
{
	*f = (struct pollfd){.fd = -1};
	if (p->done)
		return;
	if (!empty(p))
		*f = (struct pollfd){.fd = p->to, .events = POLLOUT};
	else if (!p->from_file && !p->source_ended)
		*f = (struct pollfd){.fd = p->from, .events = POLLIN};
}

uint64_t pump_backlog(const struct pump *p)
{
	struct stat st;

	if (!p->from_file || fstat(p->from, &st) < 0)
		return 0;
	return (uint64_t)st.st_size - p->offset;
}

/* Bytes of the memory file that were read are given back to the host. */
static void punch(struct pump *p, size_t n)
{
	uint64_t before = p->offset & ~(uint64_t)(PUNCH_EVERY - 1), after;

	p->offset += n;
	after = p->offset & ~(uint64_t)(PUNCH_EVERY - 1);
	if (after != before)
		fallocate(p->from, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)before,
		          (off_t)(after - before));
}

static bool fill(struct pump *p)
{
	/* Half of the buffer when newlines may double. */
	size_t room = p->newline_fix ? PUMP_SIZE / 2 : PUMP_SIZE;
	ssize_t n = p->from_file ? pread(p->from, p->data, room, (off_t)p->offset)
	                         : read(p->from, p->data, room);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (n <= 0) {
		p->source_ended = !p->from_file;
		return false;
	}
	if (p->from_file)
		punch(p, (size_t)n);
	p->start = 0;
	p->end = (size_t)n;
	return true;
}

static void fix_newlines(struct pump *p)
{
	size_t extra = 0;

	for (size_t i = 0; i < p->end; i++)
		extra += p->data[i] == '\n';
	for (size_t from = p->end, to = p->end + extra; from-- > 0;) {
		p->data[--to] = p->data[from];
		if (p->data[from] == '\n')
			p->data[--to] = '\r';
	}
	p->end += extra;
}

static bool ready(int fd, short events)
{
	struct pollfd f = {.fd = fd, .events = events};

	return poll(&f, 1, 0) == 1;
}

/* One write that does not wait. True if it moved anything. */
static bool drain(struct pump *p)
{
	size_t len = p->end - p->start;
	ssize_t n;

	if (!ready(p->to, POLLOUT))
		return false;
	if (p->sink_socket)
		n = send(p->to, p->data + p->start, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		n = write(p->to, p->data + p->start, p->sink_regular ? len : MIN(len, PIPE_BUF));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (n < 0) {
		p->error = errno;
		p->start = p->end;
		p->done = true;
		return true;
	}
	p->start += (size_t)n;
	return true;
}

bool pump_move(struct pump *p, const struct pollfd *f)
{
	bool moved = false;

	if (p->done)
		return false;
	if (empty(p) && !p->source_ended && (p->from_file || f->revents)) {
		moved = fill(p);
		if (moved && p->newline_fix)
			fix_newlines(p);
	}
	while (!empty(p) && drain(p))
		moved = true;
	if (empty(p) && p->source_ended)
		p->done = true;
	return moved;
}
