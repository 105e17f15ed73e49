/*
 * highmem_test.c - the 32-bit machine: 1152 MB of memory, 896 MB of it with kernel addresses.
 */
#include "host/internal.h"
#include "mm/frame/internal.h"
#include "mm/pt/pt.h"
#include "test/unit/unit.h"

#include <quire/highmem.h>
#include <quire/kva.h>

#include <setjmp.h>
#include <string.h>
#include <unistd.h>

static const struct zone *zone(enum zone_type type)
{
	return &machine()->node[0].zones[type];
}

static struct page *high_page(void)
{
	return alloc_page(GFP_HIGHUSER | __GFP_ZERO);
}

static jmp_buf out;
static char last_panic[256];

static void leave_panic(const char *message)
{
	strncpy(last_panic, message, sizeof(last_panic) - 1);
	longjmp(out, 1);
}

#define CHECK_PANICS(expr, text)                                       \
	do {                                                           \
		volatile bool panicked_ = true;                        \
		host_panic_hook = leave_panic;                         \
		if (!setjmp(out)) {                                    \
			expr;                                          \
			panicked_ = false;                             \
		}                                                      \
		host_panic_hook = NULL;                                \
		CHECK(panicked_);                                      \
		CHECK_MSG(strstr(last_panic, text), "%s", last_panic); \
	} while (0)

/* --- the split -------------------------------------------------------------------------------- */

/* Lectures 001, 004: 16 MB, 896 MB, the rest; three gigabytes for programs, one for the kernel; 10 + 10 + 12. */
UNIT_TEST(the_classic_split)
{
	CHECK_EQ(zone(ZONE_DMA)->present, (16u << 20) / PAGE_SIZE);
	CHECK_EQ(zone(ZONE_DMA32)->present, 0);
	CHECK_EQ(zone(ZONE_NORMAL)->present, (880u << 20) / PAGE_SIZE);
	CHECK_EQ(zone(ZONE_HIGHMEM)->start.n, (896u << 20) / PAGE_SIZE);
	CHECK_EQ(zone(ZONE_HIGHMEM)->present, (256u << 20) / PAGE_SIZE);
	CHECK_EQ(mmu_user_end(), 0xC0000000u);
	CHECK_EQ((uintptr_t)phys_to_virt(PHYS(0x1234)), 0xC0001234u);
	CHECK_EQ(virt_to_phys((void *)0xF7FFFFFFul).a, (896u << 20) - 1);
	CHECK_EQ(sizeof(pte_t), 4);
	CHECK_EQ(sizeof(struct page), 32);
	CHECK_EQ(mmu_levels(), 2);
	CHECK_EQ(mmu_index(0xC0001000u, 2), 768);
	CHECK_EQ(mmu_index(0xC0001000u, 1), 1);
}

UNIT_TEST(high_memory_comes_first_for_who_can_use_it)
{
	struct page *high = high_page(), *low = alloc_page(GFP_KERNEL),
	            *user = alloc_page(GFP_USER);

	CHECK(high && low && user);
	CHECK_EQ(page_zone_id(high), ZONE_HIGHMEM);
	CHECK(PageHighMem(high));
	CHECK_EQ(page_zone_id(low), ZONE_NORMAL);
	CHECK_EQ(page_zone_id(user), ZONE_NORMAL);
	CHECK(!PageHighMem(low));
	__free_page(high);
	__free_page(low);
	__free_page(user);
}

