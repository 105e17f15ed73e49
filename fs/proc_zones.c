/*
 * proc_zones.c - /proc/{buddyinfo,zoneinfo}: memory zone by zone, in the form of Linux 6.1.
 *
 * An x86-64 Linux has the zones DMA, DMA32, Normal, Movable and Device. Zones without memory are shown in zoneinfo in
 * short form; HIGHMEM, which cannot have any on this machine, is not shown, and Device, which never has, stands at the
 * end. What Linux counts and this kernel has no such thing of (huge pages, isolated pages, ...) is 0;
 * what there is but nobody counts (nr_dirtied, nr_written, pins) is left out.
 */
#include "fs/proc.h"

#include <quire/machine.h>
#include <quire/trace.h>

/* --- buddyinfo -------------------------------------------------------------------------------- */

static int buddyinfo_show(struct seq_file *m, void *unused UNUSED)
{
	for_each_zone(z) {
		seq_printf(m, "Node %u, zone %8s ", z->nid, z->name);
		for (unsigned order = 0; order < MAX_ORDER; order++)
			seq_printf(m, "%6lu ", zone_free_blocks(z, order));
		seq_putc(m, '\n');
	}
	return 0;
}

/* --- zoneinfo --------------------------------------------------------------------------------- */

static void show_item(struct seq_file *m, const char *name, uint64_t value)
{
	seq_printf(m, "\n      %-12s %lu", name, value);
}

static void show_zeros(struct seq_file *m, const char *const names[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		show_item(m, names[i], 0);
}

static void show_lru(struct seq_file *m, const char *const names[], const struct page_census *c)
{
	for (unsigned list = 0; list < NR_LRU_LISTS; list++)
		show_item(m, names[list], c->lru[list]);
}

static void show_node_stats(struct seq_file *m, const struct page_census *c)
{
	static const char *const lru[NR_LRU_LISTS] = {"nr_inactive_anon", "nr_active_anon",
	                                              "nr_inactive_file", "nr_active_file",
	                                              "nr_unevictable"};
	static const char *const none[] = {
	        "nr_isolated_anon",         "nr_isolated_file",        "workingset_nodes",
	        "workingset_refault_anon",  "workingset_refault_file", "workingset_activate_anon",
	        "workingset_activate_file", "workingset_restore_anon", "workingset_restore_file",
	        "workingset_nodereclaim",
	};
	static const char *const no_huge[] = {
	        "nr_shmem_hugepages",
	        "nr_shmem_pmdmapped",
	        "nr_file_hugepages",
	        "nr_file_pmdmapped",
	        "nr_anon_transparent_hugepages",
	        "nr_vmscan_write",
	        "nr_vmscan_immediate_reclaim",
	        "nr_throttled_written",
	        "nr_kernel_misc_reclaimable",
	};

	seq_puts(m, "\n  per-node stats");
	show_lru(m, lru, c);
	show_item(m, "nr_slab_reclaimable", c->slab_reclaimable);
	show_item(m, "nr_slab_unreclaimable", c->slab - c->slab_reclaimable);
	show_zeros(m, none, ARRAY_SIZE(none));
	show_item(m, "nr_anon_pages", c->anon);
	show_item(m, "nr_mapped", c->mapped);
	show_item(m, "nr_file_pages", c->file + c->shmem);
	show_item(m, "nr_dirty", c->dirty);
	show_item(m, "nr_writeback", c->writeback);
	show_item(m, "nr_writeback_temp", 0);
	show_item(m, "nr_shmem", c->shmem);
	show_zeros(m, no_huge, ARRAY_SIZE(no_huge));
	show_item(m, "nr_kernel_stack", pages_to_kb(c->kstack));
	show_item(m, "nr_page_table_pages", c->table);
	show_item(m, "nr_sec_page_table_pages", 0);
	show_item(m, "nr_swapcached", 0);
}

static void show_zone_pages(struct seq_file *m, const struct zone *z)
{
	static const uint8_t places[] = {ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, ZONE_MOVABLE,
	                                 ZONE_MOVABLE /* Device */};

	seq_printf(m, "\n  pages free     %lu\n        boost    0", zone_free_pages(z));
	seq_printf(m, "\n        min      %lu\n        low      %lu\n        high     %lu",
	           z->watermark[WMARK_MIN], z->watermark[WMARK_LOW], z->watermark[WMARK_HIGH]);
	seq_printf(m,
	           "\n        spanned  %lu\n        present  %lu\n        managed  %lu"
	           "\n        cma      0\n        protection: (",
	           z->spanned, z->present, z->managed);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		seq_printf(m, i ? ", %lu" : "%lu", z->lowmem_reserve[places[i]]);
	seq_putc(m, ')');
}

static void show_zone_stats(struct seq_file *m, const struct zone *z, const struct page_census *c)
{
	static const char *const lru[NR_LRU_LISTS] = {
	        "nr_zone_inactive_anon", "nr_zone_active_anon", "nr_zone_inactive_file",
	        "nr_zone_active_file", "nr_zone_unevictable"};
	static const char *const none[] = {"nr_bounce", "nr_zspages", "nr_free_cma"};
	static const char *const numa[NR_NUMA_STATS] = {
	        [NUMA_HIT] = "numa_hit",         [NUMA_MISS] = "numa_miss",
	        [NUMA_FOREIGN] = "numa_foreign", [NUMA_INTERLEAVE_HIT] = "numa_interleave",
	        [NUMA_LOCAL] = "numa_local",     [NUMA_OTHER] = "numa_other"};

	show_item(m, "nr_free_pages", zone_free_pages(z));
	show_lru(m, lru, c);
	show_item(m, "nr_zone_write_pending", c->dirty + c->writeback);
	show_item(m, "nr_mlock", c->mlocked);
	show_zeros(m, none, ARRAY_SIZE(none));
	for (unsigned i = 0; i < NR_NUMA_STATS; i++)
		show_item(m, numa[i], zone_numa_stat(z, i));
}

/* Lists for each type, of up to two batches each (cpu.h); batch: of single frames. Counts are summed when read, so none drifts: threshold 0. */
static void show_pagesets(struct seq_file *m, const struct zone *z)
{
	seq_puts(m, "\n  pagesets");
	for (unsigned cpu = 0; cpu < machine()->nr_cpus; cpu++) {
		const struct per_cpu_pages *pcp =
		        &machine()->cpu[cpu]->pcp[PCP_INDEX(z->id, z->nid, MIGRATE_UNMOVABLE)];

		seq_printf(m,
		           "\n    cpu: %u\n              count: %u\n              high:  %u\n"
		           "              batch: %u\n  vm stats threshold: 0",
		           cpu, zone_pcp_pages_of(z, cpu), zone_pcp_high_of(z, cpu), pcp->batch);
	}
	seq_printf(m, "\n  node_unreclaimable:  0\n  start_pfn:           %u\n", z->start.n);
}

static void add_census(struct page_census *sum, const struct page_census *c)
{
	static_assert(sizeof(*c) % sizeof(uint64_t) == 0, "counts and nothing else");
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)c;

	for (unsigned i = 0; i < sizeof(*c) / sizeof(uint64_t); i++)
		to[i] += from[i];
}

