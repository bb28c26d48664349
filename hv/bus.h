/* SPDX-License-Identifier: MIT */
/* The buses of a VM: sorted tables of the ranges that its devices offer.  What nobody claims floats
 * high. */
#pragma once

#include "hv/vdev/vdev.h"

#include <stdint.h>

#define PIO_MAX_RANGES  32
#define MMIO_MAX_RANGES 16

struct pio_bus {
    unsigned int count;
    uint8_t recent[16]; /* which range a port was in the last time, by its low bits */
    uint32_t floating;  /* the last port that nobody claimed, plus 1; 0: none */
    struct pio_range ranges[PIO_MAX_RANGES];
};

struct mmio_bus {
    unsigned int count;
    struct mmio_range ranges[MMIO_MAX_RANGES];
};

/* Overlapping another range, or one too many, is a panic: the ranges are ours, not the guest's. */
void pio_bus_add(struct pio_bus *bus, const struct pio_range *range);
void mmio_bus_add(struct mmio_bus *bus, const struct mmio_range *range);

/* size: 1, 2, 4.  The result is cut to size. */
uint32_t pio_bus_read(struct pio_bus *bus, uint16_t port, uint8_t size);
void pio_bus_write(struct pio_bus *bus, uint16_t port, uint8_t size, uint32_t value);

/* size: 1, 2, 4, 8 */
uint64_t mmio_bus_read(struct mmio_bus *bus, uint64_t gpa, uint8_t size);
void mmio_bus_write(struct mmio_bus *bus, uint64_t gpa, uint8_t size, uint64_t value);
