/*
 * mm_smp_test.c - frames, objects and kernel addresses from several CPUs at once. Meant for the thread
 * sanitizer too.
 */
#include "host/internal.h"
#include "mm/slab/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/kva.h>
#include <quire/slab.h>

#define CPUS   4u
#define SLOTS  128u
#define ROUNDS 20000u

struct cpu_state {
	unsigned cpu;
	struct random random;
	bool broken;
	uint32_t first; /* what it keeps: frame number of the first */
};

static struct cpu_state cpus[CPUS];

/* Things on their way from CPU to CPU: taken and put by exchange. */
static _Atomic(void *) shared[SLOTS];
static struct kmem_cache *cache;

static void on_all(void (*fn)(void *))
{
	struct host_task *task[CPUS];

	for (unsigned i = 0; i < CPUS; i++) {
		cpus[i] = (struct cpu_state){.cpu = i};
		random_seed(&cpus[i].random, unit_seed() + i);
	}
	for (unsigned i = 1; i < CPUS; i++)
		CHECK(task[i] = host_run_on(own, i, fn, &cpus[i]));
	fn(&cpus[0]);
	for (unsigned i = 1; i < CPUS; i++)
		host_join(task[i]);
	for (unsigned i = 0; i < CPUS; i++)
		CHECK(!cpus[i].broken);
	CHECK_SOUND(mm_check());
}

/* A machine of four CPUs, besides the one that the runner has given to the test. */
static void with_memory(uint64_t ram, const char *boot_words, void (*test)(void))
{
	CHECK(own_enter(&(struct host_config){
	        .ram = ram, .cpus = CPUS, .seed = unit_seed(), .boot_words = boot_words}));
	test();
	own_leave();
}

static void with_words(const char *boot_words, void (*test)(void))
{
	with_memory(32 << 20, boot_words, test);
}

static void with_machine(void (*test)(void))
{
	with_words(unit_boot_words, test);
}

/* --- frames: each carries the number of its slot while nobody else may own it ------------------------ */

static void trade_frames(void *arg)
{
	struct cpu_state *me = arg;

	for (unsigned n = 0; n < ROUNDS; n++) {
		unsigned i = (unsigned)random_below(&me->random, SLOTS), order = i % 5 ? 0 : i % 4;
		struct page *page = atomic_exchange(&shared[i], NULL);

		if (page) {
			me->broken |= *(uint64_t *)page_address(page) != i;
			__free_pages(page, order);
			continue;
		}
		page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
		if (!page)
			continue;
		*(uint64_t *)page_address(page) = i;
		if (order == 0 && i % 2) {
			__page_set_flags(page, 1u << PG_swapbacked);
			lru_cache_add(page);
		}
		page = atomic_exchange(&shared[i], page);
		if (page)
			__free_pages(page, order);
	}
}

static void check_frames(void)
{
	uint64_t free = nr_free_pages();

	CHECK_CALL(on_all(trade_frames));
	for (unsigned i = 0; i < SLOTS; i++) {
		struct page *page = atomic_exchange(&shared[i], NULL);

		if (page)
			__free_pages(page, i % 5 ? 0 : i % 4);
	}
	CHECK_EQ(nr_free_pages(), free);
	CHECK_SOUND(mm_check());
}

UNIT_TEST(frames_from_all_cpus)
{
	CHECK_CALL(with_machine(check_frames));
}

/* --- objects: freed on another CPU than they were made ---------------------------------------------- */

static void trade_objects(void *arg)
{
	struct cpu_state *me = arg;

	for (unsigned n = 0; n < ROUNDS; n++) {
		unsigned i = (unsigned)random_below(&me->random, SLOTS);
		uint64_t *object = atomic_exchange(&shared[i], NULL);

		if (object) {
			me->broken |= object[0] != i || object[7] != i;
			kmem_cache_free(cache, object);
			if (random_one_in(&me->random, 1000))
				kmem_cache_shrink(cache);
			continue;
		}
		object = kmem_cache_alloc(cache, GFP_KERNEL);
		object[0] = object[7] = i;
		object = atomic_exchange(&shared[i], object);
		if (object)
			kmem_cache_free(cache, object);
	}
}

