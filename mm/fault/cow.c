/*
 * cow.c - a write to a page that is mapped read-only (mechanism 5.7).
 *
 * Private. An anonymous page that only this entry maps and nobody else refers to is simply made writable: what fork
 * shared has come back to one owner. The count of references is exact here (the LRU holds none), and it cannot
 * grow behind our back: a new mapping comes from this entry, under this table's lock, and so does a
 * new reference by address. Otherwise the page is copied: the old one gets a reference to stand still, the
 * lock is dropped for the allocation and the copy, and the entry must be unchanged afterwards.
 *
 * Replacing a frame needs a flush between the old and the new entry, or one thread could still read the old
 * page after another wrote the new one. In between, the entry is none; whoever meets it waits for the lock.
 *
 * Shared. The file system must know which pages are dirty before it happens: the page is marked under its lock, then
 * the entry becomes writable. From then on the hardware's dirty bit adds nothing until write-back
 * makes the entry read-only again (mm/cache/writeback.c).
 */
#include "mm/fault/fault.h"
#include "mm/rmap/rmap.h"

/* Make the entry writable, whatever the hardware sets meanwhile. ptl held; the frame stays. */
static void make_writable(struct vm_fault *vmf)
{
	pte_t old = pte_read(vmf->pte);

	while (!pte_cmpxchg(vmf->pte, &old, pte_mkwrite(pte_mkdirty(pte_mkyoung(old)))))
		;
	mmu_update(&vmf->vma->vm_mm->space, vmf->addr, pte_read(vmf->pte));
	mmu_flush_local_page(&vmf->vma->vm_mm->space, vmf->addr);
	vmf->pfn = pte_pfn(old).n;
}

/* Still the frame that the fault saw, still read-only. ptl held. */
static inline bool wp_unchanged(const struct vm_fault *vmf)
{
	pte_t now = pte_read(vmf->pte);

	return pte_present(now) && !pte_write(now) && pte_pfn(now).n == pte_pfn(vmf->entry).n;
}

/* ptl held, entry unchanged: the copy takes the old page's place. */
static void replace_by_copy(struct vm_fault *vmf, struct page *old, struct page *copy)
{
	struct vm_area_struct *vma = vmf->vma;
	struct mm_struct *mm = vma->vm_mm;

	pte_exchange(vmf->pte, (pte_t){0});
	mmu_flush_range(&mm->space, vmf->addr, vmf->addr + PAGE_SIZE);
	if (!old) {
		add_mm_counter(mm, MM_ANONPAGES, 1);
	} else if (!PageAnon(old)) {
		add_mm_counter(mm, mm_counter(old), -1);
		add_mm_counter(mm, MM_ANONPAGES, 1);
	}
	if (old)
		page_remove_rmap(old);
	page_add_new_anon_rmap(copy, vma, vmf->addr);
	lru_cache_add(copy);
	pte_set(vmf->pte, pte_of_written(vma, copy));
	mmu_update(&mm->space, vmf->addr, pte_read(vmf->pte));
}

/* old: NULL for the zero page; else with the caller's reference, which is used up. No lock held. */
static enum fault_result wp_copy(struct vm_fault *vmf, struct page *old)
{
	enum fault_result result = FAULT_NOMEM;
	struct page *copy = NULL;

	if (unlikely(anon_vma_prepare(vmf->vma)))
		goto out;
	copy = alloc_user_page(vmf->vma, vmf->addr, !old);
	if (unlikely(!copy))
		goto out;
	result = FAULT_DONE;
	if (old)
		copy_highpage(copy, old);
	pt_lock(vmf->pte);
	if (likely(wp_unchanged(vmf))) {
		replace_by_copy(vmf, old, copy);
		vmf->kind = FAULT_KIND_COW;
		vmf->pfn = page_to_pfn(copy).n;
		trace_cow(vmf->addr, pte_pfn(vmf->entry).n, vmf->pfn);
		copy = NULL;
		if (old) /* the entry's reference */
			put_page(old);
	}
	pt_unlock(vmf->pte);
out:
	if (copy)
		put_page(copy);
	if (old)
		put_page(old);
	return result;
}

static enum fault_result wp_private(struct vm_fault *vmf)
{
	struct page *page = NULL;

	pt_lock(vmf->pte);
	if (unlikely(!wp_unchanged(vmf)))
		goto done;
	if (!pte_special(vmf->entry)) {
		page = pfn_to_page(pte_pfn(vmf->entry));
		if (page_has_one_owner(page)) {
			make_writable(vmf);
			vmf->kind = FAULT_KIND_REUSE;
			goto done;
		}
		get_page(page);
	}
	pt_unlock(vmf->pte);
	return wp_copy(vmf, page);
done:
	pt_unlock(vmf->pte);
	return FAULT_DONE;
}

static enum fault_result wp_shared(struct vm_fault *vmf)
{
	struct page *page;

	pt_lock(vmf->pte);
	if (unlikely(!wp_unchanged(vmf))) {
		pt_unlock(vmf->pte);
		return FAULT_DONE;
	}
	page = pfn_to_page(pte_pfn(vmf->entry));
	get_page(page);
	pt_unlock(vmf->pte);
	lock_page(page);
	pt_lock(vmf->pte);
	/* Truncated meanwhile: the entry went before the page left the file. */
	if (likely(wp_unchanged(vmf) && page_mapping(page))) {
		set_page_dirty(page);
		make_writable(vmf);
		vmf->kind = FAULT_KIND_SHARED_WRITE;
	}
	pt_unlock(vmf->pte);
	unlock_page(page);
	put_page(page);
	return FAULT_DONE;
}

enum fault_result do_wp_page(struct vm_fault *vmf)
{
	return vmf->vma->vm_flags & VM_SHARED ? wp_shared(vmf) : wp_private(vmf);
}
