/*
 * memwalk.c SEED STEPS - a random walk of the memory calls over a window of 48 pages and two files. Each step prints what
 * it did and what came of it, faults with signal, code and address; now and then, all that the memory shows. Linux and Quire
 * must print the same.
 *
 * Left out is what kernels answer differently: how areas merge (a range given to mremap is one page, or is cut), what
 * is behind the end of a file in its last page (sizes are whole pages), advice that may be ignored.
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define P          4096ul
#define BASE       0x200000000ul
#define WINDOW     48u
#define FILE_PAGES 16u

static int file[2];
static uint64_t state;
static sigjmp_buf back;
static siginfo_t seen;
static volatile sig_atomic_t armed;

static unsigned below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 11) % n;
}

#define PICK(array) ((array)[below(sizeof(array) / sizeof((array)[0]))])

static char *page(unsigned i)
{
	return (char *)(BASE + i * P);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (!armed)
		_exit(99);
	seen = *info;
	siglongjmp(back, sig);
}

/* The word at p, or what the fault was: no word of ours looks like that. */
static uint64_t look(volatile uint64_t *p)
{
	uint64_t value;
	int sig = sigsetjmp(back, 1);

	if (sig) {
		armed = 0;
		return (uint64_t)sig << 56 | (uint64_t)seen.si_code << 48 |
		       ((uintptr_t)seen.si_addr - BASE);
	}
	armed = 1;
	value = *p;
	armed = 0;
	return value;
}

static uint64_t store(volatile uint64_t *p, uint64_t value)
{
	int sig = sigsetjmp(back, 1);

	if (sig) {
		armed = 0;
		return (uint64_t)sig << 56 | (uint64_t)seen.si_code << 48 |
		       ((uintptr_t)seen.si_addr - BASE);
	}
	armed = 1;
	*p = value;
	armed = 0;
	return 0;
}

static void say(const char *what, unsigned at, unsigned n, long result)
{
	if (result == -1)
		printf("%s %u+%u: error %d\n", what, at, n, errno);
	else
		printf("%s %u+%u: %lx\n", what, at, n, result);
}

/* All that the window shows, as one number. */
static uint64_t sum(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WINDOW * 4; i++)
		sum = sum * 31 + look((uint64_t *)(page(0) + i * 1024 + i % 4 * 8));
	return sum;
}

static int some_prot(void)
{
	static const int prots[] = {PROT_NONE,
	                            PROT_READ,
	                            PROT_READ,
	                            PROT_WRITE,
	                            PROT_READ | PROT_EXEC,
	                            PROT_READ | PROT_WRITE,
	                            PROT_READ | PROT_WRITE,
	                            PROT_READ | PROT_WRITE | PROT_EXEC};

	return PICK(prots);
}

static void do_map(unsigned at, unsigned n)
{
	static const int kinds[] = {MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED};
	static const int extras[] = {0, 0, 0, 0, MAP_POPULATE, MAP_LOCKED, MAP_NORESERVE};
	int flags = PICK(kinds) | PICK(extras), prot = some_prot();

	flags |= below(6) ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	say("map", at, n, (long)mmap(page(at), n * P, prot, flags | MAP_ANONYMOUS, -1, 0));
}

static void do_map_file(unsigned at, unsigned n)
{
	int flags = below(2) ? MAP_PRIVATE : MAP_SHARED, prot = some_prot(), fd = PICK(file);
	off_t offset = (off_t)(below(FILE_PAGES) * P);

	if (!below(8))
		flags |= MAP_POPULATE;
	say("map file", at, n, (long)mmap(page(at), n * P, prot, flags | MAP_FIXED, fd, offset));
}

static void do_unmap(unsigned at, unsigned n)
{
	say("unmap", at, n, munmap(page(at), n * P));
}

static void do_protect(unsigned at, unsigned n)
{
	say("protect", at, n, mprotect(page(at), n * P, some_prot()));
}

static void do_move(unsigned at, unsigned n)
{
	unsigned to = below(WINDOW - n + 1);

	if (to <= at && at < to + n)
		return; /* EINVAL; or EFAULT, if nothing is there, on some */
	say("move", at, to,
	    (long)mremap(page(at), P, n * P, MREMAP_MAYMOVE | MREMAP_FIXED, page(to)));
}

static void do_resize(unsigned at, unsigned n)
{
	if (below(2))
		say("grow", at, n, (long)mremap(page(at), P, n * P, 0));
	else
		say("cut", at, n, (long)mremap(page(at), n * P, P, 0));
}

