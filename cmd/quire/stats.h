/*
 * stats.h - the summary of a run's memory, for people and for programs.
 */
#ifndef QUIRE_CMD_STATS_H
#define QUIRE_CMD_STATS_H

#include "cmd/quire/guest.h"

/* The counters' names, in the order of events.def. */
#define NR_STAT_COUNTERS stats_nr_counters
extern const unsigned stats_nr_counters;
const char *stats_counter_name(unsigned i);

/* Are all frames in one of the accounts, and has every program's memory come back? */
bool stats_accounted(const struct quire_frames *f);

/*
 * Text: several aligned lines. JSON: one object on one line, keys as in header.h; counters are
 * summed over CPUs in "counters" and given CPU by CPU in "per_cpu". status: what the command will exit with.
 */
void stats_text(const struct guest *g, struct buf *out);
void stats_json(const struct guest *g, int status, struct buf *out);

#endif
