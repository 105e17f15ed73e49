/*
 * nodes_test.c - machines of several nodes: near memory first, then by distance; counts, policies, ZONE_MOVABLE,
 * descriptors that come when they are needed.
 */
#include "host/internal.h"
#include "mm/frame/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/kva.h>

#define MB (1ull << 20)
#define GB (1ull << 30)

static struct zone *zone(unsigned nid, enum zone_type type)
{
	return &machine()->node[nid].zones[type];
}

/* Frames in a chain by lru.next. */
struct hoard {
	uint32_t first;
	uint64_t count;
};

static void keep(struct hoard *h, struct page *page)
{
	page->lru.next = h->first;
	h->first = page_to_pfn(page).n;
	h->count++;
}

static void release(struct hoard *h)
{
	while (h->count) {
		struct page *page = pfn_to_page(PFN(h->first));

		h->first = page->lru.next;
		h->count--;
		__free_page(page);
	}
}

/* --- shape ------------------------------------------------------------------------------------ */

static const struct host_config two = {
        .ram = 256 * MB, .cpus = 2, .frames = {.nr_nodes = 2, .numa_fake = true}};

UNIT_TEST(memory_is_split_evenly)
{
	CHECK(own_enter(&two));
	CHECK_EQ(machine()->nr_nodes, 2);
	CHECK_EQ(machine()->node[0].present, 128 * MB / PAGE_SIZE);
	CHECK_EQ(machine()->node[1].present, 128 * MB / PAGE_SIZE);
	CHECK_EQ(zone(1, ZONE_DMA)->present, 0);
	CHECK_EQ(zone(1, ZONE_DMA32)->start.n, 128 * MB / PAGE_SIZE);
	CHECK_SOUND(mm_check());
	own_leave();
}

UNIT_TEST(holes_and_small_machines_split_too)
{
	CHECK(own_enter(&(struct host_config){.ram = 96 * MB,
	                                      .hole_start = 16 * MB,
	                                      .hole_end = 80 * MB,
	                                      .frames = {.nr_nodes = 3, .numa_fake = true}}));
	for (unsigned nid = 0; nid < 3; nid++)
		CHECK_EQ(machine()->node[nid].present, 32 * MB / PAGE_SIZE);
	CHECK_SOUND(mm_check());
	own_leave();
	CHECK(own_enter(&(struct host_config){.ram = 8 * MB,
	                                      .frames = {.nr_nodes = 4, .numa_fake = true}}));
	CHECK_EQ(machine()->nr_nodes, 1); /* no whole block for each */
	own_leave();
}

/* A ring of four: each has two neighbours at 20 and one opposite at 30. */
static const struct host_config ring = {.ram = 128 * MB,
                                        .cpus = 4,
                                        .frames = {.nr_nodes = 4,
                                                   .numa_fake = true,
                                                   .node_distance = {{10, 20, 30, 20},
                                                                     {20, 10, 20, 30},
                                                                     {30, 20, 10, 20},
                                                                     {20, 30, 20, 10}}}};

UNIT_TEST(zonelists_go_by_distance)
{
	CHECK(own_enter(&ring));
	for (unsigned nid = 0; nid < 4; nid++) {
		struct zone *const *z = machine()->node[nid].zonelist[ZONE_NORMAL].zones;
		unsigned last = 0;

		CHECK_EQ(z[0]->nid, nid);
		for (; *z; z++) {
			CHECK_LE(last, node_distance(nid, (*z)->nid));
			last = node_distance(nid, (*z)->nid);
		}
		CHECK_EQ(last, 30);
	}
	/* Of two neighbours the next one upwards. */
	CHECK_EQ(machine()->node[1].zonelist[ZONE_NORMAL].zones[1]->nid, 2);
	own_leave();
}

static bool has_order(unsigned nid, const uint8_t order[4])
{
	struct zone *const *z = machine()->node[nid].zonelist[ZONE_NORMAL].zones;
	unsigned i = 0;

	for (; *z && i < 4; z++)
		if ((*z)->nid == order[i])
			i += !z[1] || z[1]->nid != order[i];
		else
			return false;
	return i == 4;
}

/*
 * Two pairs far from each other: a pair does not fall back on the same distant node. The table, and the lists that come of it, are those
 * of Linux's commit 54d032ced983.
 */
