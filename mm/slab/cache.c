/*
 * cache.c - caches: making, ending, shrinking, looking at them.
 *
 * How big is a slab: the smallest order that holds four objects (two, from half a page up) and wastes at most
 * an eighth. Small slabs matter more than few: a machine of 4 MB has forty caches, and a CPU keeps a slab of each that
 * it uses.
 */
#include "mm/slab/internal.h"

#include <quire/errno.h>

#define SLAB_MIN_PARTIAL 2u /* empty slabs kept against going to the buddy and back */
#define SLAB_MAX_ORDER   3u
#define SLAB_ALIGN       8u

static struct slab_state *state(void)
{
	return machine()->slab;
}

/* SLAB_HWCACHE_ALIGN: a cache line, or the part of it that still holds the object, so that none crosses a line. */
static size_t cache_align(size_t size, size_t align, unsigned flags)
{
	size_t line = CACHELINE;

	align = MAX(align, SLAB_ALIGN);
	if (!(flags & SLAB_HWCACHE_ALIGN))
		return align;
	while (size <= line / 2)
		line /= 2;
	return MAX(align, line);
}

static unsigned slab_order(size_t size)
{
	size_t least = size > PAGE_SIZE / 2 ? 2 : 4;
	unsigned order;

	for (order = 0; order < SLAB_MAX_ORDER; order++) {
		size_t slab = PAGE_SIZE << order;

		if (slab / size >= least && slab % size <= slab / 8)
			break;
	}
	return order;
}

void slab_cache_setup(struct kmem_cache *s, const char *name, size_t size, size_t align,
                      unsigned flags, void (*ctor)(void *object))
{
	size_t link = ctor ? ALIGN_UP(size, (size_t)SLAB_ALIGN) : 0;
	size_t whole = ALIGN_UP(ctor ? link + sizeof(void *) : MAX(size, sizeof(void *)),
	                        cache_align(size, align, flags));

	*s = (struct kmem_cache){
	        .offset = (uint32_t)link,
	        .size = (uint32_t)whole,
	        .object_size = (uint32_t)size,
	        .order = (uint16_t)slab_order(whole),
	        .flags = flags,
	        .min_partial = SLAB_MIN_PARTIAL,
	        .name = name,
	        .ctor = ctor,
	};
	s->slab_bytes = (uint32_t)(PAGE_SIZE << s->order);
	s->objects = (uint16_t)(s->slab_bytes / s->size);
	for (unsigned nid = 0; nid < MAX_NUMNODES; nid++) {
		spin_lock_init(&s->node[nid].lock);
		page_list_init(&s->node[nid].partial);
	}
	mutex_lock(&state()->lock);
	list_add_tail(&s->list, &state()->caches);
	mutex_unlock(&state()->lock);
}

/* A constructor's link and the alignment come on top of the size. */
static bool possible(size_t size, size_t align)
{
	return size && !(align & (align - 1)) && align <= PAGE_SIZE &&
	       size <= (PAGE_SIZE << SLAB_MAX_ORDER) - MAX(align, CACHELINE);
}

struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align, unsigned flags,
                                     void (*ctor)(void *object))
{
	struct kmem_cache *s = NULL;

	if (!possible(size, align))
		port_log("kmem_cache_create: %s: size %lu, align %lu: impossible", name,
		         (unsigned long)size, (unsigned long)align);
	else
		s = kmem_cache_alloc(&state()->cache_cache, GFP_KERNEL);
	if (s)
		slab_cache_setup(s, name, size, align, flags, ctor);
	else if (flags & SLAB_PANIC)
		port_panic("kmem_cache_create: %s: cannot be made", name);
	return s;
}

static uint64_t nr_slabs(struct kmem_cache *s)
{
	uint64_t n = 0;

	for (unsigned nid = 0; nid < MAX_NUMNODES; nid++)
		n += atomic_load_explicit(&s->node[nid].nr_slabs, memory_order_relaxed);
	return n;
}

