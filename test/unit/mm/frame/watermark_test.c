/*
 * watermark_test.c - reserves and marks, to the page, as Linux 6.1 computes them.
 */
#include "mm/frame/internal.h"
#include "test/unit/unit.h"

struct tunables {
	uint64_t min_free_kbytes;
	unsigned scale, ratio[MAX_NR_ZONES];
};

static struct tunables save_tunables(void)
{
	struct machine *m = machine();
	struct tunables t = {m->min_free_kbytes, m->watermark_scale_factor, {0}};

	for (unsigned i = 0; i < MAX_NR_ZONES; i++)
		t.ratio[i] = m->lowmem_reserve_ratio[i];
	return t;
}

static void restore_tunables(const struct tunables *t)
{
	struct machine *m = machine();

	m->min_free_kbytes = t->min_free_kbytes;
	m->watermark_scale_factor = t->scale;
	for (unsigned i = 0; i < MAX_NR_ZONES; i++)
		m->lowmem_reserve_ratio[i] = t->ratio[i];
	setup_per_zone_wmarks();
	setup_per_zone_lowmem_reserve();
}

static void check_marks(uint64_t kbytes, unsigned scale)
{
	uint64_t lowmem = 0;

	machine()->min_free_kbytes = kbytes;
	machine()->watermark_scale_factor = scale;
	setup_per_zone_wmarks();
	for_each_zone(z)
		lowmem += z->id == ZONE_HIGHMEM ? 0 : z->managed;
	for_each_zone(z) {
		uint64_t min = kbytes / 4 * z->managed / lowmem;
		uint64_t step = MAX(min / 4, z->managed * scale / 10000);

		if (z->id == ZONE_HIGHMEM)
			continue;
		CHECK_EQ(z->watermark[WMARK_MIN], min);
		CHECK_EQ(z->watermark[WMARK_LOW], min + step);
		CHECK_EQ(z->watermark[WMARK_HIGH], min + 2 * step);
		CHECK_EQ(z->watermark[WMARK_PROMO], min + 3 * step);
	}
}

UNIT_TEST(marks_follow_the_tunables)
{
	const struct tunables saved = save_tunables();

	CHECK_CALL(check_marks(4096, 10));
	CHECK_CALL(check_marks(4096, 3000)); /* 30% of the zone between the marks */
	CHECK_CALL(check_marks(128, 1));
	CHECK_CALL(check_marks(0, 10));
	restore_tunables(&saved);
}

/* Linux's choice, from 16 MB on: the root of 16 times the memory, both in KB. */
UNIT_TEST(the_choice_of_min_free_kbytes)
{
	uint64_t k = machine()->min_free_kbytes, lowmem = 0, kb;

	for_each_zone(z)
		lowmem += z->id <= ZONE_NORMAL ? z->managed : 0; /* what GFP_USER may have */
	kb = lowmem * 4; /* memory freed since the choice was made: less than a hundredth */
	CHECK_LE(k, kb / 32);
	if (kb / 32 > 1024) {
		CHECK_LE(k * k, kb * 16);
		CHECK_GT((k + 1) * (k + 1), kb * 16 / 100 * 97);
	}
}

UNIT_TEST(lowmem_reserve_follows_its_ratio)
{
	const struct tunables saved = save_tunables();

	machine()->lowmem_reserve_ratio[ZONE_DMA] = 100;
	machine()->lowmem_reserve_ratio[ZONE_DMA32] = 0;
	setup_per_zone_lowmem_reserve();
	for_each_zone(z) {
		uint64_t above = 0;

		for (unsigned i = z->id + 1; i < MAX_NR_ZONES; i++) {
			above += machine()->node[z->nid].zones[i].managed;
			if (z->id == ZONE_DMA)
				CHECK_EQ(z->lowmem_reserve[i], above / 100);
			if (z->id == ZONE_DMA32)
				CHECK_EQ(z->lowmem_reserve[i], 0);
		}
		for (unsigned i = 0; i <= z->id; i++)
			CHECK_EQ(z->lowmem_reserve[i], 0);
	}
	restore_tunables(&saved);
}

/* The zone that an ordinary request of this CPU is served from; nothing is on the CPU's lists, and no zone can grow. */
static struct zone *own_zone(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct zone *zone = page ? page_zone(page) : NULL;

	if (page)
		__free_page(page);
	drain_local_pages();
	for_each_zone(z)
		while (grow_zone(z))
			;
	return zone;
}

/* As if all but `spare` of the zone's free frames lay below its low mark. */
static void leave_to_spare(struct zone *zone, int64_t spare)
{
	zone->watermark[WMARK_LOW] =
	        (uint64_t)((int64_t)zone_free(zone) - spare) - zone->lowmem_reserve[ZONE_NORMAL];
}

/* A list is filled with what the zone can spare, not with what lies below its mark. */
UNIT_TEST(lists_take_what_can_be_spared)
{
	struct zone *zone = own_zone();
	struct page *page;

	CHECK(zone);
	for (unsigned want = 1; want < 4; want++) {
		drain_local_pages();
		leave_to_spare(zone, (int64_t)want << machine()->guard_minorder);
		page = alloc_page(GFP_KERNEL);
		CHECK(page && page_zone(page) == zone);
		CHECK_EQ(zone_pcp_pages_of(zone, cpu_id()), want - 1);
		__free_page(page);
	}
	setup_per_zone_wmarks();
}

/* Below its low mark a zone is left alone as long as another one will do; when none does, min counts. */
UNIT_TEST(low_marks_send_to_the_next_zone)
{
	struct zone *zone = own_zone();
	uint64_t stalls = counter_read(COUNT_ALLOCSTALL);
	struct page *page;

	CHECK(zone);
	leave_to_spare(zone, -1);
	page = alloc_page(GFP_KERNEL);
	CHECK(page);
	CHECK_NE(page_zone(page), zone);
	CHECK_EQ(counter_read(COUNT_ALLOCSTALL), stalls);
	__free_page(page);
	drain_local_pages();
	for_each_zone(z)
		leave_to_spare(z, -1);
	page = alloc_page(GFP_KERNEL);
	CHECK(page);
	CHECK_EQ(page_zone(page), zone);
	CHECK_EQ(counter_read(COUNT_ALLOCSTALL), stalls + 1);
	__free_page(page);
	setup_per_zone_wmarks();
}
