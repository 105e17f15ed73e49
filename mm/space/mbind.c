/*
 * mbind.c - a policy for part of an address space: mbind(2). What it means: mm/fault/mempolicy.c.
 */
#include "mm/fault/fault.h"

/* No holes, and with MPOL_MF_STRICT alone nothing that lies elsewhere. */
static int check_pages(struct mm_struct *mm, vaddr_t start, vaddr_t end, unsigned nodes,
                       unsigned flags)
{
	struct vm_area_struct *vma = find_vma(mm, start);
	int err = 0;

	for (; !err && start < end; vma = vma->vm_next) {
		vaddr_t stop;

		if (!vma || vma->vm_start > start)
			return -EFAULT;
		stop = MIN(end, vma->vm_end);
		if (flags == MPOL_MF_STRICT)
			err = misplaced_pages(vma, start, stop, nodes, 0);
		start = stop;
	}
	return err;
}

static int set_policy(struct mm_struct *mm, vaddr_t start, vaddr_t end, uint64_t packed)
{
	struct vm_area_struct *vma = find_vma(mm, start);

	while (start < end) {
		vaddr_t stop = MIN(vma->vm_end, end);
		uint64_t flags = (vma->vm_flags & ~VM_POLICY) | packed;

		if (flags != vma->vm_flags)
			vma = vma_modify_flags(vma, start, stop, flags);
		if (IS_ERR(vma))
			return (int)PTR_ERR(vma);
		start = stop;
		if (vma->vm_end <= start)
			vma = vma->vm_next;
	}
	return 0;
}

static int move_pages(struct mm_struct *mm, vaddr_t start, vaddr_t end, unsigned nodes,
                      unsigned flags)
{
	struct vm_area_struct *vma = find_vma(mm, start);
	int err = 0;

	for (; vma && vma->vm_start < end; vma = vma->vm_next) {
		int one = misplaced_pages(vma, MAX(start, vma->vm_start), MIN(end, vma->vm_end),
		                          nodes, flags);

		err = err ? err : one;
	}
	return flags & MPOL_MF_STRICT ? err : 0;
}

static int mbind_locked(struct mm_struct *mm, vaddr_t start, vaddr_t end,
                        const struct mempolicy *policy, unsigned flags)
{
	const unsigned nodes = (unsigned)policy->asked; /* as Linux: none, where none was named */
	int err = check_pages(mm, start, end, nodes, flags);

	if (!err)
		err = set_policy(mm, start, end, vma_pack_policy(policy));
	if (!err && flags & (MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		err = move_pages(mm, start, end, nodes, flags);
	return err;
}

int do_mbind(struct mm_struct *mm, vaddr_t addr, uint64_t len, const struct mempolicy *policy,
             unsigned flags)
{
	vaddr_t end;
	int err;

	if (addr & (PAGE_SIZE - 1))
		return -EINVAL;
	if (policy->mode == MPOL_DEFAULT)
		flags &= ~MPOL_MF_STRICT;
	len = PAGE_ALIGN(len);
	end = addr + len;
	if (end < addr)
		return -EINVAL;
	if (!len)
		return 0;
	if (end > mm->task_size)
		return -EFAULT;
	if (down_write_killable(&mm->mmap_lock))
		return -EINTR;
	err = mbind_locked(mm, addr, end, policy, flags);
	up_write(&mm->mmap_lock);
	return err;
}

int do_get_vma_policy(struct mm_struct *mm, vaddr_t addr, struct mempolicy *policy)
{
	struct vm_area_struct *vma;

	down_read(&mm->mmap_lock);
	vma = find_vma_intersection(mm, addr, addr + 1);
	if (vma)
		*policy = vma_policy(vma);
	up_read(&mm->mmap_lock);
	return vma ? 0 : -EFAULT;
}
