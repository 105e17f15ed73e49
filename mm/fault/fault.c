/*
 * fault.c - the page fault, from the address to the kind (lecture 001's flow diagram; mechanism 5.5).
 *
 *     address -- in an area? -- no --> stack to grow? -- no --> SEGV_MAPERR
 *                    | yes                  | yes: expand_stack
 *                access allowed? -- no --> SEGV_ACCERR
 *                    |
 *     entry none: -- anonymous area:  read  -> the zero page              FAULT_KIND_ZERO
 *                |                    write -> a zeroed page              FAULT_KIND_ANON
 *                `-- area of a file:  read  -> the cache's page           FAULT_KIND_FILE
 *                                     write, private -> a copy of it      FAULT_KIND_COW
 *                                     write, shared  -> it, dirty         FAULT_KIND_SHARED_WRITE
 *     entry present, write to a read-only one:
 *                     private: the only user of an anonymous page         FAULT_KIND_REUSE
 *                              otherwise a copy                           FAULT_KIND_COW
 *                     shared:  dirty, writable                            FAULT_KIND_SHARED_WRITE
 *     entry of a page that is being moved: wait until it is there (migrate.c), then as above
 *     entry allows it already: another thread was here, or a stale TLB    FAULT_KIND_SPURIOUS
 *
 * Concurrency. mmap_lock is held for reading: areas stand still, and so do upper tables once made. The entry
 * is read unlocked, all that may sleep (allocation, the cache) is done, then the table is locked and the entry must
 * still be what it was; if not, somebody else has handled the fault, or something newer happened,
 * and the program's access decides again. So no fault waits for another, except for a page being read.
 *
 * One fault, one event (quire:fault) and one count of its kind.
 */
#include <quire/migrate.h>
#include "mm/fault/fault.h"

bool vma_permits(const struct vm_area_struct *vma, unsigned access)
{
	if (access & FAULT_WRITE)
		return vma->vm_flags & VM_WRITE;
	if (access & FAULT_EXEC)
		return vma->vm_flags & VM_EXEC;
	return vma->vm_flags & VM_ACCESS_FLAGS; /* x86-64: what can be written or run can be read */
}

static void count_kind(enum fault_kind kind)
{
	static const uint16_t counter[NR_FAULT_KINDS] = {
	        [FAULT_KIND_ANON] = COUNT_FAULT_ANON,
	        [FAULT_KIND_ZERO] = COUNT_FAULT_ZERO,
	        [FAULT_KIND_FILE] = COUNT_FAULT_FILE,
	        [FAULT_KIND_COW] = COUNT_FAULT_COW,
	        [FAULT_KIND_REUSE] = COUNT_FAULT_REUSE,
	        [FAULT_KIND_SHARED_WRITE] = COUNT_FAULT_FILE,
	        [FAULT_KIND_SPURIOUS] = COUNT_FAULT_SPURIOUS,
	        [FAULT_KIND_SEGV] = COUNT_FAULT_SIGSEGV,
	        [FAULT_KIND_BUS] = COUNT_FAULT_SIGBUS,
	        [FAULT_KIND_OOM] = COUNT_FAULT_OOM,
	};

	count(PGFAULT);
	count_add((enum counter)counter[kind], 1);
}

/* The end of every fault. */
static void fault_done(vaddr_t addr, enum fault_kind kind, uint32_t pfn)
{
	count_kind(kind);
	trace_fault(addr, kind, pfn);
}

static enum fault_result handle_present(struct vm_fault *vmf)
{
	if ((vmf->access & FAULT_WRITE) && !pte_write(vmf->entry))
		return do_wp_page(vmf);
	/* The entry allows it: only this CPU's TLB does not know yet. */
	vmf->kind = FAULT_KIND_SPURIOUS;
	vmf->pfn = pte_pfn(vmf->entry).n;
	mmu_flush_local_page(&vmf->vma->vm_mm->space, vmf->addr);
	return FAULT_DONE;
}

