/*
 * slub.h - the word that describes a slab of SLUB, and the links of its free objects.
 *
 * page->slab_word, changed by compare-and-swap only:
 *
 *      63           32 31     30..16   15          0
 *     +---------------+------+--------+-------------+
 *     | first free    |frozen|        | in use      |
 *     +---------------+------+--------+-------------+
 *
 * first free: (byte offset in the slab / 8) + 1, or 0. in use: objects that are not on the slab's own free
 * list; those on a CPU's free list or in an array count as used. frozen: the slab is some CPU's.
 */
#ifndef MM_SLAB_SLUB_H
#define MM_SLAB_SLUB_H

#include "mm/slab/internal.h"

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

/* Is it the address of an object of the slab? */
static inline bool slub_is_object(const struct kmem_cache *s, struct page *page, const void *object)
{
	uintptr_t at = (uintptr_t)object - (uintptr_t)page_address(page) - s->red_left;

	return at < (uintptr_t)s->objects * s->size && at % s->size == 0;
}

/*
 * Links. Hardened: the address is enciphered with a secret of the cache and the place where it stands, so that
 * neither an overflow nor a write after free can turn it into an address of the writer's choice. Source: Linux's
 * CONFIG_SLAB_FREELIST_HARDENED.
 */
static inline uintptr_t slub_cipher(const struct kmem_cache *s, const void *object)
{
	uint64_t swapped = __builtin_bswap64((uintptr_t)object);

	return (uintptr_t)(s->random ^ swapped >> (64 - 8 * sizeof(uintptr_t)));
}

/* The link as it is, right or wrong. */
static inline void *slub_peek(const struct kmem_cache *s, const void *object)
{
	uintptr_t link = READ_ONCE(*(uintptr_t *)((char *)(uintptr_t)object + s->offset));

	return (void *)(s->random ? link ^ slub_cipher(s, object) : link);
}

void *slub_decipher(struct kmem_cache *s, void *object, uintptr_t link);

static inline void *slub_next(struct kmem_cache *s, void *object)
{
	uintptr_t link = *(uintptr_t *)((char *)object + s->offset);

	return unlikely(s->random) ? slub_decipher(s, object, link) : (void *)link;
}

static inline void slub_link(const struct kmem_cache *s, void *object, const void *next)
{
	uintptr_t link = (uintptr_t)next;

	if (unlikely(s->random))
		link ^= slub_cipher(s, object);
	*(uintptr_t *)((char *)object + s->offset) = link;
}

/* slub_check.c */
const char *slub_check(struct kmem_cache *s);
uint64_t slub_info(struct kmem_cache *s, struct slabinfo *info);
bool slub_in_use(struct kmem_cache *s, struct page *page, void *object);

#endif
