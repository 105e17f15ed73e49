/*
 * cpio.h - newc archives: written for the guest, checked before they go there.
 *
 * A member is a header of 110 characters ("070701", then 13 numbers of 8 hex digits), the
 * name with its NUL, data; name and data each padded to 4 bytes. The data of a file of a
 * page or more starts on a page boundary, so that the kernel can adopt its pages where they
 * are: the name is padded with NULs that the header counts, which every reader takes for the end of the name.
 */
#ifndef QUIRE_CMD_CPIO_H
#define QUIRE_CMD_CPIO_H

#include "cmd/quire/util.h"

#include <sys/stat.h>

struct cpio {
	int fd;
	uint64_t pos; /* bytes written, fd's and out's */
	unsigned ino;
	struct buf out; /* not yet written to fd */
};

/* An archive into fd, from its present end. Errors of writing end the command. */
void cpio_begin(struct cpio *c, int fd);

/* A member whose data is in memory (a file, or the target of a symbolic link). */
void cpio_add(struct cpio *c, const char *name, const struct stat *st, const void *data,
              size_t len);

/* A regular file whose data is read from fd: st->st_size bytes, or NULs where it has shrunk. */
void cpio_add_file(struct cpio *c, const char *name, const struct stat *st, int fd);

/* The trailer; then NULs up to a page boundary, so that another archive may follow. */
void cpio_end(struct cpio *c);

/* Is the file a whole newc archive? NULL, or what is wrong with it (static text). */
const char *cpio_check(int fd, uint64_t size);

/* Append a whole file of size bytes to fd as it is. */
void cpio_append_raw(int to, int from, uint64_t size, const char *name);

#endif
