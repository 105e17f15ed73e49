/*
 * trace_text.c - trace records as text.
 *
 * The formats of events.def are taken apart once into pieces (a literal, then one argument in one form);
 * a line is then a walk over pieces. A trace is tens of millions of lines, printf would take most of the time.
 */
#include "cmd/quire/trace_text.h"

#include <quire/counter.h>
#include <quire/flag_names.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS   7
#define MAX_PIECES 12

/* Where mem_map is mapped in the kernel, and the size of a descriptor (arch.h, page.h). */
#define VMEMMAP_START 0xffffea0000000000ull
#define PAGE_DESC     32
#define PAGEBLOCK     9 /* pageblock_order of frame.h */

static const struct {
	const char *name, *format;
	unsigned nargs;
} events[] = {
#define EVENT(subsystem, name, nargs, format) {#name, format, nargs},
#include "mm/trace/events.def"
};

struct piece {
	const char *literal;
	uint16_t literal_len;
	char form; /* 'd' 'u' 'x', 'c' text in two arguments, or one of ours; 0: the literal alone */
	uint8_t arg; /* from 0 */
	uint8_t width;
	bool zero, prefix; /* pad with zeros; print 0x before */
};

static struct piece pieces[NR_EVENTS][MAX_PIECES];

/* Output with an end: what does not fit is cut, never written past. */
struct out {
	char *p, *end;
};

static void put(struct out *o, const char *text, size_t len)
{
	len = MIN(len, (size_t)(o->end - o->p));
	memcpy(o->p, text, len);
	o->p += len;
}

static void put_text(struct out *o, const char *text)
{
	put(o, text, strlen(text));
}

static void put_char(struct out *o, char c)
{
	if (o->p < o->end)
		*o->p++ = c;
}

static void put_number(struct out *o, uint64_t n, unsigned base, unsigned width, char fill)
{
	char digits[24];
	unsigned at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	while (sizeof(digits) - at < width && at)
		digits[--at] = fill;
	put(o, digits + at, sizeof(digits) - at);
}

static void put_signed(struct out *o, int64_t n, unsigned width, char fill)
{
	if (n < 0)
		put_char(o, '-');
	put_number(o, n < 0 ? -(uint64_t)n : (uint64_t)n, 10, width, fill);
}

/* 16 bytes of text in two little-endian words; what could break a line is replaced. */
static void put_comm(struct out *o, const uint64_t *words)
{
	char text[TRACE_COMM_LEN];

	memcpy(text, words, sizeof(text));
	for (unsigned i = 0; i < sizeof(text) && text[i]; i++)
		put_char(o, text[i] > ' ' && text[i] < 127 ? text[i] : text[i] == ' ' ? ' ' : '?');
}

static const struct {
	uint32_t mask;
	const char *name;
} gfp_names[] = {
#define F(flag) {flag, #flag},
        GFP_FLAG_NAMES(F)
#undef F
};

static void put_gfp(struct out *o, uint64_t flags)
{
	bool first = true;

	for (unsigned i = 0; flags && i < ARRAY_SIZE(gfp_names); i++) {
		if ((flags & gfp_names[i].mask) != gfp_names[i].mask)
			continue;
		if (!first)
			put_char(o, '|');
		first = false;
		put_text(o, gfp_names[i].name);
		flags &= ~(uint64_t)gfp_names[i].mask;
	}
	if (flags || first) {
		put_text(o, first ? "0x" : "|0x");
		put_number(o, flags, 16, 0, '0');
	}
}

/* Enumerations of include/quire/: lru_list (policy.h), rss_counter and fault_kind (mm.h); of Linux: TLB flush reasons. */
static const char *const lru_names[] = {"inactive_anon", "active_anon", "inactive_file",
                                        "active_file", "unevictable"};
static const char *const rss_names[] = {"MM_FILEPAGES", "MM_ANONPAGES", "MM_SWAPENTS",
                                        "MM_SHMEMPAGES"};
static const char *const fault_names[] = {"none",    "anon",   "zero",         "file",
                                          "cow",     "reuse",  "shared_write", "spurious",
                                          "sigsegv", "sigbus", "oom"};
static const char *const flush_names[] = {"flush on task switch", "remote shootdown",
                                          "local shootdown", "local mm shootdown",
                                          "remote ipi send"};

static const char *const zone_names[] = {"DMA", "DMA32", "Normal", "HighMem", "Movable"};

/* Of compaction: its results (mm/frame/compaction.h) and modes; reasons to move a page. */
static const char *const compact_names[] = {"not_suitable_zone", "skipped",   "deferred",
                                            "no_suitable_page",  "continue",  "complete",
                                            "partial_skipped",   "contended", "success"};
static const char *const sync_names[] = {"async", "sync"};
static const char *const migrate_names[] = {"MIGRATE_ASYNC", "MIGRATE_SYNC_LIGHT", "MIGRATE_SYNC"};
static const char *const reason_names[] = {"compaction"};

