/*
 * failing.c - allocations that fail in calls about files: names, pipes, sockets, waiting, locks, /proc, mounts, terminals.
 */
#define _GNU_SOURCE
#include "failing.h"
#include <errno.h>
#include <pty.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/param.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define LONG "a-name-that-is-too-long-to-lie-in-the-dentry-itself-and-needs-memory-of-its-own"

static void shut(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void make_file(void)
{
	int fd = open("/tmp/" LONG, O_CREAT | O_RDWR, 0644);

	if (fd >= 0)
		use(write(fd, buf, 20000));
	shut(fd);
	unlink("/tmp/" LONG);
}

static void write_and_read(void)
{
	int fd = open("/tmp/f", O_CREAT | O_RDWR | O_TRUNC, 0644);

	if (fd < 0)
		return;
	use(write(fd, buf, 100000));
	use(pwrite(fd, buf, 10, 1 << 20));
	use(pread(fd, buf, 100000, 0));
	use(ftruncate(fd, 5000));
	use(fallocate(fd, 0, 0, 50000));
	use(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192));
	close(fd);
	unlink("/tmp/f");
}

static void directories(void)
{
	mkdir("/tmp/d1", 0755);
	mkdir("/tmp/d1/" LONG, 0755);
	mkdir("/tmp/d2", 0755);
	rename("/tmp/d1/" LONG, "/tmp/d2/short");
	rename("/tmp/d2/short", "/tmp/d2/" LONG);
	use(syscall(SYS_renameat2, AT_FDCWD, "/tmp/d1", AT_FDCWD, "/tmp/d2", 2));
	rmdir("/tmp/d1/" LONG);
	rmdir("/tmp/d2/" LONG);
	rmdir("/tmp/d1/short");
	rmdir("/tmp/d2/short");
	rmdir("/tmp/d1");
	rmdir("/tmp/d2");
}

static void links(void)
{
	int fd = open("/tmp/l", O_CREAT | O_WRONLY, 0644);
	struct stat st;

	shut(fd);
	use(link("/tmp/l", "/tmp/" LONG));
	use(symlink("/tmp/" LONG, "/tmp/s"));
	use(symlink("s", "/tmp/s2"));
	stat("/tmp/s2", &st);
	use(readlink("/tmp/s", buf, 100));
	shut(open("/tmp/s2", O_RDONLY));
	shut(open("/tmp/s2", O_CREAT | O_WRONLY, 0644));
	unlink("/tmp/s2");
	unlink("/tmp/s");
	unlink("/tmp/" LONG);
	unlink("/tmp/l");
}

static void tmpfile_link(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	char name[64];

	if (fd < 0)
		return;
	use(write(fd, buf, 5000));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	linkat(AT_FDCWD, name, AT_FDCWD, "/tmp/linked", AT_SYMLINK_FOLLOW);
	close(fd);
	unlink("/tmp/linked");
}

static void pipes(void)
{
	int p[2], q[2] = {-1, -1}, fd;

	if (pipe2(p, O_NONBLOCK) < 0)
		return;
	use(pipe2(q, O_NONBLOCK | O_DIRECT));
	use(write(p[1], buf, 20000));
	fcntl(p[1], F_SETPIPE_SZ, 1 << 18);
	use(tee(p[0], q[1], 5000, SPLICE_F_NONBLOCK));
	use(splice(p[0], NULL, q[1], NULL, 9000, SPLICE_F_NONBLOCK));
	use(read(p[0], buf, 30000));
	fd = open("/tmp/p", O_CREAT | O_RDWR, 0600);
	if (fd >= 0) {
		use(write(fd, buf, 10000));
		use(splice(q[0], NULL, fd, NULL, 9000, SPLICE_F_NONBLOCK));
		use(splice(fd, &(loff_t){0}, p[1], NULL, 9000, SPLICE_F_NONBLOCK));
		use(sendfile(p[1], fd, &(off_t){0}, 9000));
		close(fd);
	}
	unlink("/tmp/p");
	shut(p[0]);
	shut(p[1]);
	shut(q[0]);
	shut(q[1]);
}

static void fifo(void)
{
	int r, w;

	mkfifo("/tmp/fifo", 0600);
	r = open("/tmp/fifo", O_RDONLY | O_NONBLOCK);
	w = open("/tmp/fifo", O_WRONLY | O_NONBLOCK);
	use(write(w, buf, 5000));
	use(read(r, buf, 5000));
	shut(r);
	shut(w);
	unlink("/tmp/fifo");
}

