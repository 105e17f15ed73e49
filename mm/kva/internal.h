/*
 * internal.h - areas of kernel addresses, shared by the files of mm/kva.
 *
 *     area.c     which addresses are taken: the tree, the search for a gap
 *     purge.c    giving addresses back, many with one flush
 *     vmalloc.c  areas filled with frames of their own; kvmalloc
 *     vmap.c     areas that show other people's frames
 *     ioremap.c  areas that show device registers
 *     check.c    the list of areas for /proc/vmallocinfo, invariants
 *
 * An area's life, by its state:
 *
 *     vmap_area_alloc      vmap_area_publish     vmap_area_take       vmap_area_free_lazy       purge
 *   ------------------> PRIVATE -----------> BUSY -----------> PRIVATE -----------> LAZY -----------> PURGING --> gone
 *
 * PRIVATE: one thread fills or empties it, nobody else may look into it. BUSY: in use; found by its start. LAZY: nothing is mapped,
 * but TLBs may think so; neighbours have become one. PURGING: a flush is under way.
 */
#ifndef MM_KVA_INTERNAL_H
#define MM_KVA_INTERNAL_H

#include <quire/kva.h>
#include <quire/machine.h>
#include <quire/slab.h>

#include "lib/interval_tree.h"
#include "lib/rbtree_augmented.h"

enum vmap_state { VMAP_PRIVATE, VMAP_BUSY, VMAP_LAZY, VMAP_PURGING };

/* Lock key: (K) kva_state.lock; (i) immutable once made; (o) its owner's while PRIVATE, immutable while BUSY. */
struct vmap_area {
	struct rb_node rb;     /* (K) by address */
	struct list_head lazy; /* (K) LAZY or PURGING; (o) else */
	vaddr_t start, end;    /* (K) LAZY; (i) else. end: behind the guard page */
	uint64_t gap;          /* (K) free bytes before start */
	uint64_t max_gap;      /* (K) largest gap of the subtree */
	_Atomic uint8_t state; /* enum vmap_state; (K), but PRIVATE to BUSY is the owner's */
	uint8_t kind;          /* (i) enum vmalloc_kind */
	const void *caller;    /* (i) who asked */
	uint64_t pages;        /* (i) without the guard */
	union {
		struct {                         /* VMALLOC_ALLOC */
			struct page_list frames; /* (o) frames and heads of large pages, in order */
			uint64_t nr_mapped;      /* (o) pages in them */
			uint32_t on_node[MAX_NUMNODES]; /* (o) pages by node */
		};
		struct {                                /* VMALLOC_IOREMAP */
			struct interval_tree_node phys; /* (K) */
			unsigned cache_bits;            /* (i) of enum mmu_bits */
		};
	};
};

struct kva_state {
	spinlock_t lock; /* a leaf; no interrupt takes it */
	struct rb_root areas;
	struct rb_root phys;     /* (K) ioremapped ranges of physical addresses */
	vaddr_t start, end;      /* (i) */
	struct list_head lazy;   /* (K) */
	uint64_t lazy_pages;     /* (K) of LAZY areas, guards included */
	struct mutex purge_lock; /* one purge at a time; before lock */
	_Atomic uint64_t nr_vmalloc_pages;
	_Atomic(void *) deferred; /* what vfree_atomic() left, linked through its first word */
	struct kmem_cache *cache; /* (i) of struct vmap_area */
};

/* Where, how large, what for. */
struct vmap_request {
	uint64_t pages;
	uint64_t align;     /* a power of two, at least PAGE_SIZE */
	vaddr_t start, end; /* somewhere in here */
	enum vmalloc_kind kind;
	const void *caller;
	gfp_t gfp;        /* for description and tables, of VMAP_HOW; with __GFP_DIRECT_RECLAIM */
	gfp_t frames_gfp; /* VMALLOC_ALLOC: for what is mapped */
	int nid;          /* likewise: the node to begin with; -1: as the task's policy says */
};

/* The flags that say how to go about it, rather than what to return: all that a caller says counts for tables too. */
#define VMAP_HOW                                                                            \
	(__GFP_RECLAIM | __GFP_IO | __GFP_FS | __GFP_HIGH | __GFP_ATOMIC | __GFP_MEMALLOC | \
	 __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_RETRY_MAYFAIL | __GFP_NOFAIL | __GFP_NOWARN)

/* A PRIVATE area of n pages and a guard. NULL: no memory or no room. Sleeps. */
struct vmap_area *vmap_area_alloc(const struct vmap_request *request);

static inline void vmap_area_publish(struct vmap_area *area)
{
	atomic_store_explicit(&area->state, VMAP_BUSY, memory_order_release);
}

/* The BUSY area of that kind which begins at addr, PRIVATE now; panics when there is none. */
struct vmap_area *vmap_area_take(const void *addr, unsigned kinds, const char *who);

/* Nothing is mapped there any more, but TLBs may still think so. PRIVATE to LAZY. Sleeps. */
void vmap_area_free_lazy(struct vmap_area *area);

/* Take area off the tree; its addresses are free. (K) */
void vmap_area_erase(struct kva_state *k, struct vmap_area *area);

/* An area that lies behind before, without a gap, becomes part of it; the description is the caller's to free. (K) */
void vmap_area_absorb(struct kva_state *k, struct vmap_area *before, struct vmap_area *area);

/* Flush all that is LAZY and give its addresses back. Sleeps. */
void purge_vmap_area_lazy(void);
uint64_t lazy_max_pages(void);

static inline struct kva_state *kva_state(void)
{
	return machine()->kva;
}

static inline struct vmap_area *vmap_area_of(struct rb_node *node)
{
	return rb_entry_safe(node, struct vmap_area, rb);
}

static inline enum vmap_state vmap_area_state(const struct vmap_area *area)
{
	return (enum vmap_state)atomic_load_explicit(&area->state, memory_order_acquire);
}

/* The summary of a subtree; true if it changed. */
bool vmap_area_update_gap(struct rb_node *node);

#endif
