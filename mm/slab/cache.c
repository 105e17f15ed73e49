/*
 * cache.c - caches: making, merging, ending, shrinking, looking at them.
 *
 * What an object occupies
 *
 *     | left red zone |   object   | right red zone | link | state, tracks |  up to the alignment
 *       debugging only               debugging only   SLUB: inside of the object if that may be written while free
 *
 * How big is a slab: the smallest order that holds four objects (two, from half a page up) and wastes at most
 * an eighth. Small slabs matter more than few: a machine of 4 MB has forty caches, and a CPU keeps a slab of each that
 * it uses.
 *
 * Merging (slab_nomerge: not). A new cache whose objects would be laid out like those of an older one, whose memory comes
 * from the same zone and which has neither constructor nor debugging, is that cache: fewer half-empty slabs. Its name
 * lives on as an alias.
 */
#include "mm/slab/internal.h"

#include "lib/string.h"

#define SLAB_NEVER_MERGE (SLAB_NO_MERGE | SLAB_KMALLOC | SLAB_SLOW)
#define SLAB_MERGE_SAME  (SLAB_RECLAIM | SLAB_CACHE_DMA | SLAB_CACHE_DMA32 | SLAB_HARDENED)

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

unsigned slab_least_waste_order(const struct kmem_cache *s)
{
	size_t least = s->size > PAGE_SIZE / 2 ? 2 : 4;
	unsigned order;

	for (order = 0; order < SLAB_MAX_ORDER; order++) {
		size_t slab = PAGE_SIZE << order;

		if (slab / s->size >= least && slab % s->size <= slab / 8)
			break;
	}
	return order;
}

/* Objects in a CPU's array: some KB at most. */
static unsigned array_limit(const struct kmem_cache *s)
{
	unsigned limit = s->size <= 256    ? ARRAY_MAX
	                 : s->size <= 1024 ? 30
	                 : s->size <= 4096 ? 14
	                                   : 6;

	if (!s->ops->arrays || s->flags & SLAB_SLOW)
		return 0;
	return MIN(limit, slab_state()->options.arrays);
}

static gfp_t cache_gfp(unsigned flags)
{
	gfp_t gfp = flags & SLAB_RECLAIM ? __GFP_RECLAIMABLE : 0;

	if (flags & SLAB_CACHE_DMA)
		gfp |= __GFP_DMA;
	if (flags & SLAB_CACHE_DMA32)
		gfp |= __GFP_DMA32;
	return gfp;
}

static void init_nodes(struct kmem_cache *s)
{
	for (unsigned nid = 0; nid < nr_nodes(); nid++) {
		struct slab_node *n = &s->node[nid];

		memset(n, 0, sizeof(*n));
		spin_lock_init(&n->lock);
		page_list_init(&n->partial);
		page_list_init(&n->full);
		page_list_init(&n->free);
	}
}

