/*
 * mempolicy.c - on which nodes the pages of an area lie (mbind(2)).
 *
 * An area's policy is packed into flags that have no other use. So it needs no object with a life of its own, and whatever
 * is right for flags is right for it: areas split, merge with their like and are copied by fork, with it.
 *
 *     bit    57            42     39      35     32
 *      ... | nodes as asked | flags | nodes | mode |    VM_POLICY; mode 0: none, the task's policy counts
 *
 * It says where pages come from when they are made: first touches of anonymous memory, copies of private pages, and pages of
 * shared memory that are first touched through the area. (Linux keeps policies of shared memory with the memory, for all who
 * map it.) Pages of other files lie where the task that reads them in has its memory. Interleaving goes by the page's number in
 * what the area maps, so that it does not matter in which order pages are touched.
 *
 * Moving what is there already (MPOL_MF_MOVE): each page that lies elsewhere goes where a new one would.
 */
#include <quire/migrate.h>
#include "mm/fault/fault.h"

#define MODE_SHIFT  32u
#define NODES_SHIFT 35u
#define FLAGS_SHIFT 39u
#define ASKED_SHIFT 42u
#define ASKED_MASK  ((1ull << MPOL_ASKED_BITS) - 1)
#define MOVE_TRIES  10u /* of a page that somebody has just now */
static_assert(MPOL_MAX <= 8 && MAX_NUMNODES <= 4, "they fit");
static_assert(MPOL_MODE_FLAGS == 7u << 13, "three bits, from 13 on");
static_assert(VM_POLICY == ((1ull << (ASKED_SHIFT + MPOL_ASKED_BITS)) - (1ull << MODE_SHIFT)), "");

uint64_t vma_pack_policy(const struct mempolicy *policy)
{
	if (policy->mode == MPOL_DEFAULT)
		return 0;
	return (uint64_t)policy->mode << MODE_SHIFT | (uint64_t)policy->nodes << NODES_SHIFT |
	       (uint64_t)(policy->flags >> 13) << FLAGS_SHIFT |
	       (policy->flags & MPOL_PLACING ? policy->asked & ASKED_MASK : 0) << ASKED_SHIFT;
}

struct mempolicy vma_policy(const struct vm_area_struct *vma)
{
	const uint64_t flags = vma->vm_flags;

	return (struct mempolicy){
	        .mode = flags >> MODE_SHIFT & 7,
	        .nodes = flags >> NODES_SHIFT & ((1u << MAX_NUMNODES) - 1),
	        .flags = (uint16_t)((flags >> FLAGS_SHIFT & 7) << 13),
	        .asked = flags >> ASKED_SHIFT & ASKED_MASK,
	};
}

/* Page number i's node, and the one whose turn was before. */
static uint8_t turn_before(unsigned nodes, uint64_t i)
{
	unsigned rest = nodes, node, n = 0;

	for (; rest; rest &= rest - 1)
		n++;
	rest = nodes;
	for (i %= n; i; i--)
		rest &= rest - 1;
	node = (unsigned)__builtin_ctz(rest);
	return (uint8_t)(node ? node - 1 : MAX_NUMNODES - 1);
}

NOINLINE struct page *alloc_page_vma(gfp_t gfp, const struct vm_area_struct *vma, vaddr_t addr)
{
	struct mempolicy policy = vma_policy(vma);

	if (policy.mode == MPOL_DEFAULT)
		return alloc_page(gfp);
	if (policy.mode == MPOL_INTERLEAVE)
		policy.next = turn_before(policy.nodes, linear_page_index(vma, addr));
	return alloc_pages_policy(&policy, gfp, 0);
}

/* --- moving ------------------------------------------------------------------------------------ */

/* The page at *va or behind it, below end, that lies elsewhere, with a reference; NULL: none. *va: its address. */
static struct page *next_misplaced(const struct vm_area_struct *vma, vaddr_t *va, vaddr_t end,
                                   unsigned nodes)
{
	struct page *found = NULL;
	vaddr_t next;
	pte_t *pte;

	for (; !found && (pte = pt_next_leaf(&vma->vm_mm->space, va, end)); *va = next) {
		next = pt_leaf_end(*va, end);
		pt_lock(pte);
		for (; *va != next && !found; *va += PAGE_SIZE, pte++) {
			const pte_t e = pte_read(pte);

			if (!pte_present(e) || pte_special(e) ||
			    nodes >> page_to_nid(pfn_to_page(pte_pfn(e))) & 1)
				continue;
			found = pfn_to_page(pte_pfn(e));
			get_page(found);
			next = *va;
		}
		pt_unlock(pte - 1);
	}
	return found;
}

static int move_page_here(struct page *page, const struct vm_area_struct *vma, vaddr_t va)
{
	struct page *dst = alloc_page_vma(GFP_HIGHUSER_MOVABLE, vma, va);
	int err = dst ? -EAGAIN : -ENOMEM;

	for (unsigned tries = 0; err == -EAGAIN && tries < MOVE_TRIES; tries++)
		err = migrate_page(page, dst, MIGRATE_SYNC);
	if (err && dst)
		put_page(dst);
	if (err)
		put_page(page);
	return err;
}

int misplaced_pages(const struct vm_area_struct *vma, vaddr_t start, vaddr_t end, unsigned nodes,
                    unsigned flags)
{
	const unsigned move = flags & (MPOL_MF_MOVE | MPOL_MF_MOVE_ALL);
	struct page *page;
	int err = 0;

	for (; (page = next_misplaced(vma, &start, end, nodes)); start += PAGE_SIZE) {
		bool may = move & MPOL_MF_MOVE_ALL || (move && page_mapcount(page) == 1);

		if (!may)
			put_page(page);
		if (!may || move_page_here(page, vma, start))
			err = -EIO;
		if (err && !move)
			break;
	}
	return err;
}
