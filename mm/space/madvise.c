/*
 * madvise.c - what a program says about its memory.
 *
 * Advice of four sorts: flags of areas (split and merge as mprotect does); contents to throw away (under mmap_lock
 * held for reading, like faults); contents to bring in; contents that will not be used soon. Of the last sort,
 * MADV_COLD and MADV_PAGEOUT make pages old, which is all that can be done for pages without a place to
 * go; MADV_FREE makes them old and clean, which leaves the choice of the moment, allowed to be never, to whoever
 * reclaims. Huge pages and same-page merging are answered as by a kernel built without: EINVAL.
 */
#include <quire/errno.h>
#include "mm/cache/filemap.h"
#include "mm/space/space.h"

static int64_t advise_flags(const struct vm_area_struct *vma, int advice)
{
	uint64_t flags = vma->vm_flags;

	switch (advice) {
	case MADV_NORMAL:
		return (int64_t)(flags & ~(VM_RAND_READ | VM_SEQ_READ));
	case MADV_RANDOM:
		return (int64_t)((flags & ~VM_SEQ_READ) | VM_RAND_READ);
	case MADV_SEQUENTIAL:
		return (int64_t)((flags & ~VM_RAND_READ) | VM_SEQ_READ);
	case MADV_DONTFORK:
		return (int64_t)(flags | VM_DONTCOPY);
	case MADV_DOFORK:
		return flags & VM_IO ? -EINVAL : (int64_t)(flags & ~VM_DONTCOPY);
	case MADV_WIPEONFORK:
		if (vma->vm_file || (flags & VM_SHARED))
			return -EINVAL;
		return (int64_t)(flags | VM_WIPEONFORK);
	case MADV_KEEPONFORK:
		return (int64_t)(flags & ~VM_WIPEONFORK);
	case MADV_DONTDUMP:
		return (int64_t)(flags | VM_DONTDUMP);
	case MADV_DODUMP:
		return flags & (VM_IO | VM_DONTEXPAND) ? -EINVAL : (int64_t)(flags & ~VM_DONTDUMP);
	default:
		return -EINVAL;
	}
}

static bool advice_is_flag(int advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
		return true;
	default:
		return false;
	}
}

static bool advice_is_known(int advice)
{
	switch (advice) {
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return true;
	default:
		return advice_is_flag(advice);
	}
}

/* Entries become old; with clean, clean too (private memory: its dirty bit only tells that it was used). */
static void age_range(struct vm_area_struct *vma, vaddr_t start, vaddr_t end, bool clean)
{
	struct mmu_space *space = &vma->vm_mm->space;
	vaddr_t next;
	pte_t *pte;

	const vaddr_t from = start;

	for (; (pte = pt_next_leaf(space, &start, end)); start = next) {
		next = pt_leaf_end(start, end);
		pt_lock(pte);
		for (vaddr_t va = start; va != next; va += PAGE_SIZE, pte++) {
			pte_t old = pte_read(pte), aged;

			do
				aged = pte_mkold(clean ? pte_mkclean(old) : old);
			while (pte_present(old) && !pte_special(old) &&
			       !pte_cmpxchg(pte, &old, aged));
		}
		pt_unlock(pte - 1);
	}
	if (clean)
		mmu_flush_range(space, from, end);
}

/* MADV_REMOVE: a hole in the file. Memory only: others have no way to tell their file system. */
static int madvise_remove(struct vm_area_struct *vma, vaddr_t start, vaddr_t end)
{
	struct address_space *mapping;
	uint64_t from;

	if (vma->vm_flags & VM_LOCKED)
		return -EINVAL;
	if (!vma->vm_file)
		return -EINVAL;
	if ((vma->vm_flags & (VM_SHARED | VM_WRITE)) != (VM_SHARED | VM_WRITE))
		return -EACCES;
	mapping = vma->vm_file->f_mapping;
	if (!(mapping->flags & AS_SHMEM))
		return -EOPNOTSUPP;
	from = linear_page_index(vma, start) << PAGE_SHIFT;
	down_write(&mapping->invalidate_lock);
	truncate_pagecache_range(mapping, from, from + (end - start));
	up_write(&mapping->invalidate_lock);
	return 0;
}

