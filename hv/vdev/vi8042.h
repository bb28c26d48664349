/* SPDX-License-Identifier: MIT */
/*
 * Where a PC has its keyboard controller: nothing but its reset line, its A20 gate and port 92h.
 *
 *   60h  data     reads FFh; the byte after command D1h is the output port
 *   64h  status   reads FFh
 *        command  D1h write output port; F0h to FFh pulse its low bits (FEh: reset)
 *   92h  Port A   bit 0 fast reset, bit 1 A20 gate (reads back)
 *
 * A status of FFh is how an absent controller looks: GRUB, SeaBIOS and FreeBSD test for it, and
 * Linux's i8042_flush(), which reads data as long as the status says that there is some, gives up
 * after 16 bytes (under a millisecond) with "No controller found".  A status of 0 would make Linux
 * send a command and wait half a second for the answer.  A20 is always open: the gate is stored
 * and does nothing.
 */
#pragma once

#include "hv/vdev/vdev.h"

#include <stdbool.h>
#include <stdint.h>

#define VI8042_PORT_RANGES 3

/* Called from within the guest's port write: it notes the request and returns. */
struct vi8042_ops {
    void *ctx;
    void (*reset)(void *ctx);
};

struct vi8042 {
    bool output_port_next; /* the byte after command D1h */
    uint8_t port_a;
    struct vi8042_ops ops;
};

/* Power-on state; also a reset. */
void vi8042_init(struct vi8042 *i8042, const struct vi8042_ops *ops);
void vi8042_ports(struct vi8042 *i8042, struct pio_range ranges[VI8042_PORT_RANGES]);
