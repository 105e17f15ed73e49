/*
 * reap.c - giving back with time what nobody has used lately (lecture 001: cache_reap).
 *
 * Every two seconds each cache is looked at. What a CPU holds of it and has not moved since the last time, its array or, where
 * that is closed, its slabs, goes back, and so do the slabs that are empty. Only the CPU itself may touch its array, so a round reaches the CPU it
 * runs on; the thread is moved about by the scheduler, and the other CPUs' turn comes. One cache at a time
 * is worked on, so that nobody waits long for the list.
 */
#include "mm/slab/internal.h"

#define REAP_NS 2000000000u

/* Another number whenever the CPU has taken or given back an object. */
static uintptr_t cpu_mark(const struct kmem_cache_cpu *c)
{
	return (uintptr_t)c->top ^ (uintptr_t)c->freelist ^ (uintptr_t)c->page;
}

static void reap_cache(struct kmem_cache *s)
{
	struct kmem_cache_cpu *c = slab_cpu(s);

	if (c->seen == cpu_mark(c))
		slab_flush_cpu(s, c);
	c = slab_cpu(s);
	c->seen = cpu_mark(c);
	s->ops->discard(s);
}

void slab_reap(void)
{
	struct kmem_cache *s;

	mutex_lock(&slab_state()->lock);
	list_for_each_entry(s, &slab_state()->caches, list) {
		reap_cache(s);
		port_cond_resched();
	}
	mutex_unlock(&slab_state()->lock);
}

static NORETURN void reaper(void *unused UNUSED)
{
	for (;;) {
		port_block_until(port_now_ns() + REAP_NS);
		slab_reap();
	}
}

static void reaper_thread(void *unused)
{
	reaper(unused);
}

int slab_start_reaper(void)
{
	if (totalram_pages() < SLAB_SMALL_PAGES)
		return 0;
	return port_kthread_start("cache_reap", reaper_thread, NULL);
}
