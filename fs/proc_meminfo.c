/*
 * proc_meminfo.c - /proc/{meminfo,vmstat,slabinfo,vmallocinfo,swaps}: memory in sums.
 *
 * Gauges are read without locks and need not agree with each other to the page.
 */
#include "fs/proc.h"

#include "arch/x86_64/arch.h"
#include <quire/kva.h>
#include <quire/slab.h>
#include <quire/symbol.h>
#include <quire/trace.h>

/* --- meminfo ---------------------------------------------------------------------------------- */

static void show_kb(struct seq_file *m, const char *name, uint64_t pages)
{
	seq_printf(m, "%-16s%8lu kB\n", name, pages_to_kb(pages));
}

static uint64_t sum_of_low_watermarks(void)
{
	uint64_t sum = 0;

	for_each_zone(z)
		sum += z->watermark[WMARK_LOW];
	return sum;
}

/*
 * What new programs could have without swapping: free memory above the reserve, and the cache and reclaimable objects if
 * they can be won back.
 */
static uint64_t available_pages(uint64_t file)
{
	uint64_t low = sum_of_low_watermarks(), free = nr_free_pages();
	uint64_t available = free > low ? free - low : 0;
	uint64_t objects = frame_kind_pages(FRAME_SLAB_RECLAIMABLE);

	if (reclaim_hook)
		available += file - MIN(file / 2, low) + objects - MIN(objects / 2, low);
	return available;
}

/* Private writable memory of all processes: what they may come to need. */
static uint64_t committed_pages(void)
{
	uint64_t sum = frame_kind_pages(FRAME_SHMEM);
	struct task_struct *task;
	int32_t pid = 1;

	while ((task = next_process(pid))) {
		struct mm_struct *mm = get_task_mm(task);

		pid = task->pid + 1;
		if (mm) {
			sum += mm->data_vm + mm->stack_vm;
			mmput(mm);
		}
		put_task(task);
	}
	return sum;
}

static void show_lru(struct seq_file *m)
{
	uint64_t ia = lru_pages(LRU_INACTIVE_ANON), aa = lru_pages(LRU_ACTIVE_ANON);
	uint64_t ifile = lru_pages(LRU_INACTIVE_FILE), af = lru_pages(LRU_ACTIVE_FILE);

	show_kb(m, "Active:", aa + af);
	show_kb(m, "Inactive:", ia + ifile);
	show_kb(m, "Active(anon):", aa);
	show_kb(m, "Inactive(anon):", ia);
	show_kb(m, "Active(file):", af);
	show_kb(m, "Inactive(file):", ifile);
	show_kb(m, "Unevictable:", lru_pages(LRU_UNEVICTABLE));
}

static void show_kernel_memory(struct seq_file *m)
{
	uint64_t reclaimable = frame_kind_pages(FRAME_SLAB_RECLAIMABLE);
	uint64_t slab = MAX(frame_kind_pages(FRAME_SLAB), reclaimable);

	show_kb(m, "KReclaimable:", reclaimable);
	show_kb(m, "Slab:", slab);
	show_kb(m, "SReclaimable:", reclaimable);
	show_kb(m, "SUnreclaim:", slab - reclaimable);
	show_kb(m, "KernelStack:", frame_kind_pages(FRAME_KSTACK));
	show_kb(m, "PageTables:", frame_kind_pages(FRAME_PAGETABLE));
	show_kb(m, "SecPageTables:", 0);
	show_kb(m, "NFS_Unstable:", 0);
	show_kb(m, "Bounce:", 0);
	show_kb(m, "WritebackTmp:", 0);
	show_kb(m, "CommitLimit:", totalram_pages() / 2);
	show_kb(m, "Committed_AS:", committed_pages());
	seq_printf(m, "VmallocTotal:   %8lu kB\n", (uint64_t)((VMALLOC_END - VMALLOC_START) >> 10));
	show_kb(m, "VmallocUsed:", vmalloc_used_pages());
	seq_printf(m, "VmallocChunk:   %8lu kB\n", pages_to_kb(vmalloc_chunk_pages()));
	show_kb(m, "Percpu:", PAGES_OF(sizeof(struct cpu)) * machine()->nr_cpus);
}

