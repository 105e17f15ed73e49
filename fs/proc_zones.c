/*
 * proc_zones.c - /proc/{buddyinfo,zoneinfo}: memory zone by zone.
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
			seq_printf(m, "%6lu ", READ_ONCE(z->free_area[order].nr_free));
		seq_putc(m, '\n');
	}
	return 0;
}

/* --- zoneinfo --------------------------------------------------------------------------------- */

static void show_item(struct seq_file *m, const char *name, uint64_t value)
{
	seq_printf(m, "\n      %-12s %lu", name, value);
}

static void show_node_stats(struct seq_file *m)
{
	uint64_t file = frame_kind_pages(FRAME_FILE), shmem = frame_kind_pages(FRAME_SHMEM);
	struct page_census c;

	proc_page_census(&c);
	seq_puts(m, "\n  per-node stats");
	show_item(m, "nr_inactive_anon", lru_pages(LRU_INACTIVE_ANON));
	show_item(m, "nr_active_anon", lru_pages(LRU_ACTIVE_ANON));
	show_item(m, "nr_inactive_file", lru_pages(LRU_INACTIVE_FILE));
	show_item(m, "nr_active_file", lru_pages(LRU_ACTIVE_FILE));
	show_item(m, "nr_unevictable", lru_pages(LRU_UNEVICTABLE));
	show_item(m, "nr_slab_reclaimable", 0);
	show_item(m, "nr_slab_unreclaimable", frame_kind_pages(FRAME_SLAB));
	show_item(m, "nr_anon_pages", frame_kind_pages(FRAME_ANON));
	show_item(m, "nr_mapped", c.mapped);
	show_item(m, "nr_file_pages", file + shmem);
	show_item(m, "nr_dirty", c.dirty);
	show_item(m, "nr_writeback", c.writeback);
	show_item(m, "nr_shmem", shmem);
	show_item(m, "nr_kernel_stack", pages_to_kb(frame_kind_pages(FRAME_KSTACK)));
	show_item(m, "nr_page_table_pages", frame_kind_pages(FRAME_PAGETABLE));
}

static uint64_t zone_free(const struct zone *z)
{
	int64_t free = atomic_load_explicit(&z->nr_free, memory_order_relaxed);

	return free > 0 ? (uint64_t)free : 0;
}

static void show_zone_pages(struct seq_file *m, const struct zone *z)
{
	seq_printf(m, "\n  pages free     %lu", zone_free(z));
	seq_printf(
	        m,
	        "\n        boost    0\n        min      %lu\n        low      %lu\n        high     %lu",
	        z->watermark[WMARK_MIN], z->watermark[WMARK_LOW], z->watermark[WMARK_HIGH]);
	seq_printf(
	        m,
	        "\n        spanned  %lu\n        present  %lu\n        managed  %lu\n        cma      0",
	        z->spanned, z->present, z->managed);
	seq_puts(m, "\n        protection: (");
	for (unsigned i = 0; i < MAX_NR_ZONES; i++)
		seq_printf(m, i ? ", %lu" : "%lu", z->lowmem_reserve[i]);
	seq_putc(m, ')');
	show_item(m, "nr_free_pages", zone_free(z));
}

/* A list for each type, of up to two batches (cpu.h). */
static void show_pagesets(struct seq_file *m, const struct zone *z)
{
	seq_puts(m, "\n  pagesets");
	for (unsigned cpu = 0; cpu < machine()->nr_cpus; cpu++) {
		const struct per_cpu_pages *pcp =
		        &machine()->cpu[cpu]->pcp[PCP_INDEX(z->id, z->nid, MIGRATE_UNMOVABLE)];

		seq_printf(m,
		           "\n    cpu: %u\n              count: %u\n              high:  %u\n"
		           "              batch: %u",
		           cpu, zone_pcp_pages_of(z, cpu), 2u * MIGRATE_TYPES * pcp->batch,
		           pcp->batch);
	}
	seq_printf(m, "\n  node_unreclaimable:  0\n  start_pfn:           %u\n", z->start.n);
}

static int zoneinfo_show(struct seq_file *m, void *unused UNUSED)
{
	unsigned last_node = MAX_NUMNODES;

	for_each_zone(z) {
		seq_printf(m, "Node %u, zone %8s", z->nid, z->name);
		if (z->nid != last_node)
			show_node_stats(m);
		last_node = z->nid;
		show_zone_pages(m, z);
		show_pagesets(m, z);
	}
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
