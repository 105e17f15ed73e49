/*
 * virtqueue.c - split virtqueues (VIRTIO 1.1, 2.6).
 *
 *     desc[num]    {addr, len, flags, next}   buffers; free ones are chained from free_head
 *     avail        flags, idx, ring[num], used_event     driver -> device: heads of chains
 *     used         flags, idx, {id, len}[num], avail_event     device -> driver
 *
 * Indices count up for ever and wrap at 16 bits; a slot is index & (num - 1). The device interrupts
 * when used->idx passes used_event and wants a kick when avail->idx passes avail_event; both tests
 * are the subtraction in passed(). What the device writes is not trusted: an id must name a chain
 * in flight.
 *
 * Ordering: the entry is written before avail->idx (release), used->idx is read before the entry
 * (acquire), and each side's "publish, then look at the other's event index" needs a full fence.
 *
 * The full fence is the one that an emulator may not have: QEMU's, before 8.1, leaves fences and lock prefixes out of the
 * code of a machine with one CPU, though its devices run on threads of their own. What the CPU published may then
 * still be in the host's store buffer when it looks, both sides see the past, and an interrupt never comes (seen once in 10^6
 * requests). There only the access to a register is a fence, since it takes QEMU's lock.
 */
#include "drivers/virtqueue.h"

#include <quire/errno.h>
#include <quire/machine.h>
#include <quire/slab.h>

#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY     1

