/*
 * debug.c - what is wrong with an object: red zones, poison, state, owners.
 *
 * A cache that is debugged has no arrays, so each step comes through here, and each object is in one of two states:
 *
 *                      left red zone    object                 right red zone    state
 *     free             bb               6b ... 6b a5           bb                ~mark
 *     in use           cc               the user's             cc                mark
 *
 * What each flag finds
 *   Z  a write before or behind the object, when it is freed (or while it was free, when it is given out)
 *   P  a write into a free object, when it is given out
 *   F  freeing what is no object of the cache, or not at its start; all flags: freeing twice
 *   U  whose fault it was: the call sites, processes, CPUs and times of the last allocation and the last free; with page_owner=on
 *      the calls that led there
 * The bytes are Linux's (include/linux/poison.h), which have been recognised in dumps for twenty years. The mark
 * is a number of the cache, so that an object of another one does not pass.
 *
 * After a report a debugged machine may go on (slab_set_report): what was overwritten is put right, and an object whose freeing
 * made no sense stays as it is.
 */
#include "mm/slab/internal.h"

#include "lib/hash.h"
#include "lib/string.h"

#define RED_FREE    0xbbu
#define RED_ACTIVE  0xccu
#define POISON_BYTE 0x6bu
#define POISON_LAST 0xa5u

/* Where things lie (cache.c draws it). */
void slab_debug_layout(struct kmem_cache *s)
{
	size_t end = ALIGN_UP((size_t)s->object_size, (size_t)SLAB_ALIGN);

	if (s->flags & SLAB_RED_ZONE && end == s->object_size)
		end += SLAB_ALIGN;
	if (s->ctor || s->dtor || s->flags & SLAB_DEBUG) {
		s->offset = (uint32_t)end;
		end += sizeof(void *);
	}
	if (s->flags & SLAB_DEBUG) {
		s->meta = (uint32_t)end;
		end += sizeof(struct slab_meta);
	}
	if (s->flags & SLAB_STORE_USER)
		end += 2 * sizeof(struct slab_track);
	if (s->flags & SLAB_RED_ZONE)
		s->red_left = (uint16_t)s->align;
	s->size = (uint32_t)ALIGN_UP(s->red_left + end, (size_t)s->align);
}

uint64_t slab_live_mark(const struct kmem_cache *s)
{
	return hash_mix((uintptr_t)s);
}

/* Nobody may look at the content of objects that a constructor made. */
static bool poisoned(const struct kmem_cache *s)
{
	return s->flags & SLAB_POISON && !s->ctor && !s->dtor;
}

static size_t right_zone(const struct kmem_cache *s)
{
	return s->offset - s->object_size;
}

static void paint_zones(const struct kmem_cache *s, void *object, int value)
{
	if (!(s->flags & SLAB_RED_ZONE))
		return;
	memset((char *)object - s->red_left, value, s->red_left);
	memset((char *)object + s->object_size, value, right_zone(s));
}

static void paint_free(const struct kmem_cache *s, void *object)
{
	paint_zones(s, object, RED_FREE);
	if (poisoned(s)) {
		memset(object, POISON_BYTE, s->object_size);
		((uint8_t *)object)[s->object_size - 1] = POISON_LAST;
	}
	slab_meta(s, object)->state = ~slab_live_mark(s);
}

void slab_init_object(struct kmem_cache *s, void *object)
{
	if (unlikely(s->flags & SLAB_DEBUG)) {
		if (s->flags & SLAB_STORE_USER)
			memset(slab_meta(s, object)->track, 0, 2 * sizeof(struct slab_track));
		paint_free(s, object);
	}
	if (s->ctor)
		s->ctor(object);
}

void slab_end_object(struct kmem_cache *s, void *object)
{
	if (s->dtor)
		s->dtor(object);
}

static const uint8_t *first_other(const void *p, uint8_t value, size_t n)
{
	const uint8_t *byte = p;

	for (size_t i = 0; i < n; i++)
		if (byte[i] != value)
			return byte + i;
	return NULL;
}

