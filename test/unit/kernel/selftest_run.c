/*
 * selftest_run.c - the unit tests inside the kernel: on the real MMU, with the machine that booted.
 *
 * The tests share one machine, so what must hold after each is that the manager's invariants do and that the test has given
 * back what it took. Frames that the allocators keep for later, and kernel tables, count as free.
 */
#include "drivers/console.h"
#include "kernel/task.h"
#include "lib/string.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/kva.h>
#include <quire/slab.h>

int selftest_run(const char *filter);

static uint64_t free_before;

static uint64_t frames_to_account(void)
{
	vm_unmap_aliases();
	kmem_cache_shrink_all();
	drain_all_pages();
	/* Stacks of threads that ended wait in a cache (kernel/stack.c). */
	return nr_unused_pages() + frame_kind_pages(FRAME_PAGETABLE) +
	       frame_kind_pages(FRAME_SLAB) + frame_kind_pages(FRAME_KSTACK);
}

void unit_print(const char *text)
{
	struct byte_port *out = byte_port(PORT_STDOUT);

	if (out && byte_port_write(out, text, strlen(text), false) < 0)
		port_log("%s", text);
}

const char *unit_before(UNUSED const struct unit_test *test)
{
	free_before = frames_to_account();
	return NULL;
}

void unit_after(UNUSED const struct unit_test *test)
{
	fault_inject(-1);
	CHECK_SOUND(mm_check());
	CHECK_EQ(frames_to_account(), free_before);
}

int selftest_run(const char *filter)
{
	struct unit_options options = {.filter = *filter ? filter : NULL,
	                               .seed = boot_param_u64("unit_seed", 1),
	                               .verbose = boot_param_u64("unit_verbose", 0) != 0};
	struct unit_result result = unit_run_all(&options);

	return result.failed || !result.passed;
}
