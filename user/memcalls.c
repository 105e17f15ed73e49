/*
 * memcalls.c - what the memory calls answer at their edges: every errno of mmap, munmap, mprotect, mremap, madvise, brk,
 * mincore, msync and mlock, and where a fault is reported. Prints the same on Linux and on Quire.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define P      4096ul
#define TOP    0x7ffffffff000ul
#define RW     (PROT_READ | PROT_WRITE)
#define ANON   (MAP_PRIVATE | MAP_ANONYMOUS)
#define SHARED (MAP_SHARED | MAP_ANONYMOUS)

/* One line: what was done, and 0, a small number, "address" or the error. */
#define SAY(expr) say(#expr, (long)(expr))

static sigjmp_buf back;
static siginfo_t seen;
static volatile sig_atomic_t armed; /* a fault is expected */
static char *base;                  /* what addresses are printed against */

static long say(const char *what, long value)
{
	if (value == -1)
		printf("%-66s error %d\n", what, errno);
	else if (value >= 0 && value < 100000)
		printf("%-66s %ld\n", what, value);
	else
		printf("%-66s address\n", what);
	return value;
}

static void *map(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, at, size, prot, flags, fd, offset);
}

static void *fresh(size_t pages)
{
	char *p = mmap(NULL, pages * P, RW, ANON, -1, 0);

	if (p == MAP_FAILED) {
		printf("no memory for a test: error %d\n", errno);
		exit(1);
	}
	return p;
}

static void caught(int sig, siginfo_t *info, void *context)
{
	(void)context;
	(void)sig;
	if (!armed)
		_exit(99);
	seen = *info;
	siglongjmp(back, 1);
}

static int reads(const volatile char *p)
{
	return *p;
}

/* What touching @p gives: its byte, or the signal with its code and address. */
static void touch(const char *what, volatile char *p, int write)
{
	armed = 1;
	if (sigsetjmp(back, 1) == 0) {
		if (write)
			*p = 1;
		printf("%-40s %s: %d\n", what, write ? "written" : "read", reads(p));
		armed = 0;
		return;
	}
	armed = 0;
	printf("%-40s %s: signal %d code %d at %ld\n", what, write ? "written" : "read",
	       seen.si_signo, seen.si_code, (long)((char *)seen.si_addr - base));
}

static int scratch(size_t size)
{
	char name[] = "/tmp/memcalls.XXXXXX";
	int fd = mkstemp(name);

	unlink(name);
	if (fd < 0 || ftruncate(fd, (off_t)size)) {
		printf("no scratch file: error %d\n", errno);
		exit(1);
	}
	return fd;
}

