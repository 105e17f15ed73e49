/*
 * virtio.c - virtio devices whatever they are reached by: the list of drivers, and the steps from a device that was found
 * to one that works (VIRTIO 1.1, 3.1). What depends on the bus is behind struct virtio_transport.
 */
#include "drivers/console.h"
#include "drivers/virtqueue.h"

#include "arch/x86_64/arch.h"
#include <quire/errno.h>

enum {
	STATUS_ACKNOWLEDGE = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_FAILED = 128,
};

static const struct virtio_driver *const drivers[] = {
        &virtio_console_driver,
        &virtio_9p_driver,
};

void virtio_notify(struct virtqueue *vq)
{
	vq->dev->transport->notify(vq);
}

uint64_t virtio_config(struct virtio_device *dev, unsigned offset, unsigned n)
{
	volatile uint8_t *p = dev->config + offset;

	switch (n) {
	case 1:
		return *p;
	case 2:
		return *(volatile uint16_t *)p;
	case 4:
		return *(volatile uint32_t *)p;
	default:
		return *(volatile uint32_t *)p | (uint64_t) * (volatile uint32_t *)(p + 4) << 32;
	}
}

struct virtqueue *virtio_setup_queue(struct virtio_device *dev, unsigned index, unsigned size)
{
	struct virtqueue *vq;
	unsigned max;

	if (dev->nr_queues == VIRTIO_MAX_QUEUES)
		return ERR_PTR(-ENOSPC);
	max = dev->transport->select_queue(dev, index);
	if (max == 0)
		return ERR_PTR(-ENOENT);
	while (size > max)
		size /= 2;
	vq = virtqueue_alloc(dev, index, size);
	if (!vq)
		return ERR_PTR(-ENOMEM);
	dev->transport->enable_queue(dev, vq);
	dev->queues[dev->nr_queues++] = vq;
	return vq;
}

void virtio_device_ready(struct virtio_device *dev)
{
	dev->transport->set_status(dev, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK |
	                                        STATUS_DRIVER_OK);
}

void virtio_interrupt(struct virtio_device *dev)
{
	if (dev->nr_queues)
		dev->driver->interrupt(dev);
}

static const struct virtio_driver *find_driver(uint32_t id)
{
	for (unsigned i = 0; i < ARRAY_SIZE(drivers); i++)
		if (drivers[i]->id == id)
			return drivers[i];
	return NULL;
}

/* 32 of the 64 bits: half 0 the low ones, half 1 the high ones. */
static uint64_t offered_half(struct virtio_device *dev, unsigned half)
{
	virtio_write32(dev, dev->transport->device_features_sel, half);
	return virtio_read32(dev, dev->transport->device_features);
}

static void take_half(struct virtio_device *dev, unsigned half)
{
	virtio_write32(dev, dev->transport->driver_features_sel, half);
	virtio_write32(dev, dev->transport->driver_features,
	               (uint32_t)(dev->features >> 32 * half));
}

static int negotiate(struct virtio_device *dev, uint64_t wanted)
{
	const struct virtio_transport *bus = dev->transport;
	const uint64_t offered = offered_half(dev, 1) << 32 | offered_half(dev, 0);

	if (!(offered >> VIRTIO_F_VERSION_1 & 1))
		return -ENODEV;
	dev->features =
	        offered & (wanted | 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_EVENT_IDX);
	take_half(dev, 1);
	take_half(dev, 0);
	bus->set_status(dev, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	return bus->status(dev) & STATUS_FEATURES_OK ? 0 : -ENODEV;
}

/* Reset: the device forgets its queues, so their memory is free again. */
static void reset_device(struct virtio_device *dev)
{
	dev->transport->set_status(dev, 0);
	while (dev->nr_queues)
		virtqueue_release(dev->queues[--dev->nr_queues]);
}

int virtio_start_device(struct virtio_device *dev, bool *keep)
{
	int err;

	dev->driver = find_driver(dev->id);
	if (!dev->driver)
		return -ENODEV;
	dev->transport->set_status(dev, 0);
	while (dev->transport->status(dev)) /* over when it reads 0 */
		;
	dev->transport->set_status(dev, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	err = negotiate(dev, dev->driver->features);
	if (!err)
		err = dev->transport->request_irq(dev);
	if (!err) {
		*keep = true;
		err = dev->driver->probe(dev);
	}
	if (err)
		reset_device(dev);
	return err;
}

void virtio_init(void)
{
	virtio_mmio_init();
	virtio_pci_init();
}

void drivers_init(void)
{
	virtio_init();
}
