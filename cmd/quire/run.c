/*
 * run.c - quire run and quire shell: from options to exit status.
 */
#define _GNU_SOURCE
#include "cmd/quire/archive.h"
#include "cmd/quire/clock.h"
#include "cmd/quire/commands.h"
#include "cmd/quire/kernel.h"
#include "cmd/quire/outcome.h"
#include "cmd/quire/relay.h"
#include "cmd/quire/stats.h"
#include "cmd/quire/terminal.h"
#include "cmd/quire/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MEM_ROUND          (64ull << 10)
#define DETERMINISTIC_KHZ  1000000 /* -icount shift=0: one instruction is one nanosecond */
#define SLACK_BEYOND_IMAGE (256ull << 10)

/*
 * A job in the background that touched the terminal would be stopped by it, even where the program
 * never reads: it finds an empty input instead.
 */
static void leave_terminal_alone(void)
{
	int null;

	if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) == getpgrp())
		return;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	close(null);
}

/* The letters of stdio= for the descriptors as they were when the command started. */
static void choose_stdio(char letters[4], const struct options *o, const bool open_fds[3])
{
	bool tty = open_fds[0] && isatty(STDIN_FILENO);

	for (int fd = 0; fd < 3; fd++)
		letters[fd] = !open_fds[fd] ? 'n' : tty && isatty(fd) ? 't' : 'p';
	if (o->deterministic)
		letters[0] = 'f';
	for (int fd = 1; fd < 3 && o->deterministic; fd++)
		letters[fd] = letters[fd] == 't' ? 'p' : letters[fd];
	letters[3] = '\0';
}

/* Descriptors 0 to 2 that were closed are filled, so that none of ours lands there. */
static void fill_descriptors(bool open_fds[3])
{
	for (int fd = 0; fd < 3; fd++) {
		open_fds[fd] = fcntl(fd, F_GETFD) >= 0;
		if (!open_fds[fd] && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
			_exit(EXIT_QUIRE);
	}
}

/* What cannot even be loaded is refused here; what the kernel needs beyond, it says itself. */
static void check_memory(struct options *o, const char *kernel, uint64_t archive_size)
{
	uint64_t need = kernel_end(kernel) + archive_size + SLACK_BEYOND_IMAGE;
	char have[24], want[24];

	if (!o->numa.nodes) /* nodes are of whole blocks anyway */
		o->mem = ALIGN_UP(o->mem, MEM_ROUND);
	if (o->mem < need)
		die("--mem %s is too small to load kernel and files: write at least --mem %s",
		    size_text(o->mem, have), size_text(ALIGN_UP(need, 1ull << 20), want));
}

static int run_stdin(const struct options *o, const bool open_fds[3])
{
	if (!o->deterministic)
		return -1;
	if (open_fds[0] && !isatty(STDIN_FILENO))
		return STDIN_FILENO;
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void print_stats(const struct options *o, const struct guest *g, int status)
{
	struct buf out = {0};

	if (!o->stats)
		return;
	if (o->json)
		stats_json(g, status, &out);
	else
		stats_text(g, &out);
	write_all(STDERR_FILENO, out.data, out.len);
	buf_free(&out);
}

static int run(struct options *o, const struct clock_mark *start, const bool open_fds[3])
{
	char *qemu = qemu_find(), *kernel;
	struct tracer *tracer;
	struct relay_result result;
	struct boot_words words = {0};
	struct archive archive;
	struct guest guest;
	struct vm vm;
	int serial_out, status;

	archive_make(&archive, o, run_stdin(o, open_fds));
	kernel = kernel_find(o->kernel);
	check_memory(o, kernel, archive.size);
	tracer = o->trace ? tracer_open(o->trace)
	                  : NULL; /* an older trace there goes only when nothing is amiss */
	guest_create(&guest, o->mem, &o->numa, o->trace ? o->trace_size : 0, archive.size);
	choose_stdio(words.stdio, o, open_fds);
	if (words.stdio[0] == 't' && !terminal_size(&words.rows, &words.columns))
		words.rows = 24, words.columns = 80;
	serial_out = !o->log ? -1 : o->selftest ? STDOUT_FILENO : STDERR_FILENO;
	words.tsc_khz = o->deterministic ? DETERMINISTIC_KHZ : clock_tsc_khz(start);
	relay_prepare();
	qemu_start(&vm, qemu, kernel, o, &guest, &archive, &words);
	if (tracer)
		tracer_start(tracer, &guest, !o->deterministic);
	relay_run(&vm, words.stdio, serial_out, &result);
	status = outcome_status(o, &guest, &vm, &result);
	if (tracer && !tracer_finish(tracer))
		status = EXIT_QUIRE;
	print_stats(o, &guest, status);
	return status;
}

static int run_or_shell(char **words, bool shell)
{
	struct clock_mark start;
	struct options o;
	bool open_fds[3];

	clock_begin(&start);
	fill_descriptors(open_fds);
	leave_terminal_alone();
	options_parse(&o, words, shell);
	if (o.selftest)
		o.log = true; /* the tests print to the log */
	return run(&o, &start, open_fds);
}

int cmd_run(char **words)
{
	return run_or_shell(words, false);
}

int cmd_shell(char **words)
{
	return run_or_shell(words, true);
}
