/*
 * closure.h - a program and the files it needs, put into an archive.
 *
 * What a program needs by name: the symbolic links and directories on every path,
 * the interpreter of a script or of a dynamic ELF file, and the libraries that this
 * interpreter says it would load. What it opens later by itself (modules of an
 * interpreter, data) nobody can know; such files are added by name.
 */
#ifndef QUIRE_CMD_CLOSURE_H
#define QUIRE_CMD_CLOSURE_H

#include "cmd/quire/cpio.h"

struct closure {
	struct cpio *archive;
	void *seen;       /* names already in the archive: a tree of tsearch(3) */
	const char *path; /* PATH, where names without a slash are looked for */
};

/* The directories that the kernel mounts on, empty, where they are not in the archive yet. */
void closure_mount_points(struct closure *c);

/* These, and the few files of /etc that libraries read. */
void closure_base(struct closure *c);

/*
 * The program, by path or by its name in PATH, with interpreters and libraries.
 * 0 or -errno (ENOENT: no such program; EACCES: not executable). A missing library ends the command.
 */
int closure_program(struct closure *c, const char *program);

/* One file or directory (a directory without what is in it). 0 or -errno. */
int closure_path(struct closure *c, const char *path);

/* A directory and everything below it, symbolic links as they are; dir "" is the root of the host. */
int closure_tree(struct closure *c, const char *path);

/* The whole of the host directory dir as the root of the archive. */
void closure_root(struct closure *c, const char *dir);

void closure_end(struct closure *c);

#endif
