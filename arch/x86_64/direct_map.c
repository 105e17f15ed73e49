/*
 * direct_map.c - frames leave the direct map while they are free, and come back (debug_pagealloc=on).
 *
 * Only this CPU forgets at once: a frame is freed in interrupts and under locks, where nobody can wait for the others. Another CPU may
 * so reach a frame a little longer by a translation that it used just before; Linux accepts the same.
 */
#include "arch/x86_64/internal.h"
#include "lib/words.h"
#include <quire/frame.h>

/* As mm/frame/debug.c reads it, which complains if it is neither on nor off. */
static bool wanted(void)
{
	char text[8];
	bool on = false;

	return boot_param("debug_pagealloc", text, sizeof(text)) > 0 && !parse_bool(text, &on) &&
	       on;
}

/* 4 KB pages everywhere. paging_init() asks for each page of the map, so the word is looked for once. */
bool port_direct_map_splits(void)
{
	static enum { UNASKED, NO, YES } answer;

	if (answer == UNASKED)
		answer = wanted() ? YES : NO;
	return answer == YES;
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