/* Objects on the free lists of slabs that are no CPU's. */
static uint64_t free_objects(struct kmem_cache *s)
{
	uint64_t n = 0;

	for (unsigned nid = 0; nid < MAX_NUMNODES; nid++) {
		struct slab_node *node = &s->node[nid];
		irq_state_t irq = spin_lock_irqsave(&node->lock);
		uint32_t pfn = node->partial.first;

		while (pfn != PFN_NONE_N) {
			struct page *page = pfn_to_page(PFN(pfn));

			n += s->objects - word_use(word_load(page));
			pfn = page->lru.next;
		}
		spin_unlock_irqrestore(&node->lock, irq);
	}
	return n;
}

static void flush_cpus(struct kmem_cache *s)
{
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		slab_flush_cpu(s, &s->cpu[i]);
}

/* Nobody uses the cache any more, so the other CPUs' slabs may be touched from here. */
int kmem_cache_destroy(struct kmem_cache *s)
{
	flush_cpus(s);
	slab_discard_empty(s);
	if (nr_slabs(s)) {
		port_log("kmem_cache_destroy: %s: %lu objects still in use", s->name,
		         (unsigned long)(nr_slabs(s) * s->objects - free_objects(s)));
		return -EBUSY;
	}
	mutex_lock(&state()->lock);
	list_del(&s->list);
	mutex_unlock(&state()->lock);
	kmem_cache_free(&state()->cache_cache, s);
	return 0;
}

static NOINLINE void *alloc_traced(struct kmem_cache *s, gfp_t gfp, void *caller)
{
	void *object = slab_alloc(s, gfp);

	trace_kmem_cache_alloc((uintptr_t)caller, (uintptr_t)object, s->object_size, s->size, gfp);
	return object;
}

static NOINLINE void free_traced(struct kmem_cache *s, void *object, void *caller)
{
	trace_kmem_cache_free((uintptr_t)caller, (uintptr_t)object);
	slab_free(s, object);
}

void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp)
{
	if (trace_enabled())
		return alloc_traced(s, gfp, __builtin_return_address(0));
	return slab_alloc(s, gfp);
}

void kmem_cache_free(struct kmem_cache *s, void *object)
{
	if (trace_enabled())
		free_traced(s, object, __builtin_return_address(0));
	else
		slab_free(s, object);
}

/* The slabs of other CPUs stay theirs: one for each at most. */
uint64_t kmem_cache_shrink(struct kmem_cache *s)
{
	uint64_t before = nr_slabs(s), after;

	if (!in_interrupt())
		slab_flush_cpu(s, &s->cpu[cpu_id()]);
	slab_discard_empty(s);
	after = nr_slabs(s);
	return before > after ? (before - after) << s->order : 0;
}

uint64_t kmem_cache_shrink_all(void)
{
	struct kmem_cache *s;
	uint64_t pages = 0;

	mutex_lock(&state()->lock);
	list_for_each_entry(s, &state()->caches, list)
		pages += kmem_cache_shrink(s);
	mutex_unlock(&state()->lock);
	return pages;
}

void slab_flush_all(void)
{
	struct kmem_cache *s;

	mutex_lock(&state()->lock);
	list_for_each_entry(s, &state()->caches, list)
		flush_cpus(s);
	mutex_unlock(&state()->lock);
}

void slab_for_each(void (*show)(const struct slabinfo *info, void *ctx), void *ctx)
{
	struct kmem_cache *s;

	mutex_lock(&state()->lock);
	list_for_each_entry(s, &state()->caches, list) {
		uint64_t slabs = nr_slabs(s), total = slabs * s->objects, free = free_objects(s);
		struct slabinfo info = {
		        .name = s->name,
		        .active_objs = total > free ? total - free : 0,
		        .num_objs = total,
		        .active_slabs = slabs,
		        .num_slabs = slabs,
		        .objsize = s->size,
		        .objperslab = s->objects,
		        .pagesperslab = 1u << s->order,
		};

		show(&info, ctx);
	}
	mutex_unlock(&state()->lock);
}
