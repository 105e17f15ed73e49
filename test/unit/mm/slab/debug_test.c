/*
 * debug_test.c - each kind of bug, made on purpose, is found and named by the flag that is there for it; and the machine
 * goes on.
 */
#include "mm/slab/slub.h"
#include "lib/string.h"
#include "test/unit/unit.h"

#include <quire/kva.h>

static struct {
	char what[64], cache[32];
	const void *object, *at;
	uintptr_t allocated_by, freed_by;
	unsigned n;
} last;

static void note(const struct slab_bug *bug)
{
	strscpy(last.what, bug->what, sizeof(last.what));
	strscpy(last.cache, bug->cache, sizeof(last.cache));
	last.object = bug->object;
	last.at = bug->at;
	last.allocated_by = bug->allocated_by;
	last.freed_by = bug->freed_by;
	last.n++;
}

static bool is(const char *allocator)
{
	return !strcmp(slab_allocator(), allocator);
}

static struct kmem_cache *begin(size_t size, unsigned flags)
{
	memset(&last, 0, sizeof(last));
	slab_set_report(note);
	return kmem_cache_create("test-debug", size, 0, SLAB_NO_MERGE | flags, NULL);
}

/* Exactly n reports, the last of which says so; then the cache can be ended. */
static bool found(struct kmem_cache *s, unsigned n, const char *what)
{
	bool good = last.n == n && !strcmp(last.what, n ? what : "") &&
	            (!n || !strcmp(last.cache, "test-debug"));
	int err = kmem_cache_destroy(s);

	if (!good || err)
		unit_printf("%u reports, the last: \"%s\" of %s; destroy %d\n", last.n, last.what,
		            last.cache, err);
	slab_set_report(NULL);
	return good && !err && !slab_check();
}

UNIT_TEST(debugged_objects_in_good_use)
{
	static const size_t sizes[] = {1, 7, 8, 40, 64, 100, 1000, 4000, 9000};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct kmem_cache *s = begin(sizes[i], SLAB_DEBUG);
		void *objects[20];

		CHECK(s);
		for (unsigned k = 0; k < ARRAY_SIZE(objects); k++) {
			CHECK(objects[k] = kmem_cache_alloc(s, GFP_KERNEL));
			memset(objects[k], 0xff, sizes[i]);
		}
		CHECK_SOUND(slab_check());
		for (unsigned k = 0; k < ARRAY_SIZE(objects); k++)
			kmem_cache_free(s, objects[k]);
		CHECK(found(s, 0, ""));
	}
}

UNIT_TEST(overflow_by_one_byte)
{
	static const size_t sizes[] = {8, 40, 61, 200};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct kmem_cache *s = begin(sizes[i], SLAB_RED_ZONE);
		uint8_t *a = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL;

		CHECK(a);
		a[sizes[i]] = 0;
		kmem_cache_free(s, a);
		CHECK_EQ(last.at, a + sizes[i]);
		CHECK_EQ(last.object, a);
		CHECK(found(s, 1, "Right Redzone overwritten"));
	}
}

UNIT_TEST(underflow_by_one_byte)
{
	struct kmem_cache *s = begin(40, SLAB_RED_ZONE);
	uint8_t *a = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL;

	CHECK(a);
	a[-1] = 0;
	kmem_cache_free(s, a);
	CHECK_EQ(last.at, a - 1);
	CHECK(found(s, 1, "Left Redzone overwritten"));
}

/* One byte of an object, or behind it, is written while it is free: noticed when it is given out. Not by SLOB, which keeps nothing of it. */
static void write_while_free(unsigned size, unsigned flags, unsigned at, uint8_t value,
                             const char *what)
{
	struct kmem_cache *s = begin(size, flags);
	uint8_t *a = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL;

	CHECK(a);
	kmem_cache_free(s, a);
	if (!is("slob"))
		a[at] = value;
	a = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK(a);
	kmem_cache_free(s, a);
	CHECK(found(s, !is("slob"), what));
}

/* A free object's zones are looked at when it is given out: poison ends where the object does. */
UNIT_TEST(overflow_after_free)
{
	write_while_free(40, SLAB_RED_ZONE, 40, 0, "Right Redzone overwritten");
}

