/*
 * measure_files.c - what system calls on files cost, by CLOCK_MONOTONIC; see measure.c.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N          1000
#define FILE_PAGES 256

static char buf[1 << 16];

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The second of two rounds counts. */
#define MEASURE(name, n, ...)                                                    \
	do {                                                                     \
		for (int round = 0; round < 2; round++) {                        \
			uint64_t t = now();                                      \
			for (int i = 0; i < (n); i++) {                          \
				__VA_ARGS__;                                     \
			}                                                        \
			if (round)                                               \
				printf("%-38s %10llu\n", name,                   \
				       (unsigned long long)((now() - t) / (n))); \
		}                                                                \
	} while (0)

static void must(int ok)
{
	if (!ok) {
		perror("measure_files");
		exit(1);
	}
}

static void names(void)
{
	struct stat st;
	char path[64];

	mkdir("/tmp/dir", 0755);
	mkdir("/tmp/dir/sub", 0755);
	must(close(open("/tmp/dir/sub/file", O_CREAT | O_RDWR, 0644)) == 0);
	MEASURE("open + close", N, must(close(open("/tmp/dir/sub/file", O_RDONLY)) == 0));
	MEASURE("stat", N, must(stat("/tmp/dir/sub/file", &st) == 0));
	MEASURE("stat, absent", N, must(stat("/tmp/dir/sub/none", &st) < 0));
	MEASURE("create + unlink", N,
	        must(close(open("/tmp/dir/x", O_CREAT | O_WRONLY, 0644)) == 0);
	        must(unlink("/tmp/dir/x") == 0));
	MEASURE("mkdir + rmdir", N, must(mkdir("/tmp/dir/x", 0755) == 0);
	        must(rmdir("/tmp/dir/x") == 0));
	MEASURE("rename", N,
	        must(rename(i & 1 ? "/tmp/dir/b" : "/tmp/dir/sub/file",
	                    i & 1 ? "/tmp/dir/sub/file" : "/tmp/dir/b") == 0));
	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "/tmp/dir/sub/n%d", i);
		must(close(open(path, O_CREAT | O_RDWR, 0644)) == 0);
	}
	MEASURE("getdents64 of 101 names", 100, int fd = open("/tmp/dir/sub", O_RDONLY);
	        while (syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0); close(fd));
}

static void contents(void)
{
	int fd = open("/tmp/data", O_CREAT | O_RDWR, 0644);
	struct stat st;

	for (int i = 0; i < FILE_PAGES; i++)
		must(write(fd, buf, 4096) == 4096);
	MEASURE("fstat", N, must(fstat(fd, &st) == 0));
	MEASURE("lseek", N, must(lseek(fd, 0, SEEK_SET) == 0));
	MEASURE("pread 1 byte", N, must(pread(fd, buf, 1, 0) == 1));
	MEASURE("pread 4 KB", N, must(pread(fd, buf, 4096, (i % FILE_PAGES) * 4096) == 4096));
	MEASURE("pread 64 KB", 100, must(pread(fd, buf, 65536, 0) == 65536));
	MEASURE("pwrite 1 byte", N, must(pwrite(fd, buf, 1, 0) == 1));
	MEASURE("pwrite 4 KB, cached", N,
	        must(pwrite(fd, buf, 4096, (i % FILE_PAGES) * 4096) == 4096));
	MEASURE("pwrite 64 KB, cached", 100, must(pwrite(fd, buf, 65536, 0) == 65536));
	close(fd);
	fd = open("/tmp/new", O_CREAT | O_RDWR, 0644);
	MEASURE("truncate + write 64 KB", 100, must(ftruncate(fd, 0) == 0);
	        must(pwrite(fd, buf, 65536, 0) == 65536));
	close(fd);
}

static void pipes(void)
{
	int p[2], q[2], s[2];
	char c = 0;

	must(pipe(p) == 0 && pipe(q) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	MEASURE("pipe write + read 1 byte", N,
	        must(write(p[1], &c, 1) == 1 && read(p[0], &c, 1) == 1));
	MEASURE("pipe write + read 64 KB", 100,
	        must(write(p[1], buf, 65536) == 65536 && read(p[0], buf, 65536) == 65536));
	MEASURE("socketpair write + read 1 byte", N,
	        must(write(s[1], &c, 1) == 1 && read(s[0], &c, 1) == 1));
	MEASURE("socketpair write + read 32 KB", 100,
	        must(write(s[1], buf, 32768) == 32768 && read(s[0], buf, 32768) == 32768));
	if (fork() == 0) {
		while (read(p[0], &c, 1) == 1 && write(q[1], &c, 1) == 1 && c != 'x')
			;
		_exit(0);
	}
	MEASURE("pipe ping-pong", N, must(write(p[1], &c, 1) == 1 && read(q[0], &c, 1) == 1));
	c = 'x';
	must(write(p[1], &c, 1) == 1);
	wait(NULL);
	MEASURE("pipe + 2 close", N, int r[2]; must(pipe(r) == 0); close(r[0]); close(r[1]));
}

static void waiting(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd fds[10];
	int ep = epoll_create1(0), p[2], e = eventfd(0, 0);
	uint64_t one = 1;

	must(pipe(p) == 0);
	for (int i = 0; i < 10; i++)
		fds[i] = (struct pollfd){p[0], POLLIN, 0};
	MEASURE("poll of 10, none ready", N, must(poll(fds, 10, 0) == 0));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev) == 0);
	MEASURE("eventfd + epoll_wait + read", N, must(write(e, &one, 8) == 8);
	        must(epoll_wait(ep, &ev, 1, 0) == 1); must(read(e, &one, 8) == 8));
	MEASURE("dup + close", N, must(close(dup(e)) == 0));
}

int main(void)
{
	names();
	contents();
	pipes();
	waiting();
	return 0;
}
