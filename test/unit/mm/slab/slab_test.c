/*
 * slab_test.c - caches of objects against a table of live ones, and kmalloc.
 */
#include "mm/slab/internal.h"
#include "lib/string.h"
#include "test/unit/unit.h"

#include <quire/errno.h>

/* Active objects of a cache by name, as /proc/slabinfo would say. */
static struct {
	const char *name;
	struct slabinfo info;
	unsigned found;
} wanted;

static void look_for(const struct slabinfo *info, UNUSED void *ctx)
{
	if (strcmp(info->name, wanted.name) != 0)
		return;
	wanted.info = *info;
	wanted.found++;
}

/* SLOB: no slabs, blocks of the size asked for, constructors whenever a block is given out. */
static bool is_slob(void)
{
	return !strcmp(slab_allocator(), "slob");
}

/* kmalloc's objects are as big as asked for: SLOB's, unless something stands behind them. */
static bool kmalloc_is_exact(void)
{
	return is_slob() && !(slab_state()->kmalloc[KMALLOC_NORMAL][0]->flags & SLAB_DEBUG);
}

static const struct slabinfo *find_info(const char *name)
{
	wanted.name = name;
	wanted.found = 0;
	slab_for_each(look_for, NULL);
	return wanted.found == 1 ? &wanted.info : NULL;
}

UNIT_TEST(cache_from_birth_to_end)
{
	uint64_t slab = frame_kind_pages(FRAME_SLAB);
	struct kmem_cache *s = kmem_cache_create("test-life", 100, 0, SLAB_NO_MERGE, NULL);
	void *a, *b;

	CHECK(s);
	a = kmem_cache_alloc(s, GFP_KERNEL);
	b = kmem_cache_alloc(s, GFP_KERNEL | __GFP_ZERO);
	CHECK(a && b && a != b);
	CHECK(find_info("test-life"));
	CHECK_EQ(wanted.info.num_slabs, !is_slob());
	CHECK_EQ(wanted.info.object_size, 100);
	CHECK_EQ(wanted.info.objsize, s->flags & SLAB_DEBUG ? s->size : 104);
	CHECK_EQ(kmem_cache_destroy(s), -EBUSY); /* a leak: the cache is kept */
	CHECK(find_info("test-life"));
	CHECK_EQ(wanted.info.active_objs, 2);
	CHECK_SOUND(slab_check());
	kmem_cache_free(s, a);
	kmem_cache_free(s, b);
	CHECK_EQ(kmem_cache_destroy(s), 0);
	CHECK_EQ(find_info("test-life"), NULL);
	kmem_cache_shrink_all();
	CHECK_LE(frame_kind_pages(FRAME_SLAB), slab);
	CHECK_SOUND(slab_check());
	CHECK_SOUND(frame_check());
}

UNIT_TEST(last_freed_first_given)
{
	struct kmem_cache *s = kmem_cache_create("test-lifo", 64, 0, SLAB_NO_MERGE, NULL);
	void *a, *b;

	CHECK(s);
	a = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK(a);
	kmem_cache_free(s, a);
	b = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK_EQ(a, b);
	kmem_cache_free(s, b);
	CHECK_EQ(kmem_cache_destroy(s), 0);
}

UNIT_TEST(alignment)
{
	static const size_t sizes[] = {1,  8,  12,  20,  24,   33,   48,
	                               64, 65, 100, 200, 1000, 3000, 9000};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct kmem_cache *s =
		        kmem_cache_create("test-align", sizes[i], 0, SLAB_HWCACHE_ALIGN, NULL);
		size_t part = CACHELINE;
		void *a[5];

		CHECK(s);
		while (sizes[i] <= part / 2 && part > 8)
			part /= 2;
		for (unsigned k = 0; k < ARRAY_SIZE(a); k++) {
			a[k] = kmem_cache_alloc(s, GFP_KERNEL);
			CHECK(a[k]);
			CHECK_EQ((uintptr_t)a[k] % part,
			         0); /* so none crosses a line that need not */
			memset(a[k], 0xff, sizes[i]);
		}
		for (unsigned k = 0; k < ARRAY_SIZE(a); k++)
			kmem_cache_free(s, a[k]);
		CHECK_EQ(kmem_cache_destroy(s), 0);
	}
	CHECK_EQ(kmem_cache_create("test-none", 0, 0, 0, NULL), NULL);
	CHECK_EQ(kmem_cache_create("test-odd", 8, 24, 0, NULL), NULL);
	CHECK_EQ(kmem_cache_create("test-huge", 1 << 20, 0, 0, NULL), NULL);
}

static unsigned constructed;

static void construct(void *object)
{
	constructed++;
	memset(object, 0x77, 40);
}

