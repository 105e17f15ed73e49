/*
 * mm.h - address spaces of programs and their faults (mm/space, mm/fault).
 *
 * An mm_struct is the areas (vm_area_struct) in a red-black tree and in a list, in address order,
 * and the page tables below. Calls are Linux's in meaning and in errors (mmap(2), mprotect(2), ...),
 * for addresses already taken from the program; the kernel's system calls add only descriptors.
 *
 * Lock key
 *   (m) mm->mmap_lock: read to look, write to change      (a) atomic
 *   (i) set when made, immutable after                    (t) page-table locks
 */
#ifndef QUIRE_MM_H
#define QUIRE_MM_H

#include <quire/cache.h>
#include <quire/mmu.h>
#include "lib/rbtree.h"

/* vm_flags: Linux's values (include/linux/mm.h), so that smaps' letters follow. */
#define VM_READ         0x00000001ull
#define VM_WRITE        0x00000002ull
#define VM_EXEC         0x00000004ull
#define VM_SHARED       0x00000008ull
#define VM_MAYREAD      0x00000010ull
#define VM_MAYWRITE     0x00000020ull
#define VM_MAYEXEC      0x00000040ull
#define VM_MAYSHARE     0x00000080ull
#define VM_GROWSDOWN    0x00000100ull
#define VM_LOCKED       0x00002000ull
#define VM_IO           0x00004000ull
#define VM_SEQ_READ     0x00008000ul
#define VM_RAND_READ    0x00010000ul
#define VM_DONTCOPY     0x00020000ull
#define VM_DONTEXPAND   0x00040000ull
#define VM_LOCKONFAULT  0x00080000ull
#define VM_ACCOUNT      0x00100000ull
#define VM_NORESERVE    0x00200000ull
#define VM_WIPEONFORK   0x02000000ull
#define VM_DONTDUMP     0x04000000ull
#define VM_ACCESS_FLAGS (VM_READ | VM_WRITE | VM_EXEC)
#define VM_POLICY       (0x3ffffffull << 32) /* mbind(2): mm/fault/mempolicy.c; 0: the task's policy */

/* mmap(2), mprotect(2), mremap(2), madvise(2), msync(2), mlock(2): the x86-64 ABI's numbers. */
#define PROT_NONE      0
#define PROT_READ      1
#define PROT_WRITE     2
#define PROT_EXEC      4
#define PROT_GROWSDOWN 0x01000000
#define PROT_GROWSUP   0x02000000

#define MAP_SHARED          0x01
#define MAP_PRIVATE         0x02
#define MAP_SHARED_VALIDATE 0x03
#define MAP_TYPE            0x0f
#define MAP_FIXED           0x10
#define MAP_ANONYMOUS       0x20
#define MAP_32BIT           0x40
#define MAP_GROWSDOWN       0x0100
#define MAP_DENYWRITE       0x0800
#define MAP_EXECUTABLE      0x1000
#define MAP_LOCKED          0x2000
#define MAP_NORESERVE       0x4000
#define MAP_POPULATE        0x8000
#define MAP_NONBLOCK        0x10000
#define MAP_STACK           0x20000
#define MAP_HUGETLB         0x40000
#define MAP_SYNC            0x80000
#define MAP_FIXED_NOREPLACE 0x100000

#define MREMAP_MAYMOVE   1
#define MREMAP_FIXED     2
#define MREMAP_DONTUNMAP 4

#define MS_ASYNC      1
#define MS_INVALIDATE 2
#define MS_SYNC       4

#define MCL_CURRENT 1
#define MCL_FUTURE  2
#define MCL_ONFAULT 4

#define MADV_NORMAL         0
#define MADV_RANDOM         1
#define MADV_SEQUENTIAL     2
#define MADV_WILLNEED       3
#define MADV_DONTNEED       4
#define MADV_FREE           8
#define MADV_REMOVE         9
#define MADV_DONTFORK       10
#define MADV_DOFORK         11
#define MADV_MERGEABLE      12
#define MADV_UNMERGEABLE    13
#define MADV_HUGEPAGE       14
#define MADV_NOHUGEPAGE     15
#define MADV_DONTDUMP       16
#define MADV_DODUMP         17
#define MADV_WIPEONFORK     18
#define MADV_KEEPONFORK     19
#define MADV_COLD           20
#define MADV_PAGEOUT        21
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23

/* mbind(2) */
#define MPOL_MF_STRICT   1u /* -EIO when a page is elsewhere, or cannot be moved */
#define MPOL_MF_MOVE     2u /* pages that this process alone maps move to where they shall be */
#define MPOL_MF_MOVE_ALL 4u /* all pages */

struct anon_vma;
struct mempolicy;

