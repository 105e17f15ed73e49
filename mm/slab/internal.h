/*
 * internal.h - what the files of mm/slab share.
 *
 * A cache hands out objects of one size. Three allocators stand behind it:
 *
 *     array.c    a CPU's array of objects: the fast path of SLUB and SLAB, one test away from everything else
 *     slub.c     slabs with a free list in the objects; a CPU owns a slab (the default)
 *     slab.c     slabs with an index beside the objects; lists of full, partial and free slabs; colours
 *     slob.c     no slabs: blocks cut out of pages
 *
 * The allocator is a table of functions that each cache points to. Nobody asks which it is on the way of a frequent
 * operation: that looks into the CPU's array, which is closed - empty and full at once - wherever the shortest way must
 * not be taken: under SLOB, while debugging, tracing or failing on purpose, and before the cache was used enough to deserve
 * one.
 *
 *     kmem_cache_alloc --> *top --> object           kmem_cache_free --> top == full? --> no: *++top = object
 *                           NULL: slab_alloc_slow                         yes: slab_free_slow
 *
 * Interrupts do not touch arrays (nor a CPU's slab), so neither needs protection from them. Nobody asks whether this is one:
 * cpu_line() leads it to an array that is always closed.
 *
 * cache.c makes, merges and ends caches; names.c knows what they are called; kmalloc.c is memory by size; pages.c has the
 * frames; debug.c and report.c find and name bugs; shrinker.c, reap.c give memory back; options.c reads the boot words;
 * check.c walks the invariants.
 */
#ifndef MM_SLAB_INTERNAL_H
#define MM_SLAB_INTERNAL_H

#include <quire/check.h>
#include <quire/errno.h>
#include <quire/slab.h>
#include <quire/trace.h>

#define SLAB_MAX_ORDER 3u
#define SLAB_ALIGN     8u
#define SLAB_DEBUG     (SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER)
#define SLAB_KMALLOC   0x10000u /* of kmalloc.c */
#define SLAB_INTERNAL  0x20000u /* the allocator's own: must not need another cache */
#define SLAB_SLOW      (SLAB_DEBUG | SLAB_STATS) /* no arrays */

/*
 * Only its CPU touches it, and never in an interrupt: no lock, no atomic step. A line for each CPU, by the alignment of the
 * cache of caches.
 */
struct kmem_cache_cpu {
	void **top,
	        **full; /* the array: last object in it, last place; slab_closed if there is none */
	void *freelist; /* SLUB: objects of the slab that this CPU owns; NULL ends */
	uintptr_t base; /* address of that slab; 0: none */
	struct page *page; /* its head, frozen; NULL: none */
	/* SLUB: frame number of the first frozen slab with free objects, PFN_NONE_N. */
	uint32_t partial;
	uint16_t nr_partial;
	uint16_t steps; /* slow ones, until there is an array */
	void **array;   /* NULL: closed. [0] is NULL, objects from [1] on */
	uintptr_t seen; /* its mark when the reaper came by */
	char pad[CACHELINE - 7 * sizeof(void *) - 8];
};
static_assert(sizeof(struct kmem_cache_cpu) == CACHELINE, "cpu_line() is an index");

struct shared_array {
	unsigned avail, limit;
	void *entry[]; /* (lock) */
};

struct slab_node {
	spinlock_t lock; /* irqsave */
	/* (lock) SLAB: first byte of the next slab's objects, in units of colour_off. */
	uint32_t colour_next;
	struct page_list partial;  /* (lock) slabs with free objects that are no CPU's */
	_Atomic uint64_t nr_slabs; /* all of the cache on this node */

	/* SLAB, all (lock). */
	struct page_list full, free;
	/* NULL: none. Looked at without the lock to see whether one is missing. */
	_Atomic(struct shared_array *) shared;
	uint64_t free_objects; /* in the slabs */
};

struct slab_ops;

struct kmem_cache {
	struct kmem_cache_cpu cpu[QUIRE_MAX_CPUS + 1]; /* by cpu_line(); interrupts': closed */

