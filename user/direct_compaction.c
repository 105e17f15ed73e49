/*
 * direct_compaction.c - a request of the kernel for a block, on behalf of a program, when free memory lies in single frames only
 * (test/guest/direct_compaction.t).
 *
 * Memory is filled page by page, and every other page given back. A thread reads, checks and rewrites what is left, on and on. Then other threads
 * wait in select() for so many descriptors that the kernel needs 24 KB for each, in one piece, as long as it waits. Nobody asks for compaction: either
 * kcompactd has seen it coming, or a request has to have memory compacted itself. All this until one was seen to get its block so; and none
 * may be refused.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE        4096
#define PAGES       65536
#define LEFT        3000 /* KB that are not filled */
#define HOLDERS     200
#define LIMIT       50 /* rounds */
#define DESCRIPTORS 32768

static uint64_t *area;
static unsigned filled;
static volatile int stop;
static unsigned wrong, refused;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* The number behind the name in a file of names and numbers. */
static unsigned long number_of(const char *path, const char *name)
{
	FILE *f = fopen(path, "r");
	unsigned long value, found = 0;
	char line[256], word[64];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %lu", word, &value) == 2 && !strcmp(word, name))
			found = value;
	if (f)
		fclose(f);
	return found;
}

/* Requests that have had memory compacted, and so got their blocks. */
static unsigned long compacted(void)
{
	return number_of("/proc/vmstat", "compact_success");
}

static uint64_t *page_at(unsigned page)
{
	return area + (size_t)page * (PAGE / 8);
}

static uint64_t word(unsigned page, uint64_t round)
{
	return (uint64_t)page << 32 | (round & 0xffffffff);
}

static int room(void)
{
	return number_of("/proc/meminfo", "MemFree:") > LEFT;
}

static void map_and_fill(void)
{
	area = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE,
	            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		fail("mmap");
	while (filled < PAGES && room())
		for (unsigned i = 0; i < 64; i++, filled++)
			*page_at(filled) = word(filled, 0);
}

static void punch(void)
{
	for (unsigned page = 1; page < filled; page += 2)
		if (madvise(page_at(page), PAGE, MADV_DONTNEED))
			fail("madvise");
}

static void *read_and_write(void *unused)
{
	for (uint64_t round = 0; !stop; round++)
		for (unsigned page = 0; page < filled; page += 2) {
			wrong += *page_at(page) != word(page, round);
			*page_at(page) = word(page, round + 1);
		}
	return unused;
}

static void *hold_block(void *pipe_end)
{
	const int fd = *(const int *)pipe_end;
	uint64_t *set = calloc(DESCRIPTORS / 64, sizeof(*set));

	if (!set)
		fail("calloc");
	set[fd / 64] = 1ull << fd % 64;
	if (select(DESCRIPTORS, (fd_set *)set, NULL, NULL, NULL) != 1)
		__sync_fetch_and_add(&refused, 1);
	free(set);
	return NULL;
}

static void ask_for_blocks(void)
{
	const unsigned long before = compacted();
	pthread_t thread[HOLDERS];
	unsigned n = 0;
	int end[2];

	if (pipe(end) || dup2(end[0], DESCRIPTORS - 1) < 0)
		fail("descriptors");
	for (; n < HOLDERS && compacted() == before; n++)
		if (pthread_create(&thread[n], NULL, hold_block, &end[0]))
			fail("pthread_create");
	close(end[1]);
	while (n)
		pthread_join(thread[--n], NULL);
	close(end[0]);
}

/* In a process of its own: memory that has been made whole is no start for another. Returns what was amiss. */
static int one_round(void)
{
	const struct rlimit many = {DESCRIPTORS, DESCRIPTORS};
	pthread_t thread;

	if (setrlimit(RLIMIT_NOFILE, &many))
		fail("setrlimit");
	map_and_fill();
	punch();
	if (pthread_create(&thread, NULL, read_and_write, NULL))
		fail("pthread_create");
	ask_for_blocks();
	stop = 1;
	pthread_join(thread, NULL);
	if (refused || wrong)
		printf("not: %u refused, %u pages wrong\n", refused, wrong);
	return refused || wrong;
}

int main(void)
{
	unsigned long requests = 0, moved = 0;
	int status = 0;

	for (unsigned i = 0; i < LIMIT && !(requests && moved) && !status; i++) {
		const pid_t pid = fork();

		if (!pid)
			exit(one_round());
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			fail("a child");
		requests = compacted();
		moved = number_of("/proc/vmstat", "pgmigrate_success");
	}
	printf("%s every request had its block, and nothing was read but what was written\n",
	       status ? "not:" : "ok");
	printf("%s a request had memory compacted, and got its block\n", requests ? "ok" : "not:");
	printf("%s pages have moved\n", moved ? "ok" : "not:");
	return 0;
}
