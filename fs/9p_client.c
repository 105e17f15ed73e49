/*
 * 9p_client.c - requests of the 9P client: building, sending, waiting, flushing, parsing.
 *
 * Up to 64 requests are in flight, each with a tag; the reply's interrupt wakes the one that sleeps
 * for it. The memory of a request and of its data belongs to the device until the transport has
 * handed the request back, whatever happens to the one who waits:
 *
 *     new --submit--> in flight --complete--> done --> parsed, freed
 *                        | killed: Tflush, and both are waited for
 *
 * After a flush the server may leave the old request unanswered; the device hands its buffer back
 * all the same, with a length of 0.
 *
 * Completion sets `done` and wakes under client->lock, and the waiter takes that lock to give its
 * tag back, so the request and the waiter outlive the wake-up.
 *
 * A server is not trusted: lengths and types are checked, and a field behind the end of the reply
 * reads as zero and makes the request bad.
 */
#include "fs/9p.h"

#include "lib/string.h"
#include <quire/slab.h>

#define NR_TAGS 64

static struct kmem_cache *req_cache;

void p9_client_init(void)
{
	if (!req_cache)
		req_cache = kmem_cache_create("9p_req", sizeof(struct p9_req), 8, SLAB_PANIC, NULL);
}

/* --- building --------------------------------------------------------------------------------- */

struct p9_req *p9_req_new(struct p9_client *c, enum p9_type type, size_t tx_size, size_t rx_size)
{
	bool large = tx_size > P9_TX_INLINE || rx_size > P9_RX_INLINE;
	struct p9_req *req = kmem_cache_alloc(req_cache, GFP_KERNEL);

	if (!req)
		return NULL;
	memset(req, 0, offsetof(struct p9_req, tx_inline));
	req->client = c;
	req->type = (uint8_t)type;
	req->interruptible = true;
	req->table = req->table_small;
	req->tx = req->tx_inline;
	req->rx = req->rx_inline;
	req->tx_size = P9_TX_INLINE;
	req->rx_size = P9_RX_INLINE;
	req->tx_len = P9_HDR;
	if (!large)
		return req;
	req->tx_size = (uint32_t)MAX(tx_size, P9_TX_INLINE);
	req->rx_size = (uint32_t)MAX(rx_size, P9_RX_INLINE);
	req->tx = kmalloc(req->tx_size + req->rx_size, GFP_KERNEL);
	if (!req->tx) {
		kmem_cache_free(req_cache, req);
		return NULL;
	}
	req->rx = req->tx + req->tx_size;
	return req;
}

void p9_req_free(struct p9_req *req)
{
	if (req->tx != req->tx_inline)
		kfree(req->tx);
	if (req->table != req->table_small)
		kfree(req->table);
	kmem_cache_free(req_cache, req);
}

static void put_bytes(struct p9_req *req, const void *p, size_t n)
{
	if (n > req->tx_size - req->tx_len) {
		req->bad = true;
		return;
	}
	memcpy(req->tx + req->tx_len, p, n);
	req->tx_len += (uint32_t)n;
}

void p9_put_u8(struct p9_req *req, uint8_t v)
{
	put_bytes(req, &v, sizeof(v));
}

void p9_put_u16(struct p9_req *req, uint16_t v)
{
	put_bytes(req, &v, sizeof(v));
}

void p9_put_u32(struct p9_req *req, uint32_t v)
{
	put_bytes(req, &v, sizeof(v));
}

void p9_put_u64(struct p9_req *req, uint64_t v)
{
	put_bytes(req, &v, sizeof(v));
}

void p9_put_str(struct p9_req *req, const char *s, size_t n)
{
	if (n > UINT16_MAX)
		req->bad = true;
	p9_put_u16(req, (uint16_t)n);
	put_bytes(req, s, n);
}

/*
 * size[4] type[1] tag[2] at the front; data that follows counts. Then the fixed segments around the
 * data.
 */
