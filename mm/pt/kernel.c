/*
 * kernel.c - page tables of kernel addresses (rows 3.2, 3.4, 3.6).
 *
 * The kernel's space is a tree like any other. Every program's root table holds a copy of its root
 * entries, so all share the tables below: an entry made there is seen by all at once. Only a root entry that is
 * made late is missing elsewhere; the first fault that misses it copies it. Tables are never taken away, so nothing
 * has to be told to forget one.
 */
#include <quire/errno.h>
#include "mm/pt/pt.h"

/* The frame for page i of a mapping: from a list, or counted up from phys. */
struct kernel_frames {
	struct page **pages;
	phys_t phys;
};

static pfn_t kernel_frame(const struct kernel_frames *f, uint64_t i)
{
	return f->pages ? page_to_pfn(f->pages[i]) : phys_to_pfn(PHYS(f->phys.a + i * PAGE_SIZE));
}

static int map_kernel(vaddr_t va, const struct kernel_frames *frames, uint64_t n, unsigned mmu_bits)
{
	struct mmu_space *space = mmu_kernel_space();
	const pgprot_t prot = mmu_pgprot(mmu_bits | MMU_GLOBAL);
	vaddr_t addr = va, next, end = va + n * PAGE_SIZE;

	for (; addr != end; addr = next) {
		pte_t *pte = pt_alloc_space(space, NULL, addr);

		if (!pte) {
			pt_unmap_kernel(va, (addr - va) >> PAGE_SHIFT);
			return -ENOMEM;
		}
		next = pt_leaf_end(addr, end);
		pt_lock(pte);
		for (vaddr_t a = addr; a != next; a += PAGE_SIZE, pte++)
			pt_install(space, a, pte,
			           pte_make(kernel_frame(frames, (a - va) >> PAGE_SHIFT), prot));
		pt_unlock(pte - 1);
	}
	return 0;
}

int pt_map_kernel(vaddr_t va, struct page **pages, uint64_t n, unsigned mmu_bits)
{
	const struct kernel_frames frames = {.pages = pages};

	return map_kernel(va, &frames, n, mmu_bits);
}

int pt_map_kernel_phys(vaddr_t va, phys_t phys, uint64_t n, unsigned mmu_bits)
{
	const struct kernel_frames frames = {.phys = phys};

	return map_kernel(va, &frames, n, mmu_bits);
}

void pt_unmap_kernel(vaddr_t va, uint64_t n)
{
	struct mmu_space *space = mmu_kernel_space();
	vaddr_t next, end = va + n * PAGE_SIZE;
	pte_t *pte;

	for (; (pte = pt_next_leaf(space, &va, end)); va = next) {
		next = pt_leaf_end(va, end);
		pt_lock(pte);
		for (vaddr_t a = va; a != next; a += PAGE_SIZE)
			pt_clear(pte++);
		pt_unlock(pte - 1);
	}
}

pte_t pt_kernel_entry(vaddr_t va)
{
	pte_t *pte = pt_lookup(mmu_kernel_space(), va);

	return pte ? pte_read(pte) : (pte_t){0};
}

bool pt_sync_kernel_root(struct mmu_space *space, vaddr_t va)
{
	unsigned level = mmu_levels(), i = mmu_index(va, level);
	pte_t *mine = pt_entries_of(space->root) + i;
	pte_t none = {0}, kernel = pte_read(pt_entries_of(mmu_kernel_space()->root) + i);

	if (i < mmu_user_entries() || pte_none(kernel))
		return false;
	return pte_cmpxchg(mine, &none, kernel);
}
