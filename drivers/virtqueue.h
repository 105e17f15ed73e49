/*
 * virtqueue.h - the inside of a virtqueue, shared by virtqueue.c and the transport.
 */
#ifndef DRIVERS_VIRTQUEUE_H
#define DRIVERS_VIRTQUEUE_H

#include "drivers/virtio.h"

struct vring_avail {
	uint16_t flags, idx, ring[]; /* then used_event */
};

struct vring_used_elem {
	uint32_t id, len;
};

struct vring_used {
	uint16_t flags, idx;
	struct vring_used_elem ring[]; /* then avail_event */
};

struct virtqueue {
	struct virtio_device *dev;
	unsigned index;
	uint16_t num;     /* descriptors, a power of two */
	uint16_t nr_free; /* descriptors not in flight, chained from free_head */
	uint16_t free_head;
	uint16_t avail_idx;  /* what avail->idx holds */
	uint16_t kicked_idx; /* what it held at the last kick */
	uint16_t used_idx;   /* entries of the used ring taken */
	bool complained;
	struct virtio_seg *desc; /* one allocation: desc, avail, used */
	struct vring_avail *avail;
	struct vring_used *used;
	void *token[]; /* by head; NULL: not in flight */
};

size_t virtqueue_bytes(unsigned num);

/* NULL: no memory. Sleeps. */
struct virtqueue *virtqueue_alloc(struct virtio_device *dev, unsigned index, unsigned num);
void virtqueue_release(struct virtqueue *vq);

/* The register write behind a kick. */
void virtio_notify(struct virtio_device *dev, unsigned index);

#endif
