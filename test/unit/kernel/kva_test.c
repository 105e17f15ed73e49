/*
 * kva_test.c - kernel addresses on the real MMU: cache attributes, the fixmap, the memory map, top-level entries that
 * come late, and several CPUs at once.
 */
#include "arch/x86_64/internal.h"
#include "kernel/task.h"
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"
#include "test/unit/unit.h"

#include <quire/check.h>
#include <quire/mm.h>

#define MB (1u << 20)

/* Physical addresses where the machine has neither memory nor devices. */
#define NOBODY PHYS(0xe0000000)

static uint64_t all_cpus(void)
{
	return (1ull << machine()->nr_cpus) - 1;
}

/* --- cache attributes -------------------------------------------------------------------------------- */

static _Atomic unsigned wrong_pat;

static void look_at_pat(void *unused UNUSED)
{
	if (rdmsr(MSR_PAT) != 0x0407050600070106)
		atomic_fetch_add(&wrong_pat, 1);
}

UNIT_TEST(every_cpu_has_linuxs_pat)
{
	atomic_store(&wrong_pat, 0);
	port_call_cpus(all_cpus(), look_at_pat, NULL);
	CHECK_EQ(atomic_load(&wrong_pat), 0);
}

static uint64_t cache_bits(void *p)
{
	unsigned level;

	return kernel_map_entry((vaddr_t)(uintptr_t)p, &level).v & (PTE_PCD | PTE_PWT);
}

UNIT_TEST(ioremap_sets_the_attribute)
{
	static const struct {
		void *(*map)(phys_t phys, size_t size);
		uint64_t bits;
	} kinds[] = {{ioremap, PTE_PCD},
	             {ioremap_uc, PTE_PCD | PTE_PWT},
	             {ioremap_wc, PTE_PWT},
	             {ioremap_cache, 0}};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		char *p = kinds[i].map(PHYS(NOBODY.a + 0x123), 5000);

		CHECK(p);
		CHECK_EQ((uintptr_t)p % PAGE_SIZE, 0x123);
		CHECK_EQ(cache_bits(p), kinds[i].bits);
		CHECK_EQ(cache_bits(p + PAGE_SIZE), kinds[i].bits);
		CHECK_SOUND(kva_check());
		iounmap(p);
	}
}

UNIT_TEST(large_device_memory_has_large_pages)
{
	char *p = ioremap_wc(NOBODY, 5 * MB);
	unsigned level;
	pte_t e;

	CHECK(p);
	e = kernel_map_entry((vaddr_t)(uintptr_t)p + 2 * MB, &level);
	CHECK_EQ(level, 2);
	CHECK_EQ(e.v & (PTE_ADDR | PTE_PCD | PTE_PWT), (NOBODY.a + 2 * MB) | PTE_PWT);
	e = kernel_map_entry((vaddr_t)(uintptr_t)p + 4 * MB, &level);
	CHECK_EQ(level, 1);
	CHECK_SOUND(kva_check());
	iounmap(p);
	CHECK_SOUND(kva_check());
}

/* The same registers through the fixmap and through ioremap(). */
UNIT_TEST(registers_can_be_read)
{
	volatile uint32_t *fixed = (volatile uint32_t *)fix_to_virt(FIX_APIC_BASE);
	volatile uint32_t *p = ioremap_uc(PHYS(0xfee00000), PAGE_SIZE);

	CHECK(p);
	CHECK_NE(fixed[0x30 / 4], 0); /* version */
	CHECK_EQ(p[0x30 / 4], fixed[0x30 / 4]);
	iounmap((void *)(uintptr_t)p);
}

/* --- the map ------------------------------------------------------------------------------------------ */

static pte_t *entry_in_table(vaddr_t va)
{
	pfn_t table = mmu_kernel_space()->root;
	pte_t *e;

	for (unsigned level = mmu_levels();; level--) {
		e = (pte_t *)phys_to_virt(pfn_to_phys(table)) + mmu_index(va, level);
		if (!pte_is_table(*e, level))
			return e;
		table = pte_pfn(*e);
	}
}

