/*
 * mmap.c - new areas: mmap(2), brk(2), and the stack of a new image.
 *
 * Mapping is a promise: an area is noted, no page is touched (lecture 001, lazy allocation). An anonymous mapping
 * mostly only makes its neighbour longer. The order of the checks is Linux 6.1's, for programs can tell it by
 * the error they get.
 */
#include <quire/errno.h>
#include "mm/space/space.h"

/* A request for an area, as it takes shape. */
struct mmap_request {
	vaddr_t addr;
	uint64_t len, pgoff;
	uint64_t vm_flags;
	struct vm_file *file;
};

static uint64_t vm_flags_of(struct mm_struct *mm, int prot, int flags)
{
	uint64_t vm = mm->def_flags | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;

	vm |= (uint64_t)prot & VM_ACCESS_FLAGS;
	if (flags & MAP_GROWSDOWN)
		vm |= VM_GROWSDOWN;
	if (flags & MAP_LOCKED)
		vm |= VM_LOCKED;
	if (flags & MAP_NORESERVE)
		vm |= VM_NORESERVE;
	return vm;
}

#define MAP_KNOWN                                                                                \
	(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_DENYWRITE |  \
	 MAP_EXECUTABLE | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | \
	 MAP_HUGETLB | MAP_32BIT)

static int file_flags(struct mmap_request *r, int prot, int flags)
{
	switch (flags & MAP_TYPE) {
	case MAP_SHARED_VALIDATE:
		if (flags & ~(MAP_KNOWN | MAP_SHARED_VALIDATE | MAP_FIXED_NOREPLACE))
			return -EOPNOTSUPP;
		/* fallthrough */
	case MAP_SHARED:
		if ((prot & PROT_WRITE) && !r->file->may_write)
			return -EACCES;
		r->vm_flags |= VM_MAYSHARE;
		if (r->file->may_write)
			r->vm_flags |= VM_SHARED;
		else
			r->vm_flags &= ~VM_MAYWRITE;
		break;
	case MAP_PRIVATE:
		break;
	default:
		return -EINVAL;
	}
	if (r->file->noexec) {
		if (prot & PROT_EXEC)
			return -EPERM;
		r->vm_flags &= ~VM_MAYEXEC;
	}
	return flags & MAP_GROWSDOWN ? -EINVAL : 0;
}

static int anon_flags(struct mmap_request *r, int flags)
{
	switch (flags & MAP_TYPE) {
	case MAP_SHARED:
		if (flags & MAP_GROWSDOWN)
			return -EINVAL;
		r->vm_flags |= VM_SHARED | VM_MAYSHARE;
		r->pgoff = 0;
		return 0;
	case MAP_PRIVATE:
		r->pgoff = r->addr >> PAGE_SHIFT;
		return 0;
	default:
		return -EINVAL;
	}
}

/* Shared mappings of a file that could be written: none while its writers are fenced off (memfd seals). */
static bool map_writable_try(struct address_space *mapping)
{
	int32_t n = atomic_load(&mapping->i_mmap_writable);

	while (n >= 0)
		if (atomic_compare_exchange_weak(&mapping->i_mmap_writable, &n, n + 1))
			return true;
	return false;
}

static int new_area(struct mm_struct *mm, struct vm_area_struct *prev, const struct mmap_request *r)
{
	struct vm_area_struct *vma;
	bool shared = r->file && (r->vm_flags & VM_SHARED);

	if (mm->map_count >= SYSCTL_MAX_MAP_COUNT)
		return -ENOMEM;
	if (shared && !map_writable_try(r->file->f_mapping))
		return -EPERM;
	vma = vma_alloc(mm);
	if (!vma)
		goto no_area;
	vma->vm_start = r->addr;
	vma->vm_end = r->addr + r->len;
	vma->vm_flags = r->vm_flags;
	vma->vm_pgoff = r->pgoff;
	if (r->file)
		vma->vm_file = get_vm_file(r->file);
	vma_set_page_prot(vma);
	vma_link(mm, vma, prev);
	if (shared) /* vma_link counted it too */
		atomic_fetch_sub(&r->file->f_mapping->i_mmap_writable, 1);
	return 0;

no_area:
	if (shared)
		atomic_fetch_sub(&r->file->f_mapping->i_mmap_writable, 1);
	return -ENOMEM;
}

