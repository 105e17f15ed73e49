/*
 * mremap.c - a mapping gets longer, shorter, or moves.
 *
 * In place when the hole behind it allows. Otherwise page-table entries move, not pages (mm/fault/move.c), so the
 * cost is that of the entries, however large the pages' contents. A page's index counts from the start
 * of what it was mapped as, and the new area keeps the old numbering, so reverse mapping goes on finding it.
 */
#include <quire/errno.h>
#include "mm/space/space.h"

struct mremap {
	struct mm_struct *mm;
	vaddr_t old, new_addr;
	uint64_t old_len, new_len;
	int flags;
	bool locked; /* out: populate the new part */
};

/* The area, and may it become new_len long? */
static struct vm_area_struct *vma_to_resize(const struct mremap *m)
{
	struct vm_area_struct *vma = find_vma_intersection(m->mm, m->old, m->old + 1);
	uint64_t more, pgoff;

	if (!vma)
		return ERR_PTR(-EFAULT);
	if (!m->old_len && !(vma->vm_flags & (VM_SHARED | VM_MAYSHARE)))
		return ERR_PTR(-EINVAL);
	if ((m->flags & MREMAP_DONTUNMAP) && (vma->vm_flags & VM_DONTEXPAND))
		return ERR_PTR(-EINVAL);
	if (m->old_len > vma->vm_end - m->old)
		return ERR_PTR(-EFAULT);
	if (m->new_len <= m->old_len)
		return vma;
	pgoff = linear_page_index(vma, m->old);
	if (pgoff + (m->new_len >> PAGE_SHIFT) < pgoff)
		return ERR_PTR(-EINVAL);
	if (vma->vm_flags & VM_DONTEXPAND)
		return ERR_PTR(-EFAULT);
	more = (m->new_len - m->old_len) >> PAGE_SHIFT;
	if ((vma->vm_flags & VM_LOCKED) && may_lock(m->mm, more))
		return ERR_PTR(-EAGAIN);
	if (!may_expand_vm(m->mm, vma->vm_flags, more))
		return ERR_PTR(-ENOMEM);
	if (is_cow_mapping(vma->vm_flags) && overcommit_refuses(more))
		return ERR_PTR(-ENOMEM);
	return vma;
}

/* A new area of new_len at addr that shows what vma shows from m->old on. Not yet any entries. */
static struct vm_area_struct *copy_vma(const struct mremap *m, struct vm_area_struct *vma,
                                       vaddr_t addr)
{
	struct vm_area_struct *copy = vma_dup(vma), *prev;

	if (!copy)
		return NULL;
	copy->vm_pgoff = linear_page_index(vma, m->old);
	if (vma_is_anonymous(vma) && !vma->anon_vma)
		copy->vm_pgoff = addr >> PAGE_SHIFT; /* no pages: it may merge with what is there */
	copy->vm_start = addr;
	copy->vm_end = addr + m->new_len;
	if (anon_vma_clone(copy, vma)) {
		vma_free(copy);
		return NULL;
	}
	find_vma_prev(m->mm, addr, &prev);
	vma_link(m->mm, copy, prev);
	vm_stat_account(m->mm, copy->vm_flags, (int64_t)vma_pages(copy));
	return copy;
}

/* MREMAP_DONTUNMAP: the old range stays, empty, and not locked. */
static void leave_empty(const struct mremap *m, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_LOCKED))
		return;
	(void)!PTR_ERR(vma_modify_flags(vma, m->old, m->old + m->old_len,
	                                vma->vm_flags & ~(VM_LOCKED | VM_LOCKONFAULT)));
}

static int64_t move_vma(struct mremap *m, struct vm_area_struct *vma, vaddr_t addr)
{
	struct vm_area_struct *copy;
	uint64_t moved;

	if (m->mm->map_count >= SYSCTL_MAX_MAP_COUNT - 3)
		return -ENOMEM;
	copy = copy_vma(m, vma, addr);
	if (!copy)
		return -ENOMEM;
	if (move_page_tables(vma, m->old, copy, addr, m->old_len, &moved)) {
		uint64_t done = moved;

		/* The tables of the old place are still there: going back cannot fail. */
		if (move_page_tables(copy, addr, vma, m->old, done, &moved))
			port_panic("mremap: no way back for %lu bytes", (unsigned long)done);
		(void)!do_vma_munmap(m->mm, addr, m->new_len);
		return -ENOMEM;
	}
	m->locked = copy->vm_flags & VM_LOCKED;
	if (m->flags & MREMAP_DONTUNMAP) {
		leave_empty(m, vma);
	} else if (m->old_len && do_vma_munmap(m->mm, m->old, m->old_len)) {
		/* Two more areas were too many: the old range stays mapped, with new pages. As Linux. */
		port_log("mremap: the old range of %lu bytes could not be unmapped",
		         (unsigned long)m->old_len);
	}
	copy = find_vma(m->mm, addr);
	vma_merge_neighbours(copy);
	return (int64_t)addr;
}