UNIT_TEST(the_map_is_as_planned)
{
	CHECK_SOUND(kernel_map_check());
	CHECK_SOUND(fixmap_check());
}

/* Each kind of damage is seen. The entries are not used meanwhile, and not cached. */
UNIT_TEST(the_map_check_sees_damage)
{
	static const struct {
		vaddr_t va;
		uint64_t flip;
	} damage[] = {
	        {KERNEL_START + 0x101000, PTE_W},     /* text that can be written */
	        {DIRECT_MAP_START + 0x101000, PTE_W}, /* the same in the direct map */
	        {KERNEL_START + 0x100000, PTE_NX},    /* data that can be executed */
	        {FIXADDR_TOP, PTE_PCD},               /* registers that are cached */
	        {FIXADDR_TOP - 5 * PAGE_SIZE, PTE_P}, /* a page that nobody planned */
	        {0xffff880000000000, PTE_P | PTE_PS}, /* something in a hole */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(damage); i++) {
		pte_t *e = entry_in_table(damage[i].va);
		irq_state_t state = irq_save();
		const char *broken;

		e->v ^= damage[i].flip;
		broken = kernel_map_check();
		e->v ^= damage[i].flip;
		irq_restore(state);
		CHECK_MSG(broken, "damage %u was not seen", i);
	}
	CHECK_SOUND(kernel_map_check());
}

static struct dumped {
	unsigned lines, both;
} dumped;

static void count_line(void *ctx UNUSED, const char *text)
{
	bool writes = false, executes = false;

	dumped.lines++;
	for (; text[0] && text[1]; text++) {
		writes |= text[0] == 'R' && text[1] == 'W';
		executes |= text[0] == 'x' && text[1] == ' ';
	}
	dumped.both += writes && executes;
}

UNIT_TEST(nothing_can_be_written_and_executed)
{
	dumped = (struct dumped){0};
	kernel_map_dump(count_line, NULL);
	CHECK_GT(dumped.lines, 20);
	CHECK_EQ(dumped.both, 0);
}

/* --- late top-level entries --------------------------------------------------------------------------- */

#define ROOT_SPAN (1ull << 39)

static struct mmu_space *late_space;
static volatile uint64_t *late_data[16];
static _Atomic unsigned arrived, wrong_late;

static pte_t root_entry(const struct mmu_space *space, const volatile void *p)
{
	return ((pte_t *)phys_to_virt(
	        pfn_to_phys(space->root)))[mmu_index((vaddr_t)(uintptr_t)p, mmu_levels())];
}

/* On every CPU, in the old space, at the same time. Interrupts off. */
static void touch_late_data(void *unused UNUSED)
{
	struct mmu_space *old = this_cpu_ptr()->space;

	mmu_activate(late_space);
	for (unsigned i = 0; i < ARRAY_SIZE(late_data); i++) {
		atomic_fetch_add(&arrived, 1);
		while (atomic_load(&arrived) < (i + 1) * machine()->nr_cpus)
			; /* no pause: the emulator would let the others run */
		if (*late_data[i] != i + 100)
			atomic_fetch_add(&wrong_late, 1);
	}
	mmu_activate(old);
}

/*
 * Areas that need top-level entries of their own, made when a space exists that has no such entries. All CPUs
 * go through that space and meet the missing entries together.
 */
UNIT_TEST(late_top_level_entries_reach_old_spaces)
{
	static unsigned nth; /* tables stay: another run takes other entries */
	struct mm_struct *mm = mm_alloc(mmu_user_end());

	CHECK(mm);
	late_space = &mm->space;
	for (unsigned i = 0; i < ARRAY_SIZE(late_data); i++) {
		vaddr_t base = VMALLOC_START + (1 + nth++ % 48) * ROOT_SPAN;

		late_data[i] = vmalloc_range(PAGE_SIZE, base, base + ROOT_SPAN, GFP_KERNEL);
		CHECK(late_data[i]);
		*late_data[i] = i + 100;
		CHECK(pte_none(root_entry(late_space, late_data[i])));
		CHECK(!pte_none(root_entry(mmu_kernel_space(), late_data[i])));
	}
	atomic_store(&arrived, 0);
	atomic_store(&wrong_late, 0);
	port_call_cpus(all_cpus(), touch_late_data, NULL);
	CHECK_EQ(atomic_load(&wrong_late), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(late_data); i++) {
		CHECK_EQ(root_entry(late_space, late_data[i]).v,
		         root_entry(mmu_kernel_space(), late_data[i]).v);
		vfree((void *)(uintptr_t)late_data[i]);
	}
	mmput(mm);
	CHECK_SOUND(kernel_map_check());
}

