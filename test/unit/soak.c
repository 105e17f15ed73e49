/*
 * soak.c - see soak.h.
 *
 * A table of slots. A step takes any slot that nobody is at: an empty one gets memory of a kind and size drawn by lot, all of it
 * marked; a full one is looked through for its marks and given back. So what one context makes another frees,
 * on any CPU, threads and interrupts alike. A slot is at work (BUSY) for one context only, so an interrupt never waits.
 */
#include "test/unit/soak.h"

#include <quire/kva.h>
#include <quire/slab.h>

#define SLOTS       512u
#define LARGE       96u /* slots for blocks of order 6 and more: else they would be all there is */
#define KMALLOC_TOP 200000u

enum state { EMPTY, BUSY, FULL };
enum kind { BLOCK, COMPOUND, KMALLOC, OBJECT, VMALLOC, NR_KINDS };

struct slot {
	_Atomic uint32_t state;
	enum kind kind;
	unsigned order;
	size_t size;
	void *at;
	uint64_t mark;
};

static struct {
	struct slot slot[SLOTS];
	struct random random[QUIRE_MAX_CPUS][2]; /* of a CPU's threads, and of its interrupts */
	struct soak_report report[QUIRE_MAX_CPUS][2];
	struct kmem_cache *cache[3];
	_Atomic(const char *) broken;
	_Atomic uint64_t steps;
} soak;

/* Sizes from one to the largest, small ones as often as large ones. */
static size_t any_size(struct random *r, size_t largest)
{
	size_t size = (size_t)1 << random_below(r, 64 - (unsigned)__builtin_clzll(largest));

	return MIN(size + (size_t)random_below(r, size), largest);
}

static void choose(struct random *r, struct slot *s, bool interrupt)
{
	s->kind = (enum kind)random_below(r, interrupt ? VMALLOC : NR_KINDS);
	s->order = (unsigned)random_below(r, s < soak.slot + LARGE ? MAX_ORDER : 5);
	s->mark = random_u64(r);
	switch (s->kind) {
	case BLOCK:
	case COMPOUND:
		s->size = PAGE_SIZE << s->order;
		break;
	case KMALLOC:
		s->size = any_size(r, KMALLOC_TOP);
		break;
	case OBJECT:
		s->order = (unsigned)random_below(r, ARRAY_SIZE(soak.cache));
		break;
	default:
		s->size = any_size(r, 16 * PAGE_SIZE);
	}
}

static const size_t object_size[] = {40, 328, 1500};

static void *make(struct slot *s, gfp_t gfp)
{
	struct page *page;

	switch (s->kind) {
	case BLOCK:
		page = alloc_pages(gfp, s->order);
		return page ? page_address(page) : NULL;
	case COMPOUND:
		page = alloc_pages(gfp | __GFP_COMP | __GFP_ZERO, s->order);
		return page ? page_address(page) : NULL;
	case KMALLOC:
		return kmalloc(s->size, gfp);
	case OBJECT:
		s->size = object_size[s->order];
		return kmem_cache_alloc(soak.cache[s->order], gfp);
	default:
		return vmalloc(s->size);
	}
}

static void give_back(struct slot *s)
{
	switch (s->kind) {
	case BLOCK:
		__free_pages(virt_to_page(s->at), s->order);
		break;
	case COMPOUND:
		put_page(virt_to_page(s->at));
		break;
	case KMALLOC:
		kfree(s->at);
		break;
	case OBJECT:
		kmem_cache_free(soak.cache[s->order], s->at);
		break;
	default:
		vfree(s->at);
	}
}

/* A mark in every 64 bytes and at the end; bytes where no word fits. */
static bool marks(struct slot *s, bool write)
{
	uint8_t *at = s->at;
	bool good = true;

	for (size_t i = 0; i + 8 <= s->size; i += 64)
		if (write)
			*(uint64_t *)(at + i) = s->mark ^ i;
		else
			good &= *(uint64_t *)(at + i) == (s->mark ^ i);
	if (s->size % 64 > 0 && s->size % 64 < 8) {
		if (write)
			at[s->size - 1] = (uint8_t)s->mark;
		else
			good &= at[s->size - 1] == (uint8_t)s->mark;
	}
	return good;
}

