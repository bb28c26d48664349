/* SPDX-License-Identifier: MIT */
/*
 * IPIs to self, and priorities.  The class of a vector is its upper four bits.  What waits is
 * delivered from the highest vector down; TPR and what is in service hold back their own class and
 * those below.  A vector below 16 is refused, as an error.
 */
#include "guest-stubs/interrupts/interrupts.h"

static void check_self_ipi(void)
{
    clear_counts();
    self_ipi(VEC_LOW);
    check_equal(taken[VEC_LOW], 0, "with interrupts off an IPI waits");
    check(wait_for(VEC_LOW, 1), "and is delivered when they are on");
    wait_ms(1);
    check_equal(taken[VEC_LOW], 1, "once");
}

static void check_order(void)
{
    clear_counts();
    self_ipi(VEC_LOW);
    self_ipi(VEC_HIGH);
    self_ipi(VEC_LOW + 1);
    self_ipi(VEC_LOW);
    wait_ms(1);
    check(order_count == 3 && order[0] == VEC_HIGH && order[1] == VEC_LOW + 1 &&
              order[2] == VEC_LOW,
          "what waits is delivered from the highest vector down, and each once");
}

static void check_tpr(void)
{
    clear_counts();
    apic_write(LAPIC_TPR, VEC_LOW & 0xf0);
    self_ipi(VEC_LOW + 1);
    wait_ms(1);
    check_equal(taken[VEC_LOW + 1], 0, "TPR holds back its own class");
    check(apic_read(LAPIC_IRR + (VEC_LOW / 32) * 16) & 1u << (VEC_LOW + 1) % 32,
          "which waits in IRR");
    self_ipi(VEC_HIGH);
    check(wait_for(VEC_HIGH, 1), "a higher class passes");
    interrupts_on();
    write_cr8((VEC_LOW >> 4) - 1);
    __asm__ volatile("nop");
    interrupts_off();
    check_equal(taken[VEC_LOW + 1], 1, "a lower CR8 lets it through at once");
    write_cr8(0);
}

static bool nested_high, nested_low;

/* In service of VEC_LOW: a higher one interrupts, its own class waits. */
static void nesting(struct frame *frame)
{
    taken[frame->vector]++;
    self_ipi(VEC_HIGH);
    self_ipi(VEC_LOW + 1);
    interrupts_on();
    delay_us(100);
    interrupts_off();
    nested_high = taken[VEC_HIGH] == 1;
    nested_low = taken[VEC_LOW + 1] != 0;
    apic_write(LAPIC_EOI, 0);
}

static void check_nesting(void)
{
    clear_counts();
    trap_handlers[VEC_LOW] = nesting;
    self_ipi(VEC_LOW);
    check(wait_for(VEC_LOW, 1) && nested_high, "a higher class interrupts a handler");
    check(!nested_low, "its own class does not");
    check(wait_for(VEC_LOW + 1, 1), "but comes after the EOI");
    count_vector(VEC_LOW);
}

static void check_illegal(void)
{
    clear_counts();
    apic_write(LAPIC_ESR, 0);
    self_ipi(5);
    apic_write(LAPIC_ESR, 0);
    check(apic_read(LAPIC_ESR) & 0x20, "an IPI with vector 5 is an error: illegal vector sent");
    apic_write(LAPIC_ESR, 0);
}

static void check_software_disabled(void)
{
    clear_counts();
    apic_write(LAPIC_SVR, VEC_SPURIOUS);
    apic_write(LAPIC_TIMER, VEC_TIMER);
    check(apic_read(LAPIC_TIMER) & LVT_MASKED, "disabled by SVR, the APIC keeps its LVT masked");
    lapic_setup();
}

void interrupts_priority(void)
{
    check_self_ipi();
    check_order();
    check_tpr();
    check_nesting();
    check_illegal();
    check_software_disabled();
}
