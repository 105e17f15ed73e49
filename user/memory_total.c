/*
 * memory_total.c - what the kernel left of the machine's memory, and when it had started the first program: the bytes of
 * /proc/meminfo's MemTotal, and nanoseconds since boot (instructions, where one instruction is one nanosecond). bench/memory.sh.
 */
#include <stdio.h>
#include <time.h>

int main(void)
{
	struct timespec now;
	unsigned long kb = 0;
	FILE *f;

	clock_gettime(CLOCK_MONOTONIC, &now);
	f = fopen("/proc/meminfo", "r");
	if (!f || fscanf(f, "MemTotal: %lu kB", &kb) != 1) {
		fputs("memory_total: /proc/meminfo has no MemTotal\n", stderr);
		return 1;
	}
	printf("%lu %llu\n", kb * 1024,
	       now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec);
	return fclose(f) != 0;
}
