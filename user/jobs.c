/*
 * jobs.c - processes: stopping and going on, waiting in all its ways, groups and sessions. It prints the same on every Linux.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHOW(call) show(#call, (long)(call))

static void show(const char *what, long ret)
{
	int err = errno;

	printf("%s: ", what);
	if (ret == -1)
		printf("%s\n", strerror(err));
	else
		printf("%ld\n", ret);
}

static void show_status(const char *what, int status)
{
	if (WIFSTOPPED(status))
		printf("%s: stopped by %d\n", what, WSTOPSIG(status));
	else if (WIFCONTINUED(status))
		printf("%s: continued\n", what);
	else if (WIFSIGNALED(status))
		printf("%s: killed by %d\n", what, WTERMSIG(status));
	else
		printf("%s: exit %d\n", what, WEXITSTATUS(status));
}

static void wait_show(const char *what, pid_t pid, int options)
{
	int status = 0;
	pid_t got = waitpid(pid, &status, options);

	if (got < 0)
		printf("%s: %s\n", what, strerror(errno));
	else if (!got)
		printf("%s: nothing\n", what);
	else
		show_status(what, status);
}

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

/* Until the child is in pause(): no longer than it takes. */
static void settle(pid_t pid, char want)
{
	char name[64], line[256], state = 0;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	for (int i = 0; i < 2000 && state != want; i++) {
		FILE *f = fopen(name, "r");

		if (f && fgets(line, sizeof(line), f))
			state = strrchr(line, ')')[2];
		if (f)
			fclose(f);
		usleep(1000);
	}
	if (state != want)
		printf("process in state %c, not %c\n", state, want);
}

/* --- stopping ------------------------------------------------------------------------------------------- */

static volatile int chld, chld_code;

static void on_chld(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	chld_code = info->si_code;
	chld++;
}

static void catch_chld(int flags)
{
	struct sigaction sa = {.sa_sigaction = on_chld,
	                       .sa_flags = SA_SIGINFO | SA_RESTART | flags};

	sigaction(SIGCHLD, &sa, NULL);
	chld = chld_code = 0;
}

static void show_chld(const char *what)
{
	for (int i = 0; i < 200 && !chld; i++)
		usleep(1000);
	printf("%s: SIGCHLD %d code %d\n", what, chld, chld_code);
	chld = chld_code = 0;
}

static void stop_and_continue(void)
{
	pid_t pid = sleeper();

	settle(pid, 'S');
	catch_chld(0);
	kill(pid, SIGSTOP);
	wait_show("stop, no WUNTRACED", pid, WNOHANG);
	wait_show("stop", pid, WUNTRACED);
	show_chld("stop");
	wait_show("told once", pid, WUNTRACED | WNOHANG);
	settle(pid, 'T');
	kill(pid, SIGUSR1); /* waits until it goes on */
	settle(pid, 'T');
	kill(pid, SIGSTOP);
	wait_show("stopped already", pid, WUNTRACED | WNOHANG);
	signal(SIGUSR1, SIG_IGN);
	kill(pid, SIGCONT);
	wait_show("continue and death", pid, 0);
	catch_chld(0);
	pid = sleeper();
	settle(pid, 'S');
	kill(pid, SIGTSTP);
	wait_show("SIGTSTP", pid, WUNTRACED);
	chld = 0;
	kill(pid, SIGCONT);
	wait_show("continue", pid, WCONTINUED);
	show_chld("continue");
	wait_show("told once", pid, WCONTINUED | WUNTRACED | WNOHANG);
	kill(pid, SIGCONT);
	wait_show("continue of what runs", pid, WCONTINUED | WNOHANG);
	kill(pid, SIGTTIN);
	wait_show("SIGTTIN", pid, WUNTRACED);
	chld = 0;
	kill(pid, SIGKILL); /* also what is stopped */
	show_chld("kill");
	wait_show("kill", pid, WUNTRACED | WCONTINUED);
	catch_chld(SA_NOCLDSTOP);
	pid = sleeper();
	settle(pid, 'S');
	kill(pid, SIGSTOP);
	wait_show("SA_NOCLDSTOP", pid, WUNTRACED);
	usleep(20000);
	printf("SIGCHLD %d\n", chld);
	kill(pid, SIGKILL);
	wait_show("kill", pid, 0);
	signal(SIGCHLD, SIG_DFL);
}

