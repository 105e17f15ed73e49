/*
 * pcp.c - frames and blocks kept by each CPU: refill and drain (see struct per_cpu_pages, cpu.h).
 *
 * The inline halves are in alloc.c and page.c and touch only this CPU's lines and the block's own
 * descriptor. Here is what happens once in a batch: one zone lock for `batch` blocks.
 *
 *     cpu_area.pcp    zone DMA        zone DMA32      ...
 *     order 0         |U   M   R  |   |U   M   R  |        each a hot and a cold stack of frames
 *     order 1         |U   M   R  |   |U   M   R  |        ... of blocks of two
 *     2, 3, 9                                              3: what is asked for all the time; 9: huge pages
 *
 * A kept block is not free for the zone: it does not merge, it is in no mark, other types and CPUs do not see it. So
 * what is kept is little (zone_batchsize, block_batchsize), and goes back in one piece whenever memory is short: a request that
 * finds nothing drains its own CPU and asks the others, compaction drains before it looks for blocks, /proc/sys/vm/compact_memory
 * and drain_all_pages() drain everybody. Single frames and blocks do not change into each other here: that is the buddy's.
 *
 * Whoever finds the lists busy is an interrupt on top of their owner, and deals with the zone directly. Each list has a bit of its own
 * for that.
 */
#include "mm/frame/debug.h"

#include <quire/boot.h>

#define PCP_BATCH_MIN  4u
#define PCP_BATCH_MAX  63u
#define PCP_BLOCKS_MAX 31

#define PCP_BLOCK_FRAMES_MAX 256u /* 1 MB in a stack of blocks up to order 3 */

enum counter zone_counter(unsigned zone_id)
{
	static const uint8_t counter[MAX_NR_ZONES] = {
	        COUNT_PGALLOC_DMA,  COUNT_PGALLOC_DMA32,   COUNT_PGALLOC_NORMAL,
	        COUNT_PGALLOC_HIGH, COUNT_PGALLOC_MOVABLE,
	};
	return counter[zone_id];
}

/* Enough to make the lock cheap, and less than 1/256 of the zone on each CPU. */
static unsigned zone_batchsize(const struct zone *zone)
{
	uint64_t batch = zone->managed / 512;

	return (unsigned)MIN(MAX(batch, PCP_BATCH_MIN), PCP_BATCH_MAX);
}

/* Only to the CPU's own node, and only while no policy has a say (zonelist.c). */
void setup_fast_pcp(struct cpu_area *cpu)
{
	unsigned nid = numa_node_id();

	for (gfp_t gfp = 0; gfp < ARRAY_SIZE(cpu->fast_pcp); gfp++) {
		struct zone *zone = machine()->node[nid].zonelist[gfp_zone(gfp)].zones[0];
		bool short_way = zone && zone->nid == nid && !cpu->mempolicy;

		cpu->fast_pcp[gfp] = short_way ? zone_pcp(cpu, zone, gfp_migratetype(gfp)) : NULL;
	}
}

/*
 * Boot word pcp_blocks=N: lists of blocks have batches of N, 0 to 31, whatever the zone's size: so that they can be watched on a small
 * machine, or missed on a large one.
 */
void pcp_setup(void)
{
	machine()->pcp_blocks = boot_number("pcp_blocks", PCP_BLOCKS_MAX, -1);
}

/*
 * Blocks up to order 3: 1/8192 of the zone for each order, at most 1 MB; of a small zone that is a sixteenth of what single frames may
 * have. With a quarter its free memory was 3% more broken up after a day (bench/fragmentation.sh): what is kept does not merge, and
 * comes back into use where it lies. Huge pages, which have nothing left to merge with: the lists of a type on all CPUs
 * together hold less than 1/16 of the zone. A list for just a few blocks costs more than it saves; and guards must notice
 * at once when a block is freed.
 */
static unsigned block_batchsize(const struct zone *zone, unsigned order)
{
	uint64_t frames = order == pageblock_order
	                          ? zone->managed / (32 * machine()->nr_cpus)
	                          : MIN(zone->managed / 8192, PCP_BLOCK_FRAMES_MAX);
	uint64_t batch = frames >> order;

	if (machine()->guard_minorder)
		return 0;
	if (unlikely(machine()->pcp_blocks >= 0))
		return (unsigned)machine()->pcp_blocks;
	return batch < PCP_BATCH_MIN ? 0 : (unsigned)MIN(batch, PCP_BLOCKS_MAX);
}

