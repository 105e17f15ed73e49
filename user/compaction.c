/*
 * compaction.c - memory is fragmented on purpose and made whole again while programs run in it (test/guest/compaction.t).
 *
 * Workers fill memory page by page, in turns, private and shared and of a file, and give every other page back. Then each reads, checks
 * and rewrites what it has, on and on, forks now and then, and has a thread that moves and protects areas; meanwhile
 * this program has memory compacted again and again. At the end there must be more large free blocks than before.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2
#define PAGES   6300 /* private, of each worker */
#define SHARED  256
#define PAGE    4096
#define LIMIT   200       /* runs of compaction */
#define ENOUGH  (4 * 512) /* frames more in large blocks */
#define MOVED   1000      /* pages */

enum area { OWN, ANON_SHARED, OF_FILE, AREAS };

static volatile int *stop, *ready, *wrong;
static volatile unsigned long *rounds;
static uint64_t *area[AREAS];
static unsigned area_pages[AREAS] = {PAGES, SHARED, SHARED};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t word(unsigned worker, unsigned which, unsigned page, uint64_t round)
{
	return (uint64_t)(worker + 1) << 56 | (uint64_t)which << 48 | (uint64_t)page << 32 |
	       (round & 0xffffffff);
}

/* First and last word of a page; its middle is as it was. */
static void write_page(unsigned worker, unsigned which, unsigned page, uint64_t round)
{
	uint64_t *p = area[which] + (size_t)page * (PAGE / 8);

	p[0] = p[PAGE / 8 - 1] = word(worker, which, page, round);
}

static void check_page(unsigned worker, unsigned which, unsigned page, uint64_t round)
{
	const uint64_t *p = area[which] + (size_t)page * (PAGE / 8),
	               want = word(worker, which, page, round);

	if (p[0] == want && p[PAGE / 8 - 1] == want && p[100] == 0)
		return;
	if (__sync_fetch_and_add(wrong, 1) < 5)
		printf("worker %u area %u page %u: %lx %lx %lx, not %lx\n", worker, which, page,
		       p[0], p[PAGE / 8 - 1], p[100], want);
}

static void map_areas(unsigned worker)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "file.%u", worker);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, SHARED * PAGE))
		fail(name);
	area[OWN] = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                 -1, 0);
	area[ANON_SHARED] = mmap(NULL, SHARED * PAGE, PROT_READ | PROT_WRITE,
	                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	area[OF_FILE] = mmap(NULL, SHARED * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (unsigned i = 0; i < AREAS; i++)
		if (area[i] == MAP_FAILED)
			fail("mmap");
	close(fd);
}

/* A thread of its own: pages that move to other addresses and change their protection. */
static void *mover(void *arg)
{
	const unsigned worker = *(unsigned *)arg, n = 16;
	uint64_t *p = mmap(NULL, 2 * n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                   -1, 0);
	uint64_t *half[2] = {p, p + n * PAGE / 8};

	for (unsigned round = 0; !*stop; round++) {
		uint64_t *from = half[round % 2], *to = half[1 - round % 2];

		for (unsigned i = 0; i < n; i++)
			from[i * PAGE / 8] = round + i + worker;
		mprotect(from, n * PAGE, PROT_READ);
		mprotect(from, n * PAGE, PROT_READ | PROT_WRITE);
		if (mremap(from, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to ||
		    mmap(from, n * PAGE, PROT_READ | PROT_WRITE,
		         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != from)
			fail("mremap");
		for (unsigned i = 0; i < n; i++)
			if (to[i * PAGE / 8] != round + i + worker)
				__sync_fetch_and_add(wrong, 1);
	}
	return NULL;
}

/* A child sees what its parent had at the fork, and writes without the parent seeing it. */
static void fork_and_check(unsigned worker, uint64_t round)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return; /* memory may be short just now */
	if (pid == 0) {
		for (unsigned i = 0; i < PAGES; i += 2)
			check_page(worker, OWN, i, round);
		for (unsigned i = 0; i < PAGES; i += 64)
			write_page(worker, OWN, i, ~round);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		__sync_fetch_and_add(wrong, 1);
}

static void work(unsigned worker)
{
	pthread_t thread;

	map_areas(worker);
	for (unsigned page = 0; page < PAGES; page++) {
		write_page(worker, OWN, page, 0);
		if (page < SHARED) {
			write_page(worker, ANON_SHARED, page, 0);
			write_page(worker, OF_FILE, page, 0);
		}
		if (page % 8 == 0)
			sched_yield();
	}
	for (unsigned page = 1; page < PAGES; page += 2)
		madvise(area[OWN] + (size_t)page * (PAGE / 8), PAGE, MADV_DONTNEED);
	if (pthread_create(&thread, NULL, mover, &worker))
		fail("pthread_create");
	__sync_fetch_and_add(ready, 1);
	for (uint64_t round = 0; !*stop; round++) {
		for (unsigned which = 0; which < AREAS; which++)
			for (unsigned page = 0; page < area_pages[which]; page += 2) {
				check_page(worker, which, page, round);
				write_page(worker, which, page, round + 1);
			}
		if (round % 4 == 0)
			fork_and_check(worker, round + 1);
		__sync_fetch_and_add(rounds, 1);
	}
	pthread_join(thread, NULL);
	exit(0);
}

/* Frames in free blocks of order 9 and 10. */
static unsigned long large_free(void)
{
	unsigned long n[11], sum = 0;
	FILE *f = fopen("/proc/buddyinfo", "r");
	char zone[32], line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %*d, zone %31s %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu",
		           zone, n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8, n + 9,
		           n + 10) == 12)
			sum += n[9] * 512 + n[10] * 1024;
	}
	if (f)
		fclose(f);
	return sum;
}

