/*
 * main.c - quire: the command.
 */
#include "cmd/quire/commands.h"
#include "cmd/quire/options.h"

#include <stdio.h>
#include <string.h>

#define VERSION "0.1"

static const struct {
	const char *name;
	int (*run)(char **words);
} commands[] = {
        {"run", cmd_run},
        {"shell", cmd_shell},
        {"pack", cmd_pack},
        {"doctor", cmd_doctor},
};

static int help(void)
{
	puts("usage: quire COMMAND [options]\n"
	     "\n"
	     "  run [options] -- PROGRAM [ARG...]          boot Quire and run one Linux program on it\n"
	     "  shell [options]                            boot Quire with an interactive shell\n"
	     "  pack -o FILE.cpio -- PROGRAM [FILE...]     put a program and what it needs into an archive\n"
	     "  doctor                                     what this host can do, and what to install\n"
	     "\n"
	     "'quire run --help' lists the options of run and shell.");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("no command: write 'quire run -- PROGRAM' or see 'quire --help'");
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argv + 2);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return help();
	if (!strcmp(argv[1], "--version")) {
		puts("quire " VERSION);
		return 0;
	}
	refuse_unbuilt(argv[1]);
	die("unknown command %s: see 'quire --help'", argv[1]);
}