static void finish(struct p9_req *req)
{
	uint32_t size = req->tx_len + (req->data_in ? 0 : req->data_len);

	memcpy(req->tx, &size, 4);
	req->tx[4] = req->type;
	memcpy(req->tx + 5, &req->tag, 2);
	req->table[0] = virtio_seg(req->tx, req->tx_len);
	req->table[req->data_in ? 1 : 1 + req->nr_data] = virtio_seg(req->rx, req->rx_size);
}

/* --- sending ---------------------------------------------------------------------------------- */

static bool take_tag(struct p9_req *req)
{
	struct p9_client *c = req->client;
	irq_state_t irq = spin_lock_irqsave(&c->lock);
	bool ok = ~c->tags != 0;

	if (ok) {
		req->tag = (uint16_t)__builtin_ctzll(~c->tags);
		c->tags |= 1ull << req->tag;
	}
	spin_unlock_irqrestore(&c->lock, irq);
	return ok;
}

/* The tag is free, and a completion that was still waking us has finished. */
static void give_tag(struct p9_client *c, uint16_t tag)
{
	irq_state_t irq = spin_lock_irqsave(&c->lock);

	c->tags &= ~(1ull << tag);
	if (wait_queue_active(&c->tag_wait))
		wake_up_all(&c->tag_wait);
	spin_unlock_irqrestore(&c->lock, irq);
}

static int submit(struct p9_req *req)
{
	unsigned out = 1 + (req->data_in ? 0 : req->nr_data);
	unsigned in = 1 + (req->data_in ? req->nr_data : 0);

	return p9_channel_submit(req->client->channel, req->table, out, in, req);
}

/* Tagged and on its way; sleeps while all tags or descriptors are taken. */
static int send(struct p9_req *req)
{
	int err = 0;

	if (req->bad)
		return -ENAMETOOLONG;
	if (req->type != P9_TVERSION)
		wait_event(&req->client->tag_wait, take_tag(req));
	else
		req->tag = P9_NOTAG;
	finish(req);
	wait_event(&req->client->tag_wait, (err = submit(req)) != -ENOSPC);
	return err;
}

static void complete(void *arg, uint32_t len)
{
	struct p9_req *req = arg;
	struct p9_client *c = req->client;
	irq_state_t irq;

	req->reply_len = len;
	if (req->orphan) {
		give_tag(c, req->tag);
		p9_req_free(req);
		return;
	}
	irq = spin_lock_irqsave(&c->lock);
	atomic_store_explicit(&req->done, true, memory_order_release);
	if (req->waiter)
		port_unblock(req->waiter);
	spin_unlock_irqrestore(&c->lock, irq);
}

static bool done(struct p9_req *req)
{
	return atomic_load_explicit(&req->done, memory_order_acquire);
}

static int send_and_wait(struct p9_req *req);

/* The waiter is being killed: ask the server to give the request up, then wait for both. */
static void flush(struct p9_req *req)
{
	struct p9_req *t = p9_req_new(req->client, P9_TFLUSH, 0, 0);

	if (t) {
		t->interruptible = false;
		p9_put_u16(t, req->tag);
		if (!send_and_wait(t))
			give_tag(t->client, t->tag);
		p9_req_free(t);
	}
	while (!done(req))
		port_block();
}

/* 0: done, and the tag is still ours. */
static int send_and_wait(struct p9_req *req)
{
	int err;

	req->waiter = port_self();
	err = send(req);
	if (err)
		return err;
	while (!done(req)) {
		if (req->interruptible && port_fatal_signal_pending()) {
			flush(req);
			break;
		}
		port_block();
	}
	return 0;
}

void p9_send(struct p9_req *req)
{
	req->orphan = true;
	if (send(req)) {
		if (!req->bad)
			give_tag(req->client, req->tag);
		p9_req_free(req);
	}
}

/* --- replies ---------------------------------------------------------------------------------- */

