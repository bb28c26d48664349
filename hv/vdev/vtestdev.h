/* SPDX-License-Identifier: MIT */
/*
 * Two ports for tests, present only in a guest whose configuration asks for them.
 *
 *   F4h  debug exit  writing v ends the guest with v (8, 16 or 32 bits); reads float
 *   E9h  debugcon    a byte written goes to the sink; reads E9h
 */
#pragma once

#include "hv/vdev/vdev.h"

#include <stdint.h>

#define VTESTDEV_EXIT_PORT     0xf4
#define VTESTDEV_DEBUGCON_PORT 0xe9
#define VTESTDEV_PORT_RANGES   2

/* Called from within the guest's port write: exit() notes the request and returns. */
struct vtestdev_ops {
    void *ctx;
    void (*exit)(void *ctx, uint32_t value);
    void (*put)(void *ctx, uint8_t byte);
};

struct vtestdev {
    struct vtestdev_ops ops;
};

void vtestdev_init(struct vtestdev *test, const struct vtestdev_ops *ops);
void vtestdev_ports(struct vtestdev *test, struct pio_range ranges[VTESTDEV_PORT_RANGES]);
