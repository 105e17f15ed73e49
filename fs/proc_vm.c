/*
 * proc_vm.c - /proc/sys/vm: what of memory management can be asked for and changed while it runs.
 *
 * One table says of each file how many integers it has, within which limits, and what they do; one function reads and one
 * writes them all, by the rules of Linux 6.1's proc_dointvec_minmax (lib/intvec.h). When written
 *
 *   - fewer integers than the file has change the first ones; of more, the number of bytes that were taken says so;
 *   - what is no number, out of range, or longer than any sensible text, is EINVAL and changes nothing (Linux keeps the
 *     integers before the bad one);
 *   - at another place than the beginning nothing happens: it is the rest of a write that was taken in part.
 */
#include "fs/proc.h"
#include "kernel/task.h"
#include "lib/format.h"
#include "lib/intvec.h"

#include <quire/check.h>
#include <quire/machine.h>

#define MAX_VALUES MAX_NR_ZONES
#define MAX_TEXT   256u

struct ctl_table {
	const char *name;
	uint32_t mode;
	unsigned count;
	int32_t min, max;
	int64_t (*get)(unsigned i); /* NULL: only written, or a field */
	int (*set)(const int32_t values[], unsigned n);
	size_t field; /* where in struct machine the number is, an unsigned; 0: it is none */
	void (*changed)(void); /* after the field was written; or NULL */
};

/* --- numbers of the machine ------------------------------------------------------------------- */

static unsigned *field_of(const struct ctl_table *t)
{
	return (unsigned *)((char *)machine() + t->field);
}

static int64_t get_value(const struct ctl_table *t, unsigned i)
{
	return t->field ? READ_ONCE(*field_of(t)) : t->get(i);
}

static int set_values(const struct ctl_table *t, const int32_t values[], unsigned n)
{
	if (!t->field)
		return t->set(values, n);
	WRITE_ONCE(*field_of(t), (unsigned)values[0]);
	if (t->changed)
		t->changed();
	return 0;
}

/* --- watermarks ------------------------------------------------------------------------------- */

/*
 * Places of lowmem_reserve_ratio: an x86-64 Linux has Movable and Device behind Normal. Device has no frames, nor has
 * HIGHMEM here, which lends it its place.
 */
static const uint8_t ratio_zone[MAX_NR_ZONES] = {ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, ZONE_MOVABLE,
                                                 ZONE_HIGHMEM};

static int64_t get_ratio(unsigned i)
{
	return machine()->lowmem_reserve_ratio[ratio_zone[i]];
}

