/*
 * util.c - messages, memory, buffers, sizes.
 */
#define _GNU_SOURCE
#include "cmd/quire/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void vsay(const char *fmt, va_list ap)
{
	char *text = NULL;

	/* One write, so that lines of several runs in one pipe do not mix. */
	if (vasprintf(&text, fmt, ap) >= 0)
		dprintf(STDERR_FILENO, "quire: %s\n", text);
	free(text);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
	exit(EXIT_QUIRE);
}

static void *need(void *p)
{
	if (!p)
		die("out of memory: free some on the host");
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	return need(calloc(count, size));
}

char *xstrdup(const char *s)
{
	return need(strdup(s));
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return need(text);
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	if (b->len + len + 1 > b->cap) {
		b->cap = MAX(b->cap * 2, b->len + len + 64);
		b->data = need(realloc(b->data, b->cap));
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	need(len < 0 ? NULL : text);
	buf_add(b, text, (size_t)len);
	free(text);
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

static void strings_take(struct strings *s, char *text)
{
	s->v = need(realloc(s->v, (s->n + 2) * sizeof(*s->v)));
	s->v[s->n++] = text;
	s->v[s->n] = NULL;
}

void strings_add(struct strings *s, const char *text)
{
	strings_take(s, xstrdup(text));
}

void strings_addf(struct strings *s, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	strings_take(s, need(text));
}

static const char units[] = "KMGT";

bool parse_size(const char *text, uint64_t *size)
{
	const char *unit;
	char *end;
	uint64_t n;
	unsigned shift = 0;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		unit = strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end);
		if (!unit || !*unit || end[1])
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (n > UINT64_MAX >> shift)
		return false;
	*size = n << shift;
	return true;
}

bool parse_number(const char *text, unsigned low, unsigned high, unsigned *value)
{
	char *end;
	unsigned long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || n < low || n > high)
		return false;
	*value = (unsigned)n;
	return true;
}

const char *size_text(uint64_t size, char *out)
{
	int unit = -1;

	while (unit < 3 && size && size % 1024 == 0) {
		size /= 1024;
		unit++;
	}
	snprintf(out, 24, "%llu%.*s", (unsigned long long)size, unit >= 0,
	         units + (unit < 0 ? 0 : unit));
	return out;
}

int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

char *read_file(const char *path, size_t *len)
{
	struct buf b = {0};
	char chunk[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return NULL;
	buf_add(&b, "", 0);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(&b, chunk, (size_t)n);
	close(fd);
	if (n < 0) {
		buf_free(&b);
		return NULL;
	}
	if (len)
		*len = b.len;
	return b.data;
}

int memory_file(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		die("no memory file for %s: %s", name, strerror(errno));
	return fd;
}
