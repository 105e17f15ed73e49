/*
 * proc_owner.c - /sys/kernel/debug/page_owner: who has each frame (page_owner=on).
 *
 * Linux's format (its Documentation/mm/page_owner.rst), so that its page_owner_sort reads it. Each read(2) gives one record; the
 * position is the next frame's number.
 */
#include "fs/proc.h"
#include "lib/format.h"

#include <quire/machine.h>
#include <quire/slab.h>
#include <quire/symbol.h>

/* Two lines, whose flags have names of a few words, and a line for each address: on no stack. */
#define RECORD_MAX (2 * (128 + FLAG_NAMES_MAX) + STACK_DEPTH * (KSYM_SYMBOL_LEN + 2))

static bool in_use(const struct page *page)
{
	return !page_flag(page, PG_reserved) && page_count(page) > 0;
}

static size_t record(char *text, size_t size, pfn_t pfn, const struct page_owner *owner)
{
	const struct page *page = pfn_to_page(pfn);
	const unsigned type = owner->gfp >> 3 & 3, block = frame_pageblock_type(pfn);
	const uintptr_t *address = &owner->caller;
	const unsigned n = stack_depot_fetch(owner->stack, &address);
	char names[FLAG_NAMES_MAX], symbol[KSYM_SYMBOL_LEN];
	size_t len = format_cut(
	        text, size,
	        "Page allocated via order %u, mask %#x(%s), pid %d, tgid %d (), ts %lu ns, free_ts "
	        "%lu ns\n",
	        owner->order, owner->gfp, gfp_names(names, owner->gfp), owner->pid, owner->pid,
	        (unsigned long)owner->ts_ns, (unsigned long)owner->free_ts_ns);

	len += format_cut(text + len, size - len, "PFN %u type %s Block %u type %s Flags %#x(%s)\n",
	                  pfn.n,
	                  migratetype_names[type < MIGRATE_PCPTYPES ? type : MIGRATE_MOVABLE],
	                  pfn.n >> pageblock_order, migratetype_names[block], page->flags,
	                  page_flag_names(names, page));
	for (unsigned i = 0; i < MAX(n, 1u); i++)
		len += format_cut(text + len, size - len, " %s\n",
		                  sprint_backtrace(symbol, address[i]));
	return len + format_cut(text + len, size - len, "\n");
}

static int64_t read_record(struct kiocb *iocb, struct iov_iter *to, char *text)
{
	struct page_owner owner;

	for (; (uint64_t)iocb->ki_pos < machine()->max_pfn; iocb->ki_pos++) {
		const pfn_t pfn = PFN((uint32_t)iocb->ki_pos);
		size_t n;

		if (!pfn_online(pfn.n) || !in_use(pfn_to_page(pfn)) ||
		    !page_owner_read(pfn, &owner) || !owner.ts_ns)
			continue;
		n = record(text, RECORD_MAX, pfn, &owner);
		if (iov_iter_count(to) < n)
			return -EINVAL;
		if (copy_to_iter(text, n, to) != n)
			return -EFAULT;
		iocb->ki_pos++;
		return (int64_t)n;
	}
	return 0;
}

static int64_t page_owner_file_read(struct kiocb *iocb, struct iov_iter *to)
{
	char *text = kmalloc(RECORD_MAX, GFP_KERNEL);
	int64_t n;

	if (!text)
		return -ENOMEM;
	n = read_record(iocb, to, text);
	kfree(text);
	return n;
}

static const struct file_operations page_owner_fops = {.read_iter = page_owner_file_read};

int sysfs_page_owner_init(struct dentry *debug)
{
	return machine()->page_owner
	               ? proc_create(debug, "page_owner", 0400, &page_owner_fops, NULL)
	               : 0;
}
