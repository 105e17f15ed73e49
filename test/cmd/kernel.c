/*
 * kernel.c - a kernel that does just enough to test the command: 32 bits, no paging, no interrupts.
 *
 * It enters by PVH, fills in the header page, drives the ports of the console by polling, and ends the
 * machine as Quire does. What it does is chosen by words of its command line (quire run --set test.X=Y):
 *
 *   test.end=status,N | signal,N | exec,N | memory,N | panic | reset | hang | silent     how it ends (default status,0)
 *   test.do=echo       standard input to standard output, to the end
 *       test.late=MS   ports are opened only after that time
 *       test.slow=MS   time between two reads
 *   test.out=PORT      the port that output goes to, in place of 2
 *   test.do=flood,N    N bytes of a pattern to output and to error
 *   test.do=yes        output without end; ends with status 7 when nobody takes it
 *   test.do=control    the first line of the control port to output
 *   test.do=words      its command line to output
 *   test.do=archive    every member of the boot archive: name, size, the data's place in a page
 *   test.do=trace,N    N records of each of two CPUs into the rings
 */
#include <quire/counter.h>
#include <quire/header.h>

#define MMIO_FIRST 0xfeb00000u
#define MMIO_SLOTS 24
#define NR_PORTS   5
#define QUEUE_LEN  8
#define BUF_SIZE   4096

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr;
};

struct module {
	uint64_t paddr, size, cmdline, reserved;
};

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct queue {
	struct desc desc[QUEUE_LEN];
	struct {
		uint16_t flags, idx, ring[QUEUE_LEN], event;
	} avail;
	alignas(4) struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[QUEUE_LEN];
		uint16_t event;
	} used;
	uint16_t seen;
	uint8_t buf[QUEUE_LEN][BUF_SIZE];
};

struct control {
	uint32_t port;
	uint16_t event, value;
};

enum { DEVICE_READY = 0, PORT_ADD = 1, PORT_READY = 3, PORT_OPEN = 6 };

alignas(4096) struct quire_header header __attribute__((section(".header")));
static alignas(64) struct queue queues[2 * NR_PORTS + 2];
static volatile uint32_t *mmio;
static const char *cmdline;
static bool host_open[NR_PORTS];
static unsigned out = 2; /* the port of standard output */
static char log_ring[4096];
static uint64_t counters[NR_COUNTERS];

static void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

void *memcpy(void *to, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((char *)to)[i] = ((const char *)from)[i];
	return to;
}

void *memset(void *to, int c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile char *)to)[i] = (char)c;
	return to;
}

