/*
 * runner.c - runs what unit.h registers. Freestanding: in a process and in the kernel.
 */
#include "test/unit/unit.h"
#include "lib/format.h"
#include "lib/hash.h"
#include "lib/string.h"

/* The linker's names for the bounds of the section; weak, because there may be no test. */
extern const struct unit_test *const __start_unit_tests[] __attribute__((weak));
extern const struct unit_test *const __stop_unit_tests[] __attribute__((weak));

static struct {
	const struct unit_test *current;
	const struct unit_options *options;
	struct random random;
	uint64_t seed; /* of the running test */
	atomic_uint failures;
} state;

__attribute__((weak)) const char *unit_before(UNUSED const struct unit_test *test)
{
	return NULL;
}

__attribute__((weak)) void unit_after(UNUSED const struct unit_test *test)
{
}

const struct unit_test *unit_current(void)
{
	return state.current;
}

uint64_t unit_seed(void)
{
	return state.seed;
}

struct random *unit_random(void)
{
	return &state.random;
}

bool unit_thorough(void)
{
	return state.options && state.options->thorough;
}

uint64_t unit_scale(uint64_t n)
{
	return unit_thorough() ? n * 100 : n;
}

uint64_t unit_schedule(void)
{
	return state.options ? state.options->schedule : 0;
}

bool unit_verbose(void)
{
	return state.options && state.options->verbose;
}

bool unit_failed(void)
{
	return atomic_load(&state.failures) != 0;
}

static void vprint(const char *fmt, va_list args)
{
	char text[512];

	vformat(text, sizeof(text), fmt, args);
	unit_print(text);
}

void unit_printf(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprint(fmt, args);
	va_end(args);
}

/* "lib/list:adds" of test/unit/lib/list_test.c and "adds". */
static void full_name(const struct unit_test *test, char *name, size_t size)
{
	const char *file = strstr(test->file, "test/unit/"), *end;
	size_t n;

	file = file ? file + strlen("test/unit/") : test->file;
	end = strstr(file, "_test.c");
	n = end ? (size_t)(end - file) : strlen(file);
	format(name, size, "%.*s:%s", (int)n, file, test->name);
}

/* Only the first failure of a test is printed: what follows is mostly its consequence. */
void unit_fail(const char *file, int line, const char *fmt, ...)
{
	char name[128], text[384];
	va_list args;

	if (atomic_fetch_add(&state.failures, 1))
		return;
	if (state.current)
		full_name(state.current, name, sizeof(name));
	else
		strscpy(name, "outside of a test", sizeof(name));
	va_start(args, fmt);
	vformat(text, sizeof(text), fmt, args);
	va_end(args);
	unit_printf("FAIL %s: %s:%d: %s (--seed %llu)\n", name, file, line, text,
	            state.options ? (unsigned long long)state.options->seed : 0);
}

static int order(struct unit_value a, struct unit_value b)
{
	if (a.negative != b.negative)
		return a.negative ? -1 : 1;
	return a.bits < b.bits ? -1 : a.bits > b.bits;
}

static void value_text(char *text, size_t size, struct unit_value v)
{
	if (v.negative)
		format(text, size, "%lld", (long long)v.bits);
	else if (v.bits < 10)
		format(text, size, "%llu", (unsigned long long)v.bits);
	else
		format(text, size, "%llu = 0x%llx", (unsigned long long)v.bits,
		       (unsigned long long)v.bits);
}

bool unit_compare(const char *file, int line, enum unit_relation relation, const char *a_text,
                  struct unit_value a, const char *b_text, struct unit_value b)
{
	static const char *const signs[] = {"==", "!=", "<", "<=", ">", ">="};
	/* By relation: does it hold when a is less, equal, greater? */
	static const bool holds[][3] = {{0, 1, 0}, {1, 0, 1}, {1, 0, 0},
	                                {1, 1, 0}, {0, 0, 1}, {0, 1, 1}};
	char a_value[48], b_value[48];

	if (holds[relation][order(a, b) + 1])
		return true;
	value_text(a_value, sizeof(a_value), a);
	value_text(b_value, sizeof(b_value), b);
	unit_fail(file, line, "%s %s %s: %s, %s", a_text, signs[relation], b_text, a_value,
	          b_value);
	return false;
}

bool unit_compare_strings(const char *file, int line, const char *text, const char *a,
                          const char *b)
{
	if (a == b || (a && b && !strcmp(a, b)))
		return true;
	unit_fail(file, line, "%s is \"%s\", not \"%s\"", text, a, b);
	return false;
}

bool unit_compare_bytes(const char *file, int line, const char *text, const void *a, const void *b,
                        size_t n)
{
	const uint8_t *p = a, *q = b;

	for (size_t i = 0; i < n; i++)
		if (p[i] != q[i]) {
			unit_fail(file, line, "%s[%zu] is 0x%02x, not 0x%02x", text, i, p[i], q[i]);
			return false;
		}
	return true;
}

/* Does name contain one of the comma-separated words? */
static bool matches(const char *filter, const char *name)
{
	char word[128];

	if (!filter || !*filter)
		return true;
	while (*filter) {
		size_t n = strcspn(filter, ",");

		format(word, sizeof(word), "%.*s", (int)n, filter);
		if (n && strstr(name, word))
			return true;
		filter += n + (filter[n] == ',');
	}
	return false;
}

static void run_one(const struct unit_test *test, const char *name, struct unit_result *result)
{
	const char *problem;

	state.current = test;
	state.seed = hash_combine(hash_string(name, strlen(name)), state.options->seed);
	random_seed(&state.random, state.seed);
	atomic_store(&state.failures, 0);
	problem = unit_before(test);
	if (problem) {
		unit_fail(test->file, 0, "cannot be set up: %s", problem);
	} else {
		test->run();
		unit_after(test);
	}
	if (unit_failed()) {
		result->failed++;
	} else {
		result->passed++;
		if (state.options->verbose)
			unit_printf("pass %s\n", name);
	}
	state.current = NULL;
}

struct unit_result unit_run_all(const struct unit_options *options)
{
	struct unit_result result = {0};
	char name[128];

	state.options = options;
	for (size_t i = 0; &__start_unit_tests[i] < __stop_unit_tests; i++) {
		const struct unit_test *test = __start_unit_tests[i];

		full_name(test, name, sizeof(name));
		if (matches(options->filter, name))
			run_one(test, name, &result);
	}
	unit_printf("%u passed, %u failed\n", result.passed, result.failed);
	state.options = NULL;
	return result;
}

int unit_run(const char *filter, uint64_t seed)
{
	const struct unit_options options = {.filter = filter, .seed = seed};
	struct unit_result result = unit_run_all(&options);

	return result.passed + result.failed ? (int)result.failed : -1;
}

unsigned unit_list(const char *filter)
{
	unsigned n = 0;
	char name[128];

	for (size_t i = 0; &__start_unit_tests[i] < __stop_unit_tests; i++) {
		full_name(__start_unit_tests[i], name, sizeof(name));
		if (!matches(filter, name))
			continue;
		unit_printf("%s\n", name);
		n++;
	}
	return n;
}
