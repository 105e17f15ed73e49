/*
 * merge.c - areas that become one, and one that becomes two.
 *
 * Fewer areas make everything cheaper, so neighbours that are alike are one area: same flags, same file,
 * pages that continue, and anon_vmas that can be shared. Linux has eight cases for this; here there is one
 * move: the boundary between two neighbours shifts, and either may vanish by it.
 *
 *     shift_boundary(L, R, addr)     | L      |   R    |
 *         addr inside R              | L          | R  |      no allocation at all
 *         addr inside L              | L  |          R |
 *         addr == R->vm_end          | L               |      R is freed
 *         addr == L->vm_start        |               R |      L is freed
 *
 *  - a mapping next to an area of its kind: the area grows over the hole; if it now touches the
 *    area behind, of the same kind too, the boundary shifts to that one's end;
 *  - new flags for part of an area, whose neighbour has those flags already (mprotect moving on
 *    through a heap): the boundary shifts;
 *  - otherwise the part is split off.
 *
 * Whoever finds pages by rmap computes addresses from vm_start and vm_pgoff; so these change under the locks of the rmap
 * trees that the area is in. An area in none (fresh anonymous memory) needs no lock.
 *
 * The area that takes pages over must be in all the anon_vmas of the one that gives: it clones the chains when it
 * has none. Two areas with different anon_vmas stay two.
 */
#include <quire/errno.h>
#include "mm/rmap/anon_vma.h"
#include "mm/space/space.h"

/* What two areas, or an area and a request, must have in common. */
struct vma_kind {
	uint64_t flags;
	struct vm_file *file;
	struct anon_vma *anon_vma;
	uint64_t pgoff; /* of the first page */
};

static bool anon_vmas_mergeable(const struct anon_vma *a, const struct anon_vma *b)
{
	return a == b || !a || !b;
}

/* kind would begin where vma ends. */
static bool can_merge_after(const struct vm_area_struct *vma, const struct vma_kind *kind)
{
	return vma->vm_flags == kind->flags && vma->vm_file == kind->file &&
	       vma->vm_pgoff + vma_pages(vma) == kind->pgoff &&
	       anon_vmas_mergeable(vma->anon_vma, kind->anon_vma);
}

/* kind, of so many pages, would end where vma begins. */
static bool can_merge_before(const struct vm_area_struct *vma, const struct vma_kind *kind,
                             uint64_t pages)
{
	return vma->vm_flags == kind->flags && vma->vm_file == kind->file &&
	       vma->vm_pgoff == kind->pgoff + pages &&
	       anon_vmas_mergeable(vma->anon_vma, kind->anon_vma);
}

/* The locks that guard the geometry of areas of one file and one anon_vma; either may be missing. */
static void lock_geometry(struct vm_file *file, struct anon_vma *anon_vma)
{
	if (file)
		down_write(&file->f_mapping->i_mmap_rwsem);
	if (anon_vma)
		anon_vma_lock_write(anon_vma);
}

static void unlock_geometry(struct vm_file *file, struct anon_vma *anon_vma)
{
	if (anon_vma)
		anon_vma_unlock_write(anon_vma);
	if (file)
		up_write(&file->f_mapping->i_mmap_rwsem);
}

/* Geometry locked. */
static void set_range(struct vm_area_struct *vma, vaddr_t start, vaddr_t end)
{
	struct address_space *mapping = vma->vm_file ? vma->vm_file->f_mapping : NULL;

	if (mapping)
		interval_tree_remove(&vma->i_mmap_node, &mapping->i_mmap);
	vma->vm_pgoff += (uint64_t)((int64_t)(start - vma->vm_start) >> PAGE_SHIFT);
	vma->vm_start = start;
	vma->vm_end = end;
	if (mapping)
		vma_i_mmap_insert(vma, mapping);
}

