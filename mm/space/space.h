/*
 * space.h - address spaces, inside mm/ (floors space and fault).
 *
 * An area's life: vma_alloc, fields, vma_link; or a piece of another by split_vma; or part of a neighbour by merging.
 *
 *     list    mmap -> [ A ] -> [ B ] -> [ C ]          address order, vm_prev and vm_next
 *     tree           B(gap)                            rb_subtree_gap: the largest hole in front of an
 *                   /     \                            area of the subtree, so that a hole is found in
 *               A(gap)   C(gap)                        O(log n) and a too crowded subtree skipped whole
 *
 * Invariants (space_check)
 *  1. Areas do not overlap, are page aligned, not empty, below task_size; list and tree agree.
 *  2. rb_subtree_gap is right at each node; map_count, total_vm and the other sums agree with the list.
 *  3. An area with a file is in i_mmap of its mapping, with its vm_pgoff; one without is not.
 *  4. Anonymous pages are found only in areas with an anon_vma, file pages only in areas of that file, at
 *     vm_pgoff + distance. Outside areas there are no entries.
 *
 * All functions here want mmap_lock held for writing, but for those that only look.
 */
#ifndef MM_SPACE_SPACE_H
#define MM_SPACE_SPACE_H

#include <quire/machine.h>
#include <quire/rmap.h>
#include <quire/slab.h>
#include <quire/trace.h>
#include "mm/pt/pt.h"

#define MMAP_MIN_ADDR        65536ull /* vm.mmap_min_addr: null pointers with an offset fault */
#define SYSCTL_MAX_MAP_COUNT 65530u   /* vm.max_map_count */
#define STACK_GUARD_GAP      (256ull << PAGE_SHIFT)
#define ANON_VMA_LOCK_BITS   5
#define NR_ANON_VMA_LOCKS    (1u << ANON_VMA_LOCK_BITS)

struct space_state {
	struct kmem_cache *mm_cache, *vma_cache, *anon_vma_cache, *avc_cache;
	_Atomic uint32_t next_mm_id;
	spinlock_t anon_vma_free[NR_ANON_VMA_LOCKS]; /* mm/rmap/anon_vma.c */
};

static inline struct space_state *space_state(void)
{
	return machine()->space;
}

static inline uint64_t vma_pages(const struct vm_area_struct *vma)
{
	return (vma->vm_end - vma->vm_start) >> PAGE_SHIFT;
}

/* The number of addr's page in what the area maps. */
static inline uint64_t linear_page_index(const struct vm_area_struct *vma, vaddr_t addr)
{
	return vma->vm_pgoff + ((addr - vma->vm_start) >> PAGE_SHIFT);
}

/* Where others must stop below the area: its start, or the guard gap of a stack. */
static inline vaddr_t vm_start_gap(const struct vm_area_struct *vma)
{
	if (likely(!(vma->vm_flags & VM_GROWSDOWN)))
		return vma->vm_start;
	return vma->vm_start > STACK_GUARD_GAP ? vma->vm_start - STACK_GUARD_GAP : 0;
}

