/*
 * trace_test.c - the trace's text and its rings, with rings made up here: pads, wraps, full rings, lost
 * records, late records, damage, and random traffic against a plain model.
 *
 * "trace_test -b" measures instead: lines a second.
 */
#define _GNU_SOURCE
#include "cmd/quire/trace_rings.h"

#include <quire/counter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static unsigned passed, failed;

static void check(bool good, const char *what)
{
	passed += good;
	failed += !good;
	if (!good)
		printf("FAILED: %s\n", what);
}

static void check_text(const char *got, const char *want, const char *what)
{
	bool good = !strcmp(got, want);

	check(good, what);
	if (!good)
		printf("  got:  %s\n  want: %s\n", got, want);
}

/* --- lines --- */

static char line[TRACE_LINE_MAX + 1];

/* The event of a line printed from args: what stands behind the time. */
static const char *event_text(struct trace_text *t, unsigned event, unsigned nargs,
                              const uint64_t *args)
{
	struct trace_record r = {.ns = 0, .event = (uint16_t)event, .nargs = (uint8_t)nargs};
	size_t len = trace_text_line(t, 0, &r, args, line);

	line[len - 1] = '\0';
	return strstr(line, ".000000: ") + 9;
}

static void test_lines(void)
{
	struct trace_text t;
	uint64_t a[7] = {0};
	struct trace_record r = {.ns = 3001402999, .event = EV_sys_exit, .nargs = 2, .pid = 12};
	size_t len;

	check(trace_text_init(&t) == NULL, "every format of events.def can be printed");
	a[0] = 1, a[1] = (uint64_t)-2;
	check_text(event_text(&t, EV_sys_exit, 2, a), "sys_exit: NR 1 = -2", "signed");
	a[0] = 0x91a, a[1] = 0, a[2] = 0x7000 | 0x8000 | 0x80000, a[3] = 1;
	check_text(event_text(&t, EV_mm_page_alloc, 4, a),
	           "mm_page_alloc: page=0xffffea0000012340 pfn=0x91a order=0 migratetype=1 "
	           "gfp_flags=GFP_KERNEL|__GFP_ZERO",
	           "positions, page descriptors, flags by name");
	a[2] = 1ull << 40 | 1;
	check(strstr(event_text(&t, EV_mm_page_alloc, 4, a), "gfp_flags=__GFP_DMA|0x10000000000"),
	      "flags without a name");
	a[0] = 0x7f0000001000, a[1] = 4, a[2] = 7;
	check_text(event_text(&t, EV_fault, 3, a), "fault: address=0x7f0000001000 kind=cow pfn=0x7",
	           "kinds of faults");
	a[0] = 1, a[1] = 33;
	check_text(event_text(&t, EV_tlb_flush, 2, a),
	           "tlb_flush: pages:33 reason:remote shootdown", "reasons of flushes");
	a[1] = 77, a[0] = 99;
	check_text(event_text(&t, EV_tlb_flush, 2, a), "tlb_flush: pages:77 reason:99",
	           "an unknown reason");
	a[0] = 512, a[1] = 0, a[2] = 8, a[3] = 0, a[4] = 1, a[5] = 1;
	check_text(
	        event_text(&t, EV_mm_page_alloc_extfrag, 6, a),
	        "mm_page_alloc_extfrag: page=0xffffea0000004000 pfn=0x200 alloc_order=0 fallback_order=8 "
	        "pageblock_order=9 alloc_migratetype=0 fallback_migratetype=1 fragmenting=1 change_ownership=1",
	        "a block below a page block: fragmenting");
	a[2] = 9;
	check(strstr(event_text(&t, EV_mm_page_alloc_extfrag, 6, a), " fragmenting=0 "),
	      "a whole page block: not fragmenting");
	a[0] = 99, a[1] = 77;
	check_text(event_text(&t, 60000, 2, a), "event_60000: 0x63 0x4d", "an unknown event");
	check(!strncmp(event_text(&t, EV_tlb_flush, 1, a), "event_", 6),
	      "too few arguments for its format");
	trace_text_free(&t);
	check(trace_text_init(&t) == NULL, "twice");
	memcpy(a + 1, "so\nrt\0..........", 16);
	a[0] = 12;
	check_text(event_text(&t, EV_task_rename, 3, a), "task_rename: pid=12 newcomm=so?rt",
	           "a hostile name");
	a[0] = 0, a[1] = 0;
	len = trace_text_line(&t, 1, &r, a, line);
	line[len] = '\0';
	check_text(line, "           so?rt-12      [001] .....     3.001402: sys_exit: NR 0 = 0\n",
	           "context");
	r.pid = 0, r.flags = TRACE_IRQ;
	len = trace_text_line(&t, 7, &r, a, line);
	line[len] = '\0';
	check_text(line, "          <idle>-0       [007] d.h1.     3.001402: sys_exit: NR 0 = 0\n",
	           "interrupt");
	for (int32_t pid = 100; pid < 5000; pid++) {
		uint64_t b[3] = {(uint64_t)pid, 0x3030303030303030 + (uint64_t)pid % 10, 0};

		event_text(&t, EV_task_rename, 3, b);
	}
	r.pid = 4321;
	trace_text_line(&t, 7, &r, a, line);
	check(!memcmp(line, "        10000000-4321", 21), "thousands of names");
	trace_text_free(&t);
}

