/*
 * slab_bench.c - kernel objects against the allocators of programs: the same sizes in the same order.
 *
 *     slab_bench WHO WORK    WHO: none (the loop alone), malloc (libc, or what LD_PRELOAD puts there), quire [boot words]
 *                            WORK: pair, bulk, random
 *
 * Prints nanoseconds of CPU time for each operation (a pair, an object, a pair). bench/slab.sh counts instructions: all of
 * them lie in work_*(), which callgrind is told to watch.
 */
#include "host/host.h"

#include <quire/slab.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAIRS  2000000u
#define BULK   32u
#define LIVE   10000u
#define RANDOM 1000000u

static struct kmem_cache *cache;
static void *live[LIVE];

/* What the loop costs without an allocator. */
static char nothing[1024];

static NOINLINE void *none_alloc(size_t size)
{
	__asm__ volatile("" : : "r"(size));
	return nothing;
}

static NOINLINE void none_free(void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* alloc() and free() with nothing between them. */
#define PAIR(name, ALLOC, FREE)                         \
	NOINLINE void work_pair_##name(unsigned n);     \
	NOINLINE void work_pair_##name(unsigned n)      \
	{                                               \
		for (unsigned i = 0; i < n; i++) {      \
			void *p = (ALLOC);              \
			__asm__ volatile("" : "+r"(p)); \
			FREE;                           \
		}                                       \
	}
PAIR(none, none_alloc(64), none_free(p))
PAIR(malloc, malloc(64), free(p))
PAIR(quire, kmem_cache_alloc(cache, GFP_KERNEL), kmem_cache_free(cache, p))
PAIR(kmalloc, kmalloc(64, GFP_KERNEL), kfree(p))

/* BULK objects, then all back. */
#define BULKS(name, ALLOC, FREE)                                    \
	NOINLINE void work_bulk_##name(unsigned n);                 \
	NOINLINE void work_bulk_##name(unsigned n)                  \
	{                                                           \
		void *p[BULK];                                      \
		for (unsigned i = 0; i < n; i += BULK) {            \
			ALLOC;                                      \
			__asm__ volatile("" : : "r"(p) : "memory"); \
			FREE;                                       \
		}                                                   \
	}
BULKS(none, (void)0, (void)0)
BULKS(malloc, for (unsigned k = 0; k < BULK; k++) p[k] = malloc(64),
      for (unsigned k = 0; k < BULK; k++) free(p[k]))
BULKS(quire, if (!kmem_cache_alloc_bulk(cache, GFP_KERNEL, BULK, p)) abort(),
      kmem_cache_free_bulk(cache, BULK, p))

/* 10,000 live; a random one goes, one of 16 to 527 bytes takes its place. */
#define RANDOMS(name, ALLOC, FREE)                                      \
	NOINLINE void work_random_##name(unsigned n);                   \
	NOINLINE void work_random_##name(unsigned n)                    \
	{                                                               \
		uint32_t state = 1;                                     \
		for (unsigned i = 0; i < n; i++) {                      \
			unsigned at = next_random(&state) % LIVE;       \
			size_t size = 16 + (next_random(&state) & 511); \
			FREE(live[at]);                                 \
			live[at] = ALLOC(size);                         \
		}                                                       \
	}
#define kmalloc_kernel(size) kmalloc(size, GFP_KERNEL)
RANDOMS(none, none_alloc, none_free)
RANDOMS(malloc, malloc, free)
RANDOMS(quire, kmalloc_kernel, kfree)

static void fill(bool quire)
{
	uint32_t state = 7;

	for (unsigned i = 0; i < LIVE; i++) {
		size_t size = 16 + (next_random(&state) & 511);

		live[i] = quire ? kmalloc(size, GFP_KERNEL) : malloc(size);
	}
}

static const struct {
	const char *who, *work;
	void (*run)(unsigned n);
	unsigned n;
} works[] = {
        {"none", "pair", work_pair_none, PAIRS},
        {"malloc", "pair", work_pair_malloc, PAIRS},
        {"quire", "pair", work_pair_quire, PAIRS},
        {"none", "kmalloc", work_pair_none, PAIRS},
        {"malloc", "kmalloc", work_pair_malloc, PAIRS},
        {"quire", "kmalloc", work_pair_kmalloc, PAIRS},
        {"none", "bulk", work_bulk_none, PAIRS},
        {"malloc", "bulk", work_bulk_malloc, PAIRS},
        {"quire", "bulk", work_bulk_quire, PAIRS},
        {"none", "random", work_random_none, RANDOM},
        {"malloc", "random", work_random_malloc, RANDOM},
        {"quire", "random", work_random_quire, RANDOM},
};

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
	bool quire = argc > 2 && !strcmp(argv[1], "quire");
	unsigned divide = getenv("BENCH_DIVIDE") ? (unsigned)atoi(getenv("BENCH_DIVIDE")) : 1;
	double start;

	if (quire) {
		if (!host_create(&(struct host_config){.ram = 256ull << 20,
		                                       .boot_words = argc > 3 ? argv[3] : NULL}))
			return 1;
		cache = kmem_cache_create("bench", 64, 0, SLAB_NO_MERGE, NULL);
	}
	for (unsigned i = 0; argc > 2 && i < ARRAY_SIZE(works); i++) {
		if (strcmp(argv[1], works[i].who) || strcmp(argv[2], works[i].work))
			continue;
		if (!strcmp(argv[2], "random") && strcmp(argv[1], "none"))
			fill(quire);
		/* Once for the first slabs and arrays, which is not what is asked. */
		works[i].run(1000);
		start = cpu_ns();
		works[i].run(works[i].n / divide);
		printf("%.2f\n", (cpu_ns() - start) / (works[i].n / divide));
		return 0;
	}
	fprintf(stderr,
	        "usage: slab_bench none|malloc|quire pair|kmalloc|bulk|random [BOOT WORDS]\n");
	return 2;
}
