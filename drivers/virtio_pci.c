/*
 * virtio_pci.c - virtio devices on PCI (VIRTIO 1.1, 4.1): boards that have a firmware, and with it tables of nodes.
 *
 * The firmware has given the devices their addresses (BARs). Capabilities in configuration space say where in them the four
 * groups of registers lie:
 *
 *     common   features, status, the queue that is selected
 *     notify   doorbells: a queue's own is at its notify_off, times a step that the capability tells
 *     ISR      for interrupts by wire: not used
 *     device   what is of this kind of device
 *
 * All interrupts of a device are one message (MSI-X), so there is nothing to acknowledge.
 */
#include "drivers/virtqueue.h"

#include "arch/x86_64/arch.h"
#include <quire/errno.h>
#include <quire/kva.h>
#include <quire/slab.h>

#define PCI_ID           0x00
#define PCI_COMMAND      0x04
#define PCI_HEADER       0x0c /* type: bits 16 to 23 */
#define PCI_BAR          0x10
#define PCI_CAPABILITIES 0x34
#define PCI_NO_DEVICE    0xffffffffu

#define COMMAND_MEMORY     2u
#define COMMAND_BUS_MASTER 4u
#define MULTIFUNCTION      (1u << 23)

#define BAR_IO    1u
#define BAR_64    4u
#define BAR_FLAGS 15u

#define VIRTIO_VENDOR 0x1af4u
#define VIRTIO_FIRST  0x1040u /* device ids of modern devices: this plus VIRTIO_ID_* */
#define VIRTIO_LAST   0x107fu

#define CAP_VENDOR  0x09u
#define CAP_MSIX    0x11u
#define CAP_MAX     48u /* more there is no room for: the list has a ring */
#define MSIX_ENABLE (1u << 31)

enum { CFG_COMMON = 1, CFG_NOTIFY, CFG_ISR, CFG_DEVICE };

enum {
	COMMON_DEVICE_FEATURE_SELECT = 0x00,
	COMMON_DEVICE_FEATURE = 0x04,
	COMMON_DRIVER_FEATURE_SELECT = 0x08,
	COMMON_DRIVER_FEATURE = 0x0c,
	COMMON_MSIX_CONFIG = 0x10,
	COMMON_STATUS = 0x14,
	COMMON_QUEUE_SELECT = 0x16,
	COMMON_QUEUE_SIZE = 0x18,
	COMMON_QUEUE_MSIX_VECTOR = 0x1a,
	COMMON_QUEUE_ENABLE = 0x1c,
	COMMON_QUEUE_NOTIFY_OFF = 0x1e,
	COMMON_QUEUE_DESC = 0x20,
	COMMON_QUEUE_DRIVER = 0x28,
	COMMON_QUEUE_DEVICE = 0x30,
	COMMON_SIZE = 0x38,
};

/* --- registers ------------------------------------------------------------------------------------ */

static uint16_t read16(struct virtio_device *dev, unsigned reg)
{
	return *(volatile uint16_t *)(dev->regs + reg);
}

static void write16(struct virtio_device *dev, unsigned reg, unsigned value)
{
	*(volatile uint16_t *)(dev->regs + reg) = (uint16_t)value;
}

static uint32_t pci_status(struct virtio_device *dev)
{
	return dev->regs[COMMON_STATUS];
}

static void pci_set_status(struct virtio_device *dev, uint32_t status)
{
	dev->regs[COMMON_STATUS] = (uint8_t)status;
}

static unsigned pci_select_queue(struct virtio_device *dev, unsigned index)
{
	write16(dev, COMMON_QUEUE_SELECT, index);
	return read16(dev, COMMON_QUEUE_SIZE);
}

static void pci_enable_queue(struct virtio_device *dev, struct virtqueue *vq)
{
	vq->doorbell =
	        (volatile uint16_t *)(dev->notify_at +
	                              dev->notify_step * read16(dev, COMMON_QUEUE_NOTIFY_OFF));
	write16(dev, COMMON_QUEUE_SIZE, vq->num);
	write16(dev, COMMON_QUEUE_MSIX_VECTOR, 0);
	virtio_write64(dev, COMMON_QUEUE_DESC, virt_to_phys(vq->desc).a);
	virtio_write64(dev, COMMON_QUEUE_DRIVER, virt_to_phys(vq->avail).a);
	virtio_write64(dev, COMMON_QUEUE_DEVICE, virt_to_phys(vq->used).a);
	write16(dev, COMMON_QUEUE_ENABLE, 1);
}

static void pci_notify(struct virtqueue *vq)
{
	*vq->doorbell = (uint16_t)vq->index;
}

static void pci_interrupt(void *arg)
{
	virtio_interrupt(arg);
}

static int pci_request_irq(struct virtio_device *dev)
{
	uint64_t addr;
	uint32_t data;
	int err = arch_request_msi(pci_interrupt, dev, &addr, &data);

	if (err)
		return err;
	dev->msix[0] = (uint32_t)addr;
	dev->msix[1] = (uint32_t)(addr >> 32);
	dev->msix[2] = data;
	dev->msix[3] = 0; /* not masked */
	write16(dev, COMMON_MSIX_CONFIG, 0);
	return 0;
}

