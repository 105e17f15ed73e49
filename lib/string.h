/*
 * string.h - strings and memory.
 *
 * The first part is the C library's <string.h>, C11 7.24. In the freestanding build string.c
 * defines it; a hosted program takes the definitions from its C library. The second part
 * (strscpy.c) is in both.
 */
#ifndef LIB_STRING_H
#define LIB_STRING_H

#include <quire/types.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *s, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *word);
size_t strspn(const char *s, const char *set);
size_t strcspn(const char *s, const char *set);

/*
 * Copy as much of from as fits into size bytes, always with a 0 at the end (unless size is 0).
 * Returns the length copied, or -E2BIG when it was cut. Reads no byte behind those it needs.
 */
long strscpy(char *to, const char *from, size_t size);

/*
 * An unsigned number at the start of s, in base 2..36, or 0: 0x is 16, 0 is 8, else 10 (with
 * base 16, a 0x is skipped). No white space, no sign. end (may be NULL): the first character
 * behind it. 0, -EINVAL (no digit), -ERANGE (above 2^64 - 1; end is still behind the digits).
 */
MUST_USE int parse_u64(const char *s, unsigned base, const char **end, uint64_t *value);

/*
 * All of s as a number of bytes: digits as in C, then nothing or one of K M G T P E (either case;
 * powers of 1024), then nothing, B or iB. 0, -EINVAL or -ERANGE.
 */
MUST_USE int parse_size(const char *s, uint64_t *bytes);

#endif
