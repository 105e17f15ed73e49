/*
 * counter.c - the counters of all CPUs, by name.
 */
#include <quire/trace.h>

#define EVENT0(s, n, f)
#define EVENT1(s, n, a, f)
#define EVENT2(s, n, a, b, f)
#define EVENT3(s, n, a, b, c, f)
#define EVENT4(s, n, a, b, c, d, f)
#define EVENT5(s, n, a, b, c, d, e, f)
#define EVENT6(s, n, a, b, c, d, e, g, f)
#define EVENT7(s, n, a, b, c, d, e, g, h, f)
#define COUNTER(id, name, what) [COUNT_##id] = name,
static const char *const counter_names[NR_COUNTERS] = {
#include "mm/trace/events.def"
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

const char *counter_name(enum counter id)
{
	return (unsigned)id < NR_COUNTERS ? counter_names[id] : NULL;
}

uint64_t counter_read(enum counter id)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		if (machine()->cpu[i])
			sum += __atomic_load_n(&machine()->cpu[i]->counters[id], __ATOMIC_RELAXED);
	return sum;
}
