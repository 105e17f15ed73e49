/*
 * format_test.c - formatted text. What is expected is what the C library's printf gives.
 */
#include "lib/format.h"
#include "lib/string.h"
#include "test/unit/unit.h"

/* So that the compiler does not object to formats that are there to be tried. */
static NOINLINE const char *as_is(const char *fmt)
{
	return fmt;
}

#pragma GCC diagnostic ignored "-Wformat-security"
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#endif

#define EXPECT(want, fmt, ...)                                                       \
	do {                                                                         \
		char text_[128];                                                     \
		size_t n_ = format(text_, sizeof(text_), as_is(fmt), ##__VA_ARGS__); \
		CHECK_STR(text_, want);                                              \
		CHECK_EQ(n_, strlen(want));                                          \
	} while (0)

UNIT_TEST(integers)
{
	EXPECT("0 -1 2147483647 -2147483648", "%d %d %d %i", 0, -1, INT32_MAX, INT32_MIN);
	EXPECT("4294967295", "%u", UINT32_MAX);
	EXPECT("18446744073709551615", "%llu", UINT64_MAX);
	EXPECT("-9223372036854775808", "%ld", INT64_MIN);
	EXPECT("deadbeef DEADBEEF 777", "%x %X %o", 0xdeadbeef, 0xdeadbeef, 0777);
	EXPECT("1777777777777777777777", "%lo", UINT64_MAX);
	EXPECT("-1 255 -1 65535", "%hhd %hhu %hd %hu", 0xff, 0x1ff, 0xffff, 0x1ffff);
	EXPECT("12 -3 7 9", "%zu %td %jd %zd", (size_t)12, (ptrdiff_t)-3, (intmax_t)7, (size_t)9);
}

UNIT_TEST(flags)
{
	EXPECT("[   42][42   ][00042]", "[%5d][%-5d][%05d]", 42, 42, 42);
	EXPECT("[  -42][-42  ][-0042]", "[%5d][%-5d][%05d]", -42, -42, -42);
	EXPECT("[+42][ 42][+42][-42]", "[%+d][% d][%+ d][%+d]", 42, 42, 42, -42);
	EXPECT("[0x2a][0X2A][052][0][0]", "[%#x][%#X][%#o][%#x][%#o]", 42, 42, 42, 0, 0);
	EXPECT("[0x00002a][  0x2a][0x2a  ]", "[%#08x][%#6x][%-#6x]", 42, 42, 42);
	EXPECT("[42   ]", "[%-05d]", 42);
}

UNIT_TEST(width_and_precision)
{
	EXPECT("[00042][  042][042  ][   42]", "[%.5d][%5.3d][%-5.3d][%05.1d]", 42, 42, 42, 42);
	EXPECT("[][     ][+][0][0x00ff]", "[%.0d][%5.0d][%+.0d][%#.0o][%#.4x]", 0, 0, 0, 0, 255);
	EXPECT("[   42][42   ][042][42]", "[%*d][%*d][%.*d][%.*d]", 5, 42, -5, 42, 3, 42, -1, 42);
	EXPECT("[-00042]", "[%.5d]", -42);
	EXPECT("[                                                  1]", "[%51d]", 1);
}

UNIT_TEST(strings_and_characters)
{
	static const char unended[3] = {'a', 'b', 'c'};

	EXPECT("[abc][  abc][abc  ][ab][   ab]", "[%s][%5s][%-5s][%.2s][%5.2s]", "abc", "abc",
	       "abc", "abc", "abc");
	EXPECT("abc ab", "%.3s %.*s", unended, 2, unended);
	EXPECT("(null)|(nu", "%s|%.3s", (char *)NULL, (char *)NULL);
	EXPECT("[x][    x][x    ]", "[%c][%5c][%-5c]", 'x', 'x', 'x');
	EXPECT("100%", "%d%%", 100);
	EXPECT("", "");
	EXPECT("[]", "[%s]", "");
}

UNIT_TEST(pointers)
{
	EXPECT("0xffffffff80000000", "%p", (void *)0xffffffff80000000ull);
	EXPECT("[  0x10][0x10  ]", "[%6p][%-6p]", (void *)16, (void *)16);
	EXPECT("[(nil)][  (nil)]", "[%p][%7p]", NULL, NULL);
}

/* What is not a conversion stays as it is, and nothing behind it reads an argument. */
UNIT_TEST(unknown_conversions)
{
	EXPECT("1 %q %d", "%d %q %d", 1);
	EXPECT("%", "%");
	EXPECT("%l", "%l");
	EXPECT("%-5.3", "%-5.3");
}

UNIT_TEST(cuts_off)
{
	char text[8];

	for (size_t size = 1; size <= sizeof(text); size++) {
		memset(text, 'z', sizeof(text));
		CHECK_EQ(format(text, size, "%s-%d", "abc", 12345), 9);
		CHECK_MEM(text, "abc-1234", size - 1);
		CHECK_EQ(text[size - 1], 0);
		for (size_t i = size; i < sizeof(text); i++)
			CHECK_EQ(text[i], 'z');
		CHECK_EQ(format_cut(text, size, "%s-%d", "abc", 12345), size - 1);
		CHECK_EQ(format_cut(text, size, "a"), MIN(size - 1, 1u));
	}
	CHECK_EQ(format(NULL, 0, "%s-%d", "abc", 12345), 9);
	CHECK_EQ(format_cut(NULL, 0, "abc"), 0);
}

struct collected {
	char text[64];
	size_t n;
	bool empty_piece;
};

static void collect(void *ctx, const char *text, size_t n)
{
	struct collected *c = ctx;

	c->empty_piece |= n == 0;
	memcpy(c->text + c->n, text, MIN(n, sizeof(c->text) - c->n));
	c->n += n;
}

UNIT_TEST(goes_out_in_pieces)
{
	struct collected c = {.n = 0};

	CHECK_EQ(format_to(collect, &c, "%s<%5d>%c%s", "", 42, 'x', "end"), 11);
	CHECK_EQ(c.n, 11);
	CHECK_MEM(c.text, "<   42>xend", 11);
	CHECK(!c.empty_piece);
}