/* GFP_HIGHUSER: HIGHMEM, then NORMAL, then DMA, each down to what it keeps from requests of this kind. */
UNIT_TEST(highuser_falls_back)
{
	unsigned last = ZONE_HIGHMEM, seen = 0;
	uint32_t first = PFN_NONE_N;
	struct page *page;

	while ((page = alloc_page((GFP_HIGHUSER & ~__GFP_DIRECT_RECLAIM) | __GFP_NOWARN))) {
		if (!(seen >> page_zone_id(page) & 1))
			CHECK_LE(page_zone_id(page), last);
		last = page_zone_id(page);
		seen |= 1u << last;
		page->lru.next = first;
		first = page_to_pfn(page).n;
	}
	CHECK_EQ(seen, 1u << ZONE_HIGHMEM | 1u << ZONE_NORMAL | 1u << ZONE_DMA);
	CHECK_GE(zone_free_pages(zone(ZONE_DMA)), zone(ZONE_DMA)->lowmem_reserve[ZONE_HIGHMEM]);
	CHECK_GT(zone(ZONE_DMA)->lowmem_reserve[ZONE_HIGHMEM], 0);
	page = alloc_page(GFP_NOWAIT); /* kept for the kernel: lowmem_reserve */
	CHECK(page);
	CHECK_EQ(page_zone_id(page), ZONE_NORMAL);
	__free_page(page);
	while (first != PFN_NONE_N) {
		page = pfn_to_page(PFN(first));
		first = page->lru.next;
		__free_page(page);
	}
	CHECK_SOUND(frame_check());
}

UNIT_TEST(high_memory_keeps_little)
{
	CHECK_EQ(zone(ZONE_HIGHMEM)->watermark[WMARK_MIN], 64); /* 65536 / 1024 */
	CHECK_GT(zone(ZONE_NORMAL)->watermark[WMARK_MIN], 512);
}

/* --- addresses -------------------------------------------------------------------------------- */

UNIT_TEST(a_high_page_has_no_address)
{
	struct page *page = high_page();

	CHECK_PANICS((void)page_address(page), "high memory and not mapped");
	CHECK_PANICS((void)phys_to_virt(page_to_phys(page)), "no kernel address");
	CHECK_PANICS((void)__get_free_pages(GFP_HIGHUSER, 0), "high memory has no address");
	__free_page(page);
}

UNIT_TEST(kmap_gives_one_and_counts)
{
	struct page *page = high_page(), *low = alloc_page(GFP_KERNEL);
	uint32_t *a, *b;

	a = kmap(page);
	CHECK_GE((uintptr_t)a, PKMAP_BASE);
	CHECK_EQ(page_address(page), a);
	a[7] = 4711;
	b = kmap(page);
	CHECK_EQ(b, a);
	CHECK_EQ(kmap_in_use(), 1);
	kunmap(page);
	CHECK_EQ(a[7], 4711);
	kunmap(page);
	CHECK_EQ(kmap_in_use(), 0);
	CHECK_PANICS((void)page_address(page), "not mapped");
	b = kmap(page); /* nobody needed the address meanwhile */
	CHECK_EQ(b, a);
	CHECK_EQ(b[7], 4711);
	kunmap(page);
	CHECK_EQ(kmap(low), page_address(low));
	kunmap(low);
	CHECK_EQ(kmap_in_use(), 0);
	CHECK_SOUND(highmem_check());
	__free_page(page);
	__free_page(low);
}

/* More pages than addresses, one after another: the window is flushed and used again. */
UNIT_TEST(addresses_come_round)
{
	static struct page *pages[3 * LAST_PKMAP];

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		CHECK(pages[i] = high_page());
		*(uint32_t *)kmap(pages[i]) = i;
		kunmap(pages[i]);
	}
	CHECK_SOUND(highmem_check());
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		CHECK_EQ(*(uint32_t *)kmap(pages[i]), i);
		kunmap(pages[i]);
		__free_page(pages[i]);
	}
	CHECK_SOUND(highmem_check());
}

/* Does the machine still translate the address? The process's own pages stand for its TLB: only a flush takes them away. */
static bool reaches(const void *at)
{
	int fd[2];
	bool got;

	if (pipe(fd))
		return false;
	got = write(fd[1], at, 1) == 1;
	close(fd[0]);
	close(fd[1]);
	return got;
}

