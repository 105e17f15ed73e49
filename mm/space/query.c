/*
 * query.c - what is there: mincore(2), msync(2), walking entries, names of areas; and the check of it all.
 */
#include <quire/migrate.h>
#include <quire/errno.h>
#include "mm/space/space.h"

/* Sync the area's part of its file. mmap_lock is let go for it: *start moves on. */
static int msync_area(struct mm_struct *mm, struct vm_area_struct *vma, vaddr_t start, vaddr_t end)
{
	struct vm_file *file = get_vm_file(vma->vm_file);
	const uint64_t first = linear_page_index(vma, start);
	int err;

	up_read(&mm->mmap_lock);
	err = filemap_write_and_wait_range(file->f_mapping, first,
	                                   first + ((end - start) >> PAGE_SHIFT) - 1);
	put_vm_file(file);
	down_read(&mm->mmap_lock);
	return err;
}

int do_msync(struct mm_struct *mm, vaddr_t addr, uint64_t len, int flags)
{
	vaddr_t end = addr + PAGE_ALIGN(len);
	int err = 0, unmapped = 0;

	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || (addr & (PAGE_SIZE - 1)) ||
	    ((flags & MS_ASYNC) && (flags & MS_SYNC)))
		return -EINVAL;
	if (end < addr)
		return -ENOMEM;
	down_read(&mm->mmap_lock);
	while (addr < end && !err) {
		struct vm_area_struct *vma = find_vma(mm, addr);
		vaddr_t stop;

		if (!vma || vma->vm_start >= end) {
			unmapped = -ENOMEM;
			break;
		}
		if (vma->vm_start > addr) {
			unmapped = -ENOMEM;
			addr = vma->vm_start;
		}
		stop = MIN(vma->vm_end, end);
		if ((flags & MS_INVALIDATE) && (vma->vm_flags & VM_LOCKED))
			err = -EBUSY;
		else if ((flags & MS_SYNC) && vma->vm_file && (vma->vm_flags & VM_SHARED))
			err = msync_area(mm, vma, addr, stop);
		addr = stop;
	}
	up_read(&mm->mmap_lock);
	return err ? err : unmapped;
}

static bool page_in_core(struct vm_area_struct *vma, vaddr_t addr)
{
	pte_t *pte = pt_lookup(&vma->vm_mm->space, addr);
	struct page *page;
	bool in_core;

	if (pte && (pte_present(pte_read(pte)) || is_migration_entry(pte_read(pte))))
		return true;
	if (!vma->vm_file)
		return false;
	page = find_get_page(vma->vm_file->f_mapping, linear_page_index(vma, addr));
	if (!page)
		return false;
	in_core = page_flag(page, PG_uptodate);
	put_page(page);
	return in_core;
}

int do_mincore(struct mm_struct *mm, vaddr_t addr, uint64_t pages, uint8_t *vec)
{
	struct vm_area_struct *vma;
	int err = 0;

	if (addr & (PAGE_SIZE - 1))
		return -EINVAL;
	if (addr > mm->task_size || pages > (mm->task_size - addr) >> PAGE_SHIFT)
		return -ENOMEM;
	down_read(&mm->mmap_lock);
	vma = find_vma(mm, addr);
	for (uint64_t i = 0; i < pages; i++, addr += PAGE_SIZE) {
		if (vma && vma->vm_end <= addr)
			vma = vma->vm_next;
		if (!vma || vma->vm_start > addr) {
			err = -ENOMEM;
			break;
		}
		vec[i] = page_in_core(vma, addr);
	}
	up_read(&mm->mmap_lock);
	return err;
}

/* A page that is just being moved is shown as if it were there. */
static pte_t entry_shown(pte_t entry)
{
	const pgprot_t prot = mmu_pgprot(MMU_READ | MMU_USER);

	if (!is_migration_entry(entry))
		return entry;
	return migration_entry_restore(entry, migration_entry_page(entry), prot, true);
}