static void show_node(struct seq_file *m, const struct pglist_data *node)
{
	static const struct zone device = {.name = "Device"};
	static const uint8_t shown[] = {ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, ZONE_MOVABLE};
	struct page_census zones[MAX_NR_ZONES] = {0}, sum = {0};
	bool first = true;

	for (unsigned i = 0; i < MAX_NR_ZONES; i++) {
		proc_zone_census(&node->zones[i], &zones[i]);
		add_census(&sum, &zones[i]);
	}
	for (unsigned i = 0; i <= ARRAY_SIZE(shown); i++) {
		const struct zone *z = i < ARRAY_SIZE(shown) ? &node->zones[shown[i]] : &device;

		seq_printf(m, "Node %u, zone %8s", node->nid, z->name);
		if (z->present && first)
			show_node_stats(m, &sum);
		first &= !z->present;
		show_zone_pages(m, z);
		if (z->present) {
			show_zone_stats(m, z, &zones[shown[i]]);
			show_pagesets(m, z);
		} else {
			seq_putc(m, '\n');
		}
	}
}

static int zoneinfo_show(struct seq_file *m, void *unused UNUSED)
{
	for (unsigned nid = 0; nid < machine()->nr_nodes; nid++)
		show_node(m, &machine()->node[nid]);
	return 0;
}

int proc_zones_init(struct dentry *root)
{
	static const struct proc_file files[] = {
	        {"buddyinfo", buddyinfo_show, 0},
	        {"zoneinfo", zoneinfo_show, 0},
	};

	return proc_create_files(root, files, ARRAY_SIZE(files));
}
