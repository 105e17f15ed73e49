/*
 * numa.h - the guest's nodes of memory: --numa.
 */
#ifndef QUIRE_CMD_NUMA_H
#define QUIRE_CMD_NUMA_H

#include "cmd/quire/util.h"

#define NUMA_MAX_NODES 4 /* the kernel's MAX_NUMNODES */
#define MEMORY_UNIT \
	(8ull << 10) /* QEMU rounds the sum of all memory up to it, and then misses the rest */

struct numa {
	unsigned nodes; /* 0: not asked for */
	bool sizes;     /* they were given one by one */
	uint64_t mem[NUMA_MAX_NODES];
	unsigned distance; /* of neighbours; 0: QEMU's choice */
};

/* N, or SIZE,SIZE,...; either with :DISTANCE behind. Dies of anything else. */
void numa_parse(struct numa *numa, const char *text);

/* The nodes' memory, with *mem as --mem says it (given) or by default: set from the sizes. Dies where they do not go together. */
void numa_share(struct numa *numa, uint64_t *mem, bool given);

/* QEMU's distance between two nodes; its CPU number cpu of cpus is of this node. */
unsigned numa_distance(const struct numa *numa, unsigned from, unsigned to);
unsigned numa_node_of_cpu(const struct numa *numa, unsigned cpu, unsigned cpus);

#endif
