/*
 * format.c - one walk over the format string; what it finds goes out in pieces.
 *
 * A converted number is  padding | sign or 0x | zeros | digits | padding,  where either the
 * paddings or the zeros fill it up to the width.
 */
#include "lib/format.h"
#include "lib/string.h"

enum {
	FLAG_LEFT = 1,
	FLAG_ZERO = 2,
	FLAG_PLUS = 4,
	FLAG_SPACE = 8,
	FLAG_ALTERNATE = 16,
};

struct spec {
	unsigned flags;
	int width;     /* >= 0 */
	int precision; /* -1: none given */
	char length;   /* 'l' also for z, j, t, ll; 'h'; 'H' for hh; 0 */
	char conversion;
};

struct output {
	format_put_t put;
	void *ctx;
	size_t total;
};

/* A struct, because a va_list parameter cannot be passed on by reference. */
struct arguments {
	va_list list;
};

static void emit(struct output *out, const char *text, size_t n)
{
	if (n)
		out->put(out->ctx, text, n);
	out->total += n;
}

static void emit_repeated(struct output *out, char c, size_t n)
{
	char chunk[32];

	if (!n)
		return;
	memset(chunk, c, sizeof(chunk));
	for (; n > sizeof(chunk); n -= sizeof(chunk))
		emit(out, chunk, sizeof(chunk));
	emit(out, chunk, n);
}

/* zeros stand between prefix and body, and count for the width. */
static void emit_padded(struct output *out, const struct spec *spec, const char *prefix,
                        size_t zeros, const char *body, size_t n)
{
	size_t used = strlen(prefix) + zeros + n, width = (size_t)spec->width;
	size_t fill = width > used ? width - used : 0;

	if (!(spec->flags & FLAG_LEFT))
		emit_repeated(out, ' ', fill);
	emit(out, prefix, strlen(prefix));
	emit_repeated(out, '0', zeros);
	emit(out, body, n);
	if (spec->flags & FLAG_LEFT)
		emit_repeated(out, ' ', fill);
}

/* Backwards from end; returns where they begin. Nothing for 0. */
static char *digits_of(uint64_t value, unsigned base, bool upper, char *end)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

	if (base == 10) {
		for (; value; value /= 10)
			*--end = (char)('0' + value % 10);
	} else {
		unsigned shift = base == 16 ? 4 : 3;

		for (; value; value >>= shift)
			*--end = digits[value & (base - 1)];
	}
	return end;
}

static void emit_number(struct output *out, const struct spec *spec, uint64_t value,
                        const char *prefix)
{
	char text[24], *end = text + sizeof(text), *start;
	unsigned base = spec->conversion == 'o' ? 8 : 10;
	size_t n, zeros = 0, wanted = spec->precision < 0 ? 1 : (size_t)spec->precision;

	if (spec->conversion == 'x' || spec->conversion == 'X')
		base = 16;
	start = digits_of(value, base, spec->conversion == 'X', end);
	n = (size_t)(end - start);
	if (base == 8 && spec->flags & FLAG_ALTERNATE && wanted <= n)
		wanted = n + 1;
	if (spec->precision < 0 && (spec->flags & (FLAG_ZERO | FLAG_LEFT)) == FLAG_ZERO) {
		size_t room = (size_t)spec->width, taken = strlen(prefix);

		if (room > taken && room - taken > wanted)
			wanted = room - taken;
	}
	if (wanted > n)
		zeros = wanted - n;
	emit_padded(out, spec, prefix, zeros, start, n);
}

static int64_t signed_argument(const struct spec *spec, struct arguments *args)
{
	int narrow;

	if (spec->length == 'l')
		return va_arg(args->list, long);
	narrow = va_arg(args->list, int);
	if (spec->length == 'h')
		return (short)narrow;
	return spec->length == 'H' ? (signed char)narrow : narrow;
}

static uint64_t unsigned_argument(const struct spec *spec, struct arguments *args)
{
	unsigned narrow;

	if (spec->length == 'l')
		return va_arg(args->list, unsigned long);
	narrow = va_arg(args->list, unsigned);
	if (spec->length == 'h')
		return (unsigned short)narrow;
	return spec->length == 'H' ? (unsigned char)narrow : narrow;
}

static void convert_signed(struct output *out, const struct spec *spec, struct arguments *args)
{
	int64_t value = signed_argument(spec, args);
	const char *prefix = "";

	if (value < 0)
		prefix = "-";
	else if (spec->flags & FLAG_PLUS)
		prefix = "+";
	else if (spec->flags & FLAG_SPACE)
		prefix = " ";
	emit_number(out, spec, value < 0 ? -(uint64_t)value : (uint64_t)value, prefix);
}

static void convert_unsigned(struct output *out, const struct spec *spec, struct arguments *args)
{
	uint64_t value = unsigned_argument(spec, args);
	const char *prefix = "";

	if (value && spec->flags & FLAG_ALTERNATE) {
		if (spec->conversion == 'x')
			prefix = "0x";
		else if (spec->conversion == 'X')
			prefix = "0X";
	}
	emit_number(out, spec, value, prefix);
}

static void convert_string(struct output *out, const struct spec *spec, const char *s)
{
	if (!s)
		s = "(null)";
	emit_padded(out, spec, "", 0, s,
	            spec->precision < 0 ? strlen(s) : strnlen(s, (size_t)spec->precision));
}

