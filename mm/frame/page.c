/*
 * page.c - the end of a frame's use, and sleeping on its state.
 *
 * When the last reference has gone nobody else can find the frame: whoever looks it up by frame number or through a
 * list must take a reference by get_page_unless_zero(), and fails. So from there on plain stores will do.
 *
 * Waiting for PG_locked or PG_writeback: a hashed queue, PG_waiters says that someone may be in it. A waiter
 * queues, sets PG_waiters and tests again before it sleeps; the bit's owner clears both in one step and
 * wakes the queue if PG_waiters was set. So either the waiter sees the bit clear or the owner sees the waiter.
 */
#include "mm/frame/debug.h"

#include "lib/hash.h"

static ALWAYS_INLINE void reset_page(struct page *page, uint32_t flags)
{
	atomic_store_explicit(&page->flags, flags & PAGE_FLAGS_FREE, memory_order_relaxed);
	atomic_store_explicit(&page->_mapcount, -1, memory_order_relaxed);
	page_set_mapping(page, NULL);
}

/* What the fast paths cannot do: say so, or find out why they were stopped. */
static NOINLINE void free_unref_page_special(struct page *page, uintptr_t caller)
{
	uint32_t flags = atomic_load_explicit(&page->flags, memory_order_relaxed);

	if (unlikely(flags & PAGE_FLAGS_BAD))
		bad_page(page, "freed while in use", caller);
	if (flags & PAGE_FLAG(head)) {
		free_block(page, page[1].order, caller);
		return;
	}
	reset_page(page, flags);
	count(PGFREE);
	trace_mm_page_free(page_to_pfn(page).n, 0);
	free_unref_page_slow(page, caller);
}

/* May it go to the list as it is? */
static ALWAYS_INLINE bool plain(uint32_t flags)
{
	return likely(!(flags & PAGE_FLAGS_SPECIAL)) && !trace_enabled();
}

/* Nobody refers to the frame, and it is off the LRU: to this CPU's list. caller: of who put it, for reports. */
static ALWAYS_INLINE void free_unref_page(struct page *page, uint32_t flags, uintptr_t caller)
{
	struct per_cpu_pages *pcp = page_pcp(this_cpu(), flags);
	unsigned n = pcp_count(pcp);

	if (unlikely(!plain(flags) || READ_ONCE(pcp->busy) || n >= pcp->batch)) {
		free_unref_page_special(page, caller);
		return;
	}
	reset_page(page, flags);
	count(PGFREE);
	pcp_enter(pcp);
	pcp_push(pcp, page, pcp_count(pcp));
	pcp_leave(pcp);
}

static NOINLINE void put_lru_page(struct page *page, uint32_t flags, uintptr_t caller)
{
	struct lruvec *lruvec = page_lruvec(page);

	if (unlikely(in_interrupt()))
		bad_page(page, "last reference to a page on a list gone in an interrupt", caller);
	spin_lock(&lruvec->lock);
	page_leaves_lru(lruvec, page);
	spin_unlock(&lruvec->lock);
	free_unref_page(page, flags, caller);
}

void __put_page(struct page *page)
{
	uint32_t flags = atomic_load_explicit(&page->flags, memory_order_relaxed);

	if (flags & PAGE_FLAG(lru))
		put_lru_page(page, flags, CALLER);
	else
		free_unref_page(page, flags, CALLER);
}

/* As __put_page(), of a page that cannot go the way of others in a run. */
static NOINLINE void put_special_page(struct page *page, uint32_t flags, uintptr_t caller)
{
	if (flags & PAGE_FLAG(lru))
		put_lru_page(page, flags, caller);
	else
		free_unref_page_special(page, caller);
}

/* To this CPU's list of blocks, as a frame goes to its list. False: the order, or the zone, has none. */
static ALWAYS_INLINE bool free_unref_block(struct page *page, unsigned order)
{
	struct per_cpu_pages *pcp;
	unsigned n;

	if (!order_has_pcp(order))
		return false;
	pcp = block_pcp(page_pcp(this_cpu(), page->flags), order);
	if (!pcp->batch)
		return false;
	n = pcp_count(pcp);
	if (unlikely(READ_ONCE(pcp->busy) || n >= pcp->batch)) {
		free_unref_block_slow(page, order);
		return true;
	}
	pcp_enter(pcp);
	pcp_push(pcp, page, pcp_count(pcp));
	pcp_leave(pcp);
	return true;
}

