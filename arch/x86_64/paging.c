/*
 * paging.c - the kernel's own page tables, and mem_map.
 *
 *   DIRECT_MAP_START  all RAM, 1 GB or 2 MB pages (4 KB with debug_pagealloc=on); no execution. Where the kernel's image is, 4 KB pages, its text
 *                     and constants read-only here too, so that no stray write reaches them.
 *   VMALLOC_START     one empty table of level 3, shared by all spaces (512 GB); what lies above it is made on demand
 *   VMEMMAP_START     32 bytes for each frame of physical addresses
 *   KERNEL_START      the image in 4 KB pages: header and data writable, text executable, constants neither;
 *                     a hole below the boot stack
 *   FIXADDR_START     interrupt controllers, uncached (fixmap.c)
 *
 * mem_map is an array over all physical addresses up to the end of RAM, holes included, but memory is spent only for
 * pages of it that describe RAM. The descriptors of whole pages in a hole (3 GB to 4 GB, above all) are one
 * shared page: they all look the same, reserved, and nobody links them. frame_init() fills in all of it.
 *
 * All tables come from memblock below 1 GB, which the boot tables map.
 */
#include "arch/x86_64/internal.h"
#include "lib/string.h"
#include <quire/frame.h>

#define SIZE_2M 0x200000ull
#define SIZE_1G 0x40000000ull

#define PROT_RW PROT_DIRECT
#define PROT_RO (PTE_P | PTE_A | PTE_G | PTE_NX)
#define PROT_RX (PTE_P | PTE_A | PTE_G)

/* What Quire takes for itself beside tables and descriptors: image, first objects. For the message alone. */
#define BOOT_SLACK_KIB 1024

pte_t kernel_root[512] __attribute__((aligned(4096)));

static phys_t boot_alloc(uint64_t size, uint64_t align)
{
	phys_t p = memblock_alloc(size, align, SIZE_1G);

	if (!p.a)
		boot_out_of_memory((image_to_phys(__image_end).a + size) / 1024 + BOOT_SLACK_KIB +
		                   (boot_info.initrd_end.a - boot_info.initrd_start.a) / 1024 +
		                   memblock_end() / PAGE_SIZE * sizeof(struct page) / 1024);
	return p;
}

static pte_t *new_table(void)
{
	pte_t *table = phys_to_virt(boot_alloc(PAGE_SIZE, PAGE_SIZE));

	clear_page(table);
	return table;
}

static pfn_t pfn_of(const pte_t *table)
{
	return phys_to_pfn(virt_to_phys(table));
}

/* The entry of va at level, making the tables above it. */
static pte_t *entry_of(vaddr_t va, unsigned level)
{
	pte_t *table = kernel_root;

	for (unsigned l = mmu_levels(); l > level; l--) {
		pte_t *entry = &table[mmu_index(va, l)];

		if (pte_none(*entry))
			*entry = pte_make_table(pfn_of(new_table()));
		table = phys_to_virt(pfn_to_phys(pte_pfn(*entry)));
	}
	return &table[mmu_index(va, level)];
}

void map_page(vaddr_t va, uint64_t phys, uint64_t prot)
{
	entry_of(va, 1)->v = phys | prot;
}

/* --- direct map and image ---------------------------------------------------------------------------- */

/* Of a frame of the image, in the direct map. */
static uint64_t direct_prot(uint64_t phys)
{
	return phys >= image_to_phys(__text_start).a && phys < image_to_phys(__data_start).a
	               ? PROT_RO
	               : PROT_RW;
}

/* One step of the direct map at phys, below end; where the next begins. */
static uint64_t map_direct(uint64_t phys, uint64_t end)
{
	vaddr_t va = DIRECT_MAP_START + phys;
	bool image = phys < ALIGN_UP(boot_info.kernel_end.a, SIZE_2M) || port_direct_map_splits();

	if (!image && x86.gigabyte_pages && !(phys % SIZE_1G) && end - phys >= SIZE_1G) {
		entry_of(va, 3)->v = phys | PROT_RW | PTE_PS;
		return phys + SIZE_1G;
	}
	if (!image && !(phys % SIZE_2M) && end - phys >= SIZE_2M) {
		entry_of(va, 2)->v = phys | PROT_RW | PTE_PS;
		return phys + SIZE_2M;
	}
	map_page(va, phys, direct_prot(phys));
	return phys + PAGE_SIZE;
}

static void map_direct_all(void)
{
	const struct memblock *mb = &machine()->memblock;

	for (unsigned i = 0; i < mb->nr_memory; i++)
		for (uint64_t phys = mb->memory[i].start; phys < mb->memory[i].end;)
			phys = map_direct(phys, mb->memory[i].end);
}

