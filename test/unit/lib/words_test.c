/*
 * words_test.c - the command line's words.
 */
#include "lib/words.h"
#include "test/unit/unit.h"

#include <quire/errno.h>

UNIT_TEST(words)
{
	static const char line[] = "a=1 slab=slub  quiet x.y= slab=slob ab=2";
	char buf[8];

	CHECK_EQ(word_value(line, "slab", buf, sizeof(buf)), 4);
	CHECK_STR(buf, "slub");
	CHECK_EQ(word_value(line, "quiet", buf, sizeof(buf)), 0);
	CHECK_STR(buf, "");
	CHECK_EQ(word_value(line, "x.y", buf, sizeof(buf)), 0);
	CHECK_EQ(word_value(line, "b", buf, sizeof(buf)), -ENOENT);
	CHECK_EQ(word_value(line, "sla", buf, sizeof(buf)), -ENOENT);
	CHECK_EQ(word_value(line, "ab", buf, sizeof(buf)), 1);
	CHECK_STR(buf, "2");
	CHECK_EQ(word_value("", "a", buf, sizeof(buf)), -ENOENT);
}

UNIT_TEST(words_cut)
{
	char buf[3] = "zz";

	CHECK_EQ(word_value("key=value", "key", buf, sizeof(buf)), 5);
	CHECK_STR(buf, "va");
	CHECK_EQ(word_value("key=value", "key", NULL, 0), 5);
}

UNIT_TEST(switches)
{
	static const char *const on[] = {"1", "on", "ON", "y", "Yes", "t", "true"};
	static const char *const off[] = {"0", "off", "Off", "n", "NO", "f", "false"};
	static const char *const neither[] = {"",   "2",  "maybe", "o",   "onn",
	                                      "of", "1 ", "P",     "\x11"};
	bool value;

	for (unsigned i = 0; i < ARRAY_SIZE(on); i++) {
		value = false;
		CHECK_EQ(parse_bool(on[i], &value), 0);
		CHECK(value);
		CHECK_EQ(parse_bool(off[i], &value), 0);
		CHECK(!value);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(neither); i++) {
		value = true;
		CHECK_EQ(parse_bool(neither[i], &value), -EINVAL);
		CHECK(value);
	}
}
