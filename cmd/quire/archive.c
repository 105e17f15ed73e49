/*
 * archive.c - the boot archive.
 *
 * The program's environment is the command's own, except in a deterministic run, where it is
 * the same on every host. Options of --env come last and win.
 *
 * The guest has a /tmp, /run and /dev/shm of its own, in memory. Where the working directory or the
 * program lies below one of them, that directory is shared besides, so that both are there all the same.
 */
#define _GNU_SOURCE
#include "cmd/quire/archive.h"
#include "cmd/quire/closure.h"
#include "cmd/quire/process.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static void set_variable(struct strings *env, const char *assignment)
{
	size_t name_len = strcspn(assignment, "=") + 1;

	for (size_t i = 0; i < env->n; i++) {
		if (!strncmp(env->v[i], assignment, name_len)) {
			free(env->v[i]);
			env->v[i] = xstrdup(assignment);
			return;
		}
	}
	strings_add(env, assignment);
}

static void make_environment(struct strings *env, const struct options *o)
{
	static const char *const fixed[] = {"PATH=" DEFAULT_PATH, "HOME=/", "LANG=C", NULL};
	char *const *from = o->deterministic ? (char *const *)fixed : environ;

	for (; *from; from++)
		strings_add(env, *from);
	if (o->shell && !getenv("PS1"))
		strings_add(env, "PS1=quire# ");
	for (size_t i = 0; i < o->env.n; i++)
		set_variable(env, o->env.v[i]);
	if (!env->n)
		strings_add(env, "PATH=" DEFAULT_PATH);
}

static const char *variable(const struct strings *env, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], name, len) && env->v[i][len] == '=')
			return env->v[i] + len + 1;
	return NULL;
}

/* path as the guest sees it when root is its "/"; NULL when path is not below root. */
static const char *below(const char *path, const char *root)
{
	size_t len = strlen(root);

	if (!strcmp(root, "/"))
		return path;
	if (strncmp(path, root, len) || (path[len] && path[len] != '/'))
		return NULL;
	return path[len] ? path + len : "/";
}

static char *working_directory(const struct archive *a, const struct options *o)
{
	char *cwd = getcwd(NULL, 0);
	const char *guest = NULL;

	if (cwd && a->share)
		guest = below(cwd, a->share);
	else if (cwd && !o->root)
		guest = cwd;
	guest = xstrdup(guest ? guest : "/");
	free(cwd);
	return (char *)guest;
}

static char *real_directory(const char *option, const char *path)
{
	char *real = realpath(path, NULL);
	struct stat st;

	if (!real || stat(real, &st) < 0)
		die("%s %s: %s: name a directory that exists", option, path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		die("%s %s: not a directory: name one", option, path);
	if (access(real, R_OK | X_OK))
		die("%s %s: %s: run as a user who may read it", option, path, strerror(errno));
	return real;
}

/* Takes host over. A directory comes before those below it, which it would cover otherwise. */
static void add_share(struct archive *a, char *host, const char *guest, bool writable)
{
	unsigned at = a->nr_shares++;

	for (; at && strlen(a->shares[at - 1].guest) > strlen(guest); at--)
		a->shares[at] = a->shares[at - 1];
	a->shares[at] = (struct share){host, xstrdup(guest), writable};
}

static void choose_write(struct archive *a, const struct options *o)
{
	const char *guest;
	char *host;

	if (!o->write)
		return;
	host = real_directory("--write", o->write);
	if (access(host, W_OK))
		die("--write %s: %s: run as a user who may write it", o->write, strerror(errno));
	guest = a->share ? below(host, a->share) : host;
	if (!guest)
		die("--write %s: not below the root %s: name a directory that is", o->write,
		    a->share);
	add_share(a, host, guest, true);
}

/* The directory that the guest has for itself and that path lies in or is; NULL if there is none. */
static const char *private_directory(const char *guest)
{
	static const char *const dirs[] = {"/tmp", "/run", "/dev/shm"};

	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++)
		if (below(guest, dirs[i]))
			return dirs[i];
	return NULL;
}

/* Share a directory that the guest's own ones would hide, unless it can be seen already. */
static void share_hidden(struct archive *a, char *host)
{
	const char *guest = host ? below(host, a->share) : NULL, *own;

	own = guest ? private_directory(guest) : NULL;
	if (!own || !strcmp(guest, own))
		return free(host);
	for (unsigned i = 0; i < a->nr_shares; i++)
		if (below(host, a->shares[i].host))
			return free(host);
	add_share(a, host, guest, false);
}

/* The directory of a program that is given by its path; NULL for a name. */
static char *program_directory(const char *root, const char *program)
{
	struct buf path = {0};
	char *real;

	if (!program || !strchr(program, '/'))
		return NULL;
	buf_printf(&path, "%s/%s", *program == '/' ? root : ".", program);
	real = realpath(dirname(path.data), NULL);
	buf_free(&path);
	return real;
}

const char *archive_hidden_by(const struct options *o)
{
	char *dir = o->root || o->deterministic ? NULL : program_directory("/", o->program[0]);
	const char *own = dir ? private_directory(dir) : NULL;

	if (own && (strcmp(dir, own) || access(o->program[0], F_OK)))
		own = NULL;
	free(dir);
	return own;
}

