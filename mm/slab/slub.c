/*
 * slub.c - slabs of objects: taking, giving back, and who owns what (SLUB: Lameter 2007; lecture 001).
 *
 * A slab is a block of 2^order frames cut into objects of one size. A free object holds the link to the next
 * free one; what describes the slab is in its struct page. Each CPU owns at most one slab of a cache.
 *
 *     cpu->freelist --> o --> o --> o           taken and given back by this CPU alone
 *     cpu->page ------> slab_word: frozen, use, --> o --> o      given back by others
 *     node->partial --> slab <--> slab          owned by nobody, some objects free
 *                       slab                    full: on no list, found again by its first free
 *
 * Steps, and what they cost
 *   fast       object from or to this CPU's free list; no atomic step                (internal.h)
 *   slow       take back what others gave to this CPU's slab; give to another's slab: one CAS
 *   slower     a slab from the partial list: the node's lock
 *   very slow  a new slab from the buddy
 *
 * Invariants (slab_check)
 *   1. Not frozen and something free  <=>  on its node's partial list.
 *   2. Not frozen, nothing free: on no list. Frozen: exactly one CPU's page.
 *   3. Length of the slab's free list + in use == objects.
 *   4. Free objects are constructed, but for their link (outside of the object if there is a constructor).
 *
 * Races. slab_word is changed by CAS. Free objects are pushed by anyone at any time; they are taken off either
 * all at once by the CPU that owns the slab, or, when it has no owner, under the node's lock. So one that
 * is on the list cannot go and come back while a pusher looks at it. Whoever is going to change (1), i.e. puts the
 * first free object into a slab without owner or empties it, holds the node's lock over the CAS.
 *
 * Interrupts do not touch a CPU's free list, so it needs no protection from them: they take single objects from
 * partial slabs and give back as another CPU would. The same way is taken while the machine is careful.
 */
#include "mm/slab/internal.h"

static struct slab_node *slab_node(struct kmem_cache *s, const struct page *page)
{
	return &s->node[page_to_nid(page)];
}

/* Link all objects in address order. Returns the first. */
static void *thread_objects(struct kmem_cache *s, struct page *page)
{
	char *base = page_address(page), *object = base;

	for (unsigned i = 0; i < s->objects; i++, object += s->size) {
		if (s->ctor)
			s->ctor(object);
		*slab_link(s, object) = i + 1u < s->objects ? object + s->size : NULL;
	}
	return base;
}

/* All its objects count as used: they go to the caller. */
static struct page *new_slab(struct kmem_cache *s, gfp_t gfp, uint64_t frozen)
{
	gfp_t drop = __GFP_ZERO | __GFP_DMA | __GFP_DMA32 | __GFP_HIGHMEM | __GFP_MOVABLE;
	struct page *page = alloc_pages((gfp & ~drop) | __GFP_COMP, s->order);

	if (!page)
		return NULL;
	__page_set_flags(page, 1u << PG_slab);
	page->slab_cache = s;
	atomic_store_explicit(&page->slab_word, word_make(s->objects, frozen, 0),
	                      memory_order_relaxed);
	atomic_fetch_add_explicit(&slab_node(s, page)->nr_slabs, 1, memory_order_relaxed);
	frame_account(FRAME_SLAB, (int64_t)1 << s->order);
	count(SLAB_NEW);
	trace_slab_new((uintptr_t)s, page_to_pfn(page).n);
	return page;
}

/* Empty, on no list and no CPU's. */
static void discard_slab(struct kmem_cache *s, struct page *page)
{
	trace_slab_discard((uintptr_t)s, page_to_pfn(page).n);
	count(SLAB_DISCARD);
	frame_account(FRAME_SLAB, -((int64_t)1 << s->order));
	atomic_fetch_sub_explicit(&slab_node(s, page)->nr_slabs, 1, memory_order_relaxed);
	page->slab_cache = NULL;
	atomic_store_explicit(&page->_mapcount, -1, memory_order_relaxed);
	__page_clear_flags(page, 1u << PG_slab);
	__free_pages(page, s->order);
}

