/*
 * protect.c - present entries follow their area's new permissions.
 *
 * Each entry is changed by compare and exchange, for hardware may set young or dirty in it. Where the area allows
 * writing, an entry may be made writable at once if a write fault would find nothing to do: a private page
 * with one owner, a shared page already dirty. That saves a fault for each page of a heap whose protection is
 * taken away and given back. One flush for the whole range, if anything changed, or if an entry that has gone may not have
 * been flushed by who took it.
 */
#include "mm/fault/fault.h"

static bool may_write_at_once(const struct vm_area_struct *vma, pte_t entry)
{
	struct page *page;

	if (!(vma->vm_flags & VM_WRITE) || pte_special(entry))
		return false;
	page = pfn_to_page(pte_pfn(entry));
	if (vma->vm_flags & VM_SHARED)
		return pte_dirty(entry);
	return page_has_one_owner(page);
}

/* True: the entry is another now. ptl held. */
static bool protect_entry(const struct vm_area_struct *vma, pte_t *pte)
{
	pte_t old = pte_read(pte), new_entry;

	do {
		if (!pte_present(old))
			return false;
		new_entry = pte_modify(old, vma->vm_page_prot);
		if (may_write_at_once(vma, old))
			new_entry = pte_mkwrite(new_entry);
		if (pte_same(old, new_entry))
			return false;
	} while (!pte_cmpxchg(pte, &old, new_entry));
	return true;
}

void change_protection(struct vm_area_struct *vma, vaddr_t start, vaddr_t end)
{
	struct mmu_space *space = &vma->vm_mm->space;
	vaddr_t next, low = end, high = start;
	pte_t *pte;

	for (; (pte = pt_next_leaf(space, &start, end)); start = next) {
		next = pt_leaf_end(start, end);
		if (pt_is_empty(pte))
			continue;
		pt_lock(pte);
		for (vaddr_t va = start; va != next; va += PAGE_SIZE, pte++) {
			if (pte_none(pte_read(pte))) {
				const size_t gap = pt_gap(pte, va, next);

				va += gap * PAGE_SIZE;
				pte += gap;
				continue;
			}
			if (!protect_entry(vma, pte))
				continue;
			mmu_update(space, va, pte_read(pte));
			low = MIN(low, va);
			high = va + PAGE_SIZE;
		}
		pt_unlock(pte - 1);
	}
	if (unlikely(mm_tlb_flush_pending(vma->vm_mm)))
		mmu_flush_space(space);
	else if (low < high)
		mmu_flush_range(space, low, high);
}
