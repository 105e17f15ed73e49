/*
 * numa.c - what set_mempolicy and get_mempolicy answer, the same on Linux and on Quire with one node.
 *
 *     numa 2             on Quire with two nodes: where the pages of a policy lie
 *     numa fill CPU MB   how many megabytes of so many, used first by that CPU, each node has
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEFAULT, PREFERRED, BIND, INTERLEAVE, LOCAL, PREFERRED_MANY };
enum { F_NODE = 1, F_ADDR = 2, F_MEMS = 4, STATIC = 0x8000, RELATIVE = 0x4000 };

#define P     4096ul
#define PAGES 64

static long set(int mode, unsigned long *mask, unsigned long maxnode)
{
	return syscall(SYS_set_mempolicy, mode, mask, maxnode);
}

static long get(int *mode, unsigned long *mask, unsigned long maxnode, void *addr, unsigned flags)
{
	return syscall(SYS_get_mempolicy, mode, mask, maxnode, addr, flags);
}

static long bind_range(void *at, unsigned long len, int mode, unsigned long *mask,
                       unsigned long maxnode, unsigned flags)
{
	return syscall(SYS_mbind, at, len, mode, mask, maxnode, flags);
}

#define SAY(expr)                                                                             \
	do {                                                                                  \
		long r_ = (expr);                                                             \
		if (r_ < 0)                                                                   \
			printf("%-60s error %d\n", #expr, errno);                             \
		else                                                                          \
			printf("%-60s %ld mode %#x nodes %#lx, then %#lx\n", #expr, r_, mode, \
			       out[0], out[1]);                                               \
	} while (0)

static void errors(void)
{
	unsigned long none[20] = {0}, one[20] = {1}, two[20] = {2}, far[20] = {1, [16] = 1},
	              out[20];
	int mode = 0;
	char *page = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(out, 0, sizeof(out));
	SAY(get(&mode, out, 1024, NULL, 0));
	SAY(set(-1, NULL, 0));
	SAY(set(99, one, 64));
	SAY(set(DEFAULT, NULL, 0));
	SAY(set(DEFAULT, one, 64));
	SAY(set(DEFAULT | STATIC, none, 64));
	SAY(get(&mode, out, 1024, NULL, 0));
	SAY(set(BIND, NULL, 0));
	SAY(set(BIND, none, 64));
	SAY(set(BIND, one, 0));
	SAY(set(BIND, one, 1)); /* no bits at all */
	SAY(set(BIND, (unsigned long *)8, 64));
	SAY(set(99, (unsigned long *)8, 64));
	SAY(set(BIND | STATIC | RELATIVE, one, 64));
	SAY(set(BIND | STATIC | RELATIVE, (unsigned long *)8, 64));
	SAY(set(BIND, one, -1ul));
	SAY(set(LOCAL, one, 64));
	SAY(set(BIND, one, 1ul << 20));
	SAY(set(INTERLEAVE, far, 1200));
	SAY(set(BIND, two, 2)); /* bit 1 is not looked at */
	SAY(set(BIND, one, 64));
	SAY(get(&mode, out, 1024, NULL, 0));
	SAY(get(&mode, out, 1024, page, F_ADDR));
	SAY(get(&mode, NULL, 0, page, F_ADDR | F_NODE));
	SAY(get(&mode, NULL, 0, NULL, F_NODE));
	SAY(get(&mode, NULL, 0, page, 0));
	SAY(get(&mode, NULL, 0, (void *)16, F_ADDR));
	SAY(get(&mode, out, 0, NULL, 0));
	SAY(get(&mode, out, 1024, NULL, F_MEMS));
	SAY(get(&mode, out, 1024, NULL, F_MEMS | F_NODE));
	SAY(get(&mode, out, 1024, NULL, 64));
	SAY(get((int *)8, NULL, 0, NULL, 0));
	SAY(get(&mode, (unsigned long *)8, 64, NULL, 0));
	SAY(get(&mode, out, 1, NULL, 0));
	SAY(get(&mode, out, 40000, NULL, 0));
	SAY(set(PREFERRED, none, 64));
	SAY(get(&mode, out, 1024, NULL, 0));
	SAY(set(PREFERRED | STATIC, one, 64));
	SAY(get(&mode, out, 1024, NULL, 0));
	SAY(set(INTERLEAVE | RELATIVE, two, 64)); /* node 1 of one node is node 0 */
	SAY(get(&mode, out, 1024, NULL, 0));
	SAY(get(&mode, NULL, 0, NULL, F_NODE));
	SAY(set(DEFAULT, NULL, 0));
	SAY(get(&mode, out, 1024, NULL, 0));
}

/* A mask that does not fit in front of the end of memory: the nodes are not written. (Of what is behind them Linux clears some.) */
static void no_half_masks(void)
{
	char *p = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long one[20] = {1}, *out = (unsigned long *)(p + P - 2 * sizeof(long));
	int mode = 0;

	munmap(p + P, P);
	out[0] = 77;
	set(BIND, one, 64);
	SAY(get(&mode, out, 1024, NULL, 0));
	printf("there is still %lu\n", out[0]);
	SAY(get(&mode, out, 128, NULL, 0));
	set(DEFAULT, NULL, 0);
	munmap(p, P);
}

