/*
 * proc_frames.c - frames one by one and block by block: /proc/{pagetypeinfo,kpageflags,kpagecount}, /sys/kernel/debug/extfrag.
 *
 * kpageflags and kpagecount are arrays of 64-bit words by frame number, as Linux's (its Documentation/admin-guide/mm/pagemap.rst;
 * the bits' numbers are part of its interface). Descriptors are read without a lock, as there: a word is true of a moment.
 *
 * pagetypeinfo has a row and a column for each type of page block that there is. A Linux has two more where it is
 * configured with them: CMA and Isolate, for contiguous memory of devices and for memory that is being taken out, neither of
 * which is here.
 */
#include "fs/proc.h"
#include "lib/format.h"
#include "lib/string.h"

#include <quire/machine.h>

/* --- pagetypeinfo ----------------------------------------------------------------------------- */

const char *const migratetype_names[MIGRATE_TYPES] = {"Unmovable", "Movable", "Reclaimable",
                                                      "HighAtomic"};

static void show_free_of_type(struct seq_file *m, const struct zone *z, unsigned type)
{
	seq_printf(m, "Node %4u, zone %8s, type %12s ", z->nid, z->name, migratetype_names[type]);
	for (unsigned order = 0; order < MAX_ORDER; order++)
		seq_printf(m, "%6lu ", zone_free_blocks_of(z, order, type));
	seq_putc(m, '\n');
}

static void show_blocks(struct seq_file *m, const struct zone *z)
{
	uint64_t blocks[MIGRATE_TYPES];

	zone_pageblocks(z, blocks);
	seq_printf(m, "Node %u, zone %8s ", z->nid, z->name);
	for (unsigned type = 0; type < MIGRATE_TYPES; type++)
		seq_printf(m, "%12lu ", blocks[type]);
	seq_putc(m, '\n');
}

static int pagetypeinfo_show(struct seq_file *m, void *unused UNUSED)
{
	seq_printf(m, "Page block order: %u\nPages per block:  %u\n\n", pageblock_order,
	           pageblock_nr_pages);
	seq_printf(m, "%-43s ", "Free pages count per migrate type at order");
	for (unsigned order = 0; order < MAX_ORDER; order++)
		seq_printf(m, "%6u ", order);
	seq_putc(m, '\n');
	for_each_zone(z)
		for (unsigned type = 0; type < MIGRATE_TYPES; type++)
			show_free_of_type(m, z, type);
	seq_printf(m, "\n%-23s", "Number of blocks type ");
	for (unsigned type = 0; type < MIGRATE_TYPES; type++)
		seq_printf(m, "%12s ", migratetype_names[type]);
	seq_putc(m, '\n');
	for_each_zone(z)
		show_blocks(m, z);
	return 0;
}

/* --- kpagecount, kpageflags ------------------------------------------------------------------- */

enum kpf {
	KPF_LOCKED,
	KPF_ERROR,
	KPF_REFERENCED,
	KPF_UPTODATE,
	KPF_DIRTY,
	KPF_LRU,
	KPF_ACTIVE,
	KPF_SLAB,
	KPF_WRITEBACK,
	KPF_RECLAIM,
	KPF_BUDDY,
	KPF_MMAP,
	KPF_ANON,
	KPF_SWAPCACHE,
	KPF_SWAPBACKED,
	KPF_COMPOUND_HEAD,
	KPF_COMPOUND_TAIL,
	KPF_UNEVICTABLE = 18,
	KPF_NOPAGE = 20,
	KPF_ZERO_PAGE = 24,
	KPF_PGTABLE = 26,
	KPF_RESERVED = 32,
	KPF_MLOCKED = 33,
};

/* Flags that are the same here and there. */
static const struct {
	uint8_t flag, kpf;
} same_flags[] = {
        {PG_locked, KPF_LOCKED},
        {PG_error, KPF_ERROR},
        {PG_referenced, KPF_REFERENCED},
        {PG_uptodate, KPF_UPTODATE},
        {PG_dirty, KPF_DIRTY},
        {PG_lru, KPF_LRU},
        {PG_active, KPF_ACTIVE},
        {PG_slab, KPF_SLAB},
        {PG_writeback, KPF_WRITEBACK},
        {PG_reclaim, KPF_RECLAIM},
        {PG_swapcache, KPF_SWAPCACHE},
        {PG_swapbacked, KPF_SWAPBACKED},
        {PG_head, KPF_COMPOUND_HEAD},
        {PG_tail, KPF_COMPOUND_TAIL},
        {PG_unevictable, KPF_UNEVICTABLE},
        {PG_table, KPF_PGTABLE},
        {PG_reserved, KPF_RESERVED},
        {PG_mlocked, KPF_MLOCKED},
};

static bool is_ram(uint64_t pfn)
{
	const struct memblock *m = &machine()->memblock;
	const uint64_t at = pfn << PAGE_SHIFT;

	for (unsigned i = 0; i < m->nr_memory; i++)
		if (at >= m->memory[i].start && at < m->memory[i].end)
			return true;
	return false;
}

