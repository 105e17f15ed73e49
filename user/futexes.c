/*
 * futexes.c - futex(2) beyond what the C library uses: bitsets, requeueing, FUTEX_WAKE_OP, words in shared files.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHOW(call) show(#call, (long)(call))
#define WAITERS    8

static void show(const char *what, long ret)
{
	int err = errno;

	printf("%s: ", what);
	if (ret == -1)
		printf("%s\n", strerror(err));
	else
		printf("%ld\n", ret);
}

static long futex(uint32_t *word, int op, uint32_t val, uint64_t timeout, uint32_t *word2,
                  uint32_t val3)
{
	return syscall(SYS_futex, word, op, val, timeout, word2, val3);
}

static uint32_t *words; /* [0], [1]: waited on */
static uint32_t *waiting;
static int shown;
static volatile int order[2 * WAITERS], woken;
static pthread_t threads[WAITERS];

static void *wait_on(void *arg)
{
	long n = (long)arg;

	__atomic_fetch_add(waiting, 1, __ATOMIC_SEQ_CST);
	futex(&words[0], FUTEX_WAIT_BITSET_PRIVATE, 0, 0, NULL, 1u << n);
	order[__atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST)] = (int)n;
	return NULL;
}

/* The waiters queue one after the other: each sleeps before the next is made. */
static void start(void)
{
	woken = shown = 0;
	*waiting = 0;
	for (long i = 0; i < WAITERS; i++) {
		pthread_create(&threads[i], NULL, wait_on, (void *)i);
		while (__atomic_load_n(waiting, __ATOMIC_SEQ_CST) <= i)
			usleep(100);
		usleep(5000);
	}
}

/* Which n more threads woke. */
static void expect(int n)
{
	unsigned set = 0;

	for (int i = 0; i < 1000 && woken < shown + n; i++)
		usleep(1000);
	usleep(3000); /* one too many would show */
	for (; shown < woken; shown++)
		set |= 1u << order[shown];
	printf("woke %#x\n", set);
}

static void join(void)
{
	for (int i = 0; i < WAITERS; i++)
		pthread_join(threads[i], NULL);
}

static void bitsets(void)
{
	start();
	SHOW(futex(&words[0], FUTEX_WAKE_PRIVATE, 1, 0, NULL, 0)); /* the first that came */
	expect(1);
	SHOW(futex(&words[0], FUTEX_WAKE_BITSET_PRIVATE, 100, 0, NULL, 0xf0));
	expect(4);
	SHOW(futex(&words[0], FUTEX_WAKE_BITSET_PRIVATE, 100, 0, NULL, 0));
	SHOW(futex(&words[0], FUTEX_WAKE_BITSET_PRIVATE, 2, 0, NULL, ~0u));
	expect(2);
	SHOW(futex(&words[1], FUTEX_WAKE_PRIVATE, 100, 0, NULL, 0));
	SHOW(futex(&words[0], FUTEX_WAKE_PRIVATE, 100, 0, NULL, 0));
	expect(1);
	join();
}

static void requeue(void)
{
	start();
	SHOW(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, 3, &words[1], 77));
	SHOW(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, 3, &words[1], 0));
	expect(1);
	SHOW(futex(&words[1], FUTEX_WAKE_PRIVATE, 100, 0, NULL, 0));
	expect(3);
	SHOW(futex(&words[0], FUTEX_REQUEUE_PRIVATE, 0, 100, &words[1], 0));
	SHOW(futex(&words[0], FUTEX_WAKE_PRIVATE, 100, 0, NULL, 0));
	SHOW(futex(&words[1], FUTEX_REQUEUE_PRIVATE, 2, 1, &words[0], 0));
	expect(2);
	SHOW(futex(&words[1], FUTEX_WAKE_PRIVATE, 100, 0, NULL, 0));
	expect(1);
	SHOW(futex(&words[0], FUTEX_WAKE_PRIVATE, 100, 0, NULL, 0));
	expect(1);
	SHOW(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, (uint32_t)-1, 3, &words[1], 0));
	SHOW(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, 3, (uint32_t *)8, 0));
	join();
}

static void wake_op(void)
{
	words[1] = 5;
	start();
	SHOW(futex(&words[0], FUTEX_WAKE_OP_PRIVATE, 1, 1, &words[1],
	           (uint32_t)FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)));
	SHOW(words[1]);
	expect(1);
	SHOW(futex(&words[1], FUTEX_WAKE_OP_PRIVATE, 1, 2, &words[0],
	           (uint32_t)FUTEX_OP(FUTEX_OP_OR, 6, FUTEX_OP_CMP_LT, 1)));
	SHOW(words[0]);
	expect(2);
	SHOW(futex(&words[1], FUTEX_WAKE_OP_PRIVATE, 1, 100, &words[0],
	           (uint32_t)FUTEX_OP(FUTEX_OP_ANDN, 4, FUTEX_OP_CMP_GT, 6)));
	SHOW(words[0]);
	expect(0);
	SHOW(futex(&words[1], FUTEX_WAKE_OP_PRIVATE, 1, 100, &words[0],
	           (uint32_t)FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_NE, 6)));
	expect(5);
	SHOW(futex(&words[1], FUTEX_WAKE_OP_PRIVATE, 1, 100, &words[0], 7u << 28));
	join();
}

static void errors(void)
{
	struct timespec past = {0, 0}, bad = {0, -1};
	uint32_t word = 0;

	SHOW(futex(&word, FUTEX_WAIT, 1, 0, NULL, 0));
	SHOW(futex((uint32_t *)((char *)&word + 1), FUTEX_WAKE, 1, 0, NULL, 0));
	SHOW(futex((uint32_t *)8, FUTEX_WAIT, 0, 0, NULL, 0));
	SHOW(futex(&word, FUTEX_WAIT, 0, (uint64_t)&past, NULL, 0));
	SHOW(futex(&word, FUTEX_WAIT, 0, (uint64_t)&bad, NULL, 0));
	SHOW(futex(&word, FUTEX_WAIT, 0, 8, NULL, 0));
	SHOW(futex(&word, FUTEX_WAIT_BITSET, 0, (uint64_t)&past, NULL, 1));
	SHOW(futex(&word, FUTEX_WAIT_BITSET, 0, 0, NULL, 0));
	SHOW(futex(&word, 99, 0, 0, NULL, 0));
	SHOW(syscall(SYS_set_robust_list, &word, 8));
	SHOW(syscall(SYS_get_robust_list, 0x7fffffff, &word, &word));
}

/* The same word at two addresses, of two processes. */
static void shared_file(void)
{
	int fd = open("word", O_CREAT | O_RDWR | O_TRUNC, 0600);
	uint32_t *a, *b;
	pid_t pid;
	int status;

	if (ftruncate(fd, 4096))
		return;
	a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid = fork();
	if (pid == 0) {
		a[1] = 1;
		_exit(futex(a, FUTEX_WAIT, 0, 0, NULL, 0) ? 1 : 0);
	}
	while (!b[1])
		usleep(1000);
	usleep(20000);
	SHOW(futex(b, FUTEX_WAKE_PRIVATE, 1, 0, NULL, 0));
	SHOW(futex(b, FUTEX_WAKE, 1, 0, NULL, 0));
	waitpid(pid, &status, 0);
	SHOW(status);
	close(fd);
	unlink("word");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	alarm(60);
	words = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	waiting = &words[1024];
	bitsets();
	requeue();
	wake_op();
	errors();
	shared_file();
	return 0;
}
