/*
 * vma.c - areas in the tree and in the list.
 *
 * The list makes neighbours free to find, and they make the tree cheap: between two neighbours in order,
 * the left one has no right child or the right one no left child, so a new area between
 * them hangs there without a search. And the hole in front of an area is the distance
 * to vm_prev, so the summary of a node needs the node, its list neighbour and its two children.
 *
 * find_vma guesses first: programs fault again and again in one area (mm->vmacache). Readers share
 * the guess without a lock of their own: it is only believed when it contains the address, it
 * only changes areas under mmap_lock held for writing, and vma_erase forgets what it points to.
 */
#include <quire/errno.h>
#include "lib/rbtree_augmented.h"
#include "mm/space/space.h"

#define vma_of(node) rb_entry(node, struct vm_area_struct, vm_rb)

struct vm_area_struct *vma_alloc(struct mm_struct *mm)
{
	struct vm_area_struct *vma = kmem_cache_alloc(space_state()->vma_cache, GFP_KERNEL);

	if (!vma)
		return NULL;
	*vma = (struct vm_area_struct){.vm_mm = mm};
	INIT_LIST_HEAD(&vma->anon_vma_chain);
	return vma;
}

struct vm_area_struct *vma_dup(const struct vm_area_struct *vma)
{
	struct vm_area_struct *copy = kmem_cache_alloc(space_state()->vma_cache, GFP_KERNEL);

	if (!copy)
		return NULL;
	*copy = *vma;
	copy->anon_vma = NULL;
	INIT_LIST_HEAD(&copy->anon_vma_chain);
	if (copy->vm_file)
		get_vm_file(copy->vm_file);
	return copy;
}

void vma_free(struct vm_area_struct *vma)
{
	if (!list_empty(&vma->anon_vma_chain))
		unlink_anon_vmas(vma);
	if (vma->vm_file)
		put_vm_file(vma->vm_file);
	kmem_cache_free(space_state()->vma_cache, vma);
}

/* The hole that others may use in front of an area. */
static inline uint64_t vma_gap(const struct vm_area_struct *vma)
{
	vaddr_t end = vma->vm_prev ? vma->vm_prev->vm_end : 0, start = vm_start_gap(vma);

	return start > end ? start - end : 0;
}

static inline uint64_t subtree_gap(const struct rb_node *node)
{
	return node ? vma_of(node)->rb_subtree_gap : 0;
}

static inline bool vma_gap_compute(struct rb_node *node)
{
	struct vm_area_struct *vma = vma_of(node);
	uint64_t left = subtree_gap(node->rb_left), right = subtree_gap(node->rb_right);
	uint64_t gap = vma_gap(vma);

	gap = MAX(gap, MAX(left, right));
	if (gap == vma->rb_subtree_gap)
		return false;
	vma->rb_subtree_gap = gap;
	return true;
}

/* A hole that grew can only raise the summaries above; one that shrank has them computed anew. */
void vma_gap_update(struct vm_area_struct *vma)
{
	struct rb_node *node;
	uint64_t before, gap;

	if (!vma)
		return;
	before = vma->rb_subtree_gap;
	if (!vma_gap_compute(&vma->vm_rb))
		return;
	gap = vma->rb_subtree_gap;
	node = rb_parent(&vma->vm_rb);
	if (gap < before) {
		rb_propagate(node, vma_gap_compute);
		return;
	}
	for (; node && subtree_gap(node) < gap; node = rb_parent(node))
		vma_of(node)->rb_subtree_gap = gap;
}

struct vm_area_struct *find_vma(struct mm_struct *mm, vaddr_t addr)
{
	struct vm_area_struct *best = vma_guess(mm, addr);
	struct rb_node *node = mm->mm_rb.rb_node;

	if (likely(best))
		return best;
	while (node) {
		struct vm_area_struct *vma = vma_of(node);

		if (vma->vm_end <= addr) {
			node = node->rb_right;
			continue;
		}
		best = vma;
		if (vma->vm_start <= addr) {
			atomic_store_explicit(&mm->vmacache, best, memory_order_relaxed);
			break;
		}
		node = node->rb_left;
	}
	return best;
}