/* The link of a constructed object lies behind it, which must fit into the largest slab too. */
UNIT_TEST(an_object_and_its_link_fit_into_a_slab)
{
	struct kmem_cache *s =
	        kmem_cache_create("test-big", 8 * PAGE_SIZE - CACHELINE, 0, 0, construct);
	void *object;

	CHECK_EQ(kmem_cache_create("test-bigger", 8 * PAGE_SIZE, 0, 0, construct), NULL);
	CHECK(s);
	object = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK(object);
	memset(object, 0x77, 8 * PAGE_SIZE - CACHELINE);
	CHECK_SOUND(slab_check());
	kmem_cache_free(s, object);
	CHECK_EQ(kmem_cache_destroy(s), 0);
}

UNIT_TEST(constructor_runs_once_for_each_object)
{
	struct kmem_cache *s = kmem_cache_create("test-ctor", 40, 0, SLAB_NO_MERGE, construct);
	uint8_t *a;

	CHECK(s);
	constructed = 0;
	for (unsigned i = 0; i < 1000; i++) {
		a = kmem_cache_alloc(s, GFP_KERNEL);
		CHECK(a);
		for (unsigned k = 0; k < 40; k++)
			CHECK_EQ(a[k], 0x77);
		kmem_cache_free(s, a);
	}
	CHECK_EQ(constructed, is_slob() ? 1000 : s->objects);
	CHECK_EQ(kmem_cache_destroy(s), 0);
}

/* --- random, against a table of what is live ------------------------------------------------------ */

#define LIVE 600

static struct {
	uint8_t *object;
	size_t size;
	uint8_t pattern;
} live[LIVE];

static void live_add(unsigned i, void *object, size_t size, struct random *r)
{
	live[i].object = object;
	live[i].size = size;
	live[i].pattern = (uint8_t)random_u64(r);
	if (object)
		memset(object, live[i].pattern, size);
}

/* Whoever overlapped it has left a trace. */
static void live_check(unsigned i)
{
	for (size_t k = 0; k < live[i].size; k++)
		CHECK_EQ(live[i].object[k], live[i].pattern);
	live[i].object[0] = (uint8_t)~live[i].pattern;
}

static void random_cache(struct kmem_cache *s, size_t size)
{
	struct random *r = unit_random();

	for (unsigned n = 0; n < 20000; n++) {
		unsigned i = (unsigned)random_below(r, n % 5000 < 2500 ? LIVE : LIVE / 8);

		if (live[i].object) {
			CHECK_CALL(live_check(i));
			kmem_cache_free(s, live[i].object);
			live[i].object = NULL;
		} else {
			live_add(i, kmem_cache_alloc(s, GFP_KERNEL), size, r);
			CHECK(live[i].object);
		}
		if (n % 2000 == 0)
			CHECK_SOUND(slab_check());
		if (n % 7000 == 0)
			kmem_cache_shrink(s);
	}
	for (unsigned i = 0; i < LIVE; i++) {
		if (!live[i].object)
			continue;
		CHECK_CALL(live_check(i));
		kmem_cache_free(s, live[i].object);
		live[i].object = NULL;
	}
}

UNIT_TEST(random_objects_do_not_overlap)
{
	static const size_t sizes[] = {8, 40, 256, 1500, 5000};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct kmem_cache *s =
		        kmem_cache_create("test-random", sizes[i], 0, SLAB_NO_MERGE, NULL);

		CHECK(s);
		CHECK_CALL(random_cache(s, sizes[i]));
		CHECK_EQ(kmem_cache_destroy(s), 0);
		CHECK_SOUND(slab_check());
	}
}

/* The same without the CPU's free list: the way of interrupts. */
UNIT_TEST(random_objects_while_careful)
{
	struct kmem_cache *s = kmem_cache_create("test-careful", 72, 0, SLAB_NO_MERGE, NULL);

	CHECK(s);
	live_add(0, kmem_cache_alloc(s, GFP_KERNEL), 72, unit_random());
	check_poison(true);
	CHECK_CALL(random_cache(s, 72));
	check_poison(false);
	CHECK_CALL(random_cache(s, 72));
	CHECK_EQ(kmem_cache_destroy(s), 0);
}

UNIT_TEST(random_kmalloc)
{
	struct random *r = unit_random();

	for (unsigned n = 0; n < 30000; n++) {
		unsigned i = (unsigned)random_below(r, LIVE);

		if (live[i].object) {
			CHECK_CALL(live_check(i));
			kfree(live[i].object);
			live[i].object = NULL;
		} else {
			size_t size =
			        1 + (size_t)random_below(r, random_one_in(r, 50) ? 40000 : 600);

			live_add(i, kmalloc(size, GFP_KERNEL | __GFP_NOWARN), size, r);
			if (live[i].object)
				CHECK_GE(ksize(live[i].object), size);
		}
	}
	for (unsigned i = 0; i < LIVE; i++) {
		if (live[i].object)
			CHECK_CALL(live_check(i));
		kfree(live[i].object);
		live[i].object = NULL;
	}
	CHECK_SOUND(slab_check());
	CHECK_SOUND(frame_check());
}

