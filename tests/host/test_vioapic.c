/* SPDX-License-Identifier: MIT */
/* The virtual I/O APIC: its registers, edges, levels, EOI, and a storm that must not happen. */
#include "hv/vdev/vioapic.h"

#include "hv/util.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vdev/vlapic.h"
#include "tests/host/check.h"

#include <stdlib.h>

static struct apic_message message;
static unsigned int delivered;

static void deliver(void *ctx, const struct apic_message *m)
{
    message = *m;
    delivered++;
}

static const struct vioapic_ops ops = {.ctx = NULL, .deliver = deliver};

static struct vioapic new_ioapic(void)
{
    struct vioapic ioapic;

    delivered = 0;
    vioapic_init(&ioapic, 2, &ops);
    return ioapic;
}

static uint64_t read_at(struct vioapic *ioapic, uint64_t offset, uint8_t size)
{
    struct mmio_range page = vioapic_page(ioapic);

    return page.read(page.dev, offset, size);
}

static void write_at(struct vioapic *ioapic, uint64_t offset, uint8_t size, uint64_t value)
{
    struct mmio_range page = vioapic_page(ioapic);

    page.write(page.dev, offset, size, value);
}

static uint32_t get(struct vioapic *ioapic, uint8_t reg)
{
    write_at(ioapic, IOAPIC_IOREGSEL, 4, reg);
    return (uint32_t)read_at(ioapic, IOAPIC_IOWIN, 4);
}

static void put(struct vioapic *ioapic, uint8_t reg, uint32_t value)
{
    write_at(ioapic, IOAPIC_IOREGSEL, 4, reg);
    write_at(ioapic, IOAPIC_IOWIN, 4, value);
}

static void set_entry(struct vioapic *ioapic, unsigned int pin, uint64_t entry)
{
    put(ioapic, (uint8_t)(IOAPIC_REG_RTE + 2 * pin + 1), (uint32_t)(entry >> 32));
    put(ioapic, (uint8_t)(IOAPIC_REG_RTE + 2 * pin), (uint32_t)entry);
}

static void test_registers(void)
{
    struct vioapic ioapic = new_ioapic();
    bool masked = true, beyond = true;

    CHECK(get(&ioapic, IOAPIC_REG_ID) == 2u << 24 && get(&ioapic, IOAPIC_REG_ARB) == 2u << 24,
          "id and arbitration id");
    CHECK(get(&ioapic, IOAPIC_REG_VER) == 0x00170020, "version 20h, 24 pins");
    put(&ioapic, IOAPIC_REG_ID, ~0u);
    put(&ioapic, IOAPIC_REG_VER, ~0u);
    put(&ioapic, IOAPIC_REG_ARB, 0);
    CHECK(get(&ioapic, IOAPIC_REG_ID) == 0x0f000000 && get(&ioapic, IOAPIC_REG_VER) == 0x00170020 &&
              get(&ioapic, IOAPIC_REG_ARB) == 0x0f000000,
          "only the id is writable, four bits of it");
    for (unsigned int pin = 0; pin < VIOAPIC_PINS; pin++)
        masked = masked && vioapic_entry(&ioapic, pin) == IOAPIC_RTE_MASKED;
    CHECK(masked, "every pin starts masked");
    set_entry(&ioapic, 23, ~0ull);
    CHECK(vioapic_entry(&ioapic, 23) == 0xff0000000001afff && get(&ioapic, 0x3e) == 0x1afff &&
              get(&ioapic, 0x3f) == 0xff000000,
          "an entry keeps the bits it has, without the read-only ones");
    for (unsigned int reg = 0; reg < 0x100; reg++) {
        if (reg > 2 && (reg < 0x10 || reg > 0x3f)) {
            put(&ioapic, (uint8_t)reg, ~0u);
            beyond = beyond && get(&ioapic, (uint8_t)reg) == 0;
        }
    }
    CHECK(beyond && vioapic_entry(&ioapic, 24) == 0 && vioapic_entry(&ioapic, ~0u) == 0,
          "registers that do not exist read 0");
    write_at(&ioapic, IOAPIC_IOREGSEL, 1, 0x101);
    CHECK(read_at(&ioapic, IOAPIC_IOREGSEL, 4) == 1 && read_at(&ioapic, IOAPIC_IOWIN, 1) == 0x20 &&
              read_at(&ioapic, IOAPIC_IOWIN, 8) == 0x170020 && read_at(&ioapic, 0x20, 4) == 0 &&
              read_at(&ioapic, IOAPIC_EOIR, 4) == 0,
          "other sizes and offsets");
    vioapic_set_irq(&ioapic, 24, true);
    vioapic_set_irq(&ioapic, ~0u, true);
    CHECK(delivered == 0 && ioapic.lines == 0, "a pin that does not exist has no effect");
    set_entry(&ioapic, 5, 0x51);
    vioapic_set_irq(&ioapic, 7, true);
    vioapic_reset(&ioapic);
    CHECK(vioapic_entry(&ioapic, 5) == IOAPIC_RTE_MASKED && ioapic.lines == 1u << 7,
          "a reset masks the pins, the lines stay");
}

