/*
 * lru.c - between a page's life and the replacement policy.
 *
 * A page joins the lruvec of the CPU that brought it in, at once and under that shard's lock, and stays in
 * that shard; the shard's number is in its flags from then on. The policy decides on which list. No reference is
 * held for being on a list; the last put_page() takes the page off (policy.h says who may when).
 *
 * The lock is not for interrupts: lru_cache_add, mark_page_accessed and the last reference to a page on a list
 * belong to threads.
 */
#include "mm/frame/internal.h"

void lruvecs_init(void)
{
	struct machine *m = machine();

	if (!m->policy)
		m->policy = &policy_active_inactive;
	for (unsigned i = 0; i < ARRAY_SIZE(m->lruvec); i++) {
		struct lruvec *lruvec = &m->lruvec[i];

		spin_lock_init(&lruvec->lock);
		lruvec->shard = i & (QUIRE_MAX_CPUS - 1);
		lruvec->policy = m->policy;
		for (unsigned list = 0; list < NR_LRU_LISTS; list++)
			page_list_init(&lruvec->lists[list]);
	}
}

void lru_init(void)
{
	struct machine *m = machine();

	for (unsigned i = 0; i < LRUVECS(m->nr_nodes); i++)
		if (m->policy->init && m->policy->init(&m->lruvec[i]))
			port_panic("policy %s: no memory for its state", m->policy->name);
}

/* What the fast path leaves out: mistakes, unevictable pages, policies that want to know, tracing. */
static NOINLINE void lru_cache_add_special(struct lruvec *lruvec, struct page *page, uint32_t shard)
{
	if (page_flag(page, PG_lru))
		port_panic("lru_cache_add: frame %#x is on a list already", page_to_pfn(page).n);
	spin_lock(&lruvec->lock);
	atomic_fetch_or_explicit(&page->flags, PAGE_FLAG(lru) | shard, memory_order_relaxed);
	if (lruvec->policy->page_added)
		lruvec->policy->page_added(lruvec, page);
	else
		add_page_to_lru_list(lruvec, page);
	spin_unlock(&lruvec->lock);
	trace_mm_lru_insertion(page_to_pfn(page).n, page_lru(page));
}

void lru_cache_add(struct page *page)
{
	uint32_t shard = cpu_id() << PG_shard_shift;
	uint32_t flags = atomic_load_explicit(&page->flags, memory_order_relaxed);
	struct lruvec *lruvec =
	        &machine()->lruvec[(flags | shard) >> PG_shard_shift & (LRUVECS(MAX_NUMNODES) - 1)];

	if (unlikely(flags & (PAGE_FLAG(lru) | PAGE_FLAG(unevictable)) || trace_enabled() ||
	             lruvec->policy->page_added)) {
		lru_cache_add_special(lruvec, page, shard);
		return;
	}
	spin_lock(&lruvec->lock);
	atomic_fetch_or_explicit(&page->flags, PAGE_FLAG(lru) | shard, memory_order_relaxed);
	page_list_add(&lruvec->lists[evictable_lru(page)], page);
	spin_unlock(&lruvec->lock);
}

/* A page that is not on a list (just isolated, or not yet added) only remembers. */
void mark_page_accessed(struct page *page)
{
	struct lruvec *lruvec;

	page = compound_head(page);
	if (!page_flag(page, PG_lru)) {
		if (!page_flag(page, PG_referenced))
			page_set_flag(page, PG_referenced);
		return;
	}
	lruvec = page_lruvec(page);
	spin_lock(&lruvec->lock);
	if (page_flag(page, PG_lru))
		lruvec->policy->page_referenced(lruvec, page);
	spin_unlock(&lruvec->lock);
}

uint64_t lru_pages(enum lru_list list)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < LRUVECS(machine()->nr_nodes); i++)
		pages += READ_ONCE(machine()->lruvec[i].lists[list].count);
	return pages;
}
