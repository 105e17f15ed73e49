/*
 * internal.h - what the files of host/ share.
 */
#ifndef HOST_INTERNAL_H
#define HOST_INTERNAL_H

#include "host/host.h"

#include <quire/page.h>

#include <pthread.h>

/*
 * A CPU's software TLB: direct mapped, by page number. Other CPUs empty it when they shoot
 * translations down, so each has a lock.
 */
#define TLB_ENTRIES 64

struct tlb_entry {
	struct mmu_space *space; /* NULL: empty */
	vaddr_t va;
	pte_t pte; /* as it was when loaded, accessed and dirty included */
};

struct soft_tlb {
	pthread_mutex_t lock;
	struct tlb_entry entry[TLB_ENTRIES];
};

/* Locks that a thread holds, for host/lockdep.c; the last is the one taken last. */
#define HELD_MAX 64 /* a batch of pages that move are all locked */

struct held_lock {
	const void *lock;
	uint8_t class; /* 0: unknown */
	bool spin;
};

struct fibre;

struct thread {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool permit;
	bool kill;
	bool memalloc;      /* port_memalloc() */
	const void *wanted; /* the sleeping lock that it waits for; NULL: none */
	uint8_t wanted_class;
	unsigned nr_held;
	struct held_lock held[HELD_MAX];
	struct fibre *fibre; /* of a deterministic machine (host/schedule.c); NULL: a pthread */
};

/* Who has it is the CPU: code in mm/ is not preempted, and two threads of one CPU take turns (host/cpu.c). */
struct host_cpu {
	pthread_mutex_t possession;
};

/* What port_call_cpus() runs, one at a time on a machine. */
struct host_call {
	_Atomic bool busy;
	_Atomic uint64_t wanted; /* bit i: CPU i has not run it yet */
	void (*fn)(void *arg);
	void *arg;
};

struct host_machine {
	struct machine machine;
	struct host_cpu cpu[QUIRE_MAX_CPUS];
	struct host_call call;
	void (*interrupt)(void);
	enum host_mutant mutant;
	const char *mutant_lock;
	uint8_t watch;
	struct schedule *schedule; /* NULL: threads */
	uint8_t *ram;              /* the direct map: */
	size_t ram_size;           /*     so much of phys_size */
	uint64_t phys_size;
	struct page *mem_map;
	size_t mem_map_size;
	uint8_t *kva;
	size_t kva_size;
	pthread_mutex_t kva_lock; /* an entry and this process's mapping of it agree */
	int fd;
	const char *boot_words; /* NULL: none */
	unsigned levels;
	struct mmu_space kernel_space;
	struct soft_tlb tlb[QUIRE_MAX_CPUS];
};

struct host_machine *host_of(struct machine *m);
int host_mmu_init(struct host_machine *h);
struct thread *host_thread_self(void);

/* embed/layout.c, embed32/layout.c: the direct map and the addresses for vmalloc; high memory; physical accesses. */
bool host_map_layout(struct host_machine *h);
void host_unmap_layout(struct host_machine *h);
void host_start_highmem(struct host_machine *h);
void host_phys_read(struct host_machine *h, phys_t phys, void *buf, size_t len);
void host_phys_write(struct host_machine *h, phys_t phys, const void *buf, size_t len);

/* machine.c: take the identity of a CPU, without its possession. */
void host_be(struct host_machine *h, unsigned cpu, struct thread *self);
static inline struct host_machine *this_host(void)
{
	return host_of(machine());
}

/* cpu.c */
void host_cpu_init(struct host_machine *h);
void host_cpu_take(struct host_machine *h, unsigned cpu);
void host_cpu_release(void);             /* if the thread has one */
bool host_cpu_idle(void);                /* release it for a while; false: had none */
void host_cpu_busy(bool had);            /* and take it again */
void host_serve(struct host_machine *h); /* run what this CPU is called for */
void host_run_interrupt(void (*fn)(void *), void *arg);
void host_call_interrupt(struct host_machine *h);
void host_call_absent(struct host_machine *h, unsigned cpu);

/* lockdep.c */
void host_may_sleep(const char *what);
const char *host_lock_name(const spinlock_t *l);
const char *host_class_name(unsigned class);
bool host_holds(const struct thread *t, const void *lock);

#endif
