/*
 * guest.h - the guest's memory as the command sees it: a file that QEMU uses as
 * RAM, or one for each node, one behind the other, and that is mapped here too. Everything read from it was written by the
 * guest and is checked before it is believed.
 */
#ifndef QUIRE_CMD_GUEST_H
#define QUIRE_CMD_GUEST_H

#include <quire/header.h>
#include "cmd/quire/numa.h"
#include "cmd/quire/util.h"

struct guest {
	unsigned nr_files;
	struct {
		int fd; /* -1: a node without memory */
		uint64_t size;
	} file[NUMA_MAX_NODES];
	uint8_t *base;
	uint64_t size; /* of all files: the memory asked for and the range of the trace rings */
	uint64_t trace_paddr, trace_size;
};

/*
 * Make memory of mem bytes plus trace_size bytes for the rings, by which the last node that has memory is larger. At the
 * top of the memory below the hole QEMU puts the boot archive (archive_size bytes), and a board with nodes its tables: the rings go just
 * below that.
 */
void guest_create(struct guest *g, uint64_t mem, const struct numa *numa, uint64_t trace_size,
                  uint64_t archive_size);

/* The len bytes at guest-physical paddr; NULL when they are not all in one piece of RAM. */
void *guest_at(const struct guest *g, uint64_t paddr, uint64_t len);

/* The header page; NULL while the kernel has not filled it in, or not with this version. */
struct quire_header *guest_header(const struct guest *g);

/* The kernel's log, the newest part that its ring still holds, appended to out. */
void guest_log(const struct guest *g, struct buf *out);

#endif