/* True if they are as they should be; else they are reported and painted again. */
static bool check_zones(struct kmem_cache *s, void *object, uint8_t value)
{
	const uint8_t *left, *right;

	if (!(s->flags & SLAB_RED_ZONE))
		return true;
	left = first_other((char *)object - s->red_left, value, s->red_left);
	right = first_other((char *)object + s->object_size, value, right_zone(s));
	if (left)
		slab_report(s, "Left Redzone overwritten", object, left, value);
	if (right)
		slab_report(s, "Right Redzone overwritten", object, right, value);
	if (left || right)
		paint_zones(s, object, value);
	return !left && !right;
}

static void check_poison_bytes(struct kmem_cache *s, void *object)
{
	const uint8_t *last = (uint8_t *)object + s->object_size - 1, *at;
	uint8_t expected = POISON_BYTE;

	if (!poisoned(s))
		return;
	at = first_other(object, POISON_BYTE, s->object_size - 1);
	if (!at && *last != POISON_LAST) {
		at = last;
		expected = POISON_LAST;
	}
	if (at)
		slab_report(s, "Poison overwritten", object, at, expected);
}

static void set_track(struct kmem_cache *s, void *object, unsigned which, void *caller)
{
	if (s->flags & SLAB_STORE_USER)
		slab_meta(s, object)->track[which] =
		        (struct slab_track){.caller = (uintptr_t)caller,
		                            .when = port_now_ns(),
		                            .pid = current_pid(),
		                            .cpu = cpu_id(),
		                            .stack = stack_depot_save((uintptr_t)caller)};
}

void slab_debug_alloc(struct kmem_cache *s, void *object, void *caller)
{
	struct slab_meta *meta = slab_meta(s, object);

	if (meta->state != ~slab_live_mark(s))
		slab_report(s,
		            meta->state == slab_live_mark(s) ? "Object already allocated"
		                                             : "Object state overwritten",
		            object, &meta->state, 0);
	check_zones(s, object, RED_FREE);
	check_poison_bytes(s, object);
	paint_zones(s, object, RED_ACTIVE);
	meta->state = slab_live_mark(s);
	set_track(s, object, TRACK_ALLOC, caller);
}

/* Any number may come; only a frame in the direct map has a descriptor. */
static bool has_descriptor(const void *p)
{
	return pfn_online(virt_to_phys(p).a >> PAGE_SHIFT);
}

/* SLUB and SLAB know where their objects start; of SLOB's blocks the state behind must say. */
bool slab_is_object(struct kmem_cache *s, const void *object)
{
	struct page *page = has_descriptor(object) ? slab_page(object) : NULL;
	uint64_t mark = slab_live_mark(s), state;

	if (!page || !page_flag(page, PG_slab) || (uintptr_t)object % SLAB_ALIGN)
		return false;
	if (page->slab_cache == s)
		return s->ops->is_object(s, page, object);
	if (page->slab_cache != slab_state()->slob || !s->meta ||
	    ((uintptr_t)object & (PAGE_SIZE - 1)) + s->meta + sizeof(state) > PAGE_SIZE)
		return false;
	state = slab_meta(s, object)->state;
	return state == mark || state == ~mark;
}

bool slab_debug_free(struct kmem_cache *s, void *object, void *caller)
{
	struct slab_meta *meta;

	if (!slab_is_object(s, object)) {
		slab_report(s, "Invalid object pointer", object, NULL, 0);
		return false;
	}
	meta = slab_meta(s, object);
	if (meta->state != slab_live_mark(s)) {
		slab_report(s,
		            meta->state == ~slab_live_mark(s) ? "Object already free"
		                                              : "Invalid object pointer",
		            object, NULL, 0);
		return false;
	}
	check_zones(s, object, RED_ACTIVE);
	paint_free(s, object);
	set_track(s, object, TRACK_FREE, caller);
	return true;
}
