/*
 * kmalloc.c - memory by size: general caches up to 8 KB, whole blocks of frames above.
 *
 * Powers of two, and 96 and 192 between them because so many structures are a little more than 64 or 128.
 * A class that is a power of two is aligned to itself, for a slab starts on a page. Blocks of frames are
 * compound pages, so that kfree() finds their size; requests for a zone (GFP_DMA) are served from frames whatever
 * their size, for a slab's objects may come from anywhere.
 */
#include "mm/slab/internal.h"

#include "lib/string.h"

static const char *const kmalloc_names[KMALLOC_CLASSES] = {
        "kmalloc-8",   "kmalloc-16",  "kmalloc-32",  "kmalloc-64",  "kmalloc-96",
        "kmalloc-128", "kmalloc-192", "kmalloc-256", "kmalloc-512", "kmalloc-1k",
        "kmalloc-2k",  "kmalloc-4k",  "kmalloc-8k",
};
static const uint16_t kmalloc_sizes[KMALLOC_CLASSES] = {8,   16,  32,   64,   96,   128, 192,
                                                        256, 512, 1024, 2048, 4096, 8192};

/* Class by eighths: index (size + 7) / 8, for sizes up to 192. */
static const uint8_t small_class[25] = {0, 0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4,
                                        5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6};

static inline unsigned kmalloc_class(size_t size)
{
	if (size <= 192)
		return small_class[(size + 7) / 8];
	return 63u - (unsigned)__builtin_clzll(size - 1);
}

static unsigned size_order(size_t size)
{
	return size <= PAGE_SIZE ? 0 : 64u - PAGE_SHIFT - (unsigned)__builtin_clzll(size - 1);
}

static NOINLINE void *kmalloc_large(size_t size, gfp_t gfp)
{
	unsigned order = size_order(size);
	struct page *page =
	        alloc_pages((gfp & ~(__GFP_HIGHMEM | __GFP_MOVABLE)) | __GFP_COMP, order);

	if (!page)
		return NULL;
	frame_account(FRAME_SLAB, (int64_t)1 << order);
	return page_address(page);
}

static unsigned large_order(const struct page *page)
{
	return page_flag(page, PG_head) ? page[1].order : 0;
}

static NOINLINE void kfree_large(struct page *page)
{
	unsigned order = large_order(page);

	frame_account(FRAME_SLAB, -((int64_t)1 << order));
	__free_pages(page, order);
}

static ALWAYS_INLINE void *kmalloc_from(size_t size, gfp_t gfp)
{
	if (unlikely(size > KMALLOC_MAX || gfp & (__GFP_DMA | __GFP_DMA32)))
		return kmalloc_large(size, gfp);
	return slab_alloc(machine()->slab->kmalloc[kmalloc_class(size)], gfp);
}

static NOINLINE void *kmalloc_traced(size_t size, gfp_t gfp, void *caller)
{
	void *p = kmalloc_from(size, gfp);

	trace_kmalloc((uintptr_t)caller, (uintptr_t)p, size, p ? ksize(p) : 0, gfp);
	return p;
}

void *kmalloc(size_t size, gfp_t gfp)
{
	if (trace_enabled())
		return kmalloc_traced(size, gfp, __builtin_return_address(0));
	return kmalloc_from(size, gfp);
}

void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return kzalloc(bytes, gfp);
}

static ALWAYS_INLINE void kfree_untraced(void *p)
{
	struct page *page = compound_head(virt_to_page(p));

	if (likely(page_flag(page, PG_slab)))
		slab_free(page->slab_cache, p);
	else
		kfree_large(page);
}

static NOINLINE void kfree_traced(void *p, void *caller)
{
	trace_kfree((uintptr_t)caller, (uintptr_t)p);
	kfree_untraced(p);
}

void kfree(void *p)
{
	if (unlikely(!p))
		return;
	if (trace_enabled())
		kfree_traced(p, __builtin_return_address(0));
	else
		kfree_untraced(p);
}

size_t ksize(const void *p)
{
	const struct page *page = compound_head(virt_to_page(p));

	return page_flag(page, PG_slab) ? page->slab_cache->object_size
	                                : PAGE_SIZE << large_order(page);
}

/* With __GFP_ZERO what is added is zero only as far as p was asked for with it too. */
void *krealloc(void *p, size_t size, gfp_t gfp)
{
	void *new;

	if (!p)
		return kmalloc(size, gfp);
	if (!size) {
		kfree(p);
		return NULL;
	}
	if (size <= ksize(p))
		return p;
	new = kmalloc(size, gfp);
	if (!new)
		return NULL;
	memcpy(new, p, ksize(p));
	kfree(p);
	return new;
}

char *kstrdup(const char *s, gfp_t gfp)
{
	size_t size = strlen(s) + 1;
	char *copy = kmalloc(size, gfp);

	return copy ? memcpy(copy, s, size) : NULL;
}

/* The cache of caches lives in the state, the state in a page: nothing else is needed to begin. */
void slab_init(void)
{
	struct slab_state *state = get_zeroed_page(GFP_KERNEL);

	static_assert(sizeof(struct slab_state) <= 4096, "the slab's state is one page");
	if (!state)
		port_panic("slab_init: no memory");
	frame_account(FRAME_SLAB, 1);
	machine()->slab = state;
	mutex_init(&state->lock);
	INIT_LIST_HEAD(&state->caches);
	slab_cache_setup(&state->cache_cache, "kmem_cache", sizeof(struct kmem_cache), CACHELINE, 0,
	                 NULL);
	for (unsigned i = 0; i < KMALLOC_CLASSES; i++)
		state->kmalloc[i] =
		        kmem_cache_create(kmalloc_names[i], kmalloc_sizes[i], 0, SLAB_PANIC, NULL);
}
