/*
 * report_test.c - what the machine says before it stops: for each class of mistake with a frame, the report names the frame, its
 * state in words, who allocated it and who freed it, with the calls that led there, and who met the mistake.
 */
#include "host/internal.h"
#include "lib/string.h"
#include "mm/frame/internal.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#define LINES          96
#define NO_TAIL_CALL() __asm__ volatile("" : : : "memory")

static jmp_buf out;
static char said[256], line[LINES][512];
static unsigned lines;
static struct page *page; /* the one that it happens to */

static void note_panic(const char *message)
{
	strscpy(said, message, sizeof(said));
	longjmp(out, 1);
}

static void note_line(const char *text)
{
	if (lines < LINES)
		strscpy(line[lines++], text, sizeof(line[0]));
}

/* --- who does it: functions of their own, so that their addresses tell ------------------------------------------------ */

static NOINLINE void allocate(unsigned order)
{
	page = alloc_pages(GFP_KERNEL | __GFP_RECLAIMABLE, order);
	NO_TAIL_CALL();
}

static NOINLINE void give_back(unsigned order)
{
	__free_pages(page, order);
	NO_TAIL_CALL();
}

static NOINLINE void give_back_again(void)
{
	__free_pages(page, 0);
	NO_TAIL_CALL();
}

static NOINLINE void take_all(void)
{
	while (alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN))
		NO_TAIL_CALL();
}

/* --- the report ------------------------------------------------------------------------------------------------------ */

static bool in_function(const char *at, const void *function)
{
	const uintptr_t start = (uintptr_t)function, address = strtoull(at, NULL, 16);

	return address > start && address < start + 1024;
}

/* The line after `from` that has the text; LINES: none. */
static unsigned find_line(unsigned from, const char *text)
{
	while (from < lines && !strstr(line[from], text))
		from++;
	return from < lines ? from : LINES;
}

/* After a line with the text, a chain of calls: from fn, or a function of the manager that it called, through the mistake's on. */
static void check_chain(const char *text, const void *fn, const void *within)
{
	unsigned i = find_line(0, text), n = 0;
	bool found = false;

	CHECK_MSG(i < LINES, "the report does not say \"%s\"", text);
	CHECK(!strncmp(line[i + 1], " 0x", 3));
	CHECK(in_function(line[i + 1] + 1, fn) || in_function(line[i + 2] + 1, fn));
	while (i + 1 < lines && !strncmp(line[i + 1], " 0x", 3)) {
		found |= in_function(line[++i] + 1, within);
		n++;
	}
	CHECK(found);
	CHECK_GE(n, 3);
	CHECK_LE(n, STACK_DEPTH);
}

struct mistake {
	void (*make)(void);
	const char *why, *flags;
	const void *met; /* in whose call it was noticed */
	bool freed;      /* the frame has been freed before */
};

static void check_report(const struct mistake *m, uint32_t pfn)
{
	char text[64];
	unsigned i;

	snprintf(text, sizeof(text), "page: frame %#x: refcount:", pfn);
	CHECK(find_line(0, text) < LINES);
	CHECK((i = find_line(0, "page: flags: ")) < LINES);
	CHECK_MSG(strstr(line[i], m->flags), "%s: not %s", line[i], m->flags);
	CHECK((i = find_line(0, "page dumped because: ")) < LINES);
	CHECK(strstr(line[i], m->why));
	CHECK_CALL(check_chain("mask 0x", allocate, m->make));
	CHECK(strstr(line[find_line(0, "mask 0x")], "(GFP_KERNEL|__GFP_RECLAIMABLE), pid "));
	if (m->freed)
		CHECK_CALL(check_chain("last freed by pid", give_back, m->make));
	snprintf(text, sizeof(text), "bad page: frame %#x, ", pfn);
	CHECK(strstr(said, text) && strstr(said, m->why));
	/* Where calls in last place stay calls, it is __free_pages() that lets the last reference go. */
	CHECK(strstr(said, "(by 0x"));
	CHECK(in_function(strstr(said, "(by ") + 4, m->met) ||
	      in_function(strstr(said, "(by ") + 4, __free_pages));
}

