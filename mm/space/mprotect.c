/*
 * mprotect.c - the permissions of a range of addresses.
 *
 * Area by area, in address order. What was changed before an error stays changed, as mprotect(2) has it.
 */
#include <quire/errno.h>
#include "mm/space/space.h"

#define PROT_SEM 8 /* no meaning on this architecture, but allowed */

/* VM_MAY* lie four bits above their VM_*. */
static bool flags_allowed(uint64_t flags)
{
	return !(flags & ~(flags >> 4) & VM_ACCESS_FLAGS);
}

static int mprotect_area(struct vm_area_struct **vmap, vaddr_t start, vaddr_t end, uint64_t flags)
{
	struct vm_area_struct *vma = *vmap;
	struct mm_struct *mm = vma->vm_mm;
	uint64_t old = vma->vm_flags, pages = (end - start) >> PAGE_SHIFT;

	if (flags == old)
		return 0;
	if ((flags & VM_WRITE) && !(old & VM_WRITE) && is_cow_mapping(flags)) {
		if (!may_have_data(mm, flags, pages))
			return -ENOMEM;
		if (!(flags & VM_NORESERVE) && overcommit_refuses(pages))
			return -ENOMEM;
	}
	vma = vma_modify_flags(vma, start, end, flags);
	if (IS_ERR(vma))
		return (int)PTR_ERR(vma);
	change_protection(vma, start, end);
	*vmap = vma;
	return 0;
}

/* The lower end of a growing stack may be asked for by PROT_GROWSDOWN. */
static int first_area(struct mm_struct *mm, vaddr_t *start, vaddr_t end, int prot,
                      struct vm_area_struct **vmap)
{
	struct vm_area_struct *vma = find_vma(mm, *start);

	if (!vma)
		return -ENOMEM;
	*vmap = vma;
	if (prot & PROT_GROWSDOWN) {
		if (vma->vm_start >= end)
			return -ENOMEM;
		if (!(vma->vm_flags & VM_GROWSDOWN))
			return -EINVAL;
		*start = vma->vm_start;
		return 0;
	}
	if (prot & PROT_GROWSUP)
		return -EINVAL;
	return vma->vm_start > *start ? -ENOMEM : 0;
}

static int mprotect_locked(struct mm_struct *mm, vaddr_t start, vaddr_t end, int prot)
{
	struct vm_area_struct *vma;
	int err = first_area(mm, &start, end, prot, &vma);

	while (!err) {
		uint64_t flags =
		        (vma->vm_flags & ~VM_ACCESS_FLAGS) | ((uint64_t)prot & VM_ACCESS_FLAGS);
		vaddr_t stop = MIN(vma->vm_end, end);

		if (!flags_allowed(flags))
			return -EACCES;
		err = mprotect_area(&vma, start, stop, flags);
		if (err || stop >= end)
			return err;
		start = stop;
		if (vma->vm_end <= start)
			vma = vma->vm_next;
		if (!vma || vma->vm_start > start)
			return -ENOMEM;
	}
	return err;
}

int do_mprotect(struct mm_struct *mm, vaddr_t addr, uint64_t len, int prot)
{
	const int grow = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
	uint64_t size = PAGE_ALIGN(len);
	int result;

	if (grow == (PROT_GROWSDOWN | PROT_GROWSUP) || (addr & (PAGE_SIZE - 1)))
		result = -EINVAL;
	else if (!len)
		result = 0;
	else if (!size || addr + size <= addr)
		result = -ENOMEM;
	else if ((prot & ~grow) & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM))
		result = -EINVAL;
	else
		result = down_write_killable(&mm->mmap_lock);
	if (!result && len) {
		result = mprotect_locked(mm, addr, addr + size, prot);
		up_write(&mm->mmap_lock);
	}
	trace_do_mprotect(addr, len, (uint64_t)prot, (uint64_t)(int64_t)result);
	return result;
}