void vma_resize(struct vm_area_struct *vma, vaddr_t start, vaddr_t end)
{
	const bool front = start != vma->vm_start, back = end != vma->vm_end;

	lock_geometry(vma->vm_file, vma->anon_vma);
	set_range(vma, start, end);
	unlock_geometry(vma->vm_file, vma->anon_vma);
	if (front)
		vma_gap_update(vma);
	if (back && vma->vm_next)
		vma_gap_update(vma->vm_next);
	else if (back)
		vma->vm_mm->highest_vm_end = end;
}

/*
 * Geometry locked. Nothing is left of an area whose neighbour takes all: it leaves the file's tree, and a walk that
 * still meets it in the chains of an anon_vma passes by. Or entries would be found twice, once in each.
 */
static void set_nothing(struct vm_area_struct *vma, vaddr_t addr)
{
	if (vma->vm_file)
		interval_tree_remove(&vma->i_mmap_node, &vma->vm_file->f_mapping->i_mmap);
	vma->vm_start = vma->vm_end = addr;
}

/* Take an area away that is nothing any more; its neighbour has its pages and at least its anon_vmas. */
static void absorb(struct vm_area_struct *vma)
{
	vma_erase(vma->vm_mm, vma);
	if (vma->vm_file && (vma->vm_flags & VM_SHARED))
		atomic_fetch_sub(&vma->vm_file->f_mapping->i_mmap_writable, 1);
	vma_free(vma);
	count(VMA_MERGE);
}

/*
 * 0, or -ENOMEM with nothing changed. There is no hole between the two and there will be none, so no hole changes until
 * vma_erase() takes one of them away.
 */
static int shift_boundary(struct vm_area_struct *left, struct vm_area_struct *right, vaddr_t addr)
{
	bool left_grows = addr > right->vm_start;
	struct vm_area_struct *taker = left_grows ? left : right;
	struct vm_area_struct *giver = left_grows ? right : left;
	bool vanishes = addr == right->vm_end || addr == left->vm_start;

	if (giver->anon_vma && !taker->anon_vma && anon_vma_clone(taker, giver))
		return -ENOMEM;
	lock_geometry(taker->vm_file, taker->anon_vma);
	if (left_grows)
		set_range(left, left->vm_start, addr);
	else
		set_range(right, addr, right->vm_end);
	if (vanishes)
		set_nothing(giver, addr);
	else if (left_grows)
		set_range(right, addr, right->vm_end);
	else
		set_range(left, left->vm_start, addr);
	unlock_geometry(taker->vm_file, taker->anon_vma);
	if (vanishes)
		absorb(giver);
	return 0;
}

struct vm_area_struct *vma_merge_new(struct mm_struct *mm, struct vm_area_struct *prev,
                                     vaddr_t start, vaddr_t end, uint64_t flags,
                                     struct vm_file *file, uint64_t pgoff)
{
	const struct vma_kind kind = {flags, file, NULL, pgoff};
	struct vm_area_struct *next = prev ? prev->vm_next : mm->mmap;
	bool after = prev && prev->vm_end == start && can_merge_after(prev, &kind);
	bool before = next && next->vm_start == end &&
	              can_merge_before(next, &kind, (end - start) >> PAGE_SHIFT);

	if (after) {
		vma_resize(prev, prev->vm_start, end);
		if (before && anon_vmas_mergeable(prev->anon_vma, next->anon_vma))
			(void)!shift_boundary(prev, next, next->vm_end);
		count(VMA_MERGE);
		return prev;
	}
	if (!before)
		return NULL;
	vma_resize(next, start, next->vm_end);
	count(VMA_MERGE);
	return next;
}

