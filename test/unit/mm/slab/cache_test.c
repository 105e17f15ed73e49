/*
 * cache_test.c - caches beyond one object at a time: destructors, merging, bulk, zones, time, shrinkers, where objects lie.
 */
#include "mm/slab/internal.h"
#include "lib/string.h"
#include "test/unit/unit.h"

#include <quire/check.h>

static bool is(const char *allocator)
{
	return !strcmp(slab_allocator(), allocator);
}

static bool all_zero(const void *p, size_t n)
{
	const uint8_t *byte = p;

	while (n && !byte[n - 1])
		n--;
	return !n;
}

/* --- destructors ----------------------------------------------------------------------------------------- */

static unsigned made, ended;

static void ctor(void *object)
{
	*(uint64_t *)object = 0xc0;
	made++;
}

static void dtor(void *object)
{
	if (*(uint64_t *)object == 0xc0)
		ended++;
	*(uint64_t *)object = 0;
}

UNIT_TEST(destructors_run_when_a_slab_goes_back)
{
	const struct kmem_cache_args args = {.ctor = ctor, .dtor = dtor};
	struct kmem_cache *s = kmem_cache_create_args("test-dtor", 64, &args, 0);
	void *objects[100];

	CHECK(s);
	made = ended = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
		CHECK(objects[i] = kmem_cache_alloc(s, GFP_KERNEL));
	CHECK_GE(made, 100);
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++) {
		CHECK_EQ(*(uint64_t *)objects[i], 0xc0);
		kmem_cache_free(s, objects[i]);
	}
	CHECK(is("slob") || ended < made); /* slabs and objects are kept constructed */
	kmem_cache_shrink(s);
	CHECK_EQ(ended, made);
	CHECK_EQ(kmem_cache_destroy(s), 0);
	CHECK_EQ(ended, made);
}

/* --- merging -------------------------------------------------------------------------------------------------- */

static unsigned names_seen;

static void see(const char *name, void *wanted)
{
	names_seen += !strcmp(name, wanted);
}

UNIT_TEST(caches_of_one_kind_are_one)
{
	struct kmem_cache *a = kmem_cache_create("test-one", 136, 0, 0, NULL), *b, *c, *d, *e;
	bool merge = !is("slob") && !slab_state()->options.nomerge && !(a->flags & SLAB_SLOW);
	struct slabinfo info;

	b = kmem_cache_create("test-two", 130, 0, 0, NULL);
	c = kmem_cache_create("test-ctor", 136, 0, 0, ctor);
	d = kmem_cache_create("test-own", 136, 0, SLAB_NO_MERGE, NULL);
	e = kmem_cache_create("test-dma", 136, 0, SLAB_CACHE_DMA, NULL);
	CHECK(a && b && c && d && e);
	CHECK_EQ(a == b, merge);
	CHECK(c != a && d != a && e != a);
	CHECK_EQ(slab_find("test-two", &info), 0);
	CHECK_EQ(info.is_alias, merge);
	names_seen = 0;
	slab_for_each_name(see, (void *)"test-two");
	CHECK_EQ(names_seen, 1);
	CHECK_GE(a->object_size, 136);
	CHECK_EQ(kmem_cache_destroy(b), 0);
	CHECK_EQ(kmem_cache_destroy(a), 0);
	CHECK_EQ(slab_find("test-one", &info), -ENOENT);
	CHECK_EQ(slab_find("test-two", &info), -ENOENT);
	a = kmem_cache_create("test-one", 136, 0, 0, NULL); /* it may join neither of the others */
	CHECK(a && a != c && a != d && a != e);
	CHECK_EQ(kmem_cache_destroy(a), 0);
	CHECK_EQ(kmem_cache_destroy(c), 0);
	CHECK_EQ(kmem_cache_destroy(d), 0);
	CHECK_EQ(kmem_cache_destroy(e), 0);
}

/* The second cache's objects are larger than the first one's: whoever clears an object clears all of it. */
UNIT_TEST(a_merge_grows_the_object)
{
	struct kmem_cache *small = kmem_cache_create("test-130", 130, 0, 0, NULL);
	struct kmem_cache *large = kmem_cache_create("test-136", 136, 0, 0, NULL);
	uint8_t *p;

	CHECK(small && large);
	for (unsigned i = 0; i < 60; i++) {
		CHECK(p = kmem_cache_zalloc(large, GFP_KERNEL));
		CHECK(all_zero(p, 136));
		memset(p, 0xee, 136);
		kmem_cache_free(large, p);
	}
	CHECK_EQ(kmem_cache_destroy(small), 0);
	CHECK_EQ(kmem_cache_destroy(large), 0);
}

