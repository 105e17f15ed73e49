/*
 * kmalloc.c - memory by size: general caches up to 8 KB, whole blocks of frames above.
 *
 * Powers of two, and 96 and 192 between them because so many structures are a little more than 64 or 128.
 * A class that is a power of two is aligned to itself. Blocks of frames are compound pages, so that kfree() finds their
 * size. Of each size there are four caches: kmalloc-, kmalloc-rcl- for what shrinkers can free (__GFP_RECLAIMABLE),
 * dma-kmalloc- below 16 MB and dma32-kmalloc- below 4 GB; where all memory lies below such a limit, the caches for it are the
 * first ones.
 */
#include "mm/slab/internal.h"

#include "lib/string.h"

#define NAMES(prefix)                                                                         \
	{                                                                                     \
		prefix "8", prefix "16", prefix "32", prefix "64", prefix "96", prefix "128", \
		        prefix "192", prefix "256", prefix "512", prefix "1k", prefix "2k",   \
		        prefix "4k", prefix "8k",                                             \
	}
static const char *const kmalloc_names[NR_KMALLOC_TYPES][KMALLOC_CLASSES] = {
        [KMALLOC_NORMAL] = NAMES("kmalloc-"),
        [KMALLOC_RECLAIM] = NAMES("kmalloc-rcl-"),
        [KMALLOC_DMA] = NAMES("dma-kmalloc-"),
        [KMALLOC_DMA32] = NAMES("dma32-kmalloc-"),
};
static const unsigned kmalloc_flags[NR_KMALLOC_TYPES] = {
        [KMALLOC_RECLAIM] = SLAB_RECLAIM,
        [KMALLOC_DMA] = SLAB_CACHE_DMA,
        [KMALLOC_DMA32] = SLAB_CACHE_DMA32,
};
static const uint16_t kmalloc_sizes[KMALLOC_CLASSES] = {8,   16,  32,   64,   96,   128, 192,
                                                        256, 512, 1024, 2048, 4096, 8192};

/* Class by eighths: index (size + 7) / 8, for sizes up to 1024. */
static const uint8_t small_class[KMALLOC_CACHES] = {
        [0 ... 1] = 0,   [2] = 1,         [3 ... 4] = 2,   [5 ... 8] = 3,   [9 ... 12] = 4,
        [13 ... 16] = 5, [17 ... 24] = 6, [25 ... 32] = 7, [33 ... 64] = 8, [65 ... 128] = 9,
};

static inline unsigned kmalloc_class(size_t size)
{
	if (size <= KMALLOC_SMALL)
		return small_class[(size + 7) / 8];
	return 63u - (unsigned)__builtin_clzll(size - 1);
}

static unsigned size_order(size_t size)
{
	return size <= PAGE_SIZE ? 0 : 64u - PAGE_SHIFT - (unsigned)__builtin_clzll(size - 1);
}

static NOINLINE void *kmalloc_large(size_t size, gfp_t gfp, void *caller)
{
	unsigned order = size_order(size);
	struct page *page =
	        alloc_pages((gfp & ~(__GFP_HIGHMEM | __GFP_MOVABLE)) | __GFP_COMP, order);
	void *p = page ? page_address(page) : NULL;

	if (page)
		frame_account(FRAME_SLAB, (int64_t)1 << order);
	trace_kmalloc((uintptr_t)caller, (uintptr_t)p, size, page ? PAGE_SIZE << order : 0, gfp);
	return p;
}

static unsigned large_order(const struct page *page)
{
	return page_flag(page, PG_head) ? page[1].order : 0;
}

static NOINLINE void kfree_large(void *p, void *caller)
{
	struct page *page = slab_page(p);
	unsigned order = large_order(page);

	/* A block of frames that kmalloc gave out is larger than its caches' objects, and freed at its start. */
	if (unlikely(PAGE_SIZE << order <= KMALLOC_MAX || p != page_address(page))) {
		slab_bad_free(NULL, p);
		return;
	}
	trace_kfree((uintptr_t)caller, (uintptr_t)p);
	frame_account(FRAME_SLAB, -((int64_t)1 << order));
	__free_pages(page, order);
}

static enum kmalloc_type kmalloc_type(gfp_t gfp)
{
	if (gfp & __GFP_DMA)
		return KMALLOC_DMA;
	if (gfp & __GFP_DMA32)
		return KMALLOC_DMA32;
	return gfp & __GFP_RECLAIMABLE ? KMALLOC_RECLAIM : KMALLOC_NORMAL;
}

void *kmalloc_special(size_t size, gfp_t gfp)
{
	struct kmem_cache *s;

	if (size > KMALLOC_MAX)
		return kmalloc_large(size, gfp, __builtin_return_address(0));
	s = slab_state()->kmalloc[kmalloc_type(gfp)][kmalloc_class(size)];
	size = MAX(size, 1);
	return gfp & __GFP_ZERO ? slab_zalloc(s, gfp, size) : slab_alloc(s, gfp, size);
}

