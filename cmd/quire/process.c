/*
 * process.c - finding and starting programs of the host.
 *
 * vfork, not fork: the command has the guest's whole memory mapped, and the child needs
 * nothing of it. The child between vfork and exec makes system calls only.
 */
#define _GNU_SOURCE
#include "cmd/quire/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

const char *search_path(void)
{
	const char *path = getenv("PATH");

	return path ? path : DEFAULT_PATH;
}

static bool executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	if (S_ISREG(st.st_mode) && !access(path, X_OK))
		return true;
	errno = EACCES;
	return false;
}

char *process_find(const char *name, const char *path)
{
	int err = ENOENT;

	if (strchr(name, '/'))
		return executable(name) ? xstrdup(name) : NULL;
	for (const char *p = path ? path : ""; *name; p++) {
		size_t len = strcspn(p, ":");
		char *full = xasprintf("%.*s/%s", len ? (int)len : 1, len ? p : ".", name);

		if (executable(full))
			return full;
		if (errno == EACCES)
			err = EACCES;
		free(full);
		p += len;
		if (!*p)
			break;
	}
	errno = err;
	return NULL;
}

static NORETURN void child(const char *path, char *const *argv, const int *fds, unsigned n, int out,
                           pid_t parent)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	sigemptyset(&none);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_QUIRE);
	setsid();
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	for (unsigned i = 0; i < n; i++)
		fcntl(fds[i], F_SETFD, 0);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(path, argv);
	_exit(EXIT_NOT_FOUND);
}

pid_t process_start(const char *path, char *const *argv, const int *fds, unsigned n, int out)
{
	pid_t parent = getpid();
	pid_t pid = vfork();

	if (pid == 0)
		child(path, argv, fds, n, out, parent);
	return pid < 0 ? -errno : pid;
}

int process_output(const char *path, char *const *argv, struct buf *out)
{
	posix_spawn_file_actions_t actions;
	char chunk[4096];
	ssize_t n;
	pid_t pid;
	int ends[2], status;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
	status = posix_spawn(&pid, path, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	while (!status &&
	       ((n = read(ends[0], chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR)))
		buf_add(out, chunk, n > 0 ? (size_t)n : 0);
	close(ends[0]);
	if (status || waitpid(pid, &status, 0) < 0)
		return -1;
	return status;
}
