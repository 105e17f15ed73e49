/*
 * slab.c - SLAB: an index beside the objects, three lists of slabs, colours (Bonwick 1994; Linux's mm/slab.c;
 * lecture 001).
 *
 * Free objects are never written to: which ones they are stands in an array of object numbers, of which the first
 * `active` are in use and the others free. So an object stays constructed while it is free, and what a program did to it
 * cannot damage the list.
 *
 *     on-slab    | colour |  index  | object | object | ...    |
 *     off-slab   | colour | object | object | ...     |   --> index from kmalloc      objects of 512 bytes and more,
 *                                                                                     which an index would displace
 *     node->full     all objects in use
 *     node->partial  some
 *     node->free     none; all but min_partial go back to the buddy at once, these when memory is wanted or with time
 *     node->shared   objects on their way from one CPU's array to another's, without visiting their slab
 *
 * Colour: what is left over in a slab is put in front of the objects, a cache line more in each new slab, so that the
 * first objects of slabs do not all compete for the same lines of the CPU's cache.
 *
 * Each CPU's array (array.c) is filled from the shared array, the partial slabs, the free slabs and at last the
 * buddy, half an array at a time under the node's lock, and emptied likewise: from the CPU's own node, then from the nearest that
 * has objects to spare; what belongs to another node goes home when the array is full.
 *
 * Invariants (slab_check)
 *   1. A slab is on exactly one list, and it is the one that its active count says.
 *   2. index[] from `active` on names objects of the slab, each at most once: the free ones.
 *   3. node->free_objects is the sum of (objects - active) over the node's slabs.
 *   4. What lies in arrays counts as active.
 *
 * page->slab_word, all under the node's lock:
 *      63                     24 23        12 11      0
 *     +-------------------------+------------+---------+
 *     | off-slab index, phys /8 | colour / 8 | active  |
 *     +-------------------------+------------+---------+
 */
#include "mm/slab/internal.h"

#define SLAB_MIN_FREE 2u            /* free slabs kept */
#define SLAB_OFF_SLAB PAGE_SIZE / 8 /* objects from this size on have their index elsewhere */
#define SLAB_MOST     4095u         /* objects that `active` can count */
#define SHARED_ARRAY  (ARRAY_WORDS - 1 - 1)

static uint64_t slab_word(const struct page *page)
{
	return atomic_load_explicit(&((struct page *)(uintptr_t)page)->slab_word,
	                            memory_order_relaxed);
}

static unsigned active_of(const struct page *page)
{
	return (unsigned)(slab_word(page) & SLAB_MOST);
}

static size_t colour_of(const struct page *page)
{
	return (size_t)(slab_word(page) >> 12 & SLAB_MOST) * 8;
}

static size_t index_bytes(const struct kmem_cache *s)
{
	return ALIGN_UP((size_t)s->objects * sizeof(uint16_t), (size_t)s->align);
}

static uint16_t *index_of(const struct kmem_cache *s, const struct page *page)
{
	if (s->off_slab)
		return phys_to_virt(PHYS(slab_word(page) >> 24 << 3));
	return (uint16_t *)((char *)page_address(page) + colour_of(page));
}

static char *first_object(const struct kmem_cache *s, const struct page *page)
{
	return (char *)page_address(page) + colour_of(page) + (s->off_slab ? 0 : index_bytes(s)) +
	       s->red_left;
}

static void *object_of(const struct kmem_cache *s, const struct page *page, unsigned number)
{
	return first_object(s, page) + (size_t)number * s->size;
}

/* As many as fit, with their index. */
static void count_objects(struct kmem_cache *s)
{
	size_t each = s->size + (s->off_slab ? 0 : sizeof(uint16_t));

	s->slab_bytes = (uint32_t)(PAGE_SIZE << s->order);
	s->objects = (uint16_t)MIN(s->slab_bytes / each, SLAB_MOST);
	while (s->objects && !s->off_slab &&
	       index_bytes(s) + (size_t)s->objects * s->size > s->slab_bytes)
		s->objects--;
}