/* Objects of the same size are not of one kind if one cache promises more of their addresses, or of their links. */
UNIT_TEST(a_merge_keeps_every_promise)
{
	struct kmem_cache *any = kmem_cache_create("test-any", 448, 0, 0, NULL);
	struct kmem_cache *line = kmem_cache_create("test-line", 448, 64, 0, NULL), *loose, *hard;
	void *p[30];

	CHECK(any && line);
	CHECK(any != line || any->align >= 64);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
		CHECK(p[i] = kmem_cache_alloc(line, GFP_KERNEL));
		CHECK_EQ((uintptr_t)p[i] % 64, 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		kmem_cache_free(line, p[i]);
	hard = kmem_cache_create("test-hard", 448, 0, SLAB_HARDENED, NULL);
	CHECK(hard);
	CHECK(hard->random != 0);
	CHECK(hard != any || any->random); /* slab_harden */
	loose = kmem_cache_create("test-loose", 448, 0, 0, NULL);
	CHECK(loose);
	CHECK_EQ(loose == any,
	         !is("slob") && !slab_state()->options.nomerge && !(any->flags & SLAB_SLOW));
	CHECK_EQ(kmem_cache_destroy(loose), 0);
	CHECK_EQ(kmem_cache_destroy(hard), 0);
	CHECK_EQ(kmem_cache_destroy(line), 0);
	CHECK_EQ(kmem_cache_destroy(any), 0);
}

/* --- many at once ---------------------------------------------------------------------------------------------- */

UNIT_TEST(bulk_is_all_or_nothing)
{
	struct kmem_cache *s = kmem_cache_create("test-bulk", 200, 0, SLAB_NO_MERGE, NULL);
	static void *objects[3000];
	struct slabinfo info;

	CHECK(s);
	for (unsigned n = 1; n <= ARRAY_SIZE(objects); n = n * 3 + 1) {
		CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL | __GFP_ZERO, n, objects), n);
		for (unsigned i = 0; i < n; i++) {
			CHECK(all_zero(objects[i], 200));
			memset(objects[i], 0xee, 200);
		}
		CHECK_SOUND(slab_check());
		CHECK_EQ(slab_find("test-bulk", &info), 0);
		CHECK_EQ(info.active_objs, n);
		kmem_cache_free_bulk(s, n, objects);
	}
	fault_inject(100);
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, 101, objects), 0);
	fault_inject(-1);
	CHECK_EQ(slab_find("test-bulk", &info), 0);
	CHECK_EQ(info.active_objs, 0);
	CHECK_SOUND(slab_check());
	CHECK_EQ(kmem_cache_destroy(s), 0);
}

/* --- interrupts ----------------------------------------------------------------------------------------------- */

static struct kmem_cache *hit;
static _Atomic unsigned interrupts, wrong;

/* On each CPU, in an interrupt on all but the caller's. */
static void use_in_interrupt(UNUSED void *arg)
{
	struct kmem_cache_cpu *own = &hit->cpu[cpu_id()];
	void **top = own->top, *object;

	if (!in_interrupt()) {
		wrong += cpu_line() != cpu_id() * CACHELINE;
		return;
	}
	interrupts++;
	wrong += cpu_line() != CPU_LINE_INTERRUPT;
	object = kmem_cache_alloc(hit, GFP_ATOMIC);
	wrong += !object;
	if (object)
		kmem_cache_free(hit, object);
	wrong += kmem_cache_alloc_bulk(hit, GFP_ATOMIC, 1, &object) != 1;
	kmem_cache_free_bulk(hit, 1, &object);
	wrong += own->top != top || slab_array_objects(slab_cpu(hit)) != 0;
}

UNIT_TEST(interrupts_find_a_closed_array)
{
	static void *objects[40];

	hit = kmem_cache_create("test-irq", 64, 0, SLAB_NO_MERGE, NULL);
	CHECK(hit);
	interrupts = wrong = 0;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
			CHECK(objects[i] = kmem_cache_alloc(hit, GFP_KERNEL));
		port_call_cpus(((uint64_t)1 << machine()->nr_cpus) - 1, use_in_interrupt, NULL);
		for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
			kmem_cache_free(hit, objects[i]);
	}
	CHECK_EQ(interrupts, 3 * (machine()->nr_cpus - 1));
	CHECK_EQ(wrong, 0);
	CHECK_SOUND(slab_check());
	CHECK_EQ(kmem_cache_destroy(hit), 0);
}

/* --- zones ------------------------------------------------------------------------------------------------------ */

