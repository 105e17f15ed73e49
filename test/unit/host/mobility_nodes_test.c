/*
 * mobility_nodes_test.c - page blocks, compaction and page debugging where memory is in several nodes, or has no descriptors yet.
 */
#include "host/internal.h"
#include "mm/frame/compaction.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/mm/space/vm.h"

#include <quire/check.h>

#define MB    (1ull << 20)
#define BOUND 7600u /* nearly all of a node of 32 MB */

static void leave(void)
{
	CHECK_SOUND(mm_check());
	own_leave();
}

/*
 * What is in the descriptors of memory that is not online is nobody's business: here they look like free frames and like
 * frames that can be moved, in turn, and whoever believes it will go wrong.
 */
static uint64_t spoil_offline_descriptors(void)
{
	uint64_t n = 0;

	for (uint64_t pfn = 0; pfn < machine()->max_pfn; pfn++) {
		struct page *page = pfn_to_page(PFN((uint32_t)pfn));

		if (pfn_online(pfn))
			continue;
		__builtin_memset(page, 0, sizeof(*page));
		page->flags = pfn & 1 ? 1u << PG_buddy : 1u << PG_lru | 1u << PG_uptodate;
		page->_refcount = !(pfn & 1);
		page->_mapcount = 0; /* order 0, or one mapping */
		page->mapping = (void *)(0x1000 | PAGE_MAPPING_ANON);
		page->lru.next = page->lru.prev = 0x7fffffff;
		n++;
	}
	return n;
}

static uint64_t all_pageblocks(void)
{
	uint64_t blocks[MIGRATE_TYPES], sum = 0;

	for_each_zone(zone) {
		zone_pageblocks(zone, blocks);
		for (unsigned type = 0; type < MIGRATE_TYPES; type++)
			sum += blocks[type];
	}
	return sum;
}

/* Every frame once, and back. */
static void take_all_memory(void)
{
	uint32_t first = PFN_NONE_N;
	struct page *page;

	while ((page = alloc_page(GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN))) {
		page->lru.next = first;
		first = page_to_pfn(page).n;
	}
	while (first != PFN_NONE_N) {
		page = pfn_to_page(PFN(first));
		first = page->lru.next;
		__free_page(page);
	}
}

static void compact_around(unsigned pages)
{
	const struct host_config config = {
	        .ram = 512 * MB, .hole_start = 32 * MB, .hole_end = 64 * MB, .seed = unit_seed()};
	struct mm_struct *mm;

	CHECK(own_enter(&config));
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	CHECK_EQ(vm_map(mm, VM_PAGE(0), pages, RW, ANON), (int64_t)VM_PAGE(0));
	for (unsigned i = 0; i < pages; i++)
		CHECK_EQ(vm_write(mm, VM_PAGE(i), i), 0);
	CHECK_GT(spoil_offline_descriptors(), 128 * MB / PAGE_SIZE);
	compact_memory();
	check_poison(true);
	CHECK_EQ(all_pageblocks(), (512 * MB / PAGE_SIZE) >> pageblock_order);
	for_each_zone(zone)
		CHECK_EQ(unusable_free_index(zone, 0), 0);
	CHECK_SOUND(mm_check());
	/* They come online as they should, and full of poison. */
	take_all_memory();
	check_poison(false);
	for (unsigned i = 0; i < pages; i++)
		CHECK_EQ(vm_get(mm, VM_PAGE(i)), i);
	mmput(mm);
	leave();
}

/* Few pages, and the migrate scanner goes on through what is offline; more than a section holds, and the free scanner does. */
UNIT_TEST(scanners_pass_by_what_has_no_descriptors)
{
	CHECK_CALL(compact_around(6000));
	CHECK_CALL(compact_around(10000));
}

UNIT_TEST(types_add_up_to_all_free_blocks)
{
	CHECK(own_enter(&(struct host_config){.ram = 256 * MB}));
	for_each_zone(zone)
		for (unsigned order = 0; order < MAX_ORDER; order++) {
			uint64_t sum = 0;

			for (unsigned type = 0; type < MIGRATE_TYPES; type++)
				sum += zone_free_blocks_of(zone, order, type);
			CHECK_EQ(sum, zone_free_blocks(zone, order));
		}
	leave();
}

