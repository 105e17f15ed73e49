/*
 * bitmap.c - ranges and searches, a word at a time.
 */
#include "lib/bitmap.h"

/* The bits of a range that lie in the word of start: all up to the word's end, or n of them. */
static uint64_t mask_in_word(size_t start, size_t n)
{
	size_t shift = start % 64;
	uint64_t mask = UINT64_MAX << shift;

	if (n < 64 - shift)
		mask &= UINT64_MAX >> (64 - shift - n);
	return mask;
}

void bitmap_set(uint64_t *map, size_t start, size_t n)
{
	for (size_t step; n; start += step, n -= step) {
		step = MIN(n, 64 - start % 64);
		map[start / 64] |= mask_in_word(start, step);
	}
}

void bitmap_clear(uint64_t *map, size_t start, size_t n)
{
	for (size_t step; n; start += step, n -= step) {
		step = MIN(n, 64 - start % 64);
		map[start / 64] &= ~mask_in_word(start, step);
	}
}

/* Without SSE or popcnt: sums of 2, 4, 8 neighbours, then a multiplication adds the bytes. */
static unsigned weight64(uint64_t w)
{
	w -= w >> 1 & 0x5555555555555555ull;
	w = (w & 0x3333333333333333ull) + (w >> 2 & 0x3333333333333333ull);
	w = (w + (w >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return (unsigned)(w * 0x0101010101010101ull >> 56);
}

size_t bitmap_weight_range(const uint64_t *map, size_t start, size_t n)
{
	size_t weight = 0;

	for (size_t step; n; start += step, n -= step) {
		step = MIN(n, 64 - start % 64);
		weight += weight64(map[start / 64] & mask_in_word(start, step));
	}
	return weight;
}

size_t bitmap_weight(const uint64_t *map, size_t size)
{
	return bitmap_weight_range(map, 0, size);
}

/* The first bit set in map ^ invert. */
static ALWAYS_INLINE size_t find_next(const uint64_t *map, size_t size, size_t start,
                                      uint64_t invert)
{
	uint64_t word;
	size_t i, bit;

	if (start >= size)
		return size;
	i = start / 64;
	word = (map[i] ^ invert) & UINT64_MAX << (start % 64);
	while (!word) {
		if (++i >= BITS_TO_WORDS(size))
			return size;
		word = map[i] ^ invert;
	}
	bit = i * 64 + (unsigned)__builtin_ctzll(word);
	return MIN(bit, size);
}

size_t find_next_bit(const uint64_t *map, size_t size, size_t start)
{
	return find_next(map, size, start, 0);
}

size_t find_next_zero_bit(const uint64_t *map, size_t size, size_t start)
{
	return find_next(map, size, start, UINT64_MAX);
}

size_t find_last_bit(const uint64_t *map, size_t size)
{
	for (size_t i = BITS_TO_WORDS(size); i-- > 0;) {
		uint64_t word = map[i];

		if (size - i * 64 < 64)
			word &= mask_in_word(0, size - i * 64);
		if (word)
			return i * 64 + 63 - (unsigned)__builtin_clzll(word);
	}
	return size;
}

size_t bitmap_find_next_zero_area(const uint64_t *map, size_t size, size_t start, size_t n,
                                  size_t align)
{
	for (;;) {
		size_t end;

		start = find_next_zero_bit(map, size, start);
		start = ALIGN_UP(start, align);
		if (start >= size || n > size - start)
			return size;
		end = find_next_bit(map, start + n, start);
		if (end == start + n)
			return start;
		start = end + 1;
	}
}
