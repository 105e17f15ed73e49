/*
 * model.h - random work on kernel objects beside a naive model of it: a table of what is in use.
 *
 * A list of operations is data, made from a seed, so that one that fails can be run again in part: see
 * test/unit/host/slab_allocators_test.c, which shrinks it.
 */
#ifndef TEST_UNIT_SLAB_MODEL_H
#define TEST_UNIT_SLAB_MODEL_H

#include "lib/random.h"
#include <quire/slab.h>

struct slab_op {
	uint8_t what;
	uint8_t cache;
	uint16_t slot;
	uint32_t size;
};

void slab_model_make(struct slab_op *ops, unsigned n, struct random *r);

/* Runs them and frees what is left. NULL, or what is wrong; *at: the operation that found it. */
const char *slab_model_run(const struct slab_op *ops, unsigned n, unsigned *at);

void slab_model_print(const struct slab_op *ops, unsigned n);

#endif
