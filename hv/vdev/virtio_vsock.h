/* SPDX-License-Identifier: MIT */
/*
 * The virtio socket device (virtio 1.2, 5.10): stream sockets between the guests of this machine.
 * A hub knows those devices whose drivers are there, by their context ids, and its lock is the lock
 * of all of them.
 *
 * A packet goes from the sender's transmit queue straight into the receiver's buffers.  Where there
 * is none the sender's queue stands still, so that no byte is ever lost, until the receiver offers
 * some or goes away.  What cannot be delivered is answered by RST.
 */
#pragma once

#include "hv/vdev/virtio.h"

#define VIRTIO_VSOCK_MAX 64 /* devices of a hub */

struct virtio_vsock;

struct virtio_vsock_hub {
    struct spinlock lock;
    struct virtio_vsock *live[VIRTIO_VSOCK_MAX]; /* a null pointer: it has no driver */
};

struct virtio_vsock_count {
    uint64_t packets, bytes;
};

struct virtio_vsock {
    struct virtio_vsock_hub *hub;
    struct virtio *virtio;
    unsigned int index; /* in the hub */
    uint64_t cid;       /* also the device's configuration */
    void *ctx;
    /* virtio_work() is to come soon; called on the way of another one's request. */
    void (*wake)(void *ctx);

    /* Guarded by the hub's lock, a bit for each place in the hub. */
    uint64_t waiting; /* whose queue stands still until this one has buffers */
    uint64_t peers;   /* with whom it has had a connection */
    uint64_t moved;   /* bytes of the packet to be sent next that have been delivered */
    bool event_due;   /* some peer has gone: the driver is to look after its connections */
    struct virtio_vsock_count sent, received;
    uint64_t refused; /* packets of its own that were answered by RST, or dropped */
};

extern const struct virtio_kind virtio_vsock_kind; /* its device is a struct virtio_vsock */
