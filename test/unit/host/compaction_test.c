/*
 * compaction_test.c - memory that has been fragmented on purpose is made whole again, while programs on other CPUs run in it and
 * read back what they wrote.
 */
#include "host/internal.h"
#include "mm/frame/compaction.h"
#include "test/unit/mm/space/vm.h"

#define MB    (1ull << 20)
#define PAGES 3000u /* of each program */
#define PROGS 2u

static struct host_machine *before, *own;
static struct mm_struct *mm[PROGS];
static _Atomic bool stop;
static _Atomic unsigned wrong, rounds;

static bool enter(unsigned cpus, uint64_t ram)
{
	before = host_of(machine());
	own = host_create(&(struct host_config){.ram = ram, .cpus = cpus, .seed = unit_seed()});
	return own != NULL;
}

static void leave(void)
{
	host_destroy(own);
	host_enter(before, 0);
}

static uint64_t value_of(unsigned prog, unsigned page, uint64_t round)
{
	return (uint64_t)prog << 48 | (uint64_t)page << 24 | round;
}

/* Every page is read and written again, round after round. */
static void program(void *arg)
{
	const unsigned prog = *(unsigned *)arg;
	uint64_t seen, value;

	for (uint64_t round = 0; !atomic_load(&stop); round++) {
		for (unsigned i = 0; i < PAGES && !atomic_load(&stop); i += 2) {
			if (host_read(mm[prog], VM_PAGE(i), &seen, 8) ||
			    (seen >> 24) != (value_of(prog, i, 0) >> 24))
				atomic_fetch_add(&wrong, 1);
			value = value_of(prog, i, round & 0xffffff);
			if (host_write(mm[prog], VM_PAGE(i), &value, 8) ||
			    host_read(mm[prog], VM_PAGE(i), &seen, 8) || seen != value)
				atomic_fetch_add(&wrong, 1);
		}
		atomic_fetch_add(&rounds, 1);
	}
}

/* Pages of all programs in turn fill memory; then every other page goes: no block of two frames is left of all that. */
static void fragment(void)
{
	for (unsigned p = 0; p < PROGS; p++) {
		mm[p] = mm_alloc(VM_TOP);
		CHECK(mm[p]);
		CHECK_EQ(vm_map(mm[p], VM_PAGE(0), PAGES, RW, ANON), (int64_t)VM_PAGE(0));
	}
	for (unsigned i = 0; i < PAGES; i++)
		for (unsigned p = 0; p < PROGS; p++)
			CHECK_EQ(vm_write(mm[p], VM_PAGE(i), value_of(p, i, 0)), 0);
	for (unsigned i = 1; i < PAGES; i += 2)
		for (unsigned p = 0; p < PROGS; p++)
			CHECK_EQ(do_madvise(mm[p], VM_PAGE(i), PAGE_SIZE, MADV_DONTNEED), 0);
	drain_all_pages();
}

static unsigned blocks_of(unsigned order)
{
	struct contig_page_info info;
	unsigned blocks = 0;

	for_each_zone(zone) {
		fill_contig_page_info(zone, order, &info);
		blocks += (unsigned)info.free_blocks_suitable;
	}
	return blocks;
}

static void check_contents(void)
{
	for (unsigned p = 0; p < PROGS; p++) {
		for (unsigned i = 0; i < PAGES; i++)
			CHECK_EQ(vm_get(mm[p], VM_PAGE(i)) >> 24,
			         i % 2 ? 0 : value_of(p, i, 0) >> 24);
		CHECK_SOUND(space_check(mm[p]));
	}
}

static void end(uint64_t frames)
{
	for (unsigned p = 0; p < PROGS; p++)
		mmput(mm[p]);
	CHECK_EQ(vm_free_frames(), frames);
	CHECK_SOUND(mm_check());
	leave();
}

UNIT_TEST(a_run_over_all_memory)
{
	unsigned had;
	uint64_t frames;

	CHECK(enter(1, 32 * MB));
	frames = vm_baseline();
	CHECK_CALL(fragment());
	had = blocks_of(9);
	compact_memory();
	CHECK_SOUND(mm_check());
	CHECK_GE(blocks_of(9), had + 4);
	CHECK_GT(counter_read(COUNT_PGMIGRATE_SUCCESS), 1000);
	CHECK_CALL(check_contents());
	/* Nothing is left to do: a second run moves little. */
	CHECK_CALL(end(frames));
}

