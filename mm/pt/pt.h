/*
 * pt.h - page tables, inside mm/ (floor pt; used by kva, rmap, cache, space and fault).
 *
 * The tree of mmu.h, and nothing of its format. A table is one frame; what is known about it is in its
 * struct page: PG_table, pt_entries (entries that are not none) and ptl.
 *
 *     level mmu_levels()           2               1
 *       +---------+           +---------+     +---------+
 *  root | table --+--> ... -->| table --+---->| leaf  --+---> page
 *       +---------+           +---------+     +---------+
 *       ptl: new tables       ptl: likewise   ptl: every change of an entry
 *
 * Invariants
 *  1. An entry of a leaf table changes only under its table's ptl; hardware alone sets young and dirty at
 *     any time, so that an entry that was present is taken away by pte_exchange or changed by pte_cmpxchg.
 *  2. An entry of an upper table goes from none to a table under that table's ptl, with mmap_lock held in
 *     any way. It goes back to none only with mmap_lock held for writing, after every area in the reach
 *     of the table has left the rmap trees. So whoever holds mmap_lock, or a rmap lock that keeps an
 *     area of the reach in its tree, walks the upper tables without a lock.
 *  3. A table or a page that was reachable by hardware is freed after the flush (mmu_gather).
 *  4. pt_entries == number of entries that are not none.
 *  5. mm->leaf_guess is none or a leaf table that is linked in; spare tables are not linked in, and empty.
 *
 * Kernel tables (above mmu_user_end()) are shared by every space below the root, and stay; but a leaf table may give its place
 * to a large page (pt_drop_kernel_tables).
 *
 * ptl is taken under every sleeping lock and under no other spin lock but another ptl (two leaf tables:
 * lower frame number first). Not taken by interrupts. May be held over mmu_flush_range().
 */
#ifndef MM_PT_PT_H
#define MM_PT_PT_H

#include <quire/gfp.h>
#include <quire/mm.h>
#include <quire/trace.h>

#define PT_LEAF 1u /* the level whose entries map pages of 4 KB */
#define PT_HUGE \
	2u /* the level whose entries may map a large page: kernel addresses alone have such */

/* Bytes of address that one leaf table covers. */
static inline uint64_t pt_leaf_span(void)
{
	return (uint64_t)1 << mmu_shift(PT_LEAF + 1);
}

/* The end of the leaf table that covers addr, or end, whichever is lower. */
static inline vaddr_t pt_leaf_end(vaddr_t addr, vaddr_t end)
{
	vaddr_t next = (addr | (pt_leaf_span() - 1)) + 1;

	return next - 1 < end - 1 ? next : end;
}

static inline pte_t *pt_entries_of(pfn_t table)
{
	return phys_to_virt(pfn_to_phys(table));
}

/* The table that an entry lives in. */
static inline struct page *pt_page(const pte_t *entry)
{
	return virt_to_page(entry);
}

static inline void pt_lock(pte_t *entry)
{
	spin_lock(&pt_page(entry)->ptl);
}

static inline void pt_unlock(pte_t *entry)
{
	spin_unlock(&pt_page(entry)->ptl);
}

/* Two leaf tables, which may be the same. */
void pt_lock_two(pte_t *a, pte_t *b);
void pt_unlock_two(pte_t *a, pte_t *b);

/* pt_entries of an entry's table changes by n. Its ptl is held. */
static inline void pt_count(pte_t *entry, int32_t n)
{
	_Atomic int32_t *count = &pt_page(entry)->pt_entries;

	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
	                      memory_order_release);
}

/*
 * Has the entry's table none at all? A look without ptl, that spares empty tables the work; who made it empty has counted his
 * gather before (gather.c).
 */
static inline bool pt_is_empty(const pte_t *entry)
{
	return atomic_load_explicit(&pt_page(entry)->pt_entries, memory_order_acquire) == 0;
}

/*
 * The leaf entry of va, or NULL when there is no leaf table (or a large page is mapped there). Locks
 * nothing: see invariant 2. Never sleeps.
 */
pte_t *pt_lookup(struct mmu_space *space, vaddr_t va);

/*
 * The leaf entry of va in space; tables are made as needed, from mm's spare ones if there are. mm: whose space it
 * is, NULL: the kernel's. NULL: no memory. Sleeps.
 */
pte_t *pt_alloc_space(struct mmu_space *space, struct mm_struct *mm, vaddr_t va);

