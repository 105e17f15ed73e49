/*
 * sort.h - sorting and searching arrays in place.
 *
 * cmp(a, b, ctx) is negative, zero or positive as a sorts before, with or after b. It must not
 * change the array. Nothing here allocates, recurses or sleeps (unless cmp does).
 */
#ifndef LIB_SORT_H
#define LIB_SORT_H

#include <quire/types.h>

typedef int (*sort_cmp_t)(const void *a, const void *b, void *ctx);

/* Heapsort: O(n log n) at worst, not stable. size: bytes of an element. */
void sort(void *base, size_t n, size_t size, sort_cmp_t cmp, void *ctx);

/* The position of the first element that is not before key, 0..n. key is passed as cmp's a. */
size_t lower_bound(const void *key, const void *base, size_t n, size_t size, sort_cmp_t cmp,
                   void *ctx);

/* The first of the elements equal to key, or NULL. */
void *binary_search(const void *key, const void *base, size_t n, size_t size, sort_cmp_t cmp,
                    void *ctx);

#endif