/* Less than one: no reserve. */
static int set_ratio(const int32_t values[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		WRITE_ONCE(machine()->lowmem_reserve_ratio[ratio_zone[i]],
		           (unsigned)MAX(values[i], 0));
	setup_per_zone_lowmem_reserve();
	return 0;
}

/* --- compaction ------------------------------------------------------------------------------- */

/* Any number will do for Linux before 6.5; 1 is what its documentation says. */
static int set_compact_memory(const int32_t values[] UNUSED, unsigned n UNUSED)
{
	compact_memory();
	return 0;
}

/* --- caches ----------------------------------------------------------------------------------- */

#define DROP_PAGECACHE 1
#define DROP_SLAB      2
#define DROP_QUIETLY \
	4 /* from now on: the log keeps who has spoilt the caches, for whoever wonders why it is slow */

static int set_drop_caches(const int32_t values[], unsigned n UNUSED)
{
	static _Atomic bool quiet;
	char comm[TASK_COMM_LEN];

	if (values[0] & DROP_PAGECACHE)
		(void)fs_drop_pagecache();
	if (values[0] & DROP_SLAB)
		(void)fs_drop_slab();
	if (!atomic_load(&quiet)) {
		get_task_comm(comm, current);
		port_log("%s (%d): drop_caches: %d", comm, current_pid(), values[0]);
	}
	if (values[0] & DROP_QUIETLY)
		atomic_store(&quiet, true);
	return 0;
}

/* --- failures on purpose ---------------------------------------------------------------------- */

/*
 * fail-nth: N written makes the N-th allocation from now on fail, 0 none. Reading says how many are still to come up to it; 0: it
 * has failed, or none is to. As Linux's file of a task, but for the whole machine, so it wants a machine with one CPU,
 * on which nobody else is inside mm/ while this call runs. Neither call allocates.
 */
static int64_t get_fail_nth(unsigned i UNUSED)
{
	return fault_inject_left() + 1;
}

static int set_fail_nth(const int32_t values[], unsigned n UNUSED)
{
	if (machine()->nr_cpus > 1)
		return -EBUSY;
	(void)fault_inject_once((int64_t)values[0] - 1);
	return 0;
}

/* --- the files -------------------------------------------------------------------------------- */

#define FIELD(name) .field = offsetof(struct machine, name)

static const struct ctl_table table[] = {
        {"min_free_kbytes", 0644, 1, 0, INT32_MAX, FIELD(min_free_kbytes),
         .changed = setup_per_zone_wmarks},
        {"watermark_scale_factor", 0644, 1, 1, 3000, FIELD(watermark_scale_factor),
         .changed = setup_per_zone_wmarks},
        {"lowmem_reserve_ratio", 0644, MAX_NR_ZONES, INT32_MIN, INT32_MAX, get_ratio, set_ratio},
        {"extfrag_threshold", 0644, 1, 0, 1000, FIELD(sysctl_extfrag_threshold)},
        {"compaction_proactiveness", 0644, 1, 0, 100, FIELD(sysctl_compaction_proactiveness),
         .changed = wakeup_proactive},
        {"compact_unevictable_allowed", 0644, 1, 0, 1, FIELD(sysctl_compact_unevictable_allowed)},
        {"compact_memory", 0200, 1, INT32_MIN, INT32_MAX, .set = set_compact_memory},
        {"drop_caches", 0200, 1, 1, 4, .set = set_drop_caches},
        {"fail-nth", 0600, 1, 0, INT32_MAX, get_fail_nth, set_fail_nth},
};

static bool readable(const struct ctl_table *t)
{
	return t->get || t->field;
}

static int64_t vm_write(struct kiocb *iocb, struct iov_iter *from)
{
	const struct ctl_table *t = iocb->ki_filp->f_inode->i_private;
	const size_t all = iov_iter_count(from);
	int32_t values[MAX_VALUES];
	char text[MAX_TEXT];
	size_t used = all;
	int n;

	if (!iocb->ki_pos && all) {
		if (all >= sizeof(text))
			return -EINVAL;
		if (copy_from_iter(text, all, from) != all)
			return -EFAULT;
		text[all] = '\0';
		n = parse_intvec(text, all, t->min, t->max, values, t->count, &used);
		if (n >= 0)
			n = set_values(t, values, (unsigned)n);
		if (n < 0)
			return n;
	}
	iocb->ki_pos += (int64_t)used;
	return (int64_t)used;
}

static int64_t vm_read(struct kiocb *iocb, struct iov_iter *to)
{
	const struct ctl_table *t = iocb->ki_filp->f_inode->i_private;
	char text[MAX_TEXT];
	size_t n = 0;

	for (unsigned i = 0; i < t->count; i++)
		n += format_cut(text + n, sizeof(text) - n, i ? "\t%lld" : "%lld",
		                (long long)get_value(t, i));
	n += format_cut(text + n, sizeof(text) - n, "\n");
	return simple_read_from_buffer(to, &iocb->ki_pos, text, n);
}

/* For root too: its right to read what it likes does not make an action readable. */
static int write_only_open(struct inode *inode UNUSED, struct file *file)
{
	return file->f_mode & FMODE_READ ? -EACCES : 0;
}

static const struct file_operations fops = {.read_iter = vm_read, .write_iter = vm_write},
                                    write_only_fops = {.open = write_only_open,
                                                       .write_iter = vm_write};

int proc_vm_init(struct dentry *vm)
{
	int err = 0;

	for (const struct ctl_table *t = table; t < table + ARRAY_SIZE(table) && !err; t++)
		err = proc_create(vm, t->name, t->mode, readable(t) ? &fops : &write_only_fops, t);
	return err;
}