/* Blocked stops and continues undo each other when they are sent. */
static void pending_stops(void)
{
	sigset_t set, now;

	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGTSTP);
	sigpending(&now);
	SHOW(sigismember(&now, SIGTSTP));
	raise(SIGCONT);
	sigpending(&now);
	SHOW(sigismember(&now, SIGTSTP));
	SHOW(sigismember(&now, SIGCONT));
	raise(SIGTSTP);
	sigpending(&now);
	SHOW(sigismember(&now, SIGTSTP));
	SHOW(sigismember(&now, SIGCONT));
	raise(SIGCONT);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void *spin(void *arg)
{
	for (;;)
		(*(volatile long *)arg)++;
	return NULL;
}

/* All threads stop, go on, and die, together. */
static void stopping_threads(void)
{
	volatile long *counts =
	        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long before[3], moved = 0;
	pid_t pid = fork();

	if (pid == 0) {
		pthread_t t;

		for (int i = 0; i < 2; i++)
			pthread_create(&t, NULL, spin, (void *)&counts[i]);
		spin((void *)&counts[2]);
	}
	while (!counts[0] || !counts[1] || !counts[2])
		usleep(1000);
	kill(pid, SIGSTOP);
	wait_show("three threads", pid, WUNTRACED);
	memcpy(before, (void *)counts, sizeof(before));
	usleep(30000);
	for (int i = 0; i < 3; i++)
		moved += counts[i] != before[i];
	printf("threads that run though stopped: %ld\n", moved);
	kill(pid, SIGCONT);
	wait_show("continued", pid, WCONTINUED);
	for (int i = 0; i < 3; i++)
		while (counts[i] == before[i])
			usleep(1000);
	kill(pid, SIGTERM);
	wait_show("terminated", pid, 0);
}

/* A group without a parent in its session cannot be stopped from the keyboard; its stopped members are told of its end. */
static void orphans(void)
{
	int p[2], status;
	pid_t pid;
	char c = 0;

	if (pipe(p))
		return;
	pid = fork();
	if (pid == 0) {
		pid_t grandchild = fork();

		if (grandchild == 0) {
			setpgid(0, 0);
			raise(SIGSTOP);
			_exit(write(p[1], "c", 1) != 1);
		}
		waitpid(grandchild, &status, WUNTRACED);
		signal(SIGHUP, SIG_DFL);
		_exit(0); /* the group is an orphan: SIGHUP, SIGCONT */
	}
	close(p[1]);
	waitpid(pid, NULL, 0);
	printf("stopped member of an orphaned group: %s\n",
	       read(p[0], &c, 1) == 1 ? "went on" : "died of SIGHUP");
	close(p[0]);
	pid = fork();
	if (pid == 0) {
		setsid();
		raise(SIGTSTP);
		raise(SIGTTOU);
		_exit(5);
	}
	wait_show("SIGTSTP in an orphaned group", pid, WUNTRACED);
}

/* --- waiting --------------------------------------------------------------------------------------------- */

static void show_waitid(const char *what, idtype_t type, id_t id, int options)
{
	siginfo_t info;
	long ret;

	memset(&info, 0x55, sizeof(info));
	ret = waitid(type, id, &info, options);
	if (ret)
		printf("waitid %s: %s\n", what, strerror(errno));
	else if (!info.si_pid)
		printf("waitid %s: nothing, signo %d\n", what, info.si_signo);
	else
		printf("waitid %s: signo %d code %d status %d errno %d\n", what, info.si_signo,
		       info.si_code, info.si_status, info.si_errno);
}

