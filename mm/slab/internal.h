/*
 * internal.h - what the files of mm/slab share: caches, slabs and the word that describes a slab.
 */
#ifndef MM_SLAB_INTERNAL_H
#define MM_SLAB_INTERNAL_H

#include <quire/check.h>
#include <quire/slab.h>
#include <quire/trace.h>

/* Only its CPU touches it, and never in an interrupt: no lock, no atomic step. */
struct kmem_cache_cpu {
	void *freelist;    /* objects of the slab that this CPU may give out; NULL ends */
	uintptr_t base;    /* address of that slab; 0: none */
	struct page *page; /* its head, frozen; NULL: none */
	char pad[CACHELINE -
	         3 * sizeof(void *)]; /* a line for each CPU, by the alignment of the cache of caches */
};
static_assert(sizeof(struct kmem_cache_cpu) == CACHELINE, "");

struct slab_node {
	spinlock_t lock;           /* irqsave */
	struct page_list partial;  /* (lock) slabs with free objects that are no CPU's */
	_Atomic uint64_t nr_slabs; /* all of the cache on this node */
};

struct kmem_cache {
	struct kmem_cache_cpu cpu[QUIRE_MAX_CPUS];

	/* Immutable. */
	uint32_t offset;      /* of the link in a free object */
	uint32_t size;        /* from object to object */
	uint32_t slab_bytes;  /* PAGE_SIZE << order */
	uint32_t object_size; /* as asked for */
	uint16_t objects, order;
	unsigned flags;
	uint32_t min_partial; /* empty slabs above this number of partial ones go back */
	const char *name;
	void (*ctor)(void *object);

	struct list_head list; /* (M) slab_state.lock */
	struct slab_node node[MAX_NUMNODES];
};

#define KMALLOC_CLASSES 13 /* 8 16 32 64 96 128 192 256 ... 8192 */
#define KMALLOC_MAX     8192u

struct slab_state {
	struct kmem_cache cache_cache; /* of struct kmem_cache: made by hand */
	struct mutex lock;
	struct list_head caches; /* (M) in order of creation */
	struct kmem_cache *kmalloc[KMALLOC_CLASSES];
};

/*
 * page->slab_word, changed by compare-and-swap only:
 *
 *      63           32 31     30..16   15          0
 *     +---------------+------+--------+-------------+
 *     | first free    |frozen|        | in use      |
 *     +---------------+------+--------+-------------+
 *
 * first free: (byte offset in the slab / 8) + 1, or 0. in use: objects that are not on the slab's own free
 * list; those on a CPU's free list count as used. frozen: the slab is some CPU's.
 */
#define SLAB_FROZEN (1ull << 31)

static inline unsigned word_use(uint64_t w)
{
	return (unsigned)(w & 0xffff);
}

static inline unsigned word_free(uint64_t w)
{
	return (unsigned)(w >> 32);
}

static inline uint64_t word_make(uint64_t use, uint64_t frozen, uint64_t free)
{
	return use | frozen | free << 32;
}

static inline uint64_t word_load(struct page *page)
{
	return atomic_load_explicit(&page->slab_word, memory_order_acquire);
}

static inline bool word_change(struct page *page, uint64_t *old, uint64_t new)
{
	return atomic_compare_exchange_strong_explicit(&page->slab_word, old, new,
	                                               memory_order_acq_rel, memory_order_acquire);
}

static inline void *slab_object(struct page *page, unsigned free)
{
	return free ? (char *)page_address(page) + (size_t)(free - 1) * 8 : NULL;
}

static inline unsigned slab_index(struct page *page, const void *object)
{
	return object ? (unsigned)(((const char *)object - (char *)page_address(page)) >> 3) + 1
	              : 0;
}

static inline void **slab_link(const struct kmem_cache *s, void *object)
{
	return (void **)((char *)object + s->offset);
}

/* slub.c */
void *slab_alloc_slow(struct kmem_cache *s, gfp_t gfp);
void slab_free_slow(struct kmem_cache *s, struct page *page, void *object);
void slab_flush_cpu(struct kmem_cache *s, struct kmem_cache_cpu *c);
uint64_t slab_discard_empty(struct kmem_cache *s); /* pages freed */

/* cache.c */
void slab_cache_setup(struct kmem_cache *s, const char *name, size_t size, size_t align,
                      unsigned flags, void (*ctor)(void *object));

static ALWAYS_INLINE void *slab_alloc(struct kmem_cache *s, gfp_t gfp)
{
	struct kmem_cache_cpu *c = &s->cpu[cpu_id()];
	void *object;

	if (unlikely(in_interrupt() || !(object = c->freelist)))
		return slab_alloc_slow(s, gfp);
	c->freelist = *slab_link(s, object);
	count(SLAB_ALLOC_FAST);
	if (unlikely(gfp & __GFP_ZERO))
		return __builtin_memset(object, 0, s->object_size);
	return object;
}

static ALWAYS_INLINE void slab_free(struct kmem_cache *s, void *object)
{
	struct kmem_cache_cpu *c = &s->cpu[cpu_id()];

	if (unlikely(in_interrupt() || (uintptr_t)object - c->base >= s->slab_bytes)) {
		slab_free_slow(s, compound_head(virt_to_page(object)), object);
		return;
	}
	*slab_link(s, object) = c->freelist;
	c->freelist = object;
	count(SLAB_FREE_FAST);
}

#endif
