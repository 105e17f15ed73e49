/*
 * batch.h - entries are taken away in many spaces, and one flush serves them all (batch.c).
 */
#ifndef MM_PT_BATCH_H
#define MM_PT_BATCH_H

#include "mm/pt/pt.h"

/* On the stack of one thread; all zero: empty. */
struct tlb_batch {
	unsigned nr;
	struct mmu_range range[MMU_RANGES_MAX]; /* of spaces whose mm is held */
};

/*
 * The entry of addr in mm is about to be taken away: the flush of the batch will cover it. False: there is no room for another
 * space; then the caller flushes after he has changed the entry, before he drops ptl. ptl is held.
 */
MUST_USE bool tlb_batch_add(struct tlb_batch *batch, struct mm_struct *mm, vaddr_t addr);

/* No CPU has any of the translations any more; the batch is empty. May free the last of an mm. Under no spin lock. */
void tlb_batch_flush(struct tlb_batch *batch);

#endif
