/*
 * fixmap.c - addresses that are known when the kernel is compiled (mechanism 3.4).
 *
 *     FIXADDR_TOP    ffffffffff7ff000   local APIC   fee00000
 *                    ffffffffff7fe000   IO-APIC      fec00000
 *                    ffffffffff7fd000   what the boot looks at of the firmware's memory; nothing later
 *     FIXADDR_START  ...
 *
 * An address that is a constant, for a physical address that has nothing to do with it: for hardware that must be reached
 * before there is an allocator, and by an instruction without a pointer to load. The table grows downwards from FIXADDR_TOP,
 * and its order is that of enum fixed_addresses. Registers, so: uncached, no execution. Everybody else uses ioremap().
 *
 * Source: lecture 001 (fixmap addresses); Linux's asm/fixmap.h.
 */
#include "arch/x86_64/internal.h"

#define PROT_REGISTERS (PTE_KERNEL | PTE_PCD | PTE_PWT)
#define PROT_EARLY     (PTE_P | PTE_A | PTE_G | PTE_NX)

static const struct fixed_mapping {
	const char *name;
	uint64_t phys;
} fixed[NR_FIXED_ADDRESSES] = {
        [FIX_APIC_BASE] = {"local APIC", 0xfee00000},
        [FIX_IO_APIC_BASE_0] = {"IO-APIC", 0xfec00000},
        [FIX_EARLY] = {"fixmap: the early page is still mapped", 0},
};

static_assert(NR_FIXED_ADDRESSES <= 512 - 1, "one table of the lowest level holds all");
static_assert(FIXADDR_START > KERNEL_END, "above the image");

void fixmap_init(void)
{
	for (unsigned i = 0; i < NR_FIXED_ADDRESSES; i++)
		map_page(fix_to_virt(i), fixed[i].phys, fixed[i].phys ? PROT_REGISTERS : 0);
}

static void set_early(uint64_t entry)
{
	map_page(fix_to_virt(FIX_EARLY), entry, 0);
	invlpg(fix_to_virt(FIX_EARLY));
}

const void *fixmap_show(uint64_t phys)
{
	set_early((phys & PAGE_MASK) | PROT_EARLY);
	return (const void *)(fix_to_virt(FIX_EARLY) + (phys & ~PAGE_MASK));
}

void fixmap_hide(void)
{
	set_early(0);
}

/* Each where it belongs, and nothing else in the table that holds them. */
const char *fixmap_check(void)
{
	const pte_t *table = kernel_map_leaf_table(FIXADDR_TOP);
	unsigned last = mmu_index(FIXADDR_TOP, 1);

	if (!table)
		return "fixmap: no table";
	for (unsigned i = 0; i < 512; i++) {
		unsigned nr = last - i;

		if (i > last || nr >= NR_FIXED_ADDRESSES) {
			if (!pte_none(table[i]))
				return "fixmap: a page that is nobody's";
		} else if (table[i].v != (fixed[nr].phys ? fixed[nr].phys | PROT_REGISTERS : 0)) {
			return fixed[nr].name;
		}
	}
	return NULL;
}
