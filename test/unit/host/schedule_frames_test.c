/*
 * schedule_frames_test.c - frames, objects and kernel addresses, under many schedules.
 *
 * Whatever is given out carries the name of its owner, so that what two have at once shows.
 */
#include "test/unit/host/explore.h"
#include "lib/string.h"

#include <quire/check.h>
#include <quire/kva.h>
#include <quire/slab.h>

#define SLOTS 12u

static _Atomic(void *) slot[SLOTS];

static void sign(void *at, uint64_t name)
{
	((volatile uint64_t *)at)[0] = name;
}

static void check_sign(void *at, uint64_t name)
{
	CHECK_EQ(((volatile uint64_t *)at)[0], name);
}

/* --- single frames and blocks: kept for a while, given back here or by another CPU ------------------------- */

static unsigned slot_order(unsigned i)
{
	return i % 3 ? 0 : i / 3 % 3;
}

static void trade_frame(unsigned cpu)
{
	unsigned i = explore_random(cpu, SLOTS), order = slot_order(i);
	struct page *page = atomic_exchange(&slot[i], NULL);

	if (page) {
		CHECK_CALL(check_sign(page_address(page), i));
		__free_pages(page, order);
		return;
	}
	page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
	if (!page)
		return;
	sign(page_address(page), i);
	page = atomic_exchange(&slot[i], page);
	if (page)
		__free_pages(page, order);
}

static void trade_frames(unsigned cpu)
{
	for (unsigned n = 0; n < 60; n++)
		CHECK_CALL(trade_frame(cpu));
}

static void drain_and_trade(unsigned cpu)
{
	for (unsigned n = 0; n < 6; n++) {
		drain_all_pages();
		for (unsigned k = 0; k < 5; k++)
			CHECK_CALL(trade_frame(cpu));
	}
}

static void give_frames_back(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct page *page = atomic_exchange(&slot[i], NULL);

		if (page)
			__free_pages(page, slot_order(i));
	}
}

const struct scenario scenario_frames = {
        .cpu = {trade_frames, trade_frames, trade_frames, trade_frames}, .end = give_frames_back};

/* --- blocks with two references: whoever drops the last one frees the whole, and only he ------------------------- */

/* One reference goes into the slot, for anybody to drop, and the other at the same time. */
static void share_block(unsigned cpu)
{
	for (unsigned n = 0; n < 40; n++) {
		const unsigned i = explore_random(cpu, 2);
		struct page *page = atomic_exchange(&slot[i], NULL), *other;

		if (page) {
			__free_pages(page, 2);
			continue;
		}
		page = alloc_pages(GFP_KERNEL | __GFP_COMP, 2);
		CHECK(page);
		get_page(page);
		other = atomic_exchange(&slot[i], page);
		if (other)
			__free_pages(other, 2);
		__free_pages(page, 2);
	}
}

static void give_shares_back(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct page *page = atomic_exchange(&slot[i], NULL);

		if (page)
			__free_pages(page, 2);
	}
}

const struct scenario scenario_shared_blocks = {.cpu = {share_block, share_block, share_block},
                                                .end = give_shares_back};

UNIT_TEST(shared_blocks)
{
	explore(&scenario_shared_blocks, 40);
}

/* Lists that are drained while they are used: by calls, and one drain against another. */
const struct scenario scenario_drain = {
        .cpu = {drain_and_trade, trade_frames, drain_and_trade, trade_frames},
        .end = give_frames_back};

UNIT_TEST(frames)
{
	explore(&scenario_frames, 60);
}

UNIT_TEST(draining)
{
	explore(&scenario_drain, 60);
}

/* --- the last frames: who may wait gets what another CPU keeps, even if that is at its list just then -------------- */

#define FEW 3u

static _Atomic bool filled, failed;