UNIT_TEST(no_node_is_everybodys_second)
{
	static const uint8_t order[4][4] = {{0, 1, 2, 3}, {1, 0, 3, 2}, {2, 3, 0, 1}, {3, 2, 1, 0}};

	CHECK(own_enter(&(struct host_config){.ram = 128 * MB,
	                                      .cpus = 4,
	                                      .frames = {.nr_nodes = 4,
	                                                 .numa_fake = true,
	                                                 .node_distance = {{10, 12, 32, 32},
	                                                                   {12, 10, 32, 32},
	                                                                   {32, 32, 10, 12},
	                                                                   {32, 32, 12, 10}}}}));
	for (unsigned nid = 0; nid < 4; nid++)
		CHECK_MSG(has_order(nid, order[nid]), "node %u", nid);
	own_leave();
}

/* --- who gets what ---------------------------------------------------------------------------- */

/* Of two that are equally far the one that is first choice of fewer. */
UNIT_TEST(neighbours_share_the_load)
{
	static const uint8_t distance[4][4] = {
	        {10, 20, 20, 20}, {15, 10, 20, 20}, {15, 20, 10, 20}, {20, 20, 20, 10}};
	static const unsigned want[4][4] = {{0, 1, 2, 3}, {1, 0, 2, 3}, {2, 0, 3, 1}, {3, 1, 2, 0}};
	struct host_config config = ring;

	memcpy(config.frames.node_distance, distance, sizeof(distance));
	CHECK(own_enter(&config));
	for (unsigned nid = 0; nid < 4; nid++) {
		struct zone *const *z = machine()->node[nid].zonelist[ZONE_DMA32].zones;

		for (unsigned i = 0; i < 4; z++)
			if ((*z)->id == ZONE_DMA32)
				CHECK_EQ((*z)->nid, want[nid][i++]);
	}
	own_leave();
}

UNIT_TEST(a_cpu_allocates_near_itself)
{
	struct hoard h = {0};

	CHECK(own_enter(&two));
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		host_enter(own, cpu);
		for (unsigned i = 0; i < 300; i++) {
			struct page *page = alloc_pages(GFP_KERNEL, 0);

			CHECK(page);
			CHECK_EQ(page_to_nid(page), cpu);
			keep(&h, page);
		}
		release(&h);
	}
	CHECK_SOUND(mm_check());
	own_leave();
}

static uint64_t stat(unsigned nid, enum numa_stat_item item)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < MAX_NR_ZONES; i++)
		sum += zone_numa_stat(zone(nid, i), item);
	return sum;
}

/* Take all that GFP_NOWAIT may have; from the other node only when the near one is down to its mark. */
static void fill(struct hoard *h)
{
	const struct zone *near = zone(0, ZONE_DMA32);
	struct page *page;

	while ((page = alloc_page(GFP_NOWAIT | __GFP_NOWARN))) {
		if (page_to_nid(page) == 1 && h->count < near->managed)
			CHECK_LE(zone_free(near), near->watermark[WMARK_LOW] + 1);
		keep(h, page);
	}
}

UNIT_TEST(fallback_is_counted)
{
	uint64_t hit, local, miss;
	struct hoard h = {0};

	CHECK(own_enter(&two));
	hit = stat(0, NUMA_HIT);
	local = stat(0, NUMA_LOCAL);
	CHECK_EQ(hit, local);
	CHECK_CALL(fill(&h));
	miss = stat(1, NUMA_MISS);
	CHECK_GT(miss, 20000); /* of node 1's 32768 */
	CHECK_EQ(stat(0, NUMA_FOREIGN), miss);
	CHECK_EQ(stat(1, NUMA_OTHER), miss);
	CHECK_EQ(stat(0, NUMA_HIT) - hit, h.count - miss);
	CHECK_EQ(stat(0, NUMA_LOCAL) - local, h.count - miss);
	CHECK_EQ(stat(1, NUMA_HIT), 0);
	release(&h);
	CHECK_SOUND(mm_check());
	own_leave();
}

/* A CPU that is between the two counts of a block: nobody reads less than nothing. */
UNIT_TEST(no_count_is_below_zero)
{
	struct cpu_area *cpu;
	uint64_t slow;

	CHECK(own_enter(&two));
	cpu = machine()->cpu[0];
	slow = atomic_load(&cpu->slow_pages[ZONE_DMA32]);
	atomic_store(&cpu->slow_pages[ZONE_DMA32], cpu->counters[zone_counter(ZONE_DMA32)] + 512);
	CHECK_EQ(zone_numa_stat(zone(0, ZONE_DMA32), NUMA_HIT),
	         atomic_load(&zone(0, ZONE_DMA32)->numa[NUMA_HIT]));
	atomic_store(&cpu->slow_pages[ZONE_DMA32], slow);
	CHECK_SOUND(mm_check());
	own_leave();
}