static void show_huge(struct seq_file *m)
{
	show_kb(m, "AnonHugePages:", 0);
	show_kb(m, "ShmemHugePages:", 0);
	show_kb(m, "ShmemPmdMapped:", 0);
	show_kb(m, "FileHugePages:", 0);
	show_kb(m, "FilePmdMapped:", 0);
	seq_puts(m, "HugePages_Total:       0\nHugePages_Free:        0\n"
	            "HugePages_Rsvd:        0\nHugePages_Surp:        0\n"
	            "Hugepagesize:       2048 kB\nHugetlb:               0 kB\n");
}

static int meminfo_show(struct seq_file *m, void *unused UNUSED)
{
	uint64_t file = frame_kind_pages(FRAME_FILE), shmem = frame_kind_pages(FRAME_SHMEM);
	struct page_census c;

	proc_page_census(&c);
	show_kb(m, "MemTotal:", totalram_pages());
	show_kb(m, "MemFree:", nr_free_pages());
	show_kb(m, "MemAvailable:", available_pages(file));
	show_kb(m, "Buffers:", 0);
	show_kb(m, "Cached:", file + shmem);
	show_kb(m, "SwapCached:", 0);
	show_lru(m);
	show_kb(m, "Mlocked:", c.mlocked);
	show_kb(m, "SwapTotal:", 0);
	show_kb(m, "SwapFree:", 0);
	show_kb(m, "Dirty:", c.dirty);
	show_kb(m, "Writeback:", c.writeback);
	show_kb(m, "AnonPages:", frame_kind_pages(FRAME_ANON));
	show_kb(m, "Mapped:", c.mapped);
	show_kb(m, "Shmem:", shmem);
	show_kernel_memory(m);
	show_huge(m);
	return 0;
}

/* --- vmstat ----------------------------------------------------------------------------------- */

static void show_gauge(struct seq_file *m, const char *name, uint64_t value)
{
	seq_printf(m, "%s %lu\n", name, value);
}

static void show_lru_gauges(struct seq_file *m, const char *prefix)
{
	seq_printf(m, "%sinactive_anon %lu\n", prefix, lru_pages(LRU_INACTIVE_ANON));
	seq_printf(m, "%sactive_anon %lu\n", prefix, lru_pages(LRU_ACTIVE_ANON));
	seq_printf(m, "%sinactive_file %lu\n", prefix, lru_pages(LRU_INACTIVE_FILE));
	seq_printf(m, "%sactive_file %lu\n", prefix, lru_pages(LRU_ACTIVE_FILE));
	seq_printf(m, "%sunevictable %lu\n", prefix, lru_pages(LRU_UNEVICTABLE));
}

static int vmstat_show(struct seq_file *m, void *unused UNUSED)
{
	uint64_t file = frame_kind_pages(FRAME_FILE), shmem = frame_kind_pages(FRAME_SHMEM);
	uint64_t reclaimable = frame_kind_pages(FRAME_SLAB_RECLAIMABLE);
	struct page_census c;

	proc_page_census(&c);
	show_gauge(m, "nr_free_pages", nr_free_pages());
	show_lru_gauges(m, "nr_zone_");
	show_gauge(m, "nr_zone_write_pending", c.dirty + c.writeback);
	show_gauge(m, "nr_mlock", c.mlocked);
	show_lru_gauges(m, "nr_");
	show_gauge(m, "nr_slab_reclaimable", reclaimable);
	show_gauge(m, "nr_slab_unreclaimable",
	           MAX(frame_kind_pages(FRAME_SLAB), reclaimable) - reclaimable);
	show_gauge(m, "nr_anon_pages", frame_kind_pages(FRAME_ANON));
	show_gauge(m, "nr_mapped", c.mapped);
	show_gauge(m, "nr_file_pages", file + shmem);
	show_gauge(m, "nr_dirty", c.dirty);
	show_gauge(m, "nr_writeback", c.writeback);
	show_gauge(m, "nr_shmem", shmem);
	show_gauge(m, "nr_kernel_stack", pages_to_kb(frame_kind_pages(FRAME_KSTACK)));
	show_gauge(m, "nr_page_table_pages", frame_kind_pages(FRAME_PAGETABLE));
	show_gauge(m, "numa_hit", proc_numa_stat(NUMA_HIT));
	show_gauge(m, "numa_miss", proc_numa_stat(NUMA_MISS));
	show_gauge(m, "numa_foreign", proc_numa_stat(NUMA_FOREIGN));
	show_gauge(m, "numa_interleave", proc_numa_stat(NUMA_INTERLEAVE_HIT));
	show_gauge(m, "numa_local", proc_numa_stat(NUMA_LOCAL));
	show_gauge(m, "numa_other", proc_numa_stat(NUMA_OTHER));
	for (unsigned i = 0; i < NR_COUNTERS; i++)
		show_gauge(m, counter_name(i), counter_read(i));
	return 0;
}

