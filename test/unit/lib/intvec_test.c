/*
 * intvec_test.c - numbers for /proc/sys: what Linux's proc_dointvec_minmax takes, and what it refuses.
 */
#include "lib/intvec.h"
#include "lib/string.h"
#include "test/unit/unit.h"

#include <quire/errno.h>

#define TEXT(s) s, sizeof(s) - 1

struct written {
	const char *text;
	size_t len;
	int n; /* numbers, or an error */
	int32_t values[3];
	size_t used; /* 0: all */
};

static const struct written cases[] = {
        {TEXT("12"), 1, {12}},
        {TEXT(" \t\n 12\n"), 1, {12}},
        {TEXT("12 \n \n"), 1, {12}},
        {TEXT("0x10"), 1, {16}},
        {TEXT("010"), 1, {8}},
        {TEXT("-7"), 1, {-7}},
        {TEXT("2147483647"), 1, {INT32_MAX}},
        {TEXT("-2147483648"), 1, {INT32_MIN}},
        {TEXT("1 2\t3\n"), 3, {1, 2, 3}},
        {TEXT("1 2"), 2, {1, 2}},
        {TEXT("1 2 3 4\n"), 3, {1, 2, 3}, 6},
        {TEXT("1 2 3 x"), 3, {1, 2, 3}, 6},
        {TEXT("                                                                            5"),
         1,
         {5}},
        {TEXT(""), -EINVAL},
        {TEXT(" \n"), -EINVAL},
        {TEXT("x"), -EINVAL},
        {TEXT("-"), -EINVAL},
        {TEXT("- 1"), -EINVAL},
        {TEXT("+5"), -EINVAL},
        {TEXT("1x"), -EINVAL},
        {TEXT("1,2"), -EINVAL},
        {TEXT("1 x"), -EINVAL},
        {TEXT("1.5"), -EINVAL},
        {TEXT("0x"), -EINVAL},
        {TEXT("09"), -EINVAL},
        {TEXT("12\0003"), -EINVAL},
        {TEXT("\0001"), -EINVAL},
        {TEXT("1 2 3\0004"), -EINVAL},
        {TEXT("2147483648"), -EINVAL},
        {TEXT("-2147483649"), -EINVAL},
        {TEXT("4294967297"), -EINVAL},
        {TEXT("18446744073709551617"), -EINVAL},
};

UNIT_TEST(numbers_as_linux_reads_them)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct written *c = &cases[i];
		int32_t values[3] = {0};
		size_t used = 0;

		CHECK_EQ(parse_intvec(c->text, c->len, INT32_MIN, INT32_MAX, values, 3, &used),
		         c->n);
		for (int k = 0; k < c->n; k++)
			CHECK_EQ(values[k], c->values[k]);
		if (c->n > 0)
			CHECK_EQ(used, c->used ? c->used : c->len);
	}
}

UNIT_TEST(numbers_out_of_range_are_refused)
{
	int32_t v;
	size_t used;

	CHECK_EQ(parse_intvec(TEXT("1"), 1, 4, &v, 1, &used), 1);
	CHECK_EQ(parse_intvec(TEXT("4"), 1, 4, &v, 1, &used), 1);
	CHECK_EQ(parse_intvec(TEXT("0"), 1, 4, &v, 1, &used), -EINVAL);
	CHECK_EQ(parse_intvec(TEXT("5"), 1, 4, &v, 1, &used), -EINVAL);
	CHECK_EQ(parse_intvec(TEXT("-1"), 1, 4, &v, 1, &used), -EINVAL);
}
