/* SPDX-License-Identifier: MIT */
/* The virtio console (virtio 1.2, 5.3) with one port, whose size nobody knows. */
#pragma once

#include "hv/vdev/virtio.h"

#define VIRTIO_CONSOLE_F_EMERG_WRITE BIT(2)

struct virtio_console_config {
    uint16_t columns, rows;
    uint32_t ports;
    uint32_t emergency_write; /* its low byte is sent, whether there is a driver or not */
};

struct virtio_console {
    struct virtio *virtio;
    void *ctx;
    /* Takes one byte.  False: no room; the owner sees to it that virtio_work() comes when there is.
     */
    bool (*put)(void *ctx, uint8_t byte);
    /* The driver can receive again. */
    void (*ready)(void *ctx);
    uint64_t sent; /* bytes of the chain that comes next that were taken already */
    struct virtio_console_config config;
};

extern const struct virtio_kind virtio_console_kind; /* its device is a struct virtio_console */

/* Bytes from outside: takes as many as fit, says how many.  With the device's lock held. */
unsigned int virtio_console_receive(struct virtio_console *console, const uint8_t *bytes,
                                    unsigned int count);
