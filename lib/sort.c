/*
 * sort.c - heapsort and bisection.
 *
 * Floyd's bottom-up form: the hole left by the largest element sinks along the larger children
 * to a leaf, and the displaced element rises from there, which it seldom does far. That needs
 * about n log2 n comparisons where the usual form needs twice that. (Wegener 1993)
 */
#include "lib/sort.h"

static void swap_elements(char *a, char *b, size_t size)
{
	for (; size >= 8; size -= 8, a += 8, b += 8) {
		uint64_t wa, wb;

		__builtin_memcpy(&wa, a, 8);
		__builtin_memcpy(&wb, b, 8);
		__builtin_memcpy(a, &wb, 8);
		__builtin_memcpy(b, &wa, 8);
	}
	for (; size; size--, a++, b++) {
		char t = *a;

		*a = *b;
		*b = t;
	}
}

struct heap {
	char *base;
	size_t size;
	sort_cmp_t cmp;
	void *ctx;
};

static ALWAYS_INLINE char *at(const struct heap *h, size_t i)
{
	return h->base + i * h->size;
}

/* The leaf of [0, n) that is reached from i along the larger children. */
static size_t leaf_of(const struct heap *h, size_t i, size_t n)
{
	size_t child;

	while ((child = 2 * i + 1) + 1 < n)
		i = child + (h->cmp(at(h, child), at(h, child + 1), h->ctx) < 0);
	return child < n ? child : i;
}

/* Restore the heap of [0, n) whose only fault may be that i is smaller than something below it. */
static void sift_down(const struct heap *h, size_t i, size_t n)
{
	size_t j = leaf_of(h, i, n);

	while (j > i && h->cmp(at(h, i), at(h, j), h->ctx) > 0)
		j = (j - 1) / 2;
	/* i belongs at j: everything on the way from j up to i moves up by one. */
	for (size_t k = j; k > i; k = (k - 1) / 2)
		swap_elements(at(h, i), at(h, k), h->size);
}

void sort(void *base, size_t n, size_t size, sort_cmp_t cmp, void *ctx)
{
	const struct heap h = {base, size, cmp, ctx};

	for (size_t i = n / 2; i-- > 0;)
		sift_down(&h, i, n);
	while (n-- > 1) {
		swap_elements(at(&h, 0), at(&h, n), size);
		sift_down(&h, 0, n);
	}
}

size_t lower_bound(const void *key, const void *base, size_t n, size_t size, sort_cmp_t cmp,
                   void *ctx)
{
	size_t low = 0;

	while (low < n) {
		size_t middle = low + (n - low) / 2;

		if (cmp(key, (const char *)base + middle * size, ctx) > 0)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

void *binary_search(const void *key, const void *base, size_t n, size_t size, sort_cmp_t cmp,
                    void *ctx)
{
	size_t i = lower_bound(key, base, n, size, cmp, ctx);
	char *found = (char *)(uintptr_t)base + i * size;

	return i < n && cmp(key, found, ctx) == 0 ? found : NULL;
}
