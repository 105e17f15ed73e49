/*
 * zap.c - entries become none, and what they held is let go.
 *
 * The loop of munmap, exit, truncation and MADV_DONTNEED; the aim is 50 instructions a page, freeing
 * included. So counts are summed for a table at a time, pages leave in batches (mmu_gather), and the table's
 * lock is taken once for up to 512 entries.
 *
 * The exchange catches the dirty bit that hardware may set until the last moment. A dirty page of a file must be
 * marked before its frame is let go, and no CPU may go on writing to it through its TLB once the mark
 * can be seen (write-back would clear the mark, miss the write, and the write would be lost): the flush for such
 * pages comes before the table's lock is dropped.
 */
#include <quire/migrate.h>
#include "mm/fault/fault.h"
#include "mm/rmap/rmap.h"

/* What has been taken from one table. */
struct zap_sums {
	int64_t rss[NR_MM_COUNTERS];
	int32_t entries;
	int64_t anon_freed;
	bool dirty;
};

/* A present entry has been cleared. */
static inline void zap_file_page(struct vm_area_struct *vma, struct page *page, pte_t entry,
                                 struct zap_sums *sums)
{
	if (pte_dirty(entry) && (vma->vm_flags & VM_SHARED)) {
		set_page_dirty(page);
		sums->dirty = true;
	}
	if (pte_young(entry) && !(vma->vm_flags & VM_SEQ_READ))
		mark_page_accessed(page);
	sums->rss[mm_counter(page)]--;
	(void)!page_unmap_one(page);
}

static inline void zap_entry(struct mmu_gather *tlb, struct vm_area_struct *vma, pte_t *pte,
                             vaddr_t addr, struct zap_sums *sums)
{
	pte_t entry = pte_exchange(pte, (pte_t){0});
	struct page *page;

	sums->entries++;
	if (unlikely(!pte_present(entry))) {
		if (is_migration_entry(entry)) /* counted all the while, and mapped by nobody */
			sums->rss[mm_counter(migration_entry_page(entry))]--;
		return;
	}
	tlb_gather_range(tlb, addr, addr + PAGE_SIZE);
	if (pte_special(entry))
		return;
	page = pfn_to_page(pte_pfn(entry));
	if (likely(PageAnon(page))) {
		sums->rss[MM_ANONPAGES]--;
		sums->anon_freed += page_unmap_one(page);
	} else {
		zap_file_page(vma, page, entry, sums);
	}
	tlb_remove_page(tlb, page);
}

static bool keeps_private_copy(pte_t entry)
{
	if (is_migration_entry(entry))
		return PageAnon(migration_entry_page(entry));
	return pte_present(entry) && (pte_special(entry) || PageAnon(pfn_to_page(pte_pfn(entry))));
}

/* The most that was resident at once (VmHWM, ru_maxrss) is known when it gets less. */
static void note_hiwater_rss(struct mm_struct *mm)
{
	const uint64_t rss = mm_rss(mm);

	if (rss > atomic_load_explicit(&mm->hiwater_rss, memory_order_relaxed))
		atomic_store_explicit(&mm->hiwater_rss, rss, memory_order_relaxed);
}

static void zap_account(struct mm_struct *mm, const struct zap_sums *sums)
{
	note_hiwater_rss(mm);
	for (unsigned i = 0; i < NR_MM_COUNTERS; i++)
		if (sums->rss[i])
			add_mm_counter(mm, (enum rss_counter)i, sums->rss[i]);
	if (sums->anon_freed)
		frame_account(FRAME_ANON, -sums->anon_freed);
}

static void zap_table(struct mmu_gather *tlb, struct vm_area_struct *vma, pte_t *pte, vaddr_t addr,
                      vaddr_t end, bool only_file)
{
	struct zap_sums sums = {.entries = 0};
	pte_t *const first = pte;
	int32_t live;

	pt_lock(first);
	live = atomic_load_explicit(&pt_page(first)->pt_entries, memory_order_relaxed);
	for (; addr != end; addr += PAGE_SIZE, pte++) {
		pte_t entry = pte_read(pte);

		if (pte_none(entry)) {
			const size_t gap = pt_gap(pte, addr, end);

			addr += gap * PAGE_SIZE;
			pte += gap;
			continue;
		}
		if (unlikely(only_file) && keeps_private_copy(entry))
			continue;
		zap_entry(tlb, vma, pte, addr, &sums);
		if (sums.entries == live)
			break;
	}
	if (sums.entries) {
		pt_count(first, -sums.entries);
		zap_account(vma->vm_mm, &sums);
		if (sums.dirty)
			tlb_flush_mmu_tlbonly(tlb);
	}
	pt_unlock(first);
}

void zap_range(struct mmu_gather *tlb, struct vm_area_struct *vma, vaddr_t start, vaddr_t end,
               bool only_file)
{
	vaddr_t next;
	pte_t *pte;

	for (; (pte = pt_next_leaf(&tlb->mm->space, &start, end)); start = next) {
		next = pt_leaf_end(start, end);
		if (!pt_is_empty(pte))
			zap_table(tlb, vma, pte, start, next, only_file);
	}
}

void zap_page_range(struct vm_area_struct *vma, vaddr_t start, vaddr_t end)
{
	struct mmu_gather tlb;

	tlb_gather_mmu(&tlb, vma->vm_mm);
	zap_range(&tlb, vma, start, end, false);
	tlb_finish_mmu(&tlb);
}
