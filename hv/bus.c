/* SPDX-License-Identifier: MIT */
/* The buses: finding the device that claims a port or an address, by binary search. */
#include "hv/bus.h"

#include "hv/panic.h"
#include "hv/util.h"

#include <stddef.h>

/* The bits of a size; the bus cuts what devices return. */
static const uint64_t size_mask[] = {[1] = 0xff, [2] = 0xffff, [4] = 0xffffffff, [8] = ~0ull};

void pio_bus_add(struct pio_bus *bus, const struct pio_range *range)
{
    unsigned int at = bus->count;

    ASSERT(bus->count < PIO_MAX_RANGES && range->count);
    for (; at > 0 && bus->ranges[at - 1].base > range->base; at--)
        bus->ranges[at] = bus->ranges[at - 1];
    bus->ranges[at] = *range;
    bus->count++;
    bus->floating = 0;
    for (unsigned int i = 1; i < bus->count; i++)
        ASSERT(bus->ranges[i - 1].base + bus->ranges[i - 1].count <= bus->ranges[i].base);
}

void mmio_bus_add(struct mmio_bus *bus, const struct mmio_range *range)
{
    unsigned int at = bus->count;

    ASSERT(bus->count < MMIO_MAX_RANGES && range->size);
    for (; at > 0 && bus->ranges[at - 1].base > range->base; at--)
        bus->ranges[at] = bus->ranges[at - 1];
    bus->ranges[at] = *range;
    bus->count++;
    for (unsigned int i = 1; i < bus->count; i++)
        ASSERT(bus->ranges[i - 1].base + bus->ranges[i - 1].size <= bus->ranges[i].base);
}

static inline bool is_in(const struct pio_range *range, uint16_t port)
{
    return (uint16_t)(port - range->base) < range->count;
}

static COLD struct pio_range *search_port(struct pio_bus *bus, uint16_t port)
{
    unsigned int low = 0;
    unsigned int high = bus->count;

    while (low < high) {
        unsigned int middle = (low + high) / 2;
        struct pio_range *range = &bus->ranges[middle];

        if (is_in(range, port)) {
            bus->recent[port % ARRAY_SIZE(bus->recent)] = (uint8_t)middle;
            return range;
        }
        if (port < range->base)
            high = middle;
        else
            low = middle + 1;
    }
    bus->floating = port + 1u;
    return NULL;
}

static inline struct pio_range *find_port(struct pio_bus *bus, uint16_t port)
{
    struct pio_range *range = &bus->ranges[bus->recent[port % ARRAY_SIZE(bus->recent)]];

    if (likely(is_in(range, port)))
        return range;
    return bus->floating == port + 1u ? NULL : search_port(bus, port);
}

static struct mmio_range *find_address(struct mmio_bus *bus, uint64_t gpa)
{
    for (unsigned int i = 0; i < bus->count; i++)
        if (gpa - bus->ranges[i].base < bus->ranges[i].size)
            return &bus->ranges[i];
    return NULL;
}

uint32_t pio_bus_read(struct pio_bus *bus, uint16_t port, uint8_t size)
{
    struct pio_range *range = find_port(bus, port);
    uint32_t mask = (uint32_t)size_mask[size];

    return range ? mask & range->read(range->dev, (uint16_t)(port - range->base), size) : mask;
}

void pio_bus_write(struct pio_bus *bus, uint16_t port, uint8_t size, uint32_t value)
{
    struct pio_range *range = find_port(bus, port);
    uint32_t mask = (uint32_t)size_mask[size];

    if (range)
        range->write(range->dev, (uint16_t)(port - range->base), size, mask & value);
}

uint64_t mmio_bus_read(struct mmio_bus *bus, uint64_t gpa, uint8_t size)
{
    struct mmio_range *range = find_address(bus, gpa);
    uint64_t value = ~0ull;

    if (range)
        value = range->read(range->dev, gpa - range->base, size);
    return value & size_mask[size];
}

void mmio_bus_write(struct mmio_bus *bus, uint64_t gpa, uint8_t size, uint64_t value)
{
    struct mmio_range *range = find_address(bus, gpa);

    if (range)
        range->write(range->dev, gpa - range->base, size, value & size_mask[size]);
}
