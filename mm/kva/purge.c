/*
 * purge.c - giving kernel addresses back: late, and many with one flush.
 *
 * Telling every CPU to forget a translation costs an interrupt on each; so an area that is freed only loses its
 * entries at once, and its addresses stay taken. When more than lazy_max_pages() wait, one flush over all of them is made,
 * and then they are free. Until the flush a stale translation is harmless: the addresses are nobody's, so only a pointer
 * that must not be used any more could reach a frame through it.
 *
 *       tree:  [busy |g][lazy     ][busy |g][lazy            ][busy |g]
 *                          |                   |
 *       lazy list ---------+-------------------+           neighbours have become one: few descriptions wait
 *
 *       purge:  LAZY areas leave the list, state PURGING   (lock)
 *               one flush from the lowest to the highest    (purge_lock alone: interrupts are on, other CPUs allocate)
 *               PURGING areas leave the tree                (lock)
 *
 * A search for room that fails purges and looks again; so nothing is lost by waiting. lazy_max_pages: Linux's rule, 32 MB
 * times the binary digits of the number of CPUs: the flush costs more with more CPUs, but not proportionally.
 */
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"

uint64_t lazy_max_pages(void)
{
	uint64_t digits = 32 - (unsigned)__builtin_clz(machine()->nr_cpus);

	return digits * ((32u << 20) >> PAGE_SHIFT);
}

static bool is_lazy(const struct vmap_area *area)
{
	return area && vmap_area_state(area) == VMAP_LAZY;
}

static uint64_t size_in_pages(const struct vmap_area *area)
{
	return (area->end - area->start) >> PAGE_SHIFT;
}

/* --- purging ------------------------------------------------------------------------------------- */

/* All that is lazy, onto a list of its own. How many; what they span. */
static unsigned detach_lazy(struct kva_state *k, struct list_head *list, vaddr_t *start,
                            vaddr_t *end)
{
	struct vmap_area *area, *next;
	unsigned n = 0;

	*start = UINT64_MAX;
	*end = 0;
	spin_lock(&k->lock);
	list_for_each_entry_safe(area, next, &k->lazy, lazy) {
		*start = MIN(*start, area->start);
		*end = MAX(*end, area->end);
		atomic_store_explicit(&area->state, VMAP_PURGING, memory_order_relaxed);
		list_move_tail(&area->lazy, list);
		n++;
	}
	k->lazy_pages = 0;
	spin_unlock(&k->lock);
	return n;
}

static void erase_all(struct kva_state *k, struct list_head *list)
{
	struct vmap_area *area, *next;

	spin_lock(&k->lock);
	list_for_each_entry(area, list, lazy)
		vmap_area_erase(k, area);
	spin_unlock(&k->lock);
	list_for_each_entry_safe(area, next, list, lazy)
		kmem_cache_free(k->cache, area);
}

void purge_vmap_area_lazy(void)
{
	struct kva_state *k = kva_state();
	struct list_head purging = LIST_HEAD_INIT(purging);
	vaddr_t start, end;
	unsigned n;

	mutex_lock(&k->purge_lock);
	n = detach_lazy(k, &purging, &start, &end);
	if (n) {
		trace_purge_vmap_area_lazy(start, end, n);
		count(VMAP_PURGE);
		mmu_flush_kernel_range(start, end);
		erase_all(k, &purging);
	}
	mutex_unlock(&k->purge_lock);
}

/* --- becoming lazy ------------------------------------------------------------------------------- */

/* Join area with lazy neighbours that touch it. The descriptions left over, which the caller frees, go to unused. (K) */
static unsigned join_lazy(struct kva_state *k, struct vmap_area *area, struct vmap_area **unused)
{
	struct vmap_area *prev = vmap_area_of(rb_prev(&area->rb));
	struct vmap_area *next = vmap_area_of(rb_next(&area->rb));
	unsigned n = 0;

	if (is_lazy(next) && !next->gap) {
		list_del(&next->lazy);
		vmap_area_absorb(k, area, next);
		unused[n++] = next;
	}
	if (is_lazy(prev) && !area->gap) {
		vmap_area_absorb(k, prev, area);
		unused[n++] = area;
		return n;
	}
	atomic_store_explicit(&area->state, VMAP_LAZY, memory_order_relaxed);
	list_add_tail(&area->lazy, &k->lazy);
	return n;
}

void vmap_area_free_lazy(struct vmap_area *area)
{
	struct kva_state *k = kva_state();
	struct vmap_area *unused[2];
	vaddr_t start = area->start;
	uint64_t lazy_pages;
	unsigned n;

	trace_vunmap(start, area->pages << PAGE_SHIFT);
	spin_lock(&k->lock);
	lazy_pages = k->lazy_pages += size_in_pages(area);
	n = join_lazy(k, area, unused);
	spin_unlock(&k->lock);
	while (n)
		kmem_cache_free(k->cache, unused[--n]);
	trace_free_vmap_area_noflush(start, lazy_pages, lazy_max_pages());
	if (unlikely(lazy_pages > lazy_max_pages()))
		purge_vmap_area_lazy();
}