/* It is what is done when there is no memory: so it asks for none. */
UNIT_TEST(a_run_without_an_allocation)
{
	unsigned had;
	uint64_t frames;

	CHECK(enter(1, 32 * MB));
	frames = vm_baseline();
	CHECK_CALL(fragment());
	had = blocks_of(9);
	(void)fault_inject(0);
	compact_memory();
	CHECK_EQ(fault_inject(-1), 0);
	CHECK_GE(blocks_of(9), had + 4);
	CHECK_CALL(check_contents());
	CHECK_CALL(end(frames));
}

#define HOARD 64u

/* Every block of the order that there is without waiting: how many, HOARD if there are more. */
static unsigned take_blocks(struct page *hoard[HOARD], unsigned order)
{
	unsigned n = 0;

	while (n < HOARD &&
	       (hoard[n] = alloc_pages(
	                (GFP_HIGHUSER_MOVABLE & ~__GFP_DIRECT_RECLAIM) | __GFP_NOWARN, order)))
		n++;
	return n;
}

static void give_blocks(struct page *hoard[HOARD], unsigned n, unsigned order)
{
	while (n)
		__free_pages(hoard[--n], order);
}

/* Take every block of the order that there is without waiting; then a request that may wait gets one. */
UNIT_TEST(a_request_compacts)
{
	struct page *hoard[HOARD], *page;
	unsigned n;
	uint64_t frames;

	CHECK(enter(1, 32 * MB));
	frames = vm_baseline();
	CHECK_CALL(fragment());
	n = take_blocks(hoard, 8);
	CHECK_LT(n, HOARD);
	CHECK_EQ(counter_read(COUNT_COMPACTSTALL), 0);
	page = alloc_pages(GFP_HIGHUSER_MOVABLE, 8);
	CHECK(page);
	CHECK_GT(counter_read(COUNT_COMPACTSTALL), 0);
	CHECK_GT(counter_read(COUNT_COMPACTSUCCESS), 0);
	__free_pages(page, 8);
	give_blocks(hoard, n, 8);
	CHECK_CALL(check_contents());
	CHECK_CALL(end(frames));
}

/* Programs run on two CPUs while a third compacts, on and on, and asks for blocks. */
UNIT_TEST(programs_run_on)
{
	static unsigned number[PROGS] = {0, 1};
	struct host_task *task[PROGS];
	unsigned got = 0, had;
	uint64_t frames;

	CHECK(enter(1 + PROGS, 32 * MB));
	frames = vm_baseline();
	CHECK_CALL(fragment());
	had = blocks_of(9);
	stop = false;
	wrong = rounds = 0;
	for (unsigned p = 0; p < PROGS; p++)
		task[p] = host_run_on(own, p + 1, program, &number[p]);
	while (atomic_load(&rounds) < 2 * PROGS)
		cpu_relax();
	for (unsigned i = 0; i < 20; i++) {
		struct page *page = alloc_pages(GFP_HIGHUSER_MOVABLE, 9);

		if (page) {
			got++;
			__free_pages(page, 9);
		}
		for_each_zone(zone)
			(void)compact_zone(&(struct compact_control){.zone = zone,
			                                             .order = COMPACT_WHOLE,
			                                             .type = MIGRATE_MOVABLE,
			                                             .mode = MIGRATE_SYNC});
	}
	atomic_store(&stop, true);
	for (unsigned p = 0; p < PROGS; p++)
		host_join(task[p]);
	CHECK_EQ(wrong, 0);
	CHECK_EQ(got, 20);
	CHECK_GE(blocks_of(9), had + 4);
	CHECK_CALL(check_contents());
	CHECK_CALL(end(frames));
}

static void run_kcompactd(void *node)
{
	kcompactd(node);
}

