/*
 * boot_words_test.c - a value that a boot word does not understand is named in one line, and then it is as if the word were absent.
 */
#include "host/host.h"
#include "host/internal.h"
#include "mm/slab/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <string.h>

#define MB (1ull << 20)

static const char *expected;
static unsigned heard, others;

static void listen(const char *line)
{
	if (expected && strstr(line, expected))
		heard++;
	else
		others++;
}

/* A machine that is made with the configuration says `line`, once, and nothing else; NULL: nothing at all. */
static bool starts(const struct host_config *config, const char *line)
{
	bool made;

	expected = line;
	heard = others = 0;
	host_log_hook = listen;
	made = own_enter(config);
	host_log_hook = NULL;
	return made && heard == (line != NULL) && !others;
}

static bool refuses(const char *words, const char *line)
{
	return starts(&(struct host_config){.ram = 32 * MB, .boot_words = words}, line);
}

UNIT_TEST(switches_of_frame_debugging)
{
	static const char *const bad[][2] = {
	        {"page_owner=maybe", "page_owner=maybe is not on or off"},
	        {"page_owner", "page_owner= is not on or off"},
	        {"page_owner=ononononon", "is not on or off"},
	        {"page_poison=2", "page_poison=2 is not on or off"},
	        {"debug_guardpage_minorder=6", "debug_guardpage_minorder=6 is not 0 to 5"},
	        {"debug_guardpage_minorder=0000000001", "is not 0 to 5"},
	        {"debug_guardpage_minorder=x", "debug_guardpage_minorder=x is not 0 to 5"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(refuses(bad[i][0], bad[i][1]));
		CHECK(!machine()->careful);
		CHECK(!machine()->page_owner);
		CHECK_EQ(machine()->guard_minorder, 0);
		own_leave();
	}
	CHECK(refuses("page_owner=off page_poison=0 debug_guardpage_minorder=0", NULL));
	CHECK(!machine()->careful);
	own_leave();
	CHECK(refuses("page_owner=1 page_poison=on debug_guardpage_minorder=5", NULL));
	CHECK(machine()->poison);
	CHECK(machine()->page_owner);
	CHECK_EQ(machine()->guard_minorder, 5);
	own_leave();
}

UNIT_TEST(numbers_of_lists)
{
	static const char *const bad[][2] = {
	        {"pcp_blocks=32", "pcp_blocks=32 is not 0 to 31"},
	        {"pcp_blocks=00000000", "is not 0 to 31"},
	        {"pcp_blocks=-1", "pcp_blocks=-1 is not 0 to 31"},
	        {"slab_arrays=63", "slab_arrays=63 is not 0 to 62"},
	        {"slab_arrays=1x", "slab_arrays=1x is not 0 to 62"},
	        {"slab_arrays", "slab_arrays= is not 0 to 62"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(refuses(bad[i][0], bad[i][1]));
		CHECK_EQ(machine()->pcp_blocks, -1);
		CHECK_EQ(slab_state()->options.arrays, 62);
		own_leave();
	}
	CHECK(refuses("pcp_blocks=31 slab_arrays=62", NULL));
	CHECK_EQ(machine()->pcp_blocks, 31);
	own_leave();
	CHECK(refuses("pcp_blocks=0 slab_arrays=0", NULL));
	CHECK_EQ(machine()->pcp_blocks, 0);
	CHECK_EQ(slab_state()->options.arrays, 0);
	own_leave();
}

/* What cannot be understood does not give a small machine what it would not have by itself. */
UNIT_TEST(a_number_refused_on_a_small_machine)
{
	CHECK(starts(&(struct host_config){.ram = 6 * MB, .boot_words = "slab_arrays=63"},
	             "slab_arrays=63 is not 0 to 62"));
	CHECK_EQ(slab_state()->options.arrays, 0);
	own_leave();
}

static bool switched(const char *words, const char *line, bool on)
{
	return refuses(words, line) && slab_state()->options.nomerge == on &&
	       slab_state()->options.harden == on;
}

UNIT_TEST(switches_of_slab)
{
	static const char *const on[] = {"slab_nomerge slab_harden",
	                                 "slab_nomerge=1 slab_harden=on"};
	static const char *const off[] = {"", "slab_nomerge=0 slab_harden=0",
	                                  "slab_nomerge=off slab_harden=n"};

	for (unsigned i = 0; i < ARRAY_SIZE(on); i++) {
		CHECK(switched(on[i], NULL, true));
		own_leave();
	}
	for (unsigned i = 0; i < ARRAY_SIZE(off); i++) {
		CHECK(switched(off[i], NULL, false));
		own_leave();
	}
	CHECK(switched("slab_harden=2", "slab_harden=2 is not on or off", false));
	own_leave();
	CHECK(switched("slab_nomerge=falsehood", "slab_nomerge=falseho is not on or off", false));
	own_leave();
}

/* However many caches read it. */
UNIT_TEST(letters_of_slub_debug)
{
	CHECK(refuses("slub_debug=XYZ", "slub_debug=XYZ: 'X' is unknown"));
	own_leave();
	CHECK(refuses("slub_debug=FZ,dentry;PQ,kmalloc-*", "'Q' is unknown"));
	own_leave();
	CHECK(refuses("slub_debug=FZPU,dentry,filp;-", NULL));
	own_leave();
}

static bool shape(struct frame_config frames, const char *line)
{
	return starts(&(struct host_config){.ram = 64 * MB, .frames = frames}, line);
}

UNIT_TEST(more_nodes_than_there_can_be)
{
	CHECK(shape((struct frame_config){.nr_nodes = 99, .numa_fake = true},
	            "99 nodes: 4 are the most"));
	CHECK_EQ(machine()->nr_nodes, 4);
	own_leave();
	CHECK(shape((struct frame_config){.nr_nodes = (1ull << 32) + 1, .numa_fake = true},
	            "4294967297 nodes: 4 are the most"));
	CHECK_EQ(machine()->nr_nodes, 4);
	own_leave();
	CHECK(shape((struct frame_config){.nr_nodes = 4, .numa_fake = true}, NULL));
	own_leave();
}

UNIT_TEST(too_little_memory_for_nodes)
{
	CHECK(starts(
	        &(struct host_config){.ram = 12 * MB, .frames = {.nr_nodes = 4, .numa_fake = true}},
	        "too little memory for 4 nodes"));
	CHECK_EQ(machine()->nr_nodes, 1);
	own_leave();
}

UNIT_TEST(zones_that_would_leave_nothing)
{
	const struct frame_config byte = {.kernelcore = 1}, whole = {.movablecore_percent = 100},
	                          all = {.kernelcore = 64 * MB}, half = {.movablecore_percent = 50};

	CHECK(shape(byte, "nothing would be left for the kernel"));
	own_leave();
	CHECK(shape(whole, "nothing would be left for the kernel"));
	own_leave();
	CHECK(shape(all, "nothing would be left to be movable"));
	own_leave();
	CHECK(shape(half, NULL));
	own_leave();
}
