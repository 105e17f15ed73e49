/*
 * counter.h - the counters and the events as enumerations, from mm/trace/events.def.
 */
#ifndef QUIRE_COUNTER_H
#define QUIRE_COUNTER_H

#define EVENT0(s, n, f)
#define EVENT1(s, n, a, f)
#define EVENT2(s, n, a, b, f)
#define EVENT3(s, n, a, b, c, f)
#define EVENT4(s, n, a, b, c, d, f)
#define EVENT5(s, n, a, b, c, d, e, f)
#define EVENT6(s, n, a, b, c, d, e, g, f)
#define EVENT7(s, n, a, b, c, d, e, g, h, f)
#define COUNTER(id, name, what) COUNT_##id,
enum counter {
#include "mm/trace/events.def"
	NR_COUNTERS
};
#undef COUNTER
#undef EVENT0
#undef EVENT1
#undef EVENT2
#undef EVENT3
#undef EVENT4
#undef EVENT5
#undef EVENT6
#undef EVENT7

#define COUNTER(id, name, what)
#define EVENT0(s, n, f)                      EV_##n,
#define EVENT1(s, n, a, f)                   EV_##n,
#define EVENT2(s, n, a, b, f)                EV_##n,
#define EVENT3(s, n, a, b, c, f)             EV_##n,
#define EVENT4(s, n, a, b, c, d, f)          EV_##n,
#define EVENT5(s, n, a, b, c, d, e, f)       EV_##n,
#define EVENT6(s, n, a, b, c, d, e, g, f)    EV_##n,
#define EVENT7(s, n, a, b, c, d, e, g, h, f) EV_##n,
enum trace_event {
#include "mm/trace/events.def"
	NR_EVENTS
};
#undef COUNTER
#undef EVENT0
#undef EVENT1
#undef EVENT2
#undef EVENT3
#undef EVENT4
#undef EVENT5
#undef EVENT6
#undef EVENT7

#endif
