/*
 * kernel_map.c - the kernel memory map of x86-64 (mechanism 3.5): the plan, whether the tables keep to it, and what they say.
 *
 *     0000000000000000   user space                  128 TB   each program's own
 *          ... not canonical ...
 *     ffff800000000000   guard hole                    8 TB   empty
 *     ffff880000000000   hole                        0.5 TB   empty (Linux: remapped LDT)
 *     ffff888000000000   direct map                   64 TB   all memory, at a fixed distance
 *     ffffc88000000000   hole                        0.5 TB   empty
 *     ffffc90000000000   vmalloc, ioremap             32 TB   on demand; kernel stacks in the first 512 GB
 *     ffffe90000000000   hole                          1 TB   empty
 *     ffffea0000000000   vmemmap                       1 TB   descriptors of frames
 *     ffffeb0000000000   hole                        ~21 TB   empty
 *     ffffffff80000000   kernel image                512 MB   from physical 0
 *     ffffffffa0000000   hole                                 empty (Linux: modules)
 *     ffffffffff600000   fixmap                        2 MB   fixmap.c
 *     ffffffffff800000   hole                          8 MB   empty
 *
 * The check runs at boot, when all tables are made, and costs some thousand instructions. It looks at every
 * top-level entry, at both ends of the direct map, and at every page of the image, in both of its mappings: nothing can be
 * both written and executed. The dump (/sys/kernel/debug/page_tables/kernel) looks at everything.
 *
 * A leaf table of vmalloc's range may go while others look (mm/pt/kernel.c), but only after every CPU has answered an
 * interrupt; so each walk from the root is made with interrupts off.
 *
 * Source: lecture 001; Linux's Documentation/x86/x86_64/mm.rst and the form of its dump.
 */
#include "arch/x86_64/internal.h"
#include "lib/format.h"

#include <quire/machine.h>

static const struct region {
	vaddr_t start;
	const char *name; /* NULL: nothing may be mapped */
} regions[] = {
        {0x0000000000000000, NULL}, /* the master table has no user space */
        {0xffff800000000000, NULL}, {DIRECT_MAP_START, "Low Kernel Mapping"},
        {0xffffc88000000000, NULL}, {VMALLOC_START, "vmalloc() Area"},
        {VMALLOC_END, NULL},        {VMEMMAP_START, "Vmemmap"},
        {0xffffeb0000000000, NULL}, {KERNEL_START, "High Kernel Mapping"},
        {KERNEL_END, NULL},         {ALIGN_DOWN(FIXADDR_TOP, 1ull << 21), "Fixmap Area"},
        {0xffffffffff800000, NULL},
};

/* The last byte of region i. */
static vaddr_t region_last(unsigned i)
{
	return i + 1 < ARRAY_SIZE(regions) ? regions[i + 1].start - 1 : UINT64_MAX;
}

static const struct region *region_of(vaddr_t va)
{
	unsigned i = 0;

	while (va > region_last(i))
		i++;
	return &regions[i];
}

/* The table whose entry decides about va, and its level. Interrupts off, or nobody takes tables away. */
static pte_t *deciding_table(vaddr_t va, unsigned *level)
{
	pte_t *table = phys_to_virt(pfn_to_phys(mmu_kernel_space()->root));

	for (*level = mmu_levels();; --*level) {
		pte_t e = pte_read(&table[mmu_index(va, *level)]);

		if (!pte_is_table(e, *level))
			return table;
		table = phys_to_virt(pfn_to_phys(pte_pfn(e)));
	}
}

pte_t kernel_map_entry(vaddr_t va, unsigned *level)
{
	irq_state_t state = irq_save();
	pte_t e = pte_read(&deciding_table(va, level)[mmu_index(va, *level)]);

	irq_restore(state);
	return e;
}

const pte_t *kernel_map_leaf_table(vaddr_t va)
{
	unsigned level;
	const pte_t *table = deciding_table(va, &level);

	return level == 1 ? table : NULL;
}

/* --- the check ----------------------------------------------------------------------------------------- */

