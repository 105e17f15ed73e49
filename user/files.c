/*
 * files.c - what calls on files answer at their edges: errors, races, odd arguments. Prints the same on Linux and on Quire.
 *
 * Works in the current directory, which must be a memory file system's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char buf[1 << 16];
static volatile int too_many = 1025, minus_one = -1;
static void *volatile nowhere = (void *)8, *volatile kernel_half = (void *)-4096l;

/* strerrorname_np() is not in a static glibc of every age. */
static const char *errno_name(void)
{
	static char text[16];

	snprintf(text, sizeof(text), "error %d", errno);
	return text;
}

/* One line: what was done, what it gave. Descriptors show as "fd". */
#define SAY(expr) say(#expr, (long)(expr), 0)
#define FD(expr)  say(#expr, (long)(expr), 1)

static long say(const char *what, long value, int fd)
{
	if (value < 0)
		printf("%-60s %s\n", what, errno_name());
	else if (fd)
		printf("%-60s fd\n", what);
	else
		printf("%-60s %ld\n", what, value);
	return value;
}

static void shut(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void names(void)
{
	static char longest[300], path[5000];
	struct stat st;
	int fd;

	memset(longest, 'n', 256);
	memset(path, '/', sizeof(path) - 1);
	SAY(mkdir("d", 0755));
	SAY(mkdir("d", 0755));
	SAY(mkdir("d/", 0755));
	SAY(mkdir("e/", 0755));
	SAY(mkdir(".", 0755));
	SAY(mkdir("/", 0755));
	SAY(mkdir("", 0755));
	SAY(mkdir(longest, 0755));
	SAY(mkdir(path, 0755));
	SAY(mkdir("no/x", 0755));
	SAY(rmdir("d/."));
	SAY(rmdir("d/.."));
	SAY(rmdir("/"));
	FD(fd = open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
	SAY(write(fd, "hello", 5));
	shut(fd);
	SAY(open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
	SAY(open("f/", O_RDONLY));
	SAY(open("g/", O_CREAT | O_RDWR, 0644));
	SAY(open("d", O_RDWR));
	SAY(open("d", O_CREAT | O_RDONLY, 0644));
	SAY(open("f", O_DIRECTORY | O_RDONLY));
	SAY(open("f", O_DIRECTORY | O_CREAT | O_RDONLY, 0644));
	SAY(open("f/x", O_RDONLY));
	SAY(stat("f/", &st));
	SAY(unlink("d"));
	SAY(unlink("d/"));
	SAY(unlink("f/"));
	SAY(unlink("no"));
	SAY(rmdir("f"));
	SAY(link("d", "d2"));
	SAY(link("f", "f"));
	SAY(link("f", "d"));
	SAY(link("f", "f2/"));
	SAY(link("f", "f2"));
}

/* Of what names() left. */
static void renames(void)
{
	struct stat st;

	SAY((stat("f", &st), (long)st.st_nlink));
	SAY(rename("f", "f2"));
	SAY((stat("f", &st), (long)st.st_nlink));
	SAY(rename("f", "d"));
	SAY(rename("d", "f"));
	SAY(rename("d", "d/e"));
	SAY(rename("d", "d/e/f"));
	SAY(rename("f", "f3/"));
	SAY(rename("d", "d3/"));
	SAY(rename("d3", "d"));
	SAY(rename("no", "x"));
	SAY(rename("d/.", "x"));
	SAY(rename("/", "x"));
	SAY(mkdir("d/sub", 0755));
	SAY(rename("e", "d"));
	SAY(rename("d/sub", "d"));
	SAY(rmdir("d"));
	SAY((stat("d", &st), (long)st.st_nlink));
	SAY(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "f2", 1));
	SAY(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "d", 2));
	SAY(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "d", 2));
	SAY(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "no", 2));
	SAY(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "d", 3));
	SAY(unlink("f"));
	SAY(unlink("f2"));
	SAY(rmdir("d/sub"));
	SAY(rmdir("d"));
	SAY(rmdir("e"));
}

