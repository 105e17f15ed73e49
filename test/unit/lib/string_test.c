/*
 * string_test.c - the freestanding string functions, also in a process, where the C library's
 * would hide them: string.c is compiled into this file under other names.
 */
#include "test/unit/unit.h"

#define memcpy  own_memcpy
#define memmove own_memmove
#define memset  own_memset
#define memcmp  own_memcmp
#define memchr  own_memchr
#define strlen  own_strlen
#define strnlen own_strnlen
#define strcmp  own_strcmp
#define strncmp own_strncmp
#define strchr  own_strchr
#define strrchr own_strrchr
#define strstr  own_strstr
#define strspn  own_strspn
#define strcspn own_strcspn
#include "lib/string.c"
#include <quire/errno.h>

#define ROOM 400

static uint8_t area[ROOM], want[ROOM];

static void junk(struct random *r)
{
	random_bytes(r, area, ROOM);
	for (size_t i = 0; i < ROOM; i++)
		want[i] = area[i];
}

/* All lengths to 200, all overlaps within 20 bytes and some beyond; nothing around is touched. */
UNIT_TEST(moves_memory)
{
	struct random *r = unit_random();

	for (size_t n = 0; n <= 200; n++)
		for (unsigned k = 0; k < 50; k++) {
			size_t from = 100, to = k < 41 ? 80 + k : random_below(r, ROOM - n);

			junk(r);
			for (size_t i = 0; i < n; i++)
				want[to + i] = area[from + i];
			CHECK_EQ(memmove(area + to, area + from, n), area + to);
			CHECK_MEM(area, want, ROOM);
		}
}

UNIT_TEST(copies_and_sets_memory)
{
	struct random *r = unit_random();

	for (size_t n = 0; n <= 180; n++)
		for (size_t shift = 0; shift < 9; shift++) {
			junk(r);
			for (size_t i = 0; i < n; i++)
				want[shift + i] = area[200 + i];
			CHECK_EQ(memcpy(area + shift, area + 200, n), area + shift);
			CHECK_MEM(area, want, ROOM);
			for (size_t i = 0; i < n; i++)
				want[shift + i] = 0xa5;
			CHECK_EQ(memset(area + shift, 0x1a5, n), area + shift);
			CHECK_MEM(area, want, ROOM);
		}
}

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

UNIT_TEST(compares_memory)
{
	struct random *r = unit_random();

	for (size_t n = 0; n <= 40; n++)
		for (size_t at = 0; at <= n; at++) {
			junk(r);
			CHECK_EQ(memcmp(area, want, n), 0);
			if (at == n)
				continue;
			want[at] ^= (uint8_t)(1 + random_below(r, 255));
			want[n - 1] ^= at < n - 1;
			CHECK_EQ(sign(memcmp(area, want, n)), area[at] < want[at] ? -1 : 1);
			CHECK_EQ(memcmp(area, want, at), 0);
		}
}

UNIT_TEST(measures_and_finds)
{
	static const char s[] = "page frame\xff";

	CHECK_EQ(strlen(""), 0);
	CHECK_EQ(strlen(s), 11);
	CHECK_EQ(strnlen(s, 4), 4);
	CHECK_EQ(strnlen(s, 99), 11);
	CHECK_EQ(strchr(s, 'e'), s + 3);
	CHECK_EQ(strrchr(s, 'e'), s + 9);
	CHECK_EQ(strchr(s, 0), s + 11);
	CHECK_EQ(strrchr(s, 0), s + 11);
	CHECK_EQ(strchr(s, 'z'), NULL);
	CHECK_EQ(strrchr(s, 'z'), NULL);
	CHECK_EQ(strchr(s, 0xff), s + 10);
	CHECK_EQ(memchr(s, 'f', 11), s + 5);
	CHECK_EQ(memchr(s, 'f', 5), NULL);
	CHECK_EQ(memchr(s, 0x1ff, 11), s + 10);
	CHECK_EQ(strstr(s, "frame"), s + 5);
	CHECK_EQ(strstr(s, ""), s);
	CHECK_EQ(strstr(s, "frames"), NULL);
	CHECK_EQ(strstr("", "a"), NULL);
	CHECK_EQ(strcmp(strstr("aaab", "aab"), "aab"), 0);
	CHECK_EQ(strspn(s, "aegp"), 4);
	CHECK_EQ(strcspn(s, " \xff"), 4);
	CHECK_EQ(strcspn(s, "\xff"), 10);
	CHECK_EQ(strspn(s, ""), 0);
	CHECK_EQ(strcspn(s, ""), 11);
}