struct vm_area_struct *find_vma_prev(struct mm_struct *mm, vaddr_t addr,
                                     struct vm_area_struct **prev)
{
	struct vm_area_struct *vma = find_vma(mm, addr);
	struct rb_node *last;

	if (vma) {
		*prev = vma->vm_prev;
		return vma;
	}
	last = rb_last(&mm->mm_rb);
	*prev = last ? vma_of(last) : NULL;
	return NULL;
}

struct vm_area_struct *find_vma_intersection(struct mm_struct *mm, vaddr_t start, vaddr_t end)
{
	struct vm_area_struct *vma = find_vma(mm, start);

	return vma && vma->vm_start < end ? vma : NULL;
}

void vma_insert(struct mm_struct *mm, struct vm_area_struct *vma, struct vm_area_struct *prev)
{
	struct vm_area_struct *next = prev ? prev->vm_next : mm->mmap;

	vma->vm_prev = prev;
	vma->vm_next = next;
	if (prev)
		prev->vm_next = vma;
	else
		mm->mmap = vma;
	if (next)
		next->vm_prev = vma;
	else
		mm->highest_vm_end = vma->vm_end;
	if (prev && !prev->vm_rb.rb_right)
		rb_link_node(&vma->vm_rb, &prev->vm_rb, &prev->vm_rb.rb_right);
	else if (next)
		rb_link_node(&vma->vm_rb, &next->vm_rb, &next->vm_rb.rb_left);
	else
		rb_link_node(&vma->vm_rb, NULL, &mm->mm_rb.rb_node);
	/*
	 * The hole in front of next has changed too. One way up mostly corrects both; all of it before the tree turns, for a
	 * rotation must find summaries that only its two nodes can change.
	 */
	vma->rb_subtree_gap = vma_gap(vma);
	rb_propagate(rb_parent(&vma->vm_rb), vma_gap_compute);
	if (next && rb_parent(&vma->vm_rb) != &next->vm_rb)
		vma_gap_update(next);
	rb_insert_fixup(&vma->vm_rb, &mm->mm_rb, vma_gap_compute);
	mm->map_count++;
}

void vma_erase(struct mm_struct *mm, struct vm_area_struct *vma)
{
	struct vm_area_struct *prev = vma->vm_prev, *next = vma->vm_next;

	if (atomic_load_explicit(&mm->vmacache, memory_order_relaxed) == vma)
		atomic_store_explicit(&mm->vmacache, NULL, memory_order_relaxed);
	if (prev)
		prev->vm_next = next;
	else
		mm->mmap = next;
	if (next)
		next->vm_prev = prev;
	else
		mm->highest_vm_end = prev ? prev->vm_end : 0;
	vma_gap_update(next);
	rb_erase_augmented(&vma->vm_rb, &mm->mm_rb, vma_gap_compute);
	mm->map_count--;
}

void vma_link_file(struct vm_area_struct *vma)
{
	struct address_space *mapping;

	if (!vma->vm_file)
		return;
	mapping = vma->vm_file->f_mapping;
	down_write(&mapping->i_mmap_rwsem);
	vma_i_mmap_insert(vma, mapping);
	up_write(&mapping->i_mmap_rwsem);
	if (vma->vm_flags & VM_SHARED)
		atomic_fetch_add(&mapping->i_mmap_writable, 1);
}

void vma_unlink_file(struct vm_area_struct *vma)
{
	struct address_space *mapping;

	if (!vma->vm_file)
		return;
	mapping = vma->vm_file->f_mapping;
	down_write(&mapping->i_mmap_rwsem);
	interval_tree_remove(&vma->i_mmap_node, &mapping->i_mmap);
	up_write(&mapping->i_mmap_rwsem);
	if (vma->vm_flags & VM_SHARED)
		atomic_fetch_sub(&mapping->i_mmap_writable, 1);
}

void vma_link(struct mm_struct *mm, struct vm_area_struct *vma, struct vm_area_struct *prev)
{
	vma_insert(mm, vma, prev);
	vma_link_file(vma);
}

