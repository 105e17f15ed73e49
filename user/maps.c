/*
 * maps.c - /proc/self/{maps,smaps} of a thousand areas: every read gives whole lines and no more than was asked for, whatever
 * the size; all reads together give each area once, in order. Reads smaller than a record give it in pieces.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define AREAS 1000u
#define P     4096ul

static char text[4 << 20];

static void make_areas(void)
{
	char *base = mmap(NULL, AREAS * P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (unsigned i = 0; i < AREAS; i += 2)
		if (base == MAP_FAILED || mprotect(base + i * P, P, PROT_NONE))
			exit(1);
}

/* How many lines begin an area, all in ascending order; -1: they do not ascend. */
static int areas(void)
{
	unsigned long from, to, last = 0;
	int n = 0;

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "%lx-%lx ", &from, &to) != 2)
			continue;
		if (from < last)
			return -1;
		last = to;
		n++;
	}
	return n;
}

static void read_all(const char *name, size_t size)
{
	int fd = open(name, O_RDONLY), whole = 1, n;
	size_t len = 0;
	ssize_t got;

	if (fd < 0)
		exit(1);
	while ((got = read(fd, text + len, size)) > 0) {
		len += (size_t)got;
		whole &= text[len - 1] == '\n';
	}
	text[len] = 0;
	n = areas();
	printf("%s, reads of %zu: %s, %s\n", name, size, whole ? "whole lines" : "pieces",
	       n >= (int)AREAS && n < (int)AREAS + 40 ? "every area" : "areas are missing");
	close(fd);
}

/* Who reads once pays for what he gets: a first read is short, a second one at 0 begins again. */
static void read_twice(const char *name)
{
	int fd = open(name, O_RDONLY);
	ssize_t a = pread(fd, text, P, 0), b = pread(fd, text + P, P, 0);

	printf("%s: the beginning, twice: %s\n", name,
	       a > 0 && a == b && !memcmp(text, text + P, 12) ? "the same" : "not the same");
	printf("%s: behind the end: %zd\n", name, pread(fd, text, P, sizeof(text)));
	close(fd);
}

int main(void)
{
	make_areas();
	for (unsigned i = 0; i < 2; i++) {
		const char *name = i ? "/proc/self/smaps" : "/proc/self/maps";

		read_all(name, P);
		read_all(name, 64);
		read_twice(name);
	}
	return 0;
}
