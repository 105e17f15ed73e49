/*
 * property.h - random sequences of operations against a model, and the shortest sequence that fails.
 *
 *     static const char *run(const struct op *op, size_t n)   from nothing, and back to nothing; NULL or what broke
 *     property_check(&(struct property){run, names, ...}, 300, 20)   20 sequences of 300 operations
 *
 * When a sequence fails, parts of it are left out, halves first and single operations last, as long as it still
 * fails (delta debugging: Zeller and Hildebrandt 2002); then numbers are made small. What is left is printed. run()
 * must therefore make sense of any sequence: an operation that does not apply is nothing.
 */
#ifndef TEST_PROPERTY_H
#define TEST_PROPERTY_H

#include "test/unit/unit.h"

struct op {
	uint32_t kind; /* below the number of names */
	uint32_t slot, arg;
};

#define PROPERTY_MAX 1024u /* operations in a sequence */

struct property {
	const char *(*run)(const struct op *op, size_t n);
	const char *const *names; /* of the kinds */
	unsigned kinds, slots, args;
};

/* Shrinks op in place to a sequence that still fails; returns its length. */
size_t property_shrink(const struct property *p, struct op *op, size_t n);

void property_check(const struct property *p, size_t length, uint64_t sequences);

#endif