/* --- rings --- */

#define GUEST_SIZE (4u << 20)
#define FIRST_RING 0x200000u

static struct guest guest;
static struct quire_header *header;
static int out_fd;

static struct trace_ring *ring(unsigned cpu)
{
	return guest_at(&guest, header->ring[cpu], sizeof(struct trace_ring));
}

static void make_rings(unsigned cpus, uint64_t size)
{
	guest.size = GUEST_SIZE;
	if (!guest.base)
		guest.base = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE,
		                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(guest.base, 0, GUEST_SIZE);
	header = (void *)(guest.base + QUIRE_HEADER_PADDR);
	header->nr_cpus = cpus;
	for (unsigned i = 0; i < cpus; i++) {
		header->ring[i] = FIRST_RING + i * (size + 4096);
		ring(i)->data_paddr = header->ring[i] + 4096;
		ring(i)->data_size = size;
	}
	if (out_fd)
		close(out_fd);
	out_fd = memory_file("trace");
}

/* As a CPU does it; false when the ring is full (and then counted as lost). */
static bool emit(unsigned cpu, uint64_t ns, unsigned nargs, uint64_t first)
{
	struct trace_ring *r = ring(cpu);
	uint8_t *data = guest_at(&guest, r->data_paddr, r->data_size);
	uint64_t head = r->head, size = sizeof(struct trace_record) + nargs * 8;
	uint64_t room = r->data_size - head % r->data_size, pad = room < size ? room : 0;
	struct trace_record *t = (void *)(data + head % r->data_size);

	if (head + pad + size - r->tail > r->data_size) {
		r->lost++;
		return false;
	}
	if (pad >= sizeof(*t))
		*t = (struct trace_record){.event = TRACE_PAD};
	head += pad;
	t = (void *)(data + head % r->data_size);
	*t = (struct trace_record){.ns = ns, .event = 50000, .nargs = (uint8_t)nargs, .pid = 0};
	for (unsigned i = 0; i < nargs; i++)
		((uint64_t *)(t + 1))[i] = first;
	r->head = head + size;
	return true;
}

static char *output(void)
{
	static char text[1 << 20];
	ssize_t n = pread(out_fd, text, sizeof(text) - 1, 0);

	text[MAX(n, 0)] = '\0';
	return text;
}

