/*
 * buddy.c - free blocks of a zone, in powers of two (Knuth 2.5; lectures 001 and 003).
 *
 * A free block of 2^k frames starts at a multiple of 2^k and is on free_area[k]. Its buddy, the block it was
 * split from or may merge with, is the one whose number differs in bit k: pfn ^ (1 << k).
 *
 *     512 |                               | free_area[9]
 *         | 256           | 128   | 65+63 |  after a request for 65: one block each on
 *                                            free_area[8] and [7]; the request has 128
 *
 * Each order has a list for each type of mobility (mobility.c), which a block's head names in its flags. A freed block goes
 * to the list of its page block's type; buddies merge whatever lists they are on, unless one of two page blocks is set
 * aside (highatomic.c).
 *
 * Invariants (frame_check):
 *   1. The first descriptor of a block, and no other, has PG_buddy, the block's order, and its list's type.
 *   2. A block and its buddy are never both free with the same order below the highest, but for page blocks of which one is
 *      set aside.
 *   3. nr_free is the sum of the blocks; bit k of a type's type_orders says that its list in free_area[k] is not empty.
 *   4. A free block as large as a page block, or larger, is on the list of its page blocks' type. So is any that is
 *      set aside, and no other is on that list.
 *
 * Everything is constant time in the size of memory: the smallest order that will do is found in the bit map,
 * and merging looks at the buddy's descriptor only. Blocks freed last are taken first.
 */
#include "mm/frame/debug.h"

void free_area_init(struct zone *zone)
{
	for (unsigned order = 0; order < MAX_ORDER; order++)
		for (unsigned type = 0; type < MIGRATE_TYPES; type++)
			page_list_init(&zone->free_area[order].free_list[type]);
}

static void set_type_orders(struct zone *zone, unsigned type, uint32_t orders)
{
	atomic_store_explicit(&zone->type_orders[type], orders, memory_order_relaxed);
}

static ALWAYS_INLINE void add_block(struct zone *zone, struct page *page, uint32_t pfn,
                                    unsigned order, unsigned type)
{
	const uint32_t flags = atomic_load_explicit(&page->flags, memory_order_relaxed);
	struct page_list *list = &zone->free_area[order].free_list[type];

	WRITE_ONCE(page->order, order); /* compaction looks without the lock */
	atomic_store_explicit(&page->flags,
	                      (flags & ~(3u << PG_type_shift)) | type << PG_type_shift |
	                              PAGE_FLAG(buddy),
	                      memory_order_relaxed);
	if (page_list_empty(list))
		set_type_orders(zone, type, zone_type_orders(zone, type) | 1u << order);
	page_list_add_pfn(list, page, pfn);
}

/* flags: what the block's head has. */
static ALWAYS_INLINE void del_block(struct zone *zone, struct page *page, uint32_t flags,
                                    unsigned order)
{
	const unsigned type = flags >> PG_type_shift & 3;
	struct page_list *list = &zone->free_area[order].free_list[type];

	if (page_list_del(list, page))
		set_type_orders(zone, type, zone_type_orders(zone, type) & ~(1u << order));
	atomic_store_explicit(&page->flags, flags & ~PAGE_FLAG(buddy), memory_order_relaxed);
	atomic_store_explicit(&page->_mapcount, -1, memory_order_relaxed);
}

void add_to_free_list(struct zone *zone, struct page *page, unsigned order, unsigned type)
{
	add_block(zone, page, page_to_pfn(page).n, order, type);
}

void del_page_from_free_list(struct zone *zone, struct page *page)
{
	del_block(zone, page, atomic_load_explicit(&page->flags, memory_order_relaxed),
	          page->order);
}

static void add_free(struct zone *zone, int64_t pages)
{
	int64_t free = atomic_load_explicit(&zone->nr_free, memory_order_relaxed);

	atomic_store_explicit(&zone->nr_free, free + pages, memory_order_relaxed);
}

void take_free_block(struct zone *zone, struct page *page)
{
	unsigned order = page->order;

	del_page_from_free_list(zone, page);
	add_free(zone, -((int64_t)1 << order));
}

/* Half of a block that is split stays out of use. As on Linux it does not count as free: no mark may rely on it. */
static void set_page_guard(struct zone *zone, struct page *page, unsigned order)
{
	page->order = order;
	__page_set_flags(page, PAGE_FLAGS_GUARD);
	add_free(zone, -((int64_t)1 << order));
	WRITE_ONCE(zone->nr_guard, zone->nr_guard + (1u << order));
}

