/*
 * races.c - what once went wrong between two CPUs, or between a program and its timers.
 *
 *   signals to a process group whose members are being born: all children run and end, once
 *   clone with a TLS base that is no address: EPERM, not a kernel that cannot load it
 *   periods of a nanosecond: the program goes on all the same, and what was missed is counted
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS   3000
#define EXPIRIES 10

static volatile sig_atomic_t nr_usr1, nr_alarms;

static void note(int sig)
{
	if (sig == SIGUSR1)
		nr_usr1++;
	else
		nr_alarms++;
}

static void pester(void)
{
	signal(SIGUSR1, SIG_IGN);
	for (;;)
		kill(0, SIGUSR1);
}

/* Its number goes to a page that must be faulted in while the child can be found, but does not run yet. */
static int bear_and_bury(void)
{
	int status, *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                         -1, 0);
	long pid = syscall(SYS_clone, CLONE_PARENT_SETTID | SIGCHLD, 0, page, 0, 0);

	if (!pid)
		_exit(7);
	if (pid < 0 || *page != pid)
		return 0;
	while (waitpid((pid_t)pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0;
	munmap(page, 4096);
	return WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

static void newborn(void)
{
	int ended = 0;
	pid_t pest;

	setpgid(0, 0);
	pest = fork();
	if (!pest)
		pester();
	for (int i = 0; i < ROUNDS; i++)
		ended += bear_and_bury();
	kill(pest, SIGKILL);
	waitpid(pest, NULL, 0);
	printf("newborn: %d of %d\n", ended, ROUNDS);
}

static void bad_tls(void)
{
	long ret = syscall(SYS_clone, CLONE_SETTLS | SIGCHLD, 0, 0, 0, 1ul << 63);

	if (!ret)
		_exit(0);
	printf("tls: %s\n", ret < 0 && errno == EPERM ? "EPERM" : "taken");
}

static void short_periods(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec ns = {{0, 1}, {0, 1}};
	struct itimerval us = {{0, 1}, {0, 1}}, off = {0};
	int overrun;
	timer_t t;

	if (timer_create(CLOCK_MONOTONIC, &ev, &t))
		return;
	nr_usr1 = 0;
	timer_settime(t, 0, &ns, NULL);
	while (nr_usr1 < EXPIRIES)
		;
	overrun = timer_getoverrun(t);
	timer_delete(t);
	setitimer(ITIMER_REAL, &us, NULL);
	while (nr_alarms < EXPIRIES)
		;
	setitimer(ITIMER_REAL, &off, NULL);
	printf("timers: overruns %s\n", overrun > 0 ? "counted" : "lost");
}

int main(void)
{
	struct sigaction sa = {.sa_handler = note, .sa_flags = SA_RESTART};

	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	newborn();
	bad_tls();
	short_periods();
	return 0;
}
