/* SPDX-License-Identifier: MIT */
/* The world of a virtual device in a host test: a clock, an alarm, an interrupt line, its ports. */
#pragma once

#include "hv/util.h"
#include "hv/vdev/vdev.h"

#include <stdbool.h>
#include <stdint.h>

struct fake_time {
    uint64_t now_ns;
    uint64_t deadline_ns;
    unsigned int sets; /* how often the alarm was set or cancelled */
};

static inline uint64_t fake_now(void *ctx)
{
    return ((struct fake_time *)ctx)->now_ns;
}

static inline void fake_set_deadline(void *ctx, uint64_t deadline_ns)
{
    struct fake_time *time = ctx;

    time->deadline_ns = deadline_ns;
    time->sets++;
}

#define FAKE_TIME_INIT            \
    {                             \
        .deadline_ns = VTIMER_OFF \
    }
#define FAKE_CLOCK(time)                  \
    {                                     \
        .ctx = (time), .now_ns = fake_now \
    }
#define FAKE_TIMER(time)                        \
    {                                           \
        .ctx = (time), .set = fake_set_deadline \
    }

struct fake_line {
    bool level;
    unsigned int rises;
    unsigned int repeats; /* settings that changed nothing */
    unsigned int gsi;
};

static inline void fake_set_line(void *ctx, unsigned int gsi, bool level)
{
    struct fake_line *line = ctx;

    if (line->level == level)
        line->repeats++;
    else if (level)
        line->rises++;
    line->level = level;
    line->gsi = gsi;
}

#define FAKE_IRQ(line, number)                               \
    {                                                        \
        .ctx = (line), .gsi = (number), .set = fake_set_line \
    }

/* An access by port number, as a bus would make it.  Ports of no range float. */
static inline const struct pio_range *fake_find(const struct pio_range *ranges, unsigned int count,
                                                uint16_t port)
{
    for (unsigned int i = 0; i < count; i++)
        if (port >= ranges[i].base && port - ranges[i].base < ranges[i].count)
            return &ranges[i];
    return NULL;
}

static inline uint32_t fake_in(const struct pio_range *ranges, unsigned int count, uint16_t port,
                               uint8_t size)
{
    const struct pio_range *range = fake_find(ranges, count, port);

    return range ? range->read(range->dev, (uint16_t)(port - range->base), size) : ~0u;
}

static inline void fake_out(const struct pio_range *ranges, unsigned int count, uint16_t port,
                            uint8_t size, uint32_t value)
{
    const struct pio_range *range = fake_find(ranges, count, port);

    if (range)
        range->write(range->dev, (uint16_t)(port - range->base), size, value);
}