static void pcp_list_init(const struct zone *zone, struct per_cpu_pages *pcp, unsigned order)
{
	pcp->counter = (uint8_t)zone_counter(zone->id);
	pcp->batch = (uint16_t)(order ? block_batchsize(zone, order) : zone_batchsize(zone));
	pcp->busy = machine()->careful ? PCP_CAREFUL : 0;
}

static void pcp_zone_init(struct cpu_area *cpu, const struct zone *zone)
{
	for (unsigned type = 0; type < MIGRATE_PCPTYPES; type++)
		for (unsigned i = 0; i < NR_PCP_ORDERS; i++)
			pcp_list_init(zone, block_pcp(zone_pcp(cpu, zone, type), pcp_order(i)),
			              pcp_order(i));
}

/* A CPU's first steps in here; its first interrupt may come first. */
void pcp_init(struct cpu_area *cpu)
{
	irq_state_t irq = irq_save();

	if (!cpu->pcp_ready) {
		for (unsigned i = 0; i < NR_PCP_LISTS; i++)
			cpu->pcp[i].first = cpu->pcp[i].cold = PFN_NONE_N;
		for_each_zone(zone)
			pcp_zone_init(cpu, zone);
		cpu->nid = (uint8_t)numa_node_id();
		setup_fast_pcp(cpu);
		cpu->pcp_ready = true;
	}
	irq_restore(irq);
}

/* Go inside, careful or not. False: an interrupt on top of the owner. */
static bool pcp_enter_slow(struct per_cpu_pages *pcp)
{
	uint8_t busy = READ_ONCE(pcp->busy);

	if (busy & PCP_BUSY)
		return false;
	WRITE_ONCE(pcp->busy, busy | PCP_BUSY);
	atomic_signal_fence(memory_order_seq_cst);
	return true;
}

static void pcp_leave_slow(struct per_cpu_pages *pcp)
{
	atomic_signal_fence(memory_order_seq_cst);
	WRITE_ONCE(pcp->busy, pcp->busy & PCP_CAREFUL);
}

static void set_count(_Atomic uint16_t *count, unsigned n)
{
	atomic_store_explicit(count, (uint16_t)n, memory_order_relaxed);
}

static unsigned cold_count(const struct per_cpu_pages *pcp)
{
	return atomic_load_explicit(&pcp->cold_count, memory_order_relaxed);
}

static NOINLINE void trace_drain(uint32_t pfn, unsigned n, unsigned order)
{
	for (; n; n--) {
		const struct page *page = pfn_to_page(PFN(pfn));

		trace_mm_page_pcpu_drain(pfn, order, page_type(page));
		pfn = page->lru.next;
	}
}

/* n blocks from *first on go to the zone; *first is what remains. */
static void drain_list(struct zone *zone, uint32_t *first, unsigned n, unsigned order)
{
	irq_state_t irq = spin_lock_irqsave(&zone->lock);

	if (trace_enabled())
		trace_drain(*first, n, order);
	*first = __free_chain(zone, *first, n, order);
	spin_unlock_irqrestore(&zone->lock, irq);
	count(PCP_DRAIN);
}

/* The full hot stack becomes the cold one. */
static void age(struct zone *zone, struct per_cpu_pages *pcp, unsigned order)
{
	if (cold_count(pcp))
		drain_list(zone, &pcp->cold, cold_count(pcp), order);
	pcp->cold = pcp->first;
	set_count(&pcp->cold_count, pcp_count(pcp));
	pcp->first = PFN_NONE_N;
	set_count(&pcp->count, 0);
}

static void swap_stacks(struct per_cpu_pages *pcp)
{
	uint32_t first = pcp->first;
	unsigned n = pcp_count(pcp);

	pcp->first = pcp->cold;
	set_count(&pcp->count, cold_count(pcp));
	pcp->cold = first;
	set_count(&pcp->cold_count, n);
}

