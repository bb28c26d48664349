/* SPDX-License-Identifier: MIT */
/*
 * What a virtual device may know of the world: the ranges that it offers, the interrupt line that
 * it drives, a clock that it reads and a timer that it sets.  Nothing here knows a vCPU.
 *
 * Every offset, size and value that reaches a device is the guest's choice.  Sizes are 1, 2, 4
 * (ports) or 1, 2, 4, 8 (memory); offset < count (or size of the range), but offset + size may
 * reach past the end: the bus does not split.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pio_range {
    uint16_t base;
    uint16_t count;
    void *dev;
    uint32_t (*read)(void *dev, uint16_t offset, uint8_t size);
    void (*write)(void *dev, uint16_t offset, uint8_t size, uint32_t value);
};

struct mmio_range {
    uint64_t base; /* guest-physical */
    uint64_t size;
    void *dev;
    uint64_t (*read)(void *dev, uint64_t offset, uint8_t size);
    void (*write)(void *dev, uint64_t offset, uint8_t size, uint64_t value);
};

/* One input of the interrupt controllers. */
struct irq_line {
    void *ctx;
    unsigned int gsi;
    void (*set)(void *ctx, unsigned int gsi, bool level);
};

static inline void irq_line_set(const struct irq_line *line, bool level)
{
    line->set(line->ctx, line->gsi, level);
}

/* The guest's time in nanoseconds since the VM started; it stands still while the VM is paused. */
struct vclock {
    void *ctx;
    uint64_t (*now_ns)(void *ctx);
};

static inline uint64_t vclock_now(const struct vclock *clock)
{
    return clock->now_ns(clock->ctx);
}

#define VTIMER_OFF UINT64_MAX

/*
 * A one-shot alarm on the vclock.  At or after the deadline the owner calls the device's tick
 * function with the time then; setting a new deadline replaces the old one, VTIMER_OFF cancels.
 */
struct vtimer {
    void *ctx;
    void (*set)(void *ctx, uint64_t deadline_ns);
};

static inline void vtimer_set(const struct vtimer *timer, uint64_t deadline_ns)
{
    timer->set(timer->ctx, deadline_ns);
}
