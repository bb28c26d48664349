/* SPDX-License-Identifier: MIT */
/*
 * The host's local APIC, in the mode that firmware left (xAPIC or x2APIC), the same on every CPU:
 * EOI, IPIs and the one-shot timer, by TSC deadline where the CPU has it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The boot CPU, after paging_init(): finds the mode and enables this CPU's.  All LVT entries are
 * masked. */
void lapic_init(void);

/* Every other CPU: the boot CPU's mode and address, then the same set-up. */
void lapic_init_secondary(void);

bool lapic_is_x2apic(void);
bool lapic_has_deadline(void);
uint32_t lapic_id(void);
void lapic_eoi(void);

void lapic_send_ipi(uint32_t apic_id, uint8_t vector);
void lapic_send_nmi(uint32_t apic_id);
void lapic_send_init(uint32_t apic_id);
void lapic_send_sipi(uint32_t apic_id, uint8_t page);

/*
 * One interrupt at VECTOR_TIMER at or after the host TSC reaches the deadline; one in the past
 * fires at once.  With a count-down timer a far deadline may fire early: the handler compares with
 * the TSC and arms again.  After tsc_calibrate().
 */
void lapic_timer_arm(uint64_t tsc_deadline);
void lapic_timer_off(void);

/* For tsc_calibrate(): let the timer run down from its maximum, masked, and read it. */
void lapic_timer_measure_start(void);
uint32_t lapic_timer_count(void);
void lapic_timer_measure_stop(void);
