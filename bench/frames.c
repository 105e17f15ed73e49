/*
 * frames.c - single frames and blocks: what getting and putting one costs, in nanoseconds.
 *
 *     frames            by Quire's alloc_pages in a hosted machine
 *     frames malloc     the same sequences by aligned_alloc(4096 << order), of whatever library is loaded
 *
 * Each row is one sequence, run again and again in steady state; the least of ROUNDS rounds counts, since
 * whatever else the host does only adds. "array stack" is the least that taking a number off a list can cost; "counts alone", the same with
 * the counts of references of those blocks: descriptors of huge pages lie 16 KB apart, where few fit into a cache at once.
 * bench/frames.sh runs this for all peers and prints ratios.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "lib/random.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS      15
#define FEW         32     /* fits into a CPU's lists */
#define MANY        100000 /* does not */
#define MACHINE_RAM (1024ull << 20)
#define LARGE_RAM   (16ull << 30)

struct allocator {
	void *(*get)(unsigned order);
	void (*put)(void *block, unsigned order);
};

static void *quire_get(unsigned order)
{
	return alloc_pages(GFP_KERNEL, order);
}

static void quire_put(void *block, unsigned order)
{
	__free_pages(block, order);
}

static void *malloc_get(unsigned order)
{
	return aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);
}

static void malloc_put(void *block, unsigned order)
{
	(void)order;
	free(block);
}

static void *stack[MANY];
static unsigned stack_top;

static void *stack_get(unsigned order)
{
	(void)order;
	return stack[--stack_top];
}

static void stack_put(void *block, unsigned order)
{
	(void)order;
	stack[stack_top++] = block;
}

/* The array again, and what nobody can do without who counts references in descriptors: one is set, and dropped. */
static void *count_get(unsigned order)
{
	struct page *page = stack_get(order);

	atomic_store_explicit(&page->_refcount, 1, memory_order_relaxed);
	return page;
}

static void count_put(void *block, unsigned order)
{
	struct page *page = block;

	atomic_fetch_sub_explicit(&page->_refcount, 1, memory_order_acq_rel);
	stack_put(block, order);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct sequence {
	const char *name;
	unsigned n, order, repeat;
	bool shuffled; /* put in random order */
};

static const struct sequence sequences[] = {
        {"order 0, 32 at a time", FEW, 0, 4000, false},
        {"order 0, 100000 at a time", MANY, 0, 1, false},
        {"order 0, 100000, random frees", MANY, 0, 1, true},
        {"order 9, 32 at a time", FEW, 9, 200, false},
        {"order 9, 256, random frees", 256, 9, 20, true},
};

/* Of the same on a machine that can spare blocks for each CPU. */
static const struct sequence large_sequences[] = {
        {"order 3, 32 at a time, 16 GB", FEW, 3, 1000, false},
        {"order 9, 32 at a time, 16 GB", FEW, 9, 200, false},
};

struct costs {
	double get, put; /* ns each */
};

static void shuffle(void **block, unsigned n, uint64_t seed)
{
	struct random rnd;

	random_seed(&rnd, seed);
	for (unsigned i = n - 1; i > 0; i--) {
		unsigned j = (unsigned)random_below(&rnd, i + 1);
		void *swap = block[i];

		block[i] = block[j];
		block[j] = swap;
	}
}

/* Get n, then put n, `repeat` times: the sum of each half. */
static struct costs run_round(const struct allocator *a, const struct sequence *s, void **block)
{
	struct costs sum = {0, 0};

	for (unsigned r = 0; r < s->repeat; r++) {
		double start = now_ns(), middle;

		for (unsigned i = 0; i < s->n; i++) {
			block[i] = a->get(s->order);
			if (!block[i])
				abort();
		}
		middle = now_ns();
		sum.get += middle - start;
		if (s->shuffled)
			shuffle(block, s->n, r);
		middle = now_ns();
		for (unsigned i = s->n; i-- > 0;)
			a->put(block[i], s->order);
		sum.put += now_ns() - middle;
	}
	return sum;
}

/* The same without asking for the time between the halves: what get and put cost together. */
static double run_whole(const struct allocator *a, const struct sequence *s, void **block)
{
	double start = now_ns();

	for (unsigned r = 0; r < s->repeat; r++) {
		for (unsigned i = 0; i < s->n; i++) {
			block[i] = a->get(s->order);
			if (!block[i])
				abort();
		}
		for (unsigned i = s->n; i-- > 0;)
			a->put(block[i], s->order);
	}
	return now_ns() - start;
}

/*
 * What the clock adds to a half is what the halves cost more than the whole, and not what a call of it takes: the CPU works on while the
 * clock is read. Shuffled sequences have no whole, but are so long that the clock does not show: it stays in.
 */
static struct costs measure(const struct allocator *a, const struct sequence *s)
{
	void **block = malloc(s->n * sizeof(*block));
	struct costs best = {1e18, 1e18};
	double operations = (double)s->n * s->repeat, whole = 1e18, clock;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct costs c = run_round(a, s, block);

		best.get = MIN(best.get, c.get);
		best.put = MIN(best.put, c.put);
		if (!s->shuffled)
			whole = MIN(whole, run_whole(a, s, block));
	}
	free(block);
	clock = MAX((best.get + best.put - whole) / 2, 0);
	return (struct costs){(best.get - clock) / operations, (best.put - clock) / operations};
}

