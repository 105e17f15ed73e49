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

/* As strcmp() == 0; letters of `word` are small ones. */
static bool same_word(const char *text, const char *word)
{
	for (; *word; text++, word++)
		if (*text != *word && (*text < 'A' || (*text | 0x20) != *word))
			return false;
	return !*text;
}

int parse_bool(const char *text, bool *value)
{
	static const char *const words[][2] = {{"0", "1"},    {"off", "on"}, {"n", "y"},
	                                       {"no", "yes"}, {"f", "t"},    {"false", "true"}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		for (unsigned on = 0; on < 2; on++)
			if (same_word(text, words[i][on])) {
				*value = on;
				return 0;
			}
	return -EINVAL;
}
