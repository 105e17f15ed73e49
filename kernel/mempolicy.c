/*
 * mempolicy.c - set_mempolicy(2), mbind(2), get_mempolicy(2): on which nodes memory shall lie.
 *
 * A task's policy is inherited by its children; while the task runs its CPU knows of it
 * (cpu_set_mempolicy, mm/frame/zonelist.c). An area of its memory may have another one (mm/fault/mempolicy.c). Node masks of
 * programs are as Linux takes them: maxnode counts one bit more than it means, and bits of nodes that do not exist are
 * ignored up to the number that Linux could have. Of several things that are wrong with a call the first that Linux looks
 * at is answered: the mode, the mask, the range, and last whether mode and nodes go together.
 */
#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"

#include <quire/machine.h>
#include <quire/mm.h>

#define MPOL_F_NODE         1u
#define MPOL_F_ADDR         2u
#define MPOL_F_MEMS_ALLOWED 4u

#define LINUX_NODE_WORDS 16 /* 1024 nodes */

/* The first word of a program's mask: more nodes than 64 there are not. */
static int get_nodes(uint64_t *nodes, vaddr_t mask, uint64_t maxnode)
{
	uint64_t bits = maxnode - 1;

	*nodes = 0;
	if (!bits || !mask)
		return 0;
	if (bits > PAGE_SIZE * 8)
		return -EINVAL;
	for (uint64_t word = 0; word < DIV_ROUND_UP(bits, 64); word++) {
		uint64_t value;

		if (get_user_u64(&value, mask + word * 8))
			return -EFAULT;
		if (bits - word * 64 < 64)
			value &= (1ull << (bits - word * 64)) - 1;
		if (word >= LINUX_NODE_WORDS && value)
			return -EINVAL;
		if (word == 0)
			*nodes = value;
	}
	return 0;
}

/* The end first: the word of the nodes is not written where all does not fit. */
static int put_nodes(vaddr_t mask, uint64_t maxnode, uint64_t nodes)
{
	uint64_t bytes = ALIGN_UP(maxnode - 1, 64ull) / 8;

	if (bytes > PAGE_SIZE)
		return -EINVAL;
	for (uint64_t at = bytes; at; at -= 8)
		if (put_user_u64(mask + at - 8, at > 8 ? 0 : nodes))
			return -EFAULT;
	return 0;
}

/* MPOL_F_RELATIVE_NODES: node i is the i-th of those there are, round and round. */
static unsigned relative_nodes(uint64_t nodes, unsigned there)
{
	unsigned n = 0, result = 0;

	for (unsigned rest = there; rest; rest &= rest - 1)
		n++;
	for (unsigned i = 0; i < 64; i++) {
		unsigned rest = there;

		if (!(nodes >> i & 1))
			continue;
		for (unsigned skip = i % n; skip; skip--)
			rest &= rest - 1;
		result |= rest & -rest;
	}
	return result;
}

/* Such a mode there is, with flags that it may have. */
static int check_mode(int mode)
{
	const unsigned flags = (unsigned)mode & MPOL_MODE_FLAGS;

	mode &= ~MPOL_MODE_FLAGS;
	if (mode < 0 || mode >= MPOL_MAX || (flags & MPOL_PLACING) == MPOL_PLACING ||
	    (flags & MPOL_F_NUMA_BALANCING && mode != MPOL_BIND))
		return -EINVAL;
	return 0;
}

/* mode: as check_mode() wants it. */
static int make_policy(struct mempolicy *policy, int mode, uint64_t nodes)
{
	const unsigned flags = (unsigned)mode & MPOL_MODE_FLAGS, there = nodes_with_memory();
	const unsigned placing = flags & MPOL_PLACING;

	mode &= ~MPOL_MODE_FLAGS;
	*policy = (struct mempolicy){0};
	if (mode == MPOL_DEFAULT)
		return nodes ? -EINVAL : 0;
	*policy =
	        (struct mempolicy){.mode = (uint8_t)mode, .flags = (uint16_t)flags, .asked = nodes};
	if (mode == MPOL_PREFERRED && !nodes)
		policy->mode = MPOL_LOCAL;
	if (policy->mode == MPOL_LOCAL)
		return nodes || placing ? -EINVAL : 0;
	policy->nodes = (uint8_t)(flags & MPOL_F_RELATIVE_NODES ? relative_nodes(nodes, there)
	                                                        : nodes & there);
	policy->next = MAX_NUMNODES - 1; /* the first turn is the lowest node's */
	return policy->nodes ? 0 : -EINVAL;
}

