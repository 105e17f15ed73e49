/*
 * console.c - the virtio console device with several ports (VIRTIO 1.1, 5.3).
 *
 *     queue 2       control messages from the device     {port, event, value}
 *     queue 3       control messages to it
 *     queue 2i+2    input of port i (i > 0)
 *     queue 2i+3    output of port i
 *
 * Handshake: DEVICE_READY; the device names its ports (PORT_ADD); each is answered by PORT_READY
 * and, where input is wanted, PORT_OPEN. An emulator that works inside the kick has its messages in
 * queue 2 when the kick returns, so the whole handshake is two kicks. A slower one goes on by
 * interrupts, and output written before it is through waits in the queue.
 *
 * Stream n of console.h is port n + 1 of the device (doc/boot-protocol.md). Only the queues in use
 * are set up.
 */
#include "drivers/byte_port.h"

#include "arch/x86_64/arch.h"
#include "lib/string.h"
#include <quire/errno.h>
#include <quire/slab.h>

#define F_MULTIPORT      1
#define QUEUE_CTRL_RX    2
#define QUEUE_CTRL_TX    3
#define CONFIG_MAX_PORTS 4

enum control_event {
	DEVICE_READY = 0,
	PORT_ADD = 1,
	PORT_REMOVE = 2,
	PORT_READY = 3,
	CONSOLE_PORT = 4,
	RESIZE = 5,
	PORT_OPEN = 6,
	PORT_NAME = 7,
};

struct control_msg {
	uint32_t id;
	uint16_t event, value;
};

#define CTRL_RX_BUFS \
	32 /* the device drops messages that find no buffer: enough for a handshake's burst */
#define CTRL_RX_SIZE 64 /* a message, perhaps with a name */
#define CTRL_TX_BUFS 16

static struct console {
	struct virtio_device *dev;
	spinlock_t lock; /* irqsave; guards the control queues; taken before a port's */
	struct virtqueue *ctrl_rx, *ctrl_tx;
	uint8_t (*rx_bufs)[CTRL_RX_SIZE];
	struct control_msg *tx_bufs;
	uint32_t tx_busy; /* bit i: tx_bufs[i] is with the device */
	struct byte_port port[NR_BYTE_PORTS];
	bool ready;
	const struct console_control *control;
	char line[32]; /* of the control port */
	unsigned line_len;
	bool line_bad;
} console;

/* --- control messages ------------------------------------------------------------------------- */

static void reap_control(struct console *c)
{
	struct control_msg *msg;

	while ((msg = virtqueue_get(c->ctrl_tx, NULL)))
		c->tx_busy &= ~(1u << (msg - c->tx_bufs));
}

/* Queue a message; kicked by the caller. Lock held. */
static void send_control(struct console *c, uint32_t id, enum control_event event, uint16_t value)
{
	struct virtio_seg seg;
	unsigned i = 0;

	reap_control(c);
	while (i < CTRL_TX_BUFS && c->tx_busy >> i & 1)
		i++;
	if (i == CTRL_TX_BUFS) {
		port_log("console: the device does not take control messages");
		return;
	}
	c->tx_bufs[i] = (struct control_msg){.id = id, .event = (uint16_t)event, .value = value};
	seg = virtio_seg(&c->tx_bufs[i], sizeof(c->tx_bufs[i]));
	if (!virtqueue_add(c->ctrl_tx, &seg, 1, 0, &c->tx_bufs[i]))
		c->tx_busy |= 1u << i;
}

static struct byte_port *port_by_id(struct console *c, uint32_t id)
{
	return id >= 1 && id <= NR_BYTE_PORTS ? &c->port[id - 1] : NULL;
}

static void handle_control(struct console *c, const struct control_msg *msg)
{
	struct byte_port *port = port_by_id(c, msg->id);

	switch (msg->event) {
	case PORT_ADD:
		send_control(c, msg->id, PORT_READY, port != NULL);
		if (port && port->rx)
			send_control(c, msg->id, PORT_OPEN, 1);
		break;
	case PORT_OPEN:
		if (port)
			byte_port_set_open(port, msg->value);
		break;
	case PORT_REMOVE:
		if (port)
			byte_port_set_open(port, false);
		break;
	default:
		break; /* names and sizes: of no use here */
	}
}

static void post_control(struct console *c, uint8_t *buf)
{
	struct virtio_seg seg = virtio_seg(buf, CTRL_RX_SIZE);

	if (virtqueue_add(c->ctrl_rx, &seg, 0, 1, buf))
		port_panic("console: control queue is full");
}

/* Answer what has come from the device, until it has no more to say. */
static void serve_control(struct console *c)
{
	irq_state_t irq = spin_lock_irqsave(&c->lock);
	uint8_t *buf;
	uint32_t len;

	do {
		while ((buf = virtqueue_get(c->ctrl_rx, &len))) {
			struct control_msg msg;

			memcpy(&msg, buf, sizeof(msg));
			if (len >= sizeof(msg))
				handle_control(c, &msg);
			post_control(c, buf);
		}
		virtqueue_kick(c->ctrl_tx);
	} while (!virtqueue_enable_cb(c->ctrl_rx));
	spin_unlock_irqrestore(&c->lock, irq);
}

static void console_interrupt(struct virtio_device *dev)
{
	struct console *c = dev->priv;

	serve_control(c);
	for (unsigned i = 0; i < NR_BYTE_PORTS; i++)
		byte_port_interrupt(&c->port[i]);
}

/* --- lines of the control port ---------------------------------------------------------------- */

static bool word(const char **s, const char *w)
{
	size_t n = strlen(w);

	if (strncmp(*s, w, n) != 0)
		return false;
	*s += n;
	return true;
}

