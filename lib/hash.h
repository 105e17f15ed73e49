/*
 * hash.h - hash functions for tables in memory. Not for secrets, nor against chosen keys.
 *
 * The integer hashes multiply by 2^n / phi and keep the high bits, which spreads runs of keys
 * evenly (Knuth 6.4). Results with a number of bits index a table of 1 << bits heads.
 */
#ifndef LIB_HASH_H
#define LIB_HASH_H

#include <quire/types.h>

#define GOLDEN_RATIO_32 0x61c88647u
#define GOLDEN_RATIO_64 0x61c8864680b583ebull

/* bits: 1..32. */
static inline uint32_t hash_32(uint32_t value, unsigned bits)
{
	return value * GOLDEN_RATIO_32 >> (32 - bits);
}

/* bits: 1..32. */
static inline uint32_t hash_64(uint64_t value, unsigned bits)
{
	return (uint32_t)(value * GOLDEN_RATIO_64 >> (64 - bits));
}

static inline uint32_t hash_ptr(const void *p, unsigned bits)
{
	return hash_64((uint64_t)(uintptr_t)p, bits);
}

/* One to one, and every bit of the value changes half of the result's (MurmurHash3). */
static inline uint64_t hash_mix(uint64_t value)
{
	value ^= value >> 33;
	value *= 0xff51afd7ed558ccdull;
	value ^= value >> 33;
	value *= 0xc4ceb9fe1a85ec53ull;
	return value ^ value >> 33;
}

/* A hash so far and one more value; the order matters. */
static inline uint64_t hash_combine(uint64_t hash, uint64_t value)
{
	return hash_mix((hash << 7 | hash >> 57) ^ value * GOLDEN_RATIO_64);
}

/*
 * FNV-1a taken eight bytes at a step, mixed at the end: all 64 bits are good. The tail and the
 * length take a step of their own, so strings that differ by trailing zero bytes differ.
 */
static inline uint64_t hash_string(const char *s, size_t length)
{
	const uint64_t prime = 0x100000001b3ull;
	uint64_t hash = 0xcbf29ce484222325ull, word;
	size_t left = length;

	for (; left >= 8; left -= 8, s += 8) {
		__builtin_memcpy(&word, s, 8);
		hash = (hash ^ word) * prime;
		hash ^= hash >> 32;
	}
	for (word = length; left; left--)
		word = word << 8 ^ (uint8_t)*s++;
	return hash_mix((hash ^ word) * prime);
}

#endif