	/* Immutable. */
	const struct slab_ops *ops;
	uint32_t offset;              /* of the link in a free object */
	uint32_t size;                /* from object to object */
	uint32_t slab_bytes;          /* PAGE_SIZE << order */
	_Atomic uint32_t object_size; /* as asked for; grows when a larger one is merged */
	uint16_t objects, order;
	uint16_t limit;    /* of a CPU's array; 0: none */
	uint16_t red_left; /* bytes before the object */
	uint32_t meta;     /* offset of struct slab_meta from the object, 0: none */
	uint32_t align;
	unsigned flags;
	gfp_t gfp;                   /* added to what is asked for */
	uint32_t min_partial;        /* empty slabs above this number of partial ones go back */
	uint16_t cpu_partial;        /* SLUB: slabs that a CPU keeps */
	uint16_t colour, colour_off; /* SLAB: how many colours, how far apart */
	bool off_slab;               /* SLAB: the index is elsewhere */
	uint64_t random;             /* SLAB_HARDENED: the cipher; 0: none */
	char name[SLAB_NAME_SIZE];
	void (*ctor)(void *object);
	void (*dtor)(void *object);

	uint32_t refcount;                      /* (M) creations */
	uint64_t number;                        /* (M) in the order of creation, from 1 on */
	_Alignas(8) struct list_head list;      /* (M) slab_state.lock. Aligned as its head is */
	_Atomic uint64_t alloc_fast, free_fast; /* SLAB_STATS */
	_Atomic uint64_t alloc_slow, free_slow, new_slabs, discarded;
	_Atomic int64_t live; /* SLOB: objects in use */

	struct slab_node node[MAX_NUMNODES]; /* as many as the machine has */
};

/* All are for any context that their contract does not narrow. */
struct slab_ops {
	const char *name;
	bool arrays;           /* CPUs keep arrays of objects */
	bool exact;            /* kmalloc's objects are as big as asked for */
	const char *no_poison; /* NULL, or why a write after free cannot be found */

	/* Of an object in a page that is several caches'; NULL: none. Or no function. */
	struct kmem_cache *(*owner)(const void *object);
	/* Choose order and number of objects for s->size and s->align. 0 or -EINVAL. */
	int (*layout)(struct kmem_cache *s);
	/*
	 * Up to n objects; at least one unless there is no memory; more than one only if that is
	 * cheap. size <= object_size is what the user wants of each. Sleeps if gfp allows.
	 */
	unsigned (*get)(struct kmem_cache *s, size_t size, gfp_t gfp, unsigned n, void **objects);
	void (*put)(struct kmem_cache *s, unsigned n, void **objects);
	/* What a CPU owns, and what is shared, goes to the slabs. On that CPU, or nobody uses the cache. */
	void (*flush)(struct kmem_cache *s, struct kmem_cache_cpu *c);
	/* Empty slabs go back. */
	void (*discard)(struct kmem_cache *s);
	/* num_objs, num_slabs, active_slabs, and what of the objects is free. */
	uint64_t (*info)(struct kmem_cache *s, struct slabinfo *info);
	size_t (*ksize)(const struct page *page, const void *p);
	/* Does an object of this slab start here? (Not SLOB's blocks.) */
	bool (*is_object)(struct kmem_cache *s, struct page *page, const void *p);
	/* Is it in use? (Leaks. Nobody uses the cache.) */
	bool (*in_use)(struct kmem_cache *s, struct page *page, void *object);
	const char *(*check)(struct kmem_cache *s);
};
extern const struct slab_ops slub_ops, slab_ops, slob_ops;

#define KMALLOC_CLASSES 13 /* 8 16 32 64 96 128 192 256 ... 8192 */
#define KMALLOC_MAX     8192u
enum kmalloc_type { KMALLOC_NORMAL, KMALLOC_RECLAIM, KMALLOC_DMA, KMALLOC_DMA32, NR_KMALLOC_TYPES };

enum slob_fit { SLOB_FIRST, SLOB_NEXT, SLOB_BEST };
#define SLOB_LISTS 3

/* What the boot words say: options.c. */
struct slab_options {
	const struct slab_ops *ops;
	enum slob_fit fit;
	bool nomerge, harden;
	uint16_t arrays; /* most objects in a CPU's array */
	char debug[128]; /* slub_debug=, "" if absent */
	char stats[32];  /* slab_stats=NAME */
};

