/*
 * cpu.h - what each CPU has of the memory manager for itself.
 *
 * Only its own CPU writes a cpu_area, so nothing in it is locked; the one exception is named
 * at its field. Included by port.h before <quire_embed.h>, which finds fields by offset.
 */
#ifndef QUIRE_CPU_H
#define QUIRE_CPU_H

#include <quire/types.h>
#include <quire/counter.h>
#include <quire/header.h>

/* ZONE_DMA: the first 16 MB. ZONE_DMA32: the first 4 GB. HIGHMEM: no kernel address. */
enum zone_type {
	ZONE_DMA,
	ZONE_DMA32,
	ZONE_NORMAL,
	ZONE_HIGHMEM,
	ZONE_MOVABLE,
	MAX_NR_ZONES
};

#define MAX_NUMNODES 4

/*
 * Single frames kept by a CPU, linked through page->lru.next. Hot frames are taken from and put
 * at the front; cold ones go to the back. busy is set while the owner is inside: an interrupt
 * that finds it set goes to the zone instead, so neither needs the other's permission.
 */
struct per_cpu_pages {
	uint32_t first, last;
	uint16_t count, high, batch; /* frames; high: drain above it; batch: frames a step */
	bool busy;
};

/* What an allocated frame is used for. */
enum frame_kind {
	FRAME_SLAB,
	FRAME_PAGETABLE,
	FRAME_KSTACK,
	FRAME_VMALLOC,
	FRAME_ANON,
	FRAME_FILE,
	FRAME_SHMEM,
	NR_FRAME_KINDS
};

struct CACHE_ALIGNED cpu_area {
	uint64_t counters[NR_COUNTERS];
	struct trace_ring *ring; /* NULL when tracing is off */
	uint8_t *ring_data;
	uint64_t ring_size;
	int64_t frame_kind[NR_FRAME_KINDS]; /* pages; this CPU's additions less its removals */
	struct per_cpu_pages pcp[MAX_NUMNODES][MAX_NR_ZONES];
};

#endif