int split_vma(struct mm_struct *mm, struct vm_area_struct *vma, vaddr_t addr)
{
	struct vm_area_struct *tail;
	vaddr_t end = vma->vm_end;

	if (mm->map_count >= SYSCTL_MAX_MAP_COUNT)
		return -ENOMEM;
	tail = vma_dup(vma);
	if (!tail)
		return -ENOMEM;
	/* Nothing yet: a walk that finds it in the chains must not visit the entries twice. */
	tail->vm_start = tail->vm_end = addr;
	tail->vm_pgoff = linear_page_index(vma, addr);
	if (anon_vma_clone(tail, vma))
		goto no_anon_vma;

	lock_geometry(vma->vm_file, vma->anon_vma);
	set_range(vma, vma->vm_start, addr);
	tail->vm_end = end;
	if (tail->vm_file)
		vma_i_mmap_insert(tail, tail->vm_file->f_mapping);
	unlock_geometry(vma->vm_file, vma->anon_vma);
	if (tail->vm_file && (tail->vm_flags & VM_SHARED))
		atomic_fetch_add(&tail->vm_file->f_mapping->i_mmap_writable, 1);
	vma_insert(mm, tail, vma);
	count(VMA_SPLIT);
	return 0;

no_anon_vma:
	vma_free(tail);
	return -ENOMEM;
}

static void set_flags(struct vm_area_struct *vma, uint64_t flags)
{
	const int64_t pages = (int64_t)vma_pages(vma);

	vm_stat_account(vma->vm_mm, vma->vm_flags, -pages);
	__atomic_store_n(&vma->vm_flags, flags, __ATOMIC_RELAXED);
	vm_stat_account(vma->vm_mm, flags, pages);
	vma_set_page_prot(vma);
}

/* The part [start, end) of vma changes sides to a neighbour that has the flags. */
static bool give_to_neighbour(struct vm_area_struct *vma, struct vm_area_struct *neighbour,
                              vaddr_t start, vaddr_t end)
{
	struct mm_struct *mm = vma->vm_mm;
	const int64_t pages = (int64_t)((end - start) >> PAGE_SHIFT);
	uint64_t old_flags = vma->vm_flags;
	int err;

	if (neighbour == vma->vm_prev)
		err = shift_boundary(neighbour, vma, end);
	else
		err = shift_boundary(vma, neighbour, start);
	if (err)
		return false;
	vm_stat_account(mm, old_flags, -pages);
	vm_stat_account(mm, neighbour->vm_flags, pages);
	return true;
}

/* All of vma has changed: it may now continue its neighbours. */
struct vm_area_struct *vma_merge_neighbours(struct vm_area_struct *vma)
{
	struct vm_area_struct *prev = vma->vm_prev, *next = vma->vm_next;
	struct vma_kind kind = {vma->vm_flags, vma->vm_file, vma->anon_vma, vma->vm_pgoff};

	if (next && next->vm_start == vma->vm_end && can_merge_before(next, &kind, vma_pages(vma)))
		(void)!shift_boundary(vma, next, next->vm_end);
	kind.anon_vma = vma->anon_vma;
	if (prev && prev->vm_end == vma->vm_start && can_merge_after(prev, &kind) &&
	    !shift_boundary(prev, vma, vma->vm_end))
		return prev;
	return vma;
}

struct vm_area_struct *vma_modify_flags(struct vm_area_struct *vma, vaddr_t start, vaddr_t end,
                                        uint64_t flags)
{
	struct mm_struct *mm = vma->vm_mm;
	struct vm_area_struct *prev = vma->vm_prev, *next = vma->vm_next;
	const struct vma_kind kind = {flags, vma->vm_file, vma->anon_vma,
	                              linear_page_index(vma, start)};
	bool front = start == vma->vm_start, back = end == vma->vm_end;

	if (front && !back && prev && prev->vm_end == start && can_merge_after(prev, &kind) &&
	    give_to_neighbour(vma, prev, start, end))
		return prev;
	if (back && !front && next && next->vm_start == end &&
	    can_merge_before(next, &kind, (end - start) >> PAGE_SHIFT) &&
	    give_to_neighbour(vma, next, start, end))
		return next;
	if (!front) {
		if (split_vma(mm, vma, start))
			return ERR_PTR(-ENOMEM);
		vma = vma->vm_next;
	}
	if (!back && split_vma(mm, vma, end))
		return ERR_PTR(-ENOMEM);
	set_flags(vma, flags);
	return vma_merge_neighbours(vma);
}
