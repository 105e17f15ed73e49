/*
 * slob.c - SLOB: blocks of any size cut out of pages, with no more overhead than can be helped (K&R 8.7; lecture
 * 001; Linux's mm/slob.c, Mackall 2005).
 *
 * There are no slabs: objects of all caches share pages. A page is cut into units of 8 bytes; its free blocks form
 * a list in the order of their addresses, so that a block that comes back finds its neighbours and merges with them.
 * A block in use has no header; the cache knows its size. kmalloc's blocks have one of 8 bytes in front, which says
 * how big they are.
 *
 *     page:  | used  |free: units, next|  used  |used|free: units, next: none|
 *             first free ^
 *
 * The lecture's steps, chosen by the word slob_fit=
 *   first  the first free block that is big enough, in the first page of the list (the default)
 *   next   the same, but the search starts in the page where the last one ended: small blocks do not gather at the front
 *   best   the smallest block that is big enough, of all pages of the list
 * and in all of them the second optimisation: three lists of pages by the size of request they were made for (below 256
 * bytes, below 1024, above), so that small blocks do not break up the pages of large ones.
 *
 * What does not fit into half a page, or must lie in a zone, is a block of frames of its own.
 *
 * Invariants (slab_check)
 *   1. Exactly the pages with something free are on a list, on the one of their class.
 *   2. Free blocks lie in the page, in ascending order, and no two touch.
 *   3. The sum of their units is what the page's word says.
 *
 * One lock, state->slob_lock. page->slab_word, under it: class << 32 | first free unit << 16 | free units.
 * Constructors run whenever a block is given out, destructors when it is given back: there is no time in between.
 */
#include "mm/slab/internal.h"

#define UNIT       8u
#define PAGE_UNITS ((unsigned)PAGE_SIZE / UNIT)
#define NO_UNIT    0xffffu
#define SLOB_LARGE (PAGE_SIZE / 2)
#define SLOB_MAGIC 0x510bu

/* A free block. */
struct slob_block {
	uint16_t units, next; /* next: unit in the page, NO_UNIT */
	uint32_t unused;
};
static_assert(sizeof(struct slob_block) == UNIT, "the smallest block");

/* In front of what kmalloc gives out. */
struct slob_header {
	uint32_t size;
	uint8_t type, class;
	uint16_t magic;
};
static_assert(sizeof(struct slob_header) == UNIT, "");

/* What is asked for. */
struct slob_want {
	unsigned units, align; /* align: of the byte `header` behind the block's first */
	unsigned header;
};

/* Where it can be had: units [at, at + want) of the free block `block`, which the block (or page word) before `prev` leads to. */
struct slob_place {
	struct page *page;
	unsigned prev, block, at;
	unsigned waste;
};

static unsigned word_units(const struct page *page)
{
	return (unsigned)(page->slab_word & 0xffff);
}

static unsigned word_first(const struct page *page)
{
	return (unsigned)(page->slab_word >> 16 & 0xffff);
}

static unsigned word_class(const struct page *page)
{
	return (unsigned)(page->slab_word >> 32);
}

static void word_set(struct page *page, unsigned class, unsigned first, unsigned units)
{
	atomic_store_explicit(&page->slab_word,
	                      (uint64_t) class << 32 | (uint64_t)first << 16 | units,
	                      memory_order_relaxed);
}

static struct slob_block *block_at(const struct page *page, unsigned unit)
{
	return (struct slob_block *)page_address(page) + unit;
}

static unsigned size_class(size_t size)
{
	return size < 256 ? 0 : size < 1024 ? 1 : 2;
}

static bool is_kmalloc(const struct kmem_cache *s)
{
	return s->flags & SLAB_KMALLOC;
}

/* Bytes that one object of s takes, without kmalloc's header. */
static size_t slot_size(const struct kmem_cache *s, size_t size)
{
	return is_kmalloc(s) && !s->meta && !s->red_left ? size : s->size;
}

static bool wants_frames(const struct kmem_cache *s, size_t size)
{
	return slot_size(s, size) > SLOB_LARGE || s->align > SLOB_LARGE ||
	       s->gfp & (__GFP_DMA | __GFP_DMA32);
}

static int layout(struct kmem_cache *s)
{
	while (s->order < SLAB_MAX_ORDER && (PAGE_SIZE << s->order) < s->size)
		s->order++;
	s->slab_bytes = (uint32_t)(PAGE_SIZE << s->order);
	s->objects = (uint16_t)(s->size <= SLOB_LARGE ? PAGE_SIZE / s->size : 1);
	return s->slab_bytes >= s->size ? 0 : -EINVAL;
}

/* --- places ------------------------------------------------------------------------------------------------- */

