/* SPDX-License-Identifier: MIT */
/*
 * What test programs written for QEMU expect of its isa-debug-exit, isa-debugcon and pc-testdev,
 * present only in a guest whose configuration asks for it.
 *
 *   F4h          debug exit  writing v ends the guest with v (8, 16 or 32 bits); reads float
 *   E9h          debugcon    a byte written goes to the sink; reads E9h
 *   E0h-E3h      a register  holds what is written, in any size
 *   2000h-2017h  lines       each byte written sets an interrupt line: high, or low if it is 0
 *   FF000000h    memory      64 KiB that are emulated, access by access
 *
 * pc-testdev's E4h makes QEMU forget its mapping of a page, which a guest cannot see: nothing is
 * there.  Its second register, at E8h, would lie over the debugcon.
 */
#pragma once

#include "hv/vdev/vdev.h"

#include <stdint.h>

#define VTESTDEV_EXIT_PORT     0xf4
#define VTESTDEV_DEBUGCON_PORT 0xe9
#define VTESTDEV_REGISTER_PORT 0xe0
#define VTESTDEV_LINE_PORT     0x2000
#define VTESTDEV_PORT_RANGES   4
#define VTESTDEV_MEMORY_BASE   0xff000000
#define VTESTDEV_MEMORY_SIZE   0x10000

/* Called from within the guest's port write: exit() notes the request and returns. */
struct vtestdev_ops {
    void *ctx;
    void (*exit)(void *ctx, uint32_t value);
    void (*put)(void *ctx, uint8_t byte);
    void (*set_irq)(void *ctx, unsigned int irq, bool level);
};

struct vtestdev {
    struct vtestdev_ops ops;
    uint32_t value;  /* of the register */
    uint8_t *memory; /* VTESTDEV_MEMORY_SIZE bytes */
};

void vtestdev_init(struct vtestdev *test, const struct vtestdev_ops *ops, uint8_t *memory);
void vtestdev_ports(struct vtestdev *test, struct pio_range ranges[VTESTDEV_PORT_RANGES]);
struct mmio_range vtestdev_memory(struct vtestdev *test);
