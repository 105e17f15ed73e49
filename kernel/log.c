/*
 * log.c - the kernel's log, and what happens when an invariant is broken.
 *
 * The ring is static memory named by the header page; the host reads it there. Line: "[seconds.microseconds] text".
 * A lock with a way out: a panic while the log is being written goes on without it.
 */
#include "kernel/log.h"
#include "arch/x86_64/arch.h"
#include "kernel/task.h"
#include "lib/format.h"
#include <quire/header.h>
#include <quire/port.h>

#define LOG_SIZE (32u << 10)
#define LINE_MAX 256

static char ring[LOG_SIZE];
static spinlock_t log_lock; /* irqsave */
static bool to_serial;
static _Atomic bool panicking;

void log_init(void)
{
	char value[8];

	quire_header.log_paddr = kernel_virt_to_phys(ring).a;
	quire_header.log_size = LOG_SIZE;
	to_serial = boot_param("log", value, sizeof(value)) >= 0;
}

static void put_text(const char *text, size_t n)
{
	uint64_t head = atomic_load_explicit(&quire_header.log_head, memory_order_relaxed);

	for (size_t i = 0; i < n; i++)
		ring[(head + i) % LOG_SIZE] = text[i];
	atomic_store_explicit(&quire_header.log_head, head + n, memory_order_release);
	if (to_serial)
		serial_write(text, n);
}

static void log_line(const char *text, size_t n)
{
	uint64_t us = arch_clock_ns() / 1000;
	char stamp[32];
	size_t stamp_len =
	        format_cut(stamp, sizeof(stamp), "[%5lu.%06lu] ", us / 1000000, us % 1000000);
	irq_state_t state = irq_save();
	bool locked = true;

	while (!spin_trylock(&log_lock)) {
		if (atomic_load(&panicking)) {
			locked = false;
			break;
		}
		cpu_relax();
	}
	put_text(stamp, stamp_len);
	put_text(text, n);
	put_text("\n", 1);
	if (locked)
		spin_unlock(&log_lock);
	irq_restore(state);
}

void port_log(const char *fmt, ...)
{
	char line[LINE_MAX];
	va_list args;
	size_t n;

	va_start(args, fmt);
	n = vformat_cut(line, sizeof(line), fmt, args);
	va_end(args);
	log_line(line, n);
}

size_t log_read(uint64_t *pos, char *buf, size_t n)
{
	uint64_t head = atomic_load_explicit(&quire_header.log_head, memory_order_acquire);
	size_t i = 0;

	if (head > LOG_SIZE && *pos < head - LOG_SIZE)
		*pos = head - LOG_SIZE;
	while (i < n && *pos < head)
		buf[i++] = ring[(*pos)++ % LOG_SIZE];
	return i;
}

uint64_t log_size(void)
{
	return LOG_SIZE;
}

uint64_t log_end(void)
{
	return atomic_load_explicit(&quire_header.log_head, memory_order_acquire);
}

static void whole_log_to_serial(void)
{
	uint64_t pos = 0;
	char buf[128];
	size_t n;

	if (to_serial)
		return;
	while ((n = log_read(&pos, buf, sizeof(buf))))
		serial_write(buf, n);
}

void port_panic(const char *fmt, ...)
{
	char line[LINE_MAX];
	va_list args;

	irq_save();
	if (atomic_exchange(&panicking, true)) /* a panic in a panic, or on a second CPU */
		arch_exit(0x12);
	va_start(args, fmt);
	vformat_cut(line, sizeof(line), fmt, args);
	va_end(args);
	port_log("panic: %s", line);
	if (current)
		port_log("CPU %u, task %d (%s)", cpu_id(), current->pid, current->comm);
	arch_backtrace(NULL);
	atomic_store_explicit(&quire_header.state, QUIRE_PANIC, memory_order_release);
	whole_log_to_serial();
	arch_exit(0x12);
}