UNIT_TEST(compares_strings)
{
	static const char *const sorted[] = {"", "a", "ab", "abc", "abd", "b", "b\xc3"};

	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
		for (size_t k = 0; k < ARRAY_SIZE(sorted); k++) {
			CHECK_EQ(sign(strcmp(sorted[i], sorted[k])), (i > k) - (i < k));
			CHECK_EQ(sign(strncmp(sorted[i], sorted[k], 9)), (i > k) - (i < k));
		}
	CHECK_EQ(strncmp("abc", "abd", 2), 0);
	CHECK_EQ(strncmp("abc", "abd", 0), 0);
	CHECK_LT(strncmp("abc", "abd", 3), 0);
	CHECK_GT(strcmp("\xff", "a"), 0);
}

UNIT_TEST(strscpy_cuts)
{
	char to[5] = "zzzz";
	static const char unended[4] = {'a', 'b', 'c', 'd'};

	CHECK_EQ(strscpy(to, "ab", sizeof(to)), 2);
	CHECK_EQ(strcmp(to, "ab"), 0);
	CHECK_EQ(strscpy(to, "abcd", sizeof(to)), 4);
	CHECK_EQ(strscpy(to, "abcde", sizeof(to)), -E2BIG);
	CHECK_EQ(strcmp(to, "abcd"), 0);
	CHECK_EQ(strscpy(to, unended, 4), -E2BIG);
	CHECK_EQ(strcmp(to, "abc"), 0);
	CHECK_EQ(strscpy(to, "x", 0), -E2BIG);
	CHECK_EQ(strscpy(to, "x", 1), -E2BIG);
	CHECK_EQ(to[0], 0);
	CHECK_EQ(strscpy(to, "", 1), 0);
}

static const struct number_case {
	const char *text;
	unsigned base;
	int err;
	size_t used;
	uint64_t value;
} number_cases[] = {
        {"0", 0, 0, 1, 0},
        {"42 ", 0, 0, 2, 42},
        {"0x2Ag", 0, 0, 4, 42},
        {"0X2a", 16, 0, 4, 42},
        {"2a", 16, 0, 2, 42},
        {"052", 0, 0, 3, 42},
        {"052", 10, 0, 3, 52},
        {"08", 0, 0, 1, 0},
        {"0x", 0, 0, 1, 0},
        {"0xg", 16, 0, 1, 0},
        {"101", 2, 0, 3, 5},
        {"zz", 36, 0, 2, 1295},
        {"18446744073709551615", 10, 0, 20, UINT64_MAX},
        {"18446744073709551616", 10, -ERANGE, 20, UINT64_MAX},
        {"99999999999999999999x", 10, -ERANGE, 20, UINT64_MAX},
        {"10000000000000000", 16, -ERANGE, 17, UINT64_MAX},
        {"", 0, -EINVAL, 0, 0},
        {"-1", 0, -EINVAL, 0, 0},
        {" 1", 0, -EINVAL, 0, 0},
        {"x", 10, -EINVAL, 0, 0},
        {"2", 2, -EINVAL, 0, 0},
};

UNIT_TEST(parses_numbers)
{
	for (size_t i = 0; i < ARRAY_SIZE(number_cases); i++) {
		const struct number_case *c = &number_cases[i];
		const char *end = c->text;
		uint64_t value = 0;
		int err = parse_u64(c->text, c->base, &end, &value);

		CHECK_MSG(err == c->err && value == c->value && end == c->text + c->used,
		          "\"%s\" in base %u: %d, %llu, %td characters", c->text, c->base, err,
		          (unsigned long long)value, end - c->text);
	}
	CHECK_EQ(parse_u64("1", 0, NULL, &(uint64_t){0}), 0);
}

static const struct size_case {
	const char *text;
	int err;
	uint64_t bytes;
} size_cases[] = {
        {"0", 0, 0},
        {"512", 0, 512},
        {"512B", 0, 512},
        {"64M", 0, 64ull << 20},
        {"64mb", 0, 64ull << 20},
        {"64MiB", 0, 64ull << 20},
        {"4k", 0, 4096},
        {"0x10k", 0, 16384},
        {"2G", 0, 2ull << 30},
        {"3T", 0, 3ull << 40},
        {"1P", 0, 1ull << 50},
        {"15E", 0, 15ull << 60},
        {"16E", -ERANGE, 0},
        {"18446744073709551616", -ERANGE, 0},
        {"17179869184G", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"M", -EINVAL, 0},
        {"64 M", -EINVAL, 0},
        {"64MM", -EINVAL, 0},
        {"64iB", -EINVAL, 0},
        {"64Mi", -EINVAL, 0},
        {"64Q", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"1.5G", -EINVAL, 0},
};

UNIT_TEST(parses_sizes)
{
	for (size_t i = 0; i < ARRAY_SIZE(size_cases); i++) {
		const struct size_case *c = &size_cases[i];
		uint64_t bytes = 0;
		int err = parse_size(c->text, &bytes);

		CHECK_MSG(err == c->err && bytes == c->bytes, "\"%s\": %d, %llu", c->text, err,
		          (unsigned long long)bytes);
	}
}