SYSCALL3(set_mempolicy, int, mode, vaddr_t, mask, uint64_t, maxnode)
{
	struct mempolicy policy;
	uint64_t nodes;
	int err = check_mode(mode);

	if (!err)
		err = get_nodes(&nodes, mask, maxnode);
	if (!err)
		err = make_policy(&policy, mode, nodes);
	if (err)
		return err;
	policy.mems = current->mempolicy.mems;
	current->mempolicy = policy;
	cpu_set_mempolicy(&current->mempolicy);
	return 0;
}

SYSCALL6(mbind, vaddr_t, start, uint64_t, len, int, mode, vaddr_t, mask, uint64_t, maxnode,
         unsigned, flags)
{
	struct mempolicy policy;
	uint64_t nodes;
	vaddr_t end;
	int err = check_mode(mode);

	if (!err)
		err = get_nodes(&nodes, mask, maxnode);
	if (err)
		return err;
	if (flags & ~(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		return -EINVAL;
	if (flags & MPOL_MF_MOVE_ALL && !capable(CAP_SYS_NICE))
		return -EPERM;
	err = mbind_range(start, len, &end);
	if (err || start == end)
		return err;
	err = make_policy(&policy, mode, nodes);
	if (!err && policy.flags & MPOL_PLACING && nodes >> MPOL_ASKED_BITS)
		err = -EINVAL; /* an area keeps no more of them */
	return err ? err : do_mbind(current->mm, start, end, &policy, flags);
}

/* The node of the page at addr, which is made if it is not there. */
static int64_t node_of_address(vaddr_t addr)
{
	struct page *page;
	int64_t nid;
	int err = get_user_page(current->mm, addr, FAULT_READ, &page);

	if (err)
		return err;
	nid = page_to_nid(page);
	put_page(page);
	return nid;
}

/* What the call answers as the policy: a mode, or with MPOL_F_NODE a node. */
static int64_t policy_answer(const struct mempolicy *policy, vaddr_t addr, unsigned flags)
{
	unsigned above;

	if (!(flags & MPOL_F_ADDR) && addr)
		return -EINVAL;
	if (!(flags & MPOL_F_NODE))
		return policy->mode | policy->flags;
	if (flags & MPOL_F_ADDR)
		return node_of_address(addr);
	if (policy->mode != MPOL_INTERLEAVE)
		return -EINVAL;
	above = policy->nodes & ~((2u << policy->next) - 1);
	return __builtin_ctz(above ? above : policy->nodes);
}

SYSCALL5(get_mempolicy, vaddr_t, to, vaddr_t, mask, uint64_t, maxnode, vaddr_t, addr, uint64_t,
         flags)
{
	struct mempolicy policy = current->mempolicy;
	uint64_t nodes;
	int64_t answer = 0;

	if (flags & ~(uint64_t)(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED))
		return -EINVAL;
	if (mask && maxnode < machine()->nr_nodes)
		return -EINVAL;
	if (flags & MPOL_F_MEMS_ALLOWED) {
		if (flags & (MPOL_F_NODE | MPOL_F_ADDR))
			return -EINVAL;
		nodes = nodes_with_memory();
	} else {
		if (flags & MPOL_F_ADDR)
			answer = do_get_vma_policy(current->mm, addr, &policy);
		if (!answer)
			answer = policy_answer(&policy, addr, (unsigned)flags);
		if (answer < 0)
			return answer;
		nodes = policy.flags & MPOL_PLACING ? policy.asked : policy.nodes;
	}
	if (to && put_user_u32(to, (uint32_t)answer))
		return -EFAULT;
	return mask ? put_nodes(mask, maxnode, nodes) : 0;
}