UNIT_TEST(thisnode_is_this_node_or_nothing)
{
	struct hoard h = {0};
	struct page *page;

	CHECK(own_enter(&two));
	page = alloc_pages_node(1, GFP_KERNEL | __GFP_THISNODE, 0);
	CHECK(page);
	CHECK_EQ(page_to_nid(page), 1);
	__free_page(page);
	while ((page = alloc_page(GFP_NOWAIT | __GFP_THISNODE | __GFP_NOWARN))) {
		CHECK_EQ(page_to_nid(page), 0);
		keep(&h, page);
	}
	page = alloc_page(GFP_NOWAIT);
	CHECK(page);
	CHECK_EQ(page_to_nid(page), 1);
	keep(&h, page);
	/* No zone of that kind there at all. */
	CHECK_EQ(alloc_pages_node(1, GFP_DMA | __GFP_THISNODE | __GFP_NOWARN, 0), NULL);
	release(&h);
	CHECK_SOUND(mm_check());
	own_leave();
}

/* --- policies --------------------------------------------------------------------------------- */

static void check_places(struct mempolicy *policy, gfp_t gfp, const char *want)
{
	cpu_set_mempolicy(policy);
	for (; *want; want++) {
		struct page *page = alloc_page(gfp);
		unsigned nid;

		CHECK(page);
		nid = page_to_nid(page);
		__free_page(page);
		CHECK_MSG(nid == (unsigned)(*want - '0'), "node %u instead of %c", nid, *want);
	}
	cpu_set_mempolicy(NULL);
}

UNIT_TEST(policies_of_tasks)
{
	struct mempolicy bind = {.mode = MPOL_BIND, .nodes = 1 << 2},
	                 prefer = {.mode = MPOL_PREFERRED, .nodes = 1 << 3},
	                 many = {.mode = MPOL_PREFERRED_MANY, .nodes = 1 << 2 | 1 << 3},
	                 turns = {.mode = MPOL_INTERLEAVE, .nodes = 1 << 1 | 1 << 2 | 1 << 3},
	                 local = {.mode = MPOL_LOCAL};
	uint64_t interleaved, hit;

	CHECK(own_enter(&ring));
	CHECK_CALL(check_places(&bind, GFP_HIGHUSER, "222"));
	CHECK_CALL(check_places(&prefer, GFP_HIGHUSER, "333"));
	hit = stat(3, NUMA_HIT);
	CHECK_CALL(check_places(&many, GFP_HIGHUSER, "333")); /* the nearer of the two */
	CHECK_EQ(stat(3, NUMA_HIT), hit + 3);                 /* which was meant */
	CHECK_EQ(stat(3, NUMA_MISS), 0);
	interleaved = stat(2, NUMA_INTERLEAVE_HIT);
	CHECK_CALL(check_places(&turns, GFP_HIGHUSER, "1231231"));
	CHECK_EQ(stat(2, NUMA_INTERLEAVE_HIT), interleaved + 2);
	CHECK_CALL(check_places(&local, GFP_HIGHUSER, "000"));
	CHECK_CALL(check_places(NULL, GFP_HIGHUSER, "000"));
	/* Who names a node means it. */
	CHECK_CALL(check_places(&bind, GFP_HIGHUSER | __GFP_THISNODE, "00"));
	own_leave();
}

static unsigned resorts;

static enum oom_result nobody(void)
{
	resorts++;
	return OOM_NOBODY;
}

/* On full nodes: how often somebody was to die for a request with the policy. */
static unsigned deaths(struct mempolicy *policy)
{
	struct page *page;

	resorts = 0;
	oom_hook = nobody;
	page = alloc_pages_policy(policy, GFP_HIGHUSER | __GFP_NOWARN, 0);
	oom_hook = NULL;
	return page ? UINT32_MAX : resorts;
}

/* Nobody dies because the nodes are full that somebody chose: the victim's memory may lie elsewhere. */
UNIT_TEST(no_death_for_some_nodes)
{
	struct mempolicy one = {.mode = MPOL_BIND, .nodes = 1 << 1},
	                 both = {.mode = MPOL_BIND, .nodes = 1 << 0 | 1 << 1},
	                 prefer = {.mode = MPOL_PREFERRED, .nodes = 1 << 1};
	struct hoard h = {.first = PFN_NONE_N};

	CHECK(own_enter(&two));
	for (struct page *page; (page = alloc_page(GFP_NOWAIT | __GFP_MEMALLOC | __GFP_NOWARN));)
		keep(&h, page);
	CHECK_EQ(deaths(&one), 0);
	CHECK_EQ(deaths(&both), 1);
	CHECK_EQ(deaths(&prefer), 1);
	release(&h);
	CHECK_SOUND(mm_check());
	own_leave();
}