static void waiting(void)
{
	struct rusage usage;
	pid_t pid = sleeper();
	int status;

	show_waitid("nothing yet", P_PID, (id_t)pid, WEXITED | WNOHANG);
	show_waitid("no kind", P_PID, (id_t)pid, WNOHANG);
	show_waitid("bad options", P_PID, (id_t)pid, WEXITED | 0x100);
	show_waitid("bad type", 77, (id_t)pid, WEXITED);
	show_waitid("pid 0", P_PID, 0, WEXITED);
	settle(pid, 'S');
	kill(pid, SIGSTOP);
	show_waitid("stopped, left", P_PID, (id_t)pid, WSTOPPED | WNOWAIT);
	show_waitid("stopped", P_PID, (id_t)pid, WSTOPPED);
	kill(pid, SIGCONT);
	show_waitid("continued, left", P_ALL, 0, WCONTINUED | WNOWAIT);
	show_waitid("continued", P_PGID, 0, WCONTINUED);
	kill(pid, SIGTERM);
	show_waitid("killed, left", P_ALL, 0, WEXITED | WNOWAIT);
	show_waitid("killed", P_PGID, (id_t)getpgrp(), WEXITED);
	show_waitid("nobody", P_ALL, 0, WEXITED);
	SHOW(wait4(-1, &status, 0x10, NULL));
	SHOW(wait4(0x80000000, &status, 0, NULL));
	SHOW(wait4(1, &status, 0, NULL));
	pid = fork();
	if (pid == 0)
		_exit(300);
	SHOW(wait4(-getpid() - 1000, &status, 0, NULL));
	SHOW(wait4(pid, &status, __WCLONE, NULL));
	SHOW(wait4(0, &status, 0, &usage) == pid);
	show_status("exit(300)", status);
	printf("usage is sane: %d\n", usage.ru_maxrss > 100 && usage.ru_utime.tv_sec < 5);
	pid = fork();
	if (pid == 0)
		_exit(1);
	usleep(20000);
	SHOW(wait4(pid, (int *)8, 0, NULL));
	SHOW(wait4(pid, &status, 0, NULL));
}

static int seven(void *arg)
{
	(void)arg;
	return 7;
}

static void clone_children(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t pid = clone(seven, stack + sizeof(stack), 0, NULL); /* no signal at its end */

	wait_show("a clone, plain wait", pid, WNOHANG);
	wait_show("a clone, __WCLONE", pid, __WCLONE);
	pid = clone(seven, stack + sizeof(stack), SIGUSR2, NULL);
	signal(SIGUSR2, SIG_IGN);
	wait_show("a clone with SIGUSR2, __WALL", pid, __WALL);
	signal(SIGUSR2, SIG_DFL);
	SHOW(clone(seven, stack + sizeof(stack), CLONE_THREAD | SIGCHLD, NULL));
	SHOW(clone(seven, stack + sizeof(stack), CLONE_SIGHAND | SIGCHLD, NULL));
}

static void unwanted_children(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid == 0)
		_exit(0);
	wait_show("SIGCHLD ignored", pid, 0);
	sigaction(SIGCHLD, &sa, NULL);
	pid = fork();
	if (pid == 0)
		_exit(0);
	wait_show("SA_NOCLDWAIT", pid, 0);
	signal(SIGCHLD, SIG_DFL);
}

/* When the other end of the pipe is closed. */
static void *exit_alone(void *arg)
{
	char c;

	(void)read(*(int *)arg, &c, 1);
	syscall(SYS_exit, 9);
	return NULL;
}

static void *exec_alone(void *arg)
{
	(void)arg;
	execl("/proc/self/exe", "jobs", "same", (char *)NULL);
	return NULL;
}

