/*
 * mmu.h - seam 2: what an MMU is.
 *
 * The truth about an address space is a radix tree of entries in frames. x86-64 walks that
 * very tree; any other MMU (hashed, inverted, a software TLB) is a cache of it, filled from
 * mmu_update() and emptied by the flush functions. mm/pt knows levels and entries through
 * this seam only.
 *
 *     level 4 (or 5)      3              2              1            page
 *     +---------+    +---------+    +---------+    +---------+    +--------+
 *     | table --+--->| table --+--->| table --+--->| leaf  --+--->|  4 KB  |
 *     +---------+    +---------+    +---------+    +---------+    +--------+
 *                                        | or leaf: 2 MB
 *
 * <quire_mmu.h>, supplied by the embedder beside <quire_embed.h>, defines inline:
 *
 *   pte_t                       one entry at any level, {uint64_t v}; v == 0 is "none"
 *   pgprot_t                    the permission and cache bits of a leaf, ready to be or-ed
 *   unsigned mmu_levels(void), MMU_MAX_LEVELS
 *   unsigned mmu_shift(unsigned level)     bits of address below an entry of that level
 *   unsigned mmu_entries(unsigned level)   entries of a table of that level
 *   unsigned mmu_index(vaddr_t, unsigned level)
 *   vaddr_t mmu_user_end(void)             first address above the user half
 *   unsigned mmu_user_entries(void)        root entries that belong to the user half
 *   pgprot_t mmu_pgprot(unsigned mmu_bits) from enum mmu_bits
 *   pte_t pte_make(pfn_t, pgprot_t), pte_make_table(pfn_t)
 *   bool pte_none, pte_present, pte_is_table(pte_t, level)
 *   pfn_t pte_pfn(pte_t)
 *   bool pte_write, pte_exec, pte_user, pte_dirty, pte_young, pte_special (pte_t)
 *   pte_t pte_mkwrite, pte_wrprotect, pte_mkdirty, pte_mkclean, pte_mkyoung, pte_mkold,
 *         pte_mkspecial (pte_t)
 *   pte_t pte_modify(pte_t, pgprot_t)      new permissions, keep frame, dirty, young, special
 *   pte_t pte_make_swap(unsigned type, uint64_t offset); bool pte_is_swap(pte_t);
 *   unsigned pte_swap_type(pte_t); uint64_t pte_swap_offset(pte_t)
 *   pte_t pte_read(pte_t *)                one atomic load
 *   void pte_set(pte_t *, pte_t)           one store, release; entry was none or caller holds the lock
 *                                          and the hardware cannot race
 *   pte_t pte_exchange(pte_t *, pte_t)     atomic: hardware sets dirty and young behind our back
 *   bool pte_cmpxchg(pte_t *, pte_t *old, pte_t new)
 *   void mmu_update(struct mmu_space *, vaddr_t, pte_t)  an entry became present: an MMU that does
 *                                          not walk the tree may fill its cache. Nothing on x86-64.
 *   pte_t pte_mkhuge(pte_t)                the leaf that pte_make() made, for level 2: a large page
 *   void mmu_update_huge(struct mmu_space *, vaddr_t, pte_t)  as mmu_update, of a leaf of level 2
 *
 * "special": a frame that is mapped without being counted or reverse-mapped (the zero page).
 */
#ifndef QUIRE_MMU_H
#define QUIRE_MMU_H

#include <quire/port.h>

/* What a leaf allows, independent of any hardware. */
enum mmu_bits {
	MMU_READ = 1,
	MMU_WRITE = 2,
	MMU_EXEC = 4,
	MMU_USER = 8,
	MMU_GLOBAL = 16, /* the same in all spaces: survives a switch */
	/* Device memory; at most one of these. Ordinary memory is cached, and has no other mapping than such. */
	MMU_UNCACHED = 32,       /* strictly: every access happens, in order */
	MMU_UNCACHED_MINUS = 64, /* likewise, unless firmware has declared it write-combining */
	MMU_WRITE_COMBINING = 128,
};
#define MMU_CACHE_BITS (MMU_UNCACHED | MMU_UNCACHED_MINUS | MMU_WRITE_COMBINING)

/* The part of an address space that the hardware knows. Lives in mm_struct. */
struct mmu_space {
	pfn_t root;            /* frame of the top-level table */
	_Atomic uint64_t cpus; /* CPUs that may hold translations of it; bit i = CPU i */
	/* Goes up with each flush: for lazily switched CPUs and ASIDs. */
	_Atomic uint64_t generation;
	uint64_t asid; /* the MMU's own */
};

#include <quire_mmu.h>

/*
 * Make the top-level table: the kernel half is the kernel's own, the user half empty. Its descriptor is a table's:
 * PG_table, ptl unlocked, pt_entries 0 (the kernel's entries do not count).
 * 0 or -ENOMEM. May sleep.
 */
MUST_USE int mmu_space_init(struct mmu_space *s);

/* Free the top-level table. The user half is empty and no CPU runs on it. */
void mmu_space_destroy(struct mmu_space *s);

/* Translate through s on this CPU from now on. Interrupts off. */
void mmu_activate(struct mmu_space *s);

/*
 * Make every CPU forget translations of [start, end) of s, or of all of s, and return when
 * they have. A table page that was unlinked may be freed after this. Interrupts on; the caller
 * may hold sleeping locks and page-table locks, and no lock that an interrupt takes.
 * Emits tlb_flush with the reason and counts shootdowns.
 */
void mmu_flush_range(struct mmu_space *s, vaddr_t start, vaddr_t end);
void mmu_flush_space(struct mmu_space *s);

/* Parts of several spaces at once: a CPU that has any of them is asked once. Same contract; 1 <= n <= MMU_RANGES_MAX. */
#define MMU_RANGES_MAX 8u
struct mmu_range {
	struct mmu_space *space;
	vaddr_t start, end;
};
void mmu_flush_ranges(const struct mmu_range *ranges, unsigned n);

/*
 * Forget one translation on this CPU only; for entries that only became more permissive, where
 * a stale entry elsewhere costs no more than a spurious fault.
 */
void mmu_flush_local_page(struct mmu_space *s, vaddr_t va);

/* The kernel's own addresses, on all CPUs. Same contract. */
void mmu_flush_kernel_range(vaddr_t start, vaddr_t end);

/* The kernel's space: root of the tree that vmalloc and fixmap edit. */
struct mmu_space *mmu_kernel_space(void);

#endif
