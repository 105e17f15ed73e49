/*
 * slub.c - slabs of objects: taking, giving back, and who owns what (SLUB: Lameter 2007; lecture 001).
 *
 * A slab is a block of 2^order frames cut into objects of one size. A free object holds the link to the next
 * free one; what describes the slab is in its struct page. Of a cache, each CPU owns one slab that it takes objects
 * from, and a few more that have something free.
 *
 *     cpu->freelist --> o --> o --> o           taken and given back by this CPU alone
 *     cpu->page ------> slab_word: frozen, use, --> o --> o      given back by others
 *     cpu->partial ---> slab --> slab           frozen too: were full until something of theirs was freed here; of the
 *                                               CPU's own node
 *     node->partial --> slab <--> slab          owned by nobody, some objects free
 *                       slab                    full: on no list, found again by its first free
 *
 * Steps, and what they cost (lecture 001's fast, slow and very slow path)
 *   fast       object from or to this CPU's free list; no atomic step
 *   slow       take back what others gave to this CPU's slab; give to another's slab: one CAS; a slab of this CPU's
 *              partial ones: one CAS
 *   slower     a slab from the node's partial list: the node's lock
 *   very slow  a new slab from the buddy; before a distant one is made, other nodes' partial slabs are used up
 * In front of all that lies the CPU's array (array.c).
 *
 * Invariants (slub_check.c)
 *   1. Not frozen and something free  <=>  on its node's partial list.
 *   2. Not frozen, nothing free: on no list. Frozen: exactly one CPU's page, or one of its partial ones.
 *   3. Length of the slab's free list + in use == objects.
 *   4. Free objects are constructed, but for their link (outside of the object if there is a constructor).
 *   5. A CPU's partial slab has something free.
 *
 * Races. slab_word is changed by CAS. Free objects are pushed by anyone at any time; they are taken off either
 * all at once by the CPU that owns the slab, or, when it has no owner, under the node's lock. So one that
 * is on the list cannot go and come back while a pusher looks at it. Whoever is going to change (1), i.e. puts the
 * first free object into a slab without owner or empties it, holds the node's lock over the CAS; but the first free object of a
 * full slab may come together with an owner, in the one CAS, for then the slab is still on no list.
 *
 * Interrupts do not touch what is a CPU's, so it needs no protection from them: they take single objects from
 * partial slabs and give back as another CPU would. The same way is taken while the machine is careful, and by
 * caches that are debugged.
 */
#include "mm/slab/slub.h"

#define SLUB_MIN_PARTIAL 2u  /* empty slabs kept against going to the buddy and back */
#define SLUB_CPU_OBJECTS 60u /* free ones in a CPU's partial slabs, if they are half full */

static int slub_layout(struct kmem_cache *s)
{
	s->order = (uint16_t)slab_least_waste_order(s);
	s->slab_bytes = (uint32_t)(PAGE_SIZE << s->order);
	s->objects = (uint16_t)(s->slab_bytes / s->size);
	s->min_partial = SLUB_MIN_PARTIAL;
	if (s->objects && !(s->flags & SLAB_DEBUG))
		s->cpu_partial = (uint16_t)DIV_ROUND_UP(SLUB_CPU_OBJECTS, s->objects);
	s->cpu_partial = MIN(s->cpu_partial, 6);
	return s->objects ? 0 : -EINVAL;
}

/* May this caller use what is the CPU's? */
static bool may_own(const struct kmem_cache *s)
{
	return likely(!in_interrupt() && !machine()->careful && !(s->flags & SLAB_DEBUG));
}

static void count_stat(struct kmem_cache *s, _Atomic uint64_t *stat)
{
	if (unlikely(s->flags & SLAB_STATS))
		atomic_fetch_add_explicit(stat, 1, memory_order_relaxed);
}

/* Link all objects in address order. Returns the first. */
static void *thread_objects(struct kmem_cache *s, struct page *page)
{
	char *base = (char *)page_address(page) + s->red_left, *object = base;

	for (unsigned i = 0; i < s->objects; i++, object += s->size) {
		slab_init_object(s, object);
		slub_link(s, object, i + 1u < s->objects ? object + s->size : NULL);
	}
	return base;
}

