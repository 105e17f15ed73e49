/*
 * oom.c - memory runs out, and who dies is who has most, by oom_score_adj: not who happens to ask.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MB     (1ul << 20)
#define ROUNDS 10
#define HOGS   10
#define MANY   1000

static volatile int *ready; /* shared */

static void check(const char *what, int ok)
{
	printf("%s %s\n", ok ? "ok" : "not ok", what);
	fflush(stdout);
}

static void set_adj(const char *adj)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	if (fd < 0 || write(fd, adj, strlen(adj)) < 0)
		_exit(3);
	close(fd);
}

/* The number in the first line of the file that fits. */
static size_t number_of(const char *file, const char *format)
{
	FILE *f = fopen(file, "r");
	char line[128];
	size_t n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, format, &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

static size_t available(void)
{
	return number_of("/proc/meminfo", "MemAvailable: %zu") << 10;
}

/* How often somebody was chosen to die. */
static size_t choices(void)
{
	return number_of("/proc/vmstat", "oom_kill %zu");
}

static char *fill(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	for (size_t at = 0; p != MAP_FAILED && at < size; at += 4096)
		p[at] = (char)(at >> 12 | 1);
	return p;
}

static int intact(const char *p, size_t size)
{
	for (size_t at = 0; at < size; at += 4096)
		if (p[at] != (char)(at >> 12 | 1))
			return 0;
	return 1;
}

/* A child that holds so much and sleeps; returns when it has it. */
static pid_t holder(const char *adj, size_t size)
{
	pid_t pid;

	*ready = 0;
	pid = fork();
	if (!pid) {
		set_adj(adj);
		fill(size);
		*ready = 1;
		for (;;)
			pause();
	}
	while (!*ready && !waitpid(pid, NULL, WNOHANG))
		usleep(1000);
	return pid;
}

static pid_t filler(const char *adj)
{
	pid_t pid = fork();

	if (!pid) {
		set_adj(adj);
		fill(1ul << 30);
		_exit(0);
	}
	return pid;
}

static int killed(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

static int alive(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == 0;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Two hold the same; the one with the higher adjustment goes, and the asker, who has least, goes on. */
static void adjustment_decides(void)
{
	const size_t half = (available() - 4 * MB) / 2;
	pid_t high = holder("300", half), low = holder("100", half);
	char *mine = fill(6 * MB);

	check("the holder with the higher adjustment died", killed(high));
	check("the other lives", alive(low));
	check("who asked has his memory", intact(mine, 6 * MB));
	munmap(mine, 6 * MB);
	end(low);
}

/* Who has most has protected itself: the asker, who would be next, dies. */
static void protected_ones_live(void)
{
	pid_t big = holder("-1000", available() - 4 * MB), asker = filler("0");

	check("the asker died", killed(asker));
	check("the protected one lives", alive(big));
	end(big);
}

/* All in the same memory die, whatever their own adjustments: one alone would bring nothing. */
static int sharer(void *unused)
{
	(void)unused;
	pause();
	return 0;
}

static void sharers_die(void)
{
	static char stack[16384] __attribute__((aligned(16)));
	const size_t before = choices();
	pid_t pid, big;
	int pipes[2], got;
	char c;

	if (pipe(pipes))
		return;
	big = fork();
	if (!big) {
		set_adj("1000");
		close(pipes[0]);
		clone(sharer, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
		fill(1ul << 30);
		_exit(0);
	}
	close(pipes[1]);
	pid = big;
	check("who shares memory died", killed(pid));
	got = (int)read(pipes[0], &c, 1); /* the end of file: nobody has the other end */
	check("and all with him", got == 0);
	check("of one choice", choices() == before + 1);
	close(pipes[0]);
}

/* Several fill memory at once, on however many CPUs, again and again. */
static void two_at_once(void)
{
	int died = 0;

	for (int i = 0; i < ROUNDS; i++) {
		pid_t a = filler("500"), b = filler("500");

		died += killed(a);
		died += killed(b);
	}
	check("two fill memory again and again", died == 2 * ROUNDS);
}

/* Another one fills memory all the time, and fork does not fail for it. */
static void forks_wait(void)
{
	int made = 0, failed = 0;
	pid_t hogs;

	*ready = 0;
	hogs = fork();

	if (!hogs) {
		setpgid(0, 0);
		for (;;) {
			pid_t pid = filler("1000");

			if (pid > 0 && killed(pid))
				++*ready;
		}
	}
	while (*ready < HOGS) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid < 0)
			failed++;
		else
			made += waitpid(pid, NULL, 0) == pid;
	}
	check("fork succeeds while memory is short", made && !failed);
	kill(hogs, SIGKILL);
	kill(-hogs, SIGKILL);
	waitpid(hogs, NULL, 0);
}

/* Takes a little and gives it back, often. */
static pid_t asker(void)
{
	pid_t pid = fork();

	if (!pid) {
		set_adj("-1000");
		for (int i = 0; i < MANY / 10; i++)
			munmap(fill(MB / 4), MB / 4);
		_exit(0);
	}
	return pid;
}

static int exited(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* Many ask at once, and by the time that some come to choose the victim has gone: its memory is there, and nobody else dies. */
static void bystanders_live(void)
{
	int died = 0, lived = 0, served = 0;

	for (int i = 0; i < ROUNDS; i++) {
		pid_t big = holder("0", available() / 3), hog = filler("1000");
		pid_t askers[] = {asker(), asker(), asker()};

		died += killed(hog);
		for (unsigned k = 0; k < 3; k++)
			served += exited(askers[k]);
		lived += alive(big);
		end(big);
	}
	check("the hogs died", died == ROUNDS);
	check("nobody else did", lived == ROUNDS);
	check("all who asked had memory", served == 3 * ROUNDS);
}

static void read_maps_of(pid_t pid)
{
	char name[32], buf[4096];

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	for (;;) {
		int fd = open(name, O_RDONLY);

		while (fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
			;
		close(fd);
	}
}

/* He who has most wants to see our areas, and sleeps for their lock, while we wait for his death in fork, with that lock. */
static void victims_may_sleep(void)
{
	static pid_t child[MANY];
	unsigned n = 0, failed = 0;
	pid_t us = getpid(), big;

	*ready = 0;
	big = fork();
	if (!big) {
		set_adj("1000");
		fill(available() - 2 * MB);
		*ready = 1;
		read_maps_of(us);
	}
	while (!*ready && alive(big))
		usleep(1000);
	while (alive(big) && n < MANY) {
		child[n] = fork();
		if (!child[n]) {
			set_adj("0");
			fill(MB / 8);
			for (;;)
				pause();
		}
		if (child[n] > 0)
			n++;
		else
			failed++;
	}
	check("fork goes on when the victim waits for it", n && n < MANY && !failed);
	while (n)
		end(child[--n]);
}

int main(void)
{
	ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	adjustment_decides();
	protected_ones_live();
	sharers_die();
	set_adj("-1000");
	two_at_once();
	bystanders_live();
	forks_wait();
	victims_may_sleep();
	return 0;
}