/* --- slabinfo, vmallocinfo, swaps ------------------------------------------------------------- */

static void slab_line(const struct slabinfo *info, void *ctx)
{
	struct seq_file *m = ctx;

	seq_printf(m, "%-17s %6lu %6lu %6u %4u %4u", info->name, info->active_objs, info->num_objs,
	           info->objsize, info->objperslab, info->pagesperslab);
	seq_printf(m, " : tunables %4u %4u %4u", info->limit, info->batchcount, info->shared);
	seq_printf(m, " : slabdata %6lu %6lu %6u\n", info->active_slabs, info->num_slabs,
	           (unsigned)info->shared_avail);
}

static int slabinfo_show(struct seq_file *m, void *unused UNUSED)
{
	seq_puts(m,
	         "slabinfo - version: 2.1\n"
	         "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
	         " : tunables <limit> <batchcount> <sharedfactor>"
	         " : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
	slab_for_each(slab_line, m);
	return 0;
}

static void vmalloc_line(struct seq_file *m, const struct vmalloc_info *info)
{
	static const char *const kinds[] = {" vmalloc", " vmap", " ioremap"};
	char name[KSYM_SYMBOL_LEN];

	seq_printf(m, "0x%016lx-0x%016lx %7lu", info->start, info->end, info->end - info->start);
	if (info->kind == VMALLOC_UNPURGED) {
		seq_puts(m, " unpurged vm_area\n");
		return;
	}
	seq_printf(m, " %s", sprint_backtrace(name, (uintptr_t)info->caller));
	if (info->kind == VMALLOC_ALLOC)
		seq_printf(m, " pages=%lu", info->pages);
	if (info->kind == VMALLOC_IOREMAP)
		seq_printf(m, " phys=0x%016lx", info->phys.a);
	seq_puts(m, kinds[info->kind]);
	for (unsigned i = 0; i < MAX_NUMNODES; i++)
		if (info->on_node[i])
			seq_printf(m, " N%u=%u", i, info->on_node[i]);
	seq_putc(m, '\n');
}

/* What waits for a flush comes last, as on Linux. */
static int vmallocinfo_show(struct seq_file *m, void *unused UNUSED)
{
	struct vmalloc_info info;

	for (unsigned unpurged = 0; unpurged < 2; unpurged++)
		for (vaddr_t from = 0; vmalloc_info_next(from, &info); from = info.end)
			if ((info.kind == VMALLOC_UNPURGED) == unpurged)
				vmalloc_line(m, &info);
	return 0;
}

/* There is no swapping yet: the heading alone, as on a Linux without swap. */
static int swaps_show(struct seq_file *m, void *unused UNUSED)
{
	seq_puts(m, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	return 0;
}

int proc_meminfo_init(struct dentry *root)
{
	static const struct proc_file files[] = {
	        {"meminfo", meminfo_show, 0},      {"vmstat", vmstat_show, 0},
	        {"slabinfo", slabinfo_show, 0400}, {"vmallocinfo", vmallocinfo_show, 0400},
	        {"swaps", swaps_show, 0},
	};

	return proc_create_files(root, files, ARRAY_SIZE(files));
}