/* SLOB keeps nothing of a free object: it merges with its neighbours. */
UNIT_TEST(write_after_free)
{
	struct kmem_cache *s = begin(40, SLAB_POISON | SLAB_STORE_USER);
	uint8_t *a = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL, *b;

	CHECK(a);
	kmem_cache_free(s, a);
	if (!is("slob"))
		a[17] = 0x6a;
	b = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK(b);
	if (!is("slob")) {
		CHECK_EQ(a, b);
		CHECK_EQ(last.at, a + 17);
		CHECK_NE(last.freed_by, 0);
	}
	kmem_cache_free(s, b);
	CHECK(found(s, !is("slob"), "Poison overwritten"));
}

UNIT_TEST(the_last_byte_of_poison_counts)
{
	write_while_free(64, SLAB_POISON, 63, 0x6b, "Poison overwritten");
}

UNIT_TEST(freed_twice)
{
	static const unsigned flags[] = {SLAB_CONSISTENCY_CHECKS, SLAB_RED_ZONE, SLAB_POISON,
	                                 SLAB_DEBUG};

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		struct kmem_cache *s = begin(48, flags[i]);
		void *keep = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL;
		void *a = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL;

		CHECK(keep && a);
		kmem_cache_free(s, a);
		kmem_cache_free(s, a);
		kmem_cache_free(s, keep);
		CHECK(found(s, 1, "Object already free"));
	}
}

UNIT_TEST(foreign_pointers)
{
	struct kmem_cache *s = begin(48, SLAB_CONSISTENCY_CHECKS | SLAB_STORE_USER);
	uint8_t *a = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL;
	void *other = kmalloc(100, GFP_KERNEL), *page = __get_free_pages(GFP_KERNEL, 0);

	CHECK(a && other && page);
	memset(a, 0, 48);
	memset(page, 0, PAGE_SIZE);
	kmem_cache_free(s, other);
	CHECK_EQ(last.n, 1);
	kmem_cache_free(s, a + 8);
	CHECK_EQ(last.n, 2);
	kmem_cache_free(s, a + 3);
	CHECK_EQ(last.n, 3);
	CHECK_EQ(last.allocated_by, 0); /* what stands behind no object says nothing */
	kmem_cache_free(s, page);
	kfree(other);
	free_page(page);
	kmem_cache_free(s, a);
	CHECK(found(s, 4, "Invalid object pointer"));
}

/* Not even in the direct map, so no descriptor may be looked at: a stack, vmalloc's memory, numbers. */
UNIT_TEST(pointers_to_no_frame)
{
	struct kmem_cache *s = begin(48, SLAB_CONSISTENCY_CHECKS | SLAB_STORE_USER);
	void *a = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL, *area = vmalloc(100);
	uint64_t local[8] = {0};

	CHECK(a && area);
	kmem_cache_free(s, area);
	CHECK_EQ(last.n, 1);
	kmem_cache_free(s, local);
	CHECK_EQ(last.n, 2);
	kmem_cache_free(s, (void *)(uintptr_t)16);
	CHECK_EQ(last.n, 3);
	kmem_cache_free(s, (void *)~(uintptr_t)7);
	vfree(area);
	kmem_cache_free(s, a);
	CHECK(found(s, 4, "Invalid object pointer"));
}

/* kfree finds out by itself, on every machine, what was no memory of kmalloc's at all, or not its beginning. */
UNIT_TEST(kfree_of_what_is_not_kmallocs)
{
	char *large = kmalloc(20000, GFP_KERNEL), *page = __get_free_pages(GFP_KERNEL, 0);

	CHECK(large && page);
	memset(&last, 0, sizeof(last));
	slab_set_report(note);
	kfree(page);
	CHECK_EQ(last.n, 1);
	kfree(page + 64);
	CHECK_EQ(last.n, 2);
	kfree(large + PAGE_SIZE);
	CHECK_EQ(last.n, 3);
	kfree(large + 8);
	CHECK_EQ(last.n, 4);
	CHECK_STR(last.cache, "kmalloc");
	CHECK_STR(last.what, "not one of its objects in use");
	slab_set_report(NULL);
	kfree(large);
	free_page(page);
	CHECK_EQ(last.n, 4);
	CHECK_SOUND(frame_check());
}

