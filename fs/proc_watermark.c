/*
 * proc_watermark.c - /proc/sys/vm/{min_free_kbytes,watermark_scale_factor,lowmem_reserve_ratio}.
 *
 * Vectors of decimal integers, as Linux's proc_dointvec_minmax reads and shows them: numbers with white space
 * between, and with tabs when shown; fewer than there are change the first ones; a number out of range changes nothing.
 */
#include "fs/proc.h"
#include "lib/format.h"
#include "lib/string.h"

#include <quire/machine.h>

/*
 * Places of lowmem_reserve_ratio: an x86-64 Linux has Movable and Device behind Normal. Device has no frames, nor has
 * HIGHMEM here, which lends it its place.
 */
static const uint8_t ratio_zone[MAX_NR_ZONES] = {ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, ZONE_MOVABLE,
                                                 ZONE_HIGHMEM};

struct vm_tunable {
	const char *name;
	unsigned count;
	int64_t min, max;
	int64_t (*get)(unsigned i);
	void (*set)(unsigned i, int64_t value);
	void (*changed)(void);
};

static int64_t get_min_free(unsigned i UNUSED)
{
	return (int64_t)machine()->min_free_kbytes;
}

static void set_min_free(unsigned i UNUSED, int64_t value)
{
	WRITE_ONCE(machine()->min_free_kbytes, (uint64_t)value);
}

static int64_t get_scale(unsigned i UNUSED)
{
	return machine()->watermark_scale_factor;
}

static void set_scale(unsigned i UNUSED, int64_t value)
{
	WRITE_ONCE(machine()->watermark_scale_factor, (unsigned)value);
}

static int64_t get_ratio(unsigned i)
{
	return machine()->lowmem_reserve_ratio[ratio_zone[i]];
}

/* Less than one: no reserve. */
static void set_ratio(unsigned i, int64_t value)
{
	WRITE_ONCE(machine()->lowmem_reserve_ratio[ratio_zone[i]], (unsigned)MAX(value, 0));
}

static const struct vm_tunable tunables[] = {
        {"min_free_kbytes", 1, 0, INT32_MAX, get_min_free, set_min_free, setup_per_zone_wmarks},
        {"watermark_scale_factor", 1, 1, 3000, get_scale, set_scale, setup_per_zone_wmarks},
        {"lowmem_reserve_ratio", MAX_NR_ZONES, INT32_MIN, INT32_MAX, get_ratio, set_ratio,
         setup_per_zone_lowmem_reserve},
};

#define MAX_VALUES MAX_NR_ZONES

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* Up to `count` numbers. Returns how many, or -EINVAL. */
static int parse_vector(const char *text, const struct vm_tunable *t, int64_t values[])
{
	int n = 0;

	for (;;) {
		bool negative;
		uint64_t value;

		while (is_space(*text))
			text++;
		if (!*text || n == (int)t->count)
			return n;
		negative = *text == '-';
		if (parse_u64(text + negative, 10, &text, &value) || value > INT32_MAX ||
		    (*text && !is_space(*text)))
			return -EINVAL;
		values[n] = negative ? -(int64_t)value : (int64_t)value;
		if (values[n] < t->min || values[n] > t->max)
			return -EINVAL;
		n++;
	}
}

/* A write past the beginning changes nothing, as on Linux. */
static int64_t tunable_write(struct kiocb *iocb, struct iov_iter *from)
{
	const struct vm_tunable *t = iocb->ki_filp->f_inode->i_private;
	size_t all = iov_iter_count(from);
	int64_t values[MAX_VALUES];
	char text[128] = "";
	int n;

	if (iocb->ki_pos)
		return (int64_t)all;
	if (copy_from_iter(text, MIN(all, sizeof(text) - 1), from) != MIN(all, sizeof(text) - 1))
		return -EFAULT;
	n = parse_vector(text, t, values);
	if (n < 0 || (all && !n))
		return -EINVAL;
	for (int i = 0; i < n; i++)
		t->set((unsigned)i, values[i]);
	t->changed();
	iocb->ki_pos += (int64_t)all;
	return (int64_t)all;
}

static int64_t tunable_read(struct kiocb *iocb, struct iov_iter *to)
{
	const struct vm_tunable *t = iocb->ki_filp->f_inode->i_private;
	char text[128];
	size_t n = 0;

	for (unsigned i = 0; i < t->count; i++)
		n += format(text + n, sizeof(text) - n, i ? "\t%lld" : "%lld",
		            (long long)t->get(i));
	n += format(text + n, sizeof(text) - n, "\n");
	return simple_read_from_buffer(to, &iocb->ki_pos, text, n);
}

static const struct file_operations tunable_fops = {.read_iter = tunable_read,
                                                    .write_iter = tunable_write};

int proc_watermark_init(struct dentry *vm)
{
	for (unsigned i = 0; i < ARRAY_SIZE(tunables); i++) {
		struct dentry *d = simple_create(vm, tunables[i].name, 0644, &tunable_fops,
		                                 (void *)(uintptr_t)&tunables[i]);

		if (!d)
			return -ENOMEM;
		d->d_inode->i_op = &proc_file_iops;
	}
	return 0;
}