/* Private and writable some day: a write copies, and needs an anon_vma. */
static inline bool is_cow_mapping(uint64_t flags)
{
	return (flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}

/* Must the file system hear of the first write to each page? Not memory: it is never written back. */
static inline bool vma_wants_writenotify(const struct vm_area_struct *vma)
{
	return !(vma->vm_file->f_mapping->flags & AS_SHMEM);
}

static inline bool vma_is_anonymous(const struct vm_area_struct *vma)
{
	return !vma->vm_file;
}

/* rss counter of a page, and a change of it. */
static inline enum rss_counter mm_counter(const struct page *page)
{
	if (PageAnon(page))
		return MM_ANONPAGES;
	return page_flag(page, PG_swapbacked) ? MM_SHMEMPAGES : MM_FILEPAGES;
}

static inline void add_mm_counter(struct mm_struct *mm, enum rss_counter member, int64_t n)
{
	int64_t before = atomic_fetch_add_explicit(&mm->rss[member], n, memory_order_relaxed);

	trace_rss_stat(mm->id, 1, member, (uint64_t)(before + n) * PAGE_SIZE);
}

/* The area found last, if it contains addr; else NULL. mmap_lock held. */
static inline struct vm_area_struct *vma_guess(struct mm_struct *mm, vaddr_t addr)
{
	struct vm_area_struct *vma = atomic_load_explicit(&mm->vmacache, memory_order_relaxed);

	return likely(vma && vma->vm_start <= addr && addr < vma->vm_end) ? vma : NULL;
}

/* vma.c: areas in the tree and the list. */
struct vm_area_struct *vma_alloc(struct mm_struct *mm);
struct vm_area_struct *
vma_dup(const struct vm_area_struct *vma); /* no links, no anon_vma; a file reference */
void vma_free(
        struct vm_area_struct *vma); /* unlinked; drops the file and the anon_vma chains. Sleeps. */
/* As find_vma; *prev is the area before the answer (the last one when NULL is returned), or NULL. */
struct vm_area_struct *find_vma_prev(struct mm_struct *mm, vaddr_t addr,
                                     struct vm_area_struct **prev);
struct vm_area_struct *find_vma_intersection(struct mm_struct *mm, vaddr_t start, vaddr_t end);
/* Into list, tree and i_mmap, after prev (NULL: first). */
void vma_link(struct mm_struct *mm, struct vm_area_struct *vma, struct vm_area_struct *prev);
/* Into list and tree only; out of them. */
void vma_insert(struct mm_struct *mm, struct vm_area_struct *vma, struct vm_area_struct *prev);
void vma_erase(struct mm_struct *mm, struct vm_area_struct *vma);
void vma_link_file(struct vm_area_struct *vma);
void vma_unlink_file(struct vm_area_struct *vma);
/* i_mmap_rwsem held for writing. */
static inline void vma_i_mmap_insert(struct vm_area_struct *vma, struct address_space *mapping)
{
	vma->i_mmap_node.start = vma->vm_pgoff;
	vma->i_mmap_node.last = vma->vm_pgoff + vma_pages(vma) - 1;
	interval_tree_insert(&vma->i_mmap_node, &mapping->i_mmap);
}

/* The hole in front of the area changed. NULL is nothing. */
void vma_gap_update(struct vm_area_struct *vma);
void vma_set_page_prot(struct vm_area_struct *vma); /* vm_page_prot from vm_flags */
void vm_stat_account(struct mm_struct *mm, uint64_t flags, int64_t pages);
const char *vma_tree_check(struct mm_struct *mm);

/* merge.c: areas become one, or two. */
/* A new mapping of [start, end), no pages yet, becomes part of its neighbours if it can: the area, or NULL. */
struct vm_area_struct *vma_merge_new(struct mm_struct *mm, struct vm_area_struct *prev,
                                     vaddr_t start, vaddr_t end, uint64_t flags,
                                     struct vm_file *file, uint64_t pgoff);
/* [start, end), within vma, gets flags: split and merge as needed. The area that holds the range, or ERR_PTR(-ENOMEM). */
struct vm_area_struct *vma_modify_flags(struct vm_area_struct *vma, vaddr_t start, vaddr_t end,
                                        uint64_t flags);
/* The area may continue its neighbours: the area that it is then. */
struct vm_area_struct *vma_merge_neighbours(struct vm_area_struct *vma);
/* Cut in two at addr: vma keeps [start, addr) and its identity. 0 or -ENOMEM. */
MUST_USE int split_vma(struct mm_struct *mm, struct vm_area_struct *vma, vaddr_t addr);
/* Move the ends of an area over holes or away from them; pages outside are gone already. */
void vma_resize(struct vm_area_struct *vma, vaddr_t start, vaddr_t end);

/* gap.c: where there is room. */
struct vm_unmapped_area_info {
	uint64_t length;
	vaddr_t low, high; /* within [low, high) */
};
/* Lowest, highest address of a hole that fits, or -ENOMEM. */
int64_t vm_unmapped_area_bottomup(struct mm_struct *mm, const struct vm_unmapped_area_info *info);
int64_t vm_unmapped_area_topdown(struct mm_struct *mm, const struct vm_unmapped_area_info *info);
/* mmap's choice, or the errors of mmap(2). */
int64_t get_unmapped_area(struct mm_struct *mm, vaddr_t addr, uint64_t len, int flags);

/* limits.c: what a process may have. */
bool may_expand_vm(struct mm_struct *mm, uint64_t flags, uint64_t pages);
bool may_have_data(struct mm_struct *mm, uint64_t flags,
                   uint64_t pages); /* of an area of these flags */
bool overcommit_refuses(
        uint64_t pages); /* vm.overcommit_memory = 0: one request larger than all memory */
int may_lock(struct mm_struct *mm, uint64_t pages); /* 0, -EPERM, -EAGAIN */

/* munmap.c */
/* As do_munmap with the lock held. */
MUST_USE int do_vma_munmap(struct mm_struct *mm, vaddr_t start, uint64_t len);
void exit_mmap(struct mm_struct *mm);

/* mmap.c */
/* Common checks of a range of a call: 0, -EINVAL, -ENOMEM; *end is its page-aligned end. */
MUST_USE int check_range(vaddr_t addr, uint64_t len, vaddr_t *end);

/* fault: zap.c. only_file: keep private copies (what truncation asks unless even_cows). */
/* Remove the entries of [start, end), within vma, and what they hold. mmap_lock held, or the rmap lock that pins vma. */
void zap_range(struct mmu_gather *tlb, struct vm_area_struct *vma, vaddr_t start, vaddr_t end,
               bool only_file);
void zap_page_range(struct vm_area_struct *vma, vaddr_t start, vaddr_t end); /* and flush, free */

/* fault: fork.c */
MUST_USE int copy_page_range(struct vm_area_struct *dst, struct vm_area_struct *src);

/* fault: protect.c. The area's flags and vm_page_prot are the new ones. Flushes. */
void change_protection(struct vm_area_struct *vma, vaddr_t start, vaddr_t end);

/* fault: move.c. Move entries; -ENOMEM: those of [old, old + *moved) have moved. */
MUST_USE int move_page_tables(struct vm_area_struct *vma, vaddr_t old,
                              struct vm_area_struct *new_vma, vaddr_t new_addr, uint64_t len,
                              uint64_t *moved);

/* fault: fault.c. mmap_lock held for reading; the area allows the access. Emits no event of its own kind. */
enum fault_result fault_in_vma(struct vm_area_struct *vma, vaddr_t addr, unsigned access,
                               struct fault_stats *stats);
bool vma_permits(const struct vm_area_struct *vma, unsigned access);
/* fault: stack.c. mmap_lock held for writing. 0 or -ENOMEM. */
MUST_USE int expand_stack(struct vm_area_struct *vma, vaddr_t addr);
/* fault: gup.c. Fault pages of [start, end) in, areas permitting; mmap_lock held for reading. 0 or negative errno. */
MUST_USE int populate_vma_range(struct vm_area_struct *vma, vaddr_t start, vaddr_t end, bool write);

#endif