static NOINLINE void *take_here(struct kmem_cache *s)
{
	void *object = kmem_cache_alloc(s, GFP_KERNEL);

	__asm__ volatile("" : : "r"(object)); /* no tail call: the call site is in this function */
	return object;
}

UNIT_TEST(leaks_are_named_with_their_owner)
{
	struct kmem_cache *s = begin(48, SLAB_STORE_USER);
	void *a = s ? take_here(s) : NULL, *b = s ? take_here(s) : NULL;

	CHECK(a && b);
	kmem_cache_free(s, b);
	CHECK_LT(kmem_cache_destroy(s), 0);
	CHECK_EQ(last.n, 1);
	CHECK_EQ(last.object, a);
	CHECK_LT(last.allocated_by - (uintptr_t)take_here, 200);
	kmem_cache_free(s, a);
	CHECK(found(s, 1, "Objects remaining on kmem_cache_destroy"));
}

/* Without debugging too, where there are slabs. (slub_debug may be on.) */
UNIT_TEST(leaks_are_named)
{
	struct kmem_cache *s = begin(48, 0);
	bool known = !is("slob") || (s && s->flags & SLAB_DEBUG);
	void *objects[200];

	CHECK(s);
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
		CHECK(objects[i] = kmem_cache_alloc(s, GFP_KERNEL));
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
		if (i != 7 && i != 150)
			kmem_cache_free(s, objects[i]);
	CHECK_LT(kmem_cache_destroy(s), 0);
	CHECK_EQ(last.n, known ? 2 : 0);
	CHECK(!known || last.object == objects[7] || last.object == objects[150]);
	kmem_cache_free(s, objects[7]);
	kmem_cache_free(s, objects[150]);
	CHECK_EQ(kmem_cache_destroy(s), 0);
	slab_set_report(NULL);
}

/* A link that was overwritten leads nowhere. SLUB's alone: the others have none in objects. */
UNIT_TEST(hardened_links)
{
	struct kmem_cache *s = begin(64, SLAB_HARDENED);
	char *a = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL, *b;

	CHECK(a);
	b = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK(b);
	kmem_cache_free(s, b);
	if (is("slub")) {
		uintptr_t *at = (uintptr_t *)(b + s->offset), link = *at;

		CHECK_NE(link, 0);
		*at = (uintptr_t)a; /* what an attacker would write */
		CHECK_EQ(slub_next(s, b), NULL);
		CHECK_EQ(last.n, 1);
		CHECK_STR(last.what, "Freechain corrupt");
		*at = link;
		CHECK_EQ(last.n, 1);
		last.n = 0;
		last.what[0] = '\0';
	}
	kmem_cache_free(s, a);
	CHECK(found(s, 0, ""));
}

static void ctor(void *object)
{
	memset(object, 0x33, 24);
}

/* What a constructor made is not poisoned; red zones and state stand beside it. */
UNIT_TEST(debugging_leaves_constructed_objects_alone)
{
	struct kmem_cache *s;
	uint8_t *a;

	memset(&last, 0, sizeof(last));
	slab_set_report(note);
	s = kmem_cache_create("test-debug", 24, 0, SLAB_NO_MERGE | SLAB_DEBUG, ctor);
	CHECK(s);
	for (unsigned i = 0; i < 3; i++) {
		a = kmem_cache_alloc(s, GFP_KERNEL);
		CHECK(a);
		for (unsigned k = 0; k < 24; k++)
			CHECK_EQ(a[k], 0x33);
		kmem_cache_free(s, a);
	}
	CHECK(found(s, 0, ""));
}

/* Without flags an object is as big as it ever was. */
UNIT_TEST(debugging_costs_nothing_when_off)
{
	struct kmem_cache *s = begin(64, 0);

	CHECK(s);
	CHECK(s->flags & SLAB_DEBUG || s->size == 64);
	CHECK(s->flags & SLAB_DEBUG || (!s->meta && !s->red_left));
	CHECK(found(s, 0, ""));
}
