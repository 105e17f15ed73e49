/*
 * batch.c - one flush for entries that were taken away in many spaces (Linux's tlbflush_unmap_batch).
 *
 * Who takes pages from programs by reverse mapping meets each time another space, at another address. To flush each entry costs
 * an interrupt on every CPU that the program runs on; so the entries of a batch of pages go first, the batch notes in which
 * spaces, and all CPUs concerned are asked once.
 *
 *     ptl:  note the space;  entry ----> migration entry        page after page
 *     ptl:  ...
 *     flush: every CPU, once, whatever it has of the spaces
 *     only now: copy, write, free
 *
 * Until the flush a program may still read and write through what a CPU remembers. That is allowed as long as nobody has been
 * told that the entry is gone. Who finds it gone under ptl, and is going to say so (munmap, mprotect), sees that the mm has a
 * gather at work, and flushes everything himself (gather.c); for that a batch counts as one in each of its spaces, from before the
 * change of the first entry to after the flush. fork flushes the parent's space in any case, mremap what it moves.
 *
 * The spaces may be at their end, and gone before the flush: the batch holds the mm, not its users.
 */
#include "mm/pt/batch.h"

static void range_begin(struct mmu_range *range, struct mm_struct *mm, vaddr_t addr)
{
	mmgrab(mm); /* an area of it is in the tree that the caller walks, so it has users, or just had */
	atomic_fetch_add(&mm->gathers, 1);
	*range = (struct mmu_range){&mm->space, addr, addr + PAGE_SIZE};
}

bool tlb_batch_add(struct tlb_batch *batch, struct mm_struct *mm, vaddr_t addr)
{
	for (unsigned i = 0; i < batch->nr; i++) {
		struct mmu_range *range = &batch->range[i];

		if (range->space != &mm->space)
			continue;
		range->start = MIN(range->start, addr);
		range->end = MAX(range->end, addr + PAGE_SIZE);
		return true;
	}
	if (batch->nr == MMU_RANGES_MAX)
		return false;
	range_begin(&batch->range[batch->nr++], mm, addr);
	return true;
}

void tlb_batch_flush(struct tlb_batch *batch)
{
	if (!batch->nr)
		return;
	mmu_flush_ranges(batch->range, batch->nr);
	for (unsigned i = 0; i < batch->nr; i++) {
		struct mm_struct *mm = container_of(batch->range[i].space, struct mm_struct, space);

		atomic_fetch_sub(&mm->gathers, 1);
		mmdrop(mm);
	}
	batch->nr = 0;
}