void vma_set_page_prot(struct vm_area_struct *vma)
{
	unsigned bits = 0;
	pgprot_t prot;

	if (vma->vm_flags & VM_ACCESS_FLAGS)
		bits |= MMU_READ | MMU_USER;
	if (vma->vm_flags & VM_EXEC)
		bits |= MMU_EXEC;
	if ((vma->vm_flags & (VM_SHARED | VM_WRITE)) == (VM_SHARED | VM_WRITE) &&
	    !vma_wants_writenotify(vma))
		bits |= MMU_WRITE;
	prot = mmu_pgprot(bits);
	__atomic_store(&vma->vm_page_prot, &prot, __ATOMIC_RELAXED);
}

void vm_stat_account(struct mm_struct *mm, uint64_t flags, int64_t pages)
{
	uint64_t n = (uint64_t)pages; /* modulo 2^64, negative too */

	mm->total_vm += n;
	if (mm->total_vm > mm->hiwater_vm)
		mm->hiwater_vm = mm->total_vm;
	if (flags & VM_LOCKED)
		mm->locked_vm += n;
	if (flags & VM_GROWSDOWN)
		mm->stack_vm += n;
	else if ((flags & (VM_EXEC | VM_WRITE)) == VM_EXEC)
		mm->exec_vm += n;
	else if ((flags & (VM_WRITE | VM_SHARED)) == VM_WRITE)
		mm->data_vm += n;
}

/* Sums that the list must give. */
struct vma_sums {
	uint64_t total, locked, data, exec, stack;
	unsigned count;
};

static void vma_sum(struct vma_sums *s, const struct vm_area_struct *vma)
{
	struct mm_struct one = {.total_vm = 0};

	vm_stat_account(&one, vma->vm_flags, (int64_t)vma_pages(vma));
	s->total += one.total_vm;
	s->locked += one.locked_vm;
	s->data += one.data_vm;
	s->exec += one.exec_vm;
	s->stack += one.stack_vm;
	s->count++;
}

static const char *vma_check(struct mm_struct *mm, struct vm_area_struct *vma,
                             struct vm_area_struct *prev)
{
	uint64_t gap = vma->rb_subtree_gap;

	if (vma->vm_mm != mm)
		return "space: an area of another mm";
	if (vma->vm_start >= vma->vm_end || vma->vm_end > mm->task_size)
		return "space: an area is empty or beyond the end";
	if ((vma->vm_start | vma->vm_end) & (PAGE_SIZE - 1))
		return "space: an area is not page aligned";
	if (vma->vm_prev != prev)
		return "space: vm_prev is wrong";
	if (prev && prev->vm_end > vma->vm_start)
		return "space: areas overlap";
	vma->rb_subtree_gap = gap + 1;
	if (!vma_gap_compute(&vma->vm_rb) || vma->rb_subtree_gap != gap)
		return "space: rb_subtree_gap is wrong";
	if (vma->vm_file && (vma->i_mmap_node.start != vma->vm_pgoff ||
	                     vma->i_mmap_node.last != vma->vm_pgoff + vma_pages(vma) - 1))
		return "space: i_mmap has another range than the area";
	if (vma->anon_vma && list_empty(&vma->anon_vma_chain))
		return "space: an anon_vma without a chain";
	return NULL;
}

const char *vma_tree_check(struct mm_struct *mm)
{
	struct vm_area_struct *vma, *prev = NULL;
	struct rb_node *node = rb_first(&mm->mm_rb);
	const char *broken = rb_check(&mm->mm_rb);
	struct vma_sums sums = {0};

	for (vma = mm->mmap; vma && !broken; prev = vma, vma = vma->vm_next) {
		if (node != &vma->vm_rb)
			return "space: list and tree differ";
		node = rb_next(node);
		vma_sum(&sums, vma);
		broken = vma_check(mm, vma, prev);
	}
	if (broken)
		return broken;
	if (node)
		return "space: the tree has more areas than the list";
	if (mm->highest_vm_end != (prev ? prev->vm_end : 0))
		return "space: highest_vm_end is wrong";
	if (sums.count != mm->map_count)
		return "space: map_count is wrong";
	if (sums.total != mm->total_vm || sums.locked != mm->locked_vm)
		return "space: total_vm or locked_vm is wrong";
	if (sums.data != mm->data_vm || sums.exec != mm->exec_vm || sums.stack != mm->stack_vm)
		return "space: data_vm, exec_vm or stack_vm is wrong";
	return NULL;
}