static void free_to_zone(struct page *page, unsigned order)
{
	struct zone *zone = page_zone(page);
	irq_state_t irq = spin_lock_irqsave(&zone->lock);

	__free_one_page(zone, page, order);
	spin_unlock_irqrestore(&zone->lock, irq);
}

/*
 * The block's references are gone; it may be compound. The tails of one that is not are as they were when it was
 * allocated, for nothing refers to them by themselves: only a careful machine looks.
 */
void free_block(struct page *page, unsigned order, uintptr_t caller)
{
	const bool careful = machine()->careful;
	const unsigned n = careful || page_flag(page, PG_head) ? 1u << order : 1;

	for (unsigned i = 0; i < n; i++) {
		uint32_t flags = page[i].flags;

		if (unlikely(flags & (PAGE_FLAGS_BAD | PAGE_FLAG(lru)) & ~PAGE_FLAG(tail)))
			bad_page(page + i, "freed while in use", caller);
		atomic_store_explicit(&page[i]._refcount, 0, memory_order_relaxed);
		reset_page(page + i, flags);
		if (unlikely(careful))
			page_freed(page + i, caller);
	}
	count_n(PGFREE, (uint64_t)1 << order);
	trace_mm_page_free(page_to_pfn(page).n, order);
	if (!free_unref_block(page, order))
		free_to_zone(page, order);
}

void free_part(struct page *page, unsigned order, uintptr_t caller)
{
	set_frame_type(page, pageblock_pcp_type(page));
	free_block(page, order, caller);
}

/*
 * A reference of a block that is not the last. Compaction looked at the first frame and has one for a moment, or somebody for
 * longer: that frees one frame, for there is no knowing of the others. So those go now.
 */
static NOINLINE void free_all_but_first(struct page *page, unsigned order, uintptr_t caller)
{
	while (order--)
		free_part(page + (1u << order), order, caller);
}

void __free_pages(struct page *page, unsigned order)
{
	/* Once the reference is gone, so may be the block: then its frames are others'. */
	const uint32_t before = atomic_load_explicit(&page->flags, memory_order_relaxed);
	int32_t refs = atomic_fetch_sub_explicit(&page->_refcount, 1, memory_order_acq_rel);
	uint32_t flags = atomic_load_explicit(&page->flags, memory_order_relaxed);

	if (unlikely(refs != 1)) {
		if (refs <= 0)
			bad_page(page, "freed without a reference: freed twice?", CALLER);
		if (!(before & PAGE_FLAG(head)))
			free_all_but_first(page, order, CALLER);
	} else if (order && !(flags & PAGE_FLAG(head))) {
		free_block(page, order, CALLER);
	} else if (unlikely(flags & PAGE_FLAG(lru))) {
		put_lru_page(page, flags, CALLER);
	} else {
		free_unref_page(page, flags, CALLER);
	}
}

void free_pages(void *addr, unsigned order)
{
	if (addr)
		__free_pages(virt_to_page(addr), order);
}

/*
 * Frames on their way to this CPU's list, linked by lru.next, which come from one lruvec and go to one zone: their
 * flags agree from PG_shard_shift on.
 */
struct free_run {
	uint32_t place;      /* flags of any of them; RUN_EMPTY */
	struct lruvec *held; /* its lock is held since the first that was on a list; or NULL */
	uint32_t first;
	struct page *last;
	unsigned count, max;
	void (*removed)(struct lruvec *lruvec, struct page *page); /* the policy's */
};

#define RUN_EMPTY (~0u) /* no zone has that number */

/* The list may grow to twice a batch by this, and then ages as a whole. */
static NOINLINE void free_chain(uint32_t first, struct page *last, unsigned n, uintptr_t caller)
{
	struct per_cpu_pages *pcp = page_pcp(this_cpu(), last->flags);

	count_n(PGFREE, n);
	if (unlikely(READ_ONCE(pcp->busy) || pcp_count(pcp) >= pcp->batch)) {
		free_unref_chain_slow(first, last, n, caller);
		return;
	}
	pcp_enter(pcp);
	last->lru.next = pcp->first;
	pcp->first = first;
	atomic_store_explicit(&pcp->count, (uint16_t)(pcp_count(pcp) + n), memory_order_relaxed);
	pcp_leave(pcp);
}

static ALWAYS_INLINE void end_run(struct free_run *run)
{
	if (run->held)
		spin_unlock(&run->held->lock);
	if (run->count)
		free_chain(run->first, run->last, run->count, CALLER);
	*run = (struct free_run){.place = RUN_EMPTY, .first = PFN_NONE_N};
}