static unsigned long vmstat(const char *name)
{
	FILE *f = fopen("/proc/vmstat", "r");
	char word[64];
	unsigned long value, found = 0;

	while (f && fscanf(f, "%63s %lu", word, &value) == 2)
		if (!strcmp(word, name))
			found = value;
	if (f)
		fclose(f);
	return found;
}

static void compact(void)
{
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY);

	if (fd < 0 || write(fd, "1", 1) != 1)
		fail("/proc/sys/vm/compact_memory");
	close(fd);
}

/* Until all have what they want; one that ends before, as when memory is too short for it, is not waited for. */
static void wait_until_ready(void)
{
	while (*ready < WORKERS) {
		if (waitpid(-1, NULL, WNOHANG)) {
			printf("not: a worker ended before it began\n");
			*stop = 1;
			exit(1);
		}
		usleep(10000);
	}
}

int main(void)
{
	unsigned long before, best = 0;
	pid_t pid[WORKERS];
	int status, bad = 0;

	stop = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ready = stop + 1;
	wrong = stop + 2;
	rounds = (volatile unsigned long *)(stop + 4);
	for (unsigned i = 0; i < WORKERS; i++)
		if (!(pid[i] = fork()))
			work(i);
	wait_until_ready();
	before = large_free();
	for (unsigned i = 0; i < LIMIT; i++) {
		unsigned long now;

		compact();
		now = large_free();
		best = now > best ? now : best;
		if (i > 5 && *rounds > 6 && best >= before + ENOUGH &&
		    vmstat("pgmigrate_success") > MOVED)
			break;
		usleep(5000);
	}
	*stop = 1;
	for (unsigned i = 0; i < WORKERS; i++)
		bad |= waitpid(pid[i], &status, 0) != pid[i] || status;
	printf("%s all programs ended well\n", bad ? "not" : "ok");
	printf("%s nothing was read but what was written (%d)\n", *wrong ? "not" : "ok", *wrong);
	if (best >= before + ENOUGH)
		printf("ok large blocks are back\n");
	else
		printf("not: %lu frames in large blocks before, %lu at best after\n", before, best);
	if (vmstat("pgmigrate_success") > MOVED)
		printf("ok pages have moved\n");
	else
		printf("not: only %lu pages moved\n", vmstat("pgmigrate_success"));
	return 0;
}
