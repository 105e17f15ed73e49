/*
 * soft_mmu.c - the hosted machine's MMU: a software TLB over the tree of entries.
 *
 * What a hardware MMU does for a program is done here for host_read, host_write and host_fetch: look in
 * this CPU's TLB; on a miss walk the tree, set accessed and dirty bits by compare-and-exchange, fill
 * the TLB; on a missing permission fault into the manager and try again. TLB entries stay until they
 * are flushed or displaced, so that a forgotten flush shows as a stale access.
 *
 * Addresses of the kernel are addresses of this process: mmu_update() maps the frame there with mmap(2),
 * the flush of a kernel range unmaps it.
 */
#define _GNU_SOURCE
#include "host/internal.h"

#include <quire/errno.h>
#include <quire/mm.h>
#include <quire/trace.h>

#include <sys/mman.h>

/* --- the tree ------------------------------------------------------------------------------------ */

static pte_t *table_entry(pfn_t table, vaddr_t va, unsigned level)
{
	return (pte_t *)phys_to_virt(pfn_to_phys(table)) + mmu_index(va, level);
}

/* The leaf entry of va, or NULL when a table is missing. */
static pte_t *walk(struct mmu_space *s, vaddr_t va)
{
	pfn_t table = s->root;

	for (unsigned level = mmu_levels(); level > 1; level--) {
		pte_t e = pte_read(table_entry(table, va, level));

		if (!pte_present(e) || !pte_is_table(e, level))
			return NULL;
		table = pte_pfn(e);
	}
	return table_entry(table, va, 1);
}

static bool permits(pte_t e, unsigned access)
{
	if (!pte_present(e) || !pte_user(e) || !pte_readable(e))
		return false;
	if ((access & FAULT_WRITE) && !pte_write(e))
		return false;
	return !(access & FAULT_EXEC) || pte_exec(e);
}

/* Walk as the hardware does: set A, and D on a write. False: the program faults. */
static bool load(struct mmu_space *s, vaddr_t va, unsigned access, pte_t *out)
{
	pte_t *entry = walk(s, va);
	pte_t old, new;

	if (!entry)
		return false;
	old = pte_read(entry);
	do {
		if (!permits(old, access))
			return false;
		new = pte_mkyoung(old);
		if (access & FAULT_WRITE)
			new = pte_mkdirty(new);
	} while (new.v != old.v && !pte_cmpxchg(entry, &old, new));
	*out = new;
	return true;
}

/* --- the TLB ------------------------------------------------------------------------------------- */

static struct tlb_entry *tlb_slot(struct soft_tlb *tlb, vaddr_t va)
{
	return &tlb->entry[(va >> PAGE_SHIFT) % TLB_ENTRIES];
}

/* Translate one access. The TLB's lock is held: a shootdown waits for the access to end. */
static bool translate_locked(struct soft_tlb *tlb, struct mmu_space *s, vaddr_t va, unsigned access,
                             pte_t *out)
{
	struct tlb_entry *t = tlb_slot(tlb, va);
	vaddr_t page = ALIGN_DOWN(va, PAGE_SIZE);

	if (t->space == s && t->va == page && permits(t->pte, access) &&
	    (!(access & FAULT_WRITE) || pte_dirty(t->pte))) {
		*out = t->pte;
		return true;
	}
	if (!load(s, va, access, out)) {
		/* As hardware: the entry that faulted is no longer cached. */
		if (t->space == s && t->va == page)
			t->space = NULL;
		return false;
	}
	*t = (struct tlb_entry){.space = s, .va = page, .pte = *out};
	return true;
}

static void tlb_drop(struct soft_tlb *tlb, struct mmu_space *s, vaddr_t start, vaddr_t end)
{
	pthread_mutex_lock(&tlb->lock);
	for (unsigned i = 0; i < TLB_ENTRIES; i++) {
		struct tlb_entry *t = &tlb->entry[i];

		if (t->space == s && t->va >= start && t->va < end)
			t->space = NULL;
	}
	pthread_mutex_unlock(&tlb->lock);
}

