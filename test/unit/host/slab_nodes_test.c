/*
 * slab_nodes_test.c - objects on machines of several nodes: a CPU is served by its own node's slabs, then by the nearest
 * other one's, and what is freed elsewhere goes home.
 */
#include "host/internal.h"
#include "mm/slab/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <quire/check.h>

#define MB    (1ull << 20)
#define MANY  1000u
#define BYTES 64u

/* Node 2 is nearer to node 0 than node 1 is. */
static const unsigned ways[] = {0, 2, 1};

static const char *const words[] = {
        "slab=slub", "slab=slub slab_arrays=0", "slab=slub slub_debug=FZ",
        "slab=slab", "slab=slab slab_arrays=0",
};

static struct kmem_cache *cache;
static void *objects[3][MANY];

static bool enter(const char *boot)
{
	const struct host_config config = {
	        .ram = 96 * MB,
	        .cpus = 3,
	        .boot_words = boot,
	        .frames = {.nr_nodes = 3,
	                   .numa_fake = true,
	                   .node_distance = {{10, 30, 20}, {30, 10, 20}, {20, 20, 10}}}};

	cache = own_enter(&config) ? kmem_cache_create("test-nodes", BYTES, 0, SLAB_NO_MERGE, NULL)
	                           : NULL;
	return cache != NULL;
}

static void leave(void)
{
	slab_flush_all();
	CHECK_EQ(kmem_cache_destroy(cache), 0);
	CHECK_SOUND(mm_check());
	own_leave();
}

static unsigned nid_of(const void *object)
{
	return page_to_nid(virt_to_page(object));
}

static void take(unsigned cpu, unsigned n, void **into)
{
	host_enter(own, cpu);
	for (unsigned i = 0; i < n; i++)
		CHECK(into[i] = kmem_cache_alloc(cache, GFP_KERNEL));
}

static void give(unsigned cpu, unsigned n, void **from)
{
	host_enter(own, cpu);
	for (unsigned i = 0; i < n; i++)
		kmem_cache_free(cache, from[i]);
}

static unsigned of_node(unsigned nid, unsigned n, void **list)
{
	unsigned k = 0;

	for (unsigned i = 0; i < n; i++)
		k += nid_of(list[i]) == nid;
	return k;
}

/* Every other object of what cpu has goes back, so that its node has slabs with free objects. */
static void give_half(unsigned cpu)
{
	host_enter(own, cpu);
	for (unsigned i = 0; i < MANY; i += 2) {
		kmem_cache_free(cache, objects[cpu][i]);
		objects[cpu][i] = NULL;
	}
}

static void give_rest(unsigned cpu)
{
	host_enter(own, cpu);
	for (unsigned i = 0; i < MANY; i++)
		if (objects[cpu][i])
			kmem_cache_free(cache, objects[cpu][i]);
}

UNIT_TEST(objects_come_from_the_own_node)
{
	for (unsigned w = 0; w < ARRAY_SIZE(words); w++) {
		CHECK(enter(words[w]));
		take(0, MANY, objects[0]);
		give_half(0);
		slab_flush_all(); /* partial slabs of node 0, which CPU 1 could have */
		for (unsigned cpu = 1; cpu < 3; cpu++) {
			take(cpu, MANY, objects[cpu]);
			CHECK_EQ(of_node(cpu, MANY, objects[cpu]), MANY);
		}
		for (unsigned cpu = 0; cpu < 3; cpu++)
			give_rest(cpu);
		leave();
	}
}

/* All memory of a node that an ordinary request may have. */
static struct page *fill_node(unsigned nid)
{
	gfp_t gfp = GFP_NOWAIT | __GFP_THISNODE | __GFP_NOWARN;
	struct page *all = NULL, *page;

	while ((page = alloc_pages_node((int)nid, gfp, 0))) {
		page->private = (uintptr_t)all;
		all = page;
	}
	return all;
}

static void empty_node(struct page *all)
{
	while (all) {
		struct page *next = (struct page *)(uintptr_t)all->private;

		__free_page(all);
		all = next;
	}
}

UNIT_TEST(a_full_node_is_helped_by_the_nearest)
{
	static void *list[100];

	for (unsigned w = 0; w < ARRAY_SIZE(words); w++) {
		struct page *all;
		uint64_t slabs;

		CHECK(enter(words[w]));
		for (unsigned cpu = 1; cpu < 3; cpu++) {
			take(cpu, MANY, objects[cpu]);
			give_half(cpu);
		}
		slab_flush_all();
		host_enter(own, 0);
		all = fill_node(0);
		CHECK(all);
		slabs = slab_nr_slabs(cache);
		take(0, ARRAY_SIZE(list), list);
		CHECK_EQ(of_node(ways[1], ARRAY_SIZE(list), list), ARRAY_SIZE(list));
		CHECK_EQ(slab_nr_slabs(cache), slabs); /* old ones, though the buddy has memory */
		give(0, ARRAY_SIZE(list), list);
		empty_node(all);
		for (unsigned cpu = 1; cpu < 3; cpu++)
			give_rest(cpu);
		leave();
	}
}

