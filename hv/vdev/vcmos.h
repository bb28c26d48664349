/* SPDX-License-Identifier: MIT */
/*
 * The real-time clock (MC146818A) and the CMOS RAM around it: an index register and 128 bytes.
 * The date runs with the vclock, in UTC; a guest that sets it moves an offset.  Seconds change
 * when the vclock's do, so resetting the divider (register A, DV) does not shift their phase; the
 * day of the week follows from the date, whatever was written; daylight saving does not exist.
 *
 *   70h  index (bit 7, the NMI mask, is accepted and not stored; reads float)
 *   71h  data
 *
 *   00h, 02h, 04h       seconds, minutes, hours
 *   01h, 03h, 05h       the alarm's; C0h to FFh match always
 *   06h to 09h, 32h     day of the week (1 is Sunday), day, month, year, century
 *   0Ah                 register A: UIP, DV, RS
 *   0Bh                 register B: SET, PIE, AIE, UIE, SQWE, DM, 24/12, DSE
 *   0Ch                 register C: IRQF, PF, AF, UF; reading clears it
 *   0Dh                 register D: VRT, always valid
 *   15h/16h             base memory in KiB
 *   17h/18h, 30h/31h    memory above 1 MiB in KiB, at most FFFFh
 *   34h/35h             memory from 16 MiB to 4 GiB in units of 64 KiB
 *   5Bh to 5Dh          memory above 4 GiB in units of 64 KiB
 *   anything else       RAM
 */
#pragma once

#include "hv/vdev/vdev.h"

#include <stdbool.h>
#include <stdint.h>

#define VCMOS_SIZE 128u
#define VCMOS_IRQ  8

struct vcmos_config {
    uint64_t unix_time;    /* seconds since 1970 when the vclock shows 0 */
    uint64_t ram_below_4g; /* bytes, from address 0 */
    uint64_t ram_above_4g;
};

struct vcmos {
    uint8_t index;
    uint8_t ram[VCMOS_SIZE]; /* the date in it counts only while register B says SET */
    int64_t base_s;          /* seconds since 1970 when the vclock shows 0, as the guest wants it */
    uint64_t seen_ns;        /* up to when register C's flags account for what happened */
    uint64_t deadline_ns;
    bool line;
    struct irq_line irq;
    struct vclock clock;
    struct vtimer timer;
};

/* Power-on state; also a reset that takes the real date again. */
void vcmos_init(struct vcmos *cmos, const struct vcmos_config *config, const struct irq_line *irq,
                const struct vclock *clock, const struct vtimer *timer);
struct pio_range vcmos_ports(struct vcmos *cmos);
/* The timer's alarm. */
void vcmos_tick(struct vcmos *cmos, uint64_t now_ns);
