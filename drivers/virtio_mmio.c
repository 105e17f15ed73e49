/*
 * virtio_mmio.c - virtio devices behind registers in memory (VIRTIO 1.1, 4.2), and the list of
 * drivers.
 *
 * There is no bus to look through: the command line names each device as
 * virtio_mmio.device=SIZE@ADDR:IRQ. A slot without a device has id 0.
 *
 * Interrupts are edges, so the handler acknowledges first and looks at the rings after: a buffer
 * that is used in between raises the line again.
 */
#include "drivers/console.h"
#include "drivers/virtqueue.h"

#include "arch/x86_64/arch.h"
#include <quire/errno.h>
#include <quire/kva.h>
#include <quire/slab.h>

#define VIRTIO_MAGIC 0x74726976u

enum {
	REG_MAGIC = 0x00,
	REG_VERSION = 0x04,
	REG_DEVICE_ID = 0x08,
	REG_DEVICE_FEATURES = 0x10,
	REG_DEVICE_FEATURES_SEL = 0x14,
	REG_DRIVER_FEATURES = 0x20,
	REG_DRIVER_FEATURES_SEL = 0x24,
	REG_QUEUE_SEL = 0x30,
	REG_QUEUE_NUM_MAX = 0x34,
	REG_QUEUE_NUM = 0x38,
	REG_QUEUE_READY = 0x44,
	REG_QUEUE_NOTIFY = 0x50,
	REG_INTERRUPT_ACK = 0x64,
	REG_STATUS = 0x70,
	REG_QUEUE_DESC = 0x80,
	REG_QUEUE_DRIVER = 0x90,
	REG_QUEUE_DEVICE = 0xa0,
	REG_CONFIG = 0x100,
};

enum {
	STATUS_ACKNOWLEDGE = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_FAILED = 128,
};

#define INTERRUPT_ALL 3 /* used buffers, configuration change */

static const struct virtio_driver *const drivers[] = {
        &virtio_console_driver,
        &virtio_9p_driver,
};

static uint32_t reg_read(struct virtio_device *dev, unsigned reg)
{
	return *(volatile uint32_t *)(dev->regs + reg);
}

static void reg_write(struct virtio_device *dev, unsigned reg, uint32_t value)
{
	*(volatile uint32_t *)(dev->regs + reg) = value;
}

static void reg_write64(struct virtio_device *dev, unsigned reg, uint64_t value)
{
	reg_write(dev, reg, (uint32_t)value);
	reg_write(dev, reg + 4, (uint32_t)(value >> 32));
}

void virtio_notify(struct virtio_device *dev, unsigned index)
{
	reg_write(dev, REG_QUEUE_NOTIFY, index);
}

uint64_t virtio_config(struct virtio_device *dev, unsigned offset, unsigned n)
{
	volatile uint8_t *p = dev->regs + REG_CONFIG + offset;

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
	reg_write(dev, REG_QUEUE_SEL, index);
	max = reg_read(dev, REG_QUEUE_NUM_MAX);
	if (max == 0)
		return ERR_PTR(-ENOENT);
	while (size > max)
		size /= 2;
	vq = virtqueue_alloc(dev, index, size);
	if (!vq)
		return ERR_PTR(-ENOMEM);
	reg_write(dev, REG_QUEUE_NUM, size);
	reg_write64(dev, REG_QUEUE_DESC, virt_to_phys(vq->desc).a);
	reg_write64(dev, REG_QUEUE_DRIVER, virt_to_phys(vq->avail).a);
	reg_write64(dev, REG_QUEUE_DEVICE, virt_to_phys(vq->used).a);
	reg_write(dev, REG_QUEUE_READY, 1);
	dev->queues[dev->nr_queues++] = vq;
	return vq;
}