/* --- several CPUs --------------------------------------------------------------------------------------- */

static void *for_cpu[QUIRE_MAX_CPUS];

static void free_here(void *unused UNUSED)
{
	vfree(for_cpu[cpu_id()]);
}

UNIT_TEST(freed_in_interrupts)
{
	uint64_t used = vmalloc_used_pages();

	for (unsigned i = 0; i < machine()->nr_cpus; i++) {
		CHECK(for_cpu[i] = vmalloc(3 * PAGE_SIZE));
		*(uint64_t *)for_cpu[i] = i;
	}
	port_call_cpus(all_cpus(), free_here, NULL);
	CHECK_EQ(vmalloc_used_pages(), used + 3 * machine()->nr_cpus);
	vm_unmap_aliases();
	CHECK_EQ(vmalloc_used_pages(), used);
	CHECK_SOUND(kva_check());
}

#define SLOTS  24u
#define ROUNDS 400u

struct block {
	uint64_t size, slot;
};

static _Atomic(struct block *) shared[SLOTS];
static _Atomic unsigned running, wrong_blocks;

static void write_ends(struct block *b, uint64_t size, uint64_t slot)
{
	uint64_t *last = (uint64_t *)((char *)b + size) - 1;

	*b = (struct block){size, slot};
	*last = slot;
}

static bool ends_are_right(const struct block *b, uint64_t slot)
{
	const uint64_t *last = (const uint64_t *)((const char *)b + b->size) - 1;

	return b->slot == slot && *last == slot;
}

/* Blocks travel from CPU to CPU through slots; whoever takes one out frees it or wonders at what is in it. */
static void trade_blocks(void *arg)
{
	struct random r;

	random_seed(&r, unit_seed() + (uint64_t)(uintptr_t)arg);
	for (unsigned n = 0; n < ROUNDS; n++) {
		uint64_t slot = random_below(&r, SLOTS);
		uint64_t size = random_one_in(&r, 20) ? 2 * MB + 3 * PAGE_SIZE
		                                      : (1 + random_below(&r, 40)) * PAGE_SIZE;
		struct block *b = atomic_exchange(&shared[slot], NULL);

		if (b) {
			if (!ends_are_right(b, slot))
				atomic_fetch_add(&wrong_blocks, 1);
			random_one_in(&r, 8) ? vfree_atomic(b) : vfree(b);
		} else if ((b = __vmalloc(size, GFP_KERNEL | __GFP_NOWARN))) {
			write_ends(b, size, slot);
			b = atomic_exchange(&shared[slot], b);
			vfree(b);
		}
		if (random_one_in(&r, 50))
			vm_unmap_aliases();
		if (random_one_in(&r, 20))
			port_cond_resched();
	}
	atomic_fetch_sub(&running, 1);
}

UNIT_TEST(areas_travel_between_cpus)
{
	unsigned threads = 2 * machine()->nr_cpus;

	atomic_store(&wrong_blocks, 0);
	atomic_store(&running, threads);
	for (unsigned i = 0; i < threads; i++)
		CHECK_EQ(port_kthread_start("vmalloc", trade_blocks, (void *)(uintptr_t)(i + 1)),
		         0);
	while (atomic_load(&running))
		port_block_until(port_now_ns() + 1000000);
	for (unsigned i = 0; i < SLOTS; i++) {
		vfree(atomic_exchange(&shared[i], NULL));
	}
	vm_unmap_aliases();
	CHECK_EQ(atomic_load(&wrong_blocks), 0);
	CHECK_SOUND(mm_check());
}
