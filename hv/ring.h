/* SPDX-License-Identifier: MIT */
/*
 * A ring of bytes over an array whose size is a power of two.  Not locked: its owner is.  head and
 * tail run free; only their difference and their low bits count.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct byte_ring {
    uint32_t head; /* the next to be taken */
    uint32_t tail; /* the next free place */
    uint32_t mask;
    uint8_t *bytes;
};

static inline void ring_init(struct byte_ring *ring, uint8_t *bytes, uint32_t size)
{
    *ring = (struct byte_ring){.bytes = bytes, .mask = size - 1};
}

static inline uint32_t ring_used(const struct byte_ring *ring)
{
    return ring->tail - ring->head;
}

static inline uint32_t ring_room(const struct byte_ring *ring)
{
    return ring->mask + 1 - ring_used(ring);
}

static inline bool ring_put(struct byte_ring *ring, uint8_t byte)
{
    if (ring_used(ring) > ring->mask)
        return false;
    ring->bytes[ring->tail++ & ring->mask] = byte;
    return true;
}

static inline bool ring_take(struct byte_ring *ring, uint8_t *byte)
{
    if (ring->head == ring->tail)
        return false;
    *byte = ring->bytes[ring->head++ & ring->mask];
    return true;
}

/* The byte at a place from the head, which must be below ring_used(). */
static inline uint8_t ring_peek(const struct byte_ring *ring, uint32_t place)
{
    return ring->bytes[(ring->head + place) & ring->mask];
}

/* Where a byte is from the head, or ring_used() when it is not there. */
static inline uint32_t ring_find(const struct byte_ring *ring, uint8_t byte)
{
    uint32_t place = 0;

    while (place < ring_used(ring) && ring_peek(ring, place) != byte)
        place++;
    return place;
}