/* The area for a checked request; what was there is unmapped, once nothing but memory for the area itself can be missing. */
static int mmap_region(struct mm_struct *mm, const struct mmap_request *r)
{
	const vaddr_t end = r->addr + r->len;
	const uint64_t pages = r->len >> PAGE_SHIFT;
	struct vm_area_struct *prev, *vma;
	uint64_t replaced = 0;
	int err;

	if (is_cow_mapping(r->vm_flags) && (r->vm_flags & VM_WRITE) &&
	    !(r->vm_flags & VM_NORESERVE) && overcommit_refuses(pages))
		return -ENOMEM;
	vma = find_vma_prev(mm, r->addr, &prev);
	if (vma && vma->vm_start < end) {
		for (struct vm_area_struct *v = vma; v && v->vm_start < end; v = v->vm_next)
			replaced += (MIN(v->vm_end, end) - MAX(v->vm_start, r->addr)) >> PAGE_SHIFT;
		if (!may_expand_vm(mm, r->vm_flags, pages - MIN(replaced, pages)))
			return -ENOMEM;
		err = do_vma_munmap(mm, r->addr, r->len);
		if (err)
			return err;
		find_vma_prev(mm, r->addr, &prev);
	} else if (!may_expand_vm(mm, r->vm_flags, pages)) {
		return -ENOMEM;
	}
	if (!vma_merge_new(mm, prev, r->addr, end, r->vm_flags, r->file, r->pgoff)) {
		err = new_area(mm, prev, r);
		if (err)
			return err;
	}
	vm_stat_account(mm, r->vm_flags, (int64_t)pages);
	return 0;
}

static int64_t mmap_locked(struct mm_struct *mm, struct mmap_request *r, int prot, int flags)
{
	struct vm_file *shared = NULL;
	int64_t addr;
	int err;

	if (mm->map_count > SYSCTL_MAX_MAP_COUNT)
		return -ENOMEM;
	addr = get_unmapped_area(mm, r->addr, r->len, flags);
	if (addr < 0)
		return addr;
	r->addr = (vaddr_t)addr;
	r->vm_flags = vm_flags_of(mm, prot, flags);
	if ((flags & MAP_LOCKED) && !mm->limits.may_mlock_any && !mm->limits.memlock)
		return -EPERM;
	if ((r->vm_flags & VM_LOCKED) && may_lock(mm, r->len >> PAGE_SHIFT))
		return -EAGAIN;
	err = r->file ? file_flags(r, prot, flags) : anon_flags(r, flags);
	if (err)
		return err;
	if (!r->file && (r->vm_flags & VM_SHARED)) {
		shared = shmem_file_setup("/dev/zero", r->len);
		if (IS_ERR(shared))
			return PTR_ERR(shared);
		r->file = shared;
	}
	err = mmap_region(mm, r);
	if (shared)
		put_vm_file(shared);
	return err ? err : addr;
}

static int64_t mmap_checked(struct mm_struct *mm, struct mmap_request *r, int prot, int flags)
{
	int64_t addr;

	if (!r->len)
		return -EINVAL;
	if (flags & MAP_HUGETLB)
		return -EINVAL;
	if (!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))) {
		r->addr &= PAGE_MASK;
		if (r->addr && r->addr < MMAP_MIN_ADDR)
			r->addr = MMAP_MIN_ADDR;
	}
	r->len = PAGE_ALIGN(r->len);
	if (!r->len)
		return -ENOMEM;
	if (r->pgoff + (r->len >> PAGE_SHIFT) < r->pgoff)
		return -EOVERFLOW;
	if (down_write_killable(&mm->mmap_lock))
		return -EINTR;
	addr = mmap_locked(mm, r, prot, flags);
	up_write(&mm->mmap_lock);
	if (addr >= 0 &&
	    ((r->vm_flags & VM_LOCKED) || (flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE))
		(void)!mm_populate(mm, (vaddr_t)addr, r->len); /* mmap(2): no error for this */
	return addr;
}