/* MREMAP_FIXED or MREMAP_DONTUNMAP. */
static int64_t mremap_to(struct mremap *m)
{
	struct mm_struct *mm = m->mm;
	struct vm_area_struct *vma;
	int64_t addr;
	int err;

	if (m->new_addr & (PAGE_SIZE - 1))
		return -EINVAL;
	if (m->new_len > mm->task_size || m->new_addr > mm->task_size - m->new_len)
		return -EINVAL;
	if (m->old + m->old_len > m->new_addr && m->new_addr + m->new_len > m->old)
		return -EINVAL;
	if (mm->map_count + 2 >= SYSCTL_MAX_MAP_COUNT - 3)
		return -ENOMEM;
	if (m->flags & MREMAP_FIXED) {
		if (m->new_addr < MMAP_MIN_ADDR)
			return -EPERM;
		err = do_vma_munmap(mm, m->new_addr, m->new_len);
		if (err)
			return err;
	}
	if (m->old_len > m->new_len) {
		err = do_vma_munmap(mm, m->old + m->new_len, m->old_len - m->new_len);
		if (err)
			return err;
		m->old_len = m->new_len;
	}
	vma = vma_to_resize(m);
	if (IS_ERR(vma))
		return PTR_ERR(vma);
	if ((m->flags & MREMAP_DONTUNMAP) &&
	    !may_expand_vm(mm, vma->vm_flags, m->old_len >> PAGE_SHIFT))
		return -ENOMEM;
	addr = get_unmapped_area(mm, m->new_addr, m->new_len,
	                         m->flags & MREMAP_FIXED ? MAP_FIXED : 0);
	return addr < 0 ? addr : move_vma(m, vma, (vaddr_t)addr);
}

/* Is the hole behind the area large enough for the rest? */
static bool grow_in_place(const struct mremap *m, struct vm_area_struct *vma)
{
	vaddr_t end = m->old + m->new_len;
	uint64_t more = m->new_len - m->old_len;

	if (m->old_len != vma->vm_end - m->old || end < vma->vm_end || end > m->mm->task_size)
		return false;
	if (vma->vm_next && vm_start_gap(vma->vm_next) < end)
		return false;
	if (!vma_merge_new(m->mm, vma, vma->vm_end, end, vma->vm_flags, vma->vm_file,
	                   vma->vm_pgoff + vma_pages(vma)))
		return false;
	vm_stat_account(m->mm, vma->vm_flags, (int64_t)(more >> PAGE_SHIFT));
	return true;
}

static int64_t mremap_locked(struct mremap *m)
{
	struct vm_area_struct *vma = find_vma_intersection(m->mm, m->old, m->old + 1);
	int64_t addr;
	int err;

	if (!vma)
		return -EFAULT;
	if (m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		return mremap_to(m);
	if (m->old_len >= m->new_len) {
		if (m->old_len == m->new_len)
			return (int64_t)m->old;
		err = do_vma_munmap(m->mm, m->old + m->new_len, m->old_len - m->new_len);
		return err ? err : (int64_t)m->old;
	}
	vma = vma_to_resize(m);
	if (IS_ERR(vma))
		return PTR_ERR(vma);
	m->locked = vma->vm_flags & VM_LOCKED;
	if (grow_in_place(m, vma))
		return (int64_t)m->old;
	if (!(m->flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	addr = get_unmapped_area(m->mm, 0, m->new_len, 0);
	return addr < 0 ? addr : move_vma(m, vma, (vaddr_t)addr);
}

int64_t do_mremap(struct mm_struct *mm, vaddr_t old, uint64_t old_len, uint64_t new_len, int flags,
                  vaddr_t new_addr)
{
	struct mremap m = {mm,    old,  new_addr, PAGE_ALIGN(old_len), PAGE_ALIGN(new_len),
	                   flags, false};
	uint64_t before = m.old_len;
	int64_t addr;

	if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
		return -EINVAL;
	if ((flags & MREMAP_FIXED) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if ((flags & MREMAP_DONTUNMAP) && (!(flags & MREMAP_MAYMOVE) || old_len != new_len))
		return -EINVAL;
	if ((old & (PAGE_SIZE - 1)) || !m.new_len || m.old_len < old_len)
		return -EINVAL;
	if (old > mm->task_size || m.old_len > mm->task_size - old)
		return -EFAULT;
	if (down_write_killable(&mm->mmap_lock))
		return -EINTR;
	addr = mremap_locked(&m);
	up_write(&mm->mmap_lock);
	if (addr >= 0 && m.locked && m.new_len > before)
		(void)!mm_populate(mm, (vaddr_t)addr + before, m.new_len - before);
	return addr;
}
