/*
 * area_test.c - the tree of areas against a naive model: an array with a byte for each page.
 *
 * Areas without frames, in a small window of the range, so that it is mostly full and a search has to find the one gap that is
 * left, or purge, or fail. The model knows where each must lie.
 */
#include "mm/kva/internal.h"
#include "test/unit/unit.h"

#include <quire/check.h>

#define WINDOW 384u /* pages */
#define AREAS  64u
#define OPS    2000000u
#define LEAST  20000u /* however slow the machine is */
#define TIME \
	4000000000ull /* ns; under sanitizers, or in an emulated machine, fewer operations fit */

enum { FREE, BUSY, LAZY };

static struct model {
	uint8_t page[WINDOW];
	struct vmap_area *area[AREAS];
	vaddr_t base;
} model;

struct wish {
	unsigned size, align; /* pages; size with the guard */
	unsigned low, high;
};

static struct wish random_wish(struct random *r)
{
	struct wish w = {.size = 2 + (unsigned)random_below(r, random_one_in(r, 8) ? 60 : 12),
	                 .align = 1u << (random_one_in(r, 3) ? random_below(r, 5) : 0),
	                 .high = WINDOW};

	if (random_one_in(r, 4)) {
		w.low = (unsigned)random_below(r, WINDOW);
		w.high = w.low + 1 + (unsigned)random_below(r, WINDOW - w.low);
	}
	return w;
}

/* The lowest gap of at least `least` pages inside of the limits that holds the wish: where; WINDOW: none. */
static unsigned model_search(const struct wish *w, unsigned least)
{
	for (unsigned start = 0, end; start < WINDOW; start = end + 1) {
		unsigned from, to, at;

		for (end = start; end < WINDOW && model.page[end] == FREE;)
			end++;
		from = MAX(start, w->low);
		to = MIN(end, w->high);
		at = ALIGN_UP(from, w->align);
		if (to > from && to - from >= least && at + w->size <= to)
			return at;
	}
	return WINDOW;
}

static void model_purge(void)
{
	for (unsigned i = 0; i < WINDOW; i++)
		if (model.page[i] == LAZY)
			model.page[i] = FREE;
}

static unsigned model_place(const struct wish *w)
{
	unsigned surely = w->size + w->align - 1, at = model_search(w, surely);

	if (at != WINDOW)
		return at;
	model_purge();
	at = model_search(w, surely);
	return at != WINDOW ? at : model_search(w, w->size);
}

static void model_fill(unsigned at, unsigned n, uint8_t what)
{
	for (unsigned i = at; i < at + n; i++)
		model.page[i] = what;
}

static void try_alloc(struct random *r, unsigned slot)
{
	struct wish w = random_wish(r);
	struct vmap_request request = {
	        .pages = w.size - 1,
	        .align = w.align * PAGE_SIZE,
	        .start = model.base + w.low * PAGE_SIZE,
	        .end = model.base + w.high * PAGE_SIZE,
	        .kind = VMALLOC_MAP,
	        .gfp = GFP_KERNEL,
	};
	unsigned at = model_place(&w);
	struct vmap_area *area = vmap_area_alloc(&request);

	CHECK_EQ(area != NULL, at != WINDOW);
	if (!area)
		return;
	model.area[slot] = area;
	vmap_area_publish(area);
	CHECK_EQ((area->start - model.base) / PAGE_SIZE, at);
	CHECK_EQ(area->end - area->start, w.size * PAGE_SIZE);
	model_fill(at, w.size, BUSY);
}

static void free_slot(unsigned slot)
{
	struct vmap_area *area = model.area[slot];
	unsigned at = (unsigned)((area->start - model.base) / PAGE_SIZE);

	model_fill(at, (unsigned)area->pages + 1, LAZY);
	CHECK_EQ(vmap_area_take((void *)(uintptr_t)area->start, 1u << VMALLOC_MAP, "test"), area);
	vmap_area_free_lazy(area);
	model.area[slot] = NULL;
}

/* Every page of the window is taken or free as the model says. */
static void compare(void)
{
	struct vmalloc_info info;
	unsigned taken = 0, expected = 0;

	CHECK_SOUND(kva_check());
	for (vaddr_t from = model.base; vmalloc_info_next(from, &info); from = info.end) {
		if (info.start >= model.base + WINDOW * PAGE_SIZE)
			break;
		for (vaddr_t va = info.start; va < info.end; va += PAGE_SIZE, taken++)
			CHECK_EQ(model.page[(va - model.base) / PAGE_SIZE],
			         info.kind == VMALLOC_UNPURGED ? LAZY : BUSY);
	}
	for (unsigned i = 0; i < WINDOW; i++)
		expected += model.page[i] != FREE;
	CHECK_EQ(taken, expected);
}

static void one_operation(struct random *r)
{
	unsigned slot = (unsigned)random_below(r, AREAS);

	if (random_one_in(r, 500)) {
		purge_vmap_area_lazy();
		model_purge();
	} else if (model.area[slot]) {
		CHECK_CALL(free_slot(slot));
	} else {
		CHECK_CALL(try_alloc(r, slot));
	}
}

UNIT_TEST(places_are_those_of_the_model)
{
	uint64_t until = port_now_ns() + TIME;
	const struct kva_state *k = kva_state();
	struct random *r = unit_random();
	unsigned n;

	model = (struct model){.base = ALIGN_UP(k->start + (k->end - k->start) / 2, 1u << 21)};
	vm_unmap_aliases();
	for (n = 0; n < OPS; n++) {
		CHECK_CALL(one_operation(r));
		if (n % 4096 == 0)
			CHECK_CALL(compare());
		if (n > LEAST && n % 256 == 0 && port_now_ns() > until)
			break;
	}
	for (unsigned slot = 0; slot < AREAS; slot++)
		if (model.area[slot])
			CHECK_CALL(free_slot(slot));
	CHECK_CALL(compare());
	vm_unmap_aliases();
	CHECK_SOUND(kva_check());
	unit_printf("%u operations\n", n);
}