/* Not more than the zone has to spare, but the one block that the caller may have in any case. */
static void refill(struct zone *zone, struct per_cpu_pages *pcp, unsigned order, unsigned type,
                   uint64_t spare)
{
	unsigned want = (unsigned)MIN(pcp->batch, MAX(spare >> order, 1));
	irq_state_t irq = spin_lock_irqsave(&zone->lock);
	uint32_t first = PFN_NONE_N;
	struct page *last;
	unsigned got = rmqueue_bulk(zone, want, order, type, &first, &last);

	if (got)
		note_min_free(zone);
	spin_unlock_irqrestore(&zone->lock, irq);
	if (last)
		last->lru.next = PFN_NONE_N;
	pcp->first = first;
	set_count(&pcp->count, got);
	count(PCP_REFILL);
}

static ALWAYS_INLINE struct page *rmqueue_from(struct zone *zone, unsigned order, unsigned type,
                                               struct page *(*from)(struct zone *zone,
                                                                    unsigned order, unsigned type))
{
	irq_state_t irq = spin_lock_irqsave(&zone->lock);
	struct page *page = from(zone, order, type);

	if (page) {
		set_frame_type(page, pageblock_pcp_type(page));
		note_min_free(zone);
	}
	spin_unlock_irqrestore(&zone->lock, irq);
	return page;
}

struct page *rmqueue_buddy(struct zone *zone, unsigned order, unsigned type)
{
	return rmqueue_from(zone, order, type, __rmqueue);
}

struct page *rmqueue_highatomic(struct zone *zone, unsigned order)
{
	return rmqueue_from(zone, order, MIGRATE_HIGHATOMIC, __rmqueue_smallest);
}

static struct page *pop_cold(struct per_cpu_pages *pcp)
{
	struct page *page = pfn_to_page(PFN(pcp->cold));

	pcp->cold = page->lru.next;
	set_count(&pcp->cold_count, cold_count(pcp) - 1);
	return page;
}

struct page *rmqueue_pcp(struct zone *zone, gfp_t gfp, unsigned order, uint64_t spare)
{
	const unsigned type = gfp_migratetype(gfp);
	struct per_cpu_pages *pcp = block_pcp(zone_pcp(this_cpu(), zone, type), order);
	struct page *page = NULL;

	if (!pcp_enter_slow(pcp))
		return rmqueue_buddy(zone, order, type);
	if (gfp & __GFP_COLD && cold_count(pcp)) {
		page = pop_cold(pcp);
	} else {
		if (!pcp_count(pcp) && cold_count(pcp))
			swap_stacks(pcp);
		if (!pcp_count(pcp))
			refill(zone, pcp, order, type, spare);
		if (pcp_count(pcp))
			page = pcp_pop(pcp, pcp_count(pcp));
	}
	pcp_leave_slow(pcp);
	return page;
}

static void chain_freed(uint32_t pfn, unsigned n, uintptr_t caller)
{
	for (; n; n--) {
		struct page *page = pfn_to_page(PFN(pfn));

		page_freed(page, caller);
		pfn = page->lru.next;
	}
}

/* n blocks of one zone and type to this CPU's list, which is full, or the zone. */
static void chain_to_pcp(uint32_t first, struct page *last, unsigned n, unsigned order)
{
	struct cpu_area *cpu = this_cpu();
	struct zone *zone = page_zone(last);
	struct per_cpu_pages *pcp = block_pcp(page_pcp(cpu, last->flags), order);

	if (unlikely(!cpu->pcp_ready))
		pcp_init(cpu);
	if (!pcp_enter_slow(pcp)) {
		drain_list(zone, &first, n, order);
		return;
	}
	if (pcp_count(pcp) >= pcp->batch)
		age(zone, pcp, order);
	last->lru.next = pcp->first;
	pcp->first = first;
	set_count(&pcp->count, pcp_count(pcp) + n);
	pcp_leave_slow(pcp);
	drain_if_wanted();
}

void free_unref_chain_slow(uint32_t first, struct page *last, unsigned n, uintptr_t caller)
{
	if (unlikely(machine()->careful))
		chain_freed(first, n, caller);
	chain_to_pcp(first, last, n, 0);
}

void free_unref_block_slow(struct page *page, unsigned order)
{
	chain_to_pcp(page_to_pfn(page).n, page, 1, order);
}

void free_unref_page_slow(struct page *page, uintptr_t caller)
{
	free_unref_chain_slow(page_to_pfn(page).n, page, 1, caller);
}

