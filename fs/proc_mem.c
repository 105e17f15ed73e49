/*
 * proc_mem.c - /proc/PID/mem and /proc/PID/pagemap: a program's memory, and the frames behind it.
 *
 * Neither makes text: positions are addresses, in bytes of memory or of 8 bytes for each page.
 */
#include "fs/proc.h"

#include "lib/string.h"
#include <quire/slab.h>

static int memory_open(struct inode *inode, struct file *file)
{
	(void)file;
	return proc_may_access(inode);
}

/* --- mem -------------------------------------------------------------------------------------- */

static struct mm_struct *file_mm(struct kiocb *iocb)
{
	struct task_struct *task = proc_task(iocb->ki_filp->f_inode);
	struct mm_struct *mm;

	if (!task)
		return NULL;
	mm = get_task_mm(task);
	put_task(task);
	return mm;
}

/*
 * One page at most between the other program's memory and the caller's. Bytes moved, 0 at a hole,
 * -EFAULT.
 */
static int64_t move_piece(struct mm_struct *mm, vaddr_t addr, struct iov_iter *iter, char *page,
                          bool write)
{
	size_t n = MIN(PAGE_SIZE - (addr & (PAGE_SIZE - 1)), iov_iter_count(iter)), done;

	if (write) {
		n = copy_from_iter(page, n, iter);
		return n ? (int64_t)access_remote_vm(mm, addr, page, n, true) : -EFAULT;
	}
	n = access_remote_vm(mm, addr, page, n, false);
	done = copy_to_iter(page, n, iter);
	return n && !done ? -EFAULT : (int64_t)done;
}

static int64_t mem_move(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct mm_struct *mm = file_mm(iocb);
	char *page;
	int64_t done = 0, n = 0;

	if (!mm)
		return 0;
	page = get_zeroed_page(GFP_KERNEL);
	if (!page) {
		mmput(mm);
		return -ENOMEM;
	}
	while (iov_iter_count(iter)) {
		n = move_piece(mm, (vaddr_t)iocb->ki_pos, iter, page, write);
		if (n <= 0)
			break;
		iocb->ki_pos += n;
		done += n;
	}
	free_page(page);
	mmput(mm);
	if (done)
		return done;
	return n < 0 ? n : -EIO;
}

static int64_t mem_read(struct kiocb *iocb, struct iov_iter *to)
{
	return iov_iter_count(to) ? mem_move(iocb, to, false) : 0;
}

static int64_t mem_write(struct kiocb *iocb, struct iov_iter *from)
{
	return iov_iter_count(from) ? mem_move(iocb, from, true) : 0;
}

/* Addresses are positions: the file has no end. */
static int64_t address_llseek(struct file *file, int64_t offset, int whence)
{
	if (whence == SEEK_CUR)
		offset += file->f_pos;
	else if (whence != SEEK_SET)
		return -EINVAL;
	file->f_pos = offset;
	return offset;
}

const struct file_operations proc_mem_fops = {
        .open = memory_open,
        .read_iter = mem_read,
        .write_iter = mem_write,
        .llseek = address_llseek,
};

/* --- pagemap ---------------------------------------------------------------------------------- */

#define PM_MMAP_EXCLUSIVE (1ull << 56)
#define PM_FILE           (1ull << 61)
#define PM_SWAP           (1ull << 62)
#define PM_PRESENT        (1ull << 63)

struct pagemap_walk {
	vaddr_t start;
	uint64_t *out;
};

static uint64_t pagemap_word(pte_t entry)
{
	struct page *page;
	uint64_t word;

	if (pte_is_swap(entry))
		return PM_SWAP | pte_swap_type(entry) | pte_swap_offset(entry) << 5;
	if (!pte_present(entry))
		return 0;
	word = PM_PRESENT | pte_pfn(entry).n;
	if (pte_special(entry))
		return word;
	page = pfn_to_page(pte_pfn(entry));
	if (!PageAnon(page))
		word |= PM_FILE;
	if (page_mapcount(page) == 1)
		word |= PM_MMAP_EXCLUSIVE;
	return word;
}

static void pagemap_visit(vaddr_t addr, pte_t entry, void *ctx)
{
	struct pagemap_walk *w = ctx;

	w->out[(addr - w->start) >> PAGE_SHIFT] = pagemap_word(entry);
}

#define PAGEMAP_CHUNK (PAGE_SIZE / sizeof(uint64_t))

/* Words of pages [first, first + n) into out. */
static void pagemap_fill(struct mm_struct *mm, uint64_t first, size_t n, uint64_t *out)
{
	struct pagemap_walk w = {.start = first << PAGE_SHIFT, .out = out};

	memset(out, 0, n * sizeof(*out));
	down_read(&mm->mmap_lock);
	walk_page_range(mm, w.start, (first + n) << PAGE_SHIFT, pagemap_visit, &w);
	up_read(&mm->mmap_lock);
}

static int64_t pagemap_copy(struct kiocb *iocb, struct iov_iter *to, struct mm_struct *mm,
                            uint64_t *buf)
{
	uint64_t end = mmu_user_end() >> PAGE_SHIFT;
	int64_t done = 0;

	while (iov_iter_count(to) && (uint64_t)iocb->ki_pos / 8 < end) {
		uint64_t first = (uint64_t)iocb->ki_pos / 8;
		size_t n = MIN(MIN(iov_iter_count(to) / 8, PAGEMAP_CHUNK), end - first), copied;

		pagemap_fill(mm, first, n, buf);
		copied = copy_to_iter(buf, n * 8, to);
		iocb->ki_pos += (int64_t)copied;
		done += (int64_t)copied;
		if (copied < n * 8)
			return done ? done : -EFAULT;
	}
	return done;
}

static int64_t pagemap_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct mm_struct *mm;
	uint64_t *buf;
	int64_t n;

	if (iocb->ki_pos % 8 || iov_iter_count(to) % 8)
		return -EINVAL;
	mm = file_mm(iocb);
	if (!mm)
		return 0;
	buf = get_zeroed_page(GFP_KERNEL);
	n = buf ? pagemap_copy(iocb, to, mm, buf) : -ENOMEM;
	if (buf)
		free_page(buf);
	mmput(mm);
	return n;
}

const struct file_operations proc_pagemap_fops = {
        .open = memory_open,
        .read_iter = pagemap_read,
        .llseek = address_llseek,
};
