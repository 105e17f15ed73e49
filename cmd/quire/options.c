/*
 * options.c - the options of run and shell: one table that parses and that prints the help.
 */
#include "cmd/quire/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEM_DEFAULT (256ull << 20)
#define MEM_MAX \
	(64ull  \
	 << 30) /* the descriptors of more do not fit below 1 GB, where the kernel makes them */
#define TRACE_LIVE    (64ull << 20)  /* the command empties the rings while the guest runs */
#define TRACE_AT_REST (256ull << 20) /* it may not: see trace.h */
#define TRACE_MIN     (64ull << 10)
#define TRACE_MAX     (2ull << 30)

static void set_mem(struct options *o, const char *v)
{
	if (!parse_size(v, &o->mem) || !o->mem)
		die("--mem %s is not a size of memory: write 64M, 1G or the like", v);
	if (o->mem > MEM_MAX)
		die("--mem %s is more than a guest can have: write at most --mem 64G", v);
	o->mem = ALIGN_UP(o->mem, MEMORY_UNIT);
	o->mem_given = true;
}

static void set_numa(struct options *o, const char *v)
{
	numa_parse(&o->numa, v);
}

static void set_cpus(struct options *o, const char *v)
{
	if (!parse_number(v, 1, 8, &o->cpus))
		die("--cpus %s is not a number of CPUs: write 1 to 8", v);
}

static void set_accel(struct options *o, const char *v)
{
	static const char *const names[] = {"auto", "tcg", "kvm"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(v, names[i])) {
			o->accel = (enum accel)i;
			return;
		}
	}
	die("--accel %s is unknown: write auto, tcg or kvm", v);
}

static void set_trace_size(struct options *o, const char *v)
{
	if (!parse_size(v, &o->trace_size) || o->trace_size < TRACE_MIN ||
	    o->trace_size > TRACE_MAX)
		die("--trace-size %s is no size for trace rings: write 64K to 2G", v);
	o->trace_size = ALIGN_UP(o->trace_size, MEMORY_UNIT);
}

static void set_env(struct options *o, const char *v)
{
	if (!strchr(v, '=') || *v == '=')
		die("--env %s is no variable: write --env NAME=VALUE", v);
	strings_add(&o->env, v);
}

static void set_tunable(struct options *o, const char *v)
{
	if (!strchr(v, '=') || *v == '=' || strpbrk(v, " \t\n\""))
		die("--set %s is no tunable: write --set NAME=VALUE, without spaces", v);
	strings_add(&o->set, v);
}

static void set_slab(struct options *o, const char *v)
{
	static const char *const names[] = {"slub", "slab", "slob"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(v, names[i])) {
			o->slab = v;
			return;
		}
	}
	die("--slab %s is unknown: write slub, slab or slob", v);
}

static void set_root(struct options *o, const char *v)
{
	o->root = v;
}

static void set_write(struct options *o, const char *v)
{
	o->write = v;
}

static void set_kernel(struct options *o, const char *v)
{
	o->kernel = v;
}

static void set_trace(struct options *o, const char *v)
{
	o->trace = v;
}

static void set_stats(struct options *o, UNUSED const char *v)
{
	o->stats = true;
}

static void set_json(struct options *o, UNUSED const char *v)
{
	o->stats = o->json = true;
}

static void set_log(struct options *o, UNUSED const char *v)
{
	o->log = true;
}

static void set_deterministic(struct options *o, UNUSED const char *v)
{
	o->deterministic = true;
}

static void set_selftest(struct options *o, const char *v)
{
	if (v && strpbrk(v, " \t\n\""))
		die("--selftest=%s: a filter has no spaces", v);
	o->selftest = v ? v : "";
}

enum arity { NO_VALUE, VALUE, MAYBE_VALUE };

/* help NULL: not for users (doc/boot-protocol.md). */
static const struct option_def {
	const char *name, *value;
	enum arity arity;
	void (*set)(struct options *o, const char *value);
	const char *help;
} defs[] = {
        {"--mem", "SIZE", VALUE, set_mem, "memory of the guest: 64M, 1G (default 256M)"},
        {"--cpus", "N", VALUE, set_cpus, "CPUs of the guest, 1 to 8 (default 2)"},
        {"--numa", "N|SIZE,SIZE[:D]", VALUE, set_numa,
         "nodes of memory, as many or of these sizes; neighbours are D away (default 20)"},
        {"--root", "DIR|FILE.cpio", VALUE, set_root,
         "the guest's files: a directory, read-only (default /), or a newc archive, in memory"},
        {"--write", "DIR", VALUE, set_write, "make this directory of the root writable"},
        {"--env", "NAME=VALUE", VALUE, set_env, "set a variable of the program's environment"},
        {"--stats", NULL, NO_VALUE, set_stats,
         "after the run, sum up its memory on standard error"},
        {"--json", NULL, NO_VALUE, set_json, "--stats as one line of JSON"},
        {"--log", NULL, NO_VALUE, set_log,
         "show the kernel's log on standard error as it is written"},
        {"--trace", "DIR", VALUE, set_trace,
         "write every event to DIR/trace.txt, in ftrace's form"},
        {"--trace-size", "SIZE", VALUE, set_trace_size,
         "room for events not yet written (default 64M)"},
        {"--deterministic", NULL, NO_VALUE, set_deterministic,
         "one CPU, time counted in instructions, files packed: every run the same"},
        {"--accel", "auto|tcg|kvm", VALUE, set_accel, "how QEMU runs the guest (default auto)"},
        {"--slab", "NAME", VALUE, set_slab,
         "allocator of kernel objects: slub, slab or slob (default slub)"},
        {"--set", "NAME=VALUE", VALUE, set_tunable, "set a tunable of the kernel; repeat for more"},
        {"--kernel", "FILE", VALUE, set_kernel,
         "the kernel to boot (default: the one built beside quire)"},
        {"--selftest", "FILTER", MAYBE_VALUE, set_selftest, NULL},
};

