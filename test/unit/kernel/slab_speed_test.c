/*
 * slab_speed_test.c - what kernel objects cost: figures for bench/slab_kernel.sh, where a nanosecond is an instruction.
 *
 * The works are those of bench/slab_bench.c; the loop's own is measured with functions that do nothing and taken off.
 * Shown when tests are verbose.
 */
#include "mm/slab/internal.h"
#include "test/unit/unit.h"

#define PAIRS 20000u
#define BULK  32u
#define LIVE  10000u

static struct kmem_cache *cache;
static void *live[LIVE];

static NOINLINE void *no_alloc(size_t size)
{
	__asm__ volatile("" : : "r"(size));
	return live;
}

static NOINLINE void no_free(const void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

#define PAIR(name, ALLOC, FREE)                         \
	static NOINLINE void pairs_of_##name(void)      \
	{                                               \
		for (unsigned i = 0; i < PAIRS; i++) {  \
			void *p = (ALLOC);              \
                                                        \
			__asm__ volatile("" : "+r"(p)); \
			FREE;                           \
		}                                       \
	}
PAIR(nothing, no_alloc(64), no_free(p))
PAIR(objects, kmem_cache_alloc(cache, GFP_KERNEL), kmem_cache_free(cache, p))
PAIR(kmalloc, kmalloc(64, GFP_KERNEL), kfree(p))

static NOINLINE void bulk_of_objects(void)
{
	void *p[BULK];

	for (unsigned i = 0; i < PAIRS; i += BULK) {
		if (!kmem_cache_alloc_bulk(cache, GFP_KERNEL, BULK, p))
			return;
		__asm__ volatile("" : : "r"(p) : "memory");
		kmem_cache_free_bulk(cache, BULK, p);
	}
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

#define RANDOM(name, ALLOC, FREE)                                       \
	static NOINLINE void random_##name(void)                        \
	{                                                               \
		uint32_t state = 1;                                     \
                                                                        \
		for (unsigned i = 0; i < PAIRS; i++) {                  \
			unsigned at = next_random(&state) % LIVE;       \
			size_t size = 16 + (next_random(&state) & 511); \
                                                                        \
			FREE(live[at]);                                 \
			live[at] = ALLOC(size);                         \
		}                                                       \
	}
#define kmalloc_kernel(size) kmalloc(size, GFP_KERNEL)
RANDOM(nothing, no_alloc, no_free)
RANDOM(kmalloc, kmalloc_kernel, kfree)

/* Tenths of an instruction for each of PAIRS steps; the second time, for the first fills arrays. */
static uint64_t measure(void (*work)(void))
{
	uint64_t start;

	work();
	start = port_now_ns();
	work();
	return (port_now_ns() - start) * 10 / PAIRS;
}

static void show(const char *name, uint64_t work, uint64_t loop)
{
	uint64_t tenths = work > loop ? work - loop : 0;

	unit_printf("%-40s %6lu.%lu\n", name, tenths / 10, tenths % 10);
}

UNIT_TEST(pairs)
{
	uint64_t loop = measure(pairs_of_nothing), random = measure(random_nothing);

	cache = kmem_cache_create("test-speed", 64, 0, SLAB_NO_MERGE, NULL);
	CHECK(cache);
	show("64 bytes (kmem_cache_alloc, _free)", measure(pairs_of_objects), loop);
	show("64 bytes (kmalloc, kfree)", measure(pairs_of_kmalloc), loop);
	show("64 bytes, 32 at once", measure(bulk_of_objects), 0);
	for (unsigned i = 0; i < LIVE; i++)
		CHECK(live[i] = kmalloc(16 + i % 512, GFP_KERNEL));
	show("16 to 527 bytes, 10,000 live", measure(random_kmalloc), random);
	for (unsigned i = 0; i < LIVE; i++)
		kfree(live[i]);
	CHECK_EQ(kmem_cache_destroy(cache), 0);
}
