/*
 * kallsyms_test.c - the kernel names its own functions: the table in its image is whole, sorted, and that of this very kernel.
 */
#include "kernel/kallsyms.h"
#include "lib/format.h"
#include "lib/string.h"
#include "test/unit/unit.h"

#include <quire/port.h>
#include <quire/symbol.h>

extern const char __text_start[], __text_end[];

#define ADDRESS(fn) ((uintptr_t)(fn))

static NOINLINE unsigned a_static_function(uintptr_t *address, unsigned n)
{
	const unsigned got = port_stack_trace(address, n);

	__asm__ volatile("" : : : "memory"); /* no tail call */
	return got;
}

static bool names(const char *text, const char *name, size_t offset)
{
	char wanted[KSYM_SYMBOL_LEN];
	const size_t n = format(wanted, sizeof(wanted), "%s+0x%lx/0x", name, (unsigned long)offset);

	return !strncmp(text, wanted, n) && strlen(text) > n;
}

UNIT_TEST(functions_have_their_names)
{
	char text[KSYM_SYMBOL_LEN];

	CHECK(names(sprint_symbol(text, ADDRESS(strlen)), "strlen", 0));
	CHECK(names(sprint_symbol(text, ADDRESS(strlen) + 1), "strlen", 1));
	CHECK(names(sprint_symbol(text, ADDRESS(a_static_function) + 3), "a_static_function", 3));
}

/* Where a call is the last of a function, it returns to the next one. */
UNIT_TEST(a_return_address_behind_its_function)
{
	char text[KSYM_SYMBOL_LEN];
	size_t offset, size;

	CHECK(port_symbol(ADDRESS(a_static_function), &offset, &size));
	CHECK(names(sprint_backtrace(text, ADDRESS(a_static_function) + size), "a_static_function",
	            size));
	CHECK(names(sprint_backtrace(text, ADDRESS(a_static_function) + 1), "a_static_function",
	            1));
	CHECK(!names(sprint_symbol(text, ADDRESS(a_static_function) + size), "a_static_function",
	             size));
}

UNIT_TEST(a_call_chain_by_name)
{
	uintptr_t address[4];
	char text[KSYM_SYMBOL_LEN];

	CHECK_EQ(a_static_function(address, 4), 4);
	sprint_backtrace(text, address[0]);
	CHECK_MSG(!strncmp(text, "a_static_function+0x", 20), "%s", text);
	sprint_backtrace(text, address[1]);
	CHECK_MSG(!strncmp(text, "unit_run_a_call_chain_by_name+0x", 32), "%s", text);
}

UNIT_TEST(what_is_not_code_has_no_name)
{
	static int data;
	char text[KSYM_SYMBOL_LEN], wanted[KSYM_SYMBOL_LEN];
	const uintptr_t none[] = {1, ADDRESS(__text_start) - 1, ADDRESS(__text_end), ADDRESS(&data),
	                          ADDRESS(text)};

	for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
		format(wanted, sizeof(wanted), "0x%lx", (unsigned long)none[i]);
		CHECK_MSG(!strcmp(sprint_symbol(text, none[i]), wanted), "%s", text);
	}
}

/* From the first byte of the text to the last, without gaps. */
UNIT_TEST(the_whole_text_is_named)
{
	uintptr_t at = ADDRESS(__text_start);
	struct symbol s, same;

	CHECK_GT(symbol_count(&kallsyms), 1000);
	for (unsigned i = 0; i < symbol_count(&kallsyms); i++) {
		symbol_at(&kallsyms, i, &s);
		CHECK(strchr("TtWw", s.type) && s.name[0] && strlen(s.name) < KSYM_NAME_LEN);
		CHECK(symbol_find(&kallsyms, s.address, &same) && same.address == s.address);
		if (s.address + s.size == at)
			continue; /* another name of the last */
		CHECK_MSG(s.address == at, "%s begins at %#lx, not %#lx", s.name, s.address, at);
		at += s.size;
	}
	CHECK_EQ(at, ADDRESS(__text_end));
}