/* From boot on, whether memory came online then or later. */
UNIT_TEST(boot_words_of_page_debugging)
{
	struct page_owner owner;
	struct page *page;

	CHECK(own_enter(&(struct host_config){.ram = 128 * MB,
	                                      .boot_words = "page_owner=on page_poison=1"}));
	CHECK(machine()->poison && machine()->careful);
	take_all_memory();
	page = alloc_page(GFP_KERNEL);
	CHECK_EQ(*(uint8_t *)page_address(page), POISON_FREE);
	CHECK(page_owner_read(page_to_pfn(page), &owner));
	CHECK_EQ(owner.gfp, GFP_KERNEL);
	__free_page(page);
	leave();
}

/* Blocks of the largest order of one node, until there is none. */
static struct page *take_blocks(gfp_t gfp)
{
	struct page *chain = NULL, *page;

	while ((page = alloc_pages_node(1, gfp, MAX_ORDER - 1))) {
		page->mapping = chain;
		chain = page;
	}
	return chain;
}

static void give_blocks(struct page *chain)
{
	while (chain) {
		struct page *page = chain;

		chain = page->mapping;
		page->mapping = NULL;
		__free_pages(page, MAX_ORDER - 1);
	}
}

/* Who may use one node wakes that node's kcompactd; who finds no block anywhere wakes all. */
UNIT_TEST(the_nodes_that_have_no_block_are_woken)
{
	struct page *near, *all;
	struct pglist_data *node;

	CHECK(own_enter(&(struct host_config){.ram = 128 * MB,
	                                      .frames = {.nr_nodes = 2, .numa_fake = true}}));
	node = machine()->node;
	atomic_store(&node[0].kcompactd_running, true);
	atomic_store(&node[1].kcompactd_running, true);
	near = take_blocks(GFP_NOWAIT | __GFP_THISNODE | __GFP_NOWARN);
	CHECK(near);
	CHECK_EQ(node[0].kcompactd_max_order, 0);
	CHECK_EQ(node[1].kcompactd_max_order, MAX_ORDER - 1);
	atomic_store(&node[1].kcompactd_max_order, 0);
	all = take_blocks(GFP_NOWAIT | __GFP_NOWARN);
	CHECK(all);
	CHECK_EQ(page_to_nid(all), 0);
	CHECK_EQ(node[0].kcompactd_max_order, MAX_ORDER - 1);
	CHECK_EQ(node[1].kcompactd_max_order, MAX_ORDER - 1);
	give_blocks(near);
	give_blocks(all);
	leave();
}

/* A request that is bound to a node compacts that one only. */
UNIT_TEST(compaction_stays_in_the_nodes_allowed)
{
	struct mempolicy policy = {.mode = MPOL_BIND, .nodes = 2};
	struct mm_struct *mm;
	struct page *page;

	CHECK(own_enter(&(struct host_config){.ram = 64 * MB,
	                                      .frames = {.nr_nodes = 2, .numa_fake = true}}));
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	CHECK_EQ(vm_map(mm, VM_PAGE(0), BOUND, RW, ANON), (int64_t)VM_PAGE(0));
	cpu_set_mempolicy(&policy);
	for (unsigned i = 0; i < BOUND; i++)
		CHECK_EQ(vm_write(mm, VM_PAGE(i), i), 0);
	CHECK_GT(zone_free_pages(&machine()->node[0].zones[ZONE_DMA32]), 3000);
	for (unsigned i = 0; i < BOUND; i += 2)
		CHECK_EQ(do_madvise(mm, VM_PAGE(i), PAGE_SIZE, MADV_DONTNEED), 0);
	drain_all_pages();
	for (unsigned n = 0; n < 3; n++) {
		page = alloc_pages(GFP_HIGHUSER_MOVABLE, 9);
		CHECK(page);
		CHECK_EQ(page_to_nid(page), 1);
		__free_pages(page, 9);
	}
	CHECK_GT(counter_read(COUNT_COMPACTSUCCESS), 0);
	cpu_set_mempolicy(NULL);
	for_each_zone(zone)
		if (zone->nid == 0)
			CHECK_EQ(zone->compact_cached_migrate_pfn | zone->compact_order_failed, 0);
	for (unsigned i = 1; i < BOUND; i += 2)
		CHECK_EQ(vm_get(mm, VM_PAGE(i)), i);
	mmput(mm);
	leave();
}