void walk_page_range(struct mm_struct *mm, vaddr_t start, vaddr_t end,
                     void (*visit)(vaddr_t addr, pte_t entry, void *ctx), void *ctx)
{
	vaddr_t next;
	pte_t *pte;

	for (; (pte = pt_next_leaf(&mm->space, &start, end)); start = next) {
		next = pt_leaf_end(start, end);
		pt_lock(pte);
		for (vaddr_t addr = start; addr != next; addr += PAGE_SIZE, pte++)
			if (!pte_none(pte_read(pte)))
				visit(addr, entry_shown(pte_read(pte)), ctx);
		pt_unlock(pte - 1);
	}
}

const char *vma_name(struct vm_area_struct *vma)
{
	const struct mm_struct *mm = vma->vm_mm;

	if (vma->vm_file)
		return "";
	if (vma->vm_start <= mm->brk && vma->vm_end >= mm->start_brk)
		return "[heap]";
	if (vma->vm_start < mm->start_stack && vma->vm_end >= mm->start_stack)
		return "[stack]";
	return "";
}

/* What walking the entries of one area finds. */
struct entry_check {
	struct vm_area_struct *vma;
	int64_t rss[NR_MM_COUNTERS];
	uint64_t entries;
	const char *broken;
};

static const char *check_page(const struct vm_area_struct *vma, vaddr_t addr, struct page *page)
{
	const uint64_t index = linear_page_index(vma, addr);

	if (page_mapcount(page) < 1)
		return "space: a page is mapped and not counted";
	if (page_count(page) < page_mapcount(page))
		return "space: a page has fewer references than mappings";
	if (page->index != (uint32_t)index)
		return "space: a page is mapped at the wrong place";
	if (PageAnon(page))
		return vma->anon_vma ? NULL
		                     : "space: an anonymous page in an area without anon_vma";
	if (!vma->vm_file)
		return "space: a file's page in an anonymous area";
	if (page_mapping(page) != vma->vm_file->f_mapping)
		return "space: a page of another file";
	return NULL;
}

static void check_entry(vaddr_t addr, pte_t entry, void *ctx)
{
	struct entry_check *c = ctx;
	struct page *page = pfn_to_page(pte_pfn(entry));
	const char *broken = NULL;

	c->entries++;
	if (!pte_present(entry) || pte_special(entry)) {
		if (pte_special(entry) && (page != machine()->zero_page || pte_write(entry)))
			c->broken = "space: a special entry that is not the zero page, read-only";
		return;
	}
	c->rss[mm_counter(page)]++;
	broken = check_page(c->vma, addr, page);
	if (!broken && pte_write(entry)) {
		if (!(c->vma->vm_flags & VM_WRITE))
			broken = "space: a writable entry in a read-only area";
		else if (!(c->vma->vm_flags & VM_SHARED) &&
		         (!PageAnon(page) || page_mapcount(page) != 1))
			broken = "space: a writable entry of a page that is not private";
	}
	if (broken)
		c->broken = broken;
}

static void count_entry(vaddr_t addr UNUSED, pte_t entry UNUSED, void *ctx)
{
	++*(uint64_t *)ctx;
}

const char *space_check(struct mm_struct *mm)
{
	const char *broken = vma_tree_check(mm);
	struct entry_check c = {.entries = 0};
	uint64_t tables, all = 0;

	if (!broken)
		broken = pt_check(&mm->space, &tables);
	if (!broken)
		broken = pt_check_mm(mm);
	if (broken)
		return broken;
	for_each_vma(mm, c.vma)
		walk_page_range(mm, c.vma->vm_start, c.vma->vm_end, check_entry, &c);
	walk_page_range(mm, 0, mm->task_size, count_entry, &all);
	if (c.broken)
		return c.broken;
	if (all != c.entries)
		return "space: entries outside areas";
	if ((tables + mm->nr_spare_tables) * PAGE_SIZE != atomic_load(&mm->pgtables_bytes))
		return "space: pgtables_bytes is wrong";
	for (unsigned i = 0; i < NR_MM_COUNTERS; i++)
		if (c.rss[i] != atomic_load(&mm->rss[i]))
			return "space: rss differs from the entries";
	return NULL;
}
