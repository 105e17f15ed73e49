/*
 * harness_test.c - what the checks themselves promise, as far as passing checks can show it.
 */
#include "lib/string.h"
#include "test/unit/unit.h"

UNIT_TEST(compares_numbers_of_any_type)
{
	struct {
		unsigned bits : 3;
	} s = {5};
	_Atomic uint32_t atomic = 7;
	int calls = 0;

	CHECK_LT(-1, 0u);
	CHECK_GT(UINT64_MAX, -1);
	CHECK_NE((uint8_t)0xff, (int8_t)0xff);
	CHECK_LE(INT64_MIN, INT64_MIN);
	CHECK_GE(UINT64_MAX, INT64_MAX);
	CHECK_EQ(s.bits, 5);
	CHECK_EQ(atomic, (char)7);
	CHECK_EQ(true, 1);
	CHECK_EQ(&s, (void *)&s);
	CHECK_EQ(calls++, 0);
	CHECK_EQ(calls, 1);
	CHECK_STR("frame", &"page frame"[5]);
	CHECK_SOUND(NULL);
}

UNIT_TEST(is_random_but_repeatable)
{
	struct random again;

	random_seed(&again, unit_seed());
	CHECK_EQ(random_u64(unit_random()), random_u64(&again));
	CHECK_NE(random_u64(unit_random()), unit_seed());
}

UNIT_TEST(knows_itself)
{
	CHECK_STR(unit_current()->name, "knows_itself");
	CHECK(strstr(unit_current()->file, "harness_test.c") != NULL);
	CHECK(!unit_failed());
}
