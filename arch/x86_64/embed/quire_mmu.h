/*
 * quire_mmu.h - the x86-64 MMU's half of mmu.h that must be inline.
 *
 *   63 62..59 58..52  51         12 11..10   9     8 7  6 5 4   3   2 1 0
 *   NX  keys   free  | frame number | free special G PS D A PCD PWT U W P    present leaf
 *   0             0  | frame number |            0 0  0 A 0   0   1 1 1      table
 *   NX               | ~frame       |      special 1  0 D A         0 W 0    leaf that allows nothing
 *   63           12      11..9  8..1
 *   ~offset (52 bits)      0   type << 1                                0    swapped out (bit 8 is 0)
 *
 * A leaf for the program that allows nothing (PROT_NONE) must not be present for the hardware, or the kernel could
 * reach it on the program's behalf; bit 8, which means nothing to the hardware then, tells it from a swap entry.
 * Entries that are not present keep what an address could be made of inverted, so that a processor which
 * speculates through them (L1TF) meets addresses that no memory has.
 *
 * Source: Intel SDM vol. 3, 4.5; Linux's Documentation/admin-guide/hw-vuln/l1tf.rst.
 */
#ifndef QUIRE_MMU_EMBED_H
#define QUIRE_MMU_EMBED_H

typedef struct {
	uint64_t v;
} pte_t;

typedef struct {
	uint64_t v;
} pgprot_t;

#define PTE_P        (1ull << 0)
#define PTE_W        (1ull << 1)
#define PTE_U        (1ull << 2)
#define PTE_PWT      (1ull << 3)
#define PTE_PCD      (1ull << 4)
#define PTE_A        (1ull << 5)
#define PTE_D        (1ull << 6)
#define PTE_PS       (1ull << 7)
#define PTE_G        (1ull << 8)
#define PTE_PROTNONE (1ull << 8) /* when P is clear */
#define PTE_SPECIAL  (1ull << 9)
#define PTE_NX       (1ull << 63)
#define PTE_ADDR     0x000ffffffffff000ull
#define PTE_TABLE    (PTE_P | PTE_W | PTE_U | PTE_A)

#define PTE_SWAP_TYPE_SHIFT   1
#define PTE_SWAP_TYPE_MASK    0x7full
#define PTE_SWAP_OFFSET_SHIFT 12

#define MMU_MAX_LEVELS 5

/* 4, or 5 where boot turned on 57-bit addresses; the last page of the user half stays empty, for SYSRET. */
extern unsigned x86_mmu_levels;
extern vaddr_t x86_user_end;

static inline unsigned mmu_levels(void)
{
	return x86_mmu_levels;
}

static inline unsigned mmu_shift(unsigned level)
{
	return PAGE_SHIFT + 9 * (level - 1);
}

static inline unsigned mmu_entries(unsigned level UNUSED)
{
	return 512;
}

static inline unsigned mmu_index(vaddr_t va, unsigned level)
{
	return (unsigned)(va >> mmu_shift(level)) & 511;
}

static inline vaddr_t mmu_user_end(void)
{
	return x86_user_end;
}

static inline unsigned mmu_user_entries(void)
{
	return 256;
}

static inline pgprot_t mmu_pgprot(unsigned bits)
{
	uint64_t v = PTE_P;

	if (!(bits & (MMU_READ | MMU_WRITE | MMU_EXEC)))
		v = PTE_PROTNONE;
	else if (bits & MMU_USER)
		v |= PTE_U;
	else
		v |= PTE_A | PTE_D;
	if (bits & MMU_WRITE)
		v |= PTE_W;
	if (!(bits & MMU_EXEC))
		v |= PTE_NX;
	if (bits & MMU_GLOBAL)
		v |= PTE_G;
	/* Entries 1 to 3 of the PAT as feature.c fills it. */
	if (bits & MMU_WRITE_COMBINING)
		v |= PTE_PWT;
	if (bits & (MMU_UNCACHED | MMU_UNCACHED_MINUS))
		v |= PTE_PCD;
	if (bits & MMU_UNCACHED)
		v |= PTE_PWT;
	return (pgprot_t){v};
}

static inline bool pte_none(pte_t p)
{
	return p.v == 0;
}

/* Has a frame, even if nothing may be done with it. */
static inline bool pte_present(pte_t p)
{
	return (p.v & (PTE_P | PTE_PROTNONE)) != 0;
}

static inline bool pte_is_table(pte_t p, unsigned level)
{
	return level > 1 && (p.v & (PTE_P | PTE_PS)) == PTE_P;
}

