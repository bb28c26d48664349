/* SPDX-License-Identifier: MIT */
/* The parts of the stub "interrupts", and what they share: vectors, counting, waiting with an end.
 */
#pragma once

#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define VEC_PIC      0x20 /* to 0x2f */
#define VEC_TIMER    0x40
#define VEC_IOAPIC   0x50
#define VEC_LOW      0x61
#define VEC_HIGH     0xa1
#define VEC_WATCHDOG 0xe0
#define VEC_SPURIOUS 0xef

void interrupts_pic(void);
void interrupts_ioapic(void);
void interrupts_timer(void);
void interrupts_priority(void);
void interrupts_halt(void);
void interrupts_nmi(void);
void interrupts_refused(void);
void interrupts_delivery(void);
void interrupts_x2apic(void);
void interrupts_of_mode(const char *mode);

/* How often each vector has come, and the order of the last ones. */
extern volatile unsigned int taken[256];
extern volatile uint8_t order[16];
extern volatile unsigned int order_count;
/* Interrupts that count_vector() has counted and that came with RFLAGS.IF clear. */
extern volatile unsigned int uninvited;

/* Counts the vector; local APIC vectors get their EOI, those of the 8259s too. */
void count_vector(unsigned int vector);
void clear_counts(void);

/* Waits with interrupts on until the vector has come so often; false after a second. */
bool wait_for(unsigned int vector, unsigned int times);
/* Waits so long with interrupts on, for what must not come. */
void wait_ms(unsigned int ms);

/*
 * Before a HLT that must be woken by something else: an interrupt after 50 ms, so that a lost
 * wake-up is a failed check and not a silence.  It uses the 8254 through the I/O APIC.
 */
void watchdog_set(void);
bool watchdog_fired(void);
void watchdog_clear(void);

void pit_one_shot(unsigned int us); /* channel 0, mode 0: at most 54 ms */
/* The local APIC's registers by their offsets in the page, in either mode. */
uint32_t apic_read(unsigned int offset);
void apic_write(unsigned int offset, uint32_t value);
void self_ipi(uint32_t vector_and_mode);
void x2apic_on(void);
void x2apic_off(void);
void lapic_setup(void);
