/* SPDX-License-Identifier: MIT */
/*
 * x2APIC mode.  All that the page does is done by MSRs, one more of which, SELF IPI, sends to this
 * CPU.  From xAPIC mode it takes over what waits, what is in service and TPR.  A CPU may virtualize
 * all of this itself, so that what it shows and what it holds back is looked at more closely.
 */
#include "guest-stubs/interrupts/interrupts.h"

#define SELF_IPI   (MSR_X2APIC + 0x3f)
#define LAPIC_TMR  0x180
#define ESR_VECTOR 0x20u
#define ROUNDS     20

static bool bit_of(unsigned int offset, unsigned int vector)
{
    return apic_read(offset + vector / 32 * 16) & 1u << vector % 32;
}

/* ---- From xAPIC mode ------------------------------------------------------------------------- */

static bool kept_in_service, kept_apart;

static void change_in_handler(struct frame *frame)
{
    taken[frame->vector]++;
    x2apic_on();
    kept_in_service = bit_of(LAPIC_ISR, VEC_LOW) && apic_read(LAPIC_PPR) == (VEC_LOW & 0xf0);
    wrmsr(SELF_IPI, VEC_LOW + 1);
    wait_ms(1);
    kept_apart = taken[VEC_LOW + 1] == 0;
    apic_write(LAPIC_EOI, 0);
}

static void check_change(void)
{
    clear_counts();
    apic_write(LAPIC_TPR, VEC_HIGH & 0xf0);
    self_ipi(VEC_HIGH);
    x2apic_on();
    wait_ms(1);
    check(taken[VEC_HIGH] == 0 && apic_read(LAPIC_TPR) == (VEC_HIGH & 0xf0) &&
              bit_of(LAPIC_IRR, VEC_HIGH),
          "a change to x2APIC mode keeps TPR, and what it holds back waits in IRR");
    apic_write(LAPIC_TPR, 0);
    check(wait_for(VEC_HIGH, 1), "and comes when TPR allows it");
    x2apic_off();
    trap_handlers[VEC_LOW] = change_in_handler;
    self_ipi(VEC_LOW);
    check(wait_for(VEC_LOW, 1) && kept_in_service, "in a handler, what is in service stays so");
    check(kept_apart && wait_for(VEC_LOW + 1, 1), "and holds its class back until its EOI");
    check(!bit_of(LAPIC_ISR, VEC_LOW) && apic_read(LAPIC_PPR) == 0, "which ends it");
    count_vector(VEC_LOW);
}

/* ---- What it shows --------------------------------------------------------------------------- */

static bool seen_edge;

static void look(struct frame *frame)
{
    unsigned int vector = (unsigned int)frame->vector;

    taken[vector]++;
    seen_edge = bit_of(LAPIC_ISR, vector) && !bit_of(LAPIC_IRR, vector) &&
                !bit_of(LAPIC_TMR, vector) && apic_read(LAPIC_PPR) == (vector & 0xf0);
    apic_write(LAPIC_EOI, 0);
}

static void check_registers(void)
{
    uint64_t icr = (uint64_t)3 << 32 | VEC_LOW; /* to nobody */

    clear_counts();
    trap_handlers[VEC_LOW] = look;
    wrmsr(SELF_IPI, VEC_LOW);
    check(bit_of(LAPIC_IRR, VEC_LOW) && !bit_of(LAPIC_ISR, VEC_LOW), "SELF IPI shows in IRR");
    check(wait_for(VEC_LOW, 1) && seen_edge, "in its handler it is in ISR, PPR is its class");
    wrmsr(MSR_X2APIC + LAPIC_ICR / 16, icr);
    check_equal(rdmsr(MSR_X2APIC + LAPIC_ICR / 16), icr, "ICR is one register of 64 bits");
    apic_write(LAPIC_ESR, 0);
    wrmsr(SELF_IPI, 5);
    apic_write(LAPIC_ESR, 0);
    check(apic_read(LAPIC_ESR) & ESR_VECTOR, "SELF IPI with vector 5 is an error");
    apic_write(LAPIC_ESR, 0);
    count_vector(VEC_LOW);
}

/* ---- What it holds back ---------------------------------------------------------------------- */

/* Other CPUs, or a timer, call the hypervisor meanwhile. */
static void check_interrupts_off(void)
{
    unsigned int early = 0, late = 0, before;

    for (unsigned int i = 0; i < ROUNDS; i++) {
        clear_counts();
        apic_write(LAPIC_TIMER, VEC_TIMER);
        apic_write(LAPIC_TMICT, 300000);
        interrupts_on();
        __asm__ volatile("nop");
        interrupts_off();
        before = taken[VEC_TIMER]; /* on a slow machine its time was then */
        wrmsr(SELF_IPI, VEC_LOW);
        delay_us(1000);
        early += taken[VEC_LOW] + taken[VEC_TIMER] - before;
        late += !wait_for(VEC_LOW, 1) || !wait_for(VEC_TIMER, 1);
    }
    apic_write(LAPIC_TIMER, LVT_MASKED);
    check_equal(early, 0, "with interrupts off nothing comes, though the time of a timer does");
    check_equal(late, 0, "but all of it when they are on");
}

static void two_wait(struct frame *frame)
{
    taken[frame->vector]++;
    wrmsr(SELF_IPI, VEC_LOW);
    apic_write(LAPIC_TMICT, 300000);
    apic_write(LAPIC_EOI, 0);
    delay_us(1000);
}

/* The same in a handler behind its EOI. */
static void check_behind_eoi(void)
{
    clear_counts();
    trap_handlers[VEC_HIGH] = two_wait;
    apic_write(LAPIC_TIMER, VEC_TIMER);
    for (unsigned int i = 1; i <= ROUNDS; i++) {
        wrmsr(SELF_IPI, VEC_HIGH);
        wait_for(VEC_HIGH, i);
        wait_for(VEC_LOW, i);
        wait_for(VEC_TIMER, i);
    }
    check(taken[VEC_HIGH] == ROUNDS && taken[VEC_LOW] == ROUNDS && taken[VEC_TIMER] == ROUNDS,
          "behind its EOI a handler goes on with interrupts off, and what waits comes later");
    apic_write(LAPIC_TIMER, LVT_MASKED);
    count_vector(VEC_HIGH);
}

void interrupts_x2apic(void)
{
    if (!HAS(1, 0, ecx, 21)) {
        skip("x2APIC", "the CPU has none");
        return;
    }
    check_change();
    check_registers();
    check_interrupts_off();
    check_behind_eoi();
    interrupts_of_mode("x2APIC");
    check_equal(uninvited, 0, "no interrupt has come while they were off");
    x2apic_off();
}
