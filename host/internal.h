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
	uint8_t *ram;    /* the direct map: */
	size_t ram_size; /*     so much of phys_size */
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

#endif
