/*
 * trace.h - counters and events: one decision, one function, one event.
 *
 * Declared once in mm/trace/events.def. count(ID) adds one to this CPU's count;
 * trace_<name>(args...) writes a record into this CPU's ring (header.h) when
 * tracing is on, and costs one load and one branch when it is off. Any context.
 */
#ifndef QUIRE_TRACE_H
#define QUIRE_TRACE_H

#include <quire/port.h>
#include <quire/machine.h>

#define count(id)      count_add(COUNT_##id, 1)
#define count_n(id, n) count_add(COUNT_##id, (n))

/* Sum over CPUs. A reader may see counts of the same instant on no two CPUs. */
uint64_t counter_read(enum counter id);

/* The name in /proc/vmstat. */
const char *counter_name(enum counter id);

/* Append a record to this CPU's ring; counts it as lost when the ring is full. */
void trace_emit(enum trace_event event, unsigned nargs, const uint64_t *args);

/* Rings in [base, base + size), shared out among the machine's CPUs; before the second CPU runs. */
void trace_init(phys_t base, uint64_t size);

static inline bool trace_enabled(void)
{
	return unlikely(machine()->trace_on);
}

#define TRACE_EMIT(name, ...)                                            \
	do {                                                             \
		if (trace_enabled()) {                                   \
			const uint64_t args_[] = {__VA_ARGS__};          \
			trace_emit(EV_##name, ARRAY_SIZE(args_), args_); \
		}                                                        \
	} while (0)

#define EVENT0(s, n, f)                              \
	static inline void trace_##n(void)           \
	{                                            \
		if (trace_enabled())                 \
			trace_emit(EV_##n, 0, NULL); \
	}
#define EVENT1(s, n, a, f)                       \
	static inline void trace_##n(uint64_t a) \
	{                                        \
		TRACE_EMIT(n, a);                \
	}
#define EVENT2(s, n, a, b, f)                                \
	static inline void trace_##n(uint64_t a, uint64_t b) \
	{                                                    \
		TRACE_EMIT(n, a, b);                         \
	}
#define EVENT3(s, n, a, b, c, f)                                         \
	static inline void trace_##n(uint64_t a, uint64_t b, uint64_t c) \
	{                                                                \
		TRACE_EMIT(n, a, b, c);                                  \
	}
#define EVENT4(s, n, a, b, c, d, f)                                                  \
	static inline void trace_##n(uint64_t a, uint64_t b, uint64_t c, uint64_t d) \
	{                                                                            \
		TRACE_EMIT(n, a, b, c, d);                                           \
	}
#define EVENT5(s, n, a, b, c, d, e, f)                                                           \
	static inline void trace_##n(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) \
	{                                                                                        \
		TRACE_EMIT(n, a, b, c, d, e);                                                    \
	}
#define EVENT6(s, n, a, b, c, d, e, g, f)                                                        \
	static inline void trace_##n(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, \
	                             uint64_t g)                                                 \
	{                                                                                        \
		TRACE_EMIT(n, a, b, c, d, e, g);                                                 \
	}
#define EVENT7(s, n, a, b, c, d, e, g, h, f)                                                     \
	static inline void trace_##n(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, \
	                             uint64_t g, uint64_t h)                                     \
	{                                                                                        \
		TRACE_EMIT(n, a, b, c, d, e, g, h);                                              \
	}
#include "mm/trace/events.def"

#endif
