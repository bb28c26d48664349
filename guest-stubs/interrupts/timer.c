/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer: one-shot and periodic by a count that runs down, or at a time of the TSC.
 * A deadline in the past fires at once, 0 disarms, and the MSR reads as 0 once it has fired.
 */
#include "guest-stubs/interrupts/interrupts.h"

static void check_one_shot(void)
{
    uint32_t first;

    clear_counts();
    apic_write(LAPIC_TIMER, VEC_TIMER);
    apic_write(LAPIC_TMICT, 100000000);
    first = apic_read(LAPIC_TMCCT);
    delay_us(1000);
    check(first != 0 && apic_read(LAPIC_TMCCT) < first, "the timer's count runs down");
    apic_write(LAPIC_TMICT, 0);
    check_equal(apic_read(LAPIC_TMCCT), 0, "an initial count of 0 stops it");
    apic_write(LAPIC_TMICT, 100000);
    check(wait_for(VEC_TIMER, 1), "one-shot: it interrupts");
    wait_ms(5);
    check(taken[VEC_TIMER] == 1 && apic_read(LAPIC_TMCCT) == 0, "once, and stands at 0");
}

static void check_periodic(void)
{
    unsigned int count;

    clear_counts();
    apic_write(LAPIC_TIMER, LVT_PERIODIC | VEC_TIMER);
    apic_write(LAPIC_TMICT, 1000000);
    check(wait_for(VEC_TIMER, 5), "periodic: it interrupts again and again");
    apic_write(LAPIC_TIMER, LVT_MASKED | LVT_PERIODIC | VEC_TIMER);
    wait_ms(1); /* for one that has expired before */
    count = taken[VEC_TIMER];
    wait_ms(10);
    check_equal(taken[VEC_TIMER], count, "masked, no more");
    apic_write(LAPIC_TMICT, 0);
}

static void check_deadline(void)
{
    uint64_t deadline;

    if (!HAS(1, 0, ecx, 24)) {
        skip("TSC deadline", "the CPU has none");
        return;
    }
    clear_counts();
    apic_write(LAPIC_TIMER, LVT_TSC_DEADLINE | VEC_TIMER);
    deadline = rdtsc() + 50 * tsc_per_ms();
    wrmsr(MSR_TSC_DEADLINE, deadline);
    check_equal(rdmsr(MSR_TSC_DEADLINE), deadline, "the deadline reads back while it is ahead");
    check(wait_for(VEC_TIMER, 1) && rdtsc() >= deadline,
          "it interrupts at the deadline, not before");
    check_equal(rdmsr(MSR_TSC_DEADLINE), 0, "and reads as 0 then");
    wrmsr(MSR_TSC_DEADLINE, 1);
    check(wait_for(VEC_TIMER, 2), "a deadline in the past interrupts at once");
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + 100 * tsc_per_ms());
    wrmsr(MSR_TSC_DEADLINE, 0);
    wait_ms(110);
    check_equal(taken[VEC_TIMER], 2, "0 disarms");
    apic_write(LAPIC_TMICT, 1000);
    check_equal(apic_read(LAPIC_TMCCT), 0, "in this mode the count does nothing");
    apic_write(LAPIC_TIMER, LVT_MASKED);
}

/* A deadline is of the guest's TSC: when that is set forward it comes sooner. */
static void check_deadline_moves(void)
{
    uint64_t adjust;

    if (!HAS(1, 0, ecx, 24) || !HAS(7, 0, ebx, 1)) {
        skip("TSC deadline and TSC_ADJUST", "the CPU has not both");
        return;
    }
    clear_counts();
    adjust = rdmsr(MSR_TSC_ADJUST);
    apic_write(LAPIC_TIMER, LVT_TSC_DEADLINE | VEC_TIMER);
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + 100000 * tsc_per_ms());
    wrmsr(MSR_TSC_ADJUST, adjust + 200000 * tsc_per_ms());
    check(wait_for(VEC_TIMER, 1), "a TSC that is set past the deadline brings the interrupt");
    wrmsr(MSR_TSC_ADJUST, adjust);
    apic_write(LAPIC_TIMER, LVT_MASKED);
}

void interrupts_timer(void)
{
    check_one_shot();
    check_periodic();
    check_deadline();
    check_deadline_moves();
}
