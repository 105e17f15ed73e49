/*
 * bitmap.h - arrays of bits in 64-bit words: bit n is bit n % 64 of word n / 64.
 *
 * Nothing here is atomic: the caller locks. Positions and sizes are in bits. The find functions
 * return size when there is no such bit and never look at bits from size on. Linux 6.1's names.
 */
#ifndef LIB_BITMAP_H
#define LIB_BITMAP_H

#include <quire/types.h>

#define BITS_TO_WORDS(bits)        (((bits) + 63) / 64)
#define DECLARE_BITMAP(name, bits) uint64_t name[BITS_TO_WORDS(bits)]

static inline bool test_bit(size_t bit, const uint64_t *map)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

static inline void __set_bit(size_t bit, uint64_t *map)
{
	map[bit / 64] |= 1ull << (bit % 64);
}

static inline void __clear_bit(size_t bit, uint64_t *map)
{
	map[bit / 64] &= ~(1ull << (bit % 64));
}

static inline void __change_bit(size_t bit, uint64_t *map)
{
	map[bit / 64] ^= 1ull << (bit % 64);
}

/* The old value is returned. */
static inline bool __test_and_set_bit(size_t bit, uint64_t *map)
{
	bool old = test_bit(bit, map);

	__set_bit(bit, map);
	return old;
}

static inline bool __test_and_clear_bit(size_t bit, uint64_t *map)
{
	bool old = test_bit(bit, map);

	__clear_bit(bit, map);
	return old;
}

/* Whole maps of size bits. The bits that fill the last word are written with the rest. */
static inline void bitmap_zero(uint64_t *map, size_t size)
{
	for (size_t i = 0; i < BITS_TO_WORDS(size); i++)
		map[i] = 0;
}

static inline void bitmap_fill(uint64_t *map, size_t size)
{
	for (size_t i = 0; i < BITS_TO_WORDS(size); i++)
		map[i] = UINT64_MAX;
}

/* Ranges of n bits from start; n may be 0. */
void bitmap_set(uint64_t *map, size_t start, size_t n);
void bitmap_clear(uint64_t *map, size_t start, size_t n);

/* How many bits are set among the first size / among n from start. */
size_t bitmap_weight(const uint64_t *map, size_t size);
size_t bitmap_weight_range(const uint64_t *map, size_t start, size_t n);

/* The first set or clear bit at or after start. */
size_t find_next_bit(const uint64_t *map, size_t size, size_t start);
size_t find_next_zero_bit(const uint64_t *map, size_t size, size_t start);

static inline size_t find_first_bit(const uint64_t *map, size_t size)
{
	return find_next_bit(map, size, 0);
}

static inline size_t find_first_zero_bit(const uint64_t *map, size_t size)
{
	return find_next_zero_bit(map, size, 0);
}

/* The last set bit, or size. */
size_t find_last_bit(const uint64_t *map, size_t size);

/*
 * The first run of n clear bits at or after start whose position is a multiple of align, a
 * power of two; size when there is none.
 */
size_t bitmap_find_next_zero_area(const uint64_t *map, size_t size, size_t start, size_t n,
                                  size_t align);

static inline bool bitmap_empty(const uint64_t *map, size_t size)
{
	return find_first_bit(map, size) >= size;
}

static inline bool bitmap_full(const uint64_t *map, size_t size)
{
	return find_first_zero_bit(map, size) >= size;
}

#define for_each_set_bit(bit, map, size) \
	for (bit = find_first_bit(map, size); bit < (size); bit = find_next_bit(map, size, bit + 1))
#define for_each_clear_bit(bit, map, size)                       \
	for (bit = find_first_zero_bit(map, size); bit < (size); \
	     bit = find_next_zero_bit(map, size, bit + 1))

#endif
