/*
 * mlock.c - memory that stays (mechanism 5.3).
 *
 * Locked is a property of areas, VM_LOCKED: reclaim passes pages by that are mapped in such an area, and
 * locking faults all pages in, so that no later access has to wait. VM_LOCKONFAULT leaves out the second.
 */
#include <quire/errno.h>
#include "mm/space/space.h"

#define VM_LOCK_FLAGS (VM_LOCKED | VM_LOCKONFAULT)

/* Give [start, end) the flags. Holes: -ENOMEM, what lies before has been done. */
static int lock_areas(struct mm_struct *mm, vaddr_t start, vaddr_t end, uint64_t lock_flags)
{
	struct vm_area_struct *vma = find_vma(mm, start);

	while (start < end) {
		uint64_t flags;
		vaddr_t stop;

		if (!vma || vma->vm_start > start)
			return -ENOMEM;
		stop = MIN(vma->vm_end, end);
		flags = (vma->vm_flags & ~VM_LOCK_FLAGS) | lock_flags;
		if (flags != vma->vm_flags) {
			vma = vma_modify_flags(vma, start, stop, flags);
			if (IS_ERR(vma))
				return (int)PTR_ERR(vma);
		}
		start = stop;
		if (vma->vm_end <= start)
			vma = vma->vm_next;
	}
	return 0;
}

/* Pages of [start, end) that are locked already and so ask for nothing more. */
static uint64_t locked_pages(struct mm_struct *mm, vaddr_t start, vaddr_t end)
{
	struct vm_area_struct *vma = find_vma(mm, start);
	uint64_t n = 0;

	for (; vma && vma->vm_start < end; vma = vma->vm_next)
		if (vma->vm_flags & VM_LOCKED)
			n += (MIN(end, vma->vm_end) - MAX(start, vma->vm_start)) >> PAGE_SHIFT;
	return n;
}

static bool can_do_mlock(const struct mm_struct *mm)
{
	return mm->limits.may_mlock_any || mm->limits.memlock;
}

/* mlock(2) rounds both ends out to whole pages. */
static int mlock_range(vaddr_t *start, uint64_t len, vaddr_t *end)
{
	uint64_t size = PAGE_ALIGN(len + (*start & (PAGE_SIZE - 1)));

	*start &= PAGE_MASK;
	return check_range(*start, size, end);
}

int do_mlock(struct mm_struct *mm, vaddr_t addr, uint64_t len, bool onfault)
{
	const uint64_t flags = onfault ? VM_LOCK_FLAGS : VM_LOCKED;
	vaddr_t end;
	int err;

	if (!can_do_mlock(mm))
		return -EPERM;
	err = mlock_range(&addr, len, &end);
	if (err || addr == end)
		return err;
	if (down_write_killable(&mm->mmap_lock))
		return -EINTR;
	err = -ENOMEM;
	if (!may_lock(mm, ((end - addr) >> PAGE_SHIFT) - locked_pages(mm, addr, end)))
		err = lock_areas(mm, addr, end, flags);
	up_write(&mm->mmap_lock);
	if (err)
		return err;
	err = mm_populate(mm, addr, end - addr);
	/* What POSIX wants said. */
	return err == -EFAULT ? -ENOMEM : err == -ENOMEM ? -EAGAIN : err;
}

int do_munlock(struct mm_struct *mm, vaddr_t addr, uint64_t len)
{
	vaddr_t end;
	int err = mlock_range(&addr, len, &end);

	if (err || addr == end)
		return err;
	if (down_write_killable(&mm->mmap_lock))
		return -EINTR;
	err = lock_areas(mm, addr, end, 0);
	up_write(&mm->mmap_lock);
	return err;
}

/* Every area there is. Splitting is not needed, so it fails only by not merging. */
static void lock_all(struct mm_struct *mm, uint64_t lock_flags)
{
	struct vm_area_struct *vma = mm->mmap, *changed;

	while (vma) {
		uint64_t flags = (vma->vm_flags & ~VM_LOCK_FLAGS) | lock_flags;

		changed = vma_modify_flags(vma, vma->vm_start, vma->vm_end, flags);
		vma = IS_ERR(changed) ? vma->vm_next : changed->vm_next;
	}
}

/* Bring in what can be; an area that allows no access, or ends after its file, is no error here. */
static void populate_all(struct mm_struct *mm)
{
	vaddr_t addr = 0;

	for (;;) {
		struct vm_area_struct *vma;
		vaddr_t end;

		down_read(&mm->mmap_lock);
		vma = find_vma(mm, addr);
		if (!vma) {
			up_read(&mm->mmap_lock);
			return;
		}
		end = vma->vm_end;
		if (!(vma->vm_flags & VM_LOCKONFAULT))
			(void)!populate_vma_range(vma, vma->vm_start, end,
			                          (vma->vm_flags & (VM_WRITE | VM_SHARED)) ==
			                                  VM_WRITE);
		up_read(&mm->mmap_lock);
		addr = end;
	}
}

int do_mlockall(struct mm_struct *mm, int flags)
{
	const uint64_t lock_flags = flags & MCL_ONFAULT ? VM_LOCK_FLAGS : VM_LOCKED;

	if (!flags || flags == MCL_ONFAULT || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)))
		return -EINVAL;
	if (!can_do_mlock(mm))
		return -EPERM;
	if (down_write_killable(&mm->mmap_lock))
		return -EINTR;
	if ((flags & MCL_CURRENT) && !mm->limits.may_mlock_any &&
	    mm->total_vm > mm->limits.memlock >> PAGE_SHIFT) {
		up_write(&mm->mmap_lock);
		return -ENOMEM;
	}
	mm->def_flags = flags & MCL_FUTURE ? lock_flags : 0;
	if (flags & MCL_CURRENT)
		lock_all(mm, lock_flags);
	up_write(&mm->mmap_lock);
	if (flags & MCL_CURRENT)
		populate_all(mm);
	return 0;
}

int do_munlockall(struct mm_struct *mm)
{
	if (down_write_killable(&mm->mmap_lock))
		return -EINTR;
	mm->def_flags = 0;
	lock_all(mm, 0);
	up_write(&mm->mmap_lock);
	return 0;
}
