/*
 * migrate.c - a page moves to another frame while programs run (mechanism 1.10; Linux's mm/migrate.c).
 *
 *     old page, locked                       dst page, locked
 *       1. its entries become migration entries, one after the other; its count falls with them
 *          flush
 *       2. its count is frozen: nobody else has it ------> dst takes its place in the file, its flags
 *       3.                       contents ---------------> dst
 *       4. migration entries become entries of ----------> dst, which joins the LRU; or of old, if 2 failed
 *       5. unlocked, freed                                 unlocked
 *
 * Pages move in batches: step 1 for all, one flush of all spaces that have lost an entry (mm/pt/batch.h), then the rest
 * for each. So many are locked at once, and are locked by trying; only who holds no other waits for a page's lock.
 *
 * Who may meet us
 *   a program    faults on a migration entry and waits in migration_entry_wait() for the old page's lock
 *   fork         copies migration entries, without the right to write. The walk of step 4 visits a parent's area before its
 *                child's (both trees keep that order), so what fork copies late is visited late, or is present already
 *   mremap       moves them under the locks that the walks take
 *   zap          takes them away; the page then gets one user less
 *   mprotect     passes them by: step 4 takes the area's permissions of that moment
 *   look-up      finds old or dst under tree_lock; a reference to old taken before step 2 makes it fail, and
 *                nobody can take one after. dst is locked and not up to date before step 3, so a reader waits
 *   write-back, truncation   hold the page's lock, or a reference
 *
 * Step 2 is the whole trick: with the page locked and no entry left, a reference is needed to reach the contents, and
 * the number of those that we know of is compared and exchanged for zero. A page that somebody reads, writes or
 * transfers just now has one more, and stays where it is.
 */
#include <quire/errno.h>
#include <quire/highmem.h>
#include <quire/migrate.h>
#include "mm/cache/filemap.h"
#include "mm/fault/fault.h"
#include "mm/pt/batch.h"
#include "mm/rmap/anon_vma.h"
#include "mm/rmap/rmap.h"

/* Flags that follow the contents. PG_dirty goes with the tree's tag; PG_uptodate when the contents have. */
#define MIGRATED_FLAGS                                                                        \
	(1u << PG_referenced | 1u << PG_active | 1u << PG_swapbacked | 1u << PG_unevictable | \
	 1u << PG_mlocked | 1u << PG_error | 1u << PG_dirty)

static bool set_migration_one(struct rmap_walk *walk, struct page *page, struct vm_area_struct *vma,
                              vaddr_t addr, pte_t *pte)
{
	const bool later = tlb_batch_add(walk->ctx, vma->vm_mm, addr);
	pte_t old = pte_read(pte), entry;

	do
		entry = make_migration_entry(old);
	while (!pte_cmpxchg(pte, &old, entry));
	if (!later)
		mmu_flush_range(&vma->vm_mm->space, addr, addr + PAGE_SIZE);
	if (pte_dirty(old) && !PageAnon(page))
		set_page_dirty(
		        page); /* written back no sooner than it is unlocked, and so flushed */
	page_remove_rmap(page);
	put_page(page); /* the entry's; the migrator has his own */
	trace_set_migration_pte(addr, entry.v, 0);
	return true;
}

/*
 * The entry as the area has it now. mprotect() may be changing the area: who sees the old permissions, or half of the new ones, has
 * the table's lock before change_protection(), which then finds the entry present.
 */
static pte_t restored(struct vm_area_struct *vma, pte_t entry, struct page *page)
{
	const uint64_t flags = __atomic_load_n(&vma->vm_flags, __ATOMIC_RELAXED);
	pgprot_t prot;

	__atomic_load(&vma->vm_page_prot, &prot, __ATOMIC_RELAXED);
	return migration_entry_restore(entry, page, prot, flags & VM_WRITE);
}

/* One entry comes back, for page: dst or old. */
static bool remove_migration_one(struct rmap_walk *walk UNUSED, struct page *page,
                                 struct vm_area_struct *vma, vaddr_t addr, pte_t *pte)
{
	const pte_t entry = restored(vma, pte_read(pte), page);

	get_page(page);
	if (atomic_fetch_add_explicit(&page->_mapcount, 1, memory_order_relaxed) == -1 &&
	    PageAnon(page))
		frame_account(FRAME_ANON, 1);
	pte_set(pte, entry);
	mmu_update(&vma->vm_mm->space, addr, entry);
	trace_remove_migration_pte(addr, entry.v, 0);
	return true;
}

static bool walk_page(struct page *page, struct anon_vma *anon_vma, struct rmap_walk *walk)
{
	return anon_vma ? rmap_walk_anon(page, anon_vma, walk) : rmap_walk(page, walk);
}

static void unmap_for_migration(struct page *old, struct anon_vma *anon_vma,
                                struct tlb_batch *batch)
{
	struct rmap_walk walk = {.visit = set_migration_one, .ctx = batch};

	(void)walk_page(old, anon_vma, &walk);
}

/* Migration entries that name old become entries of page. */
static void remove_migration_ptes(struct page *old, struct page *page, struct anon_vma *anon_vma)
{
	struct rmap_walk walk = {.visit = remove_migration_one, .migrating = page_to_pfn(old).n};

	(void)walk_page(page, anon_vma, &walk);
}

static void copy_flags(struct page *dst, const struct page *old)
{
	__page_set_flags(dst,
	                 atomic_load_explicit(&old->flags, memory_order_relaxed) & MIGRATED_FLAGS);
}

