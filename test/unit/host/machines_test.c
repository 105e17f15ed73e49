/*
 * machines_test.c - machines of many sizes: zones, watermarks, holes, and every frame found again.
 */
#include "host/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/mm/space/vm.h"

#include <quire/check.h>
#include <quire/migrate.h>
#include <quire/slab.h>
#include <quire/trace.h>

#define MB (1ull << 20)
#define GB (1ull << 30)

static const struct zone *zone(enum zone_type type)
{
	return &machine()->node[0].zones[type];
}

/* Take all there is, the reserve too; nothing is lost. */
static void take_everything(void)
{
	uint64_t free = nr_free_pages(), n = 0;
	uint32_t first = PFN_NONE_N;
	struct page *page;

	while ((page = alloc_page(GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN))) {
		page->lru.next = first;
		first = page_to_pfn(page).n;
		n++;
	}
	CHECK_EQ(n, free);
	while (first != PFN_NONE_N) {
		page = pfn_to_page(PFN(first));
		first = page->lru.next;
		__free_page(page);
	}
	CHECK_EQ(nr_free_pages(), free);
	drain_local_pages();
	CHECK_SOUND(mm_check());
}

static void check_size(uint64_t mb)
{
	struct quire_frames f;
	uint64_t min = 0;

	CHECK(own_enter(&(struct host_config){.ram = mb * MB}));
	frame_report(&f);
	CHECK_EQ(f.present, mb * MB / PAGE_SIZE);
	CHECK_EQ(f.reserved, 2); /* frame 0, and the types of the page blocks */
	CHECK_EQ(zone(ZONE_DMA)->present, MIN(mb, 16) * MB / PAGE_SIZE);
	CHECK_EQ(zone(ZONE_DMA32)->present, (mb - MIN(mb, 16)) * MB / PAGE_SIZE);
	for_each_zone(z)
		min += z->watermark[WMARK_MIN];
	CHECK_LE(min, f.present / 32); /* the reserve leaves room to work */
	CHECK_GT(min, 0);
	CHECK_CALL(take_everything());
	own_leave();
}

UNIT_TEST(small_machines)
{
	static const uint64_t mb[] = {2, 3, 4, 8, 15, 16, 17, 24, 33};

	for (unsigned i = 0; i < ARRAY_SIZE(mb); i++)
		CHECK_CALL(check_size(mb[i]));
}

/* 64 MB: Linux 6.1 gives 1024 KB; 256 frames less rounding. */
UNIT_TEST(watermarks_of_64_mb)
{
	CHECK(own_enter(&(struct host_config){.ram = 64 * MB}));
	CHECK_GE(machine()->min_free_kbytes, 1020);
	CHECK_LE(machine()->min_free_kbytes, 1024);
	CHECK_EQ(zone(ZONE_DMA)->lowmem_reserve[ZONE_DMA], 0);
	CHECK_EQ(zone(ZONE_DMA)->lowmem_reserve[ZONE_NORMAL], zone(ZONE_DMA32)->managed / 256);
	own_leave();
}

/* 3 GB, a hole of 1 GB, 1 GB above 4 GB: three zones, tried from the top. */
UNIT_TEST(memory_above_4_gb)
{
	struct page *page, *dma32;

	CHECK(own_enter(
	        &(struct host_config){.ram = 4 * GB, .hole_start = 3 * GB, .hole_end = 4 * GB}));
	CHECK_EQ(zone(ZONE_NORMAL)->present, GB / PAGE_SIZE);
	CHECK_EQ(zone(ZONE_DMA32)->present, (3 * GB - 16 * MB) / PAGE_SIZE);
	page = alloc_page(GFP_KERNEL);
	dma32 = alloc_page(GFP_KERNEL | GFP_DMA32);
	CHECK(page && dma32);
	CHECK_EQ(page_zone_id(page), ZONE_NORMAL);
	CHECK_EQ(page_zone_id(dma32), ZONE_DMA32);
	__free_page(page);
	__free_page(dma32);
	CHECK(pfn_online(3 * GB / PAGE_SIZE - 1) || zone(ZONE_DMA32)->deferred);
	for (uint64_t pfn = 3 * GB / PAGE_SIZE; pfn < 4 * GB / PAGE_SIZE; pfn++)
		CHECK(!pfn_online(pfn)); /* no descriptors for a hole */
	CHECK_SOUND(mm_check());
	own_leave();
}