union fd_control {
	char space[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

/* n bytes and a descriptor. As sendmsg(). */
static ssize_t send_fd(int over, int fd, size_t n)
{
	union fd_control control;
	struct iovec iov = {buf, n};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = &control,
	                   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(over, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void pass_fd(int from, int to)
{
	union fd_control control;
	struct iovec iov = {buf, 100};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = &control,
	                   .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	int fd;

	if (send_fd(from, drop_fd, 100) < 0)
		return;
	if (recvmsg(to, &m, MSG_DONTWAIT) > 0 && (c = CMSG_FIRSTHDR(&m))) {
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		shut(fd);
	}
}

static void socket_pair(void)
{
	for (int type = 0; type < 3; type++) {
		static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
		int s[2];

		if (socketpair(AF_UNIX, types[type] | SOCK_NONBLOCK, 0, s) < 0)
			continue;
		use(send(s[0], buf, 40000, MSG_DONTWAIT | MSG_NOSIGNAL));
		use(recv(s[1], buf, 10000, MSG_DONTWAIT));
		pass_fd(s[1], s[0]);
		pass_fd(s[0], s[1]); /* stays in the queue when something was there before */
		close(s[0]);
		close(s[1]);
	}
}

/* Sockets that nobody can reach when their descriptors are closed: in their own queue, and in each other's. */
static void socket_cycles(void)
{
	int a[2], b[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) < 0)
		return;
	use(send_fd(a[0], a[1], 1));
	use(send_fd(a[0], a[0], 1));
	use(send_fd(a[1], a[0], 1));
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, b) == 0) {
		use(send_fd(a[0], b[1], 1));
		use(send_fd(b[0], a[1], 1));
		close(b[0]);
		close(b[1]);
	}
	close(a[0]);
	close(a[1]);
}

/* A listener that lies in the queue of a connection that it never accepted. */
static void listener_cycle(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0failing"};
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);

	if (s >= 0 && c >= 0 && bind(s, (struct sockaddr *)&a, 10) == 0 && listen(s, 5) == 0 &&
	    connect(c, (struct sockaddr *)&a, 10) == 0)
		use(send_fd(c, s, 1));
	shut(c);
	shut(s);
}

static void socket_names(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/socket"};
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c = -1, served = -1;

	if (s >= 0 && bind(s, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(s, 5) == 0) {
		c = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (c >= 0 && connect(c, (struct sockaddr *)&a, sizeof(a)) == 0)
			served = accept4(s, NULL, NULL, SOCK_NONBLOCK);
	}
	shut(served);
	shut(c);
	shut(s);
	unlink("/tmp/socket");
}

static void news(void)
{
	struct itimerspec t = {.it_value = {1, 0}};
	int ep = epoll_create1(0), ep2 = epoll_create1(0), e = eventfd(0, EFD_NONBLOCK);
	int tfd = timerfd_create(CLOCK_MONOTONIC, 0), p[2] = {-1, -1};
	struct epoll_event ev = {.events = EPOLLIN};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	shut(signalfd(-1, &set, 0));
	use(pipe(p));
	epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev);
	epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev);
	epoll_ctl(ep, EPOLL_CTL_ADD, ep2, &ev);
	epoll_ctl(ep2, EPOLL_CTL_ADD, p[0], &ev);
	epoll_ctl(ep2, EPOLL_CTL_ADD, ep, &ev);
	timerfd_settime(tfd, 0, &t, NULL);
	use(write(e, &(uint64_t){1}, 8));
	epoll_wait(ep, &ev, 1, 0);
	shut(p[0]);
	shut(p[1]);
	shut(e);
	shut(tfd);
	shut(ep);
	shut(ep2);
}

static void polls(void)
{
	struct pollfd fds[100];
	fd_set set;
	int p[2];

	if (pipe(p) < 0)
		return;
	for (int i = 0; i < 100; i++)
		fds[i] = (struct pollfd){p[0], POLLIN, 0};
	poll(fds, 100, 1);
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	select(p[1] + 1, &set, NULL, NULL, &(struct timeval){0, 1});
	close(p[0]);
	close(p[1]);
}

static void descriptors(void)
{
	int fd = dup2(fail_fd, 300);

	shut(fd);
	fd = fcntl(fail_fd, F_DUPFD, 600);
	shut(fd);
	if (fork() == 0) {
		use(unshare(CLONE_FILES));
		_exit(0);
	}
	waitpid(-1, NULL, 0);
}

static void locks(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_len = 100};
	int fd = open("/tmp/locked", O_CREAT | O_RDWR, 0600);

	if (fd < 0)
		return;
	fcntl(fd, F_SETLK, &l);
	l = (struct flock){.l_type = F_UNLCK, .l_start = 20, .l_len = 10};
	fcntl(fd, F_SETLK, &l);
	flock(fd, LOCK_EX | LOCK_NB);
	close(fd);
	unlink("/tmp/locked");
}

