/*
 * linux_slab.c - a module for the Linux that Quire is compared with: the works of test/unit/kernel/slab_speed_test.c,
 * printed to the kernel's log in the same form.
 */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/slab.h>

#define PAIRS 20000u
#define BULK  32u
#define LIVE  10000u

static struct kmem_cache *cache;
static void *live[LIVE];

static noinline void *no_alloc(size_t size)
{
	asm volatile("" : : "r"(size));
	return live;
}

static noinline void no_free(const void *p)
{
	asm volatile("" : : "r"(p) : "memory");
}

#define PAIR(name, ALLOC, FREE)                        \
	static noinline void pairs_of_##name(void)     \
	{                                              \
		for (unsigned i = 0; i < PAIRS; i++) { \
			void *p = (ALLOC);             \
                                                       \
			asm volatile("" : "+r"(p));    \
			FREE;                          \
		}                                      \
	}
PAIR(nothing, no_alloc(64), no_free(p))
PAIR(objects, kmem_cache_alloc(cache, GFP_KERNEL), kmem_cache_free(cache, p))
PAIR(kmalloc, kmalloc(64, GFP_KERNEL), kfree(p))

static noinline void bulk_of_objects(void)
{
	void *p[BULK];

	for (unsigned i = 0; i < PAIRS; i += BULK) {
		if (!kmem_cache_alloc_bulk(cache, GFP_KERNEL, BULK, p))
			return;
		asm volatile("" : : "r"(p) : "memory");
		kmem_cache_free_bulk(cache, BULK, p);
	}
}

static u32 next_random(u32 *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

#define RANDOM(name, ALLOC, FREE)                                       \
	static noinline void random_##name(void)                        \
	{                                                               \
		u32 state = 1;                                          \
                                                                        \
		for (unsigned i = 0; i < PAIRS; i++) {                  \
			unsigned at = next_random(&state) % LIVE;       \
			size_t size = 16 + (next_random(&state) & 511); \
                                                                        \
			FREE(live[at]);                                 \
			live[at] = ALLOC(size);                         \
		}                                                       \
	}
#define kmalloc_kernel(size) kmalloc(size, GFP_KERNEL)
RANDOM(nothing, no_alloc, no_free)
RANDOM(kmalloc, kmalloc_kernel, kfree)

/* Tenths of an instruction for each of PAIRS steps, the second time. */
static u64 measure(void (*work)(void))
{
	u64 start;

	work();
	start = ktime_get_ns();
	work();
	return div_u64((ktime_get_ns() - start) * 10, PAIRS);
}

static void show(const char *name, u64 work, u64 loop)
{
	u32 tenths = work > loop ? work - loop : 0;

	pr_info("slab_speed: %-40s %6u.%u\n", name, tenths / 10, tenths % 10);
}

static int __init slab_speed_init(void)
{
	u64 loop = measure(pairs_of_nothing), random = measure(random_nothing);

	cache = kmem_cache_create("slab_speed", 64, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	show("64 bytes (kmem_cache_alloc, _free)", measure(pairs_of_objects), loop);
	show("64 bytes (kmalloc, kfree)", measure(pairs_of_kmalloc), loop);
	show("64 bytes, 32 at once", measure(bulk_of_objects), 0);
	for (unsigned i = 0; i < LIVE; i++)
		live[i] = kmalloc(16 + i % 512, GFP_KERNEL);
	show("16 to 527 bytes, 10,000 live", measure(random_kmalloc), random);
	return 0;
}
module_init(slab_speed_init);
MODULE_LICENSE("Dual MIT/GPL");
