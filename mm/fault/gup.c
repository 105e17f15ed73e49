/*
 * gup.c - the kernel gets at a program's pages: by address, without a fault of its own.
 */
#include "lib/string.h"
#include "mm/fault/fault.h"

static int fault_errno(enum fault_result result)
{
	switch (result) {
	case FAULT_DONE:
		return 0;
	case FAULT_NOMEM:
		return -ENOMEM;
	case FAULT_INTR:
		return -EINTR;
	default:
		return -EFAULT;
	}
}

/* What is mapped at addr, if it serves the access, with a reference. mmap_lock held. */
static struct page *follow_page(struct mm_struct *mm, vaddr_t addr, unsigned access)
{
	struct vm_area_struct *vma = find_vma_intersection(mm, addr, addr + 1);
	struct page *page = NULL;
	pte_t *pte, entry;

	if (!vma || !vma_permits(vma, access))
		return NULL;
	pte = pt_lookup(&mm->space, addr);
	if (!pte)
		return NULL;
	pt_lock(pte);
	entry = pte_read(pte);
	if (pte_present(entry) && (pte_write(entry) || !(access & FAULT_WRITE))) {
		page = pfn_to_page(pte_pfn(entry));
		get_page(page);
		if ((access & FAULT_WRITE) && !PageAnon(page))
			set_page_dirty(page);
	}
	pt_unlock(pte);
	return page;
}

int get_user_page(struct mm_struct *mm, vaddr_t addr, unsigned access, struct page **page)
{
	enum fault_result result;

	if (addr >= mm->task_size)
		return -EFAULT;
	for (;;) {
		down_read(&mm->mmap_lock);
		*page = follow_page(mm, addr, access);
		up_read(&mm->mmap_lock);
		if (*page)
			return 0;
		if (port_fatal_signal_pending())
			return -EINTR;
		result = handle_mm_fault(mm, addr, access, NULL);
		if (result != FAULT_DONE)
			return fault_errno(result);
	}
}

/* Write-back may have come between finding the page, which marked it, and writing to it. */
static void mark_written(struct page *page)
{
	if (PageAnon(page))
		return;
	lock_page(page);
	set_page_dirty(page);
	unlock_page(page);
}

size_t access_remote_vm(struct mm_struct *mm, vaddr_t addr, void *buf, size_t len, bool write)
{
	size_t done = 0;

	while (done < len) {
		const size_t offset = (addr + done) & (PAGE_SIZE - 1);
		const size_t n = MIN(len - done, PAGE_SIZE - offset);
		struct page *page;
		char *mine = (char *)buf + done;

		if (get_user_page(mm, addr + done, write ? FAULT_WRITE : FAULT_READ, &page))
			break;
		if (write) {
			memcpy_to_page(page, offset, mine, n);
			mark_written(page);
		} else {
			memcpy_from_page(mine, page, offset, n);
		}
		put_page(page);
		done += n;
	}
	return done;
}

/* Nothing to do: the entry serves already. A look without the lock: a change just makes a fault that does nothing. */
static bool already_there(struct vm_area_struct *vma, vaddr_t addr, bool write)
{
	pte_t *pte = pt_lookup(&vma->vm_mm->space, addr);
	pte_t entry = pte ? pte_read(pte) : (pte_t){0};

	return pte_present(entry) && (!write || pte_write(entry));
}

int populate_vma_range(struct vm_area_struct *vma, vaddr_t start, vaddr_t end, bool write)
{
	const unsigned access = write ? FAULT_WRITE : FAULT_READ;

	if (!vma_permits(vma, access))
		return -EFAULT;
	for (vaddr_t addr = start; addr < end; addr += PAGE_SIZE) {
		enum fault_result result;

		if (already_there(vma, addr, write))
			continue;
		if (port_fatal_signal_pending())
			return -EINTR;
		result = fault_in_vma(vma, addr, access, NULL);
		if (result != FAULT_DONE)
			return fault_errno(result);
		port_cond_resched();
	}
	return 0;
}

int mm_populate(struct mm_struct *mm, vaddr_t addr, uint64_t len)
{
	const vaddr_t end = addr + len;
	int err = 0;

	while (addr < end && !err) {
		struct vm_area_struct *vma;
		vaddr_t stop;

		down_read(&mm->mmap_lock);
		vma = find_vma_intersection(mm, addr, end);
		if (!vma || vma->vm_start > addr) {
			up_read(&mm->mmap_lock);
			return -ENOMEM;
		}
		stop = MIN(vma->vm_end, end);
		if (!(vma->vm_flags & VM_LOCKONFAULT))
			err = populate_vma_range(vma, addr, stop,
			                         (vma->vm_flags & (VM_WRITE | VM_SHARED)) ==
			                                 VM_WRITE);
		up_read(&mm->mmap_lock);
		addr = stop;
	}
	return err;
}
