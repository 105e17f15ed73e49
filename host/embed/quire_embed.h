/*
 * quire_embed.h - the inline part of seam 1 for the hosted machine: a process.
 *
 * CPUs, interrupts and locks are host/embed_cpu.h's. Physical memory is a shared-memory object mapped at host.ram;
 * frame 0 is its first page.
 */
#ifndef HOST_QUIRE_EMBED_H
#define HOST_QUIRE_EMBED_H

#include "host/embed_cpu.h"

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

#endif
