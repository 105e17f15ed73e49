/*
 * slab_property_test.c - random sequences of the calls for objects against what each object must still hold.
 */
#include "lib/string.h"
#include "test/unit/property.h"

#include <quire/check.h>
#include <quire/slab.h>

#define SLOTS 160u
#define TOP   20000u

enum {
	ALLOC,
	ALLOC_CONSTRUCTED,
	KMALLOC,
	KZALLOC,
	KREALLOC,
	FREE,
	FREE_AGAIN,
	SHRINK,
	CAREFUL,
	NR_OPS
};
static const char *const names[] = {"kmem_cache_alloc",  "kmem_cache_alloc, constructed",
                                    "kmalloc",           "kzalloc",
                                    "krealloc",          "free",
                                    "free and allocate", "shrink",
                                    "check_poison"};

static struct kmem_cache *plain, *constructed;
static struct live {
	uint8_t *at;
	uint32_t kind, size;
} live[SLOTS];

static void construct(void *object)
{
	memset(object, 0x5a, 200);
}

static uint8_t byte(const struct live *l)
{
	return (uint8_t)(l - live + 1);
}

static bool all(const uint8_t *at, size_t n, uint8_t value)
{
	while (n && at[n - 1] == value)
		n--;
	return n == 0;
}

static const char *take(struct live *l, uint32_t kind, uint32_t arg)
{
	static const uint32_t sizes[] = {72, 200};

	l->kind = kind;
	l->size = kind <= ALLOC_CONSTRUCTED ? sizes[kind] : 1 + arg % (arg % 8 ? 600 : TOP);
	l->at = kind == ALLOC               ? kmem_cache_alloc(plain, GFP_KERNEL)
	        : kind == ALLOC_CONSTRUCTED ? kmem_cache_alloc(constructed, GFP_KERNEL)
	        : kind == KZALLOC           ? kzalloc(l->size, GFP_KERNEL)
	                                    : kmalloc(l->size, GFP_KERNEL);
	if (!l->at)
		return "no memory";
	if (kind == KZALLOC && !all(l->at, l->size, 0))
		return "kzalloc's memory is not zero";
	if (kind == ALLOC_CONSTRUCTED && !all(l->at, l->size, 0x5a))
		return "an object is not constructed";
	if (kind >= KMALLOC && ksize(l->at) < l->size)
		return "ksize() is less than was asked for";
	memset(l->at, byte(l), l->size);
	return NULL;
}

static const char *give(struct live *l)
{
	if (!all(l->at, l->size, byte(l)))
		return "contents were changed";
	if (l->kind == ALLOC_CONSTRUCTED)
		construct(l->at);
	if (l->kind == ALLOC)
		kmem_cache_free(plain, l->at);
	else if (l->kind == ALLOC_CONSTRUCTED)
		kmem_cache_free(constructed, l->at);
	else
		kfree(l->at);
	l->at = NULL;
	return NULL;
}

static const char *resize(struct live *l, uint32_t size)
{
	uint8_t *at = krealloc(l->at, size, GFP_KERNEL);

	if (!at)
		return "no memory";
	l->at = at;
	if (!all(at, MIN(size, l->size), byte(l)))
		return "krealloc lost contents";
	l->size = size;
	memset(at, byte(l), size);
	return NULL;
}

static const char *apply(const struct op *op)
{
	struct live *l = &live[op->slot];
	const char *broken;

	switch (op->kind) {
	case FREE:
		return l->at ? give(l) : NULL;
	case FREE_AGAIN:
		if (!l->at)
			return NULL;
		broken = give(l);
		return broken ? broken : take(l, l->kind, op->arg);
	case KREALLOC:
		return l->at && l->kind >= KMALLOC ? resize(l, 1 + op->arg % 3000) : NULL;
	case SHRINK:
		kmem_cache_shrink(op->arg % 2 ? plain : constructed);
		return NULL;
	case CAREFUL:
		if (op->arg % 8 == 0)
			check_poison(op->arg & 8);
		return NULL;
	default:
		return l->at ? NULL : take(l, op->kind, op->arg);
	}
}

static const char *free_all(void)
{
	const char *broken = NULL;

	for (unsigned i = 0; i < SLOTS; i++)
		if (live[i].at && !broken)
			broken = give(&live[i]);
	check_poison(false);
	if (!broken && kmem_cache_destroy(plain))
		broken = "objects are left in the plain cache";
	if (!broken && kmem_cache_destroy(constructed))
		broken = "objects are left in the constructed cache";
	return broken;
}

static const char *run(const struct op *op, size_t n)
{
	const char *broken = NULL, *end;

	memset(live, 0, sizeof(live));
	plain = kmem_cache_create("property", 72, 0, 0, NULL);
	constructed = kmem_cache_create("property-ctor", 200, 0, 0, construct);
	if (!plain || !constructed)
		return "no cache";
	for (size_t i = 0; i < n && !broken; i++) {
		broken = apply(&op[i]);
		if (!broken && i % 32 == 0)
			broken = slab_check();
	}
	end = free_all();
	return broken ? broken : end;
}

UNIT_TEST(objects_against_their_contents)
{
	const struct property p = {run, names, NR_OPS, SLOTS, 4096};

	property_check(&p, 800, 20);
}
