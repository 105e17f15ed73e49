/*
 * slab_choices_test.c - what an allocator chooses, each on a machine with its own boot words: where SLOB's blocks lie by each
 * of its three ways, SLAB's colours and indices elsewhere, how many slabs are kept, and what a report says of the culprit.
 */
#include "host/internal.h"
#include "lib/format.h"
#include "lib/string.h"
#include "mm/slab/slub.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <quire/check.h>

#define MB (1ull << 20)

static bool enter(const char *words)
{
	return own_enter(&(struct host_config){.ram = 16 * MB, .cpus = 2, .boot_words = words});
}

static void leave(void)
{
	slab_flush_all();
	CHECK_SOUND(mm_check());
	own_leave();
}

static struct kmem_cache *make(const char *name, size_t size)
{
	return kmem_cache_create(name, size, 0, SLAB_NO_MERGE, NULL);
}

static void take(struct kmem_cache *s, unsigned n, void **into)
{
	for (unsigned i = 0; i < n; i++)
		CHECK(into[i] = kmem_cache_alloc(s, GFP_KERNEL));
}

static void give(struct kmem_cache *s, unsigned n, void **from)
{
	for (unsigned i = 0; i < n; i++)
		if (from[i])
			kmem_cache_free(s, from[i]);
}

/* --- SLOB ---------------------------------------------------------------------------------------------------- */

static struct kmem_cache *quarter, *half; /* of a page */
static void *x[4], *y[4];

/* Two pages full of quarters, x below y; no other page of that class has anything free. */
static void two_pages(const char *words)
{
	CHECK(enter(words));
	quarter = make("test-quarter", 1024);
	half = make("test-half", 2048);
	CHECK(quarter && half);
	CHECK_EQ(slab_state()->slob_free[2].count, 0);
	take(quarter, 4, x);
	take(quarter, 4, y);
	CHECK_EQ(virt_to_page(x[0]), virt_to_page(x[3]));
	CHECK_EQ(virt_to_page(y[0]), virt_to_page(y[3]));
	CHECK_EQ(slab_state()->slob_free[2].count, 0);
}

static void end_pages(void)
{
	give(quarter, 4, x);
	give(quarter, 4, y);
	CHECK_EQ(kmem_cache_destroy(quarter), 0);
	CHECK_EQ(kmem_cache_destroy(half), 0);
	leave();
}

static void *freed(void **object)
{
	void *was = *object;

	kmem_cache_free(quarter, was);
	*object = NULL;
	return was;
}

/* The first place, or the tightest: of a page, and of all pages. y's page comes to the list last, and so lies first on it. */
UNIT_TEST(slob_first_and_best_fit)
{
	static const char *const words[] = {"slab=slob", "slab=slob slob_fit=best"};

	for (unsigned best = 0; best < 2; best++) {
		void *one, *two, *three, *a, *b;

		CHECK_CALL(two_pages(words[best]));
		three = freed(&x[3]);
		one = freed(&y[0]);
		(void)freed(&y[1]); /* y: a hole of two quarters; x: one quarter */
		a = kmem_cache_alloc(quarter, GFP_KERNEL);
		CHECK_EQ(a, best ? three : one);
		kmem_cache_free(quarter, a);
		two = freed(&y[3]); /* and in y's page a second one of one quarter */
		x[3] = kmem_cache_alloc(quarter, GFP_KERNEL);
		b = kmem_cache_alloc(quarter, GFP_KERNEL);
		CHECK_EQ(best ? (x[3] == three && b == two) || (x[3] == two && b == three)
		              : x[3] == one,
		         true);
		kmem_cache_free(quarter, b);
		end_pages();
	}
}

/* The search begins where the last one ended. */
UNIT_TEST(slob_next_fit)
{
	static const char *const words[] = {"slab=slob", "slab=slob slob_fit=next"};

	for (unsigned next = 0; next < 2; next++) {
		void *first, *behind, *a, *b;

		CHECK_CALL(two_pages(words[next]));
		a = freed(&x[0]);
		(void)freed(&x[1]);
		behind = freed(&x[2]);
		first = freed(&y[0]);
		b = kmem_cache_alloc(half, GFP_KERNEL); /* fits into x alone */
		CHECK_EQ(b, a);
		a = kmem_cache_alloc(quarter, GFP_KERNEL);
		CHECK_EQ(a, next ? behind : first);
		kmem_cache_free(quarter, a);
		kmem_cache_free(half, b);
		end_pages();
	}
}