/* An anonymous page has one reference left: ours. */
static bool move_anon(struct page *old, struct page *dst)
{
	if (page_mapcount(old) || !page_ref_freeze(old, 1))
		return false;
	dst->index = old->index;
	page_set_mapping(dst, page_mapping_word(old));
	copy_flags(dst, old);
	page_ref_unfreeze(old, 1);
	return true;
}

/* Step 2: dst takes old's place. */
static bool move_mapping(struct page *old, struct page *dst, struct address_space *mapping)
{
	if (!mapping)
		return move_anon(old, dst);
	return !page_mapcount(old) && filemap_replace_page(mapping, old, dst, MIGRATED_FLAGS);
}

/* References that a page at rest has, ours included. */
static int32_t expected_count(const struct page *page, const struct address_space *mapping)
{
	return 1 + page_mapcount(page) + (mapping != NULL);
}

static bool may_move_one(struct rmap_walk *walk UNUSED, struct page *page UNUSED,
                         struct vm_area_struct *vma, vaddr_t addr UNUSED, pte_t *pte UNUSED)
{
	return !(__atomic_load_n(&vma->vm_flags, __ATOMIC_RELAXED) & VM_LOCKED);
}

/* mlock() promises that the page stays in memory, not that no access to it ever waits; some want that too. */
static bool may_move(struct page *page, struct anon_vma *anon_vma)
{
	struct rmap_walk walk = {.visit = may_move_one};

	return READ_ONCE(machine()->sysctl_compact_unevictable_allowed) ||
	       walk_page(page, anon_vma, &walk);
}

/* Step 1. Both are locked; *anon_vma, which goes with dst until step 4, keeps old's entries findable. */
static int unmap_old(struct page *old, struct anon_vma **anon_vma, struct tlb_batch *batch)
{
	struct address_space *mapping = page_mapping(old);

	*anon_vma = NULL;
	if (page_flag(old, PG_writeback))
		return -EBUSY;
	if (!page_flag(old, PG_uptodate) || !page_flag(old, PG_lru))
		return -EAGAIN;
	if (!mapping) {
		*anon_vma = page_get_anon_vma(old);
		if (!*anon_vma)
			return -EAGAIN; /* on its way out */
	}
	if (page_count(old) == expected_count(old, mapping) && may_move(old, *anon_vma)) {
		if (page_mapcount(old))
			unmap_for_migration(old, *anon_vma, batch);
		return 0;
	}
	if (*anon_vma)
		put_anon_vma(*anon_vma);
	return -EBUSY;
}

#define BEGUN 1 /* err of a pair between the steps: both are locked, old has no entry */

static int begin_move(struct migrate_pair *pair, bool wait, struct tlb_batch *batch)
{
	struct anon_vma *anon_vma;
	int err;

	if (wait)
		lock_page(pair->old);
	else if (!trylock_page(pair->old))
		return -EAGAIN;
	__page_set_flags(pair->dst, 1u << PG_locked);
	err = unmap_old(pair->old, &anon_vma, batch);
	if (!err) {
		pair->dst->private = (uintptr_t)anon_vma;
		return BEGUN;
	}
	unlock_page(pair->dst);
	unlock_page(pair->old);
	return err;
}

/* Steps 2 to 5, after the flush. */
static int finish_move(struct migrate_pair *pair)
{
	struct page *const old = pair->old, *const dst = pair->dst;
	struct anon_vma *anon_vma = (struct anon_vma *)(uintptr_t)dst->private;
	bool moved;

	dst->private = 0;
	moved = move_mapping(old, dst, page_mapping(old));
	if (moved) {
		copy_highpage(dst, old);
		page_set_flag(dst, PG_uptodate);
		page_owner_copy(dst, old);
		lru_cache_add(dst);
	}
	remove_migration_ptes(old, moved ? dst : old, anon_vma);
	if (anon_vma)
		put_anon_vma(anon_vma);
	unlock_page(dst);
	unlock_page(old);
	if (!moved)
		return -EAGAIN;
	put_page(old);
	put_page(dst);
	return 0;
}

static void move_batch(struct migrate_pair *pairs, unsigned n, bool wait)
{
	struct tlb_batch batch = {.nr = 0};

	for (unsigned i = 0; i < n; i++)
		if (pairs[i].err == -EAGAIN)
			pairs[i].err = begin_move(&pairs[i], wait, &batch);
	tlb_batch_flush(&batch);
	for (unsigned i = 0; i < n; i++)
		if (pairs[i].err == BEGUN)
			pairs[i].err = finish_move(&pairs[i]);
}

void migrate_pages(struct migrate_pair *pairs, unsigned n, enum migrate_mode mode)
{
	move_batch(pairs, n, false);
	for (unsigned i = 0; mode == MIGRATE_SYNC && i < n; i++)
		if (pairs[i].err == -EAGAIN)
			move_batch(&pairs[i], 1, true);
}

int migrate_page(struct page *old, struct page *dst, enum migrate_mode mode)
{
	struct migrate_pair pair = {old, dst, -EAGAIN};

	migrate_pages(&pair, 1, mode);
	return pair.err;
}

/* A waiter's look: is it still there? Then the page is locked, and will wake whoever is noted in it. */
static bool still_migrating(struct page *page, void *ctx)
{
	pte_t *pte = ctx;
	bool still;

	pt_lock(pte);
	still = is_migration_entry(pte_read(pte)) && migration_entry_page(pte_read(pte)) == page;
	if (still)
		page_set_flag(page, PG_waiters);
	pt_unlock(pte);
	return still;
}

void migration_entry_wait(pte_t *pte, pte_t entry)
{
	wait_on_page_while(migration_entry_page(entry), still_migrating, pte);
}