/* Every free object of a slab becomes the caller's; the slab stays or becomes frozen. There may be none. */
static void *take_all(struct kmem_cache *s, struct page *page)
{
	uint64_t w = word_load(page);

	do {
		if (!word_free(w))
			return NULL;
	} while (!word_change(page, &w, word_make(s->objects, SLAB_FROZEN, 0)));
	return slab_object(page, word_free(w));
}

/* What others gave back to this CPU's slab. If nothing, the slab is full and nobody's from now on. */
static void *take_given_back(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	uint64_t w = word_load(c->page);

	while (!word_free(w)) {
		if (word_change(c->page, &w, w & ~SLAB_FROZEN)) {
			c->page = NULL;
			c->base = 0;
			return NULL;
		}
	}
	return take_all(s, c->page);
}

static void *take_partial(struct kmem_cache *s, struct page **page)
{
	for (unsigned nid = 0; nid < machine()->nr_nodes; nid++) {
		struct slab_node *n = &s->node[nid];
		void *list = NULL;
		irq_state_t irq;

		irq = spin_lock_irqsave(&n->lock);
		*page = page_list_first(&n->partial);
		if (*page) {
			page_list_del(&n->partial, *page);
			list = take_all(s, *page);
		}
		spin_unlock_irqrestore(&n->lock, irq);
		if (list)
			return list;
	}
	return NULL;
}

/* This CPU's free list is empty: find it another, and the first object of it. */
static void *refill(struct kmem_cache *s, gfp_t gfp)
{
	struct kmem_cache_cpu *c = &s->cpu[cpu_id()];
	struct page *page = c->page;
	void *list = page ? take_given_back(s, c) : NULL;

	if (!list)
		list = take_partial(s, &page);
	if (!list) {
		page = new_slab(s, gfp, SLAB_FROZEN);
		if (!page)
			return NULL;
		list = thread_objects(s, page);
		c = &s->cpu[cpu_id()]; /* it may have slept */
	}
	if (unlikely(c->page && c->page != page))
		slab_flush_cpu(s, c);
	c->page = page;
	c->base = (uintptr_t)page_address(page);
	c->freelist = *slab_link(s, list);
	return list;
}

/* One object of the first partial slab; the node's lock is held. */
static void *pop_partial(struct kmem_cache *s, struct slab_node *n, struct page *page)
{
	uint64_t w = word_load(page);
	void *object;
	unsigned rest;

	do {
		object = slab_object(page, word_free(w));
		rest = slab_index(page, *slab_link(s, object));
	} while (!word_change(page, &w, word_make(word_use(w) + 1u, 0, rest)));
	if (!rest)
		page_list_del(&n->partial, page);
	return object;
}

/* Without a CPU's slab: interrupts, and when careful. */
static void *alloc_one(struct kmem_cache *s, gfp_t gfp)
{
	struct slab_node *n;
	struct page *page;
	irq_state_t irq;
	void *object;

	for (unsigned nid = 0; nid < machine()->nr_nodes; nid++) {
		n = &s->node[nid];
		irq = spin_lock_irqsave(&n->lock);
		page = page_list_first(&n->partial);
		object = page ? pop_partial(s, n, page) : NULL;
		spin_unlock_irqrestore(&n->lock, irq);
		if (object)
			return object;
	}
	page = new_slab(s, gfp, 0);
	if (!page)
		return NULL;
	object = thread_objects(s, page);
	if (s->objects > 1) {
		unsigned rest = slab_index(page, *slab_link(s, object));

		n = slab_node(s, page);
		irq = spin_lock_irqsave(&n->lock);
		atomic_store_explicit(&page->slab_word, word_make(1, 0, rest),
		                      memory_order_release);
		page_list_add(&n->partial, page);
		spin_unlock_irqrestore(&n->lock, irq);
	}
	return object;
}

NOINLINE void *slab_alloc_slow(struct kmem_cache *s, gfp_t gfp)
{
	bool careful = machine()->careful;
	void *object;

	if (unlikely(careful) && should_fail_alloc(gfp))
		return NULL;
	count(SLAB_ALLOC_SLOW);
	object = in_interrupt() || careful ? alloc_one(s, gfp) : refill(s, gfp);
	if (object && gfp & __GFP_ZERO)
		__builtin_memset(object, 0, s->object_size);
	return object;
}