static void test_edge(void)
{
    struct vioapic ioapic = new_ioapic();

    set_entry(&ioapic, 2, 0x4200000000000931);
    vioapic_set_irq(&ioapic, 2, true);
    CHECK(delivered == 1 && message.destination == 0x42 && message.vector == 0x31 &&
              message.delivery_mode == APIC_DELIVER_LOWEST && message.logical && !message.level &&
              message.shorthand == APIC_TO_DESTINATION && !message.x2apic,
          "an edge becomes the entry's message");
    vioapic_set_irq(&ioapic, 2, true);
    vioapic_set_irq(&ioapic, 2, false);
    CHECK(delivered == 1 && vioapic_entry(&ioapic, 2) == 0x4200000000000931,
          "neither the level nor its end is another");
    vioapic_set_irq(&ioapic, 2, true);
    CHECK(delivered == 2, "each edge is");
    vioapic_set_irq(&ioapic, 2, false);
    set_entry(&ioapic, 2, 0x31 | IOAPIC_RTE_MASKED);
    vioapic_set_irq(&ioapic, 2, true);
    set_entry(&ioapic, 2, 0x31);
    CHECK(delivered == 2, "an edge while masked is lost");
    vioapic_set_irq(&ioapic, 2, false);
    set_entry(&ioapic, 2, 0x31 | IOAPIC_RTE_POLARITY);
    vioapic_set_irq(&ioapic, 2, true);
    CHECK(delivered == 3, "polarity changes nothing");
    vioapic_eoi(&ioapic, 0x31);
    CHECK(delivered == 3, "an EOI means nothing to an edge");
    vioapic_set_irq(&ioapic, 2, false);
    set_entry(&ioapic, 2, 0x300 | IOAPIC_RTE_LEVEL);
    vioapic_set_irq(&ioapic, 2, true);
    CHECK(delivered == 3, "the reserved delivery mode delivers nothing");
    set_entry(&ioapic, 3, 0x400 | IOAPIC_RTE_LEVEL);
    vioapic_set_irq(&ioapic, 3, true);
    CHECK(delivered == 4 && message.delivery_mode == APIC_DELIVER_NMI && !message.level &&
              !(vioapic_entry(&ioapic, 3) & IOAPIC_RTE_REMOTE_IRR),
          "an NMI is an edge whatever the entry says");
}

static void test_level(void)
{
    struct vioapic ioapic = new_ioapic();
    const uint64_t entry = 0x0100000000008061;

    set_entry(&ioapic, 11, entry);
    vioapic_set_irq(&ioapic, 11, true);
    CHECK(delivered == 1 && message.level && message.vector == 0x61 && message.destination == 1,
          "an asserted line is sent");
    CHECK(vioapic_entry(&ioapic, 11) == (entry | IOAPIC_RTE_REMOTE_IRR) &&
              get(&ioapic, 0x26) == (0x8061 | 0x4000),
          "remote IRR is set");
    vioapic_set_irq(&ioapic, 11, false);
    vioapic_set_irq(&ioapic, 11, true);
    CHECK(delivered == 1, "not again before the EOI");
    vioapic_eoi(&ioapic, 0x62);
    CHECK(delivered == 1, "of its own vector");
    vioapic_eoi(&ioapic, 0x61);
    CHECK(delivered == 2, "still asserted it comes again, once");
    vioapic_set_irq(&ioapic, 11, false);
    write_at(&ioapic, IOAPIC_EOIR, 4, 0x61);
    CHECK(delivered == 2 && vioapic_entry(&ioapic, 11) == entry,
          "released it does not; the EOI register ends it");
    set_entry(&ioapic, 11, entry | IOAPIC_RTE_MASKED);
    vioapic_set_irq(&ioapic, 11, true);
    CHECK(delivered == 2, "masked it waits");
    set_entry(&ioapic, 11, entry);
    CHECK(delivered == 3, "and comes when unmasked");
    set_entry(&ioapic, 11, entry | IOAPIC_RTE_MASKED);
    vioapic_eoi(&ioapic, 0x61);
    CHECK(delivered == 3 && vioapic_entry(&ioapic, 11) == (entry | IOAPIC_RTE_MASKED),
          "an EOI while masked only clears remote IRR");
    set_entry(&ioapic, 11, entry);
    set_entry(&ioapic, 11, 0x61 | IOAPIC_RTE_MASKED);
    CHECK(vioapic_entry(&ioapic, 11) == (0x61 | IOAPIC_RTE_MASKED) && delivered == 4,
          "made an edge, an entry loses its remote IRR");
    put(&ioapic, 0x26, 0x8061);
    CHECK(delivered == 5, "made a level again it is sent");
}