static void test_mmap(void)
{
	int fd = scratch(3 * P), ro = open("/proc/self/exe", O_RDONLY),
	    wo = open("memcalls.wo", O_WRONLY | O_CREAT, 0600);
	int dir = open("/", O_RDONLY), ends[2];
	char *p = fresh(4);

	puts("-- mmap");
	SAY(map(NULL, 0, RW, ANON, -1, 0));
	SAY(map(NULL, P, RW, 0, -1, 0));
	SAY(map(NULL, P, RW, MAP_ANONYMOUS, -1, 0));
	SAY(map(NULL, P, RW, MAP_PRIVATE, -1, 0));
	SAY(map(NULL, P, RW, MAP_PRIVATE, 999, 0));
	SAY(map(NULL, P, RW, MAP_PRIVATE, fd, 1));
	SAY(map(NULL, P, RW, MAP_PRIVATE, fd, 4 * P));
	SAY(map(NULL, P, RW, ANON, -1, 7));
	SAY(map(NULL, P, RW, MAP_PRIVATE, fd, -(off_t)P));
	SAY(map(NULL, 2 * P, RW, MAP_PRIVATE, fd, INT64_MAX & ~(off_t)4095));
	SAY(map(NULL, -1ul, RW, ANON, -1, 0));
	SAY(map(NULL, TOP + P, RW, ANON | MAP_NORESERVE, -1, 0));
	SAY(map((void *)TOP, P, RW, ANON | MAP_FIXED, -1, 0));
	SAY(map((void *)(TOP - P), 2 * P, RW, ANON | MAP_FIXED, -1, 0));
	SAY(map((void *)-4096l, P, RW, ANON | MAP_FIXED, -1, 0));
	SAY(map((void *)(TOP << 20), P, RW, ANON, -1, 0));
	SAY(map(p + 1, P, RW, ANON | MAP_FIXED, -1, 0));
	SAY(map(p + 1, P, RW, ANON, -1, 0));
	SAY(map(p, P, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	SAY(munmap(p, P));
	SAY((char *)map(p, P, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p);
	SAY((char *)map(p + P, P, RW, ANON | MAP_FIXED, -1, 0) == p + P);
	SAY(map(NULL, P, RW, MAP_SHARED, ro, 0));
	SAY(map(NULL, P, RW, MAP_PRIVATE, ro, 0));
	SAY(map(NULL, P, PROT_READ, MAP_SHARED, ro, 0));
	SAY(map(NULL, P, PROT_READ, MAP_PRIVATE, wo, 0));
	SAY(map(NULL, P, PROT_WRITE, MAP_SHARED, wo, 0));
	SAY(map(NULL, P, PROT_NONE, MAP_SHARED, wo, 0));
	SAY(map(NULL, P, PROT_READ, MAP_PRIVATE, dir, 0));
	SAY(pipe(ends));
	SAY(map(NULL, P, PROT_READ, MAP_PRIVATE, ends[0], 0));
	SAY(map(NULL, P, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0));
	SAY(map(NULL, P, RW, MAP_SHARED_VALIDATE, fd, 0));
	SAY(map(NULL, P, RW, MAP_SHARED_VALIDATE | 0x1000000, fd, 0));
	SAY(map(NULL, P, PROT_NONE, SHARED, -1, 0));
	SAY(map(NULL, P, RW, ANON | MAP_POPULATE, -1, 0));
	SAY(map(NULL, 1ul << 44, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
	SAY((unsigned long)map(NULL, P, RW, ANON | MAP_32BIT, -1, 0) < 1ul << 31);
	SAY(map(NULL, P, RW, ANON | MAP_GROWSDOWN, -1, 0));
	SAY(map(NULL, P, RW, SHARED | MAP_GROWSDOWN, -1, 0));
	unlink("memcalls.wo");
	close(fd), close(ro), close(wo), close(dir), close(ends[0]), close(ends[1]);
}

static void test_munmap(void)
{
	char *p = fresh(8);

	puts("-- munmap");
	SAY(munmap(p + 1, P));
	SAY(munmap(p, 0));
	SAY(munmap(p, -1ul));
	SAY(munmap((void *)TOP, P));
	SAY(munmap((void *)(TOP - P), 2 * P));
	SAY(munmap((void *)-4096l, P));
	SAY(munmap(p + 2 * P, P));
	SAY(munmap(p + 2 * P, P));
	SAY(munmap(p + P, 3 * P));
	SAY(munmap(p + 4 * P, 1));
	SAY(msync(p + 4 * P, P, MS_ASYNC));
	SAY(msync(p + 5 * P, P, MS_ASYNC));
	SAY(munmap(p, 8 * P));
	SAY(munmap(p, 8 * P));
}

static void test_mprotect(void)
{
	int ro = open("/proc/self/exe", O_RDONLY);
	char *p = fresh(6), *f;

	puts("-- mprotect");
	f = map(NULL, P, PROT_READ, MAP_SHARED, ro, 0);
	SAY(mprotect(p + 1, P, RW));
	SAY(mprotect(p, 0, RW));
	SAY(mprotect(p + 1, 0, RW));
	SAY(syscall(SYS_mprotect, p, P, 0x100));
	SAY(syscall(SYS_mprotect, p, P, PROT_GROWSUP | PROT_READ));
	SAY(syscall(SYS_mprotect, p, P, PROT_GROWSDOWN | PROT_READ));
	SAY(syscall(SYS_mprotect, p, P, PROT_GROWSDOWN | PROT_GROWSUP | PROT_READ));
	SAY(syscall(SYS_mprotect, p, -1ul, PROT_READ));
	SAY(syscall(SYS_mprotect, p, -P, PROT_READ));
	SAY(syscall(SYS_mprotect, (void *)TOP, P, PROT_READ));
	SAY(syscall(SYS_mprotect, (void *)-4096l, P, PROT_READ));
	SAY(mprotect(f, P, RW));
	SAY(mprotect(f, P, PROT_READ | PROT_EXEC));
	SAY(munmap(p + 2 * P, P));
	SAY(mprotect(p + 2 * P, P, PROT_READ));
	SAY(mprotect(p, 6 * P, PROT_READ));
	base = p;
	touch("before the hole, made read-only", p, 1);
	touch("after the hole, not reached", p + 3 * P, 1);
	SAY(mprotect(p, P, PROT_NONE));
	touch("no access", p, 0);
	SAY(mprotect(p, P, RW));
	touch("access again", p, 1);
	munmap(p, 6 * P), munmap(f, P), close(ro);
}

static void test_mremap(void)
{
	int fd = scratch(4 * P);
	char *p = fresh(8), *q = fresh(8), *s = map(NULL, 2 * P, RW, SHARED, -1, 0), *f, *n;

	puts("-- mremap");
	SAY(mremap(p + 1, P, P, 0));
	SAY(mremap(p, P, 0, MREMAP_MAYMOVE));
	SAY(mremap(p, P, P, 8));
	SAY(mremap(p, P, P, MREMAP_FIXED, q));
	SAY(mremap(p, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, q + 1));
	SAY(mremap(p, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, p + P));
	SAY(mremap(p, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)TOP));
	SAY(mremap(p, P, -1ul, MREMAP_MAYMOVE));
	SAY(mremap(p, P, TOP, MREMAP_MAYMOVE));
	SAY(mremap(p, 0, P, MREMAP_MAYMOVE));
	SAY(mremap(s, 0, P, 0));
	SAY(mremap(s, 0, P, MREMAP_MAYMOVE));
	SAY(mremap((void *)P, P, 2 * P, MREMAP_MAYMOVE));
	SAY(mremap((void *)-4096l, P, 2 * P, MREMAP_MAYMOVE));
	SAY(mremap(p, 4 * P, 8 * P, 0)); /* the rest of its own area is in the way */
	memset(p, 1, 8 * P);
	SAY(mremap(p, 8 * P, 2 * P, 0) == p);
	SAY(msync(p + 2 * P, P, MS_ASYNC));
	SAY(mremap(p, 2 * P, 8 * P, 0) == p);
	printf("kept %d, new %d\n", p[P], p[2 * P]);
	q[0] = 9;
	SAY(mremap(p, 8 * P, 8 * P, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	printf("moved over: %d %d\n", q[0], q[8 * P - 1]);
	SAY(msync(p, P, MS_ASYNC));
	SAY(mremap(q, 16 * P, 32 * P, MREMAP_MAYMOVE));
	SAY(munmap(q + 4 * P, P));
	SAY(mremap(q, 8 * P, 9 * P, MREMAP_MAYMOVE));
	n = (char *)syscall(SYS_mremap, q, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	printf("left %d, gone with it %d\n", q[0], n[0]);
	SAY(syscall(SYS_mremap, n, 4 * P, 5 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
	f = map(NULL, 2 * P, RW, MAP_SHARED, fd, 2 * P);
	SAY(pwrite(fd, "0123", 4, 3 * P));
	f = mremap(f, 2 * P, 64 * P, MREMAP_MAYMOVE);
	printf("the file's page follows: %c\n", f[P + 2]);
	base = f;
	touch("past the end of the file", f + 2 * P + 5, 0);
	close(fd);
}

static void test_madvise(void)
{
	int fd = scratch(2 * P);
	char *p = fresh(6), *f = map(NULL, 2 * P, RW, MAP_PRIVATE, fd, 0);

	puts("-- madvise");
	SAY(madvise(p + 1, P, MADV_NORMAL));
	SAY(madvise(p, P, 12345));
	SAY(madvise(p, P, -1));
	SAY(madvise(p, 0, MADV_DONTNEED));
	SAY(madvise(p, 0, 12345));
	SAY(madvise(p, -1ul, MADV_DONTNEED));
	SAY(madvise((void *)-4096l, P, MADV_NORMAL));
	memset(p, 5, 6 * P);
	SAY(madvise(p, 1, MADV_DONTNEED));
	printf("dropped %d, kept %d\n", p[7], p[P]);
	SAY(munmap(p + 2 * P, P));
	SAY(madvise(p, 6 * P, MADV_DONTNEED));
	printf("both sides of a hole %d %d\n", p[P], p[4 * P]);
	SAY(madvise(p + 2 * P, P, MADV_NORMAL));
	SAY(madvise(p, P, MADV_WILLNEED));
	SAY(madvise(p, P, MADV_SEQUENTIAL));
	SAY(madvise(p, P, MADV_RANDOM));
	SAY(madvise(f, P, MADV_FREE));
	SAY(madvise(p, P, MADV_FREE));
	SAY(madvise(p, P, MADV_DONTFORK));
	SAY(madvise(p, P, MADV_DOFORK));
	SAY(madvise(f, P, MADV_WIPEONFORK));
	SAY(madvise(p, P, MADV_REMOVE));
	SAY(pwrite(fd, "a", 1, 0));
	f[0] = 'b';
	SAY(madvise(f, P, MADV_DONTNEED));
	printf("the file's byte is back: %c\n", f[0]);
	SAY(mlock(p, P));
	SAY(madvise(p, P, MADV_DONTNEED));
	SAY(munlock(p, P));
	SAY(madvise(p + 4 * P, P, MADV_POPULATE_WRITE));
	SAY(mprotect(p + 4 * P, P, PROT_READ));
	SAY(madvise(p + 4 * P, P, MADV_POPULATE_WRITE));
	SAY(madvise(p + 4 * P, P, MADV_POPULATE_READ));
	mprotect(p + 4 * P, P, PROT_WRITE);
	SAY(madvise(p + 4 * P, P, MADV_POPULATE_READ));
	SAY(madvise(p + 4 * P, P, MADV_POPULATE_WRITE));
	munmap(p, 6 * P), munmap(f, 2 * P), close(fd);
}

/* What a mapping wrote behind the end of a file does not come to light when the file grows. */
static void test_growing(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	char *p;

	puts("-- a file grows by zeros");
	SAY(ftruncate(fd, 100));
	p = map(NULL, 2 * P, RW, MAP_SHARED, fd, 0);
	memset(p, 'x', P);
	SAY(ftruncate(fd, 200));
	printf("%d %d\n", p[99], p[100]);
	memset(p, 'y', P);
	SAY(pwrite(fd, "z", 1, 300));
	printf("%d %d %d %d\n", p[199], p[200], p[299], p[300]);
	memset(p, 'w', P);
	SAY(ftruncate(fd, 2 * P));
	printf("%d %d %d\n", p[300], p[301], p[P - 1]);
	munmap(p, 2 * P), close(fd);
}

/* A read of a hole into memory that ends early says how far it came. */
static void test_partial_read(void)
{
	int fd = memfd_create("hole", 0);
	char *p = fresh(2);

	puts("-- reading a hole up to the end of memory");
	SAY(ftruncate(fd, 2 * P));
	SAY(munmap(p + P, P));
	SAY(pread(fd, p + P - 100, 2 * P, 0));
	SAY(pread(fd, p + P - 1001, 2 * P, P - 10));
	SAY(pread(fd, p + P, P, 0));
	munmap(p, P), close(fd);
}

static void test_residence(void)
{
	unsigned char vec[8] = {0};
	char *p = fresh(8);

	puts("-- mincore, msync, mlock");
	memset(p, 1, 3 * P);
	SAY(mincore(p + 1, P, vec));
	SAY(mincore(p, 0, vec));
	SAY(mincore(p, 8 * P, vec));
	printf("%d%d%d%d%d\n", vec[0] & 1, vec[1] & 1, vec[2] & 1, vec[3] & 1, vec[4] & 1);
	SAY(syscall(SYS_mincore, p, P, 8));
	SAY(mincore(p, -1ul, vec));
	SAY(mincore((void *)TOP, P, vec));
	munmap(p + 4 * P, P);
	SAY(mincore(p, 6 * P, vec));
	SAY(mincore(p, 4 * P + 1, vec));
	SAY(msync(p, P, MS_SYNC));
	SAY(msync(p, P, 0));
	SAY(msync(p, P, MS_SYNC | MS_ASYNC));
	SAY(msync(p, P, 8));
	SAY(msync(p + 1, P, MS_SYNC));
	SAY(msync(p, 0, MS_SYNC));
	SAY(msync(p, -1ul, MS_SYNC));
	SAY(msync(p, 6 * P, MS_SYNC));
	SAY(mlock(p, 3 * P));
	SAY(msync(p, P, MS_INVALIDATE));
	SAY(mlock(p + 4 * P, P));
	SAY(mlock(p, 6 * P));
	SAY(mlock(p + 1, 1));
	SAY(mlock(p, -1ul));
	SAY(syscall(SYS_mlock2, p, P, 2));
	SAY(syscall(SYS_mlock2, p, P, 1));
	SAY(munlock(p, 3 * P));
	SAY(munlock(p + 4 * P, P));
	SAY(mlockall(0));
	SAY(mlockall(64));
	SAY(mlockall(MCL_ONFAULT));
	SAY(munlockall());
	SAY(mprotect(p, P, PROT_NONE));
	SAY(mlock(p, P));
	SAY(munlockall());
	munmap(p, 8 * P);
}

static void test_brk(void)
{
	unsigned long start = (unsigned long)syscall(SYS_brk, 0);
	struct rlimit as = {1ul << 26, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};

	puts("-- brk and limits");
	SAY((unsigned long)syscall(SYS_brk, start + 5 * P) == start + 5 * P);
	*(char *)(start + 5 * P - 1) = 1;
	SAY((unsigned long)syscall(SYS_brk, start + 5 * P + 17) == start + 5 * P + 17);
	SAY((unsigned long)syscall(SYS_brk, start) == start);
	SAY((unsigned long)syscall(SYS_brk, -1ul) == start);
	SAY((unsigned long)syscall(SYS_brk, 1) == start);
	SAY((unsigned long)syscall(SYS_brk, TOP) == start);
	SAY((unsigned long)syscall(SYS_brk, start + 5 * P) == start + 5 * P);
	printf("given back and taken again: %d\n", *(char *)(start + 5 * P - 1));
	SAY((unsigned long)syscall(SYS_brk, start) == start);
	SAY(setrlimit(RLIMIT_AS, &as));
	SAY(map(NULL, 1ul << 27, RW, ANON, -1, 0));
	SAY((unsigned long)syscall(SYS_brk, start + (1ul << 27)) == start);
	SAY(setrlimit(RLIMIT_AS, &all));
	as.rlim_cur = 1 << 20;
	SAY(setrlimit(RLIMIT_DATA, &as));
	SAY((unsigned long)syscall(SYS_brk, start + (1ul << 27)) == start);
	SAY(map(NULL, 1ul << 27, RW, ANON, -1, 0));
	SAY(map(NULL, 1ul << 27, PROT_READ, ANON, -1, 0));
	SAY(setrlimit(RLIMIT_DATA, &all));
}

static void test_faults(void)
{
	int fd = scratch(P + 10);
	char *p = fresh(3), *f = map(NULL, 3 * P, RW, MAP_SHARED, fd, 0);

	puts("-- faults");
	base = p;
	SAY(munmap(p + P, P));
	touch("nothing there", p + P + 123, 0);
	touch("nothing there", p + P + 124, 1);
	SAY(mprotect(p, P, PROT_READ));
	touch("read-only", p + 7, 0);
	touch("read-only", p + 8, 1);
	base = NULL;
	touch("the null page", (char *)8, 0);
	touch("the kernel's half", (char *)0xffffffff80000000ul, 0);
	touch("not canonical", (char *)0x8000000000000000ul, 0);
	base = f;
	touch("file", f + P + 9, 1);
	touch("after the file, in its last page", f + P + 2000, 1);
	touch("beyond the file", f + 2 * P + 1, 0);
	SAY(ftruncate(fd, 100));
	touch("cut off", f + P, 1);
	touch("not cut off", f + 99, 1);
	SAY(ftruncate(fd, 3 * P));
	touch("grown again: zero", f + P + 9, 0);
	touch("grown again", f + 2 * P, 1);
	touch("zeroed behind the cut", f + 100, 0);
	SAY(read(fd, f, 10));
	SAY(read(fd, p + P, 10));
	SAY(write(fd, p + P, 10));
	SAY(write(fd, p + P - 5, 10));
	SAY(ftruncate(fd, 0));
	SAY(write(1, f, 10));
	close(fd);
}

static void test_stack_limit(void)
{
	int status;

	puts("-- stack");
	fflush(stdout);
	if (fork() == 0) {
		struct rlimit r = {256 << 10, 256 << 10};
		volatile char *low = (volatile char *)__builtin_frame_address(0);

		setrlimit(RLIMIT_STACK, &r);
		for (int i = 0; i < 40; i++)
			low[-i * 4096l] = 1;
		signal(SIGSEGV, SIG_DFL);
		for (int i = 40; i < 400; i++)
			low[-i * 4096l] = 1;
		_exit(0);
	}
	wait(&status);
	printf("past its limit: signal %d\n", WTERMSIG(status));
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	test_mmap();
	test_munmap();
	test_mprotect();
	test_mremap();
	test_madvise();
	test_growing();
	test_partial_read();
	test_residence();
	test_brk();
	test_faults();
	test_stack_limit();
	return 0;
}
