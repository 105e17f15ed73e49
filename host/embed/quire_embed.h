/*
 * quire_embed.h - the inline part of seam 1 for the hosted machine: a process.
 *
 * Each thread belongs to one machine and is one of its CPUs (host.h); so "this CPU" is
 * thread-local, nothing preempts, and there are no interrupts. Physical memory is a
 * shared-memory object mapped at host.ram; frame 0 is its first page.
 */
#ifndef HOST_QUIRE_EMBED_H
#define HOST_QUIRE_EMBED_H

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

static inline size_t cpu_line(void)
{
	return host.cpu_line;
}

static inline int32_t current_pid(void)
{
	return (int32_t)host.cpu + 1;
}

static inline bool in_interrupt(void)
{
	return false;
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
	uint64_t *c = &host.area->counters[id];

	__atomic_store_n(c, __atomic_load_n(c, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* All memory is in the direct map. */
static inline bool have_highmem(void)
{
	return false;
}

static inline uint64_t lowmem_end(void)
{
	return UINT64_MAX;
}

static inline void *phys_to_virt(phys_t phys)
{
	return host.ram + phys.a;
}

static inline phys_t virt_to_phys(const void *addr)
{
	return PHYS((uint64_t)((const uint8_t *)addr - host.ram));
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
