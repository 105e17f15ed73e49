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
 * lives on as an alias (names.c).
 */
#include "mm/slab/internal.h"

#include "lib/string.h"

#define SHRINK_ROUNDS    4u
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
	strscpy(s->name, name, sizeof(s->name));
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

/* Mutex held. */
static void list_cache(struct kmem_cache *s)
{
	s->number = ++slab_state()->last_number;
	list_add_tail(&s->list, &slab_state()->caches);
}

void slab_cache_setup(struct kmem_cache *s, const char *name, size_t size,
                      const struct kmem_cache_args *args, unsigned flags)
{
	if (prepare(s, name, size, args, flags))
		port_panic("slab: %s: cannot be laid out", name);
	mutex_lock(&slab_state()->lock);
	list_cache(s);
	mutex_unlock(&slab_state()->lock);
}

/*
 * A walk over the caches that gives up the mutex between two: they are listed by number, so the next one is found whatever
 * has gone meanwhile. Mutex held; NULL: *after is the last one's.
 */
struct kmem_cache *slab_next_cache(uint64_t *after)
{
	struct kmem_cache *s;

	list_for_each_entry(s, &slab_state()->caches, list) {
		if (s->number > *after) {
			*after = s->number;
			return s;
		}
	}
	return NULL;
}

void slab_each_cache(void (*fn)(struct kmem_cache *s, void *ctx), void *ctx)
{
	struct kmem_cache *s;
	uint64_t last = 0;

	do {
		mutex_lock(&slab_state()->lock);
		s = slab_next_cache(&last);
		if (s)
			fn(s, ctx);
		mutex_unlock(&slab_state()->lock);
		port_cond_resched();
	} while (s);
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
	slab_forget_name(new->name);
	if (s) {
		slab_add_alias(alias, s, new->name);
		s->refcount++;
		if (new->object_size > s->object_size)
			s->object_size = new->object_size;
	} else {
		list_cache(new);
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

	if (!slab_name_good(name))
		return NULL;
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
	if (mergeable(s) && !slab_state()->options.nomerge && !s->ops->exact && slab_state()->up)
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

/* Mutex held, so that the reaper is not at work: nobody else touches what is other CPUs'. */
static void empty_cache(struct kmem_cache *s)
{
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		slab_close_cpu(s, &s->cpu[i]);
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		slab_flush_cpu(s, &s->cpu[i]);
	s->ops->discard(s);
}

/* Nobody has it any more. Mutex held. */
static int end_cache(struct kmem_cache *s)
{
	struct slabinfo info = {0};

	empty_cache(s);
	slab_count_objects(s, &info);
	if (info.active_objs) {
		port_log("kmem_cache_destroy: %s: %lu objects still in use", s->name,
		         (unsigned long)info.active_objs);
		slab_report_leaks(s);
		return -EBUSY;
	}
	slab_forget_aliases(s);
	list_del(&s->list);
	return 0;
}

/* All under one hold of the mutex: meanwhile no new cache may become one with this. */
int kmem_cache_destroy(struct kmem_cache *s)
{
	bool last;
	int err = 0;

	mutex_lock(&slab_state()->lock);
	last = s->refcount == 1;
	if (last)
		err = end_cache(s);
	else
		s->refcount--;
	mutex_unlock(&slab_state()->lock);
	if (last && !err)
		kmem_cache_free(&slab_state()->cache_cache, s);
	return err;
}

/* --- giving memory back ------------------------------------------------------------------------------------ */

/* What this CPU keeps, and what is empty. */
static uint64_t shrink_here(struct kmem_cache *s)
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

/*
 * Only a CPU itself may touch its array, and the caller may not be sent about: it can hold locks, and reclaim is in a hurry. The
 * reaper goes for it.
 */
uint64_t kmem_cache_shrink(struct kmem_cache *s)
{
	uint64_t pages = shrink_here(s);

	slab_wake_reaper();
	return pages;
}

static void shrink_one(struct kmem_cache *s, void *pages)
{
	*(uint64_t *)pages += shrink_here(s);
}

/*
 * What goes may leave another cache's slab empty (a CPU's array; SLAB's index elsewhere): until a round brings nothing, but
 * not for ever while others are at work.
 */
uint64_t kmem_cache_shrink_all(void)
{
	uint64_t pages = 0, round = 1;

	if (mutex_is_held(&slab_state()->lock))
		port_panic("kmem_cache_shrink_all: for an allocation of a destructor");
	for (unsigned i = 0; round && i < SHRINK_ROUNDS; i++) {
		round = 0;
		slab_each_cache(shrink_one, &round);
		pages += round;
	}
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
