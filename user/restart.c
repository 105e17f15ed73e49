/*
 * restart.c - which calls go on after a signal's handler: signal(7), with SA_RESTART and without.
 *
 * A timer interrupts each call twice. If the call returned at the first signal it was EINTR; if it is still in it, the second
 * signal's handler gives it what it waits for, and it returns with that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t fired;
static void (*volatile satisfy)(void);
static int p[2], sock[2], efd, tfd, sfd, ep, lfd, listener;
static uint32_t word;
static pid_t child;
static char buf[1 << 16];

static void set_timer(int ms)
{
	struct itimerval t = {{0, ms * 1000}, {0, ms * 1000}};

	setitimer(ITIMER_REAL, &t, NULL);
}

static void on_alarm(int sig)
{
	(void)sig;
	if (++fired < 2)
		return;
	if (satisfy)
		satisfy();
	set_timer(0);
}

/* --- what ends the wait ------------------------------------------------------------------------------------ */

static void feed_pipe(void)
{
	if (write(p[1], "x", 1) != 1)
		_exit(9);
}
static void drain_pipe(void)
{
	if (read(p[0], buf, sizeof(buf)) <= 0)
		_exit(9);
}
static void feed_socket(void)
{
	if (write(sock[1], "x", 1) != 1)
		_exit(9);
}
static void feed_event(void)
{
	if (eventfd_write(efd, 1))
		_exit(9);
}
static void start_timerfd(void)
{
	struct itimerspec t = {.it_value = {0, 1}};

	timerfd_settime(tfd, 0, &t, NULL);
}
static void send_usr1(void)
{
	kill(getpid(), SIGUSR1);
}
static void kill_child(void)
{
	kill(child, SIGKILL);
}
static void wake_futex(void)
{
	word = 1;
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
static void connect_listener(void)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);

	getsockname(listener, (struct sockaddr *)&a, &len);
	if (connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, len))
		_exit(9);
}

/* --- the calls ----------------------------------------------------------------------------------------------- */

static long do_read(void)
{
	return read(p[0], buf, 10);
}
static long do_readv(void)
{
	struct iovec v = {buf, 10};

	return readv(p[0], &v, 1);
}
static long do_write(void)
{
	while (write(p[1], buf, 4096) == 4096)
		if (fired)
			return 0;
	return -1;
}
static long do_recv(void)
{
	return recv(sock[0], buf, 10, 0);
}
static long do_accept(void)
{
	return accept(listener, NULL, NULL);
}
static long do_eventfd(void)
{
	return read(efd, buf, 8);
}
static long do_timerfd(void)
{
	return read(tfd, buf, 8);
}
static long do_signalfd(void)
{
	return read(sfd, buf, sizeof(struct signalfd_siginfo));
}
static long do_wait4(void)
{
	return waitpid(child, NULL, 0);
}
static long do_waitid(void)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)child, &info, WEXITED);
}
static long do_flock(void)
{
	return flock(lfd, LOCK_EX);
}
static long do_setlkw(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_start = 0, .l_len = 1};

	return fcntl(lfd, F_SETLKW, &l);
}
static long do_futex(void)
{
	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}
static long do_futex_timeout(void)
{
	struct timespec t = {5, 0};

	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
}
static long do_futex_bitset(void)
{
	return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL,
	               FUTEX_BITSET_MATCH_ANY);
}
static long futex_until(clockid_t clock, int flag)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_sec += 5;
	return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE | flag, 0, &t, NULL,
	               FUTEX_BITSET_MATCH_ANY);
}
static long do_futex_absolute(void)
{
	return futex_until(CLOCK_MONOTONIC, 0);
}
static long do_futex_realtime(void)
{
	return futex_until(CLOCK_REALTIME, FUTEX_CLOCK_REALTIME);
}
static long do_poll(void)
{
	struct pollfd f = {p[0], POLLIN, 0};

	return poll(&f, 1, 5000);
}
static long do_ppoll(void)
{
	struct pollfd f = {p[0], POLLIN, 0};

	return ppoll(&f, 1, NULL, NULL);
}
static long do_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(p[0], &set);
	return select(p[0] + 1, &set, NULL, NULL, NULL);
}
static long do_pselect(void)
{
	struct timespec t = {5, 0};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(p[0], &set);
	return pselect(p[0] + 1, &set, NULL, NULL, &t, NULL);
}
static long do_epoll(void)
{
	struct epoll_event ev;

	return epoll_wait(ep, &ev, 1, 5000);
}
static long do_epoll_pwait(void)
{
	struct epoll_event ev;
	sigset_t none;

	sigemptyset(&none);
	return epoll_pwait(ep, &ev, 1, -1, &none);
}
static long do_nanosleep(void)
{
	struct timespec t = {5, 0}, left = {0};
	long ret = nanosleep(&t, &left);

	return ret && left.tv_sec != 4 ? -2 : ret;
}
static long do_clock_nanosleep(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += 5;
	errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	return errno ? -1 : 0;
}
static long do_pause(void)
{
	return pause();
}
static long do_sigsuspend(void)
{
	sigset_t none;

	sigemptyset(&none);
	return sigsuspend(&none);
}
static long do_sigtimedwait(void)
{
	struct timespec t = {5, 0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, &t);
}
static long do_open_fifo(void)
{
	int fd = open("fifo", O_WRONLY);

	if (fd >= 0)
		close(fd);
	return fd;
}
static void open_reader(void)
{
	if (open("fifo", O_RDONLY | O_NONBLOCK) < 0)
		_exit(9);
}

