/* SPDX-License-Identifier: MIT */
/*
 * The 8254 interval timer and port B, its neighbour.  Nothing counts here: each channel remembers
 * at which tick of the 1,193,182 Hz crystal it was started, and its counter and output are computed
 * when asked for.  Channel 0 drives an interrupt line, channel 1 nothing, channel 2's output is bit
 * 5 of port B.  Simplified: a count takes effect at once instead of at the next tick; the low half
 * of channel 0's output is not shown on the line (it is pulsed at each rising edge); a new count in
 * mode 3 starts at the end of the period, not of the half period.
 *
 *   40h to 42h  Counter 0 to 2       read, write
 *   43h         Control Word         write: also Counter Latch and Read-Back
 *   61h         Port B               bit 0 gate of channel 2, 1 speaker data, 2 and 3 parity and
 * I/O check enables (stored), 4 refresh toggle, 5 output of channel 2
 */
#pragma once

#include "hv/vdev/vdev.h"

#include <stdbool.h>
#include <stdint.h>

#define VPIT_HZ          1193182u
#define VPIT_CHANNELS    3u
#define VPIT_PORT_RANGES 2

struct vpit_channel {
    uint64_t start;     /* the tick at which the counter held `count` */
    uint64_t held;      /* ticks counted when the gate closed */
    uint64_t switch_at; /* modes 2 and 3: when a count written meanwhile takes over */
    uint32_t count;     /* what the counter was loaded with: 1 to 65536 */
    uint32_t reload;    /* what was last written; 0: nothing since the control word */
    uint8_t mode;       /* 0 to 5 */
    uint8_t access;     /* RW1 and RW0: 1 low byte, 2 high byte, 3 low then high */
    bool bcd;
    bool gate;
    bool counting;
    bool null_count; /* `reload` has not reached the counter */
    bool write_high; /* access 3: the high byte is next */
    bool read_high;
    uint8_t write_low; /* access 3: the low byte that waits for the high one */
    uint8_t latched;   /* bytes of `latch` still to be read */
    uint16_t latch;
    bool status_latched;
    uint8_t status;
};

struct vpit {
    struct vpit_channel channel[VPIT_CHANNELS];
    uint8_t port_b; /* bits 3 to 0 as written */
    bool line;
    uint64_t deadline_ns;
    struct irq_line irq;
    struct vclock clock;
    struct vtimer timer;
};

/* Power-on state: no channel counts, no timer is armed.  Also a reset. */
void vpit_init(struct vpit *vpit, const struct irq_line *irq, const struct vclock *clock,
               const struct vtimer *timer);
void vpit_ports(struct vpit *vpit, struct pio_range ranges[VPIT_PORT_RANGES]);
/* The timer's alarm. */
void vpit_tick(struct vpit *vpit, uint64_t now_ns);