void virtio_device_ready(struct virtio_device *dev)
{
	reg_write(dev, REG_STATUS,
	          STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

static void virtio_interrupt(void *arg)
{
	struct virtio_device *dev = arg;

	reg_write(dev, REG_INTERRUPT_ACK, INTERRUPT_ALL);
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

static int negotiate(struct virtio_device *dev, uint64_t wanted)
{
	uint64_t offered;

	reg_write(dev, REG_DEVICE_FEATURES_SEL, 1);
	offered = (uint64_t)reg_read(dev, REG_DEVICE_FEATURES) << 32;
	reg_write(dev, REG_DEVICE_FEATURES_SEL, 0);
	offered |= reg_read(dev, REG_DEVICE_FEATURES);
	if (!(offered >> VIRTIO_F_VERSION_1 & 1))
		return -ENODEV;
	dev->features =
	        offered & (wanted | 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_EVENT_IDX);
	reg_write(dev, REG_DRIVER_FEATURES_SEL, 1);
	reg_write(dev, REG_DRIVER_FEATURES, (uint32_t)(dev->features >> 32));
	reg_write(dev, REG_DRIVER_FEATURES_SEL, 0);
	reg_write(dev, REG_DRIVER_FEATURES, (uint32_t)dev->features);
	reg_write(dev, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	return reg_read(dev, REG_STATUS) & STATUS_FEATURES_OK ? 0 : -ENODEV;
}

/* Reset: the device forgets its queues, so their memory is free again. */
static void reset_device(struct virtio_device *dev)
{
	reg_write(dev, REG_STATUS, 0);
	while (dev->nr_queues)
		virtqueue_release(dev->queues[--dev->nr_queues]);
}

/*
 * *keep: the interrupt's handler refers to dev from now on, so that it must stay even on failure.
 */
static int start_device(struct virtio_device *dev, bool *keep)
{
	int err;

	reg_write(dev, REG_STATUS, 0);
	reg_write(dev, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	err = negotiate(dev, dev->driver->features);
	if (!err)
		err = arch_request_irq(dev->irq, virtio_interrupt, dev);
	if (!err) {
		*keep = true;
		err = dev->driver->probe(dev);
	}
	if (err)
		reset_device(dev);
	return err;
}

/* Is there a device that we drive behind the registers? Its id, 0 or a negative errno. */
static int identify(struct virtio_device *dev)
{
	if (reg_read(dev, REG_MAGIC) != VIRTIO_MAGIC || reg_read(dev, REG_VERSION) != 2)
		return -ENODEV;
	dev->id = reg_read(dev, REG_DEVICE_ID);
	dev->driver = find_driver(dev->id);
	return dev->driver ? 0 : -ENODEV;
}

static int probe_device(phys_t base, uint64_t size, unsigned irq)
{
	struct virtio_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	bool keep = false;
	int err = -ENOMEM;

	if (!dev)
		return -ENOMEM;
	dev->irq = irq;
	dev->regs = ioremap(base, size);
	if (!dev->regs)
		goto free_dev;
	err = identify(dev);
	if (!err)
		err = start_device(dev, &keep);
	if (keep)
		return err;
	iounmap((void *)(uintptr_t)dev->regs);
free_dev:
	kfree(dev);
	return err;
}

/*
 * A number, decimal or 0x-hexadecimal, as Linux's virtio_mmio.device= has them. Moves *s behind it.
 */
static uint64_t parse_number(const char **s)
{
	uint64_t value = 0, base = 10;

	if ((*s)[0] == '0' && (*s)[1] == 'x') {
		base = 16;
		*s += 2;
	}
	for (;; ++*s) {
		char c = **s;
		uint64_t digit = c >= '0' && c <= '9'   ? (uint64_t)(c - '0')
		                 : c >= 'a' && c <= 'f' ? (uint64_t)(c - 'a' + 10)
		                                        : 16;

		if (digit >= base)
			return value;
		value = value * base + digit;
	}
}

/* SIZE[K]@ADDR:IRQ */
static void probe_word(const char *word)
{
	const char *s = word;
	uint64_t size = parse_number(&s), base, irq;
	int err = -EINVAL;

	if (*s == 'K') {
		size <<= 10;
		s++;
	}
	if (*s++ != '@')
		goto bad;
	base = parse_number(&s);
	if (*s++ != ':')
		goto bad;
	irq = parse_number(&s);
	if (size < REG_CONFIG)
		goto bad;
	err = probe_device(PHYS(base), size, (unsigned)irq);
	if (!err || err == -ENODEV)
		return;
bad:
	port_log("virtio: device at %.40s: error %d", word, err);
}

void virtio_init(void)
{
	static const char key[] = "virtio_mmio.device=";
	const char *s = boot_info.cmdline;

	while (*s) {
		size_t k = 0;

		while (*s == ' ')
			s++;
		while (key[k] && s[k] == key[k])
			k++;
		if (!key[k])
			probe_word(s + k);
		while (*s && *s != ' ')
			s++;
	}
}

void drivers_init(void)
{
	virtio_init();
}
