/*
 * proc_sys.c - /proc/sys: what can be asked, and changed, of the kernel as a whole.
 *
 * Only what is true of this kernel is here. A value that is a constant of another module is shown
 * from its name.
 */
#include "fs/proc.h"

#include "kernel/random.h"
#include "kernel/utsname.h"

/* --- constants -------------------------------------------------------------------------------- */

#define CONSTANT(id, text)                                            \
	static int id##_show(struct seq_file *m, void *unused UNUSED) \
	{                                                             \
		seq_puts(m, text "\n");                               \
		return 0;                                             \
	}

CONSTANT(pid_max, "32768")
CONSTANT(ngroups_max, "32")
CONSTANT(overflowid, "65534")
CONSTANT(nr_open, "1048576")
CONSTANT(overcommit_memory, "0")
CONSTANT(max_map_count, "65530")
CONSTANT(mmap_min_addr, "65536")
CONSTANT(poolsize, "256")

#define UTS_SHOW(field)                                                        \
	static int uts_##field##_show(struct seq_file *m, void *unused UNUSED) \
	{                                                                      \
		seq_printf(m, "%s\n", init_uts.field);                         \
		return 0;                                                      \
	}

UTS_SHOW(sysname)
UTS_SHOW(release)
UTS_SHOW(version)
UTS_SHOW(nodename)
UTS_SHOW(domainname)

static int cap_last_cap_show(struct seq_file *m, void *unused UNUSED)
{
	seq_printf(m, "%d\n", CAP_LAST);
	return 0;
}

/* --- random ----------------------------------------------------------------------------------- */

/* A version 4 identifier (RFC 4122, 4.4). */
static void show_uuid(struct seq_file *m, const uint8_t id[16])
{
	for (unsigned i = 0; i < 16; i++) {
		uint8_t b = id[i];

		if (i == 6)
			b = (b & 0x0f) | 0x40;
		if (i == 8)
			b = (b & 0x3f) | 0x80;
		seq_printf(m, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b);
	}
	seq_putc(m, '\n');
}

static int uuid_show(struct seq_file *m, void *unused UNUSED)
{
	uint8_t id[16];

	get_random_bytes(id, sizeof(id));
	show_uuid(m, id);
	return 0;
}

static uint8_t boot_id[16];

static int boot_id_show(struct seq_file *m, void *unused UNUSED)
{
	show_uuid(m, boot_id);
	return 0;
}

/* --- the tree --------------------------------------------------------------------------------- */

static int make_dir(struct dentry *parent, const char *name, const struct proc_file *files,
                    unsigned n, struct dentry **out)
{
	struct dentry *dir = simple_mkdir(parent, name, 0555);

	if (!dir)
		return -ENOMEM;
	if (out)
		*out = dir;
	return proc_create_files(dir, files, n);
}

static int make_kernel(struct dentry *sys)
{
	static const struct proc_file kernel[] = {
	        {"ostype", uts_sysname_show, 0},        {"osrelease", uts_release_show, 0},
	        {"version", uts_version_show, 0},       {"hostname", uts_nodename_show, 0},
	        {"domainname", uts_domainname_show, 0}, {"pid_max", pid_max_show, 0},
	        {"ngroups_max", ngroups_max_show, 0},   {"overflowuid", overflowid_show, 0},
	        {"overflowgid", overflowid_show, 0},    {"cap_last_cap", cap_last_cap_show, 0},
	};
	static const struct proc_file random[] = {
	        {"uuid", uuid_show, 0},
	        {"boot_id", boot_id_show, 0},
	        {"poolsize", poolsize_show, 0},
	        {"entropy_avail", poolsize_show, 0},
	};
	struct dentry *dir;
	int err = make_dir(sys, "kernel", kernel, ARRAY_SIZE(kernel), &dir);

	return err ? err : make_dir(dir, "random", random, ARRAY_SIZE(random), NULL);
}

static int make_vm(struct dentry *sys)
{
	static const struct proc_file vm[] = {
	        {"overcommit_memory", overcommit_memory_show, 0},
	        {"max_map_count", max_map_count_show, 0},
	        {"mmap_min_addr", mmap_min_addr_show, 0},
	};
	struct dentry *dir;
	int err = make_dir(sys, "vm", vm, ARRAY_SIZE(vm), &dir);

	return err ? err : proc_vm_init(dir);
}

int proc_sys_init(struct dentry *root)
{
	static const struct proc_file fs[] = {{"nr_open", nr_open_show, 0}};
	struct dentry *sys = simple_mkdir(root, "sys", 0555);
	int err;

	if (!sys)
		return -ENOMEM;
	get_random_bytes(boot_id, sizeof(boot_id));
	err = make_kernel(sys);
	if (!err)
		err = make_vm(sys);
	if (!err)
		err = make_dir(sys, "fs", fs, ARRAY_SIZE(fs), NULL);
	return err;
}
