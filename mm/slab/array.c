/*
 * array.c - a CPU's array of objects, and what happens when it does not help.
 *
 * The fast path of SLUB and SLAB (Bonwick 2001: magazines; Linux's SLAB: array_cache; Linux 6.18's SLUB: sheaves). A
 * CPU that uses a cache keeps up to `limit` free objects in an array, as a stack: the object freed last, whose
 * memory is in the CPU's cache, is given out first.
 *
 *     array: | NULL | o | o | o |   |   |        alloc: *top, top--      empty: half an array from the slabs
 *              [0]        top ^       ^ full     free:  *++top           full: the older half to the slabs
 *
 * The cell before the first object holds NULL, so one load answers "empty?" and gives the object. Moving half an
 * array each way means that whatever a program does, limit / 2 steps lie between two visits to the slabs.
 *
 * Arrays against a fast path that takes from and gives to the CPU's slab (the one that SLUB had here before), in
 * instructions of a pair and ns of CPU time, by bench/slab_bench.c:
 *
 *                                                     CPU's slab      array
 *   64 bytes, kmem_cache_alloc and kmem_cache_free    39   1.5        13  0.1
 *   64 bytes, kmalloc and kfree                       67   4.4        25  0.3
 *   16 to 527 bytes at random, 10,000 live           258  92          36  5.0
 *
 * A CPU's slab serves only frees into that one slab; random ones miss it, and each then costs an atomic step.
 * Therefore arrays stay. They cost 512 bytes for each cache and CPU, so a CPU gets one only after ARRAY_AFTER slow
 * steps; until then, and with slab_arrays=0, SLUB's own paths are all there is.
 *
 * Nodes. A CPU takes from the slabs of its own node (slub.c, slab.c), but whatever is freed on it goes into its array: asking
 * each object where it comes from would be three instructions more. When the array is full, other nodes' objects go home
 * first, so at most one array full of them circulates on a CPU.
 *
 * A closed array is empty and full at once. Nothing is tested to find out whether an array may be used: whoever changes the
 * answer (careful, tracing) closes them all on a quiet machine, and array_open() asks before it makes one.
 */
#include "mm/slab/internal.h"

#define ARRAY_AFTER 16u

void *slab_closed[1];

static void close_array(struct kmem_cache_cpu *c)
{
	c->array = c->top = c->full = slab_closed;
	c->steps = 0;
}

void slab_cpu_init(struct kmem_cache *s)
{
	for (unsigned i = 0; i < ARRAY_SIZE(s->cpu); i++) {
		s->cpu[i] = (struct kmem_cache_cpu){.partial = PFN_NONE_N};
		close_array(&s->cpu[i]);
	}
}

unsigned slab_array_objects(const struct kmem_cache_cpu *c)
{
	return (unsigned)(READ_ONCE(c->top) - READ_ONCE(c->array));
}

static unsigned batch_of(const struct kmem_cache *s)
{
	return (s->limit + 1u) / 2;
}

/* This CPU's array is open, or becomes so. */
static bool array_open(struct kmem_cache *s)
{
	struct kmem_cache_cpu *c = slab_cpu(s);
	struct kmem_cache *arrays = slab_state()->arrays;
	void *array;

	if (!s->limit || in_interrupt())
		return false;
	if (c->array != slab_closed)
		return true;
	if (!arrays || slab_state()->closing || machine()->careful || trace_enabled() ||
	    ++c->steps < ARRAY_AFTER)
		return false;
	c->steps = 0;
	if (!arrays->ops->get(arrays, arrays->object_size, GFP_NOWAIT | __GFP_NOWARN, 1, &array))
		return false;
	c->array = c->top = array;
	c->full = c->array + s->limit;
	*c->array = NULL;
	return true;
}