static void symlinks(void)
{
	struct stat st;

	SAY(symlink("", "s"));
	SAY(symlink("loop", "loop"));
	SAY(open("loop", O_RDONLY));
	SAY(open("loop", O_CREAT | O_RDWR, 0644));
	SAY(open("loop", O_NOFOLLOW | O_RDONLY));
	SAY(open("loop", O_CREAT | O_EXCL | O_RDWR, 0644));
	SAY(symlink("target", "s"));
	SAY(mkdir("s", 0755));
	SAY(mkdir("s/", 0755));
	SAY(stat("s", &st));
	SAY(lstat("s", &st));
	SAY(st.st_size);
	SAY(readlink("s", buf, 3));
	SAY(readlink("s", buf, 0));
	SAY(readlink(".", buf, 10));
	shut((int)FD(open("s", O_CREAT | O_WRONLY, 0644)));
	SAY(lstat("target", &st));
	SAY(lstat("s/", &st));
	SAY(unlink("s/"));
	SAY(rmdir("s"));
	SAY(unlink("s"));
	SAY(unlink("target"));
	SAY(unlink("loop"));
}

static void removed_directory(void)
{
	char here[PATH_MAX];
	struct stat st;
	int fd;

	SAY(getcwd(here, sizeof(here)) != NULL);
	SAY(mkdir("gone", 0755));
	SAY(chdir("gone"));
	SAY(stat("x", &st));
	SAY(rmdir("../gone"));
	SAY(open("x", O_CREAT | O_WRONLY, 0644));
	SAY(mkdir("x", 0755));
	SAY(symlink("y", "x"));
	SAY(syscall(SYS_getcwd, buf, 100));
	SAY(open("..", O_PATH) < 0);
	SAY(chdir(here));
	FD(fd = open("f", O_CREAT | O_RDWR, 0644));
	SAY(unlink("f"));
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
	SAY(linkat(AT_FDCWD, buf, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
	SAY((fstat(fd, &st), (long)st.st_nlink));
	shut(fd);
	FD(fd = open(".", O_TMPFILE | O_RDWR, 0644));
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
	SAY(linkat(AT_FDCWD, buf, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
	SAY((fstat(fd, &st), (long)st.st_nlink));
	shut(fd);
	SAY(unlink("again"));
	SAY(open(".", O_TMPFILE | O_RDONLY, 0644));
}

static void reading_and_writing(int fd, int ro, int wo)
{
	struct iovec v[3] = {{buf, 10}, {NULL, 0}, {buf + 10, 10}};
	struct iovec bad[2] = {{buf, 10}, {nowhere, 10}}, minus[1] = {{buf, (size_t)-1}};

	SAY(write(ro, buf, 1));
	SAY(read(wo, buf, 1));
	SAY(write(fd, nowhere, 1));
	SAY(write(fd, nowhere, 0));
	SAY(write(fd, kernel_half, 1));
	SAY(writev(fd, v, 3));
	SAY(writev(fd, v, 0));
	SAY(writev(fd, v, too_many));
	SAY(writev(fd, v, minus_one));
	SAY(writev(fd, minus, 1));
	SAY(pwritev(fd, bad, 2, 0));
	SAY(preadv(fd, bad, 2, 0));
	SAY(lseek(fd, 0, SEEK_CUR));
	SAY(pwrite(fd, buf, 1, -1));
	SAY(pread(fd, buf, 1, -1));
	SAY(pread(fd, buf, 1, LLONG_MAX));
	SAY(pwrite(wo, buf, 4, 0));
}

static void sizes_and_holes(int fd, int ro)
{
	SAY(lseek(fd, 0, SEEK_END));
	SAY(lseek(fd, -100, SEEK_CUR));
	SAY(lseek(fd, 1, 77));
	SAY(lseek(fd, LLONG_MAX, SEEK_END));
	SAY(lseek(fd, 0, SEEK_HOLE));
	SAY(lseek(fd, 0, SEEK_DATA));
	SAY(lseek(fd, 1000, SEEK_DATA));
	SAY(ftruncate(fd, 1l << 40));
	SAY(lseek(fd, 1l << 39, SEEK_DATA));
	SAY(lseek(fd, 5000, SEEK_HOLE));
	SAY(ftruncate(fd, -1));
	SAY(ftruncate(ro, 0));
	SAY(ftruncate(fd, 100));
	SAY(truncate(".", 0));
	SAY(truncate("no", 0));
	SAY(fallocate(fd, 0, 0, 0));
	SAY(fallocate(fd, 0, -1, 10));
	SAY(fallocate(fd, 0, LLONG_MAX, 10));
	SAY(fallocate(ro, 0, 0, 10));
	SAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
	SAY(fallocate(fd, 0, 0, 20000));
	SAY(lseek(fd, 0, SEEK_END));
}

/* From file to file, and through the pipe that is made here. */
static void transfers(int fd, int wo, int *p)
{
	SAY(copy_file_range(fd, NULL, fd, &(loff_t){10000}, 20000, 0));
	SAY(copy_file_range(fd, &(loff_t){0}, fd, &(loff_t){30000}, 100, 0));
	SAY(copy_file_range(fd, &(loff_t){0}, wo, NULL, 100, 0));
	SAY(copy_file_range(fd, &(loff_t){LLONG_MAX - 10}, fd, &(loff_t){0}, 100, 0));
	SAY(sendfile(wo, fd, NULL, 10));
	SAY(sendfile(fd, wo, NULL, 10));
	SAY(pipe(p));
	SAY(lseek(p[0], 0, SEEK_SET));
	SAY(pread(p[0], buf, 1, 0));
	SAY(sendfile(p[1], fd, &(off_t){0}, 100));
	SAY(splice(p[0], &(loff_t){0}, fd, NULL, 10, 0));
	SAY(splice(p[0], NULL, p[1], NULL, 10, 0));
	SAY(splice(p[0], NULL, wo, NULL, 10, 0));
	SAY(splice(fd, NULL, fd, NULL, 10, 0));
	SAY(tee(fd, p[1], 10, 0));
	SAY(read(p[0], buf, 1000));
}

static void numbers_and_flags(int fd, int wo, const int *p)
{
	struct iovec v[3] = {{buf, 10}, {NULL, 0}, {buf + 10, 10}};

	SAY(fsync(p[0]));
	SAY(fsync(fd));
	SAY(readv(fd, v, 3) >= 0);
	SAY(read(99, buf, 1));
	SAY(close(99));
	SAY(dup2(fd, -1));
	SAY(dup2(fd, 1 << 30));
	SAY(dup2(99, 5));
	SAY(dup3(fd, fd, 0));
	SAY(dup3(fd, 50, O_APPEND));
	SAY(fcntl(fd, F_DUPFD, -1));
	SAY(fcntl(fd, F_DUPFD, 1 << 30));
	SAY(fcntl(fd, 9999));
	SAY(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND));
	SAY(fcntl(wo, F_GETFL) & (O_ACCMODE | O_APPEND));
	SAY(fcntl(fd, F_SETPIPE_SZ, 4096));
	SAY(fcntl(p[0], F_SETPIPE_SZ, 5000));
	SAY(fcntl(p[0], F_SETPIPE_SZ, 0));
	SAY(ioctl(fd, TIOCGWINSZ, buf));
	SAY(close_range(10, 5, 0));
}

static void descriptors(void)
{
	int fd, ro, wo, p[2];

	FD(fd = open("f", O_CREAT | O_RDWR | O_TRUNC, 0644));
	FD(ro = open("f", O_RDONLY));
	FD(wo = open("f", O_WRONLY | O_APPEND));
	reading_and_writing(fd, ro, wo);
	sizes_and_holes(fd, ro);
	transfers(fd, wo, p);
	numbers_and_flags(fd, wo, p);
	shut(p[0]);
	signal(SIGPIPE, SIG_IGN);
	SAY(write(p[1], buf, 1));
	shut(p[1]);
	shut(fd);
	shut(ro);
	shut(wo);
	SAY(unlink("f"));
}

static void paths_of_descriptors(void)
{
	struct stat st;
	int dir, path;

	FD(dir = open(".", O_RDONLY | O_DIRECTORY));
	FD(path = open("/dev/null", O_PATH));
	SAY(read(path, buf, 1));
	SAY(fstat(path, &st));
	SAY(fchmod(path, 0600));
	SAY(ioctl(path, FIONREAD, buf));
	SAY(fcntl(path, F_GETFL) & O_PATH ? 1 : 0);
	SAY(openat(path, "x", O_RDONLY));
	SAY(openat(99, "x", O_RDONLY));
	SAY(fstatat(dir, "", &st, 0));
	SAY(fstatat(dir, "", &st, AT_EMPTY_PATH));
	SAY(fstatat(dir, "", &st, 0x8000));
	SAY(unlinkat(dir, ".", AT_REMOVEDIR));
	SAY(unlinkat(dir, "x", 0x1000));
	SAY(faccessat(dir, ".", 8, 0));
	SAY(access("/dev/null", X_OK));
	SAY(read(dir, buf, 10));
	SAY(syscall(SYS_getdents64, dir, buf, 10));
	SAY(syscall(SYS_getdents64, path, buf, 1000));
	SAY(fchdir(path));
	SAY(chdir("/dev/null"));
	SAY(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, dir, 0) == MAP_FAILED ? errno : 0);
	SAY(mknod("x", S_IFDIR, 0));
	SAY(mknod("x", S_IFMT, 0));
	SAY(mkfifo("x", 0600));
	SAY(open("x", O_WRONLY | O_NONBLOCK));
	shut((int)FD(open("x", O_RDWR)));
	SAY(unlink("x"));
	shut(dir);
	shut(path);
}

static void waiting(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0), other = epoll_create1(0), file = open("/dev/null", O_RDONLY);
	int p[2], last, depth;
	struct pollfd fds[3];
	fd_set set;

	SAY(pipe(p));
	SAY(epoll_create(0));
	SAY(epoll_create1(1));
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev));
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &ev));
	SAY(epoll_ctl(ep, 77, p[0], &ev));
	SAY(epoll_ctl(p[0], EPOLL_CTL_ADD, ep, &ev));
	SAY(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], NULL));
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	ev.events = EPOLLIN | EPOLLEXCLUSIVE;
	SAY(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev));
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, other, &ev));
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &ev));
	ev.events |= EPOLLRDHUP;
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &ev));
	ev.events = EPOLLEXCLUSIVE | EPOLLET;
	SAY(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &ev));
	ev.events = EPOLLIN;
	SAY(epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &ev));
	SAY(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], &ev));
	SAY(epoll_wait(ep, &ev, 0, 0));
	SAY(epoll_wait(ep, &ev, 1, 0));
	SAY(write(p[1], "x", 1));
	SAY(epoll_wait(ep, kernel_half, 1, 0));
	SAY(epoll_wait(ep, &ev, 1, 0));
	SAY(epoll_wait(p[0], &ev, 1, 0));
	/* A chain built from its top must find an end. */
	for (last = ep, depth = 0; depth < 1000; depth++) {
		int next = epoll_create1(0);

		if (next < 0 || epoll_ctl(last, EPOLL_CTL_ADD, next, &ev) < 0) {
			shut(next);
			break;
		}
		last = next;
	}
	SAY(depth > 3 && depth < 10);
	fds[0] = (struct pollfd){p[0], POLLIN | POLLOUT, 0};
	fds[1] = (struct pollfd){99, POLLIN, 0};
	fds[2] = (struct pollfd){-1, POLLIN, 77};
	SAY(poll(fds, 3, 0));
	SAY(fds[0].revents);
	SAY(fds[1].revents);
	SAY(fds[2].revents);
	SAY(poll(nowhere, 1, 0));
	shut(p[1]);
	SAY(poll(fds, 1, 0));
	SAY(fds[0].revents);
	FD_ZERO(&set);
	FD_SET(60, &set);
	SAY(select(61, &set, NULL, NULL, &(struct timeval){0, 0}));
	SAY(select(-1, NULL, NULL, NULL, &(struct timeval){0, 0}));
	SAY(select(0, NULL, NULL, NULL, &(struct timeval){-1, 0}));
	shut(p[0]);
	shut(ep);
	shut(other);
	shut(file);
}

