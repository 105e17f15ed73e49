/*
 * slab.h - kernel objects: caches of one size, and kmalloc (mm/slab).
 *
 * Sources: Bonwick 1994 and 2001; lectures 001 and 003; SLUB (Lameter 2007). Three allocators stand behind
 * the interface, chosen at boot (slab=slub|slab|slob): mm/slab/internal.h leads to them.
 */
#ifndef QUIRE_SLAB_H
#define QUIRE_SLAB_H

#include <quire/machine.h>
#include "lib/list.h"

struct kmem_cache;

#define SLAB_HWCACHE_ALIGN      0x01u /* objects start at (sub-multiples of) cache lines */
#define SLAB_PANIC              0x02u /* creation cannot fail: boot */
#define SLAB_RECLAIM            0x04u /* objects that a shrinker can free: grouped with their like */
#define SLAB_RECLAIM_ACCOUNT    SLAB_RECLAIM
#define SLAB_CACHE_DMA          0x08u   /* objects from ZONE_DMA */
#define SLAB_CACHE_DMA32        0x10u   /* objects below 4 GB */
#define SLAB_NO_MERGE           0x20u   /* never one cache with others of its size */
#define SLAB_CONSISTENCY_CHECKS 0x100u  /* F: what is freed is an object of the cache, in use */
#define SLAB_RED_ZONE           0x200u  /* Z: bytes around the object that nobody may write */
#define SLAB_POISON             0x400u  /* P: free objects are filled with junk, and must stay so */
#define SLAB_STORE_USER         0x800u  /* U: who took it and who gave it back last */
#define SLAB_HARDENED           0x1000u /* links of free objects are enciphered (SLUB) */
#define SLAB_STATS              0x2000u /* each step is counted: no shortest ways */

/*
 * A cache of objects of size bytes. ctor runs once for each object when its slab is made and the object is
 * constructed again when given out; free objects must be left constructed. dtor runs for each object when its slab
 * goes back to the frames, perhaps because memory is wanted: it must not make or end caches, nor allocate with __GFP_DIRECT_RECLAIM. (SLOB has no slabs: both run each time.) NULL: no memory. align 0: natural for
 * the size, at least 8. Sleeps.
 *
 * A cache may be one with an older one of the same kind (slab_nomerge: never): then statistics and leaks are
 * those of both. The name, printable characters without space and slash, is copied.
 */
#define SLAB_NAME_SIZE 32u /* the end included */
struct kmem_cache_args {
	size_t align;
	void (*ctor)(void *object);
	void (*dtor)(void *object);
};

struct kmem_cache *kmem_cache_create_args(const char *name, size_t size,
                                          const struct kmem_cache_args *args, unsigned flags);
struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align, unsigned flags,
                                     void (*ctor)(void *object));

/* Sleeps. Objects still in use are a leak: reported one by one, cache kept, -EBUSY. */
int kmem_cache_destroy(struct kmem_cache *cache);

/*
 * Sleeps only with __GFP_DIRECT_RECLAIM. NULL: no memory. __GFP_ZERO is honoured (not with a ctor). Which of the two
 * functions it is the compiler finds out wherever gfp is a constant.
 */
void *__kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp); /* without __GFP_ZERO */
void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp);
static ALWAYS_INLINE void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	return gfp & __GFP_ZERO ? kmem_cache_zalloc(cache, gfp) : __kmem_cache_alloc(cache, gfp);
}
void kmem_cache_free(struct kmem_cache *cache, void *object); /* any context; NULL is not allowed */

/* n objects at once, all or none: returns n or 0. */
MUST_USE unsigned kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, unsigned n,
                                        void **objects);
void kmem_cache_free_bulk(struct kmem_cache *cache, unsigned n, void **objects);

/*
 * Empty slabs go back to the buddy, what this CPU keeps first. Returns pages freed. What the other CPUs keep follows: the
 * reaper, if there is one, is woken and goes from CPU to CPU.
 */
uint64_t kmem_cache_shrink(struct kmem_cache *cache);
uint64_t kmem_cache_shrink_all(void);

/*
 * Any size up to 4 MB, physically contiguous, aligned to at least 8 and to a power-of-two size. GFP_DMA: below
 * 16 MB; GFP_DMA32: below 4 GB. For a constant size the cache is one that the compiler has chosen.
 */