/* Half an array from the slabs. It may have slept: the array that is filled is that of the CPU it wakes up on. */
static void *refill(struct kmem_cache *s, gfp_t gfp)
{
	void *batch[(ARRAY_MAX + 1) / 2];
	unsigned n = s->ops->get(s, s->object_size, gfp, batch_of(s), batch), keep;
	struct kmem_cache_cpu *c = slab_cpu(s);

	if (!n)
		return NULL;
	keep = MIN(n - 1, (unsigned)(c->full - c->top));
	for (unsigned i = keep; i > 0; i--)
		*++c->top = batch[i];
	if (unlikely(keep < n - 1))
		s->ops->put(s, n - 1 - keep, &batch[keep + 1]);
	return batch[0];
}

static void *get_one(struct kmem_cache *s, size_t size, gfp_t gfp)
{
	void *object;

	return s->ops->get(s, size, gfp, 1, &object) ? object : NULL;
}

static NOINLINE void trace_alloc(struct kmem_cache *s, void *object, size_t size, gfp_t gfp,
                                 void *caller)
{
	size_t got = !object ? 0 : s->ops->exact ? size : s->object_size;

	if (s->flags & SLAB_KMALLOC)
		trace_kmalloc((uintptr_t)caller, (uintptr_t)object, size, got, gfp);
	else
		trace_kmem_cache_alloc((uintptr_t)caller, (uintptr_t)object, size, got, gfp);
}

/* All that krealloc() may give away in place. */
static size_t usable(const struct kmem_cache *s, const void *object)
{
	return s->ops->exact && s->flags & SLAB_KMALLOC ? ksize(object) : s->object_size;
}

NOINLINE void *slab_alloc_slow(struct kmem_cache *s, gfp_t gfp, size_t size, void *caller)
{
	void *object;

	size = size ? size : s->object_size;
	if (unlikely(machine()->careful) && should_fail_alloc(gfp))
		return NULL;
	count(SLAB_ALLOC_SLOW);
	object = array_open(s) ? refill(s, gfp) : get_one(s, size, gfp);
	if (unlikely(s->flags & SLAB_DEBUG) && object)
		slab_debug_alloc(s, object, caller);
	if (trace_enabled())
		trace_alloc(s, object, size, gfp, caller);
	if (object && gfp & __GFP_ZERO)
		__builtin_memset(object, 0, usable(s, object));
	return object;
}

/* Other nodes' objects become the oldest of the array, and so the first that go home. */
static void strangers_first(struct kmem_cache_cpu *c)
{
	void *own[ARRAY_MAX];
	unsigned n = slab_array_objects(c), strangers = 0, nid = numa_node_id();

	for (unsigned i = 1; i <= n; i++) {
		if (page_to_nid(virt_to_page(c->array[i])) == nid)
			own[i - 1 - strangers] = c->array[i];
		else
			c->array[++strangers] = c->array[i];
	}
	__builtin_memcpy(c->array + 1 + strangers, own, (n - strangers) * sizeof(void *));
}

/* The objects that were freed longest ago go to the slabs. */
static void make_room(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	void *batch[(ARRAY_MAX + 1) / 2];
	unsigned n = batch_of(s), rest = slab_array_objects(c) - n;

	if (nr_nodes() > 1)
		strangers_first(c);
	__builtin_memcpy(batch, c->array + 1, n * sizeof(void *));
	__builtin_memmove(c->array + 1, c->array + 1 + n, rest * sizeof(void *));
	c->top -= n;
	s->ops->put(s, n, batch);
}

static NOINLINE void trace_free(struct kmem_cache *s, void *object, void *caller)
{
	if (s->flags & SLAB_KMALLOC)
		trace_kfree((uintptr_t)caller, (uintptr_t)object);
	else
		trace_kmem_cache_free((uintptr_t)caller, (uintptr_t)object);
}

NOINLINE void slab_free_slow(struct kmem_cache *s, void *object, void *caller)
{
	struct kmem_cache_cpu *c;

	count(SLAB_FREE_SLOW);
	if (unlikely(s == slab_state()->slob))
		s = s->ops->owner(object);
	if (unlikely(!s)) {
		slab_bad_free(slab_state()->slob, object);
		return;
	}
	if (trace_enabled())
		trace_free(s, object, caller);
	if (unlikely(s->flags & SLAB_DEBUG) && !slab_debug_free(s, object, caller))
		return;
	if (!array_open(s)) {
		s->ops->put(s, 1, &object);
		return;
	}
	c = slab_cpu(s);
	if (c->top == c->full)
		make_room(s, c);
	*++c->top = object;
}

