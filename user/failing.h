/*
 * failing.h - system calls whose N-th allocation fails, for N = 1, 2, 3 ... until none is left to fail: what failing.c (files) and
 * failing_tasks.c (programs, threads, signals, memory) share.
 *
 * Each scenario runs in full whatever fails on the way: a call may fail with ENOMEM (or with what that means to its caller) and
 * must not crash, hang or keep anything. Before and after all rounds of a scenario the objects of the kernel's caches
 * (/proc/slabinfo, unused names dropped) and free memory are counted, and must be the same. Needs one CPU and /proc/sys/vm/fail-nth.
 * "ok NAME (ROUNDS)" for each.
 */
#ifndef USER_FAILING_H
#define USER_FAILING_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct scenario {
	const char *name;
	void (*run)(void);
};

static char buf[1 << 17];
static int fail_fd, drop_fd, slab_fd, info_fd;
static const char *self;

static void arm(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(fail_fd, text, (size_t)len, 0) != len) {
		perror("fail-nth");
		exit(1);
	}
}

static int left(void)
{
	char text[16] = "";

	if (pread(fail_fd, text, sizeof(text) - 1, 0) <= 0)
		return -1;
	return atoi(text);
}

static void use(long n)
{
	(void)n;
}

/* --- counting -------------------------------------------------------------------------------------------- */

#define MAX_CACHES 256

struct count {
	char name[32];
	long objects;
};

static int take_counts(struct count *c)
{
	static char text[1 << 16];
	ssize_t got = 0, n;
	int caches = 0;

	for (int i = 0; i < 3; i++)
		use(pwrite(drop_fd, "3", 1, 0));
	while ((n = pread(slab_fd, text + got, sizeof(text) - 1 - (size_t)got, got)) > 0)
		got += n;
	text[got] = '\0';
	for (char *line = strtok(text, "\n"); line && caches < MAX_CACHES;
	     line = strtok(NULL, "\n"))
		if (*line != '#' &&
		    sscanf(line, "%31s %ld", c[caches].name, &c[caches].objects) == 2)
			caches++;
	if (pread(info_fd, text, sizeof(text) - 1, 0) > 0) {
		strcpy(c[caches].name, "MemFree");
		c[caches++].objects = atol(strstr(text, "MemFree:") + 8);
	}
	return caches;
}

static int compare_counts(const struct scenario *s, const struct count *a, const struct count *b,
                          int n, bool tell)
{
	int bad = 0;

	for (int i = 0; i < n; i++) {
		if (a[i].objects == b[i].objects)
			continue;
		bad = 1;
		if (tell)
			printf("FAILED %s: %s had %ld objects, has %ld\n", s->name, a[i].name,
			       a[i].objects, b[i].objects);
	}
	return bad;
}

/* The counts when they stand still: what was sent to the host without waiting has come back. */
static int settled_counts(struct count *c)
{
	static struct count next[MAX_CACHES];
	int n = take_counts(c);

	for (int same = 0, tries = 0; same < 3 && tries < 200; tries++) {
		usleep(1000);
		n = take_counts(next);
		same = memcmp(c, next, (size_t)n * sizeof(*c)) ? 0 : same + 1;
		memcpy(c, next, (size_t)n * sizeof(*c));
	}
	return n;
}

static int run_scenario(const struct scenario *s)
{
	static struct count before[MAX_CACHES], after[MAX_CACHES];
	int n, rounds = 0;

	for (int i = 0; i < 3; i++)
		s->run();
	n = settled_counts(before);
	do {
		use(pwrite(drop_fd, "3", 1, 0));
		arm(++rounds);
		s->run();
	} while (!left() && rounds < 5000);
	arm(0);
	s->run();
	for (int i = 0; take_counts(after), compare_counts(s, before, after, n, i == 20); i++) {
		if (i == 20)
			return 1;
		usleep(1000); /* what was sent to the host without waiting comes back */
	}
	printf("ok %s (%d)\n", s->name, rounds);
	return 0;
}

/* All scenarios, or the one that the first argument names. The status for main(). */
static int run_scenarios(const struct scenario *scenarios, size_t n, int argc, char **argv)
{
	int bad = 0;

	self = argv[0];
	setvbuf(stdout, NULL, _IONBF, 0);
	memset(buf, 'x', sizeof(buf));
	mlockall(MCL_CURRENT | MCL_FUTURE);
	fail_fd = open("/proc/sys/vm/fail-nth", O_RDWR);
	drop_fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	slab_fd = open("/proc/slabinfo", O_RDONLY);
	info_fd = open("/proc/meminfo", O_RDONLY);
	if (fail_fd < 0 || drop_fd < 0 || slab_fd < 0 || info_fd < 0) {
		perror("failing");
		return 1;
	}
	for (size_t i = 0; i < n; i++)
		if (argc < 2 || !strcmp(argv[1], scenarios[i].name))
			bad += run_scenario(&scenarios[i]);
	return bad != 0;
}

#endif
