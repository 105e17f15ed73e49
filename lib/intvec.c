/*
 * intvec.c - see intvec.h. The rules are those of Linux 6.1's proc_dointvec_minmax (kernel/sysctl.c), so that what a script
 * writes means the same to both.
 */
#include "lib/intvec.h"

#include "lib/string.h"
#include <quire/errno.h>

static const char separators[] = " \t\n";

/* Before a number and at the end any white space will do. */
static size_t skip_spaces(const char *text, size_t at)
{
	return at + strspn(text + at, " \t\n\v\f\r");
}

/* A number at text[*at], which moves behind it. */
static int parse_int(const char *text, size_t len, size_t *at, int64_t *value)
{
	const bool negative = text[*at] == '-';
	const char *end;
	uint64_t n;

	if (parse_u64(text + *at + negative, 0, &end, &n) || n > (uint64_t)INT32_MAX + negative)
		return -EINVAL;
	*at = (size_t)(end - text);
	if (*at < len && (!*end || !strchr(separators, *end)))
		return -EINVAL;
	*value = negative ? -(int64_t)n : (int64_t)n;
	return 0;
}

int parse_intvec(const char *text, size_t len, int32_t min, int32_t max, int32_t values[],
                 unsigned count, size_t *used)
{
	size_t at = skip_spaces(text, 0);
	unsigned n = 0;

	for (; n < count && at < len; n++) {
		int64_t value;

		if (parse_int(text, len, &at, &value) || value < min || value > max)
			return -EINVAL;
		values[n] = (int32_t)value;
		at = skip_spaces(text, at);
	}
	*used = at;
	return n ? (int)n : -EINVAL;
}
