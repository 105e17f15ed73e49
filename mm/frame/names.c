/*
 * names.c - flags of requests and of frames, in words: 0xcc0 (GFP_KERNEL), 0x208 (uptodate|slab|node=0|zone=1).
 *
 * Linux's %pGg and %pGp, so that what reads Linux's reports and page_owner reads ours.
 */
#include <quire/flag_names.h>
#include "lib/format.h"
#include "mm/frame/internal.h"

struct flag_name {
	uint32_t mask;
	const char *name;
};

/* Names with bars between, what has none in hex; "" for nothing. Returns the length. */
static size_t put_names(char *text, size_t size, uint32_t flags, const struct flag_name *names,
                        unsigned n)
{
	size_t len = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		if (!flags || (flags & names[i].mask) != names[i].mask)
			continue;
		len += format(text + len, size - len, len ? "|%s" : "%s", names[i].name);
		flags &= ~names[i].mask;
	}
	if (flags)
		len += format(text + len, size - len, len ? "|%#x" : "%#x", flags);
	return len;
}

const char *gfp_names(char text[FLAG_NAMES_MAX], gfp_t gfp)
{
#define F(flag) {flag, #flag},
	static const struct flag_name names[] = {GFP_FLAG_NAMES(F)};
#undef F

	if (!put_names(text, FLAG_NAMES_MAX, gfp, names, ARRAY_SIZE(names)))
		format(text, FLAG_NAMES_MAX, "none");
	return text;
}

const char *page_flag_names(char text[FLAG_NAMES_MAX], const struct page *page)
{
#define F(flag) {1u << PG_##flag, #flag},
	static const struct flag_name names[] = {PAGE_FLAG_NAMES(F)};
#undef F
	const uint32_t flags = atomic_load_explicit(&page->flags, memory_order_relaxed);
	size_t len;

	static_assert(ARRAY_SIZE(names) == __NR_PAGEFLAGS, "each flag has a name");
	len = put_names(text, FLAG_NAMES_MAX, flags & ((1u << __NR_PAGEFLAGS) - 1), names,
	                ARRAY_SIZE(names));
	format(text + len, FLAG_NAMES_MAX - len, "%snode=%u|zone=%u", len ? "|" : "",
	       page_to_nid(page), page_zone_id(page));
	return text;
}
