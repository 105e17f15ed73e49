/*
 * fragmentation.c - a day in the life of a machine's free memory, with grouping and compaction on and off.
 *
 * 24 hours of the same random requests, on a hosted machine of 256 MB: programs start, touch pages here and there,
 * give some back and end; the kernel allocates objects (blocks of order 0 to 3 that nobody can move, most of them short-lived, some
 * that stay), names and inodes (reclaimable, given up in the evening), buffers of order 1 to 4. Load follows the day: little at
 * night, most in the afternoon. Every hour some blocks of 2 MB are asked for, kept for a while and given back.
 *
 * Printed: the unusable free space index, in thousandths, for order 4 and 9 (0: all free memory can be had in such blocks), on
 * average over the hours and at the end of the day; how many of the requests for 2 MB succeeded; at the end, the part of all page
 * blocks that holds nothing but movable pages and free frames, which grouping is for; and the harvest at
 * the end: how much of free memory, in thousandths, can be had as blocks of 2 MB by asking for one after the other.
 */
#include "host/internal.h"
#include "lib/random.h"
#include "mm/frame/compaction.h"
#include "mm/space/space.h"

#include <quire/slab.h>
#include <quire/trace.h>
#include <stdio.h>
#include <time.h>

#define RAM      (256ull << 20)
#define HOURS    24u
#define STEPS    30000u /* in an hour */
#define PROGRAMS 24u
#define AREA     4096u /* pages of a program */
#define BLOCKS   12000u
#define HUGE     40u
#define ALL      128u /* blocks of 2 MB of all memory */

#define BASE 0x10000000ull

struct block {
	struct page *page;
	unsigned order;
};

/* Kept blocks of one kind of kernel memory. */
struct pool {
	struct block block[BLOCKS];
	unsigned n, max;
	gfp_t gfp;
	unsigned orders; /* 0 .. orders - 1 */
};

struct day {
	struct random random;
	struct mm_struct *program[PROGRAMS];
	struct pool objects, names, buffers;
	struct page *huge[HUGE];
	unsigned asked, got;
	bool proactive;
	uint64_t sum4, sum9, samples;
};

static unsigned below(struct day *d, unsigned n)
{
	return (unsigned)random_below(&d->random, n);
}

/* Parts in 100 of the full load, by hour. */
static unsigned load(unsigned hour)
{
	static const unsigned char of[HOURS] = {20, 15, 12,  10,  10, 15, 25, 45, 65, 80, 88, 92,
	                                        85, 95, 100, 100, 95, 85, 75, 65, 55, 45, 35, 25};

	return of[hour];
}

static void pool_put(struct day *d, struct pool *p)
{
	unsigned i;

	if (!p->n)
		return;
	i = below(d, p->n);
	__free_pages(p->block[i].page, p->block[i].order);
	p->block[i] = p->block[--p->n];
}

static void pool_get(struct day *d, struct pool *p)
{
	unsigned order = 0;
	struct page *page;

	while (order + 1 < p->orders && below(d, 3) == 0)
		order++;
	page = p->n < p->max ? alloc_pages(p->gfp | __GFP_NOWARN | __GFP_NORETRY, order) : NULL;
	if (page)
		p->block[p->n++] = (struct block){page, order};
}

/* A pool drifts to its share of the load. */
static void pool_step(struct day *d, struct pool *p, unsigned percent)
{
	const unsigned want = p->max * percent / 100;

	if (p->n < want ? below(d, 100) < 70 : below(d, 100) < 30)
		pool_get(d, p);
	else
		pool_put(d, p);
}

static void program_start(struct day *d, unsigned i)
{
	d->program[i] = mm_alloc(0x7fff0000000ull);
	if (d->program[i] && do_mmap(d->program[i], BASE, AREA * PAGE_SIZE, PROT_READ | PROT_WRITE,
	                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0) < 0)
		printf("no room to map\n");
}

/* It starts, touches a run of pages, gives one back, or ends. */
static void program_step(struct day *d, unsigned percent)
{
	const unsigned i = below(d, PROGRAMS), n = 1 + below(d, 48);
	const vaddr_t at = BASE + (vaddr_t)below(d, AREA - 48) * PAGE_SIZE;
	struct mm_struct *mm = d->program[i];

	if (!mm) {
		if (below(d, 100) < percent)
			program_start(d, i);
		return;
	}
	if (below(d, 400) == 0 || (i * 100 / PROGRAMS > percent && below(d, 20) == 0)) {
		mmput(mm);
		d->program[i] = NULL;
	} else if (below(d, 100) < 60 && nr_free_pages() > RAM / PAGE_SIZE / 8) {
		for (unsigned page = 0; page < n; page++)
			(void)handle_mm_fault(mm, at + page * PAGE_SIZE, FAULT_WRITE, NULL);
	} else {
		(void)!do_madvise(mm, at, n * PAGE_SIZE, MADV_DONTNEED);
	}
}

