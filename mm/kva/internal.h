/*
 * internal.h - areas of kernel addresses, shared by the files of mm/kva.
 */
#ifndef MM_KVA_INTERNAL_H
#define MM_KVA_INTERNAL_H

#include <quire/kva.h>
#include <quire/machine.h>
#include <quire/slab.h>

#include "lib/rbtree_augmented.h"

/* Lock key: (K) kva_state.lock; (i) immutable once made. */
struct vmap_area {
	struct rb_node rb;       /* (K) by address */
	struct list_head lazy;   /* (K) unmapped, not yet flushed */
	vaddr_t start, end;      /* (i) end: behind the guard page */
	uint64_t gap;            /* (K) free bytes before start */
	uint64_t max_gap;        /* (K) largest gap of the subtree */
	uint64_t pages;          /* (K) mapped, without the guard; 0: lazy */
	struct page_list frames; /* (i) vmalloc: they are the area's; else empty */
};

struct kva_state {
	struct mutex lock;
	struct rb_root areas;
	vaddr_t start, end;       /* (i) */
	struct list_head lazy;    /* (K) */
	uint64_t lazy_pages;      /* (K) */
	unsigned nr_lazy;         /* (K) */
	uint64_t used_pages;      /* (K) mapped by areas that are not lazy */
	struct kmem_cache *cache; /* (i) of struct vmap_area */
};

/* An area of n pages and a guard. NULL: no memory or no room. Sleeps. */
struct vmap_area *vmap_area_alloc(uint64_t pages);
/* Nothing is mapped there any more, but TLBs may still think so. Sleeps. */
void vmap_area_free_lazy(struct vmap_area *area);
struct vmap_area *vmap_area_find(vaddr_t start);

static inline struct kva_state *kva_state(void)
{
	return machine()->kva;
}

#endif
