/*
 * report.c - bugs and leaks of kernel objects, in words: cache, object, who had it, and the bytes around the damage.
 *
 * The form is Linux's, so that what is written about reading such reports applies.
 */
#include "mm/slab/internal.h"

#include "lib/format.h"

#include <quire/symbol.h>

static const struct slab_track *track_of(const struct kmem_cache *s, const void *object,
                                         unsigned which)
{
	if (!(s->flags & SLAB_STORE_USER) || !object)
		return NULL;
	return &slab_meta(s, object)->track[which];
}

static uintptr_t call_site(const struct kmem_cache *s, const void *object, unsigned which)
{
	const struct slab_track *t = track_of(s, object, which);

	return t ? t->caller : 0;
}

static void log_track(const struct kmem_cache *s, const void *object, unsigned which,
                      const char *verb)
{
	const struct slab_track *t = track_of(s, object, which);
	char name[KSYM_SYMBOL_LEN];

	if (!t || !t->caller)
		return;
	port_log("%s in %s age=%lu ms cpu=%u pid=%d", verb, sprint_backtrace(name, t->caller),
	         (unsigned long)((port_now_ns() - t->when) / 1000000), t->cpu, t->pid);
	if (t->stack)
		stack_depot_log(t->stack, t->caller);
}

static void log_bytes(const char *what, const uint8_t *p, size_t n)
{
	char line[16 * 3 + 1];

	for (size_t i = 0; i < n; i += 16) {
		size_t at = 0;

		for (size_t k = i; k < MIN(i + 16, n); k++)
			at += format(line + at, sizeof(line) - at, " %02x", p[k]);
		port_log("%-8s %#lx:%s", what, (unsigned long)(uintptr_t)(p + i), line);
	}
}

static void log_object(const struct kmem_cache *s, const void *object)
{
	const uint8_t *p = object;

	log_track(s, object, TRACK_ALLOC, "Allocated");
	log_track(s, object, TRACK_FREE, "Freed");
	port_log("Object %#lx size=%u offset=%lu", (unsigned long)(uintptr_t)object, s->object_size,
	         (unsigned long)((uintptr_t)object & (s->slab_bytes - 1)));
	if (s->red_left)
		log_bytes("Redzone", p - MIN(s->red_left, 16), MIN(s->red_left, 16));
	log_bytes("Object", p, MIN(s->object_size, 64));
	if (s->flags & SLAB_RED_ZONE)
		log_bytes("Redzone", p + s->object_size, s->offset - s->object_size);
}

static void hand_over(const struct slab_bug *bug)
{
	void (*report)(const struct slab_bug *bug) = slab_state()->report;

	if (!report)
		port_panic("BUG %s: %s: object %#lx", bug->cache, bug->what,
		           (unsigned long)(uintptr_t)bug->object);
	report(bug);
}

/* Only if it is an object of s is anything said about it. */
void slab_report(struct kmem_cache *s, const char *what, const void *object, const void *at,
                 unsigned expected)
{
	struct slab_bug bug = {.cache = s->name, .what = what, .object = object, .at = at};

	port_log("BUG %s: %s", s->name, what);
	if (at)
		port_log("%#lx @offset=%ld. Byte %#x instead of %#x", (unsigned long)(uintptr_t)at,
		         (long)((const char *)at - (const char *)object), *(const uint8_t *)at,
		         expected);
	if (slab_is_object(s, object)) {
		log_object(s, object);
		bug.allocated_by = call_site(s, object, TRACK_ALLOC);
		bug.freed_by = call_site(s, object, TRACK_FREE);
	}
	hand_over(&bug);
}

/* s NULL: kmalloc's, of no cache. */
NOINLINE void slab_bad_free(struct kmem_cache *s, const void *object)
{
	const char *name = s ? s->name : "kmalloc";
	struct slab_bug bug = {
	        .cache = name, .what = "not one of its objects in use", .object = object};

	if (!slab_state()->report)
		port_panic("%s: freed %#lx, which is not one of its objects in use (frame %#x)",
		           name, (unsigned long)(uintptr_t)object,
		           page_to_pfn(virt_to_page(object)).n);
	port_log("BUG %s: freed %#lx, which is not one of its objects in use", name,
	         (unsigned long)(uintptr_t)object);
	slab_state()->report(&bug);
}

void slab_set_report(void (*report)(const struct slab_bug *bug))
{
	slab_state()->report = report;
}

/* --- leaks ---------------------------------------------------------------------------------------------------- */

#define LEAKS_LOGGED 16u /* the others are counted only */

static void report_leak(struct kmem_cache *s, void *object, unsigned n)
{
	struct slab_bug bug = {.cache = s->name,
	                       .what = "Objects remaining on kmem_cache_destroy",
	                       .object = object,
	                       .allocated_by = call_site(s, object, TRACK_ALLOC)};

	if (n < LEAKS_LOGGED) {
		port_log("Object %#lx of %s is still in use", (unsigned long)(uintptr_t)object,
		         s->name);
		log_track(s, object, TRACK_ALLOC, "Allocated");
	}
	if (slab_state()->report)
		slab_state()->report(&bug);
}

/* Blocks may be anywhere, and their state says that they are the cache's. Returns how many were found, n before. */
static unsigned report_blocks(struct kmem_cache *s, struct page *page, unsigned n)
{
	char *base = page_address(page), *end = base + PAGE_SIZE;

	for (char *p = base; p + s->meta + sizeof(struct slab_meta) <= end; p += SLAB_ALIGN)
		if (s->ops->in_use(s, page, p))
			report_leak(s, p, n++);
	return n;
}

static unsigned report_slab(struct kmem_cache *s, struct page *page, unsigned n)
{
	char *p = page_address(page), *end = p + s->slab_bytes;

	while (p < end && !s->ops->is_object(s, page, p))
		p += SLAB_ALIGN;
	for (; p < end && s->ops->is_object(s, page, p); p += s->size)
		if (s->ops->in_use(s, page, p))
			report_leak(s, p, n++);
	return n;
}

/* Full slabs are on no list: look at every frame. */
void slab_report_leaks(struct kmem_cache *s)
{
	unsigned n = 0;

	for (uint64_t pfn = 0; pfn < machine()->max_pfn; pfn++) {
		struct page *page = pfn_to_page(PFN(pfn));

		if (!page_flag(page, PG_slab) || page_flag(page, PG_tail))
			continue;
		if (page->slab_cache == s)
			n = report_slab(s, page, n);
		else if (s->meta && page->slab_cache == slab_state()->slob)
			n = report_blocks(s, page, n);
	}
}