static void fill(struct slot *s, struct random *r, struct soak_report *report, bool interrupt)
{
	choose(r, s, interrupt);
	s->at = make(s, (interrupt ? GFP_ATOMIC : GFP_KERNEL) | __GFP_NOWARN);
	if (!s->at) {
		report->refused++;
		atomic_store_explicit(&s->state, EMPTY, memory_order_release);
		return;
	}
	report->made++;
	marks(s, true);
	atomic_store_explicit(&s->state, FULL, memory_order_release);
}

static void empty(struct slot *s, struct soak_report *report)
{
	static const char *const names[NR_KINDS] = {"a block", "a compound page", "kmalloc's",
	                                            "an object", "vmalloc's"};

	if (!marks(s, false))
		atomic_store(&soak.broken, names[s->kind]);
	give_back(s);
	report->freed++;
	atomic_store_explicit(&s->state, EMPTY, memory_order_release);
}

/* From EMPTY or FULL to BUSY. Returns what it was; BUSY: it is another's. */
static enum state take(struct slot *s)
{
	uint32_t state = atomic_load_explicit(&s->state, memory_order_relaxed);

	if (state == BUSY ||
	    !atomic_compare_exchange_strong_explicit(&s->state, &state, BUSY, memory_order_acquire,
	                                             memory_order_relaxed))
		return BUSY;
	return (enum state)state;
}

/* A thread that sleeps may wake on another CPU: it stays with the numbers that it has begun with, for this step. */
void soak_step(void)
{
	const bool interrupt = in_interrupt();
	struct random *r = &soak.random[cpu_id()][interrupt];
	struct soak_report *report = &soak.report[cpu_id()][interrupt];
	struct slot *s = &soak.slot[random_below(r, SLOTS)];
	enum state state = take(s);

	if (state == EMPTY)
		fill(s, r, report, interrupt);
	else if (state == FULL && interrupt && s->kind == VMALLOC) /* vfree() sleeps */
		atomic_store_explicit(&s->state, FULL, memory_order_release);
	else if (state == FULL)
		empty(s, report);
	if (!interrupt && random_below(r, 4096) == 0)
		kmem_cache_shrink_all();
	if (!interrupt && random_below(r, 4096) == 0)
		drain_all_pages();
}

static void construct(void *object)
{
	*(uint64_t *)object = 0;
}

void soak_begin(uint64_t seed)
{
	static const char *const names[] = {"soak-40", "soak-328", "soak-1500"};

	for (unsigned i = 0; i < QUIRE_MAX_CPUS * 2; i++) {
		random_seed(&soak.random[i / 2][i % 2], seed + i);
		soak.report[i / 2][i % 2] = (struct soak_report){0};
	}
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		CHECK(soak.cache[i] = kmem_cache_create(names[i], object_size[i], 0, 0,
		                                        i == 1 ? construct : NULL));
	atomic_store(&soak.broken, NULL);
}

static void add(struct soak_report *sum, const struct soak_report *r)
{
	sum->made += r->made;
	sum->freed += r->freed;
	sum->refused += r->refused;
}

void soak_end(struct soak_report *threads, struct soak_report *interrupts)
{
	*threads = *interrupts = (struct soak_report){0};
	for (unsigned i = 0; i < SLOTS; i++)
		if (atomic_load(&soak.slot[i].state) == FULL)
			empty(&soak.slot[i], &soak.report[0][0]);
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++) {
		add(threads, &soak.report[i][0]);
		add(interrupts, &soak.report[i][1]);
	}
	threads->broken = interrupts->broken = atomic_load(&soak.broken);
	for (unsigned i = 0; i < ARRAY_SIZE(soak.cache); i++)
		CHECK_EQ(kmem_cache_destroy(soak.cache[i]), 0);
}
