/*
 * trace_rings.h - the consumer of the guest's trace rings: records of all CPUs in the order of time.
 *
 * Each round looks at what every ring holds and writes the records that can have no earlier one
 * still to come. A record is stamped before it is published, and its CPU may be delayed in between; so
 * a round writes up to the newest time that the round before it saw, and the rest stays in
 * the rings. Only the consumer's positions are kept here, whatever the length of the trace.
 *
 * A full ring loses records until the consumer moves its tail; the count of them becomes a line at
 * that place. Rings are written by the guest: sizes and records are checked before they are used.
 */
#ifndef QUIRE_CMD_TRACE_RINGS_H
#define QUIRE_CMD_TRACE_RINGS_H

#include "cmd/quire/guest.h"
#include "cmd/quire/trace_text.h"

#define TRACE_OUT_SIZE (256 << 10)

struct trace_cpu {
	struct trace_ring *ring; /* NULL: this CPU has none */
	const uint8_t *data;
	uint64_t size;
	uint64_t tail;          /* everything before is written */
	uint64_t head;          /* as this round saw it */
	uint64_t scanned;       /* newest is the newest time before this position */
	uint64_t lost_seen;     /* of the ring's count, what lost and written lines say */
	uint64_t lost, lost_at; /* a line to write before the record at lost_at; 0: none */
};

struct trace_rings {
	struct trace_cpu cpu[QUIRE_MAX_CPUS];
	struct trace_text text;
	uint64_t newest;           /* time of the newest record scanned */
	uint64_t records, dropped; /* written; lost by full rings */
	bool damaged;  /* a ring held what is no record: the rest of it was passed over */
	int fd, error; /* the file; the first error of writing it, an errno */
	char *out;
	size_t out_len;
};

/* Find the rings that the header names. fd: the text goes there, header lines first. */
void trace_rings_init(struct trace_rings *t, const struct guest *g, const struct quire_header *h,
                      int fd);

/*
 * One round. final: nothing more will come, write everything. advance: give the room back to the
 * guest. Returns how full the fullest ring was, in 256ths of its size.
 */
unsigned trace_rings_round(struct trace_rings *t, bool final, bool advance);

void trace_rings_free(struct trace_rings *t);

#endif
