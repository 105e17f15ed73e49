/*
 * page.h - the page descriptor: 32 bytes for every frame of memory.
 *
 * mem_map is an array of them, indexed by frame number, so that page_to_pfn is a shift. Links are
 * frame numbers, not pointers: half the size of Linux's descriptor (lecture 000: 32 bytes, less
 * than 1% of memory).
 *
 *      0        4          8           12       16      20      24             32
 *      +--------+----------+-----------+--------+-------+-------+--------------+
 * user | flags  | refcount | mapcount  | index  | next    prev  |   mapping    |
 * slab | flags  | refcount |      slab_word     | next    prev  |  slab_cache  |
 * buddy| flags  | 0        | order     |        | next    prev  |              |
 * table| flags  | refcount | live ents | ptl    |               |              |
 * tail | flags  | 0        |           | head   |               |              |
 *      +--------+----------+-----------+--------+-------+-------+--------------+
 *
 * index. Of a file's page: its number in the file (files end at 2^32 pages = 16 TB, the height-6
 * limit of lecture 001). Of an anonymous page: (address >> PAGE_SHIFT) of its place in the area's
 * own numbering (vm_pgoff), modulo 2^32; an area shorter than 16 TB has one match, a longer one is
 * searched at each multiple.
 *
 * mapping. Low bit clear: struct address_space of the file. Low bit set (PAGE_MAPPING_ANON): struct
 * anon_vma. NULL: neither.
 *
 * Lock key of the fields
 *   (a) atomic                         (P) PG_locked of this page
 *   (Z) zone->lock, or owner's pcp     (L) lruvec->lock
 *   (S) the slab's rules (mm/slab)     (T) the page-table lock
 *   (i) immutable while referenced     (M) mapping's tree_lock for file pages, PG_locked for anon
 */
#ifndef QUIRE_PAGE_H
#define QUIRE_PAGE_H

#include <quire/port.h>

struct address_space;
struct kmem_cache;

/* Bits of page->flags. All are changed atomically, for a bit's lock does not guard its neighbours. */
enum pageflags {
	PG_locked,      /* I/O or state change under way; waiters sleep in a hashed queue */
	PG_waiters,     /* someone sleeps for PG_locked or PG_writeback */
	PG_referenced,  /* (L) seen in use since last looked at */
	PG_uptodate,    /* contents are valid */
	PG_dirty,       /* contents are newer than the backing store's */
	PG_lru,         /* (L) on a list of the replacement policy */
	PG_active,      /* (L) on an active list; with the next: which list (evictable_lru) */
	PG_swapbacked,  /* anonymous or shared memory: goes to swap, not to a file */
	PG_unevictable, /* locked in memory */
	PG_slab,        /* kernel objects */
	PG_writeback,   /* being written */
	PG_reclaim,     /* to be freed when written */
	PG_buddy,       /* (Z) head of a free block; order holds */
	PG_swapcache,   /* has a swap slot */
	PG_head,        /* first of a compound page; order is in the second descriptor's mapcount */
	PG_tail,        /* other frames of a compound page; index is the head's frame number */
	PG_mlocked,
	PG_reserved, /* never the buddy's: kernel image, mem_map, holes */
	PG_table,    /* a page table */
	PG_kstack,   /* accounted as a kernel stack */
	PG_vmalloc,  /* accounted as vmalloc */
	PG_error,
	__NR_PAGEFLAGS,

	/* Above them four small numbers. */
	PG_shard_shift = 22, /* 3 bits: which lruvec */
	PG_node_shift = 25,  /* 2 bits */
	PG_type_shift = 27,  /* 2 bits: enum migratetype, of the list that it is, or goes, on */
	PG_zone_shift = 29,  /* 3 bits */
};
static_assert((int)__NR_PAGEFLAGS <= (int)PG_shard_shift, "flags and fields do not overlap");

struct page {
	_Atomic uint32_t flags;    /* (a) */
	_Atomic int32_t _refcount; /* (a) 0 = free */
	union {
		struct {
			union {
				/* (a) entries that map it, less one: -1 = none. */
				_Atomic int32_t _mapcount;
				uint32_t order;             /* (Z) of a free block */
				_Atomic int32_t pt_entries; /* (T) entries that are not none */
			};
			union {
				uint32_t index; /* (i) */
				spinlock_t ptl; /* guards the entries of this table */
				uint32_t head;  /* (i) tail: frame number of the head */
			};
		};
		/* (S) objects in use, frozen, first free object (mm/slab). */
		_Atomic uint64_t slab_word;
	};
	union {
		struct {
			uint32_t next; /* (Z)(L)(S) frame numbers; PFN_NONE_N at the ends */
			uint32_t prev;
		} lru;
		uint64_t private; /* owner's, when on no list */
	};
	union {
		void *_Atomic mapping;         /* (M) see above; read without by who may be wrong */
		struct kmem_cache *slab_cache; /* (i) while a slab */
		uint64_t mapping_room;         /* 8 bytes where a pointer has 4, too */
	};
};
static_assert(sizeof(struct page) == 32, "half of Linux's");

