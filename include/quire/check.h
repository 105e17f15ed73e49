/*
 * check.h - invariants of the whole manager, and allocations that fail on purpose (mm/check).
 *
 * "Careful" closes every inline allocation path of every CPU, so that a check in the slow path sees each
 * frame and object, and costs nothing when it is off. All of this is switched on a machine that is quiet: no
 * other CPU is inside mm/.
 */
#ifndef QUIRE_CHECK_H
#define QUIRE_CHECK_H

#include <quire/machine.h>

/*
 * From now on n allocations (frames or objects) succeed and every later one fails, those with __GFP_NOFAIL
 * excepted; n < 0: all succeed again. Returns how many were made to fail since the last call.
 */
uint64_t fault_inject(int64_t n);

/* The same for one allocation: n succeed, the next one fails, and all after it succeed. */
uint64_t fault_inject_once(int64_t n);

/* How many allocations will succeed before one fails; -1: none is to fail (any more). */
int64_t fault_inject_left(void);

/* Is this allocation to fail? Counts it. Called by the allocators while the machine is careful. */
bool should_fail_alloc(gfp_t gfp);

/* Fill freed frames with POISON_FREE bytes, and complain when one is given out that has others. Sleeps. */
#define POISON_FREE 0x6b
void check_poison(bool on);
void poison_free_memory(void); /* mm/frame/debug.c: frames on no per-CPU list */

/* Every module that has global structures; the first broken invariant, or NULL. */
const char *mm_check(void);

#endif