/* An object of a cache has no header that says how much is to be zeroed. */
UNIT_TEST(slob_zeroes_whole_objects)
{
	static char zeros[200];
	struct kmem_cache *s;
	void *list[32];

	CHECK(enter("slab=slob"));
	s = make("test-zeros", sizeof(zeros));
	CHECK(s);
	take(s, ARRAY_SIZE(list), list);
	for (unsigned i = 0; i < ARRAY_SIZE(list); i++)
		memset(list[i], 0xa5, sizeof(zeros));
	for (unsigned i = 0; i < ARRAY_SIZE(list); i += 2) {
		kmem_cache_free(s, list[i]);
		list[i] = kmem_cache_alloc(s, GFP_KERNEL | __GFP_ZERO);
		CHECK(list[i] && !memcmp(list[i], zeros, sizeof(zeros)));
		CHECK_EQ(*(uint8_t *)list[i + 1], 0xa5);
	}
	give(s, ARRAY_SIZE(list), list);
	CHECK_EQ(kmem_cache_destroy(s), 0);
	leave();
}

/* Small, middle and large requests share no page. */
UNIT_TEST(slob_lists_by_size)
{
	struct kmem_cache *s[3];
	void *p[3];

	CHECK(enter("slab=slob"));
	CHECK(s[0] = make("test-small", 248));
	CHECK(s[1] = make("test-middle", 1016));
	CHECK(s[2] = make("test-large", 1024));
	for (unsigned i = 0; i < 3; i++)
		CHECK(p[i] = kmem_cache_alloc(s[i], GFP_KERNEL));
	for (unsigned i = 0; i < 3; i++)
		CHECK_NE(virt_to_page(p[i]), virt_to_page(p[(i + 1) % 3]));
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(virt_to_page(p[i])->slab_word >> 32, i);
		kmem_cache_free(s[i], p[i]);
		CHECK_EQ(kmem_cache_destroy(s[i]), 0);
	}
	leave();
}

/* --- SLAB ---------------------------------------------------------------------------------------------------- */

/* Each new slab one colour further, and after the last the first again. */
UNIT_TEST(slab_colours_go_round)
{
	struct kmem_cache *s;
	static void *p[200];
	unsigned per, n, slabs;

	CHECK(enter("slab=slab slab_arrays=0"));
	CHECK(s = make("test-colour", 700));
	per = s->objects;
	slabs = 2u * s->colour + 1;
	n = slabs * per;
	CHECK_GT(s->colour, 2);
	CHECK_LE(n, ARRAY_SIZE(p));
	take(s, n, p);
	for (unsigned i = 0; i < slabs; i++) {
		uintptr_t least = UINTPTR_MAX;

		for (unsigned k = i * per; k < (i + 1) * per; k++)
			least = MIN(least, (uintptr_t)virt_to_phys(p[k]).a & (s->slab_bytes - 1));
		CHECK_EQ(least, i % s->colour * s->colour_off);
	}
	give(s, n, p);
	CHECK_EQ(kmem_cache_destroy(s), 0);
	leave();
}

/* From an eighth of a page on the index lies elsewhere. */
UNIT_TEST(slab_index_elsewhere)
{
	static const struct {
		size_t size;
		bool off;
	} cases[] = {{504, false}, {512, true}, {2048, true}};

	CHECK(enter("slab=slab"));
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kmem_cache *s = make("test-index", cases[i].size);
		struct slabinfo info;
		void *p;

		CHECK(s);
		CHECK_EQ(s->off_slab, cases[i].off);
		CHECK_EQ(s->objects,
		         (s->slab_bytes - (cases[i].off ? 0 : 2 * s->objects)) / s->size);
		CHECK(p = kmem_cache_alloc(s, GFP_KERNEL));
		CHECK_EQ(slab_find("test-index", &info), 0);
		kmem_cache_free(s, p);
		CHECK_EQ(kmem_cache_destroy(s), 0);
	}
	leave();
}

