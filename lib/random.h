/*
 * random.h - two generators for two purposes.
 *
 * struct random: fast, seeded, repeatable. For tests, simulation and tie breaking; who sees its
 * output can predict it. xoshiro256** seeded by splitmix64 (Blackman and Vigna 2018).
 *
 * chacha20_block(): the core of the kernel's pool of randomness, RFC 8439 section 2.3.
 */
#ifndef LIB_RANDOM_H
#define LIB_RANDOM_H

#include <quire/types.h>

struct random {
	uint64_t s[4];
};

/* Any seed will do, 0 too. The same seed gives the same sequence everywhere. */
void random_seed(struct random *r, uint64_t seed);
uint64_t random_u64(struct random *r);
void random_bytes(struct random *r, void *buf, size_t n);

/* One of 0..n-1 (all of 64 bits for n == 0), each equally likely: Lemire's method, 2019. */
uint64_t random_below(struct random *r, uint64_t n);

/* One of lo..hi, both included; lo <= hi. */
static inline uint64_t random_range(struct random *r, uint64_t lo, uint64_t hi)
{
	return lo + random_below(r, hi - lo + 1);
}

/* True once in n times; n > 0. */
static inline bool random_one_in(struct random *r, uint64_t n)
{
	return random_below(r, n) == 0;
}

/* 64 bytes of key stream. key: 32 bytes, nonce: 12 bytes, as little-endian words. Constant time. */
void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
                    uint8_t out[64]);

#endif
