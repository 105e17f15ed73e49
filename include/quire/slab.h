/*
 * slab.h - kernel objects: caches of one size, and kmalloc (mm/slab).
 *
 * Sources: Bonwick 1994; lectures 001 and 003; SLUB (Lameter 2007). SLUB is the allocator of this
 * tree; the interface is common to all three of lecture 001.
 */
#ifndef QUIRE_SLAB_H
#define QUIRE_SLAB_H

#include <quire/frame.h>
#include "lib/list.h"

struct kmem_cache;

#define SLAB_HWCACHE_ALIGN 1u /* objects start at (sub-multiples of) cache lines */
#define SLAB_PANIC         2u /* creation cannot fail: boot */
#define SLAB_RECLAIM       4u /* objects that a shrinker can free */

/*
 * A cache of objects of size bytes. ctor runs once for each object when its slab is made and the object is
 * constructed again when given out; free objects must be left constructed. NULL: no memory.
 * align 0: natural for the size, at least 8. Sleeps.
 */
struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align, unsigned flags,
				     void (*ctor)(void *object));

/* Sleeps. Objects still in use are a leak: reported by name and count, cache kept, -EBUSY. */
int kmem_cache_destroy(struct kmem_cache *cache);

/* Sleeps only with __GFP_DIRECT_RECLAIM. NULL: no memory. __GFP_ZERO is honoured (not with a ctor). */
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *object); /* any context; NULL is not allowed */

/* Empty slabs go back to the buddy. Returns pages freed. */
uint64_t kmem_cache_shrink(struct kmem_cache *cache);
uint64_t kmem_cache_shrink_all(void);

/* Any size up to 4 MB, physically contiguous, aligned to at least 8 and to a power-of-two size. */
void *kmalloc(size_t size, gfp_t gfp);
static inline void *kzalloc(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp | __GFP_ZERO);
}
void *kcalloc(size_t n, size_t size, gfp_t gfp); /* NULL on overflow */
void *krealloc(void *p, size_t size, gfp_t gfp); /* on failure NULL and p unchanged */
void kfree(void *p);                             /* NULL is nothing */
size_t ksize(const void *p);
char *kstrdup(const char *s, gfp_t gfp);

/* No CPU keeps a slab for itself any more: what is empty can go. Quiet machine only: tests, checks. */
void slab_flush_all(void);

struct slabinfo {
	const char *name;
	uint64_t active_objs, num_objs, active_slabs, num_slabs;
	unsigned objsize, objperslab, pagesperslab;
};

/* Calls show for each cache in order of creation, under the list's mutex. Sleeps. */
void slab_for_each(void (*show)(const struct slabinfo *info, void *ctx), void *ctx);

void slab_init(void); /* after frame_init */
const char *slab_check(void);

#endif
