/*
 * symbols.c - looking up addresses in a table of symbols (symbols.h draws it).
 */
#include "lib/symbols.h"

#include "lib/string.h"

unsigned symbol_count(const struct symbol_table *table)
{
	return (unsigned)(table->offset_end - table->offset);
}

/* How many symbols begin at the offset or before. */
static unsigned upper_bound(const struct symbol_table *table, uint32_t offset)
{
	unsigned low = 0, high = symbol_count(table);

	while (low < high) {
		const unsigned middle = low + (high - low) / 2;

		if (table->offset[middle] <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const char *letter_and_name(const struct symbol_table *table, unsigned i)
{
	const char *s = table->names + table->marker[i / SYMBOLS_MARKED];

	for (unsigned n = i % SYMBOLS_MARKED; n; n--)
		s += strlen(s) + 1;
	return s;
}

void symbol_at(const struct symbol_table *table, unsigned i, struct symbol *out)
{
	const unsigned next = upper_bound(table, table->offset[i]);
	const char *s = letter_and_name(table, i);

	out->address = table->start + table->offset[i];
	out->size = next < symbol_count(table) ? table->offset[next] - table->offset[i]
	                                       : table->end - out->address;
	out->type = s[0];
	out->name = s + 1;
}

bool symbol_find(const struct symbol_table *table, uintptr_t address, struct symbol *out)
{
	unsigned i;

	if (address < table->start || address >= table->end)
		return false;
	i = upper_bound(table, (uint32_t)(address - table->start));
	if (!i)
		return false;
	for (i--; i && table->offset[i - 1] == table->offset[i];)
		i--;
	symbol_at(table, i, out);
	return true;
}