static uint64_t slab_random(void)
{
	uint64_t x = slab_state()->random += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* All but its place in the list. -EINVAL: no slab can hold such objects. */
static int prepare(struct kmem_cache *s, const char *name, size_t size,
                   const struct kmem_cache_args *args, unsigned flags)
{
	memset(s, 0, offsetof(struct kmem_cache, node));
	s->ops = slab_state()->options.ops;
	s->name = name;
	s->flags = flags;
	s->object_size = (uint32_t)size;
	s->align = (uint32_t)cache_align(size, args->align, flags);
	s->ctor = args->ctor;
	s->dtor = args->dtor;
	s->refcount = 1;
	s->gfp = cache_gfp(flags);
	s->random = flags & SLAB_HARDENED ? slab_random() | 1 : 0;
	slab_debug_layout(s);
	s->limit = (uint16_t)array_limit(s);
	slab_cpu_init(s);
	init_nodes(s);
	return s->ops->layout(s);
}

static unsigned with_boot_flags(const char *name, unsigned flags)
{
	const struct slab_options *o = &slab_state()->options;

	flags |= slab_debug_flags(o, name);
	if (o->harden)
		flags |= SLAB_HARDENED;
	if (flags & SLAB_POISON && o->ops->no_poison && !slab_state()->said_no_poison) {
		slab_state()->said_no_poison = true;
		port_log("%s: writes after free are not found (P): %s", o->ops->name,
		         o->ops->no_poison);
	}
	if (o->stats[0] && (!strcmp(o->stats, "*") || !strcmp(o->stats, name)))
		flags |= SLAB_STATS;
	return flags;
}

void slab_cache_setup(struct kmem_cache *s, const char *name, size_t size,
                      const struct kmem_cache_args *args, unsigned flags)
{
	if (prepare(s, name, size, args, flags))
		port_panic("slab: %s: cannot be laid out", name);
	mutex_lock(&slab_state()->lock);
	list_add_tail(&s->list, &slab_state()->caches);
	mutex_unlock(&slab_state()->lock);
}

/* --- creation --------------------------------------------------------------------------------------------- */

/* A link and the alignment come on top of the size. */
static bool possible(size_t size, size_t align)
{
	return size && !(align & (align - 1)) && align <= 2 * PAGE_SIZE &&
	       size <= (PAGE_SIZE << SLAB_MAX_ORDER) - (align <= size / 2 ? 0 : CACHELINE);
}

static bool mergeable(const struct kmem_cache *s)
{
	return !s->ctor && !s->dtor && !(s->flags & SLAB_NEVER_MERGE);
}

/* Could objects of `new`, laid out already but for nothing else, be objects of s? */
static bool same_kind(const struct kmem_cache *s, const struct kmem_cache *new)
{
	return mergeable(s) && s->size == new->size && s->align >= new->align &&
	       !((s->flags ^ new->flags) & SLAB_MERGE_SAME) &&
	       s != slab_state()->arrays &&s != &slab_state()->cache_cache;
}

/* Mutex held. */
static struct kmem_cache *find_mergeable(const struct kmem_cache *new)
{
	struct kmem_cache *s;

	if (slab_state()->options.nomerge || new->ops->exact || !mergeable(new))
		return NULL;
	list_for_each_entry(s, &slab_state()->caches, list)
		if (same_kind(s, new))
			return s;
	return NULL;
}

/* new becomes an alias of an older cache, or joins the list. */
static struct kmem_cache *merge_or_add(struct kmem_cache *new, struct slab_alias *alias)
{
	struct kmem_cache *s;

	mutex_lock(&slab_state()->lock);
	s = alias ? find_mergeable(new) : NULL;
	if (s) {
		*alias = (struct slab_alias){.cache = s, .name = new->name};
		list_add_tail(&alias->list, &slab_state()->aliases);
		s->refcount++;
		if (new->object_size > s->object_size)
			s->object_size = new->object_size;
	} else {
		list_add_tail(&new->list, &slab_state()->caches);
	}
	mutex_unlock(&slab_state()->lock);
	if (!s)
		kfree(alias);
	else
		kmem_cache_free(&slab_state()->cache_cache, new);
	return s ? s : new;
}

static struct kmem_cache *create(const char *name, size_t size, const struct kmem_cache_args *args,
                                 unsigned flags)
{
	struct slab_alias *alias = NULL;
	struct kmem_cache *s;

	if (!possible(size, args->align)) {
		port_log("kmem_cache_create: %s: size %lu, align %lu: impossible", name,
		         (unsigned long)size, (unsigned long)args->align);
		return NULL;
	}
	s = kmem_cache_alloc(&slab_state()->cache_cache, GFP_KERNEL);
	if (!s)
		return NULL;
	/* The largest objects leave no room for what the boot words want around them. */
	if (prepare(s, name, size, args, with_boot_flags(name, flags)) &&
	    prepare(s, name, size, args, flags)) {
		kmem_cache_free(&slab_state()->cache_cache, s);
		return NULL;
	}
	/* Without memory for an alias it is a cache of its own. Before kmalloc there are none. */
	if (mergeable(s) && !slab_state()->options.nomerge && !s->ops->exact &&
	    slab_state()->kmalloc[KMALLOC_DMA32][KMALLOC_CLASSES - 1])
		alias = kmalloc(sizeof(*alias), GFP_KERNEL | __GFP_NOWARN);
	return merge_or_add(s, alias);
}

struct kmem_cache *kmem_cache_create_args(const char *name, size_t size,
                                          const struct kmem_cache_args *args, unsigned flags)
{
	struct kmem_cache *s = create(name, size, args, flags);

	if (!s && flags & SLAB_PANIC)
		port_panic("kmem_cache_create: %s: cannot be made", name);
	return s;
}

struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align, unsigned flags,
                                     void (*ctor)(void *object))
{
	const struct kmem_cache_args args = {.align = align, .ctor = ctor};

	return kmem_cache_create_args(name, size, &args, flags);
}

