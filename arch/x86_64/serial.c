/*
 * serial.c - the first serial port, 16550, for the log; and the way out.
 */
#include "arch/x86_64/internal.h"

#define COM1       0x3f8
#define FCR        2
#define FCR_ENABLE 1
#define LSR        5
#define LSR_THRE   0x20
#define DEBUG_EXIT 0xf4
#define FIFO       16 /* bytes that the port takes at once when it is empty */

/* Without its FIFO the port takes one byte, and loses what comes while a slow reader lets that one wait. */
void serial_init(void)
{
	outb(COM1 + FCR, FCR_ENABLE);
}

/* However long the log's reader takes: what comes too early is lost. Without such a port all bits read as set. */
void serial_write(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i % FIFO == 0)
			while (!(inb(COM1 + LSR) & LSR_THRE))
				cpu_relax();
		outb(COM1, (uint8_t)text[i]);
	}
}

void arch_exit(unsigned value)
{
	irq_disable();
	outl(DEBUG_EXIT, value);
	/* No such device: a triple fault ends a machine that may not reboot. */
	__asm__ volatile("lidt %0; int3" : : "m"((const struct { uint64_t zero[2]; }){{0, 0}}));
	for (;;)
		__asm__ volatile("hlt");
}
