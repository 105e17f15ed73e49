/*
 * words.c - see words.h.
 */
#include "lib/words.h"

#include "lib/string.h"
#include <quire/errno.h>

const char *find_word(const char *words, const char *key, const char **value, size_t *len)
{
	size_t n = strlen(key);

	while (*words) {
		size_t word = strcspn(words, " ");

		if (word >= n && !memcmp(words, key, n) && (word == n || words[n] == '=')) {
			size_t from = MIN(n + 1, word);

			*value = words + from;
			*len = word - from;
			return words;
		}
		words += word;
		words += strspn(words, " ");
	}
	return NULL;
}

int64_t word_value(const char *words, const char *key, char *buf, size_t size)
{
	const char *value;
	size_t len;

	if (!find_word(words, key, &value, &len))
		return -ENOENT;
	if (size) {
		memcpy(buf, value, MIN(len, size - 1));
		buf[MIN(len, size - 1)] = '\0';
	}
	return (int64_t)len;
}