UNIT_TEST(kmalloc_classes)
{
	static const struct {
		size_t asked, got;
	} sizes[] = {{0, 8},
	             {1, 8},
	             {8, 8},
	             {9, 16},
	             {33, 64},
	             {65, 96},
	             {96, 96},
	             {97, 128},
	             {129, 192},
	             {192, 192},
	             {193, 256},
	             {256, 256},
	             {257, 512},
	             {4096, 4096},
	             {4097, 8192},
	             {8192, 8192},
	             {8193, 16384},
	             {16385, 32768},
	             {33 * 4096, 64 * 4096}};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		void *p = kmalloc(sizes[i].asked, GFP_KERNEL);
		size_t got = sizes[i].got;

		CHECK(p);
		if (kmalloc_is_exact() && got <= PAGE_SIZE / 2)
			CHECK_EQ(ksize(p), ALIGN_UP(MAX(sizes[i].asked, 1), 8));
		else
			CHECK_EQ(ksize(p), got);
		if (!(got & (got - 1)) && (!is_slob() || sizes[i].asked == got))
			CHECK_EQ(virt_to_phys(p).a % got, 0);
		kfree(p);
	}
	CHECK_EQ(kmalloc((4 << 20) + 1, GFP_KERNEL | __GFP_NOWARN), NULL);
	CHECK_EQ(kcalloc(SIZE_MAX / 2, 3, GFP_KERNEL), NULL);
	kfree(NULL);
}

/* Lectures 001 and 003: 26 kinds of general objects, 32 bytes to 128 KB by powers of two, each for devices too. */
UNIT_TEST(kmalloc_of_the_lectures)
{
	unsigned kinds = 0;

	for (size_t size = 32; size <= 128 << 10; size *= 2) {
		for (unsigned dma = 0; dma < 2; dma++, kinds++) {
			void *p = kmalloc(size, GFP_KERNEL | (dma ? GFP_DMA : 0));

			CHECK(p);
			CHECK_EQ(ksize(p), size);
			CHECK_EQ(virt_to_phys(p).a % size, 0);
			CHECK(!dma || virt_to_phys(p).a + size <= 16 << 20);
			kfree(p);
		}
	}
	CHECK_EQ(kinds, 26);
}

UNIT_TEST(kmalloc_from_a_zone)
{
	void *p = kmalloc(100, GFP_KERNEL | GFP_DMA);

	CHECK(p);
	CHECK_LT(virt_to_phys(p).a, 16 << 20);
	CHECK_GE(ksize(p), 100);
	kfree(p);
}

UNIT_TEST(krealloc_keeps_contents)
{
	char *p = kstrdup("a string of some length", GFP_KERNEL), *q;

	CHECK(p);
	CHECK_EQ(ksize(p), kmalloc_is_exact() ? 24 : 32);
	CHECK_EQ(krealloc(p, ksize(p) - 2, GFP_KERNEL), p);
	q = krealloc(p, 300, GFP_KERNEL);
	CHECK(q);
	CHECK_STR(q, "a string of some length");
	q = krealloc(q, 30000, GFP_KERNEL);
	CHECK(q);
	CHECK_STR(q, "a string of some length");
	CHECK_EQ(krealloc(q, 0, GFP_KERNEL), NULL);
	p = krealloc(NULL, 5, GFP_KERNEL | __GFP_ZERO);
	CHECK(p);
	CHECK_EQ(p[4], 0);
	kfree(p);
}

/* All that ksize() lets one have, by the short way and by the long one: krealloc() in place finds it cleared. */
UNIT_TEST(zeros_reach_to_the_end)
{
	static const size_t sizes[] = {1, 13, 33, 100, 700, 3000, 5000, 9000};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes) * 30; i++) {
		size_t size = sizes[i % ARRAY_SIZE(sizes)];
		uint8_t *p = kmalloc(size, GFP_KERNEL);

		CHECK(p);
		memset(p, 0xee, ksize(p));
		kfree(p);
		CHECK(p = kzalloc(size, GFP_KERNEL));
		for (size_t k = 0; k < ksize(p); k++)
			CHECK_MSG(!p[k], "byte %lu of %lu", (unsigned long)k, (unsigned long)size);
		kfree(p);
	}
}