static void check_area_on(char *p, size_t size, unsigned nid)
{
	CHECK(p);
	for (size_t at = 0; at < size; at += PAGE_SIZE) {
		struct page *page = vmalloc_to_page(p + at);

		CHECK(page);
		CHECK_EQ(page_to_nid(page), nid);
	}
}

/* Whichever CPU asks; by large pages and by small ones. */
UNIT_TEST(vmalloc_of_a_node)
{
	const size_t small = 40 * PAGE_SIZE, large = 5 * MB;
	struct hoard h = {0};
	char *p;

	CHECK(own_enter(&two));
	for (unsigned i = 0; i < 4; i++) {
		host_enter(own, i / 2);
		p = vmalloc_node(i % 2 ? large : small, i % 2 ? (int)(i / 2) ^ 1 : 1);
		CHECK_CALL(check_area_on(p, i % 2 ? large : small, i % 2 ? i / 2 ^ 1 : 1));
		vfree(p);
	}
	host_enter(own, 0);
	p = vzalloc_node(small, 1);
	CHECK_CALL(check_area_on(p, small, 1));
	CHECK_EQ(p[small - 1], 0);
	vfree(p);
	for (struct page *page;
	     (page = alloc_pages_node(1, GFP_NOWAIT | __GFP_THISNODE | __GFP_NOWARN, 0));)
		keep(&h, page);
	p = vmalloc_node(small, 1); /* there is none: the other one's */
	CHECK_CALL(check_area_on(p, small, 0));
	vfree(p);
	release(&h);
	CHECK_SOUND(mm_check());
	own_leave();
}

/* A machine with memory above 4 GB. */
UNIT_TEST(vmalloc_for_32_bits)
{
	struct page *high;
	char *p;

	CHECK(own_enter(
	        &(struct host_config){.ram = 5 * GB, .hole_start = 64 * MB, .hole_end = 4 * GB}));
	high = alloc_page(GFP_KERNEL);
	CHECK(high);
	CHECK_GE(page_to_pfn(high).n, (4 * GB) >> PAGE_SHIFT);
	p = vmalloc_32(3 * MB);
	CHECK(p);
	for (size_t at = 0; at < 3 * MB; at += PAGE_SIZE)
		CHECK_LT(page_to_pfn(vmalloc_to_page(p + at)).n, (4 * GB) >> PAGE_SHIFT);
	vfree(p);
	__free_page(high);
	CHECK_SOUND(mm_check());
	own_leave();
}

UNIT_TEST(hardwall_keeps_to_the_tasks_nodes)
{
	struct mempolicy wall = {.mems = 1 << 1};
	struct hoard h = {0};
	struct page *page;

	CHECK(own_enter(&two));
	CHECK_CALL(check_places(&wall, GFP_USER, "111"));
	CHECK_CALL(check_places(&wall, GFP_KERNEL, "000")); /* the kernel's own, near */
	CHECK_CALL(check_places(&wall, GFP_ATOMIC | __GFP_HARDWALL, "000")); /* cannot wait */
	cpu_set_mempolicy(&wall);
	while ((page = alloc_page((GFP_USER & ~__GFP_DIRECT_RECLAIM) | __GFP_NOWARN))) {
		CHECK_EQ(page_to_nid(page), 1);
		keep(&h, page);
	}
	CHECK_GT(zone_free_pages(zone(0, ZONE_DMA32)), 20000);
	cpu_set_mempolicy(NULL);
	release(&h);
	CHECK_SOUND(mm_check());
	own_leave();
}

/* --- ZONE_MOVABLE ----------------------------------------------------------------------------- */

UNIT_TEST(movablecore_makes_a_zone)
{
	struct page *page;

	CHECK(own_enter(
	        &(struct host_config){.ram = 128 * MB, .frames = {.movablecore = 32 * MB}}));
	CHECK_EQ(zone(0, ZONE_MOVABLE)->present, 32 * MB / PAGE_SIZE);
	CHECK_EQ(zone(0, ZONE_DMA32)->present, 80 * MB / PAGE_SIZE);
	page = alloc_page(GFP_HIGHUSER_MOVABLE);
	CHECK(page);
	CHECK_EQ(page_zone_id(page), ZONE_MOVABLE);
	__free_page(page);
	page = alloc_page(GFP_HIGHUSER);
	CHECK(page);
	CHECK_EQ(page_zone_id(page), ZONE_DMA32);
	__free_page(page);
	CHECK_SOUND(mm_check());
	own_leave();
}

