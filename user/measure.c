/*
 * measure.c - what memory operations cost, by CLOCK_MONOTONIC.
 *
 * In a deterministic guest (one instruction is one nanosecond) the figures are instructions, loop and
 * system-call stub included (some 5 to 15). Each operation is repeated in steady state and the contents
 * are checked. The same binary runs on Linux for comparison. One line each: name, cost.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define N    512

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t clock_cost;

static void report(const char *name, uint64_t start, uint64_t n)
{
	uint64_t spent = now() - start;

	spent = spent > clock_cost ? spent - clock_cost : 0;
	printf("%-38s %10llu\n", name, (unsigned long long)(spent / n));
}

static char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	               0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static inline long raw(long nr, long a)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a) : "rcx", "r11", "memory");
	return r;
}

static void null_call(void)
{
	uint64_t t;

	for (int i = 0; i < 100; i++)
		raw(SYS_getppid, 0);
	t = now();
	for (int i = 0; i < 10000; i++)
		raw(SYS_getppid, 0);
	report("null system call (getppid)", t, 10000);
}

static void write_faults(int round)
{
	volatile char *p = map(N);
	uint64_t t = now();

	for (int i = 0; i < N; i++)
		p[(size_t)i * PAGE] = (char)i;
	if (round)
		report("anonymous write fault", t, N);
	for (int i = 0; i < N; i++)
		if (p[(size_t)i * PAGE] != (char)i || p[(size_t)i * PAGE + 4095] != 0)
			abort();
	t = now();
	munmap((void *)p, N * PAGE);
	if (round)
		report("munmap, per touched page", t, N);
}

static void read_faults(int round)
{
	volatile char *p = map(N);
	uint64_t t = now();
	int sum = 0;

	for (int i = 0; i < N; i++)
		sum += p[(size_t)i * PAGE];
	if (round)
		report("anonymous read fault", t, N);
	if (sum)
		abort();
	munmap((void *)p, N * PAGE);
}

static void map_unmap(int round)
{
	uint64_t t = now();

	for (int i = 0; i < 1000; i++)
		munmap(map(1), PAGE);
	if (round)
		report("mmap + munmap, untouched", t, 1000);
	t = now();
	for (int i = 0; i < 1000; i++) {
		char *p = map(1);

		*(volatile char *)p = 1;
		munmap(p, PAGE);
	}
	if (round)
		report("mmap + munmap, one page touched", t, 1000);
}

static void protect(int round)
{
	char *p = map(3);
	uint64_t t = now();

	for (int i = 0; i < 1000; i++) {
		mprotect(p + PAGE, PAGE, PROT_READ);
		mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE);
	}
	if (round)
		report("mprotect (split, then merge)", t, 2000);
	munmap(p, 3 * PAGE);
}

static void move_break(int round)
{
	long brk = raw(SYS_brk, 0);
	uint64_t t = now();

	for (int i = 0; i < 1000; i++) {
		raw(SYS_brk, brk + (long)PAGE);
		raw(SYS_brk, brk);
	}
	if (round)
		report("brk", t, 2000);
}

static void copy_on_write(int round)
{
	char *p = map(N);
	int fds[2];
	uint64_t spent;

	for (int i = 0; i < N; i++)
		p[(size_t)i * PAGE] = (char)i;
	if (pipe(fds) != 0)
		abort();
	if (fork() == 0) {
		uint64_t t = now();

		for (int i = 0; i < N; i++)
			((volatile char *)p)[(size_t)i * PAGE + 1] = 1;
		spent = now() - t;
		if (write(fds[1], &spent, sizeof(spent)) != sizeof(spent))
			abort();
		_exit(0);
	}
	if (read(fds[0], &spent, sizeof(spent)) != sizeof(spent))
		abort();
	wait(NULL);
	if (round)
		printf("%-38s %10llu\n", "copy-on-write break", (unsigned long long)(spent / N));
	close(fds[0]);
	close(fds[1]);
	munmap(p, N * PAGE);
}

static void forks(int round, const char *self)
{
	const size_t big = 4096;
	char *p;
	uint64_t t = now();
	int n = round ? 20 : 5;

	for (int i = 0; i < n; i++) {
		if (fork() == 0)
			_exit(0);
		wait(NULL);
	}
	if (round)
		report("fork + exit + wait, small", t, (uint64_t)n);
	t = now();
	for (int i = 0; i < n; i++) {
		if (fork() == 0) {
			execl(self, self, "leaf", (char *)NULL);
			_exit(1);
		}
		wait(NULL);
	}
	if (round)
		report("fork + exec + exit + wait", t, (uint64_t)n);
	p = map(big);
	for (size_t i = 0; i < big; i++)
		p[i * PAGE] = 1;
	t = now();
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (round && i == 3)
			report("fork of 16 MB touched (the call)", t, 1);
		wait(NULL);
		t = now();
	}
	munmap(p, big * PAGE);
}

int main(int argc, char **argv)
{
	uint64_t t;

	if (argc > 1)
		return 0;
	setvbuf(stdout, NULL, _IOFBF, 65536);
	t = now();
	for (int i = 0; i < 1000; i++)
		now();
	clock_cost = (now() - t) / 1001;
	for (int round = 0; round < 2; round++) {
		if (round)
			null_call();
		write_faults(round);
		read_faults(round);
		map_unmap(round);
		protect(round);
		move_break(round);
		copy_on_write(round);
		fflush(stdout);
		forks(round, argv[0]);
	}
	return 0;
}