static void map_image(void)
{
	extern char boot_stack_guard[];

	for (char *p = __image_start; p < __image_end; p += PAGE_SIZE) {
		uint64_t prot = PROT_RW;

		if (p >= __text_start && p < __text_end)
			prot = PROT_RX;
		else if (p >= __text_end && p < __data_start)
			prot = PROT_RO;
		if (p != boot_stack_guard)
			map_page((vaddr_t)p, image_to_phys(p).a, prot);
	}
}

/* --- mem_map ------------------------------------------------------------------------------------------- */

static bool describes_ram(uint64_t start, uint64_t end)
{
	const struct memblock *mb = &machine()->memblock;

	for (unsigned i = 0; i < mb->nr_memory; i++)
		if (mb->memory[i].start < end && start < mb->memory[i].end)
			return true;
	return false;
}

/* Physical addresses that n bytes of mem_map describe. */
static uint64_t described_by(uint64_t n)
{
	return n / sizeof(struct page) * PAGE_SIZE;
}

/* 2 MB of mem_map at offset that lie in a hole from end to end: one table of 512 times the same page, shared. */
static void map_hole_block(uint64_t offset, phys_t hole, pte_t **shared)
{
	if (!*shared) {
		*shared = new_table();
		for (unsigned i = 0; i < 512; i++)
			(*shared)[i].v = hole.a | PROT_RW;
	}
	*entry_of(VMEMMAP_START + offset, 2) = pte_make_table(pfn_of(*shared));
}

static void map_descriptor_page(uint64_t offset, phys_t *hole)
{
	uint64_t start = described_by(offset), end = start + described_by(PAGE_SIZE);

	if (describes_ram(start, end)) {
		map_page(VMEMMAP_START + offset, boot_alloc(PAGE_SIZE, PAGE_SIZE).a, PROT_RW);
		return;
	}
	if (!hole->a)
		*hole = boot_alloc(PAGE_SIZE, PAGE_SIZE);
	map_page(VMEMMAP_START + offset, hole->a, PROT_RW);
}

static bool block_is_ram(uint64_t start, uint64_t end)
{
	const struct memblock *mb = &machine()->memblock;

	for (unsigned i = 0; i < mb->nr_memory; i++)
		if (mb->memory[i].start <= start && end <= mb->memory[i].end)
			return true;
	return false;
}

/* A large page of descriptors, when memory has one to give. */
static bool map_descriptor_block(uint64_t offset)
{
	phys_t block = memblock_alloc(SIZE_2M, SIZE_2M, SIZE_1G);

	if (!block.a)
		return false;
	entry_of(VMEMMAP_START + offset, 2)->v = block.a | PROT_RW | PTE_PS;
	return true;
}

static void map_mem_map(void)
{
	uint64_t size = PAGE_ALIGN(memblock_end() / PAGE_SIZE * sizeof(struct page));
	phys_t hole = {0};
	pte_t *shared = NULL;

	for (uint64_t offset = 0; offset < size; offset += SIZE_2M) {
		uint64_t start = described_by(offset), end = start + described_by(SIZE_2M);

		if (!describes_ram(start, end)) {
			if (!hole.a)
				hole = boot_alloc(PAGE_SIZE, PAGE_SIZE);
			map_hole_block(offset, hole, &shared);
		} else if (!block_is_ram(start, end) || !map_descriptor_block(offset)) {
			for (uint64_t o = offset; o < MIN(size, offset + SIZE_2M); o += PAGE_SIZE)
				map_descriptor_page(o, &hole);
		}
	}
}

/* --- start and end ------------------------------------------------------------------------------------- */

void paging_init(void)
{
	map_direct_all();
	map_image();
	map_mem_map();
	entry_of(VMALLOC_START, 3);
	fixmap_init();
	mmu_init(phys_to_pfn(image_to_phys(kernel_root)));
	write_cr3(image_to_phys(kernel_root).a);
}

/* The boot tables and the page where further CPUs started: memory like any other from now on. */
void drop_boot_memory(void)
{
	for (char *p = __init_start; p < __init_end; p += PAGE_SIZE)
		entry_of((vaddr_t)p, 1)->v = 0;
	mmu_flush_kernel_range((vaddr_t)__init_start, (vaddr_t)__init_end);
	free_reserved_area(image_to_phys(__init_start), image_to_phys(__init_end));
	free_reserved_area(PHYS(TRAMPOLINE_PAGE), PHYS(TRAMPOLINE_PAGE + PAGE_SIZE));
}
