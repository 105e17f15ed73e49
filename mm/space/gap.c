/*
 * gap.c - where is there room for a mapping?
 *
 * A hole lies in front of each area, and one behind the last. The tree knows the largest hole of every subtree,
 * so a search goes straight down to a hole that is large enough, and walks on only when the hole that it
 * finds lies outside the wanted limits. Top down (from mmap_base, below the stack) is the rule, so that new
 * mappings lie next to each other and merge; bottom up serves MAP_32BIT and what is left when
 * nothing is free below mmap_base.
 *
 * Sources: CLRS 14.2 (augmenting); Lespinasse's gap search in Linux 3.8.
 */
#include <quire/errno.h>
#include "mm/space/space.h"

/* Where MAP_32BIT looks: mmap(2), "the first 2 Gigabytes"; the lower one is left to programs' images. */
#define MAP_32BIT_START 0x40000000ull
#define MAP_32BIT_END   0x80000000ull

#define vma_of(node) rb_entry(node, struct vm_area_struct, vm_rb)

static bool subtree_fits(const struct rb_node *node, uint64_t length)
{
	return node && vma_of(node)->rb_subtree_gap >= length;
}

/* The part of the hole [start, end) that the limits leave holds length bytes. */
static bool hole_fits(vaddr_t start, vaddr_t end, const struct vm_unmapped_area_info *info)
{
	start = MAX(start, info->low);
	end = MIN(end, info->high);
	return end > start && end - start >= info->length;
}

static vaddr_t hole_start(const struct vm_area_struct *vma)
{
	return vma->vm_prev ? vma->vm_prev->vm_end : 0;
}

/* The parent that has node on the given side (0: left, 1: right), going up as far as needed. */
static struct rb_node *ascend(struct rb_node *node, unsigned side)
{
	struct rb_node *parent;

	while ((parent = rb_parent(node)) && parent->child[side] != node)
		node = parent;
	return parent;
}

/*
 * In order from the right; *fit is the area whose front hole fits. Right subtrees that begin at or above high, and left
 * ones once low is reached, are not entered.
 */
static struct vm_area_struct *last_fitting(struct mm_struct *mm,
                                           const struct vm_unmapped_area_info *info)
{
	struct rb_node *node = mm->mm_rb.rb_node;
	bool descend = true;

	if (!subtree_fits(node, info->length))
		return NULL;
	while (node) {
		struct vm_area_struct *vma = vma_of(node);

		if (descend && vma->vm_end < info->high &&
		    subtree_fits(node->rb_right, info->length)) {
			node = node->rb_right;
			continue;
		}
		if (hole_fits(hole_start(vma), vm_start_gap(vma), info))
			return vma;
		if (hole_start(vma) <= info->low)
			return NULL;
		descend = subtree_fits(node->rb_left, info->length);
		node = descend ? node->rb_left : ascend(node, 1);
	}
	return NULL;
}

static struct vm_area_struct *first_fitting(struct mm_struct *mm,
                                            const struct vm_unmapped_area_info *info)
{
	struct rb_node *node = mm->mm_rb.rb_node;
	bool descend = true;

	if (!subtree_fits(node, info->length))
		return NULL;
	while (node) {
		struct vm_area_struct *vma = vma_of(node);

		if (descend && vma->vm_start > info->low &&
		    subtree_fits(node->rb_left, info->length)) {
			node = node->rb_left;
			continue;
		}
		if (hole_fits(hole_start(vma), vm_start_gap(vma), info))
			return vma;
		if (vma->vm_end >= info->high)
			return NULL;
		descend = subtree_fits(node->rb_right, info->length);
		node = descend ? node->rb_right : ascend(node, 0);
	}
	return NULL;
}

int64_t vm_unmapped_area_topdown(struct mm_struct *mm, const struct vm_unmapped_area_info *info)
{
	struct vm_area_struct *vma;
	vaddr_t addr;

	if (hole_fits(mm->highest_vm_end, info->high, info)) {
		addr = info->high - info->length;
	} else {
		vma = last_fitting(mm, info);
		if (!vma)
			return -ENOMEM;
		addr = MIN(vm_start_gap(vma), info->high) - info->length;
	}
	trace_vm_unmapped_area(addr, mm->total_vm, info->length, info->low, info->high);
	return (int64_t)addr;
}

int64_t vm_unmapped_area_bottomup(struct mm_struct *mm, const struct vm_unmapped_area_info *info)
{
	struct vm_area_struct *vma = first_fitting(mm, info);
	vaddr_t addr;

	if (vma)
		addr = MAX(hole_start(vma), info->low);
	else if (hole_fits(mm->highest_vm_end, info->high, info))
		addr = MAX(mm->highest_vm_end, info->low);
	else
		return -ENOMEM;
	trace_vm_unmapped_area(addr, mm->total_vm, info->length, info->low, info->high);
	return (int64_t)addr;
}

/* Does [addr, addr + len) end at limit, and is it free, guard gaps of stacks included? */
static bool range_is_free(struct mm_struct *mm, vaddr_t addr, uint64_t len, vaddr_t limit)
{
	struct vm_area_struct *vma;

	if (addr < MMAP_MIN_ADDR || len > limit || addr > limit - len)
		return false;
	vma = find_vma(mm, addr);
	return !vma || addr + len <= vm_start_gap(vma);
}

int64_t get_unmapped_area(struct mm_struct *mm, vaddr_t addr, uint64_t len, int flags)
{
	struct vm_unmapped_area_info info = {len, MMAP_MIN_ADDR, mm->mmap_base};
	int64_t found;

	if (len > mm->task_size)
		return -ENOMEM;
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (addr > mm->task_size - len)
			return -ENOMEM;
		if (addr & (PAGE_SIZE - 1))
			return -EINVAL;
		if (addr < MMAP_MIN_ADDR)
			return -EPERM;
		if ((flags & MAP_FIXED_NOREPLACE) && find_vma_intersection(mm, addr, addr + len))
			return -EEXIST;
		return (int64_t)addr;
	}
	addr = PAGE_ALIGN(addr);
	if (addr && range_is_free(mm, addr, len, flags & MAP_32BIT ? MAP_32BIT_END : mm->task_size))
		return (int64_t)addr;
	if (flags & MAP_32BIT) {
		info.low = MAP_32BIT_START;
		info.high = MAP_32BIT_END;
		return vm_unmapped_area_bottomup(mm, &info);
	}
	found = vm_unmapped_area_topdown(mm, &info);
	if (found >= 0)
		return found;
	info.low = mm->mmap_base;
	info.high = mm->task_size;
	return vm_unmapped_area_bottomup(mm, &info);
}