/* A request that may not wait fails, and finds what it wants a little later. */
UNIT_TEST(kcompactd_helps_who_may_not_wait)
{
	const gfp_t gfp = (GFP_HIGHUSER_MOVABLE & ~__GFP_DIRECT_RECLAIM) | __GFP_NOWARN;
	struct pglist_data *node;
	struct page *hoard[HOARD], *page = NULL;
	struct host_task *task;
	unsigned n;
	uint64_t frames;

	CHECK(enter(2, 32 * MB));
	frames = vm_baseline();
	CHECK_CALL(fragment());
	node = &machine()->node[0];
	task = host_run_on(own, 1, run_kcompactd, node);
	while (!atomic_load(&node->kcompactd_running))
		cpu_relax();
	n = take_blocks(hoard, 8);
	for (uint64_t until = port_now_ns() + 10000000000ull; !page && port_now_ns() < until;) {
		cpu_relax();
		page = alloc_pages(gfp, 8);
	}
	kcompactd_stop(node);
	host_join(task);
	CHECK(page);
	CHECK_GT(counter_read(COUNT_KCOMPACTD_WAKE), 0);
	CHECK_EQ(counter_read(COUNT_COMPACTSTALL), 0);
	__free_pages(page, 8);
	give_blocks(hoard, n, 8);
	CHECK_CALL(check_contents());
	CHECK_CALL(end(frames));
}

/* Percentages of the node, whose zones count by their size. */
UNIT_TEST(the_score_of_a_node)
{
	struct pglist_data *node;
	uint64_t frames, sum = 0;

	CHECK(enter(1, 32 * MB));
	frames = vm_baseline();
	node = &machine()->node[0];
	CHECK_LT(fragmentation_score_node(node), 20);
	CHECK(!should_proactive_compact_node(node));
	CHECK_CALL(fragment());
	CHECK_GT(fragmentation_score_node(node), 30);
	for (unsigned i = 0; i < MAX_NR_ZONES; i++)
		if (node->zones[i].present)
			sum += (unsigned)unusable_free_index(&node->zones[i], 9) / 10 *
			       node->zones[i].present;
	CHECK_EQ(fragmentation_score_node(node), sum / (node->present + 1));
	/* low = 100 - n, but not below 5; high = low + 10, but not above 100 */
	machine()->sysctl_compaction_proactiveness = 0;
	CHECK(!should_proactive_compact_node(node));
	machine()->sysctl_compaction_proactiveness = 100;
	CHECK_EQ(fragmentation_score_low(), 5);
	machine()->sysctl_compaction_proactiveness = 100 - (fragmentation_score_node(node) - 10);
	CHECK(!should_proactive_compact_node(node)); /* it is at the high mark, not above */
	machine()->sysctl_compaction_proactiveness++;
	CHECK(should_proactive_compact_node(node));
	machine()->sysctl_compaction_proactiveness = 80;
	CHECK_EQ(fragmentation_score_low(), 20);
	CHECK(should_proactive_compact_node(node));
	CHECK(proactive_compact_node(node));
	CHECK(!should_proactive_compact_node(node));
	CHECK_CALL(check_contents());
	CHECK_CALL(end(frames));
}

/* Nobody asks for a block: kcompactd begins by itself when it is told how much that is worth. */
UNIT_TEST(kcompactd_begins_by_itself)
{
	struct pglist_data *node;
	struct host_task *task;
	uint64_t frames;
	unsigned had;

	CHECK(enter(2, 32 * MB));
	frames = vm_baseline();
	machine()->sysctl_compaction_proactiveness = 0;
	CHECK_CALL(fragment());
	had = blocks_of(9);
	node = &machine()->node[0];
	task = host_run_on(own, 1, run_kcompactd, node);
	while (!atomic_load(&node->kcompactd_running))
		cpu_relax();
	WRITE_ONCE(machine()->sysctl_compaction_proactiveness, 100);
	wakeup_proactive();
	for (uint64_t until = port_now_ns() + 10000000000ull;
	     blocks_of(9) < had + 4 && port_now_ns() < until;)
		cpu_relax();
	kcompactd_stop(node);
	host_join(task);
	CHECK_GE(blocks_of(9), had + 4);
	CHECK_EQ(counter_read(COUNT_COMPACTSTALL), 0);
	CHECK_CALL(check_contents());
	CHECK_CALL(end(frames));
}