static void proc_files(void)
{
	static const char *const names[] = {"/proc/self/maps",
	                                    "/proc/self/smaps",
	                                    "/proc/self/status",
	                                    "/proc/self/cmdline",
	                                    "/proc/meminfo",
	                                    "/proc/vmstat",
	                                    "/proc/slabinfo",
	                                    "/proc/mounts",
	                                    "/proc/stat",
	                                    "/proc/self/environ",
	                                    "/proc/self/task/../mountinfo"};
	int fd;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		fd = open(names[i], O_RDONLY);
		if (fd >= 0)
			use(read(fd, buf, sizeof(buf)));
		shut(fd);
	}
	use(readlink("/proc/self/exe", buf, 100));
	use(readlink("/proc/self/fd/0", buf, 100));
	use(readlink("/proc/self", buf, 100));
	fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	if (fd >= 0)
		use(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	shut(fd);
}

/* Text in small pieces, as if there were no errors; 0: it could not be opened. */
static size_t read_on(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY);
	size_t got = 0;
	ssize_t n;

	while (fd >= 0 && ((n = read(fd, to + got, MIN(size - got, 1000ul))) > 0 ||
	                   (n < 0 && errno == ENOMEM)))
		got += n > 0 ? (size_t)n : 0;
	shut(fd);
	return got;
}

static int count_of(const char *text, size_t len, const char *what)
{
	int n = 0;

	for (const char *at = text;
	     (at = memmem(at, len - (size_t)(at - text), what, strlen(what))); at++)
		n++;
	return n;
}

/* A read that failed may be tried again, and nothing is missing. */
static void proc_reads_tried_again(void)
{
	static char maps[1 << 14], smaps[1 << 16];
	size_t n = read_on("/proc/self/maps", maps, sizeof(maps));
	size_t m = read_on("/proc/self/smaps", smaps, sizeof(smaps));

	if (n && m && count_of(maps, n, "\n") != count_of(smaps, m, "VmFlags:"))
		printf("smaps ends early: %d areas of %d\n", count_of(smaps, m, "VmFlags:"),
		       count_of(maps, n, "\n"));
}

static void places(void)
{
	struct statfs st;

	use(chdir("/tmp"));
	use(syscall(SYS_getcwd, buf, 4096));
	statfs("/tmp", &st);
	use(chroot("/"));
	use(chdir("/"));
}

/* The call that cleans up may be the one that fails: once. */
static void unmount(void)
{
	if (umount("/tmp/mnt") < 0)
		umount("/tmp/mnt");
}

static void mounts(void)
{
	mkdir("/tmp/mnt", 0755);
	if (mount("tmpfs", "/tmp/mnt", "tmpfs", 0, "size=1m") == 0) {
		shut(open("/tmp/mnt/" LONG, O_CREAT | O_WRONLY, 0600));
		unmount();
	}
	if (mount("proc", "/tmp/mnt", "proc", 0, NULL) == 0)
		unmount();
	rmdir("/tmp/mnt");
}

static void shared_files(void)
{
	int fd = open("/usr/include/stdio.h", O_RDONLY),
	    dir = open("/usr/lib", O_RDONLY | O_DIRECTORY);
	struct stat st;

	if (fd >= 0)
		use(read(fd, buf, sizeof(buf)));
	if (dir >= 0)
		use(syscall(SYS_getdents64, dir, buf, 4096));
	stat("/usr/include/no such file", &st);
	stat("/bin/sh", &st);
	shut(fd);
	shut(dir);
}

static void terminals(void)
{
	int m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK), s = -1, n = 0;
	char name[32];

	if (m >= 0 && ioctl(m, TIOCSPTLCK, &(int){0}) == 0 && ioctl(m, TIOCGPTN, &n) == 0) {
		snprintf(name, sizeof(name), "/dev/pts/%d", n);
		s = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
	}
	use(write(m, "hello\n", 6));
	use(read(s, buf, 100));
	shut(s);
	shut(m);
}

static void memory_files(void)
{
	int fd = memfd_create("m", MFD_ALLOW_SEALING);

	if (fd < 0)
		return;
	use(ftruncate(fd, 1 << 20));
	use(write(fd, buf, 10000));
	fcntl(fd, F_ADD_SEALS, F_SEAL_GROW);
	close(fd);
}

static const struct scenario scenarios[] = {
        {"make_file", make_file},
        {"write_and_read", write_and_read},
        {"directories", directories},
        {"links", links},
        {"tmpfile", tmpfile_link},
        {"pipes", pipes},
        {"fifo", fifo},
        {"socketpair", socket_pair},
        {"socket_cycles", socket_cycles},
        {"listener_cycle", listener_cycle},
        {"socket_names", socket_names},
        {"news", news},
        {"polls", polls},
        {"descriptors", descriptors},
        {"locks", locks},
        {"proc", proc_files},
        {"proc_reads_tried_again", proc_reads_tried_again},
        {"places", places},
        {"mounts", mounts},
        {"shared_files", shared_files},
        {"terminals", terminals},
        {"memory_files", memory_files},
};

int main(int argc, char **argv)
{
	return run_scenarios(scenarios, sizeof(scenarios) / sizeof(scenarios[0]), argc, argv);
}
