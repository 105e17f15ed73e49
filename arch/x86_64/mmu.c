/*
 * mmu.c - which tree a CPU translates through, and making CPUs forget (mmu.h).
 *
 * Who may hold translations. A CPU sets its bit in space->cpus before it loads the space's root and clears it after it has
 * loaded another; whoever changes entries looks at the mask afterwards. So a CPU that is not in the mask
 * either holds nothing or will load the root after the change.
 *
 * Shootdown. Every flush takes a number from space->generation. A CPU remembers the number up to which it has
 * forgotten everything (cpu->space_generation), so of several requests that crossed only the first does work. A CPU
 * without a task of the space, which merely kept its root loaded (a kernel thread, idle), moves to the kernel's
 * own root on the first request and is not asked again; arch_switch() loads the root when a task needs it.
 *
 * Up to FLUSH_PAGES pages are forgotten one by one (Linux's tlb_single_page_flush_ceiling is 33), more by loading CR3.
 *
 * Source: Intel SDM vol. 3, 4.10; Black et al., Translation Lookaside Buffer Consistency, 1989.
 */
#include "arch/x86_64/internal.h"
#include "kernel/task.h"
#include <quire/errno.h>
#include <quire/frame.h>

#define FLUSH_PAGES 32u

/* Reasons of tlb_flush, as Linux numbers them. */
#define TLB_FLUSH_ON_TASK_SWITCH 0
#define TLB_REMOTE_SHOOTDOWN     1
#define TLB_LOCAL_SHOOTDOWN      2
#define TLB_LOCAL_MM_SHOOTDOWN   3
#define TLB_REMOTE_SEND_IPI      4
#define TLB_ALL                  ((uint64_t)-1)

unsigned x86_mmu_levels = 4;
vaddr_t x86_user_end = (1ull << 47) - PAGE_SIZE;

static struct mmu_space kernel_space;

struct flush {
	struct mmu_space *space; /* NULL: the kernel's addresses */
	vaddr_t start;
	uint64_t pages; /* TLB_ALL: everything */
	uint64_t generation;
	unsigned asker;
};

struct mmu_space *mmu_kernel_space(void)
{
	return &kernel_space;
}

void mmu_init(pfn_t kernel_root)
{
	kernel_space.root = kernel_root;
	this_cpu_ptr()->space = &kernel_space;
}

/* --- spaces ------------------------------------------------------------------------------------------------ */

int mmu_space_init(struct mmu_space *s)
{
	/* All that boot made; entries that appear later are copied on the first fault (trap.c). */
	static const vaddr_t shared[] = {DIRECT_MAP_START, VMALLOC_START, VMEMMAP_START,
	                                 KERNEL_START};
	const pte_t *kernel = phys_to_virt(pfn_to_phys(kernel_space.root));
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	pte_t *root;

	if (!page)
		return -ENOMEM;
	spin_lock_init(&page->ptl);
	atomic_store_explicit(&page->pt_entries, 0, memory_order_relaxed);
	page_set_flag(page, PG_table);
	root = page_address(page);
	for (unsigned i = 0; i < ARRAY_SIZE(shared); i++) {
		unsigned slot = mmu_index(shared[i], mmu_levels());

		root[slot] = kernel[slot];
	}
	s->root = page_to_pfn(page);
	atomic_store_explicit(&s->cpus, 0, memory_order_relaxed);
	atomic_store_explicit(&s->generation, 0, memory_order_relaxed);
	s->asid = 0;
	frame_account(FRAME_PAGETABLE, 1);
	count(PGTABLE_ALLOC);
	return 0;
}

static void load_space(struct cpu *cpu, struct mmu_space *s)
{
	struct mmu_space *old = cpu->space;
	uint64_t me = 1ull << cpu->id;

	atomic_fetch_or(&s->cpus, me);
	cpu->space = s;
	cpu->space_generation = atomic_load(&s->generation);
	write_cr3(pfn_to_phys(s->root).a);
	if (old)
		atomic_fetch_and(&old->cpus, ~me);
}

static void leave_space(void *space)
{
	struct cpu *cpu = this_cpu_ptr();

	if (cpu->space == space)
		load_space(cpu, &kernel_space);
}

void mmu_space_destroy(struct mmu_space *s)
{
	struct page *page = pfn_to_page(s->root);
	uint64_t cpus = atomic_load(&s->cpus);

	if (cpus)
		arch_call_cpus(cpus, leave_space, s);
	page_clear_flag(page, PG_table);
	frame_account(FRAME_PAGETABLE, -1);
	count(PGTABLE_FREE);
	__free_page(page);
}

void mmu_activate(struct mmu_space *s)
{
	struct cpu *cpu = this_cpu_ptr();

	if (cpu->space == s)
		return;
	load_space(cpu, s);
	trace_tlb_flush(TLB_FLUSH_ON_TASK_SWITCH, TLB_ALL);
}

/* --- flushing ------------------------------------------------------------------------------------------------ */