UNIT_TEST(empty_slabs_go_back)
{
	struct kmem_cache *s = kmem_cache_create("test-shrink", 128, 0, SLAB_NO_MERGE, NULL);
	static void *objects[2000];
	uint64_t free;

	CHECK(s);
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
		CHECK(objects[i] = kmem_cache_alloc(s, GFP_KERNEL));
	free = nr_free_pages();
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
		kmem_cache_free(s, objects[i]);
	CHECK_GE(nr_free_pages(), free + 55); /* 63 slabs; the last ones are kept */
	/* This CPU's array (62 objects), its slab and two partial ones; the node's two empty ones. */
	CHECK_LE(kmem_cache_shrink(s), 8);
	CHECK(find_info("test-shrink"));
	CHECK_EQ(wanted.info.num_slabs, 0);
	CHECK_EQ(kmem_cache_destroy(s), 0);
}

/* Every way to memory once, each a step; what was had is given back. Returns how many steps came off. */
#define WAYS 11
static unsigned use_every_way(void)
{
	struct kmem_cache *s = kmem_cache_create("test-fail", 700, 0, SLAB_NO_MERGE, NULL), *twin;
	void *bulk[40], *a = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL;
	void *zeros = s ? kmem_cache_zalloc(s, GFP_KERNEL) : NULL;
	unsigned n = s ? kmem_cache_alloc_bulk(s, GFP_KERNEL, ARRAY_SIZE(bulk), bulk) : 0;
	char *text = kstrdup("of a length that is its own", GFP_KERNEL), *longer, *large;
	void *dma = kmalloc(3000, GFP_KERNEL | GFP_DMA), *many = kcalloc(70, 70, GFP_KERNEL);
	unsigned steps;

	twin = kmem_cache_create("test-twin", 704, 0, 0, NULL); /* without its alias if need be */
	longer = text ? krealloc(text, 9000, GFP_KERNEL) : NULL;
	large = krealloc(NULL, 300000, GFP_KERNEL);
	steps = !!s + !!a + !!zeros + (n == ARRAY_SIZE(bulk)) + !!text + !!dma + !!many + !!twin +
	        !!longer + !!large + (!longer || !strcmp(longer, "of a length that is its own"));
	kfree(longer ? longer : text);
	kfree(large);
	kfree(dma);
	kfree(many);
	if (n)
		kmem_cache_free_bulk(s, n, bulk);
	if (zeros)
		kmem_cache_free(s, zeros);
	if (a)
		kmem_cache_free(s, a);
	if ((s && kmem_cache_destroy(s)) || (twin && kmem_cache_destroy(twin)))
		return 0;
	return steps;
}

/* Allocation number 0, 1, 2, ... fails: creation and use either work or leave nothing behind. */
UNIT_TEST(every_allocation_fails_in_turn)
{
	uint64_t slab;

	kmem_cache_shrink_all();
	slab = frame_kind_pages(FRAME_SLAB);
	for (int64_t n = 0;; n++) {
		uint64_t failed;
		unsigned steps;

		fault_inject(n);
		steps = use_every_way();
		failed = fault_inject(-1);
		CHECK_GE(steps, 1);
		CHECK(failed || steps == WAYS);
		CHECK_SOUND(slab_check());
		CHECK_SOUND(frame_check());
		kmem_cache_shrink_all();
		CHECK_LE(frame_kind_pages(FRAME_SLAB), slab + 1);
		if (!failed)
			break;
		CHECK_LT(n, 300);
	}
}

/* There is none for a CPU's array: the cache does without, and nothing is lost. */
UNIT_TEST(arrays_need_no_memory)
{
	struct kmem_cache *s = kmem_cache_create("test-poor", 64, 0, SLAB_NO_MERGE, NULL);
	void *object = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL, **pages = NULL, **page;

	CHECK(object);
	slab_flush_all();
	kmem_cache_shrink_all();
	while ((page = __get_free_pages(GFP_NOWAIT | __GFP_NOWARN, 0))) {
		*page = pages;
		pages = (void **)page;
	}
	for (unsigned i = 0; i < 100; i++) {
		kmem_cache_free(s, object);
		if (!(object = kmem_cache_alloc(s, GFP_NOWAIT | __GFP_NOWARN)))
			break;
	}
	while ((page = pages)) {
		pages = *page;
		free_page(page);
	}
	CHECK(object || is_slob()); /* whose page went back with its last block */
	if (object)
		kmem_cache_free(s, object);
	CHECK_SOUND(slab_check());
	CHECK_SOUND(frame_check());
	CHECK_EQ(kmem_cache_destroy(s), 0);
}

UNIT_TEST(kcalloc_does_not_wrap)
{
	CHECK_EQ(kcalloc(SIZE_MAX / 4 + 2, 4, GFP_KERNEL), NULL);
}