/* The trace without header lines, as "cpu:first-argument" words and "L<cpu>:<count>" for losses. */
static const char *digest(void)
{
	static char text[1 << 20];
	char *to = text, *save = NULL;

	*to = '\0';
	for (char *l = strtok_r(output(), "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		unsigned cpu, value = 0;
		char *at = strchr(l, '[');

		if (*l == '#')
			continue;
		if (sscanf(l, "CPU:%u [LOST %u", &cpu, &value) == 2) {
			to += sprintf(to, "L%u:%u ", cpu, value);
			continue;
		}
		cpu = at ? (unsigned)strtoul(at + 1, NULL, 10) : 99;
		at = strstr(l, "event_50000:");
		if (at)
			sscanf(at, "event_50000: 0x%x", &value);
		to += sprintf(to, "%u:%u ", cpu, value);
	}
	return text;
}

static void test_merge(void)
{
	struct trace_rings t;

	make_rings(2, 1024);
	emit(0, 1000, 1, 1);
	emit(1, 2000, 1, 2);
	emit(0, 3000, 1, 3);
	emit(1, 4000, 1, 4);
	trace_rings_init(&t, &guest, header, out_fd);
	trace_rings_round(&t, true, true);
	check_text(digest(), "0:1 1:2 0:3 1:4 ", "two CPUs in the order of time");
	check(ring(0)->tail == ring(0)->head && ring(1)->tail == ring(1)->head,
	      "the room is given back");
	check(t.records == 4 && !t.dropped && !t.damaged, "four records");
	trace_rings_free(&t);
}

static void test_late(void)
{
	struct trace_rings t;

	make_rings(2, 1024);
	trace_rings_init(&t, &guest, header, out_fd);
	emit(0, 1000, 1, 1);
	emit(0, 5000, 1, 5);
	trace_rings_round(&t, false, true);
	check(t.records == 0, "the first round only looks");
	emit(1, 2000, 1, 2); /* stamped before, published late */
	emit(0, 6000, 1, 6);
	trace_rings_round(&t, false, true);
	emit(1, 5500, 1, 55);
	trace_rings_round(&t, true, true);
	check_text(digest(), "0:1 1:2 0:5 1:55 0:6 ", "a late record takes its place");
	trace_rings_free(&t);
}

static void test_wrap_and_pad(void)
{
	struct trace_rings t;
	struct buf want = {0};

	make_rings(1, 256);
	trace_rings_init(&t, &guest, header, out_fd);
	for (unsigned i = 0; i < 500; i++) {
		check(emit(0, i, 1 + i % 7, i), "room");
		trace_rings_round(&t, false, true);
		trace_rings_round(&t, false, true);
		buf_printf(&want, "0:%u ", i);
	}
	trace_rings_round(&t, true, true);
	check_text(digest(), want.data, "many turns with pads of every size");
	check(!t.damaged && !t.dropped, "nothing damaged or lost");
	buf_free(&want);
	trace_rings_free(&t);
}

static void test_full_and_lost(void)
{
	struct trace_rings t;

	make_rings(2, 128);
	trace_rings_init(&t, &guest, header, out_fd);
	for (unsigned i = 0; i < 8; i++) /* 24 bytes each: five fit, three are lost */
		emit(0, 10 + i, 1, i);
	emit(1, 100, 1, 9);
	check(trace_rings_round(&t, false, true) > 200, "the ring is nearly full");
	trace_rings_round(&t, false, true);
	emit(0, 200, 1, 20);
	emit(0, 201, 1, 21);
	trace_rings_round(&t, true, true);
	check_text(digest(), "0:0 0:1 0:2 0:3 0:4 1:9 L0:3 0:20 0:21 ",
	           "the loss stands where it happened");
	check(t.dropped == 3 && t.records == 8, "three lost");
	trace_rings_free(&t);
	make_rings(1, 128);
	trace_rings_init(&t, &guest, header, out_fd);
	for (unsigned i = 0; i < 8; i++)
		emit(0, 10 + i, 1, i);
	trace_rings_round(&t, true, false);
	check_text(digest(), "0:0 0:1 0:2 0:3 0:4 L0:3 ", "a loss at the end is told too");
	check(ring(0)->tail == 0, "at rest the tail stays 0");
	trace_rings_free(&t);
}

static void test_damage(void)
{
	struct trace_rings t;
	struct trace_record *r;

	make_rings(1, 256);
	emit(0, 1, 1, 1);
	emit(0, 2, 1, 2);
	r = guest_at(&guest, ring(0)->data_paddr + 24, 16);
	r->nargs = 255;
	trace_rings_init(&t, &guest, header, out_fd);
	trace_rings_round(&t, true, true);
	check(t.damaged && t.records <= 1, "a record beyond the head");
	trace_rings_free(&t);

	make_rings(1, 256);
	ring(0)->head = 1ull << 40;
	trace_rings_init(&t, &guest, header, out_fd);
	trace_rings_round(&t, true, true);
	check(t.damaged && !t.records, "a head beyond all reason");
	trace_rings_free(&t);

	make_rings(3, 256);
	ring(0)->data_size = 255;
	ring(1)->data_paddr = GUEST_SIZE - 8;
	header->ring[2] = GUEST_SIZE + 64;
	trace_rings_init(&t, &guest, header, out_fd);
	check(!t.cpu[0].ring && !t.cpu[1].ring && !t.cpu[2].ring, "rings that are no rings");
	trace_rings_round(&t, true, true);
	trace_rings_free(&t);

	for (unsigned seed = 1; seed < 300; seed++) { /* noise: the sanitizers judge */
		srand(seed);
		make_rings(2, 512);
		for (unsigned i = 0; i < 2 * (512 + 4096); i++)
			guest.base[FIRST_RING + i] = (uint8_t)(rand() & (seed & 1 ? 255 : 7));
		for (unsigned i = 0; i < 2; i++) {
			ring(i)->data_paddr = header->ring[i] + 4096;
			ring(i)->data_size = 512;
			ring(i)->tail = 0;
			ring(i)->head = 8 * (unsigned)(rand() % 65);
		}
		trace_rings_init(&t, &guest, header, out_fd);
		trace_rings_round(&t, false, true);
		trace_rings_round(&t, false, true);
		trace_rings_round(&t, true, true);
		trace_rings_free(&t);
	}
	check(true, "noise");
}

/* Random traffic: what was accepted comes out once, in order; what was not is counted. */
static void test_random(unsigned seed)
{
	struct trace_rings t;
	struct buf want = {0};
	unsigned accepted = 0, lost = 0;
	char *got, *to;

	srand(seed);
	make_rings(4, 512);
	trace_rings_init(&t, &guest, header, out_fd);
	buf_add(&want, "", 0);
	for (unsigned i = 1; i < 3000; i++) {
		unsigned cpu = (unsigned)rand() % 4;

		if (emit(cpu, i * 1000, 1 + (unsigned)rand() % 7, i)) {
			accepted++;
			buf_printf(&want, "%u:%u ", cpu, i);
		} else {
			lost++;
		}
		if (rand() % 16 == 0)
			trace_rings_round(&t, false, true);
	}
	trace_rings_round(&t, true, true);
	got = to = (char *)digest();
	for (char *from = got; *from;) { /* leave out the losses */
		size_t len = strcspn(from, " ") + 1;

		if (*from != 'L') {
			memmove(to, from, len);
			to += len;
		}
		from += len;
	}
	*to = '\0';
	check(!strcmp(got, want.data), "random traffic in order");
	check(t.records == accepted && t.dropped == lost, "random traffic counted");
	buf_free(&want);
	trace_rings_free(&t);
}

static int measure(void)
{
	struct trace_text t;
	uint64_t args[4] = {0x1234, 0, 0x7000 | 0x8000 | 0x80000, 1};
	struct trace_record r = {.event = EV_mm_page_alloc, .nargs = 4, .pid = 1};
	unsigned long n = 5000000;
	struct timespec from, to;

	trace_text_init(&t);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned long i = 0; i < n; i++) {
		r.ns = i * 1000;
		trace_text_line(&t, 1, &r, args, line);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%.1f million lines a second\n",
	       (double)n / ((double)(to.tv_sec - from.tv_sec) * 1e6 +
	                    (double)(to.tv_nsec - from.tv_nsec) / 1e3));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "-b"))
		return measure();
	test_lines();
	test_merge();
	test_late();
	test_wrap_and_pad();
	test_full_and_lost();
	test_damage();
	for (unsigned seed = 1; seed <= 50; seed++)
		test_random(seed);
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