static ALWAYS_INLINE void begin_run(struct free_run *run, struct page *page, uint32_t flags)
{
	run->place = flags;
	run->last = page;
	run->max = page_pcp(this_cpu(), flags)->batch;
}

static ALWAYS_INLINE void add_to_run(struct free_run *run, struct page *page, uint32_t flags)
{
	if (unlikely((flags ^ run->place) >> PG_shard_shift)) {
		end_run(run);
		begin_run(run, page, flags);
	}
	if (flags & PAGE_FLAG(lru)) {
		if (unlikely(!run->held)) {
			run->held = page_lruvec(page);
			run->removed = run->held->policy->page_removed;
			spin_lock(&run->held->lock);
		}
		if (unlikely(run->removed))
			run->removed(run->held, page);
		else
			page_list_del(&run->held->lists[evictable_lru(page)], page);
	}
	page->lru.next = run->first;
	run->first = page_to_pfn(page).n;
	reset_page(page, flags);
	if (unlikely(++run->count >= run->max))
		end_run(run);
}

void release_pages(struct page **pages, unsigned n)
{
	struct free_run run = {.place = RUN_EMPTY, .first = PFN_NONE_N};
	struct page **end = pages + n;

	if (unlikely(trace_enabled() || in_interrupt())) {
		while (pages != end)
			put_page(*pages++);
		return;
	}
	for (; pages != end; pages++) {
		struct page *page = compound_head(*pages);
		uint32_t flags;

		if (atomic_fetch_sub_explicit(&page->_refcount, 1, memory_order_acq_rel) != 1)
			continue;
		flags = atomic_load_explicit(&page->flags, memory_order_relaxed);
		if (unlikely(flags & (PAGE_FLAGS_SPECIAL | PAGE_FLAG(unevictable)))) {
			end_run(&run);
			put_special_page(page, flags, CALLER);
		} else {
			add_to_run(&run, page, flags);
		}
	}
	end_run(&run);
}

static struct wait_queue *page_wait_queue(const struct page *page)
{
	return &machine()->page_wait[hash_32(page_to_pfn(page).n, PAGE_WAIT_BITS)];
}

/* Sleep until test(page) holds; PG_waiters is set before each test. */
static void wait_on_page(struct page *page, bool (*test)(struct page *page))
{
	struct wait_queue *q = page_wait_queue(page);
	struct waiter w;

	wait_begin(q, &w);
	for (;;) {
		page_set_flag(page, PG_waiters);
		if (test(page))
			break;
		port_block();
	}
	wait_end(q, &w);
}

void wait_on_page_while(struct page *page, bool (*again)(struct page *page, void *ctx), void *ctx)
{
	struct wait_queue *q = page_wait_queue(page);
	struct waiter w;

	wait_begin(q, &w);
	while (again(page, ctx))
		port_block();
	wait_end(q, &w);
}

/* The owner of `bit` is done with it. */
static void clear_and_wake(struct page *page, enum pageflags bit)
{
	uint32_t clear = 1u << bit | PAGE_FLAG(waiters);
	struct wait_queue *q = page_wait_queue(page);

	if (unlikely(atomic_fetch_and_explicit(&page->flags, ~clear, memory_order_acq_rel) &
	             PAGE_FLAG(waiters)))
		wake_up_all(q);
}

bool trylock_page(struct page *page)
{
	return !page_test_and_set_flag(page, PG_locked);
}

static bool not_locked(struct page *page)
{
	return !page_flag(page, PG_locked);
}

static bool not_writeback(struct page *page)
{
	return !page_flag(page, PG_writeback);
}

void lock_page(struct page *page)
{
	if (unlikely(!trylock_page(page)))
		wait_on_page(page, trylock_page);
}

void unlock_page(struct page *page)
{
	clear_and_wake(page, PG_locked);
}

void wait_on_page_locked(struct page *page)
{
	if (unlikely(!not_locked(page)))
		wait_on_page(page, not_locked);
	atomic_thread_fence(memory_order_acquire);
}

void set_page_writeback(struct page *page)
{
	page_set_flag(page, PG_writeback);
}

void end_page_writeback(struct page *page)
{
	clear_and_wake(page, PG_writeback);
}

void wait_on_page_writeback(struct page *page)
{
	if (unlikely(!not_writeback(page)))
		wait_on_page(page, not_writeback);
	atomic_thread_fence(memory_order_acquire);
}
