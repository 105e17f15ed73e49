/*
 * mbind.c - a policy for part of an address space: mbind(2). What it means: mm/fault/mempolicy.c.
 */
#include "mm/fault/fault.h"

/* No holes, and with MPOL_MF_STRICT alone nothing that lies elsewhere, which comes first if it is before the hole. */
static int check_pages(struct mm_struct *mm, vaddr_t start, vaddr_t end, unsigned nodes,
                       unsigned flags)
{
	const struct vm_area_struct *vma = find_vma(mm, start);
	int err = 0;

	for (; !err && start < end; vma = vma->vm_next) {
		if (!vma || vma->vm_start > start)
			return -EFAULT;
		if (flags == MPOL_MF_STRICT)
			err = misplaced_pages(vma, start, MIN(end, vma->vm_end), nodes, 0);
		start = vma->vm_end;
	}
	return err;
}

/* A policy that goes (DEFAULT) goes where there are holes too; but somewhere there must be an area. */
static int may_bind(struct mm_struct *mm, vaddr_t start, vaddr_t end,
                    const struct mempolicy *policy, unsigned flags)
{
	if (policy->mode == MPOL_DEFAULT)
		return find_vma_intersection(mm, start, end) ? 0 : -EFAULT;
	return check_pages(mm, start, end, (unsigned)policy->asked, flags);
}

static int set_policy(struct mm_struct *mm, vaddr_t start, vaddr_t end, uint64_t packed)
{
	struct vm_area_struct *vma = find_vma(mm, start);

	for (; vma && vma->vm_start < end; vma = vma->vm_next) {
		const vaddr_t from = MAX(start, vma->vm_start), to = MIN(end, vma->vm_end);
		const uint64_t flags = (vma->vm_flags & ~VM_POLICY) | packed;

		if (flags != vma->vm_flags)
			vma = vma_modify_flags(vma, from, to, flags);
		if (IS_ERR(vma))
			return (int)PTR_ERR(vma);
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
	int err = may_bind(mm, start, end, policy, flags);

	if (!err)
		err = set_policy(mm, start, end, vma_pack_policy(policy));
	if (!err && flags & (MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		err = move_pages(mm, start, end, nodes, flags);
	return err;
}

int mbind_range(vaddr_t start, uint64_t len, vaddr_t *end)
{
	*end = start + PAGE_ALIGN(len);
	return start & (PAGE_SIZE - 1) || *end < start ? -EINVAL : 0;
}

int do_mbind(struct mm_struct *mm, vaddr_t start, vaddr_t end, const struct mempolicy *policy,
             unsigned flags)
{
	int err;

	if (policy->mode == MPOL_DEFAULT)
		flags &= ~MPOL_MF_STRICT;
	if (down_write_killable(&mm->mmap_lock))
		return -EINTR;
	err = mbind_locked(mm, start, end, policy, flags);
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
