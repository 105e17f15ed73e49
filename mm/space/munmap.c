/*
 * munmap.c - areas and everything below them go.
 *
 * In this order, which is the whole point:
 *
 *   1. areas that lie across an end are split; the areas leave tree and list        nobody new finds them
 *   2. zap: entries become none, pages collect in the gather, still unfreed         hardware may still reach them
 *   3. the areas leave anon_vmas and i_mmap                                         rmap walks no longer come
 *   4. page tables with nothing else in reach are unlinked                          (pt.h, invariant 2)
 *   5. flush once, free pages and tables                                            now nobody reaches them
 *   6. the areas are freed
 *
 * 2 before 3: a page that is mapped keeps finding its anon_vma (mm/rmap/anon_vma.c). mmap_lock is held for writing throughout.
 */
#include <quire/errno.h>
#include "mm/space/space.h"

/*
 * Above the last area tables may be freed up to where the next entry of the root begins: the user half need not end
 * on the border of a table, and no one else's addresses share its last one.
 */
static vaddr_t top_ceiling(const struct mm_struct *mm)
{
	return ALIGN_UP(mm->task_size, (vaddr_t)1 << mmu_shift(mmu_levels()));
}

/*
 * Step 4 for a list of areas. Between two areas there are no tables, so only theirs are looked at; a table that several
 * reach into goes with the last, since ceiling is the next one's start and floor stays.
 */
static void free_tables(struct mmu_gather *tlb, struct vm_area_struct *vma, vaddr_t floor,
                        vaddr_t ceiling)
{
	struct vm_area_struct *last, *next;

	for (; vma; vma = next) {
		for (last = vma; (next = last->vm_next); last = next)
			if (next->vm_start - last->vm_end >= pt_leaf_span())
				break;
		free_pgtables(tlb, vma->vm_start, last->vm_end, floor,
		              next ? next->vm_start : ceiling);
	}
}

/* Steps 2 to 5 for a list of areas by vm_next, that lay in [floor, ceiling), the hole between their neighbours. */
static void unmap_region(struct mm_struct *mm, struct vm_area_struct *list, vaddr_t floor,
                         vaddr_t ceiling)
{
	struct vm_area_struct *vma;
	struct mmu_gather tlb;

	tlb_gather_mmu(&tlb, mm);
	for (vma = list; vma; vma = vma->vm_next)
		zap_range(&tlb, vma, vma->vm_start, vma->vm_end, false);
	for (vma = list; vma; vma = vma->vm_next) {
		if (!list_empty(&vma->anon_vma_chain))
			unlink_anon_vmas(vma);
		vma_unlink_file(vma);
	}
	free_tables(&tlb, list, floor, ceiling);
	tlb_finish_mmu(&tlb);
}

static void free_areas(struct vm_area_struct *vma)
{
	while (vma) {
		struct vm_area_struct *next = vma->vm_next;

		vma_free(vma);
		vma = next;
	}
}

/* Step 1, second half: the areas from vma to end leave tree and list and become a list of their own. */
static void detach_areas(struct mm_struct *mm, struct vm_area_struct *vma, vaddr_t end)
{
	struct vm_area_struct *tail = NULL, *next;

	for (; vma && vma->vm_start < end; vma = next) {
		next = vma->vm_next;
		vma_erase(mm, vma);
		vm_stat_account(mm, vma->vm_flags, -(int64_t)vma_pages(vma));
		vma->vm_next = NULL;
		if (tail)
			tail->vm_next = vma;
		tail = vma;
	}
}

/*
 * An end of an area without pages of files or of fork goes: it just gets shorter. Splitting it to throw
 * one half away would cost more than the rest of the call.
 */
static bool trim_area(struct mm_struct *mm, struct vm_area_struct *vma, vaddr_t start, vaddr_t end)
{
	bool front = vma->vm_start >= start, back = vma->vm_end <= end;
	const vaddr_t from = MAX(start, vma->vm_start), to = MIN(end, vma->vm_end);
	struct mmu_gather tlb;
	vaddr_t floor, ceiling;

	if (front == back)
		return false;
	tlb_gather_mmu(&tlb, mm);
	zap_range(&tlb, vma, from, to, false);
	if (front)
		vma_resize(vma, end, vma->vm_end);
	else
		vma_resize(vma, vma->vm_start, start);
	vm_stat_account(mm, vma->vm_flags, -(int64_t)((to - from) >> PAGE_SHIFT));
	floor = front ? (vma->vm_prev ? vma->vm_prev->vm_end : 0) : vma->vm_end;
	ceiling = front ? vma->vm_start : (vma->vm_next ? vma->vm_next->vm_start : top_ceiling(mm));
	free_pgtables(&tlb, from, to, floor, ceiling);
	tlb_finish_mmu(&tlb);
	return true;
}

int do_vma_munmap(struct mm_struct *mm, vaddr_t start, uint64_t len)
{
	const vaddr_t end = start + len;
	struct vm_area_struct *prev, *next, *last;
	struct vm_area_struct *vma = find_vma_intersection(mm, start, end);

	if (!vma)
		return 0;
	if (vma->vm_end >= end || !vma->vm_next || vma->vm_next->vm_start >= end) {
		if (trim_area(mm, vma, start, end))
			return 0;
	}
	if (start > vma->vm_start) {
		if (split_vma(mm, vma, start))
			return -ENOMEM;
		vma = vma->vm_next;
	}
	for (last = vma; last->vm_next && last->vm_next->vm_start < end;)
		last = last->vm_next;
	if (end < last->vm_end && split_vma(mm, last, end))
		return -ENOMEM;
	prev = vma->vm_prev;
	detach_areas(mm, vma, end);
	next = prev ? prev->vm_next : mm->mmap;
	unmap_region(mm, vma, prev ? prev->vm_end : 0, next ? next->vm_start : top_ceiling(mm));
	free_areas(vma);
	return 0;
}

int do_munmap(struct mm_struct *mm, vaddr_t addr, uint64_t len)
{
	uint64_t pages = PAGE_ALIGN(len);
	int result = -EINVAL;

	if (!(addr & (PAGE_SIZE - 1)) && pages && addr <= mm->task_size &&
	    pages <= mm->task_size - addr) {
		result = down_write_killable(&mm->mmap_lock);
		if (!result) {
			result = do_vma_munmap(mm, addr, pages);
			up_write(&mm->mmap_lock);
		}
	}
	trace_do_munmap(addr, len, (uint64_t)(int64_t)result);
	return result;
}

/* The struct stays, empty. Nobody runs in it, so tree and list need not be kept right on the way. The list may be empty. */
void exit_mmap(struct mm_struct *mm)
{
	struct vm_area_struct *list = mm->mmap;

	trace_exit_mmap(mm->id);
	down_write(&mm->mmap_lock);
	mm->mmap = NULL;
	mm->mm_rb = RB_ROOT;
	mm->highest_vm_end = 0;
	mm->map_count = 0;
	mm->total_vm = mm->locked_vm = mm->data_vm = mm->exec_vm = mm->stack_vm = 0;
	atomic_store(&mm->vmacache, NULL);
	unmap_region(mm, list, 0, top_ceiling(mm));
	pt_free_spares(mm);
	up_write(&mm->mmap_lock);
	free_areas(list);
}