/* The leader ends first; a thread calls exec and becomes the leader. */
static void leaders(void)
{
	pthread_t t;
	int go[2];
	pid_t pid;

	if (pipe(go))
		exit(1);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		pthread_create(&t, NULL, exit_alone, &go[0]);
		syscall(SYS_exit, 4);
	}
	close(go[0]);
	usleep(10000);
	wait_show("leader gone, thread not", pid, WNOHANG);
	close(go[1]);
	wait_show("both gone", pid, 0);
	pid = fork();
	if (pid == 0) {
		char text[20];

		snprintf(text, sizeof(text), "%d", getpid());
		setenv("WAS", text, 1);
		pthread_create(&t, NULL, exec_alone, NULL);
		pause();
	}
	wait_show("exec of a thread, same pid", pid, 0);
}

static void death_of_parent(void)
{
	int p[2];
	pid_t pid;
	char c;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (pipe(p))
		return;
	pid = fork();
	if (pid == 0) {
		if (fork() == 0) {
			signal(SIGUSR1, SIG_DFL);
			prctl(PR_SET_PDEATHSIG, SIGUSR1);
			alarm(20);
			if (write(p[1], "r", 1) == 1)
				pause();
			_exit(1);
		}
		if (read(p[0], &c, 1) != 1)
			_exit(2);
		_exit(0);
	}
	wait_show("parent", pid, 0);
	wait_show("grandchild, ours now, told of its death", -1, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	close(p[0]);
	close(p[1]);
}

/* --- groups and sessions -------------------------------------------------------------------------------------- */

static void in_child(const char *what, void (*run)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(0);
	}
	wait_show(what, pid, 0);
}

static void session_rules(void)
{
	pid_t child;

	SHOW(setsid() == getpid());
	SHOW(setsid());
	SHOW(setpgid(0, 0));
	SHOW(getsid(0) == getpid() && getpgid(0) == getpid());
	SHOW(getsid(0x7ffffff));
	SHOW(getpgid(-1));
	child = sleeper();
	SHOW(setpgid(child, 0x7ffffff));
	SHOW(setpgid(child, -1));
	SHOW(setpgid(child, child));
	SHOW(getpgid(child) == child);
	SHOW(setpgid(child, getpid()));
	SHOW(setpgid(getppid(), 0));
	SHOW(setpgid(0x7ffffff, 0));
	SHOW(kill(-child, SIGKILL));
	wait_show("group killed", -child, 0);
	SHOW(kill(-child, 0));
}

/* A child that holds the writing end of a pipe, *fd, until it closes it or calls exec; the parent has the other. */
static pid_t fork_holding(int *fd)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC))
		exit(1);
	pid = fork();
	*fd = p[pid == 0];
	close(p[pid != 0]);
	return pid;
}

static void until_closed(int fd)
{
	char c;

	(void)!read(fd, &c, 1);
	close(fd);
}

static void group_rules(void)
{
	pid_t leader, child;
	int fd;

	setpgid(0, 0);
	leader = getpid();
	SHOW(setsid());
	child = fork();
	if (child == 0) {
		setpgid(0, 0);
		SHOW(getpgrp() == getpid());
		SHOW(setpgid(0, leader));
		SHOW(getpgrp() == leader);
		SHOW(setsid() == getpid());
		_exit(0);
	}
	wait_show("member", child, 0);
	child = fork_holding(&fd);
	if (child == 0) {
		execl("/bin/sleep", "sleep", "5", (char *)NULL);
		_exit(1);
	}
	until_closed(fd);
	SHOW(setpgid(child, 0));
	kill(child, SIGKILL);
	wait_show("after exec", child, 0);
	child = fork_holding(&fd);
	if (child == 0) {
		setsid();
		close(fd);
		pause();
	}
	until_closed(fd);
	SHOW(setpgid(child, leader));
	kill(child, SIGKILL);
	wait_show("another session", child, 0);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 1 && !strcmp(argv[1], "same"))
		return atoi(getenv("WAS")) != getpid() || (pid_t)syscall(SYS_gettid) != getpid();
	setpgid(0, 0);
	alarm(60); /* should anything hang */
	stop_and_continue();
	pending_stops();
	stopping_threads();
	orphans();
	waiting();
	clone_children();
	unwanted_children();
	leaders();
	death_of_parent();
	in_child("session", session_rules);
	in_child("groups", group_rules);
	return 0;
}
