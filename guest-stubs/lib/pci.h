/* SPDX-License-Identifier: MIT */
/* PCI: configuration space by ECAM, and where BARs go.  There is bus 0. */
#pragma once

#include <stdint.h>

#define ECAM      0xe0000000ull
#define WINDOW    0xc0000000ull
#define PCI_ADDR  0xcf8
#define PCI_DATA  0xcfc
#define PCI_SLOTS 16

#define REG_COMMAND 0x04
#define REG_BAR     0x10
#define REG_CAPS    0x34
#define CAP_MSIX    0x11

static inline volatile uint32_t *config(unsigned int slot, unsigned int reg)
{
    return (volatile uint32_t *)(ECAM + (slot << 15) + reg);
}

/* The MSI-X capability is switched on. */
static inline void enable_msix(unsigned int slot)
{
    unsigned int cap = *config(slot, REG_CAPS) & 0xff;

    while (cap && (*config(slot, cap) & 0xff) != CAP_MSIX)
        cap = *config(slot, cap) >> 8 & 0xff;
    *config(slot, cap) = 0x80000000;
}
