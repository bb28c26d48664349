/* SPDX-License-Identifier: MIT */
/*
 * A virtio 1.2 device on PCI, without the interface of before 1.0: negotiation, queues, interrupts.
 * What a request means is the kind's business.  The BAR:
 *
 *   0000h  common configuration     1000h  ISR status     2000h  the device's configuration
 *   3000h  a doorbell for each queue, 4 bytes             4000h  MSI-X table, 4800h pending bits
 *
 * All functions are called with the VM's lock held.
 */
#pragma once

#include "hv/util.h"
#include "hv/vdev/virtq.h"
#include "hv/vdev/vpci.h"

#define VIRTIO_MAX_QUEUES  2
#define VIRTIO_CONFIG_SIZE 64

#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX     BIT(29)
#define VIRTIO_F_VERSION_1     BIT(32)

struct virtio;

/* What is the same for all devices of a kind. */
struct virtio_kind {
    uint16_t id;    /* virtio 1.2, 5: device types */
    uint32_t class; /* PCI's */
    uint16_t queues;
    uint16_t queue_size;
    /* Answers a request: 0 and how many bytes were written to it, or a negative errno when the
     * driver has broken a rule. */
    int (*request)(void *dev, struct virtq_chain *chain, uint32_t *written);
};

/* What a device needs beside its kind. */
struct virtio_setup {
    void *dev;
    uint64_t features;  /* its own, beside the transport's */
    const void *config; /* read-only */
    uint8_t config_size;
    struct dma dma;
    /* There is work left: virtio_work() is to be called soon, outside of any of these functions. */
    void *ctx;
    void (*later)(void *ctx);
};

struct virtio {
    struct vpci_function pci;
    const struct virtio_kind *kind;
    struct virtio_setup setup;
    uint8_t status, isr;
    uint64_t driver_features;
    uint32_t device_select, driver_select; /* which half of the features is seen */
    uint16_t queue_select;
    uint16_t config_vector;
    struct virtq queues[VIRTIO_MAX_QUEUES];
    uint16_t vectors[VIRTIO_MAX_QUEUES];
    uint8_t config[VIRTIO_CONFIG_SIZE];
};

/* As after power on; the caller plugs it into a slot. */
void virtio_init(struct virtio *virtio, const struct virtio_kind *kind,
                 const struct virtio_setup *setup);
/* Goes on with what was left; later() may be called again. */
void virtio_work(struct virtio *virtio);
