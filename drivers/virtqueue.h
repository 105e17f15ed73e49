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
	volatile uint16_t *doorbell; /* PCI: where a kick goes */
	uint16_t num;                /* descriptors, a power of two */
	uint16_t nr_free;            /* descriptors not in flight, chained from free_head */
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
void virtio_notify(struct virtqueue *vq);

/* --- the bus --------------------------------------------------------------------------------------- */

/* A device's registers, wherever the bus has them. */
struct virtio_transport {
	uint32_t (*status)(struct virtio_device *dev);
	void (*set_status)(struct virtio_device *dev, uint32_t status); /* 0: reset */
	/* Registers: which half of the 64 bits, and that half; of what the device offers and of what the driver takes. */
	uint16_t device_features_sel, device_features, driver_features_sel, driver_features;
	/* The queue that the next call is about; returns its largest size, 0: there is no such queue. */
	unsigned (*select_queue)(struct virtio_device *dev, unsigned index);
	void (*enable_queue)(struct virtio_device *dev, struct virtqueue *vq);
	void (*notify)(struct virtqueue *vq);
	/* From now on virtio_interrupt(dev) is called, in interrupt context. 0 or a negative errno. */
	int (*request_irq)(struct virtio_device *dev);
};

static inline uint32_t virtio_read32(struct virtio_device *dev, unsigned reg)
{
	return *(volatile uint32_t *)(dev->regs + reg);
}

static inline void virtio_write32(struct virtio_device *dev, unsigned reg, uint32_t value)
{
	*(volatile uint32_t *)(dev->regs + reg) = value;
}

static inline void virtio_write64(struct virtio_device *dev, unsigned reg, uint64_t value)
{
	virtio_write32(dev, reg, (uint32_t)value);
	virtio_write32(dev, reg + 4, (uint32_t)(value >> 32));
}

/*
 * A device with its transport, registers and id: find its driver and start it. *keep: the interrupt's handler refers to
 * dev from now on, so that it must stay even on failure. -ENODEV: we have no driver.
 */
int virtio_start_device(struct virtio_device *dev, bool *keep);
void virtio_interrupt(struct virtio_device *dev);

void virtio_mmio_init(void); /* the virtio_mmio.device= words of the command line */
void virtio_pci_init(void);  /* bus 0 */

#endif
