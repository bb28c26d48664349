/* SPDX-License-Identifier: MIT */
/* The virtio entropy device (virtio 1.2, 5.4): fills what it is given with random bytes. */
#pragma once

#include "hv/vdev/virtio.h"

struct virtio_rng {
    void *ctx;
    void (*fill)(void *ctx, void *to, uint32_t size);
};

extern const struct virtio_kind virtio_rng_kind; /* its device is a struct virtio_rng */
