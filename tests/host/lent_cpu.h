/* SPDX-License-Identifier: MIT */
/*
 * A CPU to which a local APIC is lent, as the manual has it: SDM, "APIC Virtualization and Virtual
 * Interrupts".  It knows the page, RVI, SVI and the vectors whose EOI is an exit.
 */
#pragma once

#include "hv/util.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vdev/vlapic.h"

#include <stdbool.h>
#include <stdint.h>

struct lent_cpu {
    uint32_t *page;
    struct vlapic_status status;
    uint64_t eoi_exits[4];
};

static UNUSED uint32_t *lent_reg(const struct lent_cpu *cpu, unsigned int reg)
{
    return &cpu->page[reg * 4];
}

/* The highest vector in IRR or ISR; 0: none. */
static UNUSED uint8_t lent_highest(const struct lent_cpu *cpu, unsigned int first)
{
    unsigned int highest = 255;

    while (highest > 0 && !(*lent_reg(cpu, first + highest / 32) & 1u << highest % 32))
        highest--;
    return (uint8_t)highest;
}

/* Sets or clears the vector's bit, returns the highest that is set then. */
static UNUSED uint8_t lent_set(const struct lent_cpu *cpu, unsigned int first, uint8_t vector,
                               bool on)
{
    uint32_t bit = 1u << vector % 32, *reg = lent_reg(cpu, first + vector / 32);

    *reg = on ? *reg | bit : *reg & ~bit;
    return lent_highest(cpu, first);
}

/* PPR virtualization. */
static UNUSED void lent_update_ppr(const struct lent_cpu *cpu)
{
    uint32_t tpr = *lent_reg(cpu, APIC_TPR) & 0xff;
    uint32_t in_service = cpu->status.in_service & 0xf0u;

    *lent_reg(cpu, APIC_PPR) = (tpr & 0xf0) >= in_service ? tpr : in_service;
}

/* Virtual-interrupt delivery with RFLAGS.IF set: the vector, or -1. */
static UNUSED int lent_deliver(struct lent_cpu *cpu)
{
    uint8_t vector = cpu->status.requested;

    lent_update_ppr(cpu); /* as at an entry */
    if ((vector & 0xf0u) <= (*lent_reg(cpu, APIC_PPR) & 0xf0))
        return -1;
    lent_set(cpu, APIC_ISR0, vector, true);
    cpu->status.in_service = vector;
    cpu->status.requested = lent_set(cpu, APIC_IRR0, vector, false);
    lent_update_ppr(cpu);
    return vector;
}

/* EOI virtualization: the vector when it is an exit, or -1. */
static UNUSED int lent_eoi(struct lent_cpu *cpu)
{
    uint8_t vector = cpu->status.in_service;

    cpu->status.in_service = lent_set(cpu, APIC_ISR0, vector, false);
    lent_update_ppr(cpu);
    return cpu->eoi_exits[vector / 64] & BIT(vector % 64) ? vector : -1;
}

static UNUSED void lent_self_ipi(struct lent_cpu *cpu, uint8_t vector)
{
    cpu->status.requested = lent_set(cpu, APIC_IRR0, vector, true);
}

static UNUSED void lent_set_tpr(struct lent_cpu *cpu, uint8_t tpr)
{
    *lent_reg(cpu, APIC_TPR) = tpr;
    lent_update_ppr(cpu);
}

/* What the hypervisor does before an entry. */
static UNUSED void lent_feed(struct lent_cpu *cpu, struct vlapic *vlapic)
{
    if (vlapic_feed(vlapic, &cpu->status.requested))
        vlapic_level_vectors(vlapic, cpu->eoi_exits);
}

static UNUSED void lent_begin(struct lent_cpu *cpu, struct vlapic *vlapic)
{
    cpu->page = vlapic->page;
    cpu->status = vlapic_lend(vlapic);
    vlapic_level_vectors(vlapic, cpu->eoi_exits);
}
