/*
 * symbols_test.c - names of addresses: at the edges of symbols, of the text and of the table, with aliases, across marks.
 */
#include "lib/format.h"
#include "lib/string.h"
#include "lib/symbols.h"
#include "test/unit/unit.h"

#define START 0x1000u

/* 0x00-0x0f nothing; first 0x10-0x1f; alias and other at 0x20-0x7f; last 0x80-0xff. */
static const uint32_t offsets[] = {0x10, 0x20, 0x20, 0x80};
static const uint32_t marker;
static const char names[] = "Tfirst\0talias\0Tother\0tlast";
static const struct symbol_table table = {
        .start = START,
        .end = START + 0x100,
        .offset = offsets,
        .offset_end = offsets + ARRAY_SIZE(offsets),
        .marker = &marker,
        .names = names,
};

static void check_found(uintptr_t offset, const char *name, char type, uintptr_t start, size_t size)
{
	struct symbol s = {0};

	CHECK_MSG(symbol_find(&table, START + offset, &s), "nothing at %#lx",
	          (unsigned long)offset);
	CHECK_MSG(!strcmp(s.name, name), "%s, not %s, at %#lx", s.name, name,
	          (unsigned long)offset);
	CHECK_EQ(s.type, type);
	CHECK_EQ(s.address, START + start);
	CHECK_EQ(s.size, size);
}

UNIT_TEST(a_symbol_from_its_first_address_to_its_last)
{
	CHECK_CALL(check_found(0x10, "first", 'T', 0x10, 0x10));
	CHECK_CALL(check_found(0x17, "first", 'T', 0x10, 0x10));
	CHECK_CALL(check_found(0x1f, "first", 'T', 0x10, 0x10));
	CHECK_CALL(check_found(0x80, "last", 't', 0x80, 0x80));
	CHECK_CALL(check_found(0xff, "last", 't', 0x80, 0x80));
}

UNIT_TEST(of_two_symbols_at_one_address_the_first)
{
	struct symbol s;

	CHECK_CALL(check_found(0x20, "alias", 't', 0x20, 0x60));
	CHECK_CALL(check_found(0x7f, "alias", 't', 0x20, 0x60));
	symbol_at(&table, 2, &s);
	CHECK(!strcmp(s.name, "other"));
	CHECK_EQ(s.size, 0x60);
}

UNIT_TEST(no_symbol_outside_the_text_or_before_the_first)
{
	const uintptr_t none[] = {
	        0, START - 1, START, START + 0xf, START + 0x100, START + 0x110, UINTPTR_MAX};
	const struct symbol_table empty = {
	        .start = START, .end = START + 0x100, .offset = offsets, .offset_end = offsets};
	struct symbol s;

	for (unsigned i = 0; i < ARRAY_SIZE(none); i++)
		CHECK_MSG(!symbol_find(&table, none[i], &s), "%s at %#lx", s.name,
		          (unsigned long)none[i]);
	CHECK_EQ(symbol_count(&empty), 0);
	CHECK(!symbol_find(&empty, START + 0x20, &s));
}

#define MANY (3 * SYMBOLS_MARKED + 5)

/* Symbol i, called s<i>, at 8 * i: every name, on both sides of each mark. */
UNIT_TEST(names_across_marks)
{
	uint32_t offset[MANY], mark[MANY / SYMBOLS_MARKED + 1], at = 0;
	char text[MANY * 8], name[8];
	struct symbol_table many = {.start = START,
	                            .end = START + MANY * 8,
	                            .offset = offset,
	                            .offset_end = offset + MANY,
	                            .marker = mark,
	                            .names = text};
	struct symbol s;

	for (unsigned i = 0; i < MANY; i++) {
		offset[i] = 8 * i;
		if (i % SYMBOLS_MARKED == 0)
			mark[i / SYMBOLS_MARKED] = at;
		at += (uint32_t)format(text + at, sizeof(text) - at, "ts%u", i) + 1;
	}
	CHECK_EQ(symbol_count(&many), MANY);
	for (unsigned i = 0; i < MANY; i++) {
		format(name, sizeof(name), "s%u", i);
		CHECK(symbol_find(&many, START + 8 * i + 7, &s));
		CHECK_MSG(!strcmp(s.name, name), "%s, not %s", s.name, name);
		CHECK_EQ(s.size, 8);
		symbol_at(&many, i, &s);
		CHECK(!strcmp(s.name, name));
	}
}
