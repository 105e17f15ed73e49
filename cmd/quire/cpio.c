/*
 * cpio.c - newc archives.
 */
#define _GNU_SOURCE
#include "cmd/quire/cpio.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define HEADER_SIZE 110
#define NAME_MAX_   4096 /* what Linux's unpacker takes, NUL included */
#define TRAILER     "TRAILER!!!"
#define PAD_NAME    ".quire/pad"
#define FLUSH_AT    (64 << 10)

static const char zeros[PAGE_SIZE];

static void flush(struct cpio *c)
{
	int err = write_all(c->fd, c->out.data, c->out.len);

	if (err)
		die("cannot write the archive: %s", strerror(-err));
	c->out.len = 0;
}

static void put(struct cpio *c, const void *data, size_t len)
{
	if (c->out.len + len > FLUSH_AT)
		flush(c);
	buf_add(&c->out, data, len);
	c->pos += len;
}

static void put_zeros(struct cpio *c, size_t len)
{
	put(c, zeros, len);
}

static void align4(struct cpio *c)
{
	put_zeros(c, -c->pos & 3);
}

/* Header and name; the name field takes name_size bytes. */
static void put_header(struct cpio *c, const char *name, size_t name_size, const struct stat *st,
                       uint64_t size)
{
	char h[HEADER_SIZE + 1];

	if (size > UINT32_MAX)
		die("%s is too large for a cpio archive: 4G is the limit", name);
	snprintf(h, sizeof(h), "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
	         ++c->ino, st->st_mode, st->st_uid, st->st_gid, 1u, (uint32_t)st->st_mtime,
	         (uint32_t)size, 0u, 0u, (unsigned)major(st->st_rdev), (unsigned)minor(st->st_rdev),
	         (unsigned)name_size, 0u);
	put(c, h, HEADER_SIZE);
	put(c, name, strlen(name));
	put_zeros(c, name_size - strlen(name));
	align4(c);
}

/* The size of name's field that puts the data on a page boundary. */
static size_t aligning_name_size(const struct cpio *c, const char *name)
{
	size_t least = strlen(name) + 1;
	uint64_t data = c->pos + HEADER_SIZE + least;

	return least + (-data & (PAGE_SIZE - 1));
}

static void begin_member(struct cpio *c, const char *name, const struct stat *st, uint64_t size)
{
	static const struct stat pad = {.st_mode = S_IFREG};
	size_t name_size = strlen(name) + 1;

	if (name_size > NAME_MAX_)
		die("the path is too long for a cpio archive: %s", name);
	if (S_ISREG(st->st_mode) && size >= PAGE_SIZE) {
		name_size = aligning_name_size(c, name);
		while (name_size > NAME_MAX_) {
			put_header(c, PAD_NAME, 512, &pad, 0);
			name_size = aligning_name_size(c, name);
		}
	}
	put_header(c, name, name_size, st, size);
}

void cpio_begin(struct cpio *c, int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);

	*c = (struct cpio){.fd = fd, .pos = end < 0 ? 0 : (uint64_t)end};
}

void cpio_add(struct cpio *c, const char *name, const struct stat *st, const void *data, size_t len)
{
	begin_member(c, name, st, len);
	put(c, data, len);
	align4(c);
}

void cpio_append_raw(int to, int from, uint64_t size, const char *name)
{
	uint64_t done = 0;

	while (done < size) {
		ssize_t n = sendfile(to, from, NULL, MIN(size - done, (uint64_t)1 << 30));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("cannot copy %s: %s", name, strerror(errno));
		if (n == 0)
			break;
		done += (uint64_t)n;
	}
	for (; done < size; done += MIN(size - done, PAGE_SIZE)) {
		int err = write_all(to, zeros, MIN(size - done, PAGE_SIZE));

		if (err)
			die("cannot write the archive: %s", strerror(-err));
	}
}

void cpio_add_file(struct cpio *c, const char *name, const struct stat *st, int fd)
{
	begin_member(c, name, st, (uint64_t)st->st_size);
	flush(c);
	cpio_append_raw(c->fd, fd, (uint64_t)st->st_size, name);
	c->pos += (uint64_t)st->st_size;
	align4(c);
}

void cpio_end(struct cpio *c)
{
	static const struct stat none;

	put_header(c, TRAILER, sizeof(TRAILER), &none, 0);
	put_zeros(c, -c->pos & (PAGE_SIZE - 1));
	flush(c);
	buf_free(&c->out);
}

static bool hex8(const char *p, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 8; i++) {
		unsigned ch = (unsigned char)p[i] | 0x20; /* lower case; digits stay */
		unsigned digit = ch >= 'a' ? ch - 'a' + 10 : ch - '0';

		if (digit > 15)
			return false;
		*value = *value << 4 | digit;
	}
	return true;
}

/* Step over the member at *pos; *last when it is the trailer. */
static const char *check_member(const char *a, uint64_t size, uint64_t *pos, bool *last)
{
	uint32_t data_size, name_size;
	const char *h = a + *pos;
	uint64_t end;

	if (size - *pos < HEADER_SIZE)
		return "it is truncated";
	if (memcmp(h, "070701", 6) && memcmp(h, "070702", 6))
		return *pos ? "it is damaged: a header has no newc magic"
		            : "it is no newc cpio archive";
	if (!hex8(h + 54, &data_size) || !hex8(h + 94, &name_size))
		return "it is damaged: a header holds no numbers";
	end = ALIGN_UP(*pos + HEADER_SIZE + name_size, 4ull);
	if (!name_size || name_size > NAME_MAX_)
		return "it is damaged: a name has no sensible length";
	if (end > size || data_size > size - end)
		return "it is truncated";
	if (!memchr(h + HEADER_SIZE, 0, name_size))
		return "it is damaged: a name has no end";
	*last = !strcmp(h + HEADER_SIZE, TRAILER);
	*pos = MIN(ALIGN_UP(end + data_size, 4ull), size);
	return NULL;
}

static const char *check_bytes(const char *a, uint64_t size)
{
	uint64_t pos = 0;
	bool last = false;

	if (size >= 2 && !memcmp(a, "\x1f\x8b", 2))
		return "it is compressed: unpack it with gunzip first";
	while (!last) {
		const char *wrong = check_member(a, size, &pos, &last);

		if (wrong)
			return wrong;
	}
	return NULL;
}

const char *cpio_check(int fd, uint64_t size)
{
	const char *wrong;
	char *a;

	if (!size)
		return "it is empty";
	a = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (a == MAP_FAILED)
		return "it cannot be mapped";
	wrong = check_bytes(a, size);
	munmap(a, size);
	return wrong;
}
