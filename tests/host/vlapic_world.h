/* SPDX-License-Identifier: MIT */
/* A world for a virtual local APIC under test: a clock, an alarm, and a record of what it sent. */
#pragma once

#include "arch/x86/msr.h"
#include "hv/layout.h"
#include "hv/util.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vdev/vlapic.h"
#include "tests/host/check.h"

#define X2APIC(reg) (MSR_X2APIC_FIRST + (reg))
#define XAPIC       (LAYOUT_LAPIC_BASE | APIC_BASE_ENABLE)
#define TSC_PER_NS  3

/* The world around an APIC: time, alarm, and what was sent. */
static struct world {
    uint64_t now_ns, alarm_ns;
    unsigned int alarms_set, sent, ended;
    struct apic_message message;
    uint8_t ended_vector;
} world;

static UNUSED uint64_t now(void *ctx)
{
    return ((struct world *)ctx)->now_ns;
}

static UNUSED void set_alarm(void *ctx, uint64_t deadline_ns)
{
    ((struct world *)ctx)->alarm_ns = deadline_ns;
    ((struct world *)ctx)->alarms_set++;
}

static UNUSED uint64_t tsc_to_ns(void *ctx, uint64_t guest_tsc)
{
    return guest_tsc / TSC_PER_NS + (guest_tsc % TSC_PER_NS != 0);
}

static UNUSED void send(void *ctx, const struct apic_message *message)
{
    ((struct world *)ctx)->message = *message;
    ((struct world *)ctx)->sent++;
}

static UNUSED void ended(void *ctx, uint8_t vector)
{
    ((struct world *)ctx)->ended_vector = vector;
    ((struct world *)ctx)->ended++;
}

static const struct vlapic_ops world_ops = {.ctx = &world,
                                            .clock = {&world, now},
                                            .timer = {&world, set_alarm},
                                            .tsc_to_ns = tsc_to_ns,
                                            .send_ipi = send,
                                            .eoi = ended};

/* Let the time pass as the owner of the timer does. */
static UNUSED void run_until(struct vlapic *apic, uint64_t end_ns)
{
    while (world.alarm_ns <= end_ns) {
        if (world.now_ns < world.alarm_ns)
            world.now_ns = world.alarm_ns;
        world.alarm_ns = VTIMER_OFF;
        vlapic_tick(apic, world.now_ns);
    }
    world.now_ns = end_ns;
}

static UNUSED uint32_t get(struct vlapic *apic, unsigned int reg)
{
    return (uint32_t)vlapic_mmio_read(apic, reg * 16, 4);
}

static UNUSED void put(struct vlapic *apic, unsigned int reg, uint32_t value)
{
    vlapic_mmio_write(apic, reg * 16, 4, value);
}

static UNUSED uint64_t msr(struct vlapic *apic, uint32_t index)
{
    uint64_t value = 0xdeadull << 48;

    return vlapic_read_msr(apic, index, &value) ? value : 0xdeadull << 48;
}

static UNUSED struct vlapic new_xapic(uint32_t id)
{
    struct vlapic apic;

    world = (struct world){.now_ns = 1000, .alarm_ns = VTIMER_OFF};
    vlapic_init(&apic, id, id == 0, &world_ops);
    put(&apic, APIC_SVR, 0x1ff);
    return apic;
}

static UNUSED struct vlapic new_x2apic(uint32_t id)
{
    struct vlapic apic = new_xapic(id);

    vlapic_write_msr(&apic, MSR_APIC_BASE, XAPIC | APIC_BASE_X2APIC);
    return apic;
}

static UNUSED int take(struct vlapic *apic)
{
    int vector = vlapic_pending(apic);

    if (vector >= 0)
        vlapic_accept(apic, (uint8_t)vector);
    return vector;
}
