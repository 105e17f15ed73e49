/*
 * file.c - the first touch of a page of a file (mechanism 7.3).
 *
 * The page comes from the cache, which reads it if need be. It is then locked: a page is truncated only under its lock, and only
 * after its mappings have gone, so a page that still belongs to the file and lies before its end may be mapped,
 * and truncation will find the mapping. After the end: SIGBUS.
 *
 * A fault costs more than what it does for one page. So a read fault maps what the cache has around the page, up
 * to 16 pages in one table; those entries are old, so that reclaim can tell them from pages that were used.
 */
#include "mm/cache/filemap.h"
#include "mm/fault/fault.h"
#include "mm/rmap/rmap.h"

static uint64_t file_pages(struct address_space *mapping)
{
	return PAGES_OF(atomic_load_explicit(&mapping->i_size, memory_order_acquire));
}

static uint64_t fault_index(const struct vm_fault *vmf)
{
	return linear_page_index(vmf->vma, vmf->addr);
}

static unsigned read_ahead(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_RAND_READ ? 0 : FAULT_READ_AHEAD;
}

/* The pages around the fault that one table, the area and a window of 64 KB have in common. */
static vaddr_t around_start(const struct vm_fault *vmf)
{
	vaddr_t start = ALIGN_DOWN(vmf->addr, (vaddr_t)FAULT_AROUND_PAGES << PAGE_SHIFT);

	return MAX(start, vmf->vma->vm_start);
}

static vaddr_t around_end(const struct vm_fault *vmf)
{
	vaddr_t end = ALIGN_DOWN(vmf->addr, (vaddr_t)FAULT_AROUND_PAGES << PAGE_SHIFT) +
	              (FAULT_AROUND_PAGES << PAGE_SHIFT);

	return MIN(end, vmf->vma->vm_end);
}

/* True: the faulting page is mapped now. */
static bool map_around(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct address_space *mapping = vma->vm_file->f_mapping;
	const vaddr_t start = around_start(vmf), end = around_end(vmf);
	const unsigned n = (unsigned)((end - start) >> PAGE_SHIFT);
	const unsigned mine = (unsigned)((vmf->addr - start) >> PAGE_SHIFT);
	struct page *pages[FAULT_AROUND_PAGES];
	pte_t *pte = vmf->pte - mine;
	enum rss_counter kind = MM_FILEPAGES;
	unsigned mapped = 0;
	bool done = false;

	if (!filemap_lock_cached(mapping, linear_page_index(vma, start), n, pages))
		return false;
	pt_lock(pte);
	for (unsigned i = 0; i < n; i++) {
		struct page *page = pages[i];
		pte_t entry;

		if (!page || !pte_none(pte_read(&pte[i])))
			continue;
		entry = pte_make(page_to_pfn(page), vma->vm_page_prot);
		if (i == mine) {
			entry = pte_mkyoung(entry);
			vmf->pfn = page_to_pfn(page).n;
			done = true;
		}
		kind = mm_counter(page); /* the same for all pages of a file */
		page_map_one(page);
		pte_set(&pte[i], entry);
		mmu_update(&vma->vm_mm->space, start + (vaddr_t)i * PAGE_SIZE, entry);
		mapped++;
		unlock_page(page);
		pages[i] = NULL;
	}
	pt_count(pte, (int32_t)mapped);
	pt_unlock(pte);
	if (mapped)
		add_mm_counter(vma->vm_mm, kind, mapped);
	for (unsigned i = 0; i < n; i++) {
		if (pages[i]) {
			unlock_page(pages[i]);
			put_page(pages[i]);
		}
	}
	count_n(FAULT_AROUND, mapped - done);
	return done;
}

/* Shared memory in an area with a policy: if the page is not there, it comes from where the policy says. */
static void place_shared_page(struct vm_fault *vmf, struct address_space *mapping, uint64_t index)
{
	struct page *page = find_get_page(mapping, index);

	if (page) {
		put_page(page);
		return;
	}
	page = alloc_page_vma(GFP_HIGHUSER_MOVABLE, vmf->vma, vmf->addr);
	if (page)
		(void)!filemap_add_memory(mapping, index,
		                          page); /* what is amiss, the next step tells */
}

/*
 * The file's page for the fault, up to date, locked, with a reference, still in the file and before its end.
 * FAULT_DONE with *pagep NULL: it was truncated on the way and may be there again; try the access again.
 */
