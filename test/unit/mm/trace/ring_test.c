/*
 * ring_test.c - counters and trace rings, read back as the host does.
 */
#include <quire/frame.h>
#include <quire/trace.h>
#include "lib/string.h"
#include "test/unit/unit.h"

#define RING_SIZE 8192u

/* A ring of this test's own on this CPU. */
static struct {
	struct trace_ring ring;
	alignas(8) uint8_t data[RING_SIZE];
	struct trace_ring *saved;
	uint8_t *saved_data;
	uint64_t saved_size;
} lab;

static void lab_open(void)
{
	struct cpu_area *cpu = this_cpu();

	lab.saved = cpu->ring;
	lab.saved_data = cpu->ring_data;
	lab.saved_size = cpu->ring_size;
	memset(&lab.ring, 0, sizeof(lab.ring));
	cpu->ring_data = lab.data;
	cpu->ring_size = RING_SIZE;
	cpu->ring = &lab.ring;
}

static void lab_close(void)
{
	struct cpu_area *cpu = this_cpu();

	cpu->ring = lab.saved;
	cpu->ring_data = lab.saved_data;
	cpu->ring_size = lab.saved_size;
}

/* The next record for a reader, or NULL; pads and the short end are skipped. */
static const struct trace_record *next_record(void)
{
	uint64_t head = atomic_load_explicit(&lab.ring.head, memory_order_acquire);

	while (lab.ring.tail < head) {
		uint64_t at = lab.ring.tail % RING_SIZE;
		const struct trace_record *r = (const void *)(lab.data + at);

		if (RING_SIZE - at < sizeof(*r)) {
			lab.ring.tail += RING_SIZE - at;
			continue;
		}
		lab.ring.tail += sizeof(*r) + 8ull * r->nargs;
		if (r->event != TRACE_PAD)
			return r;
	}
	return NULL;
}

static void emit(unsigned nargs, uint64_t first)
{
	const uint64_t args[] = {first,     first + 1, first + 2, first + 3,
	                         first + 4, first + 5, first + 6};

	trace_emit((enum trace_event)nargs, nargs, args);
}

static void check_next(unsigned nargs, uint64_t first)
{
	const struct trace_record *r = next_record();

	CHECK(r);
	CHECK_EQ(r->event, nargs);
	CHECK_EQ(r->nargs, nargs);
	for (unsigned i = 0; i < nargs; i++)
		CHECK_EQ(((const uint64_t *)(r + 1))[i], first + i);
}

static void check_round(void)
{
	struct random *r = unit_random();
	uint64_t made[64], n = 0, first = 0;
	unsigned nargs[64];

	for (unsigned i = 0; i < 20000; i++) {
		if (n == 64 || random_one_in(r, 2)) {
			for (uint64_t k = 0; k < n; k++)
				CHECK_CALL(check_next(nargs[k], made[k]));
			n = 0;
		}
		nargs[n] = (unsigned)random_below(r, 8);
		made[n] = first += 10;
		emit(nargs[n], made[n]);
		n++;
	}
	CHECK_EQ(lab.ring.lost, 0);
}

UNIT_TEST(what_goes_in_comes_out)
{
	lab_open();
	check_round();
	lab_close();
}

static void check_full(void)
{
	uint64_t fit = RING_SIZE / 24;

	for (uint64_t i = 0; i < fit + 5; i++)
		emit(1, i);
	CHECK_EQ(lab.ring.lost, 5);
	for (uint64_t i = 0; i < fit; i++)
		CHECK_CALL(check_next(1, i));
	CHECK_EQ(next_record(), NULL);
	emit(2, 99); /* there is room again */
	CHECK_CALL(check_next(2, 99));
	CHECK_EQ(lab.ring.lost, 5);
	lab.ring.tail = lab.ring.head + 1000; /* nonsense from the other side: nothing is written */
	emit(1, 0);
	CHECK_EQ(lab.ring.lost, 6);
}

UNIT_TEST(a_full_ring_loses_the_new_and_keeps_the_old)
{
	lab_open();
	check_full();
	lab_close();
}

static void check_events(void)
{
	bool saved = machine()->trace_on;
	struct page *page;

	machine()->trace_on = true;
	page = alloc_pages(GFP_KERNEL, 2);
	machine()->trace_on = saved;
	CHECK(page);
	for (;;) {
		const struct trace_record *r = next_record();
		const uint64_t *args = (const uint64_t *)(r + 1);

		CHECK(r);
		if (r->event != EV_mm_page_alloc)
			continue;
		CHECK_EQ(args[0], page_to_pfn(page).n);
		CHECK_EQ(args[1], 2);
		CHECK_EQ(args[2], GFP_KERNEL);
		CHECK_EQ(r->pid, current_pid());
		break;
	}
	__free_pages(page, 2);
}

UNIT_TEST(events_are_recorded)
{
	lab_open();
	check_events();
	lab_close();
}

UNIT_TEST(counters)
{
	uint64_t before = counter_read(COUNT_SLAB_NEW);

	count(SLAB_NEW);
	count_n(SLAB_NEW, 5);
	CHECK_EQ(counter_read(COUNT_SLAB_NEW), before + 6);
	CHECK_STR(counter_name(COUNT_PGFAULT), "pgfault");
	CHECK_STR(counter_name(COUNT_PGALLOC_DMA32), "pgalloc_dma32");
	CHECK_EQ(counter_name(NR_COUNTERS), NULL);
}

UNIT_TEST(allocations_are_counted)
{
	uint64_t alloc = 0, freed = counter_read(COUNT_PGFREE);
	static const enum counter zones[] = {COUNT_PGALLOC_DMA, COUNT_PGALLOC_DMA32,
	                                     COUNT_PGALLOC_NORMAL};
	struct page *one, *eight;

	for (unsigned i = 0; i < ARRAY_SIZE(zones); i++)
		alloc -= counter_read(zones[i]);
	one = alloc_page(GFP_KERNEL);
	eight = alloc_pages(GFP_KERNEL, 3);
	CHECK(one && eight);
	__free_page(one);
	__free_pages(eight, 3);
	for (unsigned i = 0; i < ARRAY_SIZE(zones); i++)
		alloc += counter_read(zones[i]);
	CHECK_EQ(alloc, 9);
	CHECK_EQ(counter_read(COUNT_PGFREE) - freed, 9);
}
