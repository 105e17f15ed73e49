/*
 * sort_test.c - sorting of all small permutations and of random arrays of several element sizes.
 */
#include "lib/sort.h"
#include "test/unit/unit.h"

#define N 200

struct record {
	uint32_t key;
	uint32_t number;
	uint8_t odd[13]; /* makes the size no multiple of 8 */
};

static int compare_records(const void *a, const void *b, void *ctx)
{
	const struct record *x = a, *y = b;

	(*(unsigned *)ctx)++;
	return x->key < y->key ? -1 : x->key > y->key;
}

static int compare_bytes(const void *a, const void *b, UNUSED void *ctx)
{
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* Sorted, and the same records as before: their numbers say which those were. */
static void check_sorted(const struct record *records, size_t n, const uint32_t *keys)
{
	bool seen[N] = {false};

	for (size_t i = 0; i < n; i++) {
		const struct record *x = &records[i];

		CHECK(!i || records[i - 1].key <= x->key);
		CHECK(x->number < n && !seen[x->number]);
		seen[x->number] = true;
		CHECK_EQ(x->key, keys[x->number]);
		CHECK_EQ(x->odd[12], (uint8_t)x->number);
	}
}

UNIT_TEST(sorts_records)
{
	static struct record records[N];
	static uint32_t keys[N];
	struct random *r = unit_random();

	for (size_t n = 0; n < N; n++) {
		uint64_t different = 1 + random_below(r, random_one_in(r, 2) ? 5 : UINT32_MAX);
		unsigned compared = 0;

		for (size_t i = 0; i < n; i++) {
			keys[i] = (uint32_t)random_below(r, different);
			records[i] = (struct record){.key = keys[i], .number = (uint32_t)i};
			records[i].odd[12] = (uint8_t)i;
		}
		sort(records, n, sizeof(records[0]), compare_records, &compared);
		CHECK_CALL(check_sorted(records, n, keys));
		CHECK_LE(compared, n * 10);
	}
}

UNIT_TEST(sorts_all_permutations_of_seven)
{
	for (unsigned code = 0; code < 5040; code++) {
		uint8_t a[7];
		unsigned rest = code;

		for (unsigned i = 0; i < 7; i++) {
			unsigned at = rest % (i + 1);

			rest /= i + 1;
			a[i] = a[at];
			a[at] = (uint8_t)i;
		}
		sort(a, 7, 1, compare_bytes, NULL);
		for (unsigned i = 0; i < 7; i++)
			CHECK_EQ(a[i], i);
	}
}

UNIT_TEST(searches)
{
	static const uint8_t a[] = {1, 3, 3, 3, 7, 9};

	for (uint8_t key = 0; key < 11; key++) {
		size_t want = 0;
		bool there = key == 1 || key == 3 || key == 7 || key == 9;

		while (want < sizeof(a) && a[want] < key)
			want++;
		CHECK_EQ(lower_bound(&key, a, sizeof(a), 1, compare_bytes, NULL), want);
		CHECK_EQ(binary_search(&key, a, sizeof(a), 1, compare_bytes, NULL),
		         there ? &a[want] : NULL);
	}
	CHECK_EQ(lower_bound(a, a, 0, 1, compare_bytes, NULL), 0);
	CHECK_EQ(binary_search(a, a, 0, 1, compare_bytes, NULL), NULL);
}