/* First unit of the block from which the request would fit, aligned. */
static unsigned fit_in_block(const struct slob_block *b, unsigned block, const struct slob_want *w)
{
	unsigned byte = ALIGN_UP(block * UNIT + w->header, w->align) - w->header;
	unsigned at = byte / UNIT;

	return at + w->units <= block + b->units ? at : NO_UNIT;
}

/* The first or, if best, the tightest place of the page. */
static bool fit_in_page(struct page *page, const struct slob_want *w, bool best,
                        struct slob_place *found)
{
	bool any = false;

	if (word_units(page) < w->units)
		return false;
	for (unsigned prev = NO_UNIT, block = word_first(page); block != NO_UNIT;
	     prev = block, block = block_at(page, block)->next) {
		const struct slob_block *b = block_at(page, block);
		unsigned at = fit_in_block(b, block, w), waste = b->units - w->units;

		if (at == NO_UNIT || (best && waste >= found->waste))
			continue;
		*found = (struct slob_place){page, prev, block, at, waste};
		any = true;
		if (!best || !waste)
			break;
	}
	return any;
}

/* Along the list of the class. Lock held. */
static bool find_place(struct slab_state *st, unsigned class, const struct slob_want *w,
                       struct slob_place *found)
{
	struct page_list *list = &st->slob_free[class];
	bool best = st->options.fit == SLOB_BEST, any = false;

	*found = (struct slob_place){.waste = UINT32_MAX};
	for (uint32_t pfn = list->first; pfn != PFN_NONE_N;) {
		struct page *page = pfn_to_page(PFN(pfn));

		pfn = page->lru.next;
		any |= fit_in_page(page, w, best, found);
		if (any && (!best || !found->waste))
			break;
	}
	return any;
}

/* Next fit: the list is turned so that the next search begins here. */
static void turn_list(struct page_list *list, struct page *page)
{
	struct page *first;

	while ((first = page_list_first(list)) != page) {
		page_list_del(list, first);
		page_list_add_tail(list, first);
	}
}

static void set_next(struct page *page, unsigned prev, unsigned next)
{
	if (prev == NO_UNIT)
		word_set(page, word_class(page), next, word_units(page));
	else
		block_at(page, prev)->next = (uint16_t)next;
}

/* Cut it out: what is before it and behind it in its block stays free. Lock held. */
static void *cut(struct slab_state *st, const struct slob_place *p, unsigned units)
{
	struct page *page = p->page;
	struct slob_block *b = block_at(page, p->block);
	unsigned end = p->block + b->units, next = b->next, before = p->at - p->block;

	if (p->at + units < end) {
		*block_at(page, p->at + units) = (struct slob_block){
		        .units = (uint16_t)(end - p->at - units), .next = (uint16_t)next};
		next = p->at + units;
	}
	if (before) {
		b->units = (uint16_t)before;
		b->next = (uint16_t)next;
	} else {
		set_next(page, p->prev, next);
	}
	word_set(page, word_class(page), word_first(page), word_units(page) - units);
	if (!word_units(page))
		page_list_del(&st->slob_free[word_class(page)], page);
	return block_at(page, p->at);
}

static void *take_block(unsigned class, const struct slob_want *w)
{
	struct slab_state *st = slab_state();
	irq_state_t irq = spin_lock_irqsave(&st->slob_lock);
	struct slob_place place;
	void *block = NULL;

	if (find_place(st, class, w, &place)) {
		if (st->options.fit == SLOB_NEXT)
			turn_list(&st->slob_free[class], place.page);
		block = cut(st, &place, w->units);
	}
	spin_unlock_irqrestore(&st->slob_lock, irq);
	return block;
}

/*
 * The first block of a new page, which has room for whatever is not a block of frames. Page and block in one step: an
 * empty page on a list would stay there if its maker found room in another one's.
 */
static void *take_new_block(unsigned class, const struct slob_want *w, gfp_t gfp)
{
	struct slab_state *st = slab_state();
	struct page *page = slab_new_pages(st->slob, gfp);
	struct slob_place place;
	void *block = NULL;
	irq_state_t irq;

	if (!page)
		return NULL;
	*block_at(page, 0) = (struct slob_block){.units = PAGE_UNITS, .next = NO_UNIT};
	irq = spin_lock_irqsave(&st->slob_lock);
	word_set(page, class, 0, PAGE_UNITS);
	page_list_add(&st->slob_free[class], page);
	if (fit_in_page(page, w, false, &place))
		block = cut(st, &place, w->units);
	spin_unlock_irqrestore(&st->slob_lock, irq);
	return block;
}

/* --- giving back --------------------------------------------------------------------------------------------- */