static void sockets(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "sock"};
	int s[2], none[2], l, c;

	SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	SAY(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
	SAY(send(s[0], "abc", 3, 0));
	SAY(send(s[1], "abc", 3, 0));
	shut(s[0]);
	SAY(recv(s[1], buf, 10, 0));
	SAY(recv(s[1], buf, 10, 0));
	SAY(recv(s[1], buf, 10, 0));
	shut(s[1]);
	SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	SAY(socketpair(AF_UNIX, 77, 0, none));
	SAY(socketpair(AF_INET6 + 100, SOCK_STREAM, 0, none));
	SAY(send(s[0], "abc", 3, 0));
	SAY(recv(s[1], buf, 2, MSG_PEEK));
	SAY(recv(s[1], buf, 10, 0));
	SAY(recv(s[1], buf, 10, MSG_DONTWAIT));
	SAY(lseek(s[0], 0, SEEK_SET));
	SAY(listen(s[0], 1));
	SAY(shutdown(s[0], SHUT_WR));
	SAY(recv(s[1], buf, 10, 0));
	SAY(send(s[0], "x", 1, MSG_NOSIGNAL));
	SAY(shutdown(s[0], 9));
	shut(s[1]);
	SAY(recv(s[0], buf, 10, 0));
	shut(s[0]);
	FD(l = socket(AF_UNIX, SOCK_STREAM, 0));
	FD(c = socket(AF_UNIX, SOCK_STREAM, 0));
	SAY(connect(c, (struct sockaddr *)&a, sizeof(a)));
	SAY(listen(l, 1));
	SAY(accept4(l, NULL, NULL, SOCK_NONBLOCK));
	SAY(bind(l, (struct sockaddr *)&a, 1));
	SAY(bind(l, (struct sockaddr *)&a, sizeof(a)));
	SAY(bind(c, (struct sockaddr *)&a, sizeof(a)));
	SAY(connect(c, (struct sockaddr *)&a, sizeof(a)));
	SAY(open("sock", O_RDWR));
	SAY(listen(l, 1));
	SAY(connect(c, (struct sockaddr *)&a, sizeof(a)));
	SAY(connect(c, (struct sockaddr *)&a, sizeof(a)));
	SAY(send(c, "x", 1, 0));
	shut(l);
	SAY(poll(&(struct pollfd){c, POLLIN, 0}, 1, 0));
	SAY(recv(c, buf, 1, 0));
	SAY(recv(c, buf, 1, 0));
	SAY(send(c, "x", 1, MSG_NOSIGNAL));
	SAY(unlink("sock"));
	shut(c);
}

