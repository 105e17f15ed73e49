/*
 * symbol.c - addresses of code in words (symbol.h).
 */
#include <quire/port.h>
#include <quire/symbol.h>

#include "lib/format.h"

/* within: an address in the function that is to be named; offset counts from its start to address. */
static const char *sprint(char *text, uintptr_t address, uintptr_t within)
{
	size_t offset, size;
	const char *name = port_symbol(within, &offset, &size);

	if (name)
		format(text, KSYM_SYMBOL_LEN, "%s+0x%lx/0x%lx", name,
		       (unsigned long)(offset + (address - within)), (unsigned long)size);
	else
		format(text, KSYM_SYMBOL_LEN, "0x%lx", (unsigned long)address);
	return text;
}

const char *sprint_symbol(char text[KSYM_SYMBOL_LEN], uintptr_t address)
{
	return sprint(text, address, address);
}

const char *sprint_backtrace(char text[KSYM_SYMBOL_LEN], uintptr_t address)
{
	return sprint(text, address, address - 1);
}
