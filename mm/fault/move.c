/*
 * move.c - entries move to other addresses (mremap).
 *
 * A table at a time: the target's table is made first, then reverse mapping is held off (a walk that looked at
 * the new place before and at the old one after would miss the page), both tables are locked, and what the
 * one loses the other gets. The old translations are flushed before the locks go: nobody may write through the
 * old address once the page can be found, and made read-only or taken away, at the new one.
 */
#include "mm/fault/fault.h"
#include "mm/rmap/anon_vma.h"

static void rmap_hold(struct vm_area_struct *vma)
{
	if (vma->vm_file)
		down_write(&vma->vm_file->f_mapping->i_mmap_rwsem);
	if (vma->anon_vma)
		anon_vma_lock_write(vma->anon_vma);
}

static void rmap_release(struct vm_area_struct *vma)
{
	if (vma->anon_vma)
		anon_vma_unlock_write(vma->anon_vma);
	if (vma->vm_file)
		up_write(&vma->vm_file->f_mapping->i_mmap_rwsem);
}

static void move_entries(struct mmu_space *space, pte_t *from, pte_t *to, vaddr_t old, vaddr_t addr,
                         uint64_t len)
{
	pte_t *first_from = from, *first_to = to;
	bool moved = false;

	pt_lock_two(first_from, first_to);
	for (vaddr_t end = old + len; old != end;
	     old += PAGE_SIZE, addr += PAGE_SIZE, from++, to++) {
		pte_t entry;

		if (pte_none(pte_read(from)))
			continue;
		entry = pt_clear(from);
		pt_install(space, addr, to, entry);
		moved = true;
	}
	if (moved)
		mmu_flush_range(space, old - len, old);
	pt_unlock_two(first_from, first_to);
}

int move_page_tables(struct vm_area_struct *vma, vaddr_t old, struct vm_area_struct *new_vma,
                     vaddr_t new_addr, uint64_t len, uint64_t *moved)
{
	struct mmu_space *space = &vma->vm_mm->space;
	const vaddr_t end = old + len;
	vaddr_t from = old, to, next;
	pte_t *src, *dst;

	*moved = 0;
	for (; (src = pt_next_leaf(space, &from, end)); from = next) {
		*moved = from - old;
		to = new_addr + (from - old);
		next = pt_leaf_end(from, end);
		/* The piece ends where either table ends. */
		next = from + MIN(next - from, pt_leaf_end(to, to + (next - from)) - to);
		if (pt_is_empty(src))
			continue;
		dst = pt_alloc(new_vma->vm_mm, to);
		if (!dst)
			return -ENOMEM;
		rmap_hold(vma);
		move_entries(space, src, dst, from, to, next - from);
		rmap_release(vma);
	}
	*moved = len;
	return 0;
}
