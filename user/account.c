/*
 * account.c - forks, execs and maps thousands of times; then the number of free frames is what it was.
 *
 * MemFree of /proc/meminfo is read before and after, when a first round has warmed every cache up. Prints "ok" lines.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static long free_kb(void)
{
	char buf[4096], *at;
	int fd = open("/proc/meminfo", O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	close(fd);
	buf[n > 0 ? n : 0] = 0;
	at = strstr(buf, "MemFree:");
	return at ? atol(at + 8) : -1;
}

static void map_things(int i)
{
	size_t len = (size_t)(1 + i % 64) * 4096;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
	               MAP_ANONYMOUS | (i & 1 ? MAP_PRIVATE : MAP_SHARED), -1, 0);

	memset(p, i, len);
	mprotect(p, 4096, PROT_READ);
	if (len > 8192)
		munmap(p + 4096, 4096);
	munmap(p, len);
}

static void *thread(void *arg)
{
	map_things((int)(long)arg);
	return NULL;
}

static void child(char *self, int i)
{
	for (int j = 0; j < 10; j++)
		map_things(i + j);
	if (i % 4 == 0) {
		pthread_t t;

		pthread_create(&t, NULL, thread, (void *)(long)i);
		pthread_join(t, NULL);
	}
	if (i % 8 == 1)
		execl(self, self, "leaf", (char *)NULL);
	if (i % 8 == 3)
		raise(SIGKILL);
	_exit(0);
}

static void round_of(char *self, int n)
{
	int fds[2], file;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0)
			child(self, i);
		if (pid < 0)
			printf("fork failed\n");
		map_things(i);
		waitpid(pid, NULL, 0);
	}
	for (int i = 0; i < n; i++) {
		if (pipe(fds) != 0 || write(fds[1], fds, sizeof(fds)) < 0)
			printf("pipe failed\n");
		close(fds[0]);
		close(fds[1]);
		file = open("/tmp/account", O_CREAT | O_RDWR, 0600);
		if (ftruncate(file, 50000) != 0 || pwrite(file, self, 4, 40000) != 4)
			printf("file failed\n");
		close(file);
		unlink("/tmp/account");
	}
}

int main(int argc, char **argv)
{
	int n = argc > 1 && strcmp(argv[1], "leaf") != 0 ? atoi(argv[1]) : 2000;
	long before, after;

	if (argc > 1 && strcmp(argv[1], "leaf") == 0)
		return 0;
	round_of(argv[0], 100);
	before = free_kb();
	round_of(argv[0], n);
	after = free_kb();
	/* Caches of the allocators may hold a little more than before; a leak of a page a round may not hide. */
	if (before - after > 256)
		printf("FAILED: %ld kB free before, %ld kB after %d rounds\n", before, after, n);
	else
		printf("ok %d rounds of fork, exec, map, thread, pipe, file: free memory is what it was\n",
		       n);
	return 0;
}
