/*
 * mbind_test.c - policies of areas: what they say survives what areas go through, and pages lie and move accordingly.
 */
#include "host/internal.h"
#include "mm/fault/fault.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/mm/space/vm.h"

#define MB    (1ull << 20)
#define PAGES 96u

static struct mm_struct *mm;

static bool enter(void)
{
	mm = own_enter(&(struct host_config){
	             .ram = 128 * MB, .cpus = 2, .frames = {.nr_nodes = 4, .numa_fake = true}})
	             ? mm_alloc(VM_TOP)
	             : NULL;
	return mm && vm_map(mm, VM_BASE, PAGES, RW, ANON) == (int64_t)VM_BASE;
}

static void leave(void)
{
	mmput(mm);
	own_leave();
}

static struct mempolicy policy(enum mempolicy_mode mode, unsigned nodes)
{
	return (struct mempolicy){.mode = (uint8_t)mode, .nodes = (uint8_t)nodes, .asked = nodes};
}

static int bind(unsigned first, unsigned n, struct mempolicy p, unsigned flags)
{
	return do_mbind(mm, VM_PAGE(first), VM_PAGE(first + n), &p, flags);
}

/* 0: no page; the node and one otherwise. */
static unsigned lies(struct mm_struct *space, unsigned i)
{
	pte_t *pte = pt_lookup(&space->space, VM_PAGE(i));

	return pte && pte_present(pte_read(pte))
	               ? page_to_nid(pfn_to_page(pte_pfn(pte_read(pte)))) + 1
	               : 0;
}

static void check_policies(struct mm_struct *space, const struct mempolicy want[PAGES])
{
	for (unsigned i = 0; i < PAGES; i++) {
		struct mempolicy p;

		CHECK_EQ(do_get_vma_policy(space, VM_PAGE(i), &p), 0);
		CHECK_EQ(p.mode, want[i].mode);
		CHECK_EQ(p.nodes, want[i].nodes);
		CHECK_EQ(p.flags, want[i].flags);
		CHECK_EQ(p.asked, want[i].flags & MPOL_PLACING ? want[i].asked : 0);
	}
}

static struct mempolicy random_policy(struct random *r)
{
	struct mempolicy p = policy((enum mempolicy_mode)random_below(r, MPOL_MAX),
	                            (unsigned)random_range(r, 1, 3));

	if (p.mode == MPOL_DEFAULT || p.mode == MPOL_LOCAL)
		return (struct mempolicy){.mode = p.mode};
	if (random_one_in(r, 3))
		p.flags = random_one_in(r, 2) ? MPOL_F_STATIC_NODES : MPOL_F_RELATIVE_NODES;
	if (p.flags)
		p.asked = random_range(r, 1, (1u << MPOL_ASKED_BITS) - 1);
	return p;
}

/* Policies, protection and locks of random parts, against an array; neighbours that are alike are one area. */
UNIT_TEST(areas_part_and_join)
{
	struct mempolicy want[PAGES] = {{0}};
	struct random *r = unit_random();
	struct mm_struct *child;

	CHECK(enter());
	for (uint64_t i = unit_scale(400); i--;) {
		const unsigned first = (unsigned)random_below(r, PAGES);
		const unsigned n = (unsigned)random_range(r, 1, PAGES - first);
		const struct mempolicy p = random_policy(r);

		if (random_one_in(r, 2)) {
			CHECK_EQ(bind(first, n, p, 0), 0);
			for (unsigned k = first; k < first + n; k++)
				want[k] = p;
		} else {
			CHECK_EQ(do_mprotect(mm, VM_PAGE(first), n * PAGE_SIZE,
			                     random_one_in(r, 2) ? PROT_READ : RW),
			         0);
		}
		if (random_one_in(r, 20))
			CHECK_CALL(check_policies(mm, want));
		if (random_one_in(r, 20))
			CHECK_SOUND(mm_check());
	}
	child = dup_mm(mm);
	CHECK(!IS_ERR(child));
	CHECK_CALL(check_policies(child, want));
	mmput(child);
	CHECK_EQ(do_mprotect(mm, VM_BASE, PAGES * PAGE_SIZE, RW), 0);
	CHECK_EQ(bind(0, PAGES, policy(MPOL_DEFAULT, 0), 0), 0);
	CHECK_EQ(mm->map_count, 1);
	leave();
}

