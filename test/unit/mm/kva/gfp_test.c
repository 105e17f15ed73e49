/*
 * gfp_test.c - all that vmalloc allocates is asked for as its caller says: frames, page tables and the description, seen
 * from the one hook through which memory is freed, on a machine that has next to none.
 */
#include "mm/kva/internal.h"
#include "mm/pt/pt.h"
#include "test/unit/mm/kva/frames.h"

#include <quire/check.h>

static struct {
	uint32_t first;        /* frames hoarded, by lru.next */
	unsigned calls, worse; /* calls of the hook; with flags that the caller did not give */
	gfp_t allowed;
} seen;

static uint64_t watch(gfp_t gfp, unsigned order UNUSED)
{
	const gfp_t how = __GFP_IO | __GFP_FS | __GFP_DIRECT_RECLAIM;
	uint64_t given = 0;

	seen.calls++;
	seen.worse += (gfp & how & ~seen.allowed) != 0;
	for (; given < 8 && seen.first != PFN_NONE_N; given++) {
		struct page *page = pfn_to_page(PFN(seen.first));

		seen.first = page->lru.next;
		__free_page(page);
	}
	return given;
}

/* Every frame is hoarded, so that each allocation needs the hook. */
static void tight(gfp_t allowed)
{
	struct page *page;

	seen = (__typeof__(seen)){.first = PFN_NONE_N, .allowed = allowed};
	while ((page = alloc_page(__GFP_HIGHMEM | GFP_NOWAIT | __GFP_MEMALLOC | __GFP_NOWARN))) {
		page->lru.next = seen.first;
		seen.first = page_to_pfn(page).n;
	}
}

static void relax(void)
{
	struct fragments rest = {.taken = seen.first};

	unfragment_memory(&rest);
}

/* An area whose leaf tables are not there yet: it begins where nobody has been. */
static void check_flags(gfp_t gfp)
{
	uint64_t (*saved)(gfp_t gfp, unsigned order) = reclaim_hook;
	const size_t far = pt_leaf_span();
	uint64_t tables = counter_read(COUNT_PGTABLE_ALLOC);
	vaddr_t start = kva_state()->end - 8 * far;
	void *p;

	vm_unmap_aliases();
	tight(gfp);
	reclaim_hook = watch;
	p = vmalloc_range(20 * PAGE_SIZE, start + (gfp & __GFP_IO ? far : 0), kva_state()->end,
	                  gfp);
	reclaim_hook = saved;
	relax();
	CHECK(p);
	CHECK_GT(counter_read(COUNT_PGTABLE_ALLOC), tables);
	CHECK_GT(seen.calls, 0);
	CHECK_EQ(seen.worse, 0);
	vfree(p);
	vm_unmap_aliases();
	CHECK_SOUND(mm_check());
}

UNIT_TEST(tables_are_asked_for_as_the_caller_says)
{
	CHECK_CALL(check_flags(GFP_NOIO));
	CHECK_CALL(check_flags(GFP_NOFS));
}
