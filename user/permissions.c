/*
 * permissions.c - who may do what to a file: mode bits, owners, groups, capabilities. Prints the same on Linux and on Quire.
 *
 * Started by root in an empty directory that everybody may search to; each part is a child that gives up what it must not have.
 * With an argument it is the program that the parts execute.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534
#define TEAM   4242 /* a supplementary group */

static char place[4096]; /* where the files are: /proc and exec need it whole */

/* --- saying ------------------------------------------------------------------------------------ */

#define SAY(expr) say(#expr, (long)(expr))

static void say(const char *what, long value)
{
	if (value < 0)
		printf("  %-66s error %d\n", what, errno);
	else
		printf("  %-66s ok\n", what);
}

/* Open, close, and say so. */
#define OPEN(name, flags) say("open " name ", " #flags, try_open(name, flags, 0))
#define MAKE(name, flags, mode) \
	say("open " name ", " #flags ", " #mode, try_open(name, (flags) | O_CREAT, mode))

static int try_open(const char *name, int flags, int mode)
{
	int fd = open(name, flags, mode);

	return fd < 0 ? fd : close(fd);
}

/* Owner and mode; as root, for the file may be out of the part's sight: see part(). */
static void show(const char *name)
{
	struct stat st;

	if (lstat(name, &st))
		printf("  %-66s error %d\n", name, errno);
	else
		printf("  %-66s %o %u %u\n", name, st.st_mode, st.st_uid, st.st_gid);
}

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

/* --- the files ---------------------------------------------------------------------------------- */

static void file(const char *name, int mode, int uid, int gid)
{
	int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	must(fd >= 0 && write(fd, "text\n", 5) == 5 && close(fd) == 0, name);
	must(chown(name, uid, gid) == 0 && chmod(name, mode) == 0, name);
}

static void dir(const char *name, int mode, int uid, int gid)
{
	must(mkdir(name, 0700) == 0 && chown(name, uid, gid) == 0 && chmod(name, mode) == 0, name);
}

static void program(const char *name, int mode)
{
	char buf[65536];
	int in = open("/proc/self/exe", O_RDONLY), out = open(name, O_CREAT | O_WRONLY, 0700);
	ssize_t n;

	must(in >= 0 && out >= 0, name);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		must(write(out, buf, (size_t)n) == n, name);
	close(in);
	close(out);
	must(chmod(name, mode) == 0, name);
}

static void make_files(void)
{
	dir("open", 0777, 0, 0);
	dir("closed", 0700, 0, 0);
	dir("listed", 0744, 0, 0);   /* read, but not searched */
	dir("searched", 0711, 0, 0); /* searched, but not read */
	dir("fixed", 0755, 0, 0);
	dir("fixed/dir", 0755, 0, 0);
	dir("sticky", 01777, 0, 0);
	dir("sticky/dir", 0777, 0, 0);
	dir("team", 02775, 0, TEAM);
	dir("teams", 02777, 0, TEAM);
	dir("open/mine", 0555, NOBODY, NOBODY);
	file("closed/file", 0666, 0, 0);
	file("listed/file", 0666, 0, 0);
	file("searched/file", 0666, 0, 0);
	file("fixed/file", 0666, 0, 0);
	file("sticky/file", 0666, 0, 0);
	file("sticky/mine", 0600, NOBODY, NOBODY);
	file("open/roots", 0600, 0, 0);
	file("open/read", 0644, 0, 0);
	file("open/write", 0622, 0, 0);
	file("open/owner", 0077, NOBODY, NOBODY); /* the owner alone may not */
	file("open/group", 0707, 0, NOBODY);      /* the group may not */
	file("open/team", 0060, 0, TEAM);
	file("open/own", 0600, NOBODY, NOBODY);
	must(symlink("closed/file", "link") == 0, "link");
	program("open/run", 0711);
	program("open/not", 0644);
}

/* --- parts ---------------------------------------------------------------------------------------- */

static void become(int uid, int team)
{
	gid_t group = TEAM;

	must(setgroups(team, &group) == 0, "setgroups");
	must(setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0, "setresuid");
}

static void opening(void)
{
	become(NOBODY, 1);
	OPEN("open/roots", O_RDONLY);
	OPEN("open/roots", O_PATH);
	OPEN("open/read", O_RDONLY);
	OPEN("open/read", O_WRONLY);
	OPEN("open/read", O_RDWR);
	OPEN("open/read", O_RDONLY | O_TRUNC);
	OPEN("open/read", O_RDONLY | O_NOATIME);
	OPEN("open/write", O_WRONLY);
	OPEN("open/write", O_RDONLY);
	OPEN("open/owner", O_RDONLY);
	OPEN("open/group", O_RDONLY);
	OPEN("open/team", O_RDWR);
	OPEN("open/own", O_RDWR | O_NOATIME);
	OPEN("closed/file", O_RDONLY);
	OPEN("closed/absent", O_RDONLY);
	OPEN("listed/file", O_RDONLY);
	OPEN("listed", O_RDONLY | O_DIRECTORY);
	OPEN("searched/file", O_RDONLY);
	OPEN("searched/absent", O_RDONLY);
	OPEN("searched", O_RDONLY | O_DIRECTORY);
	OPEN("link", O_RDONLY);
	OPEN("closed/../open/read", O_RDONLY);
	OPEN("listed/.", O_RDONLY);
	OPEN("open/read/x", O_RDONLY);
	MAKE("open/new", O_RDWR, 0);
	OPEN("open/new", O_RDONLY);
	MAKE("fixed/new", O_RDWR, 0600);
	MAKE("fixed/file", O_RDWR, 0600);
	MAKE("closed/new", O_RDWR, 0600);
	MAKE("sticky/new", O_RDWR, 0600);
	SAY(lstat("closed/file", &(struct stat){0}));
	SAY(truncate("open/read", 0));
	SAY(truncate("open/write", 1));
	SAY(chdir("closed"));
	SAY(chdir("listed"));
	SAY(chdir("searched"));
	SAY(chroot("/"));
}

static void flags_of_files(void)
{
	int fd = open("open/read", O_RDONLY), dir_fd = open("closed", O_RDONLY | O_DIRECTORY);

	become(NOBODY, 0);
	SAY(fcntl(fd, F_SETFL, O_NOATIME));
	SAY(openat(dir_fd, "file", O_RDONLY));
	SAY(fchdir(dir_fd));
	SAY(openat(AT_FDCWD, "open/team", O_RDONLY));
}

static void names(void)
{
	become(NOBODY, 0);
	SAY(mkdir("fixed/x", 0777));
	SAY(mkdir("open/x", 0777));
	SAY(symlink("x", "fixed/x"));
	SAY(mknod("fixed/x", S_IFIFO | 0600, 0));
	SAY(mknod("fixed/x", S_IFCHR | 0600, 0x103));
	SAY(mknod("open/c", S_IFCHR | 0600, 0x103));
	SAY(link("open/own", "fixed/x"));
	SAY(link("open/own", "open/own2"));
	SAY(mkdir("fixed/dir", 0777));
	SAY(mkdir("closed/x", 0777));
	SAY(unlink("fixed/file"));
	SAY(unlink("fixed/absent"));
	SAY(unlink("fixed/dir"));
	SAY(rmdir("fixed/dir"));
	SAY(unlink("closed/file"));
	SAY(unlink("sticky/file"));
	SAY(unlink("sticky/mine"));
	SAY(rmdir("sticky/dir"));
	SAY(unlink("open/own2"));
	SAY(rmdir("open/x"));
	SAY(rename("fixed/file", "open/file"));
	SAY(rename("open/own", "fixed/file"));
	SAY(rename("open/own", "fixed/x"));
	SAY(rename("sticky/file", "sticky/y"));
	SAY(rename("open/own", "sticky/file"));
	SAY(rename("open/own", "sticky/mine"));
	SAY(rename("sticky/mine", "open/own"));
	SAY(rename("open/mine", "sticky/mine"));
	SAY(rename("open/mine", "open/mine2"));
	SAY(rename("open/mine2", "open/mine"));
	SAY(rename("open/read", "open/renamed"));
	SAY(rename("open/renamed", "open/read"));
}

static void attributes(void)
{
	struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}}, set[2] = {{1, 0}, {1, 0}},
	                half[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};

	become(NOBODY, 1);
	SAY(chmod("open/read", 0600));
	SAY(chmod("open/own", 0640));
	SAY(chmod("closed/file", 0640));
	SAY(chown("open/own", 0, -1));
	SAY(chown("open/own", NOBODY, -1));
	SAY(chown("open/own", -1, TEAM));
	SAY(chown("open/own", -1, 0));
	SAY(chown("open/own", -1, TEAM));
	SAY(chown("open/read", -1, TEAM));
	SAY(chown("open/read", 0, 0));
	SAY(lchown("link", NOBODY, NOBODY));
	SAY(utimensat(AT_FDCWD, "open/read", NULL, 0));
	SAY(utimensat(AT_FDCWD, "open/write", NULL, 0));
	SAY(utimensat(AT_FDCWD, "open/write", now, 0));
	SAY(utimensat(AT_FDCWD, "open/write", half, 0));
	SAY(utimensat(AT_FDCWD, "open/write", set, 0));
	SAY(utimensat(AT_FDCWD, "open/owner", NULL, 0));
	SAY(utimensat(AT_FDCWD, "open/own", set, 0));
	SAY(utimes("open/read", NULL));
	show("open/own");
}

