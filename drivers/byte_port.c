/*
 * byte_port.c - reading and writing a byte port.
 *
 * Output. A writer takes a slot, fills its buffer without any lock, and gives it to the device. The
 * device hands it back when the host has taken the bytes; under an emulator that runs the device
 * inside the kick it is back already when the kick returns, so no interrupt is asked for until
 * somebody sleeps. Slot 0 has a page of its own, so output goes on without memory; the others get
 * buffers when large writes want them and lose them when the port is idle.
 *
 *     free --take_slot--> filling --submit--> in flight --reap_tx--> free
 *
 * Input. Buffers wait with the device from the first interest on (a read, a poll, a client): before
 * it, input stays in the host. Used buffers queue in rx_fifo; who sets rx_busy owns the oldest,
 * copies or feeds the client without the lock, and gives the empty buffer back to the device.
 *
 * The host's close is seen after the input that came before it: `closed` is set from the control
 * queue, and the device put that input into the receive queue earlier.
 */
#include "drivers/byte_port.h"

#include "kernel/sched.h"
#include "kernel/uaccess.h"
#include "lib/string.h"
#include <quire/errno.h>
#include <quire/frame.h>

/* --- output ----------------------------------------------------------------------------------- */

/* Slots that the device is done with become free. Lock held. */
static bool reap_tx(struct byte_port *port)
{
	struct tx_slot *slot;
	bool any = false;

	while ((slot = virtqueue_get(port->tx, NULL))) {
		slot->busy = false;
		port->tx_inflight--;
		any = true;
	}
	return any;
}

/* Buffers of free slots go back to the system, but for the port's own page. Lock held. */
static void trim_tx(struct byte_port *port)
{
	for (unsigned i = 1; i < TX_SLOTS; i++) {
		struct tx_slot *slot = &port->tx_slot[i];

		if (slot->busy || !slot->buf)
			continue;
		free_pages(slot->buf, slot->order);
		slot->buf = NULL;
	}
}

/*
 * A free slot for n more bytes, marked busy, or NULL. Small writes prefer slot 0, large ones the
 * slots that can have large buffers. Lock held.
 */
static struct tx_slot *take_slot(struct byte_port *port, size_t n)
{
	unsigned first = n > PAGE_SIZE ? 1 : 0;

	for (unsigned i = 0; i < TX_SLOTS; i++) {
		struct tx_slot *slot = &port->tx_slot[(first + i) % TX_SLOTS];

		if (slot->busy)
			continue;
		slot->busy = true;
		return slot;
	}
	return NULL;
}

/* Give the slot a buffer: large if n is and memory is at hand. False: no memory. */
static bool fill_slot_buffer(struct tx_slot *slot, size_t n)
{
	if (slot->buf)
		return true;
	if (n > PAGE_SIZE) {
		slot->order = TX_ORDER;
		slot->buf = __get_free_pages(GFP_NOWAIT | __GFP_NOWARN, TX_ORDER);
	}
	if (!slot->buf) {
		slot->order = 0;
		slot->buf = __get_free_pages(GFP_NOWAIT | __GFP_NOWARN, 0);
	}
	return slot->buf;
}

/* The port's own page when no other buffer can be had. Lock held; gives `slot` up. */
static struct tx_slot *fall_back(struct byte_port *port, struct tx_slot *slot)
{
	slot->busy = false;
	slot = &port->tx_slot[0];
	if (slot->busy)
		return NULL;
	slot->busy = true;
	return slot;
}

static struct tx_slot *try_get_slot(struct byte_port *port, size_t n)
{
	irq_state_t irq = spin_lock_irqsave(&port->lock);
	struct tx_slot *slot;

	reap_tx(port);
	slot = take_slot(port, n);
	if (slot && !fill_slot_buffer(slot, n))
		slot = fall_back(port, slot);
	if (!slot && port->tx_waiters && !virtqueue_enable_cb(port->tx) && reap_tx(port))
		wake_up_all(&port->write_wait);
	spin_unlock_irqrestore(&port->lock, irq);
	return slot;
}

