/*
 * counter.c - the counters of all CPUs, by name.
 */
#include <quire/trace.h>

static const char *const counter_names[NR_COUNTERS] = {
#define COUNTER(id, name, what) [COUNT_##id] = name,
#include "mm/trace/events.def"
};

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
