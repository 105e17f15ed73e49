/*
 * stack.c - a stack grows by being touched (mechanism 5.6).
 *
 * An area with VM_GROWSDOWN is extended down to any address that is touched below it, within RLIMIT_STACK and
 * RLIMIT_AS, as long as 256 pages stay free above whatever lies below (unless that is no access or
 * a stack itself): a function with a large frame jumps over a single guard page, hardly over a megabyte.
 */
#include "mm/fault/fault.h"

static int stack_may_grow(struct vm_area_struct *vma, vaddr_t start)
{
	struct mm_struct *mm = vma->vm_mm;
	struct vm_area_struct *prev = vma->vm_prev;
	const uint64_t pages = (vma->vm_start - start) >> PAGE_SHIFT;

	if (start < MMAP_MIN_ADDR)
		return -EPERM;
	if (prev && !(prev->vm_flags & VM_GROWSDOWN) && (prev->vm_flags & VM_ACCESS_FLAGS) &&
	    start - prev->vm_end < STACK_GUARD_GAP)
		return -ENOMEM;
	if (prev && prev->vm_end > start)
		return -ENOMEM;
	if (vma->vm_end - start > mm->limits.stack)
		return -ENOMEM;
	if ((vma->vm_flags & VM_LOCKED) && may_lock(mm, pages))
		return -ENOMEM;
	if (!may_expand_vm(mm, vma->vm_flags, pages) || overcommit_refuses(pages))
		return -ENOMEM;
	return pages > vma->vm_pgoff ? -ENOMEM : 0;
}

int expand_stack(struct vm_area_struct *vma, vaddr_t addr)
{
	const vaddr_t old = vma->vm_start, start = addr & PAGE_MASK;
	int err = stack_may_grow(vma, start);

	trace_stack_grow(old, start, err != 0);
	if (err)
		return err;
	vma_resize(vma, start, vma->vm_end);
	vm_stat_account(vma->vm_mm, vma->vm_flags, (int64_t)((old - start) >> PAGE_SHIFT));
	count(STACK_GROW);
	return 0;
}