static void report_of(const struct mistake *m)
{
	uint32_t pfn;

	CHECK(own_enter(&(struct host_config){
	        .ram = 16ull << 20,
	        .boot_words = "page_owner=on page_poison=1 debug_guardpage_minorder=1"}));
	lines = 0;
	said[0] = '\0';
	host_panic_hook = note_panic;
	host_log_hook = note_line;
	if (!setjmp(out))
		m->make();
	host_panic_hook = NULL;
	host_log_hook = NULL;
	pfn = page_to_pfn(page).n;
	own_leave();
	CHECK_CALL(check_report(m, pfn));
}

/* --- the mistakes ---------------------------------------------------------------------------------------------------- */

static void free_twice(void)
{
	allocate(0);
	give_back(0);
	give_back_again();
}

static void one_reference_too_few(void)
{
	allocate(0);
	give_back(0);
	put_page(page);
	take_all();
}

static void write_after_free(void)
{
	allocate(0);
	give_back(0);
	((char *)page_address(page))[77] = 1;
	take_all();
}

static void use_after_free(void)
{
	allocate(0);
	give_back(0);
	page->mapping = (void *)&said;
	take_all();
}

static void free_while_locked(void)
{
	allocate(0);
	lock_page(page);
	give_back_again();
}

static void free_while_listed(void)
{
	allocate(0);
	page_set_flag(page, PG_slab);
	give_back_again();
}

UNIT_TEST(frames_and_their_history)
{
	const struct mistake mistakes[] = {
	        {free_twice, "freed twice", "(node=0|zone=", give_back_again, true},
	        {one_reference_too_few, "freed twice, or used after", "(node=0|zone=", take_all,
	         true},
	        {write_after_free, "written to while free", "(node=0|zone=", take_all, true},
	        {use_after_free, "does not look it", "(node=0|zone=", take_all, true},
	        {free_while_locked, "freed while in use", "(locked|node=0|zone=", give_back_again,
	         false},
	        {free_while_listed, "freed while in use", "(slab|node=0|zone=", give_back_again,
	         false},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++)
		CHECK_CALL(report_of(&mistakes[i]));
}

static NOINLINE void release(void)
{
	release_pages(&page, 1);
	NO_TAIL_CALL();
}

/* Who lets the last of several pages go is who called, whatever way each of them takes. */
UNIT_TEST(who_released_pages)
{
	struct page_owner owner[2];

	CHECK(own_enter(&(struct host_config){.ram = 16ull << 20, .boot_words = "page_owner=on"}));
	for (unsigned block = 0; block < 2; block++) {
		page = alloc_pages(GFP_KERNEL | (block ? __GFP_COMP : 0), block);
		release();
		page_owner_read(page_to_pfn(page), &owner[block]);
	}
	own_leave();
	for (unsigned block = 0; block < 2; block++) {
		CHECK_GT(owner[block].free_caller, (uintptr_t)release);
		CHECK_LT(owner[block].free_caller, (uintptr_t)release + 1024);
	}
}

/* Of a chain that was not kept the caller is said all the same. */
UNIT_TEST(a_caller_without_a_chain)
{
	lines = 0;
	host_log_hook = note_line;
	stack_depot_log(0, 0x123456);
	host_log_hook = NULL;
	CHECK_EQ(lines, 1);
	CHECK_STR(line[0], " 0x123456");
}

/* Flags in words; unknown bits stay numbers. */
UNIT_TEST(names_of_flags)
{
	char text[FLAG_NAMES_MAX];
	struct page p = {.flags = 1u << PG_uptodate | 1u << PG_lru | 1u << PG_node_shift |
	                          3u << PG_zone_shift};

	CHECK(!strcmp(gfp_names(text, GFP_KERNEL | __GFP_ZERO), "GFP_KERNEL|__GFP_ZERO"));
	CHECK(!strcmp(gfp_names(text, GFP_HIGHUSER_MOVABLE), "GFP_HIGHUSER_MOVABLE"));
	CHECK(!strcmp(gfp_names(text, 0), "none"));
	CHECK(!strcmp(gfp_names(text, __GFP_COMP | 1u << 31), "__GFP_COMP|0x80000000"));
	CHECK_LT(strlen(gfp_names(text, ~0u)), FLAG_NAMES_MAX - 1);
	CHECK(!strcmp(page_flag_names(text, &p), "uptodate|lru|node=1|zone=3"));
	p.flags = ~0u;
	CHECK_LT(strlen(page_flag_names(text, &p)), FLAG_NAMES_MAX - 1);
}