static const char *const unbuilt[] = {
        "compare",  "top",    "record", "replay", "sweep",    "lab",
        "--policy", "--swap", "--la57", "--pti",  "--report",
};

void refuse_unbuilt(const char *word)
{
	for (unsigned i = 0; i < ARRAY_SIZE(unbuilt); i++) {
		size_t len = strlen(unbuilt[i]);

		if (!strncmp(word, unbuilt[i], len) && (!word[len] || word[len] == '='))
			die("%s is not built yet: 'quire --help' lists what is", unbuilt[i]);
	}
}

static NORETURN void help(bool shell)
{
	if (shell)
		puts("usage: quire shell [options] [-- PROGRAM [ARG...]]\n"
		     "Boot Quire with an interactive shell: /bin/sh, or PROGRAM. ^] three times within a second ends it.\n");
	else
		puts("usage: quire run [options] -- PROGRAM [ARG...]\n"
		     "Boot Quire, run one Linux program on it, pass its output and exit status through.\n");
	for (unsigned i = 0; i < ARRAY_SIZE(defs); i++) {
		char left[48];

		if (!defs[i].help)
			continue;
		snprintf(left, sizeof(left), "%s%s%s", defs[i].name, defs[i].value ? " " : "",
		         defs[i].value ? defs[i].value : "");
		printf("  %-22s %s\n", left, defs[i].help);
	}
	puts("\nExit status: the program's own; 125 quire or its kernel failed, 126 not executable,\n"
	     "127 not found, 128+N killed by signal N.");
	exit(0);
}

/* Take one option from words[i]; returns the index of the word after it. */
static int take_option(struct options *o, char **words, int i, bool shell)
{
	const char *word = words[i];
	const char *inline_value = strchr(word, '=');
	size_t len = inline_value ? (size_t)(inline_value - word) : strlen(word);

	for (unsigned d = 0; d < ARRAY_SIZE(defs); d++) {
		const char *value = inline_value ? inline_value + 1 : NULL;

		if (strlen(defs[d].name) != len || strncmp(word, defs[d].name, len))
			continue;
		if (defs[d].arity == NO_VALUE && value)
			die("%s takes no value: write just %s", defs[d].name, defs[d].name);
		if (defs[d].arity == VALUE && !value)
			value = words[++i];
		if (defs[d].arity == VALUE && (!value || !*value))
			die("%s needs a value: write %s %s", defs[d].name, defs[d].name,
			    defs[d].value);
		defs[d].set(o, value);
		return i + 1;
	}
	if (!strcmp(word, "--help") || !strcmp(word, "-h"))
		help(shell);
	refuse_unbuilt(word);
	die("unknown option %s: see 'quire %s --help'", word, shell ? "shell" : "run");
}

static void check_together(struct options *o)
{
	if (o->deterministic && o->cpus > 1)
		die("--deterministic runs on one CPU: leave out --cpus %u", o->cpus);
	if (o->deterministic && o->accel == ACCEL_KVM)
		die("--deterministic counts instructions, KVM cannot: leave out --accel kvm");
	if (o->deterministic && o->write)
		die("--deterministic shares no files with the host: leave out --write");
	if (o->deterministic && o->shell)
		die("--deterministic has no terminal: use 'quire run'");
	if (o->deterministic && o->numa.nodes)
		die("--deterministic runs without a firmware, which --numa needs: write --set numa=fake=%u",
		    o->numa.nodes);
	numa_share(&o->numa, &o->mem, o->mem_given);
	if (o->mem > MEM_MAX)
		die("the nodes of --numa have more memory than a guest can have, which is 64G");
	if (!o->cpus)
		o->cpus = o->deterministic ? 1 : 2;
	if (!o->trace_size)
		o->trace_size = o->deterministic ? TRACE_AT_REST : TRACE_LIVE;
}

void options_parse(struct options *o, char **words, bool shell)
{
	int i = 0;

	*o = (struct options){.mem = MEM_DEFAULT, .shell = shell};
	while (words[i] && words[i][0] == '-' && words[i][1] && strcmp(words[i], "--"))
		i = take_option(o, words, i, shell);
	if (words[i] && !strcmp(words[i], "--"))
		i++;
	o->program = &words[i];
	if (!shell && !words[i] && !o->selftest)
		die("no program to run: write 'quire run [options] -- PROGRAM [ARG...]'");
	check_together(o);
}
