/*
 * slub_check.c - the invariants of slub.c, walked, and its slabs counted.
 */
#include "mm/slab/slub.h"

/* Length of a free list, or UINT32_MAX if it leaves the slab or goes round. */
static unsigned list_length(struct kmem_cache *s, struct page *page, void *object)
{
	unsigned n = 0;

	for (; object; object = slub_next(s, object))
		if (!slub_is_object(s, page, object) || ++n > s->objects)
			return UINT32_MAX;
	return n;
}

static const char *check_slab(struct kmem_cache *s, struct page *page, bool frozen)
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

static const char *check_cpu_partial(struct kmem_cache *s, const struct kmem_cache_cpu *c)
{
	unsigned n = 0;

	for (uint32_t pfn = c->partial; pfn != PFN_NONE_N; n++) {
		struct page *page = pfn_to_page(PFN(pfn));
		const char *broken = n < c->nr_partial ? check_slab(s, page, true) : NULL;

		if (broken)
			return broken;
		if (n >= c->nr_partial || !word_free(word_load(page)))
			return "slab: a CPU's partial slabs";
		pfn = page->lru.next;
	}
	return n == c->nr_partial ? NULL : "slab: number of a CPU's partial slabs";
}

static const char *check_cpu(struct kmem_cache *s, const struct kmem_cache_cpu *c)
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

const char *slub_check(struct kmem_cache *s)
{
	const char *broken = NULL;

	for (unsigned i = 0; i < nr_nodes() && !broken; i++)
		broken = check_node(s, &s->node[i]);
	for (unsigned i = 0; i < QUIRE_MAX_CPUS && !broken; i++)
		broken = check_cpu(s, &s->cpu[i]);
	for (unsigned i = 0; i < QUIRE_MAX_CPUS && !broken; i++)
		broken = check_cpu_partial(s, &s->cpu[i]);
	return broken;
}

static uint64_t free_on_node(struct kmem_cache *s, struct slab_node *node)
{
	irq_state_t irq = spin_lock_irqsave(&node->lock);
	uint64_t n = 0;

	for (uint32_t pfn = node->partial.first; pfn != PFN_NONE_N;) {
		struct page *page = pfn_to_page(PFN(pfn));

		n += s->objects - word_use(word_load(page));
		pfn = page->lru.next;
	}
	spin_unlock_irqrestore(&node->lock, irq);
	return n;
}

/* Another CPU may change its lists meanwhile: then the number is a guess, but the walk ends and stays in the slab. */
static uint64_t free_of_cpu(struct kmem_cache *s, const struct kmem_cache_cpu *c)
{
	struct page *page = READ_ONCE(c->page);
	void *object = READ_ONCE(c->freelist);
	uint32_t pfn = READ_ONCE(c->partial);
	uint64_t n = 0;

	for (; page && object && slub_is_object(s, page, object) && n < s->objects; n++)
		object = slub_peek(s, object);
	if (page)
		n += s->objects - MIN(word_use(word_load(page)), s->objects);
	for (unsigned i = READ_ONCE(c->nr_partial); i && pfn < machine()->max_pfn; i--) {
		page = pfn_to_page(PFN(pfn));
		n += s->objects - MIN(word_use(word_load(page)), s->objects);
		pfn = READ_ONCE(page->lru.next);
	}
	return n;
}

uint64_t slub_info(struct kmem_cache *s, struct slabinfo *info)
{
	uint64_t slabs = slab_nr_slabs(s), free = 0;

	for (unsigned nid = 0; nid < nr_nodes(); nid++)
		free += free_on_node(s, &s->node[nid]);
	for (unsigned i = 0; i < machine()->nr_cpus; i++)
		free += free_of_cpu(s, &s->cpu[i]);
	info->num_slabs = info->active_slabs = slabs;
	info->num_objs = slabs * s->objects;
	return free;
}

bool slub_in_use(struct kmem_cache *s, struct page *page, void *object)
{
	void *free = slab_object(page, word_free(word_load(page)));

	for (unsigned n = 0; free && n < s->objects; n++, free = slub_next(s, free))
		if (free == object)
			return false;
	return true;
}
