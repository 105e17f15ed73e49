/*
 * panic_test.c - mistakes of the manager's users that it must notice, each on a machine of its own.
 */
#include "host/internal.h"
#include "lib/string.h"
#include "mm/frame/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <quire/slab.h>

#include <setjmp.h>

static jmp_buf out;
static char said[256];

static void note(const char *message)
{
	strscpy(said, message, sizeof(said));
	longjmp(out, 1);
}

/* What fn makes the machine say before it stops; "" if it does not stop. */
static const char *panic_of(void (*fn)(void))
{
	if (!own_enter(&(struct host_config){.ram = 16ull << 20, .boot_words = unit_boot_words}))
		return "no machine";
	said[0] = '\0';
	host_panic_hook = note;
	if (!setjmp(out))
		fn();
	host_panic_hook = NULL;
	own_leave();
	return said;
}

static bool stops(void (*fn)(void), const char *with)
{
	return strstr(panic_of(fn), with) != NULL;
}

static void free_frame_twice(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	__free_page(page);
	__free_page(page);
}

/* The mistake is one reference too few; it shows when the frame is next given out. */
static void put_frame_twice(void)
{
	struct page *page;

	check_poison(true);
	page = alloc_page(GFP_KERNEL);
	put_page(page);
	put_page(page);
	while (alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN))
		;
}

static void write_to_free_frame(void)
{
	struct page *page;

	check_poison(true);
	page = alloc_page(GFP_KERNEL);
	__free_page(page);
	((char *)page_address(page))[1234] = 1;
	while (alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN))
		;
}

/* The same in a frame that has merged with others, and comes back as part of a block. */
static void write_to_free_block(void)
{
	struct page *page;

	page = alloc_pages(GFP_KERNEL, 5);
	check_poison(true);
	__free_pages(page, 5);
	((char *)page_address(page + 19))[0] = 1;
	while (alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN, 5))
		;
}

static void free_locked_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	lru_cache_add(page);
	lock_page(page);
	release_pages(&page, 1);
}

static void lock_it(struct page *page, bool listed)
{
	if (listed)
		lru_cache_add(page);
	lock_page(page);
}

static NOINLINE void put_as_culprit(struct page *page)
{
	put_page(page);
	atomic_signal_fence(memory_order_seq_cst); /* no tail call */
}

static NOINLINE void release_as_culprit(struct page *page)
{
	release_pages(&page, 1);
	atomic_signal_fence(memory_order_seq_cst);
}

static void put_locked(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	lock_it(page, false);
	put_as_culprit(page);
}

static void put_locked_on_a_list(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	lock_it(page, true);
	put_as_culprit(page);
}

static void release_locked_on_a_list(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	lock_it(page, true);
	release_as_culprit(page);
}

/* The report's "by" is an address in the function that was at fault, whatever ways through mm/frame the page went. */
static bool names(void (*fn)(void), void (*culprit)(struct page *page))
{
	const char *by = strstr(panic_of(fn), "(by 0x");
	uint64_t address = 0;

	return by && !parse_u64(by + 4, 0, NULL, &address) && address > (uintptr_t)culprit &&
	       address < (uintptr_t)culprit + 400;
}

UNIT_TEST(reports_name_the_culprit)
{
	CHECK(names(put_locked, put_as_culprit));
	CHECK(names(put_locked_on_a_list, put_as_culprit));
	CHECK(names(release_locked_on_a_list, release_as_culprit));
}

static void free_block_on_a_list(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 1);

	lru_cache_add(page);
	__free_pages(page, 1);
}

static void join_lru_twice(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	lru_cache_add(page);
	lru_cache_add(page);
}

/* The address of a frame that may have none. */
static void get_high_address(void)
{
	(void)__get_free_pages(GFP_KERNEL | __GFP_HIGHMEM, 0);
}

UNIT_TEST(frames_misused)
{
	CHECK(stops(free_frame_twice, "freed twice"));
	CHECK(stops(put_frame_twice, "freed twice, or used after it was freed"));
	CHECK(stops(write_to_free_frame, "written to while free"));
	CHECK(stops(write_to_free_block, "written to while free"));
	CHECK(stops(free_locked_page, "freed while in use"));
	CHECK(stops(get_high_address, "high memory has no address"));
	CHECK(stops(free_block_on_a_list, "freed while in use"));
	CHECK(stops(join_lru_twice, "on a list already"));
}

static void free_into_another_cache(void)
{
	/* SLOB's blocks do not know whose they are: it takes debugging to see the mistake. */
	unsigned debug = strcmp(slab_allocator(), "slob") ? 0 : SLAB_CONSISTENCY_CHECKS;
	struct kmem_cache *a = kmem_cache_create("a", 64, 0, SLAB_NO_MERGE | debug, NULL),
	                  *b = kmem_cache_create("b", 64, 0, SLAB_NO_MERGE | debug, NULL);

	kmem_cache_free(b, kmem_cache_alloc(a, GFP_KERNEL));
}

static void free_what_is_no_object(void)
{
	struct kmem_cache *a = kmem_cache_create("a", 64, 0, SLAB_NO_MERGE, NULL);

	kmem_cache_free(a, __get_free_pages(GFP_KERNEL, 0));
}

/* Empty and kept on the partial list: another object of it cannot be in use. */
static void free_object_twice(void)
{
	struct kmem_cache *a = kmem_cache_create("a", 64, 0, SLAB_NO_MERGE, NULL);
	void *object = kmem_cache_alloc(a, GFP_KERNEL);

	kmem_cache_free(a, object);
	kmem_cache_shrink(a);
	object = kmem_cache_alloc(a, GFP_KERNEL);
	slab_flush_all();
	kmem_cache_free(a, object);
	kmem_cache_free(a, object);
}

/* Debugging finds out before the slabs do, and knows more. */
UNIT_TEST(objects_misused)
{
	const bool debug = port_boot_param("slub_debug", NULL, 0) >= 0;
	const char *foreign = debug ? "Invalid object pointer" : "not one of its objects";

	CHECK(stops(free_into_another_cache,
	            strcmp(slab_allocator(), "slob") ? foreign : "Invalid object pointer"));
	CHECK(stops(free_what_is_no_object, foreign));
	CHECK(stops(free_object_twice, debug ? "Object already free" : "not one of its objects"));
}
