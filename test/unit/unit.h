/*
 * unit.h - the unit tests' harness. The same test files run in a process and inside the kernel.
 *
 *     UNIT_TEST(buddy_splits)
 *     {
 *             CHECK_EQ(nr_free_pages(), 1024);
 *             CHECK_SOUND(frame_check());
 *     }
 *
 * A test is registered by being linked: UNIT_TEST() puts a pointer into the section unit_tests,
 * whose bounds the linker names. (A kernel's linker script must keep the section:
 * KEEP(*(unit_tests)).) Tests are freestanding and run one after another; do not count on their
 * order, which is the linker's and the compiler's.
 *
 * A check that fails prints file, line and values, marks the test as failed and returns from the
 * function it is in, which therefore returns void. A caller of such a function goes on unless it
 * uses CHECK_CALL(). Checks may be made in several threads; only one failure is printed in full.
 *
 * The embedder (main_host.c, or the kernel) supplies unit_print(), may supply unit_before() and
 * unit_after(), and calls unit_run().
 */
#ifndef TEST_UNIT_H
#define TEST_UNIT_H

#include <quire/types.h>
#include "lib/random.h"

struct unit_test {
	/* Test/unit/lib/list_test.c, "adds": printed and filtered as lib/list:adds. */
	const char *name;
	const char *file;
	void (*run)(void);
};

#define UNIT_TEST(id)                                                                  \
	static void unit_run_##id(void);                                               \
	static const struct unit_test unit_test_##id = {#id, __FILE__, unit_run_##id}; \
	static const struct unit_test *const unit_entry_##id                           \
	        __attribute__((used, section("unit_tests"))) = &unit_test_##id;        \
	static void unit_run_##id(void)

/* Supplied by the embedder: text goes out, in pieces that need not end with a newline. */
void unit_print(const char *text);

/*
 * Around each test; weak, empty by default. unit_before() returns NULL, or why the test cannot be
 * set up, which fails it. unit_after() runs whatever the test's end was, and may itself CHECK.
 */
const char *unit_before(const struct unit_test *test);
void unit_after(const struct unit_test *test);

struct unit_options {
	/* Comma-separated words, one of which the name must contain; NULL: all. */
	const char *filter;
	uint64_t seed;
	bool verbose;      /* a line for each test, not only for failures */
	bool thorough;     /* random tests do a hundred times as much: unit_scale() */
	uint64_t schedule; /* not 0: hosted machines run by this schedule alone (host/schedule.h) */
};

struct unit_result {
	unsigned passed, failed;
};

/* Run the tests and print "N passed, N failed" at the end. */
struct unit_result unit_run_all(const struct unit_options *options);

/* The same, brief: returns how many failed, or -1 when the filter matches no test. */
int unit_run(const char *filter, uint64_t seed);

/* Print the names. Returns how many. */
unsigned unit_list(const char *filter);

/* The test that runs now, or NULL. For crash handlers. */
const struct unit_test *unit_current(void);

/*
 * Randomness of the running test: a function of the run's seed and the test's name only, so a
 * failure comes again with the printed seed and any filter.
 */
uint64_t unit_seed(void);
struct random *unit_random(void);

/* n, or as many as a thorough run deserves. */
uint64_t unit_scale(uint64_t n);

uint64_t unit_schedule(void);
bool unit_verbose(void);
bool unit_thorough(void);

/* Has the running test failed? */
bool unit_failed(void);

/* Print what a failing or verbose test has to say. */
void unit_printf(const char *fmt, ...) PRINTF(1, 2);

/* Boot words of machines that tests make for themselves, or NULL. Only in a process. */
extern const char *unit_boot_words;

/* Mark the running test as failed, with a reason. */
void unit_fail(const char *file, int line, const char *fmt, ...) PRINTF(3, 4);

enum unit_relation { UNIT_EQ, UNIT_NE, UNIT_LT, UNIT_LE, UNIT_GT, UNIT_GE };

/* An integer or pointer of any type, with its sign. */
struct unit_value {
	uint64_t bits;
	bool negative;
};

/* clang-format off */
#define UNIT_SIGNED(x)                                                                             \
	_Generic((x), char: true, signed char: true, short: true, int: true, long: true,           \
		 long long: true, default: false)
/* clang-format on */
#define UNIT_VALUE(x)                                                                       \
	({                                                                                  \
		uint64_t unit_bits_ = (uint64_t)(x);                                        \
		(struct unit_value){unit_bits_, UNIT_SIGNED(x) && (int64_t)unit_bits_ < 0}; \
	})

bool unit_compare(const char *file, int line, enum unit_relation relation, const char *a_text,
                  struct unit_value a, const char *b_text, struct unit_value b);
bool unit_compare_strings(const char *file, int line, const char *text, const char *a,
                          const char *b);
bool unit_compare_bytes(const char *file, int line, const char *text, const void *a, const void *b,
                        size_t n);

#define CHECK(cond)                                                 \
	do {                                                        \
		if (unlikely(!(cond))) {                            \
			unit_fail(__FILE__, __LINE__, "%s", #cond); \
			return;                                     \
		}                                                   \
	} while (0)

/* With a message of its own: CHECK_MSG(n < 8, "round %u: %u left", i, n). */
#define CHECK_MSG(cond, ...)                                        \
	do {                                                        \
		if (unlikely(!(cond))) {                            \
			unit_fail(__FILE__, __LINE__, __VA_ARGS__); \
			return;                                     \
		}                                                   \
	} while (0)

/* expr is one of the x_check() functions: NULL, or the name of what is broken. */
#define CHECK_SOUND(expr)                                                        \
	do {                                                                     \
		const char *broken_ = (expr);                                    \
		if (unlikely(broken_)) {                                         \
			unit_fail(__FILE__, __LINE__, "%s: %s", #expr, broken_); \
			return;                                                  \
		}                                                                \
	} while (0)

/* Call a function that makes checks, and leave when it failed. */
#define CHECK_CALL(expr)                     \
	do {                                 \
		(expr);                      \
		if (unlikely(unit_failed())) \
			return;              \
	} while (0)

#define UNIT_COMPARE(relation, a, b)                                                            \
	do {                                                                                    \
		if (unlikely(!unit_compare(__FILE__, __LINE__, relation, #a, UNIT_VALUE(a), #b, \
		                           UNIT_VALUE(b))))                                     \
			return;                                                                 \
	} while (0)

/* Integers and pointers of any types, compared as the numbers they are (-1 is less than 0u). */
#define CHECK_EQ(a, b) UNIT_COMPARE(UNIT_EQ, a, b)
#define CHECK_NE(a, b) UNIT_COMPARE(UNIT_NE, a, b)
#define CHECK_LT(a, b) UNIT_COMPARE(UNIT_LT, a, b)
#define CHECK_LE(a, b) UNIT_COMPARE(UNIT_LE, a, b)
#define CHECK_GT(a, b) UNIT_COMPARE(UNIT_GT, a, b)
#define CHECK_GE(a, b) UNIT_COMPARE(UNIT_GE, a, b)

#define CHECK_STR(a, b)                                                            \
	do {                                                                       \
		if (unlikely(!unit_compare_strings(__FILE__, __LINE__, #a, a, b))) \
			return;                                                    \
	} while (0)

#define CHECK_MEM(a, b, n)                                                          \
	do {                                                                        \
		if (unlikely(!unit_compare_bytes(__FILE__, __LINE__, #a, a, b, n))) \
			return;                                                     \
	} while (0)

#endif
