/*
 * main_host.c - the unit tests as a program:
 *
 *     unit [-v] [--seed N] [--schedule N] [--long] [--boot WORDS] [--list] [FILTER...]
 *
 * --long: random tests do a hundred times as much. --schedule N: each test on a deterministic machine, by schedule N,
 * and those that search through schedules try this one only.
 * --boot: words for the tests' machines, as on a kernel's command line: --boot 'slab=slob slob_fit=best'.
 * A test runs if its name contains one of the filters. Exit status: 0 all passed, 1 some failed,
 * 2 bad arguments or no such test. A test that dies (signal, sanitizer) is named before the end.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/schedule.h"
#include "test/unit/unit.h"
#include "lib/format.h"
#include "lib/string.h"

static struct unit_options options = {.seed = 1};

const char *unit_boot_words;

void unit_print(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
}

/* Called from signal handlers: format() and write() are safe there. */
static void say_who_died(void)
{
	const struct unit_test *test = unit_current();
	static bool said;
	char text[512];
	size_t n;

	if (!test || said)
		return;
	said = true;
	n = format_cut(text, sizeof(text), "FAIL %s: %s: died (--seed %llu) %s\n", test->file,
	               test->name, (unsigned long long)options.seed, schedule_place());
	if (write(STDOUT_FILENO, text, n) < 0)
		_exit(1);
}

static void on_signal(int number)
{
	say_who_died();
	signal(number, SIG_DFL);
	raise(number);
}

/*
 * In sanitizer builds their runtime reports faults and then ends the process: the address
 * sanitizer calls back before, the one for undefined behaviour is told to abort.
 */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));
const char *__ubsan_default_options(void);

const char *__ubsan_default_options(void)
{
	return "abort_on_error=1:print_stacktrace=1";
}

static void catch_deaths(void)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};

	signal(SIGABRT, on_signal);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(say_who_died);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		signal(fatal[i], on_signal);
}

static NORETURN void bad_argument(const char *what, const char *argument)
{
	fprintf(stderr,
	        "unit: %s%s: use unit [-v] [--seed N] [--schedule N] [--long] [--boot WORDS] [--list] [FILTER...]\n",
	        what, argument);
	exit(2);
}

static uint64_t parse_number(const char *option, const char *text)
{
	const char *end = NULL;
	uint64_t n;

	if (!text)
		bad_argument(option, " needs a number");
	if (parse_u64(text, 0, &end, &n) || *end)
		bad_argument("not a number: ", text);
	return n;
}

/* Filters join into one, with commas between. */
static void add_filter(const char *word)
{
	static char filter[4096];
	size_t n = strlen(filter);

	if (n + strlen(word) + 2 > sizeof(filter))
		bad_argument("too many filters at ", word);
	snprintf(filter + n, sizeof(filter) - n, "%s%s", n ? "," : "", word);
	options.filter = filter;
}

static int no_match(void)
{
	fprintf(stderr, "unit: no test matches %s: --list names them\n",
	        options.filter ? options.filter : "");
	return 2;
}

int main(int argc, char **argv)
{
	struct unit_result result;
	bool list = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-v"))
			options.verbose = true;
		else if (!strcmp(argv[i], "--list"))
			list = true;
		else if (!strcmp(argv[i], "--seed"))
			options.seed = parse_number("--seed", argv[++i]);
		else if (!strcmp(argv[i], "--schedule"))
			options.schedule = parse_number("--schedule", argv[++i]);
		else if (!strcmp(argv[i], "--long"))
			options.thorough = true;
		else if (!strcmp(argv[i], "--boot") && argv[i + 1])
			unit_boot_words = argv[++i];
		else if (argv[i][0] == '-')
			bad_argument("unknown option ", argv[i]);
		else
			add_filter(argv[i]);
	}
	if (list)
		return unit_list(options.filter) ? 0 : no_match();
	catch_deaths();
	result = unit_run_all(&options);
	if (!result.passed && !result.failed)
		return no_match();
	return result.failed ? 1 : 0;
}