/* What to xor the frame's bits with: ones in an entry that the hardware does not honour. */
static inline uint64_t pte_inversion(uint64_t v)
{
	return likely(v & PTE_P) ? 0 : PTE_ADDR;
}

static inline pfn_t pte_pfn(pte_t p)
{
	return PFN(((p.v ^ pte_inversion(p.v)) & PTE_ADDR) >> PAGE_SHIFT);
}

static inline pte_t pte_make(pfn_t pfn, pgprot_t prot)
{
	uint64_t frame = (uint64_t)pfn.n << PAGE_SHIFT;

	return (pte_t){(frame ^ pte_inversion(prot.v)) | prot.v};
}

static inline pte_t pte_make_table(pfn_t pfn)
{
	return (pte_t){(uint64_t)pfn.n << PAGE_SHIFT | PTE_TABLE};
}

static inline pte_t pte_mkhuge(pte_t p)
{
	return (pte_t){p.v | PTE_PS};
}

static inline bool pte_write(pte_t p)
{
	return (p.v & PTE_W) != 0;
}

static inline bool pte_exec(pte_t p)
{
	return !(p.v & PTE_NX);
}

static inline bool pte_user(pte_t p)
{
	return (p.v & PTE_U) != 0;
}

static inline bool pte_dirty(pte_t p)
{
	return (p.v & PTE_D) != 0;
}

static inline bool pte_young(pte_t p)
{
	return (p.v & PTE_A) != 0;
}

static inline bool pte_special(pte_t p)
{
	return (p.v & PTE_SPECIAL) != 0;
}

static inline pte_t pte_mkwrite(pte_t p)
{
	return (pte_t){p.v | PTE_W};
}

static inline pte_t pte_wrprotect(pte_t p)
{
	return (pte_t){p.v & ~PTE_W};
}

static inline pte_t pte_mkdirty(pte_t p)
{
	return (pte_t){p.v | PTE_D};
}

static inline pte_t pte_mkclean(pte_t p)
{
	return (pte_t){p.v & ~PTE_D};
}

static inline pte_t pte_mkyoung(pte_t p)
{
	return (pte_t){p.v | PTE_A};
}

static inline pte_t pte_mkold(pte_t p)
{
	return (pte_t){p.v & ~PTE_A};
}

static inline pte_t pte_mkspecial(pte_t p)
{
	return (pte_t){p.v | PTE_SPECIAL};
}

static inline pte_t pte_modify(pte_t p, pgprot_t prot)
{
	const uint64_t keep = PTE_A | PTE_D | PTE_SPECIAL;
	uint64_t frame = (p.v ^ pte_inversion(p.v)) & PTE_ADDR;

	return (pte_t){(frame ^ pte_inversion(prot.v)) | (p.v & keep) | prot.v};
}

/* type below 128; offset below 2^52. */
static inline pte_t pte_make_swap(unsigned type, uint64_t offset)
{
	return (pte_t){~offset << PTE_SWAP_OFFSET_SHIFT | (uint64_t)type << PTE_SWAP_TYPE_SHIFT};
}

static inline bool pte_is_swap(pte_t p)
{
	return p.v != 0 && !pte_present(p);
}

static inline unsigned pte_swap_type(pte_t p)
{
	return (unsigned)(p.v >> PTE_SWAP_TYPE_SHIFT & PTE_SWAP_TYPE_MASK);
}

static inline uint64_t pte_swap_offset(pte_t p)
{
	return ~p.v >> PTE_SWAP_OFFSET_SHIFT;
}

static inline pte_t pte_read(pte_t *p)
{
	return (pte_t){__atomic_load_n(&p->v, __ATOMIC_ACQUIRE)};
}

static inline void pte_set(pte_t *p, pte_t new)
{
	__atomic_store_n(&p->v, new.v, __ATOMIC_RELEASE);
}

static inline pte_t pte_exchange(pte_t *p, pte_t new)
{
	return (pte_t){__atomic_exchange_n(&p->v, new.v, __ATOMIC_ACQ_REL)};
}

/* True: done. False: *old is what was there. */
static inline bool pte_cmpxchg(pte_t *p, pte_t *old, pte_t new)
{
	return __atomic_compare_exchange_n(&p->v, &old->v, new.v, false, __ATOMIC_ACQ_REL,
	                                   __ATOMIC_ACQUIRE);
}

static inline void mmu_update(struct mmu_space *s UNUSED, vaddr_t va UNUSED, pte_t p UNUSED)
{
}

static inline void mmu_update_huge(struct mmu_space *s UNUSED, vaddr_t va UNUSED, pte_t p UNUSED)
{
}

#endif
