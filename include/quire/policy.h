/*
 * policy.h - seam 3: which page goes next.
 *
 * A policy is a table of functions over one lruvec. It decides; mm/reclaim acts: it unmaps, writes
 * and frees the victims, and tells the policy. The same object file decides in the kernel and in
 * the simulator. Precedent: NetBSD's pdpolicy. One file each in mm/policy, chosen by name.
 *
 * Every function is called with lruvec->lock held, does not sleep, and touches of a page only its
 * LRU links and the flags marked (L) in page.h.
 *
 * There is one lruvec for each node and CPU ("shard"): a page joins the shard of the CPU that
 * brought it in and stays there. So faults on different CPUs share no lock, and a page is on its
 * list at once instead of waiting in a batch with an extra reference.
 *
 * A page is on a list without a reference, so the last reference may go at any time; then the page
 * leaves the list under lruvec->lock. PG_lru is cleared by who holds a reference and the lock, so
 * with the last reference gone it no longer changes. Whoever takes a page off to keep it takes
 * a reference first and leaves alone a page that has none left (isolate_lru_page_locked).
 */
#ifndef QUIRE_POLICY_H
#define QUIRE_POLICY_H

#include <quire/page.h>

enum lru_list {
	LRU_INACTIVE_ANON,
	LRU_ACTIVE_ANON,
	LRU_INACTIVE_FILE,
	LRU_ACTIVE_FILE,
	LRU_UNEVICTABLE,
	NR_LRU_LISTS
};

struct policy;

struct CACHE_ALIGNED lruvec {
	spinlock_t lock; /* never in an interrupt, so interrupts stay on */
	unsigned shard;
	const struct policy *policy;
	struct page_list lists[NR_LRU_LISTS]; /* (L) */
	uint64_t evictions;                   /* (L) the clock of refault distances */
	void *state;                          /* the policy's own */
};

/*
 * page_evicted and page_refaulted may be NULL: nothing is remembered. init and destroy likewise. page_added and
 * page_removed may be NULL: the page goes to, and from, the head of the list that its flags name, without a call.
 */
struct policy {
	const char *name;
	const char *what; /* one line for quire --help */

	/* 0 or -ENOMEM; may sleep, unlocked: before the first page. */
	int (*init)(struct lruvec *lruvec);
	void (*destroy)(struct lruvec *lruvec);

	/* The page has been brought in. Puts it on the list that page_lru() says. */
	void (*page_added)(struct lruvec *lruvec, struct page *page);
	/* It leaves for good (freed, truncated). Takes it off its list. */
	void (*page_removed)(struct lruvec *lruvec, struct page *page);
	/* It was seen in use: through a system call, or its accessed bit was found set. */
	void (*page_referenced)(struct lruvec *lruvec, struct page *page);

	/*
	 * Choose up to n victims, anonymous and file pages as the policy sees fit, least wanted
	 * first. Takes them off their lists, PG_lru cleared, each with a reference of its own, which is
	 * the caller's to drop. Returns how many; pages that are being freed are passed over.
	 */
	unsigned (*choose_victims)(struct lruvec *lruvec, struct page **victims, unsigned n);
	/* A victim that could not be freed comes back; referenced tells why. Its reference stays. */
	void (*victim_returned)(struct lruvec *lruvec, struct page *page, bool referenced);
	/* A victim is gone. Returns what to remember in its place (a shadow), or 0. */
	uint64_t (*page_evicted)(struct lruvec *lruvec, struct page *page);
	/* A page comes back whose shadow was remembered. */
	void (*page_refaulted)(struct lruvec *lruvec, struct page *page, uint64_t shadow);

	/* Restore the policy's own proportions (active to inactive); at most n pages looked at. */
	void (*balance)(struct lruvec *lruvec, unsigned n);
	/* Set a tunable. 0, -ENOENT or -EINVAL. */
	int (*tune)(struct lruvec *lruvec, const char *name, uint64_t value);
};

/* The list of a page that is not unevictable: its bits active and swap-backed make the number. */
static inline enum lru_list evictable_lru(const struct page *page)
{
	uint32_t flags = atomic_load_explicit(&page->flags, memory_order_relaxed);

	static_assert(PG_swapbacked == PG_active + 1, "");
	static_assert(LRU_ACTIVE_ANON == 1 && LRU_INACTIVE_FILE == 2, "");
	return (flags >> PG_active & 3) ^ 2;
}

/* The list that a page's flags say it is, or would be, on. */
static inline enum lru_list page_lru(const struct page *page)
{
	return unlikely(page_flag(page, PG_unevictable)) ? LRU_UNEVICTABLE : evictable_lru(page);
}

static inline void add_page_to_lru_list(struct lruvec *lruvec, struct page *page)
{
	page_list_add(&lruvec->lists[page_lru(page)], page);
}

static inline void del_page_from_lru_list(struct lruvec *lruvec, struct page *page)
{
	page_list_del(&lruvec->lists[page_lru(page)], page);
}

/* Off its list and held, for choose_victims. False: its last reference has gone, leave it. */
MUST_USE static inline bool isolate_lru_page_locked(struct lruvec *lruvec, struct page *page)
{
	if (!get_page_unless_zero(page))
		return false;
	del_page_from_lru_list(lruvec, page);
	page_clear_flag(page, PG_lru);
	return true;
}

extern const struct policy policy_active_inactive; /* the default */

/* Look a policy up by name; NULL when there is none. */
const struct policy *policy_find(const char *name);

#endif