/* --- from outside ------------------------------------------------------------------------------------ */

void *__kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp)
{
	return slab_alloc(s, gfp, 0);
}

void *kmem_cache_zalloc(struct kmem_cache *s, gfp_t gfp)
{
	return slab_zalloc(s, gfp, 0);
}

void kmem_cache_free(struct kmem_cache *s, void *object)
{
	slab_free(s, object);
}

/* What the array holds, the newest first. */
static unsigned take_array(struct kmem_cache_cpu *c, unsigned n, void **objects)
{
	c->top -= n;
	__builtin_memcpy(objects, c->top + 1, n * sizeof(void *));
	return n;
}

/* More than the array holds comes straight from the slabs: it would only pass through. */
static unsigned take_more(struct kmem_cache *s, gfp_t gfp, unsigned n, void **objects, void *caller)
{
	if (slab_cpu(s)->array != slab_closed)
		return s->ops->get(s, s->object_size, gfp, n, objects);
	objects[0] = slab_alloc_slow(s, gfp & ~__GFP_ZERO, 0, caller);
	return objects[0] != NULL;
}

static NOINLINE unsigned alloc_bulk_slow(struct kmem_cache *s, gfp_t gfp, unsigned n,
                                         void **objects, void *caller)
{
	struct kmem_cache_cpu *c = slab_cpu(s);
	unsigned got = 0, more;

	if (c->array != slab_closed)
		got = take_array(c, MIN(n, slab_array_objects(c)), objects);
	while (got < n) {
		more = take_more(s, gfp, n - got, objects + got, caller);
		if (!more) {
			kmem_cache_free_bulk(s, got, objects);
			return 0;
		}
		got += more;
	}
	if (gfp & __GFP_ZERO)
		for (unsigned i = 0; i < n; i++)
			__builtin_memset(objects[i], 0, s->object_size);
	return n;
}

unsigned kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t gfp, unsigned n, void **objects)
{
	struct kmem_cache_cpu *c = slab_cpu(s);

	if (unlikely(n > slab_array_objects(c) || gfp & __GFP_ZERO))
		return alloc_bulk_slow(s, gfp, n, objects, __builtin_return_address(0));
	return take_array(c, n, objects);
}

static NOINLINE void free_bulk_slow(struct kmem_cache *s, unsigned n, void **objects, void *caller)
{
	struct kmem_cache_cpu *c = slab_cpu(s);
	unsigned k = (unsigned)(c->full - c->top);

	if (c->array == slab_closed) {
		for (unsigned i = 0; i < n; i++)
			slab_free_slow(s, objects[i], caller);
		return;
	}
	__builtin_memcpy(c->top + 1, objects, k * sizeof(void *));
	c->top += k;
	s->ops->put(s, n - k, objects + k);
}

void kmem_cache_free_bulk(struct kmem_cache *s, unsigned n, void **objects)
{
	struct kmem_cache_cpu *c = slab_cpu(s);
	void **top = c->top;

	if (unlikely(n > (size_t)(c->full - top))) {
		free_bulk_slow(s, n, objects, __builtin_return_address(0));
		return;
	}
	c->top = top + n;
	__builtin_memcpy(top + 1, objects, n * sizeof(void *));
}

/* --- emptying ------------------------------------------------------------------------------------------ */

static void drain_array(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	unsigned n = slab_array_objects(c);

	c->top = c->array;
	if (n)
		s->ops->put(s, n, c->array + 1);
}

void slab_flush_cpu(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	drain_array(s, c);
	s->ops->flush(s, c);
}

void slab_close_cpu(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	void *array = c->array;

	drain_array(s, c);
	close_array(c);
	if (array != slab_closed)
		slab_state()->arrays->ops->put(slab_state()->arrays, 1, &array);
}
