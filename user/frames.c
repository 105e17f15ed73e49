/*
 * frames.c - what the kernel says of single frames (test/guest/frames.t): /proc/kpageflags, /proc/kpagecount, /proc/pagetypeinfo and,
 * where it is kept, /sys/kernel/debug/page_owner.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE      4096
#define BIT(n)    (1ull << (n))
#define UPTODATE  BIT(3)
#define DIRTY     BIT(4)
#define LRU       BIT(5)
#define BUDDY     BIT(10)
#define MAPPED    BIT(11)
#define ANON      BIT(12)
#define SWAPBACK  BIT(14)
#define NOPAGE    BIT(20)
#define ZERO_PAGE BIT(24)
#define PGTABLE   BIT(26)

static void check(int good, const char *what)
{
	printf("%s %s\n", good ? "ok" : "not:", what);
}

static uint64_t word(const char *file, uint64_t index)
{
	int fd = open(file, O_RDONLY);
	uint64_t w = 0;

	if (fd < 0 || pread(fd, &w, 8, (off_t)index * 8) != 8)
		printf("not: %s at %lu\n", file, (unsigned long)index);
	close(fd);
	return w;
}

static uint64_t pfn_of(volatile char *p)
{
	return word("/proc/self/pagemap", (uintptr_t)p / PAGE) & (BIT(55) - 1);
}

static uint64_t flags_of(uint64_t pfn)
{
	return word("/proc/kpageflags", pfn);
}

static void single_pages(void)
{
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const uint64_t anon = UPTODATE | LRU | MAPPED | ANON | SWAPBACK;
	uint64_t pfn;
	int status;

	p[0] = 1;
	s[0] = 1;
	pfn = pfn_of(p);
	check((flags_of(pfn) & anon) == anon && !(flags_of(pfn) & BUDDY), "private page");
	check(word("/proc/kpagecount", pfn) == 1, "mapped once");
	check((flags_of(pfn_of(s)) & (MAPPED | ANON | DIRTY)) == (MAPPED | DIRTY), "shared page");
	if (!fork())
		_exit(word("/proc/kpagecount", pfn) == 2 ? 0 : 1);
	wait(&status);
	check(!status, "mapped twice after fork");
	(void)*(volatile char *)(p + PAGE);
	check(flags_of(pfn_of(p + PAGE)) & ZERO_PAGE, "the page of zeros");
	munmap(p, 4 * PAGE);
	check(!(flags_of(pfn) & (MAPPED | ANON | LRU)), "freed");
}

/* All of memory: every frame is something, page tables exist, and what is free agrees with MemFree as far as lists of CPUs allow. */
static void all_frames(void)
{
	uint64_t w, tables = 0, buddy = 0, frames = 0, none = 0;
	unsigned long free_kb = 0;
	char line[128];
	FILE *f = fopen("/proc/kpageflags", "r");

	while (f && fread(&w, 8, 1, f) == 1) {
		frames++;
		tables += !!(w & PGTABLE);
		buddy += !!(w & BUDDY);
		none += !!(w & NOPAGE);
	}
	if (f)
		fclose(f);
	f = fopen("/proc/meminfo", "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "MemFree: %lu kB", &free_kb);
	if (f)
		fclose(f);
	check(frames == 64 * 256, "a word for each frame");
	check(none < 256, "holes");
	check(tables > 4, "page tables");
	check(buddy * 4 <= free_kb + 2048 && buddy * 4 + 4096 > free_kb, "free frames");
}

/* Free frames by pagetypeinfo's lists; blocks: its page blocks. */
static unsigned long typed_frames(unsigned long *blocks)
{
	FILE *f = fopen("/proc/pagetypeinfo", "r");
	unsigned long n[11], frames = 0, a, b, c, d;
	char zone[32], type[32], line[512];

	*blocks = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line,
		           "Node %*d, zone %31[^,], type %31s %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu",
		           zone, type, n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8,
		           n + 9, n + 10) == 13)
			for (unsigned i = 0; i < 11; i++)
				frames += n[i] << i;
		else if (sscanf(line, "Node %*d, zone %31s %lu %lu %lu %lu", zone, &a, &b, &c,
		                &d) == 5)
			*blocks += a + b + c + d;
	}
	if (f)
		fclose(f);
	return frames;
}

static unsigned long buddy_frames(void)
{
	FILE *f = fopen("/proc/buddyinfo", "r");
	unsigned long n[11], frames = 0;
	char zone[32], line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Node %*d, zone %31s %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu",
		           zone, n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8, n + 9,
		           n + 10) == 12)
			for (unsigned i = 0; i < 11; i++)
				frames += n[i] << i;
	if (f)
		fclose(f);
	return frames;
}

static void by_type(void)
{
	unsigned long blocks, typed = typed_frames(&blocks), buddy = buddy_frames();

	check(blocks == 64 / 2, "page blocks of 2 MB");
	check(typed < buddy + 512 && buddy < typed + 512, "the types' lists and buddyinfo");
}

/* " name+0x1c/0x80": the place behind a call in a function. */
static int is_call(const char *line)
{
	unsigned at, size;
	int end = 0;

	sscanf(line, " %*[A-Za-z0-9_.]+0x%x/0x%x%n", &at, &size, &end);
	return end && line[end] == '\n' && at <= size;
}

/* Who has our page: we, at the order and with the flags of a program's page. */
static void owner(void)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/sys/kernel/debug/page_owner", O_RDONLY);
	unsigned order = 99, mask = 0, pid = 0, lines = 0;
	unsigned long pfn = 0;
	char text[4096], names[256] = "", flags[256] = "";
	ssize_t n;

	p[0] = 1;
	if (fd < 0 || lseek(fd, (off_t)pfn_of(p), SEEK_SET) < 0)
		printf("not: page_owner\n");
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	sscanf(text,
	       "Page allocated via order %u, mask %x(%255[^)]), pid %u, tgid %*u (), ts %*u ns, free_ts %*u ns PFN %lu type %*s Block %*u type %*s Flags %*x(%255[^)]",
	       &order, &mask, names, &pid, &pfn, flags);
	check(order == 0 && pid == (unsigned)getpid() && pfn == pfn_of(p) && (mask & 10) == 10,
	      "our page is ours");
	check(!strcmp(names, "GFP_HIGHUSER_MOVABLE") ||
	              !strncmp(names, "GFP_HIGHUSER_MOVABLE|", 21),
	      "what it was asked for, in words");
	check(strstr(flags, "uptodate|") && strstr(flags, "lru|") && strstr(flags, "|node=0|zone="),
	      "its flags, in words");
	for (const char *line = strstr(text, "\n "); line; line = strstr(line + 1, "\n "))
		lines += is_call(line + 1);
	check(lines >= 4 && lines <= 16, "the calls that led to it");
	check(strstr(text, "\n handle_mm_fault+0x") && strstr(text, "\n entry_page_fault+0x"),
	      "their names");
	close(fd);
}

int main(void)
{
	single_pages();
	all_frames();
	by_type();
	owner();
	return 0;
}
