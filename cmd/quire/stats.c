/*
 * stats.c - the summary of a run's memory.
 */
#include "cmd/quire/stats.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *what;
} counters[] = {
#define COUNTER(id, name, what) {name, what},
#include "mm/trace/events.def"
};

/* The accounts of struct quire_frames; those up to "reserved" are not allocations. */
static const struct {
	const char *name, *what;
	size_t offset;
} kinds[] = {
#define KIND(field, what)                                          \
	{                                                          \
#field, what, offsetof(struct quire_frames, field) \
	}
        KIND(present, "RAM in all"),
        KIND(reserved, "kernel image, page descriptors, boot data"),
        KIND(free, "free"),
        KIND(slab, "kernel objects"),
        KIND(pagetable, "page tables"),
        KIND(kstack, "kernel stacks"),
        KIND(vmalloc, "vmalloc"),
        KIND(anon, "anonymous memory of programs"),
        KIND(file, "page cache of files"),
        KIND(shmem, "memory file systems, shared memory"),
        KIND(other, "other memory of the kernel"),
#undef KIND
};

static uint64_t frames_of(const struct quire_frames *f, unsigned kind)
{
	uint64_t n;

	memcpy(&n, (const char *)f + kinds[kind].offset, sizeof(n));
	return n;
}

/* Every account but the total. */
static uint64_t frames_sum(const struct quire_frames *f)
{
	uint64_t sum = 0;

	for (unsigned i = 1; i < ARRAY_SIZE(kinds); i++)
		sum += frames_of(f, i);
	return sum;
}

/* Are all frames in one of the accounts, and has every program's memory come back? */
static bool accounted(const struct quire_frames *f)
{
	return f->present && frames_sum(f) == f->present && !f->anon;
}

/* NULL when the kernel was built from another table of counters, or has published none. */
static const uint64_t *cpu_counters(const struct guest *g, const struct quire_header *h,
                                    unsigned cpu)
{
	if (h->nr_counters != ARRAY_SIZE(counters) || !h->cpu_counters[cpu])
		return NULL;
	return guest_at(g, h->cpu_counters[cpu],
	                sizeof(counters) / sizeof(counters[0]) * sizeof(uint64_t));
}

static uint64_t counter_sum(const struct guest *g, const struct quire_header *h, unsigned i)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < QUIRE_MAX_CPUS; cpu++) {
		const uint64_t *c = cpu_counters(g, h, cpu);

		sum += c ? c[i] : 0;
	}
	return sum;
}

/* "12.3M": three or four digits and a unit. */
static const char *human(uint64_t pages, char out[16])
{
	double v = (double)pages * (double)PAGE_SIZE / 1024;
	const char *unit = "KMGT";

	while (v >= 1000 && unit[1]) {
		v /= 1024;
		unit++;
	}
	snprintf(out, 16, *unit == 'K' ? "%.0f%c" : "%.1f%c", v, *unit);
	return out;
}

/* 1234567 -> "1,234,567" */
static const char *grouped(uint64_t n, char out[32])
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n),
	       to = 0;

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[to++] = ',';
		out[to++] = digits[i];
	}
	out[to] = '\0';
	return out;
}

static void text_frames(const struct quire_header *h, struct buf *out)
{
	char a[16], b[16], c[16];

	buf_printf(out, "  %10s %10s %10s  %s\n", "at start", "at exit", "at end", "frames");
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		buf_printf(out, "  %10s %10s %10s  %s\n", human(frames_of(&h->at_start, i), a),
		           human(frames_of(&h->at_exit, i), b), human(frames_of(&h->at_end, i), c),
		           kinds[i].what);
	if (h->min_free)
		buf_printf(out, "  %32s  fewest free at any time\n", human(h->min_free, a));
}

static void text_accounted(const struct quire_frames *f, struct buf *out)
{
	uint64_t sum = frames_sum(f);
	char a[32], b[32];

	if (accounted(f))
		buf_printf(out,
		           "  every frame is accounted for: %s of %s, none left with a program\n",
		           grouped(sum, a), grouped(f->present, b));
	else if (sum == f->present && f->present)
		buf_printf(out, "  NOT GIVEN BACK: %s frames of ended programs\n",
		           grouped(f->anon, a));
	else
		buf_printf(out, "  NOT ACCOUNTED FOR: the accounts hold %s of %s frames\n",
		           grouped(sum, a), grouped(f->present, b));
}