unsigned host_tlb_entries(void)
{
	struct soft_tlb *tlb = &this_host()->tlb[cpu_id()];
	unsigned n = 0;

	pthread_mutex_lock(&tlb->lock);
	for (unsigned i = 0; i < TLB_ENTRIES; i++)
		n += tlb->entry[i].space != NULL;
	pthread_mutex_unlock(&tlb->lock);
	return n;
}

/* --- a program's accesses ------------------------------------------------------------------------ */

/* One access within one page, without faulting. */
static bool try_access(struct mm_struct *mm, vaddr_t va, unsigned access, void *buf, size_t len)
{
	struct soft_tlb *tlb = &this_host()->tlb[cpu_id()];
	pte_t e;
	bool done;

	host_point();
	atomic_fetch_or(&mm->space.cpus, 1ull << cpu_id());
	pthread_mutex_lock(&tlb->lock);
	done = translate_locked(tlb, &mm->space, va, access, &e);
	if (done && len) {
		phys_t at = PHYS(pfn_to_phys(pte_pfn(e)).a + va % PAGE_SIZE);

		if (unlikely(!page_count(pfn_to_page(pte_pfn(e)))))
			port_panic("CPU %u uses a translation of %#lx to frame %#x, which is free",
			           cpu_id(), (unsigned long)va, pte_pfn(e).n);
		if (access & FAULT_WRITE)
			host_phys_write(this_host(), at, buf, len);
		else
			host_phys_read(this_host(), at, buf, len);
	}
	pthread_mutex_unlock(&tlb->lock);
	return done;
}

static int access_page(struct mm_struct *mm, vaddr_t va, unsigned access, void *buf, size_t len)
{
	while (!try_access(mm, va, access, buf, len)) {
		enum fault_result r = handle_mm_fault(mm, va, access | FAULT_USER, NULL);

		if (r != FAULT_DONE)
			return (int)r;
	}
	return 0;
}

static int access_range(struct mm_struct *mm, vaddr_t va, unsigned access, uint8_t *buf, size_t len)
{
	while (len) {
		size_t n = MIN(len, PAGE_SIZE - (size_t)(va % PAGE_SIZE));
		int r = va < mmu_user_end() ? access_page(mm, va, access, buf, n) : FAULT_MAPERR;

		if (r)
			return r;
		va += n;
		buf += n;
		len -= n;
	}
	return 0;
}

int host_read(struct mm_struct *mm, vaddr_t va, void *buf, size_t len)
{
	return access_range(mm, va, FAULT_READ, buf, len);
}

int host_write(struct mm_struct *mm, vaddr_t va, const void *buf, size_t len)
{
	return access_range(mm, va, FAULT_WRITE, (uint8_t *)(uintptr_t)buf, len);
}

int host_fetch(struct mm_struct *mm, vaddr_t va)
{
	return access_page(mm, va, FAULT_EXEC, NULL, 0);
}

/* --- seam 2 -------------------------------------------------------------------------------------- */

struct mmu_space *mmu_kernel_space(void)
{
	return &this_host()->kernel_space;
}

static int root_alloc(struct mmu_space *s)
{
	struct page *root = alloc_page(GFP_KERNEL | __GFP_ZERO);

	if (!root)
		return -ENOMEM;
	spin_lock_init(&root->ptl);
	atomic_store_explicit(&root->pt_entries, 0, memory_order_relaxed);
	page_set_flag(root, PG_table);
	*s = (struct mmu_space){.root = page_to_pfn(root)};
	return 0;
}

int host_mmu_init(struct host_machine *h)
{
	pthread_mutex_init(&h->kva_lock, NULL);
	return root_alloc(&h->kernel_space);
}

int mmu_space_init(struct mmu_space *s)
{
	pte_t *kernel = phys_to_virt(pfn_to_phys(mmu_kernel_space()->root));
	unsigned user = mmu_user_entries();
	pte_t *root;

	if (root_alloc(s) != 0)
		return -ENOMEM;
	root = phys_to_virt(pfn_to_phys(s->root));
	for (unsigned i = user; i < mmu_entries(mmu_levels()); i++)
		pte_set(&root[i], pte_read(&kernel[i]));
	return 0;
}

void mmu_space_destroy(struct mmu_space *s)
{
	mmu_flush_space(s); /* the address of s may be used again */
	__free_page(pfn_to_page(s->root));
}

