/* SPDX-License-Identifier: MIT */
/*
 * The two 8259A interrupt controllers of a PC and the ELCR beside them.  The wiring is fixed (the
 * slave is at IR2), so ICW3 is accepted and not stored; MCS-80 mode, buffered mode and ICW1's LTIM
 * (whose place the ELCR has taken) do not exist.
 *
 *   20h, a0h    write  ICW1, OCW2, OCW3
 *               read   IRR or ISR, or the poll byte
 *   21h, a1h    write  ICW2, ICW3, ICW4 after ICW1; else OCW1
 *               read   IMR
 *   4d0h, 4d1h  ELCR1, ELCR2: a one makes that IRQ level-triggered
 *
 * A request is withdrawn when its line falls before the acknowledge, as on the chip; an acknowledge
 * that finds none gives the spurious IRQ 7.  (Both chips change at the same moment here, so the
 * slave never withdraws alone and the spurious IRQ 15 does not arise by itself.)
 */
#pragma once

#include "hv/vdev/vdev.h"

#include <stdbool.h>
#include <stdint.h>

#define VPIC_IRQS        16u
#define VPIC_PORT_RANGES 3

/* INTR, the output of the pair. */
struct vpic_intr {
    void *ctx;
    void (*set)(void *ctx, bool level);
};

enum vpic_expect { VPIC_EXPECT_OCW1, VPIC_EXPECT_ICW2, VPIC_EXPECT_ICW3, VPIC_EXPECT_ICW4 };

struct vpic_chip {
    uint8_t lines;   /* the inputs as they are */
    uint8_t edges;   /* inputs that rose and were not acknowledged */
    uint8_t elcr;    /* inputs that are level-triggered */
    uint8_t cascade; /* the input that a slave drives */
    uint8_t isr;
    uint8_t imr;
    uint8_t base;            /* ICW2: vector of IR0 */
    uint8_t lowest;          /* the input of lowest priority: 7, until rotated */
    uint8_t expect;          /* enum vpic_expect: what the next write to the odd port is */
    bool single, need_icw4;  /* ICW1 */
    bool auto_eoi;           /* ICW4 AEOI */
    bool special_nested;     /* ICW4 SFNM */
    bool special_mask;       /* OCW3 SMM */
    bool rotate_on_auto_eoi; /* OCW2 */
    bool read_isr;           /* OCW3 RIS */
    bool poll;               /* OCW3 P: the next read is an acknowledge */
};

struct vpic {
    struct vpic_chip chip[2]; /* master, slave */
    struct vpic_intr intr;
    bool level; /* what INTR carries */
};

/* Power-on state, everything masked as firmware leaves it; also a reset. */
void vpic_init(struct vpic *vpic, const struct vpic_intr *intr);
void vpic_ports(struct vpic *vpic, struct pio_range ranges[VPIC_PORT_RANGES]);

/* Input 0 to 15; 2 is the cascade and ignored. */
void vpic_set_irq(struct vpic *vpic, unsigned int irq, bool level);
/* The CPU's INTA cycle: returns the vector. */
uint8_t vpic_ack(struct vpic *vpic);

static inline bool vpic_pending(const struct vpic *vpic)
{
    return vpic->level;
}
