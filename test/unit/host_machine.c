/*
 * host_machine.c - in the hosted runner, each test of mm/ gets a machine of its own: 64 MB (1152 MB where
 * there can be high memory), two CPUs. Afterwards the
 * manager's invariants hold and the test has given back every frame.
 */
#include "host/host.h"
#include "lib/string.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/kva.h>
#include <quire/slab.h>

static struct host_machine *the_host;
static uint64_t free_before;

/* Tables of kernel addresses stay, by design: they count as free here. */
static uint64_t frames_to_account(void)
{
	vm_unmap_aliases();
	slab_flush_all();
	kmem_cache_shrink_all();
	return nr_unused_pages() + frame_kind_pages(FRAME_PAGETABLE);
}

static bool wants_machine(const struct unit_test *test)
{
	return strstr(test->file, "unit/mm/") || strstr(test->file, "unit/host");
}

const char *unit_before(const struct unit_test *test)
{
	if (!wants_machine(test))
		return NULL;
	the_host = host_create(
	        &(struct host_config){.ram = have_highmem() ? 1152 << 20 : 64 << 20,
	                              .cpus = 2,
	                              .seed = unit_seed(),
	                              .trace_size = 1 << 20,
	                              .boot_words = unit_boot_words,
	                              .watch_locks = true,
	                              .schedule = host_can_schedule() ? unit_schedule() : 0});
	if (!the_host)
		return "no hosted machine";
	/* Tracing closes the shortest ways of allocation: half of the tests go without. */
	machine()->trace_on = unit_seed() & 1;
	slab_flush_all(); /* its arrays were opened while the answer was another one */
	free_before = frames_to_account();
	return NULL;
}

static void check_machine(void)
{
	CHECK_SOUND(mm_check());
	CHECK_EQ(frames_to_account(), free_before);
}

void unit_after(UNUSED const struct unit_test *test)
{
	if (!the_host)
		return;
	fault_inject(-1);
	check_machine();
	host_destroy(the_host);
	the_host = NULL;
}
