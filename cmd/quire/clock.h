/*
 * clock.h - the frequency of the host's time stamp counter, which under emulation and
 * under KVM is the guest's too.
 *
 * It is measured against CLOCK_MONOTONIC_RAW from clock_begin to clock_tsc_khz; what lies between
 * is work that has to be done anyway. The error of one reading is some 30 ns, so over
 * CLOCK_SPAN_NS it is below 0.01 %.
 */
#ifndef QUIRE_CMD_CLOCK_H
#define QUIRE_CMD_CLOCK_H

#include <stdint.h>

#define CLOCK_SPAN_NS 1000000

struct clock_mark {
	uint64_t ns, tsc;
};

void clock_begin(struct clock_mark *from);

/* Kilohertz; waits until CLOCK_SPAN_NS have passed since from. */
uint64_t clock_tsc_khz(const struct clock_mark *from);

#endif