static const struct virtio_transport transport = {
        .status = pci_status,
        .set_status = pci_set_status,
        .device_features_sel = COMMON_DEVICE_FEATURE_SELECT,
        .device_features = COMMON_DEVICE_FEATURE,
        .driver_features_sel = COMMON_DRIVER_FEATURE_SELECT,
        .driver_features = COMMON_DRIVER_FEATURE,
        .select_queue = pci_select_queue,
        .enable_queue = pci_enable_queue,
        .notify = pci_notify,
        .request_irq = pci_request_irq,
};

/* --- finding them --------------------------------------------------------------------------------- */

struct slot {
	unsigned device, function;
};

static uint32_t config(struct slot s, unsigned offset)
{
	return arch_pci_read(0, s.device, s.function, offset);
}

/* Map len bytes of a BAR; NULL: it is none in memory, the firmware gave it no address, or there is no room. */
static volatile uint8_t *map_bar(struct slot s, unsigned bar, uint32_t offset, uint32_t len)
{
	uint64_t base;
	uint32_t low;

	if (bar > 5)
		return NULL;
	low = config(s, PCI_BAR + 4 * bar);
	if (low & BAR_IO)
		return NULL;
	base = low & ~BAR_FLAGS;
	if (low & BAR_64 && bar < 5)
		base |= (uint64_t)config(s, PCI_BAR + 4 * bar + 4) << 32;
	return base ? ioremap(PHYS(base + offset), len) : NULL;
}

/* One capability. Of a group that is there more than once the first counts. */
static void take_group(struct virtio_device *dev, struct slot s, unsigned at)
{
	const unsigned type = config(s, at) >> 24, bar = config(s, at + 4) & 0xff;
	const uint32_t offset = config(s, at + 8), len = config(s, at + 12);

	if (type == CFG_COMMON && !dev->regs && len >= COMMON_SIZE) {
		dev->regs = map_bar(s, bar, offset, len);
	} else if (type == CFG_NOTIFY && !dev->notify_at) {
		dev->notify_at = map_bar(s, bar, offset, len);
		dev->notify_step = config(s, at + 16);
	} else if (type == CFG_DEVICE && !dev->config) {
		dev->config = map_bar(s, bar, offset, len);
	}
}

static void take_msix(struct virtio_device *dev, struct slot s, unsigned at)
{
	const uint32_t where = config(s, at + 4);

	if (dev->msix)
		return;
	dev->msix = (volatile uint32_t *)map_bar(s, where & 7, where & ~7u, 16);
	arch_pci_write(0, s.device, s.function, at, config(s, at) | MSIX_ENABLE);
}

static void take_capabilities(struct virtio_device *dev, struct slot s)
{
	unsigned at = config(s, PCI_CAPABILITIES) & 0xfc;

	for (unsigned n = 0; at && n < CAP_MAX; n++) {
		const uint32_t head = config(s, at);

		if ((head & 0xff) == CAP_VENDOR)
			take_group(dev, s, at);
		else if ((head & 0xff) == CAP_MSIX)
			take_msix(dev, s, at);
		at = head >> 8 & 0xfc;
	}
}

static void unmap_device(struct virtio_device *dev)
{
	volatile void *const maps[] = {dev->regs, dev->notify_at, dev->config, dev->msix};

	for (unsigned i = 0; i < ARRAY_SIZE(maps); i++)
		if (maps[i])
			iounmap((void *)(uintptr_t)maps[i]);
}

static int probe_slot(struct slot s, uint32_t id)
{
	struct virtio_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	bool keep = false;
	int err = -EIO;

	if (!dev)
		return -ENOMEM;
	dev->transport = &transport;
	dev->id = id;
	arch_pci_write(0, s.device, s.function, PCI_COMMAND,
	               (config(s, PCI_COMMAND) & 0xffff) | COMMAND_MEMORY | COMMAND_BUS_MASTER);
	take_capabilities(dev, s);
	if (dev->regs && dev->notify_at && dev->config && dev->msix)
		err = virtio_start_device(dev, &keep);
	if (keep)
		return err;
	unmap_device(dev);
	kfree(dev);
	return err;
}

static void look_at(struct slot s)
{
	const uint32_t id = config(s, PCI_ID), device = id >> 16;
	int err;

	if ((id & 0xffff) != VIRTIO_VENDOR || device < VIRTIO_FIRST || device > VIRTIO_LAST)
		return;
	err = probe_slot(s, device - VIRTIO_FIRST);
	if (err && err != -ENODEV)
		port_log("virtio: PCI device %u.%u: error %d", s.device, s.function, err);
}

void virtio_pci_init(void)
{
	if (config((struct slot){0, 0}, PCI_ID) == PCI_NO_DEVICE)
		return; /* no bus: there would be a host bridge */
	for (unsigned device = 0; device < 32; device++) {
		const uint32_t header = config((struct slot){device, 0}, PCI_HEADER);
		const unsigned functions = header & MULTIFUNCTION ? 8 : 1;

		for (unsigned f = 0; header != PCI_NO_DEVICE && f < functions; f++)
			look_at((struct slot){device, f});
	}
}