/* An address that nobody has is flushed before somebody else gets it: all of a round at once, and not before. */
UNIT_TEST(kmap_flushes_once_a_round)
{
	static struct page *pages[LAST_PKMAP + 1];
	const void *at = NULL, *last = NULL;
	uint64_t flushes;
	unsigned n = 0;

	while (n < ARRAY_SIZE(pages) && at >= last) {
		CHECK(pages[n] = high_page());
		flushes = counter_read(COUNT_TLB_LOCAL_FLUSH_ALL);
		last = at;
		at = kmap(pages[n]);
		kunmap(pages[n++]);
		CHECK(reaches(at));
		if (at >= last)
			CHECK_EQ(counter_read(COUNT_TLB_LOCAL_FLUSH_ALL), flushes);
	}
	CHECK(at < last);
	CHECK_EQ(counter_read(COUNT_TLB_LOCAL_FLUSH_ALL), flushes + 1);
	CHECK(!reaches(last));
	CHECK_SOUND(highmem_check());
	while (n)
		__free_page(pages[--n]);
}

UNIT_TEST(kmap_local_leaves_nothing)
{
	struct page *a = high_page(), *b = high_page();
	const void *outer = kmap_local_page(a), *inner = kmap_local_page(b);

	CHECK(reaches(outer) && reaches(inner));
	kunmap_local(inner);
	CHECK(reaches(outer) && !reaches(inner));
	kunmap_local(outer);
	CHECK(!reaches(outer));
	__free_page(a);
	__free_page(b);
}

static struct page *held[LAST_PKMAP + 1];
static _Atomic int sleeper; /* 1: about to ask, 2: has it */

static void sleep_for_an_address(void *arg)
{
	uint32_t *addr;

	(void)arg;
	atomic_store(&sleeper, 1);
	addr = kmap(held[LAST_PKMAP]);
	*addr = 99;
	kunmap(held[LAST_PKMAP]);
	atomic_store(&sleeper, 2);
}

UNIT_TEST(who_finds_none_sleeps)
{
	struct host_task *task;

	for (unsigned i = 0; i <= LAST_PKMAP; i++)
		CHECK(held[i] = high_page());
	for (unsigned i = 0; i < LAST_PKMAP; i++)
		CHECK(kmap(held[i]));
	CHECK_EQ(kmap_in_use(), LAST_PKMAP);
	atomic_store(&sleeper, 0);
	task = host_run_on(host_of(machine()), 1, sleep_for_an_address, NULL);
	CHECK(task);
	while (atomic_load(&sleeper) == 0)
		port_cond_resched();
	for (uint64_t end = port_now_ns() + 20000000; port_now_ns() < end;) {
		port_block_until(end);
		CHECK_EQ(atomic_load(&sleeper), 1);
	}
	kunmap(held[500]);
	host_join(task);
	CHECK_EQ(atomic_load(&sleeper), 2);
	for (unsigned i = 0; i < LAST_PKMAP; i++)
		if (i != 500)
			kunmap(held[i]);
	CHECK_EQ(*(uint32_t *)kmap(held[LAST_PKMAP]), 99);
	kunmap(held[LAST_PKMAP]);
	for (unsigned i = 0; i <= LAST_PKMAP; i++)
		__free_page(held[i]);
	CHECK_SOUND(highmem_check());
}

UNIT_TEST(kmap_local_nests)
{
	struct page *page[KMAP_LOCAL_SLOTS + 1], *low = alloc_page(GFP_KERNEL);
	uint32_t *addr[KMAP_LOCAL_SLOTS];

	for (unsigned i = 0; i <= KMAP_LOCAL_SLOTS; i++)
		CHECK(page[i] = high_page());
	for (unsigned i = 0; i < KMAP_LOCAL_SLOTS; i++) {
		addr[i] = kmap_local_page(page[i]);
		*addr[i] = i;
		CHECK_EQ(kmap_local_page(low), page_address(low)); /* takes no slot */
		kunmap_local(page_address(low));
	}
	CHECK_PANICS((void)kmap_local_page(page[KMAP_LOCAL_SLOTS]), "more than 16");
	CHECK_PANICS(kunmap_local(addr[0]), "not this CPU's last");
	CHECK_EQ(highmem_check() != NULL, true);
	for (unsigned i = KMAP_LOCAL_SLOTS; i-- > 0;) {
		CHECK_EQ(*addr[i], i);
		kunmap_local((char *)addr[i] + 100);
	}
	CHECK_SOUND(highmem_check());
	/* The same address, another page: nothing of the one before is left. */
	addr[0] = kmap_atomic(page[3]);
	CHECK_EQ(*addr[0], 3);
	kunmap_atomic(addr[0]);
	for (unsigned i = 0; i <= KMAP_LOCAL_SLOTS; i++)
		__free_page(page[i]);
	__free_page(low);
}

