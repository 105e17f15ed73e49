/*
 * compaction_rules_test.c - whether compaction begins, where, and what it leaves alone: one rule at a time, on a machine of
 * 32 MB that is full of a program's pages, every other one of which has gone.
 */
#include "host/internal.h"
#include "mm/frame/compaction.h"
#include "test/unit/mm/space/vm.h"

#include <quire/migrate.h>

#define MB    (1ull << 20)
#define PAGES 6000u

static struct host_machine *before, *own;
static struct mm_struct *mm;
static uint64_t frames;

static struct page *page_of(unsigned i)
{
	pte_t *pte = pt_lookup(&mm->space, VM_PAGE(i));

	return pte && pte_present(pte_read(pte)) ? pfn_to_page(pte_pfn(pte_read(pte))) : NULL;
}

static void begin(void)
{
	before = host_of(machine());
	own = host_create(&(struct host_config){.ram = 32 * MB, .seed = unit_seed()});
	CHECK(own);
	frames = vm_baseline();
	mm = mm_alloc(VM_TOP);
	CHECK(mm);
	CHECK_EQ(vm_map(mm, VM_PAGE(0), PAGES, RW, ANON), (int64_t)VM_PAGE(0));
	for (unsigned i = 0; i < PAGES; i++)
		CHECK_EQ(vm_write(mm, VM_PAGE(i), i), 0);
	for (unsigned i = 1; i < PAGES; i += 2)
		CHECK_EQ(do_madvise(mm, VM_PAGE(i), PAGE_SIZE, MADV_DONTNEED), 0);
	drain_all_pages();
}

static void end(void)
{
	for (unsigned i = 0; i < PAGES; i += 2)
		CHECK_EQ(vm_get(mm, VM_PAGE(i)), i);
	mmput(mm);
	CHECK_EQ(vm_free_frames(), frames);
	CHECK_SOUND(mm_check());
	host_destroy(own);
	host_enter(before, 0);
}

static struct zone *zone_of_pages(void)
{
	return &machine()->node[0].zones[page_zone_id(page_of(0))];
}

static struct compact_control run(unsigned order, enum migrate_mode mode)
{
	struct compact_control cc = {
	        .zone = zone_of_pages(), .order = order, .type = MIGRATE_MOVABLE, .mode = mode};

	(void)compact_zone(&cc);
	return cc;
}

/* --- what is left alone --------------------------------------------------------------------------- */

static struct page *was[PAGES];
static unsigned moved[2]; /* pages that moved, of those that are marked and of the others */

static bool marked(unsigned i)
{
	return i % 8 == 0;
}

static void note_places(void)
{
	for (unsigned i = 0; i < PAGES; i += 2)
		was[i] = page_of(i);
}

static void count_moved(void)
{
	moved[0] = moved[1] = 0;
	for (unsigned i = 0; i < PAGES; i += 2)
		moved[!marked(i)] += page_of(i) != was[i];
}

static void mark(enum pageflags flag, bool on)
{
	for (unsigned i = 0; i < PAGES; i++)
		if (marked(i) && on)
			page_set_flag(page_of(i), flag);
		else if (marked(i))
			page_clear_flag(page_of(i), flag);
}

/* Who may not wait leaves a locked page; one under write-back nobody even picks out. */
UNIT_TEST(locked_pages_stay)
{
	CHECK_CALL(begin());
	note_places();
	mark(PG_locked, true);
	(void)run(COMPACT_WHOLE, MIGRATE_ASYNC);
	(void)run(COMPACT_WHOLE, MIGRATE_SYNC_LIGHT);
	count_moved();
	CHECK_EQ(moved[0], 0);
	CHECK_GT(moved[1], 100);
	mark(PG_locked, false);
	CHECK_CALL(end());
}

UNIT_TEST(pages_under_writeback_stay)
{
	CHECK_CALL(begin());
	note_places();
	mark(PG_writeback, true);
	(void)run(COMPACT_WHOLE, MIGRATE_SYNC);
	count_moved();
	CHECK_EQ(moved[0], 0);
	CHECK_GT(moved[1], 100);
	/* None was tried; the last cluster found no room. */
	CHECK_LT(counter_read(COUNT_PGMIGRATE_FAIL), COMPACT_CLUSTER_MAX);
	mark(PG_writeback, false);
	CHECK_CALL(end());
}

/* Nor one that somebody has in hand, who may look at it any time. */
UNIT_TEST(pages_in_hand_stay)
{
	CHECK_CALL(begin());
	note_places();
	for (unsigned i = 0; i < PAGES; i++)
		if (marked(i))
			get_page(page_of(i));
	(void)run(COMPACT_WHOLE, MIGRATE_SYNC);
	count_moved();
	CHECK_EQ(moved[0], 0);
	CHECK_GT(moved[1], 100);
	CHECK_LT(counter_read(COUNT_PGMIGRATE_FAIL), COMPACT_CLUSTER_MAX);
	for (unsigned i = 0; i < PAGES; i++)
		if (marked(i))
			put_page(page_of(i));
	CHECK_CALL(end());
}

/* --- where ----------------------------------------------------------------------------------------- */

static void set_types(struct zone *zone, uint32_t start, uint32_t stop, unsigned type)
{
	for (uint32_t pfn = ALIGN_DOWN(start, pageblock_nr_pages); pfn < stop;
	     pfn += pageblock_nr_pages)
		if (pfn >= zone->start.n)
			set_pageblock_migratetype(pfn, type);
}

