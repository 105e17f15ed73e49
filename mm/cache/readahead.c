/*
 * readahead.c - several pages in one request to the device.
 *
 * A device, or a server behind a socket, costs much for a request and little for a page. So missing pages that
 * lie next to each other are added to the cache first, all locked, and then read by one call. Whoever wants one of them meanwhile
 * finds it and waits for its lock. Running out of memory just makes the run shorter.
 */
#include "mm/cache/filemap.h"

/* Missing pages from first on, locked, into pages[]. How many. */
static unsigned add_run(struct address_space *mapping, uint64_t first, unsigned n,
                        struct page **pages)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		struct page *page = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_NORETRY | __GFP_NOWARN);

		if (!page)
			break;
		if (filemap_add_page(mapping, first + i, page, 1u << PG_locked)) {
			put_page(page);
			break;
		}
		pages[i] = page;
	}
	return i;
}

static void finish_run(struct address_space *mapping, struct page **pages, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		bool good = page_flag(pages[i], PG_uptodate);

		if (good) {
			count_n(PGPGIN, PAGE_SIZE >> 10);
		} else {
			get_page(pages[i]);
			filemap_remove_page(mapping, pages[i]);
			put_page(pages[i]); /* the tree's */
		}
		unlock_page(pages[i]);
		if (!good)
			put_page(pages[i]);
	}
}

uint64_t filemap_read_run(struct address_space *mapping, uint64_t first, uint64_t n)
{
	const uint64_t end = PAGES_OF(atomic_load_explicit(&mapping->i_size, memory_order_acquire));
	struct page *pages[READ_BATCH];
	uint64_t done = 0;

	if (first >= end)
		return 0;
	n = MIN(n, end - first);
	while (done < n) {
		const unsigned want = (unsigned)MIN(n - done, READ_BATCH);
		unsigned got = add_run(mapping, first + done, want, pages);

		if (got) {
			/* Which pages failed is told by their flags. */
			(void)!mapping->a_ops->readpages(mapping, pages, got);
			finish_run(mapping, pages, got);
		}
		done += got;
		if (got < want)
			break;
	}
	return done;
}

/* The first missing index of [first, end), or end. */
static uint64_t next_missing(struct address_space *mapping, uint64_t first, uint64_t end)
{
	bool found;

	spin_lock(&mapping->tree_lock);
	found = radix_tree_next_hole(&mapping->i_pages, &first, end - 1);
	spin_unlock(&mapping->tree_lock);
	return found ? first : end;
}

void filemap_read_ahead(struct address_space *mapping, uint64_t first, uint64_t n)
{
	const uint64_t pages =
	        PAGES_OF(atomic_load_explicit(&mapping->i_size, memory_order_acquire));
	const uint64_t end = first < pages ? first + MIN(n, pages - first) : first;

	if (!mapping->a_ops->readpages)
		return;
	while (first < end) {
		uint64_t got;

		first = next_missing(mapping, first, end);
		if (first >= end)
			break;
		down_read(&mapping->invalidate_lock);
		got = filemap_read_run(mapping, first, end - first);
		up_read(&mapping->invalidate_lock);
		if (!got)
			break;
		first += got;
	}
}
