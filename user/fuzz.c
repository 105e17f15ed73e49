/*
 * fuzz.c - system calls at random, with arguments at random: fuzz [SEED [PROCESSES [SECONDS]]]
 *
 * Each child makes calls with numbers and arguments from its own seed, which it is found by: "fuzz SEED 1" begins with it. Arguments are
 * small numbers, descriptors, flags, and pointers to good memory full of random words, to its edge, to nowhere, into the
 * kernel. A child may die of anything; the kernel must live, and every child must end. In half of the children another thread
 * makes calls at the same time. What would end the whole group or the machine is left out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLS   400
#define SCRATCH (64 * 4096ul)

static char *scratch; /* good memory, followed by a page that is not there */

static uint64_t next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s * 0x2545f4914f6cdd1dull;
}

static uint64_t below(uint64_t *s, uint64_t n)
{
	return (next(s) >> 11) % n;
}

static uint64_t pointer(uint64_t *s)
{
	static const uint64_t odd[] = {0,
	                               8,
	                               0x7ffffffff000ul,
	                               0x7fffffffeff8ul,
	                               0x800000000000ul,
	                               0xffff800000000000ul,
	                               0xffffffff80100000ul,
	                               0xffff888000100000ul,
	                               UINT64_MAX,
	                               UINT64_MAX - 4095};

	switch (below(s, 8)) {
	case 0:
		return odd[below(s, sizeof(odd) / sizeof(odd[0]))];
	case 1:
		return (uint64_t)scratch + SCRATCH - below(s, 64);
	case 2:
		return (uint64_t)scratch + (below(s, SCRATCH / 4096) << 12);
	default:
		return (uint64_t)scratch + (below(s, SCRATCH / 8) << 3);
	}
}

static uint64_t number(uint64_t *s)
{
	switch (below(s, 7)) {
	case 0:
		return below(s, 4);
	case 1:
		return below(s, 40);
	case 2:
		return 1ull << below(s, 64);
	case 3:
		return (1ull << below(s, 64)) - 1;
	case 4:
		return 0ull - below(s, 200);
	case 5:
		return below(s, 1 << 20);
	default:
		return next(s);
	}
}

static uint64_t argument(uint64_t *s)
{
	switch (below(s, 3)) {
	case 0:
		return 3 + below(s, 30); /* a descriptor, with luck */
	case 1:
		return pointer(s);
	default:
		return number(s);
	}
}

/* Words that calls may take for structures: small numbers, and pointers to more of them. */
static void fill(uint64_t *s)
{
	uint64_t *words = (uint64_t *)scratch;

	for (int i = 0; i < 64; i++) {
		unsigned at = (unsigned)below(s, SCRATCH / 8);

		words[at] = below(s, 2) ? pointer(s) : number(s);
	}
	for (int i = 0; i < 8; i++)
		snprintf(scratch + (below(s, SCRATCH / 4096) << 12), 64, "/tmp/f%u%s",
		         (unsigned)below(s, 4), below(s, 3) ? "" : "/../x");
}

static int left_out(long nr)
{
	switch (nr) {
	case SYS_fork: /* with CLONE_* at random children would outlive us */
	case SYS_vfork:
	case SYS_clone:
	case SYS_clone3:
	case SYS_kill:
	case SYS_tkill: /* other children, the parent */
	case SYS_tgkill:
	case SYS_rt_sigqueueinfo:
	case SYS_rt_tgsigqueueinfo:
	case SYS_exit:
	case SYS_exit_group:
	case SYS_pause:
	case SYS_rt_sigsuspend:
	case SYS_setpgid: /* the parent kills by group */
	case SYS_setsid:
	case SYS_reboot:
	case SYS_umount2:
	case SYS_mount:
	case SYS_prlimit64: /* the parent's */
	case SYS_sched_setaffinity:
	case SYS_sched_setscheduler:
	case SYS_setpriority:
	case SYS_clock_settime:
	case SYS_settimeofday:
		return 1;
	}
	return 0;
}