static void check_objects(void)
{
	cache = kmem_cache_create("test-smp", 64, 0, 0, NULL);
	CHECK(cache);
	CHECK_CALL(on_all(trade_objects));
	for (unsigned i = 0; i < SLOTS; i++) {
		void *object = atomic_exchange(&shared[i], NULL);

		if (object)
			kmem_cache_free(cache, object);
	}
	CHECK_EQ(kmem_cache_destroy(cache), 0);
	CHECK_SOUND(mm_check());
}

UNIT_TEST(objects_from_all_cpus)
{
	CHECK_CALL(with_machine(check_objects));
	CHECK_CALL(with_words("slab=slab", check_objects));
	CHECK_CALL(with_words("slab=slob", check_objects));
}

/* --- kernel addresses -------------------------------------------------------------------------------- */

static void map_and_unmap(void *arg)
{
	struct cpu_state *me = arg;

	for (unsigned n = 0; n < ROUNDS / 50; n++) {
		size_t pages = 1 + random_below(&me->random, 5);
		uint64_t *p = vmalloc(pages * PAGE_SIZE);

		if (!p)
			continue;
		for (size_t i = 0; i < pages; i++)
			p[i * 512] = me->cpu * 1000 + i;
		for (size_t i = 0; i < pages; i++)
			me->broken |= p[i * 512] != me->cpu * 1000 + i;
		vfree(p);
	}
}

static void check_addresses(void)
{
	CHECK_CALL(on_all(map_and_unmap));
	CHECK_EQ(vmalloc_used_pages(), 0);
}

UNIT_TEST(kernel_addresses_from_all_cpus)
{
	CHECK_CALL(with_machine(check_addresses));
}

/* --- no memory: every CPU wants all of it -------------------------------------------------------------- */

static void want_all(void *arg)
{
	struct cpu_state *me = arg;
	uint32_t first = PFN_NONE_N;
	struct page *page;

	for (unsigned n = 0; n < 3; n++) {
		while ((page = alloc_page(GFP_KERNEL | __GFP_NOWARN))) {
			page->lru.next = first;
			first = page_to_pfn(page).n;
		}
		while (first != PFN_NONE_N) {
			page = pfn_to_page(PFN(first));
			first = page->lru.next;
			__free_page(page);
		}
	}
	me->broken |= first != PFN_NONE_N;
}

static void check_want_all(void)
{
	uint64_t free = nr_free_pages();

	CHECK_CALL(on_all(want_all));
	CHECK_EQ(nr_free_pages(), free);
}

UNIT_TEST(all_memory_from_all_cpus)
{
	CHECK_CALL(with_machine(check_want_all));
}

/* --- descriptors on demand: the CPUs need the next section at the same time ------------------------------- */

#define BLOCK_ORDER 8u

static void take_blocks(void *arg)
{
	struct cpu_state *me = arg;
	struct page *page;

	me->first = PFN_NONE_N;
	while ((page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, BLOCK_ORDER))) {
		me->broken |= !pfn_online(page_to_pfn(page).n + (1u << BLOCK_ORDER) - 1);
		page->lru.next = me->first;
		me->first = page_to_pfn(page).n;
	}
}

static void give_blocks(void *arg)
{
	struct cpu_state *me = arg;

	while (me->first != PFN_NONE_N) {
		struct page *page = pfn_to_page(PFN(me->first));

		me->first = page->lru.next;
		__free_pages(page, BLOCK_ORDER);
	}
}

static void take_and_give(void *arg)
{
	take_blocks(arg);
	give_blocks(arg);
}

static void check_sections(void)
{
	uint64_t free = nr_free_pages();

	CHECK(!pfn_online(machine()->max_pfn / 2));
	CHECK_CALL(on_all(take_and_give));
	for_each_zone(z)
		CHECK_EQ(z->deferred, 0);
	CHECK_EQ(nr_free_pages(), free);
	CHECK_SOUND(mm_check());
}

UNIT_TEST(sections_from_all_cpus)
{
	CHECK_CALL(with_memory(1ull << 30, unit_boot_words, check_sections));
}
