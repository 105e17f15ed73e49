/*
 * port.h - seam 1: what the memory manager needs of the world.
 *
 * mm/ reaches nothing outside itself and lib/ but through this file. There are
 * two parts.
 *
 * (1) <quire_embed.h>, supplied by the embedder on the include path, holds what
 *     must be inline for speed. The kernel's is in arch/x86_64/embed/, the hosted
 *     machine's in host/embed/. It defines:
 *
 *       struct machine *machine(void)    the machine that this CPU belongs to
 *       struct cpu_area *this_cpu(void)  this CPU's part of it (machine.h); stable while
 *                                        the caller neither sleeps nor returns to a program
 *       unsigned cpu_id(void)            0 .. machine()->nr_cpus - 1
 *       size_t cpu_line(void)            where the line of whoever runs begins in an array of QUIRE_MAX_CPUS + 1 lines:
 *                                        cpu_id() * CACHELINE, or in an interrupt the last one
 *       int32_t current_pid(void)        for trace records; 0 = none
 *       bool in_interrupt(void)
 *       irq_state_t irq_save(void), void irq_restore(irq_state_t), bool irqs_disabled(void)
 *       void cpu_relax(void)             inside a spinning loop
 *       spinlock_t                       4 bytes, zero is unlocked; over it
 *         spin_lock_init, spin_lock, spin_trylock, spin_unlock, spin_is_locked,
 *         irq_state_t spin_lock_irqsave(l), spin_unlock_irqrestore(l, state)
 *       void count_add(enum counter, uint64_t n)  on this CPU, safe against its interrupts
 *       void *phys_to_virt(phys_t), phys_t virt_to_phys(const void *)  the direct map
 *       bool have_highmem(void), uint64_t lowmem_end(void)  constants: is there memory beyond the
 *                                        direct map (highmem.h), and the physical address where it begins
 *       struct page *mem_map(void)       descriptor of frame 0
 *       void clear_page(void *page), void copy_page(void *to, const void *from)
 *
 *     Code in mm/ is not preempted: between two sleeping calls it stays on its CPU and
 *     only interrupts come in between. A spin lock that an interrupt handler also takes
 *     is taken with irqsave everywhere; no other spin lock disables interrupts.
 *
 * (2) The functions below; at most 40, so that a new home for the manager is a day's work.
 */
#ifndef QUIRE_PORT_H
#define QUIRE_PORT_H

#include <quire/types.h>
#include <quire/counter.h>
#include <quire/cpu.h>

struct machine;
struct cpu_area;
struct page;
struct thread; /* the embedder's thread of control; opaque to mm/ */

#include <quire_embed.h>

static_assert(sizeof(spinlock_t) == 4, "a page table's lock lives in its descriptor");

/* A broken invariant: log, backtrace, stop the machine. */
NORETURN PRINTF(1, 2) void port_panic(const char *format, ...);

/* Return addresses of who called, innermost first, up to n; how many. As far as can be found out: 0 is an answer. Any context. */
unsigned port_stack_trace(uintptr_t *address, unsigned n);

/* The function that an address lies in, how far from its start, and how long it is; NULL: not known (symbol.h). Any context. */
const char *port_symbol(uintptr_t address, size_t *offset, size_t *size);

/*
 * Frames that are free can be unreachable by their kernel addresses, if the embedder has it so (debug_pagealloc=on): can they? Then n
 * frames from pfn on become reachable, or cease to be, on this CPU at least. Any context.
 */
bool port_direct_map_splits(void);
void port_map_direct(pfn_t pfn, unsigned n, bool present);

/* One line of the log, without the newline. Any context. */
PRINTF(1, 2) void port_log(const char *format, ...);

/*
 * The value of a boot word "key=value", copied as far as size allows and NUL-ended: its length (0 for a word without
 * value), or -ENOENT. A choice that is made once, at boot. Any context.
 */
int64_t port_boot_param(const char *key, char *buf, size_t size);

/* CLOCK_MONOTONIC in nanoseconds. Any context. */
uint64_t port_now_ns(void);

/*
 * Waiting: a permit for each thread, as in a binary semaphore. port_block() returns at once
 * when the thread's permit is set and clears it; else it sleeps until port_unblock() sets it.
 * It may return early (a signal, a stale permit): callers test their condition in a loop.
 * port_block() sleeps: never under a spin lock or with interrupts off. port_unblock() is
 * for any context.
 */
struct thread *port_self(void);
void port_block(void);
void port_unblock(struct thread *thread);

/* As port_block, at most until port_now_ns() >= deadline_ns. */
void port_block_until(uint64_t deadline_ns);

/* True if the running thread has been told to die: killable waits give up with -EINTR. */
bool port_fatal_signal_pending(void);

/*
 * The calling thread's mark that it is freeing memory for an allocation (Linux: PF_MEMALLOC): what it allocates on the way may
 * come from the reserve, and does not free memory in its turn. Not in an interrupt.
 */
bool *port_memalloc(void);

/* Give way to other threads if it is their turn. Sleeps. Long loops call it. */
void port_cond_resched(void);

/* Start a kernel thread. 0 or -ENOMEM. */
MUST_USE int port_kthread_start(const char *name, void (*run)(void *arg), void *arg);

/*
 * The calling thread, a kernel thread, runs on CPUs of the mask (bit i = CPU i) alone, from the return on. One of
 * them runs. Sleeps.
 */
void port_set_cpus(uint64_t mask);

/*
 * Run fn(arg) on each CPU of the mask (bit i = CPU i) and return when all have. On the
 * others it runs in interrupt context. Caller holds no lock that fn or an interrupt takes,
 * and has interrupts on.
 */
void port_call_cpus(uint64_t mask, void (*fn)(void *arg), void *arg);

#endif