/* Its buddy has become free. */
static NOINLINE void clear_page_guard(struct zone *zone, struct page *page, unsigned order)
{
	check_guard(page, order, CALLER);
	__page_clear_flags(page, PAGE_FLAGS_GUARD);
	atomic_store_explicit(&page->_mapcount, -1, memory_order_relaxed);
	add_free(zone, (int64_t)1 << order);
	WRITE_ONCE(zone->nr_guard, zone->nr_guard - (1u << order));
}

/* The block's buddy, which is not free, may be a guard: then it goes, and the block may merge with it. */
static bool merge_guard(struct zone *zone, struct page *buddy, uint32_t flags, unsigned order)
{
	if ((flags & PAGE_FLAGS_GUARD) != PAGE_FLAGS_GUARD || buddy->order != order)
		return false;
	clear_page_guard(zone, buddy, order);
	return true;
}

/* The page blocks of a block larger than one become of its type. */
static NOINLINE void unite_pageblocks(uint32_t pfn, unsigned order, unsigned type)
{
	for (uint32_t i = 0; i < 1u << order; i += pageblock_nr_pages)
		if (get_pageblock_migratetype(pfn_to_page(PFN(pfn + i))) != type)
			set_pageblock_migratetype(pfn + i, type);
}

/* Merge as far as it goes. The caller accounts for the frames. guards: there may be some. */
static ALWAYS_INLINE void free_one(struct zone *zone, uint32_t pfn, unsigned order, bool guards)
{
	const unsigned type = pfn_migratetype(pfn);

	for (; order < MAX_ORDER - 1; order++) {
		const uint32_t other = pfn ^ 1u << order;
		struct page *buddy = pfn_to_page(PFN(other));
		uint32_t flags;

		if (other - zone->start.n >= zone->spanned)
			break;
		flags = atomic_load_explicit(&buddy->flags, memory_order_relaxed);
		if (flags & PAGE_FLAG(buddy)) {
			if (buddy->order != order ||
			    (unlikely(order >= pageblock_order) && highatomic_border(pfn, other)))
				break;
			del_block(zone, buddy, flags, order);
		} else if (!guards || !merge_guard(zone, buddy, flags, order)) {
			break;
		}
		pfn &= ~(1u << order);
	}
	if (unlikely(order > pageblock_order))
		unite_pageblocks(pfn, order, type);
	add_block(zone, pfn_to_page(PFN(pfn)), pfn, order, type);
}

void __free_one_page(struct zone *zone, struct page *page, unsigned order)
{
	add_free(zone, (int64_t)1 << order);
	free_one(zone, page_to_pfn(page).n, order, true);
}

/*
 * Neighbours at the head of a chain of *n blocks, upwards or downwards, as a program's pages come and go: frames
 * [*start, *end). They leave the chain. Returns what comes after them.
 */
static uint32_t take_run(uint32_t first, unsigned *n, unsigned order, uint32_t *start,
                         uint32_t *end)
{
	const uint32_t size = 1u << order;
	uint32_t next = pfn_to_page(PFN(first))->lru.next;

	*start = first;
	*end = first + size;
	for (--*n; *n; --*n) {
		if (next + size == *start)
			*start = next;
		else if (next == *end)
			*end += size;
		else
			break;
		next = pfn_to_page(PFN(next))->lru.next;
	}
	return next;
}

/* A guard may be among the buddies. */
static NOINLINE uint32_t free_chain_careful(struct zone *zone, uint32_t first, unsigned n,
                                            unsigned order)
{
	for (; n; n--) {
		const uint32_t next = pfn_to_page(PFN(first))->lru.next;

		__free_one_page(zone, pfn_to_page(PFN(first)), order);
		first = next;
	}
	return first;
}

uint32_t __free_chain(struct zone *zone, uint32_t first, unsigned n, unsigned order)
{
	const uint32_t size = 1u << order;
	int64_t alone = 0;

	if (unlikely(machine()->guard_minorder))
		return free_chain_careful(zone, first, n, order);
	while (n) {
		uint32_t start, end, next = pfn_to_page(PFN(first))->lru.next;

		if (n > 1 && (next - first == size || first - next == size)) {
			first = take_run(first, &n, order, &start, &end);
			__free_range(zone, start, end);
		} else {
			free_one(zone, first, order, false);
			alone += size;
			first = next;
			n--;
		}
	}
	add_free(zone, alone);
	return first;
}

