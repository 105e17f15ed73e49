/*
 * anon.c - the first touch of anonymous memory (lecture 001: lazy allocation, the zero page).
 *
 * A read maps one frame of zeros that all share: special, so not counted and not found by reverse mapping.
 * A write gets a zeroed frame of its own, with all that reclaim will want to know: its anon_vma and
 * index, its map count, its place on the LRU.
 */
#include "mm/fault/fault.h"
#include "mm/rmap/rmap.h"

static enum fault_result map_zero_page(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	pfn_t zero = page_to_pfn(machine()->zero_page);
	pte_t *pte = vmf->pte;

	pt_lock(pte);
	if (likely(pte_none(pte_read(pte)))) {
		pt_install(&vma->vm_mm->space, vmf->addr, pte,
		           pte_mkyoung(pte_mkspecial(pte_make(zero, vma->vm_page_prot))));
		vmf->kind = FAULT_KIND_ZERO;
		vmf->pfn = zero.n;
	}
	pt_unlock(pte);
	return FAULT_DONE;
}

enum fault_result do_anonymous_page(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	pte_t *pte = vmf->pte;
	struct page *page;

	if (!(vmf->access & FAULT_WRITE))
		return map_zero_page(vmf);
	if (unlikely(!vma_anon_vma(vma) && anon_vma_prepare(vma)))
		return FAULT_NOMEM;
	page = alloc_user_page(vma, vmf->addr, true);
	if (unlikely(!page))
		return FAULT_NOMEM;
	pt_lock(pte);
	if (unlikely(!pte_none(pte_read(pte)))) {
		pt_unlock(pte);
		put_page(page);
		return FAULT_DONE;
	}
	page_add_new_anon_rmap(page, vma, vmf->addr);
	lru_cache_add(page);
	pt_install(&vma->vm_mm->space, vmf->addr, pte, pte_of_written(vma, page));
	pt_unlock(pte);
	add_mm_counter(vma->vm_mm, MM_ANONPAGES, 1);
	vmf->kind = FAULT_KIND_ANON;
	vmf->pfn = page_to_pfn(page).n;
	return FAULT_DONE;
}