/* Fields whose place has another meaning for these are not counts of mappings. */
static bool may_be_mapped(uint32_t flags)
{
	return !(flags & (1u << PG_slab | 1u << PG_table | 1u << PG_buddy | 1u << PG_tail |
	                  1u << PG_reserved));
}

static uint64_t kpageflags_word(uint64_t pfn)
{
	struct page *page = pfn_to_page(PFN((uint32_t)pfn));
	uint64_t word = 0;
	uint32_t flags;

	if (!is_ram(pfn))
		return 1ull << KPF_NOPAGE;
	if (!pfn_online(pfn)) /* free, and without a descriptor so far */
		return 1ull << KPF_BUDDY;
	flags = atomic_load_explicit(&page->flags, memory_order_relaxed);
	for (unsigned i = 0; i < ARRAY_SIZE(same_flags); i++)
		word |= (uint64_t)(flags >> same_flags[i].flag & 1) << same_flags[i].kpf;
	if (may_be_mapped(flags) && page_mapcount(page) > 0) {
		word |= 1ull << KPF_MMAP;
		if (PageAnon(page))
			word |= 1ull << KPF_ANON;
	}
	if (page == machine()->zero_page)
		word |= 1ull << KPF_ZERO_PAGE;
	if (page_is_free(page))
		word |= 1ull << KPF_BUDDY;
	return word;
}

static uint64_t kpagecount_word(uint64_t pfn)
{
	struct page *page = pfn_to_page(PFN((uint32_t)pfn));

	if (!is_ram(pfn) || !pfn_online(pfn) ||
	    !may_be_mapped(atomic_load_explicit(&page->flags, memory_order_relaxed)) ||
	    page_mapcount(page) < 0)
		return 0;
	return (uint64_t)page_mapcount(page);
}

#define WORDS_CHUNK 64u

static int64_t words_read(struct kiocb *iocb, struct iov_iter *to, uint64_t (*word)(uint64_t pfn))
{
	uint64_t pfn = (uint64_t)iocb->ki_pos / 8, buf[WORDS_CHUNK];
	int64_t done = 0;

	if (iocb->ki_pos % 8 || iov_iter_count(to) % 8)
		return -EINVAL;
	while (iov_iter_count(to) && pfn < machine()->max_pfn) {
		size_t n = MIN(MIN(iov_iter_count(to) / 8, WORDS_CHUNK), machine()->max_pfn - pfn);
		size_t copied;

		for (size_t i = 0; i < n; i++)
			buf[i] = word(pfn++);
		copied = copy_to_iter(buf, n * 8, to);
		iocb->ki_pos += (int64_t)copied;
		done += (int64_t)copied;
		if (copied < n * 8)
			return done ? done : -EFAULT;
		port_cond_resched();
	}
	return done;
}

static int64_t kpageflags_read(struct kiocb *iocb, struct iov_iter *to)
{
	return words_read(iocb, to, kpageflags_word);
}

static int64_t kpagecount_read(struct kiocb *iocb, struct iov_iter *to)
{
	return words_read(iocb, to, kpagecount_word);
}

static const struct file_operations kpageflags_fops = {.read_iter = kpageflags_read};
static const struct file_operations kpagecount_fops = {.read_iter = kpagecount_read};

/* --- making files ----------------------------------------------------------------------------- */

int proc_frames_init(struct dentry *root)
{
	static const struct proc_file files[] = {{"pagetypeinfo", pagetypeinfo_show, 0400}};
	int err = proc_create_files(root, files, ARRAY_SIZE(files));

	if (!err)
		err = proc_create(root, "kpageflags", 0400, &kpageflags_fops, NULL);
	if (!err)
		err = proc_create(root, "kpagecount", 0400, &kpagecount_fops, NULL);
	return err;
}

/* --- extfrag ---------------------------------------------------------------------------------- */

static void show_thousandths(struct seq_file *m, int index)
{
	seq_printf(m, "%s%d.%03d ", index < 0 ? "-" : "", (index < 0 ? -index : index) / 1000,
	           (index < 0 ? -index : index) % 1000);
}

static int extfrag_show(struct seq_file *m, int (*index)(const struct zone *zone, unsigned order))
{
	for_each_zone(z) {
		seq_printf(m, "Node %u, zone %8s ", z->nid, z->name);
		for (unsigned order = 0; order < MAX_ORDER; order++)
			show_thousandths(m, index(z, order));
		seq_putc(m, '\n');
	}
	return 0;
}

static int unusable_index_show(struct seq_file *m, void *unused UNUSED)
{
	return extfrag_show(m, unusable_free_index);
}

static int extfrag_index_show(struct seq_file *m, void *unused UNUSED)
{
	return extfrag_show(m, fragmentation_index);
}

int sysfs_extfrag_init(struct dentry *debug)
{
	static const struct proc_file files[] = {
	        {"unusable_index", unusable_index_show, 0444},
	        {"extfrag_index", extfrag_index_show, 0444},
	};
	struct dentry *dir = simple_mkdir(debug, "extfrag", 0755);

	return dir ? proc_create_files(dir, files, ARRAY_SIZE(files)) : -ENOMEM;
}