UNIT_TEST(kmalloc_for_devices)
{
	struct slabinfo before, after;
	void *p[40];

	CHECK_EQ(slab_find("dma-kmalloc-256", &before), 0);
	CHECK(before.flags & SLAB_CACHE_DMA);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
		CHECK(p[i] = kmalloc(250, GFP_KERNEL | GFP_DMA));
		CHECK_LE(virt_to_phys(p[i]).a + 250, 16 << 20);
	}
	CHECK_EQ(slab_find("dma-kmalloc-256", &after), 0);
	CHECK_EQ(after.active_objs, before.active_objs + ARRAY_SIZE(p));
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		kfree(p[i]);
	CHECK(p[0] = kmalloc(300000, GFP_KERNEL | GFP_DMA));
	CHECK_LE(virt_to_phys(p[0]).a + 300000, 16 << 20);
	kfree(p[0]);
	CHECK(p[0] = kmalloc(300, GFP_KERNEL | GFP_DMA32));
	CHECK_LT(virt_to_phys(p[0]).a, 4ull << 30);
	kfree(p[0]);
}

UNIT_TEST(kmalloc_up_to_4_mb)
{
	for (unsigned shift = 1; shift <= 22; shift++) {
		for (size_t size = (1u << shift) - 1; size <= 1u << shift; size++) {
			uint8_t *p = kmalloc(size, GFP_KERNEL);

			CHECK(p);
			CHECK_GE(ksize(p), size);
			p[0] = p[size - 1] = 1;
			kfree(p);
		}
	}
	CHECK_EQ(kmalloc((4 << 20) + 1, GFP_KERNEL | __GFP_NOWARN), NULL);
}

/* --- what can be won back --------------------------------------------------------------------------------------- */

UNIT_TEST(reclaimable_slabs_are_counted)
{
	struct kmem_cache *s =
	        kmem_cache_create("test-rcl", 1000, 0, SLAB_NO_MERGE | SLAB_RECLAIM_ACCOUNT, NULL);
	struct kmem_cache *other = kmem_cache_create("test-unrcl", 1000, 0, SLAB_NO_MERGE, NULL);
	uint64_t all = frame_kind_pages(FRAME_SLAB),
	         some = frame_kind_pages(FRAME_SLAB_RECLAIMABLE);
	void *p, *q;

	CHECK(s && other);
	CHECK(p = kmem_cache_alloc(s, GFP_KERNEL));
	CHECK(q = kmem_cache_alloc(other, GFP_KERNEL));
	if (!is("slob")) { /* whose pages are nobody's in particular */
		CHECK_EQ(frame_kind_pages(FRAME_SLAB_RECLAIMABLE) - some, 1u << s->order);
		CHECK_EQ(frame_kind_pages(FRAME_SLAB) - all, 2u << s->order);
		CHECK(slab_page_reclaimable(virt_to_page(p)));
	}
	CHECK(!slab_page_reclaimable(virt_to_page(q)));
	kmem_cache_free(s, p);
	kmem_cache_free(other, q);
	CHECK_EQ(kmem_cache_destroy(s), 0);
	CHECK_EQ(kmem_cache_destroy(other), 0);
	CHECK_EQ(frame_kind_pages(FRAME_SLAB_RECLAIMABLE), some);
}

/* --- where objects lie --------------------------------------------------------------------------------------------- */

/* Lecture 001: no small object spans two lines; of kmalloc's classes, the powers of two. */
UNIT_TEST(no_small_object_crosses_a_line)
{
	static void *p[300];

	for (size_t size = 8; size <= CACHELINE; size *= 2) {
		for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
			CHECK(p[i] = kmalloc(size, GFP_KERNEL));
			CHECK_EQ((uintptr_t)p[i] / CACHELINE,
			         ((uintptr_t)p[i] + size - 1) / CACHELINE);
		}
		for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
			kfree(p[i]);
	}
}

/* SLAB: the first objects of slabs lie at different offsets, as long as there is room left over. */
UNIT_TEST(slabs_have_colours)
{
	struct kmem_cache *s = kmem_cache_create("test-colour", 700, 0, SLAB_NO_MERGE, NULL);
	static void *p[60];

	CHECK(s);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		CHECK(p[i] = kmem_cache_alloc(s, GFP_KERNEL));
	if (is("slab") && !(s->flags & SLAB_DEBUG)) {
		uint64_t first = 0;
		unsigned colours = 0;

		CHECK(s->off_slab);
		CHECK_GT(s->colour, 2);
		for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
			size_t at = (uintptr_t)p[i] & (s->slab_bytes - 1);

			if (at < s->size && at % s->colour_off == 0)
				first |= 1ull << at / s->colour_off;
		}
		for (; first; first &= first - 1)
			colours++;
		CHECK_GE(colours, 3);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		kmem_cache_free(s, p[i]);
	CHECK_EQ(kmem_cache_destroy(s), 0);
}

/* --- time ------------------------------------------------------------------------------------------------------------ */

