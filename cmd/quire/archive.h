/*
 * archive.h - the boot archive: what to run, and with root=cpio the root itself (doc/boot-protocol.md).
 */
#ifndef QUIRE_CMD_ARCHIVE_H
#define QUIRE_CMD_ARCHIVE_H

#include "cmd/quire/options.h"

struct archive {
	int fd; /* a memory file */
	uint64_t size;
	bool cpio_root;    /* the root is in the archive, not shared */
	char *share;       /* NULL, or the directory to share as the root */
	char *write_host;  /* NULL, or the directory to share writable ... */
	char *write_guest; /* ... and its path in the guest */
};

/*
 * Check root and writable directory, find the working directory, make the archive.
 * stdin_fd >= 0: all that it holds travels as .quire/stdin. Ends the command on bad input.
 */
void archive_make(struct archive *a, const struct options *o, int stdin_fd);

#endif