/* All its objects count as used: they go to the caller. */
static struct page *new_slab(struct kmem_cache *s, gfp_t gfp, uint64_t frozen)
{
	struct page *page = slab_new_pages(s, gfp);

	if (page)
		atomic_store_explicit(&page->slab_word, word_make(s->objects, frozen, 0),
		                      memory_order_relaxed);
	return page;
}

/* Empty, on no list and no CPU's. */
static void discard_slab(struct kmem_cache *s, struct page *page)
{
	char *object = (char *)page_address(page) + s->red_left;

	for (unsigned i = 0; s->dtor && i < s->objects; i++)
		slab_end_object(s, object + (size_t)i * s->size);
	slab_free_pages(s, page);
}

NOINLINE void *slub_decipher(struct kmem_cache *s, void *object, uintptr_t link)
{
	void *next = (void *)(link ^ slub_cipher(s, object));

	if (likely(!next || slub_is_object(s, slab_page(object), next)))
		return next;
	slab_report(s, "Freechain corrupt", object, (char *)object + s->offset, 0);
	return NULL;
}

/* --- who owns a slab ------------------------------------------------------------------------------------ */

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

/* A frozen slab becomes nobody's. n objects from first on, which count as used, go back to it; last ends them. */
static void unfreeze(struct kmem_cache *s, struct page *page, void *first, void *last, unsigned n)
{
	struct slab_node *node = slab_node(s, page);
	irq_state_t irq = spin_lock_irqsave(&node->lock);
	uint64_t w = word_load(page);
	bool discard = false;
	unsigned free;

	do {
		if (last)
			slub_link(s, last, slab_object(page, word_free(w)));
		free = first ? slab_index(page, first) : word_free(w);
	} while (!word_change(page, &w, word_make(word_use(w) - n, 0, free)));
	if (free)
		discard = settle(s, node, page, false);
	spin_unlock_irqrestore(&node->lock, irq);
	if (discard)
		discard_slab(s, page);
}

static struct page *pop_cpu_partial(struct kmem_cache_cpu *c)
{
	struct page *page;

	if (c->partial == PFN_NONE_N)
		return NULL;
	page = pfn_to_page(PFN(c->partial));
	c->partial = page->lru.next;
	c->nr_partial--;
	return page;
}

static void flush_cpu_partial(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	struct page *page;

	while ((page = pop_cpu_partial(c)))
		unfreeze(s, page, NULL, NULL, 0);
}

/* A slab that this CPU has just frozen. */
static void push_cpu_partial(struct kmem_cache *s, struct page *page)
{
	struct kmem_cache_cpu *c = slab_cpu(s);

	if (c->nr_partial >= s->cpu_partial)
		flush_cpu_partial(s, c);
	page->lru.next = c->partial;
	c->partial = page_to_pfn(page).n;
	c->nr_partial++;
}

/* c's slab becomes nobody's, its free list the slab's own. */
static void flush_cpu_slab(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	struct page *page = c->page;
	void *first = c->freelist, *last = NULL;
	unsigned n = 0;

	if (!page)
		return;
	for (void *o = first; o; o = slub_next(s, o), n++)
		last = o;
	c->freelist = c->page = NULL;
	c->base = 0;
	unfreeze(s, page, first, last, n);
}

static void slub_flush(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	flush_cpu_slab(s, c);
	flush_cpu_partial(s, c);
}

/* --- taking ------------------------------------------------------------------------------------------------ */

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

static void *take_cpu_partial(struct kmem_cache *s, struct kmem_cache_cpu *c, struct page **page)
{
	*page = pop_cpu_partial(c);
	return *page ? take_all(s, *page) : NULL;
}

