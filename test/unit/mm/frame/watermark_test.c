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