/* The same for a kernel address; tables are allocated with gfp. And the entry of level PT_HUGE. */
pte_t *pt_alloc_kernel(vaddr_t va, gfp_t gfp);
pte_t *pt_alloc_kernel_huge(vaddr_t va, gfp_t gfp);

/* What a leaf table's descriptor says of the addresses that it covers. Never 0. */
static inline uint64_t pt_leaf_tag(vaddr_t va)
{
	return (va & ~(pt_leaf_span() - 1)) | 1;
}

/*
 * The same for a program's space; mmap_lock held. Programs fault again and again under one leaf table: mm->leaf_guess
 * is its frame, believed when the descriptor's tag is right. It is a table of this mm as long as
 * anyone holds mmap_lock, for unlinking a table (mmap_lock held for writing) clears the guess.
 */
static inline pte_t *pt_alloc(struct mm_struct *mm, vaddr_t va)
{
	pfn_t guess = PFN(atomic_load_explicit(&mm->leaf_guess, memory_order_acquire));

	if (likely(guess.n && pfn_to_page(guess)->private == pt_leaf_tag(va)))
		return pt_entries_of(guess) + mmu_index(va, PT_LEAF);
	return pt_alloc_space(&mm->space, mm, va);
}

/*
 * Tables that munmap unlinked are empty, and so as good as new: an mm keeps a few, counted in its
 * pgtables_bytes, for a program that maps and unmaps would have the same ones allocated and cleared each time. They
 * go with the mm. Three make a path from the root to a leaf on x86-64.
 */
#define PT_SPARE_TABLES 3u

/* The chain of unlinked tables from frame first on, flushed; mmap_lock held for writing. */
void pt_retire_tables(struct mm_struct *mm, uint32_t first);
void pt_free_spares(struct mm_struct *mm);
void pt_free_table(struct page *table); /* unlinked, flushed */

/*
 * The first leaf table at or after *va and below end: moves *va up to the first address that it covers
 * (never down) and returns the entry of *va. NULL: none. Holes cost a step for each absent table, however
 * large. Loop over a range:
 *
 *     for (va = start; (pte = pt_next_leaf(space, &va, end)); va = next) {
 *             next = pt_leaf_end(va, end);
 *             ... pte[0] to pte[(next - va) >> PAGE_SHIFT] exclusive
 *     }
 */
pte_t *pt_next_leaf(struct mmu_space *space, vaddr_t *va, vaddr_t end);

/*
 * How many entries behind pte, which is addr's and none, are none too, up to the first that is not and to end. pt_gap
 * does not bother at the end of a range and says 0. Most tables are mostly empty; a loop over entries passes by them four at a time:
 *
 *     for (; addr != end; addr += PAGE_SIZE, pte++)
 *             if (pte_none(pte_read(pte)))
 *                     gap = pt_gap(pte, addr, end), addr += gap * PAGE_SIZE, pte += gap;
 *             else ...
 */
size_t pt_gap_long(pte_t *pte, vaddr_t addr, vaddr_t end);

static inline size_t pt_gap(pte_t *pte, vaddr_t addr, vaddr_t end)
{
	return end - addr > 4 * PAGE_SIZE ? pt_gap_long(pte, addr, end) : 0;
}

/* Put an entry where there was none. ptl held. */
static inline void pt_install(struct mmu_space *space, vaddr_t va, pte_t *entry, pte_t new_entry)
{
	pte_set(entry, new_entry);
	pt_count(entry, 1);
	mmu_update(space, va, new_entry);
}

/* Take an entry away; what it was at the last moment. ptl held. The caller flushes. */
static inline pte_t pt_clear(pte_t *entry)
{
	pte_t old = pte_exchange(entry, (pte_t){0});

	if (!pte_none(old))
		pt_count(entry, -1);
	return old;
}

/*
 * Pages and tables on their way out: collected while entries are cleared, freed when no TLB can reach them.
 * One flush for a batch; a batch is a few pages on the stack, then whole frames of pointers while memory
 * allows. Lives on the stack of one thread. Linux's mmu_gather.
 */
#define GATHER_LOCAL     32u
#define GATHER_BATCHES   8u /* frames of pointers: 16 MB to a flush */
#define GATHER_PER_BATCH (PAGE_SIZE / sizeof(struct page *))

