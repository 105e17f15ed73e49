/*
 * clock.c - the frequency of the time stamp counter.
 */
#include "cmd/quire/clock.h"

#include <time.h>
#include <x86intrin.h>

static uint64_t raw_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Of several readings the one that took least: nothing came between clock and counter. */
void clock_begin(struct clock_mark *from)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 8; i++) {
		uint64_t before = __rdtsc(), ns = raw_ns(), after = __rdtsc();

		if (after - before >= best)
			continue;
		best = after - before;
		*from = (struct clock_mark){ns, before + best / 2};
	}
}

uint64_t clock_tsc_khz(const struct clock_mark *from)
{
	struct clock_mark to;

	do
		clock_begin(&to);
	while (to.ns - from->ns < CLOCK_SPAN_NS);
	return (uint64_t)((unsigned __int128)(to.tsc - from->tsc) * 1000000 / (to.ns - from->ns));
}