struct slab_state {
	bool up;                       /* kmalloc works, and so do aliases */
	struct kmem_cache cache_cache; /* of struct kmem_cache: made by hand */
	struct kmem_cache slob_cache;  /* likewise */
	struct kmem_cache *arrays;     /* of CPUs' arrays; NULL: none yet */
	struct kmem_cache *slob;       /* SLOB: whose the pages of blocks are; else NULL */
	bool closing;                  /* quiet machine: no array is opened */
	bool said_no_poison;           /* once is enough */
	struct mutex lock;
	_Alignas(8) struct list_head caches; /* (M) in order of creation */
	uint64_t last_number;                /* (M) of the newest one */
	struct list_head aliases;            /* (M) struct slab_alias */
	struct kmem_cache *kmalloc[NR_KMALLOC_TYPES][KMALLOC_CLASSES];
	struct slab_options options;
	void (*report)(const struct slab_bug *bug);
	_Atomic(struct thread *) reaper; /* NULL: none */
	_Atomic bool reap_all;           /* it was woken: all that CPUs keep is wanted */

	spinlock_t slob_lock;                   /* irqsave */
	struct page_list slob_free[SLOB_LISTS]; /* (slob_lock) pages with a free block */
	uint64_t slob_pages;                    /* (slob_lock) */

	struct mutex shrinker_lock;
	struct list_head shrinkers; /* (shrinker_lock) */
	uint64_t random;            /* state of slab_random() */
};

/* (M) */
struct slab_alias {
	struct list_head list;
	struct kmem_cache *cache;
	char name[SLAB_NAME_SIZE];
};

/* --- array.c --- */
extern void *slab_closed[1];
#define ARRAY_WORDS 64u /* of a CPU's array: one cell for the end, 62 objects, one spare */
#define ARRAY_MAX   62u
#define SLAB_SMALL_PAGES \
	2048u /* on a machine below 8 MB neither arrays nor the reaper's stack pay */

/* size: what of the object is wanted; 0: all. */
NOINLINE void *slab_alloc_slow(struct kmem_cache *s, gfp_t gfp, size_t size, void *caller);
NOINLINE void slab_free_slow(struct kmem_cache *s, void *object, void *caller);
void slab_cpu_init(struct kmem_cache *s);
void slab_flush_cpu(struct kmem_cache *s, struct kmem_cache_cpu *c); /* array and slabs */
void slab_close_cpu(struct kmem_cache *s, struct kmem_cache_cpu *c); /* and the array itself */
unsigned slab_array_objects(const struct kmem_cache_cpu *c);

/* --- cache.c --- */
void slab_cache_setup(struct kmem_cache *s, const char *name, size_t size,
                      const struct kmem_cache_args *args, unsigned flags);
/* The next of all caches after number *after, which becomes its own; mutex held. NULL: none. */
struct kmem_cache *slab_next_cache(uint64_t *after);
/* fn for each cache, under the mutex, which is given up between two. Sleeps. */
void slab_each_cache(void (*fn)(struct kmem_cache *s, void *ctx), void *ctx);
uint64_t slab_nr_slabs(struct kmem_cache *s);
unsigned slab_least_waste_order(const struct kmem_cache *s);

/* --- names.c --- */
bool slab_name_good(const char *name);
/* Mutex held. */
void slab_add_alias(struct slab_alias *a, struct kmem_cache *s, const char *name);
void slab_forget_name(const char *name); /* as an alias */
void slab_forget_aliases(const struct kmem_cache *s);
void slab_count_objects(struct kmem_cache *s, struct slabinfo *info);

/* --- options.c --- */
void slab_read_options(struct slab_options *o);
unsigned slab_debug_flags(const struct slab_options *o, const char *name);

/* --- debug.c --- */
void slab_debug_layout(struct kmem_cache *s);
void slab_init_object(struct kmem_cache *s, void *object); /* ctor and debugging; it is free */
void slab_end_object(struct kmem_cache *s, void *object);  /* dtor */
void slab_debug_alloc(struct kmem_cache *s, void *object, void *caller);
bool slab_debug_free(struct kmem_cache *s, void *object, void *caller); /* false: do not */
uint64_t slab_live_mark(const struct kmem_cache *s);
/* Of a cache that is debugged, or that has slabs. */
bool slab_is_object(struct kmem_cache *s, const void *object);

/* --- report.c --- */
void slab_report(struct kmem_cache *s, const char *what, const void *object, const void *at,
                 unsigned expected);
NOINLINE void slab_bad_free(struct kmem_cache *s, const void *object);
void slab_report_leaks(struct kmem_cache *s);

struct slab_track {
	uintptr_t caller;
	uint64_t when;
	int32_t pid;
	uint32_t cpu;
	stack_handle_t stack; /* who called the caller; 0: not known */
};
enum { TRACK_ALLOC, TRACK_FREE };