#define PAGE_MAPPING_ANON 1ul

static inline struct page *pfn_to_page(pfn_t pfn)
{
	return mem_map() + pfn.n;
}

static inline pfn_t page_to_pfn(const struct page *page)
{
	return PFN(page - mem_map());
}

static inline phys_t page_to_phys(const struct page *page)
{
	return pfn_to_phys(page_to_pfn(page));
}

/* Beyond the direct map, where have_highmem(). */
static inline bool page_is_high(const struct page *page)
{
	return page_to_phys(page).a >= lowmem_end();
}

/* highmem.c: where the window shows it; the machine ends if it does not. */
void *high_page_address(const struct page *page);

/*
 * Kernel address of a frame (lecture 002: page_address): in the direct map. A frame of high memory has one while
 * somebody has it by kmap(), and must not be asked for it at other times.
 */
static inline void *page_address(const struct page *page)
{
	if (have_highmem() && page_is_high(page))
		return high_page_address(page);
	return phys_to_virt(page_to_phys(page));
}

static inline struct page *virt_to_page(const void *addr)
{
	return mem_map() +
	       (virt_to_phys(addr).a >> PAGE_SHIFT); /* not by a pfn of 32 bits: fewer steps */
}

static inline bool page_flag(const struct page *page, enum pageflags bit)
{
	return atomic_load_explicit(&page->flags, memory_order_relaxed) >> bit & 1;
}

static inline void page_set_flag(struct page *page, enum pageflags bit)
{
	atomic_fetch_or_explicit(&page->flags, 1u << bit, memory_order_acq_rel);
}

static inline void page_clear_flag(struct page *page, enum pageflags bit)
{
	atomic_fetch_and_explicit(&page->flags, ~(1u << bit), memory_order_acq_rel);
}

static inline bool page_test_and_set_flag(struct page *page, enum pageflags bit)
{
	return atomic_fetch_or_explicit(&page->flags, 1u << bit, memory_order_acq_rel) >> bit & 1;
}

static inline bool page_test_and_clear_flag(struct page *page, enum pageflags bit)
{
	return atomic_fetch_and_explicit(&page->flags, ~(1u << bit), memory_order_acq_rel) >> bit &
	       1;
}

/* Set or clear while nobody else can know the page: a plain store. */
static inline void __page_set_flags(struct page *page, uint32_t bits)
{
	uint32_t f = atomic_load_explicit(&page->flags, memory_order_relaxed);

	atomic_store_explicit(&page->flags, f | bits, memory_order_relaxed);
}

static inline void __page_clear_flags(struct page *page, uint32_t bits)
{
	uint32_t f = atomic_load_explicit(&page->flags, memory_order_relaxed);

	atomic_store_explicit(&page->flags, f & ~bits, memory_order_relaxed);
}

static inline unsigned page_zone_id(const struct page *page)
{
	return atomic_load_explicit(&page->flags, memory_order_relaxed) >> PG_zone_shift & 7;
}

static inline unsigned page_to_nid(const struct page *page)
{
	return atomic_load_explicit(&page->flags, memory_order_relaxed) >> PG_node_shift & 3;
}

static inline unsigned page_type(const struct page *page)
{
	return atomic_load_explicit(&page->flags, memory_order_relaxed) >> PG_type_shift & 3;
}

/* Who finds the page by its frame number and sees the mapping sees the index, and what the mapping points to. */
static inline void *page_mapping_word(const struct page *page)
{
	return atomic_load_explicit(&page->mapping, memory_order_acquire);
}

static inline void page_set_mapping(struct page *page, void *mapping)
{
	atomic_store_explicit(&page->mapping, mapping, memory_order_release);
}

static inline bool PageAnon(const struct page *page)
{
	return (uintptr_t)page_mapping_word(page) & PAGE_MAPPING_ANON;
}

static inline struct address_space *page_mapping(const struct page *page)
{
	void *mapping = page_mapping_word(page);

	return (uintptr_t)mapping & PAGE_MAPPING_ANON ? NULL : mapping;
}

static inline struct page *compound_head(struct page *page)
{
	return page_flag(page, PG_tail) ? pfn_to_page(PFN(page->head)) : page;
}

static inline int32_t page_count(const struct page *page)
{
	return atomic_load_explicit(&page->_refcount, memory_order_relaxed);
}