/* A block of exactly this order, cut from one of order `from` of the type: the upper halves stay free, or become guards. */
static ALWAYS_INLINE struct page *rmqueue_from_order(struct zone *zone, unsigned from,
                                                     unsigned order, unsigned type)
{
	struct page *page = page_list_first(&zone->free_area[from].free_list[type]);

	del_block(zone, page, atomic_load_explicit(&page->flags, memory_order_relaxed), from);
	while (from > order) {
		from--;
		if (unlikely(from < machine()->guard_minorder))
			set_page_guard(zone, page + (1u << from), from);
		else
			add_block(zone, page + (1u << from), page_to_pfn(page).n + (1u << from),
			          from, type);
	}
	add_free(zone, -((int64_t)1 << order));
	return page;
}

/* From the smallest there is. */
struct page *__rmqueue_smallest(struct zone *zone, unsigned order, unsigned type)
{
	const uint32_t orders = zone_type_orders(zone, type) >> order << order;

	return orders ? rmqueue_from_order(zone, (unsigned)__builtin_ctz(orders), order, type)
	              : NULL;
}

struct page *__rmqueue(struct zone *zone, unsigned order, unsigned type)
{
	struct page *page = __rmqueue_smallest(zone, order, type);

	if (unlikely(!page) && __rmqueue_fallback(zone, order, type))
		page = __rmqueue_smallest(zone, order, type);
	return page;
}

/* n blocks of the order, neighbours that were one free block, each linked to the next. Returns the last. */
static struct page *link_run(struct page *page, unsigned n, unsigned order)
{
	const unsigned type = pageblock_pcp_type(page), size = 1u << order;
	uint32_t pfn = page_to_pfn(page).n;

	if (trace_enabled())
		for (unsigned i = 0; i < n; i++)
			trace_mm_page_alloc_zone_locked(pfn + (i << order), order, type, 1);
	for (; n > 1; n--, page += size) {
		set_frame_type(page, type);
		pfn += size;
		page->lru.next = pfn;
	}
	set_frame_type(page, type);
	return page;
}

/*
 * Descriptors of two frames share a cache line. Does a CPU keep the frame beside this free one? Then it is not in use; and free it is not
 * either, or the two would be one block. So is a reserved one, or one past the zone's end, whose line is there: there are few of them, and
 * to pass over their neighbours does no harm.
 */
static bool neighbour_is_kept(const struct page *page)
{
	return !page_count(pfn_to_page(PFN(page_to_pfn(page).n ^ 1)));
}

/*
 * Orders to refill a CPU's list from. Frames that another CPU's list was once filled with come back to the zone, a few stay there, and what is
 * alone in the zone then are their neighbours: with those, each CPU would write to lines of the other for ever. So such a frame is passed
 * over while there are pairs, and goes to the end, that others be found: of these there are hardly more than what CPUs keep.
 */
static uint32_t bulk_orders(struct zone *zone, unsigned order, unsigned type)
{
	const uint32_t orders = zone_type_orders(zone, type) >> order << order;
	struct page_list *alone = &zone->free_area[0].free_list[type];
	struct page *page;

	if (!(orders & 1) || orders == 1)
		return orders;
	page = page_list_first(alone);
	if (!neighbour_is_kept(page))
		return orders;
	page_list_del(alone, page);
	page_list_add_tail(alone, page);
	return orders & ~1u;
}

/* A block of order `from`, but not more of it than the n blocks of `order` that are still wanted. */
static unsigned whole_order(unsigned from, unsigned n, unsigned order)
{
	if (unlikely(machine()->guard_minorder))
		return order; /* a guard for each */
	return order + MIN(from - order, 31 - (unsigned)__builtin_clz(n));
}

/*
 * Smallest blocks first, so that large ones last; each as a whole as far as it is wanted. Another type gives what the request
 * needs; but it does not give up blocks only so that a list be full.
 */
unsigned rmqueue_bulk(struct zone *zone, unsigned n, unsigned order, unsigned type, uint32_t *first,
                      struct page **last)
{
	unsigned got = 0;