static void one_call(uint64_t *s)
{
	long nr = (long)below(s, 451);
	uint64_t a[6];

	for (int i = 0; i < 6; i++)
		a[i] = argument(s);
	if (left_out(nr))
		return;
	if (nr == SYS_fcntl && (a[1] & 0xff) == F_SETOWN)
		return;
	if (below(s, 16) == 0)
		fill(s);
	syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Garbage where sigreturn looks for a frame: the last act. */
static void bad_return(uint64_t *s)
{
	uint64_t *frame = (uint64_t *)(scratch + 4096);

	for (int i = 0; i < 512; i++)
		frame[i] = below(s, 3) ? next(s) : pointer(s);
	__asm__ volatile("movq %0, %%rsp; syscall" ::"r"(frame + 1), "a"(SYS_rt_sigreturn)
	                 : "rcx", "r11", "memory");
}

/* Random bytes as code, with the trap flag sometimes on. */
static void bad_code(uint64_t *s)
{
	uint64_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (code == MAP_FAILED)
		return;
	for (int i = 0; i < 512; i++)
		code[i] = below(s, 4) ? next(s) : 0x050f90909090ul; /* syscall now and then */
	if (below(s, 2))
		__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; jmp *%0" ::"r"(code),
		                 "a"(39));
	((void (*)(void))code)();
}

static void *other_thread(void *arg)
{
	uint64_t s = *(uint64_t *)arg ^ 0x5555;

	for (int i = 0; i < CALLS; i++)
		one_call(&s);
	return NULL;
}

static void open_things(void)
{
	int p[2];

	for (int fd = 3; fd < 40; fd++)
		close(fd);
	(void)!open("/dev/zero", O_RDWR);
	(void)!open("/tmp/f0", O_RDWR | O_CREAT, 0600);
	(void)!open("/tmp", O_RDONLY | O_DIRECTORY);
	(void)!open("/proc/self/maps", O_RDONLY);
	(void)!open("/dev/ptmx", O_RDWR | O_NOCTTY);
	(void)!pipe(p);
	(void)!socketpair(AF_UNIX, SOCK_STREAM, 0, p);
	(void)!socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
	(void)!socket(AF_UNIX, SOCK_STREAM, 0);
	(void)!epoll_create1(0);
	(void)!eventfd(1, 0);
	(void)!timerfd_create(CLOCK_MONOTONIC, 0);
	(void)!memfd_create("fuzz", MFD_ALLOW_SEALING);
}

static void child(uint64_t seed)
{
	struct rlimit memory = {64 << 20, 64 << 20}, cpu = {5, 5};
	struct itimerval t = {{0, 200000}, {0, 400000}};
	uint64_t s = seed * 0x9e3779b97f4a7c15ull + 1;
	pthread_t thread;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_AS, &memory);
	setrlimit(RLIMIT_CPU, &cpu);
	setitimer(ITIMER_REAL, &t, NULL);
	open_things();
	scratch = mmap(NULL, SCRATCH + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	               -1, 0);
	munmap(scratch + SCRATCH, 4096);
	for (int i = 0; i < 50; i++)
		fill(&s);
	if (below(&s, 2))
		pthread_create(&thread, NULL, other_thread, &seed);
	for (int i = 0; i < CALLS; i++)
		one_call(&s);
	if (below(&s, 2))
		bad_return(&s);
	else
		bad_code(&s);
	_exit(0);
}

static pid_t start(uint64_t seed)
{
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		for (int fd = 0; fd < 3; fd++)
			dup2(null, fd);
		child(seed);
	}
	return pid;
}

/* A child that blocked its alarm, or sleeps in something that no alarm ends, is killed: and then it must go. */
static void reap(pid_t pid)
{
	for (int ms = 0; ms < 3000; ms++) {
		pid_t got = waitpid(pid, NULL, WNOHANG);

		if (got == pid || got < 0)
			return;
		usleep(1000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	unsigned processes = argc > 2 ? (unsigned)atoi(argv[2]) : 400;
	time_t end = time(NULL) + (argc > 3 ? atoi(argv[3]) : 1000);
	struct utsname u;
	unsigned done = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (uname(&u) || !strstr(u.release, "quire")) {
		printf("fuzz: this is not Quire: calls at random are not for the system that you work on\n");
		return 1;
	}
	printf("seed %lu\n", (unsigned long)seed);
	while (done < processes && time(NULL) < end) {
		pid_t batch[4];

		for (unsigned i = 0; i < 4; i++)
			batch[i] = start(seed + done + i);
		for (unsigned i = 0; i < 4; i++)
			reap(batch[i]);
		done += 4;
		if (done % 100 == 0)
			printf("%u\n", done);
	}
	printf("ok %s\n", done ? "the kernel lives" : "nothing was done");
	return 0;
}
