/* SPDX-License-Identifier: MIT */
/* A driver of virtio devices that does anything, as the fuzzer's input says. */
#pragma once

#include "tests/host/fuzz_input.h"
#include "tests/host/virtio_world.h"

/* Some bytes of the rings are others now. */
static void scribble(void)
{
    uint8_t what = byte();

    if (what >= 0xc0)
        ram[(what & 3u) << 12 | (what >> 2 & 1) * QUEUE | (number() & 0xff)] = byte();
}

static inline void poke_descriptor(unsigned int queue)
{
    static const uint64_t bases[] = {DATA, DATA + 0x1000, 0, ~0xfffull, RAM_BASE + RAM_SIZE - 256,
                                     DESC, 0xfee00000};
    uint8_t index = byte() & 7;

    descriptor(byte() & 1 ? DESC + queue * QUEUE : DATA, index, bases[byte() % 7] + byte(),
               byte() & 1 ? number() : ~0u - byte(), byte() & 7, byte() & 15);
}

/* Registers and rings, whatever device it is. */
static inline void disturb(uint8_t op)
{
    uint8_t size = (uint8_t)(1u << op / 64);

    switch (op % 6) {
    case 0:
        bar_out(number() & 0x7fff, size, number() * 0x100010001ull);
        break;
    case 1:
        bar_in(number() & 0x7fff, size);
        break;
    case 2:
        config_out(number() & 0xfff, size, number() * 0x100010001ull);
        break;
    case 3:
        bar_out(byte() & 0x3f, size, number());
        break;
    case 4:
        poke_descriptor(byte() & 1);
        break;
    case 5:
        offer_to(op >> 3 & 1, byte() & 15);
        kick_queue(op >> 3 & 1);
        break;
    }
}

static inline void check_queues(const struct virtio *of)
{
    for (unsigned int i = 0; i < of->kind->queues; i++) {
        const struct virtq *queue = &of->queues[i];

        REQUIRE(queue->size <= VIRTQ_MAX_SIZE && (!queue->enabled || virtq_is_sound(queue)));
    }
}