/*
 * An index elsewhere is kmalloc's. So not for the caches that kmalloc stands on: that of caches, and that of CPUs'
 * arrays, which kmalloc asks for while it opens one.
 */
static bool wants_off_slab(const struct kmem_cache *s)
{
	return s->size >= SLAB_OFF_SLAB && !(s->flags & SLAB_INTERNAL);
}

static int layout(struct kmem_cache *s)
{
	size_t left;

	s->off_slab = wants_off_slab(s);
	s->order = (uint16_t)slab_least_waste_order(s);
	count_objects(s);
	while (!s->objects && s->order < SLAB_MAX_ORDER) {
		s->order++;
		count_objects(s);
	}
	if (!s->objects)
		return -EINVAL;
	left = s->slab_bytes - (s->off_slab ? 0 : index_bytes(s)) - (size_t)s->objects * s->size;
	s->colour_off = (uint16_t)MAX(s->align, CACHELINE);
	s->colour = (uint16_t)(left / s->colour_off + 1);
	s->min_partial = SLAB_MIN_FREE;
	return 0;
}

/* --- slabs ------------------------------------------------------------------------------------------------- */

static uint64_t next_colour(struct kmem_cache *s, struct slab_node *n)
{
	irq_state_t irq = spin_lock_irqsave(&n->lock);
	uint64_t colour = n->colour_next;

	n->colour_next = colour + 1 < s->colour ? (uint32_t)colour + 1 : 0;
	spin_unlock_irqrestore(&n->lock, irq);
	return colour * s->colour_off / 8;
}

static bool make_index(struct kmem_cache *s, struct page *page, gfp_t gfp)
{
	uint64_t colour = next_colour(s, slab_node(s, page));
	gfp_t drop = __GFP_ZERO | __GFP_DMA | __GFP_DMA32 | __GFP_RECLAIMABLE | __GFP_MOVABLE;
	uint16_t *index = NULL;

	if (s->off_slab) {
		index = kmalloc(s->objects * sizeof(uint16_t), gfp & ~drop);
		if (!index)
			return false;
	}
	atomic_store_explicit(&page->slab_word,
	                      (index ? virt_to_phys(index).a >> 3 << 24 : 0) | colour << 12,
	                      memory_order_relaxed);
	index = index_of(s, page);
	for (unsigned i = 0; i < s->objects; i++)
		index[i] = (uint16_t)i;
	return true;
}

static void discard_slab(struct kmem_cache *s, struct page *page)
{
	uint16_t *index = s->off_slab ? index_of(s, page) : NULL;

	for (unsigned i = 0; s->dtor && i < s->objects; i++)
		slab_end_object(s, object_of(s, page, i));
	slab_free_pages(s, page);
	kfree(index);
}

static struct page_list *list_for(struct kmem_cache *s, struct slab_node *n, unsigned active)
{
	return !active ? &n->free : active == s->objects ? &n->full : &n->partial;
}

/* A slab changes its active count, and its list if need be. Lock held. */
static void set_active(struct kmem_cache *s, struct slab_node *n, struct page *page,
                       unsigned active)
{
	struct page_list *from = list_for(s, n, active_of(page)), *to = list_for(s, n, active);

	atomic_store_explicit(&page->slab_word, (slab_word(page) & ~(uint64_t)SLAB_MOST) | active,
	                      memory_order_relaxed);
	if (from == to)
		return;
	page_list_del(from, page);
	page_list_add(to, page);
}

/* A new slab, all free. */
static bool grow(struct kmem_cache *s, gfp_t gfp)
{
	struct page *page = slab_new_pages(s, gfp);
	struct slab_node *n;
	irq_state_t irq;

	if (!page)
		return false;
	if (!make_index(s, page, gfp)) {
		slab_free_pages(s, page);
		return false;
	}
	for (unsigned i = 0; i < s->objects; i++)
		slab_init_object(s, object_of(s, page, i));
	n = slab_node(s, page);
	irq = spin_lock_irqsave(&n->lock);
	page_list_add(&n->free, page);
	n->free_objects += s->objects;
	spin_unlock_irqrestore(&n->lock, irq);
	return true;
}

