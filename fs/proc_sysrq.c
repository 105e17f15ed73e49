/*
 * proc_sysrq.c - /proc/sysrq-trigger: a letter written to it makes the kernel do something at once.
 *
 * Two of Linux's commands: c crashes the kernel, which shows what a panic looks like to whoever has to handle one;
 * m shows the state of memory in the log. Any other letter logs which there are, as Linux does.
 */
#include "fs/iov.h"
#include "fs/proc.h"

#include <quire/frame.h>

static void show_memory(void)
{
	struct quire_frames f;

	frame_report(&f);
	port_log("sysrq: Show Memory");
	port_log(
	        "free:%lu slab:%lu pagetables:%lu kernel_stack:%lu vmalloc:%lu anon:%lu file:%lu shmem:%lu",
	        f.free, f.slab, f.pagetable, f.kstack, f.vmalloc, f.anon, f.file, f.shmem);
	for_each_zone(z)
		port_log(
		        "Node %u %s free:%lukB min:%lukB low:%lukB high:%lukB reserved_highatomic:%luKB "
		        "present:%lukB managed:%lukB",
		        z->nid, z->name, zone_free_pages(z) << 2, z->watermark[WMARK_MIN] << 2,
		        z->watermark[WMARK_LOW] << 2, z->watermark[WMARK_HIGH] << 2,
		        (uint64_t)z->nr_reserved_highatomic << 2, z->present << 2, z->managed << 2);
}

static int64_t sysrq_write(struct kiocb *iocb, struct iov_iter *from)
{
	size_t all = iov_iter_count(from);
	char key;

	if (!all)
		return 0;
	if (copy_from_iter(&key, 1, from) != 1)
		return -EFAULT;
	if (key == 'c')
		port_panic("sysrq triggered crash");
	if (key == 'm')
		show_memory();
	else
		port_log("sysrq: HELP : crash(c) show-memory-usage(m)");
	iocb->ki_pos += (int64_t)all;
	return (int64_t)all;
}

int proc_sysrq_init(struct dentry *root)
{
	static const struct file_operations fops = {.write_iter = sysrq_write};

	return proc_create(root, "sysrq-trigger", 0200, &fops, NULL);
}
