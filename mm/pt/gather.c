/*
 * gather.c - freeing pages only after no TLB can reach them.
 *
 * The rule (lecture 001, TLB shootdown): clear entries, flush on all CPUs, free. Doing the three
 * for each page costs an interrupt on every CPU for each page; so the cleared entries' pages are collected and
 * one flush serves them all. A small unmap fits the array on the stack; a large one takes frames for more
 * pointers, and when there are none it just flushes more often: nothing here can fail.
 *
 *     mmu_gather: local[32] -full-> batch[0] (512) -full-> batch[1] ... batch[7] -full-> flush, free, again
 *
 * Invariant: whatever is in a batch is unreachable through the tables and covered by [start, end).
 *
 * Two at once. Under mmap_lock held for reading, or without it for truncation, several threads clear entries of one space. Who finds
 * an entry none that another has cleared, and not yet flushed, must not say that it is gone: his program could still
 * write to the old page. So gathers are counted, from before their first look at an entry to after their last flush; who ends and
 * is not alone flushes everything.
 */
#include "mm/pt/pt.h"

static void gather_reset(struct mmu_gather *tlb)
{
	tlb->start = UINT64_MAX;
	tlb->end = 0;
}

void tlb_gather_mmu(struct mmu_gather *tlb, struct mm_struct *mm)
{
	tlb->mm = mm;
	tlb->pages = tlb->local;
	tlb->nr = 0;
	tlb->max = GATHER_LOCAL;
	tlb->nr_batches = 0;
	tlb->tables = PFN_NONE_N;
	gather_reset(tlb);
	atomic_fetch_add(&mm->gathers, 1);
}

void tlb_flush_mmu_tlbonly(struct mmu_gather *tlb)
{
	if (tlb->end <= tlb->start)
		return;
	mmu_flush_range(&tlb->mm->space, tlb->start, tlb->end);
	gather_reset(tlb);
}

static void gather_free_pages(struct mmu_gather *tlb)
{
	unsigned full = tlb->nr_batches;

	if (!full) {
		release_pages(tlb->local, tlb->nr);
		tlb->nr = 0;
		return;
	}
	release_pages(tlb->local, GATHER_LOCAL);
	for (unsigned i = 0; i < full; i++) {
		release_pages(tlb->batch[i], i + 1 < full ? GATHER_PER_BATCH : tlb->nr);
		free_page(tlb->batch[i]);
	}
	tlb->pages = tlb->local;
	tlb->max = GATHER_LOCAL;
	tlb->nr = 0;
	tlb->nr_batches = 0;
}

void tlb_flush_mmu(struct mmu_gather *tlb)
{
	tlb_flush_mmu_tlbonly(tlb);
	if (tlb->nr || tlb->nr_batches)
		gather_free_pages(tlb);
	if (tlb->tables != PFN_NONE_N)
		pt_retire_tables(tlb->mm, tlb->tables);
	tlb->tables = PFN_NONE_N;
}

void tlb_finish_mmu(struct mmu_gather *tlb)
{
	if (unlikely(atomic_load(&tlb->mm->gathers) > 1))
		tlb_gather_range(tlb, 0, tlb->mm->task_size);
	tlb_flush_mmu(tlb);
	atomic_fetch_sub(&tlb->mm->gathers, 1);
}

void tlb_next_batch(struct mmu_gather *tlb)
{
	struct page **batch = NULL;

	if (tlb->nr_batches < GATHER_BATCHES)
		batch = __get_free_pages(GFP_NOWAIT | __GFP_NOWARN | __GFP_NOMEMALLOC, 0);
	if (!batch) {
		tlb_flush_mmu(tlb);
		return;
	}
	tlb->batch[tlb->nr_batches++] = batch;
	tlb->pages = batch;
	tlb->max = GATHER_PER_BATCH;
	tlb->nr = 0;
}

void tlb_remove_table(struct mmu_gather *tlb, struct page *table)
{
	table->lru.next = tlb->tables;
	tlb->tables = page_to_pfn(table).n;
	atomic_store_explicit(&tlb->mm->leaf_guess, 0, memory_order_relaxed);
}
