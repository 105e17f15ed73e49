/*
 * embed_cpu.h - what the hosted machines share of the inline part of seam 1: CPUs, interrupts, spin locks.
 *
 * Each thread belongs to one machine and is one of its CPUs (host.h); so "this CPU" is thread-local.
 *
 * Interrupts are calls of other CPUs (port_call_cpus) and, if the machine is asked for them, a handler at any
 * moment (host_config.interrupt). They come where this file looks for them: when interrupts go on, in spinning
 * loops and wherever a CPU waits. A watched thread (host.watch) takes each lock through host/lockdep.c and, on a
 * deterministic machine, gives the scheduler a say at each of those points (host/schedule.h).
 */
#ifndef HOST_EMBED_CPU_H
#define HOST_EMBED_CPU_H

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
	size_t cpu_line; /* cpu_line() */
	unsigned mmu_levels;
	uint8_t watch; /* HOST_WATCH_*: the slow way through the functions below */
	bool irqs_off;
	bool interrupt;          /* in a handler */
	_Atomic uint64_t *calls; /* bit i: CPU i is wanted (host/cpu.c) */
	struct thread *self;
};
extern _Thread_local struct host_thread_state host;

#define HOST_WATCH_LOCKS    1u
#define HOST_WATCH_SCHEDULE 2u
#define HOST_WATCH_TIMER    4u

/* A place where an interrupt may come and, on a deterministic machine, another CPU may go on. */
void host_point_slow(void);

static inline void host_point(void)
{
	if (unlikely(host.watch & ~HOST_WATCH_LOCKS) ||
	    unlikely(atomic_load_explicit(host.calls, memory_order_relaxed) >> host.cpu & 1))
		host_point_slow();
}

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
	return host.interrupt;
}

typedef unsigned long irq_state_t;

static inline irq_state_t irq_save(void)
{
	irq_state_t old = host.irqs_off;

	host.irqs_off = true;
	return old;
}

static inline void irq_restore(irq_state_t state)
{
	host.irqs_off = state != 0;
	if (!state)
		host_point();
}

static inline bool irqs_disabled(void)
{
	return host.irqs_off;
}

void host_relax_slow(void);

static inline void cpu_relax(void)
{
	if (unlikely(host.watch))
		host_relax_slow();
	else
		host_point();
	if (!(host.watch & HOST_WATCH_SCHEDULE))
		sched_yield();
}

/*
 * Bit 0: held. The other bits are the lock's class for lockdep: every call of spin_lock_init() in the source is
 * one, and a sleeping lock's is found in the spin lock of its queue (HOST_OUTER_SHIFT).
 */
typedef struct {
	_Atomic uint32_t locked;
} spinlock_t;

#define HOST_CLASS_SHIFT 8
#define HOST_OUTER_SHIFT 16
#define HOST_CLASS_MASK  0xffu

/* Number of the class of this name, made at first use; *known remembers it. */
unsigned host_lock_class(const char *name, _Atomic uint8_t *known);

#define spin_lock_init(l)                                                          \
	do {                                                                       \
		static _Atomic uint8_t known_;                                     \
		atomic_store_explicit(&(l)->locked,                                \
		                      host_lock_class(#l " of " __FILE__, &known_) \
		                              << HOST_CLASS_SHIFT,                 \
		                      memory_order_relaxed);                       \
	} while (0)

void host_spin_lock(spinlock_t *l);
bool host_spin_trylock(spinlock_t *l);
void host_spin_unlock(spinlock_t *l);

static inline bool host_spin_take(spinlock_t *l)
{
	return !(atomic_fetch_or_explicit(&l->locked, 1, memory_order_acquire) & 1);
}

static inline void host_spin_give(spinlock_t *l)
{
	uint32_t held = atomic_load_explicit(&l->locked, memory_order_relaxed);

	atomic_store_explicit(&l->locked, held & ~1u, memory_order_release);
}

static inline bool spin_is_locked(spinlock_t *l)
{
	return atomic_load_explicit(&l->locked, memory_order_relaxed) & 1;
}

static inline bool spin_trylock(spinlock_t *l)
{
	return unlikely(host.watch) ? host_spin_trylock(l) : host_spin_take(l);
}

static inline void spin_lock(spinlock_t *l)
{
	if (unlikely(host.watch)) {
		host_spin_lock(l);
		return;
	}
	while (!host_spin_take(l))
		while (spin_is_locked(l))
			cpu_relax();
}

static inline void spin_unlock(spinlock_t *l)
{
	if (unlikely(host.watch))
		host_spin_unlock(l);
	else
		host_spin_give(l);
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

static inline void count_add(enum counter id, uint64_t n)
{
	/* Written by this thread alone, read by any: atomic but not a read-modify-write. */
	typedef uint64_t aligned __attribute__((aligned(8))); /* i386 itself asks for 4 */
	aligned *c = (aligned *)&host.area->counters[id];

	__atomic_store_n(c, __atomic_load_n(c, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
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
