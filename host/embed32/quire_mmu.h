/*
 * quire_mmu.h - the inline part of seam 2 for the hosted 32-bit machine: i386's two levels.
 *
 *     31          22 21          12 11            0
 *     +-------------+--------------+---------------+
 *     |  table, 10  |   entry, 10  |  offset, 12   |   address
 *     +-------------+--------------+---------------+
 *     |      frame number, 20      | avail |G|-|D|A|-|-|U|W|P|   entry, 4 bytes, P set
 *     +----------------------------+---------------+
 *     | offset, 22       |  type, 4  | 0   |N|     0       |P|   P clear: swap; or N: no access
 *     +--------------------------------------------+
 *
 * Sources: Intel 80386 Programmer's Reference Manual, 5.2; lectures 003, 004 (10+10+12). As that hardware, it
 * has no bit against execution: what can be read can be executed. A leaf without any access keeps its frame with P clear
 * and N (bit 8) set. A swap entry with type 0 and offset 0 would be "none": slot 0 is an area's header.
 */
#ifndef HOST_QUIRE_MMU32_H
#define HOST_QUIRE_MMU32_H

#include <quire/port.h>

typedef struct {
	uint32_t v;
} pte_t;

typedef struct {
	uint32_t v;
} pgprot_t;

#define HPTE_P       0x001u
#define HPTE_W       0x002u
#define HPTE_U       0x004u
#define HPTE_A       0x020u
#define HPTE_D       0x040u
#define HPTE_NOACC   0x100u
#define HPTE_TABLE   0x200u /* available to software: told to nobody but the walker below */
#define HPTE_SPECIAL 0x400u
#define HPTE_PERM    (HPTE_P | HPTE_W | HPTE_U | HPTE_NOACC)

#define MMU_MAX_LEVELS 2

static inline unsigned mmu_levels(void)
{
	return 2;
}

static inline unsigned mmu_shift(unsigned level)
{
	return PAGE_SHIFT + 10 * (level - 1);
}

static inline unsigned mmu_entries(unsigned level)
{
	(void)level;
	return 1024;
}

static inline unsigned mmu_index(vaddr_t va, unsigned level)
{
	return (unsigned)(va >> mmu_shift(level)) & 1023;
}

static inline vaddr_t mmu_user_end(void)
{
	return PAGE_OFFSET;
}

static inline unsigned mmu_user_entries(void)
{
	return 768;
}

static inline pgprot_t mmu_pgprot(unsigned bits)
{
	uint32_t v = 0;

	if (bits & (MMU_READ | MMU_WRITE | MMU_EXEC))
		v |= HPTE_P;
	if (bits & MMU_WRITE)
		v |= HPTE_W;
	if (bits & MMU_USER)
		v |= HPTE_U;
	if (!(v & HPTE_P))
		v |= HPTE_NOACC;
	return (pgprot_t){v};
}

static inline pte_t pte_make(pfn_t pfn, pgprot_t prot)
{
	return (pte_t){pfn.n << PAGE_SHIFT | prot.v};
}

static inline pte_t pte_make_table(pfn_t pfn)
{
	return (pte_t){pfn.n << PAGE_SHIFT | HPTE_TABLE | HPTE_P | HPTE_W | HPTE_U};
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
	return (e.v & (HPTE_P | HPTE_NOACC)) != 0;
}

static inline bool pte_is_table(pte_t e, unsigned level)
{
	return level > 1 && (e.v & HPTE_TABLE);
}

static inline pfn_t pte_pfn(pte_t e)
{
	return PFN(e.v >> PAGE_SHIFT);
}

#define HPTE_TEST(name, bit)               \
	static inline bool name(pte_t e)   \
	{                                  \
		return (e.v & (bit)) != 0; \
	}
HPTE_TEST(pte_readable, HPTE_P) /* the soft MMU's own: some access at all */
HPTE_TEST(pte_write, HPTE_W)
HPTE_TEST(pte_exec, HPTE_P)
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
	return (pte_t){(uint32_t)(offset << 10) | type << 1};
}

static inline bool pte_is_swap(pte_t e)
{
	return !pte_none(e) && !pte_present(e);
}

static inline unsigned pte_swap_type(pte_t e)
{
	return e.v >> 1 & 15;
}

static inline uint64_t pte_swap_offset(pte_t e)
{
	return e.v >> 10;
}

#include "host/embed_mmu.h"

#endif