/* n bytes of the slot to the device; 0: the slot is just given up. */
static void submit(struct byte_port *port, struct tx_slot *slot, size_t n)
{
	struct virtio_seg seg = virtio_seg(slot->buf, n);
	irq_state_t irq = spin_lock_irqsave(&port->lock);

	if (n == 0 || port->closed || virtqueue_add(port->tx, &seg, 1, 0, slot)) {
		slot->busy = false;
	} else {
		port->tx_inflight++;
		virtqueue_kick(port->tx);
		reap_tx(port);
	}
	if (port->tx_waiters)
		wake_up_all(&port->write_wait);
	spin_unlock_irqrestore(&port->lock, irq);
}

static void count_waiter(struct byte_port *port, unsigned delta)
{
	irq_state_t irq = spin_lock_irqsave(&port->lock);

	port->tx_waiters += delta;
	if (port->tx_waiters == 0)
		virtqueue_disable_cb(port->tx);
	spin_unlock_irqrestore(&port->lock, irq);
}

/* A slot with a buffer, busy. ERR_PTR(-EAGAIN, -EPIPE, -ERESTARTSYS). */
static struct tx_slot *get_slot(struct byte_port *port, size_t n, bool nonblock)
{
	struct tx_slot *slot = try_get_slot(port, n);
	int err = 0;

	if (READ_ONCE(port->closed)) {
		if (slot)
			submit(port, slot, 0);
		return ERR_PTR(-EPIPE);
	}
	if (slot)
		return slot;
	if (nonblock)
		return ERR_PTR(-EAGAIN);
	count_waiter(port, 1);
	err = wait_event_interruptible(&port->write_wait,
	                               READ_ONCE(port->closed) || (slot = try_get_slot(port, n)));
	count_waiter(port, -1u);
	if (slot)
		return slot;
	return ERR_PTR(err ? err : -EPIPE);
}

/* Where the bytes come from: one of the two. */
struct source {
	const uint8_t *kernel;
	vaddr_t user;
};

/* Returns how many were copied. */
static size_t copy_in(void *to, const struct source *from, size_t done, size_t n)
{
	if (from->kernel) {
		memcpy(to, from->kernel + done, n);
		return n;
	}
	return n - copy_from_user_partial(to, from->user + done, n);
}

static int64_t write_port(struct byte_port *port, const struct source *from, size_t n,
                          bool nonblock)
{
	size_t done = 0;
	int64_t err = 0;

	if (!port->tx)
		return -ENXIO;
	while (done < n) {
		struct tx_slot *slot = get_slot(port, n - done, nonblock);
		size_t want, got;

		if (IS_ERR(slot)) {
			err = PTR_ERR(slot);
			break;
		}
		want = MIN(n - done, PAGE_SIZE << slot->order);
		got = copy_in(slot->buf, from, done, want);
		submit(port, slot, got);
		done += got;
		if (got < want) {
			err = -EFAULT;
			break;
		}
	}
	if (n > PAGE_SIZE) {
		irq_state_t irq = spin_lock_irqsave(&port->lock);

		trim_tx(port);
		spin_unlock_irqrestore(&port->lock, irq);
	}
	return done ? (int64_t)done : err;
}

int64_t byte_port_write(struct byte_port *port, const void *from, size_t n, bool nonblock)
{
	return write_port(port, &(struct source){.kernel = from}, n, nonblock);
}

int64_t byte_port_write_user(struct byte_port *port, vaddr_t from, size_t n, bool nonblock)
{
	return write_port(port, &(struct source){.user = from}, n, nonblock);
}

/*
 * Nothing is on its way to the host any more. A host that has closed takes nothing: the buffer that
 * QEMU had in hand when that happened never comes back.
 */
static bool tx_idle(struct byte_port *port)
{
	irq_state_t irq = spin_lock_irqsave(&port->lock);
	bool idle;

	reap_tx(port);
	if (port->tx_inflight && !virtqueue_enable_cb(port->tx))
		reap_tx(port);
	idle = port->tx_inflight == 0 || port->closed;
	spin_unlock_irqrestore(&port->lock, irq);
	return idle;
}

