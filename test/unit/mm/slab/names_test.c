/*
 * names_test.c - what caches are called: good names and bad ones, aliases, walks over caches that come and go.
 */
#include "mm/slab/internal.h"
#include "lib/string.h"
#include "test/unit/unit.h"

static const struct kmem_cache_args no_args;

static struct kmem_cache *make(const char *name, size_t size)
{
	return kmem_cache_create(name, size, 0, 0, NULL);
}

/* Caches of one kind become one here. */
static bool merging(void)
{
	struct kmem_cache *a = make("test-m1", 136), *b = make("test-m2", 136);
	bool same = a == b;

	(void)kmem_cache_destroy(a);
	(void)kmem_cache_destroy(b);
	return same;
}

static bool known(const char *name)
{
	struct slabinfo info;

	return slab_find(name, &info) == 0;
}

UNIT_TEST(bad_names_are_refused)
{
	static const char *const bad[] = {
	        "",    "a b",   "a/b",   "..",       ".hidden",
	        "a\n", "\ttab", "a\x7f", "\xc3\xa4", "a-name-of-32-characters-is-long-"};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(!make(bad[i], 64), "\"%s\" was taken", bad[i]);
	CHECK(!kmem_cache_create_args(NULL, 64, &no_args, 0));
}

UNIT_TEST(good_names_are_taken)
{
	static const char *const good[] = {"x", "test-rcl-96", "fsnotify_mark(1:2)", "TCP.v6",
	                                   "a-name-of-31-characters-is-good"};

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		struct kmem_cache *s = make(good[i], 64);

		CHECK(s);
		CHECK(known(good[i]));
		CHECK_EQ(kmem_cache_destroy(s), 0);
		CHECK(!known(good[i]));
	}
}

/* The string goes before the cache does. */
UNIT_TEST(names_are_copied)
{
	char name[] = "test-copied", alias[] = "test-alias";
	struct kmem_cache *s = make(name, 136), *t = make(alias, 136);
	struct slabinfo info;

	CHECK(s && t);
	memset(name, 'x', sizeof(name) - 1);
	memset(alias, 'x', sizeof(alias) - 1);
	CHECK(known("test-copied"));
	CHECK_EQ(slab_find("test-alias", &info), 0);
	CHECK_EQ(info.is_alias, s == t);
	CHECK_STR(info.name, s == t ? "test-copied" : "test-alias");
	CHECK_EQ(kmem_cache_destroy(s), 0);
	CHECK_EQ(kmem_cache_destroy(t), 0);
	CHECK(!known("test-copied") && !known("test-alias"));
}

/* Whichever of several creations ends, no name that is still somebody's goes. */
UNIT_TEST(no_name_goes_with_another)
{
	static const char *const names[] = {"test-za", "test-zb", "test-zc"};
	bool one = merging();

	for (unsigned first = 0; first < ARRAY_SIZE(names); first++) {
		struct kmem_cache *s[3];

		for (unsigned i = 0; i < 3; i++)
			CHECK(s[i] = make(names[i], 136));
		CHECK_EQ(kmem_cache_destroy(s[first]), 0);
		for (unsigned i = 0; i < 3; i++)
			CHECK(known(names[i]) == (one || i != first));
		CHECK_EQ(kmem_cache_destroy(s[(first + 1) % 3]), 0);
		CHECK(known(names[(first + 2) % 3]));
		CHECK_EQ(kmem_cache_destroy(s[(first + 2) % 3]), 0);
		for (unsigned i = 0; i < 3; i++)
			CHECK(!known(names[i]));
	}
}

static unsigned seen;

static void see(const char *name, void *wanted)
{
	seen += !strcmp(name, wanted);
}

/* An alias that was left over makes room for the cache that is called so now, and is no second one. */
UNIT_TEST(a_name_is_the_last_cache_made_with_it)
{
	struct kmem_cache *a = make("test-old", 136), *b = make("test-again", 136), *c;
	struct slabinfo info;

	CHECK(a && b);
	CHECK_EQ(kmem_cache_destroy(b), 0);
	c = kmem_cache_create("test-again", 200, 0, SLAB_NO_MERGE, NULL);
	CHECK(c);
	CHECK_EQ(slab_find("test-again", &info), 0);
	CHECK(!info.is_alias);
	CHECK_EQ(info.object_size, 200);
	seen = 0;
	slab_for_each_name(see, (void *)"test-again");
	CHECK_EQ(seen, 1);
	b = make("test-old", 136); /* its own name is none of its aliases */
	CHECK(b);
	seen = 0;
	slab_for_each_name(see, (void *)"test-old");
	CHECK_EQ(seen, a == b ? 1 : 2);
	CHECK_EQ(kmem_cache_destroy(b), 0);
	CHECK_EQ(kmem_cache_destroy(c), 0);
	CHECK(!known("test-again"));
	CHECK_EQ(kmem_cache_destroy(a), 0);
}

/* --- walks ------------------------------------------------------------------------------------------------- */

static struct kmem_cache *walked[3];
static unsigned shown, later;

/* At the second of the three, it and the third end and a fourth is made. Nothing is locked meanwhile. */
static void end_some(const struct slabinfo *info, UNUSED void *ctx)
{
	shown += !strncmp(info->name, "test-walk", 9);
	later += !strcmp(info->name, "test-walk4");
	if (strcmp(info->name, "test-walk2") != 0)
		return;
	if (kmem_cache_destroy(walked[1]) || kmem_cache_destroy(walked[2]))
		return;
	walked[1] = kmem_cache_create("test-walk4", 64, 0, SLAB_NO_MERGE, NULL);
}

UNIT_TEST(a_walk_goes_on_when_its_cache_ends)
{
	static const char *const names[] = {"test-walk1", "test-walk2", "test-walk3"};

	for (unsigned i = 0; i < 3; i++)
		CHECK(walked[i] = kmem_cache_create(names[i], 64, 0, SLAB_NO_MERGE, NULL));
	shown = later = 0;
	slab_for_each(end_some, NULL);
	CHECK_EQ(shown, 3);
	CHECK_EQ(later, 1);
	CHECK_EQ(kmem_cache_destroy(walked[0]), 0);
	CHECK_EQ(kmem_cache_destroy(walked[1]), 0);
}