static void put_name(struct out *o, const char *const *names, size_t n, uint64_t value)
{
	if (value < n)
		put_text(o, names[value]);
	else
		put_number(o, value, 10, 0, ' ');
}

/* Padded to the width, as Linux's %-8s. */
static void put_zone(struct out *o, uint64_t zone, unsigned width)
{
	const char *start = o->p;

	put_name(o, zone_names, ARRAY_SIZE(zone_names), zone);
	while ((size_t)(o->p - start) < width && o->p < o->end)
		put_char(o, ' ');
}

static void put_argument(struct out *o, const struct piece *p, const uint64_t *args)
{
	uint64_t v = args[p->arg];
	char fill = p->zero ? '0' : ' ';

	if (p->prefix)
		put_text(o, "0x");
	switch (p->form) {
	case 'd':
		put_signed(o, (int64_t)v, p->width, fill);
		break;
	case 'u':
		put_number(o, v, 10, p->width, fill);
		break;
	case 'x':
		put_number(o, v, 16, p->width, fill);
		break;
	case 'c':
		put_comm(o, args + p->arg);
		break;
	case 'G':
		put_gfp(o, v);
		break;
	case 'L':
		put_name(o, lru_names, ARRAY_SIZE(lru_names), v);
		break;
	case 'M':
		put_name(o, rss_names, ARRAY_SIZE(rss_names), v);
		break;
	case 'F':
		put_name(o, fault_names, ARRAY_SIZE(fault_names), v);
		break;
	case 'T':
		put_name(o, flush_names, ARRAY_SIZE(flush_names), v);
		break;
	case 'C':
		put_name(o, compact_names, ARRAY_SIZE(compact_names), v);
		break;
	case 'Z':
		put_zone(o, v, p->width);
		break;
	case 'S':
		put_name(o, sync_names, ARRAY_SIZE(sync_names), v);
		break;
	case 'J':
		put_name(o, migrate_names, ARRAY_SIZE(migrate_names), v);
		break;
	case 'R':
		put_name(o, reason_names, ARRAY_SIZE(reason_names), v);
		break;
	case 'B':
		put_number(o, v < PAGEBLOCK, 10, 0, '0');
		break;
	case 'P':
		put_text(o, "0x");
		put_number(o, VMEMMAP_START + v * PAGE_DESC, 16, 0, '0');
		break;
	}
}

static unsigned take_digits(const char **f)
{
	unsigned n = 0;

	while (**f >= '0' && **f <= '9')
		n = n * 10 + (unsigned)(*(*f)++ - '0');
	return n;
}

/* The letter after the flags: printf's, or p and one of ours. */
static bool take_form(const char **f, struct piece *p, unsigned *words)
{
	while (**f == 'l')
		(*f)++;
	*words = 1;
	if (**f == 'p' && (*f)[1] == '1' && (*f)[2] == '6') {
		p->form = 'c';
		*words = 2;
		*f += 3;
		return true;
	}
	if (**f == 'p')
		(*f)++;
	else if (**f == 'i' || !strchr("dux", **f) || !**f)
		return false;
	else
		return p->form = *(*f)++, true;
	if (!**f || !strchr("GLMFTPCZSJRB", **f))
		return false;
	p->form = *(*f)++;
	return true;
}

/* One conversion, f just after its %. next: the argument that follows the last one. */
static bool take_conversion(const char **f, struct piece *p, unsigned *next, unsigned nargs)
{
	const char *start = *f;
	unsigned position = take_digits(f), words;

	if (**f == '$')
		(*f)++;
	else
		position = 0, *f = start;
	for (;; (*f)++) {
		if (**f == '#')
			p->prefix = true;
		else if (**f == '0')
			p->zero = true;
		else if (**f != '-') /* names are always padded on the right */
			break;
	}
	p->width = (uint8_t)MIN(take_digits(f), 20u);
	if (!take_form(f, p, &words))
		return false;
	p->arg = (uint8_t)(position ? position - 1 : *next);
	*next = p->arg + words;
	return p->arg + words <= nargs;
}

static bool take_apart(unsigned event)
{
	const char *f = events[event].format;
	unsigned n = 0, next = 0;

	while (*f) {
		struct piece *p = &pieces[event][n++];

		if (n > MAX_PIECES)
			return false;
		*p = (struct piece){.literal = f, .literal_len = (uint16_t)strcspn(f, "%")};
		f += p->literal_len;
		if (!*f)
			break;
		f++;
		if (*f == '%')
			return false; /* no event prints one */
		if (!take_conversion(&f, p, &next, events[event].nargs))
			return false;
	}
	return true;
}

const char *trace_text_init(struct trace_text *t)
{
	static bool ready;

	*t = (struct trace_text){0};
	for (unsigned i = 0; !ready && i < NR_EVENTS; i++)
		if (!take_apart(i))
			return events[i].name;
	ready = true;
	return NULL;
}

