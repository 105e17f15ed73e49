/*
 * measure_compaction.c - what it costs to make fragmented memory whole while threads run in it (bench/compaction.sh).
 *
 * One program with a thread for each CPU fills PAGES pages and gives every other one back. Its threads go on reading what is
 * left while the first has all memory compacted, once. Printed: pages moved, and for each of them flushes that were asked of other
 * CPUs, the interrupts that these took, flushes on CPUs' own behalf, how often a thread slept (until a page was back), and microseconds.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PAGES    12000u
#define PAGE     4096u
#define COUNTERS 5

static const char *const names[COUNTERS] = {"pgmigrate_success", "nr_tlb_remote_flush",
                                            "nr_tlb_remote_flush_received",
                                            "nr_tlb_local_flush_one", "nr_tlb_local_flush_all"};
static volatile int stop, ready;
static volatile char *area;

static void counters(unsigned long value[COUNTERS])
{
	FILE *f = fopen("/proc/vmstat", "r");
	char word[64];
	unsigned long n;

	while (f && fscanf(f, "%63s %lu", word, &n) == 2)
		for (unsigned i = 0; i < COUNTERS; i++)
			if (!strcmp(word, names[i]))
				value[i] = n;
	if (f)
		fclose(f);
}

/* How often the program's threads have gone to sleep. */
static double sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_nvcsw;
}

static void *reader(void *unused)
{
	unsigned sum = 0;

	(void)unused;
	__sync_fetch_and_add(&ready, 1);
	while (!stop)
		for (unsigned page = 0; page < PAGES && !stop; page += 2)
			sum += (unsigned)area[(size_t)page * PAGE];
	return (void *)(uintptr_t)sum;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double compact(void)
{
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY);
	const double begin = now();

	if (fd < 0 || write(fd, "1", 1) != 1)
		exit(1);
	close(fd);
	return now() - begin;
}

static void fragment(void)
{
	area = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	            -1, 0);
	if (area == MAP_FAILED)
		exit(1);
	for (unsigned page = 0; page < PAGES; page++)
		area[(size_t)page * PAGE] = 1;
	for (unsigned page = 1; page < PAGES; page += 2)
		madvise((void *)(area + (size_t)page * PAGE), PAGE, MADV_DONTNEED);
}

int main(void)
{
	const int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	unsigned long before[COUNTERS] = {0}, after[COUNTERS] = {0};
	pthread_t thread[64];
	double us, moved, slept;

	fragment();
	for (int i = 1; i < cpus; i++)
		if (pthread_create(&thread[i], NULL, reader, NULL))
			return 1;
	while (ready < cpus - 1)
		usleep(1000);
	counters(before);
	slept = sleeps();
	us = compact();
	slept = sleeps() - slept;
	counters(after);
	stop = 1;
	for (int i = 1; i < cpus; i++)
		pthread_join(thread[i], NULL);
	moved = (double)(after[0] - before[0]);
	printf("%d CPU: %.0f pages moved; for each: %.2f flushes of other CPUs, %.2f interrupts, %.2f pages and %.2f times all forgotten, %.2f sleeps, %.1f us\n",
	       cpus, moved, (double)(after[1] - before[1]) / moved,
	       (double)(after[2] - before[2]) / moved, (double)(after[3] - before[3]) / moved,
	       (double)(after[4] - before[4]) / moved, slept / moved, us / moved);
	return 0;
}
