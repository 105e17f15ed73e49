/*
 * check.c - all invariants in one call, and failing on purpose.
 *
 * Being careful is a bit in every per-CPU list of frames, which closes the inline path, and no free list
 * in any CPU's slab, which closes that one (mm/slab). So while it is off it costs nothing at all.
 */
#include <quire/check.h>
#include <quire/highmem.h>
#include <quire/kva.h>
#include <quire/slab.h>

static void set_careful(void)
{
	struct machine *m = machine();
	bool on = m->poison || m->page_owner || m->debug_pagealloc ||
	          atomic_load(&m->fail_after) >= 0;

	if (on == m->careful)
		return;
	m->careful = on;
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		for (unsigned list = 0; m->cpu[i] && list < NR_PCP_LISTS; list++)
			m->cpu[i]->pcp[list].busy = on ? PCP_CAREFUL : 0;
	if (on)
		slab_flush_all();
}

static uint64_t inject(int64_t n, bool once)
{
	struct machine *m = machine();

	m->fail_once = once;
	atomic_store(&m->fail_after, n < 0 ? -1 : n);
	set_careful();
	return atomic_exchange(&m->failed, 0);
}

uint64_t fault_inject(int64_t n)
{
	return inject(n, false);
}

uint64_t fault_inject_once(int64_t n)
{
	return inject(n, true);
}

int64_t fault_inject_left(void)
{
	return atomic_load(&machine()->fail_after);
}

bool should_fail_alloc(gfp_t gfp)
{
	struct machine *m = machine();
	int64_t left = atomic_load(&m->fail_after);

	if (left < 0 || gfp & __GFP_NOFAIL)
		return false;
	while (left > 0)
		if (atomic_compare_exchange_weak(&m->fail_after, &left, left - 1))
			return false;
	if (m->fail_once) /* still careful, until the next fault_inject() */
		atomic_store(&m->fail_after, -1);
	atomic_fetch_add(&m->failed, 1);
	return true;
}

void check_poison(bool on)
{
	if (on) {
		drain_all_pages();
		poison_free_memory();
	}
	machine()->poison = on;
	set_careful();
}

const char *mm_check(void)
{
	const char *broken = frame_check();

	if (!broken)
		broken = lru_check();
	if (!broken)
		broken = slab_check();
	if (!broken && machine()->kva)
		broken = kva_check();
	if (!broken)
		broken = highmem_check();
	return broken;
}