#define KMALLOC_SPECIAL (__GFP_DMA | __GFP_DMA32 | __GFP_RECLAIMABLE | __GFP_ZERO)
void *__kmalloc(size_t size, gfp_t gfp);                               /* without those */
void *kmalloc_special(size_t size, gfp_t gfp);                         /* any */
void *kmalloc_trace(struct kmem_cache *cache, gfp_t gfp, size_t size); /* size <= the cache's */
static ALWAYS_INLINE void *kmalloc(size_t size, gfp_t gfp)
{
	if (gfp & KMALLOC_SPECIAL)
		return kmalloc_special(size, gfp);
	if (__builtin_constant_p(size) && size && size <= KMALLOC_SMALL)
		return kmalloc_trace(machine()->kmalloc_cache[(size + 7) / 8], gfp, size);
	return __kmalloc(size, gfp);
}
static ALWAYS_INLINE void *kzalloc(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp | __GFP_ZERO);
}
void *kcalloc(size_t n, size_t size, gfp_t gfp); /* NULL on overflow */
void *krealloc(void *p, size_t size, gfp_t gfp); /* on failure NULL and p unchanged */
void kfree(void *p);                             /* NULL is nothing */
size_t ksize(const void *p);
char *kstrdup(const char *s, gfp_t gfp);

/* No CPU keeps objects or a slab for itself any more: what is empty can go. Quiet machine only: tests, checks. */
void slab_flush_all(void);

/*
 * Time has passed (about two seconds): arrays that were not used since the last call go back, and empty slabs. slab_reap:
 * this CPU's; slab_reap_cpus: the calling kernel thread goes from CPU to CPU and stays on the last; all: used or not. Sleep.
 */
void slab_reap(void);
void slab_reap_cpus(bool all);
/* A thread that calls it, if memory is worth it. 0 or -ENOMEM. */
MUST_USE int slab_start_reaper(void);

struct slabinfo {
	char name[SLAB_NAME_SIZE]; /* of the cache */
	bool is_alias;             /* slab_find() was asked for another name of it */
	uint64_t active_objs, num_objs, active_slabs, num_slabs, shared_avail;
	unsigned objsize, objperslab, pagesperslab, limit, batchcount, shared;
	unsigned object_size, align, flags, aliases;
	uint64_t alloc_fastpath, alloc_slowpath, free_fastpath, free_slowpath;
	uint64_t alloc_slab, free_slab;
};

/* Calls show for each cache in order of creation, without a lock: those made or ended meanwhile may be missing. Sleeps. */
void slab_for_each(void (*show)(const struct slabinfo *info, void *ctx), void *ctx);
/* The same for one name, aliases included. -ENOENT. */
int slab_find(const char *name, struct slabinfo *info);
/* Calls show with each name, aliases included, under the list's mutex: show copies what it wants, and allocates nothing. */
void slab_for_each_name(void (*show)(const char *name, void *ctx), void *ctx);

/*
 * A bug that debugging found, already in the log. Without a function set, the machine stops; with one, it goes on
 * and what was damaged is mended or left alone. Tests.
 */
struct slab_bug {
	const char *cache, *what;
	const void *object;
	const void *at;                   /* first wrong byte, or NULL */
	uintptr_t allocated_by, freed_by; /* call sites, 0: not known */
};
void slab_set_report(void (*report)(const struct slab_bug *bug));

/*
 * Shrinkers: whoever keeps objects only because they may be of use again says how many, and frees some when asked.
 * count: how many could be freed now. scan: look at nr_to_scan of them; returns how many were freed, or SHRINK_STOP.
 * Both are called under a mutex, may sleep if gfp says so, and must not register or unregister.
 */
#define SHRINK_STOP     (~0ull)
#define DEFAULT_SEEKS   2u
#define SHRINK_BATCH    128u
#define SHRINK_PRIORITY 12u /* the mildest: 1/2^12 of the objects, times 4 / seeks */

struct shrink_control {
	gfp_t gfp;
	uint64_t nr_to_scan;
	uint64_t nr_scanned; /* scan may say that it looked at fewer */
};

struct shrinker {
	uint64_t (*count_objects)(struct shrinker *shrinker, struct shrink_control *sc);
	uint64_t (*scan_objects)(struct shrinker *shrinker, struct shrink_control *sc);
	unsigned seeks; /* what making one again costs; 0: nothing, half of them go each time */
	uint64_t batch; /* 0: SHRINK_BATCH */
	const char *name;
	struct list_head list; /* (M) */
	uint64_t nr_deferred;  /* (M) asked for, too few for a batch */
};
void register_shrinker(struct shrinker *shrinker);
void unregister_shrinker(struct shrinker *shrinker);

/* Ask all, harder the smaller the priority is (0: everything). Returns objects freed; 0 if called from within. Sleeps. */
uint64_t shrink_slab(gfp_t gfp, unsigned priority);

/* Is this frame of a slab (PG_slab) one of FRAME_SLAB_RECLAIMABLE? A guess if the slab may be going. */
bool slab_page_reclaimable(const struct page *page);

void slab_init(void);             /* after frame_init; reads the boot words */
const char *slab_allocator(void); /* "slub", "slab" or "slob" */
const char *slab_check(void);

#endif