static size_t strlen_(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static bool starts(const char *s, const char *with)
{
	while (*with)
		if (*s++ != *with++)
			return false;
	return true;
}

/* The value of "key=value" on the command line, or "". */
static const char *word(const char *key)
{
	for (const char *p = cmdline; *p; p++)
		if ((p == cmdline || p[-1] == ' ') && starts(p, key) && p[strlen_(key)] == '=')
			return p + strlen_(key) + 1;
	return "";
}

static uint32_t number(const char *s)
{
	uint32_t n = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (uint32_t)(*s - '0');
	return n;
}

static const char *after_comma(const char *s)
{
	while (*s && *s != ' ' && *s != ',')
		s++;
	return *s == ',' ? s + 1 : "";
}

/* 64-bit fields shared with the host stay below 4 G here, so that two halves are as good as one store. */
static uint64_t get(const _Atomic uint64_t *at)
{
	return *(const volatile uint64_t *)at;
}

static void set(_Atomic uint64_t *at, uint64_t v)
{
	atomic_thread_fence(memory_order_seq_cst);
	*(volatile uint64_t *)at = v;
}

static void log_text(const char *s)
{
	uint64_t head = get(&header.log_head);

	for (; *s; s++) {
		log_ring[head++ & (sizeof(log_ring) - 1)] = *s;
		if (starts(word("test.serial"), "1"))
			outb(0x3f8, (uint8_t)*s);
	}
	set(&header.log_head, head);
}

/* --- virtio --- */

static void wait_ms(uint32_t ms)
{
	uint32_t khz = number(word("tsc_khz"));
	uint64_t until = __builtin_ia32_rdtsc() + (uint64_t)ms * khz;

	while (__builtin_ia32_rdtsc() < until)
		;
}

static void queue_setup(unsigned n)
{
	struct queue *q = &queues[n];

	mmio[0x30 / 4] = n;
	mmio[0x38 / 4] = QUEUE_LEN;
	mmio[0x80 / 4] = (uint32_t)q->desc;
	mmio[0x90 / 4] = (uint32_t)&q->avail;
	mmio[0xa0 / 4] = (uint32_t)&q->used;
	mmio[0x44 / 4] = 1;
}

static void give(unsigned n, unsigned i, uint32_t len, uint16_t flags)
{
	struct queue *q = &queues[n];

	q->desc[i] = (struct desc){(uint32_t)q->buf[i], len, flags, 0};
	q->avail.ring[q->avail.idx % QUEUE_LEN] = (uint16_t)i;
	atomic_thread_fence(memory_order_seq_cst);
	WRITE_ONCE(q->avail.idx, (uint16_t)(q->avail.idx + 1));
	atomic_thread_fence(memory_order_seq_cst);
	mmio[0x50 / 4] = n;
}

/* A used buffer: its number, or -1. */
static int take(unsigned n, uint32_t *len)
{
	struct queue *q = &queues[n];
	unsigned at = q->seen % QUEUE_LEN;

	if (READ_ONCE(q->used.idx) == q->seen)
		return -1;
	atomic_thread_fence(memory_order_seq_cst);
	q->seen++;
	*len = q->used.ring[at].len;
	return (int)q->used.ring[at].id;
}

static void control_poll(void)
{
	uint32_t len;
	int i;

	while ((i = take(2, &len)) >= 0) {
		struct control c;

		memcpy(&c, queues[2].buf[i], sizeof(c));
		if (c.event == PORT_OPEN && c.port < NR_PORTS)
			host_open[c.port] = c.value;
		give(2, (unsigned)i, BUF_SIZE, 2);
	}
}

static void control_send(uint32_t port, uint16_t event, uint16_t value)
{
	struct control c = {port, event, value};
	uint32_t len;

	memcpy(queues[3].buf[0], &c, sizeof(c));
	give(3, 0, sizeof(c), 0);
	while (take(3, &len) < 0)
		;
	control_poll();
}

static void console_init(void)
{
	for (unsigned i = 0; i < MMIO_SLOTS; i++) {
		volatile uint32_t *m = (volatile uint32_t *)(MMIO_FIRST + i * 512);

		if (m[0] == 0x74726976 && m[1] == 2 && m[2] == 3)
			mmio = m;
	}
	if (!mmio)
		return;
	mmio[0x70 / 4] = 0;
	mmio[0x70 / 4] = 3;
	mmio[0x24 / 4] = 0;
	mmio[0x20 / 4] = 2; /* several ports */
	mmio[0x24 / 4] = 1;
	mmio[0x20 / 4] = 1; /* VERSION_1 */
	mmio[0x70 / 4] = 11;
	for (unsigned n = 2; n < 2 * NR_PORTS + 2; n++)
		queue_setup(n);
	mmio[0x70 / 4] = 15;
	for (unsigned i = 0; i < QUEUE_LEN; i++)
		give(2, i, BUF_SIZE, 2);
	control_send(0, DEVICE_READY, 1);
	wait_ms(number(word("test.late")));
	for (unsigned p = 1; p < NR_PORTS; p++) {
		control_send(p, PORT_READY, 1);
		for (unsigned i = 0; i < QUEUE_LEN; i++)
			give(2 * p + 2, i, BUF_SIZE, 2);
		control_send(p, PORT_OPEN, 1);
		mmio[0x50 / 4] = 2 * p + 2; /* only now does QEMU look whether input can be taken */
	}
}

/* False when nobody takes it any more. */
static bool port_write(unsigned port, const void *data, uint32_t size)
{
	unsigned n = 2 * port + 3;
	uint32_t len;

	if (!size)
		return host_open[port];
	memcpy(queues[n].buf[0], data, size);
	control_poll();
	if (!host_open[port])
		return false;
	give(n, 0, size, 0);
	while (take(n, &len) < 0) {
		control_poll();
		if (!host_open[port])
			return false; /* QEMU may keep the buffer for ever */
	}
	return true;
}

/* Bytes read; 0 at the end of the stream. */
static uint32_t port_read(unsigned port, void *data)
{
	unsigned n = 2 * port + 2;

	for (;;) {
		uint32_t len;
		int i;

		control_poll();
		i = take(n, &len);
		if (i < 0 && !host_open[port] && queues[n].used.idx == queues[n].seen)
			return 0;
		if (i < 0)
			continue;
		memcpy(data, queues[n].buf[i], len);
		give(n, (unsigned)i, BUF_SIZE, 2);
		return len;
	}
}

static void print(const char *s)
{
	port_write(out, s, strlen_(s));
}

static void print_number(uint32_t n)
{
	char digits[12];
	unsigned at = sizeof(digits) - 1;

	digits[at] = 0;
	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	print(digits + at);
}

/* --- what the tests ask for --- */

static uint8_t data[BUF_SIZE];

static void do_echo(void)
{
	uint32_t n;

	while ((n = port_read(1, data))) {
		if (!port_write(out, data, n))
			return;
		wait_ms(number(word("test.slow")));
	}
}

static void do_flood(uint32_t total)
{
	for (uint32_t at = 0; at < total; at += BUF_SIZE) {
		for (uint32_t i = 0; i < BUF_SIZE; i++)
			data[i] = (uint8_t)((at + i) * 2654435761u >> 24);
		port_write(2, data, MIN(total - at, (uint32_t)BUF_SIZE));
		port_write(3, data, MIN(total - at, (uint32_t)BUF_SIZE));
	}
}

static void do_yes(void)
{
	memset(data, 'y', sizeof(data));
	while (port_write(out, data, sizeof(data)))
		;
	header.exit_code = 7;
}

static void do_control(void)
{
	uint32_t n;

	print("ready\n");
	n = port_read(4, data);
	port_write(out, data, n);
}

static uint32_t hex(const char *s)
{
	uint32_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 4 | (uint32_t)(s[i] <= '9' ? s[i] - '0' : (s[i] | 32) - 'a' + 10);
	return n;
}

static void do_archive(const char *a, uint32_t size)
{
	for (uint32_t pos = 0; pos + 110 < size;) {
		const char *h = a + pos, *name = h + 110;
		uint32_t len, place;

		if (!starts(h, "07070")) { /* between archives */
			pos += 4;
			continue;
		}
		len = hex(h + 54);
		place = ALIGN_UP(pos + 110 + hex(h + 94), 4u);
		print(name);
		print(" ");
		print_number(len);
		print(" ");
		print_number(((uint32_t)a + place) & 4095);
		print("\n");
		if (starts(name, ".quire/"))
			for (uint32_t i = 0; i < len; i += strlen_(a + place + i) + 1) {
				print("  ");
				print(a + place + i);
				print("\n");
			}
		pos = ALIGN_UP(place + len, 4u);
	}
}

/* CPU c writes a record at 2k + c microseconds; a pad closes each turn of its ring. */
static void trace_one(struct trace_ring *r, uint64_t ns, int32_t pid, uint16_t event,
                      unsigned nargs, const uint64_t *args)
{
	uint64_t head = get(&r->head), mask = r->data_size - 1;
	uint64_t size = sizeof(struct trace_record) + nargs * 8,
	         room = r->data_size - (head & mask);
	uint64_t pad = room < size ? room : 0;
	struct trace_record *t = (void *)(uint32_t)(r->data_paddr + (head & mask));

	if (head + pad + size - get(&r->tail) > r->data_size) {
		set(&r->lost, get(&r->lost) + 1);
		return;
	}
	if (pad >= sizeof(*t))
		*t = (struct trace_record){.event = TRACE_PAD};
	head += pad;
	t = (void *)(uint32_t)(r->data_paddr + (head & mask));
	*t = (struct trace_record){ns, event, (uint8_t)nargs, 0, pid};
	memcpy(t + 1, args, nargs * 8);
	set(&r->head, head + size);
}

static void do_trace(uint32_t count)
{
	const char *w = word("trace");
	uint32_t base = hex(w + 2), ring_size = 64 << 10;
	struct trace_ring *r[2];
	uint64_t name[3] = {1, 0x6d617267, 0};

	for (const char *p = w + 2; *p && *p != ','; p++)
		base = p == w + 2 ? 0 : base,
		base = base << 4 | (uint32_t)(*p <= '9' ? *p - '0' : (*p | 32) - 'a' + 10);
	for (uint32_t c = 0; c < 2; c++) {
		r[c] = (void *)(base + c * (ring_size + 4096));
		r[c]->data_paddr = (uint32_t)r[c] + 4096;
		r[c]->data_size = ring_size;
		header.ring[c] = (uint32_t)r[c];
	}
	atomic_store(&header.state, QUIRE_RUNNING);
	trace_one(r[0], 1, 1, EV_task_rename, 3, name);
	for (uint32_t i = 1; i <= count; i++)
		for (uint32_t c = 0; c < 2; c++) {
			uint64_t args[4] = {i, c, 0, 1};

			trace_one(r[c], (2ull * i + c) * 1000, 1,
			          c ? EV_mm_page_free : EV_mm_page_alloc, c ? 2 : 4, args);
		}
}

static NORETURN void end(void)
{
	const char *how = word("test.end");

	if (starts(how, "status"))
		header.exit_code = (int32_t)number(after_comma(how));
	header.exit_kind = QUIRE_EXIT_STATUS;
	if (starts(how, "signal"))
		header.exit_kind = QUIRE_EXIT_SIGNAL;
	if (starts(how, "exec"))
		header.exit_kind = QUIRE_EXIT_EXEC;
	if (starts(how, "memory"))
		header.exit_kind = QUIRE_EXIT_MEMORY;
	if (starts(how, "word"))
		header.exit_kind = QUIRE_EXIT_WORD;
	if (*how && header.exit_kind != QUIRE_EXIT_STATUS)
		header.exit_code = (int32_t)number(after_comma(how));
	if (starts(how, "reset"))
		__asm__ volatile("lidt (%0); int3" : : "r"("\0\0\0\0\0\0\0"));
	while (starts(how, "hang"))
		__asm__ volatile("pause");
	if (!starts(how, "silent"))
		atomic_store(&header.state, starts(how, "panic") ? QUIRE_PANIC : QUIRE_DONE);
	if (starts(how, "panic"))
		log_text("the sky is falling\n  at kernel.c\n");
	for (;;)
		outb(0xf4, starts(how, "panic") ? 0x12 : 0x10);
}

void start(const struct start_info *si)
{
	const struct module *m = (void *)(uint32_t)si->modlist_paddr;
	const char *what;

	cmdline = (void *)(uint32_t)si->cmdline_paddr;
	header.version = QUIRE_HEADER_VERSION;
	header.header_size = sizeof(header);
	header.nr_cpus = 2;
	header.log_paddr = (uint32_t)log_ring;
	header.log_size = sizeof(log_ring);
	header.nr_counters = NR_COUNTERS;
	header.cpu_counters[0] = (uint32_t)counters;
	counters[COUNT_PGFAULT] = 1234567;
	header.at_start = (struct quire_frames){.present = 65536, .reserved = 536, .free = 65000};
	header.at_exit =
	        (struct quire_frames){.present = 65536, .reserved = 536, .free = 64990, .anon = 10};
	header.at_end = header.at_start;
	atomic_thread_fence(memory_order_seq_cst);
	/* In two steps; half of it is none. */
	*(volatile uint64_t *)&header.magic = QUIRE_HEADER_MAGIC;
	log_text("boot\n");
	if (*word("test.out"))
		out = number(word("test.out"));
	console_init();
	what = word("test.do");
	if (starts(what, "echo"))
		do_echo();
	else if (starts(what, "flood"))
		do_flood(number(after_comma(what)));
	else if (starts(what, "yes"))
		do_yes();
	else if (starts(what, "control"))
		do_control();
	else if (starts(what, "words"))
		print(cmdline);
	else if (starts(what, "archive"))
		do_archive((void *)(uint32_t)m->paddr, (uint32_t)m->size);
	else if (starts(what, "trace"))
		do_trace(number(after_comma(what)));
	end();
}

__asm__(".section .note.pvh, \"a\", @note\n"
        ".align 4\n"
        ".long 4, 4, 18\n"
        ".asciz \"Xen\"\n"
        ".long enter\n"
        ".text\n"
        ".globl enter\n"
        "enter: mov $stack_top, %esp\n"
        "push %ebx\n"
        "call start\n"
        ".bss\n"
        ".align 16\n"
        ".skip 16384\n"
        "stack_top:\n"
        ".section .note.GNU-stack, \"\", @progbits\n");