/* An index elsewhere is an object of a cache that was shrunk before. */
UNIT_TEST(shrinking_all_is_thorough)
{
	static void *p[2000];
	struct kmem_cache *s;

	CHECK(enter("slab=slab"));
	CHECK(s = make("test-index", 1024));
	CHECK(s->off_slab);
	take(s, ARRAY_SIZE(p), p);
	give(s, ARRAY_SIZE(p), p);
	CHECK_GT(kmem_cache_shrink_all(), 0);
	CHECK_EQ(kmem_cache_shrink_all(), 0);
	CHECK_EQ(kmem_cache_destroy(s), 0);
	leave();
}

/* What one CPU gives back passes through the node's shared array, up to its limit. */
UNIT_TEST(slab_shared_array)
{
	static void *p[400];
	struct slab_node *n;
	struct kmem_cache *s;

	CHECK(enter("slab=slab"));
	CHECK(s = make("test-shared", 64));
	take(s, ARRAY_SIZE(p), p);
	give(s, ARRAY_SIZE(p), p);
	n = &s->node[0];
	CHECK(n->shared);
	CHECK_EQ(n->shared->avail, n->shared->limit);
	CHECK_EQ(kmem_cache_destroy(s), 0);
	leave();
}

/* --- kmalloc --- */

UNIT_TEST(kmalloc_by_kind)
{
	uint64_t before;
	void *p;

	CHECK(enter("slab=slub"));
	CHECK(p = kmalloc(100, GFP_KERNEL | __GFP_RECLAIMABLE));
	CHECK_STR(virt_to_page(p)->slab_cache->name, "kmalloc-rcl-128");
	kfree(p);
	before = frame_kind_pages(FRAME_SLAB);
	CHECK(p = kmalloc(20000, GFP_KERNEL)); /* a block of frames is the objects' too */
	CHECK_EQ(frame_kind_pages(FRAME_SLAB), before + 8);
	kfree(p);
	CHECK_EQ(frame_kind_pages(FRAME_SLAB), before);
	leave();
}

/* --- how much is kept ------------------------------------------------------------------------------------------ */

/* Two empty slabs of a node (SLAB: and one more on its way), however many there were; taking and giving back makes none. */
UNIT_TEST(a_few_empty_slabs_are_kept)
{
	static const char *const words[] = {"slab=slub slab_arrays=0", "slab=slab slab_arrays=0"};
	static void *p[300];

	for (unsigned w = 0; w < ARRAY_SIZE(words); w++) {
		struct kmem_cache *s;
		uint64_t kept, made;

		CHECK(enter(words[w]));
		CHECK(s = make("test-kept", 512));
		take(s, ARRAY_SIZE(p), p);
		give(s, ARRAY_SIZE(p), p);
		kept = slab_nr_slabs(s) - (s->cpu[0].page != NULL) - s->cpu[0].nr_partial;
		CHECK_GE(kept, 2);
		CHECK_LE(kept, 3);
		made = atomic_load(&s->new_slabs);
		for (unsigned i = 0; i < 20; i++) {
			take(s, 2u * s->objects, p);
			give(s, 2u * s->objects, p);
		}
		CHECK_EQ(atomic_load(&s->new_slabs), made);
		CHECK_EQ(kmem_cache_destroy(s), 0);
		leave();
	}
}

/* Slabs that were full until something of theirs came back: as many as hold about 30 free objects, six at most. */
UNIT_TEST(partial_slabs_of_a_cpu)
{
	static const size_t sizes[] = {64, 512, 2048};
	static void *p[1000];

	CHECK(enter("slab=slub slab_arrays=0"));
	for (unsigned k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct kmem_cache *s = make("test-partial", sizes[k]);
		unsigned limit, most = 0;

		CHECK(s);
		limit = MIN(DIV_ROUND_UP(60u, s->objects), 6u);
		CHECK_EQ(s->cpu_partial, limit);
		take(s, 8u * s->objects, p);
		for (unsigned i = 0; i < 8; i++) {
			kmem_cache_free(s, p[i * s->objects]);
			p[i * s->objects] = NULL;
			CHECK_LE(s->cpu[0].nr_partial, limit);
			most = MAX(most, s->cpu[0].nr_partial);
		}
		CHECK_EQ(most, limit);
		CHECK_SOUND(slab_check());
		give(s, 8u * s->objects, p);
		CHECK_EQ(kmem_cache_destroy(s), 0);
	}
	leave();
}

