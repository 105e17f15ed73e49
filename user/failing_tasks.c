/*
 * failing_tasks.c - allocations that fail where programs, threads and mappings are made, signals queued, timers set.
 */
#define _GNU_SOURCE
#include "failing.h"
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static void mappings(void)
{
	int fd = open(self, O_RDONLY);
	char *p;

	if (fd < 0)
		return;
	p = mmap(NULL, 8 << 12, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p != MAP_FAILED) {
		mprotect(p + 4096, 4096, PROT_NONE);
		munmap(p + 8192, 4096);
		munmap(p, 8 << 12);
	}
	close(fd);
}

/* A call said that it worked, and it had not. */
static void dishonest(const char *what)
{
	printf("FAILED %s: success without the work\n", what);
}

static void wait_for(const char *what, pid_t pid, int right)
{
	int status;

	if (pid < 0)
		return;
	if (waitpid(pid, &status, 0) != pid)
		dishonest(what);
	else if (WIFEXITED(status) ? WEXITSTATUS(status) != right && WEXITSTATUS(status) != 1
	                           : WTERMSIG(status) != SIGKILL)
		printf("FAILED %s: status %#x\n", what, (unsigned)status);
}

/* The new program says whether it got what it was given: 0, else 3. 1: execve failed. */
static void exec_child(const char *path, char *big)
{
	char *argv[] = {(char *)self, "leaf", big, NULL}, *envp[] = {"A=1", big, NULL};

	execve(path, argv, envp);
	_exit(1);
}

static void run_program(void)
{
	pid_t pid = fork();

	if (pid == 0)
		exec_child(self, "small");
	wait_for("exec", pid, 0);
}

/* By vfork: pages that the parent writes after a fork it must copy, and it dies where it gets no memory for that. */
static void run_big(void)
{
	static char big[100000];
	pid_t pid;

	if (!big[0])
		memset(big, 'b', sizeof(big) - 1);
	pid = vfork();
	if (pid == 0)
		exec_child(self, big);
	wait_for("exec of long arguments", pid, 0);
}

static void run_script(void)
{
	int fd = open("/tmp/script", O_CREAT | O_TRUNC | O_WRONLY, 0755);
	pid_t pid;
	ssize_t n;

	if (fd < 0)
		return;
	n = snprintf(buf, 200, "#!%s leaf\n", self);
	n -= write(fd, buf, (size_t)n);
	memset(buf, 'x', 200);
	close(fd);
	pid = n ? -1 : vfork();
	if (pid == 0) {
		execl("/tmp/script", "script", (char *)NULL);
		_exit(1);
	}
	wait_for("exec of a script", pid, 0);
	unlink("/tmp/script");
}

static int child_main(void *arg)
{
	(void)arg;
	return 7;
}

/* (fork is run_program's.) */
static void clones(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	char *top = stack + sizeof(stack);

	wait_for("vfork", clone(child_main, top, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL), 7);
	wait_for("sharing clone",
	         clone(child_main, top,
	               CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGCHLD,
	               NULL),
	         7);
}

static volatile int thread_gone;

static int thread_main(void *arg)
{
	(void)arg;
	return 0;
}

static void thread(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	int flags = CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD |
	            CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;

	thread_gone = 1;
	if (clone(thread_main, stack + sizeof(stack), flags, NULL, NULL, NULL, &thread_gone) < 0)
		return;
	while (thread_gone)
		syscall(SYS_futex, &thread_gone, 0, 1, &(struct timespec){0, 1000000}, NULL, 0);
}

static void queued_signals(void)
{
	union sigval v;
	siginfo_t info;
	sigset_t set;
	int sent = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (v.sival_int = 1; v.sival_int < 4; v.sival_int++)
		if (sigqueue(getpid(), SIGRTMIN, v) == 0)
			sent |= 1 << v.sival_int;
	if (kill(getpid(), SIGUSR1) == 0)
		sent |= 1;
	while (sigtimedwait(&set, &info, &(struct timespec){0, 0}) > 0)
		sent &= ~(info.si_signo == SIGUSR1 ? 1 : 1 << info.si_value.sival_int);
	if (sent)
		dishonest("sigqueue");
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void timers(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	struct itimerspec t = {.it_value = {0, 1}};
	int clocks[] = {CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID};
	sigset_t set;
	timer_t id;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 2; i++) {
		if (timer_create(clocks[i], &ev, &id))
			continue;
		if (timer_settime(id, 0, &t, NULL) ||
		    sigtimedwait(&set, NULL, &(struct timespec){5, 0}) != SIGRTMIN)
			dishonest("timer");
		timer_delete(id);
	}
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void futexes(void)
{
	int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct timespec soon = {0, 100000};

	if (word == MAP_FAILED)
		return;
	use(syscall(SYS_futex, word, 0 /* WAIT */, 0, &soon, NULL, 0));
	use(syscall(SYS_futex, word + 1, 0 /* WAIT */, 1, &soon, NULL, 0));
	use(syscall(SYS_futex, word, 1 /* WAKE */, 1, NULL, NULL, 0));
	use(syscall(SYS_futex, word, 3 /* REQUEUE */, 1, 1, word + 9, 0));
	use(syscall(SYS_futex, word, 5 /* WAKE_OP */, 1, 1, word + 2, 1 << 28));
	munmap(word, 4096);
}

/* What exec_child() started: the argument and the environment must be alike. A script has neither. */
static int leaf(int argc, char **argv, char **envp)
{
	if (argc == 3 && !strcmp(argv[2], "/tmp/script"))
		return 0;
	return argc == 3 && envp[1] && !strcmp(argv[2], envp[1]) && !envp[2] ? 0 : 3;
}

static const struct scenario scenarios[] = {
        {"mappings", mappings},
        {"run_program", run_program},
        {"run_big", run_big},
        {"run_script", run_script},
        {"clones", clones},
        {"thread", thread},
        {"queued_signals", queued_signals},
        {"timers", timers},
        {"futexes", futexes},
};

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "leaf"))
		return leaf(argc, argv, environ);
	return run_scenarios(scenarios, sizeof(scenarios) / sizeof(scenarios[0]), argc, argv);
}
