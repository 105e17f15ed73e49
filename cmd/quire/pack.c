/*
 * pack.c - quire pack -o FILE.cpio -- PROGRAM [FILE...]: a root for --root and for
 * deterministic runs, made from the host's files.
 */
#include "cmd/quire/closure.h"
#include "cmd/quire/commands.h"
#include "cmd/quire/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static NORETURN void help(void)
{
	puts("usage: quire pack -o FILE.cpio -- PROGRAM [FILE...]\n"
	     "Write a newc archive with the program, its interpreters and libraries, and the files and\n"
	     "directories named, for 'quire run --root FILE.cpio'.");
	exit(0);
}

static void add_all(struct closure *c, char **words)
{
	int err = closure_program(c, words[0]);

	if (err)
		die("cannot pack %s: %s", words[0], strerror(-err));
	for (int i = 1; words[i]; i++) {
		err = closure_tree(c, words[i]);
		if (err)
			die("cannot pack %s: %s", words[i], strerror(-err));
	}
}

static void write_out(const char *out, int from, uint64_t size)
{
	int to = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (to < 0)
		die("cannot write %s: %s", out, strerror(errno));
	lseek(from, 0, SEEK_SET);
	cpio_append_raw(to, from, size, out);
	if (close(to) < 0)
		die("cannot write %s: %s", out, strerror(errno));
}

int cmd_pack(char **words)
{
	const char *out = NULL;
	struct cpio archive;
	struct closure c = {.archive = &archive, .path = search_path()};
	int fd, i = 0;

	for (; words[i] && words[i][0] == '-' && strcmp(words[i], "--"); i++) {
		if (!strcmp(words[i], "--help") || !strcmp(words[i], "-h"))
			help();
		if (strcmp(words[i], "-o") || !words[i + 1])
			die("unknown option %s: see 'quire pack --help'", words[i]);
		out = words[++i];
	}
	if (words[i] && !strcmp(words[i], "--"))
		i++;
	if (!out || !words[i])
		die("nothing to pack: write 'quire pack -o FILE.cpio -- PROGRAM [FILE...]'");
	fd = memory_file("quire-pack"); /* so that a failure leaves no half archive behind */
	cpio_begin(&archive, fd);
	closure_base(&c);
	add_all(&c, words + i);
	cpio_end(&archive);
	closure_end(&c);
	write_out(out, fd, archive.pos);
	return 0;
}
