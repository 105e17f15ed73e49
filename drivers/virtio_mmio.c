/*
 * virtio_mmio.c - virtio devices behind registers in memory (VIRTIO 1.1, 4.2).
 *
 * There is no bus to look through: the command line names each device as
 * virtio_mmio.device=SIZE@ADDR:IRQ. A slot without a device has id 0.
 *
 * Interrupts are edges, so the handler acknowledges first and looks at the rings after: a buffer
 * that is used in between raises the line again.
 */
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

#define INTERRUPT_ALL 3 /* used buffers, configuration change */

static uint32_t mmio_status(struct virtio_device *dev)
{
	return virtio_read32(dev, REG_STATUS);
}

static void mmio_set_status(struct virtio_device *dev, uint32_t status)
{
	virtio_write32(dev, REG_STATUS, status);
}

static unsigned mmio_select_queue(struct virtio_device *dev, unsigned index)
{
	virtio_write32(dev, REG_QUEUE_SEL, index);
	return virtio_read32(dev, REG_QUEUE_NUM_MAX);
}

static void mmio_enable_queue(struct virtio_device *dev, struct virtqueue *vq)
{
	virtio_write32(dev, REG_QUEUE_NUM, vq->num);
	virtio_write64(dev, REG_QUEUE_DESC, virt_to_phys(vq->desc).a);
	virtio_write64(dev, REG_QUEUE_DRIVER, virt_to_phys(vq->avail).a);
	virtio_write64(dev, REG_QUEUE_DEVICE, virt_to_phys(vq->used).a);
	virtio_write32(dev, REG_QUEUE_READY, 1);
}

static void mmio_notify(struct virtqueue *vq)
{
	virtio_write32(vq->dev, REG_QUEUE_NOTIFY, vq->index);
}

static void mmio_interrupt(void *arg)
{
	struct virtio_device *dev = arg;

	virtio_write32(dev, REG_INTERRUPT_ACK, INTERRUPT_ALL);
	virtio_interrupt(dev);
}

static int mmio_request_irq(struct virtio_device *dev)
{
	return arch_request_irq(dev->irq, mmio_interrupt, dev);
}

static const struct virtio_transport transport = {
        .status = mmio_status,
        .set_status = mmio_set_status,
        .device_features_sel = REG_DEVICE_FEATURES_SEL,
        .device_features = REG_DEVICE_FEATURES,
        .driver_features_sel = REG_DRIVER_FEATURES_SEL,
        .driver_features = REG_DRIVER_FEATURES,
        .select_queue = mmio_select_queue,
        .enable_queue = mmio_enable_queue,
        .notify = mmio_notify,
        .request_irq = mmio_request_irq,
};

/* Is there a device behind the registers? */
static int identify(struct virtio_device *dev)
{
	if (virtio_read32(dev, REG_MAGIC) != VIRTIO_MAGIC || virtio_read32(dev, REG_VERSION) != 2)
		return -ENODEV;
	dev->id = virtio_read32(dev, REG_DEVICE_ID);
	return 0;
}

static int probe_device(phys_t base, uint64_t size, unsigned irq)
{
	struct virtio_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	bool keep = false;
	int err = -ENOMEM;

	if (!dev)
		return -ENOMEM;
	dev->transport = &transport;
	dev->irq = irq;
	dev->regs = ioremap(base, size);
	if (!dev->regs)
		goto free_dev;
	dev->config = dev->regs + REG_CONFIG;
	err = identify(dev);
	if (!err)
		err = virtio_start_device(dev, &keep);
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

void virtio_mmio_init(void)
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
