/*
 * quire_embed.h - the kernel's half of port.h that must be inline.
 *
 * The machine is one constant object. What a CPU has for itself is reached through %gs, so that counting is
 * one instruction and safe against interrupts without turning them off.
 */
#ifndef QUIRE_EMBED_H
#define QUIRE_EMBED_H

#include "arch/x86_64/cpu.h"

#define X86_DIRECT_MAP 0xffff888000000000ull
#define X86_VMEMMAP    0xffffea0000000000ull

extern struct machine quire_machine;

static inline struct machine *machine(void)
{
	return &quire_machine;
}

static inline struct cpu_area *this_cpu(void)
{
	return &this_cpu_ptr()->mm;
}

static inline unsigned cpu_id(void)
{
	uint32_t id;

	__asm__ volatile("movl %%gs:%c1, %0" : "=r"(id) : "i"(offsetof(struct cpu, id)));
	return id;
}

static inline size_t cpu_line(void)
{
	uint64_t line;

	__asm__ volatile("movq %%gs:%c1, %0" : "=r"(line) : "i"(offsetof(struct cpu, line)));
	return line;
}

static inline int32_t current_pid(void)
{
	int32_t pid;

	__asm__ volatile("movl %%gs:%c1, %0" : "=r"(pid) : "i"(offsetof(struct cpu, pid)));
	return pid;
}

static inline bool in_interrupt(void)
{
	uint32_t depth;

	__asm__ volatile("movl %%gs:%c1, %0" : "=r"(depth) : "i"(offsetof(struct cpu, irq_depth)));
	return depth != 0;
}

/* RFLAGS before. */
typedef uint64_t irq_state_t;

#define X86_RFLAGS_IF 0x200u

static inline irq_state_t irq_flags(void)
{
	irq_state_t flags;

	__asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags) : : "memory");
	return flags;
}

static inline irq_state_t irq_save(void)
{
	irq_state_t flags = irq_flags();

	__asm__ volatile("cli" : : : "memory");
	return flags;
}

static inline void irq_restore(irq_state_t state)
{
	if (state & X86_RFLAGS_IF)
		__asm__ volatile("sti" : : : "memory");
	else
		__asm__ volatile("cli" : : : "memory");
}

static inline bool irqs_disabled(void)
{
	return !(irq_flags() & X86_RFLAGS_IF);
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* Test and test-and-set: critical sections are short, waiters few. 0 free, 1 held. */
typedef struct {
	_Atomic uint32_t held;
} spinlock_t;

static inline void spin_lock_init(spinlock_t *l)
{
	atomic_store_explicit(&l->held, 0, memory_order_relaxed);
}

static inline bool spin_is_locked(spinlock_t *l)
{
	return atomic_load_explicit(&l->held, memory_order_relaxed) != 0;
}

static inline bool spin_trylock(spinlock_t *l)
{
	return atomic_exchange_explicit(&l->held, 1, memory_order_acquire) == 0;
}

static inline void spin_lock(spinlock_t *l)
{
	while (unlikely(!spin_trylock(l)))
		while (spin_is_locked(l))
			cpu_relax();
}

static inline void spin_unlock(spinlock_t *l)
{
	atomic_store_explicit(&l->held, 0, memory_order_release);
}

static inline irq_state_t spin_lock_irqsave(spinlock_t *l)
{
	irq_state_t state = irq_save();

	spin_lock(l);
	return state;
}

static inline void spin_unlock_irqrestore(spinlock_t *l, irq_state_t state)
{
	spin_unlock(l);
	irq_restore(state);
}

/* One addition to memory behind %gs: an interrupt comes before it or after it. */
static inline void count_add(enum counter counter, uint64_t n)
{
	uint64_t offset = offsetof(struct cpu, mm.counters) + (uint64_t)counter * sizeof(uint64_t);

	__asm__ volatile("addq %1, %%gs:%a0" : : "ri"(offset), "er"(n) : "memory");
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
	return (void *)(X86_DIRECT_MAP + phys.a);
}

/* p is in the direct map; for the kernel's image see kernel_virt_to_phys of arch.h. */
static inline phys_t virt_to_phys(const void *p)
{
	return PHYS((uint64_t)p - X86_DIRECT_MAP);
}

static inline struct page *mem_map(void)
{
	return (struct page *)X86_VMEMMAP;
}

/* A page-aligned page; arch/x86_64/page.S. Any context. */
void clear_page(void *page);
void copy_page(void *to, const void *from);

#endif