static void do_advise(unsigned at, unsigned n)
{
	static const int advice[] = {MADV_DONTNEED,   MADV_DONTNEED,
	                             MADV_WILLNEED,   MADV_DONTFORK,
	                             MADV_DOFORK,     MADV_WIPEONFORK,
	                             MADV_KEEPONFORK, MADV_SEQUENTIAL,
	                             MADV_RANDOM,     MADV_NORMAL,
	                             MADV_DONTDUMP,   22 /* POPULATE_READ */,
	                             MADV_DODUMP,     23 /* ... WRITE */};

	say("advise", at, n, madvise(page(at), n * P, PICK(advice)));
}

static void do_write(unsigned at, unsigned n)
{
	uint64_t value = state;

	for (unsigned i = 0; i < n; i += 3)
		printf("write %u: %lx\n", at + i,
		       store((uint64_t *)(page(at + i) + below(4) * 1032), value + i));
}

static void do_fork(unsigned at, unsigned n)
{
	int status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		printf("child sees %lx\n", sum());
		do_write(at, n);
		printf("child sees %lx\n", sum());
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, &status, 0);
	printf("fork: %d, parent sees %lx\n", status, sum());
}

static void do_truncate(unsigned at, unsigned n)
{
	(void)at;
	say("truncate", n, 0, ftruncate(PICK(file), n * P));
}

static void do_punch(unsigned at, unsigned n)
{
	at %= FILE_PAGES;
	say("punch", at, n,
	    fallocate(file[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(at * P),
	              (off_t)(n * P)));
}

static void do_read(unsigned at, unsigned n)
{
	char *to = page(at) + below(P);

	say("read", at, n, pread(PICK(file), to, n * P - P / 2, below(FILE_PAGES * P)));
}

/* Not past the end: how large a file is that a failed write would have made longer, kernels disagree. */
static void do_write_file(unsigned at, unsigned n)
{
	int fd = PICK(file);
	struct stat st;
	off_t offset = below(FILE_PAGES * P);

	if (!fstat(fd, &st) && offset + (off_t)(n * P) <= st.st_size)
		say("write file", at, n, pwrite(fd, page(at) + below(P), n * P - P / 2, offset));
}

static void do_lock(unsigned at, unsigned n)
{
	if (below(2))
		say("lock", at, n, mlock(page(at), n * P));
	else
		say("unlock", at, n, munlock(page(at), n * P));
}

static void do_sync(unsigned at, unsigned n)
{
	static const int how[] = {0, MS_ASYNC, MS_SYNC, MS_INVALIDATE, MS_SYNC | MS_INVALIDATE};

	say("sync", at, n, msync(page(at), n * P, PICK(how)));
}

static void do_mincore(unsigned at, unsigned n)
{
	unsigned char in_core[WINDOW];

	say("mincore", at, n, mincore(page(at), n * P, in_core));
}

static void do_show(unsigned at, unsigned n)
{
	(void)at, (void)n;
	for (unsigned i = 0; i < WINDOW; i++)
		printf("%lx%c", look((uint64_t *)page(i)), i % 8 == 7 ? '\n' : ' ');
}

static void step(void)
{
	static void (*const ops[])(unsigned, unsigned) = {
	        do_map,     do_map,        do_map_file, do_map_file, do_map_file, do_unmap,
	        do_protect, do_protect,    do_move,     do_resize,   do_advise,   do_advise,
	        do_write,   do_write,      do_write,    do_write,    do_write,    do_fork,
	        do_read,    do_write_file, do_lock,     do_sync,     do_mincore,  do_truncate,
	        do_punch,   do_show};
	unsigned at = below(WINDOW), n = 1 + below(below(4) ? 6 : 20);

	PICK(ops)(at, n < WINDOW - at ? n : WINDOW - at);
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
	char name[] = "memwalkXXXXXX";
	uint64_t content[P / 8];

	state = 0x9e3779b97f4a7c15ull * (argc > 1 ? strtoul(argv[1], NULL, 0) : 1);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	file[0] = memfd_create("memwalk", 0);
	file[1] = mkstemp(name);
	unlink(name);
	for (unsigned i = 0; i < 2 * FILE_PAGES; i++) {
		for (unsigned word = 0; word < P / 8; word++)
			content[word] = i * 1000 + word;
		if (pwrite(file[i % 2], content, P, (off_t)(i / 2 * P)) != (ssize_t)P)
			return 1;
	}
	for (unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 1000; n; n--)
		step();
	printf("end: %lx\n", sum());
	return 0;
}
