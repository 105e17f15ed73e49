/*
 * virtio_9p.h - the transport of 9P over a virtio device (VIRTIO 1.2, 5.9): one channel for each
 * share.
 *
 * A request is one buffer: segments that the server reads, then segments that it writes its reply
 * to.
 */
#ifndef DRIVERS_VIRTIO_9P_H
#define DRIVERS_VIRTIO_9P_H

#include "drivers/virtio.h"

struct p9_channel;

/*
 * The channel of the share with this tag, for one user at a time: NULL when there is none or it is
 * taken.
 */
struct p9_channel *p9_channel_get(const char *tag);
void p9_channel_put(struct p9_channel *ch);

/*
 * Send a request; table is the device's until complete(req, len) is called, in interrupt context,
 * with the bytes of the reply. 0, or -ENOSPC while the queue is full. Any context.
 */
MUST_USE int p9_channel_submit(struct p9_channel *ch, struct virtio_seg *table, unsigned out,
                               unsigned in, void *req);
/* Whom to tell of replies; NULL: nobody. */
void p9_channel_set_complete(struct p9_channel *ch, void (*complete)(void *req, uint32_t len));

#endif