/* Free neighbours of [unit, unit + units): the last block before it and the first behind. False: it overlaps one. */
static bool find_neighbours(struct page *page, unsigned unit, unsigned units, unsigned *prev,
                            unsigned *next)
{
	*prev = NO_UNIT;
	*next = word_first(page);
	while (*next != NO_UNIT && *next < unit) {
		*prev = *next;
		*next = block_at(page, *next)->next;
	}
	if (*prev != NO_UNIT && *prev + block_at(page, *prev)->units > unit)
		return false;
	return unit + units <= PAGE_UNITS && (*next == NO_UNIT || unit + units <= *next);
}

/* Put a block between its neighbours and merge. Lock held. */
static void insert(struct page *page, unsigned unit, unsigned units, unsigned prev, unsigned next)
{
	struct slob_block *b = block_at(page, unit);

	word_set(page, word_class(page), word_first(page), word_units(page) + units);
	*b = (struct slob_block){.units = (uint16_t)units, .next = (uint16_t)next};
	if (next != NO_UNIT && unit + units == next) {
		b->units = (uint16_t)(b->units + block_at(page, next)->units);
		b->next = block_at(page, next)->next;
	}
	if (prev != NO_UNIT && prev + block_at(page, prev)->units == unit) {
		block_at(page, prev)->units = (uint16_t)(block_at(page, prev)->units + b->units);
		block_at(page, prev)->next = b->next;
	} else {
		set_next(page, prev, unit);
	}
}

/* False: part of it is free already. An empty page goes back to the buddy. */
static bool put_block(void *block, unsigned units)
{
	struct slab_state *st = slab_state();
	struct page *page = virt_to_page(block);
	unsigned unit = (unsigned)((uintptr_t)block & (PAGE_SIZE - 1)) / UNIT, prev, next;
	irq_state_t irq = spin_lock_irqsave(&st->slob_lock);
	bool good = find_neighbours(page, unit, units, &prev, &next), empty = false;

	if (good) {
		if (!word_units(page))
			page_list_add(&st->slob_free[word_class(page)], page);
		insert(page, unit, units, prev, next);
		empty = word_units(page) == PAGE_UNITS;
		if (empty)
			page_list_del(&st->slob_free[word_class(page)], page);
	}
	spin_unlock_irqrestore(&st->slob_lock, irq);
	if (empty)
		slab_free_pages(st->slob, page);
	return good;
}

/* --- objects --------------------------------------------------------------------------------------------------- */

static struct slob_header *header_of(const struct kmem_cache *s, const void *object)
{
	return (struct slob_header *)((char *)(uintptr_t)object - s->red_left) - 1;
}

static void set_header(const struct kmem_cache *s, struct slob_header *h, size_t size)
{
	*h = (struct slob_header){.size = (uint32_t)size, .magic = SLOB_MAGIC};
	for (unsigned type = 0; type < NR_KMALLOC_TYPES; type++)
		for (unsigned class = 0; class < KMALLOC_CLASSES; class ++)
			if (slab_state()->kmalloc[type][class] == s) {
				h->type = (uint8_t)type;
				h->class = (uint8_t) class;
				return;
			}
}

static void *from_frames(struct kmem_cache *s, gfp_t gfp)
{
	struct page *page = slab_new_pages(s, gfp);

	return page ? (char *)page_address(page) + s->red_left : NULL;
}

/* kmalloc: a power of two is aligned to itself. */
static void *from_block(struct kmem_cache *s, size_t size, gfp_t gfp)
{
	size_t slot = slot_size(s, size), header = is_kmalloc(s) ? sizeof(struct slob_header) : 0;
	bool power = is_kmalloc(s) && size >= UNIT && !(size & (size - 1));
	struct slob_want want = {.units = (unsigned)DIV_ROUND_UP(MAX(slot, UNIT) + header, UNIT),
	                         .align = power ? (unsigned)MAX(size, s->align) : s->align,
	                         .header = (unsigned)(header + s->red_left)};
	unsigned class = size_class(slot);
	char *block = take_block(class, &want);

	if (!block)
		block = take_new_block(class, &want, gfp);
	if (!block)
		return NULL;
	if (header)
		set_header(s, (struct slob_header *)block, size);
	return block + want.header;
}

static unsigned get(struct kmem_cache *s, size_t size, gfp_t gfp, unsigned n, void **objects)
{
	unsigned got = 0;

	while (got < n) {
		void *object =
		        wants_frames(s, size) ? from_frames(s, gfp) : from_block(s, size, gfp);

		if (!object)
			break;
		slab_init_object(s, object);
		objects[got++] = object;
		atomic_fetch_add_explicit(&s->live, 1, memory_order_relaxed);
	}
	return got;
}