static void convert_pointer(struct output *out, struct spec *spec, const void *p)
{
	spec->conversion = 'x';
	if (p)
		emit_number(out, spec, (uintptr_t)p, "0x");
	else
		emit_padded(out, spec, "", 0, "(nil)", 5);
}

static void convert_char(struct output *out, const struct spec *spec, char c)
{
	emit_padded(out, spec, "", 0, &c, 1);
}

/* false: not a conversion that is known. */
static bool convert(struct output *out, struct spec *spec, struct arguments *args)
{
	switch (spec->conversion) {
	case 'd':
	case 'i':
		convert_signed(out, spec, args);
		return true;
	case 'u':
	case 'x':
	case 'X':
	case 'o':
		convert_unsigned(out, spec, args);
		return true;
	case 'c':
		convert_char(out, spec, (char)va_arg(args->list, int));
		return true;
	case 's':
		convert_string(out, spec, va_arg(args->list, const char *));
		return true;
	case 'p':
		convert_pointer(out, spec, va_arg(args->list, const void *));
		return true;
	case '%':
		emit(out, "%", 1);
		return true;
	default:
		return false;
	}
}

static const char *parse_flags(const char *p, struct spec *spec)
{
	for (;; p++) {
		switch (*p) {
		case '-':
			spec->flags |= FLAG_LEFT;
			break;
		case '0':
			spec->flags |= FLAG_ZERO;
			break;
		case '+':
			spec->flags |= FLAG_PLUS;
			break;
		case ' ':
			spec->flags |= FLAG_SPACE;
			break;
		case '#':
			spec->flags |= FLAG_ALTERNATE;
			break;
		default:
			return p;
		}
	}
}

/* Digits or *, as in a width or a precision. Numbers stop growing far above any use. */
static const char *parse_count(const char *p, int *count, struct arguments *args)
{
	if (*p == '*') {
		*count = va_arg(args->list, int);
		return p + 1;
	}
	for (*count = 0; *p >= '0' && *p <= '9'; p++)
		if (*count < 1000000)
			*count = *count * 10 + (*p - '0');
	return p;
}

static const char *parse_length(const char *p, struct spec *spec)
{
	char first = *p;

	if (first == 'l' || first == 'z' || first == 'j' || first == 't') {
		spec->length = 'l';
		return p[0] == 'l' && p[1] == 'l' ? p + 2 : p + 1;
	}
	if (first == 'h') {
		spec->length = p[1] == 'h' ? 'H' : 'h';
		return p[1] == 'h' ? p + 2 : p + 1;
	}
	return p;
}

/* p is behind the %. Returns what is behind the conversion character. */
static const char *parse_spec(const char *p, struct spec *spec, struct arguments *args)
{
	*spec = (struct spec){.precision = -1};
	p = parse_flags(p, spec);
	p = parse_count(p, &spec->width, args);
	if (spec->width < 0) {
		spec->flags |= FLAG_LEFT;
		spec->width = spec->width < -INT32_MAX ? INT32_MAX : -spec->width;
	}
	if (*p == '.') {
		p = parse_count(p + 1, &spec->precision, args);
		spec->precision = MAX(spec->precision, -1);
	}
	p = parse_length(p, spec);
	spec->conversion = *p;
	return *p ? p + 1 : p;
}

size_t vformat_to(format_put_t put, void *ctx, const char *fmt, va_list list)
{
	struct output out = {.put = put, .ctx = ctx};
	struct arguments args;
	struct spec spec;

	va_copy(args.list, list);
	while (*fmt) {
		const char *start = fmt;

		if (*fmt != '%') {
			while (*fmt && *fmt != '%')
				fmt++;
			emit(&out, start, (size_t)(fmt - start));
			continue;
		}
		fmt = parse_spec(fmt + 1, &spec, &args);
		if (!convert(&out, &spec, &args)) {
			emit(&out, start, strlen(start));
			break;
		}
	}
	va_end(args.list);
	return out.total;
}

size_t format_to(format_put_t put, void *ctx, const char *fmt, ...)
{
	va_list args;
	size_t n;

	va_start(args, fmt);
	n = vformat_to(put, ctx, fmt, args);
	va_end(args);
	return n;
}

struct buffer {
	char *at;
	size_t room; /* without the 0 at the end */
};

static void put_in_buffer(void *ctx, const char *text, size_t n)
{
	struct buffer *b = ctx;

	n = MIN(n, b->room);
	memcpy(b->at, text, n);
	b->at += n;
	b->room -= n;
}

static void put_nowhere(UNUSED void *ctx, UNUSED const char *text, UNUSED size_t n)
{
}

size_t vformat(char *buf, size_t size, const char *fmt, va_list args)
{
	struct buffer b = {.at = buf, .room = size - 1};
	size_t n;

	if (!size)
		return vformat_to(put_nowhere, NULL, fmt, args);
	n = vformat_to(put_in_buffer, &b, fmt, args);
	*b.at = 0;
	return n;
}

size_t format(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	size_t n;

	va_start(args, fmt);
	n = vformat(buf, size, fmt, args);
	va_end(args);
	return n;
}

size_t vformat_cut(char *buf, size_t size, const char *fmt, va_list args)
{
	size_t n = vformat(buf, size, fmt, args);

	if (!size)
		return 0;
	return MIN(n, size - 1);
}

size_t format_cut(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	size_t n;

	va_start(args, fmt);
	n = vformat_cut(buf, size, fmt, args);
	va_end(args);
	return n;
}
