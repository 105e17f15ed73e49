/*
 * pump.h - one direction of one stream: a buffer between two descriptors.
 *
 * Nothing is read while the buffer holds anything, so a slow reader stops the writer and
 * the buffer never grows. The host's descriptors may be shared with other processes and are never
 * made non-blocking: they are read and written only when poll says so, and pipes and
 * terminals by PIPE_BUF at most, which poll promises to fit.
 *
 * States: open -> source_ended (its end of file was seen) -> done (the buffer is empty, and
 * the sink was told), or -> done at once when the sink takes no more.
 */
#ifndef QUIRE_CMD_PUMP_H
#define QUIRE_CMD_PUMP_H

#include "cmd/quire/util.h"

#include <poll.h>

#define PUMP_SIZE (64 << 10)

struct pump {
	int from, to;
	bool from_file; /* from is a memory file that grows: it is read at offset, and never ends by itself */
	bool sink_socket, sink_regular;
	bool newline_fix; /* the sink is a raw terminal: \n becomes \r\n */
	bool source_ended, done;
	int error; /* why the sink takes no more: EPIPE or another errno; 0 */
	uint64_t offset;
	size_t start, end; /* the bytes of data not yet written */
	char *data;
};

void pump_init(struct pump *p, int from, int to);

/* What to wait for: fills in one pollfd (fd -1: nothing). */
void pump_poll(const struct pump *p, struct pollfd *f);

/* Move what can be moved without waiting. True if anything moved. f: as pump_poll made it, after poll. */
bool pump_move(struct pump *p, const struct pollfd *f);

/* A memory file: what is left in it. */
uint64_t pump_backlog(const struct pump *p);

#endif