static bool number(const char **s, uint64_t limit, uint64_t *value)
{
	return parse_u64(*s, 10, s, value) == 0 && *value <= limit;
}

static void control_line(const struct console_control *control, const char *line)
{
	const char *s = line;
	uint64_t a, b;

	if (word(&s, "winsize ")) {
		if (number(&s, 65535, &a) && word(&s, " ") && number(&s, 65535, &b) && !*s) {
			if (control->winsize)
				control->winsize((unsigned)a, (unsigned)b);
			return;
		}
	} else if (word(&s, "signal ")) {
		if (number(&s, 64, &a) && a >= 1 && !*s) {
			if (control->signal)
				control->signal((int)a);
			return;
		}
	}
	port_log("console: control line not understood: %s", line);
}

static size_t control_input(void *ctx, const uint8_t *data, size_t n)
{
	struct console *c = ctx;

	for (size_t i = 0; i < n; i++) {
		if (data[i] != '\n') {
			c->line_bad |= c->line_len == sizeof(c->line) - 1;
			if (!c->line_bad)
				c->line[c->line_len++] = (char)data[i];
			continue;
		}
		c->line[c->line_len] = '\0';
		if (!c->line_bad)
			control_line(c->control, c->line);
		c->line_len = 0;
		c->line_bad = false;
	}
	return n;
}

static void control_closed(void *ctx UNUSED)
{
}

void console_set_control(const struct console_control *control)
{
	struct byte_port *port = byte_port(PORT_CONTROL);

	if (!port)
		return;
	console.control = control;
	byte_port_attach(port, &(struct byte_port_client){
	                               .input = control_input,
	                               .closed = control_closed,
	                               .ctx = &console,
	                       });
}

/* --- start and end ---------------------------------------------------------------------------- */

struct byte_port *byte_port(unsigned n)
{
	return console.ready && n < NR_BYTE_PORTS ? &console.port[n] : NULL;
}

void console_drain(void)
{
	for (unsigned i = 0; console.ready && i < NR_BYTE_PORTS; i++)
		byte_port_drain_final(&console.port[i]);
}

static int setup_control(struct console *c, struct virtio_device *dev)
{
	c->ctrl_rx = virtio_setup_queue(dev, QUEUE_CTRL_RX, CTRL_RX_BUFS);
	if (IS_ERR(c->ctrl_rx))
		return (int)PTR_ERR(c->ctrl_rx);
	c->ctrl_tx = virtio_setup_queue(dev, QUEUE_CTRL_TX, CTRL_TX_BUFS);
	if (IS_ERR(c->ctrl_tx))
		return (int)PTR_ERR(c->ctrl_tx);
	virtqueue_disable_cb(c->ctrl_tx);
	c->rx_bufs = kmalloc(CTRL_RX_BUFS * CTRL_RX_SIZE, GFP_KERNEL);
	c->tx_bufs = kmalloc(CTRL_TX_BUFS * sizeof(*c->tx_bufs), GFP_KERNEL);
	if (!c->rx_bufs || !c->tx_bufs)
		return -ENOMEM;
	for (unsigned i = 0; i < virtqueue_size(c->ctrl_rx); i++)
		post_control(c, c->rx_bufs[i]);
	return 0;
}

static int setup_ports(struct console *c, struct virtio_device *dev)
{
	char stdio[4] = "";
	bool tty;
	int err = 0;

	if (boot_param("stdio", stdio, sizeof(stdio)) < 0)
		stdio[0] = '\0';
	tty = strchr(stdio, 't');
	err = byte_port_setup(&c->port[PORT_STDIN], dev, PORT_STDIN + 1, BYTE_PORT_RX_PAGES, tty);
	if (!err)
		err = byte_port_setup(&c->port[PORT_STDOUT], dev, PORT_STDOUT + 1, 0, true);
	if (!err)
		err = byte_port_setup(&c->port[PORT_STDERR], dev, PORT_STDERR + 1, 0, true);
	if (!err)
		err = byte_port_setup(&c->port[PORT_CONTROL], dev, PORT_CONTROL + 1, 1, false);
	return err;
}

static void teardown(struct console *c)
{
	for (unsigned i = 0; i < NR_BYTE_PORTS; i++)
		byte_port_teardown(&c->port[i]);
	kfree(c->rx_bufs);
	kfree(c->tx_bufs);
	c->dev = NULL;
}

static int console_probe(struct virtio_device *dev)
{
	struct console *c = &console;
	irq_state_t irq;
	int err;

	if (c->dev)
		return -EBUSY; /* one is what the protocol has */
	if (!(dev->features >> F_MULTIPORT & 1) ||
	    virtio_config(dev, CONFIG_MAX_PORTS, 4) <= NR_BYTE_PORTS) {
		port_log("console: the device lacks ports; it needs max_ports=%d",
		         NR_BYTE_PORTS + 1);
		return -ENODEV;
	}
	c->dev = dev;
	dev->priv = c;
	err = setup_control(c, dev);
	if (!err)
		err = setup_ports(c, dev);
	if (err) {
		teardown(c);
		return err;
	}
	virtio_device_ready(dev);
	irq = spin_lock_irqsave(&c->lock);
	send_control(c, 0, DEVICE_READY, 1);
	virtqueue_kick(c->ctrl_tx);
	spin_unlock_irqrestore(&c->lock, irq);
	c->ready = true;
	serve_control(c);
	return 0;
}

const struct virtio_driver virtio_console_driver = {
        .id = VIRTIO_ID_CONSOLE,
        .name = "console",
        .features = 1ull << F_MULTIPORT,
        .probe = console_probe,
        .interrupt = console_interrupt,
};
