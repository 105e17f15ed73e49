/*
 * migrate.h - a page's contents move to another frame, and nobody who uses it notices (mm/fault/migrate.c).
 *
 * While a page moves, every entry that maps it is a migration entry: not present, it names the old frame, and says what
 * the entry was. A fault that meets one waits until it is gone. Migration entries are swap entries of two types that
 * no swap area has, so the MMU's seam needs nothing new.
 */
#ifndef QUIRE_MIGRATE_H
#define QUIRE_MIGRATE_H

#include <quire/mm.h>

/* How long the caller is ready to wait: async tries the page's lock; sync_light tries again; sync waits for it. */
enum migrate_mode { MIGRATE_ASYNC, MIGRATE_SYNC_LIGHT, MIGRATE_SYNC };

/*
 * Move what is in old to dst. The caller holds a reference of old, and the only one of dst, which is like a frame just
 * allocated. err becomes 0: done, both references are used up, old is free unless somebody else looks at it just now.
 * -EAGAIN: not now; -EBUSY: somebody holds it for longer; references as before.
 */
struct migrate_pair {
	struct page *old, *dst;
	int err; /* -EAGAIN before: it is to be moved */
};

/* All pairs whose err is -EAGAIN, up to MIGRATE_BATCH of them, with one flush. Sleeps. Allocates nothing. */
#define MIGRATE_BATCH 32u
void migrate_pages(struct migrate_pair *pairs, unsigned n, enum migrate_mode mode);

/* One. Returns err. */
MUST_USE int migrate_page(struct page *old, struct page *dst, enum migrate_mode mode);

/* Types of swap entry, of 16 that every MMU has room for. */
#define SWP_MIGRATION_READ  14u
#define SWP_MIGRATION_WRITE 15u

/* In the offset, below the frame number: an entry of 32 bits has just room for 20 and these two. */
#define SWP_MIGRATION_YOUNG     ((uint64_t)1 << 0)
#define SWP_MIGRATION_DIRTY     ((uint64_t)1 << 1)
#define SWP_MIGRATION_PFN_SHIFT 2

static inline bool is_migration_entry(pte_t entry)
{
	return pte_is_swap(entry) && pte_swap_type(entry) >= SWP_MIGRATION_READ;
}

/* What a present entry becomes. */
static inline pte_t make_migration_entry(pte_t entry)
{
	uint64_t offset = (uint64_t)pte_pfn(entry).n << SWP_MIGRATION_PFN_SHIFT;

	if (pte_young(entry))
		offset |= SWP_MIGRATION_YOUNG;
	if (pte_dirty(entry))
		offset |= SWP_MIGRATION_DIRTY;
	return pte_make_swap(pte_write(entry) ? SWP_MIGRATION_WRITE : SWP_MIGRATION_READ, offset);
}

/* The frame it had: its descriptor stays as long as the entry does, which its table's lock decides. */
static inline struct page *migration_entry_page(pte_t entry)
{
	return pfn_to_page(PFN((uint32_t)(pte_swap_offset(entry) >> SWP_MIGRATION_PFN_SHIFT)));
}

static inline bool migration_entry_write(pte_t entry)
{
	return pte_swap_type(entry) == SWP_MIGRATION_WRITE;
}

/* The same without the right to write: the page will have two owners. */
static inline pte_t migration_entry_wrprotect(pte_t entry)
{
	return pte_make_swap(SWP_MIGRATION_READ, pte_swap_offset(entry));
}

/* What it becomes when page is at its place; writable only if it was and may_write. */
static inline pte_t migration_entry_restore(pte_t entry, struct page *page, pgprot_t prot,
                                            bool may_write)
{
	const uint64_t offset = pte_swap_offset(entry);
	pte_t pte = pte_make(page_to_pfn(page), prot);

	if (offset & SWP_MIGRATION_YOUNG)
		pte = pte_mkyoung(pte);
	if (offset & SWP_MIGRATION_DIRTY)
		pte = pte_mkdirty(pte);
	return may_write && migration_entry_write(entry) ? pte_mkwrite(pte) : pte;
}

#endif