/* The smallest that holds four (two of the large) and wastes at most an eighth. */
UNIT_TEST(how_large_a_slab_is)
{
	static const struct {
		size_t size;
		unsigned order;
	} cases[] = {{8, 0},    {700, 1},  {1024, 0}, {1032, 1}, {1600, 1}, {2048, 1},
	             {2056, 2}, {2728, 1}, {3000, 2}, {4096, 1}, {5000, 2}, {8192, 2}};

	CHECK(enter("slab=slub"));
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kmem_cache *s = make("test-order", cases[i].size);

		CHECK(s);
		CHECK_MSG(s->order == cases[i].order, "%u bytes: order %u, not %u",
		          (unsigned)cases[i].size, s->order, cases[i].order);
		CHECK_EQ(kmem_cache_destroy(s), 0);
	}
	leave();
}

/* A cache is opened after some use, and holds the fewer objects the larger they are. */
UNIT_TEST(arrays_come_with_use)
{
	static const struct {
		size_t size;
		unsigned limit;
	} cases[] = {{256, 62}, {264, 30}, {1024, 30}, {1032, 14}, {4096, 14}, {4104, 6}};

	CHECK(enter("slab=slub"));
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kmem_cache *s = make("test-array", cases[i].size);

		CHECK(s);
		CHECK_EQ(s->limit, cases[i].limit);
		for (unsigned k = 0; k < 7; k++)
			kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
		CHECK_EQ(s->cpu[0].array, slab_closed); /* once is no use */
		for (unsigned k = 0; k < 7; k++)
			kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
		CHECK_NE(s->cpu[0].array, slab_closed);
		CHECK_EQ(kmem_cache_destroy(s), 0);
	}
	leave();
}

/* slab_stats: each step of one cache is counted, by which way it went; of the others only the slabs. */
UNIT_TEST(steps_are_counted)
{
	struct kmem_cache *s, *other;
	struct slabinfo info;
	static void *p[100];

	CHECK(enter("slab=slub slab_stats=test-stats"));
	CHECK(s = make("test-stats", 512));
	CHECK(other = make("test-other", 512));
	for (unsigned i = 0; i < 2; i++) {
		take(i ? other : s, ARRAY_SIZE(p), p);
		give(i ? other : s, ARRAY_SIZE(p), p);
	}
	CHECK_EQ(slab_find("test-stats", &info), 0);
	CHECK_EQ(info.alloc_fastpath + info.alloc_slowpath, ARRAY_SIZE(p));
	CHECK_EQ(info.alloc_slowpath, DIV_ROUND_UP(ARRAY_SIZE(p), info.objperslab));
	CHECK_EQ(info.free_fastpath + info.free_slowpath, ARRAY_SIZE(p));
	CHECK_GT(info.free_slowpath, info.free_fastpath); /* of one slab in thirteen */
	CHECK_EQ(info.alloc_slab, DIV_ROUND_UP(ARRAY_SIZE(p), info.objperslab));
	CHECK_EQ(slab_find("test-other", &info), 0);
	CHECK_EQ(info.alloc_fastpath + info.alloc_slowpath + info.free_fastpath, 0);
	CHECK_GT(info.alloc_slab, 0);
	CHECK_EQ(kmem_cache_destroy(s), 0);
	CHECK_EQ(kmem_cache_destroy(other), 0);
	leave();
}

/* --- hardening -------------------------------------------------------------------------------------------------- */

/* What stands in a free object is no address, nor the same in two places that lead to the same. */
UNIT_TEST(links_are_enciphered_by_word)
{
	static const char *const words[] = {"slab=slub", "slab=slub slab_harden"};

	for (unsigned hard = 0; hard < 2; hard++) {
		struct kmem_cache *s;
		char *a, *b, *c;
		uintptr_t link;

		CHECK(enter(words[hard]));
		CHECK(s = make("test-hard", 64));
		CHECK_EQ(s->random != 0, hard);
		a = kmem_cache_alloc(s, GFP_KERNEL);
		b = kmem_cache_alloc(s, GFP_KERNEL);
		c = kmem_cache_alloc(s, GFP_KERNEL);
		CHECK(a && b && c);
		kmem_cache_free(s, a);
		kmem_cache_free(s, b);
		link = *(uintptr_t *)(b + s->offset);
		CHECK_EQ(link == (uintptr_t)a, !hard);
		CHECK_EQ(slub_next(s, b), a);
		slub_link(s, c, a);
		CHECK_EQ(*(uintptr_t *)(c + s->offset) == link, !hard);
		slub_link(s, c, NULL);
		kmem_cache_free(s, c);
		CHECK_EQ(kmem_cache_destroy(s), 0);
		leave();
	}
}

