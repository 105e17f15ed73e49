/*
 * highmem.h - the contents of frames that may have no kernel address (mm/kva/highmem.c; lectures 001, 002, 004).
 *
 * Frames of programs and files come from ZONE_HIGHMEM where there is one; whoever touches their contents asks for an
 * address first and gives it back:
 *
 *   kmap, kunmap              may sleep, counted: everybody sees the same address, for as long as anyone wants it
 *   kmap_local_page,          never sleep, nor may the caller before it has given the address back: this CPU's alone,
 *   kunmap_local              in the order of nesting. kmap_atomic is its older name.
 *
 * Where all memory is in the direct map (have_highmem() is constant false) this is page_address() and nothing.
 * Addresses of low frames are theirs for ever. A contract of all: the caller has a reference to the page.
 */
#ifndef QUIRE_HIGHMEM_H
#define QUIRE_HIGHMEM_H

#include <quire/page.h>

static inline bool PageHighMem(const struct page *page)
{
	return have_highmem() && page_is_high(page);
}

void *kmap_high(struct page *page);
void kunmap_high(struct page *page);
void *kmap_local_high(struct page *page);
void kunmap_local_high(const void *addr);

/* Sleeps while all addresses are in use. */
static inline void *kmap(struct page *page)
{
	return PageHighMem(page) ? kmap_high(page) : page_address(page);
}

static inline void kunmap(struct page *page)
{
	if (PageHighMem(page))
		kunmap_high(page);
}

static inline void *kmap_local_page(struct page *page)
{
	return PageHighMem(page) ? kmap_local_high(page) : page_address(page);
}

/* addr: what kmap_local_page() returned, or an address within that page. */
static inline void kunmap_local(const void *addr)
{
	if (have_highmem())
		kunmap_local_high(addr);
}

static inline void *kmap_atomic(struct page *page)
{
	return kmap_local_page(page);
}

static inline void kunmap_atomic(const void *addr)
{
	kunmap_local(addr);
}

/* --- whole pages and parts of one ------------------------------------------------------------- */

static inline void clear_highpage(struct page *page)
{
	void *addr = kmap_local_page(page);

	clear_page(addr);
	kunmap_local(addr);
}

static inline void copy_highpage(struct page *to, struct page *from)
{
	void *source = kmap_local_page(from), *target = kmap_local_page(to);

	copy_page(target, source);
	kunmap_local(target);
	kunmap_local(source);
}

/* Bytes [offset, offset + len) of one page. */
static inline void memset_page(struct page *page, size_t offset, int byte, size_t len)
{
	char *addr = kmap_local_page(page);

	__builtin_memset(addr + offset, byte, len);
	kunmap_local(addr);
}

static inline void memcpy_from_page(void *to, struct page *page, size_t offset, size_t len)
{
	const char *addr = kmap_local_page(page);

	__builtin_memcpy(to, addr + offset, len);
	kunmap_local(addr);
}

static inline void memcpy_to_page(struct page *page, size_t offset, const void *from, size_t len)
{
	char *addr = kmap_local_page(page);

	__builtin_memcpy(addr + offset, from, len);
	kunmap_local(addr);
}

/*
 * Machines with high memory call this once, after slab_init(): addresses for pkmap_pages mappings by kmap() at
 * pkmap, and for KMAP_LOCAL_SLOTS of each CPU at local. The tables for them are made here.
 */
#define KMAP_LOCAL_SLOTS 16
void highmem_init(vaddr_t pkmap, unsigned pkmap_pages, vaddr_t local);

/* kmap()s that somebody holds; for tests. */
unsigned kmap_in_use(void);
const char *highmem_check(void);

#endif
