/* SPDX-License-Identifier: MIT */
/*
 * ACPI's fixed power-management hardware: power-off, reset, the power button and the PM timer.
 * There is no SMI and no legacy mode (SCI_EN is always 1), no GPE block and no sleeping state but
 * S5.
 *
 *   base + 0   PM1a_STS  16 bits  TMR_STS, BM_STS, GBL_STS, PWRBTN_STS, ...: writing 1 clears
 *   base + 2   PM1a_EN   16 bits  TMR_EN, GBL_EN, PWRBTN_EN, SLPBTN_EN, RTC_EN
 *   base + 4   PM1a_CNT  16 bits  SCI_EN, BM_RLD, SLP_TYP, SLP_EN (reads 0)
 *   base + 8   PM_TMR    32 bits  3.579545 MHz, read-only
 *   base + 12  RESET     8 bits   as at CF9h: what FADT's RESET_REG may name
 *   CF9h       RST_CNT   8 bits   bit 1 SYS_RST, 2 RST_CPU (resets), 3 FULL_RST
 *
 * PM1 and the timer may be read and written in any size that stays within an aligned 32-bit word.
 */
#pragma once

#include "hv/vdev/vdev.h"

#include <stdbool.h>
#include <stdint.h>

#define VPM_PM1_EVT      0 /* offsets from the base */
#define VPM_PM1_CNT      4
#define VPM_PM_TMR       8
#define VPM_RESET        12
#define VPM_PORT_COUNT   16
#define VPM_RST_CNT_PORT 0xcf9
#define VPM_RESET_VALUE  0x06 /* for FADT's RESET_VALUE */
#define VPM_SLP_TYP_S5   5    /* for \_S5 */
#define VPM_SCI          9
#define VPM_TIMER_HZ     3579545u
#define VPM_PORT_RANGES  2

/* Called from within the guest's port write: they note the request and return. */
struct vpm_ops {
    void *ctx;
    void (*power_off)(void *ctx);
    void (*reset)(void *ctx);
};

struct vpm {
    uint16_t pm1_sts;
    uint16_t pm1_en;
    uint16_t pm1_cnt;
    uint8_t rst_cnt;
    bool line;
    uint64_t seen_carries; /* how often the timer's top bit had changed at the last look */
    uint64_t deadline_ns;
    struct irq_line sci; /* level-triggered */
    struct vclock clock;
    struct vtimer timer; /* armed only while the guest wants TMR_STS as an interrupt */
    struct vpm_ops ops;
};

/* Power-on state; also a reset. */
void vpm_init(struct vpm *pm, const struct vpm_ops *ops, const struct irq_line *sci,
              const struct vclock *clock, const struct vtimer *timer);
void vpm_ports(struct vpm *pm, uint16_t base, struct pio_range ranges[VPM_PORT_RANGES]);
/* The timer's alarm. */
void vpm_tick(struct vpm *pm, uint64_t now_ns);
void vpm_power_button(struct vpm *pm);