/* --- reports ---------------------------------------------------------------------------------------------------- */

static char said[64][256];
static unsigned lines;

static void listen(const char *line)
{
	if (lines < ARRAY_SIZE(said))
		strscpy(said[lines++], line, sizeof(said[0]));
}

static void go_on(const struct slab_bug *bug UNUSED)
{
}

static bool was_said(const char *text)
{
	for (unsigned i = 0; i < lines; i++)
		if (strstr(said[i], text))
			return true;
	return false;
}

/* Who: process and CPU of both, and how long ago. */
UNIT_TEST(a_report_says_who_it_was)
{
	struct kmem_cache *s;
	char *p, text[64];

	CHECK(enter("slab=slub"));
	slab_set_report(go_on);
	CHECK(s = kmem_cache_create("test-who", 40, 0, SLAB_STORE_USER | SLAB_POISON, NULL));
	host_enter(own, 1);
	CHECK(p = kmem_cache_alloc(s, GFP_KERNEL));
	host_enter(own, 0);
	kmem_cache_free(s, p);
	p[3] = 0;
	lines = 0;
	host_log_hook = listen;
	CHECK_EQ(kmem_cache_alloc(s, GFP_KERNEL), p);
	host_log_hook = NULL;
	CHECK(was_said("BUG test-who: Poison overwritten"));
	CHECK(was_said("Allocated in "));
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		format(text, sizeof(text), "cpu=%u pid=%u", cpu, cpu + 1);
		CHECK_MSG(was_said(text), "%s is not said", text);
	}
	CHECK_LE(slab_meta(s, p)->track[TRACK_FREE].when, port_now_ns());
	CHECK_GT(slab_meta(s, p)->track[TRACK_FREE].when, 0);
	kmem_cache_free(s, p);
	CHECK_EQ(kmem_cache_destroy(s), 0);
	leave();
}

static NOINLINE void *take_in_here(struct kmem_cache *s)
{
	void *object = kmem_cache_alloc(s, GFP_KERNEL);

	__asm__ volatile("" : : : "memory"); /* no tail call */
	return object;
}

static NOINLINE void *take_from_there(struct kmem_cache *s)
{
	void *object = take_in_here(s);

	__asm__ volatile("" : : : "memory");
	return object;
}

static bool address_in(uintptr_t address, void *(*fn)(struct kmem_cache *s))
{
	return address - (uintptr_t)fn < 512;
}

/* With page_owner=on not only who, but who had called him: in the log too. */
UNIT_TEST(a_report_has_the_calls)
{
	struct kmem_cache *s;
	const uintptr_t *address;
	const struct slab_track *t;
	char text[32], *p;

	CHECK(enter("slab=slub page_owner=on"));
	slab_set_report(go_on);
	CHECK(s = kmem_cache_create("test-calls", 40, 0, SLAB_STORE_USER | SLAB_RED_ZONE, NULL));
	CHECK(p = take_from_there(s));
	t = &slab_meta(s, p)->track[TRACK_ALLOC];
	CHECK(t->stack);
	CHECK_GE(stack_depot_fetch(t->stack, &address), 2);
	CHECK(address_in(address[0], take_in_here));
	CHECK(address_in(address[1], take_from_there));
	p[40] = 0;
	lines = 0;
	host_log_hook = listen;
	kmem_cache_free(s, p);
	host_log_hook = NULL;
	for (unsigned i = 0; i < 2; i++) {
		format(text, sizeof(text), " 0x%lx", (unsigned long)address[i]);
		CHECK_MSG(was_said(text), "%s is not said", text);
	}
	CHECK_EQ(kmem_cache_destroy(s), 0);
	leave();
}
