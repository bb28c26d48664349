/* SPDX-License-Identifier: MIT */
/*
 * The virtual I/O APIC.  It decides when a pin sends a message; who receives it is the VM's
 * business.
 *
 * An edge while the pin is masked is lost, as on the chip and in KVM.  A level-triggered pin sends
 * when its line is asserted, unmasked and not waiting for an EOI, whichever of the three comes
 * last.
 */
#include "hv/vdev/vioapic.h"

#include "hv/layout.h"
#include "hv/util.h"
#include "hv/vdev/apic_regs.h"

#include <stddef.h>

#define WRITABLE                                                                      \
    (IOAPIC_RTE_VECTOR | IOAPIC_RTE_MODE | IOAPIC_RTE_LOGICAL | IOAPIC_RTE_POLARITY | \
     IOAPIC_RTE_LEVEL | IOAPIC_RTE_MASKED | IOAPIC_RTE_DESTINATION)
#define ID_MASK 0xf

/* Only fixed and lowest-priority interrupts can be level-triggered; the others are edges always. */
static bool is_level(uint64_t entry)
{
    return (entry & IOAPIC_RTE_LEVEL) && BITS(entry, 10, 8) <= APIC_DELIVER_LOWEST;
}

static void send(struct vioapic *vioapic, unsigned int pin)
{
    uint64_t entry = vioapic->entries[pin];
    struct apic_message message = {
        .destination = (uint32_t)BITS(entry, 63, 56),
        .vector = (uint8_t)entry,
        .delivery_mode = BITS(entry, 10, 8),
        .shorthand = APIC_TO_DESTINATION,
        .logical = (entry & IOAPIC_RTE_LOGICAL) != 0,
        .level = is_level(entry),
    };

    if (entry & IOAPIC_RTE_MASKED || message.delivery_mode == 3)
        return; /* 011b is reserved */
    if (message.level)
        vioapic->remote_irr |= 1u << pin;
    vioapic->ops.deliver(vioapic->ops.ctx, &message);
}

static void send_level(struct vioapic *vioapic, unsigned int pin)
{
    uint32_t bit = 1u << pin;

    if (is_level(vioapic->entries[pin]) && (vioapic->lines & bit) && !(vioapic->remote_irr & bit))
        send(vioapic, pin);
}

void vioapic_set_irq(struct vioapic *vioapic, unsigned int pin, bool level)
{
    uint32_t old = vioapic->lines;

    if (pin >= VIOAPIC_PINS)
        return;
    vioapic->lines = level ? old | 1u << pin : old & ~(1u << pin);
    if (is_level(vioapic->entries[pin]))
        send_level(vioapic, pin);
    else if (vioapic->lines & ~old)
        send(vioapic, pin);
}

void vioapic_eoi(struct vioapic *vioapic, uint8_t vector)
{
    for (uint32_t waiting = vioapic->remote_irr; waiting != 0; waiting &= waiting - 1) {
        unsigned int pin = (unsigned int)__builtin_ctz(waiting);

        if ((uint8_t)vioapic->entries[pin] != vector)
            continue;
        vioapic->remote_irr &= ~(1u << pin);
        send_level(vioapic, pin);
    }
}

uint64_t vioapic_entry(const struct vioapic *vioapic, unsigned int pin)
{
    if (pin >= VIOAPIC_PINS)
        return 0;
    return vioapic->entries[pin] | (vioapic->remote_irr >> pin & 1 ? IOAPIC_RTE_REMOTE_IRR : 0);
}

/* Making an entry edge-triggered clears its remote IRR; kernels end a stuck interrupt this way. */
static void write_entry(struct vioapic *vioapic, unsigned int reg, uint32_t value)
{
    unsigned int pin = (reg - IOAPIC_REG_RTE) / 2, shift = reg % 2 * 32;

    if (pin >= VIOAPIC_PINS)
        return;
    uint64_t entry = vioapic->entries[pin] & ~(0xffffffffull << shift);
    entry |= (uint64_t)value << shift & WRITABLE;
    vioapic->entries[pin] = entry;
    if (!is_level(entry))
        vioapic->remote_irr &= ~(1u << pin);
    send_level(vioapic, pin);
}

static uint32_t read_register(const struct vioapic *vioapic)
{
    unsigned int reg = vioapic->select;

    if (reg >= IOAPIC_REG_RTE)
        return (uint32_t)(vioapic_entry(vioapic, (reg - IOAPIC_REG_RTE) / 2) >> (reg % 2 * 32));
    if (reg == IOAPIC_REG_ID || reg == IOAPIC_REG_ARB)
        return (uint32_t)vioapic->id << 24;
    if (reg == IOAPIC_REG_VER)
        return (VIOAPIC_PINS - 1) << 16 | IOAPIC_VERSION_VALUE;
    return 0;
}

static void write_register(struct vioapic *vioapic, uint32_t value)
{
    if (vioapic->select >= IOAPIC_REG_RTE)
        write_entry(vioapic, vioapic->select, value);
    else if (vioapic->select == IOAPIC_REG_ID)
        vioapic->id = value >> 24 & ID_MASK;
}

/* The registers are 32 bits wide; a narrower read gives the low bytes, a wider one zeros above. */
static uint64_t vioapic_read(void *dev, uint64_t offset, uint8_t size)
{
    const struct vioapic *vioapic = dev;
    uint32_t value = 0;

    if (offset == IOAPIC_IOREGSEL)
        value = vioapic->select;
    else if (offset == IOAPIC_IOWIN)
        value = read_register(vioapic);
    return size >= 4 ? value : value & (BIT(size * 8) - 1);
}

/* A narrower write is extended with zeros. */
static void vioapic_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    struct vioapic *vioapic = dev;

    if (size < 4)
        value &= BIT(size * 8) - 1;
    if (offset == IOAPIC_IOREGSEL)
        vioapic->select = (uint8_t)value;
    else if (offset == IOAPIC_IOWIN)
        write_register(vioapic, (uint32_t)value);
    else if (offset == IOAPIC_EOIR)
        vioapic_eoi(vioapic, (uint8_t)value);
}

struct mmio_range vioapic_page(struct vioapic *vioapic)
{
    return (struct mmio_range){.base = LAYOUT_IOAPIC_BASE,
                               .size = LAYOUT_IOAPIC_SIZE,
                               .dev = vioapic,
                               .read = vioapic_read,
                               .write = vioapic_write};
}

void vioapic_reset(struct vioapic *vioapic)
{
    vioapic->select = 0;
    vioapic->remote_irr = 0;
    for (unsigned int pin = 0; pin < VIOAPIC_PINS; pin++)
        vioapic->entries[pin] = IOAPIC_RTE_MASKED;
}

void vioapic_init(struct vioapic *vioapic, uint8_t id, const struct vioapic_ops *ops)
{
    *vioapic = (struct vioapic){.id = id & ID_MASK, .ops = *ops};
    vioapic_reset(vioapic);
}
