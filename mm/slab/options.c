/*
 * options.c - the boot words of kernel objects.
 *
 *     slab=slub|slab|slob           the allocator
 *     slob_fit=first|next|best      how SLOB chooses
 *     slab_arrays=N                 most objects in a CPU's array, 0 to 62; 0: none, as below 8 MB of memory
 *     slab_nomerge                  no cache is one with another
 *     slab_harden                   links of free objects are enciphered in every cache
 *     slab_stats=NAME               count each step of this cache (or of all: *)
 *     slub_debug[=FZPU][,NAME...]   debug these caches, or all; as Linux spells it: letters F consistency checks,
 *                                   Z red zones, P poison, U owners, - nothing; without letters all of them; a name may
 *                                   end with *; several such blocks are separated by ; and the first that fits counts
 */
#include "mm/slab/internal.h"

#include "lib/string.h"

#include <quire/boot.h>

static const struct slab_ops *const allocators[] = {&slub_ops, &slab_ops, &slob_ops};
static const char *const fits[] = {
        [SLOB_FIRST] = "first", [SLOB_NEXT] = "next", [SLOB_BEST] = "best"};

/* The value of a word, "" if it has none; false: it is absent. */
static bool boot_word(const char *key, char *value, size_t size)
{
	return port_boot_param(key, value, size) >= 0;
}

static void choose_allocator(struct slab_options *o)
{
	char name[16];

	o->ops = &slub_ops;
	if (!boot_word("slab", name, sizeof(name)))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(allocators); i++) {
		if (!strcmp(name, allocators[i]->name)) {
			o->ops = allocators[i];
			return;
		}
	}
	port_log("slab=%s is unknown: write slub, slab or slob; it is slub", name);
}

static void choose_fit(struct slab_options *o)
{
	char name[16];

	if (!boot_word("slob_fit", name, sizeof(name)))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(fits); i++) {
		if (!strcmp(name, fits[i])) {
			o->fit = (enum slob_fit)i;
			return;
		}
	}
	port_log("slob_fit=%s is unknown: write first, next or best; it is first", name);
}

static int default_arrays(void)
{
	return totalram_pages() < SLAB_SMALL_PAGES ? 0 : (int)ARRAY_MAX;
}

/* One complaint for the word: each cache that is made reads it again. */
static void check_letters(const char *debug)
{
	for (const char *block = debug; *block;) {
		size_t known = strspn(block, "FZPU-"), n = strcspn(block, ";");

		if (block[known] && !strchr(",;", block[known])) {
			port_log("slub_debug=%s: '%c' is unknown: write F, Z, P, U or -", debug,
			         block[known]);
			return;
		}
		block += n + (block[n] == ';');
	}
}

void slab_read_options(struct slab_options *o)
{
	choose_allocator(o);
	choose_fit(o);
	o->arrays = (uint16_t)boot_number("slab_arrays", (int)ARRAY_MAX, default_arrays());
	o->nomerge = boot_flag("slab_nomerge");
	o->harden = boot_flag("slab_harden");
	(void)boot_word("slab_stats", o->stats, sizeof(o->stats));
	if (boot_word("slub_debug", o->debug, sizeof(o->debug)) && !o->debug[0])
		strscpy(o->debug, "FZPU", sizeof(o->debug));
	check_letters(o->debug);
}

/* --- slub_debug ---------------------------------------------------------------------------------------------- */

static unsigned debug_letters(const char *s, size_t n)
{
	unsigned flags = n ? 0 : SLAB_DEBUG;

	for (size_t i = 0; i < n; i++) {
		switch (s[i]) {
		case 'F':
			flags |= SLAB_CONSISTENCY_CHECKS;
			break;
		case 'Z':
			flags |= SLAB_RED_ZONE;
			break;
		case 'P':
			flags |= SLAB_POISON;
			break;
		case 'U':
			flags |= SLAB_STORE_USER;
			break;
		default: /* -, or check_letters() has complained */
			break;
		}
	}
	return flags;
}

/* A pattern of n bytes, which may end with a star. */
static bool name_fits(const char *pattern, size_t n, const char *name)
{
	if (n && pattern[n - 1] == '*')
		return !strncmp(pattern, name, n - 1);
	return strlen(name) == n && !strncmp(pattern, name, n);
}

/* LETTERS[,NAME...] of n bytes. */
static bool block_fits(const char *block, size_t n, size_t letters, const char *name)
{
	if (letters >= n)
		return true;
	for (size_t at = letters + 1; at <= n;) {
		size_t len = MIN(strcspn(block + at, ",;"), n - at);

		if (name_fits(block + at, len, name))
			return true;
		at += len + 1;
	}
	return false;
}

unsigned slab_debug_flags(const struct slab_options *o, const char *name)
{
	for (const char *block = o->debug; *block;) {
		size_t n = strcspn(block, ";"), letters = MIN(strcspn(block, ","), n);

		if (block_fits(block, n, letters, name))
			return debug_letters(block, letters);
		block += n + (block[n] == ';');
	}
	return 0;
}
