/*
 * pressure.c - programs fill memory again and again and are killed, while others read files of /proc that walk the kernel's lists: both
 * get on. (A reader's buffer is memory too, and memory that is freed for it may lie behind the list that is being read.)
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define READS  100
#define HOGS   40
#define WAITED 120 /* seconds, on a busy machine */

static const char *const files[] = {"/proc/slabinfo", "/proc/mounts", "/proc/vmallocinfo",
                                    "/proc/zoneinfo"};
#define NR_FILES (sizeof(files) / sizeof(*files))

static volatile int *done; /* shared: reads of each file, then hogs that died */

static void oom_score(const char *adj)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	if (fd < 0 || write(fd, adj, strlen(adj)) < 0)
		_exit(3);
	close(fd);
}

static void reader(unsigned i)
{
	char buf[32768];

	for (;;) {
		int fd = open(files[i], O_RDONLY);

		if (fd < 0)
			continue;
		while (read(fd, buf, sizeof(buf)) > 0)
			;
		close(fd);
		done[i]++;
	}
}

static void hog(void)
{
	const size_t size = (size_t)1 << 30;
	char *p;

	oom_score("1000");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	         -1, 0);
	for (size_t at = 0; p != MAP_FAILED && at < size; at += 4096)
		p[at] = 1;
	_exit(0);
}

static void hogs(void)
{
	for (;;) {
		pid_t pid = fork();
		int status;

		if (!pid)
			hog();
		if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status))
			done[NR_FILES]++;
	}
}

static int enough(void)
{
	for (unsigned i = 0; i < NR_FILES; i++)
		if (done[i] < READS)
			return 0;
	return done[NR_FILES] >= HOGS;
}

int main(void)
{
	done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	oom_score("-1000");
	setpgid(0, 0);
	signal(SIGTERM, SIG_IGN);
	for (unsigned i = 0; i <= NR_FILES; i++)
		if (!fork()) {
			signal(SIGTERM, SIG_DFL);
			if (i < NR_FILES)
				reader(i);
			hogs();
		}
	for (unsigned i = 0; i < WAITED * 10 && !enough(); i++)
		usleep(100000);
	for (unsigned i = 0; i < NR_FILES; i++)
		printf("%s %s is read while memory is short\n", done[i] >= READS ? "ok" : "not ok",
		       files[i]);
	printf("%s memory is filled again and again\n", done[NR_FILES] >= HOGS ? "ok" : "not ok");
	fflush(stdout);
	kill(0, SIGTERM);
	while (wait(NULL) > 0)
		;
	return !enough();
}
