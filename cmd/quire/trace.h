/*
 * trace.h - --trace DIR: a thread that writes the guest's events to DIR/trace.txt while it runs.
 *
 * A deterministic run is not drained before its end: whether a ring is full would depend on the speed of this
 * thread, and with it the trace. Its rings are larger instead, and keep the oldest events.
 */
#ifndef QUIRE_CMD_TRACE_H
#define QUIRE_CMD_TRACE_H

#include "cmd/quire/guest.h"

struct tracer;

/* Makes DIR (its parent must exist) and the file; ends the command when it cannot. */
struct tracer *tracer_open(const char *dir);

/* Start draining. Signals that the caller blocks stay blocked in the thread. g outlives the tracer. */
void tracer_start(struct tracer *t, const struct guest *g, bool live);

/* QEMU has ended: write the rest, close the file, say what was lost. False when the file could not be written. */
bool tracer_finish(struct tracer *t);

#endif