/* S_ISUID and S_ISGID: who loses them, and who passes them on. */
static void team_files(void)
{
	int fd;

	umask(0);
	MAKE("teams/file", O_WRONLY, 0644);
	MAKE("teams/program", O_WRONLY, 02775);
	MAKE("teams/locked", O_WRONLY, 02664);
	SAY(mkdir("teams/dir", 0755));
	SAY(mknod("teams/node", S_IFREG | 02775, 0));
	SAY(symlink("x", "teams/symlink"));
	MAKE("team/file", O_WRONLY, 0644);
	fd = open("teams", O_TMPFILE | O_RDWR, 0600);
	if (fd >= 0) {
		struct stat st;

		must(fstat(fd, &st) == 0, "fstat");
		printf("  without a name: group %u\n", st.st_gid);
		close(fd);
	}
	show("teams/file");
	show("teams/program");
	show("teams/dir");
	show("teams/node");
	show("teams/symlink");
	must(chmod("teams/program", 02755) == 0, "chmod");
	show("teams/program");
	unlink("teams/file");
	unlink("teams/program");
	unlink("teams/locked");
	unlink("teams/node");
	unlink("teams/symlink");
	rmdir("teams/dir");
	unlink("team/file");
}

static void members(void)
{
	become(NOBODY, 1);
	team_files();
}