/* As Linux compares policies: what was asked for counts only where it is placed anew when the nodes change. */
UNIT_TEST(areas_of_the_same_nodes_join)
{
	struct mempolicy p = policy(MPOL_BIND, 1), placing = p;

	CHECK(enter());
	CHECK_EQ(bind(0, PAGES, p, 0), 0);
	p.asked = ~0ull;
	CHECK_EQ(bind(8, 8, p, 0), 0);
	CHECK_EQ(mm->map_count, 1);
	placing.flags = MPOL_F_STATIC_NODES;
	CHECK_EQ(bind(8, 8, placing, 0), 0);
	placing.asked = 5;
	CHECK_EQ(bind(16, 8, placing, 0), 0);
	CHECK_EQ(mm->map_count, 4);
	leave();
}

/* A policy may go where there are holes, and be set only where there are none; what lies elsewhere is found before a hole. */
UNIT_TEST(holes)
{
	struct mempolicy p;

	CHECK(enter());
	CHECK_EQ(bind(0, PAGES, policy(MPOL_BIND, 1), 0), 0);
	CHECK_EQ(do_munmap(mm, VM_PAGE(4), 4 * PAGE_SIZE), 0);
	CHECK_EQ(bind(2, 8, policy(MPOL_BIND, 2), 0), -EFAULT);
	CHECK_EQ(bind(4, 2, policy(MPOL_DEFAULT, 0), 0), -EFAULT);
	CHECK_EQ(bind(PAGES - 1, 2, policy(MPOL_BIND, 2), 0), -EFAULT);
	CHECK_EQ(mm->map_count, 2);
	CHECK_EQ(bind(2, 4, policy(MPOL_DEFAULT, 0), 0), 0);
	CHECK_EQ(bind(5, 4, policy(MPOL_DEFAULT, 0), 0), 0);
	for (unsigned i = 0; i < 12; i++)
		if (i < 4 || i >= 8) {
			CHECK_EQ(do_get_vma_policy(mm, VM_PAGE(i), &p), 0);
			CHECK_EQ(p.mode, i < 2 || i > 8 ? MPOL_BIND : MPOL_DEFAULT);
		}
	CHECK_EQ(mm->map_count, 4);
	CHECK_EQ(vm_write(mm, VM_PAGE(0), 1), 0);
	CHECK_EQ(bind(0, 8, policy(MPOL_BIND, 2), MPOL_MF_STRICT), -EIO);
	CHECK_EQ(bind(0, 8, policy(MPOL_BIND, 1), MPOL_MF_STRICT), -EFAULT);
	CHECK_EQ(do_mbind(mm, VM_BASE, 0 - PAGE_SIZE, &(struct mempolicy){0}, 0), 0);
	CHECK_SOUND(mm_check());
	leave();
}

UNIT_TEST(ranges_of_mbind)
{
	vaddr_t end;

	CHECK_EQ(mbind_range(VM_BASE, 5, &end), 0);
	CHECK_EQ(end, VM_BASE + PAGE_SIZE);
	CHECK_EQ(mbind_range(VM_BASE, 0, &end), 0);
	CHECK_EQ(end, VM_BASE);
	CHECK_EQ(mbind_range(VM_BASE + 1, PAGE_SIZE, &end), -EINVAL);
	CHECK_EQ(mbind_range(VM_BASE, 0 - VM_BASE - PAGE_SIZE, &end), 0);
	CHECK_EQ(mbind_range(VM_BASE, 0 - PAGE_SIZE, &end), -EINVAL);
}

static void touch(unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		CHECK_EQ(vm_write(mm, VM_PAGE(i), i), 0);
}

UNIT_TEST(pages_lie_where_the_area_says)
{
	CHECK(enter());
	CHECK_EQ(bind(0, 16, policy(MPOL_BIND, 4), 0), 0);
	CHECK_EQ(bind(16, 16, policy(MPOL_PREFERRED, 8), 0), 0);
	CHECK_EQ(bind(32, 32, policy(MPOL_INTERLEAVE, 11), 0), 0);
	CHECK_EQ(bind(64, 16, policy(MPOL_PREFERRED_MANY, 6), 0), 0);
	host_enter(own, 1);
	CHECK_CALL(touch(40, PAGES - 40)); /* in any order */
	CHECK_CALL(touch(0, 40));
	for (unsigned i = 0; i < PAGES; i++) {
		static const unsigned turn[] = {1, 2, 4};
		const unsigned first = (unsigned)(VM_PAGE(32) >> PAGE_SHIFT) % 3;

		CHECK_EQ(lies(mm, i), i < 16   ? 3
		                      : i < 32 ? 4
		                      : i < 64 ? turn[(first + i - 32) % 3]
		                               : 2);
	}
	CHECK_SOUND(mm_check());
	leave();
}