int byte_port_drain(struct byte_port *port)
{
	int err;

	if (!port->tx || tx_idle(port))
		return 0;
	count_waiter(port, 1);
	err = wait_event_interruptible(&port->write_wait, tx_idle(port));
	count_waiter(port, -1u);
	return err;
}

void byte_port_drain_final(struct byte_port *port)
{
	if (!port->tx || tx_idle(port))
		return;
	count_waiter(port, 1);
	wait_event(&port->write_wait, tx_idle(port));
	count_waiter(port, -1u);
}

/* --- input ------------------------------------------------------------------------------------ */

/* Used buffers to the back of the queue. Lock held. True: there were some. */
static bool collect_rx(struct byte_port *port)
{
	struct rx_buf *buf;
	uint32_t len;
	bool any = false;

	while ((buf = virtqueue_get(port->rx, &len))) {
		buf->len = MIN(len, (uint32_t)PAGE_SIZE);
		buf->off = 0;
		port->rx_fifo[(port->rx_head + port->rx_count++) % BYTE_PORT_RX_PAGES] = buf;
		port->rx_bytes += buf->len;
		any = true;
	}
	return any;
}

/* Collect, with interrupts on for what comes later. Lock held. */
static bool collect_rx_armed(struct byte_port *port)
{
	bool any = collect_rx(port);

	while (!virtqueue_enable_cb(port->rx))
		any |= collect_rx(port);
	return any;
}

static void post_rx(struct byte_port *port, struct rx_buf *buf)
{
	struct virtio_seg seg = virtio_seg(buf->data, PAGE_SIZE);

	/* There is a descriptor for each buffer. */
	if (virtqueue_add(port->rx, &seg, 0, 1, buf))
		port_panic("console: port %u: receive queue is full", port->id);
}

/*
 * First interest in input. The first page is there since probing; more only if memory is at hand.
 * Lock held.
 */
static void start_rx(struct byte_port *port)
{
	if (port->rx_started)
		return;
	port->rx_started = true;
	for (unsigned i = 0; i < port->rx_pages; i++) {
		struct rx_buf *buf = &port->rx_buf[i];

		if (!buf->data)
			buf->data = __get_free_pages(GFP_NOWAIT | __GFP_NOWARN, 0);
		if (buf->data)
			post_rx(port, buf);
	}
	virtqueue_kick(port->rx);
	collect_rx_armed(port);
}

/* n bytes of the oldest buffer have been taken; an empty one goes back to the device. Lock held. */
static void consume_rx(struct byte_port *port, size_t n)
{
	struct rx_buf *buf = port->rx_fifo[port->rx_head];

	buf->off += (uint32_t)n;
	port->rx_bytes -= n;
	if (buf->off < buf->len)
		return;
	port->rx_head = (port->rx_head + 1) % BYTE_PORT_RX_PAGES;
	port->rx_count--;
	post_rx(port, buf);
	virtqueue_kick(port->rx);
}

/*
 * What a reader finds: the oldest buffer, which it then owns (rx_busy); NULL at end of file;
 * -EAGAIN while there is nothing, or while another reader copies.
 */
static struct rx_buf *try_begin_read(struct byte_port *port)
{
	struct rx_buf *buf = ERR_PTR(-EAGAIN);
	irq_state_t irq = spin_lock_irqsave(&port->lock);

	start_rx(port);
	if (port->rx_count == 0)
		collect_rx_armed(port);
	if (!port->rx_busy && port->rx_count) {
		port->rx_busy = true;
		buf = port->rx_fifo[port->rx_head];
	} else if (!port->rx_busy && port->closed) {
		buf = NULL;
	}
	spin_unlock_irqrestore(&port->lock, irq);
	return buf;
}

static void end_read(struct byte_port *port, size_t n)
{
	irq_state_t irq = spin_lock_irqsave(&port->lock);

	consume_rx(port, n);
	port->rx_busy = false;
	if (wait_queue_active(&port->read_wait))
		wake_up_all(&port->read_wait);
	spin_unlock_irqrestore(&port->lock, irq);
}

