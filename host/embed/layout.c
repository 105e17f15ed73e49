/*
 * layout.c - where a machine's memory lies in the process: all of it is the direct map, anywhere.
 */
#define _GNU_SOURCE
#include "host/internal.h"

#include <sys/mman.h>

#define KVA_SIZE (8ull << 30) /* kernel addresses for vmalloc */

static void *map(size_t size, int prot, int flags, int fd)
{
	void *p = mmap(NULL, size, prot, flags | MAP_NORESERVE, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

bool host_map_layout(struct host_machine *h)
{
	h->ram_size = h->phys_size;
	h->ram = map(h->ram_size, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd);
	h->kva_size = KVA_SIZE;
	h->kva = map(h->kva_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	return h->ram && h->kva;
}

void host_unmap_layout(struct host_machine *h)
{
	if (h->ram)
		munmap(h->ram, h->ram_size);
	if (h->kva)
		munmap(h->kva, h->kva_size);
}

void host_start_highmem(struct host_machine *h)
{
	(void)h;
}

/* An aligned word moves as a whole, as on hardware: programs may race for it, and the manager does not care. */
static void move(void *to, const void *from, size_t len)
{
	if (len == 8 && !(((uintptr_t)to | (uintptr_t)from) & 7))
		__atomic_store_n((uint64_t *)to,
		                 __atomic_load_n((const uint64_t *)from, __ATOMIC_RELAXED),
		                 __ATOMIC_RELAXED);
	else
		memcpy(to, from, len);
}

void host_phys_read(struct host_machine *h, phys_t phys, void *buf, size_t len)
{
	move(buf, h->ram + phys.a, len);
}

void host_phys_write(struct host_machine *h, phys_t phys, const void *buf, size_t len)
{
	move(h->ram + phys.a, buf, len);
}