UNIT_TEST(strict_and_move)
{
	CHECK(enter());
	CHECK_CALL(touch(0, PAGES));
	CHECK_EQ(lies(mm, 5), 1);
	CHECK_EQ(bind(0, 32, policy(MPOL_BIND, 2), MPOL_MF_STRICT), -EIO);
	CHECK_EQ(mm->map_count, 1); /* nothing has changed */
	CHECK_EQ(bind(0, 32, policy(MPOL_BIND, 1), MPOL_MF_STRICT), 0);
	CHECK_EQ(bind(0, 32, policy(MPOL_BIND, 2), MPOL_MF_STRICT | MPOL_MF_MOVE), 0);
	for (unsigned i = 0; i < PAGES; i++) {
		CHECK_EQ(lies(mm, i), i < 32 ? 2 : 1);
		CHECK_EQ(vm_get(mm, VM_PAGE(i)), i);
	}
	CHECK_EQ(do_munmap(mm, VM_PAGE(50), PAGE_SIZE), 0);
	CHECK_EQ(bind(40, 20, policy(MPOL_BIND, 2), MPOL_MF_MOVE), -EFAULT);
	CHECK_EQ(lies(mm, 40), 1);
	CHECK_SOUND(mm_check());
	leave();
}

UNIT_TEST(pages_of_two_processes)
{
	struct mm_struct *child;

	CHECK(enter());
	CHECK_CALL(touch(0, 8));
	child = dup_mm(mm);
	CHECK(!IS_ERR(child));
	CHECK_EQ(vm_write(mm, VM_PAGE(0), 99), 0); /* this one is the parent's alone */
	CHECK_EQ(bind(0, 8, policy(MPOL_BIND, 4), MPOL_MF_STRICT | MPOL_MF_MOVE), -EIO);
	CHECK_EQ(lies(mm, 0), 3);
	CHECK_EQ(lies(mm, 1), 1);
	CHECK_EQ(bind(0, 8, policy(MPOL_BIND, 4), MPOL_MF_STRICT | MPOL_MF_MOVE_ALL), 0);
	CHECK_EQ(lies(mm, 1), 3);
	CHECK_EQ(lies(child, 1), 3);
	CHECK_EQ(lies(child, 0), 1);
	CHECK_EQ(vm_get(child, VM_PAGE(1)), 1);
	CHECK_EQ(vm_write(child, VM_PAGE(2), 7), 0); /* the child's copy: its area has no policy */
	CHECK_EQ(lies(child, 2), 1);
	mmput(child);
	CHECK_SOUND(mm_check());
	leave();
}

/* Shared memory: the area through which a page is touched first decides. */
UNIT_TEST(pages_of_shared_memory)
{
	struct mm_struct *child;

	CHECK(enter());
	CHECK_EQ(vm_map(mm, VM_BASE, PAGES, RW, MAP_SHARED | MAP_ANONYMOUS), VM_BASE);
	CHECK_EQ(bind(0, 16, policy(MPOL_BIND, 2), 0), 0);
	child = dup_mm(mm);
	CHECK(!IS_ERR(child));
	CHECK_EQ(bind(0, 8, policy(MPOL_INTERLEAVE, 12), 0), 0);
	CHECK_CALL(touch(0, 6));
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(vm_write(child, VM_PAGE(i), i), 0);
	for (unsigned i = 0; i < 20; i++) {
		CHECK_EQ(vm_get(mm, VM_PAGE(i)), i);
		CHECK_EQ(lies(child, i), i < 6 ? 3 + i % 2 : i < 16 ? 2 : 1);
		CHECK_EQ(lies(mm, i), lies(child, i));
	}
	CHECK_EQ(bind(0, 20, policy(MPOL_BIND, 1), MPOL_MF_STRICT | MPOL_MF_MOVE_ALL), 0);
	CHECK_EQ(lies(child, 12), 1);
	CHECK_EQ(vm_get(child, VM_PAGE(12)), 12);
	mmput(child);
	CHECK_SOUND(mm_check());
	leave();
}

/* Every allocation fails in turn: areas are as before or as asked, and no page is lost. */
UNIT_TEST(every_allocation_fails_in_turn)
{
	uint64_t failed;
	int64_t n = 0;

	CHECK(enter());
	CHECK_CALL(touch(0, PAGES));
	do {
		int err;

		CHECK_EQ(bind(0, PAGES, policy(MPOL_BIND, 1), MPOL_MF_MOVE), 0);
		fault_inject(n++);
		err = bind(10, 20, policy(MPOL_BIND, 8), MPOL_MF_STRICT | MPOL_MF_MOVE);
		failed = fault_inject(-1);
		CHECK(err == 0 || (failed && (err == -EIO || err == -ENOMEM)));
		for (unsigned i = 0; i < PAGES; i++)
			CHECK_EQ(vm_get(mm, VM_PAGE(i)), i);
		CHECK_SOUND(mm_check());
		CHECK_LT(n, 100);
	} while (failed);
	leave();
}
