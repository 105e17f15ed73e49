/*
 * random.c - xoshiro256**, splitmix64, bounded draws, ChaCha20.
 */
#include "lib/random.h"

static uint64_t rotate64(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

/* splitmix64 visits every 64-bit state once, so no seed gives the all-zero state. */
void random_seed(struct random *r, uint64_t seed)
{
	for (size_t i = 0; i < ARRAY_SIZE(r->s); i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15ull;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ z >> 27) * 0x94d049bb133111ebull;
		r->s[i] = z ^ z >> 31;
	}
}

uint64_t random_u64(struct random *r)
{
	uint64_t *s = r->s, result = rotate64(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate64(s[3], 45);
	return result;
}

void random_bytes(struct random *r, void *buf, size_t n)
{
	uint8_t *p = buf;
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++, word >>= 8) {
		if (i % 8 == 0)
			word = random_u64(r);
		p[i] = (uint8_t)word;
	}
}

/* The two words of a product; the low one is a * b. Without a 128-bit type, for 32-bit machines have none. */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
	uint64_t low = (a & UINT32_MAX) * (b & UINT32_MAX);
	uint64_t mid = (a >> 32) * (b & UINT32_MAX) + (low >> 32);
	uint64_t cross = (a & UINT32_MAX) * (b >> 32) + (mid & UINT32_MAX);

	return (a >> 32) * (b >> 32) + (mid >> 32) + (cross >> 32);
}

/*
 * The high word of draw * n is a draw from 0..n-1; it is exact when those draws are refused whose
 * low word falls into the first 2^64 mod n values. The division is needed only when it is close.
 */
uint64_t random_below(struct random *r, uint64_t n)
{
	uint64_t draw = random_u64(r);

	if (!n)
		return draw;
	if (draw * n < n) {
		uint64_t refused = (0 - n) % n;

		while (draw * n < refused)
			draw = random_u64(r);
	}
	return multiply_high(draw, n);
}

static uint32_t rotate32(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static ALWAYS_INLINE void quarter_round(uint32_t *x, unsigned a, unsigned b, unsigned c, unsigned d)
{
	x[a] += x[b];
	x[d] = rotate32(x[d] ^ x[a], 16);
	x[c] += x[d];
	x[b] = rotate32(x[b] ^ x[c], 12);
	x[a] += x[b];
	x[d] = rotate32(x[d] ^ x[a], 8);
	x[c] += x[d];
	x[b] = rotate32(x[b] ^ x[c], 7);
}

/* Four columns, then four diagonals. Written out: indices that the compiler knows are registers. */
static void double_round(uint32_t *x)
{
	quarter_round(x, 0, 4, 8, 12);
	quarter_round(x, 1, 5, 9, 13);
	quarter_round(x, 2, 6, 10, 14);
	quarter_round(x, 3, 7, 11, 15);
	quarter_round(x, 0, 5, 10, 15);
	quarter_round(x, 1, 6, 11, 12);
	quarter_round(x, 2, 7, 8, 13);
	quarter_round(x, 3, 4, 9, 14);
}

void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
                    uint8_t out[64])
{
	/* "expand 32-byte k" */
	uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, [12] = counter};
	uint32_t x[16];

	for (unsigned i = 0; i < 8; i++)
		start[4 + i] = key[i];
	for (unsigned i = 0; i < 3; i++)
		start[13 + i] = nonce[i];
	for (unsigned i = 0; i < 16; i++)
		x[i] = start[i];
	for (unsigned i = 0; i < 10; i++)
		double_round(x);
	for (unsigned i = 0; i < 16; i++) {
		uint32_t word = x[i] + start[i];

		for (unsigned b = 0; b < 4; b++)
			out[4 * i + b] = (uint8_t)(word >> 8 * b);
	}
}
