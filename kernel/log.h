/*
 * log.h - the kernel's log: a ring in memory that the host reads, with a copy to the serial port when asked.
 */
#ifndef KERNEL_LOG_H
#define KERNEL_LOG_H

#include <quire/types.h>

/* Publish the ring; "log" on the command line: serial copy. Needs the command line. */
void log_init(void);

/* Up to n bytes of the log from position *pos (bytes ever written) into buf; moves *pos. syslog(2), /dev/kmsg. */
size_t log_read(uint64_t *pos, char *buf, size_t n);
uint64_t log_size(void);
uint64_t log_end(void); /* bytes ever written */

/* The current time of the machine's life: stored in the header page. */
struct quire_header;
extern struct quire_header quire_header; /* arch/x86_64: the page at 1 MB */

#endif