static struct rx_buf *begin_read(struct byte_port *port, bool nonblock)
{
	struct rx_buf *buf = try_begin_read(port);
	int err;

	if (buf != ERR_PTR(-EAGAIN) || nonblock)
		return buf;
	err = wait_event_interruptible(&port->read_wait,
	                               (buf = try_begin_read(port)) != ERR_PTR(-EAGAIN));
	return err ? ERR_PTR(err) : buf;
}

/* Returns how many were copied. */
static size_t copy_out(void *kernel, vaddr_t user, const uint8_t *from, size_t n)
{
	if (kernel) {
		memcpy(kernel, from, n);
		return n;
	}
	return n - copy_to_user_partial(user, from, n);
}

/* As much as there is, up to n, without sleeping after the first buffer. */
static int64_t read_port(struct byte_port *port, void *kernel, vaddr_t user, size_t n,
                         bool nonblock)
{
	size_t done = 0;

	if (!port->rx)
		return -ENXIO;
	while (done < n) {
		struct rx_buf *buf = begin_read(port, nonblock || done);
		size_t want, got;

		if (IS_ERR(buf))
			return done ? (int64_t)done : PTR_ERR(buf);
		if (!buf)
			break;
		want = MIN(n - done, buf->len - buf->off);
		got = copy_out(kernel ? (uint8_t *)kernel + done : NULL, user + done,
		               buf->data + buf->off, want);
		end_read(port, got);
		done += got;
		if (got < want)
			return done ? (int64_t)done : -EFAULT;
	}
	return (int64_t)done;
}

int64_t byte_port_read(struct byte_port *port, void *to, size_t n, bool nonblock)
{
	return read_port(port, to, 0, n, nonblock);
}

int64_t byte_port_read_user(struct byte_port *port, vaddr_t to, size_t n, bool nonblock)
{
	return read_port(port, NULL, to, n, nonblock);
}

/*
 * Hand input to the client until it takes no more or there is none. The client runs without the
 * lock, since it may write to the port; rx_busy keeps a second run out, which leaves word in
 * rx_again.
 */
static void feed_client(struct byte_port *port)
{
	irq_state_t irq = spin_lock_irqsave(&port->lock);
	bool full = false;

	port->rx_again = true;
	while (!port->rx_busy && port->rx_again) {
		port->rx_again = false;
		collect_rx_armed(port);
		while (port->rx_count && !full) {
			struct rx_buf *buf = port->rx_fifo[port->rx_head];
			size_t n = buf->len - buf->off, took;

			port->rx_busy = true;
			spin_unlock(&port->lock);
			took = port->client.input(port->client.ctx, buf->data + buf->off, n);
			spin_lock(&port->lock);
			port->rx_busy = false;
			full = took < n;
			consume_rx(port, MIN(took, n));
			if (!full)
				collect_rx_armed(port);
		}
		full = false;
	}
	if (port->closed && !port->rx_count && !port->closed_told && !port->rx_busy) {
		port->closed_told = true;
		spin_unlock(&port->lock);
		port->client.closed(port->client.ctx);
		spin_lock(&port->lock);
	}
	spin_unlock_irqrestore(&port->lock, irq);
}

void byte_port_attach(struct byte_port *port, const struct byte_port_client *client)
{
	irq_state_t irq = spin_lock_irqsave(&port->lock);

	port->client = *client;
	start_rx(port);
	spin_unlock_irqrestore(&port->lock, irq);
	feed_client(port);
}

void byte_port_resume_input(struct byte_port *port)
{
	if (port->client.input)
		feed_client(port);
}

/* --- readiness -------------------------------------------------------------------------------- */