/* --- two CPUs ----------------------------------------------------------------------------------------------- */

/* Somebody else who runs the first sequence, until it is told to end; a byte says that it has begun. */
struct other {
	const struct allocator *a;
	int begun[2];
	atomic_bool end;
};

static void keep_on(void *arg)
{
	struct other *other = arg;

	if (write(other->begun[1], "", 1) != 1)
		abort();
	while (!atomic_load(&other->end))
		measure(other->a, &sequences[0]);
}

static void *keep_on_thread(void *arg)
{
	keep_on(arg);
	return NULL;
}

static struct costs measure_beside(const struct other *other)
{
	char byte;

	if (read(other->begun[0], &byte, 1) != 1)
		abort();
	return measure(other->a, &sequences[0]);
}

static struct costs beside_cpu(const struct allocator *a, struct host_machine *h)
{
	struct other other = {.a = a};
	struct host_task *task = NULL;
	pthread_t thread;
	struct costs costs;

	if (pipe(other.begun))
		abort();
	if (h)
		task = host_run_on(h, 1, keep_on, &other);
	else if (pthread_create(&thread, NULL, keep_on_thread, &other))
		abort();
	costs = measure_beside(&other);
	atomic_store(&other.end, true);
	if (task)
		host_join(task);
	else
		pthread_join(thread, NULL);
	return costs;
}

/*
 * What the host alone makes slower when both its CPUs work, for they may be two threads of one core: the other is a process, with its own
 * copy of the descriptors, and no frame is touched.
 */
static struct costs beside_process(const struct allocator *a)
{
	struct other other = {.a = a};
	struct costs costs;
	pid_t child;

	if (pipe(other.begun) || (child = fork()) < 0)
		abort();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		keep_on(&other);
	}
	close(other.begun[1]);
	costs = measure_beside(&other);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return costs;
}

static void print(const char *name, struct costs c)
{
	printf("%s|%.2f|%.2f\n", name, c.get, c.put);
}

static void print_counts_alone(const struct sequence *s)
{
	static const struct allocator counts = {count_get, count_put};
	char name[64];

	snprintf(name, sizeof(name), "%s: counts alone", s->name);
	for (stack_top = 0; stack_top < s->n; stack_top++)
		stack[stack_top] = quire_get(s->order);
	print(name, measure(&counts, s));
	while (stack_top) {
		count_get(s->order);
		quire_put(stack[stack_top], s->order);
	}
}

int main(int argc, char **argv)
{
	static const struct allocator quire = {quire_get, quire_put},
	                              libc = {malloc_get, malloc_put},
	                              array = {stack_get, stack_put};
	bool use_malloc = argc > 1 && argv[1][0] == 'm';
	const struct allocator *a = use_malloc ? &libc : &quire;
	struct host_machine *h = NULL;

	if (!use_malloc) {
		h = host_create(&(struct host_config){.ram = MACHINE_RAM, .cpus = 2, .seed = 1});
		if (!h)
			return 1;
		while (stack_top < FEW)
			stack_put(stack, 0);
		print("array stack", measure(&array, &sequences[0]));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(sequences); i++)
		print(sequences[i].name, measure(a, &sequences[i]));
	for (unsigned i = 0; h && i < ARRAY_SIZE(sequences); i++)
		if (sequences[i].shuffled || sequences[i].order)
			print_counts_alone(&sequences[i]);
	print("order 0, 32, on each of 2 CPUs", beside_cpu(a, h));
	print("order 0, 32, in each of 2 processes", beside_process(a));
	if (h)
		host_destroy(h);
	if (h && !(h = host_create(&(struct host_config){.ram = LARGE_RAM, .cpus = 2, .seed = 1})))
		return 1;
	for (unsigned i = 0; i < ARRAY_SIZE(large_sequences); i++)
		print(large_sequences[i].name, measure(a, &large_sequences[i]));
	if (h)
		host_destroy(h);
	return 0;
}
