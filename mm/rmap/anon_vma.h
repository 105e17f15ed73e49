/*
 * anon_vma.h - the meeting points of areas, inside mm/.
 *
 * Lock key: (r) root->rwsem   (m) mmap_lock of the area's mm, or its page_table_lock for the first
 *           (a) atomic        (i) immutable
 */
#ifndef MM_RMAP_ANON_VMA_H
#define MM_RMAP_ANON_VMA_H

#include <quire/rmap.h>

struct anon_vma {
	struct anon_vma *root;     /* (i) of the tree that fork grows; its rwsem serves all of it */
	struct rw_semaphore rwsem; /* the root's only */
	refcount_t refcount;      /* (a) chains hold one together, each child and each walker one */
	struct anon_vma *parent;  /* (i) itself: the root */
	unsigned num_children;    /* (r) anon_vmas whose parent it is, itself included in a root */
	unsigned num_active_vmas; /* (r) areas that put new pages here */
	struct list_head chains;  /* (r) anon_vma_chain.same_anon_vma */
};

struct anon_vma_chain {
	struct vm_area_struct *vma;
	struct anon_vma *anon_vma;
	struct list_head same_vma;      /* (m) vma->anon_vma_chain */
	struct list_head same_anon_vma; /* (r) */
};

static inline void anon_vma_lock_write(struct anon_vma *anon_vma)
{
	down_write(&anon_vma->root->rwsem);
}

static inline void anon_vma_unlock_write(struct anon_vma *anon_vma)
{
	up_write(&anon_vma->root->rwsem);
}

/* The anon_vma of an anonymous page that something maps, with a reference; NULL when nothing does. */
struct anon_vma *page_get_anon_vma(struct page *page);
void put_anon_vma(struct anon_vma *anon_vma);

/* rmap_walk() of an anonymous page, mapped or not, whose anon_vma the caller holds. */
bool rmap_walk_anon(struct page *page, struct anon_vma *anon_vma, struct rmap_walk *walk);

#endif