void mmu_activate(struct mmu_space *s)
{
	atomic_fetch_or(&s->cpus, 1ull << cpu_id());
}

void mmu_flush_range(struct mmu_space *s, vaddr_t start, vaddr_t end)
{
	uint64_t cpus = atomic_load(&s->cpus);
	bool remote = false;

	atomic_fetch_add(&s->generation, 1);
	for (unsigned i = 0; i < machine()->nr_cpus; i++) {
		if (!(cpus >> i & 1))
			continue;
		host_point();
		remote |= i != cpu_id();
		if (i == cpu_id() || this_host()->mutant != MUTANT_LOCAL_FLUSH)
			tlb_drop(&this_host()->tlb[i], s, start, end);
	}
	if (remote)
		count(TLB_REMOTE_FLUSH);
	count(TLB_LOCAL_FLUSH_ALL);
	trace_tlb_flush(remote ? 1 : 3, (end - start) >> PAGE_SHIFT);
}

void mmu_flush_space(struct mmu_space *s)
{
	mmu_flush_range(s, 0, UINT64_MAX);
}

void mmu_flush_ranges(const struct mmu_range *ranges, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		mmu_flush_range(ranges[i].space, ranges[i].start, ranges[i].end);
}

/* --- kernel addresses ---------------------------------------------------------------------------- */

void host_mmu_update(struct mmu_space *s, vaddr_t va, pte_t e, unsigned level)
{
	struct host_machine *h = this_host();
	int prot = PROT_READ | (pte_write(e) ? PROT_WRITE : 0);
	size_t size = (size_t)1 << mmu_shift(level);
	off_t offset = (off_t)pfn_to_phys(pte_pfn(e)).a;

	(void)s;
	pthread_mutex_lock(&h->kva_lock);
	if (mmap((void *)(uintptr_t)va, size, prot, MAP_SHARED | MAP_FIXED, h->fd, offset) ==
	    MAP_FAILED)
		port_panic("the process has no room for another kernel mapping at %#lx", (long)va);
	pthread_mutex_unlock(&h->kva_lock);
}

static void forget_kernel(vaddr_t start, vaddr_t end)
{
	if (start < end &&
	    mmap((void *)(uintptr_t)start, (size_t)(end - start), PROT_NONE,
	         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		port_panic("cannot unmap kernel addresses at %#lx", (long)start);
}

/* The level whose entry decides about a kernel address: a leaf, or the lowest there is. */
static unsigned deciding_entry(struct mmu_space *s, vaddr_t va, pte_t *e)
{
	pfn_t table = s->root;
	unsigned level = mmu_levels();

	for (;; level--) {
		*e = pte_read(table_entry(table, va, level));
		if (!pte_is_table(*e, level))
			return level;
		table = pte_pfn(*e);
	}
}

/* What is mapped in the range stays: a flush of hardware would load it again at the next access. */
static void unmap_absent(vaddr_t start, vaddr_t end)
{
	struct host_machine *h = this_host();
	vaddr_t from = start;

	pthread_mutex_lock(&h->kva_lock);
	for (vaddr_t va = start, next; va < end; va = next) {
		pte_t e;
		unsigned level = deciding_entry(&h->kernel_space, va, &e);

		next = (va | (((vaddr_t)1 << mmu_shift(level)) - 1)) + 1;
		if (!pte_present(e))
			continue;
		forget_kernel(from, va);
		from = next;
	}
	forget_kernel(from, end);
	pthread_mutex_unlock(&h->kva_lock);
}

void mmu_flush_kernel_range(vaddr_t start, vaddr_t end)
{
	unmap_absent(start, end);
	count(TLB_LOCAL_FLUSH_ALL);
}

void mmu_flush_local_page(struct mmu_space *s, vaddr_t va)
{
	va = ALIGN_DOWN(va, PAGE_SIZE);
	if (va < mmu_user_end())
		tlb_drop(&this_host()->tlb[cpu_id()], s, va, va + 1);
	else
		unmap_absent(va, va + PAGE_SIZE);
	count(TLB_LOCAL_FLUSH_ONE);
}
