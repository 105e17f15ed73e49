/*
 * anon_vma.c - who may have a copy of this anonymous page? (lecture 001; mechanism 6.5)
 *
 * Problem. After fork, parent and child map the same anonymous pages; later each writes, and has pages of its own.
 * From a page, all areas that may map it are wanted, but not those that cannot.
 *
 * Idea. Pages point not to an area but to a meeting point, the anon_vma of the area that made them. An area is linked to
 * the anon_vmas whose pages it may map: its own, and those of its ancestors.
 *
 *     parent P:  vma_P --avc--> A                     pages made by P before or after fork: A
 *     child  C:  vma_C --avc--> A
 *                      --avc--> B                     pages made by C: B (only C and its children look)
 *     grandchild G:    --avc--> A, --avc--> B, --avc--> D
 *
 * A page of B is looked for in C and G only. All anon_vmas of one tree share the lock of its root, so linking an area to
 * many of them is one lock, and a walk takes one.
 *
 * Reuse. A daemon that forks and dies, forks and dies, would grow a chain without end. A child therefore takes
 * an ancestor's anon_vma for its own when no area makes pages there any more and at most one child hangs below:
 * then there are never more anon_vmas in a tree than twice the areas. (Linux 4.0.)
 *
 * Lifetime. refcount. A page that is mapped keeps its anon_vma alive through the area that maps it, for areas
 * leave the chains after their entries are gone. A walker comes from the page and holds nothing of
 * that; so it takes its reference under a small lock hashed by anon_vma, checks that the page is still
 * mapped, and the last put passes through the same lock before it frees.
 */
#include <quire/errno.h>
#include "lib/hash.h"
#include "mm/rmap/anon_vma.h"
#include "mm/rmap/rmap.h"
#include "mm/space/space.h"

static spinlock_t *anon_vma_free_lock(const struct anon_vma *anon_vma)
{
	return &space_state()->anon_vma_free[hash_ptr(anon_vma, ANON_VMA_LOCK_BITS)];
}

/* A new one below parent (NULL: a root). Its creator's chain will hold the reference. */
static struct anon_vma *anon_vma_alloc(struct anon_vma *parent)
{
	struct anon_vma *anon_vma = kmem_cache_alloc(space_state()->anon_vma_cache, GFP_KERNEL);

	if (!anon_vma)
		return NULL;
	refcount_set(&anon_vma->refcount, 1);
	init_rwsem(&anon_vma->rwsem);
	INIT_LIST_HEAD(&anon_vma->chains);
	anon_vma->num_children = 0;
	anon_vma->num_active_vmas = 0;
	anon_vma->root = parent ? parent->root : anon_vma;
	anon_vma->parent = parent ? parent : anon_vma;
	if (parent)
		refcount_inc(&parent->root->refcount);
	return anon_vma;
}

void put_anon_vma(struct anon_vma *anon_vma)
{
	struct anon_vma *root = anon_vma->root;
	spinlock_t *lock;

	if (!refcount_dec_and_test(&anon_vma->refcount))
		return;
	lock = anon_vma_free_lock(anon_vma);
	spin_lock(lock);
	spin_unlock(lock);
	kmem_cache_free(space_state()->anon_vma_cache, anon_vma);
	if (root != anon_vma)
		put_anon_vma(root);
}

struct anon_vma *page_get_anon_vma(struct page *page)
{
	uintptr_t mapping = (uintptr_t)page_mapping_word(page);
	struct anon_vma *anon_vma = (struct anon_vma *)(mapping - PAGE_MAPPING_ANON);
	spinlock_t *lock;

	if (!(mapping & PAGE_MAPPING_ANON))
		return NULL;
	lock = anon_vma_free_lock(anon_vma);
	spin_lock(lock);
	if (page_mapcount(page) == 0 || (uintptr_t)page_mapping_word(page) != mapping ||
	    !refcount_inc_not_zero(&anon_vma->refcount))
		anon_vma = NULL;
	spin_unlock(lock);
	return anon_vma;
}

