/*
 * symbols.c - names for the kernel's addresses, from the symbol table of its ELF file.
 */
#define _GNU_SOURCE
#include "cmd/quire/symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

struct symbols {
	char *file;
	size_t size;
	const Elf64_Sym *sym;
	size_t count;
	const char *names;
	size_t names_size;
};

/* Is [offset, offset + size) in the file? */
static bool within(const struct symbols *s, uint64_t offset, uint64_t size)
{
	return size <= s->size && offset <= s->size - size;
}

static const Elf64_Shdr *section(const struct symbols *s, const Elf64_Ehdr *e, unsigned i)
{
	uint64_t at = e->e_shoff + (uint64_t)i * sizeof(Elf64_Shdr);

	return i < e->e_shnum && within(s, at, sizeof(Elf64_Shdr))
	               ? (const Elf64_Shdr *)(s->file + at)
	               : NULL;
}

static bool find_tables(struct symbols *s)
{
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)s->file;

	if (s->size < sizeof(*e) || memcmp(e->e_ident, ELFMAG, SELFMAG) ||
	    e->e_ident[EI_CLASS] != ELFCLASS64)
		return false;
	for (unsigned i = 0; i < e->e_shnum; i++) {
		const Elf64_Shdr *table = section(s, e, i), *names;

		if (!table || table->sh_type != SHT_SYMTAB)
			continue;
		names = section(s, e, table->sh_link);
		if (!names || !within(s, table->sh_offset, table->sh_size) ||
		    !within(s, names->sh_offset, names->sh_size) || !names->sh_size ||
		    s->file[names->sh_offset + names->sh_size - 1])
			return false;
		s->sym = (const Elf64_Sym *)(s->file + table->sh_offset);
		s->count = table->sh_size / sizeof(Elf64_Sym);
		s->names = s->file + names->sh_offset;
		s->names_size = names->sh_size;
		return true;
	}
	return false;
}

/*
 * The function that addr lies in; NULL if there is none. Assembler's labels have no size: the nearest below
 * within a page will do. A backtrace asks a few dozen times, so a linear search does.
 */
static const Elf64_Sym *find(const struct symbols *s, uint64_t addr)
{
	const Elf64_Sym *best = NULL;

	for (size_t i = 0; i < s->count; i++) {
		const Elf64_Sym *sym = &s->sym[i];
		unsigned type = ELF64_ST_TYPE(sym->st_info);

		if ((type != STT_FUNC && type != STT_NOTYPE) || sym->st_shndx == SHN_UNDEF ||
		    sym->st_shndx == SHN_ABS || sym->st_name >= s->names_size)
			continue;
		if (addr < sym->st_value || addr - sym->st_value >= MAX(sym->st_size, 4096u))
			continue;
		if (sym->st_size && addr - sym->st_value >= sym->st_size)
			continue;
		if (!best || sym->st_value > best->st_value)
			best = sym;
	}
	return best;
}

static void annotate_line(const struct symbols *s, const char *line, size_t len, struct buf *out)
{
	const char *end = line + len, *at = line;

	while (at < end) {
		const char *open = memmem(at, (size_t)(end - at), "[<", 2);
		const Elf64_Sym *sym;
		uint64_t addr;
		char *close;

		if (!open)
			break;
		addr = strtoull(open + 2, &close, 16);
		if (close >= end || *close != '>') {
			buf_add(out, at, (size_t)(open + 2 - at));
			at = open + 2;
			continue;
		}
		close = MIN(close + 2, (char *)end);
		buf_add(out, at, (size_t)(close - at));
		at = close;
		/* A return address may lie behind the call of a function that does not return. */
		sym = find(s, addr - 1);
		if (sym)
			buf_printf(out, " %s+0x%lx/0x%lx", s->names + sym->st_name,
			           (unsigned long)(addr - sym->st_value),
			           (unsigned long)sym->st_size);
	}
	buf_add(out, at, (size_t)(end - at));
}

void symbols_annotate(const char *kernel, const char *text, bool only_addresses, struct buf *out)
{
	struct symbols s = {0};
	bool known;

	s.file = read_file(kernel, &s.size);
	known = s.file && find_tables(&s);
	while (*text) {
		size_t len = strcspn(text, "\n");

		len += text[len] == '\n';
		if (known && memmem(text, len, "[<", 2))
			annotate_line(&s, text, len, out);
		else if (!only_addresses)
			buf_add(out, text, len);
		text += len;
	}
	free(s.file);
}
