/*
 * quire_mmu.h - the inline part of seam 2 for the hosted machine: an MMU of its own.
 *
 * The format shares nothing with x86-64's, so that code in mm/ that knows a bit of either fails
 * here or there:
 *
 *     63            32 31        12 11   8   7   6   5   4   3   2   1   0
 *     +---------------+------------+-----+---+---+---+---+---+---+---+---+
 *     | frame number  |     0      |     | S | D | A | T | U | X | W | R |   present: R or T set
 *     +---------------+------------+-----+---+---+---+---+---+---+---+---+
 *     | offset (63..16)        | 1 (bit 12) |type|           0               |   swap entry
 *     +--------------------------------------------------------------------+
 *
 * T: a table. A leaf without any access (PROT_NONE) has N (bit 9) set instead of R.
 */
#ifndef HOST_QUIRE_MMU_H
#define HOST_QUIRE_MMU_H

#include <quire/port.h>

typedef struct {
	uint64_t v;
} pte_t;

typedef struct {
	uint64_t v;
} pgprot_t;

#define HPTE_R       0x001ull
#define HPTE_W       0x002ull
#define HPTE_X       0x004ull
#define HPTE_U       0x008ull
#define HPTE_TABLE   0x010ull
#define HPTE_A       0x020ull
#define HPTE_D       0x040ull
#define HPTE_SPECIAL 0x080ull
#define HPTE_NOACC   0x200ull
#define HPTE_SWAP    0x1000ull
#define HPTE_PERM    (HPTE_R | HPTE_W | HPTE_X | HPTE_U | HPTE_NOACC)

#define MMU_MAX_LEVELS 5

static inline unsigned mmu_levels(void)
{
	return host.mmu_levels;
}

static inline unsigned mmu_shift(unsigned level)
{
	return PAGE_SHIFT + 9 * (level - 1);
}

static inline unsigned mmu_entries(unsigned level)
{
	(void)level;
	return 512;
}

static inline unsigned mmu_index(vaddr_t va, unsigned level)
{
	return (unsigned)(va >> mmu_shift(level)) & 511;
}

/* Programs own the lower quarter of 48 bits but for its last page, as on x86-64; the process's own mappings, where vmalloc lives, lie above. */
static inline vaddr_t mmu_user_end(void)
{
	return (1ull << 46) - PAGE_SIZE;
}

static inline unsigned mmu_user_entries(void)
{
	return mmu_levels() == 5 ? 1 : 128;
}

static inline pgprot_t mmu_pgprot(unsigned bits)
{
	uint64_t v = 0;

	if (bits & MMU_READ)
		v |= HPTE_R;
	if (bits & MMU_WRITE)
		v |= HPTE_R | HPTE_W;
	if (bits & MMU_EXEC)
		v |= HPTE_R | HPTE_X;
	if (bits & MMU_USER)
		v |= HPTE_U;
	if (!(v & HPTE_R))
		v |= HPTE_NOACC;
	return (pgprot_t){v};
}

static inline pte_t pte_make(pfn_t pfn, pgprot_t prot)
{
	return (pte_t){(uint64_t)pfn.n << 32 | prot.v};
}

static inline pte_t pte_make_table(pfn_t pfn)
{
	return (pte_t){(uint64_t)pfn.n << 32 | HPTE_TABLE};
}

/* Any leaf may stand at level 2: what is no table is a page. */
static inline pte_t pte_mkhuge(pte_t e)
{
	return e;
}

static inline bool pte_none(pte_t e)
{
	return e.v == 0;
}

static inline bool pte_present(pte_t e)
{
	return (e.v & (HPTE_R | HPTE_TABLE | HPTE_NOACC)) != 0 && !(e.v & HPTE_SWAP);
}

static inline bool pte_is_table(pte_t e, unsigned level)
{
	return level > 1 && (e.v & HPTE_TABLE);
}

static inline pfn_t pte_pfn(pte_t e)
{
	return PFN(e.v >> 32);
}

#define HPTE_TEST(name, bit)               \
	static inline bool name(pte_t e)   \
	{                                  \
		return (e.v & (bit)) != 0; \
	}
HPTE_TEST(pte_readable, HPTE_R) /* the soft MMU's own: some access at all */
HPTE_TEST(pte_write, HPTE_W)
HPTE_TEST(pte_exec, HPTE_X)
HPTE_TEST(pte_user, HPTE_U)
HPTE_TEST(pte_dirty, HPTE_D)
HPTE_TEST(pte_young, HPTE_A)
HPTE_TEST(pte_special, HPTE_SPECIAL)
#undef HPTE_TEST

#define HPTE_CHANGE(name, expression)       \
	static inline pte_t name(pte_t e)   \
	{                                   \
		return (pte_t){expression}; \
	}
HPTE_CHANGE(pte_mkwrite, e.v | HPTE_W)
HPTE_CHANGE(pte_wrprotect, e.v & ~HPTE_W)
HPTE_CHANGE(pte_mkdirty, e.v | HPTE_D)
HPTE_CHANGE(pte_mkclean, e.v & ~HPTE_D)
HPTE_CHANGE(pte_mkyoung, e.v | HPTE_A)
HPTE_CHANGE(pte_mkold, e.v & ~HPTE_A)
HPTE_CHANGE(pte_mkspecial, e.v | HPTE_SPECIAL)
#undef HPTE_CHANGE

static inline pte_t pte_modify(pte_t e, pgprot_t prot)
{
	return (pte_t){(e.v & ~HPTE_PERM) | prot.v};
}

static inline pte_t pte_make_swap(unsigned type, uint64_t offset)
{
	return (pte_t){offset << 16 | HPTE_SWAP | (uint64_t)type << 8};
}

static inline bool pte_is_swap(pte_t e)
{
	return (e.v & HPTE_SWAP) != 0;
}

static inline unsigned pte_swap_type(pte_t e)
{
	return (unsigned)(e.v >> 8) & 15;
}

static inline uint64_t pte_swap_offset(pte_t e)
{
	return e.v >> 16;
}

#include "host/embed_mmu.h"

#endif