static const struct call {
	const char *name;
	long (*run)(void);
	void (*satisfy)(void);
} calls[] = {
        {"read", do_read, feed_pipe},
        {"readv", do_readv, feed_pipe},
        {"write", do_write, drain_pipe},
        {"open of a fifo", do_open_fifo, open_reader},
        {"recv", do_recv, feed_socket},
        {"accept", do_accept, connect_listener},
        {"read of eventfd", do_eventfd, feed_event},
        {"read of timerfd", do_timerfd, start_timerfd},
        {"read of signalfd", do_signalfd, send_usr1},
        {"wait4", do_wait4, kill_child},
        {"waitid", do_waitid, kill_child},
        {"flock", do_flock, kill_child},
        {"F_SETLKW", do_setlkw, kill_child},
        {"futex", do_futex, wake_futex},
        {"futex, timeout", do_futex_timeout, wake_futex},
        {"futex, bitset", do_futex_bitset, wake_futex},
        {"futex, absolute", do_futex_absolute, wake_futex},
        {"futex, realtime", do_futex_realtime, wake_futex},
        {"poll", do_poll, feed_pipe},
        {"ppoll", do_ppoll, feed_pipe},
        {"select", do_select, feed_pipe},
        {"pselect", do_pselect, feed_pipe},
        {"epoll_wait", do_epoll, feed_pipe},
        {"epoll_pwait", do_epoll_pwait, feed_pipe},
        {"nanosleep", do_nanosleep, NULL},
        {"clock_nanosleep", do_clock_nanosleep, NULL},
        {"pause", do_pause, NULL},
        {"sigsuspend", do_sigsuspend, NULL},
        {"sigtimedwait", do_sigtimedwait, NULL},
};

/* --- one call in a process of its own -------------------------------------------------------------------------- */

/* A child that holds the locks and lives until it is killed. */
static void start_child(void)
{
	int ready[2];
	char c;

	if (pipe(ready))
		_exit(9);
	child = fork();
	if (child == 0) {
		int fd = open("lock", O_CREAT | O_RDWR, 0600);
		struct flock l = {.l_type = F_WRLCK, .l_start = 0, .l_len = 1};

		if (flock(fd, LOCK_EX) || fcntl(fd, F_SETLK, &l) || write(ready[1], "x", 1) != 1)
			_exit(9);
		pause();
		_exit(0);
	}
	if (read(ready[0], &c, 1) != 1)
		_exit(9);
	lfd = open("lock", O_RDWR);
}

static void make_things(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct epoll_event ev = {.events = EPOLLIN};
	sigset_t usr1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	if (pipe(p) || socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		_exit(9);
	efd = eventfd(0, 0);
	tfd = timerfd_create(CLOCK_MONOTONIC, 0);
	sfd = signalfd(-1, &usr1, 0);
	ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a.sun_family)) || listen(listener, 5))
		_exit(9);
	start_child();
}

static void one(const struct call *c, int flags)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = flags};
	long ret;
	int err;

	make_things();
	satisfy = c->satisfy;
	sigaction(SIGALRM, &sa, NULL);
	set_timer(40);
	ret = c->run();
	err = errno;
	set_timer(0);
	printf("%-22s %-10s: %s\n", c->name, flags ? "SA_RESTART" : "",
	       ret == -1   ? (err == EINTR ? "EINTR" : strerror(err))
	       : ret < 0   ? "wrong"
	       : fired > 1 ? "goes on"
	                   : "did not wait");
	fflush(stdout);
	kill(child, SIGKILL);
	_exit(0);
}

int main(void)
{
	int status;

	setvbuf(stdout, NULL, _IONBF, 0);
	mkfifo("fifo", 0600);
	for (unsigned i = 0; i < 2 * sizeof(calls) / sizeof(calls[0]); i++) {
		pid_t pid = fork();

		if (pid == 0)
			one(&calls[i / 2], i % 2 ? SA_RESTART : 0);
		waitpid(pid, &status, 0);
		if (status)
			printf("%s: status %#x\n", calls[i / 2].name, (unsigned)status);
	}
	unlink("fifo");
	unlink("lock");
	return 0;
}