struct vm_area_struct {
	/* First line: what a fault reads. */
	vaddr_t vm_start, vm_end; /* (m) [start, end) */
	struct rb_node vm_rb;     /* (m) */
	uint64_t rb_subtree_gap;  /* (m) largest gap before an area in this subtree, bytes */
	struct mm_struct *vm_mm;  /* (i) */
	/* Second line. */
	alignas(8) uint64_t vm_flags; /* (m); read without by migrate.c, as is the next */
	/* (m) what a private, clean page gets: never writable if copy-on-write. */
	pgprot_t vm_page_prot;
	/* (m) page number at vm_start: in the file, or address >> PAGE_SHIFT when made. */
	uint64_t vm_pgoff;
	struct vm_file *vm_file; /* (m) NULL: anonymous */
	/* (m), but the first is set under page_table_lock and mmap_lock for reading: seen by an acquire load. */
	struct anon_vma *_Atomic anon_vma;
	struct vm_area_struct *vm_prev, *vm_next; /* (m) */
	struct list_head anon_vma_chain;          /* (m) */
	struct interval_tree_node i_mmap_node;    /* mapping->i_mmap_rwsem */
};

enum rss_counter { MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES, NR_MM_COUNTERS };

/* Limits that address-space calls observe, in bytes; UINT64_MAX = none. Set by the kernel (setrlimit). */
struct mm_limits {
	uint64_t as, data, stack, memlock;
	bool may_mlock_any; /* CAP_IPC_LOCK */
};

struct mm_struct {
	struct rw_semaphore mmap_lock;
	spinlock_t page_table_lock; /* the first anon_vma of an area, under mmap_lock for reading */
	struct rb_root mm_rb;       /* (m) */
	struct vm_area_struct *mmap; /* (m) lowest area */
	vaddr_t highest_vm_end;      /* (m) of the highest area; 0: none */
	/* (a) a guess: last area found; checked under (m). */
	_Atomic(struct vm_area_struct *) vmacache;
	struct mmu_space space;
	/* (a) frame of the leaf table last used, 0: none; checked under (m) */
	_Atomic uint32_t leaf_guess;
	/* page_table_lock: first empty table kept for the next need, by lru.next. */
	uint32_t spare_tables;
	unsigned nr_spare_tables; /* page_table_lock */
	refcount_t mm_users;      /* (a) tasks that run in it; the last mmput empties it */
	refcount_t mm_count;      /* (a) others that need the struct; mm_users counts as one */
	_Atomic uint32_t gathers; /* (a) mmu_gathers at work: mm/pt/gather.c */
	uint32_t id;              /* (i) for events */
	unsigned map_count;       /* (m) */
	vaddr_t mmap_base;        /* (i) top of the area that mmap fills downwards */
	vaddr_t task_size;        /* (i) */
	uint64_t def_flags;       /* (m) mlockall(MCL_FUTURE) */
	uint64_t total_vm, locked_vm, data_vm, exec_vm, stack_vm; /* (m) pages */
	uint64_t hiwater_vm;                                      /* (m) */
	_Atomic uint64_t hiwater_rss;
	_Atomic int64_t rss[NR_MM_COUNTERS]; /* (a) pages */
	_Atomic uint64_t pgtables_bytes;     /* (a) */
	struct mm_limits limits;             /* (m) */

	/* The image, as exec laid it out; prctl(PR_SET_MM) and /proc read them. (m) */
	vaddr_t start_code, end_code, start_data, end_data;
	vaddr_t start_brk, brk, start_stack;
	vaddr_t arg_start, arg_end, env_start, env_end;
	uint64_t saved_auxv[48];
	struct vm_file *exe_file;
};

/* An empty address space; one user. Gap search fills down from mmap_base. NULL: no memory. Sleeps. */
struct mm_struct *mm_alloc(vaddr_t mmap_base);
/* fork: areas and pages of old, copy-on-write. ERR_PTR. Takes old->mmap_lock for writing; sleeps. */
struct mm_struct *dup_mm(struct mm_struct *old);
void mmput(struct mm_struct *mm);  /* the last user: unmap all, drop. Sleeps. */
void mmdrop(struct mm_struct *mm); /* the last holder: free the top table and the struct */
static inline void mmget(struct mm_struct *mm)
{
	refcount_inc(&mm->mm_users);
}
static inline void mmgrab(struct mm_struct *mm)
{
	refcount_inc(&mm->mm_count);
}

/* The calls. All take mmap_lock themselves, sleep, and return a negative errno like the call. */
int64_t do_mmap(struct mm_struct *mm, vaddr_t addr, uint64_t len, int prot, int flags,
                struct vm_file *file,
                uint64_t pgoff); /* address; keeps its own reference to file */
int do_munmap(struct mm_struct *mm, vaddr_t addr, uint64_t len);
int do_mprotect(struct mm_struct *mm, vaddr_t addr, uint64_t len, int prot);
vaddr_t do_brk(struct mm_struct *mm, vaddr_t brk); /* the break after the call */
int64_t do_mremap(struct mm_struct *mm, vaddr_t old, uint64_t old_len, uint64_t new_len, int flags,
                  vaddr_t new_addr);
int do_madvise(struct mm_struct *mm, vaddr_t addr, uint64_t len, int advice);
int do_msync(struct mm_struct *mm, vaddr_t addr, uint64_t len, int flags);
int do_mincore(struct mm_struct *mm, vaddr_t addr, uint64_t pages,
               uint8_t *vec); /* vec: kernel memory */
