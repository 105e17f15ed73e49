/*
 * bitmap_test.c - bitmaps against arrays of bool, at sizes on both sides of a word's end.
 */
#include "lib/bitmap.h"
#include "test/unit/unit.h"

#define MAX_SIZE 200

static DECLARE_BITMAP(map, MAX_SIZE + 64);
static bool model[MAX_SIZE + 64];

static size_t model_next(size_t size, size_t start, bool value)
{
	while (start < size && model[start] != value)
		start++;
	return MIN(start, size);
}

static size_t model_area(size_t size, size_t start, size_t n, size_t align)
{
	for (size_t at = ALIGN_UP(start, align); at + n <= size; at += align)
		if (model_next(at + n, at, true) == at + n)
			return at;
	return size;
}

static void check_finds(size_t size, size_t start, size_t n)
{
	size_t last = size, bit, weight = 0, range = 0;

	for (size_t i = 0; i < size; i++) {
		CHECK_EQ(test_bit(i, map), model[i]);
		weight += model[i];
		range += i >= start && i < start + n && model[i];
		if (model[i])
			last = i;
	}
	CHECK_EQ(bitmap_weight(map, size), weight);
	if (start + n <= size)
		CHECK_EQ(bitmap_weight_range(map, start, n), range);
	CHECK_EQ(find_next_bit(map, size, start), model_next(size, start, true));
	CHECK_EQ(find_next_zero_bit(map, size, start), model_next(size, start, false));
	CHECK_EQ(find_first_bit(map, size), model_next(size, 0, true));
	CHECK_EQ(find_last_bit(map, size), last);
	CHECK_EQ(bitmap_empty(map, size), weight == 0);
	CHECK_EQ(bitmap_full(map, size), weight == size);
	for_each_set_bit(bit, map, size) {
		CHECK(model[bit]);
		weight--;
	}
	CHECK_EQ(weight, 0);
}

static void random_change(struct random *r, size_t size)
{
	size_t start = random_below(r, size), n = random_below(r, size - start + 1);
	bool value = random_one_in(r, 2);

	if (random_one_in(r, 2))
		n = MIN(n, 3);
	if (value)
		bitmap_set(map, start, n);
	else
		bitmap_clear(map, start, n);
	for (size_t i = 0; i < n; i++)
		model[start + i] = value;
}

UNIT_TEST(agrees_with_an_array)
{
	static const size_t sizes[] = {1, 63, 64, 65, 127, 128, 130, MAX_SIZE};
	struct random *r = unit_random();

	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		size_t size = sizes[k];

		bitmap_zero(map, MAX_SIZE + 64);
		for (size_t i = 0; i < ARRAY_SIZE(model); i++)
			model[i] = false;
		for (unsigned round = 0; round < 400; round++) {
			size_t start = random_below(r, size + 2), n = 1 + random_below(r, 9);
			size_t align = 1ull << random_below(r, 5);

			random_change(r, size);
			CHECK_CALL(check_finds(size, start, n));
			CHECK_EQ(bitmap_find_next_zero_area(map, size, start, n, align),
			         model_area(size, start, n, align));
			CHECK_EQ(bitmap_weight(map, MAX_SIZE + 64), bitmap_weight(map, size));
		}
	}
}

UNIT_TEST(single_bits)
{
	bitmap_zero(map, MAX_SIZE);
	CHECK(!__test_and_set_bit(65, map));
	CHECK(__test_and_set_bit(65, map));
	CHECK_EQ(map[1], 2);
	__change_bit(65, map);
	__change_bit(0, map);
	CHECK_EQ(map[1], 0);
	CHECK_EQ(map[0], 1);
	CHECK(__test_and_clear_bit(0, map));
	CHECK(!__test_and_clear_bit(0, map));
	__set_bit(63, map);
	CHECK_EQ(map[0], 1ull << 63);
	__clear_bit(63, map);
	CHECK_EQ(map[0], 0);
	bitmap_fill(map, 70);
	CHECK(bitmap_full(map, 70));
}

/* Bits behind the size are neither found nor counted. */
UNIT_TEST(ends_at_the_size)
{
	bitmap_fill(map, 128);
	bitmap_clear(map, 0, 70);
	CHECK_EQ(find_next_bit(map, 70, 0), 70);
	CHECK_EQ(find_last_bit(map, 70), 70);
	CHECK_EQ(bitmap_weight(map, 70), 0);
	CHECK_EQ(bitmap_find_next_zero_area(map, 128, 0, 71, 1), 128);
	CHECK_EQ(bitmap_find_next_zero_area(map, 128, 0, 70, 1), 0);
	CHECK_EQ(find_next_bit(map, 0, 0), 0);
}