static void buffer_sizes(void)
{
	static const int sizes[] = {0, 1000, 2303, 2305, 10000, 200000};
	int s[2], value, n;
	socklen_t len = sizeof(value);

	SAY(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &sizes[i], sizeof(sizes[i]));
		getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, &len);
		SAY(value);
	}
	value = 4000;
	SAY(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof(value)));
	SAY(send(s[0], buf, 8100, MSG_DONTWAIT));
	for (n = 0; n < 1000 && send(s[0], buf, 1000, MSG_DONTWAIT) == 1000; n++)
		;
	SAY(n > 0 && n < 20); /* how much a message counts for is the kernel's affair */
	SAY(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, 3));
	SAY(setsockopt(s[0], SOL_SOCKET, 999, &value, sizeof(value)));
	shut(s[0]);
	shut(s[1]);
}

/* A bind without a name gives one. */
static void autobind(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(a);
	int s = socket(AF_UNIX, SOCK_DGRAM, 0), other = socket(AF_UNIX, SOCK_DGRAM, 0);

	a.sun_family = AF_UNSPEC;
	SAY(bind(s, (struct sockaddr *)&a, sizeof(a.sun_family)));
	a.sun_family = AF_UNIX;
	SAY(bind(s, (struct sockaddr *)&a, sizeof(a.sun_family)));
	SAY(bind(s, (struct sockaddr *)&a, sizeof(a.sun_family)));
	SAY(bind(other, (struct sockaddr *)&a, sizeof(a.sun_family)));
	SAY(getsockname(s, (struct sockaddr *)&a, &len));
	SAY(len);
	SAY(a.sun_path[0]);
	SAY(strspn(a.sun_path + 1, "0123456789abcdef"));
	SAY(sendto(other, "x", 1, 0, (struct sockaddr *)&a, len));
	SAY(recv(s, buf, 10, MSG_DONTWAIT));
	shut(s);
	shut(other);
}