static void add_strings(struct cpio *c, const char *name, char *const *words)
{
	static const struct stat st = {.st_mode = S_IFREG | 0444, .st_nlink = 1};
	struct buf b = {0};

	buf_add(&b, "", 0);
	for (; *words; words++)
		buf_add(&b, *words, strlen(*words) + 1);
	cpio_add(c, name, &st, b.data, b.len);
	buf_free(&b);
}

static void add_input(struct cpio *c, int fd, uint64_t mem)
{
	static const struct stat st = {.st_mode = S_IFREG | 0444, .st_nlink = 1};
	struct buf b = {0};
	char chunk[65536], size[24];
	ssize_t n;

	buf_add(&b, "", 0);
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno != EINTR)
			die("cannot read standard input: %s", strerror(errno));
		buf_add(&b, chunk, n > 0 ? (size_t)n : 0);
		if (b.len > mem)
			die("a deterministic run keeps its whole standard input in memory, and this has "
			    "more than --mem %s",
			    size_text(mem, size));
	}
	cpio_add(c, ".quire/stdin", &st, b.data, b.len);
	buf_free(&b);
}

static void add_shares(struct cpio *c, const struct archive *a)
{
	struct strings words = {0};

	for (unsigned i = 0; i < a->nr_shares; i++)
		strings_addf(&words, "%s%s", a->shares[i].writable ? "w" : "r", a->shares[i].guest);
	if (words.n)
		add_strings(c, ".quire/shares", words.v);
}

/* What to run: the members below .quire. */
static void add_plan(struct cpio *c, const struct options *o, const struct archive *a,
                     char *const *env, char *cwd, int stdin_fd)
{
	char *cwd_words[] = {cwd, NULL};
	char *shell_words[] = {(char *)"/bin/sh", NULL};

	add_strings(c, ".quire/argv", o->shell && !o->program[0] ? shell_words : o->program);
	add_strings(c, ".quire/env", env);
	add_strings(c, ".quire/cwd", cwd_words);
	add_shares(c, a);
	if (stdin_fd >= 0)
		add_input(c, stdin_fd, o->mem);
}

static void add_user_archive(struct archive *a, const char *path, int fd, const struct stat *st)
{
	const char *wrong = cpio_check(fd, (uint64_t)st->st_size);

	if (wrong)
		die("--root %s: %s: make one with 'quire pack' or 'cpio -o -H newc'", path, wrong);
	lseek(a->fd, 0, SEEK_END);
	cpio_append_raw(a->fd, fd, (uint64_t)st->st_size, path);
}

/* The root of a deterministic run: --root DIR whole, or the program and the files that its arguments name. */
static void add_closure(struct archive *a, const struct options *o, const char *path,
                        const char *cwd)
{
	struct cpio c;
	struct closure cl = {.archive = &c, .path = path};
	int err = 0;

	cpio_begin(&c, a->fd);
	if (o->root) {
		closure_root(&cl, o->root);
		closure_mount_points(&cl);
	} else {
		closure_base(&cl);
		closure_path(&cl, cwd);
		err = closure_program(&cl, o->program[0]);
		for (int i = 1; o->program[i]; i++)
			closure_path(&cl, o->program[i]); /* those that are files */
	}
	if (err) {
		say("%s: %s", o->program[0], strerror(-err));
		exit(err == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
	}
	cpio_end(&c);
	closure_end(&cl);
}

/* Open --root FILE, or note the directory to share. Returns the file, -1 for a directory. */
static int choose_root(struct archive *a, const struct options *o, struct stat *st)
{
	int fd = -1;

	a->cpio_root = o->deterministic || o->selftest;
	if (o->root) {
		fd = open(o->root, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, st) < 0)
			die("--root %s: %s: name a directory or a newc archive", o->root,
			    strerror(errno));
		if (S_ISREG(st->st_mode)) {
			a->cpio_root = true;
			return fd;
		}
		close(fd);
	}
	if (!a->cpio_root || o->root)
		a->share = real_directory("--root", o->root ? o->root : "/");
	return -1;
}

void archive_make(struct archive *a, const struct options *o, int stdin_fd)
{
	struct strings env = {0};
	struct cpio plan;
	struct stat st;
	char *cwd;
	int root_fd;

	*a = (struct archive){.fd = memory_file("quire-archive")};
	root_fd = choose_root(a, o, &st);
	choose_write(a, o);
	if (a->share && !a->cpio_root) {
		share_hidden(a, getcwd(NULL, 0));
		share_hidden(a, program_directory(a->share, o->program[0]));
	}
	cwd = working_directory(a, o);
	make_environment(&env, o);
	cpio_begin(&plan, a->fd);
	add_plan(&plan, o, a, env.v, cwd, stdin_fd);
	cpio_end(&plan);
	if (root_fd >= 0)
		add_user_archive(a, o->root, root_fd, &st);
	else if (a->cpio_root && !o->selftest)
		add_closure(a, o, variable(&env, "PATH"), cwd);
	if (a->cpio_root) {
		free(a->share);
		a->share = NULL;
	}
	a->size = (uint64_t)lseek(a->fd, 0, SEEK_END);
	free(cwd);
}
