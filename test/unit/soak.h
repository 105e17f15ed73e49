/*
 * soak.h - memory of all kinds and sizes, from all contexts at once, for a while (test/unit/soak.c).
 *
 * The same in the kernel (test/unit/kernel/soak_test.c: threads, calls between CPUs, timers) and hosted
 * (test/unit/host/soak_test.c).
 */
#ifndef TEST_SOAK_H
#define TEST_SOAK_H

#include "test/unit/unit.h"

struct soak_report {
	uint64_t made, freed, refused; /* allocations that worked, and that found no memory */
	const char *broken;            /* the first contents that were not as left, or NULL */
};

void soak_begin(uint64_t seed);

/* One allocation or one free; in_interrupt() says with which rights. Any context. */
void soak_step(void);

/* Give everything back; nobody steps any more. */
void soak_end(struct soak_report *threads, struct soak_report *interrupts);

#endif