struct mmu_gather {
	struct mm_struct *mm;
	vaddr_t start, end;  /* what to flush: [start, end); empty: nothing */
	struct page **pages; /* the batch being filled */
	unsigned nr, max;    /* in it; room in it */
	unsigned nr_batches; /* full or begun frames of pointers */
	uint32_t tables;     /* frame number of the first unlinked table, by lru.next */
	struct page **batch[GATHER_BATCHES];
	struct page *local[GATHER_LOCAL];
};

/* Before the first look at an entry; each is ended by tlb_finish_mmu. */
void tlb_gather_mmu(struct mmu_gather *tlb, struct mm_struct *mm);

/* The flush must cover [start, end): entries there were present and have been cleared or restricted. */
static inline void tlb_gather_range(struct mmu_gather *tlb, vaddr_t start, vaddr_t end)
{
	if (start < tlb->start)
		tlb->start = start;
	if (end > tlb->end)
		tlb->end = end;
}

/* Is somebody clearing entries of mm who may not have flushed yet? Who has found entries gone then flushes all (gather.c). */
static inline bool mm_tlb_flush_pending(struct mm_struct *mm)
{
	return atomic_load(&mm->gathers) != 0;
}

void tlb_next_batch(struct mmu_gather *tlb);

/* The reference that a cleared entry held goes with the batch. May flush; page-table locks may be held. */
static inline void tlb_remove_page(struct mmu_gather *tlb, struct page *page)
{
	tlb->pages[tlb->nr++] = page;
	if (unlikely(tlb->nr == tlb->max))
		tlb_next_batch(tlb);
}

void tlb_remove_table(struct mmu_gather *tlb, struct page *table); /* unlinked, empty */
void tlb_flush_mmu_tlbonly(
        struct mmu_gather *tlb);            /* flush now, free later: dirty data must stay ahead */
void tlb_flush_mmu(struct mmu_gather *tlb); /* flush and free what has been gathered */
void tlb_finish_mmu(
        struct mmu_gather *
                tlb); /* the same, at the end; what others have cleared in the space is flushed too */

/*
 * Free the tables of [start, end) that lie entirely in [floor, ceiling): the hole between the neighbouring
 * areas. All entries of the hole are none. mmap_lock held for writing and areas of the hole out of the rmap trees.
 */
void free_pgtables(struct mmu_gather *tlb, vaddr_t start, vaddr_t end, vaddr_t floor,
                   vaddr_t ceiling);

/*
 * Kernel addresses: kernel.c. n pages from va, which have no entry yet, with enum mmu_bits; the frames are
 * pages[i], or contiguous from phys, by large pages where both addresses allow; tables are allocated with gfp. 0, or -ENOMEM
 * with nothing mapped. Sleep.
 */
MUST_USE int pt_map_kernel(vaddr_t va, struct page **pages, uint64_t n, unsigned mmu_bits,
                           gfp_t gfp);
MUST_USE int pt_map_kernel_phys(vaddr_t va, phys_t phys, uint64_t n, unsigned mmu_bits, gfp_t gfp);

/*
 * One large page at va, aligned like it, where neither an entry nor a table is. -ENOMEM: neither is now. Sleeps.
 */
MUST_USE int pt_map_kernel_huge(vaddr_t va, phys_t phys, unsigned mmu_bits, gfp_t gfp);

/* A large page covers pt_leaf_span() bytes; false where the tree is too flat to have any below the root. */
static inline bool pt_has_huge(void)
{
	return mmu_levels() > PT_HUGE;
}

/*
 * Leaf tables that lie entirely in [va, end), where no entry is and nobody else maps: taken away, so that large pages can
 * take their places. Flushes. Sleeps.
 */
void pt_drop_kernel_tables(vaddr_t va, vaddr_t end);

/* Take n pages away; present or not, no large page in part. The caller flushes (mmu_flush_kernel_range), maybe later and for many at once. */
void pt_unmap_kernel(vaddr_t va, uint64_t n);

/* The frame behind a kernel address above the direct map, at this moment. False: nothing is mapped. */
bool pt_kernel_frame(vaddr_t va, pfn_t *pfn);

/* Tables of the user half: pt_entries, flags, no shared table; *tables counts them without the root. Quiet space. */
const char *pt_check(struct mmu_space *space, uint64_t *tables);
const char *pt_check_mm(struct mm_struct *mm); /* gathers, leaf_guess, spare tables. Quiet space. */

#endif
