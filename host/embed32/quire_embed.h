/*
 * quire_embed.h - the inline part of seam 1 for the hosted 32-bit machine: a 32-bit process.
 *
 * Each thread belongs to one machine and is one of its CPUs (host.h); so "this CPU" is
 * thread-local, nothing preempts, and there are no interrupts.
 *
 * The classic split (lecture 004): programs have the lower 3 GB of addresses, the kernel the upper one.
 * The lowest 896 MB of physical memory are mapped at 0xC0000000; what lies above is high memory and has no kernel
 * address until it is given one (highmem.h). These are addresses of this process (host/split32.c makes room).
 *
 *     0xC0000000  direct map, 896 MB
 *     0xF8800000  vmalloc, up to
 *     0xFD000000  kmap: 1024 pages
 *     0xFD400000  kmap_local: 16 pages for each CPU
 */
#ifndef HOST_QUIRE_EMBED32_H
#define HOST_QUIRE_EMBED32_H

#include <quire/counter.h>
#include <quire/cpu.h>
#include <quire/types.h>

#include <sched.h>
#include <string.h>

struct host_thread_state {
	struct machine *machine;
	struct cpu_area *area;
	uint8_t *ram;
	struct page *mem_map;
	unsigned cpu;
	unsigned cpu_line; /* cpu * CACHELINE */
	unsigned mmu_levels;
	struct thread *self;
};
extern _Thread_local struct host_thread_state host;

static inline struct machine *machine(void)
{
	return host.machine;
}

static inline struct cpu_area *this_cpu(void)
{
	return host.area;
}

static inline unsigned cpu_id(void)
{
	return host.cpu;
}

static inline int32_t current_pid(void)
{
	return (int32_t)host.cpu + 1;
}

static inline bool in_interrupt(void)
{
	return false;
}

static inline size_t cpu_line(void)
{
	return host.cpu_line;
}

typedef unsigned long irq_state_t;

static inline irq_state_t irq_save(void)
{
	return 0;
}

static inline void irq_restore(irq_state_t state)
{
	(void)state;
}

static inline bool irqs_disabled(void)
{
	return false;
}

static inline void cpu_relax(void)
{
	sched_yield(); /* CPUs are threads and may share a core */
}

typedef struct {
	_Atomic uint32_t locked;
} spinlock_t;

static inline void spin_lock_init(spinlock_t *l)
{
	atomic_store_explicit(&l->locked, 0, memory_order_relaxed);
}

static inline bool spin_trylock(spinlock_t *l)
{
	return atomic_exchange_explicit(&l->locked, 1, memory_order_acquire) == 0;
}

static inline void spin_lock(spinlock_t *l)
{
	while (!spin_trylock(l))
		while (atomic_load_explicit(&l->locked, memory_order_relaxed))
			cpu_relax();
}

static inline void spin_unlock(spinlock_t *l)
{
	atomic_store_explicit(&l->locked, 0, memory_order_release);
}

static inline bool spin_is_locked(spinlock_t *l)
{
	return atomic_load_explicit(&l->locked, memory_order_relaxed) != 0;
}

static inline irq_state_t spin_lock_irqsave(spinlock_t *l)
{
	spin_lock(l);
	return 0;
}

static inline void spin_unlock_irqrestore(spinlock_t *l, irq_state_t state)
{
	(void)state;
	spin_unlock(l);
}

static inline void count_add(enum counter id, uint64_t n)
{
	/* Written by this thread alone, read by any: atomic but not a read-modify-write. */
	typedef uint64_t aligned __attribute__((aligned(8))); /* i386 itself asks for 4 */
	aligned *c = (aligned *)&host.area->counters[id];

	__atomic_store_n(c, __atomic_load_n(c, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

#define PAGE_OFFSET     0xC0000000u
#define LOWMEM_MAX      (896u << 20)
#define VMALLOC_START32 0xF8800000u
#define PKMAP_BASE      0xFD000000u
#define LAST_PKMAP      1024u
#define KMAP_LOCAL_BASE (PKMAP_BASE + LAST_PKMAP * 4096u)
#define KERNEL_END32    (KMAP_LOCAL_BASE + QUIRE_MAX_CPUS * 16u * 4096u)

/* The direct map ends at lowmem_end(); to ask for a kernel address beyond is the end of the machine. */
static inline bool have_highmem(void)
{
	return true;
}

static inline uint64_t lowmem_end(void)
{
	return LOWMEM_MAX;
}

NORETURN void host_no_address(uint64_t phys);

static inline void *phys_to_virt(phys_t phys)
{
	if (unlikely(phys.a >= LOWMEM_MAX))
		host_no_address(phys.a);
	return (void *)(uintptr_t)(PAGE_OFFSET + (uint32_t)phys.a);
}

static inline phys_t virt_to_phys(const void *addr)
{
	return PHYS((uint32_t)(uintptr_t)addr - PAGE_OFFSET);
}

static inline struct page *mem_map(void)
{
	return host.mem_map;
}

static inline void clear_page(void *page)
{
	memset(page, 0, PAGE_SIZE);
}

static inline void copy_page(void *to, const void *from)
{
	memcpy(to, from, PAGE_SIZE);
}

#endif
