/*
 * init.c - the manager's parts in the order in which they need each other.
 *
 *     memblock (filled) -> frames -> kernel objects -> policy -> page cache -> address spaces
 *
 * With address spaces, compaction has what it moves pages by.
 *
 * Kernel addresses (kva_init) wait for the embedder's page tables.
 */
#include <quire/cache.h>
#include <quire/machine.h>
#include <quire/migrate.h>
#include <quire/mm.h>
#include <quire/slab.h>

void mm_init(void)
{
	frame_init();
	machine()->zero_page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!machine()->zero_page)
		port_panic("mm_init: no memory for the page of zeros");
	slab_init();
	lru_init();
	cache_init();
	space_init();
	migrate_hook = migrate_pages;
}