/* --- taking ---------------------------------------------------------------------------------------------------- */

static unsigned take_shared(struct slab_node *n, unsigned want, void **objects)
{
	unsigned k = n->shared ? MIN(want, n->shared->avail) : 0;

	if (k) {
		n->shared->avail -= k;
		__builtin_memcpy(objects, &n->shared->entry[n->shared->avail], k * sizeof(void *));
	}
	return k;
}

static unsigned take_slab(struct kmem_cache *s, struct slab_node *n, struct page *page,
                          unsigned want, void **objects)
{
	unsigned active = active_of(page), k = MIN(want, s->objects - active);
	const uint16_t *index = index_of(s, page);

	for (unsigned i = 0; i < k; i++)
		objects[i] = object_of(s, page, index[active + i]);
	n->free_objects -= k;
	set_active(s, n, page, active + k);
	return k;
}

static unsigned take_node(struct kmem_cache *s, struct slab_node *n, unsigned want, void **objects)
{
	irq_state_t irq = spin_lock_irqsave(&n->lock);
	unsigned got = want > 1 ? take_shared(n, want, objects) : 0;

	while (got < want) {
		struct page *page = page_list_first(&n->partial);

		if (!page)
			page = page_list_first(&n->free);
		if (!page)
			break;
		got += take_slab(s, n, page, want - got, objects + got);
	}
	if (!got)
		got = take_shared(n, want, objects);
	spin_unlock_irqrestore(&n->lock, irq);
	return got;
}

/* From the nodes from to end - 1, by distance. */
static unsigned take_near(struct kmem_cache *s, unsigned from, unsigned end, unsigned want,
                          void **objects)
{
	unsigned got = 0;

	for (unsigned i = from; i < end && !got; i++)
		got = take_node(s, slab_near_node(s, i), want, objects);
	return got;
}

/* Near before far, and of what is equally far an old slab before a new one. */
static unsigned get(struct kmem_cache *s, size_t size UNUSED, gfp_t gfp, unsigned want,
                    void **objects)
{
	unsigned got = take_near(s, 0, 1, want, objects);

	if (!got && nr_nodes() > 1) {
		if (grow(s, slab_near_gfp(gfp)))
			got = take_near(s, 0, 1, want, objects);
		if (!got)
			got = take_near(s, 1, nr_nodes(), want, objects);
	}
	while (!got && grow(s, gfp))
		got = take_near(s, 0, nr_nodes(), want, objects);
	return got;
}

/* --- giving back ------------------------------------------------------------------------------------------------- */

/* False: the slab has no object in use, or this is none of its objects. */
static bool put_object(struct kmem_cache *s, struct slab_node *n, struct page *page, void *object,
                       struct page_list *empty)
{
	size_t at = (size_t)((char *)object - first_object(s, page));
	unsigned active = active_of(page), number = (unsigned)(at / s->size);

	if (!active || number >= s->objects)
		return false;
	index_of(s, page)[active - 1] = (uint16_t)number;
	n->free_objects++;
	set_active(s, n, page, active - 1);
	if (active == 1 && n->free.count > s->min_partial) {
		page_list_del(&n->free, page);
		n->free_objects -= s->objects;
		page_list_add(empty, page);
	}
	return true;
}

static bool put_shared(struct slab_node *n, void *object)
{
	if (!n->shared || n->shared->avail >= n->shared->limit)
		return false;
	n->shared->entry[n->shared->avail++] = object;
	return true;
}

/*
 * Index entries from `active` on are the free objects; the one given back replaces the entry of the first
 * object in use, whose number is lost: nobody needs it, for an object knows its number by its address.
 */
