/*
 * property_test.c - whatever is done in whatever order: objects do not overlap, keep their contents, lie where they should,
 * are counted, and all memory comes back. For the allocator that the machine booted with.
 */
#include "test/unit/mm/slab/model.h"
#include "lib/string.h"
#include "test/unit/unit.h"

#include <quire/errno.h>

enum {
	OP_CREATE,
	OP_DESTROY,
	OP_ALLOC,
	OP_FREE,
	OP_BULK,
	OP_KMALLOC,
	OP_DMA,
	OP_KREALLOC,
	OP_SHRINK,
	OP_REAP,
	OP_FLUSH,
	OP_CHECK,
};

/* How often, in 64. */
static const uint8_t weights[] = {OP_ALLOC, OP_ALLOC,    OP_ALLOC,   OP_ALLOC,   OP_ALLOC,
                                  OP_FREE,  OP_FREE,     OP_FREE,    OP_FREE,    OP_FREE,
                                  OP_FREE,  OP_KMALLOC,  OP_KMALLOC, OP_KMALLOC, OP_KMALLOC,
                                  OP_BULK,  OP_KREALLOC, OP_DMA};

#define CACHES 6
#define SLOTS  300
#define BULK   40

static struct {
	struct kmem_cache *cache;
	size_t size, align;
	unsigned live;
	bool ctor;
} caches[CACHES];

static struct {
	uint8_t *object; /* NULL: free */
	size_t size;
	uint8_t pattern, cache; /* cache: CACHES is kmalloc */
} slots[SLOTS];

static const char *const names[CACHES] = {"model-0", "model-1", "model-2",
                                          "model-3", "model-4", "model-5"};

void slab_model_make(struct slab_op *ops, unsigned n, struct random *r)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned rare = (unsigned)random_below(r, 200);
		uint64_t top = random_one_in(r, 40) ? 30000 : random_one_in(r, 5) ? 3000 : 300;

		ops[i] = (struct slab_op){.what = weights[random_below(r, ARRAY_SIZE(weights))],
		                          .cache = (uint8_t)random_below(r, CACHES),
		                          .slot = (uint16_t)random_below(r, SLOTS),
		                          .size = (uint32_t)random_range(r, 1, top)};
		if (rare < 8)
			ops[i].what = (uint8_t)(rare < 3 ? OP_CREATE : OP_DESTROY);
		else if (rare < 12)
			ops[i].what = (uint8_t)(OP_SHRINK + rare - 8);
	}
}

void slab_model_print(const struct slab_op *ops, unsigned n)
{
	static const char *const words[] = {"create", "destroy", "alloc", "free",
	                                    "bulk",   "kmalloc", "dma",   "krealloc",
	                                    "shrink", "reap",    "flush", "check"};

	for (unsigned i = 0; i < n; i++)
		unit_printf("  %-8s cache %u slot %u size %u\n", words[ops[i].what], ops[i].cache,
		            ops[i].slot, ops[i].size);
}

static void model_ctor(void *object)
{
	*(uint64_t *)object = 0x1234;
}

/* --- the model's side of each step -------------------------------------------------------------------- */

static const char *took(unsigned slot, unsigned cache, uint8_t *object, size_t size, size_t align)
{
	if ((uintptr_t)object % align)
		return "an object is not aligned";
	slots[slot].object = object;
	slots[slot].size = size;
	slots[slot].cache = (uint8_t)cache;
	slots[slot].pattern = (uint8_t)(slot * 7 + size);
	memset(object, slots[slot].pattern, size);
	if (cache < CACHES)
		caches[cache].live++;
	return NULL;
}

/* Whoever overlaps it has left a trace. */
static const char *still_there(unsigned slot)
{
	for (size_t i = 0; i < slots[slot].size; i++)
		if (slots[slot].object[i] != slots[slot].pattern)
			return "an object's content has changed";
	return NULL;
}

static const char *give(unsigned slot)
{
	const char *wrong = still_there(slot);
	unsigned cache = slots[slot].cache;
	uint8_t *object = slots[slot].object;

	slots[slot].object = NULL;
	if (cache == CACHES) {
		kfree(object);
		return wrong;
	}
	if (caches[cache].ctor)
		model_ctor(object);
	caches[cache].live--;
	kmem_cache_free(caches[cache].cache, object);
	return wrong;
}

static const char *op_create(const struct slab_op *op)
{
	static const size_t aligns[] = {0, 8, 16, 64, 256};
	size_t align = aligns[op->slot % ARRAY_SIZE(aligns)];
	unsigned flags = SLAB_NO_MERGE | (op->slot & 32 ? SLAB_HWCACHE_ALIGN : 0);
	bool ctor = op->slot & 64 && op->size >= 8;

	if (caches[op->cache].cache)
		return NULL;
	caches[op->cache].cache = kmem_cache_create(names[op->cache], op->size, align, flags,
	                                            ctor ? model_ctor : NULL);
	caches[op->cache].size = op->size;
	caches[op->cache].align = MAX(align, 8);
	caches[op->cache].ctor = ctor;
	caches[op->cache].live = 0;
	return caches[op->cache].cache ? NULL : "a cache could not be made";
}