static void text_counters(const struct guest *g, const struct quire_header *h, struct buf *out)
{
	char a[32];

	if (h->nr_counters != ARRAY_SIZE(counters)) {
		buf_printf(
		        out,
		        "  no counters: this kernel and this command were built from different sources\n");
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(counters); i++) {
		uint64_t sum = counter_sum(g, h, i);

		if (sum)
			buf_printf(out, "  %14s  %-28s %s\n", grouped(sum, a), counters[i].name,
			           counters[i].what);
	}
}

void stats_text(const struct guest *g, struct buf *out)
{
	const struct quire_header *h = guest_header(g);
	char a[16];

	if (!h)
		return;
	buf_printf(out, "quire: memory %s, %u CPU%s, booted in %.2f ms, ran %.2f ms\n",
	           human(h->at_start.present, a), h->nr_cpus, h->nr_cpus == 1 ? "" : "s",
	           (double)h->boot_ns / 1e6, (double)h->run_ns / 1e6);
	if (atomic_load(&h->state) == QUIRE_DONE) {
		text_frames(h, out);
		text_accounted(&h->at_end, out);
	} else {
		buf_printf(out, "  the run did not come to its end: its frames were not counted\n");
	}
	text_counters(g, h, out);
}

static void json_frames(const char *name, const struct quire_frames *f, struct buf *out)
{
	buf_printf(out, "\"%s\":{", name);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		buf_printf(out, "%s\"%s\":%llu", i ? "," : "", kinds[i].name,
		           (unsigned long long)frames_of(f, i));
	buf_printf(out, "}");
}

/* cpu < 0: the sums. */
static void json_counters(const struct guest *g, const struct quire_header *h, int cpu,
                          struct buf *out)
{
	const uint64_t *c = cpu < 0 ? NULL : cpu_counters(g, h, (unsigned)cpu);

	buf_printf(out, "{");
	for (unsigned i = 0; h->nr_counters == ARRAY_SIZE(counters) && i < ARRAY_SIZE(counters);
	     i++)
		buf_printf(out, "%s\"%s\":%llu", i ? "," : "", counters[i].name,
		           (unsigned long long)(cpu < 0 ? counter_sum(g, h, i)
		                                : c     ? c[i]
		                                        : 0));
	buf_printf(out, "}");
}

void stats_json(const struct guest *g, int status, struct buf *out)
{
	static const char *const exit_kinds[] = {"none", "status", "signal",
	                                         "exec", "memory", "word"};
	static const char *const states[] = {"booting", "running", "done", "panic"};
	const struct quire_header *h = guest_header(g);

	if (!h) {
		buf_printf(out, "{\"version\":0,\"state\":\"none\",\"status\":%d}\n", status);
		return;
	}
	buf_printf(
	        out,
	        "{\"version\":%u,\"state\":\"%s\",\"exit_kind\":\"%s\",\"exit_code\":%d,\"status\":%d,",
	        h->version, h->state < ARRAY_SIZE(states) ? states[h->state] : "unknown",
	        h->exit_kind < ARRAY_SIZE(exit_kinds) ? exit_kinds[h->exit_kind] : "unknown",
	        h->exit_code, status);
	buf_printf(out, "\"cpus\":%u,\"boot_ns\":%llu,\"run_ns\":%llu,\"page_size\":%zu,",
	           h->nr_cpus, (unsigned long long)h->boot_ns, (unsigned long long)h->run_ns,
	           PAGE_SIZE);
	json_frames("at_start", &h->at_start, out);
	buf_printf(out, ",");
	json_frames("at_exit", &h->at_exit, out);
	buf_printf(out, ",");
	json_frames("at_end", &h->at_end, out);
	buf_printf(out, ",\"min_free\":%llu,\"accounted\":%s,\"counters\":",
	           (unsigned long long)h->min_free, accounted(&h->at_end) ? "true" : "false");
	json_counters(g, h, -1, out);
	buf_printf(out, ",\"per_cpu\":[");
	for (unsigned cpu = 0; cpu < MIN(h->nr_cpus, (unsigned)QUIRE_MAX_CPUS); cpu++) {
		buf_printf(out, "%s", cpu ? "," : "");
		json_counters(g, h, (int)cpu, out);
	}
	buf_printf(out, "]}\n");
}