/* mbind(2) on one node: what it refuses, what areas remember, and where they part and join. */
static void ranges(void)
{
	unsigned long none[20] = {0}, one[20] = {1}, all[20] = {-1ul}, two[20] = {2}, out[20] = {0};
	char *p = mmap(NULL, 8 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int mode = 0;

	munmap(p + 7 * P, P);
	SAY(bind_range(p + 1, P, BIND, one, 64, 0));
	SAY(bind_range(p, P, BIND, one, 64, 8));
	SAY(bind_range(p, P, 99, one, 64, 0));
	SAY(bind_range(p, P, BIND, none, 64, 0));
	SAY(bind_range(p, P, DEFAULT, one, 64, 0));
	SAY(bind_range(p, 0, BIND, one, 64, 0));
	SAY(bind_range(p, 0, BIND, none, 64, 0));
	SAY(bind_range(p, 0, DEFAULT, one, 64, 0));
	SAY(bind_range(p, 0, 99, one, 64, 0));
	SAY(bind_range(p, 0, BIND, one, 64, 8));
	SAY(bind_range(p + 1, 0, BIND, one, 64, 0));
	SAY(bind_range(p, P, 99, (unsigned long *)8, 64, 0));
	SAY(bind_range(p + 1, P, BIND, (unsigned long *)8, 64, 0));
	SAY(bind_range(p, P, BIND, all, 64, 0)); /* nodes that are not there do not matter */
	SAY(get(&mode, out, 1024, p, F_ADDR));
	SAY(bind_range(p, P, DEFAULT, NULL, 0, 0));
	SAY(bind_range(p, 8 * P, BIND, one, 64, 0));
	SAY(bind_range(p, 8 * P, DEFAULT, NULL, 0, 0));
	SAY(bind_range(p + 7 * P, P, DEFAULT, NULL, 0, 0));
	SAY(bind_range(p, -P, BIND, one, 64, 0));
	SAY(bind_range(p, P, BIND, (unsigned long *)8, 64, 0));
	SAY(get(&mode, out, 1024, p, F_ADDR));
	SAY(bind_range(p + 2 * P, 2 * P - 5, BIND | STATIC, one, 64, 0));
	SAY(get(&mode, out, 1024, p + P, F_ADDR));
	SAY(get(&mode, out, 1024, p + 2 * P, F_ADDR));
	SAY(get(&mode, out, 1024, p + 3 * P, F_ADDR));
	SAY(get(&mode, out, 1024, p + 4 * P, F_ADDR));
	p[2 * P] = 1;
	SAY(bind_range(p, 8 * P, BIND, two, 64, 1));
	SAY(bind_range(p, 8 * P, PREFERRED, NULL, 0, 1)); /* the page before the hole */
	SAY(bind_range(p + 3 * P, 5 * P, PREFERRED, NULL, 0, 1));
	SAY(get(&mode, NULL, 0, p + 2 * P, F_ADDR | F_NODE));
	SAY(bind_range(p, 7 * P, PREFERRED, none, 64, 1));
	SAY(get(&mode, out, 1024, p + 3 * P, F_ADDR));
	SAY(bind_range(p, 7 * P, INTERLEAVE, one, 64, 1 | 2));
	SAY(get(&mode, out, 1024, p + 3 * P, F_ADDR));
	fflush(stdout);
	if (!fork()) {
		SAY(get(&mode, out, 1024, p + 3 * P, F_ADDR));
		exit(0);
	}
	wait(NULL);
	SAY(get(&mode, out, 1024, NULL, 0));
	SAY(bind_range(p, 7 * P, DEFAULT, NULL, 0, 0));
	SAY(get(&mode, out, 1024, p + 3 * P, F_ADDR));
}

/* Lines of /proc/self/maps within [p, p + len). */
static int areas(char *p, unsigned long len)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start;
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-", &start) == 1 && start - (unsigned long)p < len)
			n++;
	if (f)
		fclose(f);
	return n;
}

static void show(const char *what, char *p)
{
	int count[8] = {0}, node;

	for (int i = 0; i < PAGES; i++)
		if (!get(&node, NULL, 0, p + i * P, F_ADDR | F_NODE) && node >= 0 && node < 8)
			count[node]++;
	printf("ok %-24s node 0: %d node 1: %d\n", what, count[0], count[1]);
}

static void fill_with(char *p, int first, int n)
{
	for (int i = first; i < first + n; i++)
		memset(p + i * P, i, P);
}

/* Contents survive a move. */
static int contents_wrong(const char *p)
{
	for (int i = 0; i < PAGES; i++)
		for (unsigned long at = 0; at < P; at += 512)
			if (p[i * P + at] != (char)i)
				return i + 1;
	return 0;
}

