/*
 * kva_smp_test.c - kernel addresses from several threads at once, and in a larger machine than the other tests have. Meant
 * for the thread sanitizer too.
 */
#include "host/internal.h"
#include "mm/kva/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/mm/kva/frames.h"
#include "test/unit/unit.h"

#include <quire/check.h>

#define CPUS   4u
#define SLOTS  24u
#define ROUNDS 1500u
#define MB     (1u << 20)

static void with_machine(uint64_t ram, void (*test)(void))
{
	CHECK(own_enter(&(struct host_config){.ram = ram, .cpus = CPUS, .seed = unit_seed()}));
	test();
	own_leave();
}

/* --- areas that travel -------------------------------------------------------------------------------- */

struct block {
	uint64_t size, slot;
};

static _Atomic(struct block *) shared[SLOTS];
static _Atomic unsigned wrong;

static uint64_t *last_word(struct block *b)
{
	return (uint64_t *)((char *)b + b->size) - 1;
}

static void free_block(struct random *r, struct block *b, uint64_t slot)
{
	if (b->slot != slot || *last_word(b) != slot)
		atomic_fetch_add(&wrong, 1);
	if (random_one_in(r, 8))
		vfree_atomic(b);
	else
		vfree(b);
}

static struct block *make_block(struct random *r, uint64_t slot)
{
	uint64_t size = random_one_in(r, 20) ? 2 * MB + 3 * PAGE_SIZE
	                                     : (1 + random_below(r, 40)) * PAGE_SIZE;
	struct block *b = __vmalloc(size, GFP_KERNEL | __GFP_NOWARN);

	if (b) {
		*b = (struct block){size, slot};
		*last_word(b) = slot;
	}
	return b;
}

static void map_device(void)
{
	void *p = ioremap(PHYS(memblock_end() + 16 * MB), 3 * PAGE_SIZE);

	if (p)
		iounmap(p);
	else
		atomic_fetch_add(&wrong, 1);
}

static void trade(void *arg)
{
	struct random r;

	random_seed(&r, unit_seed() + (uint64_t)(uintptr_t)arg);
	for (unsigned n = 0; n < ROUNDS; n++) {
		uint64_t slot = random_below(&r, SLOTS);
		struct block *b = atomic_exchange(&shared[slot], NULL);

		if (b)
			free_block(&r, b, slot);
		else if ((b = make_block(&r, slot)))
			vfree(atomic_exchange(&shared[slot], b));
		if (random_one_in(&r, 40))
			vm_unmap_aliases();
		if (random_one_in(&r, 40))
			map_device();
	}
}

static void trade_on_all(void)
{
	struct host_task *task[CPUS];

	for (uint64_t i = 1; i < CPUS; i++)
		CHECK(task[i] = host_run_on(own, (unsigned)i, trade, (void *)i));
	trade(NULL);
	for (unsigned i = 1; i < CPUS; i++)
		host_join(task[i]);
	for (unsigned i = 0; i < SLOTS; i++)
		vfree(atomic_exchange(&shared[i], NULL));
	vm_unmap_aliases();
	CHECK_EQ(atomic_load(&wrong), 0);
	CHECK_EQ(vmalloc_used_pages(), 0);
	CHECK_SOUND(mm_check());
}

UNIT_TEST(areas_travel_between_cpus)
{
	CHECK_CALL(with_machine(64 << 20, trade_on_all));
}

/* --- 64 MB ----------------------------------------------------------------------------------------------- */

static void allocate_64_mb(void)
{
	const size_t size = 64 * MB;
	struct fragments f;
	uint64_t *p;

	CHECK_CALL(fragment_memory(&f, 3));
	CHECK_EQ(alloc_pages(GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN, 4), NULL);
	p = vmalloc(size);
	CHECK(p);
	for (size_t i = 0; i < size / 8; i += 512)
		p[i] = i;
	for (size_t i = 0; i < size / 8; i += 512)
		CHECK_EQ(p[i], i);
	CHECK_EQ(vmalloc_used_pages(), size / PAGE_SIZE);
	CHECK_SOUND(kva_check());
	vfree(p);
	unfragment_memory(&f);
	CHECK_SOUND(mm_check());
}

UNIT_TEST(large_areas_without_large_blocks)
{
	CHECK_CALL(with_machine(192 << 20, allocate_64_mb));
}

/* --- a tree of five levels ------------------------------------------------------------------------------- */

UNIT_TEST(five_levels)
{
	char *p;

	CHECK(own_enter(&(struct host_config){.ram = 32 << 20, .levels = 5}));
	p = vmalloc(4 * MB);
	CHECK(p);
	p[4 * MB - 1] = 1;
	CHECK_SOUND(kva_check());
	vfree(p);
	CHECK_SOUND(mm_check());
	own_leave();
}
