/*
 * check.c - the invariants of slub.c, walked. Quiet machine only.
 */
#include "mm/slab/internal.h"

/* Is it the address of an object of the slab? */
static bool is_object(const struct kmem_cache *s, struct page *page, const void *object)
{
	uintptr_t at = (uintptr_t)object - (uintptr_t)page_address(page);

	return at < (uintptr_t)s->objects * s->size && at % s->size == 0;
}

/* Length of a free list, or UINT32_MAX if it leaves the slab or goes round. */
static unsigned list_length(const struct kmem_cache *s, struct page *page, void *object)
{
	unsigned n = 0;

	for (; object; object = *slab_link(s, object))
		if (!is_object(s, page, object) || ++n > s->objects)
			return UINT32_MAX;
	return n;
}

static const char *check_slab(const struct kmem_cache *s, struct page *page, bool frozen)
{
	uint64_t w = word_load(page);

	if (!page_flag(page, PG_slab) || page->slab_cache != s || page_count(page) != 1)
		return "slab: page of a slab is not the cache's";
	if (!(w & SLAB_FROZEN) != !frozen)
		return "slab: frozen is exactly what is some CPU's";
	if (word_use(w) > s->objects ||
	    list_length(s, page, slab_object(page, word_free(w))) != s->objects - word_use(w))
		return "slab: free + in use == objects";
	return NULL;
}

static const char *check_node(struct kmem_cache *s, struct slab_node *n)
{
	uint64_t pages = 0;

	for (struct page *page = page_list_first(&n->partial); page;
	     page = page->lru.next == PFN_NONE_N ? NULL : pfn_to_page(PFN(page->lru.next))) {
		const char *broken = check_slab(s, page, false);

		if (broken)
			return broken;
		if (!word_free(word_load(page)))
			return "slab: a full slab on the partial list";
		if (++pages > n->partial.count)
			break;
	}
	if (pages != n->partial.count || pages > n->nr_slabs)
		return "slab: length of the partial list";
	return NULL;
}

static const char *check_cpu(const struct kmem_cache *s, const struct kmem_cache_cpu *c)
{
	const char *broken;

	if (!c->page)
		return c->freelist || c->base ? "slab: free list of a CPU without a slab" : NULL;
	broken = check_slab(s, c->page, true);
	if (broken)
		return broken;
	if (c->base != (uintptr_t)page_address(c->page))
		return "slab: base of a CPU's slab";
	return list_length(s, c->page, c->freelist) > word_use(word_load(c->page))
	               ? "slab: free list of a CPU"
	               : NULL;
}

const char *slab_check(void)
{
	const char *broken = NULL;
	struct kmem_cache *s;

	mutex_lock(&machine()->slab->lock);
	list_for_each_entry(s, &machine()->slab->caches, list) {
		for (unsigned i = 0; i < MAX_NUMNODES && !broken; i++)
			broken = check_node(s, &s->node[i]);
		for (unsigned i = 0; i < QUIRE_MAX_CPUS && !broken; i++)
			broken = check_cpu(s, &s->cpu[i]);
		if (broken)
			break;
	}
	mutex_unlock(&machine()->slab->lock);
	return broken;
}
