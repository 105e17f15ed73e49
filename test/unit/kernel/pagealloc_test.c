/*
 * pagealloc_test.c - debug_pagealloc=on: free frames cannot be reached by their addresses (test/cmd/system.sh gives the boot words).
 */
#include "arch/x86_64/internal.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/frame.h>

#define BLOCKS 64u

bool kernel_load_u64(uint64_t *value, uint64_t addr); /* uaccess.S: false: it faults */

static bool reachable(const void *addr)
{
	uint64_t value;

	return kernel_load_u64(&value, (uint64_t)addr);
}

static void come_and_go(unsigned order)
{
	void *block[BLOCKS];
	const size_t last = (PAGE_SIZE << order) - 8;

	for (unsigned i = 0; i < BLOCKS; i++) {
		block[i] = __get_free_pages(GFP_KERNEL | __GFP_ZERO, order);
		CHECK(block[i]);
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		CHECK(reachable(block[i]) && reachable((char *)block[i] + last));
		free_pages(block[i], order);
		CHECK_EQ(reachable(block[i]), !machine()->debug_pagealloc);
		CHECK_EQ(reachable((char *)block[i] + last), !machine()->debug_pagealloc);
	}
}

UNIT_TEST(free_frames_cannot_be_reached)
{
	for (unsigned order = 0; order < 5; order++)
		CHECK_CALL(come_and_go(order));
	check_poison(true); /* what is free is filled, and still cannot be reached */
	for (unsigned order = 0; order < 5; order++)
		CHECK_CALL(come_and_go(order));
	check_poison(false);
	CHECK_SOUND(mm_check());
}

static NOINLINE uint64_t read_what_was_freed(void)
{
	volatile uint64_t *p = __get_free_pages(GFP_KERNEL, 0);

	free_pages((void *)p, 0);
	return p[9];
}

/* The mistake itself, when the boot word asks for it: the machine stops, and says why. */
UNIT_TEST(a_use_after_free)
{
	if (machine()->debug_pagealloc && boot_param_u64("test.use_after_free", 0))
		CHECK_MSG(false, "a free frame was read: %#lx", read_what_was_freed());
}
