/* SPDX-License-Identifier: MIT */
/* The interrupt controllers and the 8254: registers, and what several stubs do with them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LAPIC_BASE    0xfee00000ull
#define LAPIC_ID      0x020
#define LAPIC_VERSION 0x030
#define LAPIC_TPR     0x080
#define LAPIC_PPR     0x0a0
#define LAPIC_EOI     0x0b0
#define LAPIC_SVR     0x0f0
#define LAPIC_ISR     0x100
#define LAPIC_IRR     0x200
#define LAPIC_ESR     0x280
#define LAPIC_ICR     0x300
#define LAPIC_ICR2    0x310
#define LAPIC_TIMER   0x320
#define LAPIC_LINT0   0x350
#define LAPIC_LINT1   0x360
#define LAPIC_TMICT   0x380
#define LAPIC_TMCCT   0x390
#define LAPIC_TDCR    0x3e0

#define SVR_ENABLE       0x100u
#define LVT_MASKED       0x10000u
#define LVT_PERIODIC     0x20000u
#define LVT_TSC_DEADLINE 0x40000u
#define LVT_EXTINT       0x700u
#define ICR_NMI          0x400u
#define ICR_SELF         0x40000u
#define TDCR_BY_1        0xbu

#define IOAPIC_BASE    0xfec00000ull
#define IOAPIC_SELECT  0x00
#define IOAPIC_WINDOW  0x10
#define IOAPIC_VERSION 1
#define IOAPIC_PIN(n)  (0x10 + 2 * (n))
#define PIN_MASKED     0x10000u
#define PIN_LEVEL      0x8000u
#define PIN_IRR        0x4000u

#define PIC_MASTER 0x20
#define PIC_SLAVE  0xa0
#define PIC_EOI    0x20

static inline uint32_t lapic_read(unsigned int offset)
{
    return *(volatile uint32_t *)(LAPIC_BASE + offset);
}

static inline void lapic_write(unsigned int offset, uint32_t value)
{
    *(volatile uint32_t *)(LAPIC_BASE + offset) = value;
}

static inline uint32_t ioapic_read(unsigned int reg)
{
    *(volatile uint32_t *)(IOAPIC_BASE + IOAPIC_SELECT) = reg;
    return *(volatile uint32_t *)(IOAPIC_BASE + IOAPIC_WINDOW);
}

static inline void ioapic_write(unsigned int reg, uint32_t value)
{
    *(volatile uint32_t *)(IOAPIC_BASE + IOAPIC_SELECT) = reg;
    *(volatile uint32_t *)(IOAPIC_BASE + IOAPIC_WINDOW) = value;
}

static inline void ioapic_set_pin(unsigned int pin, uint32_t entry)
{
    ioapic_write(IOAPIC_PIN(pin) + 1, 0); /* to APIC 0 */
    ioapic_write(IOAPIC_PIN(pin), entry);
}
