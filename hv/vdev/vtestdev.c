/* SPDX-License-Identifier: MIT */
/* The test devices (see vtestdev.h).  What an exit value or a line means is the owner's matter. */
#include "hv/vdev/vtestdev.h"

#include "hv/layout.h"
#include "hv/string.h"
#include "hv/util.h"

#define EXIT_PORTS     4 /* so that a 32-bit write lies within */
#define REGISTER_PORTS 4

static uint32_t float_high(void *dev, uint16_t offset, uint8_t size)
{
    return ~0u;
}

/* ---- Exit and debugcon ---------------------------------------------------------------------- */

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

/* ---- pc-testdev ----------------------------------------------------------------------------- */

/* Where in the register an access begins, and the bits that it means: those past the end are
 * nowhere. */
static unsigned int register_shift(uint16_t offset)
{
    return offset % REGISTER_PORTS * 8;
}

static uint32_t register_bits(uint16_t offset, uint8_t size)
{
    return (uint32_t)BITS(~0ull, size * 8u - 1, 0) << register_shift(offset);
}

static uint32_t register_read(void *dev, uint16_t offset, uint8_t size)
{
    const struct vtestdev *test = dev;

    return (test->value & register_bits(offset, size)) >> register_shift(offset);
}

static void register_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vtestdev *test = dev;
    uint32_t bits = register_bits(offset, size);

    test->value = (test->value & ~bits) | (value << register_shift(offset) & bits);
}

/* A byte a line, however many at once. */
static void line_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    const struct vtestdev *test = dev;

    for (unsigned int i = 0; i < size && offset + i < GSI_COUNT; i++)
        test->ops.set_irq(test->ops.ctx, offset + i, (value >> 8 * i & 0xff) != 0);
}

/* How many bytes of an access lie within the memory. */
static uint64_t within(uint64_t offset, uint8_t size)
{
    return MIN((uint64_t)size, VTESTDEV_MEMORY_SIZE - offset);
}

static uint64_t memory_read(void *dev, uint64_t offset, uint8_t size)
{
    const struct vtestdev *test = dev;
    uint64_t value = ~0ull;

    memcpy(&value, test->memory + offset, within(offset, size));
    return value;
}

static void memory_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    struct vtestdev *test = dev;

    memcpy(test->memory + offset, &value, within(offset, size));
}

/* ---- The whole ------------------------------------------------------------------------------ */

void vtestdev_init(struct vtestdev *test, const struct vtestdev_ops *ops, uint8_t *memory)
{
    *test = (struct vtestdev){.ops = *ops, .memory = memory};
    memset(memory, 0, VTESTDEV_MEMORY_SIZE);
}

void vtestdev_ports(struct vtestdev *test, struct pio_range ranges[VTESTDEV_PORT_RANGES])
{
    ranges[0] = (struct pio_range){.base = VTESTDEV_EXIT_PORT,
                                   .count = EXIT_PORTS,
                                   .dev = test,
                                   .read = float_high,
                                   .write = exit_write};
    ranges[1] = (struct pio_range){.base = VTESTDEV_DEBUGCON_PORT,
                                   .count = 1,
                                   .dev = test,
                                   .read = debugcon_read,
                                   .write = debugcon_write};
    ranges[2] = (struct pio_range){.base = VTESTDEV_REGISTER_PORT,
                                   .count = REGISTER_PORTS,
                                   .dev = test,
                                   .read = register_read,
                                   .write = register_write};
    ranges[3] = (struct pio_range){.base = VTESTDEV_LINE_PORT,
                                   .count = GSI_COUNT,
                                   .dev = test,
                                   .read = float_high,
                                   .write = line_write};
}

struct mmio_range vtestdev_memory(struct vtestdev *test)
{
    return (struct mmio_range){.base = VTESTDEV_MEMORY_BASE,
                               .size = VTESTDEV_MEMORY_SIZE,
                               .dev = test,
                               .read = memory_read,
                               .write = memory_write};
}