static void check_movable(const struct frame_config *c, uint64_t ram, uint64_t node0,
                          uint64_t node1)
{
	CHECK(own_enter(&(struct host_config){.ram = ram, .cpus = 2, .frames = *c}));
	CHECK_EQ(zone(0, ZONE_MOVABLE)->present, node0 / PAGE_SIZE);
	CHECK_EQ(zone(1, ZONE_MOVABLE)->present, node1 / PAGE_SIZE);
	CHECK_SOUND(mm_check());
	own_leave();
}

/* What is for everybody is spread over the nodes; the lower zones count, and are nobody's to give. */
UNIT_TEST(kernelcore_is_spread_over_nodes)
{
	const struct frame_config core = {.nr_nodes = 2, .numa_fake = true, .kernelcore = 128 * MB},
	                          percent = {.nr_nodes = 2,
	                                     .numa_fake = true,
	                                     .movablecore_percent = 50},
	                          both = {.nr_nodes = 2,
	                                  .numa_fake = true,
	                                  .kernelcore = 192 * MB,
	                                  .movablecore = 128 * MB},
	                          all = {.nr_nodes = 2, .numa_fake = true, .kernelcore = 1 * GB};

	CHECK_CALL(check_movable(&core, 256 * MB, 64 * MB, 64 * MB));
	CHECK_CALL(check_movable(&percent, 256 * MB, 64 * MB, 64 * MB));
	CHECK_CALL(check_movable(&both, 256 * MB, 32 * MB, 32 * MB));
	CHECK_CALL(check_movable(&all, 256 * MB, 0, 0));
}

UNIT_TEST(core_sizes_are_parsed)
{
	uint64_t bytes = 7;
	unsigned percent = 7;

	CHECK(parse_core_size("64M", &bytes, &percent));
	CHECK_EQ(bytes, 64 * MB);
	CHECK(parse_core_size("1g", &bytes, &percent));
	CHECK_EQ(bytes, GB);
	CHECK(parse_core_size("4096", &bytes, &percent));
	CHECK_EQ(bytes, 4096);
	CHECK_EQ(percent, 7);
	CHECK(parse_core_size("30%", &bytes, &percent));
	CHECK_EQ(percent, 30);
	CHECK_EQ(bytes, 4096);
	CHECK(!parse_core_size("101%", &bytes, &percent));
	CHECK(!parse_core_size("12X", &bytes, &percent));
	CHECK(!parse_core_size("12MB", &bytes, &percent));
	CHECK(!parse_core_size("", &bytes, &percent));
	CHECK(!parse_core_size("99999999999T", &bytes, &percent));
}

/* --- descriptors on demand -------------------------------------------------------------------- */

static uint64_t online_frames(void)
{
	uint64_t n = 0;

	for (uint64_t pfn = 0; pfn < machine()->max_pfn; pfn++)
		n += pfn_online(pfn);
	return n;
}

UNIT_TEST(descriptors_come_when_they_are_needed)
{
	uint64_t free, online;
	struct hoard h = {0};
	struct page *page;

	CHECK(own_enter(&(struct host_config){.ram = GB}));
	free = nr_free_pages();
	online = online_frames();
	CHECK_GE(free, GB / PAGE_SIZE - 64);  /* all of it counts as free, */
	CHECK_LE(online, GB / PAGE_SIZE / 4); /* a part has descriptors */
	while ((page = alloc_page(GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN))) {
		CHECK(pfn_online(page_to_pfn(page).n));
		keep(&h, page);
		if (h.count % 65536 == 0)
			CHECK_EQ(nr_free_pages(), free - h.count);
	}
	CHECK_EQ(h.count, free);
	CHECK_EQ(online_frames(), GB / PAGE_SIZE);
	for_each_zone(z)
		CHECK_EQ(z->deferred, 0);
	release(&h);
	CHECK_EQ(nr_free_pages(), free);
	CHECK_SOUND(mm_check());
	own_leave();
}

/* 64 GB: 512 MB of descriptors, of which the boot writes few. */
UNIT_TEST(a_large_machine_starts_at_once)
{
	CHECK(own_enter(
	        &(struct host_config){.ram = 64 * GB, .hole_start = 3 * GB, .hole_end = 4 * GB}));
	CHECK_GE(nr_free_pages(), 64 * GB / PAGE_SIZE - 64);
	CHECK_LE(online_frames(), GB / PAGE_SIZE);
	CHECK_GE(zone_free_blocks(zone(0, ZONE_NORMAL), MAX_ORDER - 1),
	         (zone(0, ZONE_NORMAL)->managed >> (MAX_ORDER - 1)) - 2);
	own_leave();
}
