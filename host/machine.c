/*
 * machine.c - making and ending hosted machines.
 *
 * A machine's physical memory is one memfd. It is mapped whole, or as far as kernel addresses reach (the direct
 * map, layout.c); soft_mmu.c maps single frames of it a second time for kernel addresses. mem_map lies outside of it.
 */
#define _GNU_SOURCE
#include "host/internal.h"
#include "host/schedule.h"

#include <quire/kva.h>
#include <quire/slab.h>
#include <quire/trace.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A thread that is in no machine. */
static _Atomic uint64_t no_calls;
#define HOST_NOWHERE               \
	{                          \
		.calls = &no_calls \
	}
_Thread_local struct host_thread_state host = HOST_NOWHERE;

static void be_nowhere(void)
{
	host = (struct host_thread_state)HOST_NOWHERE;
}

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
	if (h->schedule)
		schedule_free(h->schedule);
	host_unmap_layout(h);
	if (h->mem_map)
		munmap(h->mem_map, h->mem_map_size);
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}

void host_be(struct host_machine *h, unsigned cpu, struct thread *self)
{
	host = (struct host_thread_state){
	        .machine = &h->machine,
	        .area = h->machine.cpu[cpu],
	        .ram = h->ram,
	        .mem_map = h->mem_map,
	        .cpu = cpu,
	        .cpu_line = cpu * CACHELINE,
	        .mmu_levels = h->levels,
	        .watch = h->watch,
	        .calls = &h->call.wanted,
	        .self = self,
	};
}

void host_enter(struct host_machine *h, unsigned cpu)
{
	host_cpu_release();
	if (h->schedule) {
		schedule_enter(h->schedule, cpu);
		return;
	}
	host_cpu_take(h, cpu);
	host_be(h, cpu, host_thread_self());
	host.self->nr_held = 0; /* what a test that jumped out of a panic had */
}

static void configure(struct host_machine *h, const struct host_config *config)
{
	uint64_t hole = config->hole_end - config->hole_start;

	h->fd = -1;
	h->phys_size = PAGE_ALIGN(config->ram + hole);
	h->levels = config->levels ? config->levels : 4;
	h->boot_words = config->boot_words;
	h->machine.config = config->frames;
	h->machine.seed = config->seed;
	h->interrupt = config->interrupt;
	h->mutant = config->mutant;
	h->mutant_lock = config->mutant_lock;
	h->watch = (uint8_t)((config->watch_locks ? HOST_WATCH_LOCKS : 0) |
	                     (config->schedule ? HOST_WATCH_SCHEDULE : 0) |
	                     (config->interrupt ? HOST_WATCH_TIMER : 0));
	host_cpu_init(h);
}

static bool start_machine(struct host_machine *h, const struct host_config *config)
{
	if (!describe_memory(config, h))
		return false;
	mm_init();
	if (host_mmu_init(h) != 0)
		return false;
	kva_init((vaddr_t)(uintptr_t)h->kva, (vaddr_t)(uintptr_t)h->kva + h->kva_size);
	host_start_highmem(h);
	if (config->trace_size)
		trace_init(PHYS(h->ram_size - config->trace_size), config->trace_size);
	slab_flush_all(); /* arrays that were opened before tracing was on */
	return true;
}

struct host_machine *host_create(const struct host_config *config)
{
	struct host_machine *h = aligned_alloc(alignof(struct host_machine), sizeof(*h));

	if (!h)
		return NULL;
	memset(h, 0, sizeof(*h));
	configure(h, config);
	if (!map_memory(h) || !make_cpus(h, config->cpus ? config->cpus : 1))
		goto fail;
	if (config->schedule && !(h->schedule = schedule_new(h, config->schedule)))
		goto fail;
	host_enter(h, 0);
	if (start_machine(h, config))
		return h;
	host_cpu_release();
fail:
	be_nowhere();
	free_machine(h);
	return NULL;
}

void host_destroy(struct host_machine *h)
{
	host_cpu_release();
	be_nowhere();
	free_machine(h);
}

struct host_machine *host_of(struct machine *m)
{
	return container_of(m, struct host_machine, machine);
}

struct host_task {
	pthread_t thread;
	struct fibre *fibre; /* on a deterministic machine, instead */
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
	host_cpu_release();
	return NULL;
}

struct host_task *host_run_on(struct host_machine *h, unsigned cpu, void (*fn)(void *), void *arg)
{
	struct host_task *task = malloc(sizeof(*task));

	if (!task)
		return NULL;
	*task = (struct host_task){.h = h, .cpu = cpu, .fn = fn, .arg = arg};
	if (h->schedule ? !(task->fibre = schedule_start(h->schedule, cpu, fn, arg))
	                : pthread_create(&task->thread, NULL, task_main, task) != 0) {
		free(task);
		return NULL;
	}
	if (task->fibre)
		schedule_keep(task->fibre, task);
	return task;
}

/* Others may be this CPU meanwhile. */
void host_join(struct host_task *task)
{
	bool had;

	if (task->fibre) {
		schedule_join(task->fibre);
		return;
	}
	had = host_cpu_idle();
	pthread_join(task->thread, NULL);
	host_cpu_busy(had);
	free(task);
}
