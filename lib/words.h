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

/* A switch: 1 y yes t true on, or 0 n no f false off, in any case. 0, or -EINVAL: the text is none of them. */
MUST_USE int parse_bool(const char *text, bool *value);

#endif