/* Neither present nor none. False: nothing that could be waited for. */
static NOINLINE bool wait_for_entry(struct vm_fault *vmf)
{
	if (!is_migration_entry(vmf->entry))
		return false;
	migration_entry_wait(vmf->pte, vmf->entry);
	return true;
}

static inline enum fault_result dispatch(struct vm_fault *vmf)
{
	vmf->pte = pt_alloc(vmf->vma->vm_mm, vmf->addr);
	if (unlikely(!vmf->pte))
		return FAULT_NOMEM;
	for (;;) {
		vmf->entry = pte_read(vmf->pte);
		if (pte_present(vmf->entry))
			return handle_present(vmf);
		if (likely(pte_none(vmf->entry)))
			break;
		if (!wait_for_entry(vmf))
			return FAULT_BUS; /* swapped out, and no swap to read it from */
	}
	return vma_is_anonymous(vmf->vma) ? do_anonymous_page(vmf) : do_file_page(vmf);
}

static ALWAYS_INLINE enum fault_result do_fault(struct vm_area_struct *vma, vaddr_t addr,
                                                unsigned access, struct fault_stats *stats)
{
	enum fault_result result;
	struct vm_fault vmf;

	vmf.vma = vma;
	vmf.addr = addr & PAGE_MASK;
	vmf.access = access;
	vmf.kind = FAULT_KIND_SPURIOUS;
	vmf.pfn = 0;
	vmf.major = false;
	result = dispatch(&vmf);
	if (unlikely(result != FAULT_DONE))
		vmf.kind = result == FAULT_NOMEM ? FAULT_KIND_OOM : FAULT_KIND_BUS;
	fault_done(addr, vmf.kind, vmf.pfn);
	if (unlikely(vmf.major))
		count(PGMAJFAULT);
	if (stats) {
		stats->major += vmf.major;
		stats->minor += !vmf.major;
	}
	return result;
}

enum fault_result fault_in_vma(struct vm_area_struct *vma, vaddr_t addr, unsigned access,
                               struct fault_stats *stats)
{
	return do_fault(vma, addr, access, stats);
}

/*
 * The address lies below an area that grows down. The lock is taken again for writing; what was seen under the first
 * is looked up again. Returns with mmap_lock held for reading.
 */
static NOINLINE struct vm_area_struct *grow_to(struct mm_struct *mm, vaddr_t addr,
                                               enum fault_result *result)
{
	struct vm_area_struct *vma;

	up_read(&mm->mmap_lock);
	down_write(&mm->mmap_lock);
	vma = find_vma(mm, addr);
	*result = FAULT_MAPERR;
	if (vma && vma->vm_start > addr) {
		if (!(vma->vm_flags & VM_GROWSDOWN) || expand_stack(vma, addr))
			vma = NULL;
	}
	downgrade_write(&mm->mmap_lock);
	return vma;
}

enum fault_result handle_mm_fault(struct mm_struct *mm, vaddr_t addr, unsigned access,
                                  struct fault_stats *stats)
{
	enum fault_result result = FAULT_MAPERR;
	struct vm_area_struct *vma;

	down_read(&mm->mmap_lock);
	vma = vma_guess(mm, addr);
	if (unlikely(!vma)) {
		vma = find_vma(mm, addr);
		if (vma && vma->vm_start > addr)
			vma = vma->vm_flags & VM_GROWSDOWN ? grow_to(mm, addr, &result) : NULL;
	}
	if (likely(vma)) {
		result = FAULT_ACCERR;
		if (likely(vma_permits(vma, access))) {
			result = do_fault(vma, addr, access, stats);
			up_read(&mm->mmap_lock);
			return result;
		}
	}
	up_read(&mm->mmap_lock);
	fault_done(addr, FAULT_KIND_SEGV, 0);
	return result;
}