static void test_shared_vector(void)
{
    struct vioapic ioapic = new_ioapic();

    for (unsigned int pin = 16; pin < 20; pin++) {
        set_entry(&ioapic, pin, 0x8071);
        vioapic_set_irq(&ioapic, pin, true);
    }
    vioapic_set_irq(&ioapic, 17, false);
    CHECK(delivered == 4, "four pins of one vector send one each");
    vioapic_eoi(&ioapic, 0x71);
    CHECK(delivered == 7 && ioapic.remote_irr == 0xd0000, "its EOI resends those still asserted");
}

/* The whole way: the line stays asserted, and the local APIC's EOI brings the interrupt back. */
static struct vlapic lapic;

static void post(void *ctx, const struct apic_message *m)
{
    delivered++;
    vlapic_post(&lapic, m->vector, m->level);
}

static void end(void *ctx, uint8_t vector)
{
    vioapic_eoi(ctx, vector);
}

static uint64_t no_time(void *ctx)
{
    return 0;
}

static void no_timer(void *ctx, uint64_t deadline_ns)
{
}

static void test_storm(void)
{
    static struct vioapic ioapic;
    const struct vioapic_ops to_lapic = {.deliver = post};
    const struct vlapic_ops from_lapic = {
        .ctx = &ioapic, .clock = {NULL, no_time}, .timer = {NULL, no_timer}, .eoi = end};
    bool each = true;

    delivered = 0;
    vioapic_init(&ioapic, 0, &to_lapic);
    vlapic_init(&lapic, 0, true, &from_lapic);
    vlapic_virtual_wire(&lapic);
    set_entry(&ioapic, 9, 0x8099);
    vioapic_set_irq(&ioapic, 9, true);
    for (unsigned int i = 1; i <= 100; i++) {
        each = each && delivered == i && vlapic_pending(&lapic) == 0x99;
        vlapic_accept(&lapic, 0x99);
        each = each && vlapic_pending(&lapic) == -1;
        vlapic_eoi(&lapic);
    }
    CHECK(each, "a line that is never released interrupts once for each EOI");
    vlapic_accept(&lapic, 0x99);
    vioapic_set_irq(&ioapic, 9, false);
    vlapic_eoi(&lapic);
    CHECK(vlapic_pending(&lapic) == -1 && delivered == 101 && ioapic.remote_irr == 0,
          "and ends when it is released");
}

/* A model with one flag for each thing: what a pin has sent must follow from its history. */
static struct {
    bool line, waiting;
    uint64_t entry;
} model[VIOAPIC_PINS];
static unsigned int model_sent;

static void model_send(unsigned int pin, bool rising)
{
    bool level = (model[pin].entry & 0x8000) && (model[pin].entry & 0x700) < 0x200;

    if (model[pin].entry & 0x10000 || (model[pin].entry & 0x700) == 0x300)
        return;
    if (level ? !model[pin].line || model[pin].waiting : !rising)
        return;
    model[pin].waiting = level;
    model_sent++;
}

static void model_step(struct vioapic *ioapic, unsigned int what, unsigned int pin, uint32_t value)
{
    if (what < 3) {
        bool level = value & 1, rising = level && !model[pin].line;

        vioapic_set_irq(ioapic, pin, level);
        model[pin].line = level;
        if (level)
            model_send(pin, rising);
    } else if (what == 3) {
        value = (value & 0x1a703) | 0x40;
        put(ioapic, (uint8_t)(IOAPIC_REG_RTE + 2 * pin), value);
        model[pin].entry = value;
        if (!(value & 0x8000) || (value & 0x700) >= 0x200)
            model[pin].waiting = false;
        model_send(pin, false);
    } else {
        vioapic_eoi(ioapic, 0x40 | (value & 3));
        for (unsigned int i = 0; i < VIOAPIC_PINS; i++) {
            if (!model[i].waiting || (model[i].entry & 0xff) != (0x40 | (value & 3)))
                continue;
            model[i].waiting = false;
            model_send(i, false);
        }
    }
}

static void test_model(void)
{
    struct vioapic ioapic = new_ioapic();
    bool ok = true;

    srand(1);
    for (unsigned int pin = 0; pin < VIOAPIC_PINS; pin++)
        model[pin].entry = IOAPIC_RTE_MASKED;
    for (unsigned int i = 0; i < 300000; i++) {
        unsigned int pin = (unsigned int)rand() % VIOAPIC_PINS;

        model_step(&ioapic, (unsigned int)rand() % 5, pin, (uint32_t)rand() & (uint32_t)rand());
        ok = ok && delivered == model_sent &&
             vioapic_entry(&ioapic, pin) == (model[pin].entry | (model[pin].waiting ? 0x4000 : 0));
    }
    CHECK(ok && model_sent > 10000, "300,000 random steps agree with a model of flags");
}

int main(void)
{
    test_registers();
    test_edge();
    test_level();
    test_shared_vector();
    test_storm();
    test_model();
    return check_done();
}
