/*
 * virtio_9p.c - virtio devices that carry 9P. See virtio_9p.h.
 */
#include "drivers/virtio_9p.h"

#include "lib/string.h"
#include <quire/errno.h>
#include <quire/slab.h>

#define F_MOUNT_TAG   0
#define QUEUE_SIZE    64 /* a descriptor for each tag of the client: requests are indirect */
#define MAX_CHANNELS  4
#define MOUNT_TAG_MAX 32

struct p9_channel {
	char tag[MOUNT_TAG_MAX];
	struct virtqueue *vq; /* lock */
	spinlock_t lock;      /* irqsave */
	_Atomic bool taken;
	void (*complete)(void *req, uint32_t len);
};

/* Filled while probing. */
static struct p9_channel *channels[MAX_CHANNELS];
static unsigned nr_channels;

struct p9_channel *p9_channel_get(const char *tag)
{
	for (unsigned i = 0; i < nr_channels; i++) {
		struct p9_channel *ch = channels[i];

		if (strcmp(ch->tag, tag) == 0 && !atomic_exchange(&ch->taken, true))
			return ch;
	}
	return NULL;
}

void p9_channel_put(struct p9_channel *ch)
{
	ch->complete = NULL;
	atomic_store(&ch->taken, false);
}

void p9_channel_set_complete(struct p9_channel *ch, void (*complete)(void *req, uint32_t len))
{
	ch->complete = complete;
}

int p9_channel_submit(struct p9_channel *ch, struct virtio_seg *table, unsigned out, unsigned in,
                      void *req)
{
	irq_state_t irq = spin_lock_irqsave(&ch->lock);
	int err = virtqueue_add_table(ch->vq, table, out, in, req);

	if (!err)
		virtqueue_kick(ch->vq);
	spin_unlock_irqrestore(&ch->lock, irq);
	return err;
}

static void p9_interrupt(struct virtio_device *dev)
{
	struct p9_channel *ch = dev->priv;
	irq_state_t irq = spin_lock_irqsave(&ch->lock);
	uint32_t len;
	void *req;

	do {
		while ((req = virtqueue_get(ch->vq, &len))) {
			spin_unlock(&ch->lock);
			ch->complete(req, len);
			spin_lock(&ch->lock);
		}
	} while (!virtqueue_enable_cb(ch->vq));
	spin_unlock_irqrestore(&ch->lock, irq);
}

static int read_tag(struct virtio_device *dev, char *tag)
{
	unsigned n = (unsigned)virtio_config(dev, 0, 2);

	if (!(dev->features >> F_MOUNT_TAG & 1) || n == 0 || n >= MOUNT_TAG_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++)
		tag[i] = (char)virtio_config(dev, 2 + i, 1);
	tag[n] = '\0';
	return 0;
}

static int p9_probe(struct virtio_device *dev)
{
	struct p9_channel *ch;
	int err = -ENOMEM;

	if (nr_channels == MAX_CHANNELS)
		return -ENOSPC;
	if (!(dev->features >> VIRTIO_F_INDIRECT_DESC & 1)) {
		port_log("9p: the device lacks indirect descriptors");
		return -ENODEV;
	}
	ch = kzalloc(sizeof(*ch), GFP_KERNEL);
	if (!ch)
		return -ENOMEM;
	err = read_tag(dev, ch->tag);
	if (err)
		goto free_channel;
	ch->vq = virtio_setup_queue(dev, 0, QUEUE_SIZE);
	if (IS_ERR(ch->vq)) {
		err = (int)PTR_ERR(ch->vq);
		goto free_channel;
	}
	dev->priv = ch;
	channels[nr_channels++] = ch;
	virtio_device_ready(dev);
	return 0;
free_channel:
	kfree(ch);
	return err;
}

const struct virtio_driver virtio_9p_driver = {
        .id = VIRTIO_ID_9P,
        .name = "9p",
        .features = 1ull << F_MOUNT_TAG | 1ull << VIRTIO_F_INDIRECT_DESC,
        .probe = p9_probe,
        .interrupt = p9_interrupt,
};