static void put_on_node(struct kmem_cache *s, struct slab_node *n, unsigned count, void **objects,
                        struct page_list *empty)
{
	for (unsigned i = 0; i < count; i++) {
		irq_state_t irq = spin_lock_irqsave(&n->lock);
		bool good = (count > 1 && put_shared(n, objects[i])) ||
		            put_object(s, n, slab_page(objects[i]), objects[i], empty);

		spin_unlock_irqrestore(&n->lock, irq);
		if (!good)
			slab_bad_free(s, objects[i]);
	}
}

/* A cache that moves whole batches gets a shared array, if memory for it is at hand. */
static void make_shared(struct kmem_cache *s, struct slab_node *n)
{
	struct kmem_cache *arrays = slab_state()->arrays;
	struct shared_array *shared;
	void *block;
	irq_state_t irq;

	if (atomic_load_explicit(&n->shared, memory_order_relaxed) || !arrays ||
	    slab_state()->closing || machine()->careful ||
	    !get(arrays, 0, GFP_NOWAIT | __GFP_NOWARN, 1, &block))
		return;
	shared = block;
	*shared = (struct shared_array){.limit = MIN(2u * s->limit, SHARED_ARRAY)};
	irq = spin_lock_irqsave(&n->lock);
	if (!n->shared) {
		atomic_store_explicit(&n->shared, shared, memory_order_relaxed);
		block = NULL;
	}
	spin_unlock_irqrestore(&n->lock, irq);
	if (block)
		arrays->ops->put(arrays, 1, &block);
}

static bool mine(const struct kmem_cache *s, const void *object)
{
	const struct page *page = virt_to_page(object);

	return page_flag(page, PG_slab) && page->slab_cache == s;
}

/* Runs of objects of one node; usually all. */
static void put(struct kmem_cache *s, unsigned count, void **objects)
{
	struct page_list empty;
	struct page *page;

	page_list_init(&empty);
	for (unsigned i = 0, run; i < count; i += run) {
		unsigned nid = page_to_nid(virt_to_page(objects[i]));

		run = 1;
		if (!mine(s, objects[i])) {
			slab_bad_free(s, objects[i]);
			continue;
		}
		while (i + run < count && mine(s, objects[i + run]) &&
		       page_to_nid(virt_to_page(objects[i + run])) == nid)
			run++;
		if (run > 1 && s->limit)
			make_shared(s, &s->node[nid]);
		put_on_node(s, &s->node[nid], run, objects + i, &empty);
	}
	while ((page = page_list_first(&empty))) {
		page_list_del(&empty, page);
		discard_slab(s, page);
	}
}

static void flush_shared(struct kmem_cache *s, struct slab_node *n)
{
	irq_state_t irq = spin_lock_irqsave(&n->lock);
	struct shared_array *shared = n->shared;
	void *block = shared;

	atomic_store_explicit(&n->shared, NULL, memory_order_relaxed);
	spin_unlock_irqrestore(&n->lock, irq);
	if (!shared)
		return;
	for (unsigned i = 0; i < shared->avail; i++)
		put(s, 1, &shared->entry[i]);
	slab_state()->arrays->ops->put(slab_state()->arrays, 1, &block);
}

static void flush(struct kmem_cache *s, struct kmem_cache_cpu *c UNUSED)
{
	for (unsigned nid = 0; nid < nr_nodes(); nid++)
		flush_shared(s, &s->node[nid]);
}

static void discard(struct kmem_cache *s)
{
	for (unsigned nid = 0; nid < nr_nodes(); nid++) {
		struct slab_node *n = &s->node[nid];
		struct page *page;

		do {
			irq_state_t irq = spin_lock_irqsave(&n->lock);

			page = page_list_first(&n->free);
			if (page) {
				page_list_del(&n->free, page);
				n->free_objects -= s->objects;
			}
			spin_unlock_irqrestore(&n->lock, irq);
			if (page)
				discard_slab(s, page);
		} while (page);
	}
}

/* --- looking at them ------------------------------------------------------------------------------------------------ */