void trace_text_free(struct trace_text *t)
{
	free(t->tasks);
	*t = (struct trace_text){0};
}

static struct trace_task *slot(struct trace_text *t, int32_t pid)
{
	unsigned i = (uint32_t)pid * 0x9e3779b9u;

	for (i &= t->size - 1; t->tasks[i].used && t->tasks[i].pid != pid;
	     i = (i + 1) & (t->size - 1))
		;
	return &t->tasks[i];
}

static void grow(struct trace_text *t)
{
	struct trace_task *old = t->tasks;
	unsigned old_size = t->size;

	t->size = MAX(old_size * 2, 256u);
	t->tasks = xcalloc(t->size, sizeof(*t->tasks));
	for (unsigned i = 0; i < old_size; i++)
		if (old[i].used)
			*slot(t, old[i].pid) = old[i];
	free(old);
}

static void learn(struct trace_text *t, int32_t pid, const uint64_t *words)
{
	struct trace_task *task;
	struct out o;

	if (t->nr_tasks * 2 >= t->size)
		grow(t);
	task = slot(t, pid);
	t->nr_tasks += !task->used;
	*task = (struct trace_task){.pid = pid, .used = true};
	o = (struct out){task->comm, task->comm + sizeof(task->comm) - 1};
	put_comm(&o, words);
}

static const char *comm_of(struct trace_text *t, int32_t pid)
{
	struct trace_task *task = t->size ? slot(t, pid) : NULL;

	if (pid == 0)
		return "<idle>";
	return task && task->used ? task->comm : "<...>";
}

static void put_padded(struct out *o, const char *text, unsigned width)
{
	for (size_t len = strlen(text); len < width; len++)
		put_char(o, ' ');
	put_text(o, text);
}

/* "            sort-12      [001] .....     3.001402: " */
static void put_context(struct out *o, struct trace_text *t, unsigned cpu,
                        const struct trace_record *r)
{
	uint64_t us = r->ns / 1000;
	char *pid;

	put_padded(o, comm_of(t, r->pid), 16);
	put_char(o, '-');
	pid = o->p;
	put_signed(o, r->pid, 0, ' ');
	while (o->p - pid < 7)
		put_char(o, ' ');
	put_text(o, " [");
	put_number(o, cpu, 10, 3, '0');
	put_text(o, r->flags & TRACE_IRQ ? "] d.h1. " : "] ..... ");
	put_number(o, us / 1000000, 10, 5, ' ');
	put_char(o, '.');
	put_number(o, us % 1000000, 10, 6, '0');
	put_text(o, ": ");
}

static void put_unknown(struct out *o, const struct trace_record *r, const uint64_t *args)
{
	put_text(o, "event_");
	put_number(o, r->event, 10, 0, ' ');
	put_char(o, ':');
	for (unsigned i = 0; i < r->nargs; i++) {
		put_text(o, " 0x");
		put_number(o, args[i], 16, 0, ' ');
	}
}

static void put_event(struct out *o, const struct trace_record *r, const uint64_t *args)
{
	const struct piece *p = pieces[r->event];

	put_text(o, events[r->event].name);
	put_text(o, ": ");
	for (unsigned i = 0; i < MAX_PIECES && p[i].literal; i++) {
		put(o, p[i].literal, p[i].literal_len);
		if (p[i].form)
			put_argument(o, &p[i], args);
	}
}

size_t trace_text_line(struct trace_text *t, unsigned cpu, const struct trace_record *r,
                       const uint64_t *args, char *line)
{
	struct out o = {line, line + TRACE_LINE_MAX - 1};
	bool known = r->event < NR_EVENTS && r->nargs == events[r->event].nargs;

	put_context(&o, t, cpu, r);
	if (known)
		put_event(&o, r, args);
	else
		put_unknown(&o, r, args);
	*o.p++ = '\n';
	if (known && (r->event == EV_task_newtask || r->event == EV_task_rename))
		learn(t, (int32_t)args[0], args + 1);
	return (size_t)(o.p - line);
}

size_t trace_text_lost(unsigned cpu, uint64_t lost, char *line)
{
	return (size_t)snprintf(line, TRACE_LINE_MAX, "CPU:%u [LOST %llu EVENTS]\n", cpu,
	                        (unsigned long long)lost);
}

void trace_text_header(struct buf *out, unsigned nr_cpus)
{
	buf_printf(out,
	           "# tracer: nop\n#\n# entries-in-buffer/entries-written: 0/0   #P:%u\n#\n"
	           "#                                _-----=> irqs-off/BH-disabled\n"
	           "#                               / _----=> need-resched\n"
	           "#                              | / _---=> hardirq/softirq\n"
	           "#                              || / _--=> preempt-depth\n"
	           "#                              ||| / _-=> migrate-disable\n"
	           "#                              |||| /     delay\n"
	           "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
	           "#              | |         |   |||||     |         |\n",
	           nr_cpus);
}