static const char *op_destroy(const struct slab_op *op)
{
	struct kmem_cache *s = caches[op->cache].cache;
	int want = caches[op->cache].live ? -EBUSY : 0;

	if (!s || (want && op->slot % 8))
		return NULL; /* a leak is rare, and its report is long */
	if (kmem_cache_destroy(s) != want)
		return "kmem_cache_destroy";
	if (!want)
		caches[op->cache].cache = NULL;
	return NULL;
}

static const char *op_alloc(const struct slab_op *op)
{
	struct kmem_cache *s = caches[op->cache].cache;
	uint8_t *object;

	if (!s || slots[op->slot].object)
		return NULL;
	object = kmem_cache_alloc(s, GFP_KERNEL | __GFP_NOWARN);
	if (!object)
		return NULL;
	if (caches[op->cache].ctor && *(uint64_t *)object != 0x1234)
		return "an object is not constructed";
	return took(op->slot, op->cache, object, caches[op->cache].size, caches[op->cache].align);
}

/* Some at once, of which some stay. */
static const char *op_bulk(const struct slab_op *op)
{
	unsigned n = 1 + op->size % BULK, kept = 0;
	struct kmem_cache *s = caches[op->cache].cache;
	const char *wrong = NULL;
	void *objects[BULK];

	if (!s || caches[op->cache].size > 2000 ||
	    kmem_cache_alloc_bulk(s, GFP_KERNEL | __GFP_NOWARN, n, objects) != n)
		return NULL;
	for (unsigned slot = op->slot; slot < SLOTS && kept < n / 2 && !wrong; slot++)
		if (!slots[slot].object)
			wrong = took(slot, op->cache, objects[kept++], caches[op->cache].size,
			             caches[op->cache].align);
	kmem_cache_free_bulk(s, n - kept, objects + kept);
	return wrong;
}

static const char *op_kmalloc(const struct slab_op *op)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | (op->what == OP_DMA ? GFP_DMA : 0);
	size_t size = op->size;
	uint8_t *p;

	if (slots[op->slot].object)
		return NULL;
	p = kmalloc(size, gfp);
	if (!p)
		return NULL;
	if (op->what == OP_DMA && virt_to_phys(p).a + size > 16 << 20)
		return "GFP_DMA above 16 MB";
	if (ksize(p) < size)
		return "ksize";
	return took(op->slot, CACHES, p, size,
	            size & (size - 1) ? 8 : MIN(MAX(size, 8), PAGE_SIZE));
}

static const char *op_krealloc(const struct slab_op *op)
{
	unsigned slot = op->slot;
	size_t keep = MIN(slots[slot].size, op->size);
	uint8_t *p;

	if (!slots[slot].object || slots[slot].cache != CACHES)
		return NULL;
	if (still_there(slot))
		return still_there(slot);
	p = krealloc(slots[slot].object, op->size, GFP_KERNEL | __GFP_NOWARN);
	if (!p)
		return NULL;
	slots[slot].object = p;
	slots[slot].size = keep;
	if (still_there(slot))
		return "krealloc lost contents";
	return took(slot, CACHES, p, op->size, 8);
}

/* What /proc/slabinfo says. */
static const char *op_check(void)
{
	struct slabinfo info;
	const char *broken = slab_check();

	for (unsigned i = 0; i < CACHES && !broken; i++) {
		if (!caches[i].cache)
			continue;
		if (slab_find(names[i], &info) || info.active_objs != caches[i].live)
			broken = "the number of objects in use";
	}
	return broken;
}

static const char *run_one(const struct slab_op *op)
{
	switch (op->what) {
	case OP_CREATE:
		return op_create(op);
	case OP_DESTROY:
		return op_destroy(op);
	case OP_ALLOC:
		return op_alloc(op);
	case OP_FREE:
		return slots[op->slot].object ? give(op->slot) : NULL;
	case OP_BULK:
		return op_bulk(op);
	case OP_KREALLOC:
		return op_krealloc(op);
	case OP_SHRINK:
		kmem_cache_shrink_all();
		return NULL;
	case OP_REAP:
		slab_reap();
		return NULL;
	case OP_FLUSH:
		slab_flush_all();
		return NULL;
	case OP_CHECK:
		return op_check();
	default:
		return op_kmalloc(op);
	}
}

static const char *clean_up(void)
{
	const char *wrong = NULL;

	for (unsigned i = 0; i < SLOTS && !wrong; i++)
		if (slots[i].object)
			wrong = give(i);
	for (unsigned i = 0; i < CACHES && !wrong; i++)
		wrong = op_destroy(&(struct slab_op){.cache = (uint8_t)i});
	return wrong ? wrong : slab_check();
}

const char *slab_model_run(const struct slab_op *ops, unsigned n, unsigned *at)
{
	const char *wrong = NULL;

	memset(slots, 0, sizeof(slots));
	memset(caches, 0, sizeof(caches));
	for (*at = 0; *at < n && !wrong; (*at)++)
		wrong = run_one(&ops[*at]);
	return wrong ? wrong : clean_up();
}

#define ROUNDS 8
#define OPS    4000

UNIT_TEST(random_work_against_a_model)
{
	static struct slab_op ops[OPS];
	unsigned at;

	for (unsigned round = 0; round < ROUNDS; round++) {
		const char *wrong;

		slab_model_make(ops, OPS, unit_random());
		wrong = slab_model_run(ops, OPS, &at);
		CHECK_MSG(!wrong, "%s: %s after %u steps of round %u", slab_allocator(), wrong, at,
		          round);
		CHECK_SOUND(frame_check());
	}
}