/* The first address that entry i of the root leads to. */
static vaddr_t root_address(unsigned i)
{
	uint64_t va = (uint64_t)i << mmu_shift(mmu_levels());
	unsigned unused_bits = 64 - mmu_shift(mmu_levels() + 1);

	return (uint64_t)((int64_t)(va << unused_bits) >> unused_bits);
}

/* Does [first, last] touch a region where something may be? */
static bool may_be_mapped(vaddr_t first, vaddr_t last)
{
	for (unsigned i = 0; i < ARRAY_SIZE(regions); i++)
		if (regions[i].name && regions[i].start <= last && first <= region_last(i))
			return true;
	return false;
}

static const char *check_root(void)
{
	const pte_t *root = phys_to_virt(pfn_to_phys(mmu_kernel_space()->root));

	for (unsigned i = 0; i < 512; i++) {
		vaddr_t first = root_address(i);
		vaddr_t last = first + ((vaddr_t)1 << mmu_shift(mmu_levels())) - 1;

		if (!pte_none(root[i]) && !may_be_mapped(first, last))
			return "a top-level entry in a hole";
	}
	if (pte_none(root[mmu_index(VMALLOC_START, mmu_levels())]) ||
	    mmu_index(KSTACK_AREA_END - 1, mmu_levels()) != mmu_index(VMALLOC_START, mmu_levels()))
		return "kernel stacks without a top-level entry of their own";
	return NULL;
}

/* Is va mapped to phys, with exactly these of the bits W and NX? */
static bool maps(vaddr_t va, uint64_t phys, uint64_t bits)
{
	unsigned level;
	pte_t e = kernel_map_entry(va, &level);
	uint64_t within = va & (((vaddr_t)1 << mmu_shift(level)) - 1);

	return e.v & PTE_P && (e.v & (PTE_W | PTE_NX | PTE_U)) == bits &&
	       pfn_to_phys(pte_pfn(e)).a + within == phys;
}

static const char *check_direct_map(void)
{
	const struct memblock *mb = &machine()->memblock;

	for (unsigned i = 0; i < mb->nr_memory; i++) {
		uint64_t first = mb->memory[i].start, last = mb->memory[i].end - PAGE_SIZE;

		if (!maps((vaddr_t)phys_to_virt(PHYS(first)), first, PTE_W | PTE_NX) ||
		    !maps((vaddr_t)phys_to_virt(PHYS(last)), last, PTE_W | PTE_NX) ||
		    virt_to_phys(phys_to_virt(PHYS(last))).a != last)
			return "a range of memory and the direct map";
	}
	return NULL;
}

/* Not mapped: the guard of the boot stack, and, later, what only boot needed. */
static bool may_be_absent(const char *p)
{
	extern char boot_stack_guard[];

	return p == boot_stack_guard || (p >= __init_start && p < __init_end);
}

static uint64_t image_bits(const char *p)
{
	if (p >= __text_start && p < __text_end)
		return 0;
	return p >= __text_end && p < __data_start ? PTE_NX : PTE_W | PTE_NX;
}

/* A page of the image by its entry: mapped to phys, with exactly these of the bits W and NX. */
static bool is_page(pte_t e, uint64_t phys, uint64_t bits)
{
	return (e.v & (PTE_ADDR | PTE_P | PTE_W | PTE_NX | PTE_U)) == (phys | PTE_P | bits);
}

static const char *check_image(void)
{
	const pte_t *image = NULL, *direct = NULL;

	for (char *p = __image_start; p < __image_end; p += PAGE_SIZE) {
		uint64_t bits = image_bits(p), phys = image_to_phys(p).a;
		unsigned i = mmu_index(phys, 1);

		if (!image || !i) {
			image = kernel_map_leaf_table((vaddr_t)p);
			direct = kernel_map_leaf_table((vaddr_t)phys_to_virt(PHYS(phys)));
		}
		if (!image || !direct || !is_page(direct[i], phys, bits | PTE_NX))
			return "the image in the direct map";
		if (!is_page(image[i], phys, bits) && !(may_be_absent(p) && pte_none(image[i])))
			return "the image";
	}
	return NULL;
}

