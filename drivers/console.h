/*
 * console.h - byte ports: the streams between a guest's programs and the command
 * (doc/boot-protocol.md).
 *
 * Each of the ports is a pair of byte streams with the host's flow control: a byte written has been
 * taken by the host when its buffer comes back, and a byte not yet read holds the host's writer up.
 * Memory in flight is bounded for each port (BYTE_PORT_TX_PAGES written, BYTE_PORT_RX_PAGES
 * received).
 *
 * States: a port is absent (not in this machine: all calls give -ENXIO), open, or closed by the
 * host, after which what had arrived can still be read, then reads give 0 and writes -EPIPE. The
 * sender of SIGPIPE is the file layer.
 *
 * Locks: each port has one spin lock (irqsave), innermost; it is not held while data is copied.
 */
#ifndef DRIVERS_CONSOLE_H
#define DRIVERS_CONSOLE_H

#include <quire/sync.h>

#define BYTE_PORT_TX_PAGES 16 /* 64 KB a kick */
#define BYTE_PORT_RX_PAGES 4

enum {
	PORT_STDIN = 0, /* and the terminal's both directions when it is one */
	PORT_STDOUT = 1,
	PORT_STDERR = 2,
	PORT_CONTROL = 3, /* taken by the driver: see console_set_control() */
	NR_BYTE_PORTS
};

struct byte_port;

/* Port number n; NULL: this machine has no such port. Valid for ever. After drivers_init(). */
struct byte_port *byte_port(unsigned n);

/*
 * Write n bytes from kernel memory, or from the running task's memory. Sleeps until all of it is in
 * the device's hands, unless nonblock. Bytes written; or, if none could be, -EAGAIN (nonblock),
 * -ERESTARTSYS (signal), -EPIPE (the host closed), -EFAULT, -ENOMEM.
 */
int64_t byte_port_write(struct byte_port *port, const void *from, size_t n, bool nonblock);
int64_t byte_port_write_user(struct byte_port *port, vaddr_t from, size_t n, bool nonblock);

/*
 * Read up to n bytes: what is there, else sleeps for the first unless nonblock. Bytes read, 0 at
 * end of file; or -EAGAIN, -ERESTARTSYS, -EFAULT.
 */
int64_t byte_port_read(struct byte_port *port, void *to, size_t n, bool nonblock);
int64_t byte_port_read_user(struct byte_port *port, vaddr_t to, size_t n, bool nonblock);

/* Readiness, level: what read and write would do now without sleeping. Any context. */
#define BYTE_PORT_IN  1u /* data or end of file */
#define BYTE_PORT_OUT 4u /* room for at least one page */
#define BYTE_PORT_HUP 16u
unsigned byte_port_poll(struct byte_port *port);

/* Bytes that have arrived and were not read (FIONREAD). */
size_t byte_port_pending(struct byte_port *port);

/*
 * Woken (wake_up_all) from interrupt context whenever readiness for reading, for writing may have
 * changed.
 */
struct wait_queue *byte_port_read_wait(struct byte_port *port);
struct wait_queue *byte_port_write_wait(struct byte_port *port);

/*
 * For a terminal: input is handed over as it arrives instead of waiting for reads. input() runs in
 * interrupt context or under byte_port_resume_input(), never twice at once, and returns how many
 * bytes it took; if fewer than n, the rest stays (and holds the host up) until
 * byte_port_resume_input(). closed() tells of the host's end, after the last input. What arrived
 * earlier is handed over at once.
 */
struct byte_port_client {
	size_t (*input)(void *ctx, const uint8_t *data, size_t n);
	void (*closed)(void *ctx);
	void *ctx;
};
void byte_port_attach(struct byte_port *port, const struct byte_port_client *client);
void byte_port_resume_input(struct byte_port *port); /* any context, not from input() */

/*
 * Wait until the host has taken all that was written to this port (tcdrain). 0 or -ERESTARTSYS.
 * Sleeps.
 */
MUST_USE int byte_port_drain(struct byte_port *port);

/*
 * The control port's lines, in interrupt context: `winsize ROWS COLS`, `signal N` with N in 1..64.
 * Each may be NULL. Lines that came before are delivered at once.
 */
struct console_control {
	void (*winsize)(unsigned rows, unsigned cols);
	void (*signal)(int signo);
};
void console_set_control(const struct console_control *control);

/*
 * At the end of a run: wait until every port's output has been taken by the host. Sleeps; not
 * interruptible.
 */
void console_drain(void);

/*
 * Find the devices and start their drivers (kernel_main, after mm_init and before fs_init). Sleeps.
 */
void drivers_init(void);

#endif
