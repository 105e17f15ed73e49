/*
 * words.h - a line of words, "key" or "key=value", separated by spaces: a kernel's command line.
 */
#ifndef LIB_WORDS_H
#define LIB_WORDS_H

#include <quire/types.h>

/*
 * The first word with that key, or NULL. *value, *len: what follows its '=', not NUL-ended; empty for a word without.
 */
const char *find_word(const char *words, const char *key, const char **value, size_t *len);

/* As find_word, the value copied to buf as far as size allows, NUL-ended. Its whole length, or -ENOENT. */
int64_t word_value(const char *words, const char *key, char *buf, size_t size);

#endif