/* Did an index that went from old to new (exclusive) pass event? */
static bool passed(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

static bool fences_reach_device(void)
{
	return machine()->nr_cpus > 1;
}

static bool event_idx(const struct virtqueue *vq)
{
	return vq->dev->features >> VIRTIO_F_EVENT_IDX & 1;
}

static volatile uint16_t *used_event(struct virtqueue *vq)
{
	return &vq->avail->ring[vq->num];
}

static volatile uint16_t *avail_event(struct virtqueue *vq)
{
	return (volatile uint16_t *)&vq->used->ring[vq->num];
}

size_t virtqueue_bytes(unsigned num)
{
	return sizeof(struct virtio_seg) * num + sizeof(uint16_t) * (3 + num) + 2 +
	       sizeof(uint16_t) * 3 + sizeof(struct vring_used_elem) * num;
}

struct virtqueue *virtqueue_alloc(struct virtio_device *dev, unsigned index, unsigned num)
{
	struct virtqueue *vq = kzalloc(sizeof(*vq) + num * sizeof(vq->token[0]), GFP_KERNEL);
	uint8_t *ring = kzalloc(virtqueue_bytes(num), GFP_KERNEL);

	if (!vq || !ring) {
		kfree(ring);
		kfree(vq);
		return NULL;
	}
	vq->dev = dev;
	vq->index = index;
	vq->num = (uint16_t)num;
	vq->nr_free = (uint16_t)num;
	vq->desc = (struct virtio_seg *)ring;
	vq->avail = (struct vring_avail *)(ring + sizeof(struct virtio_seg) * num);
	vq->used = (struct vring_used *)ALIGN_UP((uintptr_t)&vq->avail->ring[num + 1], 4);
	for (unsigned i = 0; i < num; i++)
		vq->desc[i].next = (uint16_t)(i + 1);
	return vq;
}

void virtqueue_release(struct virtqueue *vq)
{
	kfree(vq->desc);
	kfree(vq);
}

static void publish(struct virtqueue *vq, uint16_t head, void *token)
{
	vq->token[head] = token;
	vq->avail->ring[vq->avail_idx & (vq->num - 1)] = head;
	vq->avail_idx++;
	atomic_thread_fence(memory_order_release);
	WRITE_ONCE(vq->avail->idx, vq->avail_idx);
}

int virtqueue_add(struct virtqueue *vq, const struct virtio_seg *segs, unsigned out, unsigned in,
                  void *token)
{
	unsigned n = out + in;
	uint16_t head = vq->free_head, i = head;

	if (n > vq->nr_free || n == 0)
		return -ENOSPC;
	for (unsigned k = 0; k < n; k++) {
		struct virtio_seg *d = &vq->desc[i];

		d->addr = segs[k].addr;
		d->len = segs[k].len;
		d->flags = (uint16_t)((k >= out ? VIRTIO_SEG_WRITE : 0) |
		                      (k + 1 < n ? VIRTIO_SEG_NEXT : 0));
		i = d->next;
	}
	vq->free_head = i;
	vq->nr_free = (uint16_t)(vq->nr_free - n);
	publish(vq, head, token);
	return 0;
}

int virtqueue_add_table(struct virtqueue *vq, struct virtio_seg *table, unsigned out, unsigned in,
                        void *token)
{
	unsigned n = out + in;
	uint16_t head = vq->free_head;
	struct virtio_seg *d = &vq->desc[head];

	if (!(vq->dev->features >> VIRTIO_F_INDIRECT_DESC & 1))
		return virtqueue_add(vq, table, out, in, token);
	if (vq->nr_free == 0 || n == 0)
		return -ENOSPC;
	for (unsigned k = 0; k < n; k++) {
		table[k].flags = (uint16_t)((k >= out ? VIRTIO_SEG_WRITE : 0) |
		                            (k + 1 < n ? VIRTIO_SEG_NEXT : 0));
		table[k].next = (uint16_t)(k + 1);
	}
	d->addr = virt_to_phys(table).a;
	d->len = n * (uint32_t)sizeof(*table);
	d->flags = VIRTIO_SEG_INDIRECT;
	vq->free_head = d->next;
	vq->nr_free--;
	publish(vq, head, token);
	return 0;
}

void virtqueue_kick(struct virtqueue *vq)
{
	uint16_t old = vq->kicked_idx, new = vq->avail_idx;
	bool wanted;

	if (old == new)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	if (!fences_reach_device())
		wanted = true; /* at work or not: the kick costs what looking would */
	else if (event_idx(vq))
		wanted = passed(*avail_event(vq), new, old);
	else
		wanted = !(READ_ONCE(vq->used->flags) & USED_F_NO_NOTIFY);
	vq->kicked_idx = new;
	if (wanted)
		virtio_notify(vq);
}

/* Put a chain back on the free list. */
static void free_chain(struct virtqueue *vq, uint16_t head)
{
	uint16_t last = head, n = 1;

	while (vq->desc[last].flags & VIRTIO_SEG_NEXT) {
		last = vq->desc[last].next;
		n++;
	}
	vq->desc[last].next = vq->free_head;
	vq->free_head = head;
	vq->nr_free = (uint16_t)(vq->nr_free + n);
}

static void complain(struct virtqueue *vq, uint32_t id)
{
	if (!vq->complained)
		port_log("virtio: device %u queue %u returned buffer %u that it was not given",
		         vq->dev->id, vq->index, id);
	vq->complained = true;
}

void *virtqueue_get(struct virtqueue *vq, uint32_t *len)
{
	while (vq->used_idx != READ_ONCE(vq->used->idx)) {
		volatile struct vring_used_elem *elem;
		uint32_t id;
		void *token;

		atomic_thread_fence(memory_order_acquire);
		elem = &vq->used->ring[vq->used_idx & (vq->num - 1)];
		id = elem->id;
		vq->used_idx++;
		if (unlikely(id >= vq->num || !vq->token[id])) {
			complain(vq, id);
			continue;
		}
		token = vq->token[id];
		vq->token[id] = NULL;
		if (len)
			*len = elem->len;
		free_chain(vq, (uint16_t)id);
		return token;
	}
	return NULL;
}

void virtqueue_disable_cb(struct virtqueue *vq)
{
	if (event_idx(vq))
		*used_event(vq) = (uint16_t)(vq->used_idx - 1);
	else
		WRITE_ONCE(vq->avail->flags, AVAIL_F_NO_INTERRUPT);
}

bool virtqueue_enable_cb(struct virtqueue *vq)
{
	if (event_idx(vq))
		*used_event(vq) = vq->used_idx;
	else
		WRITE_ONCE(vq->avail->flags, 0);
	atomic_thread_fence(memory_order_seq_cst);
	if (!fences_reach_device())
		vq->dev->transport->status(vq->dev);
	return vq->used_idx == READ_ONCE(vq->used->idx);
}

unsigned virtqueue_free(const struct virtqueue *vq)
{
	return vq->nr_free;
}

unsigned virtqueue_size(const struct virtqueue *vq)
{
	return vq->num;
}