/* The first partial slab of the nodes from to end - 1, by distance. */
static void *take_partial(struct kmem_cache *s, unsigned from, unsigned end, struct page **page)
{
	for (unsigned i = from; i < end; i++) {
		struct slab_node *n = slab_near_node(s, i);
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

static void *take_new(struct kmem_cache *s, gfp_t gfp, struct page **page)
{
	*page = new_slab(s, gfp, SLAB_FROZEN);
	return *page ? thread_objects(s, *page) : NULL;
}

/* A slab that is no CPU's: near before far, and of what is equally far an old one before a new one. */
static void *take_slab(struct kmem_cache *s, gfp_t gfp, struct page **page)
{
	void *list = take_partial(s, 0, 1, page);

	if (!list && nr_nodes() > 1) {
		list = take_new(s, slab_near_gfp(gfp), page);
		if (!list)
			list = take_partial(s, 1, nr_nodes(), page);
	}
	return list ? list : take_new(s, gfp, page);
}

/* This CPU's free list is empty: find it another. False: no memory. */
static bool refill_cpu(struct kmem_cache *s, gfp_t gfp)
{
	struct kmem_cache_cpu *c = slab_cpu(s);
	struct page *page = c->page;
	void *list = page ? take_given_back(s, c) : NULL;

	if (!list)
		list = take_cpu_partial(s, c, &page);
	if (!list) {
		list = take_slab(s, gfp, &page);
		if (!list)
			return false;
		c = slab_cpu(s); /* it may have slept */
	}
	if (unlikely(c->page && c->page != page))
		flush_cpu_slab(s, c);
	c->page = page;
	c->base = (uintptr_t)page_address(page);
	c->freelist = list;
	return true;
}

/* One object of the first partial slab; the node's lock is held. */
static void *pop_partial(struct kmem_cache *s, struct slab_node *n, struct page *page)
{
	uint64_t w = word_load(page);
	void *object;
	unsigned rest;

	do {
		object = slab_object(page, word_free(w));
		rest = slab_index(page, slub_next(s, object));
	} while (!word_change(page, &w, word_make(word_use(w) + 1u, 0, rest)));
	if (!rest)
		page_list_del(&n->partial, page);
	return object;
}

static void *take_one_partial(struct kmem_cache *s, unsigned from, unsigned end)
{
	for (unsigned i = from; i < end; i++) {
		struct slab_node *n = slab_near_node(s, i);
		irq_state_t irq = spin_lock_irqsave(&n->lock);
		struct page *page = page_list_first(&n->partial);
		void *object = page ? pop_partial(s, n, page) : NULL;

		spin_unlock_irqrestore(&n->lock, irq);
		if (object)
			return object;
	}
	return NULL;
}

/* The first object of a new slab; the others are for all. */
static void *take_one_new(struct kmem_cache *s, gfp_t gfp)
{
	struct page *page = new_slab(s, gfp, 0);
	struct slab_node *n;
	void *object;
	irq_state_t irq;

	if (!page)
		return NULL;
	object = thread_objects(s, page);
	if (s->objects > 1) {
		unsigned rest = slab_index(page, slub_next(s, object));

		n = slab_node(s, page);
		irq = spin_lock_irqsave(&n->lock);
		atomic_store_explicit(&page->slab_word, word_make(1, 0, rest),
		                      memory_order_release);
		page_list_add(&n->partial, page);
		spin_unlock_irqrestore(&n->lock, irq);
	}
	return object;
}

/* Without anything that is a CPU's; else as take_slab(). */
static void *alloc_one(struct kmem_cache *s, gfp_t gfp)
{
	void *object = take_one_partial(s, 0, 1);

	if (!object && nr_nodes() > 1) {
		object = take_one_new(s, slab_near_gfp(gfp));
		if (!object)
			object = take_one_partial(s, 1, nr_nodes());
	}
	return object ? object : take_one_new(s, gfp);
}

static unsigned slub_get(struct kmem_cache *s, size_t size UNUSED, gfp_t gfp, unsigned n,
                         void **objects)
{
	struct kmem_cache_cpu *c = slab_cpu(s);
	unsigned got = 0;
	void *object;

	if (!may_own(s)) {
		objects[0] = alloc_one(s, gfp);
		return objects[0] != NULL;
	}
	count_stat(s, c->freelist ? &s->alloc_fast : &s->alloc_slow);
	if (!c->freelist && !refill_cpu(s, gfp))
		return 0;
	c = slab_cpu(s);
	while (got < n && (object = c->freelist)) {
		c->freelist = slub_next(s, object);
		objects[got++] = object;
	}
	return got;
}

/* --- giving back ---------------------------------------------------------------------------------------------- */

/* Does giving n objects to a slab without owner change the lists? */
static bool changes_lists(uint64_t w, unsigned n)
{
	return !(w & SLAB_FROZEN) && (word_use(w) == n || !word_free(w));
}

/* n objects of one slab, linked from first to last, that is not this CPU's own. */
static void give_back(struct kmem_cache *s, struct page *page, void *first, void *last, unsigned n)
{
	struct slab_node *node = slab_node(s, page);
	bool own = s->cpu_partial && may_own(s), locked = false, freeze = false, discard = false;
	uint64_t w = word_load(page), new;
	irq_state_t irq = 0;

	for (;;) {
		if (word_use(w) < n)
			break;
		freeze = own && !locked && !(w & SLAB_FROZEN) && !word_free(w) && word_use(w) > n &&
		         page_to_nid(page) == numa_node_id();
		if (!locked && !freeze && changes_lists(w, n)) {
			irq = spin_lock_irqsave(&node->lock);
			locked = true;
			w = word_load(page);
			continue;
		}
		slub_link(s, last, slab_object(page, word_free(w)));
		new = word_make(word_use(w) - n, freeze ? SLAB_FROZEN : w & SLAB_FROZEN,
		                slab_index(page, first));
		if (word_change(page, &w, new))
			break;
	}
	if (locked) {
		if (word_use(w) >= n && changes_lists(w, n))
			discard = settle(s, node, page, word_free(w) != 0);
		spin_unlock_irqrestore(&node->lock, irq);
	}
	if (word_use(w) < n)
		slab_bad_free(s, first);
	else if (freeze)
		push_cpu_partial(s, page);
	else if (discard)
		discard_slab(s, page);
}

/* The first objects that lie in one slab, linked. Returns how many, 0: the first is not the cache's. */
static unsigned link_slabmates(struct kmem_cache *s, struct page *page, unsigned n, void **objects)
{
	unsigned k = 1;

	if (!page_flag(page, PG_slab) || page->slab_cache != s)
		return 0;
	for (; k < n && slab_page(objects[k]) == page; k++)
		slub_link(s, objects[k - 1], objects[k]);
	return k;
}

static bool is_own(const struct kmem_cache *s, const struct kmem_cache_cpu *c, const void *object)
{
	return (uintptr_t)object - c->base < s->slab_bytes;
}

static void slub_put(struct kmem_cache *s, unsigned n, void **objects)
{
	struct kmem_cache_cpu *c = slab_cpu(s);
	bool own = may_own(s);

	for (unsigned i = 0, run; i < n; i += run) {
		struct page *page;

		run = 1;
		if (likely(own && is_own(s, c, objects[i]))) {
			slub_link(s, objects[i], c->freelist);
			c->freelist = objects[i];
			count_stat(s, &s->free_fast);
			continue;
		}
		page = slab_page(objects[i]);
		run = link_slabmates(s, page, n - i, objects + i);
		if (run)
			give_back(s, page, objects[i], objects[i + run - 1], run);
		else
			slab_bad_free(s, objects[i]);
		run += !run;
		count_stat(s, &s->free_slow);
	}
}

static void slub_discard(struct kmem_cache *s)
{
	for (unsigned nid = 0; nid < nr_nodes(); nid++) {
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
		}
	}
}

static bool slub_object_address(struct kmem_cache *s, struct page *page, const void *p)
{
	return slub_is_object(s, page, p);
}

static size_t slub_ksize(const struct page *page, const void *p UNUSED)
{
	return page->slab_cache->object_size;
}

const struct slab_ops slub_ops = {
        .name = "slub",
        .arrays = true,
        .layout = slub_layout,
        .get = slub_get,
        .put = slub_put,
        .flush = slub_flush,
        .discard = slub_discard,
        .info = slub_info,
        .ksize = slub_ksize,
        .is_object = slub_object_address,
        .in_use = slub_in_use,
        .check = slub_check,
};
