/*
 * users.c - what one user may do to another's processes, and what a set-user-ID program is told. As root. It prints the same on Linux.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY     65534
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

static void drop(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		_exit(9);
}

static char secret[16] = "secret";

static void touch_other(pid_t other)
{
	char buf[16] = "", name[64];
	struct iovec local = {buf, 16}, remote = {secret, 16};
	struct rlimit limit;
	long list, len;

	SHOW(process_vm_readv(other, &local, 1, &remote, 1, 0));
	SHOW(strcmp(buf, "secret") == 0);
	SHOW(process_vm_writev(other, &local, 1, &remote, 1, 0));
	SHOW(prlimit(other, RLIMIT_NOFILE, NULL, &limit));
	SHOW(syscall(SYS_get_robust_list, other, &list, &len));
	SHOW(kill(other, 0));
	SHOW(setpriority(PRIO_PROCESS, (id_t)other, 5));
	snprintf(name, sizeof(name), "/proc/%d/mem", other);
	SHOW(open(name, O_RDONLY) >= 0 ? 0 : -1);
}

static void others(void)
{
	pid_t sleeper = fork(), pid;

	if (sleeper == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	pid = fork();
	if (pid == 0) {
		drop();
		touch_other(sleeper);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	touch_other(sleeper); /* root may */
	kill(sleeper, SIGKILL);
	waitpid(sleeper, NULL, 0);
}

/* Run as nobody, from a file that belongs to root and says so. */
static int who(void)
{
	printf("uid %d euid %d gid %d egid %d, told euid %d egid %d secure %lu\n", getuid() == 0,
	       geteuid() == 0, getgid() == 0, getegid() == 0, getauxval(AT_EUID) == 0,
	       getauxval(AT_EGID) == 0, getauxval(AT_SECURE));
	return 0;
}

static void run_as_nobody(const char *file, mode_t mode, int no_new_privs)
{
	pid_t pid;

	chmod(file, mode);
	pid = fork();
	if (pid == 0) {
		drop();
		if (no_new_privs)
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		execl(file, "users", "who", (char *)NULL);
		printf("exec: %s\n", strerror(errno));
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

static void set_user_id(const char *file)
{
	run_as_nobody(file, 0755, 0);
	run_as_nobody(file, 04755, 0);
	run_as_nobody(file, 02755, 0);
	run_as_nobody(file, 06755, 0);
	run_as_nobody(file, 06755, 1);
}

static void reset_on_fork(void)
{
	struct sched_param param = {0};
	pid_t pid = fork();

	if (pid == 0) {
		SHOW(setpriority(PRIO_PROCESS, 0, -5));
		SHOW(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &param));
		SHOW(sched_getscheduler(0));
		if (fork() == 0) {
			SHOW(sched_getscheduler(0));
			SHOW(getpriority(PRIO_PROCESS, 0));
			_exit(0);
		}
		wait(NULL);
		drop();
		SHOW(sched_setscheduler(0, SCHED_BATCH, &param));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	alarm(60);
	if (argc > 1 && !strcmp(argv[1], "who"))
		return who();
	others();
	reset_on_fork();
	if (argc > 1)
		set_user_id(argv[1]);
	return 0;
}
