/*
 * proc_sysfs.c - a small /sys: the CPUs and the one memory node, where tools look for them.
 */
#include "fs/proc.h"
#include "lib/format.h"

#include <quire/machine.h>

#define SYSFS_MAGIC 0x62656572

static int cpus_show(struct seq_file *m, void *unused UNUSED)
{
	unsigned n = machine()->nr_cpus;

	seq_printf(m, n > 1 ? "0-%u\n" : "%u\n", n - 1);
	return 0;
}

static int node_list_show(struct seq_file *m, void *unused UNUSED)
{
	unsigned n = machine()->nr_nodes;

	seq_printf(m, n > 1 ? "0-%u\n" : "%u\n", n - 1);
	return 0;
}

static int cpumap_show(struct seq_file *m, void *unused UNUSED)
{
	seq_printf(m, "%x\n", (1u << machine()->nr_cpus) - 1);
	return 0;
}

static int distance_show(struct seq_file *m, void *unused UNUSED)
{
	seq_puts(m, "10\n");
	return 0;
}

static void node_kb(struct seq_file *m, const char *name, uint64_t pages)
{
	seq_printf(m, "Node 0 %-16s%8lu kB\n", name, pages_to_kb(pages));
}

static int node_meminfo_show(struct seq_file *m, void *unused UNUSED)
{
	uint64_t total = totalram_pages(), free = nr_free_pages();
	uint64_t file = frame_kind_pages(FRAME_FILE), shmem = frame_kind_pages(FRAME_SHMEM);

	node_kb(m, "MemTotal:", total);
	node_kb(m, "MemFree:", free);
	node_kb(m, "MemUsed:", total - MIN(free, total));
	node_kb(m, "FilePages:", file + shmem);
	node_kb(m, "AnonPages:", frame_kind_pages(FRAME_ANON));
	node_kb(m, "Shmem:", shmem);
	node_kb(m, "KernelStack:", frame_kind_pages(FRAME_KSTACK));
	node_kb(m, "PageTables:", frame_kind_pages(FRAME_PAGETABLE));
	node_kb(m, "Slab:", frame_kind_pages(FRAME_SLAB));
	node_kb(m, "SUnreclaim:", frame_kind_pages(FRAME_SLAB));
	return 0;
}

/* Of one CPU: each is a core and a package of its own, as QEMU's -smp N makes them. */
static int cpu_number_show(struct seq_file *m, void *cpu)
{
	seq_printf(m, "%u\n", *(const unsigned *)cpu);
	return 0;
}

static int cpu_mask_show(struct seq_file *m, void *cpu)
{
	seq_printf(m, "%x\n", 1u << *(const unsigned *)cpu);
	return 0;
}

static const unsigned cpu_numbers[QUIRE_MAX_CPUS] = {0, 1, 2, 3, 4, 5, 6, 7};

#define TOPOLOGY(n)                                                                    \
	{                                                                              \
		{"core_id", cpu_number_show, 0, &cpu_numbers[0]},                      \
		        {"physical_package_id", cpu_number_show, 0, &cpu_numbers[n]},  \
		        {"thread_siblings", cpu_mask_show, 0, &cpu_numbers[n]},        \
		        {"thread_siblings_list", cpu_number_show, 0, &cpu_numbers[n]}, \
		        {"core_siblings", cpu_mask_show, 0, &cpu_numbers[n]},          \
		        {"core_siblings_list", cpu_number_show, 0, &cpu_numbers[n]},   \
	}
static const struct proc_file topology[QUIRE_MAX_CPUS][6] = {
        TOPOLOGY(0), TOPOLOGY(1), TOPOLOGY(2), TOPOLOGY(3),
        TOPOLOGY(4), TOPOLOGY(5), TOPOLOGY(6), TOPOLOGY(7),
};

static int make_one_cpu(struct dentry *dir, unsigned cpu)
{
	struct dentry *sub;
	char name[8];

	format(name, sizeof(name), "cpu%u", cpu);
	sub = simple_mkdir(dir, name, 0755);
	if (sub)
		sub = simple_mkdir(sub, "topology", 0755);
	return sub ? proc_create_files(sub, topology[cpu], ARRAY_SIZE(topology[cpu])) : -ENOMEM;
}

static int make_cpu_dir(struct dentry *system)
{
	static const struct proc_file files[] = {
	        {"online", cpus_show, 0},
	        {"possible", cpus_show, 0},
	        {"present", cpus_show, 0},
	};
	struct dentry *dir = simple_mkdir(system, "cpu", 0755);
	int err = dir ? proc_create_files(dir, files, ARRAY_SIZE(files)) : -ENOMEM;

	for (unsigned i = 0; i < machine()->nr_cpus && !err; i++)
		err = make_one_cpu(dir, i);
	return err;
}

static int make_node_dir(struct dentry *system)
{
	static const struct proc_file list[] = {
	        {"online", node_list_show, 0},
	        {"possible", node_list_show, 0},
	};
	static const struct proc_file node0[] = {
	        {"meminfo", node_meminfo_show, 0},
	        {"cpumap", cpumap_show, 0},
	        {"cpulist", cpus_show, 0},
	        {"distance", distance_show, 0},
	};
	struct dentry *dir = simple_mkdir(system, "node", 0755), *sub;
	int err = dir ? proc_create_files(dir, list, ARRAY_SIZE(list)) : -ENOMEM;

	if (err || machine()->nr_nodes != 1)
		return err;
	sub = simple_mkdir(dir, "node0", 0755);
	return sub ? proc_create_files(sub, node0, ARRAY_SIZE(node0)) : -ENOMEM;
}

static int sysfs_fill_super(struct super_block *sb, const char *source UNUSED,
                            const char *data UNUSED)
{
	int err = simple_fill_super(sb, SYSFS_MAGIC, NULL);
	struct dentry *devices = err ? NULL : simple_mkdir(sb->s_root, "devices", 0755);
	struct dentry *system = devices ? simple_mkdir(devices, "system", 0755) : NULL;
	struct dentry *kernel = err ? NULL : simple_mkdir(sb->s_root, "kernel", 0755);
	struct dentry *debug = kernel ? simple_mkdir(kernel, "debug", 0700) : NULL;

	if (err)
		return err;
	if (!system || !debug)
		return -ENOMEM;
	err = make_cpu_dir(system);
	if (!err)
		err = sysfs_extfrag_init(debug);
	if (!err)
		err = sysfs_page_owner_init(debug);
	return err ? err : make_node_dir(system);
}

static struct file_system_type sysfs_type = {
        .name = "sysfs",
        .fs_flags = FS_NODEV,
        .fill_super = sysfs_fill_super,
};

void sysfs_init(void)
{
	register_filesystem(&sysfs_type);
}