/* Where mbind's range ends. 0, or -EINVAL: it begins inside a page, or wraps. */
int mbind_range(vaddr_t start, uint64_t len, vaddr_t *end);
/* [start, end), such a range, gets the policy; flags: MPOL_MF_*. DEFAULT: none of its own. */
int do_mbind(struct mm_struct *mm, vaddr_t start, vaddr_t end, const struct mempolicy *policy,
             unsigned flags);
/* The policy of the area at addr: DEFAULT where it has none. -EFAULT: there is no area. */
int do_get_vma_policy(struct mm_struct *mm, vaddr_t addr, struct mempolicy *policy);
int do_mlock(struct mm_struct *mm, vaddr_t addr, uint64_t len, bool onfault);
int do_munlock(struct mm_struct *mm, vaddr_t addr, uint64_t len);
int do_mlockall(struct mm_struct *mm, int flags);
int do_munlockall(struct mm_struct *mm);

/*
 * exec: an anonymous growing stack of size bytes that ends at top, with extra prot bits; and where the break
 * starts. 0 or a negative errno.
 */
int mm_setup_stack(struct mm_struct *mm, vaddr_t top, uint64_t size, bool exec);
void mm_set_brk(struct mm_struct *mm, vaddr_t start);

/* The area that contains addr or is next above it; NULL: none. mmap_lock held. */
struct vm_area_struct *find_vma(struct mm_struct *mm, vaddr_t addr);

/* In address order, mmap_lock held. */
#define for_each_vma(mm, vma) for (vma = (mm)->mmap; vma; vma = vma->vm_next)

/* Faults. */
enum fault_access { FAULT_READ = 0, FAULT_WRITE = 1, FAULT_EXEC = 2, FAULT_USER = 4 };
enum fault_result {
	FAULT_DONE = 0,
	FAULT_MAPERR, /* SIGSEGV, SEGV_MAPERR: no area */
	FAULT_ACCERR, /* SIGSEGV, SEGV_ACCERR: the area does not allow it */
	FAULT_BUS,    /* SIGBUS, BUS_ADRERR: after the end of the file, or it could not be read */
	FAULT_NOMEM,  /* no memory: the kernel decides whom it costs */
	FAULT_INTR,   /* a fatal signal came while waiting: nothing was done */
};

/* What a fault turned out to be: the kind of event quire:fault. */
enum fault_kind {
	FAULT_KIND_NONE,
	FAULT_KIND_ANON,
	FAULT_KIND_ZERO,
	FAULT_KIND_FILE,
	FAULT_KIND_COW,
	FAULT_KIND_REUSE,
	FAULT_KIND_SHARED_WRITE,
	FAULT_KIND_SPURIOUS,
	FAULT_KIND_SEGV,
	FAULT_KIND_BUS,
	FAULT_KIND_OOM,
	NR_FAULT_KINDS
};

struct fault_stats { /* of the running task; minor and major as getrusage(2) counts them */
	uint64_t minor, major;
};

/*
 * Make addr accessible as asked, or say why not. Takes mmap_lock for reading (write to grow a stack). Sleeps.
 * stats may be NULL.
 */
enum fault_result handle_mm_fault(struct mm_struct *mm, vaddr_t addr, unsigned access,
                                  struct fault_stats *stats);

/*
 * The frame behind addr, faulted in as for access, with a reference. 0, -EFAULT, -ENOMEM, -EINTR. Sleeps. *key_index and
 * mapping of the page identify shared memory (futexes).
 */
MUST_USE int get_user_page(struct mm_struct *mm, vaddr_t addr, unsigned access, struct page **page);

/* Copy to or from another address space through the direct map. Bytes copied; short at the first hole. Sleeps. */
size_t access_remote_vm(struct mm_struct *mm, vaddr_t addr, void *buf, size_t len, bool write);

/* Fault in [addr, addr+len) as MAP_POPULATE does. 0 or a negative errno. Sleeps. */
int mm_populate(struct mm_struct *mm, vaddr_t addr, uint64_t len);

/* Pages in memory by kind (smaps, mincore): calls with each present or swapped entry of [start, end). mmap_lock held. */
void walk_page_range(struct mm_struct *mm, vaddr_t start, vaddr_t end,
                     void (*visit)(vaddr_t addr, pte_t entry, void *ctx), void *ctx);

/* The name that /proc/PID/maps shows for an area without a file: "[heap]", "[stack]", "" . */
const char *vma_name(struct vm_area_struct *vma);

static inline uint64_t mm_rss(const struct mm_struct *mm)
{
	int64_t sum = mm->rss[MM_FILEPAGES] + mm->rss[MM_ANONPAGES] + mm->rss[MM_SHMEMPAGES];

	return sum > 0 ? (uint64_t)sum : 0;
}

void space_init(void); /* caches; after slab_init */
const char *
space_check(struct mm_struct *mm); /* mmap_lock held: tree, list, gaps, counts, page tables */

#endif