static uint64_t info(struct kmem_cache *s, struct slabinfo *info)
{
	uint64_t free = 0;

	info->num_slabs = slab_nr_slabs(s);
	info->num_objs = info->num_slabs * s->objects;
	info->active_slabs = info->num_slabs;
	for (unsigned nid = 0; nid < nr_nodes(); nid++) {
		struct slab_node *n = &s->node[nid];
		irq_state_t irq = spin_lock_irqsave(&n->lock);

		if (n->shared)
			info->shared_avail += n->shared->avail;
		free += n->free_objects;
		info->active_slabs -= MIN(n->free.count, info->active_slabs);
		spin_unlock_irqrestore(&n->lock, irq);
	}
	info->limit = s->limit;
	info->batchcount = (s->limit + 1u) / 2;
	info->shared = s->limit ? 2 : 0;
	return free + info->shared_avail;
}

static bool is_object(struct kmem_cache *s, struct page *page, const void *p)
{
	uintptr_t at = (uintptr_t)p - (uintptr_t)first_object(s, page);

	return at < (uintptr_t)s->objects * s->size && at % s->size == 0;
}

static bool in_use(struct kmem_cache *s, struct page *page, void *object)
{
	const uint16_t *index = index_of(s, page);

	for (unsigned i = active_of(page); i < s->objects; i++)
		if (object_of(s, page, index[i]) == object)
			return false;
	return true;
}

static size_t ksize_of(const struct page *page, const void *p UNUSED)
{
	return page->slab_cache->object_size;
}

/* Free ones are numbers of the slab's objects, each once. */
static const char *check_page(struct kmem_cache *s, struct page *page)
{
	uint8_t seen[(SLAB_MOST + 8) / 8] = {0};
	const uint16_t *index = index_of(s, page);

	if (!page_flag(page, PG_slab) || page->slab_cache != s || page_count(page) != 1)
		return "slab: page of a slab is not the cache's";
	if (active_of(page) > s->objects)
		return "slab: more active than objects";
	for (unsigned i = active_of(page); i < s->objects; i++) {
		if (index[i] >= s->objects || seen[index[i] / 8] >> (index[i] % 8) & 1)
			return "slab: index of free objects";
		seen[index[i] / 8] |= (uint8_t)(1u << (index[i] % 8));
	}
	return NULL;
}

static const char *check_list(struct kmem_cache *s, struct slab_node *n, struct page_list *list,
                              uint64_t *free, uint64_t *slabs)
{
	uint64_t pages = 0;

	for (uint32_t pfn = list->first; pfn != PFN_NONE_N; pages++) {
		struct page *page = pfn_to_page(PFN(pfn));
		const char *broken = check_page(s, page);

		if (broken)
			return broken;
		if (pages >= list->count || list_for(s, n, active_of(page)) != list)
			return "slab: a slab on the wrong list";
		*free += s->objects - active_of(page);
		pfn = page->lru.next;
	}
	*slabs += pages;
	return pages == list->count ? NULL : "slab: length of a list";
}

static const char *check(struct kmem_cache *s)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < nr_nodes(); i++) {
		struct slab_node *n = &s->node[i];
		uint64_t free = 0, slabs = 0;
		const char *broken = check_list(s, n, &n->full, &free, &slabs);

		if (!broken)
			broken = check_list(s, n, &n->partial, &free, &slabs);
		if (!broken)
			broken = check_list(s, n, &n->free, &free, &slabs);
		if (broken)
			return broken;
		if (free != n->free_objects)
			return "slab: number of free objects";
		all += slabs;
	}
	return all == slab_nr_slabs(s) ? NULL : "slab: number of slabs";
}

const struct slab_ops slab_ops = {
        .name = "slab",
        .arrays = true,
        .layout = layout,
        .get = get,
        .put = put,
        .flush = flush,
        .discard = discard,
        .info = info,
        .ksize = ksize_of,
        .is_object = is_object,
        .in_use = in_use,
        .check = check,
};