static void flush_pages(vaddr_t start, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		invlpg(start + i * PAGE_SIZE);
	count_n(TLB_LOCAL_FLUSH_ONE, pages);
}

static void flush_user_all(void)
{
	write_cr3(read_cr3());
	count(TLB_LOCAL_FLUSH_ALL);
}

/* Global translations too: they go when CR4.PGE changes. */
static void flush_everything(void)
{
	uint64_t cr4 = read_cr4();

	write_cr4(cr4 & ~(uint64_t)CR4_PGE);
	write_cr4(cr4);
	count(TLB_LOCAL_FLUSH_ALL);
}

/* On one CPU, interrupts off. */
static void flush_user(struct cpu *cpu, const struct flush *f)
{
	if (cpu->space != f->space || cpu->space_generation >= f->generation)
		return;
	if (cpu->id != f->asker && !current->mm) {
		leave_space(f->space);
		return;
	}
	if (f->pages > FLUSH_PAGES) {
		cpu->space_generation = atomic_load(&f->space->generation);
		flush_user_all();
		return;
	}
	flush_pages(f->start, f->pages);
	if (cpu->space_generation + 1 == f->generation)
		cpu->space_generation = f->generation;
}

static void flush_here(void *arg)
{
	const struct flush *f = arg;
	struct cpu *cpu = this_cpu_ptr();

	if (cpu->id != f->asker) {
		count(TLB_REMOTE_FLUSH_RECEIVED);
		trace_tlb_flush(TLB_REMOTE_SHOOTDOWN, f->pages);
	} else {
		trace_tlb_flush(f->pages == TLB_ALL ? TLB_LOCAL_MM_SHOOTDOWN : TLB_LOCAL_SHOOTDOWN,
		                f->pages);
	}
	if (f->space)
		flush_user(cpu, f);
	else if (f->pages > FLUSH_PAGES)
		flush_everything();
	else
		flush_pages(f->start, f->pages);
}

/* fn(arg), a flush of so many pages, on each of the CPUs. */
static void flush_on(uint64_t cpus, void (*fn)(void *arg), void *arg, uint64_t pages)
{
	uint64_t me = 1ull << cpu_id();

	if (cpus & ~me) {
		count(TLB_REMOTE_FLUSH);
		trace_tlb_flush(TLB_REMOTE_SEND_IPI, pages);
		arch_call_cpus(cpus, fn, arg);
	} else if (cpus) {
		irq_state_t state = irq_save();

		fn(arg);
		irq_restore(state);
	}
}

static struct flush flush_of(struct mmu_space *s, vaddr_t start, uint64_t pages)
{
	return (struct flush){
	        .space = s,
	        .start = start,
	        .pages = pages,
	        .generation = atomic_fetch_add(&s->generation, 1) + 1,
	        .asker = cpu_id(),
	};
}

static void flush_space_pages(struct mmu_space *s, vaddr_t start, uint64_t pages)
{
	struct flush f = flush_of(s, start, pages);

	flush_on(atomic_load(&s->cpus), flush_here, &f, pages);
}

static uint64_t pages_in(vaddr_t start, vaddr_t end)
{
	return (end - start + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

void mmu_flush_range(struct mmu_space *s, vaddr_t start, vaddr_t end)
{
	flush_space_pages(s, start, pages_in(start, end));
}

struct flush_set {
	struct flush flush[MMU_RANGES_MAX];
	unsigned n;
};

/* Only what this CPU has loaded can be in its TLB: that of one space. */
static void flush_set_here(void *arg)
{
	struct flush_set *set = arg;
	const struct mmu_space *loaded = this_cpu_ptr()->space;

	for (unsigned i = 0; i < set->n; i++)
		if (set->flush[i].space == loaded)
			flush_here(&set->flush[i]);
}

void mmu_flush_ranges(const struct mmu_range *ranges, unsigned n)
{
	struct flush_set set = {.n = n};
	uint64_t cpus = 0, pages = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct mmu_range *r = &ranges[i];

		set.flush[i] = flush_of(r->space, r->start, pages_in(r->start, r->end));
		cpus |= atomic_load(&r->space->cpus);
		pages += set.flush[i].pages;
	}
	flush_on(cpus, flush_set_here, &set, pages);
}

void mmu_flush_space(struct mmu_space *s)
{
	flush_space_pages(s, 0, TLB_ALL);
}

void mmu_flush_local_page(struct mmu_space *s, vaddr_t va)
{
	if (this_cpu_ptr()->space == s) {
		invlpg(va);
		count(TLB_LOCAL_FLUSH_ONE);
	}
}

void mmu_flush_kernel_range(vaddr_t start, vaddr_t end)
{
	struct flush f = {
	        .start = start,
	        .pages = (end - start) >> PAGE_SHIFT,
	        .asker = cpu_id(),
	};

	flush_on((1ull << machine()->nr_cpus) - 1, flush_here, &f, f.pages);
}
