/*
 * direct_map.c - frames leave the direct map while they are free, and come back (debug_pagealloc=on).
 *
 * Only this CPU forgets at once: a frame is freed in interrupts and under locks, where nobody can wait for the others. Another CPU may
 * so reach a frame a little longer by a translation that it used just before; Linux accepts the same.
 */
#include "arch/x86_64/internal.h"
#include <quire/frame.h>

/* 4 KB pages everywhere: asked before paging_init() makes the map, and by the manager afterwards. */
bool port_direct_map_splits(void)
{
	char text[8];

	return boot_param("debug_pagealloc", text, sizeof(text)) == 2 && text[0] == 'o' &&
	       text[1] == 'n';
}

void port_map_direct(pfn_t pfn, unsigned n, bool present)
{
	for (unsigned i = 0; i < n; i++) {
		const uint64_t phys = pfn_to_phys(PFN(pfn.n + i)).a;
		const vaddr_t va = DIRECT_MAP_START + phys;
		pte_t *table = (pte_t *)(uintptr_t)kernel_map_leaf_table(va);

		if (!table)
			port_panic("debug_pagealloc: %#lx is in a large page", va);
		pte_set(&table[mmu_index(va, 1)], (pte_t){phys | (present ? PROT_DIRECT : 0)});
		if (!present)
			invlpg(va);
	}
}
