/*
 * archive.h - the boot archive: what to run, and with root=cpio the root itself (doc/boot-protocol.md).
 */
#ifndef QUIRE_CMD_ARCHIVE_H
#define QUIRE_CMD_ARCHIVE_H

#include "cmd/quire/options.h"

struct archive {
	int fd; /* a memory file */
	uint64_t size;
	bool cpio_root; /* the root is in the archive, not shared */
	char *share;    /* NULL, or the directory to share as the root */
	struct share {
		char *host, *guest; /* a directory's path here and in the guest */
		bool writable;
	} shares[3]; /* beside the root; the guest mounts them in this order */
	unsigned nr_shares;
};

/*
 * Check root and writable directory, find the working directory and what must be shared besides, make the archive.
 * stdin_fd >= 0: all that it holds travels as .quire/stdin. Ends the command on bad input.
 */
void archive_make(struct archive *a, const struct options *o, int stdin_fd);

/* The directory, a static name, whose counterpart in the guest keeps an existing program out of sight; NULL if none does. */
const char *archive_hidden_by(const struct options *o);

#endif
