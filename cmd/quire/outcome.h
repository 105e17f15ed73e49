/*
 * outcome.h - from how the machine ended to the command's exit status, and what to say about it.
 */
#ifndef QUIRE_CMD_OUTCOME_H
#define QUIRE_CMD_OUTCOME_H

#include "cmd/quire/relay.h"

/*
 * The exit status of the run (doc/boot-protocol.md). Says in one line why, when it is not the
 * program's own status; on a panic prints the whole log, unless it was shown as it came.
 */
int outcome_status(const struct options *o, const struct guest *g, const struct vm *vm,
                   const struct relay_result *r);

#endif
