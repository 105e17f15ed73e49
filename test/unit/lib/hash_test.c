/*
 * hash_test.c - hashes spread what tables are asked for: runs of addresses, similar names.
 */
#include "lib/hash.h"
#include "lib/format.h"
#include "test/unit/unit.h"

#define BITS 8

static uint16_t heads[1 << BITS];

static void clear_heads(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		heads[i] = 0;
}

/* 16 keys a head: random placing gives some head about 32, and none of 256 heads more than 48. */
static void check_spread(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		CHECK_LT(heads[i], 48);
}

UNIT_TEST(integers_spread)
{
	static const unsigned strides[] = {0, 3, 6, 12, 21, 32};

	for (size_t s = 0; s < ARRAY_SIZE(strides); s++) {
		clear_heads();
		for (uint64_t i = 0; i < 16u << BITS; i++)
			heads[hash_64(0xffff888000000000ull + (i << strides[s]), BITS)]++;
		CHECK_CALL(check_spread());
	}
	clear_heads();
	for (uint32_t i = 0; i < 16u << BITS; i++)
		heads[hash_32(i << 4, BITS)]++;
	CHECK_CALL(check_spread());
	CHECK_EQ(hash_ptr(heads, 10), hash_64((uint64_t)heads, 10));
	CHECK_LE(hash_64(UINT64_MAX, 1), 1);
	CHECK_EQ(hash_32(1, 32), GOLDEN_RATIO_32);
}

UNIT_TEST(names_spread)
{
	clear_heads();
	for (unsigned i = 0; i < 16u << BITS; i++) {
		char name[32];
		size_t n = format(name, sizeof(name), "libfile-%u.so", i);

		heads[hash_string(name, n) % ARRAY_SIZE(heads)]++;
	}
	CHECK_CALL(check_spread());
}

UNIT_TEST(strings_of_all_lengths_differ)
{
	static const char zeros[20];
	char text[20] = "0123456789abcdefghi";

	for (size_t a = 0; a < 20; a++) {
		CHECK_EQ(hash_string(text, a), hash_string(text, a));
		for (size_t b = 0; b < a; b++) {
			CHECK_NE(hash_string(zeros, a), hash_string(zeros, b));
			CHECK_NE(hash_string(text, a), hash_string(text, b));
		}
	}
	for (size_t i = 0; i < 19; i++) {
		uint64_t before = hash_string(text, 19);

		text[i] ^= 1;
		CHECK_NE(hash_string(text, 19), before);
		text[i] ^= 1;
	}
	CHECK_NE(hash_combine(1, 2), hash_combine(2, 1));
	CHECK_NE(hash_mix(1), hash_mix(2));
}