/* Asks what the area was made for, not what the hardware would let through (vma_permits). */
static int madvise_populate(struct vm_area_struct *vma, vaddr_t start, vaddr_t end, bool write)
{
	if (!(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		return -EINVAL;
	return populate_vma_range(vma, start, end, write);
}

static int madvise_contents(struct vm_area_struct *vma, vaddr_t start, vaddr_t end, int advice)
{
	switch (advice) {
	case MADV_WILLNEED:
		if (vma->vm_file)
			filemap_read_ahead(vma->vm_file->f_mapping, linear_page_index(vma, start),
			                   (end - start) >> PAGE_SHIFT);
		return 0;
	case MADV_DONTNEED:
		if (vma->vm_flags & VM_LOCKED)
			return -EINVAL;
		zap_page_range(vma, start, end);
		return 0;
	case MADV_FREE:
		if (!vma_is_anonymous(vma) || (vma->vm_flags & VM_LOCKED))
			return -EINVAL;
		age_range(vma, start, end, true);
		return 0;
	case MADV_COLD:
	case MADV_PAGEOUT:
		if (vma->vm_flags & VM_LOCKED)
			return -EINVAL;
		age_range(vma, start, end, false);
		return 0;
	case MADV_REMOVE:
		return madvise_remove(vma, start, end);
	default:
		return madvise_populate(vma, start, end, advice == MADV_POPULATE_WRITE);
	}
}

static int madvise_area(struct vm_area_struct **vmap, vaddr_t start, vaddr_t end, int advice)
{
	struct vm_area_struct *vma = *vmap;
	int64_t flags;

	if (!advice_is_flag(advice))
		return madvise_contents(vma, start, end, advice);
	flags = advise_flags(vma, advice);
	if (flags < 0)
		return (int)flags;
	if ((uint64_t)flags == vma->vm_flags)
		return 0;
	vma = vma_modify_flags(vma, start, end, (uint64_t)flags);
	if (IS_ERR(vma))
		return -EAGAIN; /* madvise(2): kernel resources were unavailable */
	*vmap = vma;
	return 0;
}

/* Holes are passed over, but told at the end; populating stops at one. */
static int madvise_locked(struct mm_struct *mm, vaddr_t start, vaddr_t end, int advice)
{
	bool populate = advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE;
	struct vm_area_struct *vma = find_vma(mm, start);
	int unmapped = 0;

	while (start < end) {
		vaddr_t stop;
		int err;

		if (!vma || vma->vm_start >= end)
			return -ENOMEM;
		if (vma->vm_start > start) {
			if (populate)
				return -ENOMEM;
			unmapped = -ENOMEM;
			start = vma->vm_start;
		}
		stop = MIN(vma->vm_end, end);
		err = madvise_area(&vma, start, stop, advice);
		if (err)
			return err;
		start = stop;
		while (vma && vma->vm_end <= start)
			vma = vma->vm_next;
	}
	return unmapped;
}

int do_madvise(struct mm_struct *mm, vaddr_t addr, uint64_t len, int advice)
{
	vaddr_t end;
	int err;

	if (!advice_is_known(advice))
		return -EINVAL;
	err = check_range(addr, len, &end);
	if (err || end == addr)
		return err;
	if (advice_is_flag(advice)) {
		if (down_write_killable(&mm->mmap_lock))
			return -EINTR;
		err = madvise_locked(mm, addr, end, advice);
		up_write(&mm->mmap_lock);
	} else {
		down_read(&mm->mmap_lock);
		err = madvise_locked(mm, addr, end, advice);
		up_read(&mm->mmap_lock);
	}
	return err;
}