/* A slab without owner has got free objects or lost its last user. Lock held; true: discard it afterwards. */
static bool settle(struct kmem_cache *s, struct slab_node *n, struct page *page, bool listed)
{
	bool empty = word_use(word_load(page)) == 0;

	if (empty && n->partial.count >= s->min_partial + (listed ? 1u : 0u)) {
		if (listed)
			page_list_del(&n->partial, page);
		return true;
	}
	if (!listed)
		page_list_add_tail(&n->partial, page);
	return false;
}

static NORETURN NOINLINE void bad_free(struct kmem_cache *s, const struct page *page,
                                       const void *object)
{
	port_panic("%s: freed %#lx, which is not one of its objects in use (frame %#x)", s->name,
	           (unsigned long)(uintptr_t)object, page_to_pfn(page).n);
}

NOINLINE void slab_free_slow(struct kmem_cache *s, struct page *page, void *object)
{
	struct slab_node *n = slab_node(s, page);
	uint64_t w = word_load(page), new;
	bool locked = false, discard = false;
	irq_state_t irq = 0;

	if (!page_flag(page, PG_slab) || page->slab_cache != s)
		bad_free(s, page, object);
	do {
		if (!word_use(w))
			bad_free(s, page, object);
		if (!locked && !(w & SLAB_FROZEN) && (word_use(w) == 1 || !word_free(w))) {
			irq = spin_lock_irqsave(&n->lock);
			locked = true;
			w = word_load(page);
		}
		*slab_link(s, object) = slab_object(page, word_free(w));
		new = word_make(word_use(w) - 1u, w & SLAB_FROZEN, slab_index(page, object));
	} while (!word_change(page, &w, new));
	count(SLAB_FREE_SLOW);
	if (!locked)
		return;
	if (!(w & SLAB_FROZEN) && (!word_free(w) || !word_use(new)))
		discard = settle(s, n, page, word_free(w) != 0);
	spin_unlock_irqrestore(&n->lock, irq);
	if (discard)
		discard_slab(s, page);
}

/* c's slab becomes nobody's, its free list the slab's own. On c's CPU, or nobody uses the cache. */
void slab_flush_cpu(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	struct page *page = c->page;
	void *first = c->freelist, *last = first;
	struct slab_node *n;
	unsigned count = 0, free;
	bool discard = false;
	irq_state_t irq;
	uint64_t w;

	if (!page)
		return;
	for (void *o = first; o; o = *slab_link(s, o), count++)
		last = o;
	n = slab_node(s, page);
	irq = spin_lock_irqsave(&n->lock);
	w = word_load(page);
	do {
		if (last)
			*slab_link(s, last) = slab_object(page, word_free(w));
		free = first ? slab_index(page, first) : word_free(w);
	} while (!word_change(page, &w, word_make(word_use(w) - count, 0, free)));
	*c = (struct kmem_cache_cpu){0};
	if (free)
		discard = settle(s, n, page, false);
	spin_unlock_irqrestore(&n->lock, irq);
	if (discard)
		discard_slab(s, page);
}

uint64_t slab_discard_empty(struct kmem_cache *s)
{
	uint64_t pages = 0;

	for (unsigned nid = 0; nid < machine()->nr_nodes; nid++) {
		struct slab_node *n = &s->node[nid];
		struct page_list empty;
		struct page *page, *next;
		irq_state_t irq;

		page_list_init(&empty);
		irq = spin_lock_irqsave(&n->lock);
		for (page = page_list_first(&n->partial); page; page = next) {
			next = page->lru.next == PFN_NONE_N ? NULL
			                                    : pfn_to_page(PFN(page->lru.next));
			if (word_use(word_load(page)))
				continue;
			page_list_del(&n->partial, page);
			page_list_add(&empty, page);
		}
		spin_unlock_irqrestore(&n->lock, irq);
		while ((page = page_list_first(&empty))) {
			page_list_del(&empty, page);
			discard_slab(s, page);
			pages += (uint64_t)1 << s->order;
		}
	}
	return pages;
}
