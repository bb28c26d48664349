/* SPDX-License-Identifier: MIT */
/*
 * Exact conversion between the nanoseconds of the vclock and the ticks of a crystal.  Both
 * directions start at zero, so nothing ever drifts; splitting off whole seconds keeps every product
 * within 64 bits for frequencies up to 4 GHz.
 */
#pragma once

#include <stdint.h>

#define VTICKS_NS_PER_S 1000000000ull

static inline uint64_t vticks_from_ns(uint64_t ns, uint32_t hz)
{
    return ns / VTICKS_NS_PER_S * hz + ns % VTICKS_NS_PER_S * hz / VTICKS_NS_PER_S;
}

/* The first nanosecond at which vticks_from_ns() gives `ticks`. */
static inline uint64_t vticks_to_ns(uint64_t ticks, uint32_t hz)
{
    return ticks / hz * VTICKS_NS_PER_S + (ticks % hz * VTICKS_NS_PER_S + hz - 1) / hz;
}
