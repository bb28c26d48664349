/* SPDX-License-Identifier: MIT */
/*
 * Says what comes from outside: each NMI, and each interrupt of the I/O APIC's pins.  It never
 * halts and never ends: the monitor's commands are tried on it.
 */
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define VEC_PINS 0x40
#define PINS     24

static volatile uint32_t pins, nmis; /* that have come and not been told */

static void pin(struct frame *frame)
{
    pins |= 1u << (frame->vector - VEC_PINS);
    lapic_write(LAPIC_EOI, 0);
}

static void nmi(struct frame *frame)
{
    nmis++;
}

static void prepare(void)
{
    trap_handlers[VEC_NMI] = nmi;
    outb(PIC_MASTER + 1, 0xff);
    outb(PIC_SLAVE + 1, 0xff);
    lapic_write(LAPIC_SVR, SVR_ENABLE | 0xff);
    for (unsigned int n = 0; n < PINS; n++) {
        trap_handlers[VEC_PINS + n] = pin;
        ioapic_set_pin(n, VEC_PINS + n);
    }
}

static void tell(void)
{
    uint32_t seen = pins;

    pins = 0;
    for (unsigned int n = 0; n < PINS; n++)
        if (seen >> n & 1)
            print("interrupt of pin %u\n", n);
    for (; nmis; nmis--)
        print("nmi\n");
}

void stub_main(void)
{
    prepare();
    print("listening\n");
    for (;;) {
        __asm__ volatile("sti; nop; nop; cli");
        tell();
        delay_us(1000);
        cpuid(0, 0); /* an exit now and then */
    }
}
