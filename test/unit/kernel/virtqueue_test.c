/*
 * virtqueue_test.c - virtqueues against a device that is this file: what comes back, what a broken device may say, and the
 * look behind the fence of a machine with one CPU (`--cpus 1`).
 */
#include "drivers/virtqueue.h"
#include "lib/string.h"
#include "test/unit/unit.h"

#include <quire/errno.h>
#include <quire/machine.h>

#define SIZE 4u

/* Each test's device; uses the buffer in flight while its status is read if `busy`. */
static struct {
	struct virtio_device dev;
	struct virtqueue *vq;
	unsigned accesses, kicks;
	bool busy;
} fake;

static void use(uint32_t id, uint32_t len)
{
	struct vring_used *used = fake.vq->used;

	used->ring[used->idx % SIZE] = (struct vring_used_elem){id, len};
	used->idx++;
}

static uint32_t fake_status(struct virtio_device *dev)
{
	(void)dev;
	fake.accesses++;
	if (fake.busy)
		use(fake.vq->avail->ring[0], 7);
	return 0;
}

static void fake_notify(struct virtqueue *vq)
{
	(void)vq;
	fake.kicks++;
}

static const struct virtio_transport fake_bus = {.status = fake_status, .notify = fake_notify};

static volatile uint16_t *avail_event(void)
{
	return (volatile uint16_t *)&fake.vq->used->ring[SIZE];
}

static bool set_up(uint64_t features)
{
	memset(&fake, 0, sizeof(fake));
	fake.dev.transport = &fake_bus;
	fake.dev.features = features;
	fake.vq = virtqueue_alloc(&fake.dev, 0, SIZE);
	return fake.vq != NULL;
}

static int add(void *token)
{
	const struct virtio_seg seg = virtio_seg(&fake, 1);

	return virtqueue_add(fake.vq, &seg, 1, 0, token);
}

static void buffers_come_back(void)
{
	int token[SIZE + 1];
	uint32_t len = 0;

	for (unsigned i = 0; i < SIZE; i++)
		CHECK_EQ(add(&token[i]), 0);
	CHECK_EQ(add(&token[SIZE]), -ENOSPC);
	CHECK(virtqueue_get(fake.vq, &len) == NULL);
	use(fake.vq->avail->ring[2], 5); /* in any order */
	CHECK(virtqueue_get(fake.vq, &len) == &token[2]);
	CHECK_EQ(len, 5);
	use(fake.vq->avail->ring[2], 5); /* a second time */
	use(SIZE, 5);                    /* none of ours */
	use(fake.vq->avail->ring[0], 6);
	CHECK(virtqueue_get(fake.vq, &len) == &token[0]);
	CHECK_EQ(len, 6);
	CHECK(virtqueue_get(fake.vq, &len) == NULL);
	CHECK_EQ(virtqueue_free(fake.vq), 2);
}

UNIT_TEST(buffers_come_back_and_lies_are_skipped)
{
	CHECK(set_up(0));
	buffers_come_back();
	virtqueue_release(fake.vq);
}

static void event_index(void)
{
	const bool one_cpu = machine()->nr_cpus == 1;
	int token;

	*avail_event() = 1; /* it is at work: tell me only of the second */
	CHECK_EQ(add(&token), 0);
	virtqueue_kick(fake.vq);
	CHECK_EQ(fake.kicks, one_cpu);
	CHECK(virtqueue_enable_cb(fake.vq));
	CHECK_EQ(fake.accesses, one_cpu);
	CHECK_EQ(fake.vq->avail->ring[SIZE], 0);
	fake.busy = one_cpu; /* a buffer that was used before the register was read is seen */
	CHECK_EQ(virtqueue_enable_cb(fake.vq), !one_cpu);
	CHECK_EQ(add(&token), 0);
	virtqueue_kick(fake.vq);
	CHECK_EQ(fake.kicks, 1 + one_cpu);
}

UNIT_TEST(one_cpu_looks_behind_an_access)
{
	CHECK(set_up(1ull << VIRTIO_F_EVENT_IDX));
	event_index();
	virtqueue_release(fake.vq);
}
