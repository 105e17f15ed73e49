/*
 * limits.c - what a process may have: RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, and sense.
 *
 * Memory is promised freely (vm.overcommit_memory = 0): most of what is mapped is never touched. Refused is only
 * the single request that could not be kept even with all memory to itself.
 */
#include <quire/errno.h>
#include "mm/space/space.h"

static bool exceeds(uint64_t have, uint64_t more, uint64_t limit_bytes)
{
	return limit_bytes != UINT64_MAX && have + more > limit_bytes >> PAGE_SHIFT;
}

bool may_have_data(struct mm_struct *mm, uint64_t flags, uint64_t pages)
{
	if ((flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) != VM_WRITE)
		return true;
	return !exceeds(mm->data_vm, pages, mm->limits.data);
}

bool may_expand_vm(struct mm_struct *mm, uint64_t flags, uint64_t pages)
{
	return !exceeds(mm->total_vm, pages, mm->limits.as) && may_have_data(mm, flags, pages);
}

bool overcommit_refuses(uint64_t pages)
{
	return pages > machine()->totalram;
}

int may_lock(struct mm_struct *mm, uint64_t pages)
{
	if (mm->limits.may_mlock_any)
		return 0;
	if (!mm->limits.memlock)
		return -EPERM;
	return exceeds(mm->locked_vm, pages, mm->limits.memlock) ? -EAGAIN : 0;
}