/* Behind the object and its link, if any debugging is on. */
struct slab_meta {
	uint64_t state;            /* slab_live_mark(), or its complement */
	struct slab_track track[]; /* SLAB_STORE_USER: two */
};

static inline struct slab_meta *slab_meta(const struct kmem_cache *s, const void *object)
{
	return (struct slab_meta *)((char *)(uintptr_t)object + s->meta);
}

static inline struct slab_state *slab_state(void)
{
	return machine()->slab;
}

static inline unsigned nr_nodes(void)
{
	return machine()->nr_nodes;
}

static inline struct slab_node *slab_node(struct kmem_cache *s, const struct page *page)
{
	return &s->node[page_to_nid(page)];
}

/* Of all nodes the i-th from the running CPU on, its own first. */
static inline struct slab_node *slab_near_node(struct kmem_cache *s, unsigned i)
{
	return &s->node[machine()->node[numa_node_id()].near[i]];
}

/* A new slab of the CPU's own node, or none: without waiting, and sparing what is kept for emergencies. */
static inline gfp_t slab_near_gfp(gfp_t gfp)
{
	gfp &= ~(__GFP_RECLAIM | __GFP_NOFAIL | __GFP_HIGH | __GFP_ATOMIC | __GFP_MEMALLOC);
	return gfp | __GFP_THISNODE | __GFP_NOMEMALLOC | __GFP_NOWARN;
}

/* The head of the slab that an address lies in; any page if it lies in none. */
static inline struct page *slab_page(const void *object)
{
	return compound_head(virt_to_page(object));
}

static inline struct kmem_cache_cpu *slab_cpu(struct kmem_cache *s)
{
	return (struct kmem_cache_cpu *)((char *)s->cpu + cpu_line());
}

/*
 * The fast paths: 7 instructions each, the return included. An address that is the sum of two registers costs nothing,
 * but compilers that see it twice add first, and then keep what they have loaded in a third: hence HIDE_VAR.
 */
static ALWAYS_INLINE struct kmem_cache_cpu *slab_cpu_at(struct kmem_cache *s, size_t line)
{
	return (struct kmem_cache_cpu *)((char *)s->cpu + line);
}

/* The cell of the newest object of this CPU's array, which is not in it any more; NULL: there is none. */
static ALWAYS_INLINE void **slab_pop(struct kmem_cache *s)
{
	size_t line = cpu_line();
	void **top = slab_cpu_at(s, line)->top;

	if (unlikely(!*top))
		return NULL;
	HIDE_VAR(line);
	slab_cpu_at(s, line)->top--;
	return top;
}

/* False: it is full. */
static ALWAYS_INLINE bool slab_push(struct kmem_cache *s, void *object)
{
	size_t line = cpu_line();
	void **top = slab_cpu_at(s, line)->top;

	HIDE_VAR(line);
	if (unlikely(top == slab_cpu_at(s, line)->full))
		return false;
	HIDE_VAR(line);
	slab_cpu_at(s, line)->top++;
	top[1] = object;
	return true;
}

/* What only the slow ways need is worked out behind the branch. */
static ALWAYS_INLINE void *slab_alloc(struct kmem_cache *s, gfp_t gfp, size_t size)
{
	void **cell = slab_pop(s);

	return likely(cell) ? *cell : slab_alloc_slow(s, gfp, size, __builtin_return_address(0));
}

static ALWAYS_INLINE void *slab_zalloc(struct kmem_cache *s, gfp_t gfp, size_t size)
{
	void **cell = slab_pop(s);

	return likely(cell)
	               ? __builtin_memset(*cell, 0, s->object_size)
	               : slab_alloc_slow(s, gfp | __GFP_ZERO, size, __builtin_return_address(0));
}

static ALWAYS_INLINE void slab_free(struct kmem_cache *s, void *object)
{
	if (unlikely(!slab_push(s, object)))
		slab_free_slow(s, object, __builtin_return_address(0));
}

/* --- reap.c --- */
void slab_wake_reaper(void); /* any context */

/* New frames for s. Flags, owner and accounts are set; all of its frames say that they are the cache's. */
struct page *slab_new_pages(struct kmem_cache *s, gfp_t gfp);
void slab_free_pages(struct kmem_cache *s, struct page *page);

#endif
