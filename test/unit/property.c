/*
 * property.c - see property.h. Freestanding: in a process and in the kernel.
 */
#include "test/unit/property.h"
#include "lib/string.h"

static struct op sequence[PROPERTY_MAX], attempt[PROPERTY_MAX];

/* The sequence without [from, from + count): does it still fail? Then it is the sequence. */
static bool leave_out(const struct property *p, struct op *op, size_t *n, size_t from, size_t count)
{
	memcpy(attempt, op, from * sizeof(*op));
	memcpy(attempt + from, op + from + count, (*n - from - count) * sizeof(*op));
	if (!p->run(attempt, *n - count))
		return false;
	*n -= count;
	memcpy(op, attempt, *n * sizeof(*op));
	return true;
}

/* One pass with chunks of this size. True if anything went. */
static bool pass(const struct property *p, struct op *op, size_t *n, size_t chunk)
{
	bool any = false;

	for (size_t from = 0; from < *n;) {
		size_t count = MIN(chunk, *n - from);

		if (leave_out(p, op, n, from, count))
			any = true;
		else
			from += count;
	}
	return any;
}

static void make_smaller(const struct property *p, struct op *op, size_t n, uint32_t *number)
{
	const uint32_t was = *number;

	for (*number = 0; *number < was; *number = *number * 2 + 1)
		if (p->run(op, n))
			return;
	*number = was;
}

size_t property_shrink(const struct property *p, struct op *op, size_t n)
{
	for (size_t chunk = n / 2; chunk; chunk /= 2)
		while (pass(p, op, &n, chunk))
			;
	for (size_t i = 0; i < n; i++)
		make_smaller(p, op, n, &op[i].arg);
	while (pass(p, op, &n, 1))
		;
	return n;
}

static void report(const struct property *p, size_t n)
{
	const char *broken = p->run(sequence, n);

	for (size_t i = 0; i < n; i++)
		unit_printf("     %s slot %u, %u\n", p->names[sequence[i].kind], sequence[i].slot,
		            sequence[i].arg);
	unit_fail(__FILE__, __LINE__, "%s, after these %lu operations",
	          broken ? broken : "fails now and then", (unsigned long)n);
}

void property_check(const struct property *p, size_t length, uint64_t sequences)
{
	struct random *r = unit_random();

	for (uint64_t k = 0; k < unit_scale(sequences) && !unit_failed(); k++) {
		for (size_t i = 0; i < length; i++)
			sequence[i] = (struct op){.kind = (uint32_t)random_below(r, p->kinds),
			                          .slot = (uint32_t)random_below(r, p->slots),
			                          .arg = (uint32_t)random_below(r, p->args)};
		if (p->run(sequence, length))
			report(p, property_shrink(p, sequence, length));
	}
}
