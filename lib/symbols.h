/*
 * symbols.h - names for addresses of code, from a table that was made when the code was linked.
 *
 * Where a function begins is kept as an offset from the start of the text; its name is found by counting from the last marked
 * one, for a place in the names for each function would cost more than it saves:
 *
 *     offset[0]  [1]  [2]  ...  [15]  [16]  ...       ascending; several symbols may share one
 *     names      T start \0  t helper \0  ...         for each its letter, as nm(1) prints it (T global, t local), name and 0
 *     marker[0]  |                    [1] |           of symbols 0, SYMBOLS_MARKED, 2 * SYMBOLS_MARKED, ...: where in names
 *
 * A symbol reaches to the next one that begins elsewhere, the last to the end of the text. Linux: kallsyms. Nothing here
 * allocates, locks or sleeps.
 */
#ifndef LIB_SYMBOLS_H
#define LIB_SYMBOLS_H

#include <quire/types.h>

#define SYMBOLS_MARKED 16u

struct symbol_table {
	uintptr_t start, end; /* the text: addresses from start on and before end */
	const uint32_t *offset, *offset_end;
	const uint32_t *marker;
	const char *names;
};

struct symbol {
	uintptr_t address;
	size_t size;
	const char *name;
	char type;
};

unsigned symbol_count(const struct symbol_table *table);
/* i < symbol_count() */
void symbol_at(const struct symbol_table *table, unsigned i, struct symbol *out);
/* The symbol that the address lies in; the first of several. False: it is not in the text, or before all symbols. */
bool symbol_find(const struct symbol_table *table, uintptr_t address, struct symbol *out);

#endif
