/*
 * sysfs_node.c - /sys/devices/system/node: memory node by node, as numastat(8) and numactl(8) read it.
 *
 * Pages are counted node by node in a walk over their descriptors (proc_census.c).
 */
#include "fs/proc.h"
#include "lib/format.h"

#include <quire/machine.h>

static const unsigned node_numbers[MAX_NUMNODES] = {0, 1, 2, 3};
static_assert(MAX_NUMNODES == 4, "node_numbers names them all");

static const struct pglist_data *node_of(const void *number)
{
	return &machine()->node[*(const unsigned *)number];
}

static int show_list(struct seq_file *m, uint64_t mask)
{
	seq_mask_list(m, mask);
	seq_putc(m, '\n');
	return 0;
}

static uint64_t cpus_of(unsigned nid)
{
	uint64_t mask = 0;

	for (unsigned cpu = 0; cpu < machine()->nr_cpus; cpu++)
		if (cpu_to_node(cpu) == nid)
			mask |= 1ull << cpu;
	return mask;
}

/* Nodes that have memory in a zone of the set (bit i: enum zone_type i), or CPUs. */
static uint64_t nodes_with(unsigned zones, bool cpus)
{
	uint64_t mask = 0;

	for (unsigned nid = 0; nid < machine()->nr_nodes; nid++)
		if (cpus && cpus_of(nid))
			mask |= 1ull << nid;
	for_each_zone(z)
		if (zones >> z->id & 1)
			mask |= 1ull << z->nid;
	return mask;
}

static int online_show(struct seq_file *m, void *unused UNUSED)
{
	return show_list(m, (1ull << machine()->nr_nodes) - 1);
}

static int has_cpu_show(struct seq_file *m, void *unused UNUSED)
{
	return show_list(m, nodes_with(0, true));
}

static int has_memory_show(struct seq_file *m, void *unused UNUSED)
{
	return show_list(m, nodes_with(~0u, false));
}

static int has_normal_memory_show(struct seq_file *m, void *unused UNUSED)
{
	return show_list(m,
	                 nodes_with(1u << ZONE_DMA | 1u << ZONE_DMA32 | 1u << ZONE_NORMAL, false));
}

static int cpumap_show(struct seq_file *m, void *number)
{
	seq_mask(m, cpus_of(node_of(number)->nid), machine()->nr_cpus);
	seq_putc(m, '\n');
	return 0;
}

static int cpulist_show(struct seq_file *m, void *number)
{
	return show_list(m, cpus_of(node_of(number)->nid));
}

static int distance_show(struct seq_file *m, void *number)
{
	for (unsigned to = 0; to < machine()->nr_nodes; to++)
		seq_printf(m, to ? " %u" : "%u", node_distance(node_of(number)->nid, to));
	seq_putc(m, '\n');
	return 0;
}

static uint64_t numa_stat(const struct pglist_data *node, enum numa_stat_item item)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < MAX_NR_ZONES; i++)
		sum += zone_numa_stat(&node->zones[i], item);
	return sum;
}

static int numastat_show(struct seq_file *m, void *number)
{
	const struct pglist_data *node = node_of(number);

	seq_printf(m, "numa_hit %lu\nnuma_miss %lu\nnuma_foreign %lu\n", numa_stat(node, NUMA_HIT),
	           numa_stat(node, NUMA_MISS), numa_stat(node, NUMA_FOREIGN));
	seq_printf(m, "interleave_hit %lu\nlocal_node %lu\nother_node %lu\n",
	           numa_stat(node, NUMA_INTERLEAVE_HIT), numa_stat(node, NUMA_LOCAL),
	           numa_stat(node, NUMA_OTHER));
	return 0;
}

/* What the node has, has free, and what its pages are used for. */
static void take_census(const struct pglist_data *node, uint64_t *managed, uint64_t *free,
                        struct page_census *c)
{
	*c = (struct page_census){0};
	*managed = *free = 0;
	for (unsigned i = 0; i < MAX_NR_ZONES; i++) {
		const struct zone *z = &node->zones[i];

		*managed += z->managed;
		*free += zone_free_pages(z) + zone_pcp_pages(z);
		proc_zone_census(z, c);
	}
}

static void node_kb(struct seq_file *m, unsigned nid, const char *name, uint64_t pages)
{
	seq_printf(m, "Node %u %-16s%8lu kB\n", nid, name, pages_to_kb(pages));
}

static void node_lru(struct seq_file *m, unsigned nid, const struct page_census *c)
{
	const uint64_t *n = c->lru;

	node_kb(m, nid, "Active:", n[LRU_ACTIVE_ANON] + n[LRU_ACTIVE_FILE]);
	node_kb(m, nid, "Inactive:", n[LRU_INACTIVE_ANON] + n[LRU_INACTIVE_FILE]);
	node_kb(m, nid, "Active(anon):", n[LRU_ACTIVE_ANON]);
	node_kb(m, nid, "Inactive(anon):", n[LRU_INACTIVE_ANON]);
	node_kb(m, nid, "Active(file):", n[LRU_ACTIVE_FILE]);
	node_kb(m, nid, "Inactive(file):", n[LRU_INACTIVE_FILE]);
	node_kb(m, nid, "Unevictable:", n[LRU_UNEVICTABLE]);
}