/* --- sockets that travel in sockets ------------------------------------------------------------------------------ */

static int send_fds(int over, int *fds)
{
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {buf, 1};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = &control,
	                   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	return sendmsg(over, &m, MSG_DONTWAIT) < 0;
}

/* A pair in the queue of a pair in the queue of a pair ... all go with the last. */
static void nested_sockets(void)
{
	int inner[2], outer[2];

	SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, inner));
	for (int i = 0; i < 300; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, outer) < 0)
			break;
		(void)send_fds(outer[0], inner); /* Linux refuses at some depth */
		close(inner[0]);
		close(inner[1]);
		memcpy(inner, outer, sizeof(inner));
	}
	SAY(close(inner[0]));
	SAY(close(inner[1]));
}

/* --- a file written from its own mapping, whose pages another thread takes away ------------------------------- */

static char *mapping;
static volatile int stop;

static void *take_away(void *arg)
{
	(void)arg;
	while (!stop)
		madvise(mapping, 16 * 4096, MADV_DONTNEED);
	return NULL;
}

static void self_write(void)
{
	int fd = open("self", O_CREAT | O_RDWR, 0644), bad = 0;
	pthread_t t;

	for (int i = 0; i < 16; i++)
		if (write(fd, buf, 4096) != 4096)
			bad++;
	mapping = mmap(NULL, 16 * 4096, PROT_READ, MAP_SHARED, fd, 0);
	pthread_create(&t, NULL, take_away, NULL);
	for (int i = 0; i < 3000; i++) {
		int page = i % 16;
		struct iovec v[2] = {{mapping + page * 4096, 1000},
		                     {mapping + page * 4096 + 1000, 3096}};

		if (pwritev(fd, v, 2, page * 4096) != 4096)
			bad++;
	}
	stop = 1;
	pthread_join(t, NULL);
	SAY(bad);
	close(fd);
	unlink("self");
}