/* --- the end of a cache ----------------------------------------------------------------------------------- */

uint64_t slab_nr_slabs(struct kmem_cache *s)
{
	uint64_t n = 0;

	for (unsigned nid = 0; nid < nr_nodes(); nid++)
		n += atomic_load_explicit(&s->node[nid].nr_slabs, memory_order_relaxed);
	return n;
}

static void count_objects(struct kmem_cache *s, struct slabinfo *info)
{
	uint64_t free = s->ops->info(s, info);

	for (unsigned i = 0; i < machine()->nr_cpus; i++)
		free += slab_array_objects(&s->cpu[i]);
	info->active_objs = info->num_objs > free ? info->num_objs - free : 0;
}

/* One of several names goes: which of them does not matter, they are the same cache. Mutex held. */
static struct slab_alias *drop_alias(struct kmem_cache *s)
{
	struct slab_alias *a, *found = NULL;

	s->refcount--;
	list_for_each_entry(a, &slab_state()->aliases, list)
		if (a->cache == s)
			found = a;
	list_del(&found->list);
	return found;
}

/* Mutex held, so that the reaper is not at work: nobody else touches what is other CPUs'. */
static void empty_cache(struct kmem_cache *s)
{
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		slab_close_cpu(s, &s->cpu[i]);
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		slab_flush_cpu(s, &s->cpu[i]);
	s->ops->discard(s);
}

/* The last of its names goes. Mutex held. */
static int end_cache(struct kmem_cache *s)
{
	struct slabinfo info = {0};

	empty_cache(s);
	count_objects(s, &info);
	if (info.active_objs) {
		port_log("kmem_cache_destroy: %s: %lu objects still in use", s->name,
		         (unsigned long)info.active_objs);
		slab_report_leaks(s);
		return -EBUSY;
	}
	list_del(&s->list);
	return 0;
}

/* All under one hold of the mutex: meanwhile no new cache may become one with this. */
int kmem_cache_destroy(struct kmem_cache *s)
{
	struct slab_alias *alias = NULL;
	int err = 0;

	mutex_lock(&slab_state()->lock);
	if (s->refcount > 1)
		alias = drop_alias(s);
	else
		err = end_cache(s);
	mutex_unlock(&slab_state()->lock);
	if (alias)
		kfree(alias);
	else if (!err)
		kmem_cache_free(&slab_state()->cache_cache, s);
	return err;
}

/* --- giving memory back ------------------------------------------------------------------------------------ */

/* What other CPUs keep stays theirs, until the reaper comes by: an array and some slabs for each at most. */
uint64_t kmem_cache_shrink(struct kmem_cache *s)
{
	uint64_t before = slab_nr_slabs(s), after;

	if (!in_interrupt()) {
		slab_close_cpu(s, slab_cpu(s));
		s->ops->flush(s, slab_cpu(s));
	}
	s->ops->discard(s);
	after = slab_nr_slabs(s);
	return before > after ? (before - after) << s->order : 0;
}

