/*
 * oom_score.c - what /proc/PID/oom_score says of processes that have their memory in unusual ways, and who may write
 * oom_score_adj.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER   1000
#define TABLES 1000 /* of 16384 frames */

static void check(const char *what, int ok)
{
	printf("%s %s\n", ok ? "ok" : "not ok", what);
	fflush(stdout);
}

/* The text of /proc/PID/name; false: there is none. */
static int read_of(const char *pid, const char *name, char text[128])
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, 127);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return n >= 0;
}

static int score(const char *pid)
{
	char text[128];

	return read_of(pid, "oom_score", text) ? atoi(text) : -1;
}

static int is_zombie(const char *pid)
{
	char text[128];
	const char *name_end = read_of(pid, "stat", text) ? strrchr(text, ')') : NULL;

	return name_end && name_end[2] == 'Z';
}

static void *wait_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* The memory is the process's, not its first thread's. */
static void first_thread_is_gone(void)
{
	pid_t child = fork();
	char pid[16];

	if (!child) {
		pthread_t thread;

		pthread_create(&thread, NULL, wait_for_ever, NULL);
		pthread_exit(NULL);
	}
	snprintf(pid, sizeof(pid), "%d", child);
	while (!is_zombie(pid))
		usleep(1000);
	check("a process without its first thread has a score", score(pid) >= 666);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	check("and none any more", score(pid) == -1);
}

/* It is never killed for what is its parent's. */
static void child_of_vfork(void)
{
	volatile int childs = -1;
	pid_t child = vfork();

	if (!child) {
		childs = score("self");
		_exit(0);
	}
	waitpid(child, NULL, 0);
	check("a child of vfork has none", childs == 0 && score("self") >= 666);
}

/* Its death would bring them too: here they are all, for what is only read has no frames of its own. */
static void page_tables_count(void)
{
	const size_t step = 2ul << 20, size = TABLES * step;
	const int before = score("self");
	volatile char *p =
	        mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	for (size_t at = 0; (void *)p != MAP_FAILED && at < size; at += step)
		(void)p[at];
	check("page tables count", score("self") >= before + 20);
	munmap((void *)p, size);
}

/* 0 or errno. */
static int set_adj(int fd, const char *value)
{
	return write(fd, value, strlen(value)) < 0 ? errno : 0;
}

static void who_may_write(void)
{
	pid_t child = fork();
	int fd;

	if (child) {
		waitpid(child, NULL, 0);
		return;
	}
	fd = open("/proc/self/oom_score_adj", O_WRONLY);
	check("root lowers", set_adj(fd, "300") == 0 && set_adj(fd, "200") == 0);
	if (setuid(USER))
		_exit(1);
	check("a user raises", set_adj(fd, "400") == 0);
	check("and goes back", set_adj(fd, "200") == 0);
	check("but not lower", set_adj(fd, "199") == EACCES && set_adj(fd, "-1000") == EACCES);
	if (!fork()) {
		prctl(PR_SET_DUMPABLE, 1); /* or its files are root's */
		fd = open("/proc/self/oom_score_adj", O_WRONLY);
		check("nor does a child", set_adj(fd, "200") == 0 && set_adj(fd, "199") == EACCES);
		_exit(0);
	}
	wait(NULL);
	_exit(0);
}

int main(void)
{
	first_thread_is_gone();
	child_of_vfork();
	page_tables_count();
	who_may_write();
	return 0;
}