static void come_and_go(UNUSED unsigned cpu)
{
	struct page *page[2 * FEW];

	for (unsigned i = 0; i < 2 * FEW; i++)
		page[i] = alloc_page(GFP_KERNEL);
	for (unsigned i = 0; i < 2 * FEW; i++)
		__free_page(page[i]);
	atomic_store(&filled, true);
	while (!atomic_load(&failed)) {
		for (unsigned i = 0; i < FEW; i++)
			page[i] = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
		for (unsigned i = 0; i < FEW; i++)
			if (page[i])
				__free_page(page[i]);
		cpu_relax();
	}
}

static uint64_t kept_by(unsigned cpu)
{
	uint64_t pages = 0;

	for_each_zone(zone)
		pages += zone_pcp_pages_of(zone, cpu);
	return pages;
}

static void take_all(UNUSED unsigned cpu)
{
	uint32_t chain = PFN_NONE_N;
	struct page *page;
	uint64_t kept;

	while (!atomic_load(&filled))
		cpu_relax();
	while ((page = alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN))) {
		page->lru.next = chain;
		chain = page_to_pfn(page).n;
	}
	kept = kept_by(1);
	atomic_store(&failed, true);
	while (chain != PFN_NONE_N) {
		page = pfn_to_page(PFN(chain));
		chain = page->lru.next;
		__free_page(page);
	}
	CHECK_LE(kept, FEW); /* what it has taken from the reserve since */
}

static void begin_last_frames(void)
{
	atomic_store(&filled, false);
	atomic_store(&failed, false);
}

const struct scenario scenario_last_frames = {.begin = begin_last_frames,
                                              .cpu = {take_all, come_and_go}};

UNIT_TEST(last_frames)
{
	explore(&scenario_last_frames, 40);
}

/* Blocks until there are none: the last ones, and what comes back, go to one CPU each. */
static void take_blocks(unsigned cpu)
{
	struct page *mine[64];
	unsigned n = 0;

	for (unsigned order = 6; order > 3; order--) {
		while (n < ARRAY_SIZE(mine) &&
		       (mine[n] = alloc_pages(GFP_KERNEL | __GFP_NOWARN | __GFP_COMP, order)))
			sign(page_address(mine[n++]), cpu);
		for (; n; n--) {
			CHECK_CALL(check_sign(page_address(mine[n - 1]), cpu));
			put_page(mine[n - 1]);
		}
	}
}

const struct scenario scenario_blocks = {.cpu = {take_blocks, take_blocks, take_blocks}};

UNIT_TEST(all_blocks)
{
	explore(&scenario_blocks, 40);
}

/* --- pages on the policy's lists: added here, taken off by whoever drops the last reference ------------------ */

static void trade_pages(unsigned cpu)
{
	for (unsigned n = 0; n < 60; n++) {
		unsigned i = explore_random(cpu, SLOTS);
		struct page *page = alloc_page(GFP_KERNEL);

		CHECK(page);
		sign(page_address(page), i);
		__page_set_flags(page, 1u << PG_swapbacked);
		lru_cache_add(page);
		mark_page_accessed(page);
		page = atomic_exchange(&slot[i], page);
		if (!page)
			continue;
		mark_page_accessed(page);
		mark_page_accessed(page);
		CHECK_CALL(check_sign(page_address(page), i));
		put_page(page);
	}
}

static void give_pages_back(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct page *page = atomic_exchange(&slot[i], NULL);

		if (page)
			put_page(page);
	}
}

const struct scenario scenario_lists = {.cpu = {trade_pages, trade_pages, trade_pages},
                                        .end = give_pages_back};

UNIT_TEST(lists_of_pages)
{
	explore(&scenario_lists, 60);
}

/* --- interrupts: they allocate and free on top of whatever is going on --------------------------------------- */

static void allocate_in_interrupt(void)
{
	struct page *page = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
	uint64_t *object = kmalloc(64, GFP_ATOMIC | __GFP_NOWARN);

	if (page)
		sign(page_address(page), 77);
	if (object)
		sign(object, 78);
	if (page)
		CHECK_CALL(check_sign(page_address(page), 77));
	if (object)
		CHECK_CALL(check_sign(object, 78));
	if (page)
		__free_page(page);
	kfree(object);
}

