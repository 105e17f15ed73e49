/*
 * mm.c - an address space is made, shared and ended.
 *
 * Two counts. mm_users: tasks that run in it; when the last leaves, everything in it goes. mm_count: those
 * who may still look at the struct or run on its (then empty) tables, as kernel threads do; all users together
 * hold one of it.
 */
#include <quire/errno.h>
#include "mm/rmap/anon_vma.h"
#include "mm/space/space.h"

void space_init(void)
{
	struct space_state *s = kzalloc(sizeof(*s), GFP_KERNEL);
	const unsigned flags = SLAB_HWCACHE_ALIGN | SLAB_PANIC;

	if (!s)
		port_panic("space: no memory for the first structures");
	machine()->space = s;
	s->mm_cache = kmem_cache_create("mm_struct", sizeof(struct mm_struct), 0, flags, NULL);
	s->vma_cache =
	        kmem_cache_create("vm_area_struct", sizeof(struct vm_area_struct), 0, flags, NULL);
	s->anon_vma_cache =
	        kmem_cache_create("anon_vma", sizeof(struct anon_vma), 0, SLAB_PANIC, NULL);
	s->avc_cache = kmem_cache_create("anon_vma_chain", sizeof(struct anon_vma_chain), 0,
	                                 SLAB_PANIC, NULL);
}

struct mm_struct *mm_alloc(vaddr_t mmap_base)
{
	struct mm_struct *mm = kmem_cache_alloc(space_state()->mm_cache, GFP_KERNEL | __GFP_ZERO);

	if (!mm)
		return NULL;
	init_rwsem(&mm->mmap_lock);
	spin_lock_init(&mm->page_table_lock);
	mm->mm_rb = RB_ROOT;
	refcount_set(&mm->mm_users, 1);
	refcount_set(&mm->mm_count, 1);
	mm->id = atomic_fetch_add(&space_state()->next_mm_id, 1) + 1;
	mm->mmap_base = mmap_base;
	mm->task_size = mmu_user_end();
	mm->limits = (struct mm_limits){.as = UINT64_MAX,
	                                .data = UINT64_MAX,
	                                .stack = 8ull << 20,
	                                .memlock = 8ull << 20,
	                                .may_mlock_any = true};
	if (mmu_space_init(&mm->space)) {
		kmem_cache_free(space_state()->mm_cache, mm);
		return NULL;
	}
	return mm;
}

void mmdrop(struct mm_struct *mm)
{
	if (!refcount_dec_and_test(&mm->mm_count))
		return;
	mmu_space_destroy(&mm->space);
	kmem_cache_free(space_state()->mm_cache, mm);
}

/* An address space without areas has no entries, and so no pages and no tables. */
static void check_empty(struct mm_struct *mm)
{
	if (atomic_load(&mm->pgtables_bytes))
		port_panic("mm %u ends with %lu bytes of page tables", mm->id,
		           (unsigned long)atomic_load(&mm->pgtables_bytes));
	for (unsigned i = 0; i < NR_MM_COUNTERS; i++)
		if (atomic_load(&mm->rss[i]))
			port_panic("mm %u ends with %ld pages of kind %u", mm->id,
			           (long)atomic_load(&mm->rss[i]), i);
}

void mmput(struct mm_struct *mm)
{
	if (!refcount_dec_and_test(&mm->mm_users))
		return;
	exit_mmap(mm);
	check_empty(mm);
	if (mm->exe_file)
		put_vm_file(mm->exe_file);
	mm->exe_file = NULL;
	mmdrop(mm);
}
