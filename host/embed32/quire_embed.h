/*
 * quire_embed.h - the inline part of seam 1 for the hosted 32-bit machine: a 32-bit process.
 *
 * CPUs, interrupts and locks are host/embed_cpu.h's.
 *
 * The classic split (lecture 004): programs have the lower 3 GB of addresses, the kernel the upper one.
 * The lowest 896 MB of physical memory are mapped at 0xC0000000; what lies above is high memory and has no kernel
 * address until it is given one (highmem.h). These are addresses of this process (layout.c makes room).
 *
 *     0xC0000000  direct map, 896 MB
 *     0xF8800000  vmalloc, up to
 *     0xFD000000  kmap: 1024 pages
 *     0xFD400000  kmap_local: 16 pages for each CPU
 */
#ifndef HOST_QUIRE_EMBED32_H
#define HOST_QUIRE_EMBED32_H

#include "host/embed_cpu.h"

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

#endif