UNIT_TEST(reserved_memory_comes_back)
{
	uint64_t free;

	CHECK(own_enter(&(struct host_config){.ram = 32 * MB, .trace_size = 2 * MB}));
	machine()->trace_on = false;
	free = nr_free_pages();
	free_reserved_area(PHYS(30 * MB + 1), PHYS(32 * MB)); /* the first page only in part */
	CHECK_EQ(nr_free_pages(), free + 2 * MB / PAGE_SIZE - 1);
	CHECK_EQ(machine()->reserved_pages, 3);
	CHECK_SOUND(mm_check());
	own_leave();
}

/* A CPU whose first allocation is a block, not a single frame. */
static void check_first_block(void)
{
	uint64_t before, other = counter_read(COUNT_PGALLOC_DMA);
	struct page *page;

	host_enter(own, 1);
	before = counter_read(COUNT_PGALLOC_DMA32);
	CHECK(!this_cpu()->pcp_ready);
	page = alloc_pages(GFP_KERNEL, 3);
	CHECK(page);
	CHECK_EQ(counter_read(COUNT_PGALLOC_DMA32), before + 8);
	CHECK_EQ(counter_read(COUNT_PGALLOC_DMA), other);
	__free_pages(page, 3);
}

UNIT_TEST(a_first_block_is_counted_for_its_zone)
{
	CHECK(own_enter(&(struct host_config){.ram = 64 * MB, .cpus = 2}));
	check_first_block();
	own_leave();
}

UNIT_TEST(too_many_cpus)
{
	CHECK(!own_enter(&(struct host_config){.ram = 64 * MB, .cpus = QUIRE_MAX_CPUS + 1}));
	own_leave();
}

static NOINLINE struct page *somebody_allocates(unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_RECLAIMABLE, order);

	__asm__ volatile("" : : : "memory"); /* no tail call: the caller is this function */
	return page;
}

/* Who has a frame, since when, for what; and who had it. */
UNIT_TEST(owners_are_known)
{
	const uintptr_t start = (uintptr_t)somebody_allocates;
	struct page_owner owner, later;
	struct page *page;

	CHECK(own_enter(&(struct host_config){.ram = 16 * MB, .boot_words = "page_owner=on"}));
	page = somebody_allocates(2);
	CHECK(page_owner_read(page_to_pfn(page + 3), &owner));
	CHECK_EQ(owner.order, 2);
	CHECK_EQ(owner.gfp, GFP_KERNEL | __GFP_RECLAIMABLE);
	CHECK_EQ(owner.pid, current_pid());
	CHECK_GT(owner.ts_ns, 0);
	CHECK_GT(owner.caller, start);
	CHECK_LT(owner.caller, start + 512);
	__free_pages(page, 2);
	CHECK(page_owner_read(page_to_pfn(page + 3), &later));
	CHECK_EQ(later.caller, owner.caller);
	CHECK_GE(later.free_ts_ns, owner.ts_ns);
	CHECK_EQ(later.free_pid, current_pid());
	CHECK_SOUND(mm_check());
	own_leave();
	/* Where nobody asked for it, there is none. */
	CHECK(own_enter(&(struct host_config){.ram = 4 * MB}));
	CHECK(!page_owner_read(PFN(100), &owner));
	own_leave();
}

/* A page that moves to another frame is still his who asked for it. */
UNIT_TEST(owners_move_with_pages)
{
	struct page_owner before, after;
	struct mm_struct *mm;
	struct page *old, *dst;

	CHECK(own_enter(&(struct host_config){.ram = 16 * MB, .boot_words = "page_owner=on"}));
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	vm_map(mm, VM_PAGE(0), 1, RW, ANON);
	CHECK_EQ(get_user_page(mm, VM_PAGE(0), FAULT_WRITE, &old), 0);
	dst = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_COLD);
	CHECK(page_owner_read(page_to_pfn(old), &before));
	CHECK_EQ(migrate_page(old, dst, MIGRATE_SYNC), 0);
	CHECK(page_owner_read(page_to_pfn(dst), &after));
	CHECK_EQ(after.caller, before.caller);
	CHECK_EQ(after.ts_ns, before.ts_ns);
	CHECK_EQ(after.gfp, before.gfp);
	mmput(mm);
	CHECK_SOUND(mm_check());
	own_leave();
}