static const char *check_vmemmap(void)
{
	const struct memblock *mb = &machine()->memblock;

	for (unsigned i = 0; i < mb->nr_memory; i++) {
		vaddr_t first = (vaddr_t)(mem_map() + (mb->memory[i].start >> PAGE_SHIFT));
		vaddr_t last = (vaddr_t)(mem_map() + (mb->memory[i].end >> PAGE_SHIFT)) - 1;
		unsigned level;

		if (!(kernel_map_entry(first, &level).v & PTE_P) ||
		    !(kernel_map_entry(last, &level).v & PTE_P) ||
		    region_of(last) != region_of(first))
			return "frames without a descriptor";
	}
	return NULL;
}

const char *kernel_map_check(void)
{
	static const char *(*const checks[])(void) = {check_root, check_direct_map, check_image,
	                                              check_vmemmap, fixmap_check};
	const char *broken = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(checks) && !broken; i++)
		broken = checks[i]();
	return broken;
}

/* --- the dump ------------------------------------------------------------------------------------------ */

#define SHOWN_BITS (PTE_P | PTE_W | PTE_U | PTE_PWT | PTE_PCD | PTE_PS | PTE_G | PTE_NX)

/* Neighbouring entries that say the same. */
struct run {
	vaddr_t start;
	uint64_t bits;
	unsigned level;
};

static const char *format_bits(char *buf, size_t size, uint64_t bits, unsigned level)
{
	bool huge = level > 1 && bits & PTE_PS;

	if (!(bits & PTE_P))
		return "                          ";
	format(buf, size, "%s%s%s%s%s%s%s", bits & PTE_U ? "USR " : "    ",
	       bits & PTE_W ? "RW " : "ro ", bits & PTE_PWT ? "PWT " : "    ",
	       bits & PTE_PCD ? "PCD " : "    ", huge ? "PSE " : "    ",
	       bits & PTE_G ? "GLB " : "    ", bits & PTE_NX ? "NX " : "x  ");
	return buf;
}

/* A run that ends before `end`; end 0: with the last address. */
static void dump_run(const struct run *run, vaddr_t end, void (*line)(void *, const char *),
                     void *ctx)
{
	static const char *const names[] = {"", "pte", "pmd", "pud", "pgd", "pgd"};
	static const char units[] = "BKMGTPE";
	uint64_t n = end - run->start;
	char text[112], bits[32];
	unsigned unit = 0;

	while (!(n & 1023) && units[unit + 1]) {
		n >>= 10;
		unit++;
	}
	format(text, sizeof(text), "0x%016lx-0x%016lx   %9lu%c %s%s\n", run->start, end, n,
	       units[unit], format_bits(bits, sizeof(bits), run->bits, run->level),
	       names[run->level]);
	line(ctx, text);
}

static void dump_heading(vaddr_t va, void (*line)(void *, const char *), void *ctx)
{
	char text[48];

	if (!region_of(va)->name)
		return;
	format(text, sizeof(text), "---[ %s ]---\n", region_of(va)->name);
	line(ctx, text);
}

static struct run run_at(vaddr_t va, vaddr_t *next)
{
	struct run run = {.start = va};
	pte_t e = kernel_map_entry(va, &run.level);

	run.bits = e.v & SHOWN_BITS;
	*next = (va | (((vaddr_t)1 << mmu_shift(run.level)) - 1)) + 1;
	return run;
}

void kernel_map_dump(void (*line)(void *ctx, const char *text), void *ctx)
{
	vaddr_t va = 0xffff800000000000ull, next;
	struct run run = run_at(va, &next);

	line(ctx, "---[ Kernel Space ]---\n");
	for (va = next; va; va = next) {
		struct run here = run_at(va, &next);
		bool border = region_of(va) != region_of(run.start);

		if (!border && here.bits == run.bits && here.level == run.level)
			continue;
		dump_run(&run, va, line, ctx);
		if (border)
			dump_heading(va, line, ctx);
		run = here;
	}
	dump_run(&run, 0, line, ctx);
}