static enum fault_result locked_file_page(struct vm_fault *vmf, struct page **pagep)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	const uint64_t index = fault_index(vmf);
	struct page *page;
	int err;

	*pagep = NULL;
	if (unlikely(index >= file_pages(mapping)))
		return FAULT_BUS;
	trace_mm_filemap_fault(mapping->ino, index);
	if (unlikely(vmf->vma->vm_flags & VM_POLICY && mapping->flags & AS_SHMEM))
		place_shared_page(vmf, mapping, index);
	err = filemap_get_page(mapping, index, read_ahead(vmf->vma), &page, &vmf->major);
	if (unlikely(err))
		return err == -ENOMEM ? FAULT_NOMEM : FAULT_BUS;
	lock_page(page);
	if (unlikely(page_mapping(page) != mapping || index >= file_pages(mapping))) {
		unlock_page(page);
		put_page(page);
		return index >= file_pages(mapping) ? FAULT_BUS : FAULT_DONE;
	}
	*pagep = page;
	return FAULT_DONE;
}

/* Map the page itself; for a shared write, dirty and writable. */
static enum fault_result map_file_page(struct vm_fault *vmf)
{
	const bool write = vmf->access & FAULT_WRITE;
	struct mm_struct *mm = vmf->vma->vm_mm;
	struct page *page;
	enum fault_result result = locked_file_page(vmf, &page);
	pte_t entry;

	if (!page)
		return result;
	entry = pte_mkyoung(pte_make(page_to_pfn(page), vmf->vma->vm_page_prot));
	if (write)
		entry = pte_mkwrite(pte_mkdirty(entry));
	pt_lock(vmf->pte);
	if (likely(pte_none(pte_read(vmf->pte)))) {
		if (write)
			set_page_dirty(page);
		vmf->kind = write ? FAULT_KIND_SHARED_WRITE : FAULT_KIND_FILE;
		vmf->pfn = page_to_pfn(page).n;
		page_map_one(page);
		pt_install(&mm->space, vmf->addr, vmf->pte, entry);
		add_mm_counter(mm, mm_counter(page), 1);
		pt_unlock(vmf->pte);
		unlock_page(page);
		return FAULT_DONE;
	}
	pt_unlock(vmf->pte);
	unlock_page(page);
	put_page(page);
	return FAULT_DONE;
}

/*
 * A private write: the page is copied before anything is mapped. Its lock is kept until the copy is mapped, so that
 * truncation, which takes the lock on its way, finds the copy behind the file's end when it looks again.
 */
static enum fault_result map_copy(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	enum fault_result result = FAULT_NOMEM;
	struct page *page, *copy;

	if (unlikely(anon_vma_prepare(vma)))
		return FAULT_NOMEM;
	copy = alloc_user_page(vma, vmf->addr, false);
	if (unlikely(!copy))
		return FAULT_NOMEM;
	result = locked_file_page(vmf, &page);
	if (!page)
		goto out;
	copy_highpage(copy, page);
	pt_lock(vmf->pte);
	if (likely(pte_none(pte_read(vmf->pte)))) {
		page_add_new_anon_rmap(copy, vma, vmf->addr);
		lru_cache_add(copy);
		pt_install(&vma->vm_mm->space, vmf->addr, vmf->pte, pte_of_written(vma, copy));
		add_mm_counter(vma->vm_mm, MM_ANONPAGES, 1);
		vmf->kind = FAULT_KIND_COW;
		vmf->pfn = page_to_pfn(copy).n;
		trace_cow(vmf->addr, page_to_pfn(page).n, vmf->pfn);
		copy = NULL;
	}
	pt_unlock(vmf->pte);
	unlock_page(page);
	put_page(page);
out:
	if (copy)
		put_page(copy);
	return result;
}

enum fault_result do_file_page(struct vm_fault *vmf)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;

	if (vmf->access & FAULT_WRITE)
		return vmf->vma->vm_flags & VM_SHARED ? map_file_page(vmf) : map_copy(vmf);
	if (unlikely(fault_index(vmf) >= file_pages(mapping)))
		return FAULT_BUS;
	if (map_around(vmf)) {
		vmf->kind = FAULT_KIND_FILE;
		return FAULT_DONE;
	}
	return map_file_page(vmf);
}
