/*
 * outcome.c - how the run ended.
 */
#include "cmd/quire/outcome.h"
#include "cmd/quire/archive.h"
#include "cmd/quire/stats.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Values of isa-debug-exit, as QEMU turns them into exit statuses: (value << 1) | 1. */
#define QEMU_RUN_OVER 33
#define QEMU_PANIC    37

/* The whole of a memory file, NUL-ended. */
static char *file_text(int fd)
{
	struct buf b = {0};
	char chunk[4096];
	off_t at = 0;
	ssize_t n;

	buf_add(&b, "", 0);
	while ((n = pread(fd, chunk, sizeof(chunk), at)) > 0) {
		buf_add(&b, chunk, (size_t)n);
		at += n;
	}
	return b.data;
}

/* If --log has not shown it already. */
static void print_log(const struct options *o, const struct guest *g, const struct vm *vm)
{
	struct buf log = {0};

	if (o->log)
		return;
	guest_log(g, &log);
	if (!log.len && vm->is_file[STREAM_SERIAL]) {
		char *serial = file_text(vm->stream[STREAM_SERIAL]);

		buf_add(&log, serial, strlen(serial));
		free(serial);
	}
	if (log.len && log.data[log.len - 1] != '\n')
		buf_add(&log, "\n", 1);
	write_all(STDERR_FILENO, log.data, log.len);
	buf_free(&log);
}

static const char *program_name(const struct options *o)
{
	return o->program[0] ? o->program[0] : "/bin/sh";
}

static int not_started(const struct options *o, int error)
{
	const char *hidden_by = error == ENOENT ? archive_hidden_by(o) : NULL;

	if (hidden_by)
		say("%s: the guest has a %s of its own: move the program to a directory below or elsewhere",
		    program_name(o), hidden_by);
	else
		say("%s: %s", program_name(o), strerror(error));
	return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

static int too_small(const struct options *o, int32_t kib)
{
	char have[24], want[24];

	say("--mem %s is too small to boot: write --mem %s", size_text(o->mem, have),
	    size_text((uint64_t)(uint32_t)kib << 10, want));
	return EXIT_QUIRE;
}

/* A program that the kernel killed for want of memory cannot say so itself. */
static int killed(const struct options *o, const struct guest *g, int sig)
{
	char have[24];

	if (guest_header(g)->oom_killed)
		say("%s was killed: the guest ran out of memory: write more than --mem %s",
		    program_name(o), size_text(o->mem, have));
	return EXIT_SIGNALLED + sig;
}

/* The command's own words are known to its own kernel, so the word is one of --set, or the kernel another. */
static int unknown_word(const struct options *o, const struct vm *vm, int32_t index)
{
	uint64_t i = (uint64_t)(uint32_t)index - vm->first_tunable;

	if (i < o->set.n)
		say("--set %s: this kernel has no such tunable: leave it out", o->set.v[i]);
	else
		say("the kernel does not know word %d of its command line: rebuild kernel and command",
		    index);
	return EXIT_QUIRE;
}

static int kernel_status(const struct options *o, const struct guest *g, const struct vm *vm)
{
	const struct quire_header *h = guest_header(g);

	if (!h || atomic_load(&h->state) != QUIRE_DONE) {
		say("the kernel ended without a result: run with --log to see how far it came");
		return EXIT_QUIRE;
	}
	switch (h->exit_kind) {
	case QUIRE_EXIT_STATUS:
		return h->exit_code & 0xff;
	case QUIRE_EXIT_SIGNAL:
		return killed(o, g, h->exit_code & 0x7f);
	case QUIRE_EXIT_EXEC:
		return not_started(o, h->exit_code);
	case QUIRE_EXIT_MEMORY:
		return too_small(o, h->exit_code);
	case QUIRE_EXIT_WORD:
		return unknown_word(o, vm, h->exit_code);
	default:
		say("the kernel ended with an unknown result (%u): rebuild kernel and command",
		    h->exit_kind);
		return EXIT_QUIRE;
	}
}

/* QEMU's own failures. Its first line says why, behind its own name. */
static int machine_failure(const struct options *o, const struct guest *g, const struct vm *vm,
                           int status)
{
	char *text = file_text(vm->messages), *line = text;
	const char *colon;

	line[strcspn(line, "\n")] = '\0';
	colon = strstr(line, QEMU_PROGRAM ": ");
	if (*line)
		say("QEMU: %s: see 'quire doctor'",
		    colon ? colon + strlen(QEMU_PROGRAM ": ") : line);
	else if (WIFSIGNALED(status))
		say("QEMU was killed by signal %d (%s): is there memory enough on the host?",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		say("the machine reset itself (a triple fault in the kernel): run with --log to see where");
	if (!*line)
		print_log(o, g, vm);
	free(text);
	return EXIT_QUIRE;
}

int outcome_status(const struct options *o, const struct guest *g, const struct vm *vm,
                   const struct relay_result *r)
{
	int code = WIFEXITED(r->status) ? WEXITSTATUS(r->status) : -1;

	if (code == QEMU_RUN_OVER)
		return kernel_status(o, g, vm);
	if (code == QEMU_PANIC) {
		say("the kernel panicked%s", o->log ? "" : "; its log:");
		print_log(o, g, vm);
		return EXIT_QUIRE;
	}
	if (r->closed_output)
		return EXIT_SIGNALLED + SIGPIPE;
	if (r->killed_by)
		return EXIT_SIGNALLED + r->killed_by;
	return machine_failure(o, g, vm, r->status);
}
