/*
 * internal.h - what the files of host/ share.
 */
#ifndef HOST_INTERNAL_H
#define HOST_INTERNAL_H

#include "host/host.h"

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

struct host_machine {
	struct machine machine;
	uint8_t *ram;
	uint64_t phys_size;
	struct page *mem_map;
	size_t mem_map_size;
	uint8_t *kva;
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

#endif
