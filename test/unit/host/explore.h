/*
 * explore.h - one scenario under many schedules.
 *
 * A scenario is what up to four CPUs do on a small deterministic machine of their own. explore() runs it under one
 * schedule after the other; the first that breaks a check, an invariant of the manager, a rule of locking, or that
 * loses a frame fails the test and is named: `unit --schedule N FILTER` does the same run again and no other.
 */
#ifndef TEST_EXPLORE_H
#define TEST_EXPLORE_H

#include "host/host.h"
#include "test/unit/unit.h"

#define EXPLORE_CPUS 4u

struct scenario {
	void (*begin)(void);                   /* alone, before; NULL: nothing */
	void (*cpu[EXPLORE_CPUS])(unsigned i); /* together; i: which CPU. NULL: a CPU that idles */
	void (*end)(void);                     /* alone, after: gives back what there is */
	void (*interrupt)(void); /* on any CPU at any moment with interrupts on; NULL: none */
	const char *boot_words;  /* of the machine; NULL: none */
	enum host_mutant mutant;
	const char *mutant_lock;
};

/* The next number of a CPU's own sequence below n: by the schedule's number. */
unsigned explore_random(unsigned cpu, unsigned n);

/* If set: counts the schedules that explore() has begun. */
extern unsigned *explore_tried;

void explore(const struct scenario *scenario, unsigned schedules);

/* Frames of the machine that are free, when nobody keeps any for later. */
uint64_t explore_free_frames(void);

extern const struct scenario scenario_frames, scenario_shared_blocks, scenario_drain,
        scenario_last_frames, scenario_blocks, scenario_lists, scenario_objects, scenario_arrays,
        scenario_slab, scenario_slob, scenario_shrink, scenario_interrupts, scenario_addresses,
        scenario_faults, scenario_space, scenario_fork, scenario_exit, scenario_tlb, scenario_file,
        scenario_split, scenario_merge, scenario_merge_file, scenario_move_protect,
        scenario_move_discard, scenario_move_fork, scenario_move_exit, scenario_move_remap,
        scenario_move_file, scenario_move_cut, scenario_page_lock, scenario_mutex, scenario_rwsem,
        scenario_waiting;

#endif
