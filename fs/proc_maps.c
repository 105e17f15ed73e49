/*
 * proc_maps.c - /proc/PID/{maps,smaps,smaps_rollup}: areas, and what of them is in memory.
 *
 * The areas are walked with mmap_lock held for reading, so that one read(2) sees one moment; the text goes to a buffer that
 * grows, never to the program while the lock is held. Only what is read is made: there may be tens of thousands of areas, and
 * programs that want the first.
 */
#include "fs/proc.h"

#include "lib/string.h"
#include <quire/slab.h>

/* The line is padded to this width, then a blank and the name. */
#define MAPS_WIDTH 72

/* --- one line for an area --------------------------------------------------------------------- */

static void show_path(struct seq_file *m, const char *path)
{
	for (; *path; path++) {
		if (*path == '\n')
			seq_puts(m, "\\012");
		else
			seq_putc(m, *path);
	}
}

static void show_padded(struct seq_file *m, size_t line_start, const char *name)
{
	if (m->count - line_start < MAPS_WIDTH)
		seq_printf(m, "%*s", (int)(MAPS_WIDTH - (m->count - line_start)), "");
	seq_putc(m, ' ');
	show_path(m, name);
}

static void show_area_name(struct seq_file *m, struct vm_area_struct *vma, size_t line_start,
                           char *buf)
{
	const char *name = buf;

	buf[0] = '\0';
	if (vma->vm_file)
		vma->vm_file->vf_ops->path(vma->vm_file, buf, PATH_MAX);
	else
		name = vma_name(vma);
	if (!*name)
		return;
	show_padded(m, line_start, name);
}

static void show_area(struct seq_file *m, struct vm_area_struct *vma, char *buf)
{
	uint64_t flags = vma->vm_flags, ino = 0, pgoff = 0;
	uint32_t dev = 0;
	size_t line_start = m->count;

	if (vma->vm_file) {
		struct address_space *mapping = vma->vm_file->f_mapping;

		dev = (uint32_t)mapping->dev;
		ino = mapping->ino;
		pgoff = vma->vm_pgoff << PAGE_SHIFT;
	}
	seq_printf(m, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", vma->vm_start, vma->vm_end,
	           flags & VM_READ ? 'r' : '-', flags & VM_WRITE ? 'w' : '-',
	           flags & VM_EXEC ? 'x' : '-', flags & VM_MAYSHARE ? 's' : 'p', pgoff, MAJOR(dev),
	           MINOR(dev), ino);
	show_area_name(m, vma, line_start, buf);
	seq_putc(m, '\n');
}

/* --- what is in memory ------------------------------------------------------------------------ */

struct mem_size {
	uint64_t resident, referenced, anonymous, swap;
	uint64_t shared_clean, shared_dirty, private_clean, private_dirty;
	/* Proportional: each page divided by those who map it, in bytes << PSS_SHIFT. */
	uint64_t pss, pss_dirty, pss_anon, pss_file, pss_shmem, swap_pss;
	uint64_t locked;
};
#define PSS_SHIFT 12

static void add_swapped(struct mem_size *s)
{
	s->swap += PAGE_SIZE;
	s->swap_pss += (uint64_t)PAGE_SIZE << PSS_SHIFT;
}

static void add_by_kind(struct mem_size *s, const struct page *page, uint64_t pss)
{
	if (PageAnon(page)) {
		s->anonymous += PAGE_SIZE;
		s->pss_anon += pss;
	} else if (page_flag(page, PG_swapbacked)) {
		s->pss_shmem += pss;
	} else {
		s->pss_file += pss;
	}
}

/* The table's lock is held: mapcount is at least one. */
static void visit_entry(vaddr_t addr UNUSED, pte_t entry, void *ctx)
{
	struct mem_size *s = ctx;
	struct page *page;
	uint64_t pss;
	int32_t users;
	bool dirty;

	if (pte_is_swap(entry)) {
		add_swapped(s);
		return;
	}
	if (!pte_present(entry) || pte_special(entry))
		return;
	page = pfn_to_page(pte_pfn(entry));
	users = MAX(page_mapcount(page), 1);
	pss = ((uint64_t)PAGE_SIZE << PSS_SHIFT) / (uint64_t)users;
	dirty = pte_dirty(entry) || page_flag(page, PG_dirty);
	s->resident += PAGE_SIZE;
	s->pss += pss;
	if (dirty)
		s->pss_dirty += pss;
	if (pte_young(entry) || page_flag(page, PG_referenced))
		s->referenced += PAGE_SIZE;
	if (users > 1)
		*(dirty ? &s->shared_dirty : &s->shared_clean) += PAGE_SIZE;
	else
		*(dirty ? &s->private_dirty : &s->private_clean) += PAGE_SIZE;
	add_by_kind(s, page, pss);
}

static void measure_area(struct vm_area_struct *vma, struct mem_size *s)
{
	uint64_t pss = s->pss;

	walk_page_range(vma->vm_mm, vma->vm_start, vma->vm_end, visit_entry, s);
	if (vma->vm_flags & VM_LOCKED)
		s->locked += s->pss - pss;
}

static void show_kb(struct seq_file *m, const char *name, uint64_t bytes)
{
	seq_printf(m, "%-16s%8lu kB\n", name, bytes >> 10);
}

