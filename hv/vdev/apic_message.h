/* SPDX-License-Identifier: MIT */
/*
 * An interrupt message on its way to the local APICs: from an ICR, an I/O APIC pin or (later) an
 * MSI.  Who gets it is vlapic_matches(); what a delivery mode does is the VM's business.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Delivery modes, with the encoding of ICR, LVT and redirection entries.  011b is reserved. */
enum apic_delivery {
    APIC_DELIVER_FIXED = 0,
    APIC_DELIVER_LOWEST = 1,
    APIC_DELIVER_SMI = 2,
    APIC_DELIVER_NMI = 4,
    APIC_DELIVER_INIT = 5,
    APIC_DELIVER_STARTUP = 6,
    APIC_DELIVER_EXTINT = 7,
};

/* Destination shorthands, with the encoding of the ICR. */
enum apic_shorthand {
    APIC_TO_DESTINATION = 0,
    APIC_TO_SELF = 1,
    APIC_TO_ALL = 2,
    APIC_TO_OTHERS = 3,
};

struct apic_message {
    uint32_t destination;
    uint32_t source;       /* the sender's APIC id; only shorthands look at it */
    uint8_t vector;        /* the page number for STARTUP */
    uint8_t delivery_mode; /* enum apic_delivery; never the reserved value */
    uint8_t shorthand;     /* enum apic_shorthand */
    bool logical;          /* the destination is a set in logical mode, else one id */
    bool level;            /* level-triggered: the EOI is told to the I/O APIC */
    bool x2apic; /* 32-bit destination (broadcast ffffffffh), else 8-bit (broadcast ffh) */
};