static void trade_kmalloc(unsigned cpu)
{
	for (unsigned n = 0; n < 40; n++) {
		void *p = kmalloc(64, GFP_KERNEL);

		CHECK(p);
		sign(p, cpu);
		CHECK_CALL(trade_frame(cpu));
		CHECK_CALL(check_sign(p, cpu));
		kfree(p);
	}
}

const struct scenario scenario_interrupts = {.cpu = {trade_kmalloc, trade_kmalloc, drain_and_trade},
                                             .end = give_frames_back,
                                             .interrupt = allocate_in_interrupt};

UNIT_TEST(interrupts)
{
	explore(&scenario_interrupts, 60);
}

/* --- objects: made here, freed there, while the cache shrinks -------------------------------------------------- */

#define OBJECTS 32u

static _Atomic(void *) object_slot[OBJECTS];
static struct kmem_cache *cache;

/* Few to a slab: CPUs cannot keep all the slabs to themselves. */
static void make_cache(void)
{
	cache = kmem_cache_create("schedule", 4000, 0, 0, NULL);
	CHECK(cache);
}

static void make_small_cache(void)
{
	cache = kmem_cache_create("schedule", 640, 0, 0, NULL);
	CHECK(cache);
}

static void end_cache(void)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		void *object = atomic_exchange(&object_slot[i], NULL);

		if (object)
			kmem_cache_free(cache, object);
	}
	CHECK_EQ(kmem_cache_destroy(cache), 0);
}

static void trade_objects_times(unsigned cpu, unsigned times)
{
	for (unsigned n = 0; n < times; n++) {
		unsigned i = explore_random(cpu, OBJECTS);
		void *object = atomic_exchange(&object_slot[i], NULL);

		if (object) {
			CHECK_CALL(check_sign(object, i));
			kmem_cache_free(cache, object);
			continue;
		}
		object = kmem_cache_alloc(cache, GFP_KERNEL);
		CHECK(object);
		sign(object, i);
		object = atomic_exchange(&object_slot[i], object);
		if (object)
			kmem_cache_free(cache, object);
	}
}

static void trade_objects(unsigned cpu)
{
	trade_objects_times(cpu, 60);
}

static void make_only(unsigned cpu)
{
	for (unsigned n = 0; n < 60; n++) {
		unsigned i = explore_random(cpu, OBJECTS);
		void *object = kmem_cache_alloc(cache, GFP_KERNEL);

		CHECK(object);
		sign(object, i);
		object = atomic_exchange(&object_slot[i], object);
		if (object)
			kmem_cache_free(cache, object);
	}
}

static void free_only(unsigned cpu)
{
	for (unsigned n = 0; n < 90; n++) {
		unsigned i = explore_random(cpu, OBJECTS);
		void *object = atomic_exchange(&object_slot[i], NULL);

		if (!object)
			continue;
		CHECK_CALL(check_sign(object, i));
		kmem_cache_free(cache, object);
	}
}

static void shrink_now_and_then(unsigned cpu)
{
	for (unsigned n = 0; n < 12; n++) {
		kmem_cache_shrink(cache);
		for (unsigned k = explore_random(cpu, 20); k; k--)
			host_point();
	}
}

static void kmalloc_and_kfree(unsigned cpu)
{
	void *kept = NULL;

	for (unsigned n = 0; n < 60; n++) {
		void *p = kmalloc(8 + explore_random(cpu, 900), GFP_KERNEL);

		CHECK(p);
		sign(p, cpu);
		kfree(kept);
		CHECK_CALL(check_sign(p, cpu));
		kept = p;
	}
	kfree(kept);
}

