/*
 * trace_text.h - trace records as the text that Linux's tracefs prints.
 *
 *            sort-12      [001] .....     3.001402: mm_page_alloc: page=0xffffea0000012340 pfn=0x91a order=0 ...
 *            name-pid     CPU   flags     seconds   event: its format in events.def, filled in
 *
 * Names of tasks come from the events task_newtask and task_rename themselves.
 */
#ifndef QUIRE_CMD_TRACE_TEXT_H
#define QUIRE_CMD_TRACE_TEXT_H

#include <quire/header.h>
#include "cmd/quire/util.h"

#define TRACE_LINE_MAX 2048 /* no line is longer */
#define TRACE_COMM_LEN 16

struct trace_task {
	int32_t pid;
	bool used;
	char comm[TRACE_COMM_LEN];
};

/* The state of one trace: names of its tasks, an open-addressed table by pid. */
struct trace_text {
	struct trace_task *tasks;
	unsigned nr_tasks, size; /* size: a power of two, or 0 */
};

/* NULL, or the first event whose format in events.def cannot be printed. */
const char *trace_text_init(struct trace_text *t);
void trace_text_free(struct trace_text *t);

/* The lines that open a trace. */
void trace_text_header(struct buf *out, unsigned nr_cpus);

/* One record as a line into out (TRACE_LINE_MAX bytes); its length. */
size_t trace_text_line(struct trace_text *t, unsigned cpu, const struct trace_record *r,
                       const uint64_t *args, char *out);

/* "CPU:1 [LOST 12 EVENTS]", as ftrace writes it. */
size_t trace_text_lost(unsigned cpu, uint64_t lost, char *out);

#endif