/* Small ones in line; the others' caller is found here, for they jump. */
void *__kmalloc(size_t size, gfp_t gfp)
{
	if (unlikely(size > KMALLOC_SMALL))
		return kmalloc_special(size, gfp);
	return slab_alloc(machine()->kmalloc_cache[(size + 7) / 8], gfp, MAX(size, 1));
}

void *kmalloc_trace(struct kmem_cache *s, gfp_t gfp, size_t size)
{
	return slab_alloc(s, gfp, size);
}

void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return kzalloc(bytes, gfp);
}

void kfree(void *p)
{
	struct page *page;

	if (unlikely(!p))
		return;
	page = virt_to_page(p);
	if (likely(page_flag(page, PG_slab)))
		slab_free(page->slab_cache, p);
	else
		kfree_large(p, __builtin_return_address(0));
}

size_t ksize(const void *p)
{
	const struct page *page = slab_page(p);

	return page_flag(page, PG_slab) ? page->slab_cache->ops->ksize(page, p)
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

/* --- the beginning ------------------------------------------------------------------------------------------ */

static bool has_zone_above(unsigned id)
{
	for_each_zone(zone)
		if (zone->id > id)
			return true;
	return false;
}

/* Where every frame would do, the normal caches serve; a small machine does not group its objects. */
static bool needs_own(enum kmalloc_type type)
{
	switch (type) {
	case KMALLOC_DMA:
		return has_zone_above(ZONE_DMA);
	case KMALLOC_DMA32:
		return has_zone_above(ZONE_DMA32);
	case KMALLOC_RECLAIM:
		return totalram_pages() >= SLAB_SMALL_PAGES;
	default:
		return true;
	}
}

static void make_class(struct slab_state *state, enum kmalloc_type type, unsigned class)
{
	/* SLOB aligns each request as it needs, but not what lies behind a red zone. */
	bool by_class = !state->options.ops->exact ||
	                slab_debug_flags(&state->options, kmalloc_names[type][class]);
	size_t size = kmalloc_sizes[class];
	const struct kmem_cache_args args = {.align = by_class && !(size & (size - 1)) ? size : 0};

	if (!needs_own(type)) {
		state->kmalloc[type][class] = state->kmalloc[KMALLOC_NORMAL][class];
		return;
	}
	state->kmalloc[type][class] =
	        kmem_cache_create_args(kmalloc_names[type][class], size, &args,
	                               kmalloc_flags[type] | SLAB_KMALLOC | SLAB_PANIC);
}

/* Of CPUs' arrays: has none itself. */
static void make_arrays(struct slab_state *state)
{
	static const struct kmem_cache_args no_args;
	struct kmem_cache *s = kmem_cache_alloc(&state->cache_cache, GFP_KERNEL);

	if (!s)
		port_panic("slab_init: no memory for CPUs' arrays");
	slab_cache_setup(s, "slab_array", ARRAY_WORDS * sizeof(void *), &no_args,
	                 SLAB_NO_MERGE | SLAB_INTERNAL);
	s->limit = 0;
	state->arrays = s;
}

static void init_state(struct slab_state *state)
{
	mutex_init(&state->lock);
	mutex_init(&state->shrinker_lock);
	INIT_LIST_HEAD(&state->caches);
	INIT_LIST_HEAD(&state->aliases);
	INIT_LIST_HEAD(&state->shrinkers);
	spin_lock_init(&state->slob_lock);
	for (unsigned i = 0; i < SLOB_LISTS; i++)
		page_list_init(&state->slob_free[i]);
	state->random = machine()->seed;
	slab_read_options(&state->options);
}

/*
 * The cache of caches lives in the state, the state in a page: nothing else is needed to begin. A cache has as
 * many nodes as the machine. SLOB's pages of blocks need their cache before the first block.
 */
void slab_init(void)
{
	static const struct kmem_cache_args args = {.align = CACHELINE};
	size_t size = offsetof(struct kmem_cache, node) + nr_nodes() * sizeof(struct slab_node);
	struct slab_state *state = get_zeroed_page(GFP_KERNEL);

	static_assert(sizeof(struct slab_state) <= 4096, "the slab's state is one page");
	if (!state)
		port_panic("slab_init: no memory");
	frame_account(FRAME_SLAB, 1);
	machine()->slab = state;
	init_state(state);
	if (state->options.ops->owner) {
		slab_cache_setup(&state->slob_cache, "slob", PAGE_SIZE, &args, SLAB_NO_MERGE);
		state->slob = &state->slob_cache;
	}
	slab_cache_setup(&state->cache_cache, "kmem_cache", size, &args,
	                 SLAB_NO_MERGE | SLAB_INTERNAL);
	for (unsigned type = 0; type < NR_KMALLOC_TYPES; type++)
		for (unsigned class = 0; class < KMALLOC_CLASSES; class ++)
			make_class(state, type, class);
	for (unsigned i = 0; i < KMALLOC_CACHES; i++)
		machine()->kmalloc_cache[i] = state->kmalloc[KMALLOC_NORMAL][small_class[i]];
	if (state->options.ops->arrays)
		make_arrays(state);
	state->up = true;
}
