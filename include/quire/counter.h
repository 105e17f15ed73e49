/*
 * counter.h - the counters and the events as enumerations, from mm/trace/events.def.
 */
#ifndef QUIRE_COUNTER_H
#define QUIRE_COUNTER_H

enum counter {
#define COUNTER(id, name, what) COUNT_##id,
#include "mm/trace/events.def"
	NR_COUNTERS
};

enum trace_event {
#define EVENT(subsystem, name, nargs, format) EV_##name,
#include "mm/trace/events.def"
	NR_EVENTS
};

#endif
