/*
 * string.c - the C library's memory and string functions, for the freestanding build only.
 *
 * Memory is moved in general registers, eight bytes at a time: the kernel must not touch vector
 * registers, and rep movsb is slow for short runs, the more so under emulation. Words are loaded
 * unaligned, and a tail is the last word of the area, overlapping those before it; so no length
 * needs a loop over single bytes.
 *
 * A compiler that recognises the loop of memcpy() as a memcpy() makes it call itself. gcc is
 * told not to by the pragma below; clang does not under -ffreestanding.
 */
#include "lib/string.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

typedef uint64_t __attribute__((may_alias, aligned(1))) word64;
typedef uint32_t __attribute__((may_alias, aligned(1))) word32;
typedef uint16_t __attribute__((may_alias, aligned(1))) word16;

/* All loads before all stores, so that any overlap is right. n <= 16. */
static ALWAYS_INLINE void copy_short(char *to, const char *from, size_t n)
{
	if (n >= 8) {
		uint64_t head = *(const word64 *)from, tail = *(const word64 *)(from + n - 8);

		*(word64 *)to = head;
		*(word64 *)(to + n - 8) = tail;
	} else if (n >= 4) {
		uint32_t head = *(const word32 *)from, tail = *(const word32 *)(from + n - 4);

		*(word32 *)to = head;
		*(word32 *)(to + n - 4) = tail;
	} else if (n >= 2) {
		uint16_t head = *(const word16 *)from, tail = *(const word16 *)(from + n - 2);

		*(word16 *)to = head;
		*(word16 *)(to + n - 2) = tail;
	} else if (n) {
		*to = *from;
	}
}

static ALWAYS_INLINE void copy_32(char *to, const char *from)
{
	const word64 *f = (const word64 *)from;
	word64 *t = (word64 *)to;
	uint64_t a = f[0], b = f[1], c = f[2], d = f[3];

	t[0] = a;
	t[1] = b;
	t[2] = c;
	t[3] = d;
}

/* Also right for areas that overlap where to is the lower: the tail is read first. */
static ALWAYS_INLINE void copy_up(char *to, const char *from, size_t n)
{
	uint64_t tail;
	char *tail_at;

	if (n <= 16) {
		copy_short(to, from, n);
		return;
	}
	tail = *(const word64 *)(from + n - 8);
	tail_at = to + n - 8;
	for (; n > 64; n -= 64, to += 64, from += 64) {
		copy_32(to, from);
		copy_32(to + 32, from + 32);
	}
	if (n > 32) {
		copy_32(to, from);
		n -= 32;
		to += 32;
		from += 32;
	}
	for (; n > 8; n -= 8, to += 8, from += 8)
		*(word64 *)to = *(const word64 *)from;
	*(word64 *)tail_at = tail;
}

/* The mirror image, for areas that overlap where to is the higher. */
static void copy_down(char *to, const char *from, size_t n)
{
	uint64_t head;

	if (n <= 16) {
		copy_short(to, from, n);
		return;
	}
	head = *(const word64 *)from;
	for (; n > 64; n -= 64) {
		copy_32(to + n - 32, from + n - 32);
		copy_32(to + n - 64, from + n - 64);
	}
	if (n > 32) {
		copy_32(to + n - 32, from + n - 32);
		n -= 32;
	}
	for (; n > 8; n -= 8)
		*(word64 *)(to + n - 8) = *(const word64 *)(from + n - 8);
	*(word64 *)to = head;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	copy_up(to, from, n);
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	if ((uintptr_t)to - (uintptr_t)from >= n)
		copy_up(to, from, n);
	else
		copy_down(to, from, n);
	return to;
}

static ALWAYS_INLINE void set_short(char *p, uint64_t pattern, size_t n)
{
	if (n >= 4) {
		*(word32 *)p = (uint32_t)pattern;
		*(word32 *)(p + n - 4) = (uint32_t)pattern;
	} else if (n >= 2) {
		*(word16 *)p = (uint16_t)pattern;
		*(word16 *)(p + n - 2) = (uint16_t)pattern;
	} else if (n) {
		*p = (char)pattern;
	}
}

void *memset(void *s, int c, size_t n)
{
	uint64_t pattern = (uint8_t)c * 0x0101010101010101ull;
	char *p = s;

	if (n < 8) {
		set_short(p, pattern, n);
		return s;
	}
	*(word64 *)(p + n - 8) = pattern;
	for (; n > 64; n -= 64, p += 64) {
		word64 *w = (word64 *)p;

		w[0] = w[1] = w[2] = w[3] = pattern;
		w[4] = w[5] = w[6] = w[7] = pattern;
	}
	if (n > 32) {
		word64 *w = (word64 *)p;

		w[0] = w[1] = w[2] = w[3] = pattern;
		n -= 32;
		p += 32;
	}
	for (; n > 8; n -= 8, p += 8)
		*(word64 *)p = pattern;
	return s;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a, *q = b;

	for (; n >= 8; n -= 8, p += 8, q += 8) {
		uint64_t v = *(const word64 *)p, w = *(const word64 *)q;

		if (v != w)
			return __builtin_bswap64(v) < __builtin_bswap64(w) ? -1 : 1;
	}
	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

void *memchr(const void *s, int c, size_t n)
{
	for (const uint8_t *p = s; n; n--, p++)
		if (*p == (uint8_t)c)
			return (void *)(uintptr_t)p;
	return NULL;
}

size_t strlen(const char *s)
{
	const char *p = s;

	while (*p)
		p++;
	return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n && *a && *a == *b; n--, a++, b++)
		;
	return n ? (uint8_t)*a - (uint8_t)*b : 0;
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++)
		if (!*s)
			return NULL;
	return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int c)
{
	const char *found = NULL;

	do {
		if (*s == (char)c)
			found = s;
	} while (*s++);
	return (char *)(uintptr_t)found;
}

char *strstr(const char *s, const char *word)
{
	size_t n = strlen(word);

	for (; strncmp(s, word, n); s++)
		if (!*s)
			return NULL;
	return (char *)(uintptr_t)s;
}

static size_t span(const char *s, const char *set, bool in_set)
{
	uint64_t members[4] = {0};
	size_t n = 0;

	for (; *set; set++)
		members[(uint8_t)*set / 64] |= 1ull << (uint8_t)*set % 64;
	while (s[n] && (members[(uint8_t)s[n] / 64] >> (uint8_t)s[n] % 64 & 1) == in_set)
		n++;
	return n;
}

size_t strspn(const char *s, const char *set)
{
	return span(s, set, true);
}

size_t strcspn(const char *s, const char *set)
{
	return span(s, set, false);
}
