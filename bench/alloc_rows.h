/*
 * alloc_rows.h - frames and objects in a kernel: the same calls in the same order for Quire (test/unit/kernel/alloc_speed_test.c)
 * and Linux (linux_alloc.c), whose interfaces have the same names. The includer has bench_now() in nanoseconds.
 *
 * A row is run with the allocator and again with empty functions in its place: the difference counts, so that the loop does not. A
 * run returns nanoseconds for n operations, an operation being a get and a put, or 0 if memory was not enough.
 */
#ifndef BENCH_ALLOC_ROWS_H
#define BENCH_ALLOC_ROWS_H

#ifndef noinline
#define noinline __attribute__((noinline))
#endif

#define BENCH_LIVE 8192u
#define BENCH_BULK 32u

static void *bench_live[BENCH_LIVE];
static struct kmem_cache *bench_cache;

struct bench_row {
	const char *name;
	uint64_t (*run)(const struct bench_row *row, bool real);
	unsigned int n;    /* operations */
	unsigned int live; /* of them at a time */
	unsigned int order;
};

static noinline void *bench_no_alloc(size_t size)
{
	__asm__ volatile("" : : "r"(size));
	return bench_live;
}

static noinline void bench_no_free(void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

static uint32_t bench_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void bench_shuffle(unsigned int n)
{
	uint32_t state = 1;

	for (unsigned int i = n - 1; i > 0; i--) {
		unsigned int j = bench_random(&state) % (i + 1);
		void *swap = bench_live[i];

		bench_live[i] = bench_live[j];
		bench_live[j] = swap;
	}
}

static bool bench_get_blocks(const struct bench_row *row, bool real)
{
	for (unsigned int i = 0; i < row->live; i++) {
		bench_live[i] = real ? alloc_pages(GFP_KERNEL, row->order) : bench_no_alloc(i);
		if (!bench_live[i])
			return false;
	}
	return true;
}

static void bench_put_blocks(const struct bench_row *row, bool real)
{
	for (unsigned int i = row->live; i-- > 0;)
		if (real)
			__free_pages((struct page *)bench_live[i], row->order);
		else
			bench_no_free(bench_live[i]);
}

static uint64_t bench_blocks(const struct bench_row *row, bool real)
{
	uint64_t start = bench_now();

	for (unsigned int done = 0; done < row->n; done += row->live) {
		if (!bench_get_blocks(row, real))
			return 0;
		bench_put_blocks(row, real);
	}
	return bench_now() - start;
}

static uint64_t bench_blocks_random(const struct bench_row *row, bool real)
{
	uint64_t spent = 0;

	for (unsigned int done = 0; done < row->n; done += row->live) {
		uint64_t start = bench_now();

		if (!bench_get_blocks(row, real))
			return 0;
		spent += bench_now() - start;
		bench_shuffle(row->live);
		start = bench_now();
		bench_put_blocks(row, real);
		spent += bench_now() - start;
	}
	return spent;
}

static uint64_t bench_objects(const struct bench_row *row, bool real)
{
	uint64_t start = bench_now();

	for (unsigned int i = 0; i < row->n; i++) {
		void *object = real ? kmem_cache_alloc(bench_cache, GFP_KERNEL) : bench_no_alloc(i);

		if (!object)
			return 0;
		if (real)
			kmem_cache_free(bench_cache, object);
		else
			bench_no_free(object);
	}
	return bench_now() - start;
}

static uint64_t bench_kmalloc(const struct bench_row *row, bool real)
{
	uint64_t start = bench_now();

	for (unsigned int i = 0; i < row->n; i++) {
		void *object = real ? kmalloc(64, GFP_KERNEL) : bench_no_alloc(i);

		if (!object)
			return 0;
		if (real)
			kfree(object);
		else
			bench_no_free(object);
	}
	return bench_now() - start;
}

static uint64_t bench_bulk(const struct bench_row *row, bool real)
{
	uint64_t start = bench_now();

	for (unsigned int i = 0; i < row->n && real; i += BENCH_BULK) {
		if (!kmem_cache_alloc_bulk(bench_cache, GFP_KERNEL, BENCH_BULK, bench_live))
			return 0;
		kmem_cache_free_bulk(bench_cache, BENCH_BULK, bench_live);
	}
	return bench_now() - start;
}

/* A random one of those alive goes, and one of 16 to 527 bytes takes its place. */
static bool bench_replace(uint32_t *state, unsigned int live, bool real)
{
	unsigned int at = bench_random(state) % live;
	size_t size = 16 + (bench_random(state) & 511);

	if (real)
		kfree(bench_live[at]);
	else
		bench_no_free(bench_live[at]);
	bench_live[at] = real ? kmalloc(size, GFP_KERNEL) : bench_no_alloc(size);
	return bench_live[at];
}

static uint64_t bench_sizes(const struct bench_row *row, bool real)
{
	uint32_t state = 1;
	uint64_t start;
	bool enough = true;

	for (unsigned int i = 0; i < row->live; i++)
		bench_live[i] =
		        real ? kmalloc(16 + (bench_random(&state) & 511), GFP_KERNEL) : NULL;
	start = bench_now();
	for (unsigned int i = 0; i < row->n; i++)
		enough &= bench_replace(&state, row->live, real);
	start = bench_now() - start;
	for (unsigned int i = 0; i < row->live && real; i++)
		kfree(bench_live[i]);
	return enough ? start : 0;
}

static const struct bench_row bench_rows[] = {
        {"order 0, 32 at a time", bench_blocks, 64000, 32, 0},
        {"order 0, 8192 at a time", bench_blocks, 65536, 8192, 0},
        {"order 0, 8192, random frees", bench_blocks_random, 65536, 8192, 0},
        {"order 3, 32 at a time", bench_blocks, 16000, 32, 3},
        {"order 9, 16 at a time", bench_blocks, 1600, 16, 9},
        {"64 bytes, kmem_cache_alloc", bench_objects, 100000, 1, 0},
        {"64 bytes, kmalloc", bench_kmalloc, 100000, 1, 0},
        {"64 bytes, 32 at once", bench_bulk, 128000, 32, 0},
        {"16 to 527 bytes, 8192 live", bench_sizes, 100000, 8192, 0},
};

#define BENCH_ROWS (sizeof(bench_rows) / sizeof(*bench_rows))

/* In hundredths of an instruction; once before for what the first time costs. 0: not enough memory. */
static uint64_t bench_row_cost(const struct bench_row *row)
{
	uint64_t warm = row->run(row, true), real = row->run(row, true),
	         loop = row->run(row, false);

	return warm && real > loop ? (real - loop) * 100 / row->n : 0;
}

#endif
