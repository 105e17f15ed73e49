/*
 * closure.c - a program and the files it needs.
 *
 * The interpreter is asked for the libraries (ld.so --list PROGRAM, which glibc and musl
 * know) rather than the search done over again here: its caches, variables and rules are its own.
 */
#define _GNU_SOURCE
#include "cmd/quire/closure.h"
#include "cmd/quire/process.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINKS   40 /* symbolic links in one path, as Linux */
#define MAX_SCRIPTS 5  /* interpreters that are scripts themselves */

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* True the first time that a name is met. */
static bool fresh(struct closure *c, const char *name)
{
	char *copy = xstrdup(name);
	char **found = tsearch(copy, &c->seen, compare);

	if (!found)
		die("out of memory: free some on the host");
	if (*found == copy)
		return true;
	free(copy);
	return false;
}

static void add_regular(struct closure *c, const char *name, const char *path,
                        const struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("cannot read %s: %s", path, strerror(errno));
	cpio_add_file(c->archive, name, st, fd);
	close(fd);
}

/* The object at path goes in under name (no leading slash), whatever it is; sockets stay out. */
static int add_object(struct closure *c, const char *name, const char *path, struct stat *st)
{
	char target[PATH_MAX];
	ssize_t len = 0;

	if (lstat(path, st) < 0)
		return -errno;
	if (!*name || !fresh(c, name))
		return 0;
	if (S_ISREG(st->st_mode)) {
		add_regular(c, name, path, st);
	} else if (S_ISLNK(st->st_mode)) {
		len = readlink(path, target, sizeof(target));
		if (len < 0)
			return -errno;
		cpio_add(c->archive, name, st, target, (size_t)len);
	} else if (!S_ISSOCK(st->st_mode)) {
		cpio_add(c->archive, name, st, "", 0);
	}
	return 0;
}

/* Cut the last component off a path without trailing slash: "/usr/bin" -> "/usr" -> "". */
static void pop(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
}

/* A walk: resolved is the part walked, free of links; rest is what is left of the path. */
struct walk {
	struct closure *c;
	char *resolved; /* PATH_MAX bytes */
	char rest[PATH_MAX];
	unsigned links;
};

/* The link just walked to is at w->resolved, whose directory part is dir_len long: go on with its target. */
static int follow(struct walk *w, size_t dir_len)
{
	char target[PATH_MAX];
	ssize_t n = readlink(w->resolved, target, sizeof(target));
	size_t rest_len = strlen(w->rest);

	if (n < 0)
		return -errno;
	if (++w->links > MAX_LINKS)
		return -ELOOP;
	if ((size_t)n + rest_len >= sizeof(w->rest))
		return -ENAMETOOLONG;
	memmove(w->rest + n, w->rest, rest_len + 1);
	memcpy(w->rest, target, (size_t)n);
	w->resolved[n && target[0] == '/' ? 0 : dir_len] = '\0';
	return 0;
}

static int step(struct walk *w, const char *component)
{
	size_t dir_len = strlen(w->resolved), len = strlen(component);
	struct stat st;
	int err;

	if (!len || !strcmp(component, "."))
		return 0;
	if (!strcmp(component, "..")) {
		pop(w->resolved);
		return 0;
	}
	if (dir_len + len + 2 > PATH_MAX)
		return -ENAMETOOLONG;
	w->resolved[dir_len] = '/';
	memcpy(w->resolved + dir_len + 1, component, len + 1);
	err = add_object(w->c, w->resolved + 1, w->resolved, &st);
	return err || !S_ISLNK(st.st_mode) ? err : follow(w, dir_len);
}

/* Walk path from the root and put in every directory and link on the way; resolved: see struct walk. */
static int walk(struct closure *c, const char *path, char *resolved)
{
	struct walk w = {.c = c, .resolved = resolved};
	char component[NAME_MAX + 1];
	int err = 0;

	if (strlen(path) >= sizeof(w.rest))
		return -ENAMETOOLONG;
	strcpy(w.rest, path);
	resolved[0] = '\0';
	while (w.rest[0] && !err) {
		size_t skip = strspn(w.rest, "/"), len = strcspn(w.rest + skip, "/");

		if (len >= sizeof(component))
			return -ENAMETOOLONG;
		memcpy(component, w.rest + skip, len);
		component[len] = '\0';
		memmove(w.rest, w.rest + skip + len, strlen(w.rest + skip + len) + 1);
		err = step(&w, component);
	}
	return err;
}

int closure_path(struct closure *c, const char *path)
{
	char resolved[PATH_MAX], cwd[PATH_MAX];
	char *absolute;
	int err;

	if (path[0] == '/')
		return walk(c, path, resolved);
	if (!getcwd(cwd, sizeof(cwd)))
		return -errno;
	absolute = xasprintf("%s/%s", cwd, path);
	err = walk(c, absolute, resolved);
	free(absolute);
	return err;
}

static void add_below(struct closure *c, const char *prefix, const char *name)
{
	char *path = xasprintf("%s/%s", prefix, name);
	DIR *dir = opendir(path);
	struct dirent *d;

	if (!dir)
		die("cannot read %s: %s", path, strerror(errno));
	while ((d = readdir(dir))) {
		char *child = xasprintf("%s%s%s", name, *name ? "/" : "", d->d_name);
		char *child_path = xasprintf("%s/%s", prefix, child);
		struct stat st;

		if (strcmp(d->d_name, ".") && strcmp(d->d_name, "..") &&
		    !add_object(c, child, child_path, &st) && S_ISDIR(st.st_mode))
			add_below(c, prefix, child);
		free(child);
		free(child_path);
	}
	closedir(dir);
	free(path);
}

