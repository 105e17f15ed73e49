/*
 * proc_kallsyms.c - /proc/kallsyms: address, letter and name of each of the kernel's functions, as nm(1) prints them.
 *
 * The addresses are for who had CAP_SYSLOG when he opened the file; others see zeros.
 */
#include "fs/proc.h"

#include "kernel/kallsyms.h"

static int kallsyms_show(struct seq_file *m, void *with_addresses)
{
	const unsigned n = symbol_count(&kallsyms);

	for (; m->cursor < n && !m->overflow; m->cursor++) {
		const size_t start = m->count;
		struct symbol s;

		symbol_at(&kallsyms, (unsigned)m->cursor, &s);
		seq_printf(m, "%016lx %c %s\n", with_addresses ? s.address : 0, s.type, s.name);
		if (!seq_record_fits(m, start))
			break;
	}
	m->more = m->cursor < n;
	return 0;
}

static int kallsyms_open(struct inode *inode, struct file *file)
{
	return single_open(file, kallsyms_show, capable(CAP_SYSLOG) ? inode : NULL);
}

static const struct file_operations kallsyms_fops = {
        .open = kallsyms_open,
        .release = single_release,
        .read_iter = seq_read_iter,
        .llseek = seq_llseek,
};

int proc_kallsyms_init(struct dentry *root)
{
	return proc_create(root, "kallsyms", 0444, &kallsyms_fops, NULL);
}