/* Page-table entries that map the page. */
static inline int32_t page_mapcount(const struct page *page)
{
	return atomic_load_explicit(&page->_mapcount, memory_order_relaxed) + 1;
}

/* Take a reference to a page that the caller already holds one to. */
static inline void get_page(struct page *page)
{
	atomic_fetch_add_explicit(&compound_head(page)->_refcount, 1, memory_order_relaxed);
}

/* Take a reference unless the page is on its way to the free lists. */
MUST_USE static inline bool get_page_unless_zero(struct page *page)
{
	int32_t n = page_count(page);

	while (n > 0)
		if (atomic_compare_exchange_weak(&page->_refcount, &n, n + 1))
			return true;
	return false;
}

/*
 * If the page has exactly n references, it has none now, and nobody can take one, until it is unfrozen: whoever holds all that
 * there can be changes what the page is.
 */
MUST_USE static inline bool page_ref_freeze(struct page *page, int32_t n)
{
	return atomic_compare_exchange_strong(&page->_refcount, &n, 0);
}

static inline void page_ref_unfreeze(struct page *page, int32_t n)
{
	atomic_store_explicit(&page->_refcount, n, memory_order_release);
}

/* The last reference has gone: leave the LRU, go to the free lists. mm/frame/page.c */
void __put_page(struct page *page);

/* Drop a reference. Any context; the last one to a page on an LRU list not in an interrupt. */
static inline void put_page(struct page *page)
{
	page = compound_head(page);
	if (atomic_fetch_sub_explicit(&page->_refcount, 1, memory_order_acq_rel) == 1)
		__put_page(page);
}

/* put_page() for each of n pages, with one lock and one step of the free list for a run of pages. */
void release_pages(struct page **pages, unsigned n);

/* PG_locked. lock_page sleeps; the waiters are woken by unlock_page. */
void lock_page(struct page *page);
MUST_USE bool trylock_page(struct page *page);
void unlock_page(struct page *page);
void wait_on_page_locked(struct page *page);

/*
 * Sleep while again(page, ctx), which sets PG_waiters before it says so, and has means of its own to know that the page is
 * still there and locked.
 */
void wait_on_page_while(struct page *page, bool (*again)(struct page *page, void *ctx), void *ctx);

/* PG_writeback likewise. */
void set_page_writeback(struct page *page);
void end_page_writeback(struct page *page);
void wait_on_page_writeback(struct page *page);

/*
 * Lists of pages by frame number. The caller holds the list's lock. A page is on at
 * most one list at a time.
 */
struct page_list {
	uint32_t first, last;
	uint64_t count;
};

static inline void page_list_init(struct page_list *l)
{
	l->first = l->last = PFN_NONE_N;
	l->count = 0;
}

static inline bool page_list_empty(const struct page_list *l)
{
	return l->first == PFN_NONE_N;
}

static inline struct page *page_list_first(const struct page_list *l)
{
	return l->first == PFN_NONE_N ? NULL : pfn_to_page(PFN(l->first));
}

static inline struct page *page_list_last(const struct page_list *l)
{
	return l->last == PFN_NONE_N ? NULL : pfn_to_page(PFN(l->last));
}

/* For who knows its number. */
static inline void page_list_add_pfn(struct page_list *l, struct page *page, uint32_t pfn)
{
	const uint32_t first = l->first;

	page->lru.next = first;
	page->lru.prev = PFN_NONE_N;
	if (unlikely(first == PFN_NONE_N))
		l->last = pfn;
	else
		pfn_to_page(PFN(first))->lru.prev = pfn;
	l->first = pfn;
	WRITE_ONCE(l->count, l->count + 1);
}

static inline void page_list_add(struct page_list *l, struct page *page)
{
	page_list_add_pfn(l, page, page_to_pfn(page).n);
}

static inline void page_list_add_tail(struct page_list *l, struct page *page)
{
	uint32_t pfn = page_to_pfn(page).n, last = l->last;

	page->lru.prev = last;
	page->lru.next = PFN_NONE_N;
	if (unlikely(last == PFN_NONE_N))
		l->first = pfn;
	else
		pfn_to_page(PFN(last))->lru.next = pfn;
	l->last = pfn;
	WRITE_ONCE(l->count, l->count + 1);
}

/* True: the list is empty now. */
static inline bool page_list_del(struct page_list *l, struct page *page)
{
	const uint32_t next = page->lru.next, prev = page->lru.prev;

	WRITE_ONCE(l->count, l->count - 1);
	if (prev == PFN_NONE_N)
		l->first = next;
	else
		pfn_to_page(PFN(prev))->lru.next = next;
	if (next != PFN_NONE_N) {
		pfn_to_page(PFN(next))->lru.prev = prev;
		return false;
	}
	l->last = prev;
	return prev == PFN_NONE_N;
}

#endif