static int check_reply(struct p9_req *req)
{
	uint32_t size = 0;
	uint16_t tag;
	uint8_t type;

	req->end = MIN(req->reply_len, req->rx_size);
	if (req->reply_len == 0)
		return -EINTR;
	size = p9_get_u32(req);
	type = p9_get_u8(req);
	tag = p9_get_u16(req);
	if (req->bad || size < P9_HDR || size > req->reply_len || tag != req->tag)
		return -EIO;
	req->end = MIN(size, req->rx_size);
	if (type == P9_RLERROR) {
		uint32_t err = p9_get_u32(req);

		return req->bad || err == 0 || err > MAX_ERRNO ? -EIO : -(int)err;
	}
	return type == req->type + 1 ? 0 : -EIO;
}

int p9_rpc(struct p9_req *req)
{
	int err = send_and_wait(req);

	if (err) {
		if (req->tag != P9_NOTAG && !req->bad)
			give_tag(req->client, req->tag);
		return err;
	}
	err = check_reply(req);
	if (req->tag != P9_NOTAG)
		give_tag(req->client, req->tag);
	return err;
}

static void get_bytes(struct p9_req *req, void *p, size_t n)
{
	if (n > req->end - req->pos) {
		req->bad = true;
		memset(p, 0, n);
		return;
	}
	memcpy(p, req->rx + req->pos, n);
	req->pos += (uint32_t)n;
}

uint8_t p9_get_u8(struct p9_req *req)
{
	uint8_t v;

	get_bytes(req, &v, sizeof(v));
	return v;
}

uint16_t p9_get_u16(struct p9_req *req)
{
	uint16_t v;

	get_bytes(req, &v, sizeof(v));
	return v;
}

uint32_t p9_get_u32(struct p9_req *req)
{
	uint32_t v;

	get_bytes(req, &v, sizeof(v));
	return v;
}

uint64_t p9_get_u64(struct p9_req *req)
{
	uint64_t v;

	get_bytes(req, &v, sizeof(v));
	return v;
}

const char *p9_get_str(struct p9_req *req, size_t *n)
{
	const char *s;

	*n = p9_get_u16(req);
	if (req->bad || *n > req->end - req->pos) {
		req->bad = true;
		return NULL;
	}
	s = (const char *)req->rx + req->pos;
	req->pos += (uint32_t)*n;
	return s;
}

/* --- the client ------------------------------------------------------------------------------- */

static int negotiate_version(struct p9_client *c)
{
	static const char version[] = "9P2000.L";
	struct p9_req *req = p9_req_new(c, P9_TVERSION, 0, 0);
	const char *s;
	size_t n;
	int err;

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, P9_MSIZE);
	p9_put_str(req, version, sizeof(version) - 1);
	err = p9_rpc(req);
	if (!err) {
		c->msize = p9_get_u32(req);
		c->msize = MIN(c->msize, P9_MSIZE);
		s = p9_get_str(req, &n);
		if (!s || c->msize < PAGE_SIZE + 24)
			err = -EIO;
		else if (n != sizeof(version) - 1 || memcmp(s, version, n) != 0)
			err = -EPROTONOSUPPORT;
	}
	p9_req_free(req);
	return err;
}

struct p9_client *p9_client_create(const char *tag)
{
	struct p9_channel *channel = p9_channel_get(tag);
	struct p9_client *c;
	int err;

	if (!channel)
		return ERR_PTR(-ENODEV);
	c = kzalloc(sizeof(*c), GFP_KERNEL);
	if (!c) {
		p9_channel_put(channel);
		return ERR_PTR(-ENOMEM);
	}
	wait_queue_init(&c->tag_wait);
	c->channel = channel;
	p9_channel_set_complete(channel, complete);
	err = negotiate_version(c);
	if (err) {
		p9_client_destroy(c);
		return ERR_PTR(err);
	}
	return c;
}

void p9_client_destroy(struct p9_client *c)
{
	irq_state_t irq;

	wait_event(&c->tag_wait, READ_ONCE(c->tags) == 0);
	irq = spin_lock_irqsave(&c->lock); /* the last completion has left it */
	spin_unlock_irqrestore(&c->lock, irq);
	p9_channel_put(c->channel);
	kfree(c);
}
