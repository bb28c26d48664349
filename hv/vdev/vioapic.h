/* SPDX-License-Identifier: MIT */
/*
 * The I/O APIC (82093AA with an EOI register): 24 pins that become messages to the local APICs.
 *
 *   00h IOREGSEL   the index of the register behind IOWIN
 *   10h IOWIN      00h ID, 01h VER, 02h ARB, 10h..3Fh the redirection entries
 *   40h EOIR       ends the interrupts of a vector
 *
 * There is one a VM and its lock is the caller's: all functions are called with it held, and
 * deliver() is called back under it.
 *
 * A pin has one level; where several sources share it the caller ORs them.  Levels are logical
 * (true: asserted), so that polarity is accepted and changes nothing.
 */
#pragma once

#include "hv/vdev/apic_message.h"
#include "hv/vdev/vdev.h"

#include <stdbool.h>
#include <stdint.h>

#define VIOAPIC_PINS 24

struct vioapic_ops {
    void *ctx;
    void (*deliver)(void *ctx, const struct apic_message *message);
};

struct vioapic {
    uint8_t select;
    uint8_t id;
    uint32_t lines;                 /* the level of each pin */
    uint32_t remote_irr;            /* level-triggered interrupts sent and not ended, a bit a pin */
    uint64_t entries[VIOAPIC_PINS]; /* without the read-only bits */
    struct vioapic_ops ops;
};

void vioapic_init(struct vioapic *vioapic, uint8_t id, const struct vioapic_ops *ops);
/* Registers only: the lines keep the levels that their devices give them. */
void vioapic_reset(struct vioapic *vioapic);

/* No effect on a pin that does not exist. */
void vioapic_set_irq(struct vioapic *vioapic, unsigned int pin, bool level);
/* From struct vlapic_ops.eoi: a pin whose line is still asserted interrupts again, once. */
void vioapic_eoi(struct vioapic *vioapic, uint8_t vector);

/* A redirection entry as the guest reads it; 0 for a pin that does not exist. */
uint64_t vioapic_entry(const struct vioapic *vioapic, unsigned int pin);
struct mmio_range vioapic_page(struct vioapic *vioapic);
