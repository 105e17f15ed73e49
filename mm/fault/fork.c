/*
 * fork.c - a copy of an address space that shares every page until somebody writes (mechanism 5.7).
 *
 * Areas are copied in order, each linked behind the one before. Entries are copied only where something would be lost:
 * an area without an anon_vma has no page of its own, so the child just faults its pages in from the file,
 * or gets zeros, as its parent would. Where there are private pages, both sides' entries become read-only
 * and the page counts one mapping and one reference more; cow.c does the rest.
 *
 * The parent may run on other CPUs with writable translations, so its TLBs are flushed once, at the end, before
 * mmap_lock is released: until then no write fault can copy a page (it needs the lock), and no
 * write through an old translation is seen by the child, for the child does not run yet.
 *
 * Any failure unwinds by ending the child's address space, which is complete up to where it got.
 */
#include <quire/migrate.h>
#include "mm/fault/fault.h"
#include "mm/rmap/rmap.h"

/* The parent's entry from now on, as the child gets it but for its age. ptl held. */
static inline pte_t share_entry(pte_t *pte, pte_t entry)
{
	while (pte_write(entry)) {
		pte_t shared = pte_wrprotect(entry);

		if (pte_cmpxchg(pte, &entry, shared))
			return shared;
	}
	return entry;
}

/* One entry and one reference more; pages of programs are single frames. Whose count it is in the child's mm. */
static inline enum rss_counter share_page(struct page *page)
{
	atomic_fetch_add_explicit(&page->_refcount, 1, memory_order_relaxed);
	page_map_one(page);
	return mm_counter(page);
}

/* A private page that is just being moved: the child waits for it too, and neither may write to it unasked. ptls held. */
static enum rss_counter share_migration(pte_t *to, pte_t *from, pte_t entry)
{
	entry = migration_entry_wrprotect(entry);
	pte_set(from, entry);
	pte_set(to, entry);
	return mm_counter(migration_entry_page(entry));
}

/*
 * The entries of [addr, end), both in one table; they are 20 instructions a page, and what is counted is counted once. The area is
 * private: shared ones have no anon_vma.
 */
static void copy_table(struct mm_struct *mm, pte_t *to, pte_t *from, vaddr_t addr, vaddr_t end)
{
	int64_t rss[NR_MM_COUNTERS] = {0};
	pte_t *first_to = to, *first_from = from;
	int32_t entries = 0;

	pt_lock_two(first_to, first_from);
	for (; addr != end; addr += PAGE_SIZE, to++, from++) {
		pte_t entry = pte_read(from);

		if (unlikely(!pte_present(entry))) {
			const size_t gap = pte_none(entry) ? pt_gap(from, addr, end) : 0;

			if (is_migration_entry(entry)) {
				rss[share_migration(to, from, entry)]++;
				entries++;
			}
			addr += gap * PAGE_SIZE;
			from += gap;
			to += gap;
			continue;
		}
		entry = pte_mkold(share_entry(from, entry));
		if (likely(!pte_special(entry)))
			rss[share_page(pfn_to_page(pte_pfn(entry)))]++;
		pte_set(to, entry);
		mmu_update(&mm->space, addr, entry);
		entries++;
	}
	pt_count(first_to, entries);
	pt_unlock_two(first_to, first_from);
	for (unsigned i = 0; i < NR_MM_COUNTERS; i++)
		if (rss[i])
			add_mm_counter(mm, (enum rss_counter)i, rss[i]);
	count_n(FORK_PTES, (uint64_t)entries);
}

int copy_page_range(struct vm_area_struct *dst, struct vm_area_struct *src)
{
	struct mmu_space *space = &src->vm_mm->space;
	vaddr_t addr = src->vm_start, next;
	pte_t *from, *to;

	for (; (from = pt_next_leaf(space, &addr, src->vm_end)); addr = next) {
		next = pt_leaf_end(addr, src->vm_end);
		if (pt_is_empty(from))
			continue;
		to = pt_alloc(dst->vm_mm, addr);
		if (!to)
			return -ENOMEM;
		copy_table(dst->vm_mm, to, from, addr, next);
	}
	return 0;
}

/* The child's area for src, linked behind prev. */
static struct vm_area_struct *copy_area(struct mm_struct *mm, struct vm_area_struct *src,
                                        struct vm_area_struct *prev)
{
	struct vm_area_struct *vma = vma_dup(src);

	if (!vma)
		return NULL;
	vma->vm_mm = mm;
	vma->vm_flags &= ~(VM_LOCKED | VM_LOCKONFAULT);
	if (!(src->vm_flags & VM_WIPEONFORK) && anon_vma_fork(vma, src)) {
		vma_free(vma);
		return NULL;
	}
	vma_link(mm, vma, prev);
	vm_stat_account(mm, vma->vm_flags, (int64_t)vma_pages(vma));
	return vma;
}

static int copy_areas(struct mm_struct *mm, struct mm_struct *old)
{
	struct vm_area_struct *src, *vma = NULL;

	for_each_vma(old, src) {
		if (src->vm_flags & VM_DONTCOPY)
			continue;
		vma = copy_area(mm, src, vma);
		if (!vma)
			return -ENOMEM;
		if (vma->anon_vma && copy_page_range(vma, src))
			return -ENOMEM;
	}
	return 0;
}

/* The image's layout and limits. */
static void copy_layout(struct mm_struct *mm, struct mm_struct *old)
{
	mm->task_size = old->task_size;
	mm->limits = old->limits;
	mm->start_code = old->start_code;
	mm->end_code = old->end_code;
	mm->start_data = old->start_data;
	mm->end_data = old->end_data;
	mm->start_brk = old->start_brk;
	mm->brk = old->brk;
	mm->start_stack = old->start_stack;
	mm->arg_start = old->arg_start;
	mm->arg_end = old->arg_end;
	mm->env_start = old->env_start;
	mm->env_end = old->env_end;
	for (unsigned i = 0; i < ARRAY_SIZE(mm->saved_auxv); i++)
		mm->saved_auxv[i] = old->saved_auxv[i];
	mm->exe_file = old->exe_file ? get_vm_file(old->exe_file) : NULL;
}

struct mm_struct *dup_mm(struct mm_struct *old)
{
	struct mm_struct *mm = mm_alloc(old->mmap_base);
	int err;

	if (!mm)
		return ERR_PTR(-ENOMEM);
	if (down_write_killable(&old->mmap_lock)) {
		mmput(mm);
		return ERR_PTR(-EINTR);
	}
	copy_layout(mm, old);
	err = copy_areas(mm, old);
	mmu_flush_space(&old->space);
	up_write(&old->mmap_lock);
	if (err) {
		mmput(mm);
		return ERR_PTR(err);
	}
	count(FORK_MM);
	trace_fork_mm(old->id, mm->id);
	return mm;
}
