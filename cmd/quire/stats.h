/*
 * stats.h - the summary of a run's memory, for people and for programs.
 */
#ifndef QUIRE_CMD_STATS_H
#define QUIRE_CMD_STATS_H

#include "cmd/quire/guest.h"

/*
 * Text: several aligned lines. JSON: one object on one line, keys as in header.h; counters are
 * summed over CPUs in "counters" and given CPU by CPU in "per_cpu". status: what the command will exit with.
 */
void stats_text(const struct guest *g, struct buf *out);
void stats_json(const struct guest *g, int status, struct buf *out);

#endif