static struct anon_vma_chain *avc_alloc(void)
{
	return kmem_cache_alloc(space_state()->avc_cache, GFP_KERNEL);
}

static void avc_free(struct anon_vma_chain *avc)
{
	kmem_cache_free(space_state()->avc_cache, avc);
}

/* What it points to is complete: a fault may look at once. */
static void set_anon_vma(struct vm_area_struct *vma, struct anon_vma *anon_vma)
{
	atomic_store_explicit(&vma->anon_vma, anon_vma, memory_order_release);
}

/* Root locked for writing. */
static void avc_link(struct vm_area_struct *vma, struct anon_vma_chain *avc,
                     struct anon_vma *anon_vma)
{
	avc->vma = vma;
	avc->anon_vma = anon_vma;
	list_add(&avc->same_vma, &vma->anon_vma_chain);
	list_add_tail(&avc->same_anon_vma, &anon_vma->chains);
}

/* Could a and its neighbour b have been one area? Then their pages may share an anon_vma. */
static bool anon_vma_compatible(const struct vm_area_struct *a, const struct vm_area_struct *b)
{
	return a->vm_end == b->vm_start && a->vm_file == b->vm_file &&
	       !((a->vm_flags ^ b->vm_flags) & ~VM_ACCESS_FLAGS) &&
	       b->vm_pgoff == a->vm_pgoff + vma_pages(a);
}

/* The neighbour's anon_vma, if taking it lets the two merge some day. Not one that fork has given a chain. */
static struct anon_vma *find_mergeable_anon_vma(struct vm_area_struct *vma)
{
	struct vm_area_struct *near[2] = {vma->vm_prev, vma->vm_next};

	for (unsigned i = 0; i < 2; i++) {
		struct anon_vma *anon_vma = near[i] ? vma_anon_vma(near[i]) : NULL;

		if (anon_vma && list_is_singular(&near[i]->anon_vma_chain) &&
		    (i ? anon_vma_compatible(vma, near[i]) : anon_vma_compatible(near[i], vma)))
			return anon_vma;
	}
	return NULL;
}

/*
 * Faults race here under mmap_lock held for reading: the first to take page_table_lock sets
 * vma->anon_vma, the others give their allocations back.
 */
int anon_vma_prepare(struct vm_area_struct *vma)
{
	struct anon_vma *anon_vma, *fresh = NULL;
	struct anon_vma_chain *avc;

	if (likely(vma_anon_vma(vma)))
		return 0;
	avc = avc_alloc();
	if (!avc)
		return -ENOMEM;
	anon_vma = find_mergeable_anon_vma(vma);
	if (!anon_vma) {
		anon_vma = fresh = anon_vma_alloc(NULL);
		if (!anon_vma)
			goto no_anon_vma;
		anon_vma->num_children = 1;
	}
	anon_vma_lock_write(anon_vma);
	spin_lock(&vma->vm_mm->page_table_lock);
	if (!vma->anon_vma) {
		avc_link(vma, avc, anon_vma);
		anon_vma->num_active_vmas++;
		set_anon_vma(vma, anon_vma);
		avc = NULL;
		fresh = NULL;
	}
	spin_unlock(&vma->vm_mm->page_table_lock);
	anon_vma_unlock_write(anon_vma);
	if (fresh)
		put_anon_vma(fresh);
	if (avc)
		avc_free(avc);
	return 0;

no_anon_vma:
	avc_free(avc);
	return -ENOMEM;
}

/* Nobody makes pages in it and at most one child hangs below: a new area may have it for its own. */
static bool anon_vma_reusable(const struct anon_vma *anon_vma)
{
	return anon_vma->num_children < 2 && anon_vma->num_active_vmas == 0;
}

/*
 * All chains are allocated before the lock is taken, then linked in one go; src's own chains cannot change, since
 * its mmap_lock is held for writing.
 */
