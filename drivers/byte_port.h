/*
 * byte_port.h - the inside of a byte port, shared by byte_port.c and console.c.
 *
 * Lock key
 *   (i) set while probing            (l) port->lock (irqsave), innermost
 *   (o) the one that set the slot's or the port's busy mark
 */
#ifndef DRIVERS_BYTE_PORT_H
#define DRIVERS_BYTE_PORT_H

#include "drivers/console.h"
#include "drivers/virtio.h"

#define TX_SLOTS 4
#define TX_ORDER 3 /* 32 KB a slot where memory allows */

/* A piece of output: filled by a writer, then in the device's hands, then free again. */
struct tx_slot {
	void *buf;      /* (o) NULL: none yet; slot 0's page is the port's for ever */
	unsigned order; /* (o) */
	bool busy;      /* (l) taken by a writer or by the device */
};

/* A page of input. */
struct rx_buf {
	uint8_t *data;     /* (i) */
	uint32_t len, off; /* (o) bytes received, bytes taken */
};

struct byte_port {
	unsigned id; /* (i) the device's number for it */
	spinlock_t lock;
	struct virtqueue *rx, *tx; /* (l) after probing; NULL: not that direction */
	bool closed;               /* (l) by the host */
	struct wait_queue read_wait, write_wait;

	struct tx_slot tx_slot[TX_SLOTS];
	unsigned tx_inflight; /* (l) slots in the device's hands */
	unsigned tx_waiters;  /* (l) sleepers that need an interrupt when a slot comes back */

	struct rx_buf rx_buf[BYTE_PORT_RX_PAGES];
	struct rx_buf *rx_fifo[BYTE_PORT_RX_PAGES]; /* (l) arrived, oldest at rx_head */
	unsigned rx_head, rx_count;                 /* (l) */
	size_t rx_bytes;                            /* (l) arrived and not taken */
	unsigned rx_pages;                          /* (i) at most so many buffers */
	bool rx_started;                            /* (l) buffers are with the device */
	bool rx_busy;  /* (l) someone copies out of the oldest buffer, or runs the client */
	bool rx_again; /* (l) new input or a wish to resume came meanwhile */

	struct byte_port_client client; /* (l) input NULL: reads are used */
	bool closed_told;               /* (l) */
};

/*
 * Memory and queues of a port: at most rx_pages of input, 0: no input; tx: output. 0, -ENOENT,
 * -ENOMEM. Sleeps; while probing.
 */
MUST_USE int byte_port_setup(struct byte_port *port, struct virtio_device *dev, unsigned id,
                             unsigned rx_pages, bool tx);
/* Undo it, also half done; the device has been reset or will be. */
void byte_port_teardown(struct byte_port *port);

/* The device used buffers: take input, free output, wake. Interrupt context. */
void byte_port_interrupt(struct byte_port *port);

/* The host opened or closed its end. Any context. */
void byte_port_set_open(struct byte_port *port, bool open);

/* As byte_port_drain, whatever signals come. */
void byte_port_drain_final(struct byte_port *port);

#endif
