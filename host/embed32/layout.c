/*
 * layout.c - the 32-bit machine's kernel half, at its true addresses in the process (quire_embed.h).
 *
 * Addresses from 3 GB on belong to the machine. Linux puts a process's libraries and mappings just below its
 * stack, that is, there; with a stack limit of 1 GB it leaves that much room below the stack and puts them
 * below 3 GB. So the process raises its limit, executes itself again, and takes the range before anybody else does. There is
 * one such range, therefore one machine at a time.
 */
#define _GNU_SOURCE
#include "host/internal.h"

#include <quire/highmem.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define KERNEL_SIZE  (KERNEL_END32 - PAGE_OFFSET)
#define STACK_ROOM   (1ul << 30)
#define THREAD_STACK (1ul << 20)
#define AGAIN        "QUIRE_SPLIT32"

static bool in_use;

/* The whole range, inaccessible; fixed: over what was there. */
static bool take_range(int fixed)
{
	void *want = (void *)(uintptr_t)PAGE_OFFSET;

	return mmap(want, KERNEL_SIZE, PROT_NONE,
	            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0) == want;
}

static void execute_again(char **argv)
{
	struct rlimit limit;

	if (!getenv(AGAIN) && !getrlimit(RLIMIT_STACK, &limit)) {
		limit.rlim_cur = STACK_ROOM;
		setenv(AGAIN, "1", 1);
		if (!setrlimit(RLIMIT_STACK, &limit))
			execv("/proc/self/exe", argv);
	}
	fprintf(stderr, "the addresses from 3 GB on are taken: a stack limit of 1 GB is needed\n");
	exit(2);
}

/* A new thread would otherwise get a stack of the limit's size. */
static void small_stacks(void)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
}

__attribute__((constructor)) static void reserve_kernel_half(int argc, char **argv)
{
	(void)argc;
	if (!take_range(MAP_FIXED_NOREPLACE))
		execute_again(argv);
	small_stacks();
}

bool host_map_layout(struct host_machine *h)
{
	uint8_t *base = (uint8_t *)(uintptr_t)PAGE_OFFSET;

	if (in_use || h->phys_size > 1ull << 32)
		return false;
	in_use = true;
	h->ram_size = (size_t)MIN(h->phys_size, LOWMEM_MAX);
	if (mmap(base, h->ram_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
	         h->fd, 0) != base)
		return false;
	h->ram = base;
	h->kva = (uint8_t *)(uintptr_t)VMALLOC_START32;
	h->kva_size = PKMAP_BASE - VMALLOC_START32;
	h->machine.config.lowmem_end = LOWMEM_MAX;
	return true;
}

void host_unmap_layout(struct host_machine *h)
{
	if (h->ram && !take_range(MAP_FIXED))
		abort();
	in_use = false;
}

void host_start_highmem(struct host_machine *h)
{
	(void)h;
	highmem_init(PKMAP_BASE, LAST_PKMAP, KMAP_LOCAL_BASE);
}

void host_no_address(uint64_t phys)
{
	port_panic("physical address %#llx has no kernel address", (unsigned long long)phys);
}

/* The machine's own bus needs no kernel address. */
void host_phys_read(struct host_machine *h, phys_t phys, void *buf, size_t len)
{
	if (pread(h->fd, buf, len, (off_t)phys.a) != (ssize_t)len)
		port_panic("cannot read physical memory at %#llx", (unsigned long long)phys.a);
}

void host_phys_write(struct host_machine *h, phys_t phys, const void *buf, size_t len)
{
	if (pwrite(h->fd, buf, len, (off_t)phys.a) != (ssize_t)len)
		port_panic("cannot write physical memory at %#llx", (unsigned long long)phys.a);
}