static unsigned pages_between(uint32_t start, uint32_t stop)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PAGES; i += 2) {
		const uint32_t pfn = page_to_pfn(page_of(i)).n;

		n += pfn >= start && pfn < stop;
	}
	return n;
}

/* The lowest two blocks and the upper half of memory are another type's: which pages does a run take, and where to? */
static void run_with_other_types(enum migrate_mode mode, bool takes)
{
	struct zone *zone;
	uint32_t low, part, middle, high;
	unsigned below, above;

	CHECK_CALL(begin());
	zone = zone_of_pages();
	low = zone->start.n;
	part = low + 2 * pageblock_nr_pages;
	high = (uint32_t)(low + zone->spanned);
	middle = ALIGN_DOWN((low + high) / 2, pageblock_nr_pages);
	set_types(zone, low, part, MIGRATE_UNMOVABLE);
	set_types(zone, middle, high, MIGRATE_UNMOVABLE);
	below = pages_between(low, part);
	above = pages_between(middle, high);
	CHECK_GT(below, 100);
	CHECK_GT(above, 100);
	(void)run(COMPACT_WHOLE, mode);
	CHECK_EQ(pages_between(low, part) < below, takes);
	CHECK_EQ(pages_between(middle, high), above);
	set_types(zone, low, high, MIGRATE_MOVABLE);
	CHECK_CALL(end());
}

/* Pages go to blocks that are for movable ones; and who must not wait long takes them from such blocks only. */
UNIT_TEST(blocks_of_other_types)
{
	CHECK_CALL(run_with_other_types(MIGRATE_ASYNC, false));
	CHECK_CALL(run_with_other_types(MIGRATE_SYNC_LIGHT, true));
}

/* A run that ends with what it was asked for leaves its place to the next; one that met its other end does not. */
UNIT_TEST(the_next_run_goes_on_from_there)
{
	const gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN | __GFP_HIGHMEM | __GFP_MOVABLE;
	static struct page *blocks[(32 * MB) >> PAGE_SHIFT >> 5];
	struct compact_control second;
	struct zone *zone;
	unsigned n = 0;
	uint32_t place;

	CHECK_CALL(begin());
	zone = zone_of_pages();
	while ((blocks[n] = alloc_pages(gfp, 5)))
		n++;
	CHECK(run(5, MIGRATE_SYNC_LIGHT).whole_zone);
	place = zone->compact_cached_migrate_pfn;
	CHECK_GT(place, zone->start.n);
	while ((blocks[n] = alloc_pages(gfp, 5)))
		n++;
	second = run(5, MIGRATE_SYNC_LIGHT);
	CHECK_GT(second.total_migrate_scanned, 0);
	CHECK(!second.whole_zone);
	CHECK_GE(zone->compact_cached_migrate_pfn, place);
	CHECK(run(COMPACT_WHOLE, MIGRATE_SYNC_LIGHT).whole_zone);
	CHECK_EQ(zone->compact_cached_migrate_pfn, 0);
	while (n)
		__free_pages(blocks[--n], 5);
	CHECK_CALL(end());
}

/* --- whether --------------------------------------------------------------------------------------- */

/* Single frames only, plenty of them: fragmentation index 1000 - (1000 + 1000 * frames / 2^order) / blocks. */
static void make_scattered(struct zone *zone, unsigned singles)
{
	*zone = (struct zone){.nr_free = singles, .type_orders = {1}};
	zone->free_area[0].free_list[MIGRATE_UNMOVABLE].count = singles;
}

/* Above the threshold it is fragmentation; below, memory is short, and moving it about is no help. */
UNIT_TEST(the_threshold_of_the_index)
{
	const unsigned saved = machine()->sysctl_extfrag_threshold;
	static struct zone zone;
	int index;

	make_scattered(&zone, 4000);
	index = fragmentation_index(&zone, 6);
	CHECK_GT(index, 500);
	CHECK_LT(index, 1000);
	machine()->sysctl_extfrag_threshold = (unsigned)index - 1;
	CHECK_EQ(compaction_suitable(&zone, 6, ZONE_NORMAL), COMPACT_CONTINUE);
	machine()->sysctl_extfrag_threshold = (unsigned)index;
	CHECK_EQ(compaction_suitable(&zone, 6, ZONE_NORMAL), COMPACT_SKIPPED);
	/* Orders that are not costly are tried in any case. */
	machine()->sysctl_extfrag_threshold = 1000;
	CHECK_EQ(compaction_suitable(&zone, 3, ZONE_NORMAL), COMPACT_CONTINUE);
	machine()->sysctl_extfrag_threshold = saved;
}

/* After the n-th failure in a row 2^n - 1 requests are turned away, of that order and above. */
UNIT_TEST(failures_put_off_the_next)
{
	static struct zone zone;

	zone = (struct zone){.compact_order_failed = MAX_ORDER};
	for (unsigned n = 1; n < 8; n++) {
		defer_compaction(&zone, 5);
		CHECK(!compaction_deferred(&zone, 4));
		for (unsigned i = 1; i < 1u << MIN(n, 6u); i++)
			CHECK(compaction_deferred(&zone, 5 + i % 3));
		CHECK(!compaction_deferred(&zone, 5));
	}
	compaction_defer_reset(&zone, 5, true);
	CHECK(!compaction_deferred(&zone, 5));
}
