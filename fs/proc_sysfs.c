/*
 * proc_sysfs.c - a small /sys: the CPUs and the memory nodes (sysfs_node.c), where tools look for them; and
 * kernel/debug/page_tables/kernel, what the kernel's page tables map.
 */
#include "fs/proc.h"
#include "fs/sysfs.h"
#include "lib/format.h"

#include "arch/x86_64/arch.h"
#include <quire/machine.h>

#define SYSFS_MAGIC 0x62656572

static int cpus_show(struct seq_file *m, void *unused UNUSED)
{
	unsigned n = machine()->nr_cpus;

	seq_printf(m, n > 1 ? "0-%u\n" : "%u\n", n - 1);
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

static void page_tables_line(void *m, const char *text)
{
	seq_puts(m, text);
}

static int page_tables_show(struct seq_file *m, void *unused UNUSED)
{
	kernel_map_dump(page_tables_line, m);
	return 0;
}

static int make_page_tables_dir(struct dentry *debug)
{
	static const struct proc_file files[] = {{"kernel", page_tables_show, 0400}};
	struct dentry *dir = simple_mkdir(debug, "page_tables", 0755);

	return dir ? proc_create_files(dir, files, ARRAY_SIZE(files)) : -ENOMEM;
}

static int make_kernel_dir(struct dentry *root)
{
	struct dentry *kernel = simple_mkdir(root, "kernel", 0755);
	struct dentry *debug = kernel ? simple_mkdir(kernel, "debug", 0700) : NULL;
	int err = debug ? make_page_tables_dir(debug) : -ENOMEM;

	if (!err)
		err = sysfs_extfrag_init(debug);
	if (!err)
		err = sysfs_page_owner_init(debug);
	return err ? err : sysfs_make_slab(kernel);
}

static int make_system_dir(struct dentry *root)
{
	struct dentry *devices = simple_mkdir(root, "devices", 0755);
	struct dentry *system = devices ? simple_mkdir(devices, "system", 0755) : NULL;
	int err = system ? make_cpu_dir(system) : -ENOMEM;

	return err ? err : sysfs_nodes_init(system);
}

static int sysfs_fill_super(struct super_block *sb, const char *source UNUSED,
                            const char *data UNUSED)
{
	int err = simple_fill_super(sb, SYSFS_MAGIC, NULL);

	if (!err)
		err = make_system_dir(sb->s_root);
	return err ? err : make_kernel_dir(sb->s_root);
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
