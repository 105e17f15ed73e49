/*
 * kallsyms.c - the names of the kernel's own functions, from a table in its image.
 *
 * The kernel is linked twice: with an empty table, and with that which scripts/kallsyms.sh makes of the first result. The table lies
 * behind the text and what the text refers to by constants of a fixed size, so the text is the same both times; the Makefile
 * compares.
 */
#include "kernel/kallsyms.h"
#include <quire/port.h>

extern const char __text_start[], __text_end[];
extern const uint32_t kallsyms_offsets[], kallsyms_offsets_end[], kallsyms_markers[];
extern const char kallsyms_names[];

const struct symbol_table kallsyms = {
        .start = (uintptr_t)__text_start,
        .end = (uintptr_t)__text_end,
        .offset = kallsyms_offsets,
        .offset_end = kallsyms_offsets_end,
        .marker = kallsyms_markers,
        .names = kallsyms_names,
};

const char *port_symbol(uintptr_t address, size_t *offset, size_t *size)
{
	struct symbol s;

	if (!symbol_find(&kallsyms, address, &s))
		return NULL;
	*offset = address - s.address;
	*size = s.size;
	return s.name;
}