static void strangers(void)
{
	become(NOBODY, 0);
	team_files();
}

static void setid_write(const char *how, int uid, int flags)
{
	pid_t pid;

	file("open/setid", 06777, 0, 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int fd;

		become(uid, 0);
		fd = open("open/setid", flags);
		if (fd < 0 ||
		    (!(flags & O_TRUNC) && strstr(how, "write") && write(fd, "x", 1) != 1) ||
		    (strstr(how, "ftruncate") && ftruncate(fd, 1)))
			printf("  error %d\n", errno);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	printf("%s by %d:\n", how, uid);
	show("open/setid");
}

static void setid(void)
{
	setid_write("write", NOBODY, O_WRONLY);
	setid_write("write", 0, O_WRONLY);
	setid_write("open with O_TRUNC", NOBODY, O_WRONLY | O_TRUNC);
	setid_write("open with O_TRUNC", 0, O_WRONLY | O_TRUNC);
	setid_write("ftruncate", NOBODY, O_WRONLY);
	setid_write("read", NOBODY, O_RDONLY);
	file("open/setid", 06777, 0, 0);
	SAY(chown("open/setid", NOBODY, -1));
	show("open/setid");
	file("open/setid", 06777, 0, 0);
	SAY(chown("open/setid", -1, TEAM));
	show("open/setid");
	SAY(chown("team", NOBODY, -1));
	show("team");
	unlink("open/setid");
}

/* --- access(2) and the file system's ids ---------------------------------------------------------------- */

#define EACCESS(name, mode) SAY(syscall(SYS_faccessat2, AT_FDCWD, name, mode, AT_EACCESS))

static void ask(void)
{
	SAY(access("open/roots", R_OK));
	SAY(access("open/roots", F_OK));
	SAY(access("open/owner", R_OK));
	SAY(access("open/read", W_OK));
	SAY(access("closed/file", F_OK));
	SAY(access("open/run", X_OK));
	SAY(access("open/not", X_OK));
	SAY(access("open", W_OK | X_OK));
	EACCESS("open/roots", R_OK);
	EACCESS("open/read", W_OK);
	EACCESS("closed/file", F_OK);
	EACCESS("open/run", X_OK);
	EACCESS("open/not", X_OK);
	OPEN("open/roots", O_RDONLY);
}

static void real_user(void)
{
	must(setgroups(0, NULL) == 0 && setresuid(NOBODY, 0, 0) == 0, "setresuid");
	ask();
}

static void effective_user(void)
{
	must(setgroups(0, NULL) == 0 && setresuid(0, NOBODY, 0) == 0, "setresuid");
	ask();
}

static void file_user(void)
{
	must(setgroups(0, NULL) == 0, "setgroups");
	syscall(SYS_setfsuid, NOBODY);
	syscall(SYS_setfsgid, NOBODY);
	ask();
	OPEN("open/own", O_RDWR);
	MAKE("open/fsuid", O_RDWR, 0600);
	SAY(chmod("open/read", 0644));
	SAY(kill(1, 0)); /* the other capabilities are still there */
	show("open/fsuid");
	syscall(SYS_setfsuid, 0);
	OPEN("open/roots", O_RDONLY);
	SAY(unlink("open/fsuid"));
}

/* --- capabilities ---------------------------------------------------------------------------------------- */

/* User 0 with these alone; root's own files are its own still. */
static void keep_caps(uint64_t caps)
{
	struct {
		uint32_t version;
		int pid;
	} header = {0x20080522, 0};
	uint32_t data[2][3] = {{(uint32_t)caps, (uint32_t)caps, 0},
	                       {(uint32_t)(caps >> 32), (uint32_t)(caps >> 32), 0}};

	must(setgroups(0, NULL) == 0, "setgroups");
	must(syscall(SYS_capset, &header, data) == 0, "capset");
}

static void try_all(void)
{
	OPEN("open/own", O_RDONLY);
	OPEN("open/own", O_RDWR);
	OPEN("open/own", O_RDONLY | O_NOATIME);
	OPEN("private", O_RDONLY | O_DIRECTORY);
	OPEN("private/file", O_RDONLY);
	OPEN("private/file", O_WRONLY);
	MAKE("private/new", O_WRONLY, 0600);
	SAY(access("private/none", X_OK));
	SAY(chmod("open/own", 0600));
	SAY(chown("open/own", NOBODY, -1));
	SAY(chown("open/roots", NOBODY, -1));
	SAY(chown("open/roots", 0, 0));
	SAY(rename("sticky2/own", "sticky2/renamed"));
	SAY(rename("sticky2/renamed", "sticky2/own"));
	SAY(chmod("open/roots", 0600));
	SAY(utimes("open/own", NULL));
	SAY(mknod("open/c", S_IFCHR | 0600, 0x103));
	SAY(chroot("/"));
	unlink("private/new");
	unlink("open/c");
}

#define CAPS(name, bits)         \
	static void name(void)   \
	{                        \
		keep_caps(bits); \
		try_all();       \
	}
CAPS(no_caps, 0)
CAPS(cap_chown, 1ull << 0)
CAPS(cap_dac_override, 1ull << 1)
CAPS(cap_dac_read_search, 1ull << 2)
CAPS(cap_fowner, 1ull << 3)
CAPS(cap_fsetid, 1ull << 4)

/* --- programs ---------------------------------------------------------------------------------------------- */

static int run(const char *name, const char *arg)
{
	char path[sizeof(place) + 64];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/%s", place, name);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl(path, path, arg, (char *)NULL);
		printf("  exec: error %d\n", errno);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return 0;
}

static void programs_of_root(void)
{
	run("open/run", "hello");
	run("open/not", "hello");
}

static void programs(void)
{
	become(NOBODY, 0);
	OPEN("open/run", O_RDONLY);
	run("open/run", "hello");
	run("open/not", "hello");
	run("closed/file", "hello");
	run("fixed/dir", "hello");
	run("open/read", "hello");
}

/* --- /proc ----------------------------------------------------------------------------------------------------- */

static int whose(const char *name)
{
	struct stat st;

	return lstat(name, &st) ? -errno : (int)st.st_uid;
}

static void look_at_proc(void)
{
	char buf[64], path[64];
	int fd = open("/dev/null", O_RDWR);

	printf("  dumpable %d\n", prctl(PR_GET_DUMPABLE) == 1);
	printf("  /proc/self/. %d, status %d, environ %d, fd %d\n", whose("/proc/self/."),
	       whose("/proc/self/status"), whose("/proc/self/environ"), whose("/proc/self/fd"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	say("open of /proc/self/fd/N", try_open(path, O_RDWR, 0));
	SAY(readlink("/proc/self/exe", buf, sizeof(buf)));
	OPEN("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	OPEN("/proc/self/environ", O_RDONLY);
	OPEN("/proc/self/maps", O_RDONLY);
	OPEN("/proc/self/status", O_RDONLY);
	OPEN("/proc/1/status", O_RDONLY);
	OPEN("/proc/1/environ", O_RDONLY);
	OPEN("/proc/1/maps", O_RDONLY);
	OPEN("/proc/1/mem", O_RDONLY);
	OPEN("/proc/1/fd", O_RDONLY);
	SAY(readlink("/proc/1/exe", buf, sizeof(buf)));
	SAY(readlink("/proc/1/cwd", buf, sizeof(buf)));
	OPEN("/proc/meminfo", O_RDONLY);
	OPEN("/proc/sys/vm/drop_caches", O_WRONLY);
}

static void proc(void)
{
	become(NOBODY, 0);
	look_at_proc();
	run("open/proc", "proc"); /* may be read: dumpable again */
	run("open/run", "proc");  /* may not */
}

/* --- devices, pipes, sockets -------------------------------------------------------------------------------------- */

static void devices(void)
{
	int master, slave = -1, p[2];
	char path[64];

	become(NOBODY, 0);
	OPEN("/dev/null", O_RDWR);
	OPEN("/dev/zero", O_RDONLY);
	OPEN("/dev/urandom", O_RDONLY);
	master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master >= 0 && unlockpt(master) == 0) {
		printf("  the slave is of %d\n", whose(ptsname(master)));
		slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	}
	say("open of the slave", slave);
	must(pipe(p) == 0, "pipe");
	snprintf(path, sizeof(path), "/dev/fd/%d", p[1]);
	say("open of a pipe by /dev/fd", try_open(path, O_WRONLY, 0));
}

static void bind_to(const char *name, int mode)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, name);
	must(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 5) == 0, name);
	must(chmod(name, mode) == 0, name);
}