/* Every now and then somebody wants 2 MB, and has it for a while. */
static void huge_step(struct day *d)
{
	const unsigned i = below(d, HUGE);

	if (d->huge[i]) {
		__free_pages(d->huge[i], 9);
		d->huge[i] = NULL;
		return;
	}
	d->asked++;
	d->huge[i] = alloc_pages(GFP_HIGHUSER_MOVABLE | __GFP_COMP | __GFP_NOWARN, 9);
	d->got += d->huge[i] != NULL;
}

/* Of the whole machine. */
static uint64_t unusable(unsigned order)
{
	uint64_t free = 0, suitable = 0;
	struct contig_page_info info;

	for_each_zone(zone) {
		fill_contig_page_info(zone, order, &info);
		free += info.free_pages;
		suitable += info.free_blocks_suitable << order;
	}
	return free ? (free - suitable) * 1000 / free : 1000;
}

static void hour(struct day *d, unsigned h)
{
	const unsigned percent = load(h);

	for (unsigned i = 0; i < STEPS; i++) {
		program_step(d, percent);
		pool_step(d, &d->objects, 40 + percent / 2);
		pool_step(d, &d->names, h >= 20 ? 10 : percent);
		pool_step(d, &d->buffers, percent);
		if (i % (STEPS / 100) == 0)
			huge_step(d);
		if (i % (STEPS / 20) == 0 && d->proactive &&
		    should_proactive_compact_node(&machine()->node[0]))
			(void)proactive_compact_node(&machine()->node[0]);
	}
	drain_all_pages();
	d->sum4 += unusable(4);
	d->sum9 += unusable(9);
	d->samples++;
}

/* Parts in 1000 of all page blocks in which everything can be moved, or is free: what compaction, or reclaim, can empty. */
static unsigned long can_be_emptied(void)
{
	const uint32_t end = (uint32_t)machine()->max_pfn;
	unsigned long n = 0;

	for (uint32_t start = 0; start < end; start += pageblock_nr_pages) {
		uint32_t pfn = start;

		while (pfn < start + pageblock_nr_pages &&
		       (page_is_free(pfn_to_page(PFN(pfn))) ||
		        page_flag(pfn_to_page(PFN(pfn)), PG_lru)))
			pfn++;
		n += pfn == start + pageblock_nr_pages;
	}
	return n * 1000 / (end / pageblock_nr_pages);
}

/* Parts in 1000 of what is free that can be had as blocks of 2 MB, one after the other. */
static unsigned long harvest(void)
{
	const uint64_t free = nr_free_pages();
	struct page *block[ALL];
	unsigned n = 0;

	while (n < ALL &&
	       (block[n] = alloc_pages(GFP_HIGHUSER_MOVABLE | __GFP_COMP | __GFP_NOWARN, 9)))
		n++;
	for (unsigned i = 0; i < n; i++)
		__free_pages(block[i], 9);
	return n * 512 * 1000 / free;
}

static void run(const char *name, bool grouping, bool compaction, unsigned proactiveness)
{
	static struct day day;
	struct host_machine *h = host_create(&(struct host_config){
	        .ram = RAM, .cpus = 1, .seed = 1, .frames.no_grouping = !grouping});
	struct timespec a, b;
	struct day *d = &day;
	unsigned long end4, end9, movable;

	if (!h)
		return;
	day = (struct day){
	        .objects = {.max = 9000, .gfp = GFP_KERNEL, .orders = 4},
	        .names = {.max = 6000, .gfp = GFP_KERNEL | __GFP_RECLAIMABLE, .orders = 2},
	        .buffers = {.max = 1500, .gfp = GFP_ATOMIC & ~__GFP_HIGH, .orders = 5}};
	random_seed(&d->random, 7);
	d->proactive = proactiveness;
	machine()->sysctl_compaction_proactiveness = proactiveness;
	if (!compaction)
		migrate_hook = NULL;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (unsigned i = 0; i < HOURS; i++)
		hour(d, i);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	end4 = unusable(4);
	end9 = unusable(9);
	movable = can_be_emptied();
	printf("%-24s %8lu %8lu %10lu %8lu %7u of %-5u %8lu %8lu %9lu %9lu %8.2f\n", name,
	       (unsigned long)(d->sum4 / d->samples), end4, (unsigned long)(d->sum9 / d->samples),
	       end9, d->got, d->asked, movable, harvest(),
	       (unsigned long)counter_read(COUNT_PGMIGRATE_SUCCESS),
	       (unsigned long)(counter_read(COUNT_COMPACTMIGRATE_SCANNED) +
	                       counter_read(COUNT_COMPACTFREE_SCANNED)),
	       (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec));
	host_destroy(h);
}

int main(void)
{
	printf("%-24s %8s %8s %10s %8s %16s %8s %8s %9s %9s %8s\n", "unusable free space",
	       "order 4", "at end", "order 9", "at end", "2 MB served", "movable", "harvest",
	       "moved", "scanned", "CPU s");
	run("neither", false, false, 0);
	run("grouping", true, false, 0);
	run("compaction", false, true, 0);
	run("grouping, compaction", true, true, 0);
	run("  proactive (20)", true, true, 20);
	run("  proactive (60)", true, true, 60);
	run("  proactive (90)", true, true, 90);
	return 0;
}
