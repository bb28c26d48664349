/* SPDX-License-Identifier: MIT */
/* What the three files of the virtual local APIC share. */
#pragma once

#include "arch/x86/msr.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vdev/vlapic.h"

#define VLAPIC_MODES    (APIC_BASE_ENABLE | APIC_BASE_X2APIC)
#define VLAPIC_LVT(reg) ((reg)-APIC_LVT_TIMER) /* the index in lvt[] */

static inline uint64_t vlapic_mode(const struct vlapic *vlapic)
{
    return __atomic_load_n(&vlapic->base, __ATOMIC_RELAXED) & VLAPIC_MODES;
}

/* The register's first 32 bits in the page. */
static inline uint32_t *vlapic_at(const struct vlapic *vlapic, unsigned int reg)
{
    return &vlapic->page[reg * 4];
}

/* In x2APIC mode: cluster in the upper half, one bit for each of its 16 members in the lower. */
static inline uint32_t vlapic_x2apic_ldr(const struct vlapic *vlapic)
{
    return vlapic->id >> 4 << 16 | 1u << (vlapic->id & 15);
}

/* Set a bit of ESR and raise the error interrupt.  Returns whether the vCPU must be kicked. */
bool vlapic_report_error(struct vlapic *vlapic, uint32_t error);

/* A write that the register's rule allows. */
void vlapic_write_register(struct vlapic *vlapic, unsigned int reg, uint64_t value);
/* 32 vectors of ISR, of one of the bitmaps. */
uint32_t vlapic_isr(const struct vlapic *vlapic, unsigned int word);
uint32_t vlapic_bits(const uint64_t *bits, unsigned int word);

/* Software has changed this register: the page shows it. */
void vlapic_show(struct vlapic *vlapic, unsigned int reg);
/* Is this register the CPU's now?  And its value then. */
bool vlapic_is_lent(const struct vlapic *vlapic, unsigned int reg);
uint32_t vlapic_lent_register(const struct vlapic *vlapic, unsigned int reg);

void vlapic_timer_reset(struct vlapic *vlapic);
void vlapic_timer_write_lvt(struct vlapic *vlapic, uint32_t value);
void vlapic_timer_write_initial(struct vlapic *vlapic, uint32_t count);
void vlapic_timer_write_divide(struct vlapic *vlapic, uint32_t config);
void vlapic_timer_write_deadline(struct vlapic *vlapic, uint64_t guest_tsc);
uint32_t vlapic_timer_current(const struct vlapic *vlapic);
uint64_t vlapic_timer_read_deadline(const struct vlapic *vlapic);
