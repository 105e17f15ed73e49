/*
 * virtio.h - virtio devices, over MMIO or PCI, and their split virtqueues.
 *
 * Source: Virtual I/O Device (VIRTIO) 1.1, sections 2.6 (split virtqueues), 3.1 (initialization),
 * 4.1 (PCI), 4.2 (MMIO). Modern devices only.
 *
 * A queue's lock is its driver's: the functions on a virtqueue that are named below expect the
 * caller to let no two of them run on one queue at the same time, and to be safe against its own
 * interrupt (spin_lock_irqsave). Buffers are physical segments: memory from alloc_pages or kmalloc,
 * in the direct map.
 *
 * Each access to a register leaves the virtual machine (about 1 us under emulation), so the fast
 * paths have at most one: the kick, which is left out while the device is still at work
 * (EVENT_IDX), and the acknowledgement of an interrupt, which comes only where
 * virtqueue_enable_cb() asked for one. With one CPU there is one access more: virtqueue.c, "The full fence".
 */
#ifndef DRIVERS_VIRTIO_H
#define DRIVERS_VIRTIO_H

#include <quire/port.h>

struct virtqueue;

#define VIRTIO_MAX_QUEUES 16

#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_9P      9

#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX     29
#define VIRTIO_F_VERSION_1     32

struct virtio_device {
	const struct virtio_transport *transport; /* (i) */
	volatile uint8_t *regs;                   /* (i) mapped uncached */
	volatile uint8_t *config;                 /* (i) likewise, of the device's kind */
	volatile uint8_t *notify_at;              /* (i) PCI: doorbells, notify_step bytes apart */
	uint32_t notify_step;
	volatile uint32_t *msix; /* (i) PCI: the first entry of its table of interrupts */
	unsigned irq;            /* (i) MMIO */
	uint32_t id;             /* (i) VIRTIO_ID_* */
	uint64_t features;       /* (i) negotiated */
	unsigned nr_queues;      /* queues set up; written while probing only */
	struct virtqueue *queues[VIRTIO_MAX_QUEUES];
	const struct virtio_driver *driver;
	void *priv; /* the driver's */
};

struct virtio_driver {
	uint32_t id;
	const char *name;
	/* Wanted besides VERSION_1 and EVENT_IDX; those the device lacks are left out. */
	uint64_t features;
	/*
	 * The device has agreed to the features: set up queues, then virtio_device_ready(). 0 or a
	 * negative errno: the device is reset and left alone. Sleeps.
	 */
	int (*probe)(struct virtio_device *dev);
	/* The device used buffers of some queue. Interrupt context. */
	void (*interrupt)(struct virtio_device *dev);
};

/*
 * A piece of memory that the device reads or writes; in the form of a descriptor, so that an array
 * of them can serve as an indirect table. The driver fills in addr (physical) and len.
 */
struct virtio_seg {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next; /* virtqueue.c's */
};
static_assert(sizeof(struct virtio_seg) == 16, "VIRTIO 1.1, 2.6.5");

#define VIRTIO_SEG_NEXT     1
#define VIRTIO_SEG_WRITE    2
#define VIRTIO_SEG_INDIRECT 4

static inline struct virtio_seg virtio_seg(const void *p, size_t len)
{
	return (struct virtio_seg){.addr = virt_to_phys(p).a, .len = (uint32_t)len};
}

/* Find all devices and start their drivers. Sleeps; once. */
void virtio_init(void);

/*
 * Queue number index with at most `size` descriptors (a power of two; the device may allow fewer).
 * ERR_PTR(-ENOENT): no such queue; -ENOMEM. Sleeps; while probing.
 */
struct virtqueue *virtio_setup_queue(struct virtio_device *dev, unsigned index, unsigned size);

/* DRIVER_OK: from now on the device works. Queues may be filled before. */
void virtio_device_ready(struct virtio_device *dev);

/* Device configuration: n bytes at offset, n = 1, 2, 4 or 8. */
uint64_t virtio_config(struct virtio_device *dev, unsigned offset, unsigned n);

/*
 * One buffer: `out` segments that the device reads, then `in` segments that it writes. token (not
 * NULL) comes back from virtqueue_get(). 0, or -ENOSPC while there are too few descriptors. Any
 * context.
 */
MUST_USE int virtqueue_add(struct virtqueue *vq, const struct virtio_seg *segs, unsigned out,
                           unsigned in, void *token);

/*
 * The same, taking one descriptor whatever the number of segments: the table itself, physically
 * contiguous, goes to the device and belongs to it until virtqueue_get(). Where
 * VIRTIO_F_INDIRECT_DESC is lacking: virtqueue_add().
 */
MUST_USE int virtqueue_add_table(struct virtqueue *vq, struct virtio_seg *table, unsigned out,
                                 unsigned in, void *token);

/* Tell the device of everything added since the last kick, if it wants to know. Any context. */
void virtqueue_kick(struct virtqueue *vq);

/*
 * The next used buffer's token and, if len is not NULL, how many bytes the device wrote; NULL:
 * none. A device that returns what was not given panics nothing: the entry is logged once and
 * skipped. Any context.
 */
void *virtqueue_get(struct virtqueue *vq, uint32_t *len);

/* Interrupts for this queue: not needed (a hint: one may still come). */
void virtqueue_disable_cb(struct virtqueue *vq);

/*
 * Interrupt when the next buffer is used. False: one is used already, and no interrupt may come for
 * it: look again.
 */
MUST_USE bool virtqueue_enable_cb(struct virtqueue *vq);

/* Descriptors free now, and the queue's size. */
unsigned virtqueue_free(const struct virtqueue *vq);
unsigned virtqueue_size(const struct virtqueue *vq);

extern const struct virtio_driver virtio_console_driver; /* console.c */
extern const struct virtio_driver virtio_9p_driver;      /* virtio_9p.c */

#endif