	*last = NULL;
	while (got < n && (zone_type_orders(zone, type) >> order ||
	                   (!(got && order) && __rmqueue_fallback(zone, order, type)))) {
		const unsigned from = (unsigned)__builtin_ctz(bulk_orders(zone, order, type));
		const unsigned whole = whole_order(from, n - got, order);
		struct page *page = rmqueue_from_order(zone, from, whole, type);

		if (*last)
			(*last)->lru.next = page_to_pfn(page).n;
		else
			*first = page_to_pfn(page).n;
		*last = link_run(page, 1u << (whole - order), order);
		got += 1u << (whole - order);
	}
	return got;
}

/* The largest blocks that their alignment and the range allow; none has one page block set aside and one not. */
void __free_range(struct zone *zone, uint32_t pfn, uint32_t end)
{
	while (pfn < end) {
		unsigned order = MIN(31 - (unsigned)__builtin_clz(end - pfn), MAX_ORDER - 1);

		if (pfn)
			order = MIN(order, (unsigned)__builtin_ctz(pfn));
		if (order > pageblock_order && highatomic_border(pfn, pfn + pageblock_nr_pages))
			order = pageblock_order;
		__free_one_page(zone, pfn_to_page(PFN(pfn)), order);
		pfn += 1u << order;
	}
}

void free_range_to_buddy(struct zone *zone, pfn_t start, pfn_t end)
{
	for (uint32_t pfn = start.n; pfn < end.n; pfn++)
		__page_clear_flags(pfn_to_page(PFN(pfn)), PAGE_FLAG(reserved));
	if (unlikely(machine()->poison))
		poison_range(start, end);
	__free_range(zone, start.n, end.n);
}

static uint64_t min_free_gate(const struct zone *zone)
{
	return atomic_load_explicit(&zone->min_free_gate, memory_order_relaxed);
}

static void set_min_free_gate(struct zone *zone, uint64_t gate)
{
	atomic_store_explicit(&zone->min_free_gate, gate, memory_order_relaxed);
}

/* Frames that the zone can lose before anybody must look at the sum again. */
static uint64_t min_free_allowance(const struct zone *zone)
{
	const uint64_t free = zone_free_pages(zone), gate = min_free_gate(zone);

	return free > gate ? free - gate : 0;
}

static void lower_min_free(uint64_t sum)
{
	_Atomic uint64_t *min = &machine()->min_free;
	uint64_t seen = atomic_load_explicit(min, memory_order_relaxed);

	while (sum < seen && !atomic_compare_exchange_weak_explicit(
	                             min, &seen, sum, memory_order_relaxed, memory_order_relaxed))
		;
}

/*
 * The zone is below its gate. All zones' allowances together are not more than what the sum lies above its lowest: this one
 * gets half of what the others leave, and if they have too much by now, they look too, next time. Their counts are read
 * without their locks.
 */
static NOINLINE void note_min_free_slow(struct zone *zone)
{
	uint64_t sum = 0, others = 0, above;

	for_each_zone(z) {
		sum += zone_free_pages(z);
		others += z == zone ? 0 : min_free_allowance(z);
	}
	lower_min_free(sum);
	above = sum - MIN(sum, min_free_pages());
	set_min_free_gate(zone,
	                  zone_free_pages(zone) - (above > others ? (above - others) / 2 : 0));
	if (above < others)
		for_each_zone(z)
			set_min_free_gate(z, UINT64_MAX);
}

/* After frames were taken: remember how low the machine went. */
void note_min_free(struct zone *zone)
{
	if (unlikely(zone_free_pages(zone) < min_free_gate(zone)))
		note_min_free_slow(zone);
}

static bool has_flags(const struct page *page, uint32_t flags)
{
	return (atomic_load_explicit(&page->flags, memory_order_relaxed) & flags) == flags;
}

/* Is the frame part of a block whose head has these flags and its order? */
static bool within(const struct page *page, uint32_t flags, unsigned max_order)
{
	const uint32_t pfn = page_to_pfn(page).n;

	if (page_count(page))
		return false;
	for (unsigned order = 0; order < max_order; order++) {
		const struct page *head = pfn_to_page(PFN(ALIGN_DOWN(pfn, 1u << order)));

		if (has_flags(head, flags))
			return READ_ONCE(head->order) >= order;
	}
	return false;
}

bool page_is_free(const struct page *page)
{
	return within(page, PAGE_FLAG(buddy), MAX_ORDER);
}

bool page_is_guard(const struct page *page)
{
	return within(page, PAGE_FLAGS_GUARD, machine()->guard_minorder);
}