int closure_tree(struct closure *c, const char *path)
{
	char resolved[PATH_MAX];
	char *real = realpath(path, NULL);
	struct stat st;
	int err = closure_path(c, path);

	if (err || !real || stat(real, &st) < 0) {
		free(real);
		return err ? err : -ENOENT;
	}
	err = walk(c, real, resolved);
	if (!err && S_ISDIR(st.st_mode))
		add_below(c, "", real + 1);
	free(real);
	return err;
}

void closure_root(struct closure *c, const char *dir)
{
	add_below(c, dir, "");
}

void closure_mount_points(struct closure *c)
{
	static const char *const dirs[] = {"dev", "proc", "run", "sys", "tmp"};
	struct stat st = {0};

	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++) {
		st.st_mode = S_IFDIR | (strcmp(dirs[i], "tmp") ? 0755 : 01777);
		if (fresh(c, dirs[i]))
			cpio_add(c->archive, dirs[i], &st, "", 0);
	}
}

void closure_base(struct closure *c)
{
	static const char *const files[] = {"/etc/group", "/etc/ld.so.cache", "/etc/nsswitch.conf",
	                                    "/etc/passwd"};

	closure_mount_points(c);
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		closure_path(c, files[i]); /* those that exist */
}

/* Lines of "ld.so --list": "\tNAME => PATH (0xADDR)", "\tPATH (0xADDR)", "\tNAME => not found". */
static void add_library(struct closure *c, const char *program, char *line)
{
	char *arrow = strstr(line, " => ");
	char *path = arrow ? arrow + 4 : line + strspn(line, " \t");
	char *end = strstr(path, " (0x");
	int err;

	if (arrow && !strncmp(path, "not found", 9)) {
		*arrow = '\0';
		die("%s needs the library %s: install its package", program,
		    line + strspn(line, " \t"));
	}
	if (!end || path[0] != '/')
		return; /* the vDSO */
	*end = '\0';
	err = closure_path(c, path);
	if (err)
		die("cannot read the library %s of %s: %s", path, program, strerror(-err));
}

static int add_libraries(struct closure *c, const char *program, const char *interpreter)
{
	char *const argv[] = {(char *)interpreter, (char *)"--list", (char *)program, NULL};
	struct buf out = {0};
	char *save = NULL;
	int status;

	buf_add(&out, "", 0);
	status = process_output(interpreter, argv, &out);
	if (status)
		die("%s cannot list the libraries of %s: run '%s --list %s' to see why",
		    interpreter, program, interpreter, program);
	for (char *line = strtok_r(out.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		add_library(c, program, line);
	buf_free(&out);
	return 0;
}

/* The interpreter that an ELF file names, allocated; NULL when it is static or no sound ELF64 file. */
static char *elf_interpreter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char name[PATH_MAX] = "";
	Elf64_Ehdr e;
	Elf64_Phdr p;

	if (fd < 0)
		return NULL;
	if (pread(fd, &e, sizeof(e), 0) != sizeof(e) || memcmp(e.e_ident, ELFMAG, SELFMAG) ||
	    e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_machine != EM_X86_64)
		e.e_phnum = 0;
	for (unsigned i = 0; i < e.e_phnum; i++) {
		if (pread(fd, &p, sizeof(p), (off_t)(e.e_phoff + i * sizeof(p))) != sizeof(p))
			break;
		if (p.p_type != PT_INTERP || !p.p_filesz || p.p_filesz >= sizeof(name))
			continue;
		if (pread(fd, name, p.p_filesz, (off_t)p.p_offset) != (ssize_t)p.p_filesz)
			name[0] = '\0';
	}
	close(fd);
	return name[0] == '/' ? xstrdup(name) : NULL;
}

static int add_program(struct closure *c, const char *path, unsigned depth);

/* "#! /path/to/interpreter word": with the interpreter /usr/bin/env the word is a program too. */
static int add_script(struct closure *c, char *line, unsigned depth)
{
	char *save = NULL, *interpreter, *word;
	int err;

	line[strcspn(line, "\n")] = '\0';
	interpreter = strtok_r(line + 2, " \t", &save);
	if (!interpreter)
		return 0;
	word = strtok_r(NULL, " \t", &save);
	err = add_program(c, interpreter, depth + 1);
	if (err || !word || !strstr(interpreter, "/env"))
		return err;
	word = process_find(word, c->path);
	err = word ? add_program(c, word, depth + 1) : -ENOENT;
	free(word);
	return err;
}

static int add_program(struct closure *c, const char *path, unsigned depth)
{
	char *interpreter;
	char head[256];
	ssize_t n;
	int fd, err = closure_path(c, path);

	if (err)
		return err;
	if (depth > MAX_SCRIPTS)
		return -ELOOP;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, head, sizeof(head) - 1);
	close(fd);
	head[MAX(n, 0)] = '\0';
	if (n > 2 && !memcmp(head, "#!", 2))
		return add_script(c, head, depth);
	interpreter = elf_interpreter(path);
	if (!interpreter)
		return 0;
	err = closure_path(c, interpreter);
	if (!err)
		err = add_libraries(c, path, interpreter);
	free(interpreter);
	return err;
}

int closure_program(struct closure *c, const char *program)
{
	char *path = process_find(program, c->path);
	int err;

	if (!path)
		return errno == EACCES ? -EACCES : -ENOENT;
	err = add_program(c, path, 0);
	free(path);
	return err;
}

void closure_end(struct closure *c)
{
	tdestroy(c->seen, free);
	c->seen = NULL;
}
