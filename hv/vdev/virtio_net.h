/* SPDX-License-Identifier: MIT */
/*
 * The virtio network device (virtio 1.2, 5.1): one pair of queues, a port of a switch.  A frame
 * goes from the sender's memory to the receiver's in one copy, and so do unfinished checksums and
 * TCP segments of up to 64 KiB, where the receiver has said that it takes them.  For one that has
 * not a checksum is finished, but a large segment is lost.
 */
#pragma once

#include "hv/vdev/virtio.h"
#include "hv/vdev/vswitch.h"

#define VIRTIO_NET_MIN 14u
#define VIRTIO_NET_MAX 65550u /* the Ethernet header and the longest IP packet */

struct virtio_net_config {
    uint8_t mac[6];
    uint16_t status; /* bit 0: the link is up */
};

struct virtio_net {
    struct virtio *virtio;
    struct vswitch_port port;
    struct virtio_net_config config;
};

extern const struct virtio_kind virtio_net_kind; /* its device is a struct virtio_net */

/* Its port on a switch, whose lock is held. */
void virtio_net_attach(struct virtio_net *net, struct vswitch *vswitch, uint64_t mac);
/* The features that it is to be made with. */
uint64_t virtio_net_features(void);
