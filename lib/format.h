/*
 * format.h - formatted text, as printf(3) without floating point.
 *
 *   %d %i %u %x %X %o %c %s %p %%   with hh h l ll z j t; flags - 0 + space #; width and
 *   precision, also as *. %s of NULL is "(null)"; %p is 0x and hexadecimal digits, NULL is "(nil)".
 *
 * An unknown conversion is copied as it stands and ends the conversions: its argument's type is
 * unknown. Nothing here allocates, locks or sleeps, so it is safe in any context.
 */
#ifndef LIB_FORMAT_H
#define LIB_FORMAT_H

#include <quire/types.h>

/*
 * At most size bytes including the 0 at the end, which is always there unless size is 0 (buf
 * may then be NULL). Returns the length that the whole text has: cut off if >= size.
 */
size_t vformat(char *buf, size_t size, const char *fmt, va_list args) PRINTF(3, 0);
size_t format(char *buf, size_t size, const char *fmt, ...) PRINTF(3, 4);

/* As above, but returns the length that was stored: for text built piece by piece. */
size_t vformat_cut(char *buf, size_t size, const char *fmt, va_list args) PRINTF(3, 0);
size_t format_cut(char *buf, size_t size, const char *fmt, ...) PRINTF(3, 4);

/* The text goes to put(), piece by piece; n is never 0. Returns its length. */
typedef void (*format_put_t)(void *ctx, const char *text, size_t n);
size_t vformat_to(format_put_t put, void *ctx, const char *fmt, va_list args) PRINTF(3, 0);
size_t format_to(format_put_t put, void *ctx, const char *fmt, ...) PRINTF(3, 4);

#endif
