/*
 * chain.c [N] - thousands of processes end in a time that grows as their number, not as its square. Without N: chains of
 * them, each the vfork child of the one before, end from the last to the first, and it says how that went. With N: so
 * many sleeping children are left behind. For --deterministic, where time counts instructions.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned left;
static uint64_t *turned; /* when the last one began to end */

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* All share one stack, so that nothing may be needed of it after a child ran. */
static void chain_of(unsigned links)
{
	left = links;
	while (left-- > 0)
		if (vfork())
			_exit(0);
	*turned = now();
	_exit(0);
}

static uint64_t time_to_end(unsigned links)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		chain_of(links);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status || !*turned)
		return 0;
	return now() - *turned;
}

static int leave(unsigned n)
{
	pid_t pid = 1;

	while (n-- > 0 && pid > 0) {
		pid = fork();
		if (pid == 0)
			pause();
	}
	return pid < 0;
}

int main(int argc, char **argv)
{
	uint64_t few, many;

	if (argc > 1)
		return leave((unsigned)atoi(argv[1]));
	turned = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (turned == MAP_FAILED)
		return 1;
	few = time_to_end(2000);
	many = time_to_end(8000);
	if (few && many && many < 6 * few)
		printf("ok: a chain of vforks ends in a time that grows as its length\n");
	else
		printf("chains of 2000 and 8000 vforks end in %llu and %llu ns\n",
		       (unsigned long long)few, (unsigned long long)many);
	return 0;
}