int64_t do_mmap(struct mm_struct *mm, vaddr_t addr, uint64_t len, int prot, int flags,
                struct vm_file *file, uint64_t pgoff)
{
	struct mmap_request r = {.addr = addr, .len = len, .pgoff = pgoff, .file = file};
	int64_t result = mmap_checked(mm, &r, prot, flags);

	trace_do_mmap(addr, len, (uint64_t)prot, (uint64_t)flags, (uint64_t)result);
	return result;
}

/* An anonymous, private area or a longer one: brk's and exec's. */
static int map_anon(struct mm_struct *mm, vaddr_t addr, uint64_t len, uint64_t vm_flags)
{
	const struct mmap_request r = {
	        .addr = addr, .len = len, .pgoff = addr >> PAGE_SHIFT, .vm_flags = vm_flags};

	return mmap_region(mm, &r);
}

#define VM_DATA_FLAGS (VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_ACCOUNT)

/* The heap from its old end to its new one, both page aligned. */
static int brk_grow(struct mm_struct *mm, vaddr_t from, vaddr_t to)
{
	struct vm_area_struct *next = find_vma(mm, from);

	/* A page stays free before the next area; a stack keeps its gap. */
	if (next && vm_start_gap(next) < to + PAGE_SIZE)
		return -ENOMEM;
	if (to > mm->task_size)
		return -ENOMEM;
	if ((mm->def_flags & VM_LOCKED) && may_lock(mm, (to - from) >> PAGE_SHIFT))
		return -ENOMEM;
	return map_anon(mm, from, to - from, VM_DATA_FLAGS | mm->def_flags);
}

/* True: pages from *populate on must be faulted in. */
static bool brk_locked(struct mm_struct *mm, vaddr_t brk)
{
	vaddr_t from = PAGE_ALIGN(mm->brk), to = PAGE_ALIGN(brk);
	uint64_t data = brk - mm->start_brk + (mm->end_data - mm->start_data);

	if (brk < mm->start_brk || to < brk)
		return false;
	if (mm->limits.data != UINT64_MAX && data > mm->limits.data)
		return false;
	if (to < from && do_vma_munmap(mm, to, from - to))
		return false;
	if (to > from && brk_grow(mm, from, to))
		return false;
	mm->brk = brk;
	return to > from && (mm->def_flags & VM_LOCKED);
}

vaddr_t do_brk(struct mm_struct *mm, vaddr_t brk)
{
	vaddr_t before, after;
	bool populate;

	if (down_write_killable(&mm->mmap_lock))
		return mm->brk;
	before = mm->brk;
	populate = brk_locked(mm, brk);
	after = mm->brk;
	up_write(&mm->mmap_lock);
	if (populate)
		(void)!mm_populate(mm, PAGE_ALIGN(before), PAGE_ALIGN(after) - PAGE_ALIGN(before));
	trace_do_brk(before, brk, after);
	return after;
}

void mm_set_brk(struct mm_struct *mm, vaddr_t start)
{
	down_write(&mm->mmap_lock);
	mm->start_brk = mm->brk = start;
	up_write(&mm->mmap_lock);
}

int mm_setup_stack(struct mm_struct *mm, vaddr_t top, uint64_t size, bool exec)
{
	uint64_t flags = VM_DATA_FLAGS | VM_GROWSDOWN | mm->def_flags;
	int err;

	size = PAGE_ALIGN(size);
	if ((top & (PAGE_SIZE - 1)) || !size || size > top || top > mm->task_size)
		return -EINVAL;
	if (exec)
		flags |= VM_EXEC;
	down_write(&mm->mmap_lock);
	if (find_vma_intersection(mm, top - size, top))
		err = -EEXIST;
	else
		err = map_anon(mm, top - size, size, flags);
	if (!err)
		mm->start_stack = top;
	up_write(&mm->mmap_lock);
	return err;
}

int check_range(vaddr_t addr, uint64_t len, vaddr_t *end)
{
	uint64_t pages = PAGE_ALIGN(len);

	if (addr & (PAGE_SIZE - 1))
		return -EINVAL;
	if (len && !pages)
		return -EINVAL;
	*end = addr + pages;
	return *end < addr ? -EINVAL : 0;
}