static int connect_to(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, name);
	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static int bind_at(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strcpy(a.sun_path, name);
	return bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a));
}

static void sockets(void)
{
	bind_to("open/socket", 0755);
	bind_to("open/public", 0777);
	become(NOBODY, 0);
	SAY(connect_to("open/socket"));
	SAY(connect_to("open/public"));
	SAY(connect_to("closed/socket"));
	SAY(bind_at("fixed/socket"));
	SAY(bind_at("open/bound"));
	SAY(unlink("open/bound"));
}

/* --- all of it ------------------------------------------------------------------------------------------------- */

static void part(const char *name, void (*fn)(void))
{
	int status;
	pid_t pid;

	printf("%s\n", name);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (status)
		printf("  status %x\n", status);
}

#define PART(fn) part(#fn, fn)

static void caps_parts(void)
{
	dir("private", 0700, NOBODY, NOBODY);
	dir("sticky2", 01777, NOBODY, NOBODY);
	file("private/file", 0600, NOBODY, NOBODY);
	file("private/none", 0600, NOBODY, NOBODY);
	file("sticky2/own", 0600, NOBODY, NOBODY);
	PART(no_caps);
	PART(cap_chown);
	PART(cap_dac_override);
	PART(cap_dac_read_search);
	PART(cap_fowner);
	PART(cap_fsetid);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "proc"))
		look_at_proc();
	else if (argc > 1)
		printf("  %s from %u %u\n", argv[1], geteuid(), getegid());
	if (argc > 1)
		return 0;
	umask(022);
	must(getcwd(place, sizeof(place)) != NULL, "getcwd");
	make_files();
	PART(opening);
	PART(flags_of_files);
	PART(names);
	PART(attributes);
	PART(members);
	PART(strangers);
	PART(setid);
	file("open/own", 0600, NOBODY, NOBODY);
	PART(real_user);
	PART(effective_user);
	PART(file_user);
	caps_parts();
	PART(programs_of_root);
	PART(programs);
	program("open/proc", 0755);
	PART(proc);
	PART(devices);
	PART(sockets);
	return 0;
}