static bool put_one(struct kmem_cache *s, void *object)
{
	struct page *page = slab_page(object);
	size_t header = is_kmalloc(s) ? sizeof(struct slob_header) : 0, size = s->object_size;

	if (!page_flag(page, PG_slab))
		return false;
	if (page->slab_cache == s) {
		slab_end_object(s, object);
		slab_free_pages(s, page);
		return true;
	}
	if (page->slab_cache != slab_state()->slob || wants_frames(s, 0))
		return false;
	if (header)
		size = header_of(s, object)->size;
	slab_end_object(s, object);
	return put_block((char *)object - s->red_left - header,
	                 (unsigned)DIV_ROUND_UP(MAX(slot_size(s, size), UNIT) + header, UNIT));
}

static void put(struct kmem_cache *s, unsigned n, void **objects)
{
	for (unsigned i = 0; i < n; i++) {
		if (put_one(s, objects[i]))
			atomic_fetch_sub_explicit(&s->live, 1, memory_order_relaxed);
		else
			slab_bad_free(s, objects[i]);
	}
}

/* A kmalloc'ed object's cache, for kfree finds only that it lies in a page of blocks. NULL: not from kmalloc. */
static struct kmem_cache *owner(const void *object)
{
	const struct slab_state *st = slab_state();

	for (unsigned red = 0; red <= SLOB_LARGE; red = red ? red * 2 : UNIT) {
		const struct slob_header *h =
		        (const struct slob_header *)((uintptr_t)object - red) - 1;
		struct kmem_cache *s;

		if (((uintptr_t)h ^ (uintptr_t)object) >> PAGE_SHIFT)
			break;
		if (h->magic != SLOB_MAGIC || h->type >= NR_KMALLOC_TYPES ||
		    h->class >= KMALLOC_CLASSES)
			continue;
		s = st->kmalloc[h->type][h->class];
		if (s->red_left == red)
			return s;
	}
	return NULL;
}

static size_t ksize_of(const struct page *page, const void *p)
{
	const struct kmem_cache *s = page->slab_cache;

	if (s != slab_state()->slob)
		return s->object_size;
	s = owner(p);
	return s ? s->meta || s->red_left ? s->object_size : ALIGN_UP(header_of(s, p)->size, UNIT)
	         : 0;
}

static void flush(struct kmem_cache *s UNUSED, struct kmem_cache_cpu *c UNUSED)
{
}

static void discard(struct kmem_cache *s UNUSED)
{
}

/* Blocks have no slabs: what a cache has is what is in use. */
static uint64_t info(struct kmem_cache *s, struct slabinfo *info)
{
	int64_t live = atomic_load_explicit(&s->live, memory_order_relaxed);

	info->num_objs = (uint64_t)MAX(live, 0);
	info->num_slabs = info->active_slabs = slab_nr_slabs(s);
	return 0;
}

static bool is_object(struct kmem_cache *s, struct page *page, const void *p)
{
	return page->slab_cache == s && (uintptr_t)p == (uintptr_t)page_address(page) + s->red_left;
}

/* Without debugging a block in use says nothing about its owner. */
static bool in_use(struct kmem_cache *s, struct page *page, void *object)
{
	if (page->slab_cache == s)
		return (uintptr_t)object == (uintptr_t)page_address(page) + s->red_left;
	return s->meta && slab_meta(s, object)->state == slab_live_mark(s);
}

static const char *check_page(struct page *page, unsigned class)
{
	unsigned units = 0, end = 0;

	if (!page_flag(page, PG_slab) || page->slab_cache != slab_state()->slob)
		return "slob: a page on a list is not of blocks";
	if (word_class(page) != class || !word_units(page))
		return "slob: a page on the wrong list";
	for (unsigned unit = word_first(page); unit != NO_UNIT;) {
		const struct slob_block *b = block_at(page, unit);

		if (unit >= PAGE_UNITS || !b->units || unit + b->units > PAGE_UNITS ||
		    (end && unit <= end))
			return "slob: free blocks in order, none touches another";
		units += b->units;
		end = unit + b->units;
		unit = b->next;
	}
	return units == word_units(page) ? NULL : "slob: number of free units";
}

static const char *check(struct kmem_cache *s)
{
	struct slab_state *st = slab_state();

	if (s != st->slob)
		return atomic_load(&s->live) < 0 ? "slob: more freed than given out" : NULL;
	for (unsigned class = 0; class < SLOB_LISTS; class ++) {
		uint64_t pages = 0;

		for (uint32_t pfn = st->slob_free[class].first; pfn != PFN_NONE_N; pages++) {
			struct page *page = pfn_to_page(PFN(pfn));
			const char *broken = check_page(page, class);

			if (broken || pages >= st->slob_free[class].count)
				return broken ? broken : "slob: length of a list";
			pfn = page->lru.next;
		}
	}
	return NULL;
}

const struct slab_ops slob_ops = {
        .name = "slob",
        .exact = true,
        .no_poison = "free blocks merge with their neighbours",
        .owner = owner,
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