static void show_sizes(struct seq_file *m, const struct mem_size *s, bool rollup)
{
	show_kb(m, "Rss:", s->resident);
	show_kb(m, "Pss:", s->pss >> PSS_SHIFT);
	show_kb(m, "Pss_Dirty:", s->pss_dirty >> PSS_SHIFT);
	if (rollup) {
		show_kb(m, "Pss_Anon:", s->pss_anon >> PSS_SHIFT);
		show_kb(m, "Pss_File:", s->pss_file >> PSS_SHIFT);
		show_kb(m, "Pss_Shmem:", s->pss_shmem >> PSS_SHIFT);
	}
	show_kb(m, "Shared_Clean:", s->shared_clean);
	show_kb(m, "Shared_Dirty:", s->shared_dirty);
	show_kb(m, "Private_Clean:", s->private_clean);
	show_kb(m, "Private_Dirty:", s->private_dirty);
	show_kb(m, "Referenced:", s->referenced);
	show_kb(m, "Anonymous:", s->anonymous);
	show_kb(m, "KSM:", 0);
	show_kb(m, "LazyFree:", 0);
	show_kb(m, "AnonHugePages:", 0);
	show_kb(m, "ShmemPmdMapped:", 0);
	show_kb(m, "FilePmdMapped:", 0);
	show_kb(m, "Shared_Hugetlb:", 0);
	show_kb(m, "Private_Hugetlb:", 0);
	show_kb(m, "Swap:", s->swap);
	show_kb(m, "SwapPss:", s->swap_pss >> PSS_SHIFT);
	show_kb(m, "Locked:", s->locked >> PSS_SHIFT);
}

static void show_flags(struct seq_file *m, uint64_t flags)
{
	static const struct {
		uint64_t flag;
		char letters[3];
	} names[] = {
	        {VM_READ, "rd"},        {VM_WRITE, "wr"},    {VM_EXEC, "ex"},
	        {VM_SHARED, "sh"},      {VM_MAYREAD, "mr"},  {VM_MAYWRITE, "mw"},
	        {VM_MAYEXEC, "me"},     {VM_MAYSHARE, "ms"}, {VM_GROWSDOWN, "gd"},
	        {VM_LOCKED, "lo"},      {VM_IO, "io"},       {VM_SEQ_READ, "sr"},
	        {VM_RAND_READ, "rr"},   {VM_DONTCOPY, "dc"}, {VM_DONTEXPAND, "de"},
	        {VM_LOCKONFAULT, "lf"}, {VM_ACCOUNT, "ac"},  {VM_NORESERVE, "nr"},
	        {VM_WIPEONFORK, "wf"},  {VM_DONTDUMP, "dd"},
	};

	seq_puts(m, "VmFlags: ");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (flags & names[i].flag)
			seq_printf(m, "%s ", names[i].letters);
	seq_putc(m, '\n');
}

static void show_smap(struct seq_file *m, struct vm_area_struct *vma, char *buf)
{
	struct mem_size s = {0};

	measure_area(vma, &s);
	show_area(m, vma, buf);
	show_kb(m, "Size:", vma->vm_end - vma->vm_start);
	show_kb(m, "KernelPageSize:", PAGE_SIZE);
	show_kb(m, "MMUPageSize:", PAGE_SIZE);
	show_sizes(m, &s, false);
	seq_printf(m, "THPeligible:    %8u\n", 0u);
	show_flags(m, vma->vm_flags);
}

/* --- the files -------------------------------------------------------------------------------- */

static void show_from_cursor(struct seq_file *m, struct mm_struct *mm, char *buf,
                             void (*show)(struct seq_file *m, struct vm_area_struct *vma,
                                          char *buf))
{
	struct vm_area_struct *vma;

	down_read(&mm->mmap_lock);
	for (vma = find_vma(mm, m->cursor); vma && !m->overflow; vma = vma->vm_next) {
		size_t start = m->count;

		show(m, vma, buf);
		if (!seq_record_fits(m, start))
			break;
		m->cursor = vma->vm_end;
	}
	m->more = vma;
	up_read(&mm->mmap_lock);
}

static int show_areas(struct seq_file *m, struct task_struct *task,
                      void (*show)(struct seq_file *m, struct vm_area_struct *vma, char *buf))
{
	struct mm_struct *mm = get_task_mm(task);
	char *buf;

	if (!mm)
		return 0;
	buf = kmalloc(PATH_MAX, GFP_KERNEL);
	if (!buf) {
		mmput(mm);
		return -ENOMEM;
	}
	show_from_cursor(m, mm, buf, show);
	kfree(buf);
	mmput(mm);
	return 0;
}

int proc_show_maps(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	return show_areas(m, task, show_area);
}

int proc_show_smaps(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	return show_areas(m, task, show_smap);
}

int proc_show_smaps_rollup(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	struct mm_struct *mm = get_task_mm(task);
	struct mem_size s = {0};
	struct vm_area_struct *vma;
	vaddr_t first = 0, last = 0;

	if (!mm)
		return -ESRCH;
	down_read(&mm->mmap_lock);
	for_each_vma(mm, vma) {
		measure_area(vma, &s);
		first = first ? first : vma->vm_start;
		last = vma->vm_end;
	}
	up_read(&mm->mmap_lock);
	mmput(mm);
	seq_printf(m, "%08lx-%08lx ---p 00000000 00:00 0 ", first, last);
	show_padded(m, 0, "[rollup]");
	seq_putc(m, '\n');
	show_sizes(m, &s, true);
	return 0;
}
