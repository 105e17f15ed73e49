/*
 * options.h - what the user asked for.
 */
#ifndef QUIRE_CMD_OPTIONS_H
#define QUIRE_CMD_OPTIONS_H

#include "cmd/quire/numa.h"
#include "cmd/quire/util.h"

enum accel { ACCEL_AUTO, ACCEL_TCG, ACCEL_KVM };

struct options {
	uint64_t mem; /* bytes of RAM that the guest may use */
	bool mem_given;
	struct numa numa;
	unsigned cpus; /* 0 until chosen */
	enum accel accel;
	const char *root;  /* a directory, or a newc archive */
	const char *write; /* NULL, or the directory that is writable */
	const char *kernel;
	const char *slab;  /* allocator of kernel objects; NULL: the kernel's choice */
	const char *trace; /* NULL, or the directory of trace.txt */
	uint64_t trace_size;
	const char *selftest; /* NULL, or the filter of the unit tests to run ("" for all) */
	struct strings env;   /* K=V, over the environment that the program gets anyway */
	struct strings set;   /* K=V, tunables of the kernel */
	bool stats, json, log, deterministic, shell;
	char **program; /* NULL-ended: the program and its arguments; empty: none given */
};

/* Parse the words after "run" or "shell". Exits after --help, and with one line on a bad word. */
void options_parse(struct options *o, char **words, bool shell);

/* Answer a word (command or option) that a later version will know; returns if it is none. */
void refuse_unbuilt(const char *word);

#endif