/* --- names and counts from many processes ---------------------------------------------------------------------- */

static void storm(int me)
{
	char a[32], b[32];

	for (int i = 0; i < 400; i++) {
		int fd;

		snprintf(a, sizeof(a), "m%d/x%d", i & 1, i % 3);
		snprintf(b, sizeof(b), "m%d/x%d", (i >> 1) & 1, (i + me) % 5);
		fd = open(a, O_CREAT | O_RDWR, 0644);
		shut(fd);
		link(a, b);
		rename(a, b);
		if (i % 3 == 0)
			unlink(b);
		snprintf(a, sizeof(a), "m%d/d%d", i & 1, i % 2);
		snprintf(b, sizeof(b), "m%d/d%d", (i >> 2) & 1, me % 2);
		mkdir(a, 0755);
		rename(a, b);
		rmdir(i & 4 ? a : b);
	}
}

static void many(void)
{
	SAY(mkdir("m0", 0755));
	SAY(mkdir("m1", 0755));
	for (int i = 0; i < 4; i++) {
		if (fork() == 0) {
			storm(i);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < 5; k++) {
			struct stat st;

			snprintf(buf, 64, "m%d/x%d", i, k);
			if (stat(buf, &st) == 0 && (st.st_nlink < 1 || st.st_nlink > 10))
				printf("%s has %ld names\n", buf, (long)st.st_nlink);
			unlink(buf);
			snprintf(buf, 64, "m%d/d%d", i, k);
			rmdir(buf);
		}
	}
	SAY(rmdir("m0"));
	SAY(rmdir("m1"));
}

int main(void)
{
	names();
	renames();
	symlinks();
	removed_directory();
	descriptors();
	paths_of_descriptors();
	waiting();
	sockets();
	buffer_sizes();
	autobind();
	nested_sockets();
	self_write();
	many();
	return 0;
}
