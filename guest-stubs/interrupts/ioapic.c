/* SPDX-License-Identifier: MIT */
/*
 * The I/O APIC.  The 8254 is on pin 2, as edges; the UART on pin 4, which is asked for as a level
 * here: its interrupt comes again after each EOI while the line is high, and remote IRR is set from
 * delivery to EOI.
 */
#include "guest-stubs/interrupts/interrupts.h"

#define COM1_IER 0x3f9
#define COM1_IIR 0x3fa
#define COM1_MCR 0x3fc
#define MCR_OUT2 0x08 /* lets the interrupt out */
#define PIN_PIT  2
#define PIN_COM1 4

static void check_edge(void)
{
    clear_counts();
    ioapic_set_pin(PIN_PIT, PIN_MASKED | VEC_IOAPIC);
    pit_one_shot(1000);
    wait_ms(5);
    check_equal(taken[VEC_IOAPIC], 0, "I/O APIC: a masked pin delivers nothing");
    ioapic_set_pin(PIN_PIT, VEC_IOAPIC);
    pit_one_shot(1000);
    check(wait_for(VEC_IOAPIC, 1), "the 8254 on pin 2 interrupts");
    wait_ms(5);
    check_equal(taken[VEC_IOAPIC], 1, "once: it is an edge");
    check(!(ioapic_read(IOAPIC_PIN(PIN_PIT)) & PIN_IRR), "an edge leaves remote IRR alone");
    ioapic_set_pin(PIN_PIT, PIN_MASKED);
}

static unsigned int irr_seen;

/* The line goes low at the third one. */
static void com1_level(struct frame *frame)
{
    if (++taken[frame->vector] == 3)
        outb(COM1_IER, 0);
    irr_seen += (ioapic_read(IOAPIC_PIN(PIN_COM1)) & PIN_IRR) != 0;
    apic_write(LAPIC_EOI, 0);
}

static void check_level(void)
{
    clear_counts();
    irr_seen = 0;
    trap_handlers[VEC_IOAPIC + 1] = com1_level;
    outb(COM1_MCR, MCR_OUT2);
    ioapic_set_pin(PIN_COM1, PIN_LEVEL | (VEC_IOAPIC + 1));
    delay_us(1000);
    outb(COM1_IER, 2); /* "transmitter empty", which it is: the line rises */
    check(wait_for(VEC_IOAPIC + 1, 3), "a level interrupts again after each EOI");
    wait_ms(5);
    check_equal(taken[VEC_IOAPIC + 1], 3, "until the line is low");
    check_equal(irr_seen, 3, "in each handler remote IRR is set");
    check(!(ioapic_read(IOAPIC_PIN(PIN_COM1)) & PIN_IRR), "and clear after the last EOI");
    ioapic_set_pin(PIN_COM1, PIN_MASKED);
    outb(COM1_MCR, 0);
}

void interrupts_ioapic(void)
{
    check_edge();
    check_level();
}
