/*
 * host.h - the hosted machine: the memory manager inside an ordinary process.
 *
 *     struct host_machine *h = host_create(&(struct host_config){.ram = 64 << 20, .cpus = 2});
 *     ... mm calls; this thread is CPU 0 ...
 *     host_run_on(h, 1, fn, arg);   // another thread, as CPU 1
 *     host_destroy(h);
 *
 * Guest memory is a shared-memory object, so that a frame can be seen at more than one address:
 * in the direct map and, by vmalloc, wherever the soft MMU maps it.
 */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <quire/machine.h>
#include <quire/mmu.h>

struct mm_struct;
struct host_machine;

/*
 * A machine that is broken on purpose, to show that a test would notice (test/unit/host/mutants_test.c): a flush that
 * leaves the other CPUs' translations, a lock of one class that does not lock, a wake-up that is lost.
 */
enum host_mutant { MUTANT_NONE, MUTANT_LOCAL_FLUSH, MUTANT_NO_LOCK, MUTANT_LOST_WAKE_UP };

struct host_config {
	uint64_t ram;        /* bytes, from physical address 0; page 0 is reserved */
	uint64_t hole_start; /* [hole_start, hole_end) is no memory; 0, 0: no hole */
	uint64_t hole_end;
	unsigned cpus;   /* default 1, at most QUIRE_MAX_CPUS */
	unsigned levels; /* page-table levels, 4 or 5; default 4 */
	uint64_t seed;
	uint64_t trace_size; /* bytes of trace rings at the top of memory; 0: none */
	/* As on a kernel's command line; must last as long as the machine. */
	const char *boot_words;
	struct frame_config frames; /* nodes, ZONE_MOVABLE, grouping */
	bool watch_locks; /* lock order, sleeping under spin locks, interrupts: host/lockdep.c */
	void (*interrupt)(void); /* runs as an interrupt, now here, now there; NULL: none */
	/* Not 0: a deterministic machine, which does the same again for the same number. */
	uint64_t schedule;
	enum host_mutant mutant;
	const char *mutant_lock; /* MUTANT_NO_LOCK: class whose name contains this */
};

/* Make and start a machine (mm_init done); the calling thread becomes its CPU 0. NULL: no memory in the process. */
struct host_machine *host_create(const struct host_config *config);

/* The calling thread leaves the machine; all its memory goes. No other thread is in it. */
void host_destroy(struct host_machine *h);

/* False under the thread sanitizer, which does not understand fibres: host_config.schedule is not for it. */
bool host_can_schedule(void);

/* Start a thread as CPU `cpu` that runs fn(arg); host_join waits for it. */
struct host_task;
struct host_task *host_run_on(struct host_machine *h, unsigned cpu, void (*fn)(void *), void *arg);
void host_join(struct host_task *task);

/* The calling thread, in no machine or in another, becomes CPU `cpu` of h. */
void host_enter(struct host_machine *h, unsigned cpu);

/*
 * A program's load or store of len bytes at va, as its CPU would do it: through this CPU's TLB, a walk that
 * sets accessed and dirty bits, page faults handled and retried. Returns 0, or the fault_result that ended it;
 * what came before the fault has been done.
 */
int host_read(struct mm_struct *mm, vaddr_t va, void *buf, size_t len);
int host_write(struct mm_struct *mm, vaddr_t va, const void *buf, size_t len);
int host_fetch(struct mm_struct *mm, vaddr_t va); /* instruction fetch: execute permission */

/* Translations that this CPU's TLB holds now (tests of flushing). */
unsigned host_tlb_entries(void);

/* The last lines of the log, and a switch to show it on stderr. */
extern bool host_log_to_stderr;

/* Each line of the log of this thread, if set. */
extern _Thread_local void (*host_log_hook)(const char *line);

/* port_panic() calls this first, if set: a test that expects a panic jumps out of it. */
extern _Thread_local void (*host_panic_hook)(const char *message);

#endif