/* What the reaper's thread does, and more often. */
static void reap_now_and_then(unsigned cpu)
{
	for (unsigned n = 0; n < 12; n++) {
		slab_reap();
		trade_objects_times(cpu, explore_random(cpu, 8));
	}
}

/* Caches of one kind come, join and go, while others use them and the reaper comes by. */
static void make_and_end_caches(unsigned cpu)
{
	for (unsigned n = 0; n < 8; n++) {
		struct kmem_cache *s = kmem_cache_create("life", 104 - cpu, 0, 0, NULL);
		void *objects[24];

		CHECK(s);
		for (unsigned i = 0; i < ARRAY_SIZE(objects); i++) {
			objects[i] = kmem_cache_alloc(s, GFP_KERNEL);
			CHECK(objects[i]);
			sign(objects[i], cpu);
		}
		for (unsigned i = 0; i < ARRAY_SIZE(objects); i++) {
			CHECK_CALL(check_sign(objects[i], cpu));
			kmem_cache_free(s, objects[i]);
		}
		CHECK_EQ(kmem_cache_destroy(s), 0);
	}
}

/* A machine of this size has no arrays, unless it is told to. Small ones visit the slabs often. */
#define ARRAYS "slab_arrays=4"

const struct scenario scenario_objects = {.begin = make_cache,
                                          .cpu = {trade_objects, trade_objects, trade_objects},
                                          .end = end_cache};
const struct scenario scenario_arrays = {
        .begin = make_cache,
        .cpu = {trade_objects, make_only, free_only, reap_now_and_then},
        .end = end_cache,
        .boot_words = ARRAYS};
const struct scenario scenario_slab = {
        .begin = make_cache,
        .cpu = {trade_objects, make_only, free_only, reap_now_and_then},
        .end = end_cache,
        .boot_words = "slab=slab " ARRAYS};
const struct scenario scenario_slob = {
        .begin = make_small_cache,
        .cpu = {trade_objects, kmalloc_and_kfree, trade_objects, kmalloc_and_kfree},
        .end = end_cache,
        .boot_words = "slab=slob"};
const struct scenario scenario_shrink = {
        .begin = make_cache,
        .cpu = {shrink_now_and_then, make_only, free_only, trade_objects},
        .end = end_cache};

const struct scenario scenario_caches = {
        .begin = make_cache,
        .cpu = {make_and_end_caches, reap_now_and_then, make_and_end_caches, reap_now_and_then},
        .end = end_cache,
        .boot_words = ARRAYS};

UNIT_TEST(caches_come_and_go)
{
	explore(&scenario_caches, 60);
}

UNIT_TEST(objects)
{
	explore(&scenario_objects, 60);
}

UNIT_TEST(objects_in_arrays)
{
	explore(&scenario_arrays, 60);
}

UNIT_TEST(objects_of_slab)
{
	explore(&scenario_slab, 60);
}

UNIT_TEST(objects_of_slob)
{
	explore(&scenario_slob, 60);
}

UNIT_TEST(objects_while_shrinking)
{
	explore(&scenario_shrink, 60);
}

/* --- kernel addresses ---------------------------------------------------------------------------------------------- */

static void map_and_unmap(unsigned cpu)
{
	for (unsigned n = 0; n < 6; n++) {
		size_t pages = 1 + explore_random(cpu, 3);
		char *p = vmalloc(pages * PAGE_SIZE);

		if (!p)
			continue;
		for (size_t i = 0; i < pages; i++)
			sign(p + i * PAGE_SIZE, cpu * 100 + i);
		host_point();
		for (size_t i = 0; i < pages; i++)
			CHECK_CALL(check_sign(p + i * PAGE_SIZE, cpu * 100 + i));
		vfree(p);
		if (n == 3)
			vm_unmap_aliases();
	}
}

const struct scenario scenario_addresses = {.cpu = {map_and_unmap, map_and_unmap, map_and_unmap}};

UNIT_TEST(addresses)
{
	explore(&scenario_addresses, 30);
}
