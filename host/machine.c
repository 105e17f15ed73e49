/*
 * machine.c - making and ending hosted machines.
 *
 * A machine's physical memory is one memfd. It is mapped whole, or as far as kernel addresses reach (the direct
 * map, layout.c); soft_mmu.c maps single frames of it a second time for kernel addresses. mem_map lies outside of it.
 */
#define _GNU_SOURCE
#include "host/internal.h"

#include <quire/kva.h>
#include <quire/slab.h>
#include <quire/trace.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

_Thread_local struct host_thread_state host;

static void *map_anonymous(size_t size, int prot)
{
	void *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool map_memory(struct host_machine *h)
{
	h->fd = memfd_create("quire-ram", MFD_CLOEXEC);
	if (h->fd < 0 || ftruncate(h->fd, (off_t)h->phys_size) != 0)
		return false;
	h->mem_map_size = PAGE_ALIGN((size_t)(h->phys_size >> PAGE_SHIFT) * sizeof(struct page));
	h->mem_map = map_anonymous(h->mem_map_size, PROT_READ | PROT_WRITE);
	return h->mem_map && host_map_layout(h);
}

static bool make_cpus(struct host_machine *h, unsigned cpus)
{
	if (cpus > QUIRE_MAX_CPUS)
		return false;
	for (unsigned i = 0; i < cpus; i++) {
		struct cpu_area *area = aligned_alloc(alignof(struct cpu_area), sizeof(*area));

		if (!area)
			return false;
		memset(area, 0, sizeof(*area));
		h->machine.cpu[i] = area;
		pthread_mutex_init(&h->tlb[i].lock, NULL);
	}
	h->machine.nr_cpus = cpus;
	return true;
}

static bool describe_memory(const struct host_config *c, const struct host_machine *h)
{
	const uint64_t top = h->phys_size;
	int error = 0;

	if (c->hole_end) {
		error |= memblock_add(PHYS(0), c->hole_start);
		error |= memblock_add(PHYS(c->hole_end), top - c->hole_end);
	} else {
		error |= memblock_add(PHYS(0), top);
	}
	error |= memblock_reserve(PHYS(0), PAGE_SIZE);
	if (c->trace_size)
		error |= memblock_reserve(PHYS(h->ram_size - c->trace_size), c->trace_size);
	return error == 0;
}

static void free_machine(struct host_machine *h)
{
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		free(h->machine.cpu[i]);
	host_unmap_layout(h);
	if (h->mem_map)
		munmap(h->mem_map, h->mem_map_size);
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}

void host_enter(struct host_machine *h, unsigned cpu)
{
	host = (struct host_thread_state){
	        .machine = &h->machine,
	        .area = h->machine.cpu[cpu],
	        .ram = h->ram,
	        .mem_map = h->mem_map,
	        .cpu = cpu,
	        .cpu_line = cpu * CACHELINE,
	        .mmu_levels = h->levels,
	        .self = host_thread_self(),
	};
}

struct host_machine *host_create(const struct host_config *config)
{
	struct host_machine *h = aligned_alloc(alignof(struct host_machine), sizeof(*h));
	uint64_t hole = config->hole_end - config->hole_start;

	if (!h)
		return NULL;
	memset(h, 0, sizeof(*h));
	h->fd = -1;
	h->phys_size = PAGE_ALIGN(config->ram + hole);
	h->levels = config->levels ? config->levels : 4;
	h->machine.config = config->frames;
	if (!map_memory(h) || !make_cpus(h, config->cpus ? config->cpus : 1))
		goto fail;
	host_enter(h, 0);
	h->machine.seed = config->seed;
	h->boot_words = config->boot_words;
	if (!describe_memory(config, h))
		goto fail;
	mm_init();
	if (host_mmu_init(h) != 0)
		goto fail;
	kva_init((vaddr_t)(uintptr_t)h->kva, (vaddr_t)(uintptr_t)h->kva + h->kva_size);
	host_start_highmem(h);
	if (config->trace_size)
		trace_init(PHYS(h->ram_size - config->trace_size), config->trace_size);
	slab_flush_all(); /* arrays that were opened before tracing was on */
	return h;
fail:
	host = (struct host_thread_state){0};
	free_machine(h);
	return NULL;
}

void host_destroy(struct host_machine *h)
{
	host = (struct host_thread_state){0};
	free_machine(h);
}

struct host_machine *host_of(struct machine *m)
{
	return container_of(m, struct host_machine, machine);
}

struct host_task {
	pthread_t thread;
	struct host_machine *h;
	unsigned cpu;
	void (*fn)(void *);
	void *arg;
};

static void *task_main(void *arg)
{
	struct host_task *task = arg;

	host_enter(task->h, task->cpu);
	task->fn(task->arg);
	return NULL;
}

struct host_task *host_run_on(struct host_machine *h, unsigned cpu, void (*fn)(void *), void *arg)
{
	struct host_task *task = malloc(sizeof(*task));

	if (!task)
		return NULL;
	*task = (struct host_task){.h = h, .cpu = cpu, .fn = fn, .arg = arg};
	if (pthread_create(&task->thread, NULL, task_main, task) != 0) {
		free(task);
		return NULL;
	}
	return task;
}

void host_join(struct host_task *task)
{
	pthread_join(task->thread, NULL);
	free(task);
}
