/* SPDX-License-Identifier: MIT */
/* The test ports (see vtestdev.h).  They hold no state: what a value means is the owner's matter.
 */
#include "hv/vdev/vtestdev.h"

#include "hv/util.h"

#define EXIT_PORTS 4 /* so that a 32-bit write lies within */

static uint32_t exit_read(void *dev, uint16_t offset, uint8_t size)
{
    return ~0u;
}

static void exit_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    const struct vtestdev *test = dev;

    if (offset == 0)
        test->ops.exit(test->ops.ctx, (uint32_t)BITS(value, size * 8u - 1, 0));
}

static uint32_t debugcon_read(void *dev, uint16_t offset, uint8_t size)
{
    return size == 1 ? VTESTDEV_DEBUGCON_PORT : ~0u;
}

static void debugcon_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    const struct vtestdev *test = dev;

    if (size == 1)
        test->ops.put(test->ops.ctx, (uint8_t)value);
}

void vtestdev_init(struct vtestdev *test, const struct vtestdev_ops *ops)
{
    *test = (struct vtestdev){.ops = *ops};
}

void vtestdev_ports(struct vtestdev *test, struct pio_range ranges[VTESTDEV_PORT_RANGES])
{
    ranges[0] = (struct pio_range){.base = VTESTDEV_EXIT_PORT,
                                   .count = EXIT_PORTS,
                                   .dev = test,
                                   .read = exit_read,
                                   .write = exit_write};
    ranges[1] = (struct pio_range){.base = VTESTDEV_DEBUGCON_PORT,
                                   .count = 1,
                                   .dev = test,
                                   .read = debugcon_read,
                                   .write = debugcon_write};
}