/* False: this is an interrupt on top of the list's owner, who will do it himself later. */
static bool drain_pcp(struct cpu_area *cpu, struct zone *zone, unsigned type, unsigned order)
{
	struct per_cpu_pages *pcp = block_pcp(zone_pcp(cpu, zone, type), order);
	unsigned hot, cold;

	if (!pcp_enter_slow(pcp)) {
		atomic_store_explicit(&cpu->drain_wanted, true, memory_order_relaxed);
		return false;
	}
	hot = pcp_count(pcp);
	cold = cold_count(pcp);
	if (hot)
		drain_list(zone, &pcp->first, hot, order);
	if (cold)
		drain_list(zone, &pcp->cold, cold, order);
	set_count(&pcp->count, 0);
	set_count(&pcp->cold_count, 0);
	pcp_leave_slow(pcp);
	return true;
}

static bool drain_zone(struct cpu_area *cpu, struct zone *zone)
{
	bool all = true;

	for (unsigned type = 0; type < MIGRATE_PCPTYPES; type++)
		for (unsigned i = 0; i < NR_PCP_ORDERS; i++)
			all &= drain_pcp(cpu, zone, type, pcp_order(i));
	return all;
}

/* False: not all lists. */
static bool drain_cpu(struct cpu_area *cpu)
{
	bool all = true;

	atomic_store_explicit(&cpu->drain_wanted, false, memory_order_relaxed);
	if (!cpu->pcp_ready)
		return true;
	for_each_zone(zone)
		all &= drain_zone(cpu, zone);
	return all;
}

void drain_if_wanted(void)
{
	struct cpu_area *cpu = this_cpu();

	if (unlikely(atomic_load_explicit(&cpu->drain_wanted, memory_order_relaxed)))
		(void)drain_cpu(cpu);
}

void drain_local_pages(void)
{
	(void)drain_cpu(this_cpu());
}

static void drain_on_cpu(void *arg)
{
	_Atomic uint64_t *busy = arg;

	if (!drain_cpu(this_cpu()))
		atomic_fetch_or(busy, (uint64_t)1 << cpu_id());
}

/* CPUs whose lists hold anything. */
static uint64_t cpus_with_pages(void)
{
	uint64_t cpus = 0;

	for (unsigned cpu = 0; cpu < machine()->nr_cpus; cpu++)
		for_each_zone(zone)
			if (zone_pcp_pages_of(zone, cpu))
				cpus |= (uint64_t)1 << cpu;
	return cpus;
}

/*
 * Who is found inside a list was, most of the time, at the zone's lock, with interrupts off: it would be met there again and again
 * just when memory is short. So it is asked until it is out, as one waits for a spin lock.
 */
void drain_all_pages(void)
{
	uint64_t cpus = cpus_with_pages();

	while (cpus) {
		_Atomic uint64_t busy = 0;

		port_call_cpus(cpus, drain_on_cpu, &busy);
		cpus = atomic_load(&busy);
		cpu_relax();
	}
}

static unsigned pcp_pages(const struct per_cpu_pages *pcp)
{
	return pcp_count(pcp) + cold_count(pcp);
}

/* A stack of each kind may be full. */
static unsigned pcp_high(const struct per_cpu_pages *pcp)
{
	return 2u * pcp->batch;
}

static unsigned sum_pcp(const struct zone *zone, unsigned cpu,
                        unsigned (*blocks)(const struct per_cpu_pages *pcp))
{
	struct cpu_area *area = machine()->cpu[cpu];
	unsigned pages = 0;

	for (unsigned type = 0; area && type < MIGRATE_PCPTYPES; type++)
		for (unsigned i = 0; i < NR_PCP_ORDERS; i++)
			pages += blocks(block_pcp(zone_pcp(area, zone, type), pcp_order(i)))
			         << pcp_order(i);
	return pages;
}

unsigned zone_pcp_pages_of(const struct zone *zone, unsigned cpu)
{
	return sum_pcp(zone, cpu, pcp_pages);
}

unsigned zone_pcp_high_of(const struct zone *zone, unsigned cpu)
{
	return sum_pcp(zone, cpu, pcp_high);
}

uint64_t zone_pcp_pages(const struct zone *zone)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		pages += zone_pcp_pages_of(zone, i);
	return pages;
}