static unsigned asked, heard;

static uint64_t reclaiming(gfp_t gfp, unsigned order)
{
	(void)gfp, (void)order;
	asked++;
	return 0;
}

static void listen(const char *line)
{
	(void)line;
	heard++;
}

/* None of the objects is of node 0, and nobody notices that it was asked for them. */
static void pass_over_node_0(gfp_t gfp)
{
	static void *list[100];
	unsigned n = 0;

	asked = heard = 0;
	reclaim_hook = reclaiming;
	host_log_hook = listen;
	while (n < ARRAY_SIZE(list) && (list[n] = kmem_cache_alloc(cache, gfp)))
		n++;
	host_log_hook = NULL;
	reclaim_hook = NULL;
	CHECK_EQ(n, ARRAY_SIZE(list));
	CHECK_EQ(of_node(0, n, list), 0);
	CHECK_EQ(asked, 0);
	CHECK_EQ(heard, 0);
	give(0, n, list);
	slab_flush_all();
}

/* While others have memory to spare nothing is reclaimed on the own node for a slab, nor is its reserve touched. */
UNIT_TEST(a_full_node_is_not_squeezed)
{
	for (unsigned w = 0; w < ARRAY_SIZE(words); w++) {
		struct page *all;

		CHECK(enter(words[w]));
		all = fill_node(0);
		CHECK(all);
		CHECK_CALL(pass_over_node_0(GFP_KERNEL));
		CHECK_CALL(pass_over_node_0(GFP_ATOMIC));
		CHECK_CALL(pass_over_node_0(GFP_KERNEL | __GFP_NOFAIL));
		CHECK_CALL(pass_over_node_0(GFP_NOWAIT | __GFP_MEMALLOC));
		*port_memalloc() = true;
		CHECK_CALL(pass_over_node_0(GFP_KERNEL));
		*port_memalloc() = false;
		empty_node(all);
		leave();
	}
}

UNIT_TEST(what_is_freed_elsewhere_goes_home)
{
	for (unsigned w = 0; w < ARRAY_SIZE(words); w++) {
		CHECK(enter(words[w]));
		take(0, MANY, objects[0]);
		take(1, MANY, objects[1]);
		give(0, MANY, objects[1]);
		/* As soon as the array is full of others' and its own come, those go. */
		give(0, 2 * ARRAY_MAX, objects[0]);
		take(0, 2 * ARRAY_MAX, objects[0]);
		CHECK_EQ(of_node(0, MANY, objects[0]), MANY);
		/* And their own CPU gets them without a new slab: but for a slab or an array that it keeps. */
		host_enter(own, 1);
		CHECK_LE(atomic_load(&cache->node[1].nr_slabs), 4);
		take(1, MANY, objects[1]);
		CHECK_EQ(of_node(1, MANY, objects[1]), MANY);
		give(1, MANY, objects[1]);
		give(0, MANY, objects[0]);
		leave();
	}
}

/* A CPU keeps slabs of its own node alone. */
UNIT_TEST(no_cpu_keeps_another_nodes_slab)
{
	CHECK(enter("slab=slub slab_arrays=0"));
	take(1, MANY, objects[1]);
	host_enter(own, 0);
	for (unsigned i = 0; i < MANY; i += MANY / 10)
		kmem_cache_free(cache, objects[1][i]);
	CHECK_EQ(cache->cpu[0].nr_partial, 0);
	CHECK(!cache->cpu[0].page);
	host_enter(own, 1);
	for (unsigned i = 0; i < MANY; i++)
		if (i % (MANY / 10))
			kmem_cache_free(cache, objects[1][i]);
	leave();
}

/* An array half of own objects, half of later ones of another node: the older half goes, but it is the others'. */
UNIT_TEST(a_full_array_sends_strangers_home_first)
{
	static const char *const with_arrays[] = {"slab=slub", "slab=slab"};

	for (unsigned w = 0; w < ARRAY_SIZE(with_arrays); w++) {
		unsigned half, taken = 500;

		CHECK(enter(with_arrays[w]));
		take(1, MANY, objects[1]);
		take(0, taken, objects[0]);
		while (slab_array_objects(&cache->cpu[0]))
			take(0, 1, &objects[0][taken++]);
		half = cache->limit / 2u;
		CHECK(half && cache->cpu[0].array != slab_closed);
		give(0, half, objects[0]);
		give(0, half, objects[1]);
		give(0, 1, &objects[0][half]);
		take(0, half + 1, objects[0]);
		CHECK_EQ(of_node(0, taken, objects[0]), taken);
		give(0, taken, objects[0]);
		give(1, MANY - half, &objects[1][half]);
		leave();
	}
}