UNIT_TEST(what_is_not_used_goes_back_with_time)
{
	struct kmem_cache *s = kmem_cache_create("test-reap", 512, 0, SLAB_NO_MERGE, NULL);
	struct slabinfo info;
	void *p[100];

	CHECK(s);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		CHECK(p[i] = kmem_cache_alloc(s, GFP_KERNEL));
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		kmem_cache_free(s, p[i]);
	slab_reap();
	slab_reap();
	CHECK_EQ(slab_find("test-reap", &info), 0);
	CHECK_LE(info.num_slabs, 1);
	CHECK_EQ(kmem_cache_destroy(s), 0);
}

static unsigned kept(const struct kmem_cache *s, unsigned cpu)
{
	return slab_array_objects(&s->cpu[cpu]) + (s->cpu[cpu].page != NULL) +
	       s->cpu[cpu].nr_partial;
}

/* No CPU has an array or a slab of its own. */
static bool keeps_nothing(const struct kmem_cache *s)
{
	return is("slob") || s->flags & SLAB_SLOW || machine()->careful;
}

/* Another CPU used a cache and then has nothing to do any more: what it keeps goes back all the same. */
UNIT_TEST(what_an_idle_cpu_keeps_goes_back)
{
	uint64_t all = ((uint64_t)1 << machine()->nr_cpus) - 1;
	struct kmem_cache *s = kmem_cache_create("test-idle", 512, 0, SLAB_NO_MERGE, NULL);
	unsigned last = machine()->nr_cpus - 1;
	void *p[100];

	CHECK(s);
	for (unsigned round = 0; round < 2; round++) {
		port_set_cpus((uint64_t)1 << last);
		CHECK_EQ(cpu_id(), last);
		for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
			CHECK(p[i] = kmem_cache_alloc(s, GFP_KERNEL));
		for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
			kmem_cache_free(s, p[i]);
		port_set_cpus(1);
		CHECK(keeps_nothing(s) || kept(s, last) > 0);
		/* At once when asked for; else it was used since the last time. */
		slab_reap_cpus(round == 1);
		CHECK(keeps_nothing(s) || round == 1 || kept(s, last) > 0);
		if (round == 0)
			slab_reap_cpus(false);
		CHECK_EQ(kept(s, last), 0);
		CHECK_EQ(slab_nr_slabs(s), 0);
	}
	port_set_cpus(all);
	CHECK_EQ(kmem_cache_destroy(s), 0);
}

/* For what other CPUs keep. This thread plays the reaper. */
UNIT_TEST(shrinking_wakes_the_reaper)
{
	struct kmem_cache *s = kmem_cache_create("test-wake", 512, 0, SLAB_NO_MERGE, NULL);
	struct slab_state *st = slab_state();

	CHECK(s);
	CHECK(!atomic_load(&st->reaper));
	for (unsigned all = 0; all < 2; all++) {
		atomic_store(&st->reaper, port_self());
		(void)(all ? kmem_cache_shrink_all() : kmem_cache_shrink(s));
		atomic_store(&st->reaper, NULL);
		CHECK_EQ(atomic_exchange(&st->reap_all, false), machine()->nr_cpus > 1);
		if (machine()->nr_cpus > 1)
			port_block(); /* the permit */
	}
	CHECK_EQ(kmem_cache_destroy(s), 0);
}

/* --- shrinkers ---------------------------------------------------------------------------------------------------------- */

static uint64_t hoard, calls, again;

static uint64_t count_hoard(UNUSED struct shrinker *shrinker, UNUSED struct shrink_control *sc)
{
	return hoard;
}

static uint64_t scan_hoard(UNUSED struct shrinker *shrinker, struct shrink_control *sc)
{
	uint64_t n = MIN(sc->nr_to_scan, hoard);

	calls++;
	hoard -= n;
	again += shrink_slab(GFP_KERNEL, 0);
	return n;
}

UNIT_TEST(shrinkers_are_asked_for_a_share)
{
	struct shrinker hoarder = {.count_objects = count_hoard,
	                           .scan_objects = scan_hoard,
	                           .seeks = DEFAULT_SEEKS,
	                           .name = "test"};

	hoard = 1 << 20;
	calls = again = 0;
	register_shrinker(&hoarder);
	shrink_slab(GFP_KERNEL, SHRINK_PRIORITY);
	CHECK_EQ((1 << 20) - hoard, (1 << 20 >> 12) * 2); /* 4 / seeks of 1/4096 */
	CHECK_EQ(calls, 4);
	CHECK_EQ(again, 0); /* nobody comes in twice */
	hoard = 1000;       /* too few for a batch now: remembered */
	for (unsigned i = 0; i < 64 && hoard == 1000; i++)
		shrink_slab(GFP_KERNEL, 5);
	CHECK_EQ(hoard, 1000 - 128);
	hoard = 10;
	shrink_slab(GFP_KERNEL, 0);
	CHECK_EQ(hoard, 0);
	unregister_shrinker(&hoarder);
	hoard = 1 << 20;
	shrink_slab(GFP_KERNEL, 0);
	CHECK_EQ(hoard, 1 << 20);
}