UNIT_TEST(whole_pages_and_parts)
{
	struct page *a = high_page(), *b = high_page();
	uint32_t word = 0x12345678;

	memcpy_to_page(a, 4092, &word, 4);
	copy_highpage(b, a);
	memset_page(a, 4093, 0xff, 2);
	word = 0;
	memcpy_from_page(&word, b, 4092, 4);
	CHECK_EQ(word, 0x12345678u);
	memcpy_from_page(&word, a, 4092, 4);
	CHECK_EQ(word, 0x12ffff78u);
	clear_highpage(a);
	memcpy_from_page(&word, a, 4092, 4);
	CHECK_EQ(word, 0);
	__free_page(a);
	__free_page(b);
}

/* --- vmalloc and tables ----------------------------------------------------------------------- */

UNIT_TEST(vmalloc_lies_above_the_direct_map)
{
	uint32_t *p = vmalloc(3 << 20);

	CHECK(p);
	CHECK_GE((uintptr_t)p, VMALLOC_START32);
	CHECK_LT((uintptr_t)p, PKMAP_BASE);
	for (unsigned i = 0; i < 3 << 18; i += 1024)
		p[i] = i;
	for (unsigned i = 0; i < 3 << 18; i += 1024)
		CHECK_EQ(p[i], i);
	CHECK_EQ(vmalloc(128 << 20), NULL); /* no such room in 72 MB */
	vfree(p);
}

/* 4 MB under each root entry, 4 KB under each of the second level. */
UNIT_TEST(two_levels)
{
	struct mmu_space space;
	pte_t *a, *b, *c;

	CHECK_EQ(mmu_space_init(&space), 0);
	a = pt_alloc_space(&space, NULL, 0x10000000);
	b = pt_alloc_space(&space, NULL, 0x103FF000);
	c = pt_alloc_space(&space, NULL, 0x10400000);
	CHECK(a && b && c);
	CHECK_EQ(b - a, 1023);
	CHECK_EQ((uintptr_t)a % PAGE_SIZE, 0);
	CHECK_NE((uintptr_t)c & PAGE_MASK, (uintptr_t)a & PAGE_MASK);
	CHECK(!pt_lookup(&space, 0x0FFFF000));
	pt_free_table(pfn_to_page(phys_to_pfn(virt_to_phys(a))));
	pt_free_table(pfn_to_page(phys_to_pfn(virt_to_phys(c))));
	mmu_space_destroy(&space);
}

/* --- page debugging --------------------------------------------------------------------------- */

UNIT_TEST(high_memory_is_poisoned_too)
{
	struct page *page;
	uint8_t bytes[2];

	check_poison(true);
	page = alloc_page(GFP_HIGHUSER);
	CHECK(page && PageHighMem(page));
	memcpy_from_page(bytes, page, PAGE_SIZE - 2, 2);
	CHECK_EQ(bytes[1], POISON_FREE);
	memset_page(page, 0, 1, PAGE_SIZE);
	__free_page(page);
	memset_page(page, 77, 1, 1);
	CHECK_PANICS(alloc_page(GFP_HIGHUSER), "written to while free");
	check_poison(false);
	CHECK_EQ(page_count(page), 0); /* taken off the list, and not given out */
	atomic_store(&page->_refcount, 1);
	__free_page(page);
}
