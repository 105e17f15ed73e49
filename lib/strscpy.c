/*
 * strscpy.c - what the C library has no safe form of: bounded copying, reading numbers.
 */
#include "lib/string.h"
#include <quire/errno.h>

long strscpy(char *to, const char *from, size_t size)
{
	size_t n;

	if (!size)
		return -E2BIG;
	for (n = 0; n < size - 1 && from[n]; n++)
		to[n] = from[n];
	to[n] = 0;
	return from[n] ? -E2BIG : (long)n;
}

/* The value of a digit; 255 for anything else. */
static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A') + 10;
	return 255;
}

static const char *skip_prefix(const char *s, unsigned *base)
{
	bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && digit_value(s[2]) < 16;

	if (hex && (*base == 0 || *base == 16)) {
		*base = 16;
		return s + 2;
	}
	if (*base == 0)
		*base = s[0] == '0' ? 8 : 10;
	return s;
}

int parse_u64(const char *s, unsigned base, const char **end, uint64_t *value)
{
	const char *p = skip_prefix(s, &base);
	uint64_t v = 0;
	bool over = false;

	if (digit_value(*p) >= base)
		return -EINVAL;
	for (unsigned digit; (digit = digit_value(*p)) < base; p++) {
		over |= __builtin_mul_overflow(v, (uint64_t)base, &v);
		over |= __builtin_add_overflow(v, (uint64_t)digit, &v);
	}
	if (end)
		*end = p;
	*value = over ? UINT64_MAX : v;
	return over ? -ERANGE : 0;
}

/* The power of two that a suffix stands for; 0 when there is none. */
static unsigned suffix_shift(char c)
{
	static const char suffixes[] = "KMGTPE";

	for (unsigned i = 0; suffixes[i]; i++)
		if (c == suffixes[i] || c == (suffixes[i] | 0x20))
			return 10 * (i + 1);
	return 0;
}

int parse_size(const char *s, uint64_t *bytes)
{
	const char *p;
	uint64_t v;
	unsigned shift;
	int err = parse_u64(s, 0, &p, &v);

	if (err)
		return err;
	shift = suffix_shift(*p);
	if (shift)
		p++;
	if (shift && p[0] == 'i' && (p[1] == 'B' || p[1] == 'b'))
		p++;
	if (*p == 'B' || *p == 'b')
		p++;
	if (*p)
		return -EINVAL;
	if (v > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = v << shift;
	return 0;
}