/* Two nodes; runs on CPU 1, which is of node 1. */
static void bound(void)
{
	unsigned long zero = 1, one = 2, both = 3;
	char *p = mmap(NULL, PAGES * P + 2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	               -1, 0);
	long err;

	mprotect(p, P, PROT_NONE);
	mprotect(p + (PAGES + 1) * P, P, PROT_NONE);
	p += P;
	bind_range(p, PAGES * P / 2, BIND, &zero, 64, 0);
	printf("ok areas: %d\n", areas(p, PAGES * P));
	fill_with(p, 0, PAGES);
	show("half bound to 0", p);
	bind_range(p, PAGES * P, INTERLEAVE, &both, 64, 0);
	printf("ok areas: %d\n", areas(p, PAGES * P));
	show("nothing has moved", p);
	err = bind_range(p, PAGES * P, BIND, &one, 64, 1);
	printf("ok strict: %d %s\n", err ? -1 : 0, err ? strerror(errno) : "");
	err = bind_range(p, PAGES * P, BIND, &one, 64, 1 | 2);
	printf("ok strict and moved: %ld\n", err);
	show("moved to 1", p);
	err = bind_range(p, PAGES * P, BIND, &zero, 64, 2);
	show("moved to 0", p);
	printf("ok contents: %d\n", contents_wrong(p));
	madvise(p, PAGES * P, MADV_DONTNEED);
	bind_range(p, PAGES * P, INTERLEAVE, &both, 64, 0);
	for (int i = PAGES - 1; i >= 0; i -= 2)
		p[i * P] = 1;
	for (int i = 0; i < PAGES; i += 2)
		p[i * P] = 1;
	show("interleaved", p);
	fflush(stdout);
	bind_range(p, PAGES * P, BIND, &zero, 64, 2);
	if (!fork()) {
		bind_range(p, PAGES * P, PREFERRED, &one, 64, 2);
		show("shared with the parent", p);
		bind_range(p, PAGES * P, PREFERRED, &one, 64, 4);
		show("moved for both", p);
		bind_range(p, PAGES * P, BIND, &zero, 64, 0);
		fill_with(p, 0, PAGES);
		show("copied on writing", p);
		exit(0);
	}
	wait(NULL);
	show("the parent's", p);
}

/*
 * On which nodes fresh pages lie: a letter for each. All are in one page table, at a multiple of their size: another table in
 * their midst would have a turn of an interleaving policy.
 */
static void touch(const char *what)
{
	char *map = mmap(NULL, 2 * PAGES * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                 -1, 0);
	char *p = (char *)(((unsigned long)map + PAGES * P - 1) & -(unsigned long)(PAGES * P));
	int count[8] = {0}, node;

	for (int i = 0; i < PAGES; i++) {
		p[i * P] = 1;
		if (get(&node, NULL, 0, p + i * P, F_ADDR | F_NODE) || node > 7)
			printf("no node: error %d\n", errno);
		else
			count[node]++;
	}
	munmap(map, 2 * PAGES * P);
	printf("ok %-12s", what);
	for (int i = 0; i < 2; i++)
		printf(" node %d: %d", i, count[i]);
	printf("\n");
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

static void places(void)
{
	unsigned long zero = 1, one = 2, both = 3;
	unsigned cpu, node;

	for (int i = 0; i < 2; i++) {
		on_cpu(i);
		getcpu(&cpu, &node);
		printf("ok cpu %u node %u\n", cpu, node);
		touch(i ? "on cpu 1" : "on cpu 0");
	}
	set(BIND, &zero, 64);
	touch("bind 0");
	set(PREFERRED, &one, 64);
	touch("prefer 1");
	set(PREFERRED, &zero, 64);
	touch("prefer 0");
	set(INTERLEAVE, &both, 64);
	touch("interleave");
	set(BIND, &zero, 64);
	fflush(stdout);
	if (!fork()) {
		touch("child");
		exit(0);
	}
	wait(NULL);
	set(DEFAULT, NULL, 0);
	touch("default");
	bound();
}

/* Rounded to 4 MB, for others use memory too. */
static int fill(int cpu, int mb)
{
	size_t pages = (size_t)mb << 8;
	char *p = mmap(NULL, pages * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int count[8] = {0}, node;

	on_cpu(cpu);
	for (size_t i = 0; i < pages; i++)
		p[i * P] = 1;
	for (size_t i = 0; i < pages; i++)
		if (!get(&node, NULL, 0, p + i * P, F_ADDR | F_NODE) && node >= 0 && node < 8)
			count[node]++;
	printf("%d MB from cpu %d:", mb, cpu);
	for (int i = 0; i < 8; i++)
		if (count[i])
			printf(" node %d has %d", i, (count[i] + 512) / 1024 * 4);
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "fill"))
		return fill(atoi(argv[2]), atoi(argv[3]));
	if (argc > 1)
		places();
	else
		errors(), no_half_masks(), ranges();
	return 0;
}