unsigned byte_port_poll(struct byte_port *port)
{
	irq_state_t irq = spin_lock_irqsave(&port->lock);
	unsigned mask = port->closed ? BYTE_PORT_HUP : 0;

	if (port->rx) {
		start_rx(port);
		collect_rx_armed(port);
		if (port->rx_count || port->closed)
			mask |= BYTE_PORT_IN;
	}
	if (port->tx) {
		reap_tx(port);
		for (unsigned i = 0; i < TX_SLOTS; i++)
			if (!port->tx_slot[i].busy || port->closed)
				mask |= BYTE_PORT_OUT;
		if (!(mask & BYTE_PORT_OUT) && !virtqueue_enable_cb(port->tx) && reap_tx(port))
			mask |= BYTE_PORT_OUT;
	}
	spin_unlock_irqrestore(&port->lock, irq);
	return mask;
}

size_t byte_port_pending(struct byte_port *port)
{
	irq_state_t irq = spin_lock_irqsave(&port->lock);
	size_t n = 0;

	if (port->rx) {
		start_rx(port);
		collect_rx_armed(port);
		n = port->rx_bytes;
	}
	spin_unlock_irqrestore(&port->lock, irq);
	return n;
}

struct wait_queue *byte_port_read_wait(struct byte_port *port)
{
	return &port->read_wait;
}

struct wait_queue *byte_port_write_wait(struct byte_port *port)
{
	return &port->write_wait;
}

/* --- the device's side ------------------------------------------------------------------------ */

/*
 * Whoever looked in between (a poll, a writer) may have collected already what this interrupt is
 * about, so the state decides whom to wake, not what was found here.
 */
void byte_port_interrupt(struct byte_port *port)
{
	irq_state_t irq = spin_lock_irqsave(&port->lock);
	bool client = port->client.input, in = false;

	if (port->rx_started) {
		collect_rx_armed(port);
		in = port->rx_count;
	}
	if (port->tx && reap_tx(port) && !port->tx_waiters)
		trim_tx(port);
	spin_unlock_irqrestore(&port->lock, irq);
	if (wait_queue_active(&port->write_wait))
		wake_up_all(&port->write_wait);
	if (in && client)
		feed_client(port);
	else if (in && wait_queue_active(&port->read_wait))
		wake_up_all(&port->read_wait);
}

void byte_port_set_open(struct byte_port *port, bool open)
{
	irq_state_t irq = spin_lock_irqsave(&port->lock);
	bool client = port->client.input;

	port->closed = !open;
	if (open)
		port->closed_told = false;
	spin_unlock_irqrestore(&port->lock, irq);
	wake_up_all(&port->write_wait);
	wake_up_all(&port->read_wait);
	if (client)
		feed_client(port);
}

int byte_port_setup(struct byte_port *port, struct virtio_device *dev, unsigned id,
                    unsigned rx_pages, bool tx)
{
	unsigned queue = id == 0 ? 0 : 2 * id + 2;

	port->id = id;
	port->rx_pages = rx_pages;
	wait_queue_init(&port->read_wait);
	wait_queue_init(&port->write_wait);
	if (rx_pages) {
		struct virtqueue *vq = virtio_setup_queue(dev, queue, rx_pages);

		if (IS_ERR(vq))
			return (int)PTR_ERR(vq);
		port->rx = vq;
		port->rx_buf[0].data = __get_free_pages(GFP_KERNEL, 0);
		if (!port->rx_buf[0].data)
			return -ENOMEM;
	}
	if (tx) {
		struct virtqueue *vq = virtio_setup_queue(dev, queue + 1, TX_SLOTS);

		if (IS_ERR(vq))
			return (int)PTR_ERR(vq);
		port->tx = vq;
		virtqueue_disable_cb(vq);
		port->tx_slot[0].buf = __get_free_pages(GFP_KERNEL, 0);
		if (!port->tx_slot[0].buf)
			return -ENOMEM;
	}
	return 0;
}

void byte_port_teardown(struct byte_port *port)
{
	if (port->rx_buf[0].data)
		free_page(port->rx_buf[0].data);
	if (port->tx_slot[0].buf)
		free_page(port->tx_slot[0].buf);
	port->rx_buf[0].data = port->tx_slot[0].buf = NULL;
	port->rx = port->tx = NULL;
}