static int clone_chains(struct vm_area_struct *dst, struct vm_area_struct *src, bool reuse)
{
	struct anon_vma_chain *pavc, *avc, *next;
	struct list_head fresh;

	INIT_LIST_HEAD(&fresh);
	list_for_each_entry(pavc, &src->anon_vma_chain, same_vma) {
		avc = avc_alloc();
		if (!avc)
			goto no_memory;
		list_add(&avc->same_vma, &fresh);
	}
	anon_vma_lock_write(src->anon_vma);
	list_for_each_entry_reverse(pavc, &src->anon_vma_chain, same_vma) {
		avc = list_first_entry(&fresh, struct anon_vma_chain, same_vma);
		list_del(&avc->same_vma);
		avc_link(dst, avc, pavc->anon_vma);
		if (reuse && !dst->anon_vma && anon_vma_reusable(pavc->anon_vma))
			set_anon_vma(dst, pavc->anon_vma);
	}
	if (dst->anon_vma)
		dst->anon_vma->num_active_vmas++;
	anon_vma_unlock_write(src->anon_vma);
	return 0;

no_memory:
	list_for_each_entry_safe(avc, next, &fresh, same_vma)
		avc_free(avc);
	return -ENOMEM;
}

int anon_vma_clone(struct vm_area_struct *dst, struct vm_area_struct *src)
{
	int err;

	if (!src->anon_vma)
		return 0;
	set_anon_vma(dst, src->anon_vma);
	err = clone_chains(dst, src, false);
	if (err)
		set_anon_vma(dst, NULL);
	return err;
}

int anon_vma_fork(struct vm_area_struct *vma, struct vm_area_struct *pvma)
{
	struct anon_vma_chain *avc;
	struct anon_vma *anon_vma;

	if (!pvma->anon_vma)
		return 0;
	set_anon_vma(vma, NULL);
	if (clone_chains(vma, pvma, true))
		return -ENOMEM;
	if (vma->anon_vma)
		return 0;
	anon_vma = anon_vma_alloc(pvma->anon_vma);
	if (!anon_vma)
		goto no_anon_vma;
	avc = avc_alloc();
	if (!avc)
		goto no_avc;
	anon_vma_lock_write(anon_vma);
	avc_link(vma, avc, anon_vma);
	set_anon_vma(vma, anon_vma);
	anon_vma->num_active_vmas = 1;
	anon_vma->parent->num_children++;
	anon_vma_unlock_write(anon_vma);
	return 0;

no_avc:
	put_anon_vma(anon_vma);
no_anon_vma:
	unlink_anon_vmas(vma);
	return -ENOMEM;
}

/*
 * Pass 1, locked: leave every anon_vma. Pass 2: free the chains, and the anon_vmas that have become empty,
 * outside the lock, which lives in one of them.
 */
void unlink_anon_vmas(struct vm_area_struct *vma)
{
	struct anon_vma_chain *avc, *next;
	struct anon_vma *root = NULL;

	if (list_empty(&vma->anon_vma_chain))
		return;
	root = list_first_entry(&vma->anon_vma_chain, struct anon_vma_chain, same_vma)
	               ->anon_vma->root;
	refcount_inc(&root->refcount);
	down_write(&root->rwsem);
	if (vma->anon_vma)
		vma->anon_vma->num_active_vmas--;
	list_for_each_entry_safe(avc, next, &vma->anon_vma_chain, same_vma) {
		struct anon_vma *anon_vma = avc->anon_vma;

		list_del(&avc->same_anon_vma);
		if (!list_empty(&anon_vma->chains)) {
			avc->anon_vma = NULL;
			continue;
		}
		anon_vma->parent->num_children--;
	}
	up_write(&root->rwsem);
	set_anon_vma(vma, NULL);
	list_for_each_entry_safe(avc, next, &vma->anon_vma_chain, same_vma) {
		list_del(&avc->same_vma);
		if (avc->anon_vma)
			put_anon_vma(avc->anon_vma);
		avc_free(avc);
	}
	put_anon_vma(root);
}
