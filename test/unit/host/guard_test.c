/*
 * guard_test.c - debug_guardpage_minorder: nobody gets the neighbours of a block that was split for somebody.
 */
#include "host/internal.h"
#include "lib/string.h"
#include "mm/frame/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <setjmp.h>

#define MB     (1ull << 20)
#define FRAMES 500u

static bool enter(const char *boot_words)
{
	return own_enter(&(struct host_config){.ram = 64 * MB, .boot_words = boot_words});
}

static void leave(void)
{
	CHECK_SOUND(mm_check());
	own_leave();
}

static bool is_guard(const struct page *page)
{
	return (page->flags & PAGE_FLAGS_GUARD) == PAGE_FLAGS_GUARD;
}

/* The other half of each block, up to the order, is a guard as a whole. */
static void check_beside(struct page *page, unsigned order, unsigned minorder)
{
	const uint32_t pfn = page_to_pfn(page).n;

	for (; order < minorder; order++) {
		const struct page *other =
		        pfn_to_page(PFN(ALIGN_DOWN(pfn, 1u << order) ^ 1u << order));

		CHECK(is_guard(other));
		CHECK_EQ(other->order, order);
		CHECK(!page_is_free(other));
	}
}

/* Blocks of the order, until the buddy has split large ones for them; what is left then of boot's small ones is taken first. */
static void guards_of(unsigned order, unsigned minorder)
{
	static struct page *taken[FRAMES];
	const uint64_t size = (uint64_t)1 << MAX(order, minorder);
	uint64_t free, before;

	drain_all_pages();
	before = nr_free_pages();
	for (unsigned i = 0; i < FRAMES / 2; i++)
		CHECK((taken[i] = alloc_pages(GFP_KERNEL, order)));
	drain_all_pages();
	free = nr_free_pages();
	for (unsigned i = FRAMES / 2; i < FRAMES; i++) {
		CHECK((taken[i] = alloc_pages(GFP_KERNEL, order)));
		check_beside(taken[i], order, minorder);
	}
	drain_all_pages();
	CHECK_EQ(free - nr_free_pages(), (FRAMES - FRAMES / 2) * size);
	CHECK_SOUND(frame_check());
	for (unsigned i = 0; i < FRAMES; i++)
		__free_pages(taken[i], order);
	drain_all_pages();
	CHECK_EQ(nr_free_pages(), before);
	CHECK_SOUND(frame_check());
}

UNIT_TEST(guards_beside_blocks)
{
	static const char *const words[] = {"", "debug_guardpage_minorder=1",
	                                    "debug_guardpage_minorder=2",
	                                    "debug_guardpage_minorder=3"};

	for (unsigned minorder = 0; minorder < ARRAY_SIZE(words); minorder++)
		for (unsigned order = 0; order < 3; order++) {
			CHECK(enter(words[minorder]));
			CHECK_EQ(machine()->guard_minorder, minorder);
			CHECK_CALL(guards_of(order, minorder));
			leave();
		}
	CHECK(enter("debug_guardpage_minorder=6"));
	CHECK_EQ(machine()->guard_minorder, 0);
	leave();
}

/* Nor does a list take more than the zone can spare, guards and all: the zone stays above its low mark. */
UNIT_TEST(lists_spare_guards)
{
	for (unsigned i = 0; i < 8; i++) {
		struct page *page;
		struct zone *zone;
		uint64_t floor;

		CHECK(enter("debug_guardpage_minorder=3"));
		CHECK(page = alloc_page(GFP_KERNEL));
		zone = page_zone(page);
		__free_page(page);
		drain_all_pages();
		while (grow_zone(zone))
			;
		floor = zone_free(zone) - (8 << 3) - i; /* room for 8 frames with their guards */
		zone->watermark[WMARK_LOW] = floor - zone->lowmem_reserve[ZONE_NORMAL];
		CHECK(page = alloc_page(GFP_KERNEL));
		CHECK_EQ(page_zone(page), zone);
		CHECK_EQ(zone_pcp_pages_of(zone, cpu_id()), 7);
		CHECK_GE(zone_free(zone), floor);
		__free_page(page);
		setup_per_zone_wmarks();
		leave();
	}
}

static jmp_buf out;
static char said[256];

static void note(const char *message)
{
	strscpy(said, message, sizeof(said));
	longjmp(out, 1);
}

/* One byte too many; nobody is harmed, and it shows when the block is freed. */
UNIT_TEST(who_writes_into_a_guard)
{
	struct page *page = NULL;
	char *end;

	CHECK(enter("debug_guardpage_minorder=1 page_poison=1"));
	/* The frame is the lower half; what is left of boot's small blocks goes first. */
	do
		page = alloc_page(GFP_KERNEL);
	while (page && !is_guard(page + 1));
	CHECK(page);
	end = (char *)page_address(page) + PAGE_SIZE;
	*end = 'x';
	said[0] = '\0';
	host_panic_hook = note;
	if (!setjmp(out)) {
		__free_page(page);
		drain_all_pages();
	}
	host_panic_hook = NULL;
	CHECK(strstr(said, "written to while free"));
	CHECK(strstr(said, "mapcount 0"));
	own_leave();
}

/* Poison that is switched on later fills the guards that there are, too: nothing was written to them. */
UNIT_TEST(poison_on_while_there_are_guards)
{
	static struct page *taken[FRAMES];

	CHECK(enter("debug_guardpage_minorder=3"));
	for (unsigned i = 0; i < FRAMES; i++)
		CHECK((taken[i] = alloc_pages(GFP_KERNEL, i % 3)));
	CHECK_GT(nr_unused_pages(), nr_free_pages());
	check_poison(true);
	for (unsigned i = 0; i < FRAMES; i++)
		__free_pages(taken[i], i % 3);
	drain_all_pages();
	check_poison(false);
	leave();
}
