/*
 * gfp_log_test.c - __GFP_NOWARN: a failure is logged, unless the caller can do without.
 */
#include "host/host.h"
#include "test/unit/unit.h"

#include <string.h>

static unsigned warnings;

static void listen(const char *line)
{
	warnings += strstr(line, "page allocation failure: order:10") != NULL;
}

UNIT_TEST(nowarn)
{
	struct page *blocks[64];
	uint64_t failures;
	unsigned n = 0;

	while (n < ARRAY_SIZE(blocks) &&
	       (blocks[n] = alloc_pages(GFP_NOWAIT | __GFP_NOWARN, MAX_ORDER - 1)))
		n++;
	CHECK_LT(n, ARRAY_SIZE(blocks));
	failures = machine()->alloc_failures;
	warnings = 0;
	host_log_hook = listen;
	CHECK_EQ(alloc_pages(GFP_NOWAIT | __GFP_NOWARN, MAX_ORDER - 1), NULL);
	CHECK_EQ(warnings, 0);
	CHECK_EQ(alloc_pages(GFP_NOWAIT, MAX_ORDER - 1), NULL);
	CHECK_EQ(warnings, 1);
	host_log_hook = NULL;
	CHECK_EQ(machine()->alloc_failures, failures + 2);
	while (n)
		__free_pages(blocks[--n], MAX_ORDER - 1);
}
