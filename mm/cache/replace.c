/*
 * replace.c - another frame takes a page's place in its file (for mm/fault/migrate.c).
 */
#include "mm/cache/filemap.h"

bool filemap_replace_page(struct address_space *mapping, struct page *old, struct page *dst,
                          uint32_t flags)
{
	bool done;

	spin_lock(&mapping->tree_lock);
	/* The tree's reference and the caller's: whoever else wants one takes it under this lock. */
	done = page_ref_freeze(old, 2);
	if (done) {
		dst->index = old->index;
		page_set_mapping(dst, mapping);
		__page_set_flags(dst,
		                 atomic_load_explicit(&old->flags, memory_order_relaxed) & flags);
		get_page(dst);
		radix_tree_replace(&mapping->i_pages, old->index, dst);
		page_set_mapping(old, NULL);
		page_clear_flag(old, PG_dirty);
		page_ref_unfreeze(old, 1);
	}
	spin_unlock(&mapping->tree_lock);
	return done;
}
