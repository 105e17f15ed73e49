/*
 * check.c - the invariants of all caches, walked. Quiet machine only.
 *
 * Those of an allocator are its own (slub_check.c, slab.c, slob.c). Common to all: a CPU's array lies between its ends,
 * its first cell is NULL and no other is, no object is in it twice; that of interrupts is closed.
 */
#include "mm/slab/internal.h"

static const char *check_array(const struct kmem_cache *s, const struct kmem_cache_cpu *c)
{
	unsigned n = slab_array_objects(c);

	if (c->array == slab_closed || c == &s->cpu[QUIRE_MAX_CPUS])
		return c->top == slab_closed && c->full == slab_closed ? NULL
		                                                       : "slab: a closed array";
	if (c->full != c->array + s->limit || n > s->limit || *c->array)
		return "slab: ends of a CPU's array";
	for (unsigned i = 1; i <= n; i++) {
		const struct page *page = slab_page(c->array[i]);

		if (!page_flag(page, PG_slab) || page->slab_cache != s)
			return "slab: a CPU's array holds what is not the cache's";
		for (unsigned k = 1; k < i; k++)
			if (c->array[k] == c->array[i])
				return "slab: an object is twice in a CPU's array";
	}
	return NULL;
}

const char *slab_check(void)
{
	const char *broken = slab_closed[0] ? "slab: the closed array was written to" : NULL;
	struct kmem_cache *s;

	mutex_lock(&slab_state()->lock);
	list_for_each_entry(s, &slab_state()->caches, list) {
		for (unsigned i = 0; i < ARRAY_SIZE(s->cpu) && !broken; i++)
			broken = check_array(s, &s->cpu[i]);
		if (!broken)
			broken = s->ops->check(s);
		if (broken)
			break;
	}
	mutex_unlock(&slab_state()->lock);
	return broken;
}