/* A slab that goes may leave another cache's empty (SLAB's off-slab index): until a round brings nothing. */
uint64_t kmem_cache_shrink_all(void)
{
	struct kmem_cache *s;
	uint64_t pages = 0, round;

	if (mutex_is_held(&slab_state()->lock))
		return 0; /* reclaim, for an allocation of a destructor */
	mutex_lock(&slab_state()->lock);
	do {
		round = 0;
		list_for_each_entry(s, &slab_state()->caches, list)
			round += kmem_cache_shrink(s);
		pages += round;
	} while (round);
	mutex_unlock(&slab_state()->lock);
	slab_wake_reaper();
	return pages;
}

/* Arrays first, for what they hold may become a CPU's again. */
void slab_flush_all(void)
{
	struct kmem_cache *s;

	mutex_lock(&slab_state()->lock);
	slab_state()->closing = true;
	list_for_each_entry(s, &slab_state()->caches, list)
		for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
			slab_close_cpu(s, &s->cpu[i]);
	list_for_each_entry(s, &slab_state()->caches, list)
		for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
			s->ops->flush(s, &s->cpu[i]);
	slab_state()->closing = false;
	mutex_unlock(&slab_state()->lock);
}

/* --- looking at them ----------------------------------------------------------------------------------------- */

static void fill_info(struct kmem_cache *s, struct slabinfo *info)
{
	*info = (struct slabinfo){
	        .name = s->name,
	        .objsize = s->size,
	        .objperslab = s->objects,
	        .pagesperslab = 1u << s->order,
	        .object_size = s->object_size,
	        .align = s->align,
	        .flags = s->flags,
	        .aliases = s->refcount - 1,
	        .alloc_fastpath = atomic_load_explicit(&s->alloc_fast, memory_order_relaxed),
	        .alloc_slowpath = atomic_load_explicit(&s->alloc_slow, memory_order_relaxed),
	        .free_fastpath = atomic_load_explicit(&s->free_fast, memory_order_relaxed),
	        .free_slowpath = atomic_load_explicit(&s->free_slow, memory_order_relaxed),
	        .alloc_slab = atomic_load_explicit(&s->new_slabs, memory_order_relaxed),
	        .free_slab = atomic_load_explicit(&s->discarded, memory_order_relaxed),
	};
	count_objects(s, info);
}

void slab_for_each(void (*show)(const struct slabinfo *info, void *ctx), void *ctx)
{
	struct kmem_cache *s;
	struct slabinfo info;

	mutex_lock(&slab_state()->lock);
	list_for_each_entry(s, &slab_state()->caches, list) {
		fill_info(s, &info);
		show(&info, ctx);
	}
	mutex_unlock(&slab_state()->lock);
}

/* Mutex held. */
static struct kmem_cache *find_cache(const char *name, bool *alias)
{
	struct kmem_cache *s;
	struct slab_alias *a;

	*alias = false;
	list_for_each_entry(s, &slab_state()->caches, list)
		if (!strcmp(s->name, name))
			return s;
	*alias = true;
	list_for_each_entry(a, &slab_state()->aliases, list)
		if (!strcmp(a->name, name))
			return a->cache;
	return NULL;
}

int slab_find(const char *name, struct slabinfo *info)
{
	struct kmem_cache *s;
	bool alias;

	mutex_lock(&slab_state()->lock);
	s = find_cache(name, &alias);
	if (s) {
		fill_info(s, info);
		info->alias_of = alias ? s->name : NULL;
	}
	mutex_unlock(&slab_state()->lock);
	return s ? 0 : -ENOENT;
}

void slab_for_each_name(void (*show)(const char *name, void *ctx), void *ctx)
{
	struct kmem_cache *s;
	struct slab_alias *a;

	mutex_lock(&slab_state()->lock);
	list_for_each_entry(s, &slab_state()->caches, list)
		show(s->name, ctx);
	list_for_each_entry(a, &slab_state()->aliases, list)
		show(a->name, ctx);
	mutex_unlock(&slab_state()->lock);
}

const char *slab_allocator(void)
{
	return slab_state()->options.ops->name;
}
