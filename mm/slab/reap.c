/*
 * reap.c - giving back with time what nobody has used lately (lecture 001: cache_reap).
 *
 * Every two seconds each cache is looked at. What a CPU holds of it and has not moved since the last time, its array
 * or, where that is closed, its slabs, goes back, and so do the slabs that are empty. When memory is short the reaper is woken,
 * and everything goes back, moved or not.
 *
 * Only the CPU itself may touch its array, and a CPU that idles touches nothing: so the thread goes from CPU to CPU. The
 * mutex of the list is held for one cache at a time, so that reclaim, which waits for it, waits for no more than that.
 */
#include "mm/slab/internal.h"

#define REAP_NS 2000000000u

/* Another number whenever the CPU has taken or given back an object. */
static uintptr_t cpu_mark(const struct kmem_cache_cpu *c)
{
	return (uintptr_t)c->top ^ (uintptr_t)c->freelist ^ (uintptr_t)c->page;
}

static void reap_cache(struct kmem_cache *s, void *all)
{
	struct kmem_cache_cpu *c = slab_cpu(s);

	if (*(bool *)all || c->seen == cpu_mark(c))
		slab_flush_cpu(s, c);
	c = slab_cpu(s);
	c->seen = cpu_mark(c);
	s->ops->discard(s);
}

static void reap_caches(bool all)
{
	slab_each_cache(reap_cache, &all);
}

void slab_reap(void)
{
	reap_caches(false);
}

void slab_reap_cpus(bool all)
{
	for (unsigned cpu = 0; cpu < machine()->nr_cpus; cpu++) {
		port_set_cpus((uint64_t)1 << cpu);
		reap_caches(all);
	}
}

/* The flag is cleared first: whoever sets it meanwhile gets another round. */
static NORETURN void reaper(struct slab_state *st)
{
	atomic_store(&st->reaper, port_self());
	for (;;) {
		if (!atomic_load(&st->reap_all))
			port_block_until(port_now_ns() + REAP_NS);
		slab_reap_cpus(atomic_exchange(&st->reap_all, false));
	}
}

static void reaper_thread(void *st)
{
	reaper(st);
}

int slab_start_reaper(void)
{
	if (totalram_pages() < SLAB_SMALL_PAGES)
		return 0;
	return port_kthread_start("cache_reap", reaper_thread, slab_state());
}

/* For the other CPUs' sake: without any, all was given back already. */
void slab_wake_reaper(void)
{
	struct slab_state *st = slab_state();
	struct thread *thread = atomic_load(&st->reaper);

	if (thread && machine()->nr_cpus > 1 && !atomic_exchange(&st->reap_all, true))
		port_unblock(thread);
}