static int meminfo_show(struct seq_file *m, void *number)
{
	/* Kinds of pages that this kernel has not. */
	static const char *const none[] = {
	        "SecPageTables:", "NFS_Unstable:", "Bounce:", "WritebackTmp:"};
	const struct pglist_data *node = node_of(number);
	uint64_t managed, free;
	unsigned nid = node->nid;
	struct page_census c;

	take_census(node, &managed, &free, &c);
	node_kb(m, nid, "MemTotal:", managed);
	node_kb(m, nid, "MemFree:", free);
	node_kb(m, nid, "MemUsed:", managed - MIN(free, managed));
	node_kb(m, nid, "SwapCached:", 0);
	node_lru(m, nid, &c);
	node_kb(m, nid, "Mlocked:", c.mlocked);
	node_kb(m, nid, "Dirty:", c.dirty);
	node_kb(m, nid, "Writeback:", c.writeback);
	node_kb(m, nid, "FilePages:", c.file + c.shmem);
	node_kb(m, nid, "Mapped:", c.mapped);
	node_kb(m, nid, "AnonPages:", c.anon);
	node_kb(m, nid, "Shmem:", c.shmem);
	node_kb(m, nid, "KernelStack:", c.kstack);
	node_kb(m, nid, "PageTables:", c.table);
	for (unsigned i = 0; i < ARRAY_SIZE(none); i++)
		node_kb(m, nid, none[i], 0);
	node_kb(m, nid, "KReclaimable:", c.slab_reclaimable);
	node_kb(m, nid, "Slab:", c.slab);
	node_kb(m, nid, "SReclaimable:", c.slab_reclaimable);
	node_kb(m, nid, "SUnreclaim:", c.slab - c.slab_reclaimable);
	return 0;
}

static int vmstat_show(struct seq_file *m, void *number)
{
	static const char *const numa[NR_NUMA_STATS] = {
	        [NUMA_HIT] = "numa_hit",         [NUMA_MISS] = "numa_miss",
	        [NUMA_FOREIGN] = "numa_foreign", [NUMA_INTERLEAVE_HIT] = "numa_interleave",
	        [NUMA_LOCAL] = "numa_local",     [NUMA_OTHER] = "numa_other"};
	static const char *const lru[NR_LRU_LISTS] = {
	        "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable"};
	const struct pglist_data *node = node_of(number);
	uint64_t managed, free;
	struct page_census c;

	take_census(node, &managed, &free, &c);
	seq_printf(m, "nr_free_pages %lu\n", free);
	for (unsigned i = 0; i < NR_NUMA_STATS; i++)
		seq_printf(m, "%s %lu\n", numa[i], numa_stat(node, i));
	for (unsigned i = 0; i < NR_LRU_LISTS; i++)
		seq_printf(m, "nr_%s %lu\n", lru[i], c.lru[i]);
	seq_printf(m, "nr_anon_pages %lu\nnr_mapped %lu\nnr_file_pages %lu\nnr_dirty %lu\n", c.anon,
	           c.mapped, c.file + c.shmem, c.dirty);
	seq_printf(m, "nr_writeback %lu\nnr_shmem %lu\nnr_page_table_pages %lu\n", c.writeback,
	           c.shmem, c.table);
	return 0;
}

#define NODE(n)                                                           \
	{                                                                 \
		{"cpumap", cpumap_show, 0, &node_numbers[n]},             \
		        {"cpulist", cpulist_show, 0, &node_numbers[n]},   \
		        {"distance", distance_show, 0, &node_numbers[n]}, \
		        {"meminfo", meminfo_show, 0, &node_numbers[n]},   \
		        {"numastat", numastat_show, 0, &node_numbers[n]}, \
		        {"vmstat", vmstat_show, 0, &node_numbers[n]},     \
	}
static const struct proc_file node_files[MAX_NUMNODES][6] = {NODE(0), NODE(1), NODE(2), NODE(3)};

int sysfs_nodes_init(struct dentry *system)
{
	static const struct proc_file files[] = {
	        {"online", online_show, 0},
	        {"possible", online_show, 0},
	        {"has_cpu", has_cpu_show, 0},
	        {"has_memory", has_memory_show, 0},
	        {"has_normal_memory", has_normal_memory_show, 0},
	};
	struct dentry *dir = simple_mkdir(system, "node", 0755);
	int err = dir ? proc_create_files(dir, files, ARRAY_SIZE(files)) : -ENOMEM;

	for (unsigned nid = 0; nid < machine()->nr_nodes && !err; nid++) {
		struct dentry *sub;
		char name[8];

		format(name, sizeof(name), "node%u", nid);
		sub = simple_mkdir(dir, name, 0755);
		err = sub ? proc_create_files(sub, node_files[nid], ARRAY_SIZE(node_files[nid]))
		          : -ENOMEM;
	}
	return err;
}
